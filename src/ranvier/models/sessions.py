"""Sessions of several recordings and several clocks: our own models, an addition to the API."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from ranvier.models._base import ArrayModel, FloatArray, Int32Array, IntArray, OwnModel

__all__ = ["AlignmentQuality", "Barcodes", "ClockAlignment", "ReplayReport", "SessionPiece", "SplitTimestamps"]


class SessionPiece(OwnModel):
    """One source of a concatenated recording.

    Attributes
    ----------
    path, stream
        Where the source is, and which of its streams it was ("" for the only one).
    source_start, source_stop
        Sample counters ``[start, stop)`` in the source's own counting.
    output_start, output_stop
        The same samples in the counting of the concatenated recording.
    """

    path: str
    stream: str = ""
    source_start: int
    source_stop: int
    output_start: int
    output_stop: int


class SplitTimestamps(ArrayModel, OwnModel):
    """Sample counters of a concatenated recording, mapped back to its sources; columns of equal length ``(n,)``.

    Attributes
    ----------
    piece
        0-based piece of each counter, int32; -1 where it lies in no piece (a gap between two).
    timestamp
        Counter in the source's own counting, int64; where ``piece`` is -1, the counter that was asked.
    """

    piece: Int32Array
    timestamp: IntArray


class AlignmentQuality(StrEnum):
    """What an alignment of two clocks is worth."""

    GOOD = "good"
    """At least 90 % of the pulses matched; residual at most one sample (of the slower clock) rms."""
    FAIR = "fair"
    """At least 60 % of the pulses matched; residual at most ten samples rms."""
    POOR = "poor"
    """Less than that: look at the pulses before trusting it."""


class ClockAlignment(ArrayModel, OwnModel):
    """How one clock (source) maps to another one (target).

    ``target_sec = interp(source_sec, knot_source_sec, knot_target_sec)``, continued beyond the knots with the slope of
    the first and last stretch. Two knots are a line.

    Attributes
    ----------
    source_fs_hz, target_fs_hz
        Nominal sampling rates.
    method
        ``"pulse pattern"`` or ``"barcode"``.
    knot_source_sec, knot_target_sec
        The map, in stream seconds of each clock.
    offset_sec
        Target minus source time at the first matched pulse.
    rate_ppm
        How much faster the target clock counts, over all matched pulses (parts per million).
    residual_rms_samples, residual_max_samples
        Of the matched pulses about the map, in target samples.
    matched, unmatched_source, unmatched_target
        Pulses (or barcodes) that pair, and those of each side, within the time both saw, that do not.
    matched_source, matched_target
        Counters of the pulses that pair, int64 ``(matched,)``.
    notes
        What a user should know.
    """

    source_fs_hz: float
    target_fs_hz: float
    method: str
    knot_source_sec: FloatArray
    knot_target_sec: FloatArray
    offset_sec: float
    rate_ppm: float
    residual_rms_samples: float
    residual_max_samples: float
    matched: int
    unmatched_source: int
    unmatched_target: int
    matched_source: IntArray
    matched_target: IntArray
    quality: AlignmentQuality
    notes: tuple[str, ...] = ()


class Barcodes(ArrayModel, OwnModel):
    """Barcodes on a TTL line: start (rising edge of the first wrapper pulse) and value of each, ``(n,)``."""

    timestamp: IntArray
    value: IntArray
    damaged: int = 0


class ReplayReport(OwnModel):
    """How a file compares with what its own provenance makes again.

    Attributes
    ----------
    output
        Where the repetition is; empty where it was compared and removed.
    same
        Whether the repetition is what it must be: equal to the last bit where versions and CPU type are those of the
        record, within ``tolerance`` of full scale otherwise.
    identical
        Whether every sample, counter and event is equal to the last bit.
    largest_difference
        Largest absolute difference, relative to the largest absolute value of the file.
    samples
        Samples per channel that were compared.
    environment
        What differs from the record: ``{"numpy": "2.1.0 -> 2.2.0"}``; empty with the same CPU type and versions.
    differences
        What is not equal, in words.
    """

    path: str
    output: str = ""
    same: bool
    identical: bool
    largest_difference: float = 0.0
    tolerance: float = 0.0
    samples: int = 0
    environment: dict[str, str] = Field(default_factory=dict)
    differences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        where = "; ".join(f"{name} {change}" for name, change in self.environment.items())
        if self.identical:
            return "identical to the last bit" + (f", although made with {where}" if where else "")
        if self.same:
            return f"equal within {self.tolerance:g} of full scale ({self.largest_difference:.3g}), made with {where}"
        return "NOT the same: " + "; ".join(self.differences)
