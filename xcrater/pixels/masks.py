"""Masks of the pixels that lie in a region of any crater, as arrays aligned with the raster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xcrater import kernels
from xcrater.engine import graph
from xcrater.engine.craters import Craters
from xcrater.engine.neighbours import Exclude
from xcrater.engine.plan import Plan, Tile
from xcrater.engine.region_set import RegionSet
from xcrater.engine.request import make_request
from xcrater.errors import RegionError, XcraterError
from xcrater.geometry.grid import Grid

if TYPE_CHECKING:
    from xcrater.table.crater_table import CraterTable

KINDS = {"any": "bool", "count": "int32", "crater": "int32"}
"""Dtype of each kind of mask."""

SHOWN = {
    "any": "whether the pixel is in any crater's {}",
    "count": "number of craters whose {} the pixel is in",
    "crater": "position of the crater whose {} the pixel is in",
}
"""Description of each kind of mask, to be completed by the name of the region."""


@dataclass(frozen=True)
class Marker:
    """Marks the pixels of a tile that lie in its craters' regions.

    Parameters
    ----------
    shapes : RegionSet
        The one region.
    kind : {"any", "count", "crater"}
        What a pixel of the mask states: whether it lies in any crater's region, in how many, or in which crater's, as
        the crater's row in the table (-1 for none).
    columns : int
        Columns of the grid in one turn of longitude.
    """

    shapes: RegionSet
    kind: str
    columns: int

    def __call__(self, tile: Tile) -> NDArray[Any]:
        """Mark one tile: an array of shape (rows, columns) of its window; bool for "any", else int32."""
        top, bottom, left, right = tile.window
        count = self.kind != "crater"
        out = np.full((bottom - top, right - left), 0 if count else -1, np.int32)
        craters = tile.craters
        if not count:  # smaller craters, and the first of equals, are written last, since later writes win
            craters = craters.take(np.lexsort((-craters.row, -craters.radius)))
        if len(craters):
            for _, shapes in self.shapes.parts():
                for start in range(left, right, self.columns):  # regions are drawn within one turn of longitude
                    window = (top, bottom, start, min(start + self.columns, right))
                    part = out[:, start - left : window[3] - left]
                    for drawn in shapes.draw(craters, window):
                        at = (drawn.record(), window)
                        if count:
                            kernels.count_regions(*at, part)
                        else:
                            kernels.name_craters(*at, craters.row[drawn.craters], part)
        return out > 0 if self.kind == "any" else out


def mask(
    da: xr.DataArray,
    cdb: CraterTable,
    region: str,
    kind: str = "any",
    *,
    coverage: str | None = None,
    exclude: Exclude | float | None = None,
) -> xr.DataArray:
    """Mark the pixels that lie in a region of any crater; see `CratersAccessor.mask`."""
    if not isinstance(region, str):
        raise RegionError(f"received region={region!r}; expected the name of one region, such as 'rim'")
    if kind not in KINDS:
        raise XcraterError(f"received kind={kind!r}; expected one of {', '.join(map(repr, KINDS))}")
    grid_alone = xr.zeros_like(da, dtype=bool)  # Only the grid matters, not the pixels or their attributes.
    request = make_request(grid_alone, cdb, region, coverage=coverage, nodata=None, exclude=exclude)
    raster = request.raster
    marker = Marker(request.shapes, kind, raster.grid.columns)
    tiles = list(_every_tile(raster.grid, request.plan()))
    data: Any
    if graph.is_lazy(request.da):
        data = graph.from_tiles(raster.grid, tiles, marker, dtype=KINDS[kind], token=(request.craters, marker))
    else:
        data = marker(tiles[0])
    dims = (raster.y_dim, raster.x_dim)
    coords = {name: c.variable for name, c in da.coords.items() if set(c.dims) <= set(dims)}
    attrs = {"long_name": SHOWN[kind].format(region), "units": "1"}
    attrs |= {"body": cdb.body, "coverage": request.shapes.coverage}
    return xr.DataArray(data, coords, dims, region, attrs).transpose(*(dim for dim in da.dims if dim in dims))


def _every_tile(grid: Grid, plan: Plan) -> Iterator[Tile]:
    """Yield every chunk as a whole, with its craters.

    A plan leaves out columns past one turn of longitude, which repeat places. A chunk with such columns receives the
    craters of all tiles in its row of chunks, since any of them may appear there.
    """
    found = {tile.index: tile for tile in plan}
    rows: dict[int, Craters] = {}
    none = plan.craters.take(slice(0, 0))
    for index, window in grid.tiles([(0, grid.shape[0], 0, grid.shape[1])]):
        if window[3] <= grid.columns:
            yield found.get(index, Tile(index, window, none))
            continue
        if index[0] not in rows:
            members = [tile.craters.row for tile in found.values() if tile.index[0] == index[0]]
            rows[index[0]] = plan.craters.take(np.unique(np.concatenate(members))) if members else none
        yield Tile(index, window, rows[index[0]])
