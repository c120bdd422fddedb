"""Friendly arguments of the clients: what each ``Flex*`` type accepts, and the functions that read it.

Every ``coerce_*`` function takes what a user may write and returns the value that is meant, or raises one of our
exceptions (all of them ValueErrors) with a message that lists what is accepted. The ``Flex*`` types are the same for
pydantic's ``validate_call``, which wraps the error into its ValidationError (a ValueError too).

They accept what any release of the API accepts, and tuples, ranges and arrays wherever a list is accepted; where
releases disagree the documented one wins. Names are taken in any case, with surrounding blanks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from operator import index
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import PlainValidator, ValidationError

from ranvier.exceptions import ConfigurationError, SignalSelectionError, TimeRangeError
from ranvier.models.dataset import DatasetMetadata
from ranvier.models.dsp import (
    DSPParams,
    DSPParamsDict,
    DSPType,
    FilterFamily,
    FilterStage,
    coerce_dsp_type,
    coerce_filter_family,
    coerce_filter_stage,
)
from ranvier.models.kpi import (
    BundleStatId,
    ChannelReduction,
    KpiMetric,
    KpiMetricId,
    KpiMode,
    KpiServiceMode,
    coerce_channel_reduction,
    coerce_kpi_metric,
    coerce_kpi_mode,
    coerce_kpi_service_mode,
)
from ranvier.models.ports import Port, coerce_port
from ranvier.models.signals import SignalSpec, SignalType, coerce_signal_type
from ranvier.models.spectral import (
    SpectralAlgorithm,
    SpectralMode,
    SpectralRange,
    SpectralUnit,
    SpectralWindowType,
    coerce_spectral_algorithm,
    coerce_spectral_mode,
    coerce_spectral_range,
    coerce_spectral_unit,
    coerce_spectral_window_type,
)
from ranvier.models.spikesorter import (
    DashElement,
    SpikeSorterCommand,
    SpikeSorterSubCommand,
    coerce_dash_element,
    coerce_spike_sorter_command,
    coerce_spike_sorter_sub_command,
)
from ranvier.models.status import BackboneMode, coerce_backbone_mode
from ranvier.models.stim import StimKeypressIndex, coerce_stim_keypress_index
from ranvier.models.time_range import TimeRangeSpec
from ranvier.models.triggers import TriggerChannel, coerce_trigger_channel

FLEX_TYPES = [
    "FlexBackboneMode",
    "FlexBundleStatId",
    "FlexChannelReduction",
    "FlexDSPParams",
    "FlexDSPType",
    "FlexDashElement",
    "FlexDataset",
    "FlexFilterFamily",
    "FlexFilterStage",
    "FlexKpiMetricId",
    "FlexKpiServiceMode",
    "FlexPort",
    "FlexSignalSpec",
    "FlexSignalType",
    "FlexSpectralAlgorithm",
    "FlexSpectralMode",
    "FlexSpectralRange",
    "FlexSpectralUnit",
    "FlexSpectralWindowType",
    "FlexSpikeSorterCommand",
    "FlexSpikeSorterSubCommand",
    "FlexStimKeypressIndex",
    "FlexTimeRange",
    "FlexTriggerChannel",
]

__all__ = [
    *FLEX_TYPES,
    "coerce_backbone_mode",
    "coerce_bundle_stat_id",
    "coerce_channel_reduction",
    "coerce_dash_element",
    "coerce_dataset",
    "coerce_dsp_params",
    "coerce_dsp_type",
    "coerce_filter_family",
    "coerce_filter_stage",
    "coerce_indices",
    "coerce_kpi_metric",
    "coerce_kpi_metric_id",
    "coerce_kpi_mode",
    "coerce_kpi_service_mode",
    "coerce_port",
    "coerce_signal_spec",
    "coerce_signal_type",
    "coerce_spectral_algorithm",
    "coerce_spectral_mode",
    "coerce_spectral_range",
    "coerce_spectral_unit",
    "coerce_spectral_window_type",
    "coerce_spike_sorter_command",
    "coerce_spike_sorter_sub_command",
    "coerce_stim_keypress_index",
    "coerce_time_range",
    "coerce_trigger_channel",
]


def coerce_time_range(value: object) -> TimeRangeSpec:
    """Return the time range that ``value`` means, in stream seconds.

    Accepted: a TimeRangeSpec; a list, tuple, range or array of exactly two numbers ``[start, end]``, where
    ``[duration, nan]`` is a lookback and ``[0, inf]`` or ``[-inf, inf]`` the whole recording. A reversed or empty
    range is refused, as the newest release does: read as the documented one does it gives nothing, silently. None is
    not a time range; parameters that allow it say so.

    Raises
    ------
    TimeRangeError
        For anything else.
    """
    if isinstance(value, TimeRangeSpec):
        return value
    items = _items(value)
    if items is None or len(items) != 2 or not all(_is_number(item) for item in items):
        raise TimeRangeError(
            f"{_short(value)} is not a time range; accepted: a TimeRangeSpec, or two numbers [start, end] in seconds "
            "as list, tuple or array ([duration, nan] = the last seconds); of a TimeRange pass its .sec"
        )
    if math.isnan(items[0]):
        raise TimeRangeError(f"the start of time range {_short(value)} is not a number")
    return TimeRangeSpec.from_list(items)


def coerce_signal_spec(value: object) -> SignalSpec:
    """Return the selection of channels (native indices) that ``value`` means.

    Accepted: a SignalSpec; ``"all"`` (all amplifier channels); a list, tuple, range or array of amplifier channels;
    a mapping with keys ``amp``, ``ain``, ``din``, ``dout`` whose values are indices, ``"all"`` or ``"selected"``.

    Raises
    ------
    SignalSelectionError
        For anything else, also masks of booleans.
    """
    if isinstance(value, SignalSpec):
        return value
    if isinstance(value, str) and value == "all":
        return SignalSpec.all_amp()
    if isinstance(value, Mapping):
        return _multi_spec(value)
    if isinstance(value, str) or _items(value) is None:
        raise SignalSelectionError(f"{_short(value)} is not a selection of signals; {_SIGNALS_ACCEPTED}")
    return SignalSpec.amp(coerce_indices(value))


_SIGNALS_ACCEPTED = (
    "accepted: a SignalSpec, 'all', native amplifier indices as list, tuple, range or array, or a mapping with keys "
    "amp, ain, din, dout to indices, 'all' or 'selected'"
)


def _multi_spec(value: Mapping[Any, Any]) -> SignalSpec:
    unknown = [key for key in value if key not in ("amp", "ain", "din", "dout")]
    if unknown or not value:
        raise SignalSelectionError(f"{_short(dict(value))} is not a selection of signals; {_SIGNALS_ACCEPTED}")
    words = [item for item in value.values() if isinstance(item, str) and item not in ("all", "selected")]
    if words:
        raise SignalSelectionError(f"{words[0]!r} does not select channels; {_SIGNALS_ACCEPTED}")
    return SignalSpec.multi(
        **{key: item if item is None or isinstance(item, str) else coerce_indices(item) for key, item in value.items()}
    )


def coerce_indices(value: object) -> tuple[int, ...]:
    """Return channel indices as a tuple of int, in the order given.

    Accepted: a list, tuple, range or array of integers (whole floats count as such).

    Raises
    ------
    SignalSelectionError
        For anything else, also masks of booleans: pass ``np.flatnonzero(mask)``.
    """
    items = _items(value)
    if items is None:
        raise SignalSelectionError(f"{_short(value)} are not channel indices; accepted: list, tuple, range or array")
    try:
        return tuple(_index(item) for item in items)
    except TypeError:
        raise SignalSelectionError(
            f"channel indices are whole numbers, not {_short(value)}; of a mask pass np.flatnonzero(mask)"
        ) from None


def coerce_dataset(value: object) -> DatasetMetadata | str | Path:
    """Return ``value`` if it can name a dataset: DatasetMetadata, id or path; else ConfigurationError."""
    if isinstance(value, (DatasetMetadata, str, Path)):
        return value
    raise ConfigurationError(f"{_short(value)} is not a dataset; accepted: DatasetMetadata, its id, or a path")


def coerce_dsp_params(value: object, stage: FilterStage | str | int | None = None) -> DSPParams:
    """Return the filter that ``value`` means: a DSPParams, or a mapping with its keys.

    ``stage`` fills a missing stage. ConfigurationError for anything else, also for unknown keys.
    """
    if isinstance(value, DSPParams):
        return value
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{_short(value)} is not a filter; accepted: DSPParams, or a dict with its keys")
    unknown = sorted(str(key) for key in value if key not in DSPParams.model_fields)
    if unknown:
        raise ConfigurationError(f"DSPParams has no {', '.join(unknown)}; it has {', '.join(DSPParams.model_fields)}")
    try:
        return DSPParams.model_validate({**({} if stage is None else {"stage": stage}), **value})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{_short(dict(value))} is not a filter: {where}: {first['msg']}") from error


def coerce_kpi_metric_id(value: object) -> KpiMetricId:
    """Return the metric that ``value`` means.

    Accepted: KpiMetricId; KpiMetric or its name (mode BASE); a pair (mode, metric) of members or names. Numbers are
    refused: releases number metrics differently.
    """
    if isinstance(value, KpiMetricId):
        return value
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return KpiMetricId(mode=coerce_kpi_mode(value[0]), name=coerce_kpi_metric(value[1]))
    return KpiMetricId(name=coerce_kpi_metric(value))


def coerce_bundle_stat_id(value: object) -> BundleStatId:
    """Return the statistic over channels that ``value`` means.

    Accepted: BundleStatId; KpiMetric or its name (reduced by MEAN); a pair (metric, reduction); a mapping with
    ``metric`` and possibly ``reduce``.
    """
    if isinstance(value, BundleStatId):
        return value
    if isinstance(value, Mapping):
        if "metric" not in value or set(value) - {"metric", "reduce"}:
            raise ConfigurationError(f"{_short(dict(value))} is not a statistic; accepted keys: metric, reduce")
        value = (value["metric"], value.get("reduce", ChannelReduction.MEAN))
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return BundleStatId(metric=coerce_kpi_metric(value[0]), reduce=coerce_channel_reduction(value[1]))
    return BundleStatId(metric=coerce_kpi_metric(value))


def _items(value: object) -> list[Any] | None:
    """Return the elements of a list, tuple, range, other sequence or one-dimensional array; None for all else."""
    if isinstance(value, np.ndarray):
        return list(value.tolist()) if value.ndim == 1 else None
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return list(value)
    return None


def _is_number(item: object) -> bool:
    return isinstance(item, (int, float, np.integer, np.floating)) and not isinstance(item, bool)


def _index(item: Any) -> int:
    if isinstance(item, (bool, np.bool_)):
        raise TypeError("a truth value is not an index")
    if isinstance(item, (float, np.floating)) and float(item).is_integer():
        return int(item)
    return index(item)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


Indices = Sequence[int] | npt.NDArray[np.integer[Any]]

FlexTimeRange = Annotated[
    TimeRangeSpec | Sequence[float] | npt.NDArray[np.floating[Any] | np.integer[Any]],
    PlainValidator(coerce_time_range),
]
FlexSignalSpec = Annotated[
    SignalSpec | str | Indices | Mapping[str, Indices | str | None], PlainValidator(coerce_signal_spec)
]
FlexDataset = Annotated[DatasetMetadata | str | Path, PlainValidator(coerce_dataset)]
FlexPort = Annotated[Port | str | int, PlainValidator(coerce_port)]
FlexSignalType = Annotated[SignalType | str, PlainValidator(coerce_signal_type)]
FlexBackboneMode = Annotated[BackboneMode | str, PlainValidator(coerce_backbone_mode)]
FlexStimKeypressIndex = Annotated[StimKeypressIndex | str | int, PlainValidator(coerce_stim_keypress_index)]
FlexTriggerChannel = Annotated[TriggerChannel | str | int, PlainValidator(coerce_trigger_channel)]
FlexDSPType = Annotated[DSPType | str | int, PlainValidator(coerce_dsp_type)]
FlexFilterStage = Annotated[FilterStage | str | int, PlainValidator(coerce_filter_stage)]
FlexFilterFamily = Annotated[FilterFamily | str | int | None, PlainValidator(coerce_filter_family)]
#: Not a validator of its own: a dict may lack the stage, which the call names (see :func:`coerce_dsp_params`).
FlexDSPParams = DSPParams | DSPParamsDict
FlexKpiMetricId = Annotated[
    KpiMetricId | KpiMetric | str | tuple[KpiMode | str, KpiMetric | str], PlainValidator(coerce_kpi_metric_id)
]
FlexKpiServiceMode = Annotated[KpiServiceMode | str, PlainValidator(coerce_kpi_service_mode)]
FlexChannelReduction = Annotated[ChannelReduction | str, PlainValidator(coerce_channel_reduction)]
FlexBundleStatId = Annotated[
    BundleStatId | KpiMetric | str | tuple[KpiMetric | str, ChannelReduction | str] | Mapping[str, Any],
    PlainValidator(coerce_bundle_stat_id),
]
FlexSpikeSorterCommand = Annotated[SpikeSorterCommand | str, PlainValidator(coerce_spike_sorter_command)]
FlexSpikeSorterSubCommand = Annotated[SpikeSorterSubCommand | str, PlainValidator(coerce_spike_sorter_sub_command)]
FlexDashElement = Annotated[DashElement | str | int, PlainValidator(coerce_dash_element)]
FlexSpectralRange = Annotated[
    SpectralRange | tuple[float, float, float] | Mapping[str, float], PlainValidator(coerce_spectral_range)
]
FlexSpectralMode = Annotated[SpectralMode | str, PlainValidator(coerce_spectral_mode)]
FlexSpectralAlgorithm = Annotated[SpectralAlgorithm | str, PlainValidator(coerce_spectral_algorithm)]
FlexSpectralUnit = Annotated[SpectralUnit | str, PlainValidator(coerce_spectral_unit)]
FlexSpectralWindowType = Annotated[SpectralWindowType | str, PlainValidator(coerce_spectral_window_type)]
