"""Samples and events of a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.events import EventTable
from ranvier.models.signals import SignalType, SigSelect
from ranvier.models.time_range import TimeRange


@dataclass(frozen=True, slots=True)
class Lent:
    """Where the samples of a read lie in memory that processes of the same computer map: the ring of a live cache.

    Counter ``k`` is row ``k % rows``. The ring goes on being written: whoever has copied from it asks ``kept`` of the
    service whether that was overwritten meanwhile.

    Attributes
    ----------
    token
        Of the memory; the ring begins at its beginning.
    epoch
        Number of the stream that is in it.
    rows, width
        Shape of the ring.
    dtype
        ``int16`` (physical = gain * count + offset) or ``float32`` (physical).
    columns
        By signal type, the columns of the ring that were asked for.
    """

    token: str
    epoch: int
    rows: int
    width: int
    dtype: str
    columns: Mapping[SignalType, npt.NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class SignalBlock:
    """One read, as it crosses a service.

    Attributes
    ----------
    samples
        By signal type float32 ``(n, channels)``, C order, time-major: uV (AMP), V (AIN), 0/1 (DIN, DOUT). Columns are
        in the order asked. Missing samples are NaN, 0 for digital. Types that were not asked for are absent.
    time_range
        The range served; ``time_range.n`` rows. Row ``i`` has the counter ``time_range.timestamp[0] + i``.
    gaps
        Counter ranges ``[start, stop)`` inside the served range that the files do not hold. Of blocks that follow each
        other (``read_new``, ``subscribe``) also what lies between two of them and was lost or skipped.
    gain, offset
        By signal type, float64 ``(channels,)``: of the types whose samples are int16 counts (asked for with
        ``counts=True``); physical = gain * count + offset, and missing samples are count 0. Empty otherwise.
    lent
        Where the samples lie, where they were asked to be lent and are many; ``samples`` is empty then, and rows of
        missing samples hold anything.
    """

    samples: Mapping[SignalType, npt.NDArray[Any]]
    time_range: TimeRange
    gaps: tuple[tuple[int, int], ...] = field(default=())
    gain: Mapping[SignalType, npt.NDArray[np.float64]] = field(default_factory=dict)
    offset: Mapping[SignalType, npt.NDArray[np.float64]] = field(default_factory=dict)
    lent: Lent | None = None


class HubSignals(Protocol):
    """Reads of linked datasets."""

    def read(
        self,
        dataset_id: str,
        time_range: TimeRangeSpec,
        select: SigSelect,
        *,
        apply_dsp: bool = False,
        out: Mapping[SignalType, npt.NDArray[Any]] | None = None,
    ) -> SignalBlock:
        """Read a time range of some channels.

        Parameters
        ----------
        time_range
            In stream seconds; a second becomes the counter ``int(sec * fs)``. Lookback ranges count back from the end.
        select
            Indices per signal type in the index space that ``select.key_idx`` names; an empty array means that the
            type is not wanted, and a whole empty selection raises SignalSelectionError.
        apply_dsp
            Whether the dataset's stage-2 filters are applied (see :class:`ranvier.services.HubDsp`). Filters start
            early enough before the range that the result does not depend on where it begins.
        out
            Memory per signal type to fill and return: C-contiguous float32, exactly the channels asked, at least as
            many rows as are served.

        Raises
        ------
        TimeRangeError
            The range lies wholly outside the recording, or is reversed.
        SignalSelectionError
            A channel that the dataset does not have.
        ValueError
            ``out`` does not fit.
        """
        ...

    def events(
        self,
        dataset_id: str,
        time_range: TimeRangeSpec | None = None,
        *,
        sources: Sequence[str] | None = None,
        lines: Sequence[int] | None = None,
    ) -> EventTable:
        """Return the events of a time range (None = the whole recording), in time order.

        ``sources`` (as :attr:`EventTable.source` names them) and ``lines`` (0-based) keep only those; None keeps all.
        A range without events gives an empty table; one outside the recording raises TimeRangeError.
        """
        ...
