"""YAML whose mappings know the lines of their keys, and all that is wrong with a text, by line."""

from __future__ import annotations

from typing import Any

import yaml

from ranvier.exceptions import ConfigurationError


class Marked(dict[str, Any]):
    """A mapping that knows the lines of its keys."""

    lines: dict[str, int]
    line: int


class _Loader(yaml.SafeLoader):
    """Safe YAML whose mappings know their lines, and where no key stands twice."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> Marked:
    made = Marked()
    made.lines, made.line = {}, node.start_mark.line + 1
    for key_node, value_node in node.value:
        key = str(loader.construct_object(key_node, deep=True))
        line = key_node.start_mark.line + 1
        if key in made:
            raise _Wrong(line, f"{key!r} stands twice (first in line {made.lines[key]})")
        made[key] = loader.construct_object(value_node, deep=True)
        made.lines[key] = line
    return made


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


class _Wrong(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line, self.message = line, message


class Mistakes:
    """All that is wrong with a text, by line."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.found: list[tuple[int, str]] = []

    def add(self, line: int, message: str) -> None:
        self.found.append((line, message))

    def raise_any(self) -> None:
        if self.found:
            lines = [f"{self.name}, line {line}: {message}" for line, message in sorted(self.found)]
            raise ConfigurationError("\n".join(lines))


def load_marked(text: str, name: str, mistakes: Mistakes) -> Any:
    """Return what a text says; ConfigurationError with its line where it is no YAML, or a key stands twice."""
    try:
        return yaml.load(text, _Loader)
    except _Wrong as wrong:
        mistakes.add(wrong.line, wrong.message)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        mistakes.add(mark.line + 1 if mark is not None else 1, f"no YAML: {error.problem}")
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigurationError(f"{name} is no YAML: {error}") from error
    mistakes.raise_any()
    return None
