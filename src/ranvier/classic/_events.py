"""Parameters of event detection as the classic API has them: in words, numbers and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan
from typing import Any

import numpy as np

from ranvier.classic._errors import ArgumentTypeError
from ranvier.exceptions import ConfigurationError
from ranvier.models.spikesorter import SpikeDetectParams

#: Field of the level and of its switch, by the unit and by whether the weak (artifact) level is meant.
LEVELS = {
    ("uv", False): ("thr", "is_set_thr"),
    ("sd", False): ("thr_sd", "is_set_thr"),
    ("uv", True): ("weak_thr", "is_set_weak_thr"),
    ("sd", True): ("weak_thr_sd", "is_set_weak_thr"),
}

#: Columns of ``get_params``: the field of the parameters, and what its seconds are multiplied by.
COLUMNS: dict[str, tuple[str, float | None]] = {
    "ntv_idx": ("ntv_chan_idx", None),
    "chan_enabled": ("is_enabled", None),
    "thr_activated": ("is_set_thr", None),
    "thr": ("thr", None),
    "thr_sd": ("thr_sd", None),
    "thr_wdw": ("thr_wdw", 1e3),
    "shadow": ("shadow", 1e3),
    "weak_thr_activated": ("is_set_weak_thr", None),
    "weak_thr": ("weak_thr", None),
    "weak_thr_sd": ("weak_thr_sd", None),
    "thr_wdw_pts": ("thr_wdw_pts", None),
    "shadow_pts": ("shadow_pts", None),
}

_SWITCH = {"on": True, "off": False, True: True, False: False}


def level_fields(neg_thr: Any, pos_thr: Any, scale: str, weak: bool) -> dict[str, list[float]]:
    """Return the fields of new levels; None stays. A negative threshold may be given with or without its sign."""
    if (scale.lower(), bool(weak)) not in LEVELS:
        raise ConfigurationError(f"scale={scale!r} is neither 'uV' nor 'sd'")
    field, _ = LEVELS[scale.lower(), bool(weak)]
    return {field: [nan if neg_thr is None else -abs(number(neg_thr)), nan if pos_thr is None else number(pos_thr)]}


def switched(
    rows: Sequence[SpikeDetectParams], neg_thr: Any, pos_thr: Any, weak: bool, chosen: Sequence[int] | None
) -> list[SpikeDetectParams]:
    """Return the changes that switch thresholds of some channels (None: all) on or off; None stays."""
    _, field = LEVELS["uv", bool(weak)]
    wanted = [None if one is None else switch(one) for one in (neg_thr, pos_thr)]
    return [
        SpikeDetectParams.model_validate(
            {
                "ntv_chan_idx": row.ntv_chan_idx,
                field: [
                    old if new is None else new
                    for old, new in zip(getattr(row, field) or (False, False), wanted, strict=True)
                ],
            }
        )
        for row in rows
        if chosen is None or row.ntv_chan_idx in chosen
    ]


def changes_of(fields: Mapping[str, Any], chosen: Sequence[int] | None) -> list[SpikeDetectParams]:
    """Return a change of fields for each chosen channel; one for all where None."""
    targets: Sequence[int | None] = [None] if chosen is None else chosen
    return [SpikeDetectParams.model_validate({"ntv_chan_idx": ntv, **fields}) for ntv in targets]


def chosen_channels(ntv_idxs: int | Sequence[int] | None) -> list[int] | None:
    """Return native indices as a list; None stays."""
    if ntv_idxs is None:
        return None
    try:
        return [int(ntv) for ntv in np.atleast_1d(np.asarray(ntv_idxs)).tolist()]
    except (TypeError, ValueError):
        raise ArgumentTypeError(f"{ntv_idxs!r} is neither a native index nor a list of them") from None


def number(value: Any) -> float:
    """Return a number; ArgumentTypeError (a TypeError) for what is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ArgumentTypeError(f"{value!r} is no number") from None


def switch(word: str | bool) -> bool:
    """Return whether a word means on; ConfigurationError (a ValueError) for another word."""
    wanted = word.lower() if isinstance(word, str) else word
    if not isinstance(wanted, str | int) or wanted not in _SWITCH:
        raise ConfigurationError(f"{word!r} is neither 'on' nor 'off'")
    return _SWITCH[wanted]


def row_of(params: SpikeDetectParams) -> dict[str, Any]:
    """Return a row of ``get_params``: times in ms."""
    return {column: _scaled(getattr(params, field), factor) for column, (field, factor) in COLUMNS.items()}


def _scaled(value: Any, factor: float | None) -> Any:
    if value is None or factor is None:
        return value
    return [round(one * factor, 5) for one in value] if isinstance(value, list) else round(value * factor, 5)
