"""Single elements: one crater's pixels as a lazy masked array that reads only the tiles on which the crater lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater.engine import graph
from xcrater.engine.craters import Craters
from xcrater.engine.plan import Tile
from xcrater.geometry.grid import Window
from xcrater.pixels.cutting import Cut, Cutter
from xcrater.pixels.source import BlockSource


@dataclass(frozen=True, eq=False)
class Elements:
    """Makes the lazy masked arrays of one region, computing only once what all of them share.

    Parameters
    ----------
    source : BlockSource
        The blocks of a single region.
    """

    source: BlockSource

    @cached_property
    def _token(self) -> str:
        return graph.token(self.source.pixels.array.name, self.source.cutter)

    @cached_property
    def _meta(self) -> np.ma.MaskedArray[Any, Any]:
        cutter, ndim = self.source.cutter, self.source.request.da.ndim
        return np.ma.masked_array(np.empty((0,) * ndim, cutter.result_dtype), fill_value=cutter.fill_value)

    def pixels(self) -> int:
        """Number of pixels in one image of all elements, including masked ones."""
        window = self.source.cutter.windows(self.source.request.craters)[0]
        return int(((window[:, 1] - window[:, 0]) * (window[:, 3] - window[:, 2])).sum())

    def window(self, position: int) -> Window:
        """Window of one crater's element on the raster's grid: first and last row, first and last column."""
        return self._window(self._crater(position))

    def extent(self, position: int) -> tuple[float, float, float, float]:
        """Outer edges of one crater's element; see `CraterArrays.extent`."""
        raster = self.source.request.raster
        grid = raster.grid
        row_start, row_stop, col_start, col_stop = self.window(position)
        if not grid.closed:
            a, _, c, _, e, f = raster.surface[1]
            return c + a * col_start, c + a * col_stop, f + e * row_start, f + e * row_stop
        lon = [grid.lon_origin + grid.lon_step * col for col in (col_start, col_stop)]
        lat = [grid.lat_origin + grid.lat_step * row for row in (row_start, row_stop)]
        return lon[0], lon[1], lat[0], lat[1]

    def array(self, position: int) -> Any:
        """One crater's pixels as a lazy masked array, dimensions (extra dimensions of the raster, row, column)."""
        return self._gather(position, fraction=False)

    def fraction(self, position: int) -> Any:
        """Fraction of each pixel of one crater's element that lies inside the region, lazy; for exact coverage."""
        return self._gather(position, fraction=True)

    def _crater(self, position: int) -> Craters:
        return self.source.request.craters.take(np.array([position]))

    def _window(self, crater: Craters) -> Window:
        row_start, row_stop, col_start, col_stop = self.source.cutter.windows(crater)[0, 0].tolist()
        return row_start, row_stop, col_start, col_stop

    def _gather(self, position: int, *, fraction: bool) -> Any:
        crater, cutter, grid = self._crater(position), self.source.cutter, self.source.request.raster.grid
        window = self._window(crater)
        tiles = [
            Tile(index, (*tile[:3], min(tile[3], grid.columns)), crater)
            for index, tile in grid.tiles(cutter.portions(window))
        ]
        numbers = (int(crater.row[0]), float(crater.column[0]), float(crater.lat[0]), float(crater.radius[0]))
        return graph.gather(
            self.source.pixels.array,
            tiles,
            cutter,
            _Assemble(cutter, crater, self.source.lead, fraction),
            shape=(*(() if fraction else self.source.lead), window[1] - window[0], window[3] - window[2]),
            meta=np.empty((0, 0)) if fraction else self._meta,
            token=(self._token, numbers, crater.shapes, crater.near, fraction),
        )


@dataclass(frozen=True, eq=False)
class _Assemble:
    """Assembles one crater's masked array, or its fractions covered, from the pieces of its tiles.

    Parameters
    ----------
    cutter : Cutter
        Cuts the region from a tile.
    crater : Craters
        The one crater.
    lead : tuple of int
        Lengths of the raster's extra dimensions.
    fraction : bool
        Whether to return the fraction of each pixel inside the region instead of the values.
    """

    cutter: Cutter
    crater: Craters
    lead: tuple[int, ...]
    fraction: bool

    def __call__(self, cuts: Sequence[Cut]) -> NDArray[Any]:
        whole = [cut.whole for cut in cuts if len(cut.whole[0])]
        ((blocks,),) = whole or self.cutter.join(self.crater, [cut.parts for cut in cuts], self.lead)
        if not self.fraction:
            return blocks.arrays()[0]
        assert blocks.fraction is not None
        return blocks.fraction.reshape(blocks.shape[0])
