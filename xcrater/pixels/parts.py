"""Pixels of craters in parts that fit into memory, and which need nothing of one another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xcrater.engine import graph
from xcrater.engine.rounds import Room, give_memory_back
from xcrater.options import get_option
from xcrater.pixels.bands import Band, Rows, cut_bands, read_band
from xcrater.pixels.blocks import Blocks, groups
from xcrater.pixels.gathering import all_complete
from xcrater.pixels.source import BlockSource
from xcrater.pixels.store import Growing

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PixelParts:
    """Blocks of craters in parts: some craters that lie near to one another, or a band of rows of a large one.

    Parameters
    ----------
    source : BlockSource
        All blocks.
    parts : list of (ndarray of int64 or Rows)
        Positions of the craters of each part, or the rows that it has of one.
    """

    source: BlockSource
    parts: list[Ints | Rows]

    @classmethod
    def of(cls, source: BlockSource, batch: int) -> PixelParts:
        """The parts of some blocks: craters in the order of the last tile that they lie on, then large ones.

        Parameters
        ----------
        source : BlockSource
            The blocks.
        batch : int
            Number of craters of a part, at most; it has fewer whose pixels would take more than an eighth of the
            option ``memory``, as the part before is still in use while one is put together.
        """
        room, spread = Room.within(get_option("memory")), source.plan.spread
        order = np.argsort(2 * spread.last + (spread.count > 1), kind="stable")
        large = source.large()
        order = order[~np.isin(order, large)]
        parts: list[Ints | Rows] = []
        for run in groups(source.sizes[order], room.waiting // 2):
            together = order[run]
            parts += [together[start : start + batch] for start in range(0, together.size, batch)]
        for position in large.tolist():
            parts += cut_bands(source, position, most=room.waiting)
        return cls(source, parts)

    @property
    def token(self) -> str:
        """A hash of what the parts are, and of how they were cut."""
        return graph.token(self.source.token, self.parts)

    def compute(self, number: int) -> list[Blocks]:
        """The blocks of a part: of every region, or of the rows of one."""
        part = self.parts[number]
        found = (
            [read_band(self.source, part).blocks] if isinstance(part, Rows) else all_complete(self.source.take(part))
        )
        give_memory_back()
        return found

    def add(self, store: Growing, number: int, blocks: list[Blocks]) -> None:
        """Add a part to a store that has all parts before it."""
        part = self.parts[number]
        if not isinstance(part, Rows):
            store.append(blocks, self.source.position[blocks[0].crater])
            return
        store.append_band(Band(part.region, part.window, blocks[0]))
        if part.last:
            store.complete(part.position)
