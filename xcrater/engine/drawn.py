"""Regions as runs of pixels, the form that every operation consumes, however they were drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater import kernels

Array = NDArray[Any]
Surface = tuple[NDArray[np.float64], NDArray[np.float64]]
"""True areas of a window's pixels and of those around it, and the areas with which pixels count."""

ROOM = 2**18
"""Number of runs that are drawn at a time, unless one crater needs more."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """Regions of some craters as runs of pixels within a window.

    Parameters
    ----------
    craters : slice
        Positions of these craters among those that are drawn.
    runs : ndarray of int64, shape (3, n)
        (row, start, stop), rows ascending and columns ascending within a row, region after region.
    weight : ndarray, shape (n,)
        Fraction covered of each pixel of a run; or the covered true area, as a fraction of the area that the pixel
        counts with.
    offset : ndarray of int64, shape (craters, regions, 2)
        Positions at which each region's runs begin and end.
    """

    craters: slice
    runs: Array
    weight: Array
    offset: Array

    def record(self) -> kernels.Runs:
        """The record of the runs that kernels take."""
        return kernels.Runs(self.runs, self.weight, self.offset)

    def in_order(self) -> Drawn:
        """Arrange exactly these runs crater by crater and region by region."""
        sizes = np.diff(self.offset, axis=2).ravel()
        ends = np.cumsum(sizes)
        offset = np.stack([ends - sizes, ends], axis=1).reshape(self.offset.shape)
        if (offset == self.offset)[..., 0].all():
            return replace(self, runs=self.runs[:, : offset[-1, -1, 1]], weight=self.weight[: offset[-1, -1, 1]])
        at = np.repeat((self.offset - offset)[..., 0].ravel(), sizes) + np.arange(sizes.sum())
        return Drawn(self.craters, self.runs[:, at], self.weight[at], offset)

    def pixels(self) -> int:
        """Number of pixels of all regions; a pixel of several regions counts for each."""
        total = np.concatenate([[0], np.cumsum(self.runs[2] - self.runs[1])]) if self.offset.size else np.zeros(1, int)
        return int((total[self.offset[..., 1]] - total[self.offset[..., 0]]).sum())
