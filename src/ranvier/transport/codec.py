"""From a type to its codec. What cannot travel is refused here, when a Protocol is looked at, never in a call.

Supported: models, frozen dataclasses, named tuples, NumPy arrays, enums, Path, str, int, float, bool, None, bytes,
datetime, timedelta, Fraction, Literal; tuples, lists, sequences, sets, mappings, unions and Optional of these; inside
models also ``Any`` (JSON's own values).
"""

from __future__ import annotations

import collections.abc as abc
import dataclasses
import types
import typing
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from fractions import Fraction
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from pydantic import BaseModel, RootModel, ValidationError

from ranvier.exceptions import CapabilityError, ConfigurationError
from ranvier.transport import values
from ranvier.transport.frames import Array, Writer
from ranvier.transport.values import Codec

_SIMPLE: dict[Any, Codec] = {
    str: values.STR,
    bool: values.BOOL,
    int: values.INT,
    float: values.FLOAT,
    None: values.NONE,
    type(None): values.NONE,
    Path: values.Paths(),
    bytes: values.Bytes(),
    datetime: values.Moments(),
    timedelta: values.Durations(),
    Fraction: values.Fractions(),
}
_SEQUENCES: dict[Any, tuple[type, str]] = {
    list: (list, "list"),
    abc.Sequence: (list, "Sequence"),
    set: (set, "set"),
    frozenset: (frozenset, "frozenset"),
    abc.Set: (frozenset, "Set"),
}
_RECORDS: dict[type, Codec] = {}


def codec_for(kind: Any, *, in_model: bool = False) -> Codec:
    """Return the codec of a type.

    Raises
    ------
    CapabilityError
        A type that cannot travel; the message names it.
    """
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return codec_for(args[0], in_model=in_model)
    if isinstance(kind, NewType):
        return codec_for(kind.__supertype__, in_model=in_model)
    if kind is Any and in_model:
        return values.Json()
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if origin is Literal:
        return values.Literals(args)
    if origin in (Union, types.UnionType):
        return _union(args, in_model)
    if kind is np.ndarray or origin is np.ndarray:
        return values.Arrays(_scalars(args))
    return _container(kind, origin, args, in_model) or _record(kind)


def _union(args: tuple[Any, ...], in_model: bool) -> Codec:
    members = [codec_for(arg, in_model=in_model) for arg in args if arg is not type(None)]
    return values.Unions(members, optional=type(None) in args)


def _scalars(args: tuple[Any, ...]) -> tuple[type, ...]:
    """Return the kinds of numbers that an ``NDArray[...]`` takes."""
    dtypes = get_args(args[1]) if len(args) == 2 else ()
    wanted = dtypes[0] if dtypes else Any
    if wanted is Any or isinstance(wanted, TypeVar):
        return (np.generic,)
    members = get_args(wanted) if get_origin(wanted) in (Union, types.UnionType) else (wanted,)
    kinds = tuple(get_origin(member) or member for member in members)
    if not all(isinstance(one, type) and issubclass(one, np.generic) and one is not np.object_ for one in kinds):
        raise CapabilityError(f"an array of {wanted} cannot be sent: only arrays of numbers, text, times and records")
    return kinds


def _container(kind: Any, origin: Any, args: tuple[Any, ...], in_model: bool) -> Codec | None:
    if origin in _SEQUENCES and args:
        return values.Lists(codec_for(args[0], in_model=in_model), *_SEQUENCES[origin])
    if origin is tuple:
        if len(args) == 2 and args[1] is Ellipsis:
            return values.Lists(codec_for(args[0], in_model=in_model), tuple, "tuple")
        return values.Tuples([codec_for(arg, in_model=in_model) for arg in args])
    if origin in (dict, abc.Mapping) and args:
        return values.Mappings(*(codec_for(arg, in_model=in_model) for arg in args))
    return None


def _record(kind: Any) -> Codec:
    if not isinstance(kind, type):
        raise CapabilityError(f"{kind} cannot be sent between processes")
    if kind not in _RECORDS:
        if issubclass(kind, Enum):
            _RECORDS[kind] = values.Enums(kind)
        elif issubclass(kind, BaseModel):
            _build(kind, Models(kind))
        elif dataclasses.is_dataclass(kind):
            _build(kind, Dataclasses(kind))
        elif issubclass(kind, tuple) and hasattr(kind, "_fields"):
            hints = get_type_hints(kind, include_extras=True)
            _RECORDS[kind] = values.Tuples([codec_for(hints[name]) for name in kind._fields], kind)
        else:
            raise CapabilityError(f"{kind.__module__}.{kind.__qualname__} cannot be sent between processes")
    return _RECORDS[kind]


def _build(kind: type, codec: Models | Dataclasses) -> None:
    _RECORDS[kind] = codec  # before its fields: a type may contain itself
    try:
        codec.build()
    except CapabilityError as error:
        del _RECORDS[kind]
        raise CapabilityError(f"{kind.__name__}: {error}") from error


class _Fields(Codec):
    """What models and dataclasses share: named values, each with its type."""

    def __init__(self, kind: type) -> None:
        self.text, self.types, self._kind = kind.__name__, (kind,), kind
        self._fields: dict[str, Codec] = {}

    def build(self) -> None:
        """Find the codecs of the fields."""
        self._fields = {name: self._field(name, hint) for name, hint in self._hints().items()}

    def _hints(self) -> Mapping[str, Any]:
        raise NotImplementedError

    def _field(self, name: str, hint: Any) -> Codec:
        try:
            return codec_for(hint, in_model=issubclass(self._kind, BaseModel))
        except CapabilityError as error:
            raise CapabilityError(f"field {name}: {error}") from error

    @property
    def structure(self) -> str:
        """The fields and their types in words."""
        return f"{self.text}({', '.join(f'{name}: {codec.text}' for name, codec in self._fields.items())})"

    def parts(self) -> Sequence[Codec]:
        """Return the codecs of the fields."""
        return tuple(self._fields.values())

    def _encode_fields(self, value: object, out: Writer) -> dict[str, Any]:
        if type(value) is not self._kind:
            raise self.refuse(value)
        raw = {}
        for name, codec in self._fields.items():
            item = getattr(value, name)
            try:
                raw[name] = item if type(item) in codec.natives else codec.encode(item, out)
            except ConfigurationError as error:
                raise ConfigurationError(f"{self.text}.{name}: {error}") from error
        return raw

    def encode_table(self, rows: Collection[Any]) -> dict[str, Any] | None:
        """Return the fields of many as columns, where all of them are JSON's own values."""
        is_plain = self._fields and all(codec.natives for codec in self._fields.values())
        if not is_plain or set(map(type, rows)) != {self._kind}:
            return None
        columns = {name: list(map(attrgetter(name), rows)) for name in self._fields}
        is_native = all(set(map(type, columns[name])) <= codec.natives for name, codec in self._fields.items())
        return {"rows": len(rows), "columns": columns} if is_native else None

    def decode_table(self, table: dict[str, Any]) -> list[Any]:
        """Return the values; the same checks as one by one."""
        columns, count = table.get("columns"), table.get("rows")
        if not isinstance(columns, dict) or not columns or columns.keys() - self._fields.keys():
            raise self.refuse(table)
        for name, column in columns.items():
            if len(column) != count or not set(map(type, column)) <= self._fields[name].natives:
                raise self.refuse(column)
        names = tuple(columns)
        return [self._make(dict(zip(names, row, strict=True))) for row in zip(*columns.values(), strict=True)]

    def _make(self, fields: dict[str, Any]) -> Any:
        raise NotImplementedError

    def _decode_fields(self, raw: Any, arrays: Sequence[Array]) -> dict[str, Any]:
        if not isinstance(raw, dict):
            raise self.refuse(raw)
        fields = {}
        for name, codec in self._fields.items():
            if name in raw:
                item = raw[name]
                fields[name] = item if type(item) in codec.natives else codec.decode(item, arrays)
        return fields


class Dataclasses(_Fields):
    """Dataclasses, field by field."""

    def _hints(self) -> Mapping[str, Any]:
        hints = get_type_hints(self._kind, include_extras=True)
        return {one.name: hints[one.name] for one in dataclasses.fields(typing.cast("Any", self._kind)) if one.init}

    def encode(self, value: Any, out: Writer) -> Any:
        """Return a dict."""
        return self._encode_fields(value, out)

    def decode(self, raw: Any, arrays: Sequence[Array]) -> Any:
        """Return the object; its ``__post_init__`` checks it."""
        return self._make(self._decode_fields(raw, arrays))

    def _make(self, fields: dict[str, Any]) -> Any:
        try:
            return self._kind(**fields)
        except TypeError as error:
            raise ConfigurationError(f"{self.text}: {error}") from error


class Models(_Fields):
    """Models, field by field, arrays as buffers; the model validates what came. Which fields were set is kept."""

    def _hints(self) -> Mapping[str, Any]:
        model: type[BaseModel] = self._kind
        config = model.model_config
        if issubclass(model, RootModel) or config.get("extra") == "allow" or model.__private_attributes__:
            raise CapabilityError("models with a root, free extra fields or private attributes cannot be sent")
        by_name = config.get("populate_by_name") or config.get("validate_by_name")
        aliased = [name for name, one in model.model_fields.items() if one.validation_alias or one.alias]
        if aliased and not by_name:
            raise CapabilityError(f"{aliased} have aliases; set populate_by_name")
        if not getattr(model, "__pydantic_fields_complete__", False):
            model.model_rebuild()  # resolves what was named before it existed
        return {name: one.annotation for name, one in model.model_fields.items()}

    def encode(self, value: Any, out: Writer) -> Any:
        """Return a dict; the names of fields that were left at their defaults stand under ``"-"``."""
        raw = self._encode_fields(value, out)
        unset = raw.keys() - value.model_fields_set
        return {**raw, "-": sorted(unset)} if unset else raw

    def decode(self, raw: Any, arrays: Sequence[Array]) -> Any:
        """Return the validated model."""
        model = self._make(self._decode_fields(raw, arrays))
        model.model_fields_set.difference_update(raw.get("-", ()))
        return model

    def encode_table(self, rows: Collection[Any]) -> dict[str, Any] | None:
        """Return the fields of many as columns, where all set the same ones."""
        table = super().encode_table(rows)
        if table is None:
            return None
        given = {frozenset(row.model_fields_set) for row in rows}
        if len(given) > 1:
            return None
        return {**table, "-": sorted(self._fields.keys() - given.pop())}

    def decode_table(self, table: dict[str, Any]) -> list[Any]:
        """Return the validated models."""
        rows, unset = super().decode_table(table), table.get("-", ())
        for row in rows if unset else ():
            row.model_fields_set.difference_update(unset)
        return rows

    def _make(self, fields: dict[str, Any]) -> BaseModel:
        model: type[BaseModel] = self._kind
        try:
            return model.model_validate(fields)
        except ValidationError as error:
            raise ConfigurationError(f"{self.text}: {error}") from error
