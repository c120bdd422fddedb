"""Products with matrices between near sites: the kernel by its definition."""

from __future__ import annotations

import numpy as np
import pytest

from ranvier.sorting.local_product import LocalProduct
from ranvier.sorting.product_kernels import near_product_reference


@pytest.mark.parametrize("channels", [1, 16, 19, 50])
@pytest.mark.parametrize("samples", [1, 5, 8, 64, 203])
def test_products_are_those_of_matrices(channels: int, samples: int) -> None:
    random = np.random.default_rng(channels)
    matrix = random.standard_normal((channels, channels)).astype(np.float32)
    matrix[np.abs(np.subtract.outer(np.arange(channels), np.arange(channels))) > 4] = 0.0
    matrix[:, channels // 2] = 0.0  # a dead channel
    columns = random.permutation(channels + 3)[:channels]  # of a recording with more of them, in another order
    product = LocalProduct(matrix, columns)
    x = random.standard_normal((samples, channels + 3)).astype(np.float32)
    out, wanted = np.full((2, channels, samples), np.nan, np.float32)
    product.into(x, out)
    np.testing.assert_allclose(out, (x[:, columns] @ matrix).T, atol=1e-5)
    near_product_reference(x, product._first, product._inputs, product._weights, wanted)
    np.testing.assert_allclose(out, wanted, atol=1e-5)
    LocalProduct(matrix).into(np.ascontiguousarray(x[:, columns]), wanted)
    np.testing.assert_array_equal(out, wanted)
    assert len(product._inputs) == np.count_nonzero(matrix)  # far sites are left out
