"""``radiens.AllegoClient``: an acquisition system, as the classic API has it."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ranvier.classic._measured import Measured, StreamMeasured
from ranvier.classic._sorting import Sorting, StreamSorting
from ranvier.classic._spiking import Spiking, StreamSpikes
from ranvier.classic._stimulation import DEFAULTS, MissingKeyError, from_dict, to_dict
from ranvier.classic.lib.allego_lib import AllegoState
from ranvier.classic.lib.channel_metadata import ChannelMetadata
from ranvier.classic.lib.dataset_metadata import DatasetMetadata
from ranvier.classic.metrics_client import MetricsClient
from ranvier.classic.spike_sorter_client import SpikeSorterClient
from ranvier.classic.spikes_client import SpikesClient
from ranvier.classic.utils.constants import DEFAULT_HUB_ID
from ranvier.classic.utils.enums import ClientType, Port, RecordMode, StreamMode, SystemMode
from ranvier.classic.workspace_client import WorkspaceClient
from ranvier.clients.allego import AllegoClient as TypedClient
from ranvier.clients.videre import VidereClient as TypedHub
from ranvier.exceptions import ConfigurationError
from ranvier.models.status import BackboneMode

_EVERYTHING = {"amp": "all", "ain": "all", "din": "all", "dout": "all"}


class Word(str):
    """A word that equals itself in any case: the documentation writes ``'manual'``, its package ``'MANUAL'``."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.lower() == other.lower()

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.lower())


class AllegoClient:
    """Stream, watch, record, stimulate; parameters as those of :class:`ranvier.AllegoClient` (an addition).

    The classic API arms nothing. Here a manual trigger, and the start of streaming after this client enabled a
    stimulation channel, arm the outputs, within the safety limits; closing the client disarms them.
    """

    def __init__(self, *, address: str | None = None, embedded: bool = False, require_hardware: bool = False) -> None:
        self._typed = TypedClient(address=address, embedded=embedded, require_hardware=require_hardware)
        self._stimulates = False

    @property
    def type(self) -> ClientType:
        """Which client it is."""
        return ClientType.ALLEGO

    def workspace(self) -> WorkspaceClient:
        """Return the client of saved set-ups."""
        return WorkspaceClient(self._typed)

    def spike_sorter(self) -> SpikeSorterClient:
        """Return the client of the sorter of the live stream."""
        return SpikeSorterClient(self)

    def spikes(self) -> SpikesClient:
        """Return the client of the spikes of the live stream."""
        return SpikesClient(self)

    def signal_metrics(self) -> MetricsClient:
        """Return the client of the metrics of the live stream."""
        return MetricsClient(self)

    def _measured(self, dataset_metadata: DatasetMetadata | None = None, hub_name: str = DEFAULT_HUB_ID) -> Measured:
        return StreamMeasured(self._typed._rig)

    def _sorting(self, dataset_metadata: DatasetMetadata | None = None, *, force: bool = False) -> Sorting:
        return StreamSorting(self._typed)

    def _spiking(self, dataset_id: str | None = None, hub_name: str = DEFAULT_HUB_ID) -> Spiking:
        return StreamSpikes(self._typed)

    def _typed_hub(self, hub_name: str = DEFAULT_HUB_ID) -> TypedHub | None:
        return None

    # --- state ---------------------------------------------------------------------------------------------------

    def restart(self, mode: SystemMode | BackboneMode | str | int) -> None:
        """Take another instrument or simulation; a stream ends, a recording is in the way.

        ``mode`` is a member, a name in any case, a number, or a word of the documentation (``sim-spikes``,
        ``xdaq_one_req``); ConfigurationError (a ValueError) lists the valid ones.
        """
        wanted = mode if isinstance(mode, BackboneMode) else BackboneMode(SystemMode.parse(mode).value)
        self._typed.stop_streaming()
        self._typed.restart(mode=wanted)

    def get_status(self) -> AllegoState:
        """Return how the system stands."""
        return AllegoState(self._typed.get_status(), self._typed.get_core_config())

    def get_stream_loop_dur_ms(self) -> float:
        """Return the period of the acquisition loop, ms."""
        return float(self._typed.get_core_config().stream_loop_dur_ms)

    def set_sampling_freq(self, fs: float) -> None:
        """Set the sampling rate, Hz; only while it does not stream. ConfigurationError lists what the source offers."""
        self._typed.update_core_config(samp_freq=fs)

    #: What an example of the documentation calls it.
    set_samp_freq = set_sampling_freq

    def set_streaming(self, mode: StreamMode | str | int | bool) -> AllegoState:
        """Stream or not: ``'on'``, ``'off'``, 0, 1, a bool, or a member; return the state."""
        if StreamMode.parse(mode) is StreamMode.ON:
            self._typed.start_streaming()
            self._arm_if_enabled()
        else:
            self._typed.stop_streaming()
        return self.get_status()

    def set_recording(self, mode: RecordMode | str | int | bool) -> AllegoState:
        """Record or not, as :meth:`set_streaming`; 'on' also streams. Return the state, as the documentation shows."""
        if RecordMode.parse(mode) is RecordMode.ON:
            self._typed.start_recording()
            self._arm_if_enabled()
        else:
            self._typed.stop_recording()
        return self.get_status()

    def set_recording_config(
        self, datasource_path: str, datasource_name: str, datasource_idx: int, is_time_stamp: bool = True
    ) -> None:
        """Set folder, base name and index of recordings, and whether the time stands in the name."""
        change = {
            "base_file_path": str(datasource_path),
            "base_file_name": datasource_name,
            "datasource_idx": datasource_idx,
            "time_stamp": is_time_stamp,
        }
        self._typed.update_recording_config(self._typed.get_recording_config().model_copy(update=change))

    # --- sensors and signals -------------------------------------------------------------------------------------

    def get_available_sensors(self) -> dict[str, Any]:
        """Return ``{'headstages': {id: channels}, 'probes': {id: channels}}``, and the same under ``'sensors'``.

        (The documentation shows the outer key, its package leaves it out.)
        """
        found = {kind: dict(ids) for kind, ids in self._typed._rig.sensors.available().items()}
        return {**found, "sensors": found}

    def set_sensor(self, port: Port | str | int, headstage_id: str, probe_id: str) -> None:
        """Put a headstage and a probe (ids or aliases) on a port that has channels; ValueErrors say what is wrong."""
        where, known = Port.parse(port), self.get_status().port_num_channels
        if where not in known:
            raise ConfigurationError(f"port {where.name} is not connected; connected: {[p.name for p in known]}")
        self._typed.set_sensor(port=where.name, headstage=headstage_id, probe=probe_id)

    def get_channel_metadata(self) -> ChannelMetadata:
        """Return the channels of the live stream."""
        return ChannelMetadata(self._typed.get_channel_metadata())

    def get_signals(self) -> tuple[npt.NDArray[np.float32], list[float]]:
        """Return what came since the last call, or since :meth:`set_time_to_cache_head`.

        Returns
        -------
        signals, time_range
            float32 ``(channels, samples)``, rows as in ``get_channel_metadata().table``: amplifier channels (uV), then
            analog (V) and digital (0/1) ones; ``[start, end]`` in stream seconds. The first call starts at the head.
        """
        new = self._typed.get_new_signals(_EVERYTHING)
        rows = [part for part in (new.amp, new.gpio_ain, new.gpio_din, new.gpio_dout) if part is not None]
        joined = np.concatenate(rows, axis=0, dtype=np.float32, casting="same_kind")
        return joined, [0.0, 0.0] if new.time_range is None else list(new.time_range.sec)

    def set_time_to_cache_head(self) -> None:
        """Let the next :meth:`get_signals` start at the newest sample."""
        self._typed.skip_to_head()

    # --- outputs -------------------------------------------------------------------------------------------------

    def get_digital_out_states(self) -> dict[str, Any]:
        """Return ``{'digital_outs_mode': word, 'states': [{'chan_idx', 'state'}]}``; the word equals any case of it."""
        found = self._typed.get_dio_reg()
        states = [{"chan_idx": i, "state": one.manual_state} for i, one in enumerate(found.dout_chan_registers)]
        return {"digital_outs_mode": Word(found.mode.name.lower()), "states": states}

    def set_digital_out_manual(self, dout1_state: bool, dout2_state: bool) -> None:
        """Drive the two digital outputs by hand."""
        self._typed.set_dio_manual(0, dout1_state)
        self._typed.set_dio_manual(1, dout2_state)

    def get_analog_out_settings(self) -> dict[str, Any]:
        """Return routing (-1: not routed), gain and high-pass (Hz) of the analog outputs."""
        found = self._typed.get_dac_reg()
        dac = [
            {
                "amp_ntv_chan_idx": one.pri_ntv_chan_idx,
                "aout_ntv_chan_idx": one.analog_out_ntv_chan_idx,
                "stream": one.stream,
                "stream_offset_idx": one.stream_offset_idx,
            }
            for one in found.channels
        ]
        high_pass = {"enable": found.highpass_reg.enable, "cutoff_freq": found.highpass_reg.cutoff_freq}
        return {"dac": dac, "gain": found.gain, "high_pass": high_pass}

    def set_analog_out_high_pass(self, cutoff_freq: float, enable: bool = True) -> dict[str, Any]:
        """Set the high-pass (Hz) of the analog outputs and return the settings; the arguments come in either order."""
        if isinstance(cutoff_freq, bool):  # an example of the documentation has them the other way round
            cutoff_freq, enable = enable, cutoff_freq
        self._typed.set_dac_highpass(enable, cutoff_freq)
        return self.get_analog_out_settings()

    #: What an example of the documentation calls it.
    set_dac_high_pass = set_analog_out_high_pass

    def get_stim_params(self) -> dict[int, dict[str, Any]]:
        """Return the stimulation of every configured channel by system index: dicts with the 26 documented keys."""
        return {index: to_dict(params) for index, params in self._typed.get_stim_params().items()}

    def set_stim_params(self, param_dict: dict[str, Any]) -> None:
        """Set the channel ``stim_sys_chan_idx``; what the dict lacks is filled in (and stands in it afterwards).

        From the channel's present parameters, or else from ``DEFAULT_STIM_PARAMS``, with the documented default of a
        key as trigger. Keys of the keyboard count from 0 here. A missing ``stim_sys_chan_idx`` is a KeyError.
        """
        if "stim_sys_chan_idx" not in param_dict:
            raise MissingKeyError("set_stim_params() needs 'stim_sys_chan_idx', the system index of the channel")
        present = self.get_stim_params().get(param_dict["stim_sys_chan_idx"], DEFAULTS)
        whole = {**present, **param_dict}
        params = from_dict(whole)
        self._typed.set_stim_params({params.stim_sys_chan_idx: params})
        param_dict.update(whole)
        self._stimulates |= bool(params.enabled)

    def set_stim_step(self, step: int) -> None:
        """Set the step size of the current, 0-11."""
        self._typed.set_stim_step(step=step)

    def set_manual_stim_trigger(self, trigger: int) -> None:
        """Change the state of a manual trigger, 0-7; arms the outputs where nobody has."""
        if trigger not in range(8):
            raise ConfigurationError(f"{trigger!r} is no manual trigger; valid: 0 to 7")
        outputs = self._typed.details().outputs
        if outputs is None or outputs.armed_by is None:
            self._typed.arm_outputs()
        self._typed.toggle_stim_trigger(trigger=int(trigger) + 1)

    def _arm_if_enabled(self) -> None:
        if self._stimulates:
            self._typed.arm_outputs()

    # --- additions -----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Leave the system: it streams and records on, what this client armed is disarmed (an addition)."""
        self._typed.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
