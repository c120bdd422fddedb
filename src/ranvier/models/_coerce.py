"""How friendly input becomes enum members and indices; the rules themselves stand beside each enum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, IntEnum
from operator import index
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BeforeValidator, ValidationError

from ranvier.exceptions import ConfigurationError

E = TypeVar("E", bound=IntEnum)


@dataclass(frozen=True, slots=True)
class EnumInput(Generic[E]):
    """A function from what a user may write to a member of one enum.

    Members and names (any case, surrounding blanks dropped) are taken; numbers only where ``ints``. Anything else is
    a ConfigurationError that lists what is accepted.

    Attributes
    ----------
    what
        What the value is called in messages, e.g. ``"a port"``.
    names
        Accepted names in upper case; None = the names of the members.
    """

    enum: type[E]
    what: str
    ints: bool = False
    names: Mapping[str, E] | None = None

    def __call__(self, value: object) -> E:
        """Return the member that ``value`` means."""
        if isinstance(value, self.enum):
            return value
        if isinstance(value, str):
            found = self._names.get(value.strip().upper())
        else:
            found = self._by_number(value) if self.ints else None
        if found is None:
            raise ConfigurationError(f"{value!r} is not {self.what}; accepted: {self.accepted}")
        return found

    @property
    def field(self) -> BeforeValidator:
        """What makes a model's field take the same, and numbers, as JSON has them; pydantic wraps the error."""
        return BeforeValidator(replace(self, ints=True))

    @property
    def accepted(self) -> str:
        """What is accepted, for messages."""
        names = ", ".join(name.lower() for name in self._names)
        numbers = sorted(int(member) for member in self.enum)
        whole = len(numbers) == numbers[-1] - numbers[0] + 1
        which = f"of {numbers[0]}-{numbers[-1]}" if whole else ", ".join(map(str, numbers))
        ints = f", or a number {which}" if self.ints else ""
        return f"{self.enum.__name__} members, or {names} (any case){ints}"

    @property
    def _names(self) -> Mapping[str, E]:
        return self.enum.__members__ if self.names is None else self.names

    def _by_number(self, value: object) -> E | None:
        if isinstance(value, Enum):  # a member of some other enum is a mistake, not a number
            return None
        try:
            return self.enum(index(value))  # type: ignore[arg-type]
        except (TypeError, ValueError):
            return None


def faults_of(error: ValidationError) -> str:
    """Return what is wrong with each field of a model, in one line."""
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']} (got {e['input']!r})" for e in error.errors())


def output_path(value: str | Path) -> Path:
    """Return the path of an output, absolute.

    ConfigurationError where it names nothing: empty, a dot or two, a folder (with a separator at the end), with a
    character that no name can have. Written to an empty path an output would land beside the working folder, under its
    name.
    """
    if not isinstance(value, (str, Path)):
        raise ConfigurationError(f"{value!r:.80} is no path of an output; give folder and name, as dir/base")
    text = str(value)
    try:
        target = Path(text).expanduser()
    except RuntimeError as error:  # ~nobody
        raise ConfigurationError(f"{text!r} is no path: {error}") from error
    if not text or text.endswith(("/", "\\")) or target.name in ("", "..") or "\0" in text:
        raise ConfigurationError(f"{text!r} names no output; give folder and name, as dir/base or dir/base.nwb")
    return target.absolute()


def unit_numbers(value: Any) -> list[int]:
    """Return numbers of units as a list; ConfigurationError for anything but whole numbers in a list or array."""
    try:
        return [index(one) for one in value]
    except TypeError:
        raise ConfigurationError(
            f"{str(value)[:80]!r}: units are whole numbers, in a list, tuple or array, as get_units tells them"
        ) from None
