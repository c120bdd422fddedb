"""What a user does with a recording of any readable format: link, look, convert, copy, move, remove."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ranvier import VidereClient
from ranvier.checks.files_openephys import write_openephys
from ranvier.checks.files_openephys_legacy import write_openephys_legacy
from ranvier.checks.files_rhd import write_rhd
from ranvier.checks.files_rhs import write_rhs
from ranvier.checks.files_spikeglx import write_imec, write_nidq
from ranvier.cli.main import app
from ranvier.exceptions import NotARecordingError
from ranvier.recordings import open_session


def spikeglx_file(root: Path) -> Path:
    return write_imec(root, saved=range(12)).path


def spikeglx_run(root: Path) -> Path:
    for trigger in (0, 1):
        first = 1000 + 4000 * trigger
        write_imec(root / "run_g0" / "run_g0_imec0", saved=range(4), trigger=trigger, first_sample=first)
    return root / "run_g0"


def nidq_file(root: Path) -> Path:
    return write_nidq(root).path


def rhd_session(root: Path) -> Path:
    (root / "night").mkdir()
    for i in range(3):
        write_rhd(root / "night" / f"n_{i}.rhd", blocks=3, first_counter=400 * i, seed=i, din_lines=(0, 3))
    return root / "night"


def openephys_folder(root: Path) -> Path:
    write_openephys(root / "oe", rows=2000, spikes=20)
    return root / "oe"


def rhd_per_signal(root: Path) -> Path:
    return write_rhd(root / "rec", layout="signal", din_lines=(0, 3)).path


def rhd_per_channel(root: Path) -> Path:
    return write_rhd(root / "rec", layout="channel", din_lines=(0, 3)).path


def rhs_file(root: Path) -> Path:
    return write_rhs(root / "a.rhs").path


def rhs_per_channel(root: Path) -> Path:
    return write_rhs(root / "rec", layout="channel").path


def openephys_legacy(root: Path) -> Path:
    return write_openephys_legacy(root / "old", messages=[(3100, "go")], spikes=20).folder


CASES: list[Callable[[Path], Path]] = [
    spikeglx_file,
    spikeglx_run,
    nidq_file,
    rhd_session,
    rhd_per_signal,
    rhd_per_channel,
    rhs_file,
    rhs_per_channel,
    openephys_folder,
    openephys_legacy,
]


@pytest.fixture(params=CASES, ids=lambda case: case.__name__)
def recording(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    return request.param(tmp_path / "source")


def content(path: Path) -> tuple[np.ndarray, int]:
    with open_session(path) as session:
        stream = session.stream()
        events = sum(len(session.events[name]) for name in session.events)
        return stream.read(stream.start, stream.stop).samples, events


def test_info_and_convert(recording: Path, tmp_path: Path) -> None:
    samples, events = content(recording)
    runner = CliRunner()
    shown = runner.invoke(app, ["info", str(recording)])
    assert shown.exit_code == 0, shown.output
    done = runner.invoke(app, ["convert", str(recording), str(tmp_path / "out.xdat")])
    assert done.exit_code == 0, done.output
    converted, converted_events = content(tmp_path / "out.xdat.json")
    np.testing.assert_array_equal(converted, samples)
    assert converted_events == events > 0
    source, copy = open_session(recording).stream(), open_session(tmp_path / "out.xdat.json").stream()
    assert copy.segments.runs() == source.segments.runs()
    assert copy.channels.skew_samples.tolist() == source.channels.skew_samples.tolist()
    assert [c.name for c in copy.channels] == [c.name for c in source.channels]


def test_copy_move_remove(recording: Path, tmp_path: Path) -> None:
    samples, events = content(recording)
    before = sorted(p.name for p in recording.parent.rglob("*") if p.is_file())
    with VidereClient() as videre:
        videre.copy_data_source_file(recording, tmp_path / "far" / "copy")
        linked = videre.link_data_file(recording)
        [info] = videre.list_directory(tmp_path / "far")
        copied = Path(info.path) / info.base_name
        got = content(copied)
        np.testing.assert_array_equal(got[0], samples)
        assert got[1] == events
        videre.move_data_source_file(recording, tmp_path / "moved")
        assert linked.id not in videre.list_data_source_ids()
        assert not any(p.is_file() for p in (tmp_path / "source").rglob("*"))
        moved = tmp_path / "moved"
        np.testing.assert_array_equal(content(moved)[0], samples)
        videre.remove_data_source_file(copied)
        assert not any((tmp_path / "far").iterdir())
        with pytest.raises(NotARecordingError):
            videre.link_data_file(copied)
    after = [p for p in tmp_path.rglob("*") if p.is_file() and not p.is_relative_to(tmp_path / "far")]
    assert len(after) == len(before)
