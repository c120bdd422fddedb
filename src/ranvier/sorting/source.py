"""The signal as the sorter sees it: filtered, referenced, whitened, in blocks of a fixed grid.

Every block is read with margins, through a chain that settled before, and does not depend on what was read before:
the same for any number of workers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.dsp.chain import Chain
from ranvier.dsp.operations import BandPass, CommonAverageReference, Operation
from ranvier.dsp.view import FilteredRecording
from ranvier.exceptions import ConfigurationError, DatasetError
from ranvier.models.dsp import DSPParams, DSPType
from ranvier.models.ports import Port
from ranvier.models.signals import SignalType
from ranvier.recordings.buffers import aligned_empty
from ranvier.recordings.recording import Recording
from ranvier.sorting.common_artifacts import CommonArtifacts
from ranvier.sorting.count_kernels import to_counts
from ranvier.sorting.crew import Crew
from ranvier.sorting.geometry import Geometry, geometry_of
from ranvier.sorting.kept import KeptBlocks
from ranvier.sorting.local_product import LocalProduct
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.whitening import EVERY, Whitening, measure_noise

F32 = npt.NDArray[np.float32]
I16 = npt.NDArray[np.int16]
I64 = npt.NDArray[np.int64]

_PASSES_SPIKES = (DSPType.HIGHPASS, DSPType.BANDPASS)
_REFERENCES = (DSPType.CAR, DSPType.VIRTUAL_REFERENCE, DSPType.PAIRED_REFERENCE)

#: A common reference needs this many channels: of fewer it would spread spikes instead of taking noise.
REFERENCE_CHANNELS = 16
#: Blocks that the noise is measured on, at most, spread evenly.
_NOISE_BLOCKS = 20
#: Rows that are filtered and whitened at a time.
_STRIP_ROWS = 1024
#: What comes so long before and behind an artifact is left out, too: the filters ring, and a reference spreads it.
_BEFORE_SEC, _BEHIND_SEC = 0.001, 0.004


class SortSource:
    """A recording's amplifier channels, ready for sorting.

    Parameters
    ----------
    recording
        Anything with a rate; its own filters (stage 2) are in front already where it is a view.
    parameters
        Filters, reference, block length.
    columns
        Amplifier columns to sort, of the recording; all where None.
    start, stop
        Sample counters; the whole recording where None.
    margin
        Samples that blocks overlap at either side.

    Attributes
    ----------
    columns
        Columns of the recording in the order in which the sorter has them: along the shanks.
    as_asked
        What brings channels into the order in which they were asked for: ``signal[:, as_asked]``.
    """

    def __init__(
        self,
        recording: Recording,
        parameters: SorterParameters,
        *,
        columns: I64 | None = None,
        start: int | None = None,
        stop: int | None = None,
        margin: int,
    ) -> None:
        amplifiers = recording.channels.columns_of(SignalType.AMP)
        self.columns = amplifiers if columns is None else np.asarray(columns, np.int64)
        if len(self.columns) == 0:
            raise DatasetError(f"{recording.path.name} has no amplifier channels to sort")
        if len(np.unique(self.columns)) != len(self.columns):
            raise ConfigurationError("a channel is named twice in the channels to sort")
        if not np.isin(self.columns, amplifiers).all():
            raise ConfigurationError("only amplifier channels can be sorted")
        self.fs: Fraction = recording.fs
        order = geometry_of(recording.channels, self.columns).along()
        self.columns = self.columns[order]
        self.as_asked = np.argsort(order)
        self._columns = len(recording.channels)
        self.geometry: Geometry = geometry_of(recording.channels, self.columns)
        self.start = recording.start if start is None else max(start, recording.start)
        self.stop = recording.stop if stop is None else min(stop, recording.stop)
        self.rows = max(1, round(parameters.block_sec * float(self.fs)))
        self.margin = margin
        operations = filters(parameters, float(self.fs), len(self.columns))
        self.operations = operations
        chain = Chain.bind(operations, recording.fs, recording.channels) if operations else None
        self._recording = recording if chain is None else FilteredRecording(recording, chain)
        self.whitening: Whitening | None = None
        self._kept: KeptBlocks | None = None
        self._artifact_uv = parameters.artifact_uv
        self._is_referenced = not parameters.reference  # as far as is known here
        self._before = round(_BEFORE_SEC * float(self.fs))
        # what lies further in front of a block than its margin is not seen
        self._behind = min(margin, round(_BEHIND_SEC * float(self.fs)))
        self._blanked: dict[int, int] = {}

    @property
    def channels(self) -> int:
        """Number of sites."""
        return len(self.columns)

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return -(-(self.stop - self.start) // self.rows)

    @cached_property
    def seen(self) -> list[int]:
        """Blocks that hold samples; all where none does."""
        return np.flatnonzero(self._stored > 0).tolist() or list(range(self.blocks))

    @cached_property
    def _edges(self) -> I64:
        """Where blocks begin, and the last one ends."""
        return np.minimum(self.start + np.arange(self.blocks + 1, dtype=np.int64) * self.rows, self.stop)

    @cached_property
    def _stored(self) -> I64:
        """Samples of each block that do not miss."""
        return np.diff(self._recording.segments.rows_before(self._edges))

    @property
    def block_bytes(self) -> int:
        """Size of a block in counts, without margins."""
        return self.rows * self.channels * np.dtype(np.int16).itemsize

    @property
    def duration_sec(self) -> float:
        """Length of the range."""
        return float((self.stop - self.start) / self.fs)

    @property
    def blanked(self) -> int:
        """Samples around artifacts that :meth:`counts` left out, in the blocks it made so far."""
        return sum(self._blanked.values())

    def bounds(self, block: int) -> tuple[int, int]:
        """Return the counters that a block is responsible for."""
        first = self.start + block * self.rows
        return first, min(first + self.rows, self.stop)

    def some(self, block: int) -> F32:
        """Return every ``EVERY``-th sample of a block in uV, ``(n, channels)``; 0 where samples miss."""
        first, last = self.bounds(block)
        parts = []
        for row, strip in self._strips(first - self.margin, last):
            begin = max(self.margin - row, (self.margin - row) % EVERY)
            parts.append(strip[begin::EVERY].take(self.columns, axis=1, mode="clip"))
        return np.concatenate(parts)

    def _strips(self, low: int, high: int) -> Iterator[tuple[int, F32]]:
        """Yield all rows between two counters in uV, a few at a time, so that they stay in the cache.

        Columns are those of the recording; 0 outside and where samples miss.
        """
        at = low
        for piece in self._recording.blocks(_STRIP_ROWS, max(low, self.start), min(high, self.stop)):
            if piece.start > at:
                yield at - low, np.zeros((piece.start - at, self._columns), np.float32)
            strip = piece.samples
            if not np.isfinite(strip.sum()):
                strip = np.nan_to_num(strip, nan=0.0, posinf=0.0, neginf=0.0)
            yield piece.start - low, strip
            at = piece.stop
        if at < high:
            yield at - low, np.zeros((high - at, self._columns), np.float32)

    def learn_noise(self, crew: Crew) -> Whitening:
        """Measure the noise on blocks spread over the range; must come before :meth:`counts`."""
        whole = np.flatnonzero(self._stored == np.diff(self._edges)).tolist() or self.seen
        chosen = [whole[k] for k in spread(len(whole), _NOISE_BLOCKS)]  # the zeros of a gap are no noise
        self.whitening = measure_noise(crew.map(self.some, chosen), self.geometry, crew.map)
        return self.whitening

    @property
    def noise(self) -> Whitening:
        """What :meth:`learn_noise` measured."""
        if self.whitening is None:
            raise ConfigurationError("the noise must be measured first")
        return self.whitening

    @cached_property
    def _product(self) -> LocalProduct:
        """What turns columns of the recording into units of the noise."""
        return LocalProduct(self.noise.matrix, self.columns)

    @cached_property
    def _common(self) -> CommonArtifacts:
        """What finds artifacts on most sites at once."""
        referenced = self._is_referenced or any(isinstance(one, CommonAverageReference) for one in self.operations)
        return CommonArtifacts(self.geometry, self.noise.noise_uv, self.columns, referenced=referenced)

    def counts(self, block: int) -> I16:
        """Return a block with margins, whitened, in counts of ``STEP_SD``: ``(channels, rows + 2 margins)``.

        0 where samples miss, and around artifacts: one sample of a broken cable would be the largest spike of all, and
        what is learned from it takes those of units nearby.
        """
        first, last = self.bounds(block)
        counts = aligned_empty((self.channels, last - first + 2 * self.margin), np.int16)
        if self._kept is not None and self._kept.read(block, counts):
            return counts
        artifacts: list[I64] = []
        for row, strip in self._strips(first - self.margin, last + self.margin):
            if strip.max() >= self._artifact_uv or strip.min() <= -self._artifact_uv:
                large = np.abs(strip.take(self.columns, axis=1, mode="clip")) >= self._artifact_uv
                artifacts.append(row + np.flatnonzero(large.any(axis=1)))
            if len(shared := self._common.rows(strip)):
                artifacts.append(row + shared)
            for part in range(0, len(strip), _STRIP_ROWS):  # more where samples miss
                piece = strip[part : part + _STRIP_ROWS]
                white = aligned_empty((self.channels, len(piece)))
                self._product.into(piece, white)
                to_counts(white, counts, row + part)
        if artifacts:
            self._blanked[block] = self._blank(counts, np.concatenate(artifacts))
        if self._kept is not None:
            self._kept.keep(block, counts)
        return counts

    def _blank(self, counts: I16, artifacts: I64) -> int:
        """Make counts 0 around rows with artifacts; return how many rows of the block itself (no margins) that were."""
        gone = np.zeros(counts.shape[1], np.bool_)
        for row in artifacts.tolist():
            gone[max(0, row - self._before) : row + self._behind + 1] = True
        counts[:, gone] = 0
        return int(np.count_nonzero(gone[self.margin : len(gone) - self.margin]))

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Keep whitened blocks in a temporary file for a while."""
        self._kept = KeptBlocks()
        try:
            yield
        finally:
            self._kept.close()
            self._kept = None


def filters(parameters: SorterParameters, fs_hz: float, channels: int) -> list[Operation]:
    """Return what stands in front of the sorter."""
    operations: list[Operation] = []
    if parameters.band_hz is not None:
        low, high = parameters.band_hz
        operations.append(BandPass(low, min(high, 0.45 * fs_hz), order=parameters.filter_order))
    if parameters.reference and channels >= REFERENCE_CHANNELS:
        operations.append(CommonAverageReference())
    return operations


def done_in_front(front: Sequence[DSPParams], ports: Collection[Port | None]) -> dict[str, Any]:
    """Return parameters that leave out what filters in front of the sorter do already, on all of its channels.

    A high pass or a band pass takes the place of the sorter's band pass, a reference that of its common average; other
    filters (a notch, a low pass), those of analog inputs and those of some ports only take the place of neither.

    Parameters
    ----------
    front
        The filters in front: stage 2, and of a live stream the sorter's own stage.
    ports
        Of the channels that are sorted.
    """
    given: dict[str, Any] = {}
    if _cover([p for p in front if p.type in _PASSES_SPIKES], ports):
        given["band_hz"] = None
    if _cover([p for p in front if p.type in _REFERENCES], ports):
        given["reference"] = False
    return given


def _cover(kind: Sequence[DSPParams], ports: Collection[Port | None]) -> bool:
    """Whether every one of the ports has a filter of amplifier channels."""
    on = {p.port for p in kind if not p.is_aux}
    return None in on or (bool(on) and set(ports) <= on)


def spread(count: int, most: int) -> I64:
    """Return at most ``most`` of ``count`` indices, spread evenly, in order."""
    if count <= most:
        return np.arange(count, dtype=np.int64)
    return np.unique(np.round(np.linspace(0, count - 1, most)).astype(np.int64))
