"""Moments of place and value of drawn regions."""

from __future__ import annotations

import math

import numpy as np

from xcrater.kernels.compile import inlined, jit
from xcrater.kernels.missing import VALID
from xcrater.kernels.sectors import longitudes_from


@inlined
def _arc_by_sine(square, cosine):
    """An arc by its sine, of the square of the sine and the cosine."""
    if square < 0.01 and cosine > 0.0:  # the series of the arcsine, to the last digit
        return 1.0 + square * (
            1 / 6 + square * (3 / 40 + square * (15 / 336 + square * (105 / 3456 + square * (945 / 42240
            + square * (10395 / 599040)))))
        )  # fmt: skip
    sine = math.sqrt(square)
    return math.atan2(sine, cosine) / sine if sine > 0.0 else 0.0


@jit
def place_moments(block, codes, clean, runs, weight, offset, u0, lat0, radius, grid, east, window, areas, across, out):
    """Moments of place and value of drawn regions, on grids with a closed form.

    Places are x eastward and y northward in the crater's azimuthal equidistant frame (Snyder 1987, eq. 22-2 to 22-5),
    in crater radii.

    Parameters
    ----------
    east : float
        Radians of longitude per column, negative where columns run west.
    areas : ndarray, shape (rows or 1, columns or 1)
        Weight of each pixel besides the fraction covered.
    across : ndarray, shape (2, columns of the window)
        Scratch.
    out : ndarray, shape (craters, regions, 11)
        Filled with the fractions covered, the weights, the means of x, y and values, and the sums of products of their
        deviations, weighted: xx, xy, yy, xz, yz, zz.
    """
    lat_origin, lat_step, period = grid
    down, over = int(areas.shape[0] > 1), int(areas.shape[1] > 1)
    top, left = window[0], window[2]
    for i in range(offset.shape[0]):
        longitudes_from(runs, offset[i, 0, 0], offset[i, offset.shape[1] - 1, 1], u0[i], period, east, left, across)
        sin_lat0, cos_lat0 = math.sin(lat0[i]), math.cos(lat0[i])
        for k in range(offset.shape[1]):
            pixels = mass = origin = sx = sy = sz = xx = xy = yy = xz = yz = zz = 0.0
            for s in range(offset[i, k, 0], offset[i, k, 1]):
                r, cover = runs[0, s] - top, weight[s]
                lat = lat_origin + lat_step * (runs[0, s] + 0.5)
                up, cos_lat, cosine = math.sin(lat - lat0[i]), math.cos(lat), math.cos(lat - lat0[i])
                for c in range(runs[1, s] - left, runs[2, s] - left):
                    if clean or codes[r, c] == VALID:
                        z = np.float64(block[r, c])
                        if pixels == 0.0:
                            origin = z  # sums count from there, lest a great mean cost their digits
                        z -= origin
                        w = cover * areas[r * down, c * over]
                        x, y = cos_lat * across[0, c], up + sin_lat0 * cos_lat * across[1, c]
                        arc = _arc_by_sine(x * x + y * y, cosine - cos_lat0 * cos_lat * across[1, c]) / radius[i]
                        x, y = x * arc, y * arc
                        pixels, mass = pixels + cover, mass + w
                        wx, wy, wz = w * x, w * y, w * z
                        sx, sy, sz = sx + wx, sy + wy, sz + wz
                        xx, xy, yy = xx + wx * x, xy + wx * y, yy + wy * y
                        xz, yz, zz = xz + wx * z, yz + wy * z, zz + wz * z
            held = out[i, k]
            held[0], held[1] = pixels, mass
            if mass > 0.0:
                held[2], held[3], held[4] = sx / mass, sy / mass, origin + sz / mass
                held[5], held[6], held[7] = xx - sx * held[2], xy - sx * held[3], yy - sy * held[3]
                held[8], held[9], held[10] = xz - sz * held[2], yz - sz * held[3], zz - sz * (sz / mass)
