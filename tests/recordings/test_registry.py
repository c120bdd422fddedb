"""Which format a path is, and what is said about paths that are none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ranvier.checks.files_xdat import write_xdat
from ranvier.exceptions import CapabilityError, NotARecordingError, RecordingError
from ranvier.models.dataset import RadiensFileType
from ranvier.recordings import all_formats, detect, format_for_type, open_session, registry


def test_every_format_is_complete() -> None:
    names = [known.name for known in all_formats()]
    assert len(set(names)) == len(names)
    for known in all_formats():
        assert known.suffixes
        if known.sink is not None:
            assert known.sink.file_type == known.file_type


@pytest.mark.parametrize("name", ["notes.txt", "picture.png", "recording.rhd", "recording.nwb", "x.xdat.json.txt"])
@pytest.mark.parametrize("content", [b"", b"hello", bytes(5000), b"\xff" * 5000])
def test_other_files_are_no_recordings(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=name.split(".")[0]):
        open_session(path)


def test_empty_missing_and_folders(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    with pytest.raises(NotARecordingError, match=r"empty\.txt is empty"):
        open_session(tmp_path / "empty.txt")
    with pytest.raises(NotARecordingError, match=r"nothing\[1\] does not exist"):
        open_session(tmp_path / "nothing[1]")
    with pytest.raises(NotARecordingError, match="is a folder without a recording that this version recognises"):
        open_session(tmp_path)


def test_a_wanted_type_is_insisted_on(tmp_path: Path) -> None:
    path, _ = write_xdat(tmp_path)
    assert open_session(path, RadiensFileType.XDAT).format == "XDAT"
    with pytest.raises(NotARecordingError, match="is not a Kilosort binary or headerless binary recording"):
        open_session(path, RadiensFileType.KILOSORT2)
    with pytest.raises(CapabilityError, match="PL2 files cannot be read or written"):
        format_for_type(RadiensFileType.PL2)


def test_a_name_that_looks_like_a_pattern(tmp_path: Path) -> None:
    path, _ = write_xdat(tmp_path, "a[1]*?")
    known, canonical = detect(tmp_path / "a[1]*?")
    assert (known.name, canonical) == ("XDAT", path)


def test_errors_of_libraries_become_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = write_xdat(tmp_path)
    for error in registry.FILE_ERRORS:

        def fail(*_: object, kind: type[Exception] = error) -> None:
            raise kind("inside")

        monkeypatch.setattr("ranvier.recordings.formats.xdat._load_metadata", fail)
        with pytest.raises(RecordingError, match=r"set\.xdat\.json: cannot be read as XDAT .*inside"):
            open_session(path)


def test_the_folder_where_one_stands_and_the_root_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotARecordingError, match=re.escape(str(tmp_path))):
        detect(Path())
    with pytest.raises(NotARecordingError, match="root"):
        detect(Path(tmp_path.anchor))
    with pytest.raises(NotARecordingError):
        registry.detect_as(Path(), RadiensFileType.NWB)
