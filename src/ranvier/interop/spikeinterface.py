"""SpikeInterface both ways: its objects of our files, our files of its objects, and our sorter among its sorters.

SpikeInterface (0.105 and later) is imported where it is used, and is no dependency of Ranvier.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import CapabilityError, ConfigurationError

I64 = npt.NDArray[np.int64]

#: Properties of a sorting that tell what somebody called its units, the strongest first.
_LABELS = ("quality", "group", "label", "KSLabel")


def register() -> None:
    """Let SpikeInterface's ``run_sorter("ranvier", recording, folder=...)`` run Ranvier, in this process.

    SpikeInterface keeps its sorters in a list that nothing can be added to from outside a process: in workers on other
    machines, call this again. CapabilityError where SpikeInterface is not installed.
    """
    objects = _objects()
    from spikeinterface.sorters import sorterlist

    if objects.RanvierSorter not in sorterlist.sorter_full_list:
        sorterlist.sorter_full_list.append(objects.RanvierSorter)
    sorterlist.sorter_dict[objects.RanvierSorter.sorter_name] = objects.RanvierSorter


def read_recording(path: str | Path) -> Any:
    """Return a recording that Ranvier reads as a SpikeInterface recording: amplifier channels in uV, with their places.

    Raises
    ------
    CapabilityError
        SpikeInterface is not installed.
    NotARecordingError, RecordingError
        Nothing recognises the path; it is damaged beyond reading.
    """
    return _objects().RanvierRecording(str(Path(path).expanduser().absolute()))


def read_sorting(path: str | Path) -> Any:
    """Return the units of a ``.spikes`` file as a SpikeInterface sorting, curation applied.

    Raises
    ------
    CapabilityError
        SpikeInterface is not installed; the file is of a newer version.
    RecordingError
        It is no ``.spikes`` file.
    """
    return _objects().RanvierSorting(str(Path(path).expanduser().absolute()))


def sorting_of(
    samples: I64, units: npt.NDArray[np.int32], fs: float, properties: Mapping[str, Mapping[int, Any]]
) -> Any:
    """Return spikes in memory as a SpikeInterface sorting.

    Parameters
    ----------
    samples, units
        From the first sample of the recording, and a number each; in time order.
    properties
        By name: a value for each unit.
    """
    _objects()
    from spikeinterface.core import NumpySorting

    ids = np.unique(units)
    sorting = NumpySorting.from_samples_and_labels([samples], [units], fs, unit_ids=ids)
    for name, values in properties.items():
        sorting.set_property(name, np.array([values[int(unit)] for unit in ids]))
    return sorting


def write_spikes(sorting: Any, path: str | Path, *, recording: Any = None, force: bool = False) -> Path:
    """Write a SpikeInterface sorting as a ``.spikes`` file; return its path.

    Units that are positive whole numbers keep them, others are numbered from 1 on (``UnitRecord.name`` is what they
    were called). Labels are those of the properties quality, group, label or KSLabel.

    Parameters
    ----------
    recording
        What the spikes are of: the path of a recording that Ranvier reads (then the file belongs to it), or a
        SpikeInterface recording, of which places and mean waveforms are kept. Without it there are spike times only.

    Raises
    ------
    ConfigurationError
        Several segments; spikes at another rate than the recording, or outside it.
    OutputExistsError, OutputError
        It exists already and ``force`` was not given; it cannot be written.
    """
    from ranvier.interop.sorting_runs import Source, write_trains

    if sorting.get_num_segments() != 1:
        raise ConfigurationError(
            f"a sorting of {sorting.get_num_segments()} segments: a .spikes file is of one recording; select_segments"
        )
    vector = sorting.to_spike_vector()
    ids = list(sorting.unit_ids)
    keep = all(isinstance(i, (int, np.integer)) and i > 0 for i in ids)
    numbers = np.array([int(i) for i in ids] if keep else np.arange(1, len(ids) + 1), np.int32)
    labels = _property(sorting, _LABELS)
    names = {int(n): "" if keep else str(i) for n, i in zip(numbers, ids, strict=True)}
    known = {int(n): _label(labels[k]) for k, n in enumerate(numbers)} if labels is not None else {}
    return write_trains(
        Path(path),
        Source.of(recording, float(sorting.get_sampling_frequency())),
        np.asarray(vector["sample_index"], np.int64),
        numbers[vector["unit_index"]] if len(ids) else np.empty(0, np.int32),
        names=names,
        labels=known,
        sorter=str((sorting.sorting_info or {}).get("params", {}).get("sorter_name", "")) or type(sorting).__name__,
        force=force,
    )


def _property(sorting: Any, names: tuple[str, ...]) -> Any:
    known = set(sorting.get_property_keys())
    return next((sorting.get_property(name) for name in names if name in known), None)


def _label(value: Any) -> str:
    text = str(value).strip().lower()
    return "" if text in ("unsorted", "nan", "none") else text


def _objects() -> Any:
    """Return the module of SpikeInterface's objects; CapabilityError where that is not installed."""
    try:
        from ranvier.interop import spikeinterface_objects
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "spikeinterface":
            raise
        raise CapabilityError("this needs SpikeInterface: pip install spikeinterface") from error
    return spikeinterface_objects
