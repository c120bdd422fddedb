"""Every mode of the API and what stands behind it in this version: one table, which the documentation prints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from ranvier.models.status import BackboneMode as Mode

#: Sampling rates that Intan's controllers have; simulators offer them all.
SAMPLING_RATES_HZ: tuple[float, ...] = (
    1000.0, 1250.0, 1500.0, 2000.0, 2500.0, 3000.0, 3333.0, 4000.0, 5000.0, 6250.0, 8000.0, 10000.0, 12500.0, 15000.0,
    20000.0, 25000.0, 30000.0,
)  # fmt: skip


class Kind(StrEnum):
    """What stands behind a mode."""

    SIMULATED = "simulated"
    REPLAYED = "replayed"
    INSTRUMENT = "instrument"


@dataclass(frozen=True, slots=True)
class ModeEntry:
    """One mode.

    Attributes
    ----------
    label
        What it is, for people.
    signal
        Of simulators: the name in :data:`ranvier.simulation.live.SIGNAL_MODELS`; "" otherwise.
    plays
        Of simulators: what is on the amplifier channels.
    missing
        Of instruments: what it takes to drive it that this version does not have; "" where it works.
    """

    mode: Mode
    kind: Kind
    label: str
    signal: str = ""
    plays: str = ""
    missing: str = ""


_RHYTHM = "a driver for its Rhythm interface over Opal Kelly's FrontPanel library, or a client of Intan RHX's TCP port"
_OPEN_EPHYS = (
    "a driver for its Rhythm interface over Opal Kelly's FrontPanel library, or a client of the Open Ephys GUI's "
    "ZMQ and HTTP interfaces"
)
_XDAQ = "a driver over KonteX's pylibxdaq, or a client of XDAQ-RHX's TCP port"
_XDAQ_GEN2 = "a driver over KonteX's pylibxdaq for second-generation (Thunderbolt) devices"
_SMARTBOX = "a client of a running, licensed Allego server (no protocol of its own is public)"
_SMARTBOX_CLASSIC = (
    "its FPGA configuration, board identification and a Rhythm USB2 driver, or a client of a running Allego server"
)


def _simulated(mode: Mode, label: str, signal: str, plays: str) -> ModeEntry:
    return ModeEntry(mode, Kind.SIMULATED, label, signal=signal, plays=plays)


def _instrument(mode: Mode, label: str, missing: str) -> ModeEntry:
    return ModeEntry(mode, Kind.INSTRUMENT, label, missing=missing)


_ENTRIES = (
    _simulated(Mode.SMARTBOX_SIM_GEN_SINE, "sine", "sine", "20 Hz, 200 uV on every channel"),
    _simulated(
        Mode.SMARTBOX_SIM_GEN_SINE_MAPPED,
        "mapped sine",
        "mapped sine",
        "a tone of its own per channel c: 5 + c mod 128 Hz, 100 uV, phase 45 degrees times c div 128",
    ),
    _simulated(
        Mode.SMARTBOX_SIM_GEN_SINE_HIGH_FREQ,
        "high-frequency sine",
        "high frequency",
        "1000 Hz (at most a quarter of the sampling rate), 200 uV on every channel",
    ),
    _simulated(
        Mode.SMARTBOX_SIM_GEN_SINE_MULTI_BAND,
        "multi-band sines",
        "multi-band",
        "8, 60, 150 and 1500 Hz of 100, 50, 30 and 20 uV (those below 0.4 of the sampling rate)",
    ),
    _simulated(
        Mode.SMARTBOX_SIM_GEN_SPIKES, "spikes", "spikes", "3 neurons per 8 channels, noise of 8 uV RMS; truth known"
    ),
    _simulated(
        Mode.SMARTBOX_SIM_GEN_LFP,
        "local field potential",
        "lfp",
        "local field potential of 150 uV RMS, noise of 2 uV RMS",
    ),
    _simulated(
        Mode.SMARTBOX_SIM_GEN_BROADBAND,
        "broadband",
        "broadband",
        "as spikes, with local field potential of 120 uV RMS and mains hum of 10 uV; truth known",
    ),
    ModeEntry(
        Mode.SMARTBOX_SIM_DATASOURCE, Kind.REPLAYED, "data source", plays="a recording, played live, once or in a loop"
    ),
    _instrument(Mode.INTAN_USB2, "Intan RHD USB interface board", _RHYTHM),
    _instrument(Mode.INTAN_RECORDING_CONTROLLER_512, "Intan recording controller, 512 channels", _RHYTHM),
    _instrument(Mode.INTAN_RECORDING_CONTROLLER_1024, "Intan recording controller, 1024 channels", _RHYTHM),
    _instrument(Mode.OPEN_EPHYS_USB2, "Open Ephys acquisition board, USB 2", _OPEN_EPHYS),
    _instrument(Mode.OPEN_EPHYS_USB3, "Open Ephys acquisition board, USB 3", _OPEN_EPHYS),
    _instrument(Mode.XDAQ_ONE_REC, "XDAQ One, recording", _XDAQ),
    _instrument(Mode.XDAQ_ONE_STIM, "XDAQ One, stimulation", _XDAQ),
    _instrument(Mode.XDAQ_CORE_REC, "XDAQ Core, recording", _XDAQ),
    _instrument(Mode.XDAQ_CORE_STIM, "XDAQ Core, stimulation", _XDAQ),
    _instrument(Mode.XDAQ_GEN2_ONE_REC, "XDAQ One, second generation, recording", _XDAQ_GEN2),
    _instrument(Mode.XDAQ_GEN2_ONE_STIM, "XDAQ One, second generation, stimulation", _XDAQ_GEN2),
    _instrument(Mode.XDAQ_GEN2_CORE_REC, "XDAQ Core, second generation, recording", _XDAQ_GEN2),
    _instrument(Mode.XDAQ_GEN2_CORE_STIM, "XDAQ Core, second generation, stimulation", _XDAQ_GEN2),
    _instrument(Mode.SMARTBOX_CLASSIC, "SmartBox Classic", _SMARTBOX_CLASSIC),
    _instrument(Mode.SMARTBOX_PRO, "SmartBox Pro", _SMARTBOX),
    _instrument(Mode.SMARTBOX_PRO_SINAPS_256, "SmartBox Pro with SiNAPS, 256 channels", _SMARTBOX),
    _instrument(Mode.SMARTBOX_PRO_SINAPS_512, "SmartBox Pro with SiNAPS, 512 channels", _SMARTBOX),
    _instrument(Mode.SMARTBOX_PRO_SINAPS_1024, "SmartBox Pro with SiNAPS, 1024 channels", _SMARTBOX),
)

#: By mode, in the order of the documentation.
MODES: dict[Mode, ModeEntry] = {entry.mode: entry for entry in _ENTRIES}


def refusal(entry: ModeEntry) -> str:
    """Return why a mode cannot be taken, and what can."""
    simulators = ", ".join(e.mode.name for e in _ENTRIES if e.kind != Kind.INSTRUMENT)
    return (
        f"{entry.mode.name} ({entry.label}) cannot be driven by this version: it lacks {entry.missing}. "
        f"Without an instrument there are {simulators}"
    )


def markdown_rows() -> Iterator[str]:
    """Yield the table of modes as the documentation prints it, line by line."""
    yield "| Mode | What it is | Here | Plays, or what is missing |"
    yield "|---|---|---|---|"
    for entry in _ENTRIES:
        here = "not yet" if entry.missing else entry.kind.value
        yield f"| `{entry.mode.name}` | {entry.label} | {here} | {entry.missing or entry.plays} |"
