"""Rounds over a raster: groups of craters whose pixels are in memory together.

Pixels take memory in two ways: everything cut from one tile is held at once, and pieces of a crater that a tile cannot
complete wait until the crater's last tile has been read. If either would exceed its room, craters are left for a later
round, which reads their tiles again. Reading a tile takes a fraction of the time needed to cut that much from it, so
rounds cost little; and a table that fits takes a single one.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xcrater.engine.plan import Plan

Ints = NDArray[np.int64]

AHEAD = max(2, os.cpu_count() or 1)
"""Largest number of tiles that are computed at a time, while the caller uses earlier ones."""


def _trim() -> Callable[[int], Any]:
    """The allocator's function that returns free memory to the system, if it has one, as glibc does."""
    try:
        library = ctypes.CDLL(None)
    except (TypeError, OSError):  # on Windows a library needs a name
        return bool
    return getattr(library, "malloc_trim", bool)


_malloc_trim = _trim()


def give_memory_back() -> None:
    """Return free memory to the system.

    Pixels of craters are arrays of all sizes. The allocator keeps free memory between arrays in use, but has no room
    there for the next large array, so after some rounds it would hold half as much again as the option ``memory``
    allows.
    """
    _malloc_trim(0)


class Room(NamedTuple):
    """Numbers of bytes that pixels may take.

    Parameters
    ----------
    threads : int
        Bytes that all threads together may cut from their current tiles.
    waiting : int
        Bytes of pixels that may wait for tiles that have not yet been read. A crater that takes more is read by itself.
    """

    threads: int
    waiting: int

    @classmethod
    def within(cls, memory: int) -> Room:
        """Shares of the allowed memory: a quarter for waiting pixels, and a sixth for all threads together.

        The rest is for pixels cut earlier, for copies made while pieces are assembled, and for what the caller holds.
        """
        return cls(memory // 6, memory // 4)

    @property
    def accumulators(self) -> int:
        """Bytes of accumulators, if nothing else is kept of tiles: half of the memory."""
        return 2 * self.waiting

    @property
    def tile(self) -> int:
        """Bytes cut from one tile at a time for craters that lie on it alone, and the same again for all others."""
        return max(1, self.threads // (2 * (os.cpu_count() or 1)))


def in_rounds(plan: Plan, sizes: Ints, room: Room) -> list[Plan]:
    """Divide the craters of a plan among rounds, each of which respects the available room.

    Parameters
    ----------
    plan : Plan
        The tiles, in the order in which they are read.
    sizes : ndarray of int64, shape (craters of the plan,)
        Bytes that the pixels of each crater take.
    room : Room
        The available room. A crater that alone takes more gets a separate round.

    Returns
    -------
    list of Plan
        Plans of some of the craters each; every crater that lies on a tile is in exactly one of them.
    """
    tile = np.repeat(np.arange(len(plan)), np.diff(plan.offset))
    member = plan.member.astype(np.int64)
    several = plan.spread.count > 1
    number = np.zeros(len(plan.craters), np.int64)

    alone = ~several[member]
    taken = np.where(alone, sizes[member], 0)
    before = np.cumsum(taken) - taken
    within = before - before[plan.offset[:-1]][tile]
    number[member[alone]] = within[alone] // room.tile

    listed = np.flatnonzero(several[member])
    listings = _Listings(member[listed], tile[listed], plan, sizes)
    left = np.flatnonzero(several)
    left = left[np.argsort(sizes[left], kind="stable")]
    turn = 0
    while left.size:
        count = listings.most(left, room)
        number[left[:count]] = turn
        left, turn = left[count:], turn + 1
        listings = listings.of(left)
    if not number.any():
        return [plan]
    on_tile = plan.spread.count > 0
    return [plan.only(on_tile & (number == n)) for n in range(int(number.max()) + 1) if (number[on_tile] == n).any()]


def used_up(rounds: list[Plan]) -> Iterator[Plan]:
    """The rounds in order, each of which is forgotten once it has been used.

    A plan knows of every crater of the table on which tiles it lies, even of those that are left to other rounds.
    """
    rounds.reverse()
    while rounds:
        yield rounds.pop()


def along_tiles(plan: Plan, each: int, most: int) -> list[NDArray[np.int32]]:
    """Divide craters among rounds by their positions, so that few tiles are read in more than one round.

    Parameters
    ----------
    plan : Plan
        The tiles, in the order in which they are read.
    each : int
        Bytes of a tile's partial result for each of its craters.
    most : int
        Largest number of bytes of the partial results of a round; those of a single crater may be more.

    Returns
    -------
    list of ndarray of int32
        Positions in the plan of each round's craters, ascending; craters on no tile are among the first.
    """
    if plan.member.size * each <= most:
        return [np.arange(len(plan.craters), dtype=np.int32)]
    order = np.argsort(plan.spread.first, kind="stable")
    found = plan.spread.count[order].astype(np.int64) * each
    number = (np.cumsum(found) - found) // max(most, 1)
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    return [np.sort(run).astype(np.int32) for run in np.split(order, starts[1:])]


class _Listings(NamedTuple):
    """Craters that several tiles list, once for each of these tiles.

    Parameters
    ----------
    member, tile : ndarray of int64, shape (listings,)
        Position of the crater and of the tile in the plan.
    plan : Plan
        The plan.
    sizes : ndarray of int64
        Bytes that the pixels of each crater of the plan take.
    """

    member: Ints
    tile: Ints
    plan: Plan
    sizes: Ints

    def of(self, craters: Ints) -> _Listings:
        """Select the listings of some craters."""
        kept = np.zeros(len(self.plan.craters), bool)
        kept[craters] = True
        chosen = kept[self.member]
        return self._replace(member=self.member[chosen], tile=self.tile[chosen])

    def most(self, craters: Ints, room: Room) -> int:
        """Number of these craters, counted from the first, that fit the room together; at least one."""
        if self._fits(craters, room):
            return craters.size
        low, high = 1, craters.size - 1
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._fits(craters[:middle], room) else (low, middle - 1)
        return low

    def _fits(self, craters: Ints, room: Room) -> bool:
        spread, tiles = self.plan.spread, len(self.plan)
        size = self.sizes[craters].astype(float)
        change = np.bincount(spread.first[craters], size, tiles + 1)
        change -= np.bincount(spread.last[craters] + 1, size, tiles + 1)
        if np.cumsum(change).max() > room.waiting:
            return False
        held = self.of(craters)
        # Pieces are assumed to be equal, as if the crater were divided evenly among its tiles.
        piece = held.sizes[held.member] / spread.count[held.member]
        return bool(np.bincount(held.tile, piece, tiles).max() <= room.tile)
