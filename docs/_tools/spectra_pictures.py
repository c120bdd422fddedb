"""Draw docs/images/spectra.png: what the results of spectra look like, on simulated signals."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from ranvier import VidereClient
from ranvier.models import DatasetMetadata, SpectralMode, SpectralQuery, StftConfig
from ranvier.models.file_types import RadiensFileType
from ranvier.recordings import Block, Header, format_for_type, plain_channels

FS = 2000
SECONDS = 20
SINK_UM = 1100.0


PROBE = "a1x16_5mm150_177"


def signals(depth: np.ndarray) -> np.ndarray:
    """Return a 1/f background, a theta rhythm with its sink at one depth, and gamma bursts deep down."""
    rng = np.random.default_rng(3)
    n = FS * SECONDS
    t = np.arange(n) / FS
    white = rng.standard_normal((n, 16))
    pink = np.fft.irfft(np.fft.rfft(white, axis=0) / np.maximum(1, np.fft.rfftfreq(n, 1 / FS))[:, None] ** 0.5, axis=0)
    profile = np.exp(-(((depth - SINK_UM) / 300) ** 2))
    x = 15 * pink + 2 * white - 80 * profile * np.sin(2 * np.pi * 7 * t)[:, None]
    bursts = (np.sin(2 * np.pi * 0.5 * t) > 0.3) * np.sin(2 * np.pi * 80 * t)
    return (x + 25 * np.exp(-(((depth - 400) / 200) ** 2)) * bursts[:, None]).astype(np.float32)


def written(videre: VidereClient, base: Path, samples: np.ndarray) -> DatasetMetadata:
    """Write a recording, link it, and put it on the probe."""
    sink_type = format_for_type(RadiensFileType.XDAT).sink
    with sink_type(base, Header(fs=FS, channels=plain_channels(amp=16), simulated=True)) as sink:
        sink.write(Block(samples, 0))
        path = sink.commit()
    return videre.set_probe(videre.link_data_file(path), PROBE, override=True)


def main() -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 8.5), layout="constrained")
    axes = figure.subplots(2, 2)
    with tempfile.TemporaryDirectory() as folder, VidereClient(progress=False) as videre:
        ds = written(videre, Path(folder) / "first_SIMULATED", np.zeros((FS, 16), np.float32))
        depth = videre.get_psd(ds).depth_um
        ds = written(videre, Path(folder) / "spectra_SIMULATED", signals(depth))
        psd = videre.get_psd(ds, resolution_hz=0.5, f_range_hz=(1, 300))
        psd.plot(axes[0, 0]).set_title("get_psd: SIMULATED, spectra by depth", fontsize="medium")
        by_depth = [psd.channel_indices[i] for i in np.argsort(psd.depth_um)]
        query = SpectralQuery(
            ntv_chan_idxs=(by_depth[3],), ranges=((10.0, 4.0, 4.0),), mode=SpectralMode.TIME_RESOLVED, f_max=150.0,
            stft_config=StftConfig(window_duration_sec=0.4, window_step_sec=0.02),
        )  # fmt: skip
        videre.get_spectral(ds, query).plot(axes[0, 1]).set_title("get_spectral: one channel", fontsize="medium")
        pairs = [(by_depth[7], by_depth[8]), (by_depth[3], by_depth[12])]
        coherence = videre.get_coherence(ds, pairs, resolution_hz=1.0, f_range_hz=(1, 120))
        coherence.plot(axes[1, 0]).set_title("get_coherence", fontsize="medium")
        lfp = videre.lowpass(ds, 30.0, Path(folder) / "lfp.xdat", zero_phase=True)
        lfp = videre.set_probe(lfp, PROBE, override=True)
        videre.get_csd(lfp, [10.0, 10.5]).plot(axes[1, 1]).set_title("get_csd: a sink at 1.1 mm", fontsize="medium")
        figure.savefig(Path(__file__).parents[1] / "images" / "spectra.png", dpi=100)


if __name__ == "__main__":
    main()
