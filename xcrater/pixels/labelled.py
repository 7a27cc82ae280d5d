"""One crater's pixels as an xarray Dataset with coordinates, ready to plot and compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from xcrater.raster.naming import CRATER, LAT, LON, REGION, value_name
from xcrater.raster.reading import crs_wkt, georeferenced

Floats = NDArray[np.float64]


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
        """Compute longitude, latitude, distance and azimuth, shape (4, rows, columns), in degrees and crater radii."""
        lon, lat = places.lonlat(self.grid, self.u, self.v[:, None])
        return np.stack([lon, lat, *places.seen_from(self.grid, self.crater, lon, lat)])


def pixels(grid: Grid, window: Window) -> tuple[Floats, Floats]:
    """Pixel coordinates of the centres of a window's columns and rows.

    Columns are continuous across the antimeridian. If the raster's width differs from a full turn of longitude by a
    fraction of a column, columns beyond the antimeridian are shifted by that fraction.
    """
    cols, rows = np.arange(window[2], window[3]), np.arange(window[0], window[1])
    turns = cols // grid.columns if grid.wraps else 0
    shift = grid.period - grid.columns if grid.wraps else 0.0
    return np.asarray(cols + 0.5 + turns * shift), np.asarray(rows + 0.5)


@dataclass(frozen=True)
class Placement:
    """The place of a region's pixels in a window that contains several regions.

    Parameters
    ----------
    window : Window
        The common window.
    part : Window
        The region's own window, which may be in another turn of longitude.
    columns : int
        Columns in one turn of longitude; 0 on a raster that does not go round the body.
    """

    window: Window
    part: Window
    columns: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the window."""
        return self.window[1] - self.window[0], self.window[3] - self.window[2]

    def __call__(self, pixels: NDArray[Any], fill: Any) -> NDArray[Any]:
        """Place the region's pixels in the window, with a fill value around them."""
        out = np.full((*pixels.shape[:-2], *self.shape), fill, pixels.dtype)
        row = np.arange(self.part[0], self.part[1]) - self.window[0]
        column = np.arange(self.part[2], self.part[3]) - self.window[2]
        out[..., row[:, None], column % self.columns if self.columns else column] = pixels
        return out


def common_window(windows: Sequence[Window], grid: Grid) -> Window:
    """The smallest window that contains the windows of several regions of one crater, in one turn of longitude."""
    turn = grid.columns if grid.wraps else 0
    first, left, right = windows[0], [], []
    for window in windows:
        away = first[2] + first[3] - window[2] - window[3]
        shift = turn * round(away / 2 / turn) if turn else 0
        left.append(window[2] + shift)
        right.append(window[3] + shift)
    columns = (min(left), max(right))
    if turn and columns[1] - columns[0] > turn:
        columns = (0, turn)
    return min(w[0] for w in windows), max(w[1] for w in windows), *columns


def to_dataset(regions: Sequence[Elements], position: int) -> xr.Dataset:
    """Make the Dataset of one crater's pixels; see `CraterArrays.to_dataset`.

    Parameters
    ----------
    regions : sequence of Elements
        The lazy arrays of each region.
    position : int
        Position of the crater among them.
    """
    source, request = regions[0].source, regions[0].source.request
    grid, lazy = request.raster.grid, graph.is_lazy(request.da)
    windows = [elements.window(position) for elements in regions]
    window = common_window(windows, grid) if len(regions) > 1 else windows[0]
    turn = grid.columns if grid.wraps else 0
    each = [
        _of_region(elements, position, None if part == window else Placement(window, part, turn))
        for elements, part in zip(regions, windows, strict=True)
    ]
    names = [elements.source.regions[0] for elements in regions]
    if len(each) > 1:
        ds = xr.concat(each, xr.Variable("region", names, REGION), combine_attrs="override", join="override")
    else:
        ds = each[0].assign_coords(region=names[0])

    u, v = pixels(grid, window)
    a, b, c, d, e, f = request.raster.surface[1]
    crater = request.craters.take(np.array([position]))
    lon, lat, distance, azimuth = graph.single(
        Places(grid, crater, u, v),
        shape=(4, v.size, u.size),
        meta=np.empty((0, 0, 0)),
        token=("places", grid, crater, window),
    )
    ds["distance"] = (("y", "x"), distance, {"units": "crater radii", "long_name": "distance from the centre"})
    azimuth_text = "azimuth at the crater's centre, clockwise from north"
    ds["azimuth"] = (("y", "x"), azimuth, {"units": "degrees", "long_name": azimuth_text})

    extra = request.raster.extra_dims
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
    coords |= {"crater": ((), str(label) if isinstance(label, tuple) else label, CRATER)}
    attrs = {"crater": label.item() if isinstance(label, np.generic) else label}
    if len(names) == 1:
        attrs["region"] = names[0]
    attrs |= {f"crater_{k}": float(column[1][position]) for k, column in request.coordinates().items() if k != "crater"}
    corner = (a, b, c + a * window[2], d, e, f + e * window[0])
    ds = georeferenced(ds.assign_coords(coords).assign_attrs(attrs), crs_wkt(request.da), corner)
    return ds if lazy else ds.load()


def _of_region(elements: Elements, position: int, place: Placement | None) -> xr.Dataset:
    """Values, mask and, for exact coverage, fractions of one region, in its own window or in a larger one."""
    request = elements.source.request
    dims = (*request.raster.extra_dims, "y", "x")
    shown = {k: value for k, value in request.da.attrs.items() if k not in (*PACKING, "grid_mapping")}
    block = elements.array(position)
    dtype = _float(block.dtype)

    def mapped(function: Callable[..., Any], of: Any, dtype: Any) -> Any:
        chunks = None if place is None else (*of.chunks[:-2], *((n,) for n in place.shape))
        return of.map_blocks(function, dtype, place, dtype=dtype, chunks=chunks, meta=np.empty((0,) * of.ndim, dtype))

    variables = {
        "data": (dims, mapped(_nan_filled, block, dtype), {"long_name": value_name(request.da), **shown}),
        "mask": (dims, mapped(_held, block, bool), {"long_name": "pixel of the region that holds a value"}),
    }
    if request.shapes.exact:
        inside = elements.fraction(position)
        if place is not None:
            inside = mapped(_fraction, inside, float)
        variables["coverage"] = (("y", "x"), inside, {"units": "1", "long_name": "part of the pixel inside the region"})
    return xr.Dataset(variables)


def _float(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Dtype that holds NaN and all values of a dtype: the one that xarray chooses for masking, and float32 for bool."""
    if dtype.kind == "f":
        return dtype
    return np.dtype("f4" if dtype.itemsize <= 2 else "f8")


def _nan_filled(block: np.ma.MaskedArray[Any, Any], dtype: np.dtype[Any], place: Placement | None) -> NDArray[Any]:
    values = np.ma.filled(block.astype(dtype), np.nan)
    return values if place is None else place(values, np.nan)


def _held(block: np.ma.MaskedArray[Any, Any], dtype: Any, place: Placement | None) -> NDArray[np.bool_]:
    held = ~np.ma.getmaskarray(block)
    return held if place is None else place(held, False)


def _fraction(block: Floats, dtype: Any, place: Placement) -> Floats:
    return place(block, 0.0)
