"""Run the benchmarks: every ``bench_*.py`` here that needs no peers, or with ``--peers`` those that do as well.

Each script runs in a process of its own. The exit code is 1 where one of them failed or missed its floor.
"""

from __future__ import annotations

import argparse
import ast
import importlib.metadata
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Script:
    """One benchmark: its file, the first line of its docstring, and the peers it needs."""

    path: Path
    title: str
    peers: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Script:
        """Look at a script without running it."""
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        title = (ast.get_docstring(tree) or path.stem).splitlines()[0]
        return cls(path, title, _constant(tree, "PEERS"))

    @property
    def missing(self) -> list[str]:
        """Peers that are not installed here."""
        return [name for name in self.peers if not _is_installed(name)]


def scripts(folder: Path = HERE) -> list[Script]:
    """Return the benchmarks of a folder, by name."""
    return [Script.read(path) for path in sorted(folder.glob("bench_*.py"))]


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="only scripts whose names contain one of these")
    parser.add_argument("--peers", action="store_true", help="also those that compare with peers")
    parser.add_argument("--list", action="store_true", help="list the scripts and run none")
    asked = parser.parse_args(arguments)
    chosen = [s for s in scripts() if not asked.words or any(word in s.path.stem for word in asked.words)]
    if asked.list:
        for script in chosen:
            print(f"{script.path.name:32} {script.title}  [{', '.join(script.peers) or 'no peers'}]")
        return 0
    _print_machine()
    return max((_run(script, with_peers=asked.peers) for script in chosen), default=0)


def _run(script: Script, *, with_peers: bool) -> int:
    if script.peers and not with_peers:
        print(f"-- {script.path.name}: needs {', '.join(script.peers)}; left out (--peers)")
        return 0
    if script.missing:
        print(f"-- {script.path.name}: {', '.join(script.missing)} not installed; left out")
        return 0
    print(f"== {script.path.name}: {script.title}", flush=True)
    started = time.perf_counter()
    code = subprocess.run([sys.executable, str(script.path)], check=False).returncode
    verdict = "ok" if code == 0 else f"FAILED (exit code {code})"
    print(f"== {script.path.name}: {verdict}, {time.perf_counter() - started:.1f} s\n", flush=True)
    return int(code != 0)


def _print_machine() -> None:
    """Say on what the figures were measured."""
    from ranvier import __version__
    from ranvier._platform import cpu_name, worker_count

    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "scipy", "numba"))
    print(f"ranvier {__version__}, {versions}, Python {platform.python_version()}")
    print(f"{cpu_name()}, {worker_count()} cores in use, {platform.platform()}\n", flush=True)


def _constant(tree: ast.Module, name: str) -> tuple[str, ...]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            return tuple(ast.literal_eval(node.value))
    return ()


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
