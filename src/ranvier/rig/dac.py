"""Analog outputs: which amplifier channel each carries, gain, high-pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ranvier.exceptions import CapabilityError, ConfigurationError
from ranvier.models.dac import AnalogOutChannel, AnalogOutRegister, DACHighPass
from ranvier.models.signals import SignalType
from ranvier.rig.source import Source

#: The instrument counts gains as powers of two, 2^0 to 2^7 (Intan controllers).
GAINS = range(8)


class Dac:
    """The registers of the analog outputs. They are settings of the instrument: a simulator keeps and echoes them.

    Parameters
    ----------
    source
        Returns the source in force.
    """

    def __init__(self, source: Callable[[], Source]) -> None:
        self._source = source
        self._gain = 0
        self._highpass = DACHighPass(enable=False, cutoff_freq=250.0)
        self._routes: dict[int, int] = {}

    def register(self) -> AnalogOutRegister:
        """Return the settings; outputs that carry nothing have channel -1."""
        channels = [
            AnalogOutChannel(
                pri_ntv_chan_idx=self._routes.get(dac, -1),
                analog_out_ntv_chan_idx=dac,
                stream=0,
                stream_offset_idx=self._offset(self._routes.get(dac, -1)),
            )
            for dac in range(self._source().info.num_dac)
        ]
        return AnalogOutRegister(gain=self._gain, highpass_reg=self._highpass, channels=channels)

    def routed_to(self, dac_idx: int) -> int:
        """Return the amplifier channel (NTV) that an output carries, -1 for none."""
        return self._routes.get(dac_idx, -1)

    def set_gain(self, gain: int) -> None:
        """Set the gain, 0-7 for a factor of 2^gain."""
        self._require()
        self._gain = _checked_gain(gain)

    def set_stream(self, dac_idx: int, ntv_chan_idx: int) -> None:
        """Route an amplifier channel (NTV) to an output; -1 takes it away."""
        self._require()
        count = self._source().info.num_dac
        if not 0 <= dac_idx < count:
            raise ConfigurationError(f"there is no analog output {dac_idx}; this source has 0-{count - 1}")
        if ntv_chan_idx == -1:
            self._routes.pop(dac_idx, None)
            return
        self._source().channels.columns_for_ntv(SignalType.AMP, [ntv_chan_idx])  # DatasetError names the channels
        self._routes[dac_idx] = int(ntv_chan_idx)

    def off(self) -> None:
        """Route nothing."""
        self._require()
        self._routes.clear()

    def set_highpass(self, enable: bool, cutoff_hz: float) -> None:
        """Set the high-pass; its corner lies between 0 and half the sampling rate."""
        self._require()
        nyquist_hz = float(self._source().fs) / 2
        if not (math.isfinite(cutoff_hz) and 0 < cutoff_hz < nyquist_hz):
            raise ConfigurationError(
                f"the corner of the high-pass must lie between 0 and {nyquist_hz:g} Hz (half the sampling rate), "
                f"got {cutoff_hz:g} Hz"
            )
        self._highpass = DACHighPass(enable=bool(enable), cutoff_freq=float(cutoff_hz))

    def reset(self) -> None:
        """Forget every setting: another source, or other channels."""
        self._gain, self._highpass = 0, DACHighPass(enable=False, cutoff_freq=250.0)
        self._routes.clear()

    def snapshot(self) -> dict[str, Any]:
        """Return the settings as plain data."""
        return {
            "gain": self._gain,
            "highpass": self._highpass.model_dump(),
            "routes": {str(dac): ntv for dac, ntv in sorted(self._routes.items())},
        }

    @staticmethod
    def validate(document: Mapping[str, Any]) -> None:
        """Raise ConfigurationError for data that ``snapshot`` cannot have made."""
        try:
            _checked_gain(document["gain"])
            DACHighPass.model_validate(document["highpass"])
            {int(dac): int(ntv) for dac, ntv in document["routes"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigurationError(f"the analog outputs of this workspace cannot be read: {error}") from error

    def restore(self, document: Mapping[str, Any]) -> None:
        """Take saved settings over, checked against the source in force."""
        self.validate(document)
        self.reset()
        if self._source().info.num_dac == 0 and not document["routes"]:
            return
        highpass = DACHighPass.model_validate(document["highpass"])
        self.set_gain(document["gain"])
        self.set_highpass(highpass.enable, highpass.cutoff_freq)
        for dac, ntv in document["routes"].items():
            self.set_stream(int(dac), int(ntv))

    def _require(self) -> None:
        info = self._source().info
        if "dac" not in info.capabilities or not info.num_dac:
            raise CapabilityError(f"{info.name} has no analog outputs")

    def _offset(self, ntv: int) -> int:
        if ntv < 0:
            return -1
        try:
            return int(self._source().channels.columns_for_ntv(SignalType.AMP, [ntv])[0])
        except LookupError:
            return -1


def _checked_gain(gain: Any) -> int:
    if isinstance(gain, bool) or not isinstance(gain, int) or gain not in GAINS:
        raise ConfigurationError(f"the gain of the analog outputs is a number 0-7 (a factor of 2^gain), got {gain!r}")
    return int(gain)
