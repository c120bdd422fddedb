"""The process of a rig: nothing is loaded while samples come, and the collector of garbage does not hold up threads."""

from __future__ import annotations

import gc
import sys
import time
from pathlib import Path

import pytest

from ranvier.kernels import registry
from ranvier.models.spikesorter import SpikeSorterCommand
from ranvier.rig.core import warm
from ranvier.rig.process import SWITCH_INTERVAL_SEC, keep_what_is_loaded, take_short_turns
from ranvier.rig.rig import Rig

pytestmark = pytest.mark.usefixtures("process_as_before")


def test_a_full_collection_looks_at_nothing_that_was_loaded_before() -> None:
    loaded = len(gc.get_objects())
    assert loaded > 50_000  # what is imported here already
    keep_what_is_loaded()
    assert gc.get_freeze_count() > 0.5 * loaded
    assert len(gc.get_objects()) < 1000
    cycle: list[object] = []
    cycle.append(cycle)
    del cycle
    assert gc.collect() >= 1  # what is made later is still collected


def test_threads_take_short_turns() -> None:
    take_short_turns()
    assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL_SEC)


def test_no_kernel_is_loaded_while_a_sorted_stream_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for item in registry.all_kernels():
        monkeypatch.setattr(item, "_compiled", None)  # as in a new process
    warm()
    rig = Rig(tmp_path, seed=1)
    late: list[str] = []
    load = registry._compile

    def noted(item: registry.Kernel[..., object]) -> object:
        late.append(item.name)
        return load(item)

    monkeypatch.setattr(registry, "_compile", noted)
    try:
        rig.control.start_streaming()
        rig.sorter.command(rig.sorter.ids()[0], SpikeSorterCommand.ON)
        until, told = time.monotonic() + 30.0, 0
        while not told and time.monotonic() < until:
            time.sleep(0.05)
            engine = rig.sorter._sorting.engine
            told = 0 if engine is None else len(engine.ring.read(0))
        assert told
        rig.control.stop_streaming()
    finally:
        rig.close()
    assert not late
