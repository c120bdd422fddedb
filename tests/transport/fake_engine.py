"""A small engine with methods of every kind; also what the engine processes of the tests run."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import DatasetError, JobCancelledError
from ranvier.models.jobs import JobProgress
from ranvier.models.signals import SignalType, SigSelect
from ranvier.models.time_range import TimeRange
from ranvier.services.caller import Caller, current_caller
from ranvier.services.progress import Progress
from ranvier.services.signals import SignalBlock
from ranvier.transport import Hosted


@dataclass(frozen=True)
class Tick:
    """One item of a subscription."""

    number: int
    dropped: int
    samples: npt.NDArray[np.int16]


class Echo(Protocol):
    """Values there and back."""

    def everything(
        self,
        text: str,
        /,
        number: int = 1,
        *,
        ratio: float = 0.5,
        flag: bool = False,
        data: bytes = b"",
        path: Path | None = None,
        when: datetime | None = None,
        fs: Fraction | None = None,
        kinds: Mapping[SignalType, Sequence[int]] | None = None,
        either: int | str | None = None,
    ) -> dict[str, str]: ...

    def array(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]: ...

    def select(self, select: SigSelect) -> SigSelect: ...

    def path(self, path: Path) -> Path: ...

    def fail(self, kind: str) -> None: ...

    def wrong_type(self) -> int: ...


class Fake(Protocol):
    """An engine."""

    @property
    def echo(self) -> Echo: ...

    @property
    def state(self) -> str: ...

    def who(self) -> str: ...

    def read(self, n: int, *, out: Mapping[SignalType, npt.NDArray[Any]] | None = None) -> SignalBlock: ...

    def work(self, steps: int, step_sec: float = 0.0, *, progress: Progress | None = None) -> npt.NDArray[np.int64]: ...

    def ticks(self, n: int, *, newest: bool = False, size: int = 4, period_sec: float = 0.0) -> Iterator[Tick]: ...

    def silence(self) -> Iterator[Tick]: ...

    def sleep(self, sec: float) -> int: ...

    def set_busy(self, busy: bool) -> None: ...

    def close(self) -> None: ...


class Echoing:
    """Implements Echo."""

    def everything(self, text: str, /, number: int = 1, **more: object) -> dict[str, str]:
        return {name: repr(value) for name, value in {"text": text, "number": number, **more}.items()}

    def array(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        return values

    def select(self, select: SigSelect) -> SigSelect:
        return select

    def path(self, path: Path) -> Path:
        return path

    def fail(self, kind: str) -> None:
        from ranvier import exceptions

        known = {"ZeroDivisionError": ZeroDivisionError, "SystemExit": SystemExit, "Own": OwnError}
        raise (known.get(kind) or getattr(exceptions, kind))(f"{kind} with µ and a reason")

    def wrong_type(self) -> int:
        return "three"  # type: ignore[return-value]


class OwnError(DatasetError):
    """A subclass that the client does not know."""


class Silence:
    """An iterator that has nothing to say until it is closed."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def __iter__(self) -> Silence:
        return self

    def __next__(self) -> Tick:
        self.closed.wait()
        raise StopIteration

    def close(self) -> None:
        self.closed.set()


class FakeEngine:
    """Implements Fake."""

    state = "idle"

    def __init__(self) -> None:
        self.echo = Echoing()
        self.is_busy = False
        self.cleaned: list[str] = []
        self.silences: list[Silence] = []
        self.closed_ticks = threading.Event()

    def who(self) -> str:
        return f"{current_caller().pid} {current_caller().id}"

    def read(self, n: int, *, out: Mapping[SignalType, npt.NDArray[Any]] | None = None) -> SignalBlock:
        made = {
            SignalType.AMP: np.arange(n * 4, dtype=np.float32).reshape(n, 4),
            SignalType.DIN: np.ones((n, 1), dtype=np.float32),
        }
        for kind, memory in (out or {}).items():
            if memory.shape[1:] != made[kind].shape[1:] or len(memory) < n or memory.dtype != np.float32:
                raise ValueError("out does not fit")
            memory[:n] = made[kind]
            made[kind] = memory[:n]
        return SignalBlock(made, TimeRange.from_samples(7, 7 + n, 30_000), ((8, 9),))

    def work(self, steps: int, step_sec: float = 0.0, *, progress: Progress | None = None) -> npt.NDArray[np.int64]:
        try:
            for step in range(steps):
                time.sleep(step_sec)
                if progress is not None:
                    progress(JobProgress(label="work", fraction=(step + 1) / steps))
        except JobCancelledError:
            time.sleep(0.05)
            self.cleaned.append("cancelled")
            raise
        except BaseException as error:
            self.cleaned.append(type(error).__name__)
            raise
        return np.arange(steps * 100_000)

    def ticks(self, n: int, *, newest: bool = False, size: int = 4, period_sec: float = 0.0) -> Iterator[Tick]:
        self.closed_ticks.clear()
        try:
            start = time.monotonic()
            last = -1
            while last < n - 1:
                number = last + 1
                if newest:
                    number = min(n - 1, max(number, int((time.monotonic() - start) / max(period_sec, 1e-6))))
                yield Tick(number, number - last - 1, np.full(size, number % 1000, dtype=np.int16))
                last = number
                time.sleep(period_sec)
        finally:
            self.closed_ticks.set()

    def silence(self) -> Iterator[Tick]:
        self.silences.append(Silence())
        return self.silences[-1]

    def sleep(self, how_long_sec: float) -> int:
        time.sleep(how_long_sec)
        return os.getpid()

    def set_busy(self, busy: bool) -> None:
        self.is_busy = busy

    def close(self) -> None:
        self.state = "closed"


@dataclass
class Both:
    """An engine, and what a client sees of it."""

    client: Fake
    engine: FakeEngine
    is_remote: bool


def entry(home: Path, options: Mapping[str, str]) -> Hosted:
    """Start the engine of a test's process."""
    if options.get("fail"):
        raise RuntimeError("the instrument is not there")
    time.sleep(float(options.get("slow_sec", 0)))
    engine = FakeEngine()
    notes = home / "notes.txt"

    def note(text: str) -> None:
        with open(notes, "a", encoding="utf-8") as file:
            file.write(f"{os.getpid()} {text}\n")

    def gone(caller: Caller) -> None:
        note(f"gone {caller.pid}")

    def close() -> None:
        time.sleep(float(options.get("slow_close_sec", 0)))
        note("closed")

    note("start")
    return Hosted(engine, Fake, busy=lambda: engine.is_busy, caller_gone=gone, close=close)
