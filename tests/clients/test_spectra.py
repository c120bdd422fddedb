"""Spectra through VidereClient: a simulated recording in, numbers and pictures out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from ranvier import VidereClient
from ranvier.exceptions import ConfigurationError, ProbeError, SignalSelectionError, TimeRangeError
from ranvier.models import (
    DatasetMetadata,
    SpectralAlgorithm,
    SpectralMode,
    SpectralQuery,
    SpectralUnit,
    StftConfig,
    WelchConfig,
)
from ranvier.models.dataset import RadiensFileType
from ranvier.recordings import Block, Header, format_for_type
from ranvier.recordings.channels import plain_channels

FS = 2000
START = 3000  # a recording seldom begins at 0
N = 20 * FS


def samples() -> np.ndarray:
    rng = np.random.default_rng(4)
    t = np.arange(N) / FS
    x = rng.standard_normal((N, 16)) * 5
    x += 30 * np.sin(2 * np.pi * 8 * t)[:, None]
    x[:, 5] += 60 * np.sin(2 * np.pi * 200 * t) * (t > 10)
    return x.astype(np.float32)


@pytest.fixture
def videre() -> Iterator[VidereClient]:
    with VidereClient(progress=False) as client:
        yield client


@pytest.fixture
def dataset(videre: VidereClient, tmp_path: Path) -> DatasetMetadata:
    sink_type = format_for_type(RadiensFileType.XDAT).sink
    assert sink_type is not None
    with sink_type(tmp_path / "rec", Header(fs=FS, channels=plain_channels(amp=16), start=START)) as sink:
        sink.write(Block(samples(), START))
        path = sink.commit()
    return videre.link_data_file(path)


def test_welch_of_a_range_is_that_of_scipy(videre: VidereClient, dataset: DatasetMetadata) -> None:
    t0 = START / FS
    query = SpectralQuery(
        ntv_chan_idxs=(5, 0),
        ranges=((t0 + 12.0, 2.0, 6.0), (t0 + 5.0, 5.0, 3.0)),
        algorithm=SpectralAlgorithm.WELCH,
        welch_config=WelchConfig(segment_duration_sec=0.512),
        f_max=400.0,
    )
    found = videre.get_spectral(dataset, query)
    x = samples().astype(np.float64)
    for k, first in enumerate((10 * FS, 0)):
        f, expected = signal.welch(x[first : first + 8 * FS][:, [5, 0]], FS, "hann", 1024, axis=0)
        keep = f <= 400
        np.testing.assert_allclose(found.freq_axis, f[keep])
        for c in range(2):
            np.testing.assert_allclose(found.ranges[k].channels[c].power[1:], expected[keep, c][1:], rtol=1e-6)
    assert found.ranges[0].channels[0].ntv_chan_idx == 5
    peak = found.freq_axis[np.argmax(found.ranges[0].channels[0].power)]
    assert abs(peak - 200) < 2


def test_a_spectrogram_shows_when_a_rhythm_begins(videre: VidereClient, dataset: DatasetMetadata) -> None:
    query = SpectralQuery(
        ntv_chan_idxs=(5,),
        ranges=((START / FS + 10.0, 4.0, 4.0),),
        mode=SpectralMode.TIME_RESOLVED,
        stft_config=StftConfig(window_duration_sec=0.25, window_step_sec=0.05),
        f_min=150.0,
        f_max=250.0,
        units=SpectralUnit.POWER_DB_HZ,
    )
    found = videre.get_spectral(dataset, query)
    power = found.ranges[0].channels[0].power
    assert power.shape == (len(found.freq_axis), len(found.time_axis))
    at_200 = power[np.argmin(np.abs(found.freq_axis - 200))]
    assert at_200[found.time_axis > 0.2].min() > at_200[found.time_axis < -0.2].max() + 10
    assert videre.get_spectral_info(
        fs=FS, duration_sec=8.0, num_channels=1, query=query, dataset=dataset
    ).output_dimensions == (1, 1, *power.shape)


def test_batches_keep_their_order_and_report_filters(videre: VidereClient, dataset: DatasetMetadata) -> None:
    videre.set_dsp_group(dataset, stage="stage2", params=[{"type": "highpass", "freq": 100.0}])
    one = SpectralQuery(ntv_chan_idxs=(1,), ranges=((START / FS, 0.0, 4.0),))
    two = one.model_copy(update={"apply_dsp": True})
    found = videre.get_batch_spectral([(dataset, one), (dataset.id, two)])
    raw, filtered = (r.ranges[0].channels[0].power for r in found.results)
    at_8 = np.argmin(np.abs(found.results[0].freq_axis - 8))
    assert filtered[at_8] < 1e-3 * raw[at_8]
    assert found.results[0].applied_dsp_params == ()
    assert len(found.results[1].applied_dsp_params) == 1
    assert videre.get_batch_spectral([]).results == ()


def test_what_lies_outside_is_told(videre: VidereClient, dataset: DatasetMetadata) -> None:
    end = (START + N) / FS
    partly = SpectralQuery(ntv_chan_idxs=(0,), ranges=((end, 4.0, 4.0),), algorithm=SpectralAlgorithm.WELCH)
    found = videre.get_spectral(dataset, partly)
    assert np.isfinite(found.ranges[0].channels[0].power).all()
    assert "lie outside" in found.warnings[0]
    resolved = partly.model_copy(update={"algorithm": SpectralAlgorithm.STFT, "mode": SpectralMode.TIME_RESOLVED})
    power = videre.get_spectral(dataset, resolved).ranges[0].channels[0].power
    assert np.isnan(power[:, -1]).all()
    assert np.isfinite(power[:, 0]).all()
    with pytest.raises(TimeRangeError, match="partly outside"):
        videre.get_spectral(dataset, partly.model_copy(update={"algorithm": SpectralAlgorithm.PERIODOGRAM}))
    for start in (0.0, end + 5):
        with pytest.raises(TimeRangeError, match="outside"):
            videre.get_spectral(dataset, SpectralQuery(ntv_chan_idxs=(0,), ranges=((start, 0.0, 1.0),)))
    with pytest.raises(SignalSelectionError, match="99"):
        videre.get_spectral(dataset, SpectralQuery(ntv_chan_idxs=(99,), ranges=((5.0, 0.0, 1.0),)))


def test_psd_and_bands_of_the_selected_channels(videre: VidereClient, dataset: DatasetMetadata) -> None:
    dataset = videre.set_selected_channels(dataset, [5, 6])
    found = videre.get_psd(dataset, resolution_hz=2.0, f_range_hz=(1.0, 300.0))
    assert found.channel_indices == (5, 6)
    assert found.frequencies_hz[[0, -1]].tolist() == [2.0, 300.0]
    assert found.collapsed()[0] > found.collapsed()[1] + 60**2 / 4 * 0.9
    assert found.to_dataframe().shape == (150, 2)
    bands = videre.get_band_power(dataset, {"theta": (6.0, 10.0), "fast": (190.0, 210.0)})
    np.testing.assert_allclose(bands.power_uv2[:, 0], 30**2 / 2, rtol=0.05)
    np.testing.assert_allclose(bands.power_uv2[0, 1], 60**2 / 4, rtol=0.05)
    assert bands.power_uv2[1, 1] < 2
    assert (bands.relative.sum(axis=1) <= 1).all()
    assert list(bands.to_dataframe().columns) == ["theta", "fast"]
    slow = videre.get_psd(dataset, resolution_hz=2.0, samp_freq_hz=100.0)
    assert slow.frequencies_hz[-1] <= 50
    assert slow.frequencies_hz[slow.density_uv2_hz[0].argmax()] == pytest.approx(8, abs=2)
    assert set(videre.get_band_power(dataset).bands_hz) >= {"delta", "theta", "ripple"}


def test_multitaper_and_short_ranges(videre: VidereClient, dataset: DatasetMetadata) -> None:
    t0 = START / FS
    many = videre.get_psd(dataset, [t0, t0 + 4], [0], resolution_hz=0.5, time_bandwidth=3.0)
    at_8 = many.density_uv2_hz[0, np.argmin(np.abs(many.frequencies_hz - 8))]
    assert at_8 > 50 * np.median(many.density_uv2_hz[0])
    short = videre.get_psd(dataset, [t0, t0 + 0.1], [0], resolution_hz=1.0)
    assert short.resolution_hz == pytest.approx(10.0)
    assert "shorter than a segment" in short.warnings[0]


def test_coherence_of_a_shared_rhythm(videre: VidereClient, dataset: DatasetMetadata) -> None:
    found = videre.get_coherence(dataset, [(0, 1), (3, 2)], resolution_hz=2.0, f_range_hz=(0.0, 100.0))
    at_8 = np.argmin(np.abs(found.frequencies_hz - 8))
    assert (found.coherence[:, at_8] > 0.99).all()
    assert np.median(found.coherence[:, 20:]) < 3 / found.segments
    assert np.abs(found.phase_rad[:, at_8]).max() < 0.05
    with pytest.raises(SignalSelectionError):
        videre.get_coherence(dataset, [(0, 44)])
    with pytest.raises(SignalSelectionError, match="name some channels"):
        videre.get_coherence(dataset, [])
    with pytest.raises(ConfigurationError, match="at most"):
        videre.get_coherence(dataset, [(0, 1)] * 20_001)


def test_current_sources_need_a_line_of_sites(videre: VidereClient, dataset: DatasetMetadata) -> None:
    with pytest.raises(ProbeError):
        videre.get_csd(videre.set_probe(dataset, "a2x16_10mm50_500_177", override=True), [2.0, 2.5], [0, 8])
    dataset = videre.set_probe(dataset, "a1x16_5mm150_177", override=True)
    found = videre.get_csd(dataset, [2.0, 2.5])
    assert found.csd_na_mm3.shape == (16, FS // 2)
    assert found.spacing_um == 150
    assert (np.diff(found.depth_um) > 0).all()
    assert found.sec[0] == 2.0


def test_results_draw_themselves(videre: VidereClient, dataset: DatasetMetadata) -> None:
    dataset = videre.set_probe(dataset, "a1x16_5mm150_177", override=True)
    t0 = START / FS
    few, all_of_them = videre.get_psd(dataset, channels=[0, 1]), videre.get_psd(dataset)
    assert len(few.plot().lines) == 2
    assert "from the tip" in all_of_them.plot().get_ylabel()
    assert len(videre.get_coherence(dataset, [(0, 1)]).plot().lines) == 2
    assert len(videre.get_csd(dataset, [t0, t0 + 0.2]).plot().lines) == 16
    stft = SpectralQuery(ntv_chan_idxs=(5,), ranges=((t0 + 5, 2.0, 2.0),), mode=SpectralMode.TIME_RESOLVED)
    assert videre.get_spectral(dataset, stft).plot().get_xlabel() == "s from the reference"
    welch = SpectralQuery(ntv_chan_idxs=(5, 6), ranges=((t0 + 5, 2.0, 2.0),), algorithm=SpectralAlgorithm.WELCH)
    assert len(videre.get_spectral(dataset, welch).plot().lines) == 2
