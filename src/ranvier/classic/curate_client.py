"""``radiens.CurateClient``: transforms from file to file, in the background."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

from ranvier.classic._errors import UnknownStreamError
from ranvier.classic._hubs import HubClient
from ranvier.classic._streams import Entry, Stream, new_id
from ranvier.classic.metrics_client import MetricsClient
from ranvier.classic.spikes_client import SpikesClient
from ranvier.classic.utils.constants import CONVERTIBLE_RADIENS_FILE_TYPES, DEFAULT_HUB_ID
from ranvier.classic.utils.enums import ClientType, RadiensFileType
from ranvier.exceptions import ConfigurationError, SignalSelectionError
from ranvier.models.dataset import DatasetMetadata, ProtocolGraph, TransformEdge, TransformNode
from ranvier.models.dataset import RadiensFileType as OurFileType
from ranvier.services import Hub
from ranvier.services.progress import Progress

PathInput = str | Path

#: What the suffix of a target makes; none is XDAT.
_TYPE_OF_SUFFIX = {
    "": "XDAT",
    ".xdat": "XDAT",
    ".xdat.json": "XDAT",
    "_data.xdat": "XDAT",
    ".csv": "CSV",
    ".bin": "KILOSORT2",
    ".kilosort2": "KILOSORT2",
    ".nwb": "NWB",
    ".nex5": "NEX5",
    ".h5": "HDF5",
    ".hdf5": "HDF5",
}


class CurateClient(HubClient):
    """Filter, re-reference, slice, thin out and convert recordings.

    All ``dsp_*`` methods and ``file_convert`` take ``source_path`` and ``target_path`` (text or Path; ``.xdat`` or no
    suffix is XDAT, other suffixes their format), return the id of a stream at once, and work on in the background;
    ``progress_bar`` waits, ``dsp_progress`` asks. ``force`` replaces a target that exists. What can be known at once
    is raised at once (a source that is none, a target that exists); what goes wrong later is raised by
    ``progress_bar`` and ``dsp_progress``. Nothing stands under the target's name before it is whole, and a script that
    ends finishes its streams first.

    Filters are causal Butterworth of order 4 with zero initial state, as those of the typed clients.
    """

    def __init__(self, hub_name: str = DEFAULT_HUB_ID) -> None:
        super().__init__(hub_name)
        self._streams: dict[str, Entry] = {}

    @property
    def type(self) -> ClientType:
        """``ClientType.CURATE``."""
        return ClientType.CURATE

    @property
    def dsp_stream(self) -> dict[str, Entry]:
        """Streams by id: ``{"data_source": DatasetMetadata, "protocol": ProtocolGraph, "stream": Stream}``."""
        return self._streams

    def signal_metrics(self) -> MetricsClient:
        """Metrics of datasets."""
        return MetricsClient(self)

    def spikes(self) -> SpikesClient:
        """Return the client of the spikes of datasets."""
        return SpikesClient(self)

    def dsp_clean_up(self) -> None:
        """Forget the streams that have ended."""
        for stream_id in [i for i, entry in self._streams.items() if entry["stream"].done()]:
            del self._streams[stream_id]

    def progress_bar(self, stream_id: str) -> None:
        """Show a bar, in seconds of the source, until the stream has ended; raise what went wrong.

        KeyError for an unknown id. (The text calls it ``dsp_progress_bar`` in places; that name works too.)
        """
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        entry = self._entry(stream_id)
        stream, seconds = entry["stream"], float(entry["data_source"].duration)
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:.1f}/{task.total:.1f} s"))
        with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
            task = bar.add_task(stream_id.partition("__")[0], total=seconds)
            while not stream.wait(0.1):
                bar.update(task, completed=stream.fraction * seconds)
            bar.update(task, completed=stream.fraction * seconds)

    dsp_progress_bar = progress_bar

    def dsp_progress(self, stream_id: str) -> float:
        """Return how far a stream is, 0 to 1, and 1.0 only when its output is whole; raise what went wrong.

        KeyError for an unknown id.
        """
        return float(self._entry(stream_id)["stream"].fraction)

    def dsp_low_pass_filter(
        self, cutoff_freq: float, source_path: PathInput, target_path: PathInput, force: bool = False,
        hub_name: str = DEFAULT_HUB_ID,
    ) -> str:  # fmt: skip
        """Keep what lies below ``cutoff_freq`` (Hz)."""
        node = TransformNode.lowpass(cutoff_freq)
        return self._start("lp_filter", [node], source_path, target_path, force, hub_name)

    def dsp_high_pass_filter(
        self, cutoff_freq: float, source_path: PathInput, target_path: PathInput, force: bool = False,
        hub_name: str = DEFAULT_HUB_ID,
    ) -> str:  # fmt: skip
        """Keep what lies above ``cutoff_freq`` (Hz)."""
        node = TransformNode.highpass(cutoff_freq)
        return self._start("hp_filter", [node], source_path, target_path, force, hub_name)

    def dsp_band_pass_filter(
        self, low_cutoff_freq: float, high_cutoff_freq: float, source_path: PathInput, target_path: PathInput,
        force: bool = False, hub_name: str = DEFAULT_HUB_ID,
    ) -> str:  # fmt: skip
        """Keep what lies between the two frequencies (Hz)."""
        node = TransformNode.bandpass(low_cutoff_freq, high_cutoff_freq)
        return self._start("bp_filter", [node], source_path, target_path, force, hub_name)

    def dsp_band_stop_filter(
        self, low_cutoff_freq: float, high_cutoff_freq: float, source_path: PathInput, target_path: PathInput,
        force: bool = False, hub_name: str = DEFAULT_HUB_ID,
    ) -> str:  # fmt: skip
        """Remove what lies between the two frequencies (Hz)."""
        node = TransformNode.bandstop(low_cutoff_freq, high_cutoff_freq)
        return self._start("bs_filter", [node], source_path, target_path, force, hub_name)

    def dsp_notch_filter(
        self, freq: float, bandwidth: float, source_path: PathInput, target_path: PathInput, force: bool = False,
        hub_name: str = DEFAULT_HUB_ID,
    ) -> str:  # fmt: skip
        """Remove one frequency (Hz), ``bandwidth`` (Hz) wide at -3 dB."""
        node = TransformNode.notch(freq, bandwidth)
        return self._start("notch_filter", [node], source_path, target_path, force, hub_name)

    def dsp_paired_diff(
        self, source_chan: int, ref_chan: int, source_path: PathInput, target_path: PathInput, force: bool = False,
        hub_name: str = DEFAULT_HUB_ID,
    ) -> str:  # fmt: skip
        """Replace channel ``source_chan`` by itself minus ``ref_chan``, which becomes 0 (native indices).

        This is what the documentation says; the vendor's own package swaps the two channels.
        """
        node = TransformNode.paired_ref(ref_chan, source_chan)
        return self._start("paired_diff", [node], source_path, target_path, force, hub_name)

    def dsp_virtual_ref(
        self, ref_chan: int, source_path: PathInput, target_path: PathInput, force: bool = False,
        hub_name: str = DEFAULT_HUB_ID,
    ) -> str:  # fmt: skip
        """Subtract channel ``ref_chan`` (native index) from every amplifier channel; it becomes 0 itself."""
        node = TransformNode.virtual_ref(ref_chan)
        return self._start("virtual_ref", [node], source_path, target_path, force, hub_name)

    def dsp_car(
        self, source_path: PathInput, target_path: PathInput, force: bool = False, hub_name: str = DEFAULT_HUB_ID
    ) -> str:
        """Subtract, at each sample, the mean over the amplifier channels.

        The documented word is 'sum'; the mean is what a common average is, and what every release subtracts.
        """
        return self._start("CAR", [TransformNode.car()], source_path, target_path, force, hub_name)

    def dsp_time_decimate(
        self, decimate: int, source_path: PathInput, target_path: PathInput, force: bool = False,
        hub_name: str = DEFAULT_HUB_ID,
    ) -> str:  # fmt: skip
        """Keep every ``decimate``-th sample, as documented: unfiltered, so that what lies above the new Nyquist folds.

        ``VidereClient.downsample`` of the typed clients filters first.
        """
        node = TransformNode.downsample(decimate, operator="plain")
        return self._start("decimate", [node], source_path, target_path, force, hub_name)

    def dsp_slice_time(
        self, time_start: float, time_end: float, source_path: PathInput, target_path: PathInput,
        force: bool = False, hub_name: str = DEFAULT_HUB_ID,
    ) -> str:  # fmt: skip
        """Keep ``[time_start, time_end)``, absolute stream seconds of the source; samples keep their counters."""
        node = TransformNode.slice_time(time_start, time_end)
        return self._start("slice_time_0", [node], source_path, target_path, force, hub_name)

    def dsp_slice_channels(
        self, target_channels: Sequence[int], source_path: PathInput, target_path: PathInput, force: bool = False,
        hub_name: str = DEFAULT_HUB_ID,
    ) -> str:  # fmt: skip
        """Remove the channels with these system indices (one count over amplifier, analog, digital in and out).

        This is what the documentation says; the vendor's server, and ``slice_channels`` of the typed clients, keep
        them.
        """
        channels = _source(self._hub(hub_name), source_path).channel_metadata
        known = sorted(index for kind in channels.sig_map.values() for index in kind.sys)
        unknown = sorted(set(target_channels) - set(known))
        if unknown:
            raise SignalSelectionError(f"{source_path} has no channels with the system indices {unknown}")
        node = TransformNode.slice_channels([index for index in known if index not in set(target_channels)])
        return self._start("slice_chan_0", [node], source_path, target_path, force, hub_name)

    def file_convert(
        self, source_path: PathInput, dest_path: PathInput, dest_file_type: str | RadiensFileType,
        force: bool = False, hub_name: str = DEFAULT_HUB_ID,
    ) -> str:  # fmt: skip
        """Write a recording in another format: the suffix of ``dest_path`` picks it, else ``dest_file_type``.

        Raises
        ------
        ConfigurationError
            (a ValueError) a type other than CSV, XDAT, KILOSORT2, NWB and NEX5.
        """
        kind = RadiensFileType.parse(dest_file_type)
        if kind not in CONVERTIBLE_RADIENS_FILE_TYPES:
            valid = ", ".join(one.name for one in CONVERTIBLE_RADIENS_FILE_TYPES)
            raise ConfigurationError(f"file_convert does not make {kind.name}; it makes {valid}")
        return self._start("file_convert", [], source_path, dest_path, force, hub_name, default=kind.name)

    def _start(
        self, protocol: str, nodes: Sequence[TransformNode], source_path: PathInput, target_path: PathInput,
        force: bool, hub_name: str, *, default: str = "XDAT",
    ) -> str:  # fmt: skip
        """Check the protocol source - node - sink as a whole, start it, and return the id of its stream."""
        hub = self._hub(hub_name)
        source = _source(hub, source_path)
        graph = _graph(source, nodes, _sink(target_path, default))
        hub.protocols.check(graph, force=force)
        work = partial(_run, hub, graph, force)
        stream_id = new_id(protocol)
        self._streams[stream_id] = {"data_source": source, "protocol": graph, "stream": Stream(work)}
        return stream_id

    def _entry(self, stream_id: str) -> Entry:
        if stream_id not in self._streams:
            raise UnknownStreamError(
                f"there is no stream {stream_id!r}; streams are {', '.join(self._streams) or 'none'} "
                f"(dsp_clean_up() forgets those that have ended)"
            )
        return self._streams[stream_id]


def _source(hub: Hub, path: PathInput) -> DatasetMetadata:
    """Return what a source is; it is not left linked, unless it was."""
    before = set(hub.datasets.ids())
    source = hub.datasets.resolve(str(Path(path).expanduser().absolute()))
    if source.id not in before:
        hub.datasets.clear([source.id])
    return source


def _run(hub: Hub, graph: ProtocolGraph, force: bool, progress: Progress) -> None:
    hub.protocols.run_graph(graph, force=force, progress=progress)


def _sink(target_path: PathInput, default: str) -> TransformNode:
    target = Path(target_path).expanduser().absolute()
    name = target.name.lower()
    suffix = max((one for one in _TYPE_OF_SUFFIX if name.endswith(one)), key=len)
    kind = _TYPE_OF_SUFFIX[suffix] if suffix else default
    base = target.name[: len(target.name) - len(suffix)]
    return TransformNode.sink(base, str(target.parent), OurFileType[kind])


def _graph(source: DatasetMetadata, nodes: Sequence[TransformNode], sink: TransformNode) -> ProtocolGraph:
    """Return the protocol with the documented ids of nodes and edges."""
    named = [
        TransformNode.source(source.model_copy(update={"id": ""})).model_copy(update={"id": "src_0"}),
        *(node.model_copy(update={"id": node.type.name}) for node in nodes),
        sink.model_copy(update={"id": "targ_0"}),
    ]
    edges = [
        TransformEdge(id=f"edge_{i}", source=one.id, target=other.id) for i, (one, other) in enumerate(pairwise(named))
    ]
    return ProtocolGraph(nodes=named, edges=edges)
