"""``ranvier demo``: link, draw, clean, measure, convert; on a simulated recording or the user's own."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import typer

from ranvier.cli.picture import draw
from ranvier.clients import VidereClient
from ranvier.models.dataset import DatasetMetadata, TransformNode
from ranvier.models.quality import ChannelQualityTable, ChannelVerdict
from ranvier.models.signals import SignalType
from ranvier.models.simulation import SimulationSpec

#: What the simulated recording holds: three channels are broken on purpose, so that measuring finds something.
DEMO = SimulationSpec(seed=1, dead_channels=(5,), saturated_channels=(40,), noisy_channels=(22,))


def run(path: Path | None, out: Path, *, seconds: float) -> None:
    """Do the main job and say where its results lie. Results of an earlier demo in ``out`` are replaced."""
    with VidereClient() as videre:
        raw = _simulated(videre, out, seconds) if path is None else _linked(videre, path)
        stem = raw.base_name + (f"_{raw.stream.replace('/', '_')}" if raw.stream else "")
        low, high = _band(raw.sampling_rate)
        nodes = [TransformNode.bandpass(low, high), TransformNode.car()]
        clean = videre.apply_transforms(raw, nodes, out / f"{stem}_clean.xdat", force=True)
        before, after = videre.get_channel_quality(raw), videre.get_channel_quality(clean)
        verdicts = _verdicts(before, after)
        nwb = videre.convert(clean, out / f"{stem}_clean.nwb", force=True)
        picture = draw(videre, raw, clean, verdicts, after, out / f"{stem}.png", band=(low, high))
        _report(raw, before, after, verdicts, (low, high))
        typer.echo("")
        typer.echo(f"raw      {_file(raw)}")
        typer.echo(f"clean    {_file(clean)}")
        typer.echo(f"NWB      {_file(nwb)}")
        typer.echo(f"picture  {picture}")
        typer.echo("\nNext:")
        typer.echo(f"  ranvier info {quote(_file(nwb))}")
        typer.echo(f"  ranvier provenance {quote(_file(clean))}")
        program = f"from ranvier import VidereClient; print(VidereClient().get_signals('{_file(clean)}').amp)"
        typer.echo(f'  python -c "{program}"')


def _simulated(videre: VidereClient, out: Path, seconds: float) -> DatasetMetadata:
    spec = DEMO.model_copy(update={"duration_sec": seconds})
    return videre.simulate_recording(spec, out / "demo_SIMULATED.xdat", force=True)


def _linked(videre: VidereClient, path: Path) -> DatasetMetadata:
    streams = videre.list_streams(path)
    if len(streams) > 1:
        typer.echo(f"{path} holds {len(streams)} streams; showing the first: {streams[0]}")
    return videre.link_data_file(streams[0])


def _band(fs: float) -> tuple[float, float]:
    """Return the spike band, narrowed where the sampling rate does not reach it."""
    high = min(6000.0, 0.45 * fs)
    return min(300.0, high / 4), high


def _verdicts(before: ChannelQualityTable, after: ChannelQualityTable) -> dict[int, ChannelVerdict]:
    """Return a verdict per native index: dead and saturated show in raw signals, noisy often after filtering only."""
    later = {c.ntv_idx: c.verdict for c in after.channels}
    return {c.ntv_idx: later[c.ntv_idx] if c.verdict == ChannelVerdict.GOOD else c.verdict for c in before.channels}


def _report(
    raw: DatasetMetadata,
    before: ChannelQualityTable,
    after: ChannelQualityTable,
    verdicts: dict[int, ChannelVerdict],
    band: tuple[float, float],
) -> None:
    start, end = raw.time_range.sec
    amp = raw.channel_metadata.num_channels.get(SignalType.AMP, 0)
    mark = "  SIMULATED" if raw.simulated else ""
    typer.echo(f"\n{raw.base_name}: {amp} channels, {raw.sampling_rate:g} Hz, {start:.2f} to {end:.2f} s{mark}")
    typer.echo(f"raw, and {band[0]:g} to {band[1]:g} Hz with the common average removed (uV):")
    typer.echo(f"  {'ch':>4} {'name':<12} {'RMS':>8} {'noise':>8}   {'RMS':>8} {'noise':>8}")
    for b, a in zip(before.channels, after.channels, strict=True):
        values = f"{b.rms_uv:>8.1f} {b.noise_uv:>8.1f}   {a.rms_uv:>8.1f} {a.noise_uv:>8.1f}"
        reasons = b.reasons if b.verdict != ChannelVerdict.GOOD else a.reasons
        verdict = verdicts[b.ntv_idx]
        named = "" if verdict == ChannelVerdict.GOOD else f"  {verdict.value.upper()}: {'; '.join(reasons)}"
        typer.echo(f"  {b.ntv_idx:>4} {b.name:<12} {values}{named}")
    for kind in (ChannelVerdict.DEAD, ChannelVerdict.SATURATED, ChannelVerdict.NOISY):
        names = [c.name for c in before.channels if verdicts[c.ntv_idx] == kind]
        typer.echo(f"{kind.value:<10} {', '.join(names) or 'none'}")


def _file(ds: DatasetMetadata) -> str:
    """Return the path of a dataset as a user would type it, relative where it lies below the current folder."""
    suffix = {"XDAT": ".xdat.json", "NWB": ".nwb", "KILOSORT2": ".bin", "RHD": ".rhd"}.get(ds.file_type.name, "")
    path = Path(ds.path) / (ds.base_name + suffix)
    try:
        text = str(path.relative_to(Path.cwd()))
    except ValueError:
        text = str(path)
    return f"{text}#{ds.stream}" if ds.stream else text
