"""Triggers of recording and stimulation."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated

from pydantic import BeforeValidator

from ranvier.models._base import Model
from ranvier.models._coerce import EnumInput
from ranvier.models.ports import Port, coerce_port
from ranvier.models.stim import StimKeypressIndex, coerce_stim_keypress_index

__all__ = [
    "ManualStimTriggerRequest",
    "ManualStimTriggerToggleRequest",
    "SetTriggerStateRequest",
    "TriggerChannel",
    "TriggerState",
]


class TriggerChannel(IntEnum):
    """A digital line that may trigger recording."""

    T_DIN_0 = 0
    T_DIN_1 = 1
    T_DIN_2 = 2
    T_DIN_3 = 3
    T_DIN_4 = 4
    T_DIN_5 = 5
    T_DIN_6 = 6
    T_DIN_7 = 7
    T_DIN_8 = 8
    T_DIN_9 = 9
    T_DIN_10 = 10
    T_DIN_11 = 11
    T_DIN_12 = 12
    T_DIN_13 = 13
    T_DIN_14 = 14
    T_DIN_15 = 15
    T_DOUT_0 = 16
    T_DOUT_1 = 17
    T_DOUT_2 = 18
    T_DOUT_3 = 19
    T_DOUT_4 = 20
    T_DOUT_5 = 21
    T_DOUT_6 = 22
    T_DOUT_7 = 23
    T_DOUT_8 = 24
    T_DOUT_9 = 25
    T_DOUT_10 = 26
    T_DOUT_11 = 27
    T_DOUT_12 = 28
    T_DOUT_13 = 29
    T_DOUT_14 = 30
    T_DOUT_15 = 31
    T_NONE = 32


#: Names come without the prefix of the members: ``din_0``, ``dout_15``, ``none``.
coerce_trigger_channel = EnumInput(
    TriggerChannel,
    "a trigger channel",
    ints=True,
    names={name.removeprefix("T_"): member for name, member in TriggerChannel.__members__.items()},
)

Key = Annotated[StimKeypressIndex, BeforeValidator(coerce_stim_keypress_index)]


class TriggerState(Model):
    """The digital lines that trigger recording, and the ports that they start."""

    enabled_channels: list[TriggerChannel]
    ports: list[Port]


class SetTriggerStateRequest(Model):
    """Asks to let a digital line trigger the recording of a port, or not."""

    channel: Annotated[TriggerChannel, coerce_trigger_channel.field]
    enabled: bool
    port: Annotated[Port, coerce_port.field]


class ManualStimTriggerRequest(Model):
    """Asks to press or release a key; 1-8."""

    trigger: Key
    trigger_on: bool


class ManualStimTriggerToggleRequest(Model):
    """Asks to press a key and release it; 1-8."""

    trigger: Key
