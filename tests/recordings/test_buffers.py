"""Memory is used again, never while somebody holds it."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

from ranvier.dsp.parallel import Team
from ranvier.recordings.buffers import _SHELF, ALIGNMENT, SHELF_BYTES, address, aligned_empty, roomy


def test_memory_is_aligned_and_used_again() -> None:
    a = aligned_empty((1000, 100))
    address = a.ctypes.data
    assert address % ALIGNMENT == 0
    assert a.flags.c_contiguous
    assert a.flags.writeable
    del a
    assert aligned_empty((1000, 100)).ctypes.data == address


def test_a_view_keeps_its_memory() -> None:
    view = aligned_empty((1000, 100))[10:20].reshape(-1)[5:]
    view[:] = 7
    others = [aligned_empty((1000, 100)) for _ in range(5)]
    for other in others:
        other[:] = 0
    assert (view == 7).all()
    assert all(not np.shares_memory(view, other) for other in others)


def test_the_shelf_is_bounded() -> None:
    arrays = [aligned_empty(8 * 2**20, np.uint8) for _ in range(20)]
    del arrays
    gc.collect()
    assert sum(raw.size for raw in _SHELF.free) <= SHELF_BYTES


def test_the_shelf_holds_more_for_as_long_as_somebody_asks_for_it() -> None:
    with roomy(150 * 2**20):
        arrays = [aligned_empty(8 * 2**20, np.uint8) for _ in range(20)]
        del arrays
        gc.collect()
        assert SHELF_BYTES < sum(raw.size for raw in _SHELF.free) <= 150 * 2**20
    assert sum(raw.size for raw in _SHELF.free) <= SHELF_BYTES


def test_large_memory_is_left_to_those_who_need_all_of_it() -> None:
    large = aligned_empty(40 * 2**20, np.uint8)
    address = large.ctypes.data
    del large
    half = aligned_empty(21 * 2**20, np.uint8)
    assert half.ctypes.data != address
    assert aligned_empty(39 * 2**20, np.uint8).ctypes.data == address


def test_threads_never_share_memory() -> None:
    errors: list[str] = []

    def work(value: int) -> None:
        for _ in range(200):
            array = aligned_empty(50_000)
            array[:] = value
            if not (array == value).all():
                errors.append("shared")

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


@pytest.mark.parametrize(("workers", "n", "multiple"), [(1, 5, 1), (2, 64, 16), (3, 70, 16), (4, 3, 16), (2, 0, 1)])
def test_shares_cover_everything_once(workers: int, n: int, multiple: int) -> None:
    shares = Team(workers).shares(n, multiple=multiple)
    assert [i for a, b in shares for i in range(a, b)] == list(range(n))
    assert all(b > a for a, b in shares)
    assert len(shares) <= workers


def test_a_team_raises_what_a_member_raised() -> None:
    def work(first: int, stop: int) -> None:
        if first:
            raise ZeroDivisionError("in a thread")

    with pytest.raises(ZeroDivisionError):
        Team(2).each(work, [(0, 1), (1, 2)])


def test_input_that_is_not_aligned_is_filtered_alike_from_aligned_memory() -> None:
    from fractions import Fraction

    from ranvier.dsp import BandPass
    from ranvier.dsp.stage import VECTOR_BYTES, WIDTH, stage_input
    from ranvier.kernels import lanes
    from ranvier.recordings import Block, plain_channels

    assert WIDTH == lanes.WIDTH
    channels = plain_channels(amp=16)
    aligned = aligned_empty((500, 16))
    aligned[:] = np.random.default_rng(1).standard_normal((500, 16))
    raw = np.empty(aligned.nbytes + 128, dtype=np.uint8)
    skip = -raw.ctypes.data % VECTOR_BYTES + 16
    shifted = raw[skip : skip + aligned.nbytes].view(np.float32).reshape(500, 16)
    shifted[:] = aligned
    assert stage_input(Block(aligned, 0), channels) is aligned
    assert address(aligned) == aligned.ctypes.data
    locked = aligned.copy()
    locked.flags.writeable = False
    for other in (locked, np.asfortranarray(aligned), aligned.astype(np.float64)):
        taken = stage_input(Block(other, 0), channels)
        assert taken is not other
        assert taken.dtype == np.float32
        assert taken.flags.c_contiguous
        assert taken.flags.writeable
        np.testing.assert_array_equal(taken, aligned)
    assert stage_input(Block(shifted, 0), channels).ctypes.data % VECTOR_BYTES == 0
    stage = BandPass(300, 6000).bind(Fraction(30000), channels)
    one, two = (stage.process(Block(x, 0), stage.start())[0].samples for x in (aligned, shifted))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(shifted, aligned)  # the input is as it was
