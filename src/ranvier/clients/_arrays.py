"""What engines send, as the arrays of the API; and what a selection of channels names."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError, SignalSelectionError
from ranvier.models.channels import ChannelMetadata
from ranvier.models.flex import FlexSignalSpec, coerce_signal_spec
from ranvier.models.quality import ChannelQualityTable, ChannelVerdict
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
Bytes = npt.NDArray[np.uint8]

#: Fewer samples than these are widened by NumPy: no kernel to load, no thread to start.
_FEW = 1 << 20
_THREADS = min(4, os.cpu_count() or 1)


def widened(block: SignalBlock, out: Out | None = None, memory: Bytes | None = None) -> dict[str, Any]:
    """Return float64 ``(channels, samples)``, C order, by field name; in the caller's memory where given.

    ``memory`` is that of samples that were lent.

    Raises
    ------
    ConfigurationError
        Memory of another shape or dtype, or for a type that was not asked for.
    """
    out = {} if out is None else out
    wanted = block.samples if block.lent is None else block.lent.columns
    fields = {kind: FIELDS[kind] for kind in wanted}
    surplus = sorted(set(out) - set(fields.values()))
    if surplus:
        raise ConfigurationError(f"out names {', '.join(surplus)}; what was asked for is {', '.join(fields.values())}")
    return {field: _widened(_lies(block, kind, memory), block, kind, out.get(field)) for kind, field in fields.items()}


@dataclass(frozen=True)
class _Lies:
    """Where samples lie: pieces of rows that follow each other, and the columns of them that count."""

    pieces: tuple[npt.NDArray[Any], ...]
    columns: npt.NDArray[np.int64]
    has_holes: bool

    @property
    def rows(self) -> int:
        return sum(map(len, self.pieces))


def _lies(block: SignalBlock, kind: SignalType, memory: Bytes | None) -> _Lies:
    lent = block.lent
    if lent is None or memory is None:
        samples = block.samples[kind]
        return _Lies((samples,), np.arange(samples.shape[1], dtype=np.int64), has_holes=kind in block.gain)
    dtype = np.dtype(lent.dtype)
    ring = memory[: lent.rows * lent.width * dtype.itemsize].view(dtype).reshape(lent.rows, lent.width)
    start, stop = block.time_range.timestamp
    row = start % lent.rows
    fit = min(stop - start, lent.rows - row)
    pieces = (ring[row : row + fit], ring[: stop - start - fit])
    return _Lies(tuple(piece for piece in pieces if len(piece)), lent.columns[kind], has_holes=True)


def _widened(
    lies: _Lies, block: SignalBlock, kind: SignalType, out: npt.NDArray[np.float64] | None
) -> npt.NDArray[np.float64]:
    shape = (len(lies.columns), lies.rows)
    if out is None:
        out = np.empty(shape, dtype=np.float64)
    elif out.shape != shape or out.dtype != np.float64:
        raise ConfigurationError(f"out must be float64 of shape {shape}, not {out.dtype} {out.shape}")
    at = 0
    for piece in lies.pieces:
        few = piece.shape[0] * shape[0] < _FEW or not (out.flags.c_contiguous and piece.flags.c_contiguous)
        for work, first, last in _works(piece, lies.columns, block, kind, out, at, few):
            _by_channels(work, first, last, few)
        at += len(piece)
    if lies.has_holes:
        _mark_gaps(block, kind, out)
    return out


def _works(
    piece: npt.NDArray[Any],
    columns: npt.NDArray[np.int64],
    block: SignalBlock,
    kind: SignalType,
    out: npt.NDArray[np.float64],
    at: int,
    few: bool,
) -> Iterator[tuple[Callable[[int, int], None], int, int]]:
    """Yield what writes some channels, and for which channels ``[first, last)`` it is."""
    from ranvier.clients import _widen_kernels as kernels

    n = len(columns)
    gain = block.gain.get(kind)
    if gain is None:
        plain: Callable[..., None] = kernels.widen_reference if few else kernels.widen
        yield partial(plain, piece, columns, out, at), 0, n
        return
    offset = block.offset[kind]
    quads = 0 if few else _in_quads(piece, columns)
    if quads:
        yield partial(kernels.widen_quads, piece.view(np.int64), int(columns[0]) // 4, gain, offset, out, at), 0, quads
    counts: Callable[..., None] = kernels.widen_counts_reference if few else kernels.widen_counts
    if quads < n:
        yield partial(counts, piece, columns, gain, offset, out, at), quads, n


def _in_quads(piece: npt.NDArray[Any], columns: npt.NDArray[np.int64]) -> int:
    """Return how many of the first channels lie four by four in one int64 each."""
    fits = piece.shape[1] % 4 == 0 and piece.ctypes.data % 8 == 0 and sys.byteorder == "little"
    follow = len(columns) > 0 and columns[0] % 4 == 0 and bool((np.diff(columns) == 1).all())
    return len(columns) // 4 * 4 if fits and follow else 0


def _by_channels(work: Callable[[int, int], None], first: int, last: int, few: bool) -> None:
    """Run a kernel over channels: at once, or in threads of some channels each, whole quads."""
    if few:
        work(first, last)
        return
    step = -(-(last - first) // (4 * _THREADS)) * 4
    with ThreadPoolExecutor(_THREADS) as pool:
        parts = [pool.submit(work, at, min(at + step, last)) for at in range(first, last, step)]
        for part in parts:
            part.result()


def _mark_gaps(block: SignalBlock, kind: SignalType, out: npt.NDArray[np.float64]) -> None:
    """Counts, and a ring, cannot say that a sample is missing; the API's arrays say NaN, and 0 for digital signals."""
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


def verdicts_of(keep: Sequence[ChannelVerdict | str]) -> set[ChannelVerdict]:
    """Return the verdicts that are asked for, before anything is measured.

    ConfigurationError for a word that is none, SignalSelectionError where none is asked for.
    """
    try:
        wanted = {ChannelVerdict(verdict) for verdict in keep}
    except ValueError:
        names = ", ".join(v.value for v in ChannelVerdict)
        raise ConfigurationError(f"keep={list(keep)!r}: verdicts are {names}") from None
    if not wanted:
        raise SignalSelectionError("no channel has such a verdict, as keep names none; the selection was left as it is")
    return wanted


def kept_channels(table: ChannelQualityTable, wanted: set[ChannelVerdict]) -> list[int]:
    """Return the native indices of channels with one of some verdicts; SignalSelectionError where there is none."""
    kept = [c.ntv_idx for c in table.channels if c.verdict in wanted]
    if not kept:
        raise SignalSelectionError("no channel has such a verdict; the selection was left as it is")
    return kept
