"""Division of drawn rings into sectors of azimuth, on grids with a closed form."""

from __future__ import annotations

import math

import numpy as np

from xcrater.kernels.compile import inlined, jit

BELOW_FOUR = 4.0 - 2.0**-51
"""The number just below 4 that stands for azimuths just west of north, in place of 4 itself."""


@inlined
def compass(east, north):
    """A number from 0 to less than 4 that grows with azimuth, by one in a quarter turn; 0 at the centre itself.

    Parameters
    ----------
    east, north : float
        Components of the direction, in any common unit.
    """
    a, b = abs(east), abs(north)
    quarter = 0.0 if (east >= 0.0) & (north > 0.0) else 1.0 if east > 0.0 else 2.0 if north < 0.0 else 3.0
    rest = a if (quarter == 0.0) | (quarter == 2.0) else b  # no branches, for the vectoriser
    return min(quarter + rest / (a + b), BELOW_FOUR) if a + b > 0.0 else 0.0


@inlined
def longitudes(first, stop, u0, period, east, left, across):
    """Longitude, counted from a crater's meridian, of columns [first, stop).

    Parameters
    ----------
    u0, period, left
        Column coordinate of the meridian, columns per turn, and first column of the window.
    east : float
        Longitude per column, radians; negative where columns run west.
    across : ndarray of float64, shape (2, columns)
        Filled with the sine of the longitude, and 1 less its cosine.
    """
    for c in range(first, stop):
        turn = c + 0.5 - u0
        turn = (turn - period * np.floor(turn / period + 0.5)) * east
        across[0, c - left], across[1, c - left] = math.sin(turn), 2.0 * math.sin(0.5 * turn) ** 2


@inlined
def longitudes_from(runs, begin, end, u0, period, east, left, across):
    """`longitudes` of every column that runs [begin, end) meet."""
    first, stop = left + across.shape[1], left
    for s in range(begin, end):
        first, stop = min(first, runs[1, s]), max(stop, runs[2, s])
    longitudes(first, stop, u0, period, east, left, across)


@jit
def number_sectors(drawn, caps, grid, east, window, edges, across, out):
    """Index of the sector of azimuth that the centre of each pixel lies in; -1 for a centre before the first sector.

    Parameters
    ----------
    drawn : Runs
        Rings, as `draw_discs` fills them.
    caps : Caps
        The craters.
    grid : Rows
        Where rows and columns lie.
    east : float
        Longitude per column, radians; negative where columns run west.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) of the tile on the whole grid.
    edges : ndarray of float64, shape (sectors,)
        Azimuths at which sectors begin, ascending, as `compass` numbers them.
    across : ndarray of float64, shape (2, columns)
        Scratch space.
    out : ndarray of int16, shape (pixels,)
        Filled, run by run and pixel by pixel.
    """
    lat_origin, lat_step, period = grid
    runs, _, offset = drawn
    u0, lat0, _ = caps
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
                # North is cos(lat0) sin(lat) - sin(lat0) cos(lat) cos(turn), rearranged to avoid cancellation.
                azimuth = compass(cos_lat * across[0, c], up + sin_lat0 * cos_lat * across[1, c])
                low, high = -1, edges.size - 1
                while low < high:
                    middle = (low + high + 1) >> 1
                    if edges[middle] <= azimuth:
                        low = middle
                    else:
                        high = middle - 1
                out[p] = low
                p += 1


@jit
def split_runs(drawn, begin, number, regions, low, high, pieces, out):
    """Cut the runs of rings where the sector changes, and distribute the pieces among the regions.

    Parameters
    ----------
    drawn : Runs
        The rings, as `draw_discs` fills them: crater by crater and ring by ring.
    begin : ndarray of int64, shape (n + 1,)
        Position in ``number`` of each run's first pixel.
    number : ndarray of int16, shape (pixels,)
        From `number_sectors`.
    regions : ndarray of int64, shape (rings + 1,)
        Regions ``regions[k]`` to ``regions[k + 1]`` are the sectors of ring k.
    low, high : ndarray of int64, shape (regions,)
        Each region takes the pixels with a number from ``low`` to below ``high``; those of one ring do not overlap.
    pieces : ndarray of int64, shape (4, m)
        Scratch space.
    out : Runs
        Filled with the runs of all regions.
    """
    runs, weight, offset = drawn
    out_runs, out_weight, out_offset = out
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
                        out_runs[0, n], out_runs[1, n] = runs[0, s], pieces[2, t] + shift
                        out_runs[2, n] = pieces[3, t] + shift
                        out_weight[n] = weight[s]
                        n += 1
                out_offset[i, region, 1] = n
