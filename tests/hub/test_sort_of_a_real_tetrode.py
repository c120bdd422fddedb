"""A sort of a real recording: the locust tetrode (C. Pouzat, Zenodo 21589), whose truth nobody knows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ranvier import VidereClient
from ranvier.curation.executor import make_header, run
from ranvier.recordings.channels import Site, plain_channels
from ranvier.recordings.formats.xdat_sink import XdatSink
from ranvier.recordings.memory import ArrayRecording

UV_PER_BIT = 0.2  # assumed: the file does not say


@pytest.mark.slow
def test_units_that_respect_their_refractory_period(samples: Path, tmp_path: Path) -> None:
    counts = np.fromfile(samples / "tetrode_locust" / "locust_trial_01.raw", np.int16).reshape(-1, 4)
    x = (UV_PER_BIT * (counts - counts.mean(axis=0))).astype(np.float32)
    table = plain_channels(amp=4)
    table = table.with_channels(replace(c, site=Site(25.0 * (i % 2), 25.0 * (i // 2))) for i, c in enumerate(table))
    made = ArrayRecording(x, 15_000, table, name="locust")
    with XdatSink(tmp_path / "locust", make_header(made, None, sources=[])) as sink:
        run(made, None, sink)
    with VidereClient(progress=False) as videre:
        spikes = videre.spike_sort(tmp_path / "locust.xdat.json")
        quality = videre.get_unit_quality(tmp_path / "locust.xdat.json", spikes_id=spikes).to_dataframe()
    clean = quality[(quality["isi_violations_ratio"] < 0.1) & (quality["snr"] > 5) & (quality["spike_count"] > 50)]
    assert len(clean) >= 2
