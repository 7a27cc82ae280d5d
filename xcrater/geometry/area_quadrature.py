"""Quadrature of true areas: along the outlines of small polygons, and over pixels of maps whose areal scale varies."""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xcrater.geometry.areal_scale import Places, Plane, areal_density, inverse, places
from xcrater.geometry.sphere import zone_area

Floats = NDArray[np.float64]

_NODES = 8
_PANELS = 8
_BLOCK = 64
_TAIL = 2e-10

Beyond = Literal["part", "like", "smooth"]
"""The area of a pixel across the edge of a map: that of the part inside; the area as if all of it were like that part;
or NaN, as for every other pixel where areas are not smooth."""


def enclosed(
    plane: Plane, places: Places, x: Floats, y: Floats, ring: NDArray[np.int64], rule: tuple[Floats, Floats]
) -> Floats:
    """True areas of polygons on a plane, m²; see `xcrater.geometry.areas.enclosed_areas`.

    Parameters
    ----------
    plane : Plane
        The CRS, of which only the ellipsoid matters.
    places : callable
        East longitude and geodetic latitude of points of the plane, degrees.
    x, y : ndarray, shape (n,)
        Vertices, edges straight between them.
    ring : ndarray of int64, shape (polygons + 1,)
        Position of each polygon's first vertex, and the number of vertices.
    rule : tuple of ndarray
        Positions of samples along an edge, and the matrix of the quadrature; see `SHORT`.

    Returns
    -------
    ndarray, shape (polygons,)
        Areas; NaN if a point has no longitude and latitude.
    """
    size = np.diff(ring)
    after = np.arange(x.size) + 1
    after[ring[1:] - 1] = ring[:-1]
    polygon = np.repeat(np.arange(size.size), size)
    share, integral = rule
    x, y = (axis[:, None] + share * (axis[after] - axis)[:, None] for axis in (x, y))
    lon, lat = (degrees.reshape(x.shape) for degrees in places(x.ravel(), y.ravel()))
    lost = ~(np.isfinite(lon) & np.isfinite(lat))
    lon, lat = np.where(lost, 0.0, lon), np.where(lost, 0.0, lat)
    # Map to the sphere of equal area, keeping the digits that colatitudes need, then by Lambert's azimuthal projection
    # around each polygon
    pole = np.where(lat < 0.0, -1.0, 1.0)
    total = float(zone_area(plane.a, plane.e2, np.array(-90.0), np.array(90.0), np.array(180.0)))
    half = np.sqrt(zone_area(plane.a, plane.e2, pole * lat, np.full_like(lat, 90.0), 90.0 - pole * lat) / total)
    across = 2.0 * half * np.sqrt(np.maximum(0.0, 1.0 - half**2))
    point = np.stack(
        [across * np.cos(np.radians(lon)), across * np.sin(np.radians(lon)), pole * (1.0 - 2.0 * half**2)], axis=-1
    )
    centre = np.stack([np.bincount(polygon, point[..., k].mean(axis=1), size.size) for k in range(3)], axis=1)
    centre = centre / np.linalg.norm(centre, axis=1, keepdims=True)
    least = np.eye(3)[np.abs(centre).argmin(axis=1)]
    east = np.cross(centre, least)
    east = east / np.linalg.norm(east, axis=1, keepdims=True)
    north = np.cross(centre, east)
    up, u, v = (np.einsum("epk,ek->ep", point, axis[polygon]) for axis in (centre, east, north))
    scale = np.sqrt(2.0 / (1.0 + up))
    along = np.einsum("ej,jk,ek->e", scale * u, integral, scale * v)
    areas = np.abs(np.bincount(polygon, along, size.size)) * total / 2.0
    return np.where(np.bincount(polygon, lost.any(axis=1), size.size) > 0, np.nan, areas)


POLYGONS = 4096
"""Number of polygons whose areas are computed at a time."""


def _edge_rule(points: int, *, steep: bool) -> tuple[Floats, Floats]:
    """Make a rule for integrals of f dg along an edge, from the values of two functions f and g at some points.

    Parameters
    ----------
    points : int
        Number of points along an edge, including its ends.
    steep : bool
        Whether functions may behave like square roots at the ends. The points are then Chebyshev points of an angle in
        which square roots are smooth; otherwise they are Chebyshev points of the position along the edge.

    Returns
    -------
    share, integral : ndarray, shapes (points,) and (points, points)
        Positions of the points along the edge, from 0 to 1, and the matrix M for which ``f @ M @ g`` is the integral.
    """
    node = -np.cos(np.pi * np.arange(points) / (points - 1))
    degree = np.arange(points)
    coefficients = np.linalg.inv(np.polynomial.legendre.legvander(node, degree[-1]))
    before = degree[:, None] < degree
    odd = (degree[:, None] + degree) % 2 == 1
    share = np.sin(np.pi / 4 * (1 + node)) ** 2 if steep else (1 + node) / 2
    return share, np.asarray(coefficients.T @ np.where(before & odd, 2.0, 0.0) @ coefficients)


SHORT, _STEEP = _edge_rule(5, steep=False), _edge_rule(9, steep=True)


# Chebyshev points, and the matrix that turns values there into coefficients
_POINTS = np.cos(np.pi * (np.arange(_NODES) + 0.5) / _NODES)
_COEFFICIENTS = np.polynomial.chebyshev.chebvander(_POINTS, _NODES - 1).T * (2.0 / _NODES)
_COEFFICIENTS[0] /= 2


def by_blocks(plane: Plane, x: Floats, y: Floats, beyond: Beyond) -> Floats:
    """Compute true areas of pixels, m², by interpolation over blocks, halving those where the density is not smooth.

    Parameters
    ----------
    plane : Plane
        The CRS.
    x, y : ndarray, shapes (columns + 1,) and (rows + 1,)
        Edges of columns and rows, units of the CRS.
    beyond : {"part", "like", "smooth"}
        Area of a pixel across the edge of the map; see `Beyond`.

    Returns
    -------
    ndarray, shape (rows, columns)
        Areas; 0 for pixels off the map, or NaN if `beyond` is "smooth".

    Notes
    -----
    Over each block the density is a sum of products of Chebyshev polynomials along y and x, whose integrals over pixels
    are known. A block is smooth enough if the last coefficients are negligible.
    """
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
        coefficients, off = _coefficients(plane, x, y, blocks)
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
            _enclose(plane, x, y, rest[single & ~across][:, ::2], out)
            across |= np.isnan(out[rest[:, 0], rest[:, 2]])
            _sample(plane, x, y, rest[single & across][:, ::2], out, beyond == "like")
        blocks = _halved(rest[~single])
    return out


def _coefficients(plane: Plane, x: Floats, y: Floats, blocks: NDArray[np.int64]) -> tuple[Floats, NDArray[np.bool_]]:
    """Chebyshev coefficients of the density over each block, along y and x, and which of its points are off the map."""
    top, bottom, left, right = blocks.T

    def points(low: Floats, high: Floats) -> Floats:
        return (low + high)[:, None] / 2 + (high - low)[:, None] / 2 * _POINTS

    across, down = points(x[left], x[right]), points(y[top], y[bottom])
    shape = (len(blocks), _NODES, _NODES)
    density = areal_density(plane, *(np.broadcast_to(v, shape) for v in (across[:, None, :], down[:, :, None])))
    # The corners of a block lie slightly beyond its points
    corner_x, corner_y = x[blocks[:, [2, 2, 3, 3]]], y[blocks[:, [0, 1, 0, 1]]]
    corner_off = ~inverse(plane, corner_x.ravel(), corner_y.ravel())[2].reshape(-1, 4)
    off = np.isnan(density).reshape(-1, _NODES**2)
    coefficients = _COEFFICIENTS @ np.nan_to_num(density) @ _COEFFICIENTS.T
    return coefficients, np.concatenate([off, corner_off], axis=1)


def _integrals(edges: Floats) -> Floats:
    """Integrate each Chebyshev polynomial over each of the pixels between some edges, shape (pixels, nodes)."""
    half = abs(edges[-1] - edges[0]) / 2
    scaled = (edges - (edges[0] + edges[-1]) / 2) / ((edges[-1] - edges[0]) / 2)
    nodes, weights = _GAUSS
    points = (scaled[:-1, None] + scaled[1:, None]) / 2 + np.diff(scaled)[:, None] / 2 * nodes
    values = np.polynomial.chebyshev.chebvander(points, _NODES - 1)
    return np.asarray(np.einsum("pgk,g->pk", values, weights) * (np.diff(scaled) * half / 2)[:, None])


_GAUSS = np.polynomial.legendre.leggauss(_NODES // 2)


def _halved(blocks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Divide each block into up to four."""
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


def _sample(plane: Plane, x: Floats, y: Floats, pixels: NDArray[np.int64], out: Floats, whole: bool) -> None:
    """Set the areas of some pixels (row, column) by Gauss's rule in each of `_PANELS` by `_PANELS` parts of a pixel.

    If `whole`, parts off the map count as much as those on it.
    """
    nodes, weights = _GAUSS
    share = ((np.arange(_PANELS)[:, None] + (nodes + 1) / 2) / _PANELS).ravel()
    weight = np.tile(weights / 2, _PANELS) / _PANELS
    for some in np.array_split(pixels, len(pixels) // 256 + 1):
        r, c = some.T
        px = x[c][:, None] + share * (x[c + 1] - x[c])[:, None]
        py = y[r][:, None] + share * (y[r + 1] - y[r])[:, None]
        shape = (len(some), share.size, share.size)
        density = areal_density(plane, *(np.broadcast_to(v, shape) for v in (px[:, None, :], py[:, :, None])))
        area = np.abs((x[c + 1] - x[c]) * (y[r + 1] - y[r]))
        inside = weight @ np.isfinite(density).astype(np.float64) @ weight if whole else 1.0
        out[r, c] = weight @ np.nan_to_num(density) @ weight * area / np.maximum(inside, 1e-3)


def _enclose(plane: Plane, x: Floats, y: Floats, pixels: NDArray[np.int64], out: Floats) -> None:
    """Set the areas of some pixels (row, column) that lie entirely on the map, by integrals along their edges."""
    for some in np.array_split(pixels, len(pixels) // POLYGONS + 1) if len(pixels) else ():
        r, c = some.T
        px = x[c][:, None] + _ACROSS * (x[c + 1] - x[c])[:, None]
        py = y[r][:, None] + _DOWN * (y[r + 1] - y[r])[:, None]
        ring = _ACROSS.size * np.arange(len(some) + 1)
        out[r, c] = enclosed(plane, partial(places, plane), px.ravel(), py.ravel(), ring, _STEEP)


# A pixel's outline, with each side in four parts because the scale may have kinks
_WAY = np.linspace(0.0, 1.0, 5)[:4]
_ACROSS = np.concatenate([_WAY, np.ones(4), 1.0 - _WAY, np.zeros(4)])
_DOWN = np.roll(_ACROSS, 4)
