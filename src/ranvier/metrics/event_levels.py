"""Event detection parameters: as users set them per channel, and as the packet kernel takes them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError, SignalSelectionError
from ranvier.models.spikesorter import SpikeDetectParams

#: What holds where nothing was set: both signs, in standard deviations of the noise; artifact levels off.
DEFAULT_THR_SD = (-5.0, 5.0)
DEFAULT_WINDOW_SEC = (0.5e-3, 1.0e-3)
DEFAULT_SHADOW_SEC = 1.0e-3
#: Longest window side, and dead time.
MAX_WINDOW_SEC = 0.1

Params = Mapping[int, SpikeDetectParams]

_UNSET = [math.nan, math.nan]


def default_params(ntv: int) -> SpikeDetectParams:
    """Return the parameters of a channel for which nothing was set."""
    return SpikeDetectParams(
        is_enabled=True,
        ntv_chan_idx=ntv,
        thr=_UNSET,
        thr_sd=list(DEFAULT_THR_SD),
        thr_wdw=list(DEFAULT_WINDOW_SEC),
        shadow=DEFAULT_SHADOW_SEC,
        is_set_thr=[True, True],
        weak_thr=_UNSET,
        weak_thr_sd=_UNSET,
        is_set_weak_thr=[False, False],
    )


def changed_params(
    now: Params,
    changes: Iterable[SpikeDetectParams],
    ntv: Sequence[int],
    fs: float,
    *,
    default: Callable[[int], SpikeDetectParams] = default_params,
    widths: bool = False,
) -> dict[int, SpikeDetectParams]:
    """Return parameters with changes applied; a change without ``ntv_chan_idx`` is for all channels of ``ntv``.

    A field that is None stays; of a pair, an element that is NaN stays. A threshold in uV replaces one in standard
    deviations and the other way round; where seconds and samples are given, seconds hold. ``default`` gives what holds
    where nothing was set; ``widths`` allows ``spike_width_sec``.

    Raises
    ------
    SignalSelectionError
        A channel that is not there.
    ConfigurationError
        Thresholds that are not negative and positive, or behind the level of artifacts; windows or dead times out of
        range; a field that is not supported.
    """
    result = {i: now.get(i) or default(i) for i in ntv}
    for change in changes:
        if change.spike_width_sec is not None and not widths:
            raise ConfigurationError("events of metrics are not selected by width (spike_width_sec); leave it out")
        targets = list(ntv) if change.ntv_chan_idx is None else [change.ntv_chan_idx]
        for i in targets:
            if i not in result:
                raise SignalSelectionError(f"no amplifier channel {i}; there are {_few(ntv)}")
            result[i] = _checked(_merged(result[i], change, fs), fs)
    return result


def _merged(old: SpikeDetectParams, change: SpikeDetectParams, fs: float) -> SpikeDetectParams:
    new: dict[str, Any] = {}
    if change.thr_wdw_pts is not None:
        new["thr_wdw"] = [n / fs for n in change.thr_wdw_pts]
    if change.shadow_pts is not None:
        new["shadow"] = change.shadow_pts / fs
    for name in ("is_enabled", "shadow", "thr_wdw", "is_set_thr", "is_set_weak_thr", "spike_width_sec"):
        value = getattr(change, name)
        if value is not None:
            new[name] = value
    for in_uv, in_sd in (("thr", "thr_sd"), ("weak_thr", "weak_thr_sd")):
        for name, other in ((in_uv, in_sd), (in_sd, in_uv)):
            given = getattr(change, name)
            if given is None or all(math.isnan(g) for g in _pair(given, name)):
                continue
            held = getattr(old, name) or _UNSET
            pair = [h if math.isnan(g) else float(g) for g, h in zip(_pair(given, name), held, strict=True)]
            new[name], new[other] = pair, list(_UNSET)
    return old.model_copy(update=new)


def _pair(values: Sequence[float], name: str) -> Sequence[float]:
    if len(values) != 2:
        raise ConfigurationError(f"{name} is a pair [negative, positive], not {list(values)}")
    return values


def _checked(params: SpikeDetectParams, fs: float) -> SpikeDetectParams:
    for name, active in (("thr", "is_set_thr"), ("weak_thr", "is_set_weak_thr")):
        on = getattr(params, active)
        if len(on) != 2:
            raise ConfigurationError(f"{active} is a pair of truth values, not {on}")
        for level in (getattr(params, name), getattr(params, f"{name}_sd")):
            negative, positive = level
            if negative >= 0 or positive <= 0 or any(math.isinf(v) for v in level):
                raise ConfigurationError(
                    f"{name} [negative, positive] of channel {params.ntv_chan_idx} must be below and above 0, "
                    f"got {list(level)}; is_set_{name}=[False, True] turns a side off"
                )
        in_uv, in_sd = getattr(params, name), getattr(params, f"{name}_sd")
        for side, called in ((0, "negative"), (1, "positive")):
            if on[side] and math.isnan(in_uv[side]) and math.isnan(in_sd[side]):
                raise ConfigurationError(
                    f"channel {params.ntv_chan_idx} has no {called} {name}, which is turned on; give both sides in one "
                    f"unit ({name} in uV, {name}_sd in SD), or turn the side off with is_set_{name}"
                )
    for unit in ("", "_sd"):
        _check_artifact_level(params, unit)
    window = params.thr_wdw or []
    if len(window) not in (2, 3) or not all(0 <= w <= MAX_WINDOW_SEC for w in window[:2]):
        raise ConfigurationError(
            f"thr_wdw is [before, after] in seconds, each 0 to {MAX_WINDOW_SEC}, got {window} (ms instead of s?)"
        )
    width = params.spike_width_sec
    if width is not None and not (len(width) == 2 and 0 <= width[0] < width[1] <= MAX_WINDOW_SEC):
        raise ConfigurationError(
            f"spike_width_sec is [least, most] in seconds, rising, up to {MAX_WINDOW_SEC}, got {width} "
            "(ms instead of s?)"
        )
    if params.shadow is None or not 0 <= params.shadow <= MAX_WINDOW_SEC:
        raise ConfigurationError(f"shadow is 0 to {MAX_WINDOW_SEC} s, got {params.shadow} (ms instead of s?)")
    pre, post, shadow = _samples(params, fs)
    return params.model_copy(update={"thr_wdw": list(window[:2]), "thr_wdw_pts": [pre, post], "shadow_pts": shadow})


def _check_artifact_level(params: SpikeDetectParams, unit: str) -> None:
    """Raise ConfigurationError where every event would be an artifact: beyond one level as soon as beyond the other."""
    levels, limits = getattr(params, f"thr{unit}"), getattr(params, f"weak_thr{unit}")
    for side in (0, 1):
        on = (params.is_set_thr or [])[side] and (params.is_set_weak_thr or [])[side]
        if on and abs(limits[side]) <= abs(levels[side]):  # NaN is not
            raise ConfigurationError(
                f"weak_thr{unit} of channel {params.ntv_chan_idx}, beyond which an event is an artifact, is "
                f"{limits[side]:g}, and its threshold {levels[side]:g}: no event could be left; take a larger one, "
                f"or turn it off with is_set_weak_thr=[False, False]"
            )


def _samples(params: SpikeDetectParams, fs: float) -> tuple[int, int, int]:
    before, after = (params.thr_wdw or DEFAULT_WINDOW_SEC)[:2]
    shadow = DEFAULT_SHADOW_SEC if params.shadow is None else params.shadow
    return round(before * fs), round(after * fs), round(shadow * fs)


@dataclass(frozen=True, eq=False)
class EventLevels:
    """Parameters of some channels, as arrays; see :func:`ranvier.metrics.packet_kernels.packet_rows`.

    Attributes
    ----------
    lead, tail
        Samples that are looked at before and behind a packet: so a packet's events depend on nothing else.
    """

    levels: npt.NDArray[np.float32]
    in_sd: npt.NDArray[np.uint8]
    wings: npt.NDArray[np.int64]

    @classmethod
    def of(cls, params: Params, ntv: Sequence[int], fs: float) -> EventLevels:
        """Return the arrays of channels, in order."""
        levels = np.empty((len(ntv), 4), np.float32)
        in_sd = np.zeros((len(ntv), 2), np.uint8)
        wings = np.empty((len(ntv), 3), np.int64)
        for row, i in enumerate(ntv):
            one = params.get(i) or default_params(i)
            for pair, name in enumerate(("thr", "weak_thr")):
                in_uv, scaled = getattr(one, name) or _UNSET, getattr(one, f"{name}_sd") or _UNSET
                in_sd[row, pair] = any(not math.isnan(v) for v in scaled)
                on = (getattr(one, f"is_set_{name}") or [False, False]) if one.is_enabled else [False, False]
                used = scaled if in_sd[row, pair] else in_uv
                for side, off in ((0, -math.inf), (1, math.inf)):
                    levels[row, 2 * pair + side] = used[side] if on[side] and not math.isnan(used[side]) else off
            wings[row] = _samples(one, fs)
        return cls(levels, in_sd, wings)

    @property
    def tail(self) -> int:
        return int(self.wings[:, :2].max(initial=0))

    @property
    def lead(self) -> int:
        return 4 * int(self.wings.max(initial=0)) + self.tail + 1

    def digest(self) -> bytes:
        """Return 32 bytes that differ where any parameter does."""
        return hashlib.sha256(self.levels.tobytes() + self.in_sd.tobytes() + self.wings.tobytes()).digest()

    def take(self, rows: npt.NDArray[np.int64]) -> EventLevels:
        """Return those of some channels."""
        return EventLevels(self.levels[rows], self.in_sd[rows], self.wings[rows])


def _few(ntv: Sequence[int]) -> str:
    return f"{list(ntv)[:8]}{' ...' if len(ntv) > 8 else ''}"
