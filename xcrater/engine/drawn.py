"""Regions as runs of pixels: what every operation consumes, whatever drew it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater import kernels

Array = NDArray[Any]
Surface = tuple[NDArray[np.float64], NDArray[np.float64]]
"""True areas of a window's pixels and of those around it, and the areas that pixels count with."""

ROOM = 2**18
"""Runs that are drawn at once, unless one crater needs more."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """Regions of some craters as runs of pixels within a window.

    Parameters
    ----------
    craters : slice
        Which of the craters.
    runs : ndarray of int64, shape (3, n)
        (row, start, stop), rows ascending and columns ascending within a row, region after region.
    weight : ndarray, shape (n,)
        Fraction covered of each pixel of a run; or what is covered of its true area, as part of the one it counts.
    offset : ndarray of int64, shape (craters, regions, 2)
        Where each region's runs begin and end.
    """

    craters: slice
    runs: Array
    weight: Array
    offset: Array

    def record(self) -> kernels.Runs:
        """The runs as kernels take them."""
        return kernels.Runs(self.runs, self.weight, self.offset)

    def in_order(self) -> Drawn:
        """The same runs, and no others, crater by crater and region by region."""
        sizes = np.diff(self.offset, axis=2).ravel()
        ends = np.cumsum(sizes)
        offset = np.stack([ends - sizes, ends], axis=1).reshape(self.offset.shape)
        if (offset == self.offset)[..., 0].all():
            return replace(self, runs=self.runs[:, : offset[-1, -1, 1]], weight=self.weight[: offset[-1, -1, 1]])
        at = np.repeat((self.offset - offset)[..., 0].ravel(), sizes) + np.arange(sizes.sum())
        return Drawn(self.craters, self.runs[:, at], self.weight[at], offset)

    def pixels(self) -> int:
        """How many pixels all regions have, those of several counted for each."""
        total = np.concatenate([[0], np.cumsum(self.runs[2] - self.runs[1])]) if self.offset.size else np.zeros(1, int)
        return int((total[self.offset[..., 1]] - total[self.offset[..., 0]]).sum())
