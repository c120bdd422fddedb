"""Every kernel has a NumPy reference and explicit signatures; each package's tests compare the two on data."""

from __future__ import annotations

from ranvier.kernels import all_kernels
from ranvier.kernels.registry import KERNEL_MODULES


def test_every_kernel_declares_signatures_and_a_reference() -> None:
    kernels = list(all_kernels())
    assert len(kernels) >= len(KERNEL_MODULES) > 0
    without = [k.name for k in kernels if k.reference is None or not k.signatures]
    assert without == []
    undocumented = [k.name for k in kernels if not k.__doc__]
    assert undocumented == []
