"""An API file type may belong to several formats: each recording opens as the one that recognises it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ranvier.exceptions import CapabilityError, NotARecordingError
from ranvier.models.file_types import RadiensFileType
from ranvier.recordings import detect_as, open_session


@pytest.fixture
def headerless(tmp_path: Path) -> Path:
    """Return a headerless file with its sidecar; its type is that of Kilosort files."""
    path = tmp_path / "rec.dat"
    np.arange(4000, dtype="<i2").reshape(1000, 4).tofile(path)
    (tmp_path / "rec.dat.json").write_text(json.dumps({"fs": 1000, "num_channels": 4, "gain_uv": 1.0}))
    return path


def test_a_headerless_file_opens_by_its_type(headerless: Path) -> None:
    known, canonical = detect_as(headerless, RadiensFileType.KILOSORT2)
    assert (known.name, canonical) == ("headerless binary", headerless)
    with open_session(headerless, RadiensFileType.KILOSORT2) as session:
        recording = session.stream()
        assert len(recording.channels) == 4
        assert recording.read(999, 1000).samples.tolist() == [[3996.0, 3997.0, 3998.0, 3999.0]]


def test_a_headerless_file_links_and_is_found_again(headerless: Path) -> None:
    from ranvier import VidereClient

    with VidereClient() as videre:
        linked = videre.link_data_file(headerless)
        assert linked.duration == 1.0
        assert videre.link_data_file(headerless, linked.file_type).id == linked.id
        assert [entry.duration_sec for entry in videre.list_directory(headerless.parent)] == [1.0]


def test_refusals_name_what_was_asked(headerless: Path) -> None:
    with pytest.raises(NotARecordingError, match=r"rec\.dat is not a XDAT recording"):
        detect_as(headerless, RadiensFileType.XDAT)
    with pytest.raises(CapabilityError, match="PL2"):
        detect_as(headerless, RadiensFileType.PL2)
