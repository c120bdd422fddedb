"""From what provenance says about a stage back to the operation that made it.

Every :class:`~ranvier.dsp.operations.Operation` with a ``kind`` takes part by existing: its description must hold
enough to make an equal one. A description that does not is refused, never guessed at.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from ranvier.dsp.operations import Operation
from ranvier.exceptions import CapabilityError, ConfigurationError


def operation_kinds() -> dict[str, type[Operation]]:
    """Return every operation of this version, by the ``kind`` that provenance names it with."""
    return {cls.kind: cls for cls in _concrete(Operation)}  # type: ignore[type-abstract]  # its children are meant


def rebuild(description: Mapping[str, Any]) -> Operation:
    """Return the operation of a stage's description (``{"kind": ..., "parameters": {...}}``).

    Raises
    ------
    CapabilityError
        This version has no operation of that kind.
    ConfigurationError
        The parameters make no operation, or one that describes itself otherwise (written by another version).
    """
    kind, parameters = str(description.get("kind")), dict(description.get("parameters", {}))
    known = operation_kinds()
    if kind not in known:
        raise CapabilityError(f"stage {kind!r} cannot be repeated by this version; it knows {', '.join(sorted(known))}")
    names = {f.name for f in fields(known[kind])}  # type: ignore[arg-type]  # operations are dataclasses
    if "retained" in parameters and "channels" in names:  # a selection is recorded with what was there before it
        selection: Any = known[kind]
        return selection(channels=tuple(parameters["retained"]))  # type: ignore[no-any-return]
    try:
        made = known[kind](**{name: _frozen(value) for name, value in parameters.items() if name in names})
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"stage {kind!r} with {parameters} cannot be repeated: {error}") from error
    again = json.loads(json.dumps(made.parameters()))
    given = json.loads(json.dumps(parameters))
    # a parameter that came later and is not used (None) is no difference
    differ = sorted(name for name in {*again, *given} if again.get(name) != given.get(name))
    if differ:
        raise ConfigurationError(
            f"stage {kind!r} was written with other parameters than this version has ({', '.join(differ)}); "
            f"repeat it with the version that wrote it"
        )
    return made


def _concrete(cls: type[Operation]) -> Iterator[type[Operation]]:
    for sub in cls.__subclasses__():
        # a dataclass with slots is made twice; the module holds the one that counts
        if "kind" in vars(sub) and getattr(sys.modules[sub.__module__], sub.__name__, None) is sub:
            yield sub
        yield from _concrete(sub)


def _frozen(value: Any) -> Any:
    """Return JSON data with lists as tuples, as frozen dataclasses hold them."""
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value
