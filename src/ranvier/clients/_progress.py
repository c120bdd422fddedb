"""Showing progress: a bar in a terminal, one plain line in a notebook, nothing otherwise."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ranvier.models.jobs import JobProgress

if TYPE_CHECKING:
    from rich.progress import TaskID

Progress = Callable[[JobProgress], None]


@contextmanager
def shown(choice: bool | Progress | None, label: str) -> Iterator[Progress | None]:
    """Yield what receives progress events: the caller's own function, a display that fits the place, or None."""
    if callable(choice):
        yield choice
    elif choice is False:
        yield None
    elif in_notebook():
        yield from _plain_line(label)
    elif choice is True or sys.stderr.isatty():
        yield from _bar(label)
    else:
        yield None


@contextmanager
def shown_parts(choice: bool | Progress | None, label: str) -> Iterator[Progress | None]:
    """Yield what receives progress events of work with several outputs: a terminal gets a bar for each of them."""
    if callable(choice) or choice is False or in_notebook() or not (choice is True or sys.stderr.isatty()):
        with shown(choice, label) as progress:
            yield progress
    else:
        yield from _bars(label)


def in_notebook() -> bool:
    """Return whether this process is a Jupyter kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"


def describe(progress: JobProgress) -> str:
    """Return rate and time left as a short text, e.g. ``210 M samples/s, 3 s left``."""
    parts = []
    if progress.samples_per_sec > 0:
        parts.append(f"{progress.samples_per_sec:,.0f} samples/s")
    if progress.remaining_sec is not None:
        parts.append(f"{progress.remaining_sec:.0f} s left")
    return ", ".join(parts)


def _bar(label: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[detail]}"))
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=1.0, detail="")
        yield lambda p: bar.update(task, completed=p.fraction, detail=describe(p))
        bar.update(task, completed=1.0, detail="")


#: So many outputs get a bar of their own.
MOST_BARS = 12


def _bars(label: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[detail]}"))
    with Bar(*columns, console=Console(stderr=True)) as bar:
        whole = bar.add_task(label, total=1.0, detail="")
        parts: dict[str, TaskID] = {}

        def show(progress: JobProgress) -> None:
            bar.update(whole, completed=progress.fraction, detail=describe(progress))
            for part in progress.parts:
                if part.name not in parts and len(parts) < MOST_BARS and part.state != "waiting":
                    parts[part.name] = bar.add_task(f"  {Path(part.name).name}", total=1.0, detail="")
                if part.name in parts:
                    detail = part.state if part.state == "failed" else ""
                    bar.update(parts[part.name], completed=part.fraction, detail=detail)

        yield show
        bar.update(whole, completed=1.0, detail="")


def _plain_line(label: str) -> Iterator[Progress]:
    def show(progress: JobProgress) -> None:
        sys.stdout.write(f"\r{label}: {100 * progress.fraction:3.0f} %  {describe(progress):<40}")
        sys.stdout.flush()

    try:
        yield show
    finally:
        sys.stdout.write("\n")


def say_compiling(name: str, n: int, of: int) -> None:
    """Tell why the first call takes long: machine code is made once and kept (``ranvier warm`` makes it beforehand)."""
    sys.stderr.write(f"ranvier: compiling {n} of {of} ({name.rsplit('.', 1)[-1]})\n")
