"""Compiled kernels in files: whoever reads while others write gets its own machine code or none."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numba
import numpy as np
import pytest

from ranvier.kernels import cache
from ranvier.kernels.cache import Entries, attach


def entries(folder: Path, of: str = "new") -> Entries:
    return Entries(str(folder), "kernel-1.py311", of)


def test_an_entry_is_whole_before_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel changed: the machine code of the earlier one is never taken for it."""
    entries(tmp_path, "old").save("signature", b"of the old source")
    seen = []
    write = Entries._save_data

    def watched(self: Entries, name: str, data: object) -> None:
        seen.append(entries(tmp_path).load("signature"))
        write(self, name, data)
        seen.append(entries(tmp_path).load("signature"))

    monkeypatch.setattr(Entries, "_save_data", watched)
    entries(tmp_path).save("signature", b"of the new source")
    assert seen == [None, None]
    assert entries(tmp_path).load("signature") == b"of the new source"


def test_what_an_entry_leads_to_is_never_that_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process with earlier sources writes another signature between a reader's look at the index and at the file."""
    entries(tmp_path).save("one", b"one")
    read = Entries._load_data

    def late(self: Entries, name: str) -> object:
        entries(tmp_path, "old").save("two", b"two")
        return read(self, name)

    monkeypatch.setattr(Entries, "_load_data", late)
    assert entries(tmp_path).load("one") in (b"one", None)


def test_entries_are_added_to_those_of_others(tmp_path: Path) -> None:
    first, second = entries(tmp_path), entries(tmp_path)
    for n in range(5):
        (first, second)[n % 2].save(n, bytes([n]))
    assert [entries(tmp_path).load(n) for n in range(6)] == [*(bytes([n]) for n in range(5)), None]


def test_machine_code_of_earlier_sources_is_removed_later(tmp_path: Path) -> None:
    entries(tmp_path, "old").save("one", b"old")
    (stale,) = tmp_path.glob("*.nbc")
    entries(tmp_path).save("one", b"new")
    assert stale.exists()  # somebody may be about to read it
    os.utime(stale, (time.time() - 7200.0,) * 2)
    entries(tmp_path).save("two", b"new")
    assert not stale.exists()
    assert entries(tmp_path).load("one") == b"new"


def test_sources_that_changed_under_a_process_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its functions are those of the earlier sources."""

    def compiled() -> list[Path]:
        dispatcher = numba.njit(_twice)
        attach(dispatcher, tmp_path)
        assert dispatcher(np.float64(2.0)) == 4.0
        return list(tmp_path.rglob("*.nbc"))

    monkeypatch.setattr(cache, "_BEGUN", 0.0)
    assert compiled() == []
    monkeypatch.setattr(cache, "_BEGUN", time.time() + 1.0)
    assert len(compiled()) == 1


def _twice(x: float) -> float:
    return 2 * x


RACE = """
import sys, time
import numpy as np
from ranvier.spikes import kernels
while time.time() < float(sys.argv[1]):
    pass
from ranvier.kernels.registry import _REGISTRY
for item in list(_REGISTRY.values()):
    item.compile()
print(sum(not item.was_cached for item in _REGISTRY.values()), len(_REGISTRY))
"""


@pytest.mark.slow
def test_processes_that_compile_the_same_kernels_at_once(tmp_path: Path) -> None:
    environment = os.environ | {"RANVIER_KERNEL_CACHE": str(tmp_path)}
    words = [sys.executable, "-c", RACE, str(time.time() + 5.0)]
    running = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(4)]
    said = [process.communicate(timeout=300)[0] for process in running]
    assert [process.returncode for process in running] == [0] * 4
    assert all(int(out.split()[1]) > 0 for out in said)
    again = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    assert again.stdout.split()[0] == "0"  # nothing that they compiled was lost
