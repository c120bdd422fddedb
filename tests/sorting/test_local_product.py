"""Products with matrices between near sites: the kernel by its definition."""

from __future__ import annotations

import numpy as np
import pytest

from ranvier.sorting.local_product import LocalProduct
from ranvier.sorting.product_kernels import near_product_reference


@pytest.mark.parametrize("channels", [1, 16, 19, 50])
@pytest.mark.parametrize("samples", [1, 5, 8, 203])
def test_products_are_those_of_matrices(channels: int, samples: int) -> None:
    random = np.random.default_rng(channels)
    matrix = random.standard_normal((channels, channels)).astype(np.float32)
    matrix[np.abs(np.subtract.outer(np.arange(channels), np.arange(channels))) > 4] = 0.0
    matrix[:, channels // 2] = 0.0  # a dead channel
    product = LocalProduct(matrix)
    x = random.standard_normal((samples, channels)).astype(np.float32)
    out, wanted = np.full((2, samples, channels), np.nan, np.float32)
    product.into(x, out)
    np.testing.assert_allclose(out, x @ matrix, atol=1e-5)
    near_product_reference(x, product._matrix, product._low, product._high, wanted)
    np.testing.assert_allclose(out, wanted, atol=1e-5)
    assert channels < 30 or (product._high - product._low).max() < 30  # far sites are left out
