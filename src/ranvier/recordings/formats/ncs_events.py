"""Events and spikes of a Neuralynx session."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.recordings.events import Events, SpikeTrains
from ranvier.recordings.formats.ncs_files import EVENT, SPIKE_CHANNELS, NlxFile, signed, spike_dtype

Ints = npt.NDArray[np.int64]
Counting = Callable[[Ints], Ints]

_PORT = re.compile(r"port (\d{1,3})\b", re.IGNORECASE)
_MOST_WAVEFORM_BYTES = 1 << 28


def read_events(files: list[NlxFile], counters_of: Counting) -> Events:
    """Return every record as a text (source ``"event"``), and edges of the TTL lines (source ``"DIN"``).

    Records that name a TTL port hold its word: bit ``b`` of port ``p`` is line ``8 p + b``.
    """
    return Events.merge(*(_events_of(f, counters_of) for f in files))


def _events_of(file: NlxFile, counters_of: Counting) -> Events:
    records = file.load(EVENT)
    ticks = signed(records["stamp"])
    order = np.argsort(ticks, kind="stable")
    records, ticks = records[order], ticks[order]
    counters = counters_of(ticks)
    counters = np.maximum.accumulate(counters) if len(counters) else counters
    texts = [t.decode("latin-1").strip() for t in records["text"].tolist()]
    n = len(texts)
    nothing = np.full(n, -1, np.int8)
    parts = [Events(counters, nothing.astype(np.int32), nothing, ("event",) * n, tuple(texts))]
    ports: dict[int, list[int]] = {}
    for i, text in enumerate(texts):
        if "TTL" in text:
            named = _PORT.search(text)
            ports.setdefault(int(named.group(1)) if named else 0, []).append(i)
    for port, rows in ports.items():
        parts.append(_edges(counters[rows], records["ttl"][rows].astype(np.int64), 8 * port))
    return Events.merge(*parts)


def _edges(counters: Ints, words: Ints, first_line: int) -> Events:
    changed = words ^ np.concatenate(([0], words[:-1]))
    row, bit = np.nonzero((changed[:, None] >> np.arange(16)) & 1)
    return Events.ttl(counters[row], first_line + bit, (words[row] >> bit) & 1, source="DIN")


def read_spikes(file: NlxFile, counters_of: Counting, fs: Fraction) -> tuple[SpikeTrains, list[str]]:
    """Return the spikes of a file, and notes; cell 0 is not sorted."""
    records = file.load(spike_dtype(file.kind))
    ticks = signed(records["stamp"])
    order = np.argsort(ticks, kind="stable")
    records, ticks = records[order], ticks[order]
    counters = counters_of(ticks)
    counters = np.maximum.accumulate(counters) if len(counters) else counters
    unit = np.minimum(records["unit"], 2**31 - 1).astype(np.int32)
    waveforms, notes = _waveforms(file, records)
    return SpikeTrains(counters, unit, np.full(len(records), -1, np.int32), waveforms, None, fs), notes


def _waveforms(file: NlxFile, records: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float32] | None, list[str]]:
    channels = SPIKE_CHANNELS[file.kind]
    gains = file.gains_uv(channels)
    if gains is None:
        return None, [f"{file.path.name}: no ADBitVolts; waveforms are left out"]
    if len(records) * channels * 128 > _MOST_WAVEFORM_BYTES:
        return None, [f"{file.path.name}: the waveforms of {len(records)} spikes are too large to be kept in memory"]
    counts = records["samples"].transpose(0, 2, 1)
    return (counts * np.array(gains)[:, None]).astype(np.float32), []
