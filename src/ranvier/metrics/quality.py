"""Which channels are dead, saturated, noisy, bridged or outside the brain, judged against the other channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.metrics.likeness import Likeness
from ranvier.metrics.statistics import ChannelStatistics
from ranvier.models.quality import ChannelQuality, ChannelQualityTable, ChannelVerdict
from ranvier.recordings.channels import Channel, ChannelTable

#: Share of equal neighbouring samples from which a channel is flat.
FLAT_FRACTION = 0.99
#: Standard deviation below which no connected amplifier is: Intan's RHD2000 has 2.4 uV rms with its input shorted.
DEAD_UV = 0.5
#: Noise or standard deviation, over the median of the others, below which a channel is dead.
DEAD_RATIO = 0.1
#: Share of samples at the rails from which a channel is saturated.
SATURATED_FRACTION = 1e-3
#: Noise over the median of the others from which a channel may be noisy ...
NOISY_RATIO = 3.0
#: ... and the robust z of the logarithm of its noise that it must reach too.
NOISY_Z = 4.0
#: Likeness to the probe, less the neighbours', from which a channel is dead, or has noise of its own (IBL 2022).
LIKENESS_DEAD, LIKENESS_NOISY = -0.5, 1.0
#: Trend of the likeness below which the topmost sites are outside the brain (IBL 2022).
TREND_OUTSIDE = -0.75
#: Electrical distance below which two channels are bridged, if it is also below this share of what is usual between
#: nearest neighbours on the probe.
BRIDGED_DISTANCE, BRIDGED_RATIO = 0.1, 0.3
#: Channels below which there are no "others" to compare with.
MIN_COMPARED = 4


def channel_quality(
    stats: ChannelStatistics,
    channels: ChannelTable | Sequence[Channel],
    *,
    raw: ChannelStatistics | None = None,
    alike: Likeness | None = None,
) -> tuple[ChannelQuality, ...]:
    """Return measures, verdict and reasons of each measured channel.

    A channel gets the first verdict of this list that fits:

    * **dead**: it has no finite sample; or 99 % of neighbouring samples are equal; or its standard deviation is below
      0.5 uV, which no amplifier reaches (Intan RHD2000: 2.4 uV rms, shorted input), while the others' is not; or its
      noise or standard deviation is below a tenth of the others' median.
    * **saturated**: 0.1 % of its samples or more are at the rails (see ``ChannelStatistics.saturated_fraction``; the
      98 % level is that of IBL's ``ibldsp.voltage.saturation``). A flat channel at the rails is saturated, not dead.
    * **noisy**: its noise is at least 3 times the median of the others *and* stands out by a robust z of 4: the
      distance of its logarithm from the median in units of 1.4826 MAD (Leys et al. 2013, J Exp Soc Psychol 49:764), so
      that probes whose channels differ anyway do not lose them. The standard deviation is judged in the same way with
      twice the ratio, which finds bursts of noise that the median does not see. With ``alike`` a channel is noisy too
      where its noise above 300 Hz stands out by the same ratio and z (then field potentials do not matter: noise of the
      whole band is not compared), or its likeness exceeds its neighbours' by 1; and dead where its likeness is below
      theirs by 0.5 (IBL 2022).
    * **bridged**: its electrical distance to another channel is below 0.1, and below 0.3 of what is usual between
      nearest neighbours on the probe: the two share even their noise.
    * **outside** the brain: it is among the topmost sites of its shank, all of which have a trend below -0.75.

    The "others" are the channels that are neither flat nor saturated nor outside the brain; with fewer than 4 of them
    nothing is compared and only the absolute rules hold. Noise is meant in the band of the data that was measured: of
    raw data it is mostly field potential, so judge noise on the spike band and give the raw statistics as ``raw``.

    Parameters
    ----------
    stats
        From :func:`ranvier.metrics.measure`, usually of filtered data. All measures are taken from it.
    channels
        The recording's channels (``stats.columns`` are its columns).
    raw
        Statistics of the same columns before filters and references, for dead and saturated channels: filters smear
        clipping, and a common reference gives a dead channel the others' mean.
    alike
        From :func:`ranvier.metrics.likeness.likeness`, of raw data and of the same columns.
    """
    source = stats if raw is None else raw
    flat = (source.n == 0) | (source.flat_fraction >= FLAT_FRACTION)
    saturated = source.saturated_fraction >= SATURATED_FRACTION
    names = [channels[int(column)].name for column in stats.columns]
    apart = flat | saturated if alike is None else flat | saturated | alike.outside
    fast = {} if alike is None else _outstanding(alike.noise_uv, apart)
    by_band = alike is not None and bool(np.isfinite(alike.noise_uv).any())
    judge = _Judge(stats, apart, slow_noise=not by_band)
    raw_judge = judge if raw is None else _Judge(raw, apart)
    result = []
    for i, column in enumerate(stats.columns):
        channel = channels[int(column)]
        verdict, reasons = _verdict(i, source, bool(flat[i]), bool(saturated[i]), judge, raw_judge)
        joined = _joined(i, alike)
        if alike is not None and not reasons:
            verdict, reasons = _verdict_of_likeness(i, alike, [names[k] for k in joined], fast.get(i, ""))
        result.append(
            ChannelQuality(
                ntv_idx=channel.ntv,
                name=channel.name,
                rms_uv=float(stats.rms_uv[i]),
                sd_uv=float(stats.sd_uv[i]),
                noise_uv=float(stats.noise_uv[i]),
                min_uv=float(stats.min_uv[i]),
                max_uv=float(stats.max_uv[i]),
                saturated_fraction=float(source.saturated_fraction[i]),
                flat_fraction=float(source.flat_fraction[i]),
                likeness=None if alike is None else _known(alike.deviation[i]),
                trend=None if alike is None else _known(alike.trend[i]),
                bridged_to=tuple(channels[int(stats.columns[k])].ntv for k in joined),
                verdict=verdict,
                reasons=reasons,
            )
        )
    return tuple(result)


def quality_table(
    dataset_id: str,
    stats: ChannelStatistics,
    channels: ChannelTable | Sequence[Channel],
    *,
    raw: ChannelStatistics | None = None,
    alike: Likeness | None = None,
) -> ChannelQualityTable:
    """Return :func:`channel_quality` as the table that users see, with the time range that was measured."""
    return ChannelQualityTable(
        dataset_id=dataset_id,
        time_range_sec=(float(stats.start / stats.fs), float(stats.stop / stats.fs)),
        channels=channel_quality(stats, channels, raw=raw, alike=alike),
    )


def unusable(stats: ChannelStatistics) -> npt.NDArray[np.bool_]:
    """Return which channels are flat or saturated: those that must not enter a median over channels."""
    flat = (stats.n == 0) | (stats.flat_fraction >= FLAT_FRACTION) | ~(stats.sd_uv > 0)
    return np.asarray(flat | (stats.saturated_fraction >= SATURATED_FRACTION), dtype=np.bool_)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _joined(i: int, alike: Likeness | None) -> list[int]:
    """Return the channels that one is bridged to, nearest first."""
    if alike is None:
        return []
    limit = min(BRIDGED_DISTANCE, BRIDGED_RATIO * alike.neighbour_distance)
    near = np.flatnonzero(alike.distance[i] < limit)
    return [int(k) for k in near[np.argsort(alike.distance[i, near], kind="stable")]]


def _outstanding(noise_uv: npt.NDArray[np.float64], apart: npt.NDArray[np.bool_]) -> dict[int, str]:
    """Return which channels have far more noise above 300 Hz than the others, and why."""
    finite = np.isfinite(noise_uv) & ~apart
    if int(finite.sum()) < MIN_COMPARED:
        return {}
    median, spread = _level(noise_uv[finite])
    found = {}
    for i in np.flatnonzero(finite & (noise_uv >= NOISY_RATIO * median)):
        if median > 0 and np.log(noise_uv[i] / median) >= NOISY_Z * spread:
            times = f"{noise_uv[i] / median:.1f} times the others' {median:.3g} uV (limit {NOISY_RATIO:g})"
            found[int(i)] = f"noise above 300 Hz {noise_uv[i]:.3g} uV is {times}"
    return found


def _verdict_of_likeness(
    i: int, alike: Likeness, joined: list[str], fast: str
) -> tuple[ChannelVerdict, tuple[str, ...]]:
    deviation, trend = alike.deviation[i], alike.trend[i]
    if joined:
        least = float(alike.distance[i].min())
        others = ", ".join(joined)
        return ChannelVerdict.BRIDGED, (
            f"shares its noise with {others}: electrical distance {least:.3f} (limit {BRIDGED_DISTANCE:g})",
        )
    if fast:
        return ChannelVerdict.NOISY, (fast,)
    if deviation < LIKENESS_DEAD:
        return ChannelVerdict.DEAD, (
            f"likeness to the probe is {deviation:+.2f} from its neighbours' (limit {LIKENESS_DEAD:g})",
        )
    if deviation > LIKENESS_NOISY:
        return ChannelVerdict.NOISY, (
            f"likeness to the probe is {deviation:+.2f} from its neighbours' (limit {LIKENESS_NOISY:+g})",
        )
    if alike.outside[i]:
        return ChannelVerdict.OUTSIDE, (
            f"among the topmost sites, which share little above 300 Hz: trend {trend:+.2f} (limit {TREND_OUTSIDE:g})",
        )
    return ChannelVerdict.GOOD, ()


def _verdict(
    i: int, source: ChannelStatistics, flat: bool, saturated: bool, judge: _Judge, raw_judge: _Judge
) -> tuple[ChannelVerdict, tuple[str, ...]]:
    if saturated:
        return ChannelVerdict.SATURATED, (
            f"{source.saturated_fraction[i]:.2%} of the samples are at the rails (limit {SATURATED_FRACTION:.1%})",
        )
    if source.n[i] == 0:
        return ChannelVerdict.DEAD, ("no finite sample",)
    if flat:
        return ChannelVerdict.DEAD, (
            f"flat: {source.flat_fraction[i]:.1%} of neighbouring samples are equal (limit {FLAT_FRACTION:.0%})",
        )
    if reasons := judge.dead(i) or raw_judge.dead(i):
        return ChannelVerdict.DEAD, reasons
    if reasons := judge.noisy(i):
        return ChannelVerdict.NOISY, reasons
    return ChannelVerdict.GOOD, ()


class _Judge:
    """Compares noise and standard deviation of one channel with those of the others.

    Without ``slow_noise`` noise is not a reason to call a channel noisy: it is judged above 300 Hz, elsewhere.
    """

    def __init__(self, stats: ChannelStatistics, excluded: npt.NDArray[np.bool_], *, slow_noise: bool = True) -> None:
        self.slow_noise = slow_noise
        self.measures = {"noise": stats.noise_uv, "standard deviation": stats.sd_uv}
        self.sd_uv = stats.sd_uv
        alive = ~excluded & (stats.sd_uv >= DEAD_UV)
        if not alive.any():  # nothing reaches the floor: the unit is wrong, or all are dead; only ratios can tell
            alive = ~excluded & (stats.sd_uv > 0)
        self.floor_holds = bool((stats.sd_uv[~excluded] >= DEAD_UV).any()) or int((~excluded).sum()) < MIN_COMPARED
        self.compares = int(alive.sum()) >= MIN_COMPARED
        self.levels = {name: _level(values[alive]) for name, values in self.measures.items()} if self.compares else {}

    def dead(self, i: int) -> tuple[str, ...]:
        reasons = []
        if self.floor_holds and self.sd_uv[i] < DEAD_UV:
            reasons.append(f"standard deviation {self.sd_uv[i]:.3g} uV is below what amplifiers have ({DEAD_UV} uV)")
        for name, (median, _) in self.levels.items():
            value = self.measures[name][i]
            if value < DEAD_RATIO * median:
                reasons.append(f"{name} {value:.3g} uV is below a tenth of the others' {median:.3g} uV")
        return tuple(reasons)

    def noisy(self, i: int) -> tuple[str, ...]:
        reasons = []
        for (name, (median, spread)), ratio in zip(self.levels.items(), (NOISY_RATIO, 2 * NOISY_RATIO), strict=False):
            value = self.measures[name][i]
            if name == "noise" and not self.slow_noise:
                continue
            if not (median > 0 and value >= ratio * median):
                continue
            if np.log(value / median) >= NOISY_Z * spread:
                times = f"{value / median:.1f} times the others' {median:.3g} uV (limit {ratio:g})"
                reasons.append(f"{name} {value:.3g} uV is {times}")
        return tuple(reasons)


def _level(values: npt.NDArray[Any]) -> tuple[float, float]:
    """Return the median, and the spread of the logarithms as 1.4826 MAD."""
    positive = values[values > 0]
    if not len(positive):
        return 0.0, 0.0
    logs = np.log(positive)
    return float(np.median(values)), 1.4826 * float(np.median(np.abs(logs - np.median(logs))))
