"""All of learning, from noise to templates: the same for a recording at rest and for the tape of a stream."""

from __future__ import annotations

from collections.abc import Callable

from ranvier.sorting.crew import Crew
from ranvier.sorting.drift import Drift, find_drift, registered
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.refining import refine
from ranvier.sorting.reservoir import thin
from ranvier.sorting.source import SortSource
from ranvier.sorting.starts import best_of, explained, islands, seed_of, starts_of
from ranvier.sorting.templates import Templates
from ranvier.sorting.training import MOST_SITES, Report, candidate_finder, first_templates, gather, learn_shapes
from ranvier.sorting.window import Window

#: Rounds of matching and averaging behind the first clusters; those that may split clusters.
ROUNDS = (True, False)
#: Rounds that look for further units in what is left.
LEFTOVERS = (True, False)
#: Stages that are reported: spikes, clusters, each round.
STAGES = 2 + len(ROUNDS)


def learn_templates(
    source: SortSource,
    parameters: SorterParameters,
    window: Window,
    blocks: list[int],
    seed: int,
    crew: Crew,
    stage: Callable[[int], Report],
    *,
    motion: bool,
) -> tuple[Templates, Drift | None]:
    """Return the templates of the units in some blocks of a source whose noise is known, and how its tissue moved.

    Parameters
    ----------
    stage
        Gives what each of the ``STAGES`` reports its fraction to.
    motion
        Whether to look for motion; where there is some, templates are those at the reference displacement.
    """
    island = islands(source.geometry, parameters.template_radius_um)
    near = source.geometry.nearest(parameters.template_radius_um, MOST_SITES)
    starts, drift, found = starts_of(island), None, []
    for start in range(starts):
        reports = [_part_of(stage, start * STAGES + number, starts) for number in range(STAGES)]
        own = seed_of(seed, start)
        basis = learn_shapes(source, parameters, window, own, crew)  # of each start: the same components
        finder, noise = candidate_finder(source, parameters, window, basis, blocks)
        spikes = gather(source, parameters, window, finder, noise, blocks, crew, reports[0])
        if motion and start == 0:
            drift = find_drift(spikes, source, parameters, basis, near, blocks, crew)
        if drift is not None:
            spikes = registered(spikes, drift, source, near)
        spikes = thin(spikes, parameters.most_events(source.channels), source.channels)
        shift_um = None if drift is None else drift.shift_um(spikes.sample, spikes.site, source)
        templates = first_templates(spikes, source, parameters, basis, own, crew, reports[1], shift_um)
        del spikes  # rounds gather their own
        for split, leftovers, report in zip(ROUNDS, LEFTOVERS, reports[2:], strict=True):
            if len(templates):
                templates = refine(
                    templates,
                    source,
                    parameters,
                    window,
                    blocks,
                    own,
                    crew,
                    report,
                    split=split,
                    drift=drift,
                    finder=finder if leftovers else None,
                    noise=noise,
                )
            else:
                report(1.0)
        found.append(templates)
    if starts == 1:
        return found[0], drift
    gains = [explained(templates, source, parameters, window, blocks, crew, drift) for templates in found]
    return best_of(found, gains, island), drift


def _part_of(stage: Callable[[int], Report], number: int, starts: int) -> Report:
    """Return what a stage of one start reports to: those of all, one behind the other, take the place of one start."""

    def report(fraction: float) -> None:
        whole = (number + fraction) / starts
        done = min(int(whole), STAGES - 1)
        stage(done)(whole - done)

    return report
