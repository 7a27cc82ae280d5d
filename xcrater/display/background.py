"""The raster behind a figure, read at the figure's resolution whatever the raster's size and projection."""

from __future__ import annotations

import itertools
import os
from typing import Any

import numpy as np
import rasterio
import xarray as xr
from numpy.typing import NDArray

from xcrater.display.plane import Plane
from xcrater.errors import PlotError
from xcrater.geometry.bodies import get_body
from xcrater.raster.declared import decoded
from xcrater.raster.mosaic import open_mosaic
from xcrater.raster.reading import read_raster

Floats = NDArray[np.float64]

MOST = 2**25
"""Largest number of pixels read for a figure; larger rasters are decimated further."""


def open_image(raster: Any, band: int) -> xr.DataArray:
    """Open one image of a raster.

    Parameters
    ----------
    raster : path, rasterio dataset or xarray.DataArray
        The raster.
    band : int
        Number of the image, from 1, along its further dimension.

    Raises
    ------
    PlotError
        There is no such image.
    """
    da = raster if isinstance(raster, xr.DataArray) else open_mosaic(raster)
    found = read_raster(da)
    da = da.transpose(..., found.y_dim, found.x_dim)
    if not found.extra_dims:
        if band != 1:
            raise PlotError(f"received band={band!r}; the raster has one band: band=1")
        return da
    dim = found.extra_dims[0]
    if len(found.extra_dims) > 1 or isinstance(band, bool) or not 1 <= band <= da.sizes[dim]:
        dims = {name: da.sizes[name] for name in found.extra_dims}
        raise PlotError(f"received band={band!r} of a raster with {dims}; choose one image: da.isel({dim}=0)")
    return da.isel({dim: int(band) - 1})


def image_on(
    plane: Plane, da: xr.DataArray, file: Any = None, *, smooth: bool = False
) -> tuple[np.ma.MaskedArray[Any, Any], NDArray[np.bool_]]:
    """Sample a raster at the pixels of a plane, by the nearest pixel that was read.

    Parameters
    ----------
    plane : Plane
        The plane of the figure.
    da : xarray.DataArray
        Two-dimensional raster.
    file : path, optional
        The file that the raster was opened from, whose overviews are read where they suffice.
    smooth : bool
        Whether to interpolate between the pixels that were read, so that slopes can be computed.

    Returns
    -------
    image : numpy.ma.MaskedArray, shape of the plane
        Masked where there is no value.
    within : ndarray of bool, shape of the plane
        Whether the place that a pixel of the plane shows lies on the raster.
    """
    lon, lat = plane.places()
    u, v = _pixels(da, plane, lon, lat)
    across, down = _density(u, da, plane, turning=True), _density(v, da, plane, turning=False)
    factor = _overview(file, min(across, down))
    if factor is not None:
        level, _ = factor
        with rasterio.open(os.fspath(file), overview_level=level) as source:
            return _sampled(plane, open_mosaic(source), lon, lat, smooth)
    return _sampled(plane, da, lon, lat, smooth)


def _overview(file: Any, density: float) -> tuple[int, int] | None:
    """Index and decimation factor of the coarsest overview of a file that still has enough pixels."""
    if not isinstance(file, (str, os.PathLike)):
        return None
    with rasterio.open(os.fspath(file)) as source:
        levels = [(n, factor) for n, factor in enumerate(source.overviews(1)) if factor <= density]
    return max(levels, key=lambda level: level[1], default=None)


def _pixels(da: xr.DataArray, plane: Plane, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """Pixel coordinates of places on a raster."""
    raster = read_raster(da, body=get_body(plane.body))
    u, v = raster.grid.to_frame().pixels(lon.ravel(), lat.ravel())
    lost = ~(np.isfinite(u) & np.isfinite(v))
    return np.where(lost, np.nan, u).reshape(lon.shape), np.where(lost, np.nan, v).reshape(lon.shape)


def _density(at: Floats, da: xr.DataArray, plane: Plane, *, turning: bool) -> float:
    """Raster pixels between neighbouring pixels of the plane, as the lower quartile over the plane."""
    period = read_raster(da).grid.period if turning else np.inf
    steps = np.zeros(at.shape)
    for axis in (0, 1):
        step = np.abs(np.diff(at, axis=axis, append=np.nan))
        if np.isfinite(period):
            step = np.minimum(step, np.abs(period - step))
        steps = np.fmax(steps, step)
    known = steps[np.isfinite(steps) & (steps > 0)]
    return float(np.percentile(known, 25)) if known.size else 1.0


def _sampled(
    plane: Plane, da: xr.DataArray, lon: Floats, lat: Floats, smooth: bool
) -> tuple[np.ma.MaskedArray[Any, Any], NDArray[np.bool_]]:
    raster = read_raster(da, body=get_body(plane.body))
    rows, cols = raster.grid.shape
    u, v = _pixels(da, plane, lon, lat)
    sx, sy = (max(1, int(_density(at, da, plane, turning=at is u))) for at in (u, v))
    period = raster.grid.period
    whole = round(period) if raster.grid.wraps else 0
    on = np.isfinite(u) & (v >= 0) & (v < rows)
    if np.isfinite(period):
        # Count columns continuously from the figure's middle to both sides, so that a view of the seam is one piece
        middle = _middle(u[on], period)
        u = u - period * np.round((u - middle) / period)
        if not whole:
            u = np.where(u < 0, u + period, u)
    on &= np.isfinite(u) if whole else (u >= 0) & (u < cols)
    out = np.full(plane.shape, np.nan)
    if not on.any():
        return np.ma.masked_invalid(out), on
    left, right = int(np.floor(u[on].min())), int(np.floor(u[on].max())) + 1
    top, bottom = int(np.floor(v[on].min())), int(np.floor(v[on].max())) + 1
    while ((right - left) // sx + 1) * ((bottom - top) // sy + 1) > MOST:
        sx, sy = 2 * sx, 2 * sy
    # The pixel in the middle of each step represents it
    columns = np.minimum(np.arange(left, right, sx) + sx // 2, max(right - 1, left))
    lines = np.minimum(np.arange(top, bottom, sy) + sy // 2, bottom - 1)
    wrapped = np.mod(columns, whole) if whole else columns
    breaks = [0, *(np.flatnonzero(np.diff(wrapped) <= 0) + 1).tolist(), columns.size]
    pieces = []
    for start, stop in itertools.pairwise(breaks):
        piece = da.isel({raster.y_dim: _slice(lines), raster.x_dim: _slice(wrapped[start:stop])})
        values = decoded(piece).transpose(raster.y_dim, raster.x_dim).compute().data
        pieces.append(np.ma.filled(np.ma.asarray(values).astype(float), np.nan))
    values = np.concatenate(pieces, axis=1)
    if smooth:
        # Each sample is the value in the middle of its step
        middles = top + min(sy // 2, bottom - 1 - top) + 0.5, left + min(sx // 2, right - 1 - left) + 0.5
        if sx > 1 or sy > 1:
            values = _means_of_neighbours(values)
        out[on] = _between(values, (v[on] - middles[0]) / sy, (u[on] - middles[1]) / sx)
        return np.ma.masked_invalid(out), on
    i = np.clip((v[on] - top).astype(int) // sy, 0, values.shape[0] - 1)
    j = np.clip((u[on] - left).astype(int) // sx, 0, values.shape[1] - 1)
    out[on] = values[i, j]
    return np.ma.masked_invalid(out), on


def _between(values: Floats, row: Floats, col: Floats) -> Floats:
    """Values at fractional rows and columns, interpolated linearly; NaN where the nearest value is missing.

    Other missing neighbours are left out, and beyond the edges of the array the outermost values continue.
    """
    rows, cols = values.shape
    row, col = np.clip(row, 0, rows - 1), np.clip(col, 0, cols - 1)
    i, j = row.astype(int), col.astype(int)
    down, right = row - i, col - j
    total, weight = np.zeros(row.shape), np.zeros(row.shape)
    for below, by in ((0, 1 - down), (1, down)):
        for beside, bx in ((0, 1 - right), (1, right)):
            one = values[np.minimum(i + below, rows - 1), np.minimum(j + beside, cols - 1)]
            share = np.where(np.isnan(one), 0.0, by * bx)
            total += share * np.where(np.isnan(one), 0.0, one)
            weight += share
    nearest = values[np.rint(row).astype(int), np.rint(col).astype(int)]
    return np.where(np.isnan(nearest), np.nan, total / np.where(weight > 0, weight, 1.0))


def _means_of_neighbours(values: Floats) -> Floats:
    """Average values with their neighbours, because single pixels represent a decimated raster badly."""
    padded = np.pad(values, 1, mode="edge")
    known = ~np.isnan(padded)
    filled = np.where(known, padded, 0.0)
    total, weight = (
        sum(
            by * bx * of[1 + di : of.shape[0] - 1 + di, 1 + dj : of.shape[1] - 1 + dj]
            for di, by in ((-1, 0.25), (0, 0.5), (1, 0.25))
            for dj, bx in ((-1, 0.25), (0, 0.5), (1, 0.25))
        )
        for of in (filled, known.astype(float))
    )
    return np.where(known[1:-1, 1:-1], total / np.where(weight > 0, weight, 1.0), np.nan)


def _slice(positions: NDArray[np.integer]) -> slice:
    """Evenly spaced positions as a slice; a last position that is out of step is left out."""
    step = int(positions[1] - positions[0]) if positions.size > 1 else 1
    return slice(int(positions[0]), int(positions[-1]) + 1, max(step, 1))


def _middle(u: Floats, period: float) -> float:
    """The circular mean of columns that wrap around the body."""
    if not u.size:
        return 0.0
    angle = 2 * np.pi * u / period
    return float(np.arctan2(np.sin(angle).mean(), np.cos(angle).mean()) % (2 * np.pi) / (2 * np.pi) * period)
