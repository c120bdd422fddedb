"""Sort a recording at rest: learn from it, then match all of it.

Phases: noise and shapes, spikes to learn from, clusters, refinement, matching. Every phase works on blocks of a fixed
grid whose results are taken in order, so that the outcome is the same to the last bit for any number of workers.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import DataProcessingError, JobCancelledError
from ranvier.models.spikesorter import SpikeSorterPhase
from ranvier.recordings.buffers import roomy
from ranvier.recordings.recording import Recording
from ranvier.sorting.count_kernels import STEP_SD
from ranvier.sorting.crew import Crew, crew
from ranvier.sorting.drift import Drift
from ranvier.sorting.faint import beyond_noise, stands_out
from ranvier.sorting.following import Follower, MovingTemplates
from ranvier.sorting.kept import KeptBlocks
from ranvier.sorting.learning import learn_templates
from ranvier.sorting.matching import Matcher
from ranvier.sorting.motion import Motion
from ranvier.sorting.pair_kernels import add_waveforms
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.refining import Block, Still, follow, match_block, measure_residues
from ranvier.sorting.reservoir import members_of, thin_indices
from ranvier.sorting.sizes import best_least
from ranvier.sorting.source import SortSource, spread
from ranvier.sorting.templates import Templates
from ranvier.sorting.training import MOST_SITES, join_units
from ranvier.sorting.window import Window

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

#: ``progress(phase, fraction)``: how far the whole is, 0 to 1.
Progress = Callable[[SpikeSorterPhase, float], None]

#: A recording must be as long to be sorted.
SHORTEST_SEC = 2.0
#: Phase, where in the whole it begins, and its share, of the stages of learning.
_STAGES = (
    (SpikeSorterPhase.DETECTING, 0.0, 0.25),
    (SpikeSorterPhase.TRAINING, 0.25, 0.05),
    (SpikeSorterPhase.TRAINING, 0.3, 0.2),
    (SpikeSorterPhase.TRAINING, 0.5, 0.2),
)
_FOLLOWING = (SpikeSorterPhase.TRAINING, 0.7, 0.1)
#: Memory that workers give back and take again, in blocks of counts: a signal is two, projections and scores about one.
_BLOCKS_AT_HAND = 7
#: Mean waveforms are taken from as many blocks.
_WAVEFORM_BLOCKS = 40
#: Of one unit in all blocks at most: their sums then fit 32 bits.
_WAVEFORMS_OF_A_UNIT = 40_000


@dataclass(frozen=True)
class SortedUnits:
    """What a sort found.

    Attributes
    ----------
    sample_index
        ``(spikes,)``: counters of the troughs, in order.
    unit
        ``(spikes,)``: number of the unit, from 0.
    amplitude
        ``(spikes,)``: share of the unit's template.
    energy
        ``(spikes,)``: energy explained, in squares of the noise's SD.
    site
        ``(units,)``: column (of the recording) of each unit's largest template.
    position_um
        ``(units, 2)``: x and y on the probe, the centre of the template's energy.
    snr
        ``(units,)``: depth of the mean trough on its site by the SD of the noise there, without whitening.
    templates_uv
        ``(units, samples, channels)``: mean waveforms, filtered and referenced; trough at ``before``.
    before
        Samples of a template before its trough.
    columns
        Columns of the recording that were sorted, the channels of the templates.
    noise_uv
        ``(channels,)``: SD of the noise of each column behind the filters; NaN where it is silent.
    parameters, seed, filters
        What it was sorted with.
    motion
        How the tissue moved, by shank (in the order in which the columns meet them), against the reference: a
        displacement near its median. Positions, templates and SNR are those at the reference. Empty where no shank
        moved enough to matter: then templates stood still.
    blanked
        Samples that were left out around artifacts (``SorterParameters.artifact_uv``).
    """

    sample_index: I64
    unit: I32
    amplitude: F32
    energy: F32
    site: I64
    position_um: F64
    snr: F64
    templates_uv: F32
    before: int
    columns: I64
    noise_uv: F64
    parameters: SorterParameters
    seed: int
    filters: tuple[dict[str, object], ...] = field(default=())
    motion: tuple[Motion, ...] = field(default=())
    blanked: int = 0

    def __len__(self) -> int:
        return len(self.site)

    def __repr__(self) -> str:
        return f"<SortedUnits {len(self)} units, {len(self.unit)} spikes>"


def sort_recording(
    recording: Recording,
    parameters: SorterParameters | None = None,
    *,
    columns: I64 | None = None,
    start: int | None = None,
    stop: int | None = None,
    seed: int = 0,
    workers: int = 2,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> SortedUnits:
    """Sort the amplifier channels of a recording.

    Parameters
    ----------
    recording
        Not changed. Filters of a view (stage 2) come first; where they filter already, pass ``band_hz=None``.
    columns
        Amplifier columns; all where None.
    start, stop
        Sample counters.
    seed
        The same seed gives the same bits, for any number of workers.
    workers
        Threads.
    progress, cancelled
        Called in the calling thread between blocks.

    Raises
    ------
    DataProcessingError
        If the range is too short, or every channel is silent.
    JobCancelledError
        If ``cancelled()`` said so; nothing is left behind.
    """
    p = parameters or SorterParameters()
    window = Window.of(p, float(recording.fs))
    source = SortSource(recording, p, columns=columns, start=start, stop=stop, margin=2 * window.samples)
    if source.duration_sec < SHORTEST_SEC:
        raise DataProcessingError(
            f"{recording.path.name}: {source.duration_sec:.3g} s are too short to sort; at least {SHORTEST_SEC:g} s"
        )

    def check() -> None:
        if cancelled is not None and cancelled():
            raise JobCancelledError(f"sorting of {recording.path.name} was cancelled; nothing was written")

    def reporter(phase: SpikeSorterPhase, begin: float, share: float) -> Callable[[float], None]:
        def report(fraction: float) -> None:
            if progress is not None:
                progress(phase, begin + share * fraction)

        return report

    with source.keeping(), roomy(_BLOCKS_AT_HAND * source.block_bytes), crew(workers, check) as team:
        learned = _learn(source, p, window, seed, team, reporter)
        begin = 0.7 if isinstance(learned, Templates) else sum(_FOLLOWING[1:])
        report = reporter(SpikeSorterPhase.SORTING, begin, 1.0 - begin)
        blocks = _match_all(learned, source, p, window, team, report)
        return _finish(learned, blocks, source, p, window, seed, team)


def phase_end(phase: SpikeSorterPhase) -> float:
    """Return where in the whole a phase ends at the latest."""
    return max((begin + share for of, begin, share in (*_STAGES, _FOLLOWING) if of == phase), default=1.0)


Reporter = Callable[[SpikeSorterPhase, float, float], Callable[[float], None]]


def _learn(
    source: SortSource, p: SorterParameters, window: Window, seed: int, team: Crew, reporter: Reporter
) -> Templates | MovingTemplates:
    """Return the templates of the recording's units, moving ones where the tissue moves."""
    noise = source.learn_noise(team)
    if not np.isfinite(noise.noise_uv).any():
        raise DataProcessingError("every channel to sort is silent (constant, or without finite samples)")
    learned = [source.seen[k] for k in spread(len(source.seen), max(1, round(p.train_sec / p.block_sec)))]
    templates, drift = learn_templates(
        source, p, window, learned, seed, team, lambda number: reporter(*_STAGES[number]), motion=p.motion
    )
    if drift is None or not len(templates):
        return templates
    return follow(templates, drift, source, p, window, learned, team, reporter(*_FOLLOWING))


def _match_all(
    learned: Templates | MovingTemplates,
    source: SortSource,
    p: SorterParameters,
    window: Window,
    team: Crew,
    report: Callable[[float], None],
) -> list[Block]:
    if not len(learned):
        report(1.0)
        return []
    view: Still | Follower = (
        Still(learned, p, window) if isinstance(learned, Templates) else Follower(learned, p, window)
    )
    near = source.geometry.nearest(p.template_radius_um, MOST_SITES)
    blocks, done = source.seen, []
    with closing(KeptBlocks()) as seen:
        view = view.knowing(measure_residues(view, source, window, blocks, team, seen))
        # Not while units are learned: a unit of few spikes is learned wrongly from pairs that are none (decision 29).
        for part in team.map(lambda b: match_block(view, source, window, near, b, seen=seen, pairs=True), blocks):
            done.append(part)
            report(len(done) / len(blocks))
    return done


def average_waveforms(
    source: SortSource,
    window: Window,
    sample: I64,
    unit: I32,
    group: I32,
    team: Crew,
    drift: Drift | None = None,
) -> F32:
    """Return mean waveforms in uV of filtered signals, ``(units, samples, channels)``, from blocks spread evenly.

    They are summed in whole counts of the whitened signal, whose sum does not depend on the order, and unwhitened.

    A unit that fired in none of those blocks has NaN there. Where the tissue moves, spikes count where it is at most
    one step from its reference, in blocks spread evenly over those.

    Parameters
    ----------
    group
        ``(units,)``: shank of each unit.
    """
    units = len(group)
    if not units:
        return np.empty((0, window.samples, source.channels), np.float32)
    shanks = int(source.geometry.group.max()) + 1
    at_home = np.ones((source.blocks, shanks), np.bool_) if drift is None else np.abs(drift.steps) <= 1
    at_home &= np.isin(np.arange(source.blocks), source.seen)[:, None]
    chosen = {int(k) for shank in at_home.T for k in np.flatnonzero(shank)[spread(int(shank.sum()), _WAVEFORM_BLOCKS)]}
    most = max(1, _WAVEFORMS_OF_A_UNIT // max(1, len(chosen)))

    sums, lock = np.zeros((source.channels, units, window.samples), np.int32), Lock()

    def one(block: int) -> I64:
        first, last = source.bounds(block)
        low, high = np.searchsorted(sample, [first, last])
        here = np.flatnonzero(at_home[block][group[unit[low:high]]]) + low
        here = here[thin_indices(unit[here], most, units)]
        rows = sample[here] - first + source.margin - window.before
        counts = source.counts(block)
        with lock:
            add_waveforms(counts, rows, unit[here], sums)
        return np.bincount(unit[here], minlength=units)

    number = np.zeros(units, np.int64)
    for counts in team.map(one, sorted(chosen)):
        number += counts
    out = np.empty((units, window.samples, source.channels), np.float32)
    with np.errstate(invalid="ignore", divide="ignore"):
        for u in range(units):
            white = sums[:, u].T * (STEP_SD / np.float64(number[u]))
            out[u] = source.noise.in_microvolts(white.astype(np.float32))
    return out


def _sure(
    templates: Templates, unit: I32, beyond: F32, p: SorterParameters, window: Window, team: Crew
) -> npt.NDArray[np.bool_]:
    """Return which spikes are large enough to be their unit's rather than noise, by how large all of them are."""
    matcher = Matcher(templates, p, window)
    expected, thresholds = np.sqrt(templates.norms) / templates.noise_sd, matcher.least_sizes
    members = members_of(unit, len(templates))

    def one(u: int) -> npt.NDArray[np.bool_]:
        least = float(thresholds[u])
        sizes = np.maximum(beyond[members[u]].astype(np.float64), 0.0) + least
        return np.asarray(sizes >= best_least(sizes, least, float(expected[u])), np.bool_)

    kept = np.ones(len(unit), np.bool_)
    for own, large in zip(members, team.map(one, range(len(templates))), strict=True):
        kept[own] = large
    return kept


def _finish(
    learned: Templates | MovingTemplates,
    blocks: list[Block],
    source: SortSource,
    p: SorterParameters,
    window: Window,
    seed: int,
    team: Crew,
) -> SortedUnits:
    """Merge once more with all spikes in view, number the units by depth, and describe them."""
    templates = learned if isinstance(learned, Templates) else learned.reference
    count = len(templates)
    sample = np.concatenate([b.sample for b in blocks]) if blocks else np.empty(0, np.int64)
    unit = np.concatenate([b.unit for b in blocks]) if blocks else np.empty(0, np.int32)
    beyond = np.concatenate([b.beyond for b in blocks]) if blocks else np.empty(0, np.float32)
    amplitude = np.concatenate([b.amplitude for b in blocks]) if blocks else np.empty(0, np.float32)
    energy = np.concatenate([b.gain for b in blocks]) if blocks else np.empty(0, np.float32)
    trains = [np.sort(sample[own]) for own in members_of(unit, count)]
    sure = _sure(templates, unit, beyond, p, window, team)
    joined, kept_as, shift = templates, unit, unit
    if count:
        joined, kept_as, shift = join_units(templates, trains, p, float(source.fs), spread=team.map)
        sample, unit = sample + shift[unit], kept_as[unit].astype(np.int32)
    real = beyond_noise(members_of(unit, len(joined)), beyond, p)
    order = np.lexsort((joined.positions_um[:, 0], joined.positions_um[:, 1]))
    order = order[real[order]]
    number = np.full(len(joined), -1, np.int32)
    number[order] = np.arange(len(order))
    unit = np.where(sure, number[unit], -1).astype(np.int32)
    by_time = np.lexsort((unit, sample))
    by_time = by_time[unit[by_time] >= 0]
    final = joined.take(order)
    drift = None if isinstance(learned, Templates) else learned.drift
    group = source.geometry.group[final.sites]
    waveforms = average_waveforms(source, window, sample[by_time], unit[by_time], group, team, drift)
    if drift is not None:  # units that are silent where the tissue is at its reference
        silent = np.isnan(waveforms).any(axis=(1, 2))
        waveforms[silent] = source.noise.in_microvolts(final.waveforms[silent])
    with np.errstate(invalid="ignore"):
        each = np.nan_to_num(-waveforms.min(axis=1) / source.noise.noise_uv)
    best = each.argmax(axis=1) if len(final) else np.empty(0, np.int64)
    snr = np.asarray(each[np.arange(len(final)), best], np.float64)
    clear = stands_out(final, snr, p)
    by_time = by_time[clear[unit[by_time]]]
    unit = (np.cumsum(clear) - 1).astype(np.int32)[unit]
    final, waveforms, best, snr = final.take(clear), waveforms[clear], best[clear], snr[clear]
    positions = final.positions_um.copy()
    positions[:, 0] -= source.geometry.offset_um[final.sites]
    return SortedUnits(
        sample_index=sample[by_time],
        unit=unit[by_time],
        amplitude=amplitude[by_time],
        energy=energy[by_time],
        site=source.columns[best],
        position_um=positions,
        snr=snr,
        templates_uv=np.ascontiguousarray(waveforms[:, :, source.as_asked]),
        before=window.before,
        columns=source.columns[source.as_asked],
        noise_uv=source.noise.noise_uv[source.as_asked],
        parameters=p,
        seed=seed,
        filters=tuple(operation.describe() for operation in source.operations),
        motion=() if drift is None else drift.motions,
        blanked=source.blanked,
    )
