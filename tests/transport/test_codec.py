"""Values there and back: every type that a Protocol may name."""

from __future__ import annotations

import dataclasses
import importlib
import math
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from enum import Enum, IntEnum, IntFlag
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import BaseModel, ConfigDict, PrivateAttr

import ranvier.models
from ranvier.exceptions import CapabilityError, ConfigurationError, ServerCommunicationError
from ranvier.models.channels import ChannelMetadata, KeyIdxs, SignalUnits, SitePosition
from ranvier.models.core_config import SetCoreConfigRequest
from ranvier.models.dataset import TransformNode
from ranvier.models.events import EventTable
from ranvier.models.jobs import JobProgress
from ranvier.models.signals import KeyIndex, SignalArrays, SignalType, SigSelect
from ranvier.models.stim import StimKeypressIndex, StimParamsPartial
from ranvier.models.time_range import TimeRange, TimeRangeSpec
from ranvier.services.signals import SignalBlock
from ranvier.transport.codec import codec_for
from ranvier.transport.frames import Filler, Message, Writer, chunks, pack

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def there_and_back(kind: Any, value: Any, *, ahead: bool = False) -> Any:
    codec = codec_for(kind)
    writer = Writer()
    encoded = codec.encode(value, writer)
    message = Message.parse(pack("value", encoded, writer, ahead=ahead))
    if not ahead:
        return codec.decode(message.value, message.arrays())
    arrays = [np.empty(spec.shape, spec.dtype) for spec in message.specs()]
    filler = Filler(arrays)
    for chunk in chunks(writer.arrays, 64):
        filler.put(chunk)
    assert filler.is_full
    return codec.decode(message.value, arrays)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, float):
        return type(b) is float and (a == b or (math.isnan(a) and math.isnan(b)))
    return type(a) is type(b) and a == b


arrays = hnp.arrays(
    dtype=st.one_of(
        hnp.boolean_dtypes(),
        hnp.integer_dtypes(endianness="?"),
        hnp.unsigned_integer_dtypes(endianness="?"),
        hnp.floating_dtypes(endianness="?"),
        hnp.complex_number_dtypes(),
        hnp.datetime64_dtypes(),
        hnp.timedelta64_dtypes(),
        hnp.byte_string_dtypes(min_len=1),
        hnp.unicode_string_dtypes(min_len=1),
        hnp.array_dtypes(hnp.integer_dtypes(), max_size=3),
    ),
    shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
)


@quick
@given(arrays, st.booleans(), st.sampled_from(["as is", "transposed", "reversed", "every second", "fortran"]))
def test_arrays_of_all_kinds(array: npt.NDArray[Any], ahead: bool, layout: str) -> None:
    if array.ndim:
        array = {
            "as is": array,
            "transposed": array.T,
            "reversed": array[::-1],
            "every second": array[..., ::2],
            "fortran": np.asfortranarray(array),
        }[layout]
    back = there_and_back(npt.NDArray[Any], array, ahead=ahead)
    assert same(np.ascontiguousarray(array).reshape(array.shape), back)
    assert back.flags.writeable
    assert back.flags.c_contiguous


class Colour(Enum):
    RED = (1, 2)
    BLUE = "b"


class Flag(IntFlag):
    A = 1
    B = 2


class Count(IntEnum):
    ONE = 1


class Pair(NamedTuple):
    first: int
    second: str | None


scalars: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (str, st.text(st.characters(codec="utf-8"))),
    (int, st.integers()),
    (float, st.floats()),
    (bool, st.booleans()),
    (bytes, st.binary()),
    (type(None), st.none()),
    (datetime, st.datetimes(timezones=st.one_of(st.none(), st.just(timezone(timedelta(hours=5, minutes=30)))))),
    (timedelta, st.timedeltas()),
    (Fraction, st.fractions()),
    (Path, st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1).map(Path)),
    (Colour, st.sampled_from(Colour)),
    (Flag, st.sampled_from([Flag.A, Flag.B, Flag.A | Flag.B, Flag(0)])),
    (SignalType, st.sampled_from(SignalType)),
    (Literal["a", 1], st.sampled_from(["a", 1])),
    (Pair, st.builds(Pair, st.integers(), st.none() | st.text(st.characters(codec="utf-8")))),
]


@pytest.mark.parametrize(("kind", "strategy"), scalars, ids=[str(kind) for kind, _ in scalars])
@quick
@given(st.data())
def test_values_and_containers_of_them(kind: Any, strategy: st.SearchStrategy[Any], data: st.DataObject) -> None:
    value = data.draw(strategy)
    assert same(there_and_back(kind, value), value)
    several = data.draw(st.lists(strategy, max_size=4))
    for container, make in ((list[kind], list), (tuple[kind, ...], tuple), (Sequence[kind], list)):
        back = there_and_back(container, several)
        assert type(back) is make
        assert all(map(same, several, back))
    assert same(there_and_back(kind | None if isinstance(kind, type) else kind, value), value)
    back = there_and_back(Mapping[SignalType, kind], {SignalType.DIN: value})
    assert list(back) == [SignalType.DIN]
    assert same(back[SignalType.DIN], value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int | StimKeypressIndex, StimKeypressIndex(1)),
        (int | StimKeypressIndex, 1),
        (int | str | None, "1"),
        (int | str | None, None),
        (tuple[int, ...] | str, (1, 2)),
        (tuple[int, ...] | str, "all"),
        (list[int] | list[str], ["a"]),
        (list[int] | list[str], [1]),
        (float | int, 1),
        (dict[int, str], {3: "c", 1: "a"}),
        (dict[str, float], {"": math.inf}),
        (tuple[int, str], (1, "a")),
        (set[int], {1, 2}),
        (frozenset[str], frozenset("ab")),
        (tuple[()], ()),
    ],
)
def test_unions_and_mappings(kind: Any, value: Any) -> None:
    back = there_and_back(kind, value)
    assert same(back, value)
    if isinstance(value, dict):
        assert list(back) == list(value)


def test_sequences_take_arrays() -> None:
    assert there_and_back(Sequence[int], np.array([3, 1])) == [3, 1]
    assert there_and_back(Sequence[int], range(3)) == [0, 1, 2]
    assert there_and_back(Sequence[int], (3, 1)) == (3, 1)
    assert there_and_back(Sequence[Sequence[int]], ((3, 1), [2])) == ((3, 1), [2])
    assert there_and_back(list[float], [np.float32(0.5), np.int8(3)]) == [0.5, 3.0]


@quick
@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=6)),
    st.sampled_from(SignalType),
)
def test_signal_blocks(samples: npt.NDArray[np.float32], kind: SignalType) -> None:
    block = SignalBlock(
        {kind: samples}, TimeRange.from_samples(5, 5 + len(samples), Fraction(30_000_000, 1001)), ((6, 7),)
    )
    for ahead in (False, True):
        back = there_and_back(SignalBlock, block, ahead=ahead)
        assert back.time_range == block.time_range
        assert back.gaps == block.gaps
        assert same(back.samples[kind], samples)


def channel_metadata(n: int) -> ChannelMetadata:
    keys = {SignalType.AMP: KeyIdxs(ntv=list(range(n)), dset=list(range(n)), sys=list(range(n)))}
    names = {SignalType.AMP: [f"c{i}" for i in range(n)]}
    site = SitePosition(**{name: 1.5 if name != "site_shape" else "circle" for name in SitePosition.model_fields})
    return ChannelMetadata(
        dataset_uid="x",
        fs=30_000.0,
        source_label="",
        neighbor_max_radius_um=math.nan,
        signal_units={SignalType.AMP: SignalUnits.MICROVOLTS},
        has_discrete=False,
        has_continuous_amp=True,
        sig_map=keys,
        selected_sig_map=keys,
        num_channels={SignalType.AMP: n},
        selected_num_channels={SignalType.AMP: n},
        site_positions=[site] * n,
        chan_names=names,
        ntv_chan_names=names,
        probe_ids=names,
        headstage_ids=names,
        sensor_ids=names,
    )


MODELS: list[Callable[[], BaseModel]] = [
    lambda: channel_metadata(3),
    lambda: TimeRangeSpec.full(),
    lambda: TimeRangeSpec.lookback(1.0),
    lambda: SigSelect(amp=[1], gpio_ain=[], gpio_din=[], gpio_dout=[], key_idx=KeyIndex.NTV),
    lambda: SignalArrays(amp=np.full((2, 3), np.nan)),
    lambda: EventTable(sec=[0.5], timestamp=[2**53 + 1], line=[-1], state=[1], source=("a",), text=("µ",)),
    lambda: StimParamsPartial(stim_sys_chan_idx=3, trigger_source_idx=StimKeypressIndex(1)),
    lambda: StimParamsPartial(stim_sys_chan_idx=3, trigger_source_idx=7),
    lambda: SetCoreConfigRequest(samp_freq=30_000.0),
]


@pytest.mark.parametrize("make", MODELS)
def test_models(make: Callable[[], BaseModel]) -> None:
    model = make()
    back = there_and_back(type(model), model)
    assert type(back) is type(model)
    assert repr(back) == repr(model)
    assert back.model_fields_set == model.model_fields_set
    for name in type(model).model_fields:
        one, other = getattr(model, name), getattr(back, name)
        assert same(one, other) if isinstance(one, (np.ndarray, float)) else type(one) is type(other)


@pytest.mark.parametrize("n", [0, 1, 2, 1000])
def test_lists_of_records_travel_as_columns(n: int) -> None:
    sites = channel_metadata(n).site_positions
    writer = Writer()
    assert isinstance(codec_for(list[SitePosition]).encode(sites, writer), dict) is (n > 1)
    back = there_and_back(tuple[SitePosition, ...], sites)
    assert back == tuple(sites)
    assert len({id(site) for site in back}) == n


def test_tables_keep_what_was_set_and_fall_back_where_rows_differ() -> None:
    jobs = [JobProgress(fraction=float(i)) for i in range(3)]
    back = there_and_back(list[JobProgress], jobs)
    assert back == jobs
    assert [job.model_fields_set for job in back] == [{"fraction"}] * 3
    mixed = [*jobs, JobProgress(label="a", remaining_sec=1.0)]
    back = there_and_back(list[JobProgress], mixed)
    assert [job.model_fields_set for job in back] == [job.model_fields_set for job in mixed]
    nodes = [Node(value=i) for i in range(3)]
    assert there_and_back(list[Node], nodes) == nodes
    points = [Point(1, 2.0), Point(3, math.inf)]
    assert there_and_back(list[Point], points) == points
    assert there_and_back(list[Empty], [Empty(), Empty()]) == [Empty(), Empty()]


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"rows": 2, "columns": {"x": [1, 2], "y": [1.0]}},
        {"rows": 2, "columns": {"x": [1, "2"], "y": [1.0, 2.0]}},
        {"rows": 2, "columns": {"x": [1, 2], "z": [1.0, 2.0]}},
        {"rows": 2, "columns": {"x": [1, 2]}},
    ],
)
def test_tables_are_checked(table: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        codec_for(list[Point]).decode(table, [])


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: float


@dataclasses.dataclass(frozen=True)
class Empty:
    pass


def test_arrays_of_models_travel_as_buffers() -> None:
    writer = Writer()
    codec_for(SignalArrays).encode(SignalArrays(amp=np.zeros((4, 10_000))), writer)
    assert [array.nbytes for array in writer.arrays] == [320_000]


def every_model() -> list[type[BaseModel]]:
    found = {}
    for info in pkgutil.iter_modules(ranvier.models.__path__):
        module = importlib.import_module(f"ranvier.models.{info.name}")
        for name in getattr(module, "__all__", ()):
            kind = getattr(module, name)
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found[name] = kind
    return list(found.values())


@pytest.mark.parametrize("kind", every_model(), ids=lambda kind: kind.__name__)
def test_every_model_can_travel(kind: type[BaseModel]) -> None:
    assert codec_for(kind).structure.startswith(kind.__name__)


def test_transform_nodes_keep_the_kind_of_their_parameters() -> None:
    make = TransformNode
    nodes = [
        make.highpass(300), make.lowpass(3000, 2), make.bandpass(300, 6000), make.bandstop(45, 55), make.notch(50, 5),
        make.car(), make.virtual_ref(3), make.paired_ref(3, 5), make.downsample(10), make.slice_channels([3, 1]),
        make.slice_time(1.0, 2.5), make.correct_skew(),
    ]  # fmt: skip
    assert len({node.type for node in nodes}) == len(nodes)
    for node in nodes:
        back = there_and_back(TransformNode, node)
        assert back == node
        assert type(back.params) is type(node.params)


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class Secret(BaseModel):
    _hidden: int = PrivateAttr(0)


class Node(BaseModel):
    value: int
    children: list[Node] = []


@dataclasses.dataclass(frozen=True)
class Holder:
    thing: object


def test_models_that_contain_themselves() -> None:
    tree = Node(value=1, children=[Node(value=2, children=[Node(value=3)])])
    assert there_and_back(Node, tree) == tree


@pytest.mark.parametrize(
    "kind",
    [
        object,
        Any,
        complex,
        Holder,
        Open,
        Secret,
        list,
        dict,
        npt.NDArray[np.object_],
        Callable[[int], None],
        "str",
        type,
    ],
)
def test_types_that_cannot_travel(kind: Any) -> None:
    with pytest.raises(CapabilityError, match=r"sent"):
        codec_for(kind)


class Sub(KeyIdxs):
    more: int = 0


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, "1"),
        (int, True),
        (int, 1.0),
        (float, "1"),
        (bool, 1),
        (str, b"a"),
        (str, None),
        (bytes, "a"),
        (Path, 3),
        (SignalType, 0),
        (list[int], "12"),
        (list[int], [1, "2"]),
        (tuple[int, int], (1, 2, 3)),
        (dict[str, int], [("a", 1)]),
        (Literal["a"], "b"),
        (npt.NDArray[np.float32], np.zeros(3)),
        (npt.NDArray[np.float32], [1.0]),
        (npt.NDArray[Any], np.array([object()])),
        (KeyIdxs, Sub(ntv=[], dset=[], sys=[])),
        (datetime, "2020-01-01"),
        (int | str, 1.5),
    ],
)
def test_values_of_another_type_are_refused(kind: Any, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"expected|cannot be sent"):
        there_and_back(kind, value)


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        (int, "1"),
        (SignalType, "NO"),
        (list[int], {}),
        (npt.NDArray[Any], 5),
        (KeyIdxs, {"ntv": [1]}),
        (int | str, [7, 1]),
        (tuple[int, str], [1]),
        (dict[int, int], [[1]]),
        (Fraction, [1, 0]),
        (datetime, "no"),
        (timedelta, ["x"]),
    ],
)
def test_what_comes_is_checked(kind: Any, raw: Any) -> None:
    with pytest.raises(ConfigurationError):
        codec_for(kind).decode(raw, [])


@pytest.mark.parametrize("data", [b"", b"\1", b"\xff\xff\xff\xff{}", b"\2\0\0\0{}", b"\2\0\0\0[]", b"\3\0\0\0{]}"])
def test_messages_that_are_none(data: bytes) -> None:
    with pytest.raises(ServerCommunicationError, match="not Ranvier's"):
        Message.parse(data)


def test_more_chunks_than_announced() -> None:
    filler = Filler([np.empty(3, np.uint8)])
    with pytest.raises(ServerCommunicationError, match="more bytes"):
        filler.put(b"1234")
