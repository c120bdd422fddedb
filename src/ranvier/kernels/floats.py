"""Sixteen neighbouring float32 values as one variable: what :mod:`ranvier.kernels.lanes` is for float64.

For sums of products that stay in vector registers from the first term to the last. ``plus_product`` is one instruction
where the CPU has it (one rounding), two where it has not: the bits are those of the machine, as those of BLAS are, and
the same for any number of threads.

Only inside Numba functions; there is nothing here to call from Python.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

#: Values per variable: one 512-bit register, several where registers are narrower.
FLOATS = 16

_INDEX = ir.IntType(32)
_VECTOR = ir.VectorType(ir.FloatType(), FLOATS)


class Floats(types.Type):  # type: ignore[misc]
    """Numba's type of FLOATS float32 values."""

    def __init__(self) -> None:
        super().__init__(name=f"Floats({FLOATS})")


KIND = Floats()


@register_model(Floats)
class _FloatsModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


def _everywhere(builder: Any, value: Any) -> Any:
    none = ir.Constant(_VECTOR, ir.Undefined)
    one = builder.insert_element(none, value, ir.Constant(_INDEX, 0))
    return builder.shuffle_vector(one, none, ir.Constant(ir.VectorType(_INDEX, FLOATS), [0] * FLOATS))


def _place(context: Any, builder: Any, kind: Any, array: Any, row: Any, column: Any) -> Any:
    """Return where ``array[row, column : column + FLOATS]`` lies; no bounds are checked."""
    header = context.make_array(kind)(context, builder, array)
    strides = cgutils.unpack_tuple(builder, header.strides)
    skip = builder.add(builder.mul(row, strides[0]), builder.mul(column, ir.Constant(column.type, 4)))
    place = builder.gep(builder.bitcast(header.data, ir.IntType(8).as_pointer()), [skip])
    return builder.bitcast(place, _VECTOR.as_pointer())


def _is_table(kind: Any) -> bool:
    """Rows of float32 without gaps."""
    return isinstance(kind, types.Array) and kind.ndim == 2 and kind.dtype == types.float32 and kind.layout == "C"


@intrinsic  # type: ignore[untyped-decorator]
def load(typing: Any, array: Any, row: Any, column: Any) -> Any:
    """``array[row, column : column + FLOATS]`` of a float32 table."""
    if not _is_table(array):
        return None

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load(_place(context, builder, signature.args[0], *values), align=4)

    return KIND(array, types.intp, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def store(typing: Any, array: Any, row: Any, column: Any, floats: Any) -> Any:
    """``array[row, column : column + FLOATS] = floats``."""
    if not _is_table(array) or floats != KIND:
        return None

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.store(values[3], _place(context, builder, signature.args[0], *values[:3]), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, KIND), generate


@intrinsic  # type: ignore[untyped-decorator]
def zeros(typing: Any) -> Any:
    """FLOATS zeros."""
    return KIND(), lambda context, builder, signature, values: ir.Constant(_VECTOR, [0.0] * FLOATS)


@intrinsic  # type: ignore[untyped-decorator]
def plus_product(typing: Any, total: Any, weight: Any, floats: Any) -> Any:
    """``total + weight * floats`` for one float32 weight."""
    if total != KIND or floats != KIND or weight != types.float32:
        return None

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
        fused = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{FLOATS}f32")
        return builder.call(fused, [_everywhere(builder, values[1]), values[2], values[0]])

    return KIND(KIND, types.float32, KIND), generate


@intrinsic  # type: ignore[untyped-decorator]
def plus(typing: Any, one: Any, two: Any) -> Any:
    """Sum of two."""
    if one != KIND or two != KIND:
        return None
    return KIND(KIND, KIND), lambda context, builder, signature, values: builder.fadd(*values)


@intrinsic  # type: ignore[untyped-decorator]
def greater(typing: Any, one: Any, two: Any) -> Any:
    """The greater of two in each place; the second where the first is NaN."""
    if one != KIND or two != KIND:
        return None

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", *values), *values)

    return KIND(KIND, KIND), generate
