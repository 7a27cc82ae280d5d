"""Moments of position and value of drawn regions on grids with a closed form, from which planes are fitted."""

from __future__ import annotations

import math

import numpy as np

from xcrater.kernels.compile import inlined, jit
from xcrater.kernels.missing import VALID
from xcrater.kernels.sectors import longitudes_from


@inlined
def _arc_by_sine(square, cosine):
    """Ratio of an arc to its sine, from the square of the sine and the cosine; 0 at the antipode."""
    if square < 0.01 and cosine > 0.0:  # the series of the arcsine, to the last digit
        return 1.0 + square * (
            1 / 6 + square * (3 / 40 + square * (15 / 336 + square * (105 / 3456 + square * (945 / 42240
            + square * (10395 / 599040)))))
        )  # fmt: skip
    sine = math.sqrt(square)
    return math.atan2(sine, cosine) / sine if sine > 0.0 else 0.0


@jit
def place_moments(pixels, drawn, caps, grid, east, window, areas, across, out):
    """Moments of position and value of the valid pixels of drawn regions.

    Positions are x eastward and y northward in the crater's azimuthal equidistant projection (Snyder 1987, eq. 22-2 to
    22-5), in crater radii.

    Parameters
    ----------
    pixels : Pixels
        One image of the tile.
    drawn : Runs
        The regions.
    caps : Caps
        The craters.
    grid : Rows
        Where rows and columns lie.
    east : float
        Longitude per column, radians; negative where columns run west.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) of the tile on the whole grid.
    areas : ndarray of float64, shape (rows or 1, columns or 1)
        Weight of each pixel, in addition to the fraction covered.
    across : ndarray of float64, shape (2, columns)
        Scratch space.
    out : ndarray of float64, shape (craters, regions, 11)
        Filled with the sum of fractions covered, the sum of weights, the weighted means of x, y and value z, and the
        weighted sums of products of deviations from these means: xx, xy, yy, xz, yz, zz.
    """
    lat_origin, lat_step, period = grid
    block, codes, clean, _ = pixels
    runs, weight, offset = drawn
    u0, lat0, radius = caps
    down, over = int(areas.shape[0] > 1), int(areas.shape[1] > 1)
    top, left = window[0], window[2]
    for i in range(offset.shape[0]):
        longitudes_from(runs, offset[i, 0, 0], offset[i, offset.shape[1] - 1, 1], u0[i], period, east, left, across)
        sin_lat0, cos_lat0 = math.sin(lat0[i]), math.cos(lat0[i])
        for k in range(offset.shape[1]):
            fraction = mass = origin = sx = sy = sz = xx = xy = yy = xz = yz = zz = 0.0
            for s in range(offset[i, k, 0], offset[i, k, 1]):
                r, cover = runs[0, s] - top, weight[s]
                lat = lat_origin + lat_step * (runs[0, s] + 0.5)
                up, cos_lat, cosine = math.sin(lat - lat0[i]), math.cos(lat), math.cos(lat - lat0[i])
                for c in range(runs[1, s] - left, runs[2, s] - left):
                    if clean or codes[r, c] == VALID:
                        z = np.float64(block[r, c])
                        if fraction == 0.0:
                            origin = z  # sums count from there, so that a large mean costs no digits
                        z -= origin
                        w = cover * areas[r * down, c * over]
                        x, y = cos_lat * across[0, c], up + sin_lat0 * cos_lat * across[1, c]
                        arc = _arc_by_sine(x * x + y * y, cosine - cos_lat0 * cos_lat * across[1, c]) / radius[i]
                        x, y = x * arc, y * arc
                        fraction, mass = fraction + cover, mass + w
                        wx, wy, wz = w * x, w * y, w * z
                        sx, sy, sz = sx + wx, sy + wy, sz + wz
                        xx, xy, yy = xx + wx * x, xy + wx * y, yy + wy * y
                        xz, yz, zz = xz + wx * z, yz + wy * z, zz + wz * z
            held = out[i, k]
            held[0], held[1] = fraction, mass
            if mass > 0.0:
                held[2], held[3], held[4] = sx / mass, sy / mass, origin + sz / mass
                held[5], held[6], held[7] = xx - sx * held[2], xy - sx * held[3], yy - sy * held[3]
                held[8], held[9], held[10] = xz - sz * held[2], yz - sz * held[3], zz - sz * (sz / mass)
