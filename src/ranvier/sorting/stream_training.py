"""Learn the units of a stream from what was kept of it (stages S6 to S8), the way recordings are learned from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ranvier.exceptions import JobCancelledError
from ranvier.recordings.channels import ChannelTable
from ranvier.sorting.crew import crew
from ranvier.sorting.learning import STAGES, learn_templates
from ranvier.sorting.linking import linked_labels
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.refining import follow
from ranvier.sorting.source import SortSource
from ranvier.sorting.tape import TapeRecording
from ranvier.sorting.templates import Templates
from ranvier.sorting.trained import TrainedUnits, signal_digest
from ranvier.sorting.window import Window


def train_on_tape(
    tape: TapeRecording,
    filters: list[dict[str, Any]],
    parameters: SorterParameters,
    known: TrainedUnits | None,
    next_label: int,
    *,
    seed: int,
    report: Callable[[float], None],
    check: Callable[[], None],
    motion: bool = False,
) -> tuple[TrainedUnits, int]:
    """Return the units, labelled, and the next label that was never given.

    Parameters
    ----------
    tape
        Filtered signal of the sorted sites.
    filters
        That it went through, as plain data: part of the units' digest.
    known
        Units so far, whose labels are kept.
    report
        Called with the fraction done.
    check
        Raises to end the work.
    motion
        Whether the pieces of the tape lie in order of time and units may move meanwhile: they are returned where they
        are at its end.
    """
    plain = replace(parameters, band_hz=None, reference=False, rare_units=False)
    fs = float(tape.fs)
    window = Window.of(plain, fs)
    source = SortSource(tape, plain, margin=2 * window.samples)

    def stage(number: int) -> Callable[[float], None]:
        return lambda fraction: report((number + fraction) / STAGES)

    blocks = list(range(source.blocks))
    with crew(1, check) as alone:
        whitening = source.learn_noise(alone).take(source.as_asked)
        templates, drift = learn_templates(source, plain, window, blocks, seed, alone, stage, motion=motion)
        if drift is not None and len(templates):
            moving = follow(templates, drift, source, plain, window, blocks, alone, lambda fraction: None)
            templates = moving.at(drift.steps[-1])
        templates = templates.on_channels(source.as_asked)
    fresh = TrainedUnits(
        templates,
        whitening,
        window,
        plain,
        np.zeros(len(templates), np.int32),
        _positions(templates, tape.channels),
        digest_of(fs, tape.channels, filters),
        float(len(blocks) * plain.block_sec),
    )
    labels, next_label = linked_labels(fresh, known, next_label, fs)
    return fresh.relabelled(labels), next_label


def digest_of(fs_hz: float, sites: ChannelTable, filters: list[dict[str, Any]]) -> str:
    """Return the digest of the filtered signal of some sites."""
    return signal_digest(fs_hz, [c.ntv for c in sites], filters)


def stop_when(stopped: Callable[[], bool]) -> Callable[[], None]:
    """Return a check that ends the work when ``stopped`` says so."""

    def check() -> None:
        if stopped():
            raise JobCancelledError("training was stopped")

    return check


def _positions(templates: Templates, sites: ChannelTable) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return positions on the probe: the geometry of the sorter moves shanks apart."""
    moved = templates.geometry.positions_um
    places = np.array([(c.site.x_um, c.site.y_um) if c.site is not None else (np.nan, np.nan) for c in sites])
    offset = (moved - places.reshape(-1, 2))[templates.sites] if len(templates) else np.zeros((0, 2))
    return np.asarray(templates.positions_um - offset, np.float32)
