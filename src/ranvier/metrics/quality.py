"""Which channels are dead, saturated or noisy, judged against the other channels of the recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

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
#: Channels below which there are no "others" to compare with.
MIN_COMPARED = 4


def channel_quality(
    stats: ChannelStatistics,
    channels: ChannelTable | Sequence[Channel],
    *,
    raw: ChannelStatistics | None = None,
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
      twice the ratio, which finds bursts of noise that the median does not see.

    The "others" are the channels that are neither flat nor saturated; with fewer than 4 of them nothing is compared and
    only the absolute rules hold. Noise is meant in the band of the data that was measured: of raw data it is mostly
    field potential, so judge noise on the spike band and give the raw statistics as ``raw``.

    Parameters
    ----------
    stats
        From :func:`ranvier.metrics.measure`, usually of filtered data. All measures are taken from it.
    channels
        The recording's channels (``stats.columns`` are its columns).
    raw
        Statistics of the same columns before filters and references, for dead and saturated channels: filters smear
        clipping, and a common reference gives a dead channel the others' mean.
    """
    source = stats if raw is None else raw
    flat = (source.n == 0) | (source.flat_fraction >= FLAT_FRACTION)
    saturated = source.saturated_fraction >= SATURATED_FRACTION
    judge = _Judge(stats, flat | saturated)
    raw_judge = judge if raw is None else _Judge(raw, flat | saturated)
    result = []
    for i, column in enumerate(stats.columns):
        channel = channels[int(column)]
        verdict, reasons = _verdict(i, source, bool(flat[i]), bool(saturated[i]), judge, raw_judge)
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
) -> ChannelQualityTable:
    """Return :func:`channel_quality` as the table that users see, with the time range that was measured."""
    return ChannelQualityTable(
        dataset_id=dataset_id,
        time_range_sec=(float(stats.start / stats.fs), float(stats.stop / stats.fs)),
        channels=channel_quality(stats, channels, raw=raw),
    )


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
    """Compares noise and standard deviation of one channel with those of the others."""

    def __init__(self, stats: ChannelStatistics, excluded: npt.NDArray[np.bool_]) -> None:
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
