"""What the samples of a running stream are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from ranvier.recordings import ChannelTable
from ranvier.rig.source import SourceInfo


@dataclass(frozen=True)
class StreamInfo:
    """The stream that the pump hands to consumers; it stays the same from start to stop of streaming.

    Attributes
    ----------
    fs, channels
        Of every block.
    source
        The instrument, or what stands for it.
    start_counter
        Counter of the first sample; None before it arrived.
    simulated
        Whether the samples are simulated (a replay of a simulated recording is).
    provenance
        The record (see :mod:`ranvier.recordings.provenance`) that recordings of this stream carry.
    dsp
        The live filters that change what is recorded (hardware and stage 1), as plain data.
    """

    fs: Fraction
    channels: ChannelTable
    source: SourceInfo
    start_counter: int | None = None
    simulated: bool = False
    provenance: Mapping[str, Any] = field(default_factory=dict)
    dsp: Sequence[Mapping[str, Any]] = ()
