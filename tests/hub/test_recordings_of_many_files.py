"""Copy, move and remove take every file of a recording; info and convert work on each format of this group."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ranvier import VidereClient
from ranvier.checks.files_ncs import write_ncs, write_nlx_events
from ranvier.checks.files_nex import NexSignal, write_nex
from ranvier.checks.files_nsx import write_nev, write_nsx
from ranvier.checks.files_tdt import TdtStore, write_tdt
from ranvier.cli import main
from ranvier.recordings import open_session


def make(kind: str, folder: Path) -> Path:
    """Write a recording with one stream; return the path that a user would pass."""
    folder.mkdir()
    if kind == "nsx":
        write_nev(folder / "rec.nev", words=((5, 1), (700, 0)))
        return write_nsx(folder / "rec.ns5", packets=((0, 400), (900, 400))).path
    if kind == "tdt":
        return write_tdt(folder / "rec", {"Wav1": TdtStore()}, epocs=(("Trl", 0.001, 0.002, 1.0),)).tsq
    if kind == "tdt_sev":
        return write_tdt(folder / "rec", {"Wav1": TdtStore(sev=True)}).folder
    if kind == "ncs":
        return write_ncs(folder / "rec.ncs", gaps=((3, 700),)).path
    if kind == "ncs_session":
        (folder / "rec").mkdir()
        for i in range(3):
            write_ncs(folder / "rec" / f"CSC{i}.ncs", channel=i)
        write_nlx_events(folder / "rec" / "Events.nev", ((8_000_000, 0, "Starting Recording"),))
        return folder / "rec"
    suffix = f".{kind}"
    write_nex(folder / f"rec{suffix}", {"a": NexSignal(((0, 200), (40_000, 300)))}, events={"e": (40, 400)})
    return folder / f"rec{suffix}"


KINDS = ("nsx", "tdt", "tdt_sev", "ncs", "ncs_session", "nex", "nex5")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_copy_move_and_remove_take_all_files(tmp_path: Path, kind: str) -> None:
    path = make(kind, tmp_path / "a")
    before = tree(tmp_path / "a")
    with VidereClient() as videre:
        signals = videre.get_signals(videre.link_data_file(path))
        videre.copy_data_source_file(path, tmp_path / "b" / "rec")
        assert tree(tmp_path / "b") == before
        videre.move_data_source_file(path, tmp_path / "c" / "rec")
        assert tree(tmp_path / "c") == before
        assert not list((tmp_path / "a").iterdir())
        moved = tmp_path / "c" / path.relative_to(tmp_path / "a")
        again = videre.get_signals(videre.link_data_file(moved))
        np.testing.assert_array_equal(again.amp, signals.amp)
        videre.remove_data_source_file(moved)
        assert not list((tmp_path / "c").iterdir())
        assert len(videre.list_directory(tmp_path / "b")) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("output", ["out.xdat", "out.nex5"])
def test_convert_keeps_samples_gaps_and_events(tmp_path: Path, kind: str, output: str) -> None:
    path = make(kind, tmp_path / "a")
    with VidereClient() as videre:
        ds = videre.link_data_file(path)
        videre.export_data_source(ds, tmp_path / output)
    ends = {"out.xdat": "out.xdat.json", "out.nex5": "out.nex5"}
    with open_session(path) as source, open_session(tmp_path / ends[output]) as made:
        a, b = source.stream(), made.stream()
        assert a.fs == b.fs
        assert a.segments.runs() == b.segments.runs()
        np.testing.assert_allclose(
            a.read(a.start, a.stop).samples, b.read(b.start, b.stop).samples, rtol=3e-7, atol=1e-4
        )
        theirs = made.events[made.stream_name(b)]
        mine = source.events.get(source.stream_name(a))
        assert len(theirs) == (0 if mine is None else len(mine))


@pytest.mark.parametrize("kind", ["nsx", "tdt", "ncs_session", "nex5"])
def test_the_command_line(tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = make(kind, tmp_path / "a")
    for words in (["info", str(path)], ["convert", str(path), str(tmp_path / "out.xdat")]):
        assert main(words) == 0, capsys.readouterr()
    assert (
        open_session(tmp_path / "out.xdat.json").stream().segments.runs() == open_session(path).stream().segments.runs()
    )
