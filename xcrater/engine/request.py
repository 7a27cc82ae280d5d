"""The request from which every operation starts: a raster, a table and its regions, checked and combined."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xcrater.engine.craters import Craters, on_grid
from xcrater.engine.neighbours import Exclude, check_exclude, find_neighbours
from xcrater.engine.plan import Plan, make_plan
from xcrater.engine.region_set import RegionSet
from xcrater.errors import NoOverlapWarning, ReadError, RegionError
from xcrater.geometry.bodies import get_body
from xcrater.geometry.grid import Boxes
from xcrater.options import get_coverage
from xcrater.raster.declared import prepare
from xcrater.raster.mosaic import check_chunks
from xcrater.raster.naming import CRATER, LAT, LON, RADIUS, REGION
from xcrater.raster.reading import Raster, read_raster
from xcrater.table.regions import CraterShapes, Region

if TYPE_CHECKING:
    from xcrater.table.crater_table import CraterTable


NAMED = 10
"""Number of craters that an error names before it counts the others."""


@dataclass(frozen=True, eq=False)
class Request:
    """Regions of a crater table laid over a raster.

    Parameters
    ----------
    da : xarray.DataArray
        The raster, rows and columns last.
    raster : Raster
        Placement of the raster on the body.
    names : list of str
        Names of the regions.
    shapes : RegionSet
        The regions on the grid.
    craters : Craters
        The craters on the grid.
    table : CraterDatabase
        The table.
    """

    da: xr.DataArray
    raster: Raster
    names: list[str]
    shapes: RegionSet
    craters: Craters
    table: CraterTable

    def with_data(self, da: xr.DataArray) -> Request:
        """The same request for the same pixels in other chunks along extra dimensions."""
        return replace(self, da=da)

    def of(self, regions: Sequence[int]) -> Request:
        """The same request for some of the regions."""
        return replace(self, names=[self.names[k] for k in regions], shapes=self.shapes.of(regions))

    def take(self, index: NDArray[np.integer]) -> Request:
        """The same request for some of the craters, which keep their rows of the table."""
        return replace(self, craters=self.craters.take(index))

    @property
    def images(self) -> int:
        """Largest number of images, over the raster's extra dimensions, in one block."""
        da = self.da
        return math.prod(max(c) for c in da.chunks[:-2]) if da.chunks else math.prod(da.shape[:-2])

    @cached_property
    def boxes(self) -> list[Boxes]:
        """Pixel bounds of every crater's regions, for each kind of outline."""
        return self.shapes.boxes(self.raster.grid, self.craters)

    def pixels(self) -> NDArray[np.float64]:
        """Upper bound of the number of pixels in each crater's largest region, shape (craters,)."""
        height, width = self.raster.grid.shape
        most = np.zeros(len(self.craters))
        for top, bottom, west, east in self.boxes:
            size = np.minimum(bottom - top + 2, height) * np.minimum(east - west + 2, width)
            most = np.fmax(most, size)
        return most

    def plan(self, boxes: list[Boxes] | None = None, *, warn: bool = True) -> Plan:
        """Divide the table by tile, by the regions' boxes or others; warns if none meets the raster."""
        plan = make_plan(self.raster.grid, self.craters, self.boxes if boxes is None else boxes)
        if warn and not len(plan) and len(self.craters):
            warnings.warn(
                f"no region of the {len(self.craters)} craters meets the raster; every count is 0. "
                "Check that the raster's longitudes and latitudes are those of the table",
                NoOverlapWarning,
                stacklevel=users_level(),
            )
        return plan

    @contextmanager
    def naming_craters(self) -> Iterator[None]:
        """Within the block, extend a ReadError of the raster's file by the craters that need the pixels in question."""
        try:
            yield
        except ReadError as err:
            if err.raster != self.da.encoding.get("source"):
                raise
            top, bottom, left, right = err.window
            rows: set[int] = set()
            for tile in self.plan(warn=False):
                if (
                    tile.window[0] < bottom
                    and tile.window[1] > top
                    and tile.window[2] < right
                    and tile.window[3] > left
                ):
                    rows.update(tile.craters.row.tolist())
            labels = self.table.data.index[sorted(rows)]
            named = ", ".join(map(str, labels[:NAMED])) + (
                f" and {len(labels) - NAMED} more" if len(labels) > NAMED else ""
            )
            text = f"{err}. Craters that need these pixels: {named}"
            raise ReadError.at(err.path, err.window, text, raster=err.raster) from err

    def image_coordinates(self) -> dict[str, xr.Variable]:
        """Coordinates along the raster's extra dimensions, and scalar ones."""
        of = set(self.raster.extra_dims)
        found = {str(name): c.variable for name, c in self.da.coords.items() if set(c.dims) <= of}
        found.pop("spatial_ref", None)
        return found

    def coordinates(self) -> dict[str, tuple[str, np.ndarray, dict[str, str]]]:
        """Coordinates along the crater dimension."""
        table, row = self.table, self.craters.row
        lat, lon, radius = (of.to_numpy()[row] for of in (table.lat, table.lon, table.rad))
        return {
            "crater": ("crater", table.data.index.to_numpy()[row], CRATER),
            "lat": ("crater", lat, LAT),
            "lon": ("crater", lon, LON),
            "radius": ("crater", radius, RADIUS),
        }

    def region_coordinate(self) -> tuple[str, list[str], dict[str, str]]:
        """Coordinate along the region dimension."""
        return "region", self.names, REGION


def make_request(
    da: xr.DataArray,
    cdb: CraterTable,
    regions: str | Iterable[str] | Mapping[str, Region],
    *,
    coverage: str | None,
    nodata: float | int | None,
    exclude: Exclude | float | None = None,
) -> Request:
    """Check a raster, a table and region names, and place them on one grid.

    Parameters
    ----------
    da : xarray.DataArray
        The raster.
    cdb : CraterDatabase
        The table.
    regions : str, iterable of str or mapping of str to Region
        Names of the table's regions; or regions that the table need not have, by name.
    coverage : {"all_touched", "center", "exact"} or None
        Which pixels belong to a region; None for the option ``coverage``.
    nodata : number or None
        Stored number that stands for a missing value, instead of the one that the raster declares.
    exclude : Exclude, number or None
        Exclusion of pixels near other craters.

    Raises
    ------
    GridError, BodyError, RegionError
        The raster cannot be read, it does not show the table's body, or a region or `exclude` cannot be used.
    """
    exclude = check_exclude(exclude, cdb)
    names = [regions] if isinstance(regions, str) else list(regions)
    if not names:
        raise RegionError(f"received no region; the table has {_listed(cdb)}")
    for name in names:
        if names.count(name) > 1:
            raise RegionError(f"the region {name!r} is asked for twice; name it once")
    declared = list(regions.values()) if isinstance(regions, Mapping) else [cdb.region(name) for name in names]
    coverage = get_coverage(coverage)
    da = prepare(da, nodata)
    raster = read_raster(da, body=get_body(cdb.body), nodata=nodata)
    da = da.transpose(..., raster.y_dim, raster.x_dim)
    check_chunks(da, users_level() + 1)
    grid = raster.grid
    shapes: list[CraterShapes] = []
    members = tuple(region.enter(cdb.data, raster.sphere, shapes) for region in declared)
    request = Request(
        da=da,
        raster=raster,
        names=names,
        shapes=RegionSet(members, coverage, grid.radians, grid.closed, grid.to_frame()),
        craters=replace(on_grid(grid, cdb, raster.sphere), shapes=tuple(shapes)),
        table=cdb,
    )
    if exclude is None:
        return request
    near = find_neighbours(grid, cdb, request.craters, request.boxes, exclude, sphere=raster.sphere)
    return replace(request, craters=replace(request.craters, near=near))


def users_level() -> int:
    """Stack level, as `warnings.warn` counts it for the caller, of the first frame outside this package."""
    package, level = __name__.partition(".")[0], 1
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    return level


def _listed(cdb: CraterTable) -> str:
    return ", ".join(map(repr, cdb.regions)) or 'none yet: cdb.add_annuli("rim", 1, 1.5)'
