"""True areas of pixels, on sphere or ellipsoid, in any projection."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pyproj
from numpy.typing import NDArray

from xcrater.errors import GridError
from xcrater.geometry.sphere import geodetic_interval, zone_area

Floats = NDArray[np.float64]
Transform = tuple[float, float, float, float, float, float]
Places = Callable[[Floats, Floats], tuple[Floats, Floats]]
Window = tuple[int, int, int, int]
"""(row_start, row_stop, col_start, col_stop) in pixels of the whole grid."""

_NODES = 8
_PANELS = 8
_BLOCK = 64
_TAIL = 2e-10
_BENT = 3e-6
_ROUND_TRIP = 1e-7


def pixel_areas(crs: Any, transform: Transform, window: Window, *, whole: bool = False) -> Floats:
    """True areas of the pixels of a window.

    Parameters
    ----------
    crs : pyproj.CRS or anything pyproj.CRS.from_user_input takes
        The grid's CRS, geographic or projected.
    transform : tuple of float
        The affine transform (a, b, c, d, e, f) of the corner of pixel (0, 0), in the CRS's units, with b = d = 0:
        x = a column + c, y = e row + f.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop), anywhere on the grid.
    whole : bool
        Whether a pixel across the edge of a map has the area it would have if all of it were like the part inside,
        so that a fraction of its square has that fraction of the area.

    Returns
    -------
    ndarray
        Areas in m². Of shape (1, 1) where all are the same, (rows, 1) where they depend on latitude alone, else
        (rows, columns); all broadcast to the last. A pixel outside of the projection's domain, or beyond a pole, has
        the area 0 (if `whole`, that of all others on an equal-area map); one that is partly outside counts the part
        inside, to about 1 % of the whole pixel.

    Raises
    ------
    GridError
        The transform is rotated or flat, or the CRS has no ellipsoid or cannot be computed with.

    Notes
    -----
    Longitude/latitude grids and cylindrical projections have areas between parallels, which on the ellipsoid are
    differences of q (Snyder 1987, eq. 3-12), taken without cancellation: relative errors stay near 1e-13 wherever
    latitude is linear in rows, and 1e-15 radians over the pixel's height elsewhere. Equal-area projections have one
    area. For the rest, 1 over PROJ's areal scale, a smooth function, is interpolated by polynomials of degree 7 over
    blocks of pixels, which are halved until their last coefficients are below 2e-10 of the first, and integrated over
    each pixel exactly; PROJ's own derivatives limit that to relative errors of about 1e-10. Pixels where the scale is
    not smooth have the integral along their sides of an equal-area map's x dy. Only those across the edge of the
    domain are sampled (32 × 32 points).

    Where PROJ has a projection for spheres only, it takes an ellipsoid's longitude and geodetic latitude as if they
    were a sphere's; areas are still those on the ellipsoid.

    Examples
    --------
    >>> areas = pixel_areas("+proj=longlat +R=1737400", (1, 0, -180, 0, -1, 90), (0, 180, 0, 360))
    >>> areas.shape, bool(np.isclose(360 * areas.sum(), 4 * np.pi * 1737400**2, rtol=1e-13))
    ((180, 1), True)
    """
    a, b, c, d, e, f = (float(number) for number in tuple(transform)[:6])
    if b or d or not a or not e or not np.isfinite([a, c, e, f]).all():
        raise GridError(f"received transform={tuple(transform)}; expected (a, 0, c, 0, e, f) with a and e not 0")
    row_start, row_stop, col_start, col_stop = (int(edge) for edge in window)
    if row_stop <= row_start or col_stop <= col_start:
        return np.zeros((max(row_stop - row_start, 0), max(col_stop - col_start, 0)))
    return _areas(_frame(crs), (a, c, e, f), (row_start, row_stop, col_start, col_stop), "like" if whole else "part")


def areas_around(crs: Any, transform: Transform, window: Window, margin: int) -> Floats:
    """True areas of the pixels of a window and of those around it, as far as areas change smoothly.

    Parameters
    ----------
    crs, transform, window
        As for `pixel_areas`; the window is not empty.
    margin : int
        How many pixels on every side.

    Returns
    -------
    ndarray
        Areas in m². Of shape (1, 1) where all are the same, (rows + 2 margin, 1) where they depend on latitude alone,
        else (rows + 2 margin, columns + 2 margin). NaN where they are anything but smooth (third differences above
        3e-6 of them), at the edge of the map above all, and off it; past the poles, where latitude is linear in rows,
        they go on by the same formula, growing negative.
    """
    a, _, c, _, e, f = (float(number) for number in tuple(transform)[:6])
    margin += 2
    around = (window[0] - margin, window[1] + margin, window[2] - margin, window[3] + margin)
    areas = _areas(_frame(crs), (a, c, e, f), around, "smooth")
    rows, cols = (slice(2, -2) if size > 1 else slice(None) for size in areas.shape)
    bent = np.zeros(areas.shape, bool)
    if areas.shape[1] > 1:
        for axis in (0, 1):  # as good as parabolas from pixel to pixel?
            most = _BENT * np.abs(areas[:-3] if axis == 0 else areas[:, :-3])
            off = ~(np.abs(np.diff(areas, n=3, axis=axis)) <= most)
            met = np.moveaxis(bent, axis, 0)
            for first in (1, 2):
                met[first : off.shape[axis] + first] |= np.moveaxis(off, axis, 0)
    return np.where(bent, np.nan, areas)[rows, cols]


def enclosed_areas(crs: Any, places: Places, u: Floats, v: Floats, ring: NDArray[np.int64]) -> Floats:
    """True areas of small polygons on any plane.

    Parameters
    ----------
    crs
        As for `pixel_areas`; its body alone counts.
    places : callable
        East longitude and geodetic latitude of places on the plane, degrees.
    u, v : ndarray, shape (n,)
        Vertices on the plane; the first ones of a ring are not repeated. Edges are straight there.
    ring : ndarray of int64, shape (polygons + 1,)
        Where each polygon's vertices begin.

    Returns
    -------
    ndarray, shape (polygons,)
        Areas in m²; NaN where some place has no longitude and latitude.

    Notes
    -----
    The integral of x dy along the edges, on Lambert's azimuthal map of the sphere of equal area (Snyder 1987, eq. 3-11
    and 24-2) around each polygon, interpolated at five of Chebyshev's points of each edge.
    """
    frame, found = _frame(crs), [np.empty(0)]
    for first in range(0, ring.size - 1, _SOME):
        part = ring[first : first + _SOME + 1]
        some = slice(part[0], part[-1])
        found.append(_enclosed(frame, places, u[some], v[some], part - part[0], _SHORT))
    return np.concatenate(found)


def _enclosed(
    frame: _Frame, places: Places, x: Floats, y: Floats, ring: NDArray[np.int64], rule: tuple[Floats, Floats]
) -> Floats:
    size = np.diff(ring)
    after = np.arange(x.size) + 1
    after[ring[1:] - 1] = ring[:-1]
    of = np.repeat(np.arange(size.size), size)
    share, integral = rule
    x, y = (at[:, None] + share * (at[after] - at)[:, None] for at in (x, y))
    lon, lat = (at.reshape(x.shape) for at in places(x.ravel(), y.ravel()))
    lost = ~(np.isfinite(lon) & np.isfinite(lat))
    lon, lat = np.where(lost, 0.0, lon), np.where(lost, 0.0, lat)
    # On the sphere of the same area, with the digits that colatitudes need, then as Lambert's azimuthal map around each
    pole = np.where(lat < 0.0, -1.0, 1.0)
    total = float(zone_area(frame.a, frame.e2, np.array(-90.0), np.array(90.0), np.array(180.0)))
    half = np.sqrt(zone_area(frame.a, frame.e2, pole * lat, np.full_like(lat, 90.0), 90.0 - pole * lat) / total)
    across = 2.0 * half * np.sqrt(np.maximum(0.0, 1.0 - half**2))
    at = np.stack(
        [across * np.cos(np.radians(lon)), across * np.sin(np.radians(lon)), pole * (1.0 - 2.0 * half**2)], axis=-1
    )
    to = np.stack([np.bincount(of, at[..., k].mean(axis=1), size.size) for k in range(3)], axis=1)
    to = to / np.linalg.norm(to, axis=1, keepdims=True)
    least = np.eye(3)[np.abs(to).argmin(axis=1)]
    east = np.cross(to, least)
    east = east / np.linalg.norm(east, axis=1, keepdims=True)
    north = np.cross(to, east)
    up, u, v = (np.einsum("epk,ek->ep", at, axis[of]) for axis in (to, east, north))
    scale = np.sqrt(2.0 / (1.0 + up))
    along = np.einsum("ej,jk,ek->e", scale * u, integral, scale * v)
    areas = np.abs(np.bincount(of, along, size.size)) * total / 2.0
    return np.where(np.bincount(of, lost.any(axis=1), size.size) > 0, np.nan, areas)


_SOME = 4096  # polygons at once


def _edge_rule(points: int, *, steep: bool) -> tuple[Floats, Floats]:
    """Where an edge is sampled, and the matrix of the integral of f dg, of functions by their values there.

    Chebyshev's points; if steep, of an angle that makes square roots at the ends smooth.
    """
    at = -np.cos(np.pi * np.arange(points) / (points - 1))
    degree = np.arange(points)
    coefficients = np.linalg.inv(np.polynomial.legendre.legvander(at, degree[-1]))
    before = degree[:, None] < degree
    odd = (degree[:, None] + degree) % 2 == 1
    share = np.sin(np.pi / 4 * (1 + at)) ** 2 if steep else (1 + at) / 2
    return share, np.asarray(coefficients.T @ np.where(before & odd, 2.0, 0.0) @ coefficients)


_SHORT, _STEEP = _edge_rule(5, steep=False), _edge_rule(9, steep=True)


Beyond = Literal["part", "like", "smooth"]
"""What a pixel across the edge of a map counts: the part inside; as much as if all of it were like that part; or NaN,
as does every other where areas are not smooth."""


def _areas(frame: _Frame, steps: tuple[float, float, float, float], window: Window, beyond: Beyond) -> Floats:
    """Areas of the pixels of a window; steps are the transform's a, c, e and f."""
    a, c, e, f = steps
    if frame.linear is not None:
        origin, per_unit, lon_per_unit = frame.linear
        return _between_parallels(
            frame, origin + per_unit * f, per_unit * e, window[:2], abs(a * lon_per_unit), beyond == "smooth"
        )
    x: Floats = c + a * np.arange(window[2], window[3] + 1, dtype=np.float64)
    y: Floats = f + e * np.arange(window[0], window[1] + 1, dtype=np.float64)
    if frame.kind == "cylindrical":
        return _rows_of_cylinder(frame, y, abs(a), beyond == "smooth")
    if frame.kind == "equal area" and (beyond != "part" or _surrounded(frame, x, y)):
        return np.array([[abs(a * e) * frame.square_metres]])
    return _by_blocks(frame, x, y, beyond)


@dataclass(frozen=True)
class _Frame:
    """A CRS as far as areas need it.

    Parameters
    ----------
    a, e2 : float
        Semi-major axis in metres, and the eccentricity squared.
    kind : {"cylindrical", "equal area", "other"}
        What areas depend on: "cylindrical" on y alone, "equal area" on nothing.
    linear : tuple of float or None
        Latitude where y is 0, latitude and longitude per unit, degrees, where both are linear.
    planetocentric : bool
        Whether the latitude of `linear` is planetocentric.
    proj : pyproj.Proj or None
        The projection; None for longitude and latitude.
    lon_per_unit : float
        Of a cylindrical projection, degrees.
    spherical : bool
        Whether the projection takes an ellipsoid for a sphere.
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


def _frame(crs: Any) -> _Frame:
    """The frame of a CRS; one per thread, as PROJ's objects are."""
    crs = pyproj.CRS.from_user_input(crs)
    frames: dict[str, _Frame] = _local.__dict__.setdefault("frames", {})
    key = crs.to_wkt()
    if key not in frames:
        if len(frames) > 32:
            frames.clear()
        frames[key] = _make_frame(crs)
    return frames[key]


def _make_frame(crs: pyproj.CRS) -> _Frame:
    while crs.is_bound or crs.is_compound:
        inner = crs.source_crs if crs.is_bound else crs.sub_crs_list[0]
        assert inner is not None
        crs = inner
    ellipsoid = crs.ellipsoid
    if ellipsoid is None:
        raise GridError(f"received the CRS {crs.name!r}, which has no ellipsoid; type da.rio.write_crs(...)")
    a, b = float(ellipsoid.semi_major_metre), float(ellipsoid.semi_minor_metre)
    e2 = (a - b) * (a + b) / a**2
    if not crs.is_projected and not crs.is_derived:
        names = [axis.name.lower() for axis in crs.axis_info]
        at = next((i for i, name in enumerate(names) if "lat" in name), 0)
        unit = float(np.degrees(crs.axis_info[at].unit_conversion_factor)) if crs.axis_info else 1.0
        unit = 1.0 if abs(unit - 1.0) < 1e-12 else unit
        centric = bool(names) and "planetocentric" in names[at]
        return _Frame(a, e2, "cylindrical", (0.0, unit, unit), centric)
    try:
        with warnings.catch_warnings():
            # What a PROJ string loses, names and codes, plays no part in areas
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
    return _classify(_Frame(a, e2, "other", proj=proj, square_metres=to_metre**2))


def _classify(frame: _Frame) -> _Frame:
    """Find out what a projection's areas depend on, by trying it."""
    assert frame.proj is not None
    lon = _central(frame) + np.array([-100.0, -60.0, -20.0, 10.0, 70.0, 110.0])
    lat = np.array([-75.0, -45.0, -10.0, 0.0, 25.0, 50.0, 80.0])
    lons, lats = np.meshgrid(lon, lat)
    x, y = frame.proj(lons, lats)
    size = frame.a / np.sqrt(frame.square_metres)
    good = np.isfinite(x) & np.isfinite(y)
    if not good.any():
        return frame

    def same(values: Floats, expected: Floats | float) -> bool:
        return bool(np.abs(values - expected).max() < 1e-11 * size)

    frame = replace(frame, spherical=_is_spherical(frame, lons[good], lats[good]))
    if good.all() and same(x, x[:1]) and same(y, y[:, :1]):
        per_degree = (x[0, -1] - x[0, 0]) / (lon[-1] - lon[0])
        if same(x[0], x[0, 0] + per_degree * (lon - lon[0])):
            frame = replace(frame, kind="cylindrical", lon_per_unit=1.0 / per_degree)
            slope = (y[-1, 0] - y[0, 0]) / (lat[-1] - lat[0])
            if same(y[:, 0], y[0, 0] + slope * (lat - lat[0])):
                at_zero = lat[3] - y[3, 0] / slope
                frame = replace(frame, linear=(float(at_zero), float(1.0 / slope), float(1.0 / per_degree)))
            return frame
    assert frame.proj is not None
    if frame.spherical:
        return frame  # equal areas on a sphere are not those of the ellipsoid
    scale = frame.proj.get_factors(lons[good], lats[good], errcheck=False).areal_scale
    return replace(frame, kind="equal area") if np.abs(scale - 1.0).max() < 1e-8 else frame


def _is_spherical(frame: _Frame, lon: Floats, lat: Floats) -> bool:
    """Whether PROJ computes with a sphere although the body is an ellipsoid, told by its area of a small square."""
    assert frame.proj is not None
    if frame.e2 == 0.0:
        return False
    h = 1e-3
    east, west, north, south = (frame.proj(lon + dx, lat + dy) for dx, dy in ((h, 0.0), (-h, 0.0), (0.0, h), (0.0, -h)))
    xx, yx, xy, yy = east[0] - west[0], east[1] - west[1], north[0] - south[0], north[1] - south[1]
    plane = np.abs(xx * yy - xy * yx) * frame.square_metres / np.radians(2 * h) ** 2
    ellipsoid = (
        frame.a**2 * (1 - frame.e2) * np.cos(np.radians(lat)) / (1 - frame.e2 * np.sin(np.radians(lat)) ** 2) ** 2
    )
    sphere = frame.a**2 * np.cos(np.radians(lat))
    scale = frame.proj.get_factors(lon, lat, errcheck=False).areal_scale
    off = [np.nanmedian(np.abs(plane / area / scale - 1)) for area in (ellipsoid, sphere)]
    return bool(off[1] < off[0])


def _between_parallels(
    frame: _Frame, origin: float, step: float, rows: tuple[int, int], width: float, past: bool
) -> Floats:
    """Areas where latitude is linear in rows: `origin` and `step` in degrees, `width` of a pixel in degrees.

    Past the poles there are none, or those of the same formula.
    """
    edges = origin + step * np.arange(rows[0], rows[1] + 1)
    low, high = np.minimum(edges[:-1], edges[1:]), np.maximum(edges[:-1], edges[1:])
    height = np.full(low.size, abs(step))
    if not past:
        inside = (low >= -90.0) & (high <= 90.0)
        low, high = np.clip(low, -90.0, 90.0), np.clip(high, -90.0, 90.0)
        height = np.where(inside, height, high - low)
    if frame.planetocentric and frame.e2 != 0.0:
        low, high, height = geodetic_interval(frame.e2, low, high, height)
    return np.asarray(zone_area(frame.a, frame.e2, low, high, height) * np.radians(width))[:, None]


def _rows_of_cylinder(frame: _Frame, y: Floats, a: float, smooth: bool) -> Floats:
    """Areas between the latitudes of row edges; NaN of rows not wholly on the map, if they are to be smooth."""
    assert frame.proj is not None
    lon = _central(frame)
    x, equator = frame.proj(lon, 0.0)
    up = np.sign(frame.proj(lon, 1.0)[1] - equator)
    _, lat = frame.proj(np.full_like(y, x), y, inverse=True)
    shown = np.isfinite(lat) & (np.abs(lat) <= 90.0)
    # Edges beyond the map, as of the cylindrical equal-area projection, are the pole's
    lat = np.clip(np.where(np.isfinite(lat), lat, 90.0 * up * np.sign(y - equator)), -90.0, 90.0)
    low, high = np.minimum(lat[:-1], lat[1:]), np.maximum(lat[:-1], lat[1:])
    areas = zone_area(frame.a, frame.e2, low, high, high - low) * np.radians(a * abs(frame.lon_per_unit))
    return np.asarray(np.where(shown[:-1] & shown[1:], areas, np.nan) if smooth else areas)[:, None]


def _central(frame: _Frame) -> float:
    """Longitude of the central meridian, degrees."""
    assert frame.proj is not None
    middle = re.search(r"\+lon_0=(\S+)", frame.proj.srs)
    return float(middle[1]) if middle else 0.0


def _inverse(frame: _Frame, x: Floats, y: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Longitude and latitude of points on the plane, and which of them are of the map: those that PROJ takes back."""
    assert frame.proj is not None
    lon, lat = frame.proj(x, y, inverse=True)
    good = np.isfinite(lon) & np.isfinite(lat)
    back = frame.proj(np.where(good, lon, 0.0), np.where(good, lat, 0.0))
    size = frame.a / np.sqrt(frame.square_metres)
    with np.errstate(invalid="ignore"):
        good &= np.hypot(back[0] - x, back[1] - y) < _ROUND_TRIP * size
    return np.asarray(lon), np.asarray(lat), good


def _places(frame: _Frame, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Longitude and latitude of points that are of the map; PROJ may fail to find one, but not all beside it."""
    lon, lat, good = _inverse(frame, x, y)
    for shift in (1e-12, -1e-11, 1e-10, -1e-9, 1e-9, -1e-8, 1e-8, 3e-8):
        lost = np.flatnonzero(~good)
        if not lost.size:
            break
        beside = shift * frame.a / np.sqrt(frame.square_metres)
        lon[lost], lat[lost], good[lost] = _inverse(frame, x[lost] + beside, y[lost] - beside / 2)
    return lon, lat


def _surrounded(frame: _Frame, x: Floats, y: Floats) -> bool:
    """Whether the window's whole border is of the map."""
    across, down = np.ones(x.size), np.ones(y.size)
    border_x = np.concatenate([x, x, x[0] * down, x[-1] * down])
    border_y = np.concatenate([y[0] * across, y[-1] * across, y, y])
    return bool(_inverse(frame, border_x, border_y)[2].all())


def _density(frame: _Frame, x: Floats, y: Floats) -> Floats:
    """Area on the body per area on the plane at some points, NaN off the map."""
    assert frame.proj is not None
    lon, lat, good = _inverse(frame, x.ravel(), y.ravel())
    out = np.full(x.size, np.nan)
    if not good.any():
        return out.reshape(x.shape)
    if frame.kind == "equal area":
        out[good] = frame.square_metres
        return out.reshape(x.shape)
    scale = np.asarray(frame.proj.get_factors(lon[good], lat[good], errcheck=False).areal_scale)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = frame.square_metres / np.abs(scale)
    if frame.spherical:
        value *= (1 - frame.e2) / (1 - frame.e2 * np.sin(np.radians(lat[good])) ** 2) ** 2
    out[good] = np.where(np.isfinite(value), value, np.nan)
    return out.reshape(x.shape)


# Chebyshev's points and what turns values there into coefficients
_POINTS = np.cos(np.pi * (np.arange(_NODES) + 0.5) / _NODES)
_COEFFICIENTS = np.polynomial.chebyshev.chebvander(_POINTS, _NODES - 1).T * (2.0 / _NODES)
_COEFFICIENTS[0] /= 2


def _by_blocks(frame: _Frame, x: Floats, y: Floats, beyond: Beyond) -> Floats:
    """Areas of pixels by interpolation over blocks, which are halved where they are not smooth."""
    rows, cols = y.size - 1, x.size - 1
    out = np.full((rows, cols), np.nan if beyond == "smooth" else 0.0)
    blocks = np.array(
        [
            (top, min(top + _BLOCK, rows), left, min(left + _BLOCK, cols))
            for top in range(0, rows, _BLOCK)
            for left in range(0, cols, _BLOCK)
        ]
    )
    while len(blocks):
        coefficients, off = _coefficients(frame, x, y, blocks)
        largest = np.abs(coefficients).max(axis=(1, 2))
        tail = np.maximum(
            np.abs(coefficients[:, -2:]).max(axis=(1, 2)), np.abs(coefficients[:, :, -2:]).max(axis=(1, 2))
        )
        single = (blocks[:, 1] - blocks[:, 0] == 1) & (blocks[:, 3] - blocks[:, 2] == 1)
        smooth = ~off.any(axis=1) & (tail <= _TAIL * largest)
        for (top, bottom, left, right), c in zip(blocks[smooth], coefficients[smooth], strict=True):
            over_rows = _integrals(y[top : bottom + 1])
            over_cols = _integrals(x[left : right + 1])
            out[top:bottom, left:right] = over_rows @ c @ over_cols.T
        rest = blocks[~smooth & ~off.all(axis=1)]
        single = single[~smooth & ~off.all(axis=1)]
        if beyond != "smooth":
            across = off[~smooth & ~off.all(axis=1)].any(axis=1)
            _enclose(frame, x, y, rest[single & ~across][:, ::2], out)
            across |= np.isnan(out[rest[:, 0], rest[:, 2]])
            _sample(frame, x, y, rest[single & across][:, ::2], out, beyond == "like")
        blocks = _halved(rest[~single])
    return out


def _coefficients(frame: _Frame, x: Floats, y: Floats, blocks: NDArray[np.int64]) -> tuple[Floats, NDArray[np.bool_]]:
    """Chebyshev coefficients of the density over each block, along y and x, and which of its points are off the map."""
    top, bottom, left, right = blocks.T

    def points(low: Floats, high: Floats) -> Floats:
        return (low + high)[:, None] / 2 + (high - low)[:, None] / 2 * _POINTS

    across, down = points(x[left], x[right]), points(y[top], y[bottom])
    shape = (len(blocks), _NODES, _NODES)
    density = _density(frame, *(np.broadcast_to(v, shape) for v in (across[:, None, :], down[:, :, None])))
    # Corners of a block reach a little further than its points
    corner_x, corner_y = x[blocks[:, [2, 2, 3, 3]]], y[blocks[:, [0, 1, 0, 1]]]
    corner_off = ~_inverse(frame, corner_x.ravel(), corner_y.ravel())[2].reshape(-1, 4)
    off = np.isnan(density).reshape(-1, _NODES**2)
    coefficients = _COEFFICIENTS @ np.nan_to_num(density) @ _COEFFICIENTS.T
    return coefficients, np.concatenate([off, corner_off], axis=1)


def _integrals(edges: Floats) -> Floats:
    """Integral of each Chebyshev polynomial over each pixel between edges, shape (pixels, nodes)."""
    half = abs(edges[-1] - edges[0]) / 2
    scaled = (edges - (edges[0] + edges[-1]) / 2) / ((edges[-1] - edges[0]) / 2)
    nodes, weights = _GAUSS
    points = (scaled[:-1, None] + scaled[1:, None]) / 2 + np.diff(scaled)[:, None] / 2 * nodes
    values = np.polynomial.chebyshev.chebvander(points, _NODES - 1)
    return np.asarray(np.einsum("pgk,g->pk", values, weights) * (np.diff(scaled) * half / 2)[:, None])


_GAUSS = np.polynomial.legendre.leggauss(_NODES // 2)


def _halved(blocks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each block in up to four."""
    top, bottom, left, right = blocks.T
    middle, centre = (top + bottom + 1) // 2, (left + right + 1) // 2
    four = [
        (top, middle, left, centre),
        (top, middle, centre, right),
        (middle, bottom, left, centre),
        (middle, bottom, centre, right),
    ]
    pieces = np.concatenate([np.stack(piece, axis=1) for piece in four]) if len(blocks) else blocks
    return pieces[(pieces[:, 1] > pieces[:, 0]) & (pieces[:, 3] > pieces[:, 2])]


def _sample(frame: _Frame, x: Floats, y: Floats, pixels: NDArray[np.int64], out: Floats, whole: bool) -> None:
    """Areas of some pixels (row, column) from points in each: Gauss' in each of some panels."""
    nodes, weights = _GAUSS
    share = ((np.arange(_PANELS)[:, None] + (nodes + 1) / 2) / _PANELS).ravel()
    weight = np.tile(weights / 2, _PANELS) / _PANELS
    for some in np.array_split(pixels, len(pixels) // 256 + 1):
        r, c = some.T
        px = x[c][:, None] + share * (x[c + 1] - x[c])[:, None]
        py = y[r][:, None] + share * (y[r + 1] - y[r])[:, None]
        shape = (len(some), share.size, share.size)
        density = _density(frame, *(np.broadcast_to(v, shape) for v in (px[:, None, :], py[:, :, None])))
        area = np.abs((x[c + 1] - x[c]) * (y[r + 1] - y[r]))
        inside = weight @ np.isfinite(density).astype(np.float64) @ weight if whole else 1.0
        out[r, c] = weight @ np.nan_to_num(density) @ weight * area / np.maximum(inside, 1e-3)


def _enclose(frame: _Frame, x: Floats, y: Floats, pixels: NDArray[np.int64], out: Floats) -> None:
    """Areas of some pixels (row, column) that are wholly on the map, by their edges."""
    for some in np.array_split(pixels, len(pixels) // _SOME + 1) if len(pixels) else ():
        r, c = some.T
        px = x[c][:, None] + _ACROSS * (x[c + 1] - x[c])[:, None]
        py = y[r][:, None] + _DOWN * (y[r + 1] - y[r])[:, None]
        ring = _ACROSS.size * np.arange(len(some) + 1)
        out[r, c] = _enclosed(frame, partial(_places, frame), px.ravel(), py.ravel(), ring, _STEEP)


# A pixel's outline, each side in four parts: the scale may bend somewhere
_WAY = np.linspace(0.0, 1.0, 5)[:4]
_ACROSS = np.concatenate([_WAY, np.ones(4), 1.0 - _WAY, np.zeros(4)])
_DOWN = np.roll(_ACROSS, 4)
