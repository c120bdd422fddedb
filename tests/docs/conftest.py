"""The documentation's own files, and the recording that its scripts read."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from kept_interpreter import kept_interpreter

ROOT = Path(__file__).resolve().parents[2]

FS_HZ = 30_000
START = 60_000
SAMPLES = 90_000
AMP, DIN = 8, 2


@pytest.fixture(scope="session")
def pages() -> list[Path]:
    """Return every page that a reader meets: the documentation and the READMEs."""
    readmes = [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        ROOT / "compat" / "README.md",
        ROOT / "benchmarks" / "README.md",
    ]
    return [*sorted((ROOT / "docs").rglob("*.md")), *readmes]


@pytest.fixture
def script_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make the folder in which a page's scripts run: ``recording.xdat`` lies there. What they change is put back."""
    from ranvier.models.file_types import RadiensFileType
    from ranvier.recordings import Block, Header, format_for_type, plain_channels

    sink_type = format_for_type(RadiensFileType.XDAT).sink
    assert sink_type is not None
    header = Header(fs=Fraction(FS_HZ), channels=plain_channels(amp=AMP, din=DIN), start=START, simulated=True)
    with sink_type(tmp_path / "recording", header) as sink:
        sink.write(Block(_samples(), START))
        sink.commit()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    with kept_interpreter(tmp_path):
        yield tmp_path


def _samples() -> np.ndarray:
    """Return noise and mains hum on the amplifier channels, and a TTL pulse of 100 ms per second on line 0."""
    rng = np.random.default_rng(7)
    t = np.arange(SAMPLES) / FS_HZ
    samples = np.zeros((SAMPLES, AMP + DIN), dtype=np.float32)
    samples[:, :AMP] = 8.0 * rng.standard_normal((SAMPLES, AMP)) + 20.0 * np.sin(2 * np.pi * 50 * t)[:, np.newaxis]
    samples[:, AMP] = np.arange(SAMPLES) % FS_HZ >= 0.9 * FS_HZ
    return samples
