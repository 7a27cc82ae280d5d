"""The last stage: from merged accumulators to the array of each statistic."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater import kernels
from xcrater.kernels import slots
from xcrater.statistics.accumulators import Partial, Sums, add_up, empty_accumulator, slots_of
from xcrater.statistics.aggregations import Aggregation
from xcrater.statistics.leaf import Leaf
from xcrater.statistics.quantiles.coding import Coding
from xcrater.statistics.quantiles.problem import Problem
from xcrater.statistics.quantiles.table import OrderTable
from xcrater.statistics.quantiles.wanted import OrderStatistics
from xcrater.statistics.wide_integers import check_squares, check_total

Array = NDArray[Any]


class LazyState(dict[str, Any]):
    """The merged accumulators of some craters by name, each an array of shape (lead, region, crater).

    An array is laid out when it is first requested, except for areas and higher moments, which `add_moments` lays out
    immediately. If the sums, or sums of squares, of integers may not fit 64 bits, the request raises an error that
    names the statistic.

    Parameters
    ----------
    sums : ndarray, shape (crater, lead, region, slots)
        The accumulators.
    weighted : bool
        Whether the accumulators are of weighted pixels.
    whole : bool
        Whether pixels count whole rather than by the fraction covered.
    """

    def __init__(self, sums: Array, *, weighted: bool = False, whole: bool = True) -> None:
        self._sums, self._whole = sums, whole
        self._slots = slots_of(sums.dtype, weighted=weighted)

    def add_moments(self, sums: Array) -> None:
        """Lay out areas and higher moments, which have accumulators of their own.

        Parameters
        ----------
        sums : ndarray of float64, shape (crater, lead, region, slots.MOMENTS)
            The extended accumulators of the same craters.
        """
        craters, lead, regions, length = sums.shape
        for name, slot in slots.MOMENT_NAMES.items():
            out = np.empty((lead * regions, craters))
            kernels.lay_out(sums.reshape(craters, lead * regions, length), slot, out)
            self[name] = out.reshape(lead, regions, craters)

    def __missing__(self, name: str) -> Array:
        if name in ("total", "m2", "sq_high", "sq_low"):
            (check_total if name == "total" else check_squares)(self)
        craters, lead, regions, length = self._sums.shape
        whole = self._whole and name in ("count", "nodata", "nan")
        out = np.empty((lead * regions, craters), np.int64 if whole else self._sums.dtype)
        kernels.lay_out(self._sums.reshape(craters, lead * regions, length), self._slots[name], out)
        array = self[name] = out.reshape(lead, regions, craters)
        return array


BLOCK = 2**17
"""Number of accumulators that are merged at a time."""

FINISHED = 2**13
"""Number of accumulators that are finished at a time. An array of this many numbers is small enough for the allocator
to reuse its memory: workers of dask.distributed return larger pieces to the system, which must then clear them anew."""


def _crater_bytes(sums: Array) -> int:
    """Bytes of the accumulators of one crater, from an array that may be empty."""
    return math.prod(sums.shape[1:]) * sums.dtype.itemsize


@dataclass(frozen=True)
class Finish:
    """Turns the merged partial result of a request into an array for each statistic, shape (lead, region, crater).

    Parameters
    ----------
    aggregations : tuple of Aggregation
        The statistics.
    craters : int
        Length of the table.
    regions : int
        Number of regions.
    dtype : str
        Dtype of the raster.
    scale, offset : float
        ``value = stored * scale + offset``.
    leaf : Leaf
        The leaf that made the partial results.
    """

    aggregations: tuple[Aggregation, ...]
    craters: int
    regions: int
    dtype: str
    scale: float
    offset: float
    leaf: Leaf

    def __call__(self, partial: Partial, lead: int) -> dict[str, Array]:
        """Compute the statistics; lead is the number of images in the blocks."""
        dtype = np.dtype(self.dtype)
        results = {a.name: np.empty((lead, self.regions, self.craters), a.dtype) for a in self.aggregations}
        # Work through blocks of craters that stay in the processor's cache from one step to the next.
        order = self.leaf.order
        table = (
            OrderTable([], Problem(OrderStatistics(), Coding(self.dtype), self.regions, 0), self.craters, lead)
            if order is None
            else OrderTable(partial.found[0].answers, order.problem, self.craters, lead)
        )
        exact = table.problem.coding.exact
        block_size = max(BLOCK // max(lead * self.regions, 1), 64)
        edges = np.append(np.arange(0, self.craters, block_size), self.craters).astype(np.int32)
        starts = {"sums": self.leaf.start(dtype)} | (
            {"moments": empty_accumulator(np.dtype("f8"), slots.MOMENTS)} if self.leaf.more else {}
        )
        cuts = {
            name: [(piece, np.searchsorted(piece.row, edges)) for piece in getattr(partial, name)] for name in starts
        }
        # The dtype of the accumulators may differ from that of the raster shown: tiles sum the integers that it stores.
        nothing = {
            name: Sums(np.empty(0, np.int32), np.empty((0, lead, self.regions, start.size), start.dtype))
            for name, start in starts.items()
        }
        most = int(np.diff(edges).max(initial=0))
        space = {}
        for name, none in nothing.items():
            each = max(_crater_bytes(one.sums) for one in (none, *(piece for piece, _ in cuts[name])))
            space[name] = np.empty(most * each, np.uint8)
        for n, (first, stop) in enumerate(itertools.pairwise(edges.tolist())):
            row = np.arange(first, stop, dtype=np.int32)
            whole = {}
            for name, none in nothing.items():
                pieces = [
                    Sums(p.row[at[n] : at[n + 1]], p.sums[at[n] : at[n + 1]])
                    for p, at in cuts[name]
                    if at[n] < at[n + 1]
                ]
                whole[name] = add_up(pieces or [none], row, space[name])
            size = max(FINISHED // max(lead * self.regions, 1), 64)
            for part in range(first, stop, size):
                cut = slice(part, min(part + size, stop))
                own = {name: sums[cut.start - first : cut.stop - first] for name, sums in whole.items()}
                state = LazyState(own["sums"], weighted=self.leaf.weighted, whole=not self.leaf.shapes.exact)
                if self.leaf.more:
                    state.add_moments(own["moments"])
                state.update(scale=self.scale, offset=self.offset, dtype=self.dtype)
                block = table.block(cut.start, cut.stop, state["weight"] > 0 if exact else None)
                for a in self.aggregations:
                    state.update(statistic=a.name, order=block.declared_by(a.name, a.order))
                    results[a.name][..., cut] = a.finalise(state)
        return results


@dataclass(frozen=True)
class FinishSome:
    """Turns the merged partial result of one round into an array for each statistic, for the round's craters alone.

    Parameters
    ----------
    finish : Finish
        The last stage of the request.
    craters : ndarray of int32, shape (n,)
        The round's craters, ascending.
    """

    finish: Finish
    craters: NDArray[np.int32]

    def __call__(self, partial: Partial, lead: int) -> tuple[NDArray[np.int32], dict[str, Array]]:
        """Return the round's craters, and arrays of shape (lead, region, craters of the round)."""
        sums, moments = (
            [Sums(np.searchsorted(self.craters, piece.row).astype(np.int32), piece.sums) for piece in pieces]
            for pieces in (partial.sums, partial.moments)
        )
        some = replace(self.finish, craters=self.craters.size)
        return self.craters, some(Partial(sums, moments, partial.found), lead)


@dataclass(frozen=True)
class FinishRounds:
    """Puts the results of all rounds into one array for each statistic.

    Parameters
    ----------
    finish : Finish
        The last stage of the request.
    """

    finish: Finish

    def __call__(self, rounds: list[tuple[NDArray[np.int32], dict[str, Array]]], lead: int) -> dict[str, Array]:
        """Return arrays of shape (lead, region, crater); no two rounds share a crater."""
        shape = (lead, self.finish.regions, self.finish.craters)
        results = {a.name: np.empty(shape, a.dtype) for a in self.finish.aggregations}
        for craters, arrays in rounds:
            for name, array in arrays.items():
                results[name][..., craters] = array
        return results
