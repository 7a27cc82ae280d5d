"""True areas of pixels, on sphere or ellipsoid, in any projection."""

from __future__ import annotations

import re
import threading
import warnings
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyproj
from numpy.typing import NDArray

from xcrater.errors import GridError

Floats = NDArray[np.float64]
Transform = tuple[float, float, float, float, float, float]
Window = tuple[int, int, int, int]
"""(row_start, row_stop, col_start, col_stop) in pixels of the whole grid."""

_NODES = 8
_BLOCK = 64
_BEND = 1e-3
_TAIL = 2e-10
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
        the area 0; one that is partly outside counts the part inside, to about 1 %
        of the whole pixel.

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
    each pixel exactly; PROJ's own derivatives limit that to relative errors of about 1e-10. Only pixels at the edge
    of the domain, or where the scale is singular, are sampled (32 × 32 points).

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
    frame = _frame(crs)
    if frame.linear is not None:
        origin, per_unit, lon_per_unit = frame.linear
        return _between_parallels(
            frame, origin + per_unit * f, per_unit * e, (row_start, row_stop), abs(a * lon_per_unit)
        )
    x: Floats = c + a * np.arange(col_start, col_stop + 1, dtype=np.float64)
    y: Floats = f + e * np.arange(row_start, row_stop + 1, dtype=np.float64)
    if frame.kind == "cylindrical":
        return _rows_of_cylinder(frame, y, abs(a))
    if frame.kind == "equal area" and _surrounded(frame, x, y):
        return np.array([[abs(a * e) * frame.square_metres]])
    return _by_blocks(frame, x, y, whole)


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


def _strip(frame: _Frame, low: Floats, high: Floats, height: Floats) -> Floats:
    """Area between two parallels over one radian of longitude, m².

    `low` and `high` are geodetic latitudes in degrees, `height` their difference, given apart for its digits.
    """
    middle = (low + high) / 2
    cosine = np.where(np.abs(middle) > 45.0, np.sin(np.radians(90.0 - np.abs(middle))), np.cos(np.radians(middle)))
    rise = 2 * cosine * np.sin(np.radians(height) / 2)
    e2 = frame.e2
    if e2 == 0.0:
        return np.asarray(frame.a**2 * rise)
    s, t = np.sin(np.radians(low)), np.sin(np.radians(high))
    e = np.sqrt(abs(e2))
    # Differences of the two terms of q
    first = rise * (1 + e2 * s * t) / ((1 - e2 * s**2) * (1 - e2 * t**2))
    curve = np.arctanh if e2 > 0 else np.arctan
    second = curve(e * rise / (1 - e2 * s * t)) / e
    return np.asarray(frame.a**2 * (1 - e2) * (first + second) / 2)


def _between_parallels(frame: _Frame, origin: float, step: float, rows: tuple[int, int], width: float) -> Floats:
    """Areas where latitude is linear in rows: `origin` and `step` in degrees, `width` of a pixel in degrees."""
    edges = origin + step * np.arange(rows[0], rows[1] + 1)
    low, high = np.minimum(edges[:-1], edges[1:]), np.maximum(edges[:-1], edges[1:])
    inside = (low >= -90.0) & (high <= 90.0)
    low, high = np.clip(low, -90.0, 90.0), np.clip(high, -90.0, 90.0)
    height = np.where(inside, abs(step), high - low)
    if frame.planetocentric and frame.e2 != 0.0:
        low, high, height = _geodetic(frame.e2, low, high, height)
    return np.asarray(_strip(frame, low, high, height) * np.radians(width))[:, None]


def _geodetic(e2: float, low: Floats, high: Floats, height: Floats) -> tuple[Floats, Floats, Floats]:
    """Geodetic latitudes of planetocentric ones (Snyder 1987, eq. 3-28), and their difference."""
    k = 1.0 / (1.0 - e2)
    s, t = (np.degrees(np.arctan2(k * np.sin(np.radians(v)), np.cos(np.radians(v)))) for v in (low, high))
    # tan of a difference, from those of both: no digits are lost
    u, v = np.radians(low), np.radians(high)
    apart = np.arctan2(k * np.sin(np.radians(height)), np.cos(u) * np.cos(v) + k**2 * np.sin(u) * np.sin(v))
    return np.where(np.abs(low) == 90.0, low, s), np.where(np.abs(high) == 90.0, high, t), np.degrees(apart)


def _rows_of_cylinder(frame: _Frame, y: Floats, a: float) -> Floats:
    """Areas between the latitudes of row edges."""
    assert frame.proj is not None
    lon = _central(frame)
    x, equator = frame.proj(lon, 0.0)
    up = np.sign(frame.proj(lon, 1.0)[1] - equator)
    _, lat = frame.proj(np.full_like(y, x), y, inverse=True)
    # Edges beyond the map, as of the cylindrical equal-area projection, are the pole's
    lat = np.clip(np.where(np.isfinite(lat), lat, 90.0 * up * np.sign(y - equator)), -90.0, 90.0)
    low, high = np.minimum(lat[:-1], lat[1:]), np.maximum(lat[:-1], lat[1:])
    return np.asarray(_strip(frame, low, high, high - low) * np.radians(a * abs(frame.lon_per_unit)))[:, None]


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


def _by_blocks(frame: _Frame, x: Floats, y: Floats, whole: bool) -> Floats:
    """Areas of pixels by interpolation over blocks, which are halved where they are not smooth."""
    rows, cols = y.size - 1, x.size - 1
    out = np.zeros((rows, cols))
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
        smooth = ~off.any(axis=1) & (tail <= _TAIL * largest)
        for (top, bottom, left, right), c in zip(blocks[smooth], coefficients[smooth], strict=True):
            over_rows = _integrals(y[top : bottom + 1])
            over_cols = _integrals(x[left : right + 1])
            out[top:bottom, left:right] = over_rows @ c @ over_cols.T
        rest = blocks[~smooth & ~off.all(axis=1)]
        single = (rest[:, 1] - rest[:, 0] == 1) & (rest[:, 3] - rest[:, 2] == 1)
        # The edge of the map or a singular point wants many points; a bend of the scale, as Robinson's has, few
        rough = (off.any(axis=1) | (tail > _BEND * largest))[~smooth & ~off.all(axis=1)]
        _sample(frame, x, y, rest[single & rough][:, ::2], 8, out, whole)
        _sample(frame, x, y, rest[single & ~rough][:, ::2], 2, out, whole)
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


def _sample(
    frame: _Frame, x: Floats, y: Floats, pixels: NDArray[np.int64], panels: int, out: Floats, whole: bool
) -> None:
    """Areas of some pixels (row, column) from points in each: Gauss' in each of some panels."""
    nodes, weights = _GAUSS
    share = ((np.arange(panels)[:, None] + (nodes + 1) / 2) / panels).ravel()
    weight = np.tile(weights / 2, panels) / panels
    for some in np.array_split(pixels, len(pixels) // 256 + 1):
        r, c = some.T
        px = x[c][:, None] + share * (x[c + 1] - x[c])[:, None]
        py = y[r][:, None] + share * (y[r + 1] - y[r])[:, None]
        shape = (len(some), share.size, share.size)
        density = _density(frame, *(np.broadcast_to(v, shape) for v in (px[:, None, :], py[:, :, None])))
        area = np.abs((x[c + 1] - x[c]) * (y[r + 1] - y[r]))
        inside = weight @ np.isfinite(density).astype(np.float64) @ weight if whole else 1.0
        out[r, c] = weight @ np.nan_to_num(density) @ weight * area / np.maximum(inside, 1e-3)
