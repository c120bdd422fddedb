"""Writing spikes: segments while they come, columns with indexes at the end."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ranvier import _platform
from ranvier.exceptions import ConfigurationError, OutputError, OutputExistsError, RecordingError
from ranvier.recordings.files import StagedFiles, writing
from ranvier.spikes import container
from ranvier.spikes.columns import SNIPPETS, Columns, checked
from ranvier.spikes.file import LOG, META, SPIKES, TEMPLATES, UNITS, SpikesFile, Templates
from ranvier.spikes.finishing import consolidate
from ranvier.spikes.info import StoreInfo, UnitRecord, unit_to_json
from ranvier.spikes.lock import WriterLock

SUFFIX = ".spikes"
#: Spikes that are kept back at most before they become a segment.
MOST_WAITING = 1 << 16


class SpikeWriter:
    """Writes one ``.spikes`` file.

    ::

        with SpikeWriter(path, StoreInfo(fs=Fraction(30000), recording=...), live=True) as writer:
            writer.append(sample_index=..., unit=..., site=..., amplitude_uv=...)     # as often as wanted
            writer.set_units([UnitRecord(1, site=12, snr=9.1), ...])                  # the last call counts
            writer.set_templates(units, sites, templates_uv, before=30)
            writer.log(event="merged", units=[3, 5], why="...")

    Leaving the block finishes the file; an exception aborts it, unless it is live: then what is there stays, readable.

    Parameters
    ----------
    path
        Where the finished file will stand (``.spikes`` is added where it is missing).
    live
        True: the file stands under its name from the start, is readable at every moment, and is brought to the disk
        about every ``flush_sec``. False: nothing stands under the name before it is finished.
    force
        Replace a file that exists; otherwise OutputExistsError.

    Raises
    ------
    OutputExistsError, OutputError
        It exists already; it cannot be written; somebody else is writing it.
    """

    def __init__(
        self, path: Path | str, info: StoreInfo, *, live: bool = False, force: bool = False, flush_sec: float = 1.0
    ) -> None:
        target = Path(path).expanduser().absolute()
        self.path = target if target.name.endswith(SUFFIX) else target.with_name(target.name + SUFFIX)
        self.info = info
        self.n_spikes = 0
        self._live, self._flush_sec = live, flush_sec
        self._waiting: list[Columns] = []
        self._waiting_n = 0
        self._snippet_shape: tuple[int, ...] | None = None
        self._notes: list[str] = []
        self._flushed = time.monotonic()
        self._closed = False
        self._staged = StagedFiles()
        self._lock = WriterLock(self.path)
        self._held = ExitStack()
        self._held.callback(self._lock.release)
        self._held.callback(self._staged.abort)
        try:
            if self.path.exists() and not force:
                raise OutputExistsError(f"{self.path} exists already; force=True replaces it")
            self._segments, self._handle = self._open()
            self._held.callback(_close, self._handle)
            self._cleanup = weakref.finalize(self, _let_go, self._lock, self._handle)
            self._put(container.file_head() + container.encode(META, {"info": info.to_json()}))
        except BaseException:
            self._held.close()
            raise
        self._cleanup.atexit = False  # a rig that records finishes its files at exit, later than finalizers run

    @property
    def token(self) -> str:
        """What the temporary files of this output have in common (see ``StagedFiles``)."""
        return self._staged.token

    def append(self, **columns: npt.ArrayLike) -> None:
        """Add spikes: ``sample_index`` and any of the other columns, in any order.

        ConfigurationError for columns that are not known or do not fit. Spikes may lie before earlier ones, but only
        spikes in time order are finished without holding all of them in memory.
        """
        self._require_open()
        ready = checked(columns)
        if not len(ready["sample_index"]):
            return
        shape = ready[SNIPPETS].shape[1:] if SNIPPETS in ready else ()
        if self._snippet_shape is not None and shape != self._snippet_shape:
            raise ConfigurationError(f"snippets were {self._snippet_shape or 'not given'} before, now {shape or 'not'}")
        self._snippet_shape = shape
        self._waiting.append(ready)
        self._waiting_n += len(ready["sample_index"])
        self.n_spikes += len(ready["sample_index"])
        if self._waiting_n >= MOST_WAITING or time.monotonic() - self._flushed >= self._flush_sec:
            self.flush()

    def set_units(self, units: Sequence[UnitRecord]) -> None:
        """Say what is known of the units; replaces what was said before."""
        self._require_open()
        ids = [u.unit for u in units]
        if len(set(ids)) != len(ids) or min(ids, default=1) < 1:
            raise ConfigurationError(f"units are distinct numbers from 1 on; got {ids}")
        self._put(container.encode(UNITS, {"units": [unit_to_json(u) for u in units]}))

    def set_templates(
        self, units: npt.ArrayLike, sites: npt.ArrayLike, templates_uv: npt.ArrayLike, *, before: int
    ) -> None:
        """Say what mean waveforms are, float32 uV ``(units, sites, points)``; replaces what was said before.

        ``sites`` are NTV indices, NaN stands for sites that were not looked at, ``before`` is the point of the spike.
        """
        self._require_open()
        ids, ntv = np.asarray(units, np.int32), np.asarray(sites, np.int32)
        values = np.asarray(templates_uv, np.float32)
        if values.ndim != 3 or values.shape[:2] != (len(ids), len(ntv)) or not 0 <= before < max(values.shape[2], 1):
            raise ConfigurationError(
                f"templates are (units, sites, points); got {values.shape} for {len(ids)} units and {len(ntv)} sites, "
                f"before={before}"
            )
        self._put(container.encode(TEMPLATES, {"before": before}, {"unit": ids, "site": ntv, "templates_uv": values}))

    def log(self, **entry: Any) -> None:
        """Write down what the sorter did by itself (JSON data); entries are kept in order."""
        self._require_open()
        self._put(container.encode(LOG, entry))

    def note(self, text: str) -> None:
        """Say what whoever reads the finished file should know."""
        self._notes.append(text)

    def flush(self) -> None:
        """Write what waits; a live file is brought to the disk."""
        self._require_open()
        if self._waiting:
            names = self._waiting[0].keys()
            joined = {name: np.concatenate([part[name] for part in self._waiting]) for name in names}
            self._waiting, self._waiting_n = [], 0
            self._put(container.encode(SPIKES, {}, checked(joined)))
        if self._live:
            with writing(self.path):
                _platform.flush_handle(self._handle.fileno())
        self._flushed = time.monotonic()

    def close(self, info: StoreInfo | None = None) -> Path:
        """Finish the file: all columns in time order, indexes, everything on the disk; return its path.

        ``info`` replaces what was said at the start (the recording's identity is often known only at its end). Where
        finishing fails, a live file stays as it is, readable; OutputError says why.
        """
        if self._closed:
            return self.path
        with self._held:
            try:
                self.flush()
            finally:
                self._closed = True
            with writing(self.path):
                self._handle.close()
            consolidate(self._segments, self.path, info or self.info, notes=self._notes, staged=self._staged)
        return self.path

    def abort(self) -> None:
        """Stop: a live file stays with what was flushed, of another one nothing is left."""
        if not self._closed:
            self._closed = True
            self._held.close()

    def __enter__(self) -> SpikeWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.close()
            return
        if self._live and not self._closed:
            try:
                self.flush()
            finally:
                self.abort()
        self.abort()

    def _open(self) -> tuple[Path, BinaryIO]:
        with writing(self.path):
            if self._live:
                self.path.unlink(missing_ok=True)  # who has the old file mapped keeps it
                return self.path, open(self.path, "xb")
            segments = self.path.with_name(self.path.name + ".segments")
            return self._staged.path(segments), self._staged.open(segments)

    def _put(self, data: bytes) -> None:
        with writing(self.path):
            self._handle.write(data)
            self._handle.flush()

    def _require_open(self) -> None:
        if self._closed:
            raise OutputError(f"{self.path} was finished; nothing can be added")


def write_store(
    path: Path | str,
    info: StoreInfo,
    columns: Mapping[str, npt.ArrayLike],
    *,
    units: Sequence[UnitRecord] = (),
    templates: Templates | None = None,
    force: bool = False,
) -> Path:
    """Write spikes that are all there as one finished file; return its path. Raises what SpikeWriter raises."""
    with SpikeWriter(path, info, force=force) as writer:
        writer.append(**columns)
        writer.set_units(units)
        if templates is not None:
            writer.set_templates(templates.units, templates.sites, templates.templates_uv, before=templates.before)
    return writer.path


def append_chunk(path: Path, make: Callable[[SpikesFile], bytes]) -> None:
    """Append a chunk to a finished file: all of it or, after a crash, nothing that is read.

    ``make`` gets the file as it stands, under the lock that keeps other writers away, and returns the chunk.
    """
    with WriterLock(path):
        file = SpikesFile(path)
        if not file.finished:
            raise RecordingError(f"{path} is not finished; only finished spikes can be curated")
        data = make(file)
        end = file.end
        with writing(path), open(path, "r+b", buffering=0) as handle:
            handle.truncate(end)
            try:
                handle.seek(end)
                left = memoryview(data)
                while left:
                    left = left[handle.write(left) :]
                _platform.flush_handle(handle.fileno())
            except BaseException:
                handle.truncate(end)
                raise


def _close(handle: BinaryIO) -> None:
    with suppress(OSError):  # the last bytes, which a full disk refuses again
        handle.close()


def _let_go(lock: WriterLock, handle: BinaryIO) -> None:
    _close(handle)
    lock.release()
