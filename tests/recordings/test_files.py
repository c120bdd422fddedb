"""Staged files: what stands under a final name, and when."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ranvier import _platform
from ranvier.exceptions import OutputError, OutputExistsError
from ranvier.recordings import files
from ranvier.recordings.files import StagedFiles, check_replaceable, writing


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_commit_gives_final_names(tmp_path: Path) -> None:
    staged = StagedFiles()
    with staged.open(tmp_path / "a") as handle:
        handle.write(b"1")
    staged.write_bytes(tmp_path / "b", b"2")
    folder = staged.path(tmp_path / "c")
    folder.mkdir()
    (folder / "inner").write_text("3")
    assert all(name.startswith(".") for name in names(tmp_path))
    staged.commit([tmp_path / "a", tmp_path / "c", tmp_path / "b"])
    assert names(tmp_path) == ["a", "b", "c"]
    assert (tmp_path / "c" / "inner").read_text() == "3"
    staged.abort()
    assert names(tmp_path) == ["a", "b", "c"]


def test_commit_replaces_files_and_folders_and_removes_stale_ones(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "old").touch()
    (tmp_path / "stale").touch()
    staged = StagedFiles()
    staged.write_bytes(tmp_path / "a", b"new")
    staged.path(tmp_path / "c").mkdir()
    staged.commit([tmp_path / "a", tmp_path / "c"], remove=[tmp_path / "stale", tmp_path / "never was"])
    assert names(tmp_path) == ["a", "c"]
    assert (tmp_path / "a").read_text() == "new"
    assert names(tmp_path / "c") == []


def test_abort_removes_everything(tmp_path: Path) -> None:
    staged = StagedFiles()
    staged.open(tmp_path / "a").write(b"1")
    staged.path(tmp_path / "c").mkdir()
    (staged.path(tmp_path / "c") / "inner").touch()
    staged.abort()
    staged.abort()
    assert names(tmp_path) == []


def test_a_failing_rename_leaves_no_final_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    staged = StagedFiles()
    for name in ("data", "meta"):
        staged.write_bytes(tmp_path / name, b"new")
    real = os.replace

    def replace(source: Path, target: Path) -> None:
        if target.name == "meta":
            raise OSError(errno.EIO, "Input/output error")
        real(source, target)

    monkeypatch.setattr("ranvier.recordings.files.os.replace", replace)
    with pytest.raises(OutputError, match="Input/output error"):
        staged.commit([tmp_path / "data", tmp_path / "meta"])
    assert all(name.startswith(".") for name in names(tmp_path))
    staged.abort()
    assert names(tmp_path) == []


def test_metadata_never_stand_over_other_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every rename, metadata under the final name belong to the data under theirs."""
    for name in ("data", "meta"):
        (tmp_path / name).write_text("old")
    staged = StagedFiles()
    for name in ("data", "meta"):
        staged.write_bytes(tmp_path / name, b"new")
    real = os.replace

    def replace(source: Path, target: Path) -> None:
        real(source, target)
        if (tmp_path / "meta").exists():
            assert (tmp_path / "data").read_text() == (tmp_path / "meta").read_text()

    monkeypatch.setattr("ranvier.recordings.files.os.replace", replace)
    staged.commit([tmp_path / "data", tmp_path / "meta"])
    assert (tmp_path / "meta").read_text() == "new"


def test_a_child_process_does_not_remove_its_parents_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    staged = StagedFiles()
    staged.open(tmp_path / "a")
    with monkeypatch.context() as patched:
        patched.setattr("ranvier.recordings.files.os.getpid", lambda: -1)
        staged._cleanup()
    assert len(names(tmp_path)) == 1
    staged.abort()
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EACCES, "choose a folder that you may write to"),
        (errno.EIO, "cannot write"),
    ],
)
def test_errors_name_the_file_and_what_to_do(number: int, advice: str) -> None:
    with pytest.raises(OutputError, match=rf"out\.xdat.*{advice}|{advice}.*out\.xdat"), writing(Path("out.xdat")):
        raise OSError(number, os.strerror(number))


def test_our_own_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(OutputExistsError), writing(tmp_path):
        raise OutputExistsError("there already")


def test_bytes_reach_the_disk_while_more_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(files, "FLUSH_BEHIND_BYTES", 1000)
    monkeypatch.setattr(_platform, "flush_to_disk", lambda path: flushed.append(path.stat().st_size))
    staged = StagedFiles()
    handle = staged.open(tmp_path / "a")
    for _ in range(4):
        handle.write(bytes(600))
        handle.flush()
        staged.flush_behind(600)
    staged.commit([tmp_path / "a"])
    assert 1200 <= flushed[0] <= 2400  # before the commit, which flushes all
    assert flushed[-1] == 2400
    assert 2 <= len(flushed) <= 3


def test_what_the_disk_refuses_meanwhile_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flush = _platform.flush_to_disk
    refusals = [OSError(errno.EIO, "Input/output error")]

    def refuse_once(path: Path) -> None:
        if refusals:
            raise refusals.pop()
        flush(path)

    monkeypatch.setattr(_platform, "flush_to_disk", refuse_once)
    monkeypatch.setattr(files, "FLUSH_BEHIND_BYTES", 1)
    staged = StagedFiles()
    staged.open(tmp_path / "a").write(b"1")
    staged.flush_behind(1)
    with pytest.raises(OutputError, match=r"cannot write .*a: Input/output error"):
        staged.commit([tmp_path / "a"])
    staged.abort()
    assert names(tmp_path) == []


def test_only_folders_of_an_earlier_output_are_replaceable(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    check_replaceable(folder, ["*.npy"])
    folder.mkdir()
    check_replaceable(folder, [])
    (folder / "a.npy").write_bytes(b"")
    check_replaceable(folder, ["*.npy"])
    for name in ("b.txt", "c.txt", "d.txt", "e.txt"):
        (folder / name).write_bytes(b"")
    with pytest.raises(OutputError, match=r"b\.txt, c\.txt, d\.txt and 1 more, which would be lost"):
        check_replaceable(folder, ["*.npy"])
    with pytest.raises(OutputError, match="is a file, and a folder is to be written"):
        check_replaceable(folder / "a.npy", ["*.npy"])


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_file_never_replaces_a_folder_nor_the_other_way_round(tmp_path: Path, is_folder: bool) -> None:
    final, staged = tmp_path / "x", StagedFiles()
    if is_folder:
        final.mkdir()
        (final / "kept").write_text("kept")
        staged.write_bytes(final, b"new")
    else:
        final.write_text("kept")
        staged.path(final).mkdir()
    with pytest.raises(OutputError, match="choose another name"):
        staged.commit([final])
    staged.abort()
    assert (final / "kept" if is_folder else final).read_text() == "kept"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
