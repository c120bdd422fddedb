"""``radiens.spikes_client``: spikes and neurons of datasets and of the live stream."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from ranvier.classic._errors import NotLiveError
from ranvier.classic._spiking import Spiking
from ranvier.classic.lib.channel_metadata import ChannelMetadata
from ranvier.classic.lib.spikes import SpikesMetadata, SpikesSet
from ranvier.classic.utils.constants import DEFAULT_HUB_ID, TimeRange
from ranvier.clients.videre import VidereClient as TypedClient
from ranvier.exceptions import ConfigurationError
from ranvier.models.signals import SignalType

if TYPE_CHECKING:
    import pandas as pd

#: Columns of ``get_neurons``.
NEURON_COLUMNS = (
    "neuron_id", "ntv_idx", "label", "pos_probe", "pos_tissue", "spike_count", "spike_rate", "mean_abs_peak_waveform",
    "snr",
)  # fmt: skip


class _Parent(Protocol):
    """A client of a hub or of a rig."""

    def _spiking(self, dataset_id: str | None, hub_name: str) -> Spiking: ...

    def _typed_hub(self, hub_name: str) -> TypedClient | None: ...


class SpikesClient:
    """Spikes of datasets (of a VidereClient or CurateClient) or of the live stream (of an AllegoClient).

    ``client.spikes()`` makes one. A dataset is named by its id; where a documented call has no place for one, None
    stands for the only linked dataset that has spikes, and NoDatasetError (a ValueError) lists them where there are
    none or several. Calls that only datasets have raise NotLiveError (a RuntimeError) for the live stream.
    """

    def __init__(self, parent_client: _Parent) -> None:
        self._parent = parent_client

    def get_spikes_metadata(self, dataset_id: str | None = None, hub_name: str = DEFAULT_HUB_ID) -> SpikesMetadata:
        """Return channels and neurons with counts, rates, noise and SNR; tables are its ``sites`` and ``neurons``.

        (An object, as in the documented package, although its text says DataFrame.)
        """
        return self._parent._spiking(dataset_id, hub_name).metadata()

    def get_spike_rasters(self, dsource_id: str | None = None, hub_name: str = DEFAULT_HUB_ID) -> pd.DataFrame:
        """Return a row per spike, in time order: all of a dataset, or those of the stream that are still kept.

        Columns ``ntv_chan_idx``, ``timestamps`` (sample counters), ``labels`` (0: no neuron) and ``sec`` (stream
        seconds); ``attrs["time_range"]`` (s) and ``attrs["timestamp_range"]`` (samples) are the range that was told.
        """
        import pandas as pd

        found = self._parent._spiking(dsource_id, hub_name).columns()
        table = pd.DataFrame(
            {
                "ntv_chan_idx": found.ntv,
                "timestamps": found.samples,
                "labels": found.labels,
                "sec": found.samples / found.time_range.fs,
            }
        )
        table.attrs = {
            "time_range": list(found.time_range.sec),
            "timestamp_range": list(found.time_range.timestamp),
        }
        return table

    def get_recent_spikes(
        self, time_wdw_sec: float = 1.0, ntv_chan_idxs: Sequence[int] | None = None, max_spikes_per_chan: int = 100,
        channel_meta: ChannelMetadata | None = None,
    ) -> SpikesSet:  # fmt: skip
        """Return the newest spikes of the last seconds of the stream, with waveforms in uV.

        Parameters
        ----------
        ntv_chan_idxs
            Native indices; None: all amplifier channels.
        max_spikes_per_chan
            The newest ones of each channel.
        channel_meta
            Accepted; the stream knows its channels.

        Raises
        ------
        TimeRangeError
            Nothing was sorted yet (a ValueError).
        CapabilityError
            Of a client of files.
        """
        if max_spikes_per_chan < 1 or not time_wdw_sec > 0:
            raise ConfigurationError(
                f"time_wdw_sec={time_wdw_sec} and max_spikes_per_chan={max_spikes_per_chan} must be above 0"
            )
        source = self._parent._spiking(None, DEFAULT_HUB_ID)
        return source.recent(float(time_wdw_sec), ntv_chan_idxs, int(max_spikes_per_chan))

    def get_spike_waveforms(
        self, dataset_id: str, time_range: TimeRange | Sequence[float] | None = None, hub_name: str = DEFAULT_HUB_ID
    ) -> npt.NDArray[np.float32]:
        """Return waveforms, float32 uV ``(spikes, points)``: channel after channel, each in time order; None: all.

        Read from the recording through the filters that the sorter used, or as they came with the spikes.
        ConfigurationError (a ValueError) where they would not fit into memory.
        """
        return self._of_files(dataset_id, hub_name, "get_spike_waveforms").waveforms(time_range)

    def get_spike_timestamps(
        self, dataset_id: str, time_range: TimeRange | Sequence[float] | None = None, hub_name: str = DEFAULT_HUB_ID
    ) -> dict[str, npt.NDArray[Any]]:
        """Return the spikes of neurons in time order, as arrays of equal length.

        ``timestamps``: sample counters (not seconds), float64; ``labels``: neuron, int32; ``dset_idxs``: index in the
        dataset of the channel with the peak, int32.
        """
        source = self._of_files(dataset_id, hub_name, "get_spike_timestamps")
        found = source.columns(time_range)
        keys = source.channels.index(SignalType.AMP)
        dset = dict(zip(keys.ntv, keys.dset, strict=True))
        mine = found.labels > 0
        return {
            "timestamps": found.samples[mine].astype(np.float64),
            "labels": found.labels[mine].astype(np.int32),
            "dset_idxs": np.array([dset.get(int(ntv), -1) for ntv in found.ntv[mine]], np.int32),
        }

    def get_neuron_timestamps(
        self, dataset_id: str, time_range: TimeRange | Sequence[float] | None = None,
        ntv_idxs: Sequence[int] | None = None, hub_name: str = DEFAULT_HUB_ID,
    ) -> dict[int, npt.NDArray[np.float64]]:  # fmt: skip
        """Return the sample counters of each neuron's spikes with their peak on some channels (None: all), by label.

        (Undocumented, and broken in every release of the documented package.)
        """
        found = self._of_files(dataset_id, hub_name, "get_neuron_timestamps").columns(time_range)
        there = np.ones(len(found.samples), np.bool_) if ntv_idxs is None else np.isin(found.ntv, list(ntv_idxs))
        labels = np.unique(found.labels[there & (found.labels > 0)])
        return {int(one): found.samples[there & (found.labels == one)].astype(np.float64) for one in labels}

    def get_neurons(self, dataset_id: str | None = None, hub_name: str = DEFAULT_HUB_ID) -> pd.DataFrame:
        """Return a row per neuron: channel, place (um), count, rate (Hz), mean absolute peak (uV) and SNR."""
        import pandas as pd

        rows = [
            (
                one.neuron_id, one.site_ntv_chan_idx, one.spike_label, list(one.pos_probe), list(one.pos_tissue),
                one.spike_count, one.spike_rate, one.mean_abs_peak_wfm, one.snr,
            )
            for one in self._parent._spiking(dataset_id, hub_name).neurons()
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=list(NEURON_COLUMNS))

    def convert_kilosort_output(
        self, source_bio_path: str | Path = "", source_bio_basename: str | Path = "",
        source_vex_path: str | Path = "", source_vex_basename: str | Path = "", sink_bio_path: str | Path = "",
        sink_bio_basename: str | Path = "", hub_name: str = DEFAULT_HUB_ID,
    ) -> None:  # fmt: skip
        """Write a ``.spikes`` file of the output of Kilosort or phy, and link it.

        Parameters
        ----------
        source_bio_path, source_bio_basename
            Folder of the output, in one piece or two.
        source_vex_path, source_vex_basename
            The recording that was sorted; without it the spikes stand alone, and only templates tell waveforms.
        sink_bio_path, sink_bio_basename
            Where to write; without it beside the recording, as ``<base>.spikes``. An existing file is refused.

        Raises
        ------
        ConfigurationError
            No output is named (a ValueError).
        RecordingError, OutputExistsError
            It is none, or damaged; the target exists.
        """
        typed = self._parent._typed_hub(hub_name)
        if typed is None:
            raise NotLiveError("convert_kilosort_output works on files: use a VidereClient")
        source = _joined(source_bio_path, source_bio_basename)
        if source is None:
            raise ConfigurationError("convert_kilosort_output needs source_bio_path, the folder of Kilosort's output")
        recording = _joined(source_vex_path, source_vex_basename)
        typed.convert_spikes(
            typed.link_data_file(source),
            _joined(sink_bio_path, sink_bio_basename),
            recording=None if recording is None else typed.link_data_file(recording),
        )

    def _of_files(self, dataset_id: str, hub_name: str, name: str) -> Spiking:
        if self._parent._typed_hub(hub_name) is None:
            raise NotLiveError(f"{name} is of linked datasets: use a VidereClient")
        return self._parent._spiking(dataset_id, hub_name)


def _joined(folder: str | Path, base: str | Path) -> Path | None:
    """Return a path that is given as folder and name, or whole as either."""
    if not str(folder) and not str(base):
        return None
    return Path(folder) / Path(base) if str(base) else Path(folder)
