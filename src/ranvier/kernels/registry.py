"""One typed decorator that registers, compiles and caches every Numba kernel of the project."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, ParamSpec, TypeVar

from ranvier._platform import kernel_cache
from ranvier._version import __version__

P = ParamSpec("P")
R = TypeVar("R")

#: Modules that declare kernels. A new kernel module adds its name here; ``warm`` and the tests walk this list.
KERNEL_MODULES: tuple[str, ...] = (
    "ranvier.recordings.kernels",
    "ranvier.recordings.formats.rhd_kernels",
    "ranvier.recordings.formats.word_kernels",
    "ranvier.simulation.kernels",
    "ranvier.simulation.live_kernels",
    "ranvier.metrics.kernels",
    "ranvier.metrics.packet_kernels",
    "ranvier.metrics.fold_kernels",
    "ranvier.metrics.check_kernels",
    "ranvier.dsp.kernels",
    "ranvier.dsp.reference_kernels",
    "ranvier.dsp.median_kernels",
    "ranvier.dsp.count_kernels",
    "ranvier.dsp.fir_kernels",
    "ranvier.detect.kernels",
    "ranvier.spikes.kernels",
    "ranvier.spectral.fft_kernels",
    "ranvier.sorting.count_kernels",
    "ranvier.sorting.cut_kernels",
    "ranvier.sorting.event_kernels",
    "ranvier.sorting.gated_kernels",
    "ranvier.sorting.isocut_kernels",
    "ranvier.sorting.joint_kernels",
    "ranvier.sorting.match_kernels",
    "ranvier.sorting.pair_kernels",
    "ranvier.sorting.peak_kernels",
    "ranvier.sorting.product_kernels",
    "ranvier.sorting.residual_kernels",
    "ranvier.sorting.running_kernels",
    "ranvier.sorting.shape_kernels",
    "ranvier.sorting.split_kernels",
    "ranvier.sorting.stream_kernels",
    "ranvier.clients._widen_kernels",
)

_REGISTRY: dict[str, Kernel[Any, Any]] = {}
_COMPILE_LOCK = threading.RLock()  # Numba compiles one function at a time
_LISTENERS: list[Callable[[str, int, int], None]] = []


class Kernel(Generic[P, R]):
    """A function that Numba compiles on first use, for the signatures it declares and no others.

    Attributes
    ----------
    name
        ``module.function``, unique.
    signatures
        Numba signature strings, e.g. ``"void(float32[:,::1], float64[::1])"``.
    reference
        A NumPy function with the same arguments and results, which the tests compare with. It defines the kernel.
    """

    def __init__(
        self,
        function: Callable[P, R],
        signatures: Sequence[str],
        reference: Callable[..., Any] | None,
        error_model: str,
    ) -> None:
        self.function = function
        self.name = f"{function.__module__}.{function.__qualname__}"
        self.signatures = tuple(signatures)
        self.reference = reference
        self.error_model = error_model
        self.__doc__ = function.__doc__
        self.was_cached = False
        self._compiled: Callable[P, R] | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the machine code; load or compile it first where this is the first call."""
        compiled = self._compiled
        if compiled is None:
            compiled = self.compile()
        return compiled(*args, **kwargs)

    def compile(self) -> Callable[P, R]:
        """Load every signature from the cache, or compile it; return the compiled function."""
        with _COMPILE_LOCK:
            if self._compiled is None:
                self._compiled = _compile(self)
            return self._compiled

    def __repr__(self) -> str:
        state = "compiled" if self._compiled is not None else "not compiled yet"
        return f"Kernel({self.name}, {len(self.signatures)} signatures, {state})"


def kernel(
    signatures: str | Sequence[str], *, reference: Callable[..., Any] | None = None, error_model: str = "numpy"
) -> Callable[[Callable[P, R]], Kernel[P, R]]:
    """Register a function as a kernel: ``nopython``, ``nogil``, no fast-math (NaN and summation order are kept)."""
    wanted = [signatures] if isinstance(signatures, str) else list(signatures)

    def register(function: Callable[P, R]) -> Kernel[P, R]:
        made = Kernel(function, wanted, reference, error_model)
        _REGISTRY[made.name] = made
        return made

    return register


def all_kernels() -> Iterator[Kernel[Any, Any]]:
    """Import every kernel module and yield its kernels, in a fixed order."""
    for module in KERNEL_MODULES:
        importlib.import_module(module)
    yield from (_REGISTRY[name] for name in sorted(_REGISTRY))


def on_compile(listener: Callable[[str, int, int], None]) -> None:
    """Ask to be told before a kernel that is not cached is compiled: ``listener(name, index, total)``, 1-based."""
    if listener not in _LISTENERS:
        _LISTENERS.append(listener)


def warm() -> int:
    """Compile every kernel into the cache; return how many were compiled (rather than found there)."""
    kernels = [item for item in all_kernels() if item._compiled is None]
    for item in kernels:
        item.compile()
    return sum(not item.was_cached for item in kernels)


def _compile(item: Kernel[P, R]) -> Callable[P, R]:
    import numba

    from ranvier.kernels.cache import attach

    dispatcher = numba.njit(nogil=True, error_model=item.error_model, fastmath=False)(item.function)
    attach(dispatcher, kernel_cache() / __version__)
    item.was_cached = _is_cached(dispatcher, item)
    if not item.was_cached:
        kernels = list(all_kernels())
        index = 1 + sum(other._compiled is not None for other in kernels)
        total = len(kernels)
        for listener in _LISTENERS:
            listener(item.name, index, total)
    for signature in item.signatures:
        dispatcher.compile(signature)
    dispatcher.disable_compile()
    return dispatcher  # type: ignore[no-any-return]


def _is_cached(dispatcher: Any, item: Kernel[P, R]) -> bool:
    """Return whether the cache's index names every signature of the kernel."""
    cache_file = getattr(dispatcher._cache, "_cache_file", None)
    if cache_file is None:
        return False
    known = cache_file._load_index()
    codegen = dispatcher.targetctx.codegen()
    return all(dispatcher._cache._index_key(signature, codegen) in known for signature in item.signatures)
