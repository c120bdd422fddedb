"""Enums, constants and helpers of the classic API."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from ranvier import models
from ranvier.classic import utils
from ranvier.classic.utils import constants, enums, util
from ranvier.exceptions import ConfigurationError, RadiensError

FACTS = json.loads(Path(__file__).with_name("classic_facts.json").read_text())


@pytest.mark.parametrize("name", FACTS["enums"])
def test_every_documented_member_has_its_value(name: str) -> None:
    enum = getattr(enums, name)
    assert {member: enum[member].value for member in enum.__members__} == FACTS["enums"][name]


@pytest.mark.parametrize("name", FACTS["enums"])
def test_names_in_any_case_numbers_and_members_parse(name: str) -> None:
    enum = getattr(enums, name)
    if not issubclass(enum, enums.GrpcEnum):
        pytest.skip("a plain enum")
    for member in enum:
        assert enum.parse(member) is member
        assert enum.parse(member.name.lower()) is member
        assert enum.parse(f" {member.name.upper()} ") is member
        assert enum.parse(member.value) is member
        assert enum.parse(np.int64(member.value)) is member
        assert member.pb_value == member.value
    assert enum.all_string() == [member.name for member in enum.all()]
    assert enum.all_enum() == [member.value for member in enum]
    with pytest.raises(ValueError, match=enum.all()[-1].name):
        enum.parse("no such word")
    with pytest.raises(ValueError, match="valid"):
        enum.parse(987)
    for wrong in (None, 1.5, [1]):
        with pytest.raises(TypeError):
            enum.parse(wrong)


@pytest.mark.parametrize(
    ("word", "member"),
    [
        ("xdaq_one_req", "XDAQ_ONE_REC"),
        ("xdaq_core_req", "XDAQ_CORE_REC"),
        ("sim-spikes", "SMARTBOX_SIM_GEN_SPIKES"),
        ("sim-sine", "SMARTBOX_SIM_GEN_SINE"),
        ("sbpro", "SMARTBOX_PRO"),
        ("sbpro-sinaps-1024", "SMARTBOX_PRO_SINAPS_1024"),
        ("open-ephys_usb3", "OPEN_EPHYS_USB3"),
        ("intan512", "INTAN_RECORDING_CONTROLLER_512"),
        ("xdaq-core-stim", "XDAQ_CORE_STIM"),
    ],
)
def test_documented_words_for_modes(word: str, member: str) -> None:
    assert enums.SystemMode.parse(word) is enums.SystemMode[member]


def test_enums_meet_the_typed_ones_by_name() -> None:
    assert enums.RadiensFileType.parse(models.RadiensFileType.NWB) is enums.RadiensFileType.NWB
    assert enums.RadiensFileType.parse(".h5") is enums.RadiensFileType.HDF5
    with pytest.raises(ConfigurationError, match="XDAT"):
        enums.RadiensFileType.parse(models.RadiensFileType.SPIKEGLX)
    assert enums.Port.map_into_keys({"a": 1, 1: 2}) == {enums.Port.A: 1, enums.Port.B: 2}
    assert enums.Port.map_into_keys_as_names({0: 1}) == {"A": 1}
    assert enums.Port.map_into_keys_as_values({"h": 1}) == {7: 1}


def test_constants() -> None:
    for name, value in FACTS["constants"].items():
        found = getattr(constants, name)
        if isinstance(found, list):
            found = [str(member) for member in found]
        assert found == value, name
    for name, fields in FACTS["namedtuples"].items():
        assert list(getattr(constants, name)._fields) == fields
    assert utils.HEADSTAGE_ALIAS is constants.HEADSTAGE_ALIAS
    assert utils.PROBE_ALIAS is constants.PROBE_ALIAS
    assert utils.DEFAULT_HUB == constants.DEFAULT_HUB_ID == "default"


def test_every_helper_but_the_named_exceptions() -> None:
    missing = [name for name in FACTS["util"] if not hasattr(util, name)]
    assert [name for name in missing if f"``{name}``" not in str(util.__doc__)] == []
    assert len(missing) == 12


def test_time_range_from_seconds_and_counters() -> None:
    found = util.make_time_range([1.5, 2.0], fs=30000)
    assert isinstance(found, constants.TimeRange)
    assert found.timestamp.tolist() == [45000, 60000]
    assert found.timestamp.dtype == np.int64
    assert found.sec.dtype == np.float64
    assert (found.dur_sec, found.N, found.walltime) == (0.5, 15000, datetime.min)
    assert util.make_time_range(np.array([0.10007, 1.0]), fs=10000).timestamp.tolist() == [1000, 10000]  # truncated
    both = util.make_time_range([0, 1], timestamp=(30000, 60000), fs=30000.0)
    assert both.sec.tolist() == [1.0, 2.0]
    ours = models.TimeRange.from_samples(500, 1500, 1000.0, "2024-05-01T12:00:00+00:00")
    of_model = util.make_time_range([0, 1], fs=5, pbTR=ours)
    assert (of_model.fs, of_model.timestamp.tolist(), of_model.walltime.year) == (1000.0, [500, 1500], 2024)


def test_counters_survive_seconds() -> None:
    fs = 30000.0
    stamps = np.arange(100000, 100999)
    assert all(util.make_time_range([s / fs, (s + 1) / fs], fs=fs).timestamp[0] == s for s in stamps)


@pytest.mark.parametrize(
    "arguments",
    [
        {"time_range": [0, 1]},
        {"fs": 1000},
        {"time_range": [0, 1, 2], "fs": 1000},
        {"time_range": [1, np.nan], "fs": 1000},
        {"time_range": [0, np.inf], "fs": 1000},
        {"time_range": 3.0, "fs": 1000},
        {"time_range": [0, 1], "fs": 0},
    ],
)
def test_ranges_that_cannot_be(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError) as error:
        util.make_time_range(**arguments)  # type: ignore[arg-type]
    assert isinstance(error.value, RadiensError)


def test_chunks_lose_no_sample() -> None:
    whole = util.make_time_range(timestamp=[100, 1103], fs=1000.0, walltime=datetime(2024, 1, 1))
    chunks = util.time_range_chunks(whole, 4)
    assert [chunk.N for chunk in chunks] == [250, 250, 250, 253]
    assert util.is_concatable_trs(chunks)
    assert chunks[1].walltime == datetime(2024, 1, 1, 0, 0, 0, 250000)
    assert not util.is_concatable_trs([chunks[0], chunks[2]])
    assert not util.is_concatable_trs([chunks[0], util.make_time_range(timestamp=[350, 600], fs=999.0)])
    with pytest.raises(ConfigurationError):
        util.time_range_chunks(whole, 0)


def test_selectors() -> None:
    found = util.make_signal_selector(amp=[3, 1], ain=2, din="all", dout="sel")
    assert [list(part) for part in found[:4]] == [[3, 1], [2], [-2], [-3]]
    assert found.key_idx is enums.KeyIndex.NTV
    plain = util.make_signal_selector(amp=range(5), dout=np.array([0]))
    assert util.calc_num_chans(plain) == 6
    assert util.calc_sig_size_bytes(plain, util.make_time_range([0, 1], fs=1000)) == 24000
    with pytest.raises(ConfigurationError):
        util.calc_num_chans(found)
    with pytest.raises(ValueError, match="all"):
        util.make_signal_selector(amp="every")
    with pytest.raises(TypeError):
        util.make_signal_selector(amp=[0.5])


def test_key_indices() -> None:
    keys = constants.KeyIdxs(ntv=[4, 9], dset=[0, 1], sys=[4, 9])
    assert util.ntv_to_dset_dict(keys) == {4: 0, 9: 1}
    assert util.dset_to_ntv_dict(keys) == {0: 4, 1: 9}
    assert util.equal_key_idxs([keys, constants.KeyIdxs([4, 9], [0, 1], [4, 9])])
    assert not util.equal_key_idxs([keys, constants.KeyIdxs([9, 4], [0, 1], [4, 9])])


def test_xdat_files(tmp_path: Path) -> None:
    for part in ("_data.xdat", "_timestamp.xdat", ".xdat.json"):
        (tmp_path / f"rec.1{part}").write_text("x")
    (tmp_path / "rec.1_notes.txt").write_text("keep")
    for spelling in ("rec.1", "rec.1.xdat", "rec.1.xdat.json"):
        assert util.is_xdat_file(tmp_path / spelling)
    util.rm_xdat_file(str(tmp_path / "rec.1.xdat"))
    assert [f.name for f in tmp_path.iterdir()] == ["rec.1_notes.txt"]
    util.rm_xdat_file(tmp_path / "rec.1")
    assert not util.is_xdat_file(tmp_path / "rec.1")


def test_small_helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    datetime.strptime(util.time_now(), constants.TIME_SPEC)
    assert util.file_types("spikes") == ["spikes"]
    assert util.file_types() == [*util.file_types("recording"), "spikes"]
    with pytest.raises(ValueError, match="recording"):
        util.file_types("pictures")
    assert util.make_site_pos((1, 2, 3), (4, 5, 6)).tissue_x == 4
    assert util.is_allego_addr("localhost:50051 ")
    assert not util.is_allego_addr("localhost:50055")
    monkeypatch.setenv("RADIENS_DEV", "1")
    assert util.is_dev()
    monkeypatch.setenv("RADIENS_PROD", "1")
    assert not util.is_dev()
    assert not util.is_qa()
    assert util.get_user_app_data_dir().name == "radiens"
    histogram = util.Histogram(stats=None, counts=[1], dividers=[0, 1], num_bins=1, scale="pdf")
    assert histogram.num_bins == 1
