"""Placement of a DataArray on its body, and the meaning of its stored numbers. Only this module uses rioxarray."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import pyproj
import rioxarray  # noqa: F401  (registers .rio)
import xarray as xr
from rasterio import Affine

from xcrater.errors import BodyError, GridError
from xcrater.geometry.bodies import Body, horizontal, same_body
from xcrater.geometry.frame import Frame, MapPlane, linear_frame, make_frame
from xcrater.geometry.grid import Grid
from xcrater.geometry.projection import classify, refuse_derived
from xcrater.raster.axes import place_axes
from xcrater.raster.declared import declaration


@dataclass(frozen=True)
class Raster:
    """A DataArray read as a raster: its grid, and how its stored numbers become values.

    Parameters
    ----------
    grid : Grid
        Placement of the pixels.
    y_dim, x_dim : str
        Names of the row and column dimensions.
    extra_dims : tuple of str
        All other dimensions, in order.
    nodata : float or int or None
        Stored number that stands for a missing value.
    scale, offset : float
        ``value = stored * scale + offset``.
    sphere : float
        Radius in metres of the sphere that turns metres into angles: that of the body, or that of the raster's CRS if
        this shows the body on another sphere.
    surface : tuple
        CRS as WKT and geotransform (a, b, c, d, e, f), as `xcrater.geometry.areas.pixel_areas` takes them.
    """

    grid: Grid
    y_dim: str
    x_dim: str
    extra_dims: tuple[str, ...]
    nodata: float | int | None
    scale: float
    offset: float
    sphere: float
    surface: tuple[str, tuple[float, float, float, float, float, float]]

    @property
    def decodes(self) -> bool:
        """Whether values differ from the stored numbers."""
        return (self.scale, self.offset) != (1.0, 0.0)

    def decode(self, stored: Any) -> Any:
        """Convert stored numbers to values, as float64 if a scale or offset applies."""
        return np.multiply(stored, self.scale, dtype=np.float64) + self.offset if self.decodes else stored


def read_raster(da: xr.DataArray, *, body: Body | None = None, nodata: float | int | None = None) -> Raster:
    """Determine how a DataArray's pixels lie on a body.

    Parameters
    ----------
    da : xarray.DataArray
        Raster with two spatial dimensions, coordinates or a geotransform, and a CRS that rioxarray finds.
    body : Body, optional
        The body that the raster must show.
    nodata : number, optional
        Stored number that stands for a missing value, instead of the one that the raster declares.

    Returns
    -------
    Raster
        The grid, the names of dimensions, nodata, scale and offset.

    Raises
    ------
    GridError
        The raster has no spatial dimensions, coordinates or CRS; its pixels are uneven or rotated; or its projection
        cannot be inverted or shows nothing of the body where the pixels are.
    BodyError
        The raster shows another body.
    """
    if not isinstance(da, xr.DataArray):
        raise GridError(f"received an object of type {type(da).__name__}; expected an xarray.DataArray")
    y_dim, x_dim = spatial_dims(da)
    crs = _crs(da, body)
    body = None if body is None else _shown(da, crs, body)
    (x_origin, x_step), (y_origin, y_step) = place_axes(da, y_dim, x_dim, crs)
    shape = (da.sizes[y_dim], da.sizes[x_dim])
    linear, frame = _placed(crs, (x_origin, x_step, y_origin, y_step), shape, body)
    if linear is not None and shape[0] * abs(linear[3]) > 180.0 + 2 * abs(linear[3]):
        raise GridError(
            f"the grid spans {shape[0] * abs(linear[3]):g}° of latitude; expected at most 180. Its coordinates are "
            f"probably not in the units of its CRS {crs.name!r}: check da.rio.transform() and da.rio.crs"
        )
    placed = linear if linear is not None and frame is None else (0.0, 1.0, 0.0, 1.0)
    own = MapPlane(horizontal(crs).to_wkt(), (x_origin, x_step, y_origin, y_step))
    linear_in = own if frame is None and horizontal(crs).is_projected else None
    edges = _edges(da, y_dim), _edges(da, x_dim)
    grid = Grid(shape, *placed, *edges, frame=frame, linear_in=linear_in)
    if da.dtype.kind not in "biuf":
        raise GridError(f"received pixels of dtype {da.dtype}; expected real numbers: da.astype('float64')")
    fills, scale, offset = declared = declaration(da, nodata)
    if not declared.uniform or isinstance(scale, xr.DataArray) or isinstance(offset, xr.DataArray):
        raise GridError(
            "received images that declare different nodata, scales or offsets; expected one of each. "
            "Open them as values: da = xcrater.open_mosaic(path)"
        )
    return Raster(
        grid=grid,
        y_dim=y_dim,
        x_dim=x_dim,
        extra_dims=tuple(str(d) for d in da.dims if d not in (y_dim, x_dim)),
        nodata=fills[0] if fills and not isinstance(fills[0], xr.DataArray) else None,
        scale=float(scale),
        offset=float(offset),
        sphere=classify(crs).axes[0] if body is None else body.radius,
        surface=(crs.to_wkt(), (x_step, 0.0, x_origin, 0.0, y_step, y_origin)),
    )


def _shown(da: xr.DataArray, crs: pyproj.CRS, body: Body) -> Body:
    """Check that a raster shows a body; if the user declares so, the body gets the radius of the raster's sphere."""
    own = classify(crs).axes[0]
    said = str(da.attrs.get("body", "")).lower() == body.name
    if said and _can_be_sphere_of(body, own):
        return replace(body, radius=own)
    if same_body(crs, body):
        return body
    received = (
        f"the raster's CRS {crs.name!r} (semi-major axis {_axis(crs):g} m) is not on {body.name}, the table's body "
        f"(radius {body.radius:g} m)"
    )
    correct = f'da = da.rio.write_crs("{body.crs.to_string()}")'
    if not _can_be_sphere_of(body, own):
        raise BodyError(
            f"{received}, and is too far from it for a sphere of its own. If it shows {body.name} and its coordinates "
            f"are degrees, the label is wrong: {correct}. If they are metres, write the CRS that they are really in"
        )
    raise BodyError(
        f"{received}. If it shows {body.name} on a sphere of its own, say so: da = "
        f'xcrater.open_mosaic(path, body="{body.name}"), or da = da.assign_attrs(body="{body.name}"); that sphere then '
        f"turns metres into angles. If the label is wrong, correct it: {correct}"
    )


def _can_be_sphere_of(body: Body, radius: float) -> bool:
    """Whether a map of a body may be on a sphere of that radius, metres.

    Bodies of more than some 400 km in radius are round, so any sphere used for them is close to the mean one. (That of
    the Earth is 5.4 % larger than that of Venus.) Smaller bodies have unequal axes, any of which a map may use.
    """
    factor = 1.05 if body.radius > 400e3 else 2.0
    return body.radius / factor <= radius <= body.radius * factor


def crs_wkt(da: xr.DataArray) -> str:
    """WKT of the CRS that a DataArray declares, with its names and codes."""
    return str(da.rio.crs.to_wkt(version="WKT2_2019"))


Gridded = TypeVar("Gridded", xr.DataArray, xr.Dataset)


def georeferenced(da: Gridded, crs: str, transform: Iterable[float]) -> Gridded:
    """Attach a CRS and geotransform (a, b, c, d, e, f) to pixels of dimensions y and x, as rioxarray does."""
    # In place, because copies would copy every pixel.
    da = da.rio.write_crs(crs, inplace=True).rio.write_transform(Affine(*transform), inplace=True)
    return da.rio.write_coordinate_system(inplace=True) if "x" in da.coords else da


def spatial_dims(da: xr.DataArray) -> tuple[str, str]:
    """Names of a DataArray's row and column dimensions; raises a `GridError` if it has none."""
    for y, x in (("y", "x"), ("latitude", "longitude"), ("lat", "lon")):
        if y in da.dims and x in da.dims:
            return y, x
    try:
        return str(da.rio.y_dim), str(da.rio.x_dim)
    except Exception as err:  # rioxarray raises several types here
        raise GridError(
            f"received a DataArray with dimensions {tuple(da.dims)}; expected two spatial ones such as ('y', 'x'). "
            "Name them: da = da.rio.set_spatial_dims(x_dim=..., y_dim=...)"
        ) from err


def _crs(da: xr.DataArray, body: Body | None) -> pyproj.CRS:
    crs = da.rio.crs
    if crs is None:
        code, name = ("IAU_2015:30100", "moon") if body is None else (body.crs.to_string(), body.name)
        raise GridError(
            "the raster has no CRS, so it is not known what body it shows or how. "
            f'Set it: da = da.rio.write_crs("{code}") for longitude and latitude on {name}'
        )
    found = pyproj.CRS.from_user_input(crs)
    refuse_derived(found)  # before the body is checked, because correcting the body would not straighten the grid
    return found


def _axis(crs: pyproj.CRS) -> float:
    return crs.ellipsoid.semi_major_metre if crs.ellipsoid is not None else float("nan")


def _edges(da: xr.DataArray, dim: str) -> tuple[int, ...]:
    chunks = da.chunksizes.get(dim, (da.sizes[dim],))
    return (0, *np.cumsum(chunks).tolist())


def _placed(
    crs: pyproj.CRS, transform: tuple[float, float, float, float], shape: tuple[int, int], body: Body | None
) -> tuple[tuple[float, float, float, float] | None, Frame | None]:
    """Origin and step of longitude and latitude if these are linear; and a frame if the grid has no closed form."""
    projection = classify(crs)
    radius = projection.axes[0] if body is None else body.radius
    linear = projection.linear
    if linear is None:
        return None, make_frame(horizontal(crs), transform, shape, radius)
    x_origin, x_step, y_origin, y_step = transform
    placed = (
        linear.lon + linear.lon_per_x * x_origin,
        linear.lon_per_x * x_step,
        linear.lat + linear.lat_per_y * y_origin,
        linear.lat_per_y * y_step,
    )
    if projection.sphere:
        return placed, None
    axes, ocentric = projection.axes, projection.planetocentric
    return placed, linear_frame(placed, shape, axes=axes, radius=radius, ocentric=ocentric)
