"""All of learning, from noise to templates: the same for a recording at rest and for the tape of a stream."""

from __future__ import annotations

from collections.abc import Callable

from ranvier.sorting.crew import Crew
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.refining import refine
from ranvier.sorting.source import SortSource
from ranvier.sorting.templates import Templates
from ranvier.sorting.training import Report, Window, candidate_finder, first_templates, gather, learn_shapes

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
) -> Templates:
    """Return the templates of the units in some blocks of a source whose noise is known.

    Parameters
    ----------
    stage
        Gives what each of the ``STAGES`` reports its fraction to.
    """
    basis = learn_shapes(source, parameters, window, seed, crew)
    finder, noise = candidate_finder(source, parameters, window, basis, blocks)
    spikes = gather(source, parameters, window, finder, noise, blocks, crew, stage(0))
    templates = first_templates(spikes, source, parameters, basis, seed, crew, stage(1))
    for number, split in enumerate(ROUNDS):
        report = stage(2 + number)
        if len(templates):
            templates = refine(
                templates,
                source,
                parameters,
                window,
                blocks,
                seed,
                crew,
                report,
                split=split,
                finder=finder if LEFTOVERS[number] else None,
                noise=noise,
            )
        else:
            report(1.0)
    return templates
