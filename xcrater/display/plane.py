"""The plane of a figure: a projection of the body with pixels, on which regions are placed as on a raster."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyproj
import xarray as xr
from numpy.typing import NDArray
from rasterio import Affine

from xcrater.engine.request import Request, make_request
from xcrater.errors import PlotError
from xcrater.geometry.bodies import Body, crs_on_body, get_body
from xcrater.geometry.frame import Frame
from xcrater.raster.reading import Raster, read_raster
from xcrater.table.crater_table import CraterTable
from xcrater.table.regions import Region

Floats = NDArray[np.float64]

NAMED = {
    "lonlat": "+proj=longlat",
    "north": "+proj=stere +lat_0=90 +lon_0=0",
    "south": "+proj=stere +lat_0=-90 +lon_0=0",
    "orthographic": "+proj=ortho +lat_0={lat:.6f} +lon_0={lon:.6f}",
    "mollweide": "+proj=moll +lon_0={lon:.6f}",
    "sinusoidal": "+proj=sinu +lon_0={lon:.6f}",
    "equidistant": "+proj=aeqd +lat_0={lat:.6f} +lon_0={lon:.6f}",
}
"""Projections by name; those with a centre are centred on the craters."""


class Extent(NamedTuple):
    """Bounds of a plane in units of its CRS: metres, or degrees of east longitude and latitude."""

    west: float
    east: float
    south: float
    north: float


@dataclass(frozen=True)
class Plane:
    """A rectangle in the plane of a CRS, divided into pixels.

    Parameters
    ----------
    crs : pyproj.CRS
        A CRS of longitude and latitude in degrees, or a projected one.
    extent : Extent
        The rectangle.
    shape : tuple of int
        Rows and columns of the figure.
    body : str
        Name of the body.
    """

    crs: pyproj.CRS
    extent: Extent
    shape: tuple[int, int]
    body: str

    @property
    def geographic(self) -> bool:
        """Whether the coordinates of the plane are longitude and latitude."""
        return bool(self.crs.is_geographic)

    @property
    def steps(self) -> tuple[float, float]:
        """Width and height of a pixel, units of the CRS."""
        west, east, south, north = self.extent
        return (east - west) / self.shape[1], (north - south) / self.shape[0]

    @cached_property
    def sheet(self) -> xr.DataArray:
        """An empty raster with the grid of the plane."""
        dx, dy = self.steps
        pixels = np.broadcast_to(np.uint8(0), self.shape)
        sheet = xr.DataArray(pixels, dims=("y", "x"), attrs={"body": self.body})
        transform = Affine(dx, 0.0, self.extent.west, 0.0, -dy, self.extent.north)
        lying: xr.DataArray = sheet.rio.write_crs(self.crs.to_wkt()).rio.write_transform(transform)
        return lying

    @cached_property
    def raster(self) -> Raster:
        """The grid and CRS of the pixels, read like those of any raster."""
        return read_raster(self.sheet, body=get_body(self.body))

    @property
    def frame(self) -> Frame:
        """The transformation between pixels and places on the body."""
        return self.raster.grid.to_frame()

    def request(self, cdb: CraterTable, region: str | dict[str, Region]) -> Request:
        """Place craters and one of their regions on the plane's pixels."""
        return make_request(self.sheet, cdb, region, coverage="center", nodata=None)

    def from_pixels(self, u: Floats, v: Floats) -> tuple[Floats, Floats]:
        """Convert pixel coordinates to coordinates in the CRS."""
        dx, dy = self.steps
        return self.extent.west + dx * u, self.extent.north - dy * v

    def project(self, lon: Any, lat: Any) -> tuple[Floats, Floats]:
        """Convert longitude and latitude, degrees, to coordinates in the CRS; NaN where they are not on the map."""
        lon, lat = np.broadcast_arrays(np.asarray(lon, float), np.asarray(lat, float))
        u, v = self.frame.pixels(lon.ravel(), lat.ravel())
        good = np.isfinite(u) & np.isfinite(v)
        x, y = self.from_pixels(np.where(good, u, np.nan), np.where(good, v, np.nan))
        return x.reshape(lon.shape), y.reshape(lon.shape)

    def places(self) -> tuple[Floats, Floats]:
        """Longitude and planetocentric latitude of the pixels' centres, degrees; NaN off the body."""
        v, u = np.indices(self.shape, dtype=float) + 0.5
        lon, lat = self.frame.lonlat(u.ravel(), v.ravel())
        lost = ~(np.isfinite(lon) & np.isfinite(lat))
        if self.raster.grid.frame is not None and not self.geographic:
            # Outside the rim of a map PROJ may return a place that lies inside it, so check by projecting back
            back_u, back_v = self.frame.pixels(lon, lat)
            with np.errstate(invalid="ignore"):
                lost |= ~(np.hypot(back_u - u.ravel(), back_v - v.ravel()) < 0.5)
        lon, lat = np.where(lost, np.nan, lon), np.where(lost, np.nan, lat)
        return lon.reshape(self.shape), lat.reshape(self.shape)

    def metres(self) -> float:
        """Metres per unit of the CRS along the middle row, for a scale bar."""
        radius = self.raster.sphere
        if not self.geographic:
            return 1.0
        middle = (self.extent.south + self.extent.north) / 2
        return math.radians(1.0) * radius * math.cos(math.radians(middle))


def plane_crs(projection: Any, body: Body, sphere: float, centre: tuple[float, float]) -> pyproj.CRS:
    """Find the CRS of a plane.

    Parameters
    ----------
    projection : str or pyproj.CRS or None
        One of the names in `NAMED`, or anything pyproj reads; None for longitude and latitude.
    body : Body
        The body.
    sphere : float
        Radius of the sphere on which named projections are defined, metres.
    centre : tuple of float
        Longitude and latitude of the centre of named projections, degrees.

    Raises
    ------
    PlotError
        The name is unknown.
    BodyError
        The CRS belongs to another body.
    """
    if projection is None:
        projection = "lonlat"
    if isinstance(projection, str) and projection in NAMED:
        lon, lat = centre
        return pyproj.CRS(NAMED[projection].format(lon=lon, lat=lat) + f" +R={sphere!r} +no_defs")
    if isinstance(projection, str) and projection.isalpha():
        raise PlotError(f"received projection={projection!r}; expected one of {', '.join(map(repr, NAMED))}, or a CRS")
    return crs_on_body(projection, body)
