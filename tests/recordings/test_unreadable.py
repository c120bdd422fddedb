"""Types that nobody outside their maker can read are named, with what to do instead."""

from __future__ import annotations

from pathlib import Path

import pytest
from scipy.io import savemat

from ranvier import CurateClient
from ranvier.exceptions import CapabilityError, NotARecordingError
from ranvier.models import RadiensFileType
from ranvier.recordings import format_for_type, open_session
from ranvier.recordings.registry import all_formats
from ranvier.recordings.unreadable import UNREADABLE_TYPES

#: Types that a later part of the program brings.
_ELSEWHERE = {RadiensFileType.SPIKES, RadiensFileType.UNKNOWN_FILE_TYPE}


@pytest.mark.parametrize(
    ("name", "words"),
    [("a.pl2", "Plexon PL2.*NEX5"), ("a.biointerface", "BIOINTERFACE"), ("a.kpi", "computed anew"), ("a.anc", "ANC")],
)
def test_by_suffix(tmp_path: Path, name: str, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(bytes(range(200)))
    with pytest.raises(CapabilityError, match=words) as caught:
        open_session(path)
    assert str(path) in str(caught.value)
    assert "What you can do" in str(caught.value)


def test_by_content(tmp_path: Path) -> None:
    path = tmp_path / "spikes.mat"
    savemat(path, {"x": [1, 2]})
    with pytest.raises(CapabilityError, match="MATLAB file"):
        open_session(path)
    path.write_bytes(b"not MATLAB at all")
    with pytest.raises(NotARecordingError):
        open_session(path)


def test_every_type_of_the_api_is_read_or_explained() -> None:
    read = {known.file_type for known in all_formats()}
    assert not read & set(UNREADABLE_TYPES)
    for file_type in UNREADABLE_TYPES:
        with pytest.raises(CapabilityError, match="What you can do"):
            format_for_type(file_type)


def test_folders_with_them_are_listed(tmp_path: Path) -> None:
    (tmp_path / "a.pl2").write_bytes(bytes(100))
    with CurateClient() as curate:
        assert curate.list_directory(tmp_path) == []
        with pytest.raises(CapabilityError, match="PL2"):
            curate.link_data_file(tmp_path / "a.pl2")
        with pytest.raises(CapabilityError, match="PL2"):
            curate.convert(tmp_path / "a.pl2", tmp_path / "b.xdat")
