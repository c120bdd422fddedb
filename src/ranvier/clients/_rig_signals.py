"""Channels, signals, events and filters of the live stream."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ranvier.clients._arrays import Out, by_type, kept_channels, verdicts_of, widened
from ranvier.clients._rig_arguments import LIVE, flag, live, number, whole
from ranvier.clients._rig_base import RigClient
from ranvier.clients._rig_stream import Subscription, arrays
from ranvier.connect import shared_memory
from ranvier.exceptions import ConfigurationError
from ranvier.models.channels import ChannelMetadata
from ranvier.models.dataset import TimeRangeSpec
from ranvier.models.dsp import DSPGroup, coerce_filter_stage
from ranvier.models.events import EventTable
from ranvier.models.flex import (
    FlexDSPParams,
    FlexFilterStage,
    FlexSignalSpec,
    FlexTimeRange,
    coerce_dsp_params,
    coerce_signal_spec,
    coerce_time_range,
)
from ranvier.models.quality import ChannelQualityTable, ChannelVerdict
from ranvier.models.rig import LiveSignalArrays
from ranvier.models.signals import SignalArrays, SignalSpec, SignalType, SigSelect
from ranvier.services.rig import Rig
from ranvier.services.signals import Lent, SignalBlock


class LiveClient(RigClient):
    """Calls on the live stream."""

    _reader = ""
    _known: tuple[int, ChannelMetadata] | None = None  # the channels, and their revision
    _ring: tuple[str, npt.NDArray[np.uint8] | None] = ("", None)  # the engine's live cache, and its name
    _can_borrow = True

    def get_channel_metadata(self) -> ChannelMetadata:
        """Return the channels of the stream in the three index spaces; what is selected and grouped shows."""
        return self._rig.signals.channel_metadata()

    def get_signals(
        self,
        time_range: FlexTimeRange,
        signals: FlexSignalSpec | None = None,
        *,
        apply_dsp: bool = False,
        out: Out | None = None,
    ) -> SignalArrays:
        """Read signals from the live cache.

        Parameters
        ----------
        time_range
            ``[start, end]`` in stream seconds, half-open; ``[duration, nan]`` or ``TimeRangeSpec.lookback(duration)``
            the last seconds; any other TimeRangeSpec. What the cache does not hold is clipped: ``time_range`` of the
            result is what was served.
        signals
            ``"all"`` (every AMP channel), native indices, ``{"amp": ..., "ain": ..., "din": ..., "dout": ...}`` with
            lists, ``"all"`` or ``"selected"``, or a SignalSpec; None every AMP channel. Rows come in request order.
        apply_dsp
            Filter through stage 2 (hardware and stage 1 have acted already).
        out
            Memory to fill, by field name (``{"amp": array}``): float64 ``(channels, samples)`` of the exact shape, so
            that a loop over equal ranges allocates nothing (an addition to the documented API).

        Returns
        -------
        SignalArrays
            float64 ``(channels, samples)``: ``amp`` in uV, ``gpio_ain`` in V, ``gpio_din`` and ``gpio_dout`` 0/1; None
            for types not asked for. Missing samples are NaN (0 for digital).

        Raises
        ------
        TimeRangeError
            Nothing of the range is in the cache: it has gone, or has not come.
        SignalSelectionError
            A channel that the stream does not have.
        """
        spec, select = coerce_time_range(time_range), self._select(signals)
        self._check_hardware()
        apply_dsp = flag("apply_dsp", apply_dsp)
        block = self._read(spec, select, apply_dsp=apply_dsp, lend=True)
        if block.lent is not None:
            found = self._from_lent(block, block.lent, out)
            if found is not None:
                return found
            block = self._read(spec, select, apply_dsp=apply_dsp, lend=False)
        return SignalArrays(**widened(block, out), time_range=block.time_range)

    def get_new_signals(self, signals: FlexSignalSpec | None = None) -> LiveSignalArrays:
        """Return what came since this client last called it, in order and complete (an addition).

        The first call returns no samples, and starts at the head. What was lost, or has left the cache because nobody
        asked in time, stands in ``gaps``.
        """
        select = self._select(signals)
        self._check_hardware()
        return arrays(self._rig.signals.read_new(self._reader_id(), select))

    def skip_to_head(self) -> None:
        """Let :meth:`get_new_signals` go on at the head, leaving out what has not been read (an addition)."""
        self._rig.signals.to_head(self._reader_id())

    def subscribe(
        self,
        signals: FlexSignalSpec | None = None,
        *,
        every_block: bool = False,
        start_counter: int | None = None,
        block_sec: float = 0.05,
    ) -> Subscription:
        """Return an iterator over blocks as they come, until the stream ends (an addition to the documented API).

        Parameters
        ----------
        every_block
            True leaves nothing out as long as the reader is not further behind than the cache is long; False gives the
            newest block, and skips what the reader had no time for. Either way ``gaps`` says what is missing.
        start_counter
            Resume at this sample counter, after a broken connection say.
        block_sec
            Length of the blocks.

        Raises
        ------
        ConfigurationError
            Nothing streams.
        """
        select = self._select(signals)
        self._check_hardware()
        blocks = self._rig.signals.subscribe(
            select,
            every_block=flag("every_block", every_block),
            start_counter=None if start_counter is None else whole("start_counter", start_counter),
            block_sec=number("block_sec", block_sec),
        )
        return Subscription(blocks, lambda: self._engine)

    def get_events(
        self,
        time_range: FlexTimeRange | None = None,
        *,
        sources: Sequence[str] | None = None,
        lines: Sequence[int] | None = None,
    ) -> EventTable:
        """Return the digital edges in the cache (None = all of it) in time order (an addition)."""
        spec = TimeRangeSpec.full() if time_range is None else coerce_time_range(time_range)
        return self._rig.signals.events(spec).filter(source=sources, line=lines)

    def get_channel_quality(
        self, time_range: FlexTimeRange | None = None, channels: Sequence[int] | None = None
    ) -> ChannelQualityTable:
        """Return noise, RMS (uV) and verdict of amplifier channels, from what the cache holds (an addition).

        ``channels`` are native indices, None the selected ones. One core of the rig computes it: ask for some seconds.
        """
        self._check_hardware()
        return self._rig.quality.get(None if time_range is None else coerce_time_range(time_range), channels)

    def select_good_channels(
        self,
        time_range: FlexTimeRange | None = None,
        *,
        keep: Sequence[ChannelVerdict | str] = (ChannelVerdict.GOOD,),
    ) -> ChannelMetadata:
        """Judge all amplifier channels and select those with a verdict of ``keep`` (an addition)."""
        wanted = verdicts_of(keep)
        every = [int(i) for i in SignalSpec.all_amp().to_sig_select(self._channels()).amp]
        table = self.get_channel_quality(time_range, every)
        return self._rig.signals.set_selected({SignalType.AMP: kept_channels(table, wanted)})

    def get_ground_truth(self, time_range: FlexTimeRange | None = None) -> EventTable:
        """Return the true spikes of a simulated source since streaming began (an addition).

        ``line`` is the unit, ``timestamp`` the sample counter of the trough. CapabilityError for sources that do not
        know them.
        """
        spec = TimeRangeSpec.full() if time_range is None else coerce_time_range(time_range)
        return self._rig.control.ground_truth(spec)

    # --- selection and groups ------------------------------------------------------------------------------------

    def get_selected_channels(self) -> dict[SignalType, list[int]]:
        """Return the selected channels, native indices per type (an addition to the documented API)."""
        return {kind: list(found.ntv) for kind, found in self._channels().selected_sig_map.items()}

    def set_selected_channels(self, signals: FlexSignalSpec) -> ChannelMetadata:
        """Select exactly these channels of the types named; other types keep their selection."""
        return self._rig.signals.set_selected(by_type(signals, self._channels()))

    def select_channels(self, signals: FlexSignalSpec) -> ChannelMetadata:
        """Add channels to the selection."""
        channels = self._channels()
        more = {
            kind: sorted({*channels.selected_index(kind).ntv, *ntv}) for kind, ntv in by_type(signals, channels).items()
        }
        return self._rig.signals.set_selected(more)

    def deselect_channels(self, signals: FlexSignalSpec) -> ChannelMetadata:
        """Take channels out of the selection."""
        channels = self._channels()
        less = {
            kind: [i for i in channels.selected_index(kind).ntv if i not in set(ntv)]
            for kind, ntv in by_type(signals, channels).items()
        }
        return self._rig.signals.set_selected(less)

    def set_channel_groups(self, groups: Sequence[FlexSignalSpec]) -> ChannelMetadata:
        """Give each group of (selected) channels its color group, in order; all other channels lose theirs."""
        channels = self._channels()
        return self._rig.signals.set_groups([by_type(group, channels) for group in groups])

    # --- filters -------------------------------------------------------------------------------------------------

    def get_dsp_group(self, stream_group_id: str = LIVE) -> DSPGroup:
        """Return the filters of the live stream, per stage."""
        live(stream_group_id)
        return self._rig.dsp.get()

    def set_dsp_group(
        self, *, stage: FlexFilterStage, params: Sequence[FlexDSPParams], stream_group_id: str = LIVE
    ) -> None:
        """Replace the filters of one stage; the others stay.

        Hardware and stage 1 change what is cached and recorded, and are refused while recording; stage 2 is what
        ``get_signals(apply_dsp=True)`` shows. ``params`` are DSPParams or dicts.
        """
        live(stream_group_id)
        chosen = coerce_filter_stage(stage)
        self._rig.dsp.set(chosen, [coerce_dsp_params(item, chosen) for item in params])

    # --- inside --------------------------------------------------------------------------------------------------

    def _select(self, signals: FlexSignalSpec | None) -> SigSelect:
        spec = SignalSpec.all_amp() if signals is None else coerce_signal_spec(signals)
        return spec.to_sig_select(self._channels())

    def _channels(self) -> ChannelMetadata:
        """Return the channels; they cross from the engine only where they changed (they are large)."""
        revision = self._rig.signals.channels_revision()
        known = self._known
        if known is None or known[0] != revision:
            known = self._known = (revision, self.get_channel_metadata())
        return known[1]

    def _read(self, spec: TimeRangeSpec, select: SigSelect, *, apply_dsp: bool, lend: bool) -> SignalBlock:
        """Read counts where they are held: a quarter of the bytes that cross to this process; or have them lent."""
        lend = lend and self._can_borrow
        if not apply_dsp:
            try:
                return self._rig.signals.read(spec, select, counts=True, lend=lend)
            except ConfigurationError:
                pass  # filtered on the way into the cache: there are no counts
        return self._rig.signals.read(spec, select, apply_dsp=apply_dsp, lend=lend)

    def _from_lent(self, block: SignalBlock, lent: Lent, out: Out | None) -> SignalArrays | None:
        """Widen straight from the engine's ring; None where it cannot be mapped, or was overwritten meanwhile."""
        token, memory = self._ring
        if token != lent.token:
            memory = shared_memory(self._rig, lent.token)
            self._can_borrow = memory is not None
            self._ring = (lent.token, memory)
        if memory is None:
            return None
        found = widened(block, out, memory)
        kept = self._rig.signals.kept(lent.epoch)
        if kept is None or kept > block.time_range.timestamp[0]:
            return None
        return SignalArrays(**found, time_range=block.time_range)

    def _leave(self, engine: Rig) -> None:
        self._ring = ("", None)  # memory lives as long as somebody maps it
        super()._leave(engine)

    def _reader_id(self) -> str:
        if not self._reader:
            self._reader = secrets.token_hex(8)
        return self._reader
