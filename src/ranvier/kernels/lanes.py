"""Eight neighbouring channels as one number, for kernels whose loop over time must be the inner one.

A recursive filter over time-major samples vectorises over channels. With channels as the inner loop the state of every
channel is loaded and stored again for every sample, and that is what limits it. Here a kernel works on *lanes*: WIDTH
float64 values side by side in one variable, which the compiler keeps in vector registers over the whole loop. They
are written like numbers (``gain * v + p``), and each lane sees exactly the scalar operations, in that order and
without fused multiply-add: the same bits as a loop over single channels. CPUs with narrower registers take several per
variable.

Only inside Numba functions; there is nothing here to call from Python.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, overload, register_model

#: Values per variable: one 512-bit register of float64.
WIDTH = 8
#: Values that :func:`within` looks at.
BITS = 64
#: Columns that :func:`reaching` looks at.
STRIP = 16

_INDEX = ir.IntType(32)


class Lanes(types.Type):
    """Numba's type of WIDTH float64 values."""

    def __init__(self) -> None:
        super().__init__(name=f"Lanes({WIDTH})")


LANES = Lanes()


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, ir.VectorType(ir.DoubleType(), WIDTH))


def _spread(builder: Any, value: Any, width: int = WIDTH) -> Any:
    """Return a vector with one value in every lane."""
    kind = ir.VectorType(value.type, width)
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(_INDEX, 0))
    first = ir.Constant(ir.VectorType(_INDEX, width), [0] * width)
    return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), first)


def _place(context: Any, builder: Any, kind: Any, array: Any, row: Any, column: Any) -> Any:
    """Return where the lanes ``array[row, column : column + WIDTH]`` lie; no bounds are checked."""
    element = context.get_value_type(kind.dtype)
    return _place_of(context, builder, kind, (array, row, column), ir.VectorType(element, WIDTH))


def _place_of(context: Any, builder: Any, kind: Any, where: Any, vector: Any) -> Any:
    """Return where a vector that begins at ``array[row, column]`` lies."""
    array, row, column = where
    header = context.make_array(kind)(context, builder, array)
    strides = cgutils.unpack_tuple(builder, header.strides)
    skip = builder.add(builder.mul(row, strides[0]), builder.mul(column, strides[1]))
    place = builder.gep(builder.bitcast(header.data, ir.IntType(8).as_pointer()), [skip])
    return builder.bitcast(place, vector.as_pointer())


def _item_bytes(kind: Any) -> int:
    return int(kind.dtype.bitwidth // 8)


def _is_matrix(kind: Any) -> bool:
    return isinstance(kind, types.Array) and kind.ndim == 2 and kind.dtype in (types.float32, types.float64)


def _widened(builder: Any, value: Any) -> Any:
    double = ir.VectorType(ir.DoubleType(), WIDTH)
    return value if value.type == double else builder.fpext(value, double)


@intrinsic  # type: ignore[untyped-decorator]
def load(typing: Any, array: Any, row: Any, column: Any) -> Any:
    """``array[row, column : column + WIDTH]``, of a float32 or float64 matrix, as float64."""
    if not _is_matrix(array):
        return None

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _place(context, builder, signature.args[0], *values)
        return _widened(builder, builder.load(place, align=_item_bytes(signature.args[0])))

    return LANES(array, types.intp, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def load_less(typing: Any, array: Any, row: Any, column: Any, less: Any) -> Any:
    """``array[row, column : column + WIDTH] - less``, rounded to the matrix's own type, as float64."""
    if not _is_matrix(array):
        return None

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        *where, value = values
        held = builder.load(_place(context, builder, signature.args[0], *where), align=_item_bytes(signature.args[0]))
        return _widened(builder, builder.fsub(held, _spread(builder, value)))

    return LANES(array, types.intp, types.intp, array.dtype), generate


@intrinsic  # type: ignore[untyped-decorator]
def store(typing: Any, array: Any, row: Any, column: Any, lanes: Any) -> Any:
    """``array[row, column : column + WIDTH] = lanes``, rounded to the matrix's type."""
    if not _is_matrix(array) or lanes != LANES:
        return None

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        *where, value = values
        place = _place(context, builder, signature.args[0], *where)
        if value.type != place.type.pointee:
            value = builder.fptrunc(value, place.type.pointee)
        builder.store(value, place, align=_item_bytes(signature.args[0]))
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, LANES), generate


@intrinsic  # type: ignore[untyped-decorator]
def spread(typing: Any, value: Any) -> Any:
    """One number in every lane."""
    return LANES(types.float64), lambda context, builder, signature, values: _spread(builder, values[0])


def _folded(builder: Any, value: Any, join: Callable[[Any, Any, Any], Any]) -> Any:
    """Join the lanes by halves: ``(0, 4), (2, 6)`` and so on, always in this order."""
    return _folded_halves(builder, value, WIDTH, join)


def _folded_halves(builder: Any, value: Any, width: int, join: Callable[[Any, Any, Any], Any]) -> Any:
    """Join the values of a vector of some width by halves."""
    while width > 1:
        width //= 2
        none = ir.Constant(value.type, ir.Undefined)
        low, high = (
            builder.shuffle_vector(
                value, none, ir.Constant(ir.VectorType(_INDEX, width), list(range(first, first + width)))
            )
            for first in (0, width)
        )
        value = join(builder, low, high)
    return builder.extract_element(value, ir.Constant(_INDEX, 0))


def _lesser(builder: Any, one: Any, two: Any) -> Any:
    return builder.select(builder.fcmp_ordered("<", one, two), one, two)


def _greater(builder: Any, one: Any, two: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", one, two), one, two)


def _fold(join: Callable[[Any, Any, Any], Any]) -> Any:
    def typed(typing: Any, lanes: Any) -> Any:
        if lanes != LANES:
            return None
        return types.float64(LANES), lambda context, builder, signature, values: _folded(builder, values[0], join)

    return intrinsic(typed)


def _choice(join: Callable[[Any, Any, Any], Any]) -> Any:
    def typed(typing: Any, one: Any, two: Any) -> Any:
        if one != LANES or two != LANES:
            return None
        return LANES(LANES, LANES), lambda context, builder, signature, values: join(builder, *values)

    return intrinsic(typed)


#: Sum, least and most of the lanes.
total = _fold(lambda builder, one, two: builder.fadd(one, two))
least = _fold(_lesser)
most = _fold(_greater)
#: The lesser, the greater of two in each lane; the second where the first is NaN.
lesser = _choice(_lesser)
greater = _choice(_greater)


@intrinsic  # type: ignore[untyped-decorator]
def within(typing: Any, array: Any, row: Any, column: Any, low: Any, high: Any) -> Any:
    """Say which of BITS float32 values from ``array[row, column]`` on are in ``[low, high]``: bit i for value i."""
    if not _is_matrix(array) or array.dtype != types.float32:
        return None

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = ir.VectorType(ir.FloatType(), BITS)
        place = builder.bitcast(_place(context, builder, signature.args[0], *values[:3]), kind.as_pointer())
        held = builder.load(place, align=_item_bytes(signature.args[0]))
        low, high = (_spread(builder, value, BITS) for value in values[3:])
        inside = builder.and_(builder.fcmp_ordered(">=", held, low), builder.fcmp_ordered("<=", held, high))
        return builder.bitcast(inside, ir.IntType(BITS))

    return types.uint64(array, types.intp, types.intp, types.float32, types.float32), generate


@intrinsic  # type: ignore[untyped-decorator]
def at_most(typing: Any, array: Any, row: Any, column: Any, bound: Any) -> Any:
    """Say which of BITS int16 values from ``array[row, column]`` on are no larger than ``bound``: bit i for value i."""
    if not isinstance(array, types.Array) or array.ndim != 2 or array.dtype != types.int16:
        return None

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = ir.VectorType(ir.IntType(16), BITS)
        place = builder.bitcast(_place(context, builder, signature.args[0], *values[:3]), kind.as_pointer())
        held = builder.load(place, align=_item_bytes(signature.args[0]))
        return builder.bitcast(builder.icmp_signed("<=", held, _spread(builder, values[3], BITS)), ir.IntType(BITS))

    return types.uint64(array, types.intp, types.intp, types.int16), generate


def _away(builder: Any, held: Any, width: int) -> Any:
    """Return float32 values without their signs."""
    whole = ir.VectorType(ir.IntType(32), width)
    bits = builder.and_(builder.bitcast(held, whole), ir.Constant(whole, [0x7FFFFFFF] * width))
    return builder.bitcast(bits, ir.VectorType(ir.FloatType(), width))


@intrinsic  # type: ignore[untyped-decorator]
def far_from_zero(typing: Any, array: Any, row: Any, column: Any, least: Any) -> Any:
    """Say which of BITS float32 values from ``array[row, column]`` on lie ``least`` or more from 0 (bits as before)."""
    if not _is_matrix(array) or array.dtype != types.float32:
        return None

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        *where, limit = values
        kind = ir.VectorType(ir.FloatType(), BITS)
        place = builder.bitcast(_place(context, builder, signature.args[0], *where), kind.as_pointer())
        held = builder.load(place, align=_item_bytes(signature.args[0]))
        found = builder.fcmp_ordered(">=", _away(builder, held, BITS), _spread(builder, limit, BITS))
        return builder.bitcast(found, ir.IntType(BITS))

    return types.uint64(array, types.intp, types.intp, types.float32), generate


@intrinsic  # type: ignore[untyped-decorator]
def reaching(typing: Any, array: Any, row: Any, column: Any, least: Any) -> Any:
    """Say which of STRIP columns of a float32 row are as far from 0 as ``least[column:]``, or farther.

    Bit i tells of ``array[row, column + i]``; NaN reaches nothing.
    """
    if not _is_matrix(array) or array.dtype != types.float32:
        return None

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        *where, limits = values
        kind, align = ir.VectorType(ir.FloatType(), STRIP), _item_bytes(signature.args[0])

        def held(place: Any) -> Any:
            return builder.load(builder.bitcast(place, kind.as_pointer()), align=align)

        away = _away(builder, held(_place(context, builder, signature.args[0], *where)), STRIP)
        header = context.make_array(signature.args[3])(context, builder, limits)
        found = builder.fcmp_ordered(">=", away, held(builder.gep(header.data, [where[2]])))
        return builder.zext(builder.bitcast(found, ir.IntType(STRIP)), ir.IntType(64))

    return types.uint64(array, types.intp, types.intp, types.Array(types.float32, 1, "C")), generate


@intrinsic  # type: ignore[untyped-decorator]
def lowest_bit(typing: Any, bits: Any) -> Any:
    """Which is the lowest bit that is set; at least one is."""
    return types.int64(types.uint64), lambda context, builder, signature, values: builder.cttz(
        values[0], ir.Constant(ir.IntType(1), 1)
    )


@intrinsic  # type: ignore[untyped-decorator]
def ones(typing: Any, bits: Any) -> Any:
    """How many bits are set."""
    return types.int64(types.uint64), lambda context, builder, signature, values: builder.ctpop(values[0])


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(typing: Any, array: Any, row: Any, column: Any) -> Any:
    """Ask for the line of the cache that holds ``array[row, column]``; it need not lie inside the matrix."""
    if not isinstance(array, types.Array) or array.ndim != 2:
        return None

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        place = builder.bitcast(_place(context, builder, signature.args[0], *values), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, _INDEX, _INDEX, _INDEX])
        ask = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(ask, [place, *(ir.Constant(_INDEX, i) for i in (0, 3, 1))])  # to read it, and soon; data
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def turn(typing: Any, source: Any, row: Any, column: Any, out: Any, out_row: Any, out_column: Any) -> Any:
    """``out[out_row + i, out_column + j] = source[row + j, column + i]`` for i, j < WIDTH; matrices of one type.

    Three rounds of riffling rows with those half a square below turn the square (bits of the position rotate).
    """
    if not isinstance(source, types.Array) or source.ndim != 2 or out.ndim != 2 or source.dtype != out.dtype:
        return None

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        source, row, column, out, out_row, out_column = values
        kinds, align = signature.args, _item_bytes(signature.args[0])
        steps = [ir.Constant(row.type, i) for i in range(WIDTH)]
        lines = [
            builder.load(_place(context, builder, kinds[0], source, builder.add(row, i), column), align=align)
            for i in steps
        ]
        half = WIDTH // 2
        pairs = [i // 2 + (WIDTH if i % 2 else 0) for i in range(2 * WIDTH)]
        low, high = (ir.Constant(ir.VectorType(_INDEX, WIDTH), part) for part in (pairs[:WIDTH], pairs[WIDTH:]))
        for _ in range(3):
            lines = [
                builder.shuffle_vector(lines[i], lines[i + half], which) for i in range(half) for which in (low, high)
            ]
        for i, line in zip(steps, lines, strict=True):
            place = _place(context, builder, kinds[3], out, builder.add(out_row, i), out_column)
            builder.store(line, place, align=align)
        return context.get_dummy_value()

    return types.void(source, types.intp, types.intp, out, types.intp, types.intp), generate


def _instruction(name: str) -> Any:
    """Return an operation on lanes, either of which may be one number for all of them."""

    def typed(typing: Any, one: Any, two: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            wide = [v if k == LANES else _spread(builder, v) for k, v in zip(signature.args, values, strict=True)]
            return getattr(builder, name)(*wide)

        kinds = [kind if kind == LANES else types.float64 for kind in (one, two)]
        return LANES(*kinds), generate

    return intrinsic(typed)


def _overloaded(function: Callable[..., Any], instruction: Any) -> None:
    def typed(one, two):  # type: ignore[no-untyped-def]  # Numba wants its parameters exactly as the lambda's
        if LANES not in (one, two) or not all(kind == LANES or isinstance(kind, types.Float) for kind in (one, two)):
            return None
        return lambda one, two: instruction(one, two)

    overload(function)(typed)


for _operators, _name in (
    ((operator.add, operator.iadd), "fadd"),
    ((operator.sub, operator.isub), "fsub"),
    ((operator.mul, operator.imul), "fmul"),
    ((operator.truediv, operator.itruediv), "fdiv"),
):
    for _operator in _operators:
        _overloaded(_operator, _instruction(_name))
