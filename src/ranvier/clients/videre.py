"""VidereClient: look at recordings."""

from __future__ import annotations

from ranvier.clients._aligned import AlignedClient
from ranvier.clients._metrics import MetricsClient
from ranvier.clients._protocols import ProtocolsClient
from ranvier.clients._sorters import SortersClient
from ranvier.clients._spectra import SpectraClient
from ranvier.clients._spikes import SpikesClient
from ranvier.clients._summa import SummaClient


class VidereClient(
    ProtocolsClient, SpectraClient, AlignedClient, SortersClient, SpikesClient, MetricsClient, SummaClient
):
    """Recordings: link, look, measure, filter, convert.

    ``VidereClient()`` alone runs the engine in this process::

        with VidereClient() as videre:
            ds = videre.link_data_file("sampledata.rhd")
            t0 = ds.time_range.sec[0]
            sig = videre.get_signals(ds, [t0, t0 + 0.5])   # sig.amp: (channels, samples) float64, uV
    """
