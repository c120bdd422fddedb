"""References: one value per row, subtracted from the amplifier channels."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.dsp import count_kernels, median_kernels, reference_kernels
from ranvier.dsp.operations import ReferenceOperator
from ranvier.dsp.stage import Rest, Stage, stage_input
from ranvier.exceptions import ConfigurationError
from ranvier.models.signals import SignalType
from ranvier.recordings.block import Block
from ranvier.recordings.buffers import aligned_empty
from ranvier.recordings.channels import ChannelTable
from ranvier.recordings.quantiser import Quantiser

F32 = npt.NDArray[np.float32]

#: Rows are shared among threads in units of this.
ROW_UNIT = 64


class _Memoryless(Stage):
    """A stage whose output row depends on its input row alone; its state is None."""

    fresh_output = True
    independent = True

    def __init__(self, fs: Fraction, channels: ChannelTable, description: dict[str, Any]) -> None:
        self.in_fs = self.out_fs = fs
        self.in_channels = self.out_channels = channels
        self.amplifiers = channels.count(SignalType.AMP)
        self._description = description

    def start(self) -> None:
        return None

    def process(self, block: Block, state: None) -> list[Block]:
        if len(block) == 0:
            return []
        x = stage_input(block, self.in_channels)
        out = aligned_empty(x.shape)
        self._by_rows(len(x), lambda a, b: self._rows(x[a:b], out[a:b]))
        return [Block(out, block.start)]

    def begin(self, block: Block, state: None) -> list[Rest]:
        """Leave all of it for later."""
        return [lambda: self.process(block, state)]

    def describe(self) -> dict[str, Any]:
        return dict(self._description)

    def _rows(self, x: F32, out: F32) -> None:
        raise NotImplementedError

    def _by_rows(self, rows: int, work: Callable[[int, int], None]) -> None:
        self.team.each(work, self.team.shares(rows, multiple=ROW_UNIT))


class Reference(_Memoryless):
    """A reference that is the same for all amplifier channels, so that a filter behind it can subtract it on load."""

    def reference(self, block: Block) -> F32:
        """Return what is subtracted, one float32 per row."""
        x = stage_input(block, self.in_channels)
        ref = np.empty(len(x), dtype=np.float32)
        self._by_rows(len(x), lambda a, b: self._reference(x[a:b], ref[a:b]))
        return ref

    def _reference(self, x: F32, ref: F32) -> None:
        raise NotImplementedError

    def _rows(self, x: F32, out: F32) -> None:
        ref = np.empty(len(x), dtype=np.float32)
        self._reference(x, ref)
        reference_kernels.subtract(x, ref, self.amplifiers, out)


class CommonReference(Reference):
    """Subtract the mean (or the median) over all amplifier channels from each of them.

    NaN (and infinite) samples are left out of the mean, and stay what they are; the order of the sum is fixed.
    """

    def __init__(
        self, fs: Fraction, channels: ChannelTable, operator: ReferenceOperator, description: dict[str, Any]
    ) -> None:
        super().__init__(fs, channels, description)
        if self.amplifiers < 2:
            raise ConfigurationError(
                f"a common average reference needs at least 2 amplifier channels; this recording has {self.amplifiers}"
            )
        self.operator = operator

    def _reference(self, x: F32, ref: F32) -> None:
        if self.operator == "mean":
            reference_kernels.row_mean(x, self.amplifiers, ref)
        else:
            median_kernels.row_median(x, self.amplifiers, ref)

    def _rows(self, x: F32, out: F32) -> None:
        if self.operator == "mean":
            reference_kernels.subtract_mean(x, self.amplifiers, out)
        else:
            median_kernels.subtract_median(x, self.amplifiers, out)

    def round_counts(self, block: Block, quantiser: Quantiser, out: npt.NDArray[np.int16]) -> int | None:
        """Fill ``out`` with what ``process`` of counts gives, in an output's counts; return how many saturate.

        None, and nothing done, but for medians of amplifier channels of one gain, which are all that is stored.
        """
        n = self.amplifiers
        if self.operator != "median" or block.gain is None or block.offset is None or out.shape[1] != n:
            return None
        gain, offset = block.gain[:n], block.offset[:n]
        plain = bool(np.all(gain == gain[0]) and np.all(offset == offset[0]) and 1e-30 < gain[0] < 1e30)
        if not plain or not (quantiser.columns is None or np.array_equal(quantiser.columns, np.arange(n))):
            return None
        same = bool(np.all(quantiser.gain == gain[0]) and np.all(quantiser.offset == 0.0) and offset[0] == 0.0)
        counts = np.require(block.samples, np.int16, ["C", "W"])
        return count_kernels.subtract_median_of_counts(
            counts, float(gain[0]), float(offset[0]), quantiser.gain, quantiser.offset, same, out
        )

    def process_in_place(self, block: Block) -> list[Block]:
        """Do the same in the memory of a block that nothing else refers to."""
        x = stage_input(block, self.in_channels)
        subtract = (
            reference_kernels.subtract_mean_in_place
            if self.operator == "mean"
            else median_kernels.subtract_median_in_place
        )
        self._by_rows(len(x), lambda a, b: subtract(x[a:b], self.amplifiers))
        return [Block(x, block.start)]


class GroupReference(_Memoryless):
    """The common reference of each group of amplifier channels, subtracted from that group."""

    def __init__(
        self,
        fs: Fraction,
        channels: ChannelTable,
        groups: dict[str, list[int]],
        operator: ReferenceOperator,
        description: dict[str, Any],
    ) -> None:
        alone = [name for name, columns in groups.items() if len(columns) < 2]
        if alone or not groups:
            raise ConfigurationError(
                f"a common reference needs at least 2 amplifier channels in each group; "
                f"{', '.join(alone[:4]) or 'this recording'} has fewer"
            )
        super().__init__(fs, channels, {**description, "groups": {name: len(c) for name, c in groups.items()}})
        self.groups = [np.array(columns, dtype=np.int64) for columns in groups.values()]
        self.operator = operator

    def _rows(self, x: F32, out: F32) -> None:
        out[:, self.amplifiers :] = x[:, self.amplifiers :]
        ref = np.empty(len(x), dtype=np.float32)
        statistic = reference_kernels.row_mean if self.operator == "mean" else median_kernels.row_median
        for columns in self.groups:
            part = np.ascontiguousarray(x[:, columns])
            statistic(part, len(columns), ref)
            out[:, columns] = part - ref[:, None]


def groups_of(channels: ChannelTable, by: str) -> dict[str, list[int]]:
    """Return the amplifier columns of each port, probe, or shank of a probe, by name."""
    found: dict[str, list[int]] = {}
    for column in channels.columns_of(SignalType.AMP):
        channel = channels[int(column)]
        name = f"port {channel.port.name if channel.port is not None else '?'}"
        if by != "port":
            name += (
                f" probe {channel.probe_id or '?'} {'' if channel.probe_idx is None else channel.probe_idx}".rstrip()
            )
        if by == "shank":
            name += f" shank {channel.shank}"
        found.setdefault(name, []).append(int(column))
    return found


class ChannelReference(Reference):
    """Subtract one amplifier channel from all of them, itself included: it becomes 0. Where it is NaN, all are."""

    def __init__(self, fs: Fraction, channels: ChannelTable, ntv: int, description: dict[str, Any]) -> None:
        super().__init__(fs, channels, description)
        self.column = int(channels.columns_for_ntv(SignalType.AMP, [ntv])[0])

    def _reference(self, x: F32, ref: F32) -> None:
        ref[:] = x[:, self.column]


class ChannelDifference(_Memoryless):
    """``target := target - reference``, and the reference becomes 0; every other channel passes untouched."""

    def __init__(
        self, fs: Fraction, channels: ChannelTable, reference_ntv: int, target_ntv: int, description: dict[str, Any]
    ) -> None:
        super().__init__(fs, channels, description)
        if reference_ntv == target_ntv:
            raise ConfigurationError(
                f"paired reference of channel {target_ntv} to itself would silence it; name two different channels"
            )
        columns = channels.columns_for_ntv(SignalType.AMP, [reference_ntv, target_ntv])
        self.reference_column, self.target_column = (int(c) for c in columns)

    def _rows(self, x: F32, out: F32) -> None:
        out[:] = x
        reference = x[:, self.reference_column]
        out[:, self.target_column] -= reference
        out[:, self.reference_column] -= reference  # 0, and NaN where there was no sample
