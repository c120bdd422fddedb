"""Which channels of a rig are selected, and their color groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ranvier.exceptions import SignalSelectionError
from ranvier.models.channels import COLOR_GROUP_UNSET
from ranvier.models.signals import SignalType
from ranvier.recordings.channels import ChannelTable


class Selection:
    """Selected channels and color groups by native index; it lasts until the source or its ports change.

    Attributes
    ----------
    selected
        By signal type, for the types that were selected at all; all channels of the others are.
    groups
        Channels by type, per color group.
    """

    def __init__(self) -> None:
        self.selected: dict[SignalType, tuple[int, ...]] = {}
        self.groups: tuple[dict[SignalType, tuple[int, ...]], ...] = ()

    def clear(self) -> None:
        """Select everything and drop the groups."""
        self.selected = {}
        self.groups = ()

    def select(self, channels: Mapping[SignalType, Sequence[int]], table: ChannelTable) -> None:
        """Select channels of the types named; a group keeps only channels that stay selected."""
        _check(channels, table)
        self.selected = {**self.selected, **{kind: tuple(int(i) for i in ntv) for kind, ntv in channels.items()}}
        self.groups = tuple(
            {kind: tuple(i for i in ntv if self._is_selected(kind, i)) for kind, ntv in group.items()}
            for group in self.groups
        )

    def group(self, groups: Sequence[Mapping[SignalType, Sequence[int]]], table: ChannelTable) -> None:
        """Replace all groups; a channel belongs to one at most, and must be selected."""
        seen: set[tuple[SignalType, int]] = set()
        for group in groups:
            _check(group, table)
            for kind, ntv in group.items():
                for i in ntv:
                    if not self._is_selected(kind, int(i)):
                        raise SignalSelectionError(f"{kind.name} channel {i} is not selected; select it, then group it")
                    if (kind, int(i)) in seen:
                        raise SignalSelectionError(f"{kind.name} channel {i} stands in two groups; leave it in one")
                    seen.add((kind, int(i)))
        self.groups = tuple({kind: tuple(int(i) for i in ntv) for kind, ntv in group.items()} for group in groups)

    def apply(self, table: ChannelTable) -> ChannelTable:
        """Return a channel table that says what is selected and grouped."""
        color = {
            (kind, i): number for number, group in enumerate(self.groups) for kind, ntv in group.items() for i in ntv
        }
        return table.with_channels(
            replace(
                c,
                selected=self._is_selected(c.type, c.ntv),
                color_group=color.get((c.type, c.ntv), COLOR_GROUP_UNSET),
            )
            for c in table
        )

    def _is_selected(self, kind: SignalType, ntv: int) -> bool:
        return kind not in self.selected or ntv in self.selected[kind]


def _check(channels: Mapping[SignalType, Sequence[int]], table: ChannelTable) -> None:
    for kind, ntv in channels.items():
        known = {c.ntv for c in table if c.type == kind}
        unknown = sorted({int(i) for i in ntv} - known)
        if unknown:
            have = f"{len(known)} from {min(known)} to {max(known)}" if known else "none of that type"
            raise SignalSelectionError(f"no {kind.name} channel with native index {unknown[:8]}; the rig has {have}")
