"""``radiens`` without a command: the documented prompt, one process for all commands."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

PROMPT = "radiens > "
_LEAVE = ("exit", "quit")


def prompt(run: Callable[[Sequence[str]], int]) -> int:
    """Run commands line by line until ``exit`` or the end of the input."""
    print("Commands of 'radiens --help'; 'exit' leaves.")
    while True:
        try:
            words = shlex.split(input(PROMPT))
        except EOFError:
            print()
            return 0
        except KeyboardInterrupt:
            print()
            continue
        except ValueError as error:  # a quotation that does not end
            print(f"radiens: {error}", file=sys.stderr)
            continue
        if words and words[0] in _LEAVE:
            return 0
        if words:
            run(["--help"] if words == ["help"] else words)


def os_command(words: Sequence[str]) -> int:
    """Run a command of the operating system's shell and return its status; ``cd`` changes this process's folder."""
    if words[0] == "cd" and len(words) == 2:
        os.chdir(Path(words[1]).expanduser())
        print(Path.cwd())
        return 0
    return subprocess.run(" ".join(words), shell=True, check=False).returncode  # as documented: shell syntax
