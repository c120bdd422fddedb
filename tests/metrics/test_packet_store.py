"""What power loss, and whoever changes bytes, leave of a packet file is found when it would be used, and made again."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ranvier.hub.packets import KeptPackets
from ranvier.metrics.check_kernels import record_checks, record_checks_reference
from ranvier.metrics.event_levels import EventLevels
from ranvier.metrics.packet_store import HEADER_BYTES, FilePackets
from ranvier.metrics.packets import PacketGrid, PacketMaker, PacketTable
from ranvier.recordings.memory import ArrayRecording

FS = Fraction(1000)
PACKETS = 3


class Bench:
    """A packet file of three packets of two channels, what it holds, and the truth."""

    def __init__(self, folder: Path) -> None:
        x = np.random.default_rng(5).normal(0, 10, (PACKETS * 1000 + 500, 2)).astype(np.float32)
        self.path = folder / "a.kpi"
        levels = EventLevels.of({}, [0, 1], float(FS))
        self.maker = PacketMaker(ArrayRecording(x, FS), np.arange(2), levels, PacketGrid.of(FS, 1.0))
        self.truth = [self.maker.make(i) for i in range(PACKETS)]
        store = self.store()
        for i, table in enumerate(self.truth):
            store.add(i, table)
        self.content = self.path.read_bytes()
        self.record = (len(self.content) - HEADER_BYTES) // PACKETS

    def store(self) -> FilePackets:
        return FilePackets(self.path, self.maker.grid, 2, self.maker.levels.digest(), b"s" * 32)

    def put(self, content: bytes) -> FilePackets:
        self.path.write_bytes(content)
        return self.store()

    def is_right(self, index: int, table: PacketTable | None) -> bool:
        wanted = self.truth[index]
        return (
            table is not None
            and np.array_equal(table.exact, wanted.exact)
            and np.array_equal(table.single, wanted.single, equal_nan=True)
        )

    def check_recovery(self, store: FilePackets, damaged: set[int]) -> None:
        """What is there is right, what is damaged is not there, and asking for all computes just that."""
        for i in range(PACKETS):
            table = store.table(i, i + 1)
            assert (table is None) if i in damaged else self.is_right(i, table)
        assert set(store.indices) & set(range(PACKETS)) == set(range(PACKETS)) - damaged
        whole = KeptPackets(self.maker, store).get(0, PACKETS)
        for i in range(PACKETS):
            part = slice(i, i + 1)
            assert self.is_right(i, PacketTable(whole.origin[part], whole.exact[part], whole.single[part]))
        again = self.store()
        assert all(self.is_right(i, again.table(i, i + 1)) for i in range(PACKETS))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_record_cut_at_every_byte(bench: Bench) -> None:
    for cut in range(1, bench.record + 1):
        store = bench.put(bench.content[:-cut])
        assert store.indices == [0, 1]
        assert store.table(0, 3) is None
        bench.check_recovery(store, {2})
        assert bench.path.read_bytes() == bench.content


def test_a_record_whose_end_never_reached_the_disk(bench: Bench) -> None:
    """The size was written, the samples were not: zeros, from any byte on."""
    for lost in range(1, bench.record + 1, 3):
        content = bench.content[:-lost] + bytes(lost)
        store = bench.put(content)
        bench.check_recovery(store, {2} if content != bench.content else set())


def flipped(bench: Bench, at: int, bit: int) -> None:
    content = bytearray(bench.content)
    content[at] ^= 1 << bit
    store = bench.put(bytes(content))
    row = (at - HEADER_BYTES) // bench.record
    bench.check_recovery(store, {row} if at >= HEADER_BYTES else set(range(PACKETS)))


def test_flipped_bits(bench: Bench) -> None:
    for at in range(0, len(bench.content), 13):
        flipped(bench, at, at % 8)


@pytest.mark.slow
def test_every_bit_flipped(bench: Bench) -> None:
    for at in range(len(bench.content)):
        for bit in range(8):
            flipped(bench, at, bit)


def test_records_that_changed_places(bench: Bench) -> None:
    """Each is whole: they count as what they say they are, wherever they lie."""
    head, n = bench.content[:HEADER_BYTES], bench.record
    one, two, three = (bench.content[HEADER_BYTES + i * n :][:n] for i in range(PACKETS))
    bench.check_recovery(bench.put(head + three + one + two), set())
    bench.check_recovery(bench.put(head + one + one + three), {1})
    torn = one[: n // 2] + two[n // 2 :]
    bench.check_recovery(bench.put(head + torn + one + two + three), set())
    bench.check_recovery(bench.put(head + one + two + three + torn), set())


def test_a_damaged_packet_is_looked_at_once_and_only_when_used(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []

    def counting(words: np.ndarray, rows: np.ndarray, checks: np.ndarray) -> None:
        looked.extend(rows.tolist())
        record_checks(words, rows, checks)

    monkeypatch.setattr("ranvier.metrics.packet_store.record_checks", counting)
    store = bench.store()
    assert looked == []
    store.table(1, 2)
    assert looked == [1]
    store.table(0, 3)
    store.table(0, 3)
    assert looked == [1, 0, 2]


def test_checks_are_their_reference() -> None:
    words = np.random.default_rng(1).integers(0, 2**32, (6, 41), dtype=np.uint32)
    words[0] = 0
    words[1] = 2**32 - 1
    rows = np.array([5, 0, 1, 3])
    got, wanted = np.zeros(4, np.uint64), np.zeros(4, np.uint64)
    record_checks(words, rows, got)
    record_checks_reference(words, rows, wanted)
    np.testing.assert_array_equal(got, wanted)
    assert (got != 0).all()
