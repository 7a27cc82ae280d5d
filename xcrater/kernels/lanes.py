"""Masked sums over a window of pixels, a vector of `LANES` neighbouring pixels at a time.

A crater's ring has a few pixels in each of a few rows, so summing row by row would spend its time on starting and
ending loops. Here every lane keeps its own sums from row to row, in registers, and the lanes are combined once at the
end. Compilers do not find this by themselves, so the loop is written in LLVM's vector instructions, which LLVM converts
to those of any processor. Each function also exists in plain Python, which defines its result and runs if compilation
is off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

LANES = 32
"""Pixels in a vector."""

OUTSIDE, NOWHERE = 32767, 0
"""Bounds [begin, end) of a disc in a row that it misses: it takes no lane, and as a hole it removes none."""

_FLAG, _LANE, _I32, _I64 = ir.IntType(1), ir.IntType(16), ir.IntType(32), ir.IntType(64)


def _ring(block, codes, clean, top, left, lanes, e, first, stop, lane):
    """Pixels of a ring in a group of lanes, and their codes, as flat arrays."""
    rows = slice(top + first, top + stop), slice(left + lane, left + lane + LANES)
    at = lane + np.arange(LANES)
    inner, outer = (
        (at >= lanes[0, d, first:stop, None]) & (at < lanes[1, d, first:stop, None])
        for d in (e, e + 1)
    )  # fmt: skip
    inside = outer & ~inner
    pixels = block[rows][inside]
    return pixels, np.zeros(pixels.size, np.uint8) if clean else codes[rows][inside]


def ring_sums(block, codes, clean, top, left, lanes, e, first, stop, lane):
    """Sums over a ring's pixels in one group of lanes.

    Parameters
    ----------
    block, codes : ndarray
        Pixels, and their codes: 0 where there is a value, 2 where there is NaN.
    clean : bool
        Whether all pixels have values; the codes are then not read.
    top, left : int
        Row and column of the block that correspond to row 0 and lane 0 of the bounds.
    lanes : ndarray of int16, shape (2, discs + 1, rows)
        First lane of each disc in each row, and the lane after its last. The ring is disc e + 1 without disc e.
    e, first, stop, lane : int
        The ring, its rows, and the group's first lane.

    Returns
    -------
    tuple
        Pixels with values, pixels with NaN, sum, least and greatest value (the dtype's extremes for none), high and
        low part of the sum of squares: ``high * 2**32 + low``. Floats have no squares (see `ring_deviations`).
    """
    pixels, code = _ring(block, codes, clean, top, left, lanes, e, first, stop, lane)
    x = pixels[code == 0]
    if block.dtype.kind == "f":
        low, high = x.min(initial=np.inf), x.max(initial=-np.inf)
        return x.size, int((code == 2).sum()), x.sum(dtype=float), low, high, 0.0, 0.0
    info = np.iinfo(block.dtype)
    low, high = int(x.min(initial=info.max)), int(x.max(initial=info.min))
    square = x.astype(np.int64) ** 2
    if block.dtype.itemsize <= 2:
        return x.size, 0, int(x.sum(dtype=np.int64)), low, high, 0, int(square.sum())
    return x.size, 0, int(x.sum(dtype=np.int64)), low, high, int((square >> 32).sum()), int((square & 0xFFFFFFFF).sum())


def ring_deviations(block, codes, clean, top, left, lanes, e, first, stop, lane, mean):
    """Sum of squared deviations from a mean over a ring's valid pixels in one group of lanes; for floats."""
    pixels, code = _ring(block, codes, clean, top, left, lanes, e, first, stop, lane)
    return float(((pixels[code == 0].astype(np.float64) - mean) ** 2).sum())


def _vector(element: Any) -> Any:
    return ir.VectorType(element, LANES)


def _same(element: Any, value: Any) -> Any:
    """A constant with one value in every lane."""
    return ir.Constant(_vector(element), [value] * LANES)


def _splat(builder: Any, scalar: Any) -> Any:
    """A vector with a scalar in every lane."""
    nothing = ir.Constant(_vector(scalar.type), ir.Undefined)
    first = builder.insert_element(nothing, scalar, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, nothing, _same(_I32, 0))


def _reduce(builder: Any, vector: Any, combine: Callable[[Any, Any], Any]) -> Any:
    """Reduce lanes to one scalar by combining halves, in the same order on every processor."""
    lanes = LANES
    while lanes > 1:
        lanes //= 2
        halves = [
            builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(_I32, lanes), list(range(a, a + lanes))))
            for a in (0, lanes)
        ]
        vector = combine(*halves)
    return builder.extract_element(vector, ir.Constant(_I32, 0))


class _Sum:
    """A sum in every lane, kept in a variable that the compiler turns into registers."""

    def __init__(self, builder: Any, element: Any, start: Any = 0) -> None:
        self.builder = builder
        self.variable = cgutils.alloca_once_value(builder, _same(element, start))

    def update(self, combine: Callable[[Any, Any], Any], vector: Any) -> None:
        self.builder.store(combine(self.builder.load(self.variable), vector), self.variable)

    def reduce(self, combine: Callable[[Any, Any], Any], extend: Callable[[Any], Any] | None = None) -> Any:
        vector = self.builder.load(self.variable)
        return _reduce(self.builder, extend(vector) if extend else vector, combine)


def _over_ring(context: Any, builder: Any, signature: Any, args: Any, visit: Callable[[Any, Any, Any], None]) -> None:
    """Emit the loop over rows; ``visit(pixels, valid lanes, lanes with NaN)`` emits the operations on each vector."""
    block, codes, clean, top, left, lanes, e, first, stop, lane = args[:10]
    kinds = dict(zip(("block", "codes", "lanes"), (signature.args[i] for i in (0, 1, 5)), strict=True))
    values = {"block": block, "codes": codes, "lanes": lanes}
    array = {name: context.make_array(kind)(context, builder, values[name]) for name, kind in kinds.items()}
    byte = ir.IntType(8).as_pointer()

    def load(name: str, *index: Any, vector: bool = True) -> Any:
        item = context.get_value_type(kinds[name].dtype)
        size = context.get_abi_sizeof(item)
        offset = builder.mul(index[-1], ir.Constant(_I64, size))
        for axis, number in enumerate(index[:-1]):
            pitch = builder.extract_value(array[name].strides, axis)
            offset = builder.add(offset, builder.mul(number, pitch))
        # Element types are named at each step, because llvmlite is dropping typed pointers.
        at = builder.gep(builder.bitcast(array[name].data, byte), [offset], source_etype=ir.IntType(8))
        kind = _vector(item) if vector else item
        loaded = builder.load(builder.bitcast(at, kind.as_pointer()), typ=kind)
        loaded.align = size
        return loaded

    number = builder.add(ir.Constant(_vector(_LANE), list(range(LANES))), _splat(builder, builder.trunc(lane, _LANE)))
    last = builder.add(lane, ir.Constant(_I64, LANES))
    column = builder.add(left, lane)
    outer_disc = builder.add(e, ir.Constant(_I64, 1))
    with cgutils.for_range(builder, builder.sub(stop, first)) as loop:
        row = builder.add(loop.index, first)
        sides = ir.Constant(_I64, 0), ir.Constant(_I64, 1)
        a, b, c, d = (load("lanes", side, disc, row, vector=False) for disc in (outer_disc, e) for side in sides)
        wide = [builder.sext(bound, _I64) for bound in (a, b, c, d)]
        reached = builder.and_(builder.icmp_signed("<", wide[0], last), builder.icmp_signed(">", wide[1], lane))
        spared = builder.or_(builder.icmp_signed(">", wide[2], lane), builder.icmp_signed("<", wide[3], last))
        with builder.if_then(builder.and_(reached, spared)):
            a, b, c, d = (_splat(builder, bound) for bound in (a, b, c, d))
            outer = builder.and_(builder.icmp_signed(">=", number, a), builder.icmp_signed("<", number, b))
            hole = builder.or_(builder.icmp_signed("<", number, c), builder.icmp_signed(">=", number, d))
            inside = builder.and_(outer, hole)
            at = builder.add(top, row)
            pixels = load("block", at, column)
            valid = cgutils.alloca_once_value(builder, inside)
            nan = cgutils.alloca_once_value(builder, _same(_FLAG, 0))
            with builder.if_then(builder.not_(cgutils.as_bool_bit(builder, clean))):
                code = load("codes", at, column)
                element = code.type.element
                builder.store(builder.and_(inside, builder.icmp_unsigned("==", code, _same(element, 0))), valid)
                builder.store(builder.and_(inside, builder.icmp_unsigned("==", code, _same(element, 2))), nan)
            visit(pixels, builder.load(valid), builder.load(nan))


@intrinsic
def _ring_sums(typing_context, block, codes, clean, top, left, lanes, e, first, stop, lane):
    kind = block.dtype
    floats = isinstance(kind, types.Float)
    wide = not floats and kind.bitwidth > 16
    signed = floats or kind.signed
    number: Any = types.float64 if floats else types.int64
    result = types.Tuple((types.int64, types.int64, number, number, number, number, number))

    def generate(context, builder, signature, args):
        element = context.get_value_type(kind)
        total_kind = ir.DoubleType() if floats else _I64 if wide else _I32
        if floats:
            extremes: tuple[Any, Any] = (float("inf"), float("-inf"))
            add, compare = builder.fadd, builder.fcmp_ordered
        else:
            extremes = (kind.maxval, kind.minval)
            add = builder.add
            compare = builder.icmp_signed if signed else builder.icmp_unsigned

        def extend(vector, target):
            if vector.type.element == target:
                return vector
            if floats:
                return builder.fpext(vector, _vector(target))
            return (builder.sext if signed else builder.zext)(vector, _vector(target))

        def smaller(a, b):
            return builder.select(compare("<", a, b), a, b)

        def larger(a, b):
            return builder.select(compare(">", a, b), a, b)

        count, nans = _Sum(builder, _LANE), _Sum(builder, _LANE)
        total = _Sum(builder, total_kind, 0.0 if floats else 0)
        low, high = _Sum(builder, element, extremes[0]), _Sum(builder, element, extremes[1])
        square_low, square_high = _Sum(builder, _I64), _Sum(builder, _I64)

        def visit(pixels, valid, nan):
            count.update(builder.add, builder.zext(valid, _vector(_LANE)))
            low.update(smaller, builder.select(valid, pixels, _same(element, extremes[0])))
            high.update(larger, builder.select(valid, pixels, _same(element, extremes[1])))
            held = extend(builder.select(valid, pixels, _same(element, 0.0 if floats else 0)), total_kind)
            total.update(add, held)
            if floats:
                nans.update(builder.add, builder.zext(nan, _vector(_LANE)))
                return
            square = builder.mul(held, held)
            if wide:
                square_low.update(builder.add, builder.and_(square, _same(_I64, 0xFFFFFFFF)))
                square_high.update(builder.add, builder.lshr(square, _same(_I64, 32)))
            else:
                square_low.update(builder.add, builder.zext(square, _vector(_I64)))

        _over_ring(context, builder, signature, args, visit)
        target = ir.DoubleType() if floats else _I64
        whole = _vector(_I64)
        lanes = [
            count.reduce(builder.add, lambda v: builder.zext(v, whole)),
            nans.reduce(builder.add, lambda v: builder.zext(v, whole)),
            total.reduce(add, lambda v: extend(v, target)),
            low.reduce(smaller, lambda v: extend(v, target)),
            high.reduce(larger, lambda v: extend(v, target)),
        ]
        if floats:
            lanes += [ir.Constant(target, 0.0)] * 2
        else:
            lanes += [square_high.reduce(builder.add), square_low.reduce(builder.add)]
        return context.make_tuple(builder, signature.return_type, lanes)

    return result(block, codes, clean, top, left, lanes, e, first, stop, lane), generate


@intrinsic
def _ring_deviations(typing_context, block, codes, clean, top, left, lanes, e, first, stop, lane, mean):
    def generate(context, builder, signature, args):
        double = ir.DoubleType()
        square = _Sum(builder, double, 0.0)
        middle = _splat(builder, args[10])

        def visit(pixels, valid, nan):
            value = pixels if pixels.type.element == double else builder.fpext(pixels, _vector(double))
            apart = builder.fsub(value, middle)
            square.update(builder.fadd, builder.select(valid, builder.fmul(apart, apart), _same(double, 0.0)))

        _over_ring(context, builder, signature, args, visit)
        return square.reduce(builder.fadd)

    return types.float64(block, codes, clean, top, left, lanes, e, first, stop, lane, mean), generate


@overload(ring_sums, inline="always")
def _(block, codes, clean, top, left, lanes, e, first, stop, lane):
    def sums(block, codes, clean, top, left, lanes, e, first, stop, lane):
        return _ring_sums(block, codes, clean, top, left, lanes, e, first, stop, lane)  # type: ignore[call-arg]

    return sums


@overload(ring_deviations, inline="always")
def _(block, codes, clean, top, left, lanes, e, first, stop, lane, mean):
    if not isinstance(block.dtype, types.Float):
        return lambda block, codes, clean, top, left, lanes, e, first, stop, lane, mean: 0.0

    def deviations(block, codes, clean, top, left, lanes, e, first, stop, lane, mean):
        return _ring_deviations(block, codes, clean, top, left, lanes, e, first, stop, lane, mean)  # type: ignore[call-arg]

    return deviations
