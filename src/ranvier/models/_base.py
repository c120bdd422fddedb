"""What all models share: their configuration, and arrays as fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema


class Model(BaseModel):
    """A value of the API: frozen; unknown keywords are dropped, as the documented release does.

    Validators are built at the first use of a class, not at import. Infinities and NaN survive JSON (as strings).
    """

    model_config = ConfigDict(
        frozen=True, extra="ignore", arbitrary_types_allowed=True, defer_build=True, ser_json_inf_nan="strings"
    )


class OwnModel(Model):
    """A value that Ranvier adds to the API: frozen, and unknown keywords are an error."""

    model_config = ConfigDict(extra="forbid")


class ArrayModel(Model):
    """A model with NumPy fields: equality looks into the arrays (NaN equals NaN), ``repr`` shows their shapes."""

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(_same(value, other.__dict__[name]) for name, value in self.__dict__.items())

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            is_large = isinstance(value, np.ndarray) and value.size > 8
            yield name, _Shape(value) if is_large else value


class _Shape(str):
    """What stands for an array in a ``repr``."""

    __slots__ = ()

    def __new__(cls, array: npt.NDArray[Any]) -> _Shape:
        return super().__new__(cls, f"<{array.dtype} {array.shape}>")

    def __repr__(self) -> str:
        return str(self)


def _same(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return False
    return bool(a == b)


def _reader(dtype: type[np.generic]) -> Callable[[Any], Any]:
    """Return a function that makes arrays of one dtype; no copy where it fits already."""
    integer = np.issubdtype(dtype, np.integer)

    def read(value: Any) -> Any:
        if value is None:
            return None
        given = np.asarray(value)
        if integer and given.size:
            if given.dtype == np.bool_:
                raise ValueError("a mask of booleans is not a list of integers; pass np.flatnonzero(mask)")
            if given.dtype.kind == "f" and not np.array_equal(given, np.rint(given)):
                raise ValueError("expected integers, got fractions")
        return given.astype(dtype, copy=False)

    return read


_AS_LIST = PlainSerializer(lambda array: None if array is None else array.tolist(), when_used="json")
_SCHEMA = WithJsonSchema({"type": "array"})

#: Array fields; anything that NumPy turns into the dtype is taken, arrays of the dtype without a copy.
FloatArray = Annotated[npt.NDArray[np.float64], BeforeValidator(_reader(np.float64)), _AS_LIST, _SCHEMA]
Float32Array = Annotated[npt.NDArray[np.float32], BeforeValidator(_reader(np.float32)), _AS_LIST, _SCHEMA]
IntArray = Annotated[npt.NDArray[np.int64], BeforeValidator(_reader(np.int64)), _AS_LIST, _SCHEMA]
Int32Array = Annotated[npt.NDArray[np.int32], BeforeValidator(_reader(np.int32)), _AS_LIST, _SCHEMA]
Int8Array = Annotated[npt.NDArray[np.int8], BeforeValidator(_reader(np.int8)), _AS_LIST, _SCHEMA]
