"""Synthetic terrain: waves over the whole sphere, and craters stamped into them."""

from __future__ import annotations

import math

from xcrater.kernels.compile import jit
from xcrater.kernels.half_widths import CENTER
from xcrater.kernels.spans import region_spans


@jit
def plane_waves(lon, lat, waves, out):
    """Sum of waves over the sphere: ``a cos(k . p + phase)`` at the unit vector p of each pixel's centre.

    Parameters
    ----------
    lon, lat : ndarray of float64, shape (columns,) and (rows,)
        Pixel centres, radians.
    waves : ndarray of float64, shape (waves, 5)
        kx, ky, kz, phase (radians) and amplitude a of each wave.
    out : ndarray of float64, shape (rows, columns)
        Filled.
    """
    for r in range(lat.size):
        z, xy = math.sin(lat[r]), math.cos(lat[r])
        for c in range(lon.size):
            x, y = xy * math.cos(lon[c]), xy * math.sin(lon[c])
            height = 0.0
            for w in range(waves.shape[0]):
                height += waves[w, 4] * math.cos(waves[w, 0] * x + waves[w, 1] * y + waves[w, 2] * z + waves[w, 3])
            out[r, c] = height


@jit
def crater_height(r, depth, rim, extent):
    """Height of a synthetic crater: a parabolic bowl, and ejecta that fall off as r**-3.

    Parameters
    ----------
    r, extent : float
        Distance from the centre, and distance at which the ejecta end, crater radii.
    depth, rim : float
        Rim-to-floor depth, and height of the rim above the surroundings; the result is in the same unit.
    """
    if r <= 1.0:
        return rim - depth * (1.0 - r * r)
    if r >= extent:
        return 0.0
    end = extent**-3.0
    return rim * (r**-3.0 - end) / (1.0 - end)


@jit
def stamp_craters(caps, depth, rim, extent, grid, window, scratch, out):
    """Add synthetic craters to a block of heights.

    Parameters
    ----------
    caps : Caps
        The craters.
    depth, rim : ndarray of float64, shape (craters,)
        Depth and rim height of each crater; see `crater_height`.
    extent : float
        Distance at which ejecta end, crater radii.
    grid : Rows
        Where rows and columns lie.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) of the block on the whole grid.
    scratch : SpanScratch
        From `span_scratch` for that window.
    out : ndarray of float64, shape (rows, columns)
        Changed.
    """
    spans = scratch.spans
    u0, lat0, rad = caps
    lat_origin, lat_step, period = grid
    for i in range(u0.size):
        for s in range(region_spans(u0[i], lat0[i], rad[i], 0.0, extent, 0, CENTER, grid, window, scratch)):
            row = spans[0, s]
            lat = lat_origin + lat_step * (row + 0.5)
            up = math.sin(0.5 * (lat - lat0[i])) ** 2
            both = math.cos(lat) * math.cos(lat0[i])
            for c in range(spans[1, s], spans[2, s]):
                along = math.sin(math.pi * (c + 0.5 - u0[i]) / period) ** 2
                distance = 2.0 * math.asin(min(1.0, math.sqrt(up + both * along)))
                out[row - window[0], c - window[2]] += crater_height(distance / rad[i], depth[i], rim[i], extent)
