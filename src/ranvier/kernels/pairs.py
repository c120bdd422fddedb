"""Sums of products of int16 pairs, in int32: twice the products of single precision in the same time, exactly.

As :mod:`ranvier.kernels.strips`, for whole numbers. One value is a pair of int16 that lie side by side in memory (read
as one int32); ``plus_pairs`` multiplies both with a pair of weights and adds the two products, which CPUs do in one
instruction (``vpdpwssd``, ``pmaddwd``). Sums are exact, so their order does not matter, as long as the last one fits
int32. A variable holds SUMS of them, four of the widest registers: one load of weights serves all. Only inside Numba
functions.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, models, register_model

from ranvier.kernels.lanes import STRIP, _place_of, _spread
from ranvier.kernels.strips import _is_floats

#: Pairs, or sums, in one variable.
SUMS = 4 * STRIP

_INT16, _INT32 = ir.IntType(16), ir.IntType(32)
_WHOLE, _FLOATS = ir.VectorType(_INT32, SUMS), ir.VectorType(ir.FloatType(), SUMS)
_HALVES, _PRODUCTS = ir.VectorType(_INT16, 2 * SUMS), ir.VectorType(_INT32, 2 * SUMS)
_ALIGN = 4


class Pairs(types.Type):
    """Numba's type of SUMS pairs, or of as many int32 sums."""

    def __init__(self) -> None:
        super().__init__(name=f"Pairs({SUMS})")


PAIRS = Pairs()


@register_model(Pairs)
class _PairsModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _WHOLE)


@intrinsic  # type: ignore[untyped-decorator]
def no_sums(typing: Any) -> Any:
    """Zeros."""
    return PAIRS(), lambda context, builder, signature, values: ir.Constant(_WHOLE, [0] * SUMS)


@intrinsic  # type: ignore[untyped-decorator]
def load_pairs(typing: Any, array: Any, row: Any, column: Any) -> Any:
    """``array[row, column : column + SUMS]`` of an int32 matrix, a pair each."""
    if not isinstance(array, types.Array) or array.ndim != 2 or array.dtype != types.int32:
        return None

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load(_place_of(context, builder, signature.args[0], values, _WHOLE), align=_ALIGN)

    return PAIRS(array, types.intp, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def plus_pairs(typing: Any, total: Any, weights: Any, pairs: Any) -> Any:
    """``total + weights[0] * pairs[0] + weights[1] * pairs[1]``; the weights are a pair in one int32."""
    if total != PAIRS or weights != types.int32 or pairs != PAIRS:
        return None

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        total, weights, pairs = values
        one, two = (
            builder.sext(builder.bitcast(v, _HALVES), _PRODUCTS) for v in (pairs, _spread(builder, weights, SUMS))
        )
        products, none = builder.mul(one, two), ir.Constant(_PRODUCTS, ir.Undefined)
        first, second = (
            builder.shuffle_vector(products, none, ir.Constant(_WHOLE, list(range(k, 2 * SUMS, 2)))) for k in (0, 1)
        )
        return builder.add(total, builder.add(first, second))

    return PAIRS(PAIRS, types.int32, PAIRS), generate


def _spaced(every: int) -> Any:
    """Return an operation that lays out :data:`STRIP` pairs of neighbours, one at every so many values (4 at most)."""
    seen = ir.VectorType(_INT16, 4 * STRIP)
    picked = [every * (k // 2) + k % 2 for k in range(2 * STRIP)]

    def typed(typing: Any, out: Any, row: Any, column: Any, array: Any, at: Any, begin: Any) -> Any:
        if not isinstance(out, types.Array) or out.ndim != 2 or out.dtype != types.int32:
            return None
        if not isinstance(array, types.Array) or array.ndim != 2 or array.dtype != types.int16:
            return None

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            place = _place_of(context, builder, signature.args[3], values[3:], seen)
            chosen = ir.Constant(ir.VectorType(_INT32, 2 * STRIP), picked)
            made = builder.shuffle_vector(builder.load(place, align=2), ir.Constant(seen, ir.Undefined), chosen)
            made = builder.bitcast(made, ir.VectorType(_INT32, STRIP))
            builder.store(made, _place_of(context, builder, signature.args[0], values[:3], made.type), align=_ALIGN)
            return context.get_dummy_value()

        return types.void(out, types.intp, types.intp, array, types.intp, types.intp), generate

    return intrinsic(typed)


#: ``out[row, column + k] = array[at, begin + every * k]`` and the value behind it, for ``STRIP`` pairs of a matrix of
#: int16; ``4 * STRIP`` values from ``begin`` on are read.
lay_one_in_three, lay_one_in_four = _spaced(3), _spaced(4)


@intrinsic  # type: ignore[untyped-decorator]
def store_scaled(typing: Any, array: Any, row: Any, column: Any, sums: Any, scale: Any) -> Any:
    """``array[row, column : column + SUMS] = scale * sums``, in float32; the sums are rounded first."""
    if sums != PAIRS or not _is_floats(array):
        return None

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        *where, sums, scale = values
        made = builder.fmul(builder.sitofp(sums, _FLOATS), _spread(builder, scale, SUMS))
        builder.store(made, _place_of(context, builder, signature.args[0], where, _FLOATS), align=_ALIGN)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, PAIRS, types.float32), generate


def _rounded(builder: Any, sums: Any, shift: Any) -> Any:
    """Return sums divided by ``2 ** shift``, halves rounded up, within -32767 to 32767."""
    half = builder.shl(ir.Constant(_INT32, 1), builder.sub(shift, ir.Constant(_INT32, 1)))
    made = builder.ashr(builder.add(sums, _spread(builder, half, SUMS)), _spread(builder, shift, SUMS))
    most, least = (ir.Constant(_WHOLE, [end] * SUMS) for end in (32767, -32767))
    made = builder.select(builder.icmp_signed("<", made, most), made, most)
    return builder.select(builder.icmp_signed(">", made, least), made, least)


def _joined(builder: Any, low: Any, high: Any) -> Any:
    """Return two int16 values in each int32."""
    low = builder.and_(low, ir.Constant(_WHOLE, [0xFFFF] * SUMS))
    return builder.or_(low, builder.shl(high, ir.Constant(_WHOLE, [16] * SUMS)))


@intrinsic  # type: ignore[untyped-decorator]
def store_pairs(typing: Any, array: Any, row: Any, column: Any, one: Any, two: Any, shift: Any) -> Any:
    """``array[row, column : column + SUMS]``: pairs of sums, each divided by ``2 ** shift``, rounded, and an int16.

    Halves are rounded up; what does not fit becomes the number nearest to it, -32767 at the least. ``shift`` is 1 to
    31, and sums are at most ``2 ** 31 - 2 ** (shift - 1)``.
    """
    if not isinstance(array, types.Array) or array.ndim != 2 or array.dtype != types.int32 or shift != types.int32:
        return None
    if one != PAIRS or two != PAIRS:
        return None

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        *where, one, two, shift = values
        made = _joined(builder, _rounded(builder, one, shift), _rounded(builder, two, shift))
        builder.store(made, _place_of(context, builder, signature.args[0], where, _WHOLE), align=_ALIGN)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, PAIRS, PAIRS, types.int32), generate


@intrinsic  # type: ignore[untyped-decorator]
def store_second(typing: Any, array: Any, row: Any, column: Any, two: Any, shift: Any) -> Any:
    """As :func:`store_pairs`, the second of each pair only; the first stays."""
    if not isinstance(array, types.Array) or array.ndim != 2 or array.dtype != types.int32 or shift != types.int32:
        return None
    if two != PAIRS:
        return None

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        *where, two, shift = values
        place = _place_of(context, builder, signature.args[0], where, _WHOLE)
        made = _joined(builder, builder.load(place, align=_ALIGN), _rounded(builder, two, shift))
        builder.store(made, place, align=_ALIGN)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, PAIRS, types.int32), generate


def _both(join: Any) -> Any:
    """Return an operation on two variables of sums, place by place."""

    def typed(typing: Any, one: Any, two: Any) -> Any:
        if one != PAIRS or two != PAIRS:
            return None
        return PAIRS(PAIRS, PAIRS), lambda context, builder, signature, values: join(builder, *values)

    return intrinsic(typed)


#: Sums added up, and the greater of two.
plus_sums = _both(lambda builder, one, two: builder.add(one, two))
greater_sums = _both(lambda builder, one, two: builder.select(builder.icmp_signed(">", one, two), one, two))
