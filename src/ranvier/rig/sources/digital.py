"""Digital outputs of a simulator: when which line changed."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
import numpy.typing as npt


class OutputLines:
    """The state of each line at each counter, from the changes that were ordered; not thread-safe."""

    def __init__(self, lines: int) -> None:
        self._edges: list[list[tuple[int, bool]]] = [[] for _ in range(lines)]
        self._before = [False] * lines

    def restart(self) -> None:
        """Begin at counter 0 again, every line in the state that it was left in."""
        for line, edges in enumerate(self._edges):
            if edges:
                self._before[line] = edges[-1][1]
            edges.clear()

    def change(self, line: int, counter: int, state: bool) -> None:
        """Let a line have a state from a counter on; counters of a line do not run backwards."""
        self._edges[line].append((counter, state))

    def fill(self, start: int, out: npt.NDArray[np.int16]) -> None:
        """Write the levels from ``start`` on into ``out``, ``(n, lines)``; what came before is then forgotten."""
        for line, edges in enumerate(self._edges):
            past = bisect_right(edges, start, key=lambda edge: edge[0])
            if past:
                self._before[line] = edges[past - 1][1]
                del edges[:past]
            out[:, line] = self._before[line]
            for counter, state in edges:
                out[counter - start :, line] = state
