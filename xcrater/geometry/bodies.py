"""Planetary bodies and their coordinate systems, from the IAU_2015 authority of PROJ's own database."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np
import pyproj
from numpy.typing import ArrayLike, NDArray
from pyproj.database import query_crs_info
from pyproj.enums import PJType
from pyproj.exceptions import CRSError

from xcrater.errors import BodyError
from xcrater.geometry.sphere import geodetic_latitude, planetocentric_latitude

Floats = NDArray[np.float64]

# Bodies whose published tables count longitude westward, which is craterpy's default for them.
_WEST_BY_DEFAULT = frozenset({"mercury", "ganymede", "enceladus", "tethys", "dione", "rhea", "iapetus"})
# Those among them that craterpy also calls planetographic, although the IAU lists no (or no spherical) such system.
_WEST_PLANETOGRAPHIC = frozenset({"mercury", "enceladus", "tethys", "dione", "rhea"})
# Degrees to add to a longitude on Vesta. The crater Claudia lies at 146° E, 136° E and 356° E in these systems;
# the first is the IAU's.
_VESTA_OFFSETS = {"claudia_dp": 0.0, "claudia_p": 10.0, "dawn_claudia": -210.0}

_SYSTEMS = frozenset({"default", "planetocentric", "planetographic", *_VESTA_OFFSETS})

_ELLIPSOID_TOLERANCE = 0.005
_DEGREE = float(np.pi / 180)


@dataclass(frozen=True)
class Body:
    """A planetary body as the IAU's 2015 report describes it.

    Parameters
    ----------
    name : str
        Lower-case name, such as ``"moon"``.
    naif : int
        NAIF code, such as 301.
    crs : pyproj.CRS
        Geographic CRS on the body's sphere: planetocentric latitude, east longitude.
    radius : float
        Radius of that sphere, metres.

    See Also
    --------
    get_body : Look a body up by name.
    """

    name: str
    naif: int
    crs: pyproj.CRS = field(repr=False)
    radius: float


class Convention(NamedTuple):
    """How an `input_crs` of `to_geodetic` counts longitude and latitude."""

    west: bool
    """Whether positive longitudes lie in the west."""
    latitude: Literal["planetocentric", "planetographic"]
    stated: bool
    """Whether the user states the convention; False for a default."""


def body_names() -> list[str]:
    """Names of all bodies that `get_body` knows, in alphabetical order.

    Examples
    --------
    >>> from xcrater.geometry.bodies import body_names
    >>> "moon" in body_names()
    True
    """
    return sorted(_catalogue())


def get_body(name: str) -> Body:
    """Look a body up by name.

    Parameters
    ----------
    name : str
        Name in PROJ's IAU_2015 authority, in any case: ``"moon"``, ``"Mars"``, ``"52 Europa"``.

    Returns
    -------
    Body
        Its NAIF code, sphere and CRS.

    Raises
    ------
    BodyError
        If PROJ's database knows no body of that name.

    Examples
    --------
    >>> moon = get_body("Moon")
    >>> moon.name, moon.naif, moon.radius
    ('moon', 301, 1737400.0)
    """
    if not isinstance(name, str):
        raise BodyError(f"received body={name!r}, a {type(name).__name__}; expected a name such as 'moon'")
    key = " ".join(name.lower().split())
    if key not in _catalogue():
        close = get_close_matches(key, _catalogue(), n=3)
        hint = f"did you mean {' or '.join(map(repr, close))}?" if close else "such as 'moon', 'mars' or 'ceres'"
        raise BodyError(f"received body={name!r}; expected one of the {len(_catalogue())} bodies of IAU_2015, {hint}")
    return _body(key)


def ellipsoids(body: Body) -> tuple[tuple[float, float], ...]:
    """Every ellipsoid that IAU_2015 lists for a body.

    Parameters
    ----------
    body : Body
        The body.

    Returns
    -------
    tuple of (float, float)
        Semi-major and semi-minor axis of each, metres; the sphere first.

    Examples
    --------
    >>> ellipsoids(get_body("mars"))
    ((3396190.0, 3396190.0), (3396190.0, 3376200.0))
    """
    return _ellipsoids(body.naif)


def same_body(crs: Any, body: Body) -> bool:
    """Tell whether a CRS belongs to a body, by its IAU code or else by its ellipsoid.

    Names are not compared, because rasters and tables spell them loosely.

    Parameters
    ----------
    crs : pyproj.CRS or anything pyproj.CRS.from_user_input takes
        The CRS in question.
    body : Body
        The body to compare with.

    Returns
    -------
    bool
        True if the CRS has an IAU code of that body; or if it has none, and both semi-axes lie within 0.5 % of
        the range that the body's listed axes span.

    Examples
    --------
    >>> same_body("+proj=longlat +R=3389500 +no_defs", get_body("mars"))
    True
    >>> same_body("EPSG:4326", get_body("moon"))
    False
    """
    crs = pyproj.CRS.from_user_input(crs)
    naif = _naif(crs)
    if naif is not None:
        return naif == body.naif
    axes = _axes(crs)
    return axes is not None and _fits(axes, body.naif)


def body_of_crs(crs: Any) -> Body | None:
    """Identify the body that a CRS belongs to, if possible.

    Parameters
    ----------
    crs : pyproj.CRS or anything pyproj.CRS.from_user_input takes
        The CRS in question.

    Returns
    -------
    Body or None
        The body of its IAU code; otherwise the one that lists exactly its ellipsoid; otherwise the only one that
        `same_body` accepts. None if no body or several bodies fit.

    Examples
    --------
    >>> body_of_crs("IAU_2015:49910").name
    'mars'
    >>> body_of_crs("+proj=eqc +R=1737400 +units=m").name
    'moon'
    """
    crs = pyproj.CRS.from_user_input(crs)
    naif = _naif(crs)
    axes = _axes(crs)
    names = {body_naif: name for name, (body_naif, _) in _catalogue().items()}
    if naif is not None:
        return _body(names[naif]) if naif in names else None
    if axes is None:
        return None
    for fits in ([n for n in names if axes in _ellipsoids(n)], [n for n in names if _fits(axes, n)]):
        if len(fits) == 1:
            return _body(names[fits[0]])
    return None


def to_geodetic(lon: ArrayLike, lat: ArrayLike, body: Body, input_crs: Any = "default") -> tuple[Floats, Floats]:
    """Convert coordinates to east longitude and planetocentric latitude.

    Parameters
    ----------
    lon, lat : array_like, shape (n,)
        Longitude in any range, and latitude; degrees. For a projected `input_crs`, x and y in its units. The order of
        axes in `input_crs` does not matter.
    body : Body
        The body that the coordinates are on.
    input_crs : str or pyproj.CRS, default "default"
        System of the coordinates:

        - ``"planetocentric"``: east longitude, planetocentric latitude.
        - ``"planetographic"``: the body's IAU planetographic system. Longitude is west-positive if that system's is,
          and also on Mercury, Enceladus, Tethys, Dione and Rhea; latitude is that of the normal to the ellipsoid.
        - ``"default"``: craterpy's default. Longitude is west-positive on Mercury, Ganymede, Enceladus, Tethys, Dione,
          Rhea and Iapetus, and east-positive otherwise; latitude is planetocentric.
        - ``"claudia_dp"``, ``"claudia_p"``, ``"dawn_claudia"``: the longitude systems in use on Vesta.
        - anything ``pyproj.CRS.from_user_input`` takes, on the same body. A geographic CRS on an oblate ellipsoid
          has planetographic latitudes unless its axis says planetocentric.

    Returns
    -------
    lon, lat : ndarray, shape (n,)
        East longitude in [-180, 180) and planetocentric latitude, degrees. Points outside the domain of a projected
        CRS are NaN.

    Raises
    ------
    BodyError
        `input_crs` is unknown, belongs to another body, or does not exist on this one.

    Notes
    -----
    With the ellipsoid's semi-axes a and b, tan(planetocentric) = (b/a)² tan(planetographic) (Snyder 1987, eq. 3-28).
    craterpy leaves the number of a planetographic latitude unchanged, so ``"planetographic"`` differs from it
    on the bodies with an oblate IAU ellipsoid (Mercury, Earth, Mars, Ceres, Iapetus): by up to 0.34° on Mars.

    Examples
    --------
    >>> from xcrater.geometry.bodies import get_body, to_geodetic
    >>> lon, lat = to_geodetic([270.0], [45.0], get_body("mars"), "planetographic")
    >>> lon.round(4).tolist(), lat.round(4).tolist()
    ([90.0], [44.6618])
    """
    x, y = np.asarray(lon, dtype=float), np.asarray(lat, dtype=float)
    system = input_crs.strip().lower() if isinstance(input_crs, str) else None
    if system == "default":
        return _wrap(-x if body.name in _WEST_BY_DEFAULT else x), y.copy()
    if system == "planetocentric":
        return _wrap(x), y.copy()
    if system == "planetographic":
        return _from_planetographic(x, y, body)
    if system in _VESTA_OFFSETS:
        if body.name != "vesta":
            raise BodyError(f"received input_crs={input_crs!r} for {body.name}; that longitude system is Vesta's")
        return _wrap(x + _VESTA_OFFSETS[system]), y.copy()
    return _from_crs(x, y, _input_crs(input_crs, body))


def from_geodetic(lon: ArrayLike, lat: ArrayLike, body: Body, crs: Any) -> tuple[Floats, Floats]:
    """Convert east longitude and planetocentric latitude to the coordinates of a CRS; the inverse of `to_geodetic`.

    Parameters
    ----------
    lon, lat : array_like, shape (n,)
        East longitude and planetocentric latitude, degrees.
    body : Body
        The body that they are on.
    crs : str or pyproj.CRS
        Geographic or projected CRS of the body.

    Returns
    -------
    x, y : ndarray, shape (n,)
        Longitude and latitude in the unit, direction and kind of the CRS; or easting and northing. The order of its
        axes does not matter. Points that a projection does not show are infinite.

    Raises
    ------
    BodyError
        The CRS is unknown or belongs to another body.

    Examples
    --------
    >>> x, y = from_geodetic([90.0], [44.6618], get_body("mars"), "IAU_2015:49901")
    >>> x.round(4).tolist(), y.round(4).tolist()
    ([-90.0], [45.0])
    """
    crs = crs_on_body(crs, body)
    frame = crs.geodetic_crs
    axes = None if frame is None else _axes(frame)
    assert frame is not None
    x, y = np.asarray(lon, dtype=float) - prime_meridian(frame), np.asarray(lat, dtype=float)
    x = np.where(np.abs(x) > 180.0, _wrap(x), x)  # 180 is kept, because it may be the eastern edge of a polygon
    names = [axis.name.lower() for axis in frame.axis_info]
    lat_at = next(i for i, name in enumerate(names) if "lat" in name)
    lon_axis = frame.axis_info[next(i for i, name in enumerate(names) if "lon" in name)]
    if axes is not None and "planetocentric" not in names[lat_at]:
        y = geodetic_latitude(y, axes)
    x = (-x if lon_axis.direction.lower() == "west" else x) * (_DEGREE / lon_axis.unit_conversion_factor)
    y = y * (_DEGREE / frame.axis_info[lat_at].unit_conversion_factor)
    if not crs.is_projected:
        return x, y
    forward = pyproj.Transformer.from_crs(frame, crs)
    place = forward.transform(*((y, x) if lat_at == 0 else (x, y)), errcheck=False)
    northing_first = "north" in crs.axis_info[0].name.lower()
    return np.asarray(place[1 if northing_first else 0]), np.asarray(place[0 if northing_first else 1])


def crs_on_body(crs: Any, body: Body) -> pyproj.CRS:
    """Read a user's CRS, which must be a geographic or projected one of the body; raises a `BodyError` otherwise."""
    remedy = f"expected a CRS of {body.name} that pyproj reads, such as {body.crs.to_string()!r}"
    try:
        found = horizontal(pyproj.CRS.from_user_input(crs))
    except CRSError as err:
        raise BodyError(f"received crs={crs!r}; {remedy}") from err
    if not same_body(found, body):
        other = body_of_crs(found)
        raise BodyError(f"received the CRS {found.name!r}, {f'of {other.name}' if other else 'of no body'}; {remedy}")
    if found.is_geocentric or (found.is_derived and not found.is_projected):
        raise BodyError(f"received the CRS {found.name!r}, a {found.type_name}; {remedy}")
    return found


def convention_of(body: Body, input_crs: Any = "default") -> Convention:
    """Determine how an `input_crs` of `to_geodetic` that is not projected counts longitude and latitude.

    Parameters
    ----------
    body : Body
        The body that the coordinates are on.
    input_crs : str or pyproj.CRS, default "default"
        As for `to_geodetic`.

    Returns
    -------
    Convention
        Direction of longitudes and kind of latitude.

    Raises
    ------
    BodyError
        As for `to_geodetic`.

    Examples
    --------
    >>> convention_of(get_body("mars"), "planetographic")
    Convention(west=True, latitude='planetographic', stated=True)
    """
    system = input_crs.strip().lower() if isinstance(input_crs, str) else None
    if system == "default":
        return Convention(body.name in _WEST_BY_DEFAULT, "planetocentric", stated=False)
    if system == "planetocentric" or system in _VESTA_OFFSETS:
        return Convention(False, "planetocentric", stated=True)
    if system == "planetographic":
        ographic = _ographic(body.naif)
        if ographic is None:
            return Convention(body.name in _WEST_PLANETOGRAPHIC, "planetographic", stated=True)
        crs = ographic
    else:
        crs = _input_crs(input_crs, body)
    axes = {axis.name.lower(): axis for axis in (crs.geodetic_crs or crs).axis_info}
    west = any("lon" in name and axis.direction.lower() == "west" for name, axis in axes.items())
    ocentric = any("planetocentric" in name for name in axes)
    return Convention(west, "planetocentric" if ocentric else "planetographic", stated=True)


def is_projected(input_crs: Any) -> bool:
    """Tell whether an `input_crs` of `to_geodetic` has x and y instead of longitude and latitude.

    Parameters
    ----------
    input_crs : str or pyproj.CRS
        As for `to_geodetic`.

    Returns
    -------
    bool
        True for a projected CRS; False for anything else, known or not.

    Examples
    --------
    >>> is_projected("planetographic"), is_projected("IAU_2015:30110")
    (False, True)
    """
    if isinstance(input_crs, str) and input_crs.strip().lower() in _SYSTEMS:
        return False  # PROJ would search its database for these names, which takes long
    try:
        return bool(horizontal(pyproj.CRS.from_user_input(input_crs)).is_projected)
    except CRSError:
        return False


@cache
def _catalogue() -> dict[str, tuple[int, frozenset[int]]]:
    """NAIF code and IAU variants (0 sphere, 1 ographic, 2 ocentric) of each body, by lower-case name."""
    found: dict[str, tuple[int, frozenset[int]]] = {}
    for info in query_crs_info("IAU_2015", [PJType.GEOGRAPHIC_2D_CRS, PJType.GEODETIC_CRS]):
        name = info.name.split(" (2015)")[0].lower()
        naif, variant = divmod(int(info.code), 100)
        found[name] = (naif, found.get(name, (naif, frozenset()))[1] | {variant})
    return found


@cache
def _body(key: str) -> Body:
    naif, _ = _catalogue()[key]
    crs = pyproj.CRS.from_authority("IAU_2015", f"{naif}00")
    axes = _axes(crs)
    assert axes is not None
    return Body(key, naif, crs, axes[0])


@cache
def _ographic(naif: int) -> pyproj.CRS | None:
    if any(number == naif and 1 in variants for number, variants in _catalogue().values()):
        return pyproj.CRS.from_authority("IAU_2015", f"{naif}01")
    return None


@cache
def _ellipsoids(naif: int) -> tuple[tuple[float, float], ...]:
    listed = (_axes(crs) for crs in (pyproj.CRS.from_authority("IAU_2015", f"{naif}00"), _ographic(naif)) if crs)
    return tuple(dict.fromkeys(axes for axes in listed if axes is not None))


def _axes(crs: pyproj.CRS) -> tuple[float, float] | None:
    ellipsoid = crs.ellipsoid
    return None if ellipsoid is None else (float(ellipsoid.semi_major_metre), float(ellipsoid.semi_minor_metre))


def _fits(axes: tuple[float, float], naif: int) -> bool:
    listed = [axis for pair in _ellipsoids(naif) for axis in pair]
    low, high = min(listed) * (1 - _ELLIPSOID_TOLERANCE), max(listed) * (1 + _ELLIPSOID_TOLERANCE)
    return low <= min(axes) and max(axes) <= high


def horizontal(crs: pyproj.CRS) -> pyproj.CRS:
    """Remove the vertical part of a CRS and its transformation to another datum."""
    while crs.is_bound or crs.is_compound:
        inner = crs.source_crs if crs.is_bound else crs.sub_crs_list[0]
        if inner is None:
            break
        crs = inner
    return crs


def _naif(crs: pyproj.CRS) -> int | None:
    """NAIF code from the IAU code of a CRS or its base; it is never guessed from parameters."""
    crs = horizontal(crs)
    for candidate in (crs, crs.geodetic_crs):
        code = candidate.to_json_dict().get("id", {}) if candidate is not None else {}
        if str(code.get("authority", "")).upper().startswith("IAU") and str(code.get("code", "")).isdigit():
            return int(code["code"]) // 100
    return None


def _input_crs(input_crs: Any, body: Body) -> pyproj.CRS:
    try:
        crs = pyproj.CRS.from_user_input(input_crs)
    except CRSError as err:
        raise BodyError(
            f"received input_crs={input_crs!r}; expected 'default', 'planetocentric', 'planetographic', one of Vesta's "
            f"{', '.join(map(repr, _VESTA_OFFSETS))}, or a CRS that pyproj reads"
        ) from err
    if not same_body(crs, body):
        other, axes = body_of_crs(crs), _axes(crs)
        where = f"of {other.name}" if other else f"with a semi-major axis of {axes[0]:.10g} m" if axes else "of no body"
        hint = f"body={other.name!r}, or " if other else ""
        raise BodyError(
            f"received input_crs {crs.name!r}, {where}; the table is on {body.name} (radius {body.radius:.10g} m). "
            f"Pass {hint}an input_crs of {body.name}"
        )
    crs = horizontal(crs)
    if crs.is_geocentric or (crs.is_derived and not crs.is_projected):
        raise BodyError(
            f"received input_crs {crs.name!r}, a {crs.type_name}; expected a geographic or projected CRS. "
            "Transform the coordinates to longitude and latitude first"
        )
    return crs


def _wrap(lon: Floats) -> Floats:
    """Longitude in [-180, 180); numbers already in range keep every bit."""
    with np.errstate(invalid="ignore"):
        wrapped = np.mod(lon + 180.0, 360.0) - 180.0
    wrapped = np.where((lon >= -180.0) & (lon < 180.0), lon, wrapped)
    # np.mod rounds a tiny negative number up to the divisor itself
    return np.asarray(np.where(wrapped >= 180.0, -180.0, wrapped) + 0.0)


def _from_planetographic(lon: Floats, lat: Floats, body: Body) -> tuple[Floats, Floats]:
    crs = _ographic(body.naif)
    if crs is not None:
        return _from_crs(lon, lat, crs)
    if body.name not in _WEST_PLANETOGRAPHIC:
        raise BodyError(
            f"received input_crs='planetographic'; IAU_2015 has no planetographic system for {body.name}. "
            "Pass input_crs='planetocentric'"
        )
    return _wrap(-lon), lat.copy()


def _from_crs(x: Floats, y: Floats, crs: pyproj.CRS) -> tuple[Floats, Floats]:
    frame = crs.geodetic_crs
    assert frame is not None
    names = [axis.name.lower() for axis in frame.axis_info]
    lat_at = next(i for i, name in enumerate(names) if "lat" in name)
    lon_at = next(i for i, name in enumerate(names) if "lon" in name)
    if crs.is_projected:
        # Both CRSs keep their own axis order here, and the frame's is read from its axes, because always_xy only
        # reorders axes that point east and north.
        northing_first = "north" in crs.axis_info[0].name.lower()
        inverse = pyproj.Transformer.from_crs(crs, frame)
        point = inverse.transform(y, x) if northing_first else inverse.transform(x, y)
        x, y = (np.where(np.isfinite(point[i]), point[i], np.nan) for i in (lon_at, lat_at))
    lon_axis, lat_axis = frame.axis_info[lon_at], frame.axis_info[lat_at]
    lon = _degrees(-x if lon_axis.direction.lower() == "west" else x, lon_axis.unit_conversion_factor)
    lat = _degrees(y, lat_axis.unit_conversion_factor)
    axes = _axes(frame)
    if axes is not None and "planetocentric" not in lat_axis.name.lower():
        lat = planetocentric_latitude(lat, axes)
    return _wrap(lon + prime_meridian(frame)), lat.copy()  # a copy, so as not to return the caller's array


def _degrees(angle: Floats, radians_per_unit: float) -> Floats:
    return angle if abs(radians_per_unit - _DEGREE) < 1e-12 else angle * (radians_per_unit / _DEGREE)


def prime_meridian(frame: pyproj.CRS) -> float:
    """East longitude of a geographic CRS's prime meridian, degrees."""
    meridian = frame.prime_meridian
    offset = 0.0 if meridian is None else meridian.longitude * float(meridian.unit_conversion_factor) / _DEGREE
    with warnings.catch_warnings():
        # pyproj warns that a PROJ string may lose information, but the +lon_0 of a longlat is found nowhere else
        warnings.simplefilter("ignore", UserWarning)
        try:
            match = re.search(r"\+lon_0=(\S+)", frame.to_proj4())
        except CRSError:  # a CRS with planetocentric axes has no PROJ string, and hence no +lon_0
            match = None
    return offset + (float(match[1]) if match else 0.0)
