"""Mailboxes: in order, one thread at a time, all done at the end."""

from __future__ import annotations

import random
import threading
import time

import pytest

from ranvier.curation.crew import Crew, Flight, Mailbox


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_each_box_in_order_by_one_thread_at_a_time(threads: int) -> None:
    boxes = [Mailbox() for _ in range(5)]
    done: list[list[int]] = [[] for _ in boxes]
    inside = [0] * len(boxes)
    landed = threading.Event()
    flight = Flight(landed.set)

    def work(box: int, i: int) -> None:
        inside[box] += 1
        assert inside[box] == 1
        time.sleep(random.random() * 1e-4)
        done[box].append(i)
        inside[box] -= 1
        if i < 40:
            crew.post(boxes[(box + 1) % 5], lambda: work((box + 1) % 5, i + 100), flight)

    with Crew(threads) as crew:
        for i in range(40):
            for box in range(5):
                crew.post(boxes[box], lambda box=box, i=i: work(box, i), flight)
        flight.leave()
    assert landed.is_set()
    assert crew.failure is None
    for numbers in done:
        assert [i for i in numbers if i < 100] == list(range(40))
        assert len(numbers) == 80


def test_leaving_waits_for_all_and_an_exception_drops_the_rest() -> None:
    box, seen = Mailbox(), []
    with Crew(1) as crew:
        for i in range(20):
            crew.post(box, lambda i=i: (time.sleep(0.001), seen.append(i)), Flight(lambda: None))
    assert seen == list(range(20))
    crew = Crew(1)
    for i in range(20):
        crew.post(box, lambda i=i: (time.sleep(0.01), seen.append(i)), Flight(lambda: None))
    crew.__exit__(KeyError, KeyError(), None)
    assert len(seen) < 40
    assert not box.served


def test_work_that_raises_is_told() -> None:
    with Crew(1) as crew:
        crew.post(Mailbox(), lambda: 1 / 0, Flight(lambda: None))
    assert isinstance(crew.failure, ZeroDivisionError)
