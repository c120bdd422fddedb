"""A whole rig, in this process and in its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ranvier import transport
from ranvier._platform import home
from ranvier.connect import leave, open_rig
from ranvier.exceptions import CapabilityError, ConfigurationError, ServerDiscoveryError, TimeRangeError
from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.dsp import DSPParams, DSPType, FilterStage
from ranvier.models.rig import RigState
from ranvier.models.signals import SignalSpec, SignalType, SigSelect
from ranvier.models.status import BackboneMode, RecordMode, StreamMode
from ranvier.recordings import open_session
from ranvier.services.rig import Rig
from ranvier.transport.processes import end_process

AMP = SignalType.AMP
SPIKES = BackboneMode.SMARTBOX_SIM_GEN_SPIKES


@pytest.fixture(params=["embedded", "remote"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    made = open_rig(embedded=request.param == "embedded")
    yield made
    made.recording.stop()
    made.control.stop_streaming()
    leave(made)
    if request.param == "remote":
        end_process("rig")


def everything(rig: Rig) -> SigSelect:
    return SignalSpec.amp().to_sig_select(rig.signals.channel_metadata())


def stream_until(rig: Rig, sec: float) -> None:
    until = time.monotonic() + 60
    while rig.control.status().streaming.primary_cache_t_range[1] < sec:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_session(rig: Rig) -> None:
    """Restart, stream, record, read, filter, record on, stop, and open what was recorded."""
    rig.control.restart(SPIKES)
    with pytest.raises(TimeRangeError):
        rig.signals.read(TimeRangeSpec.lookback(1.0), everything(rig))
    rig.recording.start()  # starts streaming, as documented
    stream_until(rig, 0.5)
    status, details = rig.control.status(), rig.control.details()
    assert status.streaming.stream_mode == StreamMode.ON
    assert status.recording.record_mode == RecordMode.ON
    assert details.state == RigState.RECORDING
    assert details.source.lost_samples == 0
    assert details.recorded_by
    with pytest.raises(ConfigurationError, match=r"cannot restart: .* is recording"):
        rig.control.restart(SPIKES)
    with pytest.raises(ConfigurationError, match="is recording; stop the recording first"):
        rig.control.stop_streaming()

    select = everything(rig)
    counts = rig.signals.read(TimeRangeSpec.lookback(0.2), select, counts=True)
    assert counts.samples[AMP].dtype == np.int16
    assert counts.samples[AMP].shape == (6000, 32)
    start, stop = (t / 30_000 for t in counts.time_range.timestamp)
    physical = rig.signals.read(TimeRangeSpec.subset(start, stop), select)
    np.testing.assert_allclose(
        physical.samples[AMP], counts.samples[AMP] * counts.gain[AMP] + counts.offset[AMP], atol=1e-3
    )
    rig.dsp.set(FilterStage.STAGE2, [DSPParams(type=DSPType.CAR, stage=FilterStage.STAGE2)])
    referenced = rig.signals.read(TimeRangeSpec.subset(start, stop), select, apply_dsp=True).samples[AMP]
    expected = physical.samples[AMP] - physical.samples[AMP].mean(axis=1, keepdims=True)
    np.testing.assert_allclose(referenced, expected, atol=1e-2)
    truth = rig.control.ground_truth(TimeRangeSpec.to_head(0.0))
    assert len(truth) > 0

    files = rig.recording.files()
    rig.recording.stop()
    rig.control.stop_streaming()
    assert "SIMULATED" in files[0]
    with open_session(Path(files[0])) as session:
        (recording,) = session.streams.values()
        assert recording.simulated
        assert recording.segments.gaps == []
        first, last = max(recording.start, counts.time_range.timestamp[0]), counts.time_range.timestamp[1]
        stored = recording.read(first, last, range(32)).samples
        np.testing.assert_allclose(stored, physical.samples[AMP][first - counts.time_range.timestamp[0] :], atol=1e-2)


def test_subscribers_get_every_sample(rig: Rig) -> None:
    rig.control.start_streaming()
    select = SigSelect(amp=[0, 5], gpio_ain=(), gpio_din=(), gpio_dout=(), key_idx=0)
    stream = rig.signals.subscribe(select, every_block=True, block_sec=0.05)
    blocks = [next(stream) for _ in range(10)]
    stream.close()  # type: ignore[attr-defined]
    edges = [b.time_range.timestamp for b in blocks]
    assert all(a[1] == b[0] for a, b in pairwise(edges))
    assert all(b.samples[AMP].shape == (1500, 2) for b in blocks)
    assert all(b.gaps == () for b in blocks)


def test_errors_keep_their_type(rig: Rig) -> None:
    with pytest.raises(CapabilityError, match="SMARTBOX_PRO"):
        rig.control.restart(BackboneMode.SMARTBOX_PRO)
    with pytest.raises(CapabilityError, match="simulator"):
        rig.control.restart(SPIKES, require_hardware=True)
    with pytest.raises(ConfigurationError, match="30000"):
        rig.control.set_core_config(samp_freq=12_345.0)
    assert rig.control.details().state == RigState.IDLE


def test_a_workspace_brings_everything_back(rig: Rig) -> None:
    band = DSPParams(type=DSPType.HIGHPASS, stage=FilterStage.STAGE1, freq=300.0)
    rig.control.restart(SPIKES)
    rig.control.set_core_config(samp_freq=20_000.0, loop_dur=10.0)
    rig.dsp.set(FilterStage.STAGE1, [band])
    rig.signals.set_selected({AMP: [1, 2, 3]})
    saved = rig.workspaces.save("experiment")
    rig.control.restart(BackboneMode.SMARTBOX_SIM_GEN_SINE)
    rig.control.set_core_config(samp_freq=30_000.0, loop_dur=5.0)
    rig.dsp.set(FilterStage.STAGE1, [])
    assert rig.signals.channel_metadata().selected_num_channels[AMP] == 32
    rig.workspaces.switch(saved.id)
    config = rig.control.core_config()
    assert (config.backbone_mode, config.base_samp_freq, config.stream_loop_dur_ms) == (SPIKES, 20_000.0, 10)
    assert rig.dsp.get().software_stage1 == [band]
    assert rig.signals.channel_metadata().selected_index(AMP).ntv == [1, 2, 3]


def test_clients_of_one_home_share_the_rig() -> None:
    one, two = open_rig(embedded=True), open_rig("embedded")
    assert one is two
    with pytest.raises(ConfigurationError, match="contradict"):
        open_rig("127.0.0.1:1", embedded=True)


def test_an_address_where_nobody_answers_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServerDiscoveryError):
        open_rig("127.0.0.1:1")
    monkeypatch.setenv("RANVIER_ADDRESS", "127.0.0.1:1")
    with pytest.raises(ServerDiscoveryError):
        open_rig()


CRASHING_CLIENT = """
import os
from ranvier.connect import open_rig
rig = open_rig()
rig.recording.start()
rig.outputs.arm(client="experiment")
print(rig.recording.files()[0], flush=True)
os._exit(9)
"""


def test_a_crashed_client_loses_nothing_but_what_it_armed() -> None:
    """The rig records on, can be joined again, and the outputs that the client armed are off."""
    ran = subprocess.run(
        [sys.executable, "-c", CRASHING_CLIENT], capture_output=True, text=True, timeout=90, check=False
    )
    assert ran.returncode == 9, ran.stderr
    rig = open_rig()
    try:
        details = rig.control.details()
        assert details.state == RigState.RECORDING
        assert rig.recording.files() == [ran.stdout.strip()]
        until = time.monotonic() + 10
        while details.outputs is None or details.outputs.armed_by is not None:
            assert time.monotonic() < until
            time.sleep(0.05)
            details = rig.control.details()
        assert any("is gone" in note for note in details.outputs.notes)
        assert details.clients == 1
        stream_until(rig, 0.3)
        rig.recording.stop()
        assert rig.control.details().source.lost_samples == 0
        record = transport.find_process("rig", home())
        assert record is not None
        rig.control.stop_streaming()
    finally:
        leave(rig)
        end_process("rig")
