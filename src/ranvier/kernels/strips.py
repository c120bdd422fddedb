"""Sixteen neighbouring float32 values as one number, for sums of products that stay in a register.

As :mod:`ranvier.kernels.lanes`, for single precision: a sum that lies in memory is written and read again for every
product, which takes longer than the product. Products are rounded before they are added (no fused multiply-add), so the
bits are those of sixteen scalar sums; only ``plus_fused`` leaves that to the CPU. Only inside Numba functions.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

from ranvier.kernels.lanes import STRIP, _folded_halves, _is_matrix, _place_of, _spread

_FLOATS = ir.VectorType(ir.FloatType(), STRIP)
_ALIGN = 4


class Strip(types.Type):
    """Numba's type of STRIP float32 values."""

    def __init__(self) -> None:
        super().__init__(name=f"Strip({STRIP})")


FLOATS = Strip()


@register_model(Strip)
class _StripModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _FLOATS)


def _is_floats(kind: Any) -> bool:
    return _is_matrix(kind) and kind.dtype == types.float32


def _held(context: Any, builder: Any, kind: Any, where: Any) -> Any:
    return builder.load(_place_of(context, builder, kind, where, _FLOATS), align=_ALIGN)


@intrinsic  # type: ignore[untyped-decorator]
def nothing(typing: Any) -> Any:
    """Sixteen zeros."""
    return FLOATS(), lambda context, builder, signature, values: ir.Constant(_FLOATS, [0.0] * STRIP)


@intrinsic  # type: ignore[untyped-decorator]
def plus_scaled(typing: Any, total: Any, array: Any, row: Any, column: Any, weight: Any) -> Any:
    """``total + weight * array[row, column : column + STRIP]``; ``weight`` is float32."""
    if total != FLOATS or not _is_floats(array):
        return None

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        total, *where, weight = values
        product = builder.fmul(_held(context, builder, signature.args[1], where), _spread(builder, weight, STRIP))
        return builder.fadd(total, product)

    return FLOATS(FLOATS, array, types.intp, types.intp, types.float32), generate


@intrinsic  # type: ignore[untyped-decorator]
def plus_product(
    typing: Any, total: Any, one: Any, row: Any, column: Any, two: Any, other_row: Any, other_column: Any
) -> Any:
    """``total + one[row, column : column + STRIP] * two[other_row, other_column : other_column + STRIP]``."""
    if total != FLOATS or not _is_floats(one) or not _is_floats(two):
        return None

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        total, a, b = values[0], values[1:4], values[4:]
        kinds = signature.args
        product = builder.fmul(_held(context, builder, kinds[1], a), _held(context, builder, kinds[4], b))
        return builder.fadd(total, product)

    return FLOATS(FLOATS, one, types.intp, types.intp, two, types.intp, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def store_finite(typing: Any, array: Any, row: Any, column: Any, values: Any) -> Any:
    """``array[row, column : column + STRIP] = values``, with 0 for what is not finite."""
    if values != FLOATS or not _is_floats(array):
        return None

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        *where, values = given
        zero = ir.Constant(_FLOATS, [0.0] * STRIP)
        same = builder.fcmp_ordered("==", builder.fsub(values, values), zero)
        place = _place_of(context, builder, signature.args[0], where, _FLOATS)
        builder.store(builder.select(same, values, zero), place, align=_ALIGN)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, FLOATS), generate


@intrinsic  # type: ignore[untyped-decorator]
def summed(typing: Any, values: Any) -> Any:
    """The sum of the values, added up by halves in float32."""
    if values != FLOATS:
        return None
    return types.float32(FLOATS), lambda context, builder, signature, given: _folded_halves(
        builder, given[0], STRIP, lambda b, one, two: b.fadd(one, two)
    )


@intrinsic  # type: ignore[untyped-decorator]
def below(typing: Any, array: Any, row: Any, column: Any, limit: Any) -> Any:
    """Say which of ``array[row, column : column + STRIP]`` are less than a float32: bit i for value i."""
    if not _is_floats(array):
        return None

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        *where, limit = values
        held = _held(context, builder, signature.args[0], where)
        found = builder.fcmp_ordered("<", held, _spread(builder, limit, STRIP))
        return builder.zext(builder.bitcast(found, ir.IntType(STRIP)), ir.IntType(64))

    return types.uint64(array, types.intp, types.intp, types.float32), generate


@intrinsic  # type: ignore[untyped-decorator]
def load(typing: Any, array: Any, row: Any, column: Any) -> Any:
    """``array[row, column : column + STRIP]``."""
    if not _is_floats(array):
        return None
    return FLOATS(array, types.intp, types.intp), lambda context, builder, signature, values: _held(
        context, builder, signature.args[0], values
    )


@intrinsic  # type: ignore[untyped-decorator]
def store(typing: Any, array: Any, row: Any, column: Any, values: Any) -> Any:
    """``array[row, column : column + STRIP] = values``."""
    if values != FLOATS or not _is_floats(array):
        return None

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        builder.store(given[3], _place_of(context, builder, signature.args[0], given[:3], _FLOATS), align=_ALIGN)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, FLOATS), generate


@intrinsic  # type: ignore[untyped-decorator]
def plus_fused(typing: Any, total: Any, weight: Any, values: Any) -> Any:
    """``total + weight * values`` for one float32 weight: rounded once where the CPU can, as products of BLAS are."""
    if total != FLOATS or values != FLOATS or weight != types.float32:
        return None

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        kind = ir.FunctionType(_FLOATS, [_FLOATS] * 3)
        fused = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{STRIP}f32")
        return builder.call(fused, [_spread(builder, given[1], STRIP), given[2], given[0]])

    return FLOATS(FLOATS, types.float32, FLOATS), generate


@intrinsic  # type: ignore[untyped-decorator]
def greater(typing: Any, one: Any, two: Any) -> Any:
    """The greater of two in each place; the second where the first is NaN."""
    if one != FLOATS or two != FLOATS:
        return None

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", *given), *given)

    return FLOATS(FLOATS, FLOATS), generate
