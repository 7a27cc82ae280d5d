"""The last stage: from merged accumulators to the array of each statistic."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial as partial_of
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
"""Number of accumulators that are merged and finished at a time: enough for numpy, which releases the interpreter lock
to other threads, to do most of the work."""

THREADS = 4
"""Largest number of blocks that are finished in parallel, while no other task of the request runs."""


def _within(pieces: list[Sums], block: slice) -> list[Sums]:
    """Select the craters of a block from pieces whose rows ascend; returns at least one piece, perhaps an empty one."""
    cuts = [np.searchsorted(piece.row, (block.start, block.stop)) for piece in pieces]
    found = [Sums(p.row[a:b], p.sums[a:b]) for p, (a, b) in zip(pieces, cuts, strict=True) if a < b]
    return found or [Sums(pieces[0].row[:0], pieces[0].sums[:0])]


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
        order = self.leaf.order
        table = (
            OrderTable([], Problem(OrderStatistics(), Coding(self.dtype), self.regions, 0), self.craters, lead)
            if order is None
            else OrderTable(partial.found[0].answers, order.problem, self.craters, lead)
        )
        starts = {"sums": self.leaf.start(dtype)} | (
            {"moments": empty_accumulator(np.dtype("f8"), slots.MOMENTS)} if self.leaf.more else {}
        )
        # The dtype of the accumulators may differ from that of the raster shown: tiles sum the integers that it stores.
        pieces = {
            name: getattr(partial, name)
            or [Sums(np.empty(0, np.int32), np.empty((0, lead, self.regions, start.size), start.dtype))]
            for name, start in starts.items()
        }
        # Craters are finished in blocks, which threads share; see `BLOCK`.
        size = max(BLOCK // max(lead * self.regions, 1), 64)
        blocks = [slice(first, min(first + size, self.craters)) for first in range(0, self.craters, size)]
        from dask.system import CPU_COUNT  # late, because only the graph loads dask at import

        workers = min(CPU_COUNT, THREADS, len(blocks))
        work = partial_of(self._finish_blocks, pieces, table, results)
        if workers < 2:
            work(blocks)
            return results
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(work, [blocks[n::workers] for n in range(workers)]))
        return results

    def _finish_blocks(
        self, pieces: dict[str, list[Sums]], table: OrderTable, results: dict[str, Array], blocks: list[slice]
    ) -> None:
        """Merge and finalise the craters of some blocks, and write them to their places in the results."""
        exact = table.problem.coding.exact
        most = max((block.stop - block.start for block in blocks), default=0)
        space = {
            name: np.empty(most * max(_crater_bytes(piece.sums) for piece in each), np.uint8)
            for name, each in pieces.items()
        }
        for block in blocks:
            row = np.arange(block.start, block.stop, dtype=np.int32)
            whole = {name: add_up(_within(each, block), row, space[name]) for name, each in pieces.items()}
            state = LazyState(whole["sums"], weighted=self.leaf.weighted, whole=not self.leaf.shapes.exact)
            if self.leaf.more:
                state.add_moments(whole["moments"])
            state.update(scale=self.scale, offset=self.offset, dtype=self.dtype)
            answers = table.block(block.start, block.stop, state["weight"] > 0 if exact else None)
            for a in self.aggregations:
                state.update(statistic=a.name, order=answers.declared_by(a.name, a.order))
                results[a.name][..., block] = a.finalise(state)


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
