"""``radiens.spike_sorter_client``: the sorter of the live stream, and sorts of datasets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ranvier.classic._errors import ArgumentTypeError
from ranvier.classic._events import (
    COLUMNS,
    changes_of,
    chosen_channels,
    level_fields,
    number,
    row_of,
    switch,
    switched,
)
from ranvier.classic._sorting import Sorting
from ranvier.classic.lib.channel_metadata import ChannelMetadata
from ranvier.classic.lib.dataset_metadata import DatasetMetadata
from ranvier.models.spikesorter import SpikeDetectParams, SpikeSorterCommand

if TYPE_CHECKING:
    import pandas as pd

    from ranvier.classic._dashboard import Dashboard

#: Columns of ``get_params``.
PARAM_COLUMNS = (
    "ntv_idx", "chan_enabled", "thr_activated", "thr", "thr_sd", "thr_wdw", "shadow", "weak_thr", "thr_wdw_pts",
    "shadow_pts",
)  # fmt: skip


class _Parent(Protocol):
    """A client of a hub or of a rig."""

    def _sorting(self, dataset_metadata: DatasetMetadata | None, *, force: bool) -> Sorting: ...


class SpikeSorterClient:
    """The sorter of the live stream (of an AllegoClient), or the sorts of a dataset (of a VidereClient).

    ``client.spike_sorter()`` makes one. The documented calls have no place for a dataset: of a VidereClient it is the
    one given to ``spike_sorter(dataset_metadata=...)``, else the only recording that is linked, and NoDatasetError (a
    ValueError) lists them where there are several. ``force`` replaces spikes that were written before. Channels are
    native amplifier indices, times ms, levels uV or standard deviations of the noise; ``channel_meta`` is accepted and
    not looked at.
    """

    def __init__(
        self, parent_client: _Parent, dataset_metadata: DatasetMetadata | None = None, *, force: bool = False
    ) -> None:
        self._sorter = parent_client._sorting(dataset_metadata, force=force)

    def initialize(self) -> None:
        """Forget spikes, neurons and parameters; the sorter is off then."""
        self._sorter.command(SpikeSorterCommand.INIT)

    def rebase(self) -> None:
        """Forget spikes and neurons, and learn anew."""
        self._sorter.command(SpikeSorterCommand.REBASE)

    def clear_spikes(self) -> None:
        """Forget the spikes. A sort of a dataset begins anew; what it has written stays until then."""
        self._sorter.command(SpikeSorterCommand.CLEAR_SORT)

    def set_sorting(self, mode: str) -> None:
        """Turn it 'on' or 'off'. Of a dataset 'on' begins a sort in the background, and 'off' cancels it."""
        self._sorter.command(SpikeSorterCommand.ON if switch(mode) else SpikeSorterCommand.OFF)

    def launch_offline(self, dsource: DatasetMetadata) -> None:
        """Sort a dataset in the background; this client is about that dataset from then on.

        NotLiveError (a RuntimeError) for the sorter of the live stream.
        """
        if not isinstance(dsource, DatasetMetadata):
            raise ArgumentTypeError(f"dsource is what link_data_file() returned, not {type(dsource).__name__}")
        self._sorter.launch(dsource.id)

    def set_threshold_level(
        self, neg_thr: float | None = None, pos_thr: float | None = None, scale: str = "uV",
        ntv_idxs: int | Sequence[int] | None = None, weak_thr: bool = False,
        channel_meta: ChannelMetadata | None = None,
    ) -> str:  # fmt: skip
        """Set threshold levels, in ``scale`` 'uV' or 'sd'; a level that is None stays.

        A negative threshold may be given with or without its sign. ``weak_thr`` means the artifact level instead:
        events beyond it are dropped.
        """
        fields = level_fields(neg_thr, pos_thr, scale, weak_thr)
        if neg_thr is None and pos_thr is None:
            return "no new threshold levels were given"
        count = self._change(fields, ntv_idxs)
        (low, high), unit = next(iter(fields.values())), scale
        shown = [f"{level:.2f} {unit}" if level == level else "n/a" for level in (low, high)]
        return f"[{count} channels] {_kind(weak_thr)}: neg thr={shown[0]}, pos_thr={shown[1]}"

    def set_threshold(
        self, neg_thr: str | bool | None = None, pos_thr: str | bool | None = None,
        ntv_idxs: int | Sequence[int] | None = None, weak_thr: bool = False,
        channel_meta: ChannelMetadata | None = None,
    ) -> str:  # fmt: skip
        """Switch thresholds 'on' or 'off'; one that is None stays."""
        changes = switched(self._sorter.params(), neg_thr, pos_thr, weak_thr, chosen_channels(ntv_idxs))
        self._sorter.set_params(changes)
        shown = ["n/a" if one is None else "on" if switch(one) else "off" for one in (neg_thr, pos_thr)]
        return f"[{len(changes)} channels] {_kind(weak_thr)}: neg thr={shown[0]}, pos_thr={shown[1]}"

    def set_spike_window(self, pre_thr_ms: float | None = None, post_thr_ms: float | None = None) -> str:
        """Set what a spike spans before and behind its threshold, in ms; None stays."""
        now = self._sorter.params()
        changes = []
        for row in now:
            held = row.thr_wdw or [0.0, 0.0]
            given = [None if one is None else number(one) / 1e3 for one in (pre_thr_ms, post_thr_ms)]
            wanted = [old if new is None else new for old, new in zip(held[:2], given, strict=True)]
            changes.append(SpikeDetectParams(ntv_chan_idx=row.ntv_chan_idx, thr_wdw=wanted))
        rows = self._sorter.set_params(changes)
        before, after = (rows[0].thr_wdw or [0.0, 0.0])[:2] if rows else (0.0, 0.0)
        points = sum((rows[0].thr_wdw_pts or [0])[:2]) if rows else 0
        return (
            f"[{len(rows)} channels] spike window: pre-threshold={1e3 * before:.3f} ms, "
            f"post-threshold={1e3 * after:.3f} ms, total={1e3 * (before + after):.3f} ms [{points} points]"
        )

    def set_spike_shadow(self, shadow_ms: float | None = None) -> str:
        """Set the dead time behind a spike, in ms; None stays."""
        fields: dict[str, Any] = {} if shadow_ms is None else {"shadow": number(shadow_ms) / 1e3}
        rows = self._sorter.set_params(changes_of(fields, None))
        shadow = (rows[0].shadow or 0.0) if rows else 0.0
        points = (rows[0].shadow_pts or 0) if rows else 0
        return f"[{len(rows)} channels] shadow window: {1e3 * shadow:.3f} ms [{points} points]"

    def get_params(self) -> pd.DataFrame:
        """Return how spikes are detected, a row per channel; ``thr_wdw`` and ``shadow`` in ms, pairs as lists."""
        import pandas as pd

        rows = [row_of(params) for params in self._sorter.params()]
        return pd.DataFrame(rows, columns=list(COLUMNS))[list(PARAM_COLUMNS)]

    def get_state(self) -> pd.DataFrame:
        """Return how the sorter stands: column ``value``, rows ``mode``, ``frac_complete`` (0 to 1), ``message``, ...

        ``phase`` is an addition; times that this engine does not keep are empty.
        """
        import pandas as pd

        state = self._sorter.state()
        rows = {
            "mode": state.sys.name,
            "frac_complete": state.frac_complete,
            "message": state.msg,
            **dict.fromkeys(("init_time", "launch_time", "session_start_time", "session_stop_time"), ""),
            "is_on": state.is_on,
            "kernel_err_message": state.error_msg,
            "kernel_warn_message": state.warn_msg,
            "phase": state.phase.name,
        }
        return pd.DataFrame({"value": pd.Series(rows, dtype=object)})

    def get_dashboard(self) -> Dashboard:
        """Return the sort at a glance: column ``value``, rows ``ports``, ``time_range`` (s), ``num_units``, ...

        It is a DataFrame, and has ``state`` and ``summary_stats`` (SNR, noise and neurons by port) beside.
        """
        from ranvier.classic._dashboard import Dashboard

        board = self._sorter.dashboard()
        general = board.general
        folder, base = self._sorter.spikes_file()
        rows: dict[str, Any] = {
            "ports": [port.name for port in board.enabled_ports],
            "time_range": [0.0, 0.0] if general is None else list(general.time_range),
            **{name: 0 if general is None else getattr(general, field) for name, field in _GENERAL.items()},
            "spikes_file_path": folder,
            "spikes_file_base_name": base,
        }
        return Dashboard.of(rows, self.get_state(), board.ports)

    def _change(self, fields: dict[str, Any], ntv_idxs: int | Sequence[int] | None) -> int:
        chosen = chosen_channels(ntv_idxs)
        return len(self._sorter.set_params(changes_of(fields, chosen)))


_GENERAL = {
    "num_sites_total": "num_total_sites",
    "num_sites_enabled": "num_enabled_sites",
    "num_sites_active": "num_active_sites",
    "num_units": "num_neurons",
    "probe_yield_mean": "probe_yield",
    "site_yield_mean": "site_yield",
    "num_spikes_processed": "num_spikes_processed",
    "num_spikes_labeled": "num_spikes_labeled",
    "sort_efficiency": "sort_efficiency",
}


def _kind(weak: bool) -> str:
    return "weak" if weak else "detect"
