"""Configuration of the acquisition core. Fields are filled by their names or by the camel-case aliases."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from ranvier.models._base import Model
from ranvier.models.ports import Port
from ranvier.models.status import BackboneMode

__all__ = ["CableDelay", "CoreConfig", "SetCoreConfigRequest"]


class _AliasedModel(Model):
    model_config = ConfigDict(populate_by_name=True)


class CableDelay(_AliasedModel):
    """Cable delay of one port, as the instrument counts it; ``is_auto`` where the instrument measured it."""

    port: Port
    cable_delay: int = Field(alias="cableDelay")
    is_auto: bool = Field(alias="isAuto")


class CoreConfig(_AliasedModel):
    """Configuration of the acquisition core.

    Attributes
    ----------
    base_samp_freq
        Sampling rate in Hz.
    stream_loop_dur_ms
        Period of the acquisition loop in ms.
    cable_delays
        By value of the port.
    """

    allego_core_server_port: str = Field(alias="allegoCoreServerPort")
    base_samp_freq: float = Field(alias="baseSampFreq")
    stream_loop_dur_ms: int = Field(alias="streamLoopDurMs")
    backbone_mode: BackboneMode = Field(alias="backboneMode")
    has_xdaq_gpio_expander: bool = Field(alias="hasXDAQGPIOExpander")
    cable_delays: dict[int, CableDelay] = Field(alias="cableDelays")


class SetCoreConfigRequest(_AliasedModel):
    """What to change: rate in Hz, loop period in ms, how long the cache remembers, a cable delay; None = unchanged."""

    samp_freq: float | None = Field(default=None, alias="sampFreq")
    loop_dur: float | None = Field(default=None, alias="loopDur")
    pcache_persistence: float | None = Field(default=None, alias="pcachePersistence")
    cable_delay: CableDelay | None = Field(default=None, alias="cableDelay")
