"""From what a scan found to the columns of a stream: ports A to H in order, indices counted through."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ranvier.exceptions import ConfigurationError
from ranvier.models.channels import SignalUnits
from ranvier.models.ports import Port
from ranvier.models.signals import SignalType
from ranvier.probes.headstages import HEADSTAGE_PREFIX
from ranvier.recordings.channels import NAME_PREFIX, NATIVE_UNIT, TYPE_ORDER, Channel, ChannelTable
from ranvier.rig.source import PortScan

#: Intan's amplifiers: 0.195 uV per count; analog inputs: +-10.24 V in 16 bits.
AMP_GAIN_UV = 0.195
AIN_GAIN_V = 312.5e-6
_GAIN = {SignalType.AMP: AMP_GAIN_UV, SignalType.AIN: AIN_GAIN_V}


def stream_channels(scans: Iterable[PortScan], *, ain: int = 0, din: int = 0, dout: int = 0) -> ChannelTable:
    """Return the columns of an instrument: amplifier channels of ports A to H in order, then AIN, DIN, DOUT; no sites.

    NTV counts a type through all ports, SYS all columns. Counts have the gains of Intan's instruments.
    """
    found = in_order(scans)
    amp = [
        _channel(SignalType.AMP, ntv=0, sys=0, scan=scan, place=place)
        for scan in found
        for place in range(scan.num_channels)
    ]
    others = [
        _channel(kind, ntv=i, sys=0) for kind, n in zip(TYPE_ORDER[1:], (ain, din, dout), strict=True) for i in range(n)
    ]
    numbered = [replace(c, ntv=i, name=f"{NAME_PREFIX[SignalType.AMP]}_{i}") for i, c in enumerate(amp)]
    return ChannelTable(tuple(replace(c, sys=i) for i, c in enumerate([*numbered, *others])))


def bare(channels: ChannelTable, scans: Iterable[PortScan]) -> ChannelTable:
    """Return the columns of a source as a scan found them: inputs and outputs stay, nothing has a site."""
    return stream_channels(
        scans,
        ain=channels.count(SignalType.AIN),
        din=channels.count(SignalType.DIN),
        dout=channels.count(SignalType.DOUT),
    )


def in_order(scans: Iterable[PortScan]) -> list[PortScan]:
    """Return what was found, by port, without empty ports."""
    return sorted((s for s in scans if s.num_channels), key=lambda s: s.port)


def scans_of(channels: ChannelTable) -> list[PortScan]:
    """Return what a table says is on each port; channels without a port count as port A's."""
    counts: dict[Port, int] = {}
    headstages: dict[Port, str] = {}
    for column in channels.columns_of(SignalType.AMP):
        channel = channels[int(column)]
        port = Port.A if channel.port is None else channel.port
        counts[port] = counts.get(port, 0) + 1
        headstages.setdefault(port, channel.headstage_id.removeprefix(HEADSTAGE_PREFIX))
    return [PortScan(port, headstages[port], counts[port]) for port in sorted(counts)]


def require_fit(name: str, channels: ChannelTable, present: ChannelTable) -> None:
    """Raise ConfigurationError unless a table has the columns that a source has: types, indices and ports."""
    wanted = [(c.type, c.ntv, c.sys, c.port) for c in channels]
    have = [(c.type, c.ntv, c.sys, c.port) for c in present]
    if wanted != have:
        raise ConfigurationError(
            f"{name} has {_summary(present)}; a table of {_summary(channels)} does not fit (same order and indices "
            f"are needed): scan the ports and build it from that"
        )


def require_rate(name: str, fs_hz: float, offered: Sequence[float]) -> None:
    """Raise ConfigurationError, naming what is offered, unless a source offers a sampling rate."""
    if fs_hz not in offered:
        rates = ", ".join(f"{rate:g}" for rate in offered)
        raise ConfigurationError(f"{name} does not offer {fs_hz:g} Hz; it offers {rates} Hz")


def _channel(kind: SignalType, ntv: int, sys: int, scan: PortScan | None = None, place: int = 0) -> Channel:
    name = f"{NAME_PREFIX[kind]}_{ntv}"
    return Channel(
        type=kind,
        ntv=ntv,
        sys=sys,
        name=name,
        ntv_name=name if scan is None else f"port_{scan.port.name}_{place}",
        unit=NATIVE_UNIT.get(kind, SignalUnits.UNKNOWN),
        gain=_GAIN.get(kind, 1.0),
        port=None if scan is None else scan.port,
        headstage_id=HEADSTAGE_PREFIX + scan.headstage_id if scan is not None and scan.headstage_id else "",
    )


def _summary(channels: ChannelTable) -> str:
    ports = ", ".join(f"port {s.port.name} {s.num_channels}" for s in scans_of(channels)) or "no port"
    others = ", ".join(f"{channels.count(kind)} {kind.name}" for kind in TYPE_ORDER[1:])
    return f"{ports}; {others}"
