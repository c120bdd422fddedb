"""A live sorter of many sites waits for a few milliseconds of samples, also once it was off."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ranvier.models.spikesorter import SpikeSorterCommand
from ranvier.recordings import Block
from ranvier.rig.rig import Rig
from ranvier.rig.sorting import Sorting
from ranvier.sorting import online

pytestmark = pytest.mark.usefixtures("process_as_before")


def test_rows_are_gathered_also_after_off_and_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online, "MANY_SITES", 8)
    rows: list[int] = []
    work = Sorting._work

    def noted(self: Sorting, block: Block) -> None:
        rows.append(len(block))
        work(self, block)

    monkeypatch.setattr(Sorting, "_work", noted)
    rig = Rig(tmp_path, seed=1)
    sorter = rig.sorter.ids()[0]
    try:
        rig.core.loop_ms = 1.0
        rig.control.start_streaming()
        for _ in range(2):
            rows.clear()
            rig.sorter.command(sorter, SpikeSorterCommand.ON)
            until = time.monotonic() + 30.0
            while len(rows) < 60 and time.monotonic() < until:
                time.sleep(0.02)
            fs = float(rig.core.source.fs)
            gathered = sum(n >= online.GATHER_SEC * fs for n in rows[5:60])  # the first ones come before it is known
            assert gathered > 40
            rig.sorter.command(sorter, SpikeSorterCommand.OFF)
    finally:
        rig.close()
