"""What tests of the rig share."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ranvier.recordings import Segments, plain_channels
from ranvier.recordings.memory import ArrayRecording


@pytest.fixture(scope="session")
def short_recording() -> ArrayRecording:
    """Int16 counts at 10 kHz, 1.2 s from counter 5000 on with a gap of 0.1 s; each row tells its number."""
    rows = np.arange(12_000)
    channels = plain_channels(amp=4, ain=1, din=1)
    samples = np.stack([rows, rows + 1, rows + 2, rows % 7, rows % 100, rows % 2], axis=1).astype(np.int16)
    segments = Segments.from_runs([(5000, 4000), (10_000, 8000)])
    return ArrayRecording(samples, Fraction(10_000), channels, segments=segments, name="short")
