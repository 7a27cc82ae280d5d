"""Classification of a CRS: ellipsoid, family of projections, origin, and linearity in longitude and latitude.

All such questions are answered by `classify`. Properties that also depend on a raster's pixels are determined by
`xcrater.geometry.frame.make_frame`, and the dependence of true areas by `xcrater.geometry.areas`.
"""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import pyproj
from numpy.typing import NDArray

from xcrater.errors import GridError
from xcrater.geometry.bodies import body_of_crs, horizontal, prime_meridian

Floats = NDArray[np.float64]
Family = Literal["geographic", "azimuthal", "local", "interrupted", "other"]

_AZIMUTHAL = frozenset({"stere", "sterea", "ups", "laea", "aeqd", "ortho", "gnom", "airy", "nsper"})
_LOCAL = frozenset({"tmerc", "etmerc", "utm", "omerc", "cass", "tcc", "tcea", "somerc", "gstmerc", "ob_tran", "geos"})
_INTERRUPTED = frozenset(
    {"goode", "igh", "igh_o", "imoll", "imoll_o", "healpix", "rhealpix", "qsc", "s2", "isea", "peirce_q"}
)

_ROUND_TRIP = 1e-7
"""Points of a plane that project back to within this fraction of the body's radius show a place on the body."""

_SAME_AXES = 1e-9
"""Ellipsoids whose axes differ by less than this fraction are equal apart from rounding."""

_SAME_PLACE = 1e-12
"""Planes that differ by less than this fraction of the body's radius are equal apart from rounding."""


@dataclass(frozen=True)
class Linear:
    """East longitude as a linear function of x, and latitude of y, degrees.

    Parameters
    ----------
    lon, lat : float
        Longitude where x is 0 and latitude where y is 0.
    lon_per_x, lat_per_y : float
        Degrees per unit of the CRS; negative if longitudes are counted westward.
    """

    lon: float
    lon_per_x: float
    lat: float
    lat_per_y: float


@dataclass(frozen=True)
class Projection:
    """The classification of a CRS.

    Parameters
    ----------
    method : str
        PROJ's name of the projection, such as ``"stere"``; empty if PROJ has none.
    family : str
        ``"geographic"``; ``"azimuthal"``, one-to-one around the projection's origin; ``"local"``, one-to-one around
        the raster; ``"interrupted"``, torn in several places; ``"other"``, torn at most along one meridian.
    axes : tuple of float
        Semi-major and semi-minor axis of the ellipsoid, metres.
    origin : tuple of float
        East longitude and latitude of the projection's origin, degrees.
    planetocentric : bool
        Whether latitudes of the CRS's axes are planetocentric.
    linear : Linear or None
        Longitude and latitude as linear functions of x and y, for geographic CRSs and for the equidistant cylindrical
        projection of a sphere; None for all others.
    """

    method: str
    family: Family
    axes: tuple[float, float]
    origin: tuple[float, float]
    planetocentric: bool
    linear: Linear | None

    @property
    def sphere(self) -> bool:
        """Whether the ellipsoid is a sphere."""
        return self.axes[0] == self.axes[1]


def classify(crs: pyproj.CRS) -> Projection:
    """Classify a CRS.

    Parameters
    ----------
    crs : pyproj.CRS
        A geographic or projected CRS; a vertical part, or a transformation to another datum, is ignored.

    Returns
    -------
    Projection
        The classification.

    Raises
    ------
    GridError
        The CRS is neither geographic nor projected, has no ellipsoid, or has a rotated pole.

    Examples
    --------
    >>> polar = classify(pyproj.CRS("+proj=stere +lat_0=90 +R=1737400 +units=m"))
    >>> polar.family, polar.origin, polar.linear
    ('azimuthal', (0.0, 90.0), None)
    """
    ellipsoid = crs.ellipsoid
    crs = horizontal(crs)
    # PROJ calls longitude and planetocentric latitude on an ellipsoid geodetic, not geographic.
    geographic = crs.is_geographic or crs.type_name == "Geodetic CRS"
    if ellipsoid is None or not (geographic or crs.is_projected):
        raise GridError(
            f"the raster's CRS {crs.name!r} is neither geographic nor projected. "
            "Set the right one: da = da.rio.write_crs(...)"
        )
    refuse_derived(crs)
    axes = (float(ellipsoid.semi_major_metre), float(ellipsoid.semi_minor_metre))
    planetocentric = any("planetocentric" in axis.name.lower() for axis in crs.axis_info)
    if geographic:
        axis = next(a for a in crs.axis_info if a.direction.lower() in ("east", "west"))
        degrees = float(np.degrees(axis.unit_conversion_factor))
        sign = -1.0 if axis.direction.lower() == "west" else 1.0
        linear = Linear(prime_meridian(crs), sign * degrees, 0.0, degrees)
        return Projection("longlat", "geographic", axes, (linear.lon, 0.0), planetocentric, linear)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # pyproj warns that a PROJ string loses the CRS's names
        terms = crs.to_dict()
    method = str(terms.get("proj", ""))
    geodetic = crs.geodetic_crs
    meridian = geodetic.prime_meridian.longitude if geodetic is not None and geodetic.prime_meridian else 0.0
    origin = (meridian + float(terms.get("lon_0", 0.0)), float(terms.get("lat_0", 0.0)))
    is_linear = method == "eqc" and axes[0] == axes[1]
    linear_axes = _equidistant(crs, terms, axes[0], origin) if is_linear else None
    return Projection(method, _family(method), axes, origin, planetocentric, linear_axes)


def refuse_derived(crs: pyproj.CRS) -> None:
    """Raise an error for coordinates that PROJ calls longitude and latitude, but that refer to a rotated globe.

    Parameters
    ----------
    crs : pyproj.CRS
        Any CRS.

    Raises
    ------
    GridError
        The CRS is derived from a geographic one without being a projection of it.
    """
    crs = horizontal(crs)
    if not crs.is_derived or crs.is_projected:
        return
    body, ellipsoid = body_of_crs(crs), crs.ellipsoid
    plain = "IAU_2015:..." if ellipsoid is None else f"+proj=longlat +a={ellipsoid.semi_major_metre!r}"
    if ellipsoid is not None:
        plain += f" +b={ellipsoid.semi_minor_metre!r} +no_defs"
    target = plain if body is None else body.crs.to_string()
    raise GridError(
        f"the raster's CRS {crs.name!r} is a {crs.type_name}: its longitudes and latitudes are those of a rotated "
        f'globe, not those of the body. Resample it first: da = da.rio.reproject("{target}")'
    )


def _family(method: str) -> Family:
    if method in _AZIMUTHAL:
        return "azimuthal"
    if method in _LOCAL:
        return "local"
    return "interrupted" if method in _INTERRUPTED else "other"


def _equidistant(crs: pyproj.CRS, terms: dict[str, str], radius: float, origin: tuple[float, float]) -> Linear:
    """Longitude and latitude of the equidistant cylindrical projection of a sphere (Snyder 1987, eq. 12-1 and 12-2)."""
    metres = crs.axis_info[0].unit_conversion_factor if crs.axis_info else 1.0
    degrees = float(np.degrees(metres / radius))
    per_x = degrees / float(np.cos(np.radians(float(terms.get("lat_ts", 0.0)))))
    lon = origin[0] - per_x * float(terms.get("x_0", 0.0)) / metres
    lat = origin[1] - degrees * float(terms.get("y_0", 0.0)) / metres
    # Longitudes may be counted westward, as in the IAU's planetographic systems.
    sign = -1.0 if crs.axis_info and "west" in crs.axis_info[0].direction.lower() else 1.0
    return Linear(lon, sign * per_x, lat, degrees)


def geodetic_crs(axes: tuple[float, float]) -> str:
    """PROJ string of east longitude and geodetic latitude on an ellipsoid with these semi-axes, metres."""
    return f"+proj=longlat +a={axes[0]!r} +b={axes[1]!r} +no_defs"


@lru_cache(maxsize=256)
def transformer(crs: str, axes: tuple[float, float], thread: int) -> tuple[pyproj.Transformer, bool]:
    """Transformer from east longitude and geodetic latitude to x and y, and whether y comes first; one per thread."""
    # Neither always_xy nor the CRS's own geodetic frame will do: axes of IAU codes may point west or be planetocentric.
    geodetic = pyproj.CRS(geodetic_crs(axes))
    projected = pyproj.CRS(crs)
    northing_first = "north" in projected.axis_info[0].name.lower()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pyproj.Transformer.from_crs(geodetic, projected), northing_first


@lru_cache(maxsize=256)
def same_plane(first: str, second: str) -> bool:
    """Whether two CRSs have the same x and y, or longitude and latitude, for every place on the body.

    Names, codes, the order of axes and the notation of parameters do not matter: projected CRSs are compared at places
    all over the body, because rasters and tables label the same projection in many ways.

    Parameters
    ----------
    first, second : str
        Projected CRSs as WKT, or results of `geodetic_crs`.

    Examples
    --------
    >>> polar = "+proj=stere +lat_0=-90 +R=1737400 +units="
    >>> from_iau, metres, km = (pyproj.CRS(crs).to_wkt() for crs in ("IAU_2015:30135", polar + "m", polar + "km"))
    >>> same_plane(from_iau, metres), same_plane(metres, km)
    (True, False)
    """
    if first == second:
        return True
    kinds = [classify(pyproj.CRS(crs)) for crs in (first, second)]
    axes = [kind.axes for kind in kinds]
    geographic = [kind.family == "geographic" for kind in kinds]
    # A flattening written with few digits leaves the last digits of an axis uncertain
    if not np.allclose(axes[0], axes[1], rtol=_SAME_AXES, atol=0.0) or any(geographic):
        return all(geographic) and bool(np.allclose(axes[0], axes[1], rtol=_SAME_AXES, atol=0.0))
    lon, lat = (a.ravel() for a in np.meshgrid(np.arange(-179.0, 180.0, 7.0), np.arange(-89.5, 90.0, 7.0)))
    planes = []
    for crs in (first, second):
        forward, northing_first = transformer(crs, axes[0], threading.get_ident())
        x, y = forward.transform(lon, lat, errcheck=False)
        planes.append(np.array([y, x] if northing_first else [x, y]))
    shown = [np.isfinite(plane).all(axis=0) for plane in planes]
    if not np.array_equal(*shown) or not shown[0].any():
        return False
    mine, theirs = (plane[:, shown[0]] for plane in planes)
    # Towards the rim of a map, coordinates and their rounding errors may grow without bounds
    size = np.maximum(np.abs(mine), axes[0][0] / metres_per_unit(first))
    return bool((np.abs(mine - theirs) <= _SAME_PLACE * size).all())


def on_map(crs: str, x: Floats, y: Floats) -> NDArray[np.bool_]:
    """Tell which points of the plane of a projected CRS show a place on the body.

    Beyond the rim of many maps PROJ returns a place on the other side of the body, so only points that project back are
    on the map. Maps whose columns are linear in longitude continue for any number of turns.

    Parameters
    ----------
    crs : str
        The projected CRS as WKT.
    x, y : ndarray, shape (n,)
        Easting and northing, units of the CRS.

    Returns
    -------
    ndarray of bool, shape (n,)
        True on the map and on its rim.

    Examples
    --------
    >>> sinusoidal = pyproj.CRS("+proj=sinu +R=1737400").to_wkt()
    >>> on_map(sinusoidal, np.array([5e5, 3.2e6]), np.array([2.5e6, 2.5e6])).tolist()
    [True, False]
    """
    axes = classify(pyproj.CRS(crs)).axes
    there, northing_first = transformer(crs, axes, threading.get_ident())
    size = axes[0] / metres_per_unit(crs)

    def projects_back(x: Floats, y: Floats) -> NDArray[np.bool_]:
        place = there.transform(*((y, x) if northing_first else (x, y)), direction="INVERSE", errcheck=False)
        back = there.transform(*place, errcheck=False)
        with np.errstate(invalid="ignore"):
            away = np.hypot(back[1 if northing_first else 0] - x, back[0 if northing_first else 1] - y)
            return np.asarray(away < _ROUND_TRIP * size)

    shown = projects_back(x, y)
    if not shown.all() and _repeats(crs, axes):
        return np.isfinite(x) & np.isfinite(y)
    for beside in (1e-9, 1e-8):  # a point on the rim may project back to the other side of the map
        for east, north in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            lost = np.flatnonzero(~shown)
            shown[lost] = projects_back(x[lost] + east * beside * size, y[lost] + north * beside * size)
    return shown


@lru_cache(maxsize=256)
def _repeats(crs: str, axes: tuple[float, float]) -> bool:
    """Whether a map continues after a turn of longitude, because its x depends linearly on longitude alone."""
    there, northing_first = transformer(crs, axes, threading.get_ident())
    lon, lat = np.meshgrid(classify(pyproj.CRS(crs)).origin[0] + np.array([-120.0, 0.0, 120.0]), [-50.0, 0.0, 70.0])
    x = np.asarray(there.transform(lon, lat, errcheck=False)[1 if northing_first else 0])
    spread = 1e-9 * axes[0] / metres_per_unit(crs)
    return bool(np.isfinite(x).all() and np.ptp(x, axis=0).max() < spread and np.ptp(np.diff(x[0])) < spread)


@lru_cache(maxsize=256)
def metres_per_unit(crs: str) -> float:
    """Metres per unit of a projected CRS, given as WKT."""
    axis = pyproj.CRS(crs).axis_info
    return float(axis[0].unit_conversion_factor) if axis else 1.0
