"""How many spikes a site is trained with."""

from __future__ import annotations

from ranvier.sorting.parameters import LEAST_EVENTS, SorterParameters
from ranvier.sorting.training import quota_of


def test_few_sites_are_trained_with_more_spikes_each() -> None:
    parameters = SorterParameters()
    asked = parameters.events_per_site
    assert [parameters.most_events(n) for n in (1, 4, 8, 64)] == [LEAST_EVENTS, LEAST_EVENTS // 4, asked, asked]
    assert SorterParameters(events_per_site=9000).most_events(4) == 9000
    blocks = list(range(100))
    assert quota_of(parameters, blocks, 4) == 2 * quota_of(parameters, blocks, 64) == 80
