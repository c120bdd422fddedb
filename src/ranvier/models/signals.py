"""Signal types, selections and the arrays that reads return."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import SignalSelectionError
from ranvier.models._base import ArrayModel, FloatArray, IntArray, Model
from ranvier.models._coerce import EnumInput
from ranvier.models.time_range import TimeRange

if TYPE_CHECKING:
    from ranvier.models.channels import ChannelMetadata

__all__ = ["KeyIndex", "SigSelect", "SignalArrays", "SignalSpec", "SignalType"]


class SignalType(IntEnum):
    """Kind of a signal."""

    AMP = 0
    """Amplifier channels, uV."""
    AIN = 1
    """Analog inputs, V."""
    DIN = 2
    """Digital inputs, 0 or 1."""
    DOUT = 3
    """Digital outputs, 0 or 1."""


coerce_signal_type = EnumInput(SignalType, "a signal type")


class KeyIndex(IntEnum):
    """Index space of channel numbers."""

    NTV = 0
    """Native: position per signal type in the acquisition stream; survives slicing."""
    DATA = 1
    """Position per signal type in this dataset."""
    SYS = 2
    """One count over amp, ain, din, dout of the acquisition stream."""


class SigSelect(ArrayModel):
    """Channels of each signal type, int64 ``(n,)`` in the index space ``key_idx``; empty = that type is not wanted."""

    amp: IntArray
    gpio_ain: IntArray
    gpio_din: IntArray
    gpio_dout: IntArray
    key_idx: KeyIndex

    def of(self, sig_type: SignalType) -> npt.NDArray[np.int64]:
        """Return the indices of one signal type."""
        return (self.amp, self.gpio_ain, self.gpio_din, self.gpio_dout)[sig_type]


class SignalArrays(ArrayModel):
    """Signals of a time range, float64 ``(channels, samples)`` per type, rows in the order asked; None = not asked for.

    Missing samples are NaN, 0 for digital signals.

    Attributes
    ----------
    amp
        Amplifier channels in uV.
    gpio_ain
        Analog inputs in V.
    gpio_din, gpio_dout
        Digital inputs and outputs, 0 or 1.
    time_range
        The range that was served; a request partly outside the data is clipped.
    """

    amp: FloatArray | None = None
    gpio_ain: FloatArray | None = None
    gpio_din: FloatArray | None = None
    gpio_dout: FloatArray | None = None
    time_range: TimeRange | None = None

    def of(self, sig_type: SignalType) -> npt.NDArray[np.float64] | None:
        """Return the signals of one type."""
        return (self.amp, self.gpio_ain, self.gpio_din, self.gpio_dout)[sig_type]


Channels = tuple[int, ...] | str


class SignalSpec(Model):
    """Channels that are asked for, in native (NTV) indices; make one with the class methods.

    Channels are a list of indices, or the word ``"all"`` or ``"selected"``.

    Attributes
    ----------
    sig_type, channels
        A selection of one type; ``sig_type`` is None where there are several.
    multi_select
        Channels by type, where there are several types.
    """

    sig_type: SignalType | None
    channels: Channels
    multi_select: dict[SignalType, Channels] | None = None

    @classmethod
    def amp(cls, channels: Iterable[int] | str = "all") -> SignalSpec:
        """Select amplifier channels."""
        return cls(sig_type=SignalType.AMP, channels=_channels(channels))

    @classmethod
    def ain(cls, channels: Iterable[int] | str = "all") -> SignalSpec:
        """Select analog inputs."""
        return cls(sig_type=SignalType.AIN, channels=_channels(channels))

    @classmethod
    def din(cls, channels: Iterable[int] | str = "all") -> SignalSpec:
        """Select digital inputs."""
        return cls(sig_type=SignalType.DIN, channels=_channels(channels))

    @classmethod
    def dout(cls, channels: Iterable[int] | str = "all") -> SignalSpec:
        """Select digital outputs."""
        return cls(sig_type=SignalType.DOUT, channels=_channels(channels))

    @classmethod
    def all_amp(cls) -> SignalSpec:
        """Select all amplifier channels."""
        return cls.amp("all")

    @classmethod
    def multi(
        cls,
        amp: Iterable[int] | str | None = None,
        ain: Iterable[int] | str | None = None,
        din: Iterable[int] | str | None = None,
        dout: Iterable[int] | str | None = None,
    ) -> SignalSpec:
        """Select channels of several types; SignalSelectionError (a ValueError) where none is given."""
        given = zip(SignalType, (amp, ain, din, dout), strict=True)
        chosen = {kind: _channels(channels) for kind, channels in given if channels is not None}
        if not chosen:
            raise SignalSelectionError("select channels of at least one type: amp, ain, din or dout")
        return cls(sig_type=None, channels=(), multi_select=chosen)

    def is_multi(self) -> bool:
        """Whether it selects by type."""
        return self.multi_select is not None

    @property
    def by_type(self) -> dict[SignalType, Channels]:
        """What is asked for, by signal type, whichever way it was given."""
        if self.multi_select is not None:
            return dict(self.multi_select)
        return {} if self.sig_type is None else {self.sig_type: self.channels}

    def to_sig_select(self, channel_metadata: ChannelMetadata) -> SigSelect:
        """Return the native indices that this means in a dataset, in the order asked.

        Raises
        ------
        SignalSelectionError
            For indices that the dataset does not have, and words other than ``"all"`` and ``"selected"``
            (a ValueError).
        """
        asked = self.by_type
        amp, ain, din, dout = (_native_indices(kind, asked.get(kind, ()), channel_metadata) for kind in SignalType)
        return SigSelect(amp=amp, gpio_ain=ain, gpio_din=din, gpio_dout=dout, key_idx=KeyIndex.NTV)


def _channels(channels: Iterable[int] | str) -> Channels:
    return channels if isinstance(channels, str) else tuple(channels)


def _native_indices(kind: SignalType, channels: Channels, metadata: ChannelMetadata) -> npt.NDArray[np.int64]:
    known = metadata.index(kind).ntv
    if channels == "all":
        return np.array(known, dtype=np.int64)
    if channels == "selected":
        return np.array(metadata.selected_index(kind).ntv, dtype=np.int64)
    if isinstance(channels, str):
        raise SignalSelectionError(
            f"{channels!r} is not a selection of {kind.name} channels: 'all', 'selected' or indices"
        )
    unknown = sorted(set(channels) - set(known))
    if unknown:
        have = f"{len(known)} from {min(known)} to {max(known)}" if known else "none"
        raise SignalSelectionError(f"no {kind.name} channel with native index {unknown[:8]}; the dataset has {have}")
    return np.array(channels, dtype=np.int64)
