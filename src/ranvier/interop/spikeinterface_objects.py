"""SpikeInterface's objects of our files, and its sorter: imported only where SpikeInterface is there and asked for.

The classes stand in a module of their own because SpikeInterface saves objects as the name of their class and its
arguments, in JSON, and makes them again in its worker processes.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from spikeinterface.core import BaseRecording, BaseRecordingSegment, BaseSorting, BaseSortingSegment
from spikeinterface.sorters.basesorter import BaseSorter

from ranvier._version import __version__
from ranvier.exceptions import ConfigurationError
from ranvier.interop.wrapped import SpikeInterfaceRecording, channels_of
from ranvier.models.signals import SignalType
from ranvier.recordings import Recording, open_session
from ranvier.sorting.parameters import SorterParameters
from ranvier.spikes import SpikeStore
from ranvier.spikes.curation import NO_UNITS

#: What the sorter writes in its folder.
RESULT = "units.spikes"
#: Signals filtered already are not filtered again.
_AUTO = "auto"


class RanvierRecording(BaseRecording):  # type: ignore[misc]
    """The amplifier channels of a recording that Ranvier reads, float32 uV; samples missing in gaps are 0.

    Parameters
    ----------
    file_path
        File, folder or base name; ``folder#stream`` names one of several streams.
    """

    def __init__(self, file_path: str) -> None:
        path, _, stream = str(file_path).partition("#")
        session = open_session(Path(path))
        recording = session.stream(stream) if stream else session.stream()
        columns = recording.channels.columns_of(SignalType.AMP)
        channels = [recording.channels[int(c)] for c in columns]
        if not channels:
            raise ConfigurationError(f"{file_path} has no amplifier channels")
        ids = np.array([str(c.ntv) for c in channels])
        super().__init__(float(recording.fs), ids, np.dtype("float32"))
        self.add_recording_segment(_RecordingSegment(recording, columns))
        self.set_channel_gains(1.0)
        self.set_channel_offsets(0.0)
        self.set_property("channel_name", np.array([c.name for c in channels]))
        if all(c.site is not None for c in channels):
            places = np.array([(c.site.x_um, c.site.y_um) for c in channels if c.site is not None])
            self.set_dummy_probe_from_locations(places)
            self.set_property("group", np.array([c.shank for c in channels], np.int64))
        self._kwargs = {"file_path": str(file_path)}


class _RecordingSegment(BaseRecordingSegment):  # type: ignore[misc]
    def __init__(self, recording: Recording, columns: npt.NDArray[np.int64]) -> None:
        fs = float(recording.fs)
        super().__init__(sampling_frequency=fs, t_start=recording.start / fs)
        self._recording, self._columns = recording, columns

    def get_num_samples(self) -> int:
        """Return the length, gaps included."""
        return self._recording.stop - self._recording.start

    def get_traces(
        self, start_frame: int | None = None, end_frame: int | None = None, channel_indices: Any = None
    ) -> npt.NDArray[np.float32]:
        """Return uV ``(samples, channels)``."""
        columns = self._columns if channel_indices is None else self._columns[channel_indices]
        a = self._recording.start + (start_frame or 0)
        b = self._recording.stop if end_frame is None else self._recording.start + end_frame
        if b <= a:
            return np.zeros((0, len(columns)), np.float32)
        return np.asarray(np.nan_to_num(self._recording.read(a, b, columns).samples), np.float32)


class RanvierSorting(BaseSorting):  # type: ignore[misc]
    """The units of a ``.spikes`` file, curation applied; those labelled noise, bad or delete are left out.

    Samples count from the first one of the recording. Properties: ``quality`` (label), ``snr``, ``main_channel_id``
    and ``location`` (um).
    """

    def __init__(self, file_path: str) -> None:
        store = SpikeStore.open(file_path)
        counts = store.counts()
        units = {u: r for u, r in store.units.items() if counts.get(u, 0) and r.label.lower() not in NO_UNITS}
        super().__init__(float(store.info.fs), np.array(list(units), np.int64))
        self.add_sorting_segment(_SortingSegment(store))
        records = list(units.values())
        if records:
            self.set_property("quality", np.array([r.label or "unsorted" for r in records]))
            self.set_property("snr", np.array([_known(r.snr) for r in records]))
            self.set_property("main_channel_id", np.array([str(r.site) for r in records]))
            self.set_property("location", np.array([(_known(r.x_um), _known(r.y_um)) for r in records]))
        self._kwargs = {"file_path": str(Path(file_path).absolute())}


class _SortingSegment(BaseSortingSegment):  # type: ignore[misc]
    def __init__(self, store: SpikeStore) -> None:
        super().__init__()
        identity = store.info.recording
        self._store, self._first = store, store.info.start if identity is None else identity.start

    def get_unit_spike_train(
        self, unit_id: int, start_frame: int | None = None, end_frame: int | None = None
    ) -> npt.NDArray[np.int64]:
        """Return the samples of a unit."""
        start, stop = (None if f is None else f + self._first for f in (start_frame, end_frame))
        return np.asarray(self._store.unit_samples(int(unit_id), start, stop) - self._first)


class RanvierSorter(BaseSorter):  # type: ignore[misc]
    """Ranvier's offline sorter as one of SpikeInterface's; parameters are those of ``SorterParameters``."""

    sorter_name = "ranvier"
    requires_locations = False
    handle_multi_segment = False
    requires_binary_data = False
    sorter_description = "Ranvier: learns templates from a part of the recording, then matches all of it."
    installation_mesg = "pip install ranvier"
    _default_params: ClassVar[dict[str, Any]] = {
        **asdict(SorterParameters()),
        "band_hz": _AUTO,
        "seed": 0,
        "workers": 2,
    }
    _params_description: ClassVar[dict[str, str]] = {
        **dict.fromkeys(asdict(SorterParameters()), "see ranvier.sorting.parameters.SorterParameters"),
        "band_hz": "'auto': 300 to 6000 Hz unless the recording is filtered; [low, high] in Hz, or None for no filter",
        "seed": "the same seed gives the same units, for any number of workers",
        "workers": "threads",
    }

    @classmethod
    def is_installed(cls) -> bool:
        """Return True: whoever has this class has the sorter."""
        return True

    @classmethod
    def get_sorter_version(cls) -> str:
        """Return the version of Ranvier."""
        return __version__

    @classmethod
    def _check_params(cls, recording: Any, output_folder: Any, params: dict[str, Any]) -> dict[str, Any]:
        if params["band_hz"] == _AUTO:
            params["band_hz"] = None if recording.is_filtered() else list(SorterParameters().band_hz or ())
        parameters_of(params)
        return params

    @classmethod
    def _check_apply_filter_in_params(cls, params: dict[str, Any]) -> bool:
        return params["band_hz"] is not None

    @classmethod
    def _setup_recording(cls, recording: Any, sorter_output_folder: Any, params: Any, verbose: bool) -> None:
        channels_of(recording)  # nothing is copied; what cannot be sorted is refused early

    @classmethod
    def _run_from_folder(cls, sorter_output_folder: Path, params: dict[str, Any], verbose: bool) -> None:
        from ranvier.interop.sorting_runs import sort_to_file

        recording = cls.load_recording_from_folder(Path(sorter_output_folder).parent, with_warnings=False)
        sort_to_file(
            SpikeInterfaceRecording(recording), Path(sorter_output_folder) / RESULT, parameters_of(params),
            seed=int(params["seed"]), workers=int(params["workers"]),
        )  # fmt: skip

    @classmethod
    def _get_result_from_folder(cls, sorter_output_folder: Path) -> RanvierSorting:
        return RanvierSorting(str(Path(sorter_output_folder) / RESULT))


def parameters_of(params: dict[str, Any]) -> SorterParameters:
    """Return sorter parameters of SpikeInterface's; ConfigurationError for one out of range."""
    own = {name: params[name] for name in asdict(SorterParameters()) if name in params}
    for name in ("band_hz", "match_threshold"):
        own[name] = None if own[name] is None else tuple(own[name])
    return SorterParameters(**own)


def _known(value: float | None) -> float:
    return float("nan") if value is None else float(value)
