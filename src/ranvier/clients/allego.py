"""AllegoClient: a rig, live."""

from __future__ import annotations

from ranvier.clients._rig_control import ControlClient
from ranvier.clients._rig_metrics import LiveMetricsClient
from ranvier.clients._rig_outputs import OutputsClient
from ranvier.clients._rig_recording import RecordingClient
from ranvier.clients._rig_signals import LiveClient
from ranvier.clients._rig_sorter import LiveSorterClient
from ranvier.clients._rig_spectra import LiveSpectraClient
from ranvier.clients._rig_workspaces import WorkspacesClient


class AllegoClient(
    ControlClient, LiveClient, LiveSpectraClient, LiveMetricsClient, LiveSorterClient, RecordingClient, OutputsClient,
    WorkspacesClient,
):  # fmt: skip
    """Stream, watch, sort, record, stimulate, trigger.

    Methods and parameters of all documented releases are accepted. Everything
    that comes from a simulator says SIMULATED: the ``repr``, status, channel metadata, names and metadata of files.

    Examples
    --------
    >>> with AllegoClient() as allego:                                   # doctest: +SKIP
    ...     allego.restart(mode="SMARTBOX_SIM_GEN_SPIKES")
    ...     allego.start_streaming()
    ...     sig = allego.get_signals(TimeRangeSpec.lookback(1.0))
    """
