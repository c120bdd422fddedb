"""The recorder: takes every block of the stream and keeps it on the disk, or says what it could not keep."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Protocol

from ranvier.exceptions import ConfigurationError, OutputError, RadiensError, StoreError
from ranvier.models.ports import Port
from ranvier.models.rig import ConsumerStatus, DiskStatus
from ranvier.models.status import RecordingConfig, RecordingStatus, RecordMode
from ranvier.recordings import Block
from ranvier.recordings.formats.xdat_clock import ClockTriple
from ranvier.rig import naming, recording_rows
from ranvier.rig.clock import Clock
from ranvier.rig.consumer import BackPressure, Consumer
from ranvier.rig.disk import Disk, RealDisk
from ranvier.rig.recording_file import RecordingFile
from ranvier.rig.recording_limits import RecorderLimits, bytes_per_second, minutes_left
from ranvier.rig.recording_plan import PlannedFile, create_files, plan_files
from ranvier.rig.recording_queue import Begin, End, RecordingQueue
from ranvier.rig.recording_writer import RecordingWriter
from ranvier.rig.stream import StreamInfo
from ranvier.store import Store

_SETTING = "rig.recording_config"
#: Seconds between clock readings.
_CLOCK_SEC = 1.0
#: A disk that takes longer than this to finish files is told about; the files are finished when it comes back.
_FINISH_SEC = 60.0


class RecorderContext(Protocol):
    """What the recorder needs of the rig."""

    def ensure_streaming(self) -> None:
        """Start streaming where it is off."""
        ...

    def stream(self) -> StreamInfo:
        """Return what streams, or would."""
        ...

    def client_name(self) -> str:
        """Return who calls."""
        ...


class Recorder(Consumer):
    """Implements :class:`ranvier.services.rig.RigRecording`; the pump offers it every block.

    Parameters
    ----------
    store
        Keeps the configuration.
    context
        The rig.
    on_ended
        Called in the recorder's thread with the reason when a recording ended by itself: the disk is full or failed,
        or the counter ran backwards. Streaming goes on.

    Attributes
    ----------
    error
        Why the last recording ended by itself or is incomplete; "" where it is whole.
    recorded_by
        Who started the recording; "" while nothing is recorded.
    """

    name = "recorder"
    policy = BackPressure.KEEP_ALL

    def __init__(
        self,
        store: Store,
        context: RecorderContext,
        clock: Clock,
        *,
        disk: Disk | None = None,
        limits: RecorderLimits | None = None,
        on_ended: Callable[[str], None] | None = None,
        utc_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.limits = limits or RecorderLimits()
        self.recorded_by = ""
        self._store = store
        self._context = context
        self._clock = clock
        self._disk = disk or RealDisk()
        self._on_ended = on_ended
        self._utc_ns = utc_ns
        self._control = threading.RLock()
        self._queue = RecordingQueue(self.limits.queue_bytes)
        self._writer = RecordingWriter(self._queue, self._disk, self.limits, clock, self._ended)
        self._active: dict[Port | None, PlannedFile] = {}
        self._edit = threading.Lock()
        self._config: RecordingConfig | None = None
        self._latest_name = ""
        self._next_clock_sec = -1.0
        self._blocks = 0

    # --- configuration ------------------------------------------------------------------------------------------

    def config(self) -> RecordingConfig:
        known = self._config
        if known is None:
            saved = self._store.settings.get(_SETTING)
            known = self._default() if saved is None else RecordingConfig.model_validate(saved)
            self._config = known
        return known

    def set_config(self, config: RecordingConfig) -> None:
        with self._control:
            if self._active:
                raise ConfigurationError(
                    f"{self.recorded_by or 'a client'} is recording; stop the recording, then change its configuration"
                )
            self._make_default_folder(config)
            self._save(naming.check_config(config))

    def _save(self, config: RecordingConfig) -> None:
        self._store.settings.set(_SETTING, config.model_dump(mode="json"))
        self._config = config

    def _default(self) -> RecordingConfig:
        return RecordingConfig(base_file_name="ranvier", base_file_path=str(self._store.home / "recordings"))

    # --- start and stop -----------------------------------------------------------------------------------------

    def start(self, *, port: Port | None = None, client: str = "") -> None:
        """Record one port or everything; harmless for what is recorded already.

        Raises
        ------
        ConfigurationError
            A port without channels, or a port where files are not split by port.
        OutputError
            A folder that is missing, cannot be written, or is too full.
        """
        with self._control:
            config = self._usable_config()
            self._check_port(config, port)
            recording_rows.warm()  # before the stream: what it gives until there is a file is not recorded
            self._context.ensure_streaming()
            stream = self._context.stream()
            wanted = [p for p in plan_files(config, stream, port) if p.port not in self._active]
            if not wanted:
                return
            folder = Path(config.base_file_path)
            self._check_space(folder, [*self._active.values(), *wanted], stream)
            who = client or self._context.client_name()
            now = datetime.fromtimestamp(self._utc_ns() / 1e9)  # file names tell local time
            index = create_files(
                wanted,
                config,
                stream,
                self._disk,
                who=who,
                now=now,
                utc_ns=self._utc_ns,
                flush_sec=self.limits.flush_sec,
            )
            self._begin(wanted, stream, who)
            self._config = config.model_copy(update={"datasource_idx": index + 1})
            with suppress(StoreError):  # no reason to stop: the index is looked for again at the next start
                self._save(self._config)

    def stop(self, *, port: Port | None = None) -> None:
        """Finish the files of one port, or all; harmless where nothing is recorded.

        Raises
        ------
        OutputError
            If the disk refuses the end of a file, or does not answer; the message says what there is.
        """
        with self._control:
            end = self._request_end(port)
            if end is None:
                return
            if not end.done.wait(_FINISH_SEC):
                raise OutputError(
                    f"the disk has not answered for {self._writer.stalled_sec:.0f} s; the recording is finished when "
                    f"it does, and what was flushed is safe"
                )
            if end.error:
                raise OutputError(end.error)

    def interrupt(self, note: str) -> None:
        """End everything because the stream ended; returns at once. The note goes into the metadata."""
        self._writer.error = note if self._active else self._writer.error
        self._request_end(None, note)

    def close(self) -> None:
        """Finish what is recorded, and end."""
        try:
            self.stop()
        finally:
            self._writer.close()

    def _usable_config(self) -> RecordingConfig:
        """Return the configuration, checked again: a folder may be gone. The default folder is made on first use."""
        config = self.config()
        self._make_default_folder(config)
        return naming.check_config(config)

    def _make_default_folder(self, config: RecordingConfig) -> None:
        if config.base_file_path == self._default().base_file_path:
            try:
                Path(config.base_file_path).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(f"cannot make {config.base_file_path}: {error.strerror or error}") from error

    def _check_port(self, config: RecordingConfig, port: Port | None) -> None:
        if port is not None and not config.split_files_by_port:
            raise ConfigurationError(
                f"port {port.name} cannot be recorded alone: set split_files_by_port in the recording configuration"
            )

    def _check_space(self, folder: Path, files: Sequence[PlannedFile], stream: StreamInfo) -> None:
        rate = sum(bytes_per_second(len(f.channels), float(stream.fs)) for f in files)
        try:
            free = self._disk.free_bytes(folder)
        except OSError as error:
            raise OutputError(f"base_file_path {folder} does not answer: {error.strerror or error}") from error
        left = minutes_left(free, self.limits.reserve_bytes, rate)
        if left is not None and left < self.limits.least_minutes:
            raise OutputError(
                f"{folder} has {free / 1e6:.0f} MB free: {left:.2f} min of this recording "
                f"({self.limits.reserve_bytes / 1e6:.0f} MB stay free), less than {self.limits.least_minutes:g} min; "
                f"free some space or choose another folder"
            )

    def _begin(self, files: Sequence[PlannedFile], stream: StreamInfo, who: str) -> None:
        first = not self._active
        if first:
            self._queue.limit_bytes = self.limits.queue_bytes_for(stream)
            self._writer.error = ""
            self._writer.unwritten_samples = self._queue.lost_samples = 0
            self._writer.free_bytes = None
            self._next_clock_sec = -1.0
            self.recorded_by = who
        self._latest_name = str(files[-1].file.files.folder / files[-1].file.files.base)
        with self._edit:
            for planned in files:
                self._queue.put(Begin(planned.port, planned.file))
            self._active = {**self._active, **{f.port: f for f in files}}
        self._writer.start()

    def _request_end(self, port: Port | None, note: str = "") -> End | None:
        with self._edit:
            ports = tuple(p for p in self._active if port is None or p is None or p == port)
            if not ports:
                return None
            self._forget(ports)
            end = End(ports, note)
            self._queue.put(end)
            return end

    def _forget(self, ports: Sequence[Port | None]) -> None:
        self._active = {p: f for p, f in self._active.items() if p not in ports}
        if not self._active:
            self.recorded_by = ""

    def _ended(self, ports: Sequence[Port | None], reason: str) -> None:
        """The writer ended files by itself."""
        with self._edit:
            before = bool(self._active)
            self._forget(ports)
            over = before and not self._active
        if over and self._on_ended is not None:
            self._on_ended(reason)

    # --- the stream ---------------------------------------------------------------------------------------------

    def offer(self, block: Block) -> None:
        active = self._active
        if not active or not len(block):
            return
        self._blocks += 1
        self._queue.offer(block)
        now = self._clock.monotonic()
        if now >= self._next_clock_sec:
            self._next_clock_sec = now + _CLOCK_SEC
            fs = next(iter(active.values())).fs
            late_us = int(len(block) / fs * 1_000_000)  # a block's samples are at most as old as the block is long
            self._queue.put(ClockTriple(block.stop, time.monotonic_ns(), self._utc_ns(), late_us))

    # --- status -------------------------------------------------------------------------------------------------

    @property
    def is_recording(self) -> bool:
        """Whether anything is recorded."""
        return bool(self._active)

    @property
    def error(self) -> str:
        """Why the last recording ended by itself, or is incomplete."""
        return self._writer.error

    @property
    def _unwritten_samples(self) -> int:
        return self._queue.lost_samples + self._writer.unwritten_samples

    def whole_file(self) -> RecordingFile | None:
        """Return the set that is written, where it is not split by port."""
        planned = self._active.get(None)
        return None if planned is None else planned.file

    def files(self) -> list[str]:
        return [str(f.file.files.data) for f in self._active.values()]

    def status(self) -> ConsumerStatus:
        return ConsumerStatus(
            name=self.name,
            policy=self.policy.value,
            blocks=self._blocks,
            shed_samples=self._unwritten_samples,
            behind_samples=self._queue.queued_samples,
            busy_fraction=self._writer.busy_fraction,
        )

    def recording_status(self) -> RecordingStatus:
        """Return how recording stands, as the API tells it."""
        active = self._active
        on = {p.name.lower(): RecordMode.ON for p in active if p is not None}
        split = self.config().split_files_by_port
        ports = {f"record_mode_port_{p.name.lower()}": on.get(p.name.lower(), RecordMode.OFF) for p in Port}
        duration = max((f.file.rows / float(f.fs) for f in active.values()), default=0.0)
        return RecordingStatus(
            record_mode=RecordMode.ON if active else RecordMode.OFF,
            active_filename=self._latest_name if active else "",
            duration=duration,
            error=self.error,
            **(ports if split else {}),
        )

    def disk_status(self) -> DiskStatus:
        """Return free space and how long it lasts, at the rate of what is recorded (or would be by ``start()``)."""
        folder = Path(self.config().base_file_path)
        active = list(self._active.values())
        free = self._writer.free_bytes if active else None
        if free is None:  # while it records, the writer looks: a disk that stalls would hold up whoever asks
            try:
                free = self._disk.free_bytes(folder if folder.is_dir() else _existing(folder))
            except OSError:
                free = 0
        return DiskStatus(
            path=str(folder),
            free_bytes=free,
            minutes_left=minutes_left(free, self.limits.reserve_bytes, self._rate(active)),
            queued_bytes=self._queue.queued_bytes,
            unwritten_samples=self._unwritten_samples,
            stalled_sec=self._writer.stalled_sec,
        )

    def warnings(self) -> list[str]:
        """Return what a person at the rig should know about the recording."""
        found = []
        disk = self.disk_status()
        if disk.minutes_left is not None and disk.minutes_left < self.limits.warn_minutes:
            found.append(f"{disk.path}: {disk.minutes_left:.1f} min left on the disk")
        if disk.stalled_sec >= 1.0:
            found.append(f"{disk.path}: the disk has not answered for {disk.stalled_sec:.0f} s")
        if disk.unwritten_samples:
            found.append(
                f"{disk.unwritten_samples} samples could not be written in time; they are gaps of the recording"
            )
        if self.error:
            found.append(self.error)
        return found

    def _rate(self, active: Sequence[PlannedFile]) -> float:
        if active:
            return sum(bytes_per_second(len(f.channels), float(f.fs)) for f in active)
        try:
            stream = self._context.stream()
            planned = plan_files(self.config(), stream, None)
        except RadiensError:
            return 0.0
        return sum(bytes_per_second(len(f.channels), float(stream.fs)) for f in planned)


def _existing(folder: Path) -> Path:
    return next((p for p in folder.parents if p.is_dir()), folder)
