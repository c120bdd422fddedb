"""What engines send, as the arrays of the API; and what a selection of channels names."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError
from ranvier.models.channels import ChannelMetadata
from ranvier.models.flex import FlexSignalSpec, coerce_signal_spec
from ranvier.models.signals import SignalType
from ranvier.services.signals import SignalBlock

#: Fields of SignalArrays and SigSelect by signal type.
FIELDS = {
    SignalType.AMP: "amp",
    SignalType.AIN: "gpio_ain",
    SignalType.DIN: "gpio_din",
    SignalType.DOUT: "gpio_dout",
}

Out = Mapping[str, npt.NDArray[np.float64]]

#: Fewer samples than these are widened by NumPy: no kernel to load, no thread to start.
_FEW = 1 << 20
_THREADS = min(4, os.cpu_count() or 1)


def widened(block: SignalBlock, out: Out | None = None) -> dict[str, Any]:
    """Return float64 ``(channels, samples)``, C order, by field name; in the caller's memory where given.

    Raises
    ------
    ConfigurationError
        Memory of another shape or dtype, or for a type that was not asked for.
    """
    out = {} if out is None else out
    fields = {kind: FIELDS[kind] for kind in block.samples}
    surplus = sorted(set(out) - set(fields.values()))
    if surplus:
        raise ConfigurationError(f"out names {', '.join(surplus)}; what was asked for is {', '.join(fields.values())}")
    return {field: _widened(block, kind, out.get(field)) for kind, field in fields.items()}


def _widened(block: SignalBlock, kind: SignalType, out: npt.NDArray[np.float64] | None) -> npt.NDArray[np.float64]:
    samples = block.samples[kind]
    shape = samples.shape[::-1]
    if out is None:
        out = np.empty(shape, dtype=np.float64)
    elif out.shape != shape or out.dtype != np.float64:
        raise ConfigurationError(f"out must be float64 of shape {shape}, not {out.dtype} {out.shape}")
    gain = block.gain.get(kind)
    few = samples.size < _FEW or not (out.flags.c_contiguous and samples.flags.c_contiguous)
    if gain is None:
        _by_channels(_widen(few), shape[0], few, samples, out)
    else:
        _by_channels(_widen_counts(few), shape[0], few, samples, gain, block.offset[kind], out)
        _mark_gaps(block, kind, out)
    return out


def _by_channels(work: Callable[..., None], channels: int, few: bool, *arrays: npt.NDArray[Any]) -> None:
    """Run a kernel over all channels: at once, or in threads of some channels each."""
    if few:
        work(*arrays, 0, channels)
        return
    edges = [channels * i // _THREADS for i in range(_THREADS + 1)]
    with ThreadPoolExecutor(_THREADS) as pool:
        done = [pool.submit(work, *arrays, edges[i], edges[i + 1]) for i in range(_THREADS)]
        for part in done:
            part.result()


def _widen(few: bool) -> Callable[..., None]:
    from ranvier.clients import _widen_kernels

    return _widen_kernels.widen_reference if few else _widen_kernels.widen


def _widen_counts(few: bool) -> Callable[..., None]:
    from ranvier.clients import _widen_kernels

    return _widen_kernels.widen_counts_reference if few else _widen_kernels.widen_counts


def _mark_gaps(block: SignalBlock, kind: SignalType, out: npt.NDArray[np.float64]) -> None:
    """Counts cannot say that a sample is missing; the API's arrays say NaN, and 0 for digital signals."""
    missing = np.nan if kind in (SignalType.AMP, SignalType.AIN) else 0.0
    first, last = block.time_range.timestamp
    for start, stop in block.gaps:
        if stop > first and start < last:
            out[:, max(start, first) - first : stop - first] = missing


def by_type(signals: FlexSignalSpec, channels: ChannelMetadata) -> dict[SignalType, list[int]]:
    """Return native indices of the types that a selection names (a named type may be empty)."""
    spec = coerce_signal_spec(signals)
    select = spec.to_sig_select(channels)
    return {kind: [int(i) for i in select.of(kind)] for kind in spec.by_type}
