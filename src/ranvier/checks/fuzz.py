"""Damaged files: what truncated, overwritten and lying headers do to a reader.

``check_damaged`` opens one damaged recording and reads from it: only Ranvier's own exceptions, in bounded time and
memory. ``fuzz_reader`` lets hypothesis damage a valid recording in many ways (``pip install ranvier[checks]``)::

    fuzz_reader({"a.rhd": content}, lambda folder: open_session(folder / "a.rhd"), tmp_path)
"""

from __future__ import annotations

import re
import shutil
import time
import tracemalloc
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ranvier.exceptions import RadiensError
from ranvier.recordings import Recording, Session

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

MOST_SECONDS = 5.0
MOST_BYTES = 200 * 1024 * 1024

#: Numbers that break size calculations: all ones, the largest positive, a huge power of two, zero.
_EXTREMES: tuple[bytes, ...] = (
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\xff" * 8,
    b"\xff" * 7 + b"\x7f",
    b"\x00\x00\x00\x00\x00\x00\x00\x10",
    b"\x00\x00\x80\x7f",  # infinity as float32
    b"\x00\x00\xc0\x7f",  # NaN as float32
    b"\x00" * 8,
)


#: What a header of text may claim instead of a number that it states.
_LIES: tuple[bytes, ...] = (
    b"0",
    b"-1",
    b"-32768",
    b"4294967296",
    b"9223372036854775807",
    b"1e308",
    b"nan",
    b"0.0",
    b"",
)

_NUMBER = re.compile(rb"[-+]?\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Damage:
    """One way to damage a file, at a place given as a fraction of its length.

    ``lie`` puts a value in the place of the first number written as text at or behind the place.
    """

    kind: str  # truncate, flip, zero, overwrite, repeat, drop, lie
    place: float
    value: bytes = b""
    length: int = 1

    def apply(self, content: bytes) -> bytes:
        """Return the damaged content."""
        at = min(int(self.place * len(content)), max(0, len(content) - 1))
        before, after = content[:at], content[at:]
        if self.kind == "truncate":
            return before
        if self.kind == "flip":
            return before + bytes(b ^ (self.value[0] or 1) for b in after[: self.length]) + after[self.length :]
        if self.kind == "zero":
            return before + bytes(min(self.length, len(after))) + after[self.length :]
        if self.kind == "overwrite":
            return before + self.value + after[len(self.value) :]
        if self.kind == "lie":
            return before + _NUMBER.sub(self.value, after, count=1)
        if self.kind == "repeat":
            return before + after[: self.length] + after
        return before + after[self.length :]  # drop


def damages(header_fraction: float = 1.0) -> SearchStrategy[Damage]:
    """Return a hypothesis strategy of damage.

    Parameters
    ----------
    header_fraction
        Part of the file that holds its header: half of all damage goes there.
    """
    from hypothesis import strategies as st

    places = st.one_of(st.floats(0, 1, exclude_max=True), st.floats(0, header_fraction, exclude_max=True))
    return st.one_of(
        st.builds(Damage, st.just("truncate"), places),
        st.builds(Damage, st.just("flip"), places, st.binary(min_size=1, max_size=1), st.integers(1, 4)),
        st.builds(Damage, st.sampled_from(["zero", "repeat", "drop"]), places, st.just(b""), st.integers(1, 5000)),
        st.builds(Damage, st.just("overwrite"), places, st.sampled_from(_EXTREMES)),
        st.builds(Damage, st.just("overwrite"), places, st.binary(min_size=1, max_size=8)),
        st.builds(Damage, st.just("lie"), places, st.sampled_from(_LIES)),
    )


def check_damaged(
    open_damaged: Callable[[], Session], *, most_seconds: float = MOST_SECONDS, most_bytes: int = MOST_BYTES
) -> None:
    """Open and read a damaged recording: our exceptions only, each with a message, in bounded time and memory."""
    running = tracemalloc.is_tracing()
    if not running:
        tracemalloc.start()
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    started = time.perf_counter()
    try:
        with open_damaged() as session:
            read_a_little(session)
    except RadiensError as error:
        if not str(error).strip():
            raise AssertionError(f"{type(error).__name__} without a message") from error
    finally:
        seconds = time.perf_counter() - started
        used = tracemalloc.get_traced_memory()[1] - before
        if not running:
            tracemalloc.stop()
    assert seconds < most_seconds, f"took {seconds:.1f} s, at most {most_seconds:g} allowed"
    assert used < most_bytes, f"took {used / 1e6:.0f} MB, at most {most_bytes / 1e6:.0f} allowed"


def read_a_little(session: Session) -> None:
    """Read the ends of every stream, one column, some blocks, events and spikes."""
    for recording in session.streams.values():
        repr(recording)
        if recording.stop <= recording.start:
            continue
        n = _few_rows(recording)
        recording.read(recording.start, recording.start + n)
        recording.read(recording.stop - n, recording.stop, [len(recording.channels) - 1])
        if recording.stores_counts:
            recording.read_counts(recording.start, recording.start + n)
        for i, _ in enumerate(recording.blocks(n)):
            if i == 5:
                break
        recording.refresh()
    for name in session.events:
        len(session.events[name])
    for name in session.spike_trains:
        len(session.spike_trains[name])


def fuzz_reader(
    files: Mapping[str, bytes],
    open_in: Callable[[Path], Session],
    folder: Path,
    *,
    examples: int = 60,
    header_fraction: float = 1.0,
    damaging: Collection[str] | None = None,
) -> None:
    """Damage the files of one valid recording in many ways and check what its reader does.

    Parameters
    ----------
    files
        Content by name (``sub/name`` for folders) of a valid recording.
    open_in
        Opens the recording that lies in a folder.
    folder
        An empty folder to work in.
    header_fraction
        See ``damages``.
    damaging
        Names of the files to damage; all where not given.
    """
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st

    for name, content in files.items():
        _place(folder / "valid" / name, content)
    with open_in(folder / "valid") as session:
        read_a_little(session)
    work = folder / "damaged"

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(
        name=st.sampled_from(sorted(files if damaging is None else damaging)),
        hits=st.lists(damages(header_fraction), min_size=1, max_size=3),
        gone=st.booleans(),
        only=st.integers(0, 9),
    )
    def damaged(name: str, hits: list[Damage], gone: bool, only: int) -> None:
        shutil.rmtree(work, ignore_errors=True)
        for other, content in files.items():
            if other != name:
                _place(work / other, content)
        if gone and only < len(_SIBLINGS):  # one example in seven has no such file, but nothing or something else
            _SIBLINGS[only](work / name)
        else:
            content = files[name]
            for hit in hits:
                content = hit.apply(content)
            _place(work / name, content)
        check_damaged(lambda: open_in(work))

    damaged()


def _few_rows(recording: Recording) -> int:
    """Return how many rows make at most 8 MB."""
    return max(1, min(1000, recording.stop - recording.start, 2_000_000 // max(1, len(recording.channels))))


def _place(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _cycle(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):  # a system that allows no links: then it is missing
        path.symlink_to(path.name)


#: What may be in the place of a file: nothing, a link to itself, a folder.
_SIBLINGS: tuple[Callable[[Path], object], ...] = (
    lambda path: path.parent.mkdir(parents=True, exist_ok=True),
    _cycle,
    lambda path: path.mkdir(parents=True, exist_ok=True),
)
