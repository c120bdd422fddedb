"""How one clock maps to another one: matched pulses, a robust map, and what it is worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import ConfigurationError, DataProcessingError
from ranvier.models.sessions import AlignmentQuality, Barcodes, ClockAlignment
from ranvier.sync.fit import Fit, evaluate, fit_map, line
from ranvier.sync.pulses import WINDOW_PULSES, WINDOWS, Match, candidates, follow

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

LEAST_PULSES = 4
#: A second match with this share of the best one's pulses makes the first one doubtful.
AMBIGUOUS = 0.8
#: Least share of the pulses (of the side with fewer) that a match must pair.
LEAST_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Search:
    """Where to look for an alignment; see :meth:`ranvier.services.HubSessions.align`."""

    near_offset_sec: float | None = None
    within_sec: float = 0.5
    tolerance_sec: float = 0.002
    max_rate_ppm: float = 500.0

    def __post_init__(self) -> None:
        for name in ("within_sec", "tolerance_sec", "max_rate_ppm"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise ConfigurationError(f"{name}={value!r}: it is a positive number")


@dataclass(frozen=True, slots=True)
class _Found:
    match: Match
    fit: Fit
    share: float  # of the pulses that both sides could see

    @property
    def pairs(self) -> Match:
        return Match(self.match.source[self.fit.kept], self.match.target[self.fit.kept])


def align_pulses(source: I64, target: I64, source_fs: float, target_fs: float, search: Search) -> ClockAlignment:
    """Align two clocks by pulses of unknown correspondence (counters of edges).

    Raises
    ------
    ConfigurationError
        Fewer than four pulses on a side.
    DataProcessingError
        The patterns do not match, or match in several ways.
    """
    source, target = np.unique(source), np.unique(target)
    for what, pulses in (("source", source), ("target", target)):
        if len(pulses) < LEAST_PULSES:
            raise ConfigurationError(
                f"the {what} has {len(pulses)} pulses on this line; aligning takes at least {LEAST_PULSES} "
                f"(is it the right line and edge?)"
            )
    a, b = source / source_fs, target / target_fs
    sample = max(1 / source_fs, 1 / target_fs)
    tolerance = min(search.tolerance_sec, 0.25 * float(np.median(np.diff(b))), 0.25 * float(np.median(np.diff(a))))
    tolerance = max(tolerance, 2 * sample)
    for fine in sorted({min(3 * sample, tolerance), tolerance}):
        found = _search(a, b, fine, tolerance, sample, search)
        if found:
            _refuse_ambiguous(a, b, found, sample, search)
            return _result(source, target, source_fs, target_fs, found[0].match, found[0].fit, "pulse pattern")
    raise DataProcessingError(
        f"no common pattern: {len(a)} source and {len(b)} target pulses do not pair up within {1e3 * tolerance:g} ms "
        f"and {search.max_rate_ppm:g} ppm; look whether both lines carry the same signal at the same time"
    )


def align_barcodes(source: Barcodes, target: Barcodes, source_fs: float, target_fs: float) -> ClockAlignment:
    """Align two clocks by barcodes; those that occur once on each side count."""
    _, i, j = np.intersect1d(_once(source), _once(target), return_indices=True)
    i, j = _places(source)[i], _places(target)[j]
    order = np.argsort(source.timestamp[i])
    i, j = i[order], j[order]
    if len(i) < 2:
        raise DataProcessingError(
            f"{len(i)} barcodes in common ({len(source.value)} in the source, {len(target.value)} in the target): "
            f"at least 2 are needed; look whether the lines are right and the recordings overlap"
        )
    rising = np.concatenate(([True], np.diff(target.timestamp[j]) > 0))
    match = Match(i[rising], j[rising])
    a, b = source.timestamp / source_fs, target.timestamp / target_fs
    fit = fit_map(a[match.source], b[match.target], max(1 / source_fs, 1 / target_fs))
    notes = tuple(
        f"{codes.damaged} damaged barcodes in the {what} were left out"
        for what, codes in (("source", source), ("target", target))
        if codes.damaged
    )
    return _result(source.timestamp, target.timestamp, source_fs, target_fs, match, fit, "barcode", notes)


def map_counters(counters: I64, alignment: ClockAlignment) -> I64:
    """Return the nearest target counters of source counters."""
    seconds = evaluate(counters / alignment.source_fs_hz, alignment.knot_source_sec, alignment.knot_target_sec)
    return np.rint(seconds * alignment.target_fs_hz).astype(np.int64)


def _search(a: F64, b: F64, fine: float, tolerance: float, sample: float, search: Search) -> list[_Found]:
    """Return the matches of the first window that gives a good one, the best first; none where no window does."""
    near = None if search.near_offset_sec is None else (search.near_offset_sec, search.within_sec)
    last = max(len(a) - WINDOW_PULSES, 0)
    starts = np.unique(np.linspace(0, last, WINDOWS).astype(int))
    order = np.argsort(np.abs(starts - last / 2), kind="stable")  # the middle sees both ends
    max_rate = search.max_rate_ppm * 1e-6
    for first in starts[order]:
        found: list[_Found] = []
        for seed in candidates(a, b, int(first), fine, max_rate, near):
            if any(f.match.shares(seed) * 2 >= len(seed) for f in found):
                continue
            match = follow(a, b, seed, tolerance, max_rate)
            if len(match) >= LEAST_PULSES:
                fit = fit_map(a[match.source], b[match.target], sample)
                found.append(_Found(match, fit, _share(a, b, match, fit)))
        found.sort(key=lambda f: int(f.fit.kept.sum()), reverse=True)
        if found and _is_significant(a, b, found[0], tolerance):
            return found
    return []


def _is_significant(a: F64, b: F64, best: _Found, tolerance: float) -> bool:
    pairs = int(best.fit.kept.sum())
    chance = len(best.match) * (1 - np.exp(-2 * tolerance * len(b) / max(float(b[-1] - b[0]), 1e-9)))
    return pairs >= max(LEAST_PULSES, 3 * chance) and best.share >= LEAST_SHARE


def _refuse_ambiguous(a: F64, b: F64, found: list[_Found], sample: float, search: Search) -> None:
    """Raise where another match explains nearly as many pulses, just as well."""
    best = found[0]
    tight = max(4 * float(np.sqrt(np.mean(best.fit.residual**2))), 3 * sample)
    mine = int(np.sum(np.abs(best.fit.residual) <= tight))
    for other in found[1:]:
        if best.pairs.shares(other.pairs) * 2 >= len(other.pairs):
            continue
        count = int(np.sum(np.abs(other.fit.residual) <= tight))
        if count >= AMBIGUOUS * mine:
            offsets = [float(np.median(b[f.pairs.target] - a[f.pairs.source])) for f in (best, other)]
            raise DataProcessingError(
                f"ambiguous: the pulses match at an offset of {offsets[0]:.4f} s ({mine} pairs) and "
                f"of {offsets[1]:.4f} s ({count} pairs) alike{_why(a)}; give near_offset_sec with a within_sec below "
                f"{abs(offsets[1] - offsets[0]) / 2:.3g} s, or use pulses at random intervals or barcodes"
            )


def _why(a: F64) -> str:
    intervals = np.diff(a)
    middle = float(np.median(intervals))
    regular = np.abs(intervals - np.rint(intervals / middle) * middle) < 0.002 * middle
    return f", because they come at a fixed period of {middle:.4g} s" if regular.mean() > 0.9 else ""


def _overlap(a: F64, b: F64, fit: Fit) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which pulses of each side lie in the time that both sides saw (half an interval beyond it included)."""
    mapped = evaluate(a, fit.knots_source, fit.knots_target)
    start, stop = max(mapped[0], b[0]), min(mapped[-1], b[-1])
    return (mapped >= start - 1e-3) & (mapped <= stop + 1e-3), (b >= start - 1e-3) & (b <= stop + 1e-3)


def _share(a: F64, b: F64, match: Match, fit: Fit) -> float:
    in_a, in_b = _overlap(a, b, fit)
    return float(fit.kept.sum() / max(min(in_a.sum(), in_b.sum()), 1))


def _result(
    source: I64, target: I64, source_fs: float, target_fs: float, match: Match, fit: Fit, method: str,
    notes: tuple[str, ...] = (),
) -> ClockAlignment:  # fmt: skip
    a, b = source / source_fs, target / target_fs
    in_a, in_b = _overlap(a, b, fit)
    i, j = match.source[fit.kept], match.target[fit.kept]
    matched = len(i)
    missed = (int(in_a.sum()) - int(in_a[i].sum()), int(in_b.sum()) - int(in_b[j].sum()))
    rms = float(np.sqrt(np.mean(fit.residual**2)))
    share = min(matched / (matched + m) for m in missed)
    begin = evaluate(a[i[:1]], fit.knots_source, fit.knots_target)[0] - a[i[0]]
    _, slope = line(a[i], b[j])
    if len(fit.knots_source) > 2:
        notes = (*notes, f"the rates wander: mapped by {len(fit.knots_source) - 1} stretches instead of one line")
    if matched < 10:
        notes = (*notes, f"only {matched} pulses: the residual says little")
    return ClockAlignment(
        source_fs_hz=source_fs,
        target_fs_hz=target_fs,
        method=method,
        knot_source_sec=fit.knots_source,
        knot_target_sec=fit.knots_target,
        offset_sec=float(begin),
        rate_ppm=(slope - 1) * 1e6,
        residual_rms_samples=rms * target_fs,
        residual_max_samples=float(np.max(np.abs(fit.residual))) * target_fs,
        matched=matched,
        unmatched_source=missed[0],
        unmatched_target=missed[1],
        matched_source=source[i],
        matched_target=target[j],
        quality=_quality(share, rms / max(1 / source_fs, 1 / target_fs), matched),
        notes=notes,
    )


def _quality(share: float, rms_samples: float, matched: int) -> AlignmentQuality:
    if share >= 0.9 and rms_samples <= 1.0 and matched >= 10:
        return AlignmentQuality.GOOD
    if share >= 0.6 and rms_samples <= 10.0:
        return AlignmentQuality.FAIR
    return AlignmentQuality.POOR


def _once(codes: Barcodes) -> I64:
    values, count = np.unique(codes.value, return_counts=True)
    return np.asarray(values[count == 1], dtype=np.int64)


def _places(codes: Barcodes) -> I64:
    """Return the row of each value of ``_once``."""
    order = np.argsort(codes.value, kind="stable")
    return np.asarray(order[np.searchsorted(codes.value[order], _once(codes))], dtype=np.int64)
