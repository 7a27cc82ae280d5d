"""The order statistics that one request searches for, and the memory that the search may take."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater.statistics.quantiles.coding import Coding
from xcrater.statistics.quantiles.wanted import OrderStatistics

DIGIT = 16
"""Bits of a key that one pass over the tiles determines."""

CACHED = 2**22
"""Number of pixels with 16-bit keys that fit into the processor's cache."""


@dataclass(frozen=True)
class Problem:
    """One request's order statistics.

    Parameters
    ----------
    wanted : OrderStatistics
        The order statistics that all aggregations of the request need together.
    coding : Coding
        The mapping of the raster's stored numbers to keys.
    regions : int
        Number of regions of each crater.
    memory : int
        Bytes that values, counts and their copies may take in one process.
    weighted : bool
        Whether pixels have weights.
    given : bool
        Whether the weights are a user-supplied array, which only the first pass over tiles reads.
    """

    wanted: OrderStatistics
    coding: Coding
    regions: int
    memory: int
    weighted: bool = False
    given: bool = False

    @property
    def quantiles(self) -> NDArray[np.float64]:
        """The requested quantiles, from 0 to 1."""
        return np.array(self.wanted.quantiles)

    @property
    def counts_values(self) -> bool:
        """Whether the answers require the number (or weight) of the pixels of each distinct value."""
        return self.wanted.distinct or self.weighted

    @property
    def narrows(self) -> bool:
        """Whether keys can be found 16 bits at a time, as for quantiles alone of wide keys."""
        return not self.wanted.distinct and self.coding.bits > DIGIT

    @property
    def passes(self) -> int:
        """Number of passes over the tiles of a crater whose keys are found 16 bits at a time."""
        return max(1, self.coding.bits // DIGIT)

    @property
    def room(self) -> int:
        """Number of pixels that a tile may hold at a time so that all threads together take half of the memory."""
        key = self.coding.key.itemsize
        # Keys and the same again to sort them; weights; counts, values and their copies.
        each = 2 * key + 16 * self.weighted + (48 if self.counts_values else 0)
        room = max(1, self.memory // (2 * (os.cpu_count() or 1) * each))
        # Keys that are counted rather than sorted are processed in pieces that stay in the processor's cache.
        return min(room, CACHED) if self.coding.bits <= DIGIT else room

    def rois(self, craters: NDArray[Any], image: int, images: int) -> NDArray[np.int64]:
        """Number of the ROI of each crater and region in one of several images, shape (craters, regions)."""
        return (craters.astype(np.int64)[:, None] * images + image) * self.regions + np.arange(self.regions)
