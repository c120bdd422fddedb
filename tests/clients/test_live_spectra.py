"""Spectra of the live stream, embedded and remote."""

from __future__ import annotations

import time

import numpy as np
import pytest

from ranvier import AllegoClient
from ranvier.exceptions import ConfigurationError, SignalSelectionError, TimeRangeError
from ranvier.models import SpectralAlgorithm, SpectralQuery, TimeRangeSpec


def streaming(allego: AllegoClient, mode: str) -> None:
    allego.restart(mode=mode)
    allego.start_streaming()
    time.sleep(1.5)


def test_the_spectrum_of_the_live_stream_is_that_of_its_signals(allego: AllegoClient) -> None:
    streaming(allego, "SMARTBOX_SIM_GEN_SINE")
    found = allego.get_psd(TimeRangeSpec.lookback(1.0), [3, 0], resolution_hz=10.0)
    served = [float(s) for s in found.time_range.sec]
    x = allego.get_signals(served, [3, 0]).amp
    assert x is not None
    allego.stop_streaming()
    power = np.mean((x - x.mean(axis=1, keepdims=True)) ** 2, axis=1)
    np.testing.assert_allclose(found.collapsed(), power, rtol=0.1)
    assert found.channel_indices == (3, 0)
    query = SpectralQuery(ntv_chan_idxs=(3,), ranges=((served[0], 0.0, 0.5),), algorithm=SpectralAlgorithm.WELCH)
    assert np.isfinite(allego.get_spectral(query).ranges[0].channels[0].power).all()
    bands = allego.get_band_power(time_range=TimeRangeSpec.lookback(1.0), channels=[3], resolution_hz=1.0)
    assert np.isfinite(bands.power_uv2).all()
    coherence = allego.get_coherence([(0, 3)], TimeRangeSpec.lookback(1.0), resolution_hz=20.0)
    assert coherence.segments > 10
    assert ((coherence.coherence >= 0) & (coherence.coherence <= 1 + 1e-9)).all()


def test_what_cannot_be_is_said(allego: AllegoClient) -> None:
    with pytest.raises(TimeRangeError, match="start_streaming"):
        allego.get_psd()
    streaming(allego, "SMARTBOX_SIM_GEN_SPIKES")
    with pytest.raises(SignalSelectionError):
        allego.get_psd(TimeRangeSpec.lookback(0.5), [999])
    with pytest.raises(ConfigurationError, match="resolution_hz"):
        allego.get_psd(TimeRangeSpec.lookback(0.5), resolution_hz=-1.0)
    with pytest.raises(TimeRangeError):
        allego.get_spectral(SpectralQuery(ntv_chan_idxs=(0,), ranges=((1e6, 0.0, 1.0),)))
    allego.stop_streaming()


def test_the_quality_of_live_channels(allego: AllegoClient) -> None:
    streaming(allego, "SMARTBOX_SIM_GEN_SPIKES")
    table = allego.get_channel_quality(TimeRangeSpec.lookback(1.0), [4, 2])
    assert table.ntv_idx.tolist() == [4, 2]
    assert (table.rms_uv > 0).all()
    metadata = allego.select_good_channels(TimeRangeSpec.lookback(1.0))
    kept = allego.get_selected_channels()
    assert kept
    assert metadata == allego.get_channel_metadata()
    with pytest.raises(ConfigurationError, match="verdicts are good"):
        allego.select_good_channels(TimeRangeSpec.lookback(1.0), keep=["fine"])
    allego.select_channels("all")
    allego.stop_streaming()
