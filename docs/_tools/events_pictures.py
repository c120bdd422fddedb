"""Draw docs/images/events.png and probe.png: what results around events and on the probe look like, simulated."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from ranvier import VidereClient
from ranvier.models import DatasetMetadata
from ranvier.models.file_types import RadiensFileType
from ranvier.recordings import Block, Header, SpikeTrains, format_for_type, plain_channels

FS = 2000
SECONDS = 60
EVENTS = np.arange(1000, FS * SECONDS - 2000, 1500)
IMAGES = Path(__file__).parents[1] / "images"
COLUMN = "a1x16_5mm150_177"
GRID = "a1x32_poly3_8mm50s_177"


def background(rng: np.random.Generator, channels: int) -> np.ndarray:
    """Return 1/f noise and a little white noise, uV."""
    n = FS * SECONDS
    white = rng.standard_normal((n, channels))
    slope = np.maximum(1, np.fft.rfftfreq(n, 1 / FS))[:, None] ** 0.5
    pink = np.fft.irfft(np.fft.rfft(white, axis=0) / slope, axis=0)
    return np.asarray(15 * pink / pink.std(axis=0) + 2 * rng.standard_normal((n, channels)))


def evoked(depth: np.ndarray) -> np.ndarray:
    """Return a response whose sink lies at 1.1 mm, and an 80 Hz burst deep down, after every pulse of the line."""
    rng = np.random.default_rng(11)
    x = np.zeros((FS * SECONDS, len(depth) + 1))
    x[:, :-1] = background(rng, len(depth))
    t = np.arange(600) / FS
    shape = -np.exp(-(((t - 0.03) / 0.01) ** 2)) + 0.4 * np.exp(-(((t - 0.09) / 0.03) ** 2))
    burst = np.exp(-(((t - 0.15) / 0.04) ** 2)) * np.sin(2 * np.pi * 80 * t)
    response = 120 * np.outer(shape, np.exp(-(((depth - 1100) / 250) ** 2)))
    response += 40 * np.outer(burst, np.exp(-(((depth - 400) / 200) ** 2)))
    for event in EVENTS:
        x[event : event + 600, :-1] += response * rng.uniform(0.7, 1.3)
        x[event : event + 100, -1] = 1
    return x.astype(np.float32)


def spikes() -> SpikeTrains:
    """Return a unit that fires 25 ms after each event, and then pauses, on top of 8 spikes/s."""
    rng = np.random.default_rng(12)
    driven = (EVENTS + 50 + rng.normal(0, 12, len(EVENTS)))[rng.random(len(EVENTS)) < 0.8]
    free = rng.integers(0, FS * SECONDS, 8 * SECONDS)
    since = free - EVENTS[np.clip(np.searchsorted(EVENTS, free) - 1, 0, None)]
    counter = np.sort(np.concatenate([driven, free[(since < 80) | (since > 300)]]).astype(np.int64))
    return SpikeTrains(counter, np.ones(len(counter), np.int32), np.zeros(len(counter), np.int32))


def written(
    videre: VidereClient, base: Path, x: np.ndarray, *, din: int = 0, trains: SpikeTrains | None = None
) -> DatasetMetadata:
    """Write and link a recording."""
    kind = RadiensFileType.XDAT if trains is None else RadiensFileType.NEX5
    header = Header(fs=FS, channels=plain_channels(amp=x.shape[1] - din, din=din), simulated=True)
    with format_for_type(kind).sink(base, header) as sink:
        sink.write(Block(x, 0))
        if trains is not None:
            sink.write_spike_trains("sorted", trains)
        return videre.link_data_file(sink.commit())


def draw_events(videre: VidereClient, folder: Path) -> None:
    """Draw events.png."""
    from matplotlib.figure import Figure

    empty = written(videre, folder / "first_SIMULATED", np.zeros((FS, 16), np.float32))
    depth = videre.get_psd(videre.set_probe(empty, COLUMN, override=True)).depth_um
    x = evoked(depth)
    ds = videre.set_probe(written(videre, folder / "evoked_SIMULATED", x, din=1), COLUMN, override=True)
    sorted_ = written(videre, folder / "spikes_SIMULATED", x[:, :1].copy(), trains=spikes())
    by_depth = np.argsort(depth)
    where = {"pre_sec": 0.05, "post_sec": 0.25, "baseline_sec": (-0.05, 0.0)}
    figure = Figure(figsize=(15, 9), layout="constrained")
    axes = figure.subplots(2, 3)
    videre.get_peri_event_average(ds, **where).plot(axes[0, 0])
    three = [int(by_depth[i]) for i in (2, 7, 12)]
    videre.get_peri_event_average(ds, channels=three, **where).plot(axes[0, 1])
    videre.get_peri_event_csd(ds, **where).plot(axes[0, 2])
    for normalization, ax in (("db", axes[1, 0]), ("z", axes[1, 1])):
        videre.get_peri_event_spectrogram(
            ds, channels=[int(by_depth[2])], pre_sec=0.3, post_sec=0.4, window_sec=0.1, f_range_hz=(10, 200),
            baseline_sec=(-0.3, -0.05), normalization=normalization,
        ).plot(ax)  # fmt: skip
    videre.get_psth(sorted_, events=list(EVENTS / FS), pre_sec=0.1, post_sec=0.25).plot(axes[1, 2])
    figure.savefig(IMAGES / "events.png", dpi=90)


def draw_probe(videre: VidereClient, folder: Path) -> None:
    """Draw probe.png."""
    from matplotlib.figure import Figure

    rng = np.random.default_rng(13)
    x = background(rng, 32)
    x[:, 5] = 0
    x[:, 17] *= 20
    t = np.arange(len(x)) / FS
    x += np.linspace(10, 24, 32) * np.sin(2 * np.pi * 7 * t)[:, None]
    x[:, 5] = 0
    ds = videre.set_probe(written(videre, folder / "grid_SIMULATED", x.astype(np.float32)), GRID, override=True)
    quality = videre.get_channel_quality(ds)
    figure = Figure(figsize=(12, 7.5), layout="constrained")
    axes = figure.subplots(1, 3)
    quality.plot(ds, axes[0]).set_title("get_channel_quality", fontsize="medium")
    quality.plot(ds, axes[1], measure="noise_uv").set_title("noise", fontsize="medium")
    videre.get_band_power(ds).plot(ds, axes[2], band="theta").set_title("get_band_power", fontsize="medium")
    figure.savefig(IMAGES / "probe.png", dpi=90)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, VidereClient(progress=False) as videre:
        draw_events(videre, Path(folder))
        draw_probe(videre, Path(folder))


if __name__ == "__main__":
    main()
