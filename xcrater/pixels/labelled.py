"""One crater's pixels as an xarray Dataset with coordinates, ready to be plotted and compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xcrater.engine import graph
from xcrater.engine.craters import Craters
from xcrater.geometry import places
from xcrater.geometry.grid import Grid, Window
from xcrater.pixels.elements import Elements
from xcrater.raster.declared import PACKING
from xcrater.raster.reading import crs_wkt, georeferenced

Floats = NDArray[np.float64]

LON = {"units": "degrees_east", "long_name": "longitude"}
LAT = {"units": "degrees_north", "long_name": "planetocentric latitude"}


@dataclass(frozen=True, eq=False)
class Places:
    """Computes longitude, latitude, distance and azimuth of every pixel of a window.

    Parameters
    ----------
    grid : Grid
        Grid of the raster.
    crater : Craters
        The one crater that distance and azimuth refer to.
    u, v : ndarray
        Pixel coordinates of the columns' and of the rows' centres.
    """

    grid: Grid
    crater: Craters
    u: Floats
    v: Floats

    def __call__(self) -> Floats:
        """Longitude and latitude in degrees, distance in crater radii, azimuth in degrees; shape (4, rows, columns)."""
        lon, lat = places.lonlat(self.grid, self.u, self.v[:, None])
        return np.stack([lon, lat, *places.seen_from(self.grid, self.crater, lon, lat)])


def pixels(grid: Grid, window: Window) -> tuple[Floats, Floats]:
    """Pixel coordinates of the centres of a window's columns and rows.

    Columns run on across the antimeridian. Where the raster's width differs from a full turn of longitude by a
    fraction of a column, columns beyond the antimeridian are shifted by that fraction.
    """
    cols, rows = np.arange(window[2], window[3]), np.arange(window[0], window[1])
    turns = cols // grid.columns if grid.wraps else 0
    shift = grid.period - grid.columns if grid.wraps else 0.0
    return np.asarray(cols + 0.5 + turns * shift), np.asarray(rows + 0.5)


def to_dataset(elements: Elements, position: int) -> xr.Dataset:
    """One crater's region as a Dataset; see `CraterArrays.to_dataset`.

    Parameters
    ----------
    elements : Elements
        The lazy arrays of the region.
    position : int
        Position of the crater among them.
    """
    source, request = elements.source, elements.source.request
    grid, (region,) = request.raster.grid, source.regions
    window = elements.window(position)
    u, v = pixels(grid, window)
    a, b, c, d, e, f = request.raster.surface[1]
    extra = request.raster.extra_dims
    dims = (*extra, "y", "x")

    block = elements.array(position)
    dtype = _float(block.dtype)
    shown = {k: value for k, value in request.da.attrs.items() if k not in (*PACKING, "grid_mapping")}
    data = block.map_blocks(_nan_filled, dtype, dtype=dtype, meta=np.empty((0,) * block.ndim, dtype))
    mask = block.map_blocks(_held, dtype=bool, meta=np.empty((0,) * block.ndim, bool))
    crater = request.craters.take(np.array([position]))
    lon, lat, distance, azimuth = graph.single(
        Places(grid, crater, u, v),
        shape=(4, v.size, u.size),
        meta=np.empty((0, 0, 0)),
        token=("places", grid, crater, window),
    )
    name = "value" if request.da.name is None else str(request.da.name)
    variables = {
        "data": (dims, data, {"long_name": name, **shown}),
        "mask": (dims, mask, {"long_name": "pixel of the region that holds a value"}),
    }
    if request.shapes.exact:
        inside = elements.fraction(position)
        variables["coverage"] = (("y", "x"), inside, {"units": "1", "long_name": "part of the pixel inside the region"})
    variables["distance"] = (("y", "x"), distance, {"units": "crater radii", "long_name": "distance from the centre"})
    variables["azimuth"] = (
        ("y", "x"),
        azimuth,
        {"units": "degrees", "long_name": "azimuth at the crater's centre, clockwise from north"},
    )

    coords: dict[Any, Any] = {
        name: coord for name, coord in request.da.coords.items() if coord.dims and set(coord.dims) <= set(extra)
    }
    coords |= {"y": f + e * v, "x": c + a * u}
    if grid.to_frame().crs:
        coords |= {"lon": (("y", "x"), lon, LON), "lat": (("y", "x"), lat, LAT)}
    else:  # columns are meridians and rows are parallels
        coords["lon"] = ("x", places.lonlat(grid, u, 0.0)[0], LON)
        coords["lat"] = ("y", places.lonlat(grid, 0.0, v)[1], LAT)
    label = source.labels[position]
    coords |= {"crater": str(label) if isinstance(label, tuple) else label, "region": region}
    attrs = {"crater": label.item() if isinstance(label, np.generic) else label, "region": region}
    attrs |= {f"crater_{k}": float(column[1][position]) for k, column in request.coordinates().items() if k != "crater"}
    corner = (a, b, c + a * window[2], d, e, f + e * window[0])
    ds = georeferenced(xr.Dataset(variables, coords, attrs), crs_wkt(request.da), corner)
    return ds if graph.is_lazy(request.da) else ds.load()


def _float(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Dtype that can hold NaN besides all values of a dtype: what xarray chooses to mask it, and float32 for bool."""
    if dtype.kind == "f":
        return dtype
    return np.dtype("f4" if dtype.itemsize <= 2 else "f8")


def _nan_filled(block: np.ma.MaskedArray[Any, Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.ma.filled(block.astype(dtype), np.nan)


def _held(block: np.ma.MaskedArray[Any, Any]) -> NDArray[np.bool_]:
    return ~np.ma.getmaskarray(block)
