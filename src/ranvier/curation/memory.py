"""How much memory a run takes, told beforehand from its chain and the width of its source."""

from __future__ import annotations

from ranvier.curation.pipeline import READ_AHEAD, WRITE_BEHIND, usual_rows
from ranvier.curation.task import Branch
from ranvier.dsp.chain import Chain

#: Rows of the smallest block.
LEAST_ROWS = 256


def block_rows(width: int, granted_bytes: int, needed_bytes: int) -> int:
    """Return the rows of a block: the usual ones, fewer where less memory was granted than needed."""
    rows = usual_rows(width)
    return rows if granted_bytes >= needed_bytes else max(LEAST_ROWS, rows * granted_bytes // needed_bytes)


def tree_bytes(width: int, root: Branch) -> int:
    """Return the same for a tree of branches, which are computed in one pass."""
    steps, outputs = _size(root)
    return 4 * max(width, 1) * block_rows(width, 1, 1) * (READ_AHEAD + 4 + 4 * steps + (WRITE_BEHIND + 1) * outputs)


def _size(branch: Branch) -> tuple[int, int]:
    """Return how many operations and outputs a branch and all behind it have."""
    behind = [_size(b) for b in branch.branches]
    return (
        len(branch.operations) + sum(steps for steps, _ in behind),
        len(branch.outputs) + sum(outputs for _, outputs in behind),
    )


def run_bytes(width: int, chain: Chain | None) -> int:
    """Return an upper estimate of the blocks and buffers of a run over ``width`` columns.

    Blocks that wait to be read, computed and written, two per stage, and what stages hold back (``latency`` samples, in
    three copies: input, output and work).
    """
    block = 4 * max(width, 1) * block_rows(width, 1, 1)
    stages = 0 if chain is None else len(chain.stages)
    held_back = 0 if chain is None else 3 * 4 * width * chain.latency
    return block * (READ_AHEAD + WRITE_BEHIND + 4 + 2 * stages) + held_back
