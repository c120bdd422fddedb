"""The issue's own script, word for word, on a real recording."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from ranvier import CurateClient, VidereClient
from ranvier.models import RadiensFileType


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def intan(samples: Path) -> Path:
    return samples / "intan" / "sampledata.rhd"


def test_link_look_clean_convert(intan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = digest(intan)
    with VidereClient() as videre:
        ds = videre.link_data_file(intan)
        t0 = ds.time_range.sec[0]
        sig = videre.get_signals(ds, time_range=[t0, t0 + 0.5], signals={"amp": "all"})
        assert sig.amp is not None
        assert sig.amp.shape == (32, 10000)
        assert sig.amp.dtype == np.float64
        assert ds.file_type == RadiensFileType.RHD
        assert ds.sampling_rate == 20000.0
    with CurateClient() as curate:
        clean = curate.bandpass(ds, 300, 6000, "out/clean.xdat")
        assert clean.file_type == RadiensFileType.XDAT
        assert Path("out/clean.xdat.json").exists()
        assert clean.time_range.timestamp == ds.time_range.timestamp
        record = curate.get_provenance(clean).record
        assert record is not None
        assert "FILTER" in [op.kind.name for op in record.ops]
        filtered = curate.get_signals(clean, [t0, t0 + 0.5]).amp
        assert filtered is not None
    from scipy.signal import butter, sosfilt

    with VidereClient() as videre:
        raw = videre.get_signals(ds).amp
        expected = sosfilt(butter(4, [300, 6000], "bandpass", fs=20000, output="sos"), raw, axis=1)
        got = videre.get_signals(clean).amp
        np.testing.assert_allclose(got, expected, atol=2e-4 * np.abs(expected).max())
    assert digest(intan) == before, "the source was touched"


def test_open_ephys_folder(samples: Path, tmp_path: Path) -> None:
    folder = samples / "openephys_binary_v0.6.7" / "Record Node 105"
    with VidereClient() as videre:
        ds = videre.link_data_file(folder)
        sig = videre.get_signals(ds, [ds.time_range.sec[0], ds.time_range.sec[0] + 0.25])
        assert sig.amp is not None
        assert sig.amp.shape == (16, 10000)
        events = videre.get_events(ds)
        assert len(events) > 0
        nwb = videre.car(ds, tmp_path / "referenced.nwb")
        assert nwb.file_type == RadiensFileType.NWB
        assert len(videre.get_events(nwb)) == len(events)
        referenced = videre.get_signals(nwb).amp
        assert referenced is not None
        assert np.abs(referenced.mean(axis=0)).max() < 1e-3
