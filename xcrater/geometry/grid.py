"""The grid of a raster: the placement of its rows, columns and chunks on the body."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xcrater.geometry.frame import Frame, MapPlane, linear_frame
from xcrater.kernels import Rows

Window = tuple[int, int, int, int]
"""(row_start, row_stop, col_start, col_stop) in pixels of the whole grid."""

Floats = NDArray[np.float64]
Boxes = tuple[Floats, Floats, Floats, Floats]
"""First and last row coordinate, and first and last column coordinate, of every crater's region; NaN for no region."""


@dataclass(frozen=True)
class Grid:
    """A raster grid on a body.

    If columns are equally spaced in longitude and rows in latitude, on a sphere, regions have a closed form. Any other
    grid has a `frame`, in which their outlines are drawn.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    lon_origin, lon_step : float
        East longitude of the first column's outer edge, and longitude per column; degrees. The step is negative if
        columns run west. On a grid without a closed form they are 0 and 1, so that craters are placed by longitude.
    lat_origin, lat_step : float
        Latitude of the first row's outer edge, and latitude per row; degrees. The step is positive on south-up grids.
        On a grid without a closed form they are 0 and 1.
    row_edges, col_edges : tuple of int
        Bounds of the chunks, from 0 to the shape.
    frame : Frame or None
        Placement of the pixels on the body, for a grid without a closed form.
    linear_in : MapPlane or None
        The raster's own plane, for a grid with a closed form whose CRS is projected.
    """

    shape: tuple[int, int]
    lon_origin: float
    lon_step: float
    lat_origin: float
    lat_step: float
    row_edges: tuple[int, ...]
    col_edges: tuple[int, ...]
    frame: Frame | None = None
    linear_in: MapPlane | None = None

    @property
    def closed(self) -> bool:
        """Whether regions have a closed form."""
        return self.frame is None

    @property
    def period(self) -> float:
        """Columns per turn of longitude; infinite if columns do not repeat."""
        return 360.0 / abs(self.lon_step) if self.frame is None else self.frame.period

    @property
    def columns(self) -> int:
        """Number of columns that count: at most those of one turn of longitude, since further ones repeat places."""
        return self.shape[1] if self.shape[1] < self.period + 0.5 else round(self.period)

    @property
    def wraps(self) -> bool:
        """Whether the last column that counts is a neighbour of the first one across the edge of the grid."""
        return abs(self.period - self.columns) < 0.5 and round(self.period) == self.columns

    def to_frame(self) -> Frame:
        """The frame in which outlines are drawn on this grid; grids with a closed form also have one."""
        if self.frame is not None:
            return self.frame
        steps = (self.lon_origin, self.lon_step, self.lat_origin, self.lat_step)
        return linear_frame(steps, self.shape, linear_in=self.linear_in)

    @property
    def radians(self) -> Rows:
        """Positions of rows and columns in radians, as kernels take them."""
        return Rows(float(np.radians(self.lat_origin)), float(np.radians(self.lat_step)), float(self.period))

    def tiles(self, windows: Iterable[Window]) -> Iterator[tuple[tuple[int, int], Window]]:
        """Yield the chunks that meet any of some windows, in row-major order, as chunk numbers and window."""
        rows, cols = np.asarray(self.row_edges), np.asarray(self.col_edges)
        met = set()
        for row_start, row_stop, col_start, col_stop in windows:
            down = range(np.searchsorted(rows, row_start, "right") - 1, np.searchsorted(rows, row_stop, "left"))
            across = range(np.searchsorted(cols, col_start, "right") - 1, np.searchsorted(cols, col_stop, "left"))
            met |= set(itertools.product(down, across))
        for i, j in sorted(met):
            yield (i, j), (self.row_edges[i], self.row_edges[i + 1], self.col_edges[j], self.col_edges[j + 1])
