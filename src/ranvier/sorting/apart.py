"""Learning in a process of its own: a rig's interpreter belongs to acquisition.

The tape and what to learn go into a folder; ``python -m ranvier.sorting.apart FOLDER`` learns, leaving the units there.
The child tells its progress on its output, gives way to everybody else, and ends with its parent: its input closes.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

from ranvier import _platform
from ranvier.exceptions import DataProcessingError, JobCancelledError, RadiensError
from ranvier.recordings.channels import ChannelTable
from ranvier.sorting.event_stream import EventSample
from ranvier.sorting.event_units import EventUnits, learn_events
from ranvier.sorting.parameters import SorterParameters
from ranvier.sorting.stream_training import stop_when, train_on_tape
from ranvier.sorting.tape import TapeRecording
from ranvier.sorting.trained import TrainedUnits, load_units

_EVENTS, _EVENT_UNITS = "events.pickle", "event_units.pickle"
_TAPE, _REQUEST, _KNOWN, _UNITS = "tape.npy", "request.pickle", "known.npz", "units.npz"
#: Names of folders begin so, the owner's process id follows; the owner holds a lock on this file in it.
_PREFIX, _OWNER = "ranvier-train-", "owner.lock"
#: How often it is looked whether the work was stopped, in seconds.
_LOOK_SEC = 0.1


def train_apart(
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
    """Return what :func:`ranvier.sorting.stream_training.train_on_tape` returns, learned by another process.

    Raises
    ------
    DataProcessingError
        The process failed; the message is its last words.
    """
    with training_folder() as folder:
        tape.save(folder / _TAPE)
        request = (tape.fs, tape.channels, filters, parameters, next_label, seed, motion)
        (folder / _REQUEST).write_bytes(pickle.dumps(request))
        if known is not None:
            known.save(folder / _KNOWN)
        _run(folder, report, check)
        answer = json.loads((folder / "answer.json").read_text())
        return load_units(folder / _UNITS), int(answer["next_label"])


@contextmanager
def training_folder() -> Iterator[Path]:
    """Make a folder for one training, which is this process's as long as it lives."""
    prefix = f"{_PREFIX}{os.getpid()}-"
    with tempfile.TemporaryDirectory(prefix=prefix) as named, Path(named, _OWNER).open("wb") as owner:
        with suppress(OSError):  # a drive without locks: what a killed process leaves there stays
            _platform.try_lock(owner)
        yield Path(named)


def remove_stale_folders() -> None:
    """Remove the training folders of processes that were killed: a tape is hundreds of megabytes."""
    for folder in Path(tempfile.gettempdir()).glob(_PREFIX + "*"):
        if not folder.name.startswith(f"{_PREFIX}{os.getpid()}-") and _is_stale(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_stale(folder: Path) -> bool:
    try:
        with (folder / _OWNER).open("rb+") as owner:
            return _platform.try_lock(owner)
    except OSError:  # just being made, somebody else's, or on a drive without locks
        return False


def learn_events_apart(
    sample: EventSample,
    noise_uv: dict[int, float],
    before: int,
    fs_hz: float,
    parameters: SorterParameters,
    *,
    seed: int,
    report: Callable[[float], None],
    check: Callable[[], None],
) -> EventUnits:
    """Return what :func:`ranvier.sorting.event_units.learn_events` returns, learned by another process.

    Raises
    ------
    DataProcessingError
        The process failed; the message is its last words.
    """
    with tempfile.TemporaryDirectory(prefix="ranvier-train-") as named:
        folder = Path(named)
        request = (sample, noise_uv, before, fs_hz, parameters, seed)
        (folder / _EVENTS).write_bytes(pickle.dumps(request))
        _run(folder, report, check)
        units: EventUnits = pickle.loads((folder / _EVENT_UNITS).read_bytes())  # our child's, in our own folder
        return units


def _run(folder: Path, report: Callable[[float], None], check: Callable[[], None]) -> None:
    """Start the child and wait for it; what ``check`` raises ends it."""
    words: list[str] = []
    with (folder / "errors.txt").open("w+b") as errors:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "ranvier.sorting.apart", str(folder)],  # -P: see ranvier.transport.processes
            env=_platform.absolute_environment(),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            **_platform.detached(),
        )
        reader = threading.Thread(target=_listen, args=(child, report, words), daemon=True)
        reader.start()
        try:
            while True:
                check()
                try:
                    child.wait(_LOOK_SEC)
                    break
                except subprocess.TimeoutExpired:
                    continue
        except BaseException:
            child.kill()
            raise
        finally:
            child.wait()
            reader.join()
            for stream in (child.stdin, child.stdout):
                if stream is not None:
                    stream.close()
        if child.returncode:
            errors.seek(0)
            last = errors.read().decode(errors="replace").strip().splitlines()
            raise DataProcessingError((words or last or [f"it ended with {child.returncode}"])[-1])


def _listen(child: subprocess.Popen[str], report: Callable[[float], None], words: list[str]) -> None:
    """Take the child's lines: fractions, and why it failed."""
    if child.stdout is None:
        return
    for line in child.stdout:
        kind, _, text = line.rstrip("\n").partition(" ")
        if kind == "done":
            report(float(text))
        elif kind == "failed":
            words.append(text)


def _child(folder: Path) -> int:
    """Learn what a folder asks for."""
    _platform.run_in_background()
    orphaned = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        orphaned.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    if (folder / _EVENTS).exists():
        return _ended(lambda: _learn_events(folder, stop_when(orphaned.is_set)))
    return _ended(lambda: _train(folder, stop_when(orphaned.is_set)))


def _learn_events(folder: Path, check: Callable[[], None]) -> None:
    sample, noise_uv, before, fs_hz, parameters, seed = pickle.loads((folder / _EVENTS).read_bytes())
    units = learn_events(
        sample.samples, sample.sites, sample.waveforms_uv, noise_uv, before, fs_hz, parameters, seed=seed,
        report=_done, check=check,
    )  # fmt: skip
    (folder / _EVENT_UNITS).write_bytes(pickle.dumps(units))


def _train(folder: Path, check: Callable[[], None]) -> None:
    fs, channels, filters, parameters, next_label, seed, motion = _request(folder)
    known = load_units(folder / _KNOWN) if (folder / _KNOWN).exists() else None
    trained, following = train_on_tape(
        TapeRecording.load(folder / _TAPE, fs, channels),
        filters,
        parameters,
        known,
        next_label,
        seed=seed,
        report=_done,
        check=check,
        motion=motion,
    )
    trained.save(folder / _UNITS)
    (folder / "answer.json").write_text(json.dumps({"next_label": following}))


def _ended(work: Callable[[], None]) -> int:
    """Do the child's work; return the code that it ends with."""
    try:
        work()
    except JobCancelledError:
        return 2
    except RadiensError as error:
        _say(f"failed {type(error).__name__}: {error}")
        return 1
    return 0


def _done(fraction: float) -> None:
    _say(f"done {fraction}")


def _request(folder: Path) -> tuple[Fraction, ChannelTable, list[dict[str, Any]], SorterParameters, int, int, bool]:
    made: tuple[Fraction, ChannelTable, list[dict[str, Any]], SorterParameters, int, int, bool]
    made = pickle.loads((folder / _REQUEST).read_bytes())  # our own file, in a folder that nobody else may enter
    return made


def _say(line: str) -> None:
    sys.stdout.write(line.replace("\n", " ") + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(_child(Path(sys.argv[1])))
