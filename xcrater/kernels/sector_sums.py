"""Sums over the pixels of sectors of rings, for regions with a closed form that take whole pixels."""

from __future__ import annotations

import math

import numpy as np

from xcrater.kernels.accumulators import carry_squares
from xcrater.kernels.compile import apart, inlined, jit, linked
from xcrater.kernels.half_widths import CENTER, edge_half_widths
from xcrater.kernels.lanes import OUTSIDE
from xcrater.kernels.sectors import compass, longitudes
from xcrater.kernels.spans import disc_lanes, row_spans
from xcrater.kernels.sums import scan_run


@apart
def _number_row(sine, versine, up, cos_lat, sin_lat0, edges, azimuth, number):
    """Index of the sector that each pixel of a row lies in; -1 before the first.

    Parameters
    ----------
    sine, versine : ndarray of float64, shape (columns,)
        Sine of each column's longitude, counted from the crater's meridian, and 1 less its cosine.
    up, cos_lat : float
        Sine of the row's latitude less the crater's, and cosine of the row's latitude.
    sin_lat0 : float
        Sine of the crater's latitude.
    edges : ndarray of float64, shape (4 n,)
        Azimuths that bound sectors, as in `Sectors`.
    azimuth : ndarray of float64, shape (columns,)
        Scratch space.
    number : ndarray of int16, shape (columns,)
        Filled.
    """
    for c in range(sine.size):
        azimuth[c] = compass(cos_lat * sine[c], up + sin_lat0 * cos_lat * versine[c])
        number[c] = -1
    for k in range(0, edges.size, 4):
        first, second, third, fourth = edges[k], edges[k + 1], edges[k + 2], edges[k + 3]
        for c in range(sine.size):
            x = azimuth[c]
            number[c] += np.int16(int(first <= x) + int(second <= x) + int(third <= x) + int(fourth <= x))


BLOCK = 32
"""Number of columns in a block of which only the last is examined to see whether all lie in one sector."""


@linked
def _cut_row(sine, versine, up, lat, lat0, single, edges, azimuth, number, pieces):
    """Cut a row of pixels where the sector changes.

    East or west of the crater's meridian, the azimuth is monotonic along a parallel, unless the parallel touches a
    great circle through the crater: there, by the derivative, the cosine of the longitude is tan(lat0) / tan(lat). So
    if the last pixel of a block lies in the same sector as the pixel before the block, the rest need not be examined.

    Parameters
    ----------
    sine, versine, up, edges, azimuth, number
        As `_number_row` takes them.
    lat, lat0 : float
        Latitude of the row and of the crater, radians.
    single : bool
        Whether the columns run from the west to the east of the meridian once.
    pieces : ndarray of int64, shape (2, columns + 1)
        Filled with the first column and the sector of each piece, and with the end of the last.

    Returns
    -------
    int
        The number of pieces.
    """
    cos_lat, sin_lat0, count = math.cos(lat), math.sin(lat0), sine.size
    far = 1.0 - max(versine[0], versine[count - 1])
    slope = far * math.sin(lat) * math.cos(lat0) - sin_lat0 * cos_lat
    steady = single & (min(abs(up), abs(slope)) > 1e-9) & ((up > 0.0) == (slope > 0.0))
    n, c = 0, 0
    while c < count:
        end = min(c + BLOCK, count)
        if steady and c > 0 and (sine[c - 1] < 0.0) == (sine[end - 1] < 0.0):
            east, north = cos_lat * sine[end - 1], up + sin_lat0 * cos_lat * versine[end - 1]
            at, sector = compass(east, north), -1
            for edge in edges:
                sector += int(edge <= at)
            if sector == pieces[1, n - 1]:
                c = end
                continue
        _number_row(sine[c:end], versine[c:end], up, cos_lat, sin_lat0, edges, azimuth[c:end], number[c:end])
        for k in range(c, end):
            if n == 0 or number[k] != pieces[1, n - 1]:
                pieces[0, n], pieces[1, n] = k, number[k]
                n += 1
        c = end
    pieces[0, n] = count
    return n


@inlined
def _one_piece_each(u, half, modes, rows, period, left, right, lanes):
    """Write the bounds of every disc in every row like `disc_lanes`; False if two bounds do not describe a disc."""
    if right - left >= OUTSIDE:
        return False
    pieces = False
    for e in range(modes.size):
        _, again = disc_lanes(u, e, modes[e], half, rows, period, float(left), float(right), left, lanes)
        pieces |= again
    return not pieces


@inlined
def _scan_sectors(pixels, r, c, end, shift, pieces, count, table, held):
    """Add pixels [c, end) of row r of the block to the accumulators of their sectors.

    Parameters
    ----------
    shift : int
        Column of the block that column 0 of the pieces is.
    pieces, count
        From `_cut_row`.
    table : ndarray of int64, shape (sectors,)
        Region of each sector; -1 for none.
    """
    low, high = 0, count - 1
    while low < high:
        middle = (low + high + 1) >> 1
        if pieces[0, middle] + shift <= c:
            low = middle
        else:
            high = middle - 1
    while c < end:
        until = min(pieces[0, low + 1] + shift, end)
        region = table[pieces[1, low]] if pieces[1, low] >= 0 else -1
        if region >= 0:
            scan_run(pixels, r, c, until, held, region)
        c = until
        low += 1


@jit
def accumulate_sectors(pixels, order, caps, nest, sectors, grid, window, scratch, held, sums):
    """Accumulate the pixels of every crater's sectors.

    Each row of a crater is processed ring by ring, and each of its runs is cut where the sector changes. Pixels thus
    come in the same order as in `sum_runs`, and sums are identical to the last bit.

    Parameters
    ----------
    pixels : Pixels
        One image of the tile.
    order, caps, grid, window
        As `accumulate` takes them.
    nest : Nest
        The rings that the sectors are cut from; ``nest.members`` are their positions among all rings.
    sectors : Sectors
        The sectors of all rings.
    scratch : SpanScratch
        From `span_scratch` for that window.
    held : ndarray, shape (regions, 8)
        Scratch space.
    sums : Sums
        The accumulators, ``out[i, image, sectors.members[k]]`` for region k of crater i.
    """
    edges, modes, half, lanes, runs = nest.edges, nest.modes, scratch.half, scratch.lanes, scratch.spans
    left, right, period, last = window[2], window[3], grid.period, nest.edges.size - 1
    across, azimuth, number, pieces, out = sectors.across, sectors.azimuth, sectors.number, sectors.pieces, sums.out
    for n in range(order.size):
        i = order[n]
        u0, lat0 = caps.u0[i], caps.lat[i]
        first, stop = edge_half_widths(
            lat0, caps.radius[i], edges, modes, nest.nvert, grid, window, scratch.tables, scratch.nodes, half,
            scratch.reach,
        )  # fmt: skip
        for k in range(nest.members.size):
            for region in range(sectors.first[nest.members[k]], sectors.first[nest.members[k] + 1]):
                for slot in range(8):
                    held[region, slot] = sums.start[slot]
        u = u0 + period * np.rint((0.5 * (left + right) - u0) / period)
        plain = _one_piece_each(u, half, modes, stop - first, period, left, right, lanes)
        a, b = 0, right - left
        if plain:
            a, b = b, 0
            for row in range(stop - first):
                a, b = min(a, lanes[0, last + 1, row]), max(b, lanes[1, last + 1, row])
        longitudes(left + a, left + b, u0, period, sectors.east, left, across)
        for row in range(first, stop):
            j, r = row - first, row - window[0]
            if plain:
                a, b = lanes[0, last + 1, j], lanes[1, last + 1, j]
            if not (half[last, j] >= 0.0 and a < b):
                continue
            lat = grid.lat_origin + grid.lat_step * (row + 0.5)
            count = _cut_row(
                across[0, a:b], across[1, a:b], math.sin(lat - lat0), lat, lat0, plain & (half[last, j] < 0.5 * period),
                sectors.edges, azimuth[a:b], number[a:b], pieces,
            )  # fmt: skip
            for k in range(nest.members.size):
                disc, hole, table = nest.outer[k], nest.inner[k], sectors.table[nest.members[k]]
                m = 0
                if plain:
                    begin, end = lanes[0, disc + 1, j], lanes[1, disc + 1, j]
                    if begin >= end:
                        continue
                    hole_a, hole_b = max(lanes[0, hole + 1, j], begin), min(lanes[1, hole + 1, j], end)
                    whole = hole_a >= hole_b
                    runs[1, 0], runs[2, 0] = left + begin, left + (end if whole else hole_a)
                    runs[1, 1], runs[2, 1] = left + (end if whole else hole_b), left + end
                    m = 2
                else:
                    hole_half, hole_mode = -1.0, CENTER
                    if hole >= 0:
                        hole_half, hole_mode = half[hole, j], modes[hole]
                    m = row_spans(
                        u0, half[disc, j], hole_half, modes[disc], hole_mode, period, left, right, runs[1], runs[2], 0
                    )
                for s in range(m):
                    if runs[1, s] >= runs[2, s]:
                        continue
                    _scan_sectors(pixels, r, runs[1, s] - left, runs[2, s] - left, a, pieces, count, table, held)
        for k in range(nest.members.size):
            for region in range(sectors.first[nest.members[k]], sectors.first[nest.members[k] + 1]):
                if pixels.exact is not None:
                    carry_squares(held, region)
                for slot in range(8):
                    out[i, sums.image, sectors.members[region], slot] = held[region, slot]
