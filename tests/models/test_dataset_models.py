from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from ranvier.exceptions import ConfigurationError
from ranvier.models import (
    DatasetMetadata,
    HighLowPassParams,
    NotchParams,
    RadiensFileType,
    SourceParams,
    TransformEdge,
    TransformNode,
    TransformNodeType,
)
from ranvier.models.transform_params import PARAMS_OF

XDAT = RadiensFileType.XDAT


def test_dataset_properties(dataset: DatasetMetadata) -> None:
    assert dataset.duration == 2.0
    assert dataset.sampling_rate == 30_000
    assert dataset.base_path == Path("data") / "rat1"


def test_repr_is_short_and_says_what_matters(dataset: DatasetMetadata) -> None:
    assert "SIMULATED" not in repr(dataset)
    assert "3 AMP, 1 DIN" in repr(dataset)
    marked = dataset.model_copy(update={"simulated": True, "lost_samples": 12, "gaps": ((0.5, 0.6),)})
    assert str(marked).startswith("<SIMULATED ")
    assert "12 samples lost" in str(marked)
    assert "1 gaps" in str(marked)
    assert len(repr(marked)) < 200


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda d: TransformNode.highpass(300), TransformNodeType.HIGHPASS_FILTER),
        (lambda d: TransformNode.lowpass(300, 3), TransformNodeType.LOWPASS_FILTER),
        (lambda d: TransformNode.bandpass(300, 6000), TransformNodeType.BANDPASS_FILTER),
        (lambda d: TransformNode.bandstop(49, 51, 2), TransformNodeType.BANDSTOP_FILTER),
        (lambda d: TransformNode.notch(50, 2), TransformNodeType.NOTCH_FILTER),
        (lambda d: TransformNode.car(), TransformNodeType.CAR_REF),
        (lambda d: TransformNode.virtual_ref(3), TransformNodeType.VIRTUAL_REF),
        (lambda d: TransformNode.paired_ref(3, 4), TransformNodeType.PAIRED_REF),
        (lambda d: TransformNode.slice_time(0.5, 1), TransformNodeType.SLICE_TIME),
        (lambda d: TransformNode.slice_channels((3, 1)), TransformNodeType.SLICE_CHANNELS),
        (lambda d: TransformNode.downsample(10), TransformNodeType.DOWNSAMPLE),
        (TransformNode.source, TransformNodeType.SOURCE),
        (lambda d: TransformNode.sink("b", "p", XDAT), TransformNodeType.SINK),
        (lambda d: TransformNode.bulk_source([d, d]), TransformNodeType.BULK_SOURCE),
        (lambda d: TransformNode.bulk_sink("s", "p", XDAT), TransformNodeType.BULK_SINK),
    ],
)
def test_nodes_survive_json(
    dataset: DatasetMetadata, make: Callable[[DatasetMetadata], TransformNode], kind: TransformNodeType
) -> None:
    node = make(dataset)
    assert node.type == kind
    assert type(node.params) is PARAMS_OF[kind]
    assert TransformNode.model_validate_json(node.model_dump_json()) == node
    assert make(dataset).id != node.id


def test_source_names_the_dataset(dataset: DatasetMetadata) -> None:
    expected = SourceParams(dataset_id=dataset.id, base_name="rat1", path="data", file_type=XDAT)
    assert TransformNode.source(dataset).params == expected


def test_notch_takes_both_names() -> None:
    old, new = NotchParams(notch_frequency=60, bandwidth=2), NotchParams(frequency=60, bandwidth=2)  # type: ignore[call-arg]
    assert old == new
    assert new.frequency == new.notch_frequency == 60
    assert TransformNode.notch(frequency=60, bandwidth=2).params == old
    assert TransformNode.notch(notch_frequency=60, bandwidth=2).params == old


def test_notch_refuses() -> None:
    with pytest.raises(ValidationError, match="one parameter"):
        NotchParams(notch_frequency=60, frequency=50, bandwidth=2)  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError):
        TransformNode.notch(60)
    with pytest.raises(ConfigurationError):
        TransformNode.notch(60, 2, frequency=50)
    with pytest.raises(ValidationError, match="greater than 0"):
        NotchParams(notch_frequency=60, bandwidth=0)
    with pytest.raises(ConfigurationError, match="at least 1"):
        TransformNode.slice_channels([])


def test_a_node_of_an_unknown_type_is_refused() -> None:
    for kind in (8, "HIGHPASS_FILTER", []):
        with pytest.raises(ValidationError):
            TransformNode.model_validate({"type": kind, "params": {"frequency": 3}})
    node = TransformNode(type=TransformNodeType.HIGHPASS_FILTER, params=HighLowPassParams(frequency=3))
    assert TransformEdge(source=node.id, target="x").source == node.id
