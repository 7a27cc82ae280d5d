"""The areal scale of a CRS: area on the body per area on the plane, and the coordinates on which it depends.

`xcrater.geometry.projection.classify` classifies the CRS; this module measures how its areas vary over the plane.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyproj
from numpy.typing import NDArray

from xcrater.errors import GridError
from xcrater.geometry.bodies import horizontal
from xcrater.geometry.projection import classify

Floats = NDArray[np.float64]
Places = Callable[[Floats, Floats], tuple[Floats, Floats]]

_ROUND_TRIP = 1e-7


@dataclass(frozen=True)
class Plane:
    """Properties of a CRS that determine true areas.

    Parameters
    ----------
    a, e2 : float
        Semi-major axis in metres, and the eccentricity squared.
    kind : {"cylindrical", "equal area", "other"}
        How areas vary: for "cylindrical" with y alone, for "equal area" not at all.
    linear : tuple of float or None
        Latitude where y is 0, and latitude and longitude per unit, degrees; None unless both are linear.
    planetocentric : bool
        Whether the latitude of `linear` is planetocentric.
    proj : pyproj.Proj or None
        The projection; None for longitude and latitude.
    lon_per_unit : float
        Longitude per unit of x in a cylindrical projection, degrees.
    spherical : bool
        Whether the projection treats an ellipsoid as a sphere.
    square_metres : float
        Area of a square of one unit on the plane, in m² of the plane.
    """

    a: float
    e2: float
    kind: Literal["cylindrical", "equal area", "other"]
    linear: tuple[float, float, float] | None = None
    planetocentric: bool = False
    proj: pyproj.Proj | None = None
    lon_per_unit: float = 0.0
    spherical: bool = False
    square_metres: float = 1.0


_local = threading.local()


def plane_of(crs: Any) -> Plane:
    """The record of a CRS, one per thread, because PROJ objects must not be shared."""
    crs = pyproj.CRS.from_user_input(crs)
    planes: dict[str, Plane] = _local.__dict__.setdefault("planes", {})
    key = crs.to_wkt()
    if key not in planes:
        if len(planes) > 32:
            planes.clear()
        planes[key] = _make_plane(crs)
    return planes[key]


def _make_plane(crs: pyproj.CRS) -> Plane:
    projection = classify(crs)
    crs = horizontal(crs)
    a, b = projection.axes
    e2 = (a - b) * (a + b) / a**2
    if projection.family == "geographic":
        assert projection.linear is not None
        unit = projection.linear.lat_per_y
        unit = 1.0 if abs(unit - 1.0) < 1e-12 else unit
        return Plane(a, e2, "cylindrical", (0.0, unit, unit), projection.planetocentric)
    try:
        with warnings.catch_warnings():
            # A PROJ string loses names and codes, which do not affect areas
            warnings.simplefilter("ignore", UserWarning)
            proj = pyproj.Proj(crs)
    except pyproj.exceptions.CRSError as err:
        raise GridError(f"received the CRS {crs.name!r}, which PROJ cannot compute areas in: {err}") from err
    metres = re.search(r"\+to_meter=(\S+)", proj.srs)
    units = re.search(r"\+units=(\S+)", proj.srs)
    known = pyproj.database.get_units_map()
    to_metre = float(metres[1]) if metres else 1.0
    if units and units[1] != "m" and not metres:
        to_metre = next((unit.conv_factor for unit in known.values() if unit.proj_short_name == units[1]), 1.0)
    return _with_dependence(Plane(a, e2, "other", proj=proj, square_metres=to_metre**2))


def _with_dependence(plane: Plane) -> Plane:
    """Complete the record of a projection by the variation of its areas, found by trying it at some places."""
    assert plane.proj is not None
    lon = central(plane) + np.array([-100.0, -60.0, -20.0, 10.0, 70.0, 110.0])
    lat = np.array([-75.0, -45.0, -10.0, 0.0, 25.0, 50.0, 80.0])
    lons, lats = np.meshgrid(lon, lat)
    x, y = plane.proj(lons, lats)
    size = plane.a / np.sqrt(plane.square_metres)
    good = np.isfinite(x) & np.isfinite(y)
    if not good.any():
        return plane

    def same(values: Floats, expected: Floats | float) -> bool:
        return bool(np.abs(values - expected).max() < 1e-11 * size)

    plane = replace(plane, spherical=_is_spherical(plane, lons[good], lats[good]))
    if good.all() and same(x, x[:1]) and same(y, y[:, :1]):
        per_degree = (x[0, -1] - x[0, 0]) / (lon[-1] - lon[0])
        if same(x[0], x[0, 0] + per_degree * (lon - lon[0])):
            plane = replace(plane, kind="cylindrical", lon_per_unit=1.0 / per_degree)
            slope = (y[-1, 0] - y[0, 0]) / (lat[-1] - lat[0])
            if same(y[:, 0], y[0, 0] + slope * (lat - lat[0])):
                at_zero = lat[3] - y[3, 0] / slope
                plane = replace(plane, linear=(float(at_zero), float(1.0 / slope), float(1.0 / per_degree)))
            return plane
    assert plane.proj is not None
    if plane.spherical:
        return plane  # a projection of equal areas on the sphere does not have them on the ellipsoid
    scale = plane.proj.get_factors(lons[good], lats[good], errcheck=False).areal_scale
    return replace(plane, kind="equal area") if np.abs(scale - 1.0).max() < 1e-8 else plane


def _is_spherical(plane: Plane, lon: Floats, lat: Floats) -> bool:
    """Whether PROJ computes on a sphere although the body is an ellipsoid, judged by its area of a small square."""
    assert plane.proj is not None
    if plane.e2 == 0.0:
        return False
    h = 1e-3
    east, west, north, south = (plane.proj(lon + dx, lat + dy) for dx, dy in ((h, 0.0), (-h, 0.0), (0.0, h), (0.0, -h)))
    xx, yx, xy, yy = east[0] - west[0], east[1] - west[1], north[0] - south[0], north[1] - south[1]
    square = np.abs(xx * yy - xy * yx) * plane.square_metres / np.radians(2 * h) ** 2
    ellipsoid = (
        plane.a**2 * (1 - plane.e2) * np.cos(np.radians(lat)) / (1 - plane.e2 * np.sin(np.radians(lat)) ** 2) ** 2
    )
    sphere = plane.a**2 * np.cos(np.radians(lat))
    scale = plane.proj.get_factors(lon, lat, errcheck=False).areal_scale
    off = [np.nanmedian(np.abs(square / area / scale - 1)) for area in (ellipsoid, sphere)]
    return bool(off[1] < off[0])


def central(plane: Plane) -> float:
    """Longitude of the central meridian, degrees."""
    assert plane.proj is not None
    middle = re.search(r"\+lon_0=(\S+)", plane.proj.srs)
    return float(middle[1]) if middle else 0.0


def inverse(plane: Plane, x: Floats, y: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Longitude and latitude of points on the plane, and which of them are on the map, because they project back."""
    assert plane.proj is not None
    lon, lat = plane.proj(x, y, inverse=True)
    good = np.isfinite(lon) & np.isfinite(lat)
    back = plane.proj(np.where(good, lon, 0.0), np.where(good, lat, 0.0))
    size = plane.a / np.sqrt(plane.square_metres)
    with np.errstate(invalid="ignore"):
        good &= np.hypot(back[0] - x, back[1] - y) < _ROUND_TRIP * size
    return np.asarray(lon), np.asarray(lat), good


def places(plane: Plane, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Longitude and latitude of points of the map; if PROJ fails to invert one, a neighbouring point is used."""
    lon, lat, good = inverse(plane, x, y)
    for shift in (1e-12, -1e-11, 1e-10, -1e-9, 1e-9, -1e-8, 1e-8, 3e-8):
        lost = np.flatnonzero(~good)
        if not lost.size:
            break
        beside = shift * plane.a / np.sqrt(plane.square_metres)
        lon[lost], lat[lost], good[lost] = inverse(plane, x[lost] + beside, y[lost] - beside / 2)
    return lon, lat


def surrounded(plane: Plane, x: Floats, y: Floats) -> bool:
    """Whether the whole border of a window lies on the map."""
    across, down = np.ones(x.size), np.ones(y.size)
    border_x = np.concatenate([x, x, x[0] * down, x[-1] * down])
    border_y = np.concatenate([y[0] * across, y[-1] * across, y, y])
    return bool(inverse(plane, border_x, border_y)[2].all())


def areal_density(plane: Plane, x: Floats, y: Floats) -> Floats:
    """Area on the body per area on the plane at some points; NaN off the map."""
    assert plane.proj is not None
    lon, lat, good = inverse(plane, x.ravel(), y.ravel())
    out = np.full(x.size, np.nan)
    if not good.any():
        return out.reshape(x.shape)
    if plane.kind == "equal area":
        out[good] = plane.square_metres
        return out.reshape(x.shape)
    scale = np.asarray(plane.proj.get_factors(lon[good], lat[good], errcheck=False).areal_scale)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = plane.square_metres / np.abs(scale)
    if plane.spherical:
        value *= (1 - plane.e2) / (1 - plane.e2 * np.sin(np.radians(lat[good])) ** 2) ** 2
    out[good] = np.where(np.isfinite(value), value, np.nan)
    return out.reshape(x.shape)
