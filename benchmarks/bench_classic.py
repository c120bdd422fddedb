"""What a classic call costs over the typed one: against the same engine in this process, and in processes of its own.

Floor: under 1 ms a call plus one copy of the data. Small calls are compared in microseconds; calls that carry signals
after one copy of the result has been taken off.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import machine, race, show

FLOOR_SEC = 1e-3
ROUNDS = 41


def overhead(typed: Callable[[], object], classic: Callable[[], object], copied: np.ndarray | None = None) -> float:
    """Return the median difference of interleaved calls, less one copy of the data, s."""
    times = race({"typed": typed, "classic": classic}, ROUNDS)
    copy = 0.0
    if copied is not None:
        copy = statistics.median(race({"copy": copied.copy}, ROUNDS)["copy"])
    return statistics.median(times["classic"]) - statistics.median(times["typed"]) - copy


def hub_calls(folder: Path, address: str, name: str) -> dict[str, float]:
    """Measure the calls of files on one hub."""
    from ranvier import VidereClient as Typed
    from ranvier.classic import VidereClient as Classic
    from ranvier.classic.utils.util import make_signal_selector

    with Typed(address=address, progress=False) as typed, Classic(name) as classic:
        dataset = classic.link_data_file(folder / "rec_SIMULATED.xdat", calc_metrics=False)
        pick, reader = make_signal_selector(amp=list(range(128))), classic.signals()
        signals = typed.get_signals(dataset.id, [10.0, 11.0], list(range(128))).amp
        return {
            "get_signals, 128 channels x 1 s (31 MB)": overhead(
                lambda: typed.get_signals(dataset.id, [10.0, 11.0], list(range(128))),
                lambda: reader.get_signals([10.0, 11.0], sig_sel=pick, dataset_metadata=dataset),
                signals,
            ),
            "get_signals, 128 channels x 10 ms": overhead(
                lambda: typed.get_signals(dataset.id, [10.0, 10.01], list(range(128))),
                lambda: reader.get_signals([10.0, 10.01], sig_sel=pick, dataset_metadata=dataset),
            ),
            "get_data_file_metadata": overhead(
                lambda: typed.list_data_sources(dataset.id)[dataset.id],
                lambda: classic.get_data_file_metadata(dataset_id=dataset.id),
            ),
            "get_dataset_ids": overhead(typed.list_data_source_ids, classic.get_dataset_ids),
        }


def rig_calls() -> dict[str, float]:
    """Measure the calls of a streaming rig; ``RANVIER_ADDRESS`` says which."""
    from ranvier import AllegoClient as Typed
    from ranvier.classic import AllegoClient as Classic

    with Typed() as typed, Classic() as classic:
        typed.start_streaming()
        time.sleep(1.0)

        def both() -> tuple[object, object]:
            return typed.get_status(), typed.get_core_config()

        found = {
            "get_status (two typed calls)": overhead(both, classic.get_status),
            "get_signals, what came since": _new_signals(typed, classic),
            "get_stim_params": overhead(typed.get_stim_params, classic.get_stim_params),
        }
        typed.stop_streaming()
    return found


def _new_signals(typed: object, classic: object) -> float:
    """Return the difference for what came in 5 ms; each client reads its own stretch of the stream."""
    everything = dict.fromkeys(("amp", "ain", "din", "dout"), "all")
    times: dict[str, list[float]] = {"typed": [], "classic": []}
    calls = {"typed": lambda: typed.get_new_signals(everything), "classic": classic.get_signals}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            call()
            time.sleep(0.005)
            began = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - began)
    return statistics.median(times["classic"]) - statistics.median(times["typed"])


def main() -> int:
    """Measure both kinds of engine and compare with the floor."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        os.environ["RANVIER_HOME"] = str(folder / "home")
        from ranvier import VidereClient, connect
        from ranvier.models.simulation import SimulationSpec
        from ranvier.transport import end_process

        with VidereClient(address="embedded", progress=False) as videre:
            spec = SimulationSpec(duration_sec=3.0, probe="a8x16_5mm50_200_177", num_units=4)
            videre.simulate_recording(spec, folder / "rec_SIMULATED.xdat")
        connect.name_hub("served", "process")
        try:
            for where, address, name in (("embedded", "embedded", "default"), ("process", "process", "served")):
                for what, seconds in hub_calls(folder, address, name).items():
                    found[f"hub {where}: {what}"] = seconds
            os.environ["RANVIER_ADDRESS"] = "embedded"
            found.update({f"rig embedded: {what}": seconds for what, seconds in rig_calls().items()})
            del os.environ["RANVIER_ADDRESS"]
            found.update({f"rig process: {what}": seconds for what, seconds in rig_calls().items()})
        finally:
            connect.close_embedded_hubs()
            connect.close_embedded_rigs()
            for kind in ("rig", "hub"):
                end_process(kind, folder / "home")
            time.sleep(1.0)
    show({"machine": machine(), "overhead_us": {what: round(1e6 * seconds, 1) for what, seconds in found.items()}})
    return int(max(found.values()) > FLOOR_SEC)


if __name__ == "__main__":
    sys.exit(main())
