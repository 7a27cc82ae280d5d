"""Runs of rings cut into sectors of azimuth."""

from __future__ import annotations

import math

import numpy as np

from xcrater.kernels.compile import inlined, jit

BELOW_FOUR = 4.0 - 2.0**-51


@inlined
def compass(east, north):
    """A number from 0 to less than 4 that grows with azimuth, one to a quarter turn; 0 at the centre itself."""
    if east >= 0.0 and north > 0.0:
        return east / (east + north)
    if east > 0.0:
        return 1.0 + north / (north - east)
    if north < 0.0:
        return 2.0 + east / (east + north)
    if east < 0.0:
        return min(3.0 + north / (north - east), BELOW_FOUR)
    return 0.0


@inlined
def longitudes_from(runs, begin, end, u0, period, east, left, across):
    """Sine, and 1 less the cosine, of the longitude from a crater's meridian of every column that some runs meet."""
    first, stop = left + across.shape[1], left
    for s in range(begin, end):
        first, stop = min(first, runs[1, s]), max(stop, runs[2, s])
    for c in range(first, stop):
        turn = c + 0.5 - u0
        turn = (turn - period * np.floor(turn / period + 0.5)) * east
        across[0, c - left], across[1, c - left] = math.sin(turn), 2.0 * math.sin(0.5 * turn) ** 2


@jit
def number_sectors(runs, offset, u0, lat0, grid, east, window, edges, across, out):
    """For the pixels of all runs, the last of some azimuths that is not beyond that of the pixel's centre; -1 if none.

    Parameters
    ----------
    runs, offset : ndarray
        From `draw_discs`.
    east : float
        Radians of longitude per column, negative where columns run west.
    edges : ndarray
        The azimuths, ascending, as `compass` numbers them.
    across : ndarray, shape (2, columns of the window)
        Scratch.
    out : ndarray of int16
        Filled pixel by pixel.
    """
    lat_origin, lat_step, period = grid
    left = window[2]
    p = 0
    for i in range(offset.shape[0]):
        begin, end = offset[i, 0, 0], offset[i, offset.shape[1] - 1, 1]
        longitudes_from(runs, begin, end, u0[i], period, east, left, across)
        sin_lat0 = math.sin(lat0[i])
        for s in range(begin, end):
            lat = lat_origin + lat_step * (runs[0, s] + 0.5)
            up, cos_lat = math.sin(lat - lat0[i]), math.cos(lat)
            for c in range(runs[1, s] - left, runs[2, s] - left):
                # cos(lat0) sin(lat) - sin(lat0) cos(lat) cos(turn), without the difference of nearly equal numbers
                at = compass(cos_lat * across[0, c], up + sin_lat0 * cos_lat * across[1, c])
                low, high = -1, edges.size - 1
                while low < high:
                    middle = (low + high + 1) >> 1
                    if edges[middle] <= at:
                        low = middle
                    else:
                        high = middle - 1
                out[p] = low
                p += 1


@jit
def split_runs(runs, weight, offset, begin, number, regions, low, high, pieces, out, out_weight, out_offset):
    """Cut the runs of rings where the sector changes, and share the pieces out among regions.

    Parameters
    ----------
    runs, weight, offset : ndarray
        Of the rings, as `draw_discs` fills them: crater by crater and ring by ring.
    begin : ndarray of int64, shape (n + 1,)
        Where each run's pixels begin in ``number``.
    number : ndarray of int16
        Of each pixel's sector.
    regions : ndarray, shape (rings + 1,)
        Regions ``regions[k]`` to ``regions[k + 1]`` are parts of ring k: of its pixels with a number from ``low`` to
        below ``high``, which no other has.
    pieces : ndarray of int64, shape (4, m)
        Scratch.
    out, out_weight, out_offset : ndarray
        Filled with the regions' runs.
    """
    n = 0
    for i in range(offset.shape[0]):
        for k in range(offset.shape[1]):
            m = 0
            for s in range(offset[i, k, 0], offset[i, k, 1]):
                p = begin[s]
                while p < begin[s + 1]:
                    pieces[0, m], pieces[1, m], pieces[2, m] = s, number[p], p
                    p += 1
                    while p < begin[s + 1] and number[p] == pieces[1, m]:
                        p += 1
                    pieces[3, m] = p
                    m += 1
            for region in range(regions[k], regions[k + 1]):
                out_offset[i, region, 0] = n
                for t in range(m):
                    if low[region] <= pieces[1, t] < high[region]:
                        s = pieces[0, t]
                        shift = runs[1, s] - begin[s]
                        out[0, n], out[1, n], out[2, n] = runs[0, s], pieces[2, t] + shift, pieces[3, t] + shift
                        out_weight[n] = weight[s]
                        n += 1
                out_offset[i, region, 1] = n
