"""Transforms, a chain of four, int16 and NWB output of 384 channels, file to file, against SpikeInterface and pynwb.

30 kHz, 2 workers each, files in the page cache, each run in a fresh process, in turn. float32 sources go to XDAT, int16
sources to KILOSORT2 binaries; SpikeInterface writes its binary format of the source's type. Times contain opening and
finishing the output. They are taken twice: without the flush to the disk, which the peers do not have (the ratio), and
as a user has it, flushed (``ratio, both flushed``). Ours go past the page cache also without it, at the disk's speed.
``ratio of CPU time`` (with the peers' worker processes) says what is left of a ratio on a machine that others use too.
Filters are equal (zero phase, order 5, notch Q 30); decimation by 10 is anti-aliased on both sides, ours with the
steeper filter.

Floors: each transform 5x, the chain 6x, int16 output 4x SpikeInterface's; uncompressed NWB 1.3x a chunk iterator of
pynwb, compressed NWB (``nwb-gzip``) with both cores, so at least as fast. What the disk takes is measured in every
round beside the runs (a file of as many bytes, written as ours are, and flushed). Where a run at that speed would not
reach a floor (``ratio that the disk allows``, also with both flushed), the floor is ``DISK_SHARE`` of that. Needs the
peers' Python: RANVIER_PEERS=/path/to/python. One case takes 1 to 2 minutes.

The case ``copy`` has no peer: it is the limit, the samples through the same reads, writes and flush.

``--memory`` measures the peak memory of the chain over 2 % and 8 % of an hour instead (a sparse file of zeros; no
peer): equal within 5 %, and under 600 MB.
Run: python benchmarks/bench_transforms.py [--cases bandpass notch] [--dtypes int16] [--memory]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from common import machine, peak_memory_mb, show, summary

FS = Fraction(30000)
HERE = Path(__file__).parent
GAIN_UV = 0.195

#: Floor and goal, as multiples of the peer's speed.
CASES: dict[str, tuple[float, float]] = {
    "bandpass": (5, 10),
    "highpass": (5, 10),
    "notch": (5, 10),
    "decimate": (5, 10),
    "median": (5, 10),
    "chain": (6, 12),
    "binary": (4, 7),
    "nwb": (1.3, 1.8),
    "nwb-gzip": (1, 0),
    "copy": (0, 0),
}

NWB = ("nwb", "nwb-gzip")

#: What a run must reach of the disk's speed where that is the limit: opening and finishing take their time too.
DISK_SHARE = 0.8


def write_input(path: Path, channels: int, seconds: float, dtype: str) -> None:
    """Noise, a common 60 Hz hum and an offset per channel, in uV or in counts; the same numbers every time."""
    rng = np.random.default_rng(4)
    rows = int(seconds * FS)
    offsets = rng.uniform(-200, 200, channels).astype(np.float32)
    noise = rng.standard_normal((30000, channels), dtype=np.float32) * 12
    with open(path, "wb") as handle:
        for at in range(0, rows, 10000):
            n = min(10000, rows - at)
            hum = 30 * np.sin(2 * np.pi * 60 * np.arange(at, at + n) / float(FS))
            first = int(rng.integers(0, len(noise) - n + 1))  # a piece of the noise, somewhere: quick
            uv = noise[first : first + n] + offsets + hum[:, None].astype(np.float32)
            handle.write((np.rint(uv / GAIN_UV) if dtype == "int16" else uv).astype(dtype).tobytes())


def ours(source: str, destination: str, channels: int, dtype: str, case: str, workers: int, *, flushed: bool) -> None:
    """Run once, in this process; print one line of JSON."""
    import time

    from ranvier import _platform
    from ranvier.curation.executor import make_header, run
    from ranvier.dsp import BandPass, Chain, CommonAverageReference, HighPass, Notch
    from ranvier.dsp.operations import Downsample, Operation
    from ranvier.kernels import warm
    from ranvier.models.dataset import RadiensFileType
    from ranvier.models.output_options import OutputOptions
    from ranvier.recordings.formats.raw import open_raw
    from ranvier.recordings.registry import format_for_type

    warm()
    gain = 1.0 if dtype == "float32" else GAIN_UV
    recording = open_raw(source, FS, channels, dtype=dtype, gain_uv=gain).streams[""]
    bandpass, notch = BandPass(300, 6000, 5, zero_phase=True), Notch(60, 2, zero_phase=True)
    operations: list[Operation] = {
        "bandpass": [bandpass],
        "highpass": [HighPass(300, 5, zero_phase=True)],
        "notch": [notch],
        "decimate": [Downsample(10)],
        "median": [CommonAverageReference("median")],
        "chain": [bandpass, notch, CommonAverageReference(), Downsample(10)],
    }.get(case, [])
    chain = Chain.bind(operations, recording.fs, recording.channels) if operations else None
    kind = RadiensFileType.XDAT if dtype == "float32" else RadiensFileType.KILOSORT2
    open_sink = format_for_type(RadiensFileType.NWB if case in NWB else kind).sink
    assert open_sink is not None
    if not flushed:
        _platform.flush_to_disk = lambda path: None
    if case in NWB:
        import pynwb  # noqa: F401 - the peer does not count it either
    began, cpu = time.perf_counter(), time.process_time()
    options = OutputOptions(compression="gzip" if case == "nwb-gzip" else "")
    sink = open_sink(Path(destination), replace(make_header(recording, chain), options=options))
    report = run(recording, chain, sink, workers=workers)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    name = {"float32": "_data.xdat", "int16": ".bin"}[dtype]
    file = report.path if case in NWB else Path(destination + name)
    print(json.dumps({"seconds": seconds, "cpu": cpu, "rss_mb": peak_memory_mb(), "file": str(file)}))


def pynwb_export(source: str, destination: str, channels: int, dtype: str, *, compressed: bool) -> None:
    """Write the same samples with pynwb, chunk by chunk; print one line of JSON."""
    import time
    from datetime import UTC, datetime

    from hdmf.backends.hdf5 import H5DataIO
    from hdmf.data_utils import GenericDataChunkIterator
    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.ecephys import ElectricalSeries

    data = np.memmap(source, dtype, "r").reshape(-1, channels)

    class Chunks(GenericDataChunkIterator):
        def _get_data(self, selection: tuple[slice, ...]) -> np.ndarray:
            return data[selection]

        def _get_maxshape(self) -> tuple[int, ...]:
            return data.shape

        def _get_dtype(self) -> np.dtype:
            return data.dtype

    began, cpu = time.perf_counter(), time.process_time()  # as ours, the file's description included
    nwb = NWBFile("benchmark", "benchmark", datetime(2026, 1, 1, tzinfo=UTC))
    device = nwb.create_device("probe")
    group = nwb.create_electrode_group("group", "all", "unknown", device)
    for _ in range(channels):
        nwb.add_electrode(group=group, location="unknown")
    electrodes = nwb.create_electrode_table_region(list(range(channels)), "all")
    chunks: object = Chunks(chunk_shape=(10000, 64), buffer_gb=0.5)
    if compressed:  # the filters and the level of ours
        chunks = H5DataIO(chunks, compression="gzip", compression_opts=4, shuffle=True)
    nwb.add_acquisition(ElectricalSeries("signals", chunks, electrodes, rate=float(FS), conversion=1e-6))
    with NWBHDF5IO(destination, "w") as io:
        io.write(nwb)
    print(json.dumps({"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu, "file": destination}))


def call(command: list[str]) -> dict[str, object]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def difference(case: str, dtype: str, one: str, two: str, channels: int) -> dict[str, float]:
    """Compare two outputs away from their ends, in uV (of int16: in counts)."""
    if case in NWB:
        import h5py

        with h5py.File(one) as a, h5py.File(two) as b:
            x, y = a["acquisition/ElectricalSeries/data"], b["acquisition/signals/data"]
            assert x.shape == y.shape
            assert all(np.array_equal(x[at : at + 30000], y[at : at + 30000]) for at in range(0, len(x), 30000))
        return {"samples that differ": 0}
    x, y = (np.memmap(p, dtype, "r").reshape(-1, channels) for p in (one, two))
    assert x.shape == y.shape, (x.shape, y.shape)
    edge, most, peak, total, power, count = len(x) // 10, 0.0, 0.0, 0.0, 0.0, 0
    for at in range(edge, len(x) - edge, 20000):
        stop = min(at + 20000, len(x) - edge)
        theirs = y[at:stop].astype(np.float32)
        apart = np.abs(x[at:stop] - theirs)
        most, peak = max(most, float(apart.max())), max(peak, float(np.abs(theirs).max()))
        total, power = total + float(np.square(apart).sum()), power + float(np.square(theirs).sum())
        count += apart.size
    return {"largest": most, "rms": (total / count) ** 0.5, "peak": peak, "rms of the signal": (power / count) ** 0.5}


def flushed_sec(path: str) -> float:
    """Bring a file to the disk; return how long that took."""
    import time

    began = time.perf_counter()
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
    return time.perf_counter() - began


def measure(
    case: str, dtype: str, source: str, folder: str, args: argparse.Namespace
) -> tuple[dict[str, object], bool]:
    """Return what one case gave, and whether its floor holds."""
    peer, channels, workers = os.environ.get("RANVIER_PEERS"), str(args.channels), str(args.workers)
    mine = [sys.executable, str(HERE / "bench_transforms.py"), "--channels", channels, "--workers", workers]
    runs: dict[str, list[dict[str, object]]] = {"ranvier": [], "ranvier, flushed": [], "peer": [], "peer, flushed": []}
    limits: list[float] = []
    for turn in range(args.rounds + 1):  # the first one is not counted
        for name in [*(["peer"] if (peer and case != "copy") or case in NWB else []), "ranvier", "ranvier, flushed"]:
            shutil.rmtree(f"{folder}/{name}", ignore_errors=True)
            os.makedirs(f"{folder}/{name}")
            out = f"{folder}/{name}/out"
            if name == "ranvier":
                command = [*mine, "--unflushed", "--once", source, out, dtype, case]
            elif name != "peer":
                command = [*mine, "--once", source, out, dtype, case]
            elif case in NWB:
                command = [*mine, "--once", source, out + ".nwb", dtype, case.replace("nwb", "pynwb")]
            else:
                command = [str(peer), str(HERE / "peers/si_transforms.py"), source, out, channels, dtype, case, workers]
            done = call(command)
            if turn:
                runs[name].append(done)
            if name == "peer":
                seconds = float(done["seconds"]) + flushed_sec(str(done["file"]))  # type: ignore[arg-type]
                if turn:
                    runs["peer, flushed"].append({"seconds": seconds})
            if name == "ranvier, flushed":
                size = os.path.getsize(str(done["file"]))
                shutil.rmtree(f"{folder}/{name}")
                if turn:
                    limits.append(disk_limit(folder, size))
    samples = int(args.seconds * FS) * args.channels
    rates = {name: summary([float(r["seconds"]) for r in done], samples) for name, done in runs.items() if done}  # type: ignore[arg-type]
    last = runs["ranvier"][-1]
    report: dict[str, object] = {
        "million channel-samples per second": rates,
        "source MB per second": {n: round(r["median"] * np.dtype(dtype).itemsize) for n, r in rates.items()},
        "peak memory MB": max(float(r["rss_mb"]) for r in runs["ranvier"]),  # type: ignore[arg-type]
    }
    disk, written_mb = statistics.median(limits), os.path.getsize(str(last["file"])) / 1e6
    per_sample = written_mb / (samples / 1e6)
    report |= {
        "disk, MB per second": [round(limit) for limit in sorted(limits)],
        "written MB per second": round(per_sample * rates["ranvier"]["median"]),
        "share of the disk's speed, flushed": per_sample * rates["ranvier, flushed"]["median"] / disk,
    }
    if not runs["peer"]:
        return report, True
    floor, goal = CASES[case]
    ratio = rates["ranvier"]["median"] / rates["peer"]["median"]
    durable = rates["ranvier, flushed"]["median"] / rates["peer, flushed"]["median"]
    allowed, allowed_durable = (disk / (rates[n]["median"] * per_sample) for n in ("peer", "peer, flushed"))
    cpu = {name: statistics.median(float(r["cpu"]) for r in runs[name]) for name in ("ranvier", "peer")}  # type: ignore[arg-type]
    report |= {"ratio": ratio, "floor": floor, "goal": goal, "ratio, both flushed": durable}
    report |= {"ratio of CPU time": cpu["peer"] / cpu["ranvier"], "CPU ns per sample": cpu["ranvier"] / samples * 1e9}
    report |= {"ratio that the disk allows": allowed, "the same, both flushed": allowed_durable}
    report["difference"] = difference(case, dtype, str(last["file"]), str(runs["peer"][-1]["file"]), args.channels)
    return report, ratio >= min(floor, DISK_SHARE * allowed)


def disk_limit(folder: str, size: int) -> float:
    """Return MB per second of a file of about ``size`` bytes, written as ours are, block by block, and flushed."""
    import time

    from ranvier.recordings.stream_file import StreamFile

    block = bytes(4 << 20)
    count = max(4, size // len(block))
    began = time.perf_counter()
    with StreamFile(Path(folder) / "limit") as file:
        for _ in range(count):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    seconds = time.perf_counter() - began
    os.unlink(Path(folder) / "limit")
    return count * len(block) / seconds / 1e6


def measure_memory(args: argparse.Namespace) -> tuple[dict[str, object], bool]:
    """Return the peak memory of the chain over two lengths, and whether it holds what is asked."""
    peaks: dict[float, float] = {}
    for share in (0.02, 0.08):
        with tempfile.TemporaryDirectory() as folder:
            with open(f"{folder}/input.bin", "wb") as handle:
                handle.truncate(int(share * 3600 * FS) * args.channels * 2)
            mine = [sys.executable, str(HERE / "bench_transforms.py"), "--channels", str(args.channels)]
            mine += ["--workers", str(args.workers), "--once", f"{folder}/input.bin", f"{folder}/out", "int16", "chain"]
            peaks[share] = float(call(mine)["rss_mb"])  # type: ignore[arg-type]
    less, more = peaks.values()
    report: dict[str, object] = {f"{100 * share:g} % of an hour": peak for share, peak in peaks.items()}
    return report, abs(more / less - 1) <= 0.05 and more < 600


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, default=384)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--dtypes", nargs="+", default=["float32", "int16"], choices=["float32", "int16"])
    parser.add_argument("--memory", action="store_true", help="only measure the peak memory over two lengths")
    parser.add_argument("--unflushed", action="store_true", help="with --once: leave the output to the page cache")
    parser.add_argument("--once", nargs=4, metavar=("SOURCE", "DESTINATION", "TYPE", "CASE"))
    args = parser.parse_args()
    if args.once:
        source, destination, dtype, case = args.once
        if case.startswith("pynwb"):
            pynwb_export(source, destination, args.channels, dtype, compressed=case == "pynwb-gzip")
        else:
            ours(source, destination, args.channels, dtype, case, args.workers, flushed=not args.unflushed)
        return

    show({"machine": machine(), "channels": args.channels, "seconds": args.seconds})
    if args.memory:
        report, held = measure_memory(args)
        show({"peak memory MB of the chain, int16": report})
        sys.exit(0 if held else 1)
    held = True
    for dtype in args.dtypes:
        with tempfile.TemporaryDirectory() as folder:
            source = f"{folder}/input.bin"
            write_input(Path(source), args.channels, args.seconds, dtype)
            for case in args.cases:
                if dtype == "float32" and case in ("binary", *NWB):
                    continue  # what a recorder writes is int16
                report, reached = measure(case, dtype, source, folder, args)
                held = held and reached
                show({f"{case} {dtype}": report})
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
