"""Every method of the classic CurateClient, called, with its effect."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ranvier import VidereClient as TypedClient
from ranvier import connect
from ranvier.classic import CurateClient
from ranvier.classic.spikes_client import SpikesClient
from ranvier.classic.utils.enums import ClientType
from ranvier.exceptions import (
    ClientClosedError,
    ConfigurationError,
    GraphError,
    NotARecordingError,
    OutputExistsError,
    RadiensError,
    ServerDiscoveryError,
    SignalSelectionError,
)

Floats = npt.NDArray[np.float64]


@pytest.fixture
def curate() -> Iterator[CurateClient]:
    with CurateClient() as client:
        yield client


def amp(path: Path) -> Floats:
    with TypedClient(progress=False) as typed:
        found = typed.get_signals(str(path), signals="all").amp
    assert found is not None
    return found


def finish(client: CurateClient, stream_id: str, protocol: str) -> None:
    assert stream_id.startswith(f"{protocol}__")
    assert len(stream_id) == len(protocol) + 2 + 9
    client.progress_bar(stream_id)
    assert client.dsp_progress(stream_id) == 1.0


#: Documented protocol name, call, and what the typed client does for the same words.
FILTERS: dict[str, tuple[str, Callable[..., str], Callable[..., Any]]] = {
    "low": (
        "lp_filter",
        lambda c, s, t: c.dsp_low_pass_filter(500, s, t),
        lambda v, s, t: v.lowpass(s, 500, t),
    ),
    "high": (
        "hp_filter",
        lambda c, s, t: c.dsp_high_pass_filter(300, s, t),
        lambda v, s, t: v.highpass(s, 300, t),
    ),
    "band": (
        "bp_filter",
        lambda c, s, t: c.dsp_band_pass_filter(300, 5000, s, t),
        lambda v, s, t: v.bandpass(s, 300, 5000, t),
    ),
    "stop": (
        "bs_filter",
        lambda c, s, t: c.dsp_band_stop_filter(300, 5000, s, t),
        lambda v, s, t: v.bandstop(s, 300, 5000, t),
    ),
    "notch": (
        "notch_filter",
        lambda c, s, t: c.dsp_notch_filter(50, 4, s, t),
        lambda v, s, t: v.notch(s, 50, 4, t),
    ),
}


@pytest.mark.parametrize("which", FILTERS)
def test_filters_give_what_the_typed_client_gives(curate: CurateClient, made: Path, tmp_path: Path, which: str) -> None:
    protocol, classic, typed = FILTERS[which]
    finish(curate, classic(curate, made, str(tmp_path / "classic")), protocol)
    with TypedClient(progress=False) as client:
        typed(client, str(made), tmp_path / "typed.xdat")
    ours = amp(tmp_path / "classic.xdat")
    assert ours.shape == amp(made).shape
    assert np.array_equal(ours, amp(tmp_path / "typed.xdat"))
    assert not np.array_equal(ours, amp(made))


def test_references(curate: CurateClient, made: Path, tmp_path: Path) -> None:
    raw = amp(made)
    finish(curate, curate.dsp_car(made, tmp_path / "car.xdat"), "CAR")
    assert np.allclose(amp(tmp_path / "car.xdat"), raw - raw.mean(axis=0), atol=0.5)
    finish(curate, curate.dsp_virtual_ref(2, made, tmp_path / "ref.xdat"), "virtual_ref")
    referenced = amp(tmp_path / "ref.xdat")
    assert np.allclose(referenced, raw - raw[2], atol=0.5)
    assert not referenced[2].any()


def test_paired_difference_is_source_minus_reference(curate: CurateClient, made: Path, tmp_path: Path) -> None:
    raw = amp(made)
    finish(curate, curate.dsp_paired_diff(1, 4, made, tmp_path / "diff.xdat"), "paired_diff")
    found = amp(tmp_path / "diff.xdat")
    assert np.allclose(found[1], raw[1] - raw[4], atol=0.5)
    assert not found[4].any()
    assert np.allclose(found[0], raw[0], atol=0.5)


def test_decimation_keeps_every_kth_sample(curate: CurateClient, made: Path, tmp_path: Path) -> None:
    finish(curate, curate.dsp_time_decimate(5, made, tmp_path / "thin.xdat"), "decimate")
    assert np.allclose(amp(tmp_path / "thin.xdat"), amp(made)[:, ::5], atol=0.5)


def test_slice_of_time_is_absolute(curate: CurateClient, made: Path, tmp_path: Path) -> None:
    finish(curate, curate.dsp_slice_time(3.5, 4.25, made, tmp_path / "part.xdat"), "slice_time_0")
    with TypedClient(progress=False) as typed:
        assert tuple(typed.link_data_file(tmp_path / "part.xdat").time_range.sec) == (3.5, 4.25)


def test_slice_of_channels_removes_as_documented(curate: CurateClient, made: Path, tmp_path: Path) -> None:
    finish(curate, curate.dsp_slice_channels([0, 3], made, tmp_path / "less.xdat"), "slice_chan_0")
    assert np.allclose(amp(tmp_path / "less.xdat"), np.delete(amp(made), [0, 3], axis=0), atol=0.5)
    with pytest.raises(SignalSelectionError, match="9999"):
        curate.dsp_slice_channels([0, 9999], made, tmp_path / "none.xdat")


@pytest.mark.parametrize(
    ("kind", "dest", "made_file"),
    [
        ("nwb", "a", "a.nwb"),
        ("KILOSORT2", "b", "b.bin"),
        ("xdat", "c.nwb", "c.nwb"),
        ("csv", "d", "d.csv"),
        (4, "e", "e.nex5"),
    ],
)
def test_file_convert(
    curate: CurateClient, made: Path, tmp_path: Path, kind: str | int, dest: str, made_file: str
) -> None:
    finish(curate, curate.file_convert(made, tmp_path / dest, kind), "file_convert")  # type: ignore[arg-type]
    assert (tmp_path / made_file).is_file()
    converted = amp(tmp_path / made_file)
    assert converted.shape == amp(made).shape
    assert np.abs(converted - amp(made)).max() < 0.5


def test_bad_requests_are_raised_at_once(curate: CurateClient, made: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="file_convert does not make RHD; it makes CSV"):
        curate.file_convert(made, tmp_path / "x", "rhd")
    with pytest.raises(ConfigurationError, match="KILOSORT2"):
        curate.file_convert(made, tmp_path / "x", "docx")
    with pytest.raises(GraphError, match="LOWPASS"):
        curate.dsp_low_pass_filter(1e6, made, tmp_path / "x")
    with pytest.raises((NotARecordingError, LookupError)):
        curate.dsp_car(tmp_path / "nothing.xdat", tmp_path / "x")
    with pytest.raises(RadiensError, match="source"):
        curate.dsp_car(made, made, force=True)
    with pytest.raises(ServerDiscoveryError, match="known are 'default'"):
        curate.dsp_car(made, tmp_path / "x", hub_name="lab")
    assert list(tmp_path.iterdir()) == []


def test_existing_targets_need_force(curate: CurateClient, made: Path, tmp_path: Path) -> None:
    finish(curate, curate.dsp_slice_time(3.0, 3.5, made, tmp_path / "x"), "slice_time_0")
    with pytest.raises(OutputExistsError):
        curate.dsp_slice_time(3.0, 4.0, made, tmp_path / "x")
    finish(curate, curate.dsp_slice_time(3.0, 4.0, made, tmp_path / "x.xdat", force=True), "slice_time_0")
    assert amp(tmp_path / "x.xdat").shape[1] == 30_000


def test_streams_are_kept_until_cleaned_up(curate: CurateClient, made: Path, tmp_path: Path) -> None:
    first = curate.dsp_car(made, tmp_path / "a")
    entry = curate.dsp_stream[first]
    assert set(entry) == {"data_source", "protocol", "stream"}
    assert [node.id for node in entry["protocol"].nodes] == ["src_0", "CAR_REF", "targ_0"]
    assert [edge.id for edge in entry["protocol"].edges] == ["edge_0", "edge_1"]
    assert 0.0 <= curate.dsp_progress(first) <= 1.0
    curate.progress_bar(first)
    curate.dsp_clean_up()
    assert curate.dsp_stream == {}
    with pytest.raises(KeyError, match="no stream"):
        curate.dsp_progress(first)
    with pytest.raises(KeyError, match="no stream"):
        curate.progress_bar("nope")


def test_the_source_is_unlinked_unless_it_was_linked_before(curate: CurateClient, made: Path, tmp_path: Path) -> None:
    with TypedClient(progress=False) as typed:
        curate.progress_bar(curate.dsp_car(made, tmp_path / "a"))
        assert typed.list_data_source_ids() == []
        mine = typed.link_data_file(made)
        curate.progress_bar(curate.dsp_car(made, tmp_path / "b"))
        assert typed.list_data_source_ids() == [mine.id]


def test_what_goes_wrong_later_is_raised_by_who_asks(curate: CurateClient, made: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    try:
        stream = curate.dsp_car(made, blocked / "x")
    except RadiensError:
        return  # known at once is as good
    with pytest.raises(RadiensError):
        curate.progress_bar(stream)
    with pytest.raises(RadiensError):
        curate.dsp_progress(stream)


def test_a_script_that_ends_finishes_its_streams(made: Path, tmp_path: Path) -> None:
    code = f"from ranvier.classic import CurateClient; CurateClient().dsp_car({str(made)!r}, {str(tmp_path / 'x')!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert amp(tmp_path / "x.xdat").shape == amp(made).shape


def test_the_client_itself(curate: CurateClient, tmp_path: Path) -> None:
    connect.name_hub("lab", f"embedded:{tmp_path}")
    assert curate.type is ClientType.CURATE
    assert curate.id == ""
    assert list(curate.hubs) == ["default", "lab"]
    assert curate.hubs["default"]["ip_address"] == "localhost"
    assert isinstance(curate.spikes(), SpikesClient)
    curate.close()
    with pytest.raises(ClientClosedError):
        curate.dsp_car("a", "b")
    with pytest.raises(ServerDiscoveryError, match="known are 'default', 'lab'"):
        CurateClient(hub_name="nope")
