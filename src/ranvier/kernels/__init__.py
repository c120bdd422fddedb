"""The registry of Numba kernels: explicit signatures, a NumPy reference each, one cache of their own.

A kernel module is imported when it is used. Declaring a kernel compiles nothing; the first call loads the machine
code from Ranvier's own cache folder, or compiles it and says so. ``ranvier warm`` compiles everything beforehand.
"""

from ranvier.kernels.registry import Kernel, all_kernels, kernel, on_compile, warm

__all__ = ["Kernel", "all_kernels", "kernel", "on_compile", "warm"]
