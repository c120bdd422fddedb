from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from ranvier.exceptions import SignalSelectionError
from ranvier.models import ChannelMetadata, KeyIndex, SignalArrays, SignalSpec, SignalType, SigSelect
from ranvier.models.flex import coerce_indices, coerce_signal_spec


def _select(spec: SignalSpec, channels: ChannelMetadata) -> dict[str, list[int]]:
    found = spec.to_sig_select(channels)
    assert found.key_idx == KeyIndex.NTV
    assert {found.of(kind).dtype for kind in SignalType} == {np.dtype(np.int64)}
    return {kind.name: found.of(kind).tolist() for kind in SignalType if found.of(kind).size}


def test_rows_come_in_request_order(channels: ChannelMetadata) -> None:
    assert _select(SignalSpec.amp([5, 4]), channels) == {"AMP": [5, 4]}
    assert _select(SignalSpec.all_amp(), channels) == {"AMP": [4, 7, 5]}
    assert _select(SignalSpec.amp("selected"), channels) == {"AMP": [7]}
    assert _select(SignalSpec.multi(amp=[7], din="all", ain="all"), channels) == {"AMP": [7], "DIN": [1]}
    assert _select(SignalSpec.din(), channels) == {"DIN": [1]}
    assert _select(SignalSpec.dout(), channels) == _select(SignalSpec.ain(), channels) == {}


@pytest.mark.parametrize("wrong", [SignalSpec.amp([0]), SignalSpec.ain([0]), SignalSpec.amp("every")])
def test_unknown_channels_are_refused(channels: ChannelMetadata, wrong: SignalSpec) -> None:
    with pytest.raises(SignalSelectionError):
        wrong.to_sig_select(channels)


def test_by_type_and_is_multi() -> None:
    assert SignalSpec.ain([1]).by_type == {SignalType.AIN: (1,)}
    multi = SignalSpec.multi(amp=range(2), dout=np.array([3]))
    assert multi.is_multi()
    assert not SignalSpec.all_amp().is_multi()
    assert multi.by_type == {SignalType.AMP: (0, 1), SignalType.DOUT: (3,)}
    with pytest.raises(ValueError, match="at least one type"):
        SignalSpec.multi()


@pytest.mark.parametrize("given", [[0, 2], (0, 2), range(0, 4, 2), np.array([0, 2], np.uint8), np.array([0.0, 2.0])])
def test_indices(given: object) -> None:
    found = coerce_indices(given)
    assert found == (0, 2)
    assert {type(i) for i in found} == {int}


@pytest.mark.parametrize("wrong", [[True, False], np.array([True, False]), [0.5], ["0"], {0, 1}, "01", 3, [[0]], None])
def test_what_are_no_indices(wrong: object) -> None:
    with pytest.raises(SignalSelectionError):
        coerce_indices(wrong)
    with pytest.raises(SignalSelectionError):
        coerce_signal_spec({"amp": wrong} if wrong is not None else None)


def test_a_type_that_is_none_is_not_wanted() -> None:
    assert coerce_signal_spec({"amp": [1], "din": None}) == SignalSpec.multi(amp=[1])


def test_signals_are_float64_and_compared_by_value() -> None:
    a = SignalArrays(amp=np.array([[1.0, np.nan]], np.float32))
    assert a.amp is not None
    assert a.amp.dtype == np.float64
    assert a == SignalArrays(amp=np.array([[1.0, np.nan]]))
    assert a != SignalArrays(amp=np.array([[1.0, 2.0]]))
    assert a != SignalArrays()
    assert a.of(SignalType.DIN) is None
    assert "<float64 (2, 30)>" in repr(SignalArrays(amp=np.zeros((2, 30))))


def test_an_array_of_the_right_type_is_not_copied() -> None:
    samples = np.zeros((2, 3))
    assert SignalArrays(amp=samples).amp is samples


@pytest.mark.parametrize("wrong", [np.array([True]), np.array([0.5]), ["a"]])
def test_selections_take_integers_only(wrong: object) -> None:
    none = np.empty(0, np.int64)
    with pytest.raises(ValidationError):
        SigSelect(amp=wrong, gpio_ain=none, gpio_din=none, gpio_dout=none, key_idx=KeyIndex.NTV)  # type: ignore[arg-type]
