"""Spikes of the live sorter beside a recording: ``<base>.spikes``, readable while it grows, finished with it."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import RadiensError
from ranvier.models.signals import SignalType
from ranvier.rig.recording_file import RecordingFile
from ranvier.sorting.online import OnlineSorter
from ranvier.sorting.snippets import SignalTail
from ranvier.sorting.spike_table import SpikeTable
from ranvier.sorting.stored import event_columns
from ranvier.spikes.columns import SNIPPETS
from ranvier.spikes.info import RecordingIdentity, SiteRecord, StoreInfo, UnitRecord
from ranvier.spikes.writer import SpikeWriter

#: How long the end of a recording waits for the sorter to come as far.
WAIT_SEC = 2.0
SORTER = "ranvier live"

F32 = npt.NDArray[np.float32]


class SpikeRecording:
    """The spikes of one recording. :meth:`take` comes from the sorter's thread.

    Parameters
    ----------
    file
        The recording as it is written.
    info
        What the spikes are; the recording's identity is added at the end.

    Attributes
    ----------
    error
        Why spikes are missing, "" while none are.
    """

    def __init__(self, file: RecordingFile, info: StoreInfo) -> None:
        self._file = file
        self._writer = SpikeWriter(file.files.folder / file.files.base, info, live=True)
        self._uncut: list[SpikeTable] = []
        self._waiting: list[tuple[SpikeTable, F32]] = []
        self._cuts = info.waveforms == "stored"
        self._lock = threading.Lock()
        self._ended = False
        self._missed: list[tuple[int, int | None, str]] = []
        self.error = ""

    @property
    def path(self) -> str:
        """Where it is written."""
        return str(self._writer.path)

    def take(self, spikes: SpikeTable, engine: OnlineSorter) -> None:
        """Add spikes; those of samples that are not on the disk yet wait. A disk that fails ends it, with a word."""
        with self._lock:
            if self._ended or self.error:
                return
            self._uncut.append(spikes)
            self._cut(engine.tail, None if engine.tail.stop is None else engine.tail.stop - self._writer.info.after)
            self._write(engine)

    def missed(self, start: int, stop: int | None, why: str) -> None:
        """Say that nothing was looked for between two counters of the stream (None: the recording's end), and why."""
        with self._lock:
            self._missed.append((start, stop, why))

    def began_at(self, counter: int) -> None:
        """Say that the sorter began there: it does not know the noise yet, by which thresholds in SD hold."""
        rate = self._writer.info.fs
        self.missed(counter, counter + int(rate), "the sorter had begun there and did not know the noise yet")

    def told(self, text: str) -> None:
        """Say what whoever reads the file should know."""
        with self._lock:
            if not self._ended:
                self._writer.note(text)

    def end(self, engine: OnlineSorter | None, log: list[dict[str, Any]], *, wait: bool) -> None:
        """Finish the file with what belongs to the recording; the disk's refusal is in ``error``.

        With ``wait`` the sorter is given time to come to the recording's end.
        """
        stop = self._file.segments.stop + (self._file.counter_offset or 0) if self._file.rows else 0
        until = time.monotonic() + WAIT_SEC
        while wait and engine is not None and engine.told_before < stop and time.monotonic() < until:
            time.sleep(0.005)
        with self._lock:
            if self._ended:
                return
            self._ended = True
            self._say_what_was_missed(stop)
            try:
                if engine is not None and not self.error:
                    self._cut(engine.tail, None)
                    self._write(engine)
                    self._describe(engine, log)
                self._writer.close(self._identified(engine))
            except RadiensError as error:
                self.error = f"the spikes of {self._writer.path.name} are not finished: {error}"

    # --- inside -------------------------------------------------------------------------------------------------

    def _cut(self, tail: SignalTail, before: int | None) -> None:
        """Let spikes before a counter (None: all) have their waveforms, where these are stored."""
        table = SpikeTable.concatenate(self._uncut)
        ready = np.ones(len(table), np.bool_) if before is None or not self._cuts else table.counter < before
        self._uncut = [table.take(~ready)]
        table = table.take(ready)
        if not len(table):
            return
        info, none = self._writer.info, np.empty((len(table), 0), np.float32)
        cut = tail.cut(table.counter, table.site, info.before, info.after) if self._cuts else none
        self._waiting.append((table, cut))

    def _write(self, engine: OnlineSorter) -> None:
        """Append what lies within the recording as far as it is written."""
        file = self._file
        if not file.rows or not self._waiting:
            return
        offset = file.counter_offset or 0
        start, stop = file.header.start + offset, file.segments.stop + offset
        table = SpikeTable.concatenate([t for t, _ in self._waiting])
        cut = np.concatenate([c for _, c in self._waiting])
        later, now = table.counter >= stop, (table.counter >= start) & (table.counter < stop)
        self._waiting = [(table.take(later), cut[later])] if later.any() else []
        table = table.take(now)
        snippets = {SNIPPETS: cut[now][:, None]} if self._cuts else {}
        columns = event_columns(table, np.array(engine.sites.ntv, np.int32))
        try:
            self._writer.append(**{**columns, **snippets, "sample_index": table.counter - offset})
        except RadiensError as error:
            self.error = f"spikes are written no more: {error}"

    def _say_what_was_missed(self, end: int) -> None:
        """Say it in stream seconds of the recording, as far as it lies within."""
        file = self._file
        if not file.rows:
            return
        offset, rate = file.counter_offset or 0, float(file.header.fs)
        for start, stop, why in self._missed:
            a, b = max(start, file.header.start + offset), end if stop is None else min(stop, end)
            if b > a:
                self._writer.note(
                    f"spikes are missing from {(a - offset) / rate:.3f} to {(b - offset) / rate:.3f} s: {why}"
                )

    def _describe(self, engine: OnlineSorter, log: list[dict[str, Any]]) -> None:
        ntv = engine.sites.ntv
        noise = engine.finder.noise.sd_uv
        units = []
        for unit in engine.units.numbers():
            sd = float(noise[unit.site])
            snr = unit.mean_abs_peak_uv / sd if sd > 0 else None
            units.append(
                UnitRecord(
                    unit.label,
                    site=ntv[unit.site],
                    x_um=_number(unit.x_um),
                    y_um=_number(unit.y_um),
                    snr=snr,
                    mean_abs_peak_uv=unit.mean_abs_peak_uv,
                )
            )
        self._writer.set_units(units)
        trained = engine.trained
        if trained is not None and len(trained):
            waveforms = np.ascontiguousarray(trained.waveforms_uv.transpose(0, 2, 1))
            self._writer.set_templates(trained.labels, np.array(ntv), waveforms, before=trained.window.before)
        offset = self._file.counter_offset or 0
        for entry in log:
            at = entry.get("in_force_from_sample")
            self._writer.log(**(entry if at is None else {**entry, "in_force_from_sample": at - offset}))
        self._writer.log(event="not_spikes", since="the sorter began", **asdict(engine.finder.counts))

    def _identified(self, engine: OnlineSorter | None) -> StoreInfo:
        """Return the description with the identity of the finished recording, and noise and thresholds at its end."""
        file, info = self._file, self._writer.info
        if engine is not None and {s.ntv for s in info.sites} == set(engine.sites.ntv):
            info = replace(info, sites=_sites(engine))
        if not file.rows or not file.is_finished:
            return info
        identity = RecordingIdentity(
            name=file.files.base,
            fs=file.header.fs,
            channels=file.header.channels.count(SignalType.AMP),
            start=file.header.start,
            stop=file.segments.stop,
        )
        return replace(info, start=identity.start, stop=identity.stop, recording=identity)


def describe(engine: OnlineSorter, *, simulated: bool, seed: int, waveforms: bool) -> StoreInfo:
    """Return what the spikes of a stream are; with ``waveforms`` these are stored with them."""
    levels = engine.finder.settings.levels
    return StoreInfo(
        fs=engine.sites.fs,
        sites=_sites(engine),
        sorter=SORTER,
        seed=seed,
        waveforms="stored" if waveforms else "recording",
        filters=tuple(engine.describe_filters()),
        before=max(1, int(levels.wings[:, 0].max(initial=0))),
        after=max(1, int(levels.wings[:, 1].max(initial=0))),
        simulated=simulated,
    )


def _sites(engine: OnlineSorter) -> tuple[SiteRecord, ...]:
    """Return the sites with their noise and thresholds as they are now."""
    low, high = engine.finder.thresholds()
    sites = []
    for k, column in enumerate(engine.sites.columns):
        channel = engine.sites.channels[int(column)]
        near = engine.finder.settings.near[k]
        sites.append(
            SiteRecord(
                channel.ntv,
                x_um=None if channel.site is None else channel.site.x_um,
                y_um=None if channel.site is None else channel.site.y_um,
                z_um=None if channel.site is None else channel.site.z_um,
                noise_sd_uv=_number(float(engine.finder.noise.sd_uv[k])),
                neg_threshold_uv=_number(float(low[k])),
                pos_threshold_uv=_number(float(high[k])),
                neighbors=tuple(engine.sites.ntv[int(n)] for n in near[1:] if n >= 0),
            )
        )
    return tuple(sites)


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
