"""Windows of the blocks of craters on a raster, and the dtype and size of their pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater import kernels
from xcrater.engine.craters import Craters
from xcrater.engine.outlined import OUTLINED
from xcrater.engine.region_set import RegionSet
from xcrater.geometry.grid import Window
from xcrater.raster.reading import Raster
from xcrater.raster.values import sentinel

Ints = NDArray[np.int64]

SIZED = 2**16
"""Number of craters whose windows are computed at a time if only their sizes are needed."""


@dataclass(frozen=True)
class BlockWindows:
    """The windows of the blocks of craters on a raster, and the properties of their pixels.

    Parameters
    ----------
    shapes : RegionSet
        The regions.
    raster : Raster
        Grid of the raster, and the meaning of its stored numbers.
    dtype : str
        Dtype of the stored numbers.
    """

    shapes: RegionSet
    raster: Raster
    dtype: str

    @property
    def result_dtype(self) -> np.dtype[Any]:
        """Dtype of the values: the raster's own, or float64 where a scale or offset applies."""
        return np.dtype("f8") if self.raster.decodes else np.dtype(self.dtype)

    @property
    def fill_value(self) -> Any:
        """Number shown for masked pixels: the raster's nodata, or None for numpy's default."""
        _, held = sentinel(self.raster.nodata, np.dtype(self.dtype))
        return self.raster.nodata if held and not self.raster.decodes else None

    def windows(self, craters: Craters) -> NDArray[np.int64]:
        """Window of every region of every crater, shape (region, crater, 4).

        A window is the bounding box of the region, rounded outwards to whole rows and columns. It may reach beyond the
        raster's edges. On a raster that goes once round the body, columns below 0 or beyond the width stand for those
        on the other side of the antimeridian; a region that goes all the way round contains each column once.
        """
        grid = self.raster.grid
        width, period = grid.columns, grid.period
        out = np.empty((len(self.shapes), len(craters), 4), np.int64)
        for k, bounds in enumerate(self._bounds(craters)):
            shown = np.asarray(np.isfinite(bounds).all(axis=1))
            top, bottom, left, right = np.where(shown[:, None], bounds, 0.0).T
            if np.isfinite(period):  # choose the copy whose middle lies within one turn of the first column
                turn = np.floor((left + right) / (2 * period))
                left, right = left - turn * period, right - turn * period
            if grid.wraps:
                # The period may differ from the width by a fraction of a column, so count from the crossed edge.
                start = np.where(left < 0, np.floor(left + period) - width, np.floor(left))
                stop = np.where(right > width, np.ceil(right - period) + width, np.ceil(right))
                whole = (right - left >= period * (1 - 1e-12)) | (stop - start >= width)
            elif np.isfinite(period):
                west = right - period > 0  # whether the copy one turn to the west reaches onto the grid
                here = left < width
                shift = np.where(west & ~here, period, 0.0)
                start, stop = np.floor(left - shift), np.ceil(right - shift)
                whole = (right - left >= period * (1 - 1e-12)) | (west & here)
            else:
                start, stop, whole = np.floor(left), np.ceil(right), np.zeros(left.size, bool)
            out[k, :, 0], out[k, :, 1] = np.floor(top), np.ceil(bottom)
            out[k, :, 2], out[k, :, 3] = np.where(whole, 0, start), np.where(whole, width, stop)
            out[k, ~shown] = 0
        return out

    def _bounds(self, craters: Craters) -> Iterator[NDArray[np.float64]]:
        """Yield the bounds of each region of the craters, shape (crater, 4): rows from and to, then columns."""
        shapes = self.shapes
        for k in range(len(shapes)):
            bounds = np.full((len(craters), 4), np.nan)
            _, one = shapes.of([k]).parts()[0]
            if one.closed:
                kernels.region_windows(
                    craters.column, craters.lat, craters.radius, one.bounds[1, 0], int(one.vertices[0]), shapes.grid,
                    kernels.node_scratch(int(one.vertices[0])), bounds,
                )  # fmt: skip
            else:
                assert one.frame is not None
                for start in range(0, len(craters), OUTLINED):
                    run = np.arange(start, min(start + OUTLINED, len(craters)))
                    west, east, top, bottom = one.regions[0].outlines(one.frame, craters.take(run)).bounds()
                    bounds[run] = np.stack([top, bottom, west, east], axis=1)
            yield bounds

    def sizes(self, craters: Craters, images: int) -> Ints:
        """Bytes that the values, masks and fractions of all regions of each crater take, shape (crater,)."""
        size = np.empty(len(craters), np.int64)
        for start in range(0, len(craters), SIZED):
            run = slice(start, min(start + SIZED, len(craters)))
            window = self.windows(craters.take(run))
            size[run] = ((window[..., 1] - window[..., 0]) * (window[..., 3] - window[..., 2])).sum(axis=0)
        return size * self.pixel_bytes(images)

    def pixel_bytes(self, images: int) -> int:
        """Bytes that the values and masks of all images of a pixel take, together with its fraction inside."""
        return images * (self.result_dtype.itemsize + 1) + (8 if self.shapes.exact else 0)

    def portions(self, window: Window) -> Iterator[Window]:
        """Yield the parts of a window that lie on the raster, each within one turn of longitude."""
        height, width = self.raster.grid.shape[0], self.raster.grid.columns
        row_start, row_stop = max(window[0], 0), min(window[1], height)
        for turn in (-1, 0, 1) if self.raster.grid.wraps else (0,):
            col_start, col_stop = max(window[2] - turn * width, 0), min(window[3] - turn * width, width)
            if row_start < row_stop and col_start < col_stop:
                yield row_start, row_stop, col_start, col_stop
