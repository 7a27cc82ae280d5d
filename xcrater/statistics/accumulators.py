"""Accumulators of craters: their partial results on tiles, their merging, and the names of their slots.

An accumulator is one row of slots, which `xcrater.kernels.slots` numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater import kernels
from xcrater.engine.sized import Sized
from xcrater.kernels import slots
from xcrater.statistics.quantiles.answers import AnyTargets
from xcrater.statistics.quantiles.search import OrderPartial, OrderSearch

Array = NDArray[Any]


def slots_of(dtype: np.dtype[Any], *, weighted: bool) -> dict[str, int]:
    """Slot of each name in the state, for accumulators of a dtype, with or without weights."""
    common = {
        "count": slots.PIXELS if weighted else slots.COUNT,
        "weight": slots.COUNT,
        "total": slots.TOTAL,
        "low": slots.LOW,
        "high": slots.HIGH,
        "nodata": slots.MISSING,
        "nan": slots.NANS,
    }
    squares = {"m2": slots.SQ_HIGH} if dtype.kind == "f" else {"sq_high": slots.SQ_HIGH, "sq_low": slots.SQ_LOW}
    return common | squares


@dataclass(frozen=True, eq=False)
class Sums:
    """Accumulators of some craters.

    Parameters
    ----------
    row : ndarray of int32, shape (n,)
        Positions of the craters in the table, ascending.
    sums : ndarray, shape (n, lead, region, slots)
        Accumulators, as kernels lay them out.
    """

    row: NDArray[np.int32]
    sums: Array


@dataclass(frozen=True, eq=False)
class Partial(Sized):
    """Partial results of some tiles, in the order of the tiles.

    Parameters
    ----------
    sums : list of Sums
        Accumulators; a crater may appear in several.
    moments : list of Sums
        Extended accumulators of weighted pixels, with areas and higher moments; empty unless requested.
    found : list of OrderPartial
        Partial results of the search for order statistics.
    """

    sums: list[Sums] = field(default_factory=list)
    moments: list[Sums] = field(default_factory=list)
    found: list[OrderPartial] = field(default_factory=list)


def empty_accumulator(dtype: np.dtype[Any], length: int = 8) -> Array:
    """An accumulator before any pixel, for sums of numbers of a dtype."""
    floats = dtype.kind == "f"
    start: Array = np.zeros(length, np.float64 if floats else np.int64)
    start[slots.LOW] = np.inf if floats else np.iinfo(np.int64).max
    start[slots.HIGH] = -np.inf if floats else np.iinfo(np.int64).min
    return start


def merge(partials: Sequence[Partial], order: OrderSearch | None = None) -> Partial:
    """Merge partial results in the order given.

    Most craters lie on one tile. Their accumulators are therefore passed on uncopied from level to level, until about
    as many belong to craters that occurred before.
    """
    found = [] if order is None else [order.merge([f for p in partials for f in p.found])]
    sums, moments = ([s for p in partials for s in getattr(p, name)] for name in ("sums", "moments"))
    return Partial(_merge_sums(sums), _merge_sums(moments), found)


def _merge_sums(sums: Sequence[Sums]) -> list[Sums]:
    sums = [s for s in sums if s.row.size]
    if len(sums) < 2:
        return sums
    present = np.zeros(max(int(s.row[-1]) for s in sums) + 1, bool)
    for s in sums:
        present[s.row] = True
    row = np.flatnonzero(present).astype(np.int32)
    return sums if sum(s.row.size for s in sums) < 2 * row.size else [Sums(row, add_up(sums, row))]


def add_up(pieces: Sequence[Sums], row: Array, space: Array | None = None) -> Array:
    """Add up the accumulators of the craters in ``row``, which is ascending and includes all craters of the pieces.

    The result uses the bytes of ``space``, if given, which must be large enough; its dtype is that of the pieces.
    """
    like = pieces[0].sums
    shape = (row.size, like.shape[1] * like.shape[2], like.shape[3])
    if space is None:
        out = np.empty(shape, like.dtype)
    else:
        out = space[: math.prod(shape) * like.dtype.itemsize].view(like.dtype).reshape(shape)
    out[:] = empty_accumulator(like.dtype, like.shape[3])
    exact = None if like.dtype.kind == "f" else True
    together = row.size and row[-1] - row[0] + 1 == row.size
    for piece in pieces:
        place = piece.row - row[0] if together else np.searchsorted(row, piece.row)
        kernels.merge_sums(exact, piece.sums.reshape(-1, *out.shape[1:]), place, out)
    return out.reshape(-1, *like.shape[1:])


def targets(order: OrderSearch, found: Partial | OrderPartial) -> AnyTargets:
    """The targets of the next pass over tiles."""
    return order.targets(found.found[0] if isinstance(found, Partial) else found)


def with_targets(order: OrderSearch, partial: Partial, last: AnyTargets) -> Partial:
    """Complete the merged result of the first pass by the targets of the last one."""
    return Partial(partial.sums, partial.moments, [order.finish(partial.found[0], last)])
