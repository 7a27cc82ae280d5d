"""The choice of how tiles share a crater: by pairs, or by digit passes if pairs would take too much memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xcrater.engine.plan import FAN_IN, Plan, Spread, Tile
from xcrater.statistics.quantiles.problem import Problem

PAIR = 32
"""Upper bound of the bytes of one pair, including the copy made by merging."""


@dataclass(frozen=True, eq=False)
class SharedTile(Tile):
    """A tile that knows which of its craters are shared by digit passes.

    Parameters
    ----------
    tiles : ndarray of int32, shape (craters of this tile,)
        Number of tiles that list each crater.
    by_digits : ndarray of bool, shape (craters of this tile,)
        Whether tiles count digits of the crater's keys; otherwise they ship pairs.
    """

    tiles: NDArray[np.int32]
    by_digits: NDArray[np.bool_]

    def revisited(self) -> SharedTile | None:
        """The tile with only those craters that later passes revisit; None if there are none."""
        large = np.flatnonzero(self.by_digits)
        if not large.size:
            return None
        return SharedTile(self.index, self.window, self.craters.take(large), self.tiles[large], self.by_digits[large])


def shared_tiles(plan: Plan, by_digits: NDArray[np.bool_]) -> Iterator[SharedTile]:
    """Yield the plan's tiles with the way in which their craters are shared.

    Parameters
    ----------
    plan : Plan
        Tiles and their craters.
    by_digits : ndarray of bool, shape (craters,)
        The result of `choose_digits` for the whole table.
    """
    for n, tile in enumerate(plan):
        members = plan.members(n)
        yield SharedTile(tile.index, tile.window, tile.craters, plan.spread.count[members], by_digits[members])


def choose_digits(
    spread: Spread, tiles: int, pixels: NDArray[np.int64], problem: Problem, *, images: int = 1
) -> NDArray[np.bool_]:
    """Choose the craters whose keys are found by digit passes, from what is known before anything is read.

    Craters ship their pairs, except for the largest: just enough of these take digit passes for all pairs that wait at
    any one time to fit half of the memory. Tiles are assumed to be read in order.

    Parameters
    ----------
    spread : Spread
        The tiles over which each crater is spread.
    tiles : int
        Number of tiles in the plan.
    pixels : ndarray of int64, shape (craters,)
        Upper bound of the number of pixels in all of a crater's regions.
    problem : Problem
        The requested order statistics.
    images : int
        Number of images in one block.

    Returns
    -------
    ndarray of bool, shape (craters,)
        True for craters that take digit passes; all False if these are impossible or not needed.
    """
    several = spread.count > 1
    if not problem.narrows or problem.given or not several.any():
        return np.zeros(pixels.size, bool)
    size = np.where(several, pixels * images * PAIR, 0)
    first, complete = np.maximum(spread.first, 0), _complete(spread, tiles)

    def waiting(limit: int) -> int:
        """Largest number of bytes that wait at any one time if craters up to a size ship their pairs."""
        held = np.where(size <= limit, size, 0)
        change = np.bincount(first, held, tiles + 1) - np.bincount(complete + 1, held, tiles + 1)
        return int(np.cumsum(change).max())

    sizes = np.unique(np.append(0, size))
    low, high = 0, sizes.size - 1  # nothing waits if only craters of size 0 ship their pairs
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if waiting(int(sizes[middle])) <= problem.memory // 2 else (low, middle - 1)
    by_digits: NDArray[np.bool_] = several & (size > sizes[low])
    return by_digits


def _complete(spread: Spread, tiles: int) -> NDArray[np.int64]:
    """Last tile of the smallest group of merged tiles that contains all tiles of each crater.

    The crater's pairs are solved when this group is merged.
    """
    first, last = np.maximum(spread.first, 0), np.maximum(spread.last, 0)
    complete = last.copy()
    group = 1
    while group < tiles:
        group *= FAN_IN
        inner = group // FAN_IN
        whole = (first // group == last // group) & (first // inner != last // inner)
        complete[whole] = np.minimum((last[whole] // group + 1) * group, tiles) - 1
    return complete
