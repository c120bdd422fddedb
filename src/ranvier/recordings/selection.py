"""From channels in any index space to columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ranvier.exceptions import DatasetError, SignalSelectionError
from ranvier.models.signals import KeyIndex, SignalType, SigSelect
from ranvier.recordings.channels import ChannelTable


def selected_columns(channels: ChannelTable, select: SigSelect) -> dict[SignalType, npt.NDArray[np.int64]]:
    """Return the columns of each wanted type; SignalSelectionError names channels that are not there."""
    wanted = {
        SignalType.AMP: select.amp,
        SignalType.AIN: select.gpio_ain,
        SignalType.DIN: select.gpio_din,
        SignalType.DOUT: select.gpio_dout,
    }
    return {kind: _columns(channels, kind, ids, select.key_idx) for kind, ids in wanted.items() if len(ids)}


def columns_of_kind(channels: ChannelTable, kind: SignalType, ntv: Sequence[int] | None) -> npt.NDArray[np.int64]:
    """Return the columns of channels of one type (NTV) in the order asked; the selected ones where None; maybe none.

    SignalSelectionError names channels that are not there.
    """
    if ntv is None:
        return np.array([c for c in channels.columns_of(kind) if channels[int(c)].selected], dtype=np.int64)
    return _columns(channels, kind, np.asarray(ntv, dtype=np.int64), KeyIndex.NTV)


def amplifier_columns(channels: ChannelTable, ntv: Sequence[int] | None) -> npt.NDArray[np.int64]:
    """Return the columns of amplifier channels as ``columns_of_kind``; SignalSelectionError where none is left."""
    chosen = columns_of_kind(channels, SignalType.AMP, ntv)
    if not len(chosen):
        raise SignalSelectionError("no amplifier channel is selected; name some channels")
    return chosen


def _columns(
    channels: ChannelTable, kind: SignalType, indices: npt.NDArray[np.int64], space: KeyIndex
) -> npt.NDArray[np.int64]:
    try:
        if space == KeyIndex.NTV:
            return channels.columns_for_ntv(kind, indices)
        of_type = channels.columns_of(kind)
        if space == KeyIndex.DATA:
            return of_type[indices]
        by_sys = {channels[int(c)].sys: int(c) for c in of_type}
        return np.array([by_sys[int(i)] for i in indices], dtype=np.int64)
    except (DatasetError, IndexError, KeyError) as error:
        reason = str(error) if isinstance(error, DatasetError) else f"no {kind.name} channel with {space.name} {error}"
        raise SignalSelectionError(reason) from error
