"""What the commands of a group are about: a dataset that its options name, or the live stream; and their ``set``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ranvier.classic.allego_client import AllegoClient
from ranvier.classic.cli import _options as options
from ranvier.classic.lib.dataset_metadata import DatasetMetadata
from ranvier.classic.utils.constants import DEFAULT_HUB_ID
from ranvier.classic.videre_client import VidereClient
from ranvier.exceptions import ConfigurationError

Client = AllegoClient | VidereClient
Command = Callable[..., None]
_TARGET = "ranvier.target"


@dataclass(frozen=True)
class Target:
    """What the commands behind a group are about.

    Attributes
    ----------
    dataset
        Hub, row, id and path as given; None is the live stream.
    replace
        Whether spikes that were written before are replaced.
    """

    dataset: tuple[str, int | None, str | None, Path | None] | None = None
    replace: bool = False

    @property
    def ends_with_process(self) -> bool:
        """Whether work on it ends with this process: the hub is this process's own."""
        return self.dataset is not None and options.on_hub(self.dataset[0]) == DEFAULT_HUB_ID

    @contextmanager
    def open(self) -> Iterator[tuple[Client, DatasetMetadata | None]]:
        """Open the client, and close it afterwards; the dataset is None where it is the live stream."""
        if self.dataset is None:
            with AllegoClient() as allego:
                yield allego, None
            return
        hub, row, dataset_id, path = self.dataset
        with VidereClient(options.on_hub(hub)) as client:
            yield client, options.dataset(client, row, dataset_id, path)


def target_of(context: typer.Context) -> Target:
    """Return what a command is about."""
    found: Target = context.meta[_TARGET]
    return found


class OptionsAnywhere(TyperGroup):
    """A group whose own options, each with a value, may stand behind the command too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move the group's options to the front."""
        own = {name for param in self.params for name in param.opts if name != "--help"}
        front: list[str] = []
        rest: list[str] = []
        words = iter(args)
        for word in words:
            if word == "--":
                rest += [word, *words]
            elif word in own:
                front += [word, *islice(words, 1)]
            else:
                (front if word.partition("=")[0] in own else rest).append(word)
        return super().parse_args(ctx, [*front, *rest])


def _named(
    context: typer.Context,
    row: options.Row = None,
    dataset_id: options.Id = None,
    path: options.PathOption = None,
    hub: options.Hub = DEFAULT_HUB_ID,
) -> None:
    context.meta[_TARGET] = Target((hub, row, dataset_id, path))


def _named_and_replaced(
    context: typer.Context,
    row: options.Row = None,
    dataset_id: options.Id = None,
    path: options.PathOption = None,
    hub: options.Hub = DEFAULT_HUB_ID,
    replace: Annotated[str, typer.Option("--replace", help="yes: replace spikes that were written before.")] = "no",
) -> None:
    context.meta[_TARGET] = Target((hub, row, dataset_id, path), replace.lower() in ("yes", "on", "true"))


def _streamed(context: typer.Context) -> None:
    context.meta[_TARGET] = Target()


@dataclass(frozen=True)
class Setters:
    """What the commands of ``set`` call, each returning what it says."""

    level: Callable[[float | None, float | None, str, list[int] | None, bool], str]
    switch: Callable[[str | None, str | None, list[int] | None, bool], str]
    window: Callable[[float | None, float | None], str]
    shadow: Callable[[float | None], str]


@dataclass(frozen=True)
class Topic:
    """A group of commands that are the same on a dataset and on the live stream.

    Attributes
    ----------
    events
        What is detected: events, spikes.
    setters
        What ``set`` changes, of a client and a dataset.
    """

    name: str
    events: str
    commands: Sequence[Command]
    setters: Callable[[Client, DatasetMetadata | None], Setters]

    def named_target(self, help_text: str, *, replaces: bool = False) -> typer.Typer:
        """Return the group whose options, before or behind the command, name the dataset."""
        callback = _named_and_replaced if replaces else _named
        return self._filled(typer.Typer(name=self.name, help=help_text, cls=OptionsAnywhere, callback=callback))

    def stream_target(self, help_text: str) -> typer.Typer:
        """Return the group that is about the live stream."""
        return self._filled(typer.Typer(name=self.name, help=help_text, callback=_streamed))

    def _filled(self, group: typer.Typer) -> typer.Typer:
        group.info.no_args_is_help = True
        for command in self.commands:
            group.command()(command)
        group.add_typer(_setting(self))
        return group


def _setting(topic: Topic) -> typer.Typer:
    """Return ``set``."""
    group = typer.Typer(name="set", help=f"How {topic.events} are detected.", no_args_is_help=True)

    @contextmanager
    def opened(context: typer.Context) -> Iterator[Setters]:
        with target_of(context).open() as (client, dataset):
            yield topic.setters(client, dataset)

    @group.command()
    def threshold(
        context: typer.Context,
        negative: Annotated[float | None, typer.Option("-nl", help="Negative level.")] = None,
        positive: Annotated[float | None, typer.Option("-pl", help="Positive level.")] = None,
        scale: Annotated[str, typer.Option("-s", help="Unit of the levels: uV, or sd of the noise.")] = "uV",
        negative_on: Annotated[str | None, typer.Option("-na", help="Negative threshold: on or off.")] = None,
        positive_on: Annotated[str | None, typer.Option("-pa", help="Positive threshold: on or off.")] = None,
        channels: Annotated[
            list[int] | None, typer.Option("-i", help="Native index; repeatable. All by default.")
        ] = None,
        weak: Annotated[bool, typer.Option("-w", help="The artifact level instead.")] = False,
    ) -> None:
        """Set levels, and switch thresholds on and off."""
        if all(one is None for one in (negative, positive, negative_on, positive_on)):
            raise ConfigurationError("give a level (-nl, -pl) or a switch (-na, -pa)")
        with opened(context) as setters:
            if (negative, positive) != (None, None):
                typer.echo(setters.level(negative, positive, scale, channels, weak))
            if (negative_on, positive_on) != (None, None):
                typer.echo(setters.switch(negative_on, positive_on, channels, weak))

    @group.command()
    def window(
        context: typer.Context,
        before: Annotated[float | None, typer.Option("-pre", help="ms before the threshold.")] = None,
        after: Annotated[float | None, typer.Option("-pl", "-post", help="ms behind it.")] = None,
    ) -> None:
        """Set the window around the threshold."""
        with opened(context) as setters:
            typer.echo(setters.window(before, after))

    @group.command()
    def shadow(
        context: typer.Context, dead_time: Annotated[float | None, typer.Option("-s", help="ms.")] = None
    ) -> None:
        """Set the dead time behind the threshold."""
        with opened(context) as setters:
            typer.echo(setters.shadow(dead_time))

    return group
