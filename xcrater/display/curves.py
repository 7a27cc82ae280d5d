"""Outlines of regions as lines of a figure, and the shading that replaces those too small and too many to be seen."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xcrater.display.plane import Plane
from xcrater.engine.craters import meets
from xcrater.engine.request import Request
from xcrater.geometry.rings import Outlines
from xcrater.geometry.sphere import great_circle_distance
from xcrater.table.crater_table import CraterTable
from xcrater.table.ellipses import Ellipses
from xcrater.table.regions import Annulus, Circle, Region

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SMALL = 3.0
"""Size in pixels of the figure below which a region is shaded instead of drawn, where there are many."""

MANY = 20_000
"""Number of regions in a figure above which the small ones are shaded."""

_BESIDE = 1e-3  # degrees from the rim of a map within which a vertex counts as on it
_BATCH = 20_000  # craters outlined at a time


class Drawing(NamedTuple):
    """The visible part of one region of all craters on a plane."""

    lines: list[Floats]
    """Polylines in units of the plane's CRS, each of shape (n, 2)."""
    ink: Floats | None
    """Length of the outlines too small to draw in each pixel of the plane, pixels; None where all are drawn."""
    shown: Ints
    """Positions in the table of the craters whose regions meet the plane."""


def outlines(
    plane: Plane, cdb: CraterTable, region: str | dict[str, Region], *, shade: bool | None = None, finest: float = SMALL
) -> Drawing:
    """Outline every crater's region on a plane.

    Parameters
    ----------
    plane : Plane
        The plane of the figure.
    cdb : CraterTable
        The craters.
    region : str or dict of str to Region
        Name of a region; or ``{"rim": region}`` for one that the table need not have.
    shade : bool, optional
        Whether regions smaller than `finest` become ink; by default where more than `MANY` are visible.
    finest : float
        Size of a region, pixels of the plane.

    Returns
    -------
    Drawing
        The lines, cut where the map is torn and nowhere else.
    """
    request = plane.request(cdb, _bounding_curves(cdb.region(region) if isinstance(region, str) else region["rim"]))
    top, bottom, west, east = _boxes(request)
    window = (0, plane.shape[0], 0, plane.shape[1])
    seen = np.flatnonzero(meets((top, bottom, west, east), window, plane.raster.grid.period))
    ink = None
    if seen.size > MANY if shade is None else shade:
        across = np.maximum(bottom[seen] - top[seen], east[seen] - west[seen])
        small = across < finest
        ink = _ink(plane, request, seen[small], np.pi * across[small])
        drawn = seen[~small]
    else:
        drawn = seen
    lines: list[Floats] = []
    for start in range(0, drawn.size, _BATCH):
        lines += _lines(plane, request, drawn[start : start + _BATCH])
    return Drawing(lines, ink, seen)


def _bounding_curves(region: Region) -> dict[str, Region]:
    """The bounding curves of a region, outermost first, each as a region without holes.

    On some maps the outline of a ring around a pole is one line, which runs from its outer bound to its inner one.
    """
    if isinstance(region, Annulus):
        return {f"{bound}": Circle(bound, region.nvert) for bound in reversed(region.bounds) if bound > 0}
    if isinstance(region, Ellipses):
        bounds = (region.outer, region.inner)
        return {f"{bound}": replace(region, inner=0.0, outer=bound) for bound in bounds if bound > 0}
    return {"outline": region}


def _boxes(request: Request) -> tuple[Floats, Floats, Floats, Floats]:
    boxes = request.boxes
    return boxes[0][0], boxes[0][1], boxes[0][2], boxes[0][3]


def _ink(plane: Plane, request: Request, some: Ints, length: Floats) -> Floats:
    table = request.table
    u, v = plane.frame.pixels(table.lon.to_numpy()[some], table.lat.to_numpy()[some])
    rows, cols = plane.shape
    if np.isfinite(plane.raster.grid.period):
        u = np.mod(u, plane.raster.grid.period)
    on = np.isfinite(u) & np.isfinite(v) & (u >= 0) & (u < cols) & (v >= 0) & (v < rows)
    at = v[on].astype(int) * cols + u[on].astype(int)
    return np.bincount(at, weights=length[on], minlength=rows * cols).astype(np.float64).reshape(rows, cols)


def _lines(plane: Plane, request: Request, some: Ints) -> list[Floats]:
    """Closed outlines of the regions of some craters as polylines of the plane."""
    craters = request.craters.take(some)
    lines: list[Floats] = []
    for member in request.shapes.regions:
        lines += _rings(plane, member.outlines(plane.frame, craters))
    return lines


def _rings(plane: Plane, found: Outlines) -> list[Floats]:
    rows, cols = plane.shape
    lines = []
    for start, stop in zip(found.ring, found.ring[1:], strict=False):
        u, v = np.append(found.u[start:stop], found.u[start]), np.append(found.v[start:stop], found.v[start])
        for shift in _shifts(u, found.period, cols):
            # Rings over a pole are closed beyond it, others along the rim; these closing lines are not outlines
            for piece in _within(plane, u + shift, v):
                x, y = plane.from_pixels(piece[0], piece[1])
                if piece[1].max() >= 0 and piece[1].min() <= rows:
                    lines.append(np.column_stack([x, y]))
    return lines


def _shifts(u: Floats, period: float, cols: int) -> list[float]:
    """Shifts, in columns, of those periodic copies of a ring that meet the plane."""
    if not np.isfinite(period):
        return [0.0]
    first, last = int(np.ceil(-u.max() / period)), int(np.floor((cols - u.min()) / period))
    return [period * n for n in range(first, last + 1)]


def _pole_rows(plane: Plane) -> tuple[float, float]:
    """Rows of the poles on a plane of longitude and latitude, the northern one first; infinite on others."""
    if plane.frame.kind != "cylindrical":
        return -np.inf, np.inf
    _, v = plane.frame.pixels(np.full(2, plane.frame.centre[0]), np.array([90.0, -90.0]))
    low, high = np.sort(np.where(np.isfinite(v), v, [-np.inf, np.inf]))
    return float(low), float(high)


def _within(plane: Plane, u: Floats, v: Floats) -> list[tuple[Floats, Floats]]:
    """Pieces of a closed line that do not run along the edge of the map itself."""
    low, high = _pole_rows(plane)
    beyond = (v <= low + 1e-6) | (v >= high - 1e-6)
    rim = _on_rim(plane, u, v)
    kept = ~(beyond[:-1] | beyond[1:] | (rim[:-1] & rim[1:]))
    if kept.all():
        return [(u, v)]
    if not kept.any():
        return []
    first = int(np.flatnonzero(~kept)[0])
    u, v, kept = np.roll(u[:-1], -first), np.roll(v[:-1], -first), np.roll(kept, -first)
    u, v = np.append(u, u[0]), np.append(v, v[0])
    edges = np.flatnonzero(np.diff(np.concatenate([[False], kept, [False]]).astype(int)))
    return [(u[a : b + 1], v[a : b + 1]) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _on_rim(plane: Plane, u: Floats, v: Floats) -> NDArray[np.bool_]:
    """Which vertices lie where the map ends: where it is torn, at a pole, or at its greatest distance."""
    frame = plane.frame
    if frame.kind == "cylindrical":
        return np.zeros(u.shape, bool)
    lon, lat = frame.lonlat(u, v)
    with np.errstate(invalid="ignore"):
        if frame.kind == "azimuthal":
            centre = np.full(2, frame.centre[0]), frame.planetocentric(np.full(2, frame.centre[1]))
            away = np.degrees(great_circle_distance(lon, lat, centre[0][:1], centre[1][:1]))
            return np.asarray(~(away < frame.limits[1] - _BESIDE))
        away = np.abs(np.mod(lon - frame.centre[0] + 180.0, 360.0) - 180.0)
        return np.asarray(~((away < 180.0 - _BESIDE) & (np.abs(lat) < 90.0 - _BESIDE)))
