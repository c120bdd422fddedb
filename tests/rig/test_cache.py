from __future__ import annotations

import os
import threading
import time
from fractions import Fraction

import numpy as np
import pytest
from scripted_source import sample_counts

from ranvier._shared import owned
from ranvier.exceptions import ConfigurationError, TimeRangeError
from ranvier.models.signals import SignalType
from ranvier.recordings import Block
from ranvier.recordings.channels import plain_channels
from ranvier.rig import cache as cache_module
from ranvier.rig.cache import SignalCache

FS = Fraction(100)
CHANNELS = plain_channels(amp=3, din=1)
ALL = np.arange(4)


def filled(cache: SignalCache, start: int, n: int, *, block: int = 7) -> None:
    for at in range(start, start + n, block):
        rows = min(block, start + n - at)
        cache.write(Block(sample_counts(at, rows, 4), at, CHANNELS.gains, CHANNELS.offsets))


@pytest.fixture
def cache() -> SignalCache:
    made = SignalCache()
    made.clear()
    made.begin(CHANNELS, FS, 2.0, counts=True)
    return made


def test_empty(cache: SignalCache) -> None:
    assert cache.span()[1:3] == (0, 0)
    with pytest.raises(TimeRangeError, match="holds"):
        cache.read(0, 10, ALL)


def test_ring_returns_what_was_written_over_many_turns(cache: SignalCache) -> None:
    for start in range(1000, 3000, 50):
        filled(cache, start, 50)
        span = cache.span()
        assert span.stop == start + 50
        got = cache.read(span.start, span.stop, ALL, counts=True)
        np.testing.assert_array_equal(got.samples, sample_counts(span.start, span.stop - span.start, 4))
    assert span.stop - span.start == 200


def test_columns_and_units(cache: SignalCache) -> None:
    filled(cache, 0, 100)
    picked = cache.read(10, 20, np.array([2, 0]))
    assert picked.samples.dtype == np.float32
    np.testing.assert_array_equal(picked.samples, sample_counts(10, 10, 4)[:, [2, 0]])
    neighbours = cache.read(10, 20, np.array([1, 2]), counts=True)
    np.testing.assert_array_equal(neighbours.samples, sample_counts(10, 10, 4)[:, 1:3])


def test_gaps_read_as_nan_and_zero(cache: SignalCache) -> None:
    filled(cache, 0, 50)
    filled(cache, 60, 50)
    assert cache.span().gaps == ((50, 60),)
    physical = cache.read(45, 65, ALL).samples
    assert np.isnan(physical[5:15, :3]).all()
    assert (physical[5:15, 3] == 0).all()
    assert np.isfinite(physical[:5]).all()
    assert np.isfinite(physical[15:]).all()
    assert (cache.read(45, 65, ALL, counts=True).samples[5:15] == 0).all()


def test_gap_longer_than_the_ring(cache: SignalCache) -> None:
    filled(cache, 0, 50)
    filled(cache, 100_000, 10)
    span = cache.span()
    assert span.stop == 100_010
    assert span.gaps == ((span.start, 100_000),)
    samples = cache.read(span.start, span.stop, ALL).samples
    assert np.isnan(samples[:-10, :3]).all()
    assert np.isfinite(samples[-10:]).all()


def test_block_longer_than_the_ring(cache: SignalCache) -> None:
    filled(cache, 0, 1000, block=1000)
    span = cache.span()
    np.testing.assert_array_equal(cache.read(span.start, span.stop, ALL).samples, sample_counts(span.start, 200, 4))


def test_gap_table_is_bounded(cache: SignalCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "MAX_GAPS", 8)
    for at in range(0, 40, 2):
        filled(cache, at, 1)
    assert len(cache.gaps_in(0, 40)) == 8
    span = cache.span()
    samples = cache.read(span.start, span.stop, ALL).samples
    expected = (np.arange(span.start, span.stop) % 2).astype(bool)
    np.testing.assert_array_equal(np.isnan(samples[:, 0]), expected)


def test_left_cache(cache: SignalCache) -> None:
    filled(cache, 0, 1000)
    with pytest.raises(TimeRangeError, match=r"holds \[600, 1000\)"):
        cache.read(0, 100, ALL)
    with pytest.raises(TimeRangeError):
        cache.read(1000, 1001, ALL)


def test_new_stream_forgets(cache: SignalCache) -> None:
    filled(cache, 0, 100)
    old = cache.span()
    cache.clear()
    cache.begin(CHANNELS, FS, 2.0, counts=False)
    assert cache.span().stop == 0
    with pytest.raises(TimeRangeError, match="another one began"):
        cache.read(0, 10, ALL, epoch=old.epoch)
    cache.write(Block(np.ones((5, 4), np.float32), 50))
    with pytest.raises(ConfigurationError, match="counts"):
        cache.read(50, 55, ALL, counts=True)
    np.testing.assert_array_equal(cache.read(0, 100, ALL).samples, np.ones((5, 4)))


def test_memory_shortens_and_says_so() -> None:
    small = SignalCache(max_bytes=4 * 2 * 500)
    small.begin(CHANNELS, FS, 100.0, counts=True)
    assert small.persistence_sec == pytest.approx(3.0)
    assert small.shortened_sec == 100.0


@pytest.mark.parametrize("channels", [3, 255, 256, 1029])
def test_rows_of_many_channels_are_cache_lines(channels: int) -> None:
    """A ring whose rows are wider than the stream holds the stream all the same."""
    table = plain_channels(amp=channels, din=1)
    columns = np.arange(channels + 1)
    cache = SignalCache()
    cache.begin(table, FS, 1.0, counts=True)
    for at in range(0, 450, 30):
        cache.write(Block(sample_counts(at, 30, channels + 1), at, table.gains, table.offsets))
    got = cache.read(350, 450, columns, counts=True)
    np.testing.assert_array_equal(got.samples, sample_counts(350, 100, channels + 1))
    physical = cache.read(350, 450, columns).samples
    np.testing.assert_array_equal(physical, got.samples * table.gains.astype(np.float32))


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="nothing to share memory with")
def test_a_ring_that_is_lent_is_the_ring_until_it_is_overwritten(cache: SignalCache) -> None:
    filled(cache, 0, 500)
    lent = cache.lend(cache.span(), {SignalType.AMP: ALL})
    assert lent is not None
    memory = owned(lent.token)
    assert memory is not None
    ring = memory.bytes[: lent.rows * lent.width * 2].view(lent.dtype).reshape(lent.rows, lent.width)
    rows = np.arange(350, 500) % lent.rows
    np.testing.assert_array_equal(ring[rows][:, ALL], sample_counts(350, 150, 4))
    kept = cache.kept(lent.epoch)
    assert kept is not None
    assert kept <= 300 < 500
    filled(cache, 500, 300)
    now = cache.kept(lent.epoch)
    assert now is not None
    assert now > 350  # whoever read [350, 500) meanwhile has nonsense, and sees it here
    cache.clear()
    assert cache.kept(lent.epoch) is None
    cache.begin(CHANNELS, FS, 2.0, counts=True)
    assert cache.kept(lent.epoch) is None


def test_readers_never_see_torn_samples_and_never_hold_the_writer() -> None:
    """Readers over the whole ring while a writer runs as fast as it can: every row served is what was written."""
    cache = SignalCache()
    channels = plain_channels(amp=64)
    columns = np.arange(64)
    cache.begin(channels, Fraction(2000), 0.5, counts=True)
    stop = threading.Event()
    wrong: list[str] = []
    reads = [0, 0]

    def read(which: int) -> None:
        while not stop.is_set():
            held = cache.span()
            if held.stop - cache.oldest() < 100:
                continue
            try:
                got = cache.read(cache.oldest(), held.stop, columns, counts=True)
            except TimeRangeError:
                continue
            reads[which] += 1
            rows = np.arange(got.start, got.stop)
            if not np.array_equal(got.samples, np.repeat((rows % 32000).astype(np.int16)[:, None], 64, axis=1)):
                wrong.append(f"torn at {got.start}")

    readers = [threading.Thread(target=read, args=(i,)) for i in range(2)]
    for reader in readers:
        reader.start()
    at = 0
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        values = (np.arange(at, at + 60) % 32000).astype(np.int16)
        block = Block(np.repeat(values[:, None], 64, axis=1), at, channels.gains, channels.offsets)
        cache.write(block)
        at += 60
    stop.set()
    for reader in readers:
        reader.join()
    assert not wrong
    assert min(reads) > 0


def test_wait_beyond(cache: SignalCache) -> None:
    assert not cache.wait_beyond(0, cache.epoch, 0.01)
    threading.Timer(0.05, filled, (cache, 0, 20)).start()
    began = time.monotonic()
    while not cache.wait_beyond(5, cache.epoch, 1.0):
        assert time.monotonic() - began < 5
    threading.Timer(0.05, cache.end).start()
    while not cache.ended:  # every block wakes the waiting, also those from above
        assert not cache.wait_beyond(1000, cache.epoch, 5.0)
        assert time.monotonic() - began < 10
