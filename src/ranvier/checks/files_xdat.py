"""Small XDAT sets written without our Sink, so that reader and Sink cannot agree on the same mistake."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def write_xdat(
    folder: Path,
    base: str = "set",
    *,
    rows: int = 2_000,
    pri: int = 4,
    aux: int = 2,
    din: int = 2,
    dout: int = 2,
    fs: float = 20_000.0,
    start: int = 320_000,
    seed: int = 0,
    counters: npt.NDArray[np.int64] | None = None,
    document: Mapping[str, Any] | None = None,
) -> tuple[Path, npt.NDArray[np.float32]]:
    """Write a set; return the path of its JSON and its samples, ``(rows, pri + aux + din + dout)``.

    Digital lines toggle at random places. ``counters`` replaces the column of sample counters, ``document`` the JSON.
    """
    rng = np.random.default_rng(seed)
    analog = [rng.normal(0, 50, (rows, pri)), rng.normal(0, 1, (rows, aux))]
    lines = np.cumsum(rng.random((rows, din + dout)) < 0.01, axis=0) % 2
    samples = np.ascontiguousarray(np.hstack([*analog, lines]), dtype=np.float32)
    if counters is None:
        counters = np.arange(start, start + rows, dtype=np.int64)
    samples.astype("<f4").tofile(folder / f"{base}_data.xdat")
    counters.astype("<i8").tofile(folder / f"{base}_timestamp.xdat")
    path = folder / f"{base}.xdat.json"
    stated = xdat_document(rows, pri, aux, din, dout, fs, start) if document is None else document
    path.write_text(json.dumps(stated), encoding="utf-8")
    return path, samples


def xdat_document(rows: int, pri: int, aux: int, din: int, dout: int, fs: float, start: int) -> dict[str, Any]:
    """Return the smallest JSON that readers elsewhere accept."""
    total = pri + aux + din + dout
    names = [f"{p}_{i}" for p, n in (("pri", pri), ("aux", aux), ("din", din), ("dout", dout)) for i in range(n)]
    native = [f"port_A_{i}" for i in range(pri)] + names[pri:]
    kinds = ["ai0"] * pri + ["ai4"] * aux + ["din0"] * din + ["dout0"] * dout
    return {
        "status": {
            "samp_freq": fs,
            "shape": [rows, total],
            "timestamp_range": [start, start + rows],
            "t_range": [start / fs, (start + rows) / fs],
            "start_time": "2025-01-02T03:04:05.1234567-05:00",
            "signals": {"pri": pri, "aux": aux, "din": din, "dout": dout, "total": total},
        },
        "sapiens_base": {
            "biointerface_map": {"chan_name": names, "ntv_chan_name": native, "chan_type": kinds},
        },
    }
