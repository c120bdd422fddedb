"""Hard limits of stimulation: pure functions that say yes, or no and why.

What the figures rest on, and how far they were checked against their sources:

* **Charge per phase, 4 nC**, for microelectrodes. Cogan, Ludwig, Welle & Takmakov 2016 (J Neural Eng 13:021001) put the
  damage threshold of microelectrodes there, after McCreery, Pikov & Troyk 2010 (J Neural Eng 7:036005): pulsing at
  4 nC/phase (2000 um^2 sites, 200 us, 50 Hz, 8 h a day for 30 days, without pause) cost neurons around the tips, at
  2 nC/phase no loss was found. *It is a threshold of damage under chronic use, not a level known to be safe.* The
  review's abstract (that microelectrodes do not follow Shannon's relation) was read in the original, the figures and
  conditions in transcriptions by others that quote them.
* **Shannon's relation**, ``log10(D) = k - log10(Q)`` with D in uC/cm^2 and Q in uC per phase (Shannon 1992, IEEE Trans
  Biomed Eng 39:424): checked. Of its ``k``: the lowest that did damage in the data it was drawn from is 1.85; Cogan et
  al. 2016 give 1.5-1.8 for clinical devices, and about 1.75 for the 30 uC/cm^2 of deep brain stimulation (in
  transcription). That Cogan 2008 (Annu Rev Biomed Eng 10:275) has 1.75 too could not be checked: the text was not at
  hand.
* **2000 um^2** is the upper end of the microelectrodes that Cogan et al. 2016 discuss (200-2000 um^2, in
  transcription). The same review puts the passage from micro- to macroelectrodes at diameters of 200-300 um
  (30 000-70 000 um^2): between the two, Shannon's relation is used outside the data that support it, and status says
  so (:data:`SHANNON_SUPPORTED_UM2`). It allows 33 nC on a site of 2001 um^2.
* **Imbalance, 1 %** of the first phase, is this project's own choice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ranvier.exceptions import ConfigurationError
from ranvier.models.rig import SafetyLimits

#: From this area on (discs of 200 um diameter) electrodes behave as those that Shannon's relation was drawn from.
SHANNON_SUPPORTED_UM2 = 30_000.0

#: Charge per phase at which chronic pulsing cost no neurons (McCreery et al. 2010); status tells what is above.
NO_LOSS_FOUND_NC = 2.0

_COGAN_2016 = "Cogan et al. 2016, J Neural Eng 13:021001"
_SHANNON_1992 = "Shannon 1992, IEEE Trans Biomed Eng 39:424"
_CHANGE = "only set_safety_limits(limits, reason=...) changes a limit, and that is recorded"

# Relative slack, so that a pulse exactly at a limit is not refused for the rounding of floating point.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of a pulse as it will be played.

    Attributes
    ----------
    amplitude_ua
        Signed: negative is cathodic.
    """

    amplitude_ua: float
    duration_us: float

    @property
    def charge_nc(self) -> float:
        """Signed charge."""
        return self.amplitude_ua * self.duration_us / 1000.0


@dataclass(frozen=True, slots=True)
class ChargeLimit:
    """The largest charge per phase of a site, and the rule that sets it."""

    charge_nc: float
    rule: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """A pulse that is within the limits.

    Attributes
    ----------
    charge_nc
        Largest charge of a phase, unsigned.
    notes
        What a person at the rig should know all the same.
    """

    charge_nc: float
    limit: ChargeLimit
    imbalance: float
    notes: tuple[str, ...] = ()


def shannon_charge_nc(k: float, area_um2: float) -> float:
    """Return the charge per phase where ``log10(Q / A) = k - log10(Q)``: ``Q = sqrt(A * 10^k)``, A in cm^2, Q in uC."""
    return math.sqrt(area_um2 * 1e-8 * 10.0**k) * 1000.0


def charge_limit(limits: SafetyLimits, area_um2: float | None) -> ChargeLimit:
    """Return the limit of a site; its geometric area None or 0 where nobody knows it."""
    if not area_um2:
        return ChargeLimit(
            limits.charge_per_phase_nc,
            f"{limits.charge_per_phase_nc:g} nC per phase for a site of unknown area ({_COGAN_2016})",
        )
    if area_um2 <= limits.small_site_um2:
        return ChargeLimit(
            limits.charge_per_phase_nc,
            f"{limits.charge_per_phase_nc:g} nC per phase, sites up to {limits.small_site_um2:g} um2 ({_COGAN_2016})",
        )
    charge = shannon_charge_nc(limits.shannon_k, area_um2)
    return ChargeLimit(
        charge, f"{charge:.4g} nC per phase: Shannon's k {limits.shannon_k:g} at {area_um2:g} um2 ({_SHANNON_1992})"
    )


def check_pulse(
    phases: Sequence[Phase], *, area_um2: float | None, max_ua: float, limits: SafetyLimits, channel: str
) -> Verdict:
    """Return what a pulse amounts to; ConfigurationError names every limit that it exceeds, with figures and source.

    Parameters
    ----------
    phases
        As they will be played: rounded to samples and to steps of the current already. Neighbours of equal sign count
        as one phase, so that a long phase cannot hide in two.
    area_um2
        Geometric area of the site; None or 0 for unknown, where the charge limit alone applies.
    max_ua
        Largest current of the instrument.
    channel
        How the channel is called in messages.
    """
    if not phases or any(not math.isfinite(p.amplitude_ua) or not math.isfinite(p.duration_us) for p in phases):
        raise ConfigurationError(f"stimulation of {channel} refused: a pulse needs finite amplitudes and durations")
    if area_um2 is not None and not (math.isfinite(area_um2) and area_um2 >= 0):
        raise ConfigurationError(f"stimulation of {channel} refused: the site's area {area_um2!r} um2 is no area")
    charges = _merged(phases)
    charge = max((abs(q) for q in charges), default=0.0)
    limit = charge_limit(limits, area_um2)
    imbalance = _imbalance(charges)
    problems = [
        *_current_problem(phases, max_ua),
        *_charge_problem(charge, limit),
        *_imbalance_problem(charges, imbalance, limits),
    ]
    if problems:
        raise ConfigurationError(f"stimulation of {channel} refused: {'; '.join(problems)}; {_CHANGE}")
    return Verdict(charge, limit, imbalance, tuple(_notes(charge, area_um2, limits, channel)))


def check_limits(limits: SafetyLimits) -> None:
    """Raise ConfigurationError for limits that are none (NaN, infinite, negative, an imbalance above 1)."""
    for name in ("charge_per_phase_nc", "shannon_k", "small_site_um2", "imbalance_fraction"):
        value = getattr(limits, name)
        if not math.isfinite(value) or value < 0:
            raise ConfigurationError(f"safety limit {name} = {value!r} is no limit; give a finite number from 0")
    if limits.imbalance_fraction > 1:
        raise ConfigurationError("safety limit imbalance_fraction is a fraction of the first phase: from 0 to 1")


def describe_change(old: SafetyLimits, new: SafetyLimits) -> str:
    """Return what differs, e.g. ``"charge_per_phase_nc 4 -> 8"``; "" where nothing does."""
    before, after = old.model_dump(), new.model_dump()
    return ", ".join(f"{name} {before[name]:g} -> {after[name]:g}" for name in before if before[name] != after[name])


def _merged(phases: Sequence[Phase]) -> list[float]:
    charges: list[float] = []
    for phase in phases:
        if phase.charge_nc == 0:
            continue
        if charges and (charges[-1] > 0) == (phase.charge_nc > 0):
            charges[-1] += phase.charge_nc
        else:
            charges.append(phase.charge_nc)
    return charges


def _imbalance(charges: Sequence[float]) -> float:
    return abs(math.fsum(charges)) / abs(charges[0]) if charges else 0.0


def _current_problem(phases: Sequence[Phase], max_ua: float) -> list[str]:
    current = max(abs(p.amplitude_ua) for p in phases)
    if current <= max_ua * (1 + _ROUNDING):
        return []
    return [f"{current:g} uA exceed the instrument's {max_ua:g} uA"]


def _charge_problem(charge: float, limit: ChargeLimit) -> list[str]:
    if charge <= limit.charge_nc * (1 + _ROUNDING):
        return []
    return [f"{charge:.4g} nC per phase exceed the limit of {limit.rule}"]


def _imbalance_problem(charges: Sequence[float], imbalance: float, limits: SafetyLimits) -> list[str]:
    if imbalance <= limits.imbalance_fraction + _ROUNDING:
        return []
    return [
        f"its phases leave {math.fsum(charges):+.4g} nC behind, {imbalance:.3g} of the first phase; allowed is a "
        f"fraction of {limits.imbalance_fraction:g}, so give the second phase the charge "
        "(amplitude x duration) of the first"
    ]


def _notes(charge: float, area_um2: float | None, limits: SafetyLimits, channel: str) -> list[str]:
    notes = []
    if not area_um2:
        notes.append(f"{channel}: the area of the site is not known, so the charge limit alone applies")
    elif limits.small_site_um2 < area_um2 < SHANNON_SUPPORTED_UM2:
        notes.append(
            f"{channel}: Shannon's relation is not established for sites of {area_um2:g} um2, only from about "
            f"{SHANNON_SUPPORTED_UM2:g} um2 ({_COGAN_2016})"
        )
    if charge > NO_LOSS_FOUND_NC and (not area_um2 or area_um2 <= limits.small_site_um2):
        notes.append(
            f"{channel}: {charge:.3g} nC per phase; chronic pulsing at 4 nC cost neurons, at 2 nC no loss was found "
            "(McCreery et al. 2010, J Neural Eng 7:036005)"
        )
    return notes
