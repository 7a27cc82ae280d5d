"""Pixels of craters in independent parts that fit into memory."""

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
    """Blocks of craters in parts: some craters that lie close together, or a band of rows of a large crater.

    Parameters
    ----------
    source : BlockSource
        All blocks.
    parts : list of (ndarray of int64 or Rows)
        For each part, the positions of its craters, or its rows of a single crater.
    """

    source: BlockSource
    parts: list[Ints | Rows]

    @classmethod
    def of(cls, source: BlockSource, batch: int) -> PixelParts:
        """Divide blocks into parts: craters in the order of their last tile, then large craters.

        Parameters
        ----------
        source : BlockSource
            The blocks.
        batch : int
            Largest number of craters in a part. It has fewer if their pixels would take more than an eighth of the
            option ``memory``, because the previous part is still in use while one is being assembled.
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
        """Hash of the contents of the parts and of their bounds."""
        return graph.token(self.source.token, self.parts)

    def compute(self, number: int) -> list[Blocks]:
        """Compute the blocks of a part: one `Blocks` per region, or one for a band of rows."""
        part = self.parts[number]
        found = (
            [read_band(self.source, part).blocks] if isinstance(part, Rows) else all_complete(self.source.take(part))
        )
        give_memory_back()
        return found

    def add(self, store: Growing, number: int, blocks: list[Blocks]) -> None:
        """Add a part to a store that already holds all earlier parts."""
        part = self.parts[number]
        if not isinstance(part, Rows):
            store.append(blocks, self.source.position[blocks[0].crater])
            return
        store.append_band(Band(part.region, part.window, blocks[0]))
        if part.last:
            store.complete(part.position)
