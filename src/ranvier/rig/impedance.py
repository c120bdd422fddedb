"""Electrode impedances: measured by the source, kept per probe with their date."""

from __future__ import annotations

from ranvier.exceptions import CapabilityError, ConfigurationError
from ranvier.models.impedance import Impedance, ImpedanceValue
from ranvier.models.ports import Port
from ranvier.models.signals import SignalType
from ranvier.recordings.channels import Channel
from ranvier.rig.source import Source
from ranvier.store import Store


def measure_impedance(source: Source, port: Port, store: Store) -> Impedance:
    """Measure the electrodes of a port and keep the scan under every probe on it.

    Raises
    ------
    CapabilityError
        The source cannot.
    ConfigurationError
        No amplifier channels are on the port.
    """
    if "impedance" not in source.info.capabilities:
        raise CapabilityError(f"{source.info.name} cannot measure impedances")
    amplifiers = [c for c in source.channels if c.type == SignalType.AMP]
    channels = [c for c in amplifiers if c.port == port]
    if not channels:
        used = sorted({c.port.name for c in amplifiers if c.port is not None})
        raise ConfigurationError(f"no amplifier channels on port {port.name}; there are some on {used or 'no port'}")
    values = {int(ntv): (float(ohm), float(deg)) for ntv, (ohm, deg) in source.measure_impedance(port).items()}
    for probe_id, headstage_id in dict.fromkeys((c.probe_id, c.headstage_id) for c in channels):
        mine = {c.ntv for c in channels if _on(c, probe_id, headstage_id)}
        store.impedances.add(
            {ntv: z for ntv, z in values.items() if ntv in mine},
            port=port.name,
            probe_id=probe_id,
            headstage_id=headstage_id,
            source=f"SIMULATED {source.info.name}" if source.info.simulated else source.info.name,
        )
    return Impedance(
        measurements=[
            ImpedanceValue(ntv_chan_idx=ntv, magnitude_ohm=ohm, phase_deg=deg)
            for ntv, (ohm, deg) in sorted(values.items())
        ]
    )


def _on(channel: Channel, probe_id: str, headstage_id: str) -> bool:
    return channel.probe_id == probe_id and channel.headstage_id == headstage_id
