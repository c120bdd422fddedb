"""The filters of a rig, stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from ranvier.dsp import Chain
from ranvier.exceptions import RadiensError
from ranvier.models.dsp import DSPGroup, DSPParams, FilterStage
from ranvier.recordings.channels import ChannelTable
from ranvier.rig.live_dsp import LiveChain, check_params, live_chain
from ranvier.rig.source import Source
from ranvier.rig.state import Action, StateMachine

#: Stages that change what is cached and recorded.
ACQUISITION = (FilterStage.STAGE_HARDWARE, FilterStage.STAGE1)


class DspStages:
    """Service ``RigDsp``: hardware and stage 1 run in the pump, stage 2 when someone reads with ``apply_dsp``.

    A change of hardware or stage 1 while samples stream empties the live cache: it never holds samples that were
    filtered differently.
    """

    def __init__(self, machine: StateMachine, source: Callable[[], Source]) -> None:
        self._machine = machine
        self._source = source
        self._params: dict[FilterStage, list[DSPParams]] = {stage: [] for stage in FilterStage}
        self._live: LiveChain | None = None
        self._view: Chain | None = None
        self._sorter: Chain | None = None

    def get(self) -> DSPGroup:
        """Return the filters of every stage."""
        params = self._params
        return DSPGroup(
            hardware=list(params[FilterStage.STAGE_HARDWARE]),
            software_stage1=list(params[FilterStage.STAGE1]),
            software_stage2=list(params[FilterStage.STAGE2]),
            spike_sorter=list(params[FilterStage.SPIKE_SORTER]),
        )

    def set(self, stage: FilterStage, params: Sequence[DSPParams]) -> None:
        """Replace one stage; nothing changes where a filter cannot exist at this rate and on these channels.

        Raises
        ------
        ConfigurationError
            Hardware or stage 1 while something records; a filter of another stage, or without a needed parameter.
        CapabilityError
            Zero phase.
        FilterDesignError
            A filter that cannot exist at this rate.
        """
        acts = stage in ACQUISITION
        with self._machine.during(Action.SET_ACQUISITION_DSP if acts else Action.SET_VIEW_DSP):
            check_params(stage, params)
            source = self._source()
            live_chain(params, source.fs, source.channels)
            self._params[stage] = list(params)
            if acts:
                self._live = self._bound_live(source.fs, source.channels)
            else:
                self._bind_views(source.fs, source.channels)

    def rebind(self) -> list[str]:
        """Bind every stage to the source as it is now; filters that do not fit it are dropped, and named."""
        source = self._source()
        dropped: list[str] = []
        for stage, params in self._params.items():
            kept: list[DSPParams] = []
            for item in params:
                try:
                    live_chain([item], source.fs, source.channels)
                except RadiensError as error:
                    dropped.append(f"{stage.name} {item.type.name} was dropped: {error}")
                else:
                    kept.append(item)
            self._params[stage] = kept
        self._live = self._bound_live(source.fs, source.channels)
        self._bind_views(source.fs, source.channels)
        return dropped

    def fresh(self) -> None:
        """Let the chain of the pump begin in its zero state."""
        source = self._source()
        self._live = self._bound_live(source.fs, source.channels)

    @property
    def live(self) -> LiveChain | None:
        """What the pump runs: another object after every change."""
        return self._live

    @property
    def view(self) -> Chain | None:
        """What reads with ``apply_dsp`` run."""
        return self._view

    @property
    def sorter(self) -> Chain | None:
        """What the sorter runs, stage 2 and its own: another object after every change; None where neither is set."""
        return self._sorter

    @property
    def sorter_params(self) -> list[DSPParams]:
        """The filters of :attr:`sorter`."""
        return [*self._params[FilterStage.STAGE2], *self._params[FilterStage.SPIKE_SORTER]]

    def describe(self) -> list[dict[str, Any]]:
        """Return the stages that recorded samples went through, for provenance."""
        return [] if self._live is None else self._live.chain.describe_stages()

    def _bound_live(self, fs: Fraction, channels: ChannelTable) -> LiveChain | None:
        chain = live_chain([p for stage in ACQUISITION for p in self._params[stage]], fs, channels)
        return None if chain is None else LiveChain(chain)

    def _bind_views(self, fs: Fraction, channels: ChannelTable) -> None:
        self._view = live_chain(self._params[FilterStage.STAGE2], fs, channels)
        self._sorter = live_chain(self.sorter_params, fs, channels)
