"""What sites and neurons of a sorter's dashboard add up to, by port: live and of recordings."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from ranvier.metrics.summa import dividers_of, twelve_statistics
from ranvier.models.ports import Port
from ranvier.models.sorter_stats import SorterNeuronStats, SorterPortStats, SorterSiteStats

#: Bins of the histogram that the mode is told by.
BINS = 20


def port_stats(sites: Sequence[SorterSiteStats], neurons: Sequence[SorterNeuronStats]) -> list[SorterPortStats]:
    """Return the ports with sites; a neuron belongs to the port of its site."""
    by_port: dict[Port, list[SorterSiteStats]] = defaultdict(list)
    for site in sites:
        if site.port is not None:
            by_port[site.port].append(site)
    return [_port(port, own, neurons) for port, own in sorted(by_port.items())]


def _port(port: Port, sites: list[SorterSiteStats], neurons: Sequence[SorterNeuronStats]) -> SorterPortStats:
    enabled, there = [s for s in sites if s.is_enabled], {s.ntv_chan_idx for s in sites}
    own = [n for n in neurons if n.ntv_chan_idx in there]
    on_site = Counter(n.ntv_chan_idx for n in own)
    return SorterPortStats(
        port=port,
        num_enabled_sites=len(enabled),
        num_active_sites=sum(s.num_spikes > 0 for s in sites),
        num_neurons=len(own),
        num_spikes=sum(s.num_spikes for s in sites),
        snr=_twelve([n.snr for n in own]),
        noise_uv=_twelve([s.noise_sd_uv for s in enabled if s.noise_sd_uv is not None]),
        neuron_yield=_twelve([on_site[s.ntv_chan_idx] for s in enabled]),
    )


def _twelve(values: Sequence[float]) -> list[float]:
    x = np.asarray(values, np.float64)
    x = x[np.isfinite(x)]
    dividers = dividers_of([x], BINS)
    return [float(v) for v in twelve_statistics(x, np.histogram(x, dividers)[0], dividers)]
