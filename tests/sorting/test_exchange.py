"""Other units are taken over in mid-stream: no spike is lost or told twice, and packets do not wait for it."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from ranvier.recordings.block import Block
from ranvier.sorting.basis import learn_basis
from ranvier.sorting.early_reference import PARDONED
from ranvier.sorting.exchange import exchanged
from ranvier.sorting.geometry import Geometry
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.spike_table import SpikeTable
from ranvier.sorting.stream_matcher import StreamMatcher
from ranvier.sorting.templates import Templates
from ranvier.sorting.trained import TrainedUnits
from ranvier.sorting.unit_tables import UnitTables
from ranvier.sorting.whitening import Whitening
from ranvier.sorting.window import Window

F32 = npt.NDArray[np.float32]
FS, SITES, SECONDS = 30_000.0, 12, 4
WINDOW = Window.of(SorterParameters(), FS)
PLACES = np.stack([np.zeros(SITES), 20.0 * np.arange(SITES)], axis=1)
DEPTHS_UM = (30.0, 50.0, 110.0, 130.0, 190.0)
COLUMNS = ("counter", "site", "label", "amplitude_uv", "scale", "margin", "flags")


def whitening(scale: float = 1.0) -> Whitening:
    """Return one that looks at neighbours; ``scale`` is how much."""
    matrix = np.eye(SITES) - 0.1 * scale * (np.eye(SITES, k=1) + np.eye(SITES, k=-1))
    return Whitening(np.ones(SITES), matrix.astype(np.float32), np.linalg.inv(matrix).astype(np.float32))


def units(noise: Whitening, depths_um: tuple[float, ...] = DEPTHS_UM, size: float = 14.0) -> TrainedUnits:
    """Return units of the same shape in uV whatever the whitening; labels are depths."""
    basis = learn_basis(np.empty((0, WINDOW.samples), np.float32), WINDOW.before, WINDOW.after, 6, FS, 1)
    shape = basis.components @ basis.prototypes[0]
    falls = np.array([np.exp(-((PLACES[:, 1] - depth) ** 2) / (2 * 18.0**2)) for depth in depths_um])
    falls[falls < 0.02] = 0.0
    weights = (size * falls @ noise.matrix)[:, :, None] * shape
    templates = Templates(weights.astype(np.float32), basis, Geometry(PLACES, np.zeros(SITES, np.int32)))
    places = np.array([(0.0, d) for d in depths_um], np.float32)
    labels = np.array(depths_um, np.int32)
    return TrainedUnits(templates, noise, WINDOW, SorterParameters(), labels, places, "signal", 60.0)


@pytest.fixture(scope="module")
def signal() -> tuple[F32, npt.NDArray[np.int64]]:
    """Return a signal, and when something fires in it: every 1.2 ms, so that every exchange meets a spike."""
    random = np.random.default_rng(5)
    x = random.standard_normal((round(SECONDS * FS), SITES)).astype(np.float32)
    waveforms = units(whitening()).waveforms_uv
    begins = np.arange(200, len(x) - 200, 36)
    for at in begins:
        x[at : at + WINDOW.samples] += waveforms[random.integers(len(waveforms))]
    return x, begins + WINDOW.before


def told(x: F32, plan: dict[int, UnitTables], first: UnitTables, packet: int = 30) -> SpikeTable:
    """Return the spikes of a stream whose units are exchanged before some packets."""
    matcher, parts = StreamMatcher(first), []
    for number, at in enumerate(range(0, len(x), packet)):
        if number in plan:
            matcher = exchanged(matcher, plan[number], follow=False)
        parts.append(matcher.process(Block(x[at : at + packet], at)))
    return SpikeTable.concatenate([*parts, matcher.flush()]).ordered()


def test_the_same_units_change_nothing(signal: tuple[F32, npt.NDArray[np.int64]]) -> None:
    x = signal[0]
    known, again = units(whitening()), units(whitening())  # learned again: the same numbers in other arrays
    plain = told(x, {}, UnitTables(known, FS))
    often = {number: UnitTables(again, FS) for number in range(40, 3900, 7)}
    for packet, plan in ((30, often), (7, often), (30, {1: UnitTables(again, FS)})):
        other = told(x, plan, UnitTables(known, FS), packet)
        for name in COLUMNS:
            np.testing.assert_array_equal(getattr(other, name), getattr(plain, name), err_msg=name)
    assert len(plain) > 0.8 * len(signal[1])


def test_units_in_another_order_change_nothing(signal: tuple[F32, npt.NDArray[np.int64]]) -> None:
    x, known = signal[0], units(whitening())
    order = np.array([3, 0, 4, 2, 1])
    turned = replace(
        known,
        templates=known.templates.take(order),
        labels=known.labels[np.array(order, np.int64)],
        positions_um=known.positions_um[order],
    )
    plain, other = (
        told(x, plan, UnitTables(known, FS)) for plan in ({}, {k: UnitTables(turned, FS) for k in (900, 1900)})
    )
    np.testing.assert_array_equal(other.counter, plain.counter)
    np.testing.assert_array_equal(other.label, plain.label)


def test_another_whitening_loses_and_doubles_nothing(signal: tuple[F32, npt.NDArray[np.int64]]) -> None:
    x = signal[0]
    one, two = UnitTables(units(whitening()), FS), UnitTables(units(whitening(1.5)), FS)
    plain = told(x, {}, one)
    plan = {number: (two, one)[k % 2] for k, number in enumerate(range(40, 3900, 7))}
    other = told(x, plan, one)
    apart = np.abs(other.counter[:, None] - plain.counter[None])
    same = (apart <= 2) & (other.label[:, None] == plain.label[None])
    assert same.any(axis=0).mean() > 0.98  # the noise is weighted otherwise: single spikes may fall the other way
    assert same.any(axis=1).mean() > 0.98
    for label in np.unique(other.label):  # and none comes twice
        assert np.diff(other.counter[other.label == label]).min() > WINDOW.half
    assert abs(len(other) - len(plain)) <= 0.01 * len(plain)


def test_units_that_are_new_are_found_from_the_exchange_on(signal: tuple[F32, npt.NDArray[np.int64]]) -> None:
    x = signal[0]
    few, all_of_them = UnitTables(units(whitening(), DEPTHS_UM[:3]), FS), UnitTables(units(whitening()), FS)
    plain, other = told(x, {}, all_of_them), told(x, {2000: all_of_them}, few)
    later = plain.counter >= 60_000
    np.testing.assert_array_equal(plain.counter[later], other.counter[other.counter >= 60_000])
    assert not np.isin(other.label[other.counter < 59_900], DEPTHS_UM[3:]).any()
    gone = told(x, {2000: few}, all_of_them)
    assert not np.isin(gone.label[gone.counter > 60_000], DEPTHS_UM[3:]).any()


def test_the_exchange_takes_less_than_a_packet_may(signal: tuple[F32, npt.NDArray[np.int64]]) -> None:
    """Tables take long and are made before; the exchange itself stays below 5 ms of CPU time."""
    x = signal[0]
    tables = UnitTables(units(whitening()), FS), UnitTables(units(whitening(1.5)), FS)
    matcher, cpu = StreamMatcher(tables[0]), []
    for number, at in enumerate(range(0, 9000, 30)):
        began = time.thread_time()
        if number % 3 == 2:
            matcher = exchanged(matcher, tables[number % 2], follow=False)
            cpu.append(time.thread_time() - began)
        matcher.process(Block(x[at : at + 30], at))
    assert np.median(cpu) < 5e-3


def quiet(begins: dict[int, list[int]], seconds: float = 0.4) -> F32:
    """Return a signal without noise in which units (rows) fire: spikes at known places."""
    x, waveforms = np.zeros((round(seconds * FS), SITES), np.float32), units(whitening()).waveforms_uv
    for u, rows in begins.items():
        for at in rows:
            x[at : at + WINDOW.samples] += waveforms[u]
    return x


def turned(known: TrainedUnits, order: list[int]) -> TrainedUnits:
    rows = np.array(order, np.int64)
    return replace(
        known, templates=known.templates.take(rows), labels=known.labels[rows], positions_um=known.positions_um[rows]
    )


def test_a_unit_does_not_fire_again_within_its_guard_under_its_new_number() -> None:
    """The second of two spikes within the guard is nobody's; not that of a unit whose last spike was forgotten."""
    begins = [at for first in range(300, 11_000, 217) for at in (first, first + WINDOW.half - 4)]
    x, known = quiet({0: begins}), units(whitening())
    one, other = UnitTables(known, FS), UnitTables(turned(known, [3, 0, 4, 2, 1]), FS)
    plain = told(x, {}, one)
    for label in np.unique(plain.label):
        assert np.diff(plain.counter[plain.label == label]).min(initial=99) > WINDOW.half
    changed = told(x, {number: (other, one)[k % 2] for k, number in enumerate(range(5, 390))}, one)
    np.testing.assert_array_equal(changed.counter, plain.counter)
    np.testing.assert_array_equal(changed.label, plain.label)


@pytest.mark.parametrize("often", [1, 2])
def test_what_comes_of_told_spikes_is_subtracted_under_another_whitening(often: int) -> None:
    """The end of a spike comes when its units are exchanged already; and again, right behind that."""
    begins = list(range(300, 11_000, 217))
    x = quiet({2: begins})
    one, two = UnitTables(units(whitening()), FS), UnitTables(units(whitening(1.5)), FS)
    at = begins[20] + WINDOW.before + 39  # decided, and 0.9 ms of it are still to come at most
    for begin in range(at, at + 14):
        matcher = StreamMatcher(one)
        matcher.process(Block(x[:begin], 0))
        for tables in (two, one)[:often]:
            matcher = exchanged(matcher, tables, follow=False)
        matcher.process(Block(x[begin : begin + 60], begin))
        signal = matcher.signal
        left = signal.white[:, max(begins[20], signal.start) - signal.origin : begin + 60 - signal.origin]
        assert np.abs(left).max() < 1.0


def test_two_exchanges_between_two_blocks_lose_nothing(signal: tuple[F32, npt.NDArray[np.int64]]) -> None:
    x = signal[0]
    one, two = UnitTables(units(whitening()), FS), UnitTables(units(whitening(1.5)), FS)
    plain = told(x, {}, one)
    matcher, parts = StreamMatcher(one), []
    for number, at in enumerate(range(0, len(x), 30)):
        if number % 7 == 6:
            matcher = exchanged(exchanged(matcher, two, follow=False), one, follow=False)
        parts.append(matcher.process(Block(x[at : at + 30], at)))
    other = SpikeTable.concatenate([*parts, matcher.flush()])
    apart = np.abs(other.counter[:, None] - plain.counter[None])
    same = (apart <= 2) & (other.label[:, None] == plain.label[None])
    assert same.any(axis=0).mean() > 0.98
    assert same.any(axis=1).mean() > 0.98


def test_spikes_that_were_told_early_are_told_once() -> None:
    """Exchanged at any time: units stay, come back under another label, or are gone while their spike is half seen."""
    begins = list(range(300, 11_000, 217))
    x, known = quiet({0: begins, 3: [at + 90 for at in begins]}), units(whitening())
    renamed = known.relabelled(known.labels + 1000)
    few = turned(known, [1, 2, 4])
    for others in (known, renamed, few):
        tables = [UnitTables(known, FS), UnitTables(others, FS)]
        for first in range(8):
            plan = {number: tables[1 - k % 2] for k, number in enumerate(range(20 + first, 1500, 8))}
            found = told(x, plan, tables[0], packet=7)
            for u in (0, 3) if others is not few else ():
                true = np.array(begins) + WINDOW.before + 30 * u
                assert (np.abs(found.counter[:, None] - true[None]) <= 2).sum(axis=0).tolist() == [1] * len(true)
            assert np.diff(found.counter).min() > 10


def test_a_matcher_that_knew_no_units_does_not_work_through_the_past() -> None:
    begins = list(range(300, 11_000, 217))
    x, known = quiet({0: begins}), units(whitening())
    matcher = StreamMatcher(UnitTables(turned(known, []), FS))
    matcher.process(Block(x[:6000], 0))
    matcher = exchanged(matcher, UnitTables(known, FS), follow=False)
    assert matcher.step_stop > 6000
    found = matcher.process(Block(x[6000:], 6000))
    true = np.array(begins)[np.array(begins) > 6000] + WINDOW.before
    np.testing.assert_allclose(found.counter[-len(true) + 1 :], true[1:], atol=2)


def test_a_sure_spike_is_told_when_its_beginning_was_seen() -> None:
    """Half a millisecond behind its trough; it is not told again when it is decided, and nothing was subtracted."""
    begins, behind = list(range(300, 11_000, 217)), 20
    x, tables = quiet({1: begins}), UnitTables(units(whitening()), FS)
    early, matcher, at = [], StreamMatcher(tables), 0
    for begin in begins:
        stop = begin + WINDOW.before + behind
        early.append(matcher.process(Block(x[at:stop], at)))
        at = stop
    assert [len(told) for told in early] == [1] * len(begins)
    found = SpikeTable.concatenate([*early, matcher.flush()])
    np.testing.assert_allclose(found.counter, np.array(begins) + WINDOW.before, atol=2)
    np.testing.assert_allclose(found.scale, 1.0, atol=0.05)
    row = int(tables.row_of[50])
    assert matcher.trust[row].tolist() == [len(begins), 0]
    plain = StreamMatcher(tables)
    plain.trust[:, 1] = 1 << 40  # no unit is trusted
    late = SpikeTable.concatenate([plain.process(Block(x, 0)), plain.flush()])
    assert np.abs(late.counter - found.counter).max() <= 1


def test_a_unit_that_is_told_early_in_vain_is_not_told_so_any_more() -> None:
    """Something begins as a unit does and goes on otherwise: it is told early a few times, then no more."""
    known = units(whitening())
    x = quiet({1: list(range(300, 29_000, 217))}, seconds=1.0)
    for at in range(300, 29_000, 217):  # what comes behind is against all that the unit expects
        cut = WINDOW.before + 14
        x[at + cut : at + WINDOW.samples] -= 40.0 * np.sign(known.waveforms_uv[1][cut:])
    matcher = StreamMatcher(UnitTables(known, FS))
    matcher.process(Block(x, 0))
    told_early, in_vain = matcher.trust[1]
    assert in_vain <= PARDONED + 2
    assert told_early < 20
