"""Conversion of one region to runs of equally covered pixels, with the fraction covered of each."""

from __future__ import annotations

import math

import numpy as np

from xcrater.kernels.compile import inlined, jit
from xcrater.kernels.crossings import beside_pole, disc_lists, disc_scratch, is_listed, prepare_disc
from xcrater.kernels.disc_areas import beyond, row_latitudes
from xcrater.kernels.disc_profiles import KIND, SERIES, SPACE, filled, row_half_widths
from xcrater.kernels.half_widths import CONTAINED, SLACK, TOUCHED, disc_half_widths, region_rows, row_tables
from xcrater.kernels.partial_pixels import EMPTY, beyond_listed
from xcrater.kernels.records import CoverScratch, Disc, Rows


@jit
def disc_edges(e, lat0, rho, nvert, grid, window_start, first, row_start, row_stop, scratch):
    """Prepare disc e of a crater, and the half-widths of the pixels that it contains and touches in each row.

    Parameters
    ----------
    lat0, rho : float
        Latitude of the centre and angular radius, radians.
    nvert : int
        Number of vertices of the disc's polygon; 0 for a true circle.
    grid : Rows
        Placement of rows and columns.
    window_start, first : int
        First row of the window, and first row of ``half``.
    row_start, row_stop : int
        Rows that the disc may meet.
    scratch : CoverScratch
        Filled: the disc, and ``half[2 * e : 2 * e + 2, row - first]``.
    """
    tables, half = scratch.tables, scratch.half
    nodes, profiles, areas, _, _, _ = scratch.discs
    prepare_disc(e, lat0, rho, nvert, grid, first, row_start, row_stop, nodes, profiles, areas)
    if profiles[e, KIND] == SERIES:
        a, b = row_start - first, row_start - first + filled(row_stop - row_start)
        row_half_widths(profiles[e], row_start, half[2 * e, a:b], half[2 * e + 1, a:b])
        return
    at = lat0, rho, nvert
    contained, touched = half[2 * e], half[2 * e + 1]
    disc_half_widths(*at, CONTAINED, grid, window_start, first, row_start, row_stop, tables, nodes[e], contained)
    disc_half_widths(*at, TOUCHED, grid, window_start, first, row_start, row_stop, tables, nodes[e], touched)


@inlined
def row_bounds(u, contained, touched, half_turn, left, right):
    """Columns that a disc touches in a row, [a, b), and those that it contains, [c, d); c is b if it contains none."""
    if touched < 0.0:
        return left, left, left, left
    touched = min(touched, half_turn)
    a = int(min(max(math.floor(u - touched), left), right))
    b = int(min(max(math.ceil(u + touched), a), right))
    if contained < 0.0:
        return a, b, b, b
    contained = min(contained, half_turn)
    c = int(min(max(math.ceil(u - contained), a), b))
    d = int(min(math.floor(u + contained), b))
    return (a, c, d, b) if c < d else (a, b, b, b)


@inlined
def cover_row(u, disc, i, row, nvert, grid, start, stop, left, out):
    """Fraction that a disc covers of each of the pixels [start, stop) of a row.

    Parameters
    ----------
    u : float
        Column coordinate of the disc's meridian.
    disc : Disc
        The disc, prepared by `disc_edges`, and listed by `list_disc` if it can be.
    i, row : int
        The row, counted like the disc's areas, and on the whole grid. Only the part on the body counts of a row that
        reaches beyond a pole.
    nvert : int
        Number of vertices of the disc's polygon; 0 for a true circle.
    grid : Rows
        Where rows and columns lie.
    left : int
        First column of the lists and of ``out``.
    out : ndarray of float64, shape (columns,)
        Filled in ``out[column - left]``.
    """
    if start >= stop:
        return
    if is_listed(disc.profile):
        lists, area = disc.lists, disc.areas[i]
        x = start - u
        lat_a, lat_b = row_latitudes(grid, row)
        height = abs(lat_b - lat_a) / abs(grid.lat_step)
        per_row = 1.0 if height > 1.0 - SLACK else 1.0 / height
        before = beyond_listed(lists, start - left, row, area, abs(x))
        for c in range(start - left, stop - left):
            after = beyond_listed(lists, c + 1, row, area, abs(x + 1.0))
            covered = 2.0 * area - before - after if (x < 0.0) & (x > -1.0) else abs(before - after)
            out[c] = min(covered * per_row, 1.0)
            before = after
            x += 1.0
    else:
        _cover_unlisted(u, disc.profile, disc.nodes, nvert, row, grid, start, stop, left, out)


@jit
def _cover_unlisted(u, profile, nodes, nvert, row, grid, start, stop, left, out):
    """Do what `cover_row` does, for a disc that has no lists of crossings."""
    x = start - u
    count = nvert // 2 + 1
    lat_a, lat_b = row_latitudes(grid, row)
    per_row = 1.0 / max(abs((lat_b - lat_a) / grid.lat_step), 1e-300)
    before = beyond(profile, nodes, count, row, grid, abs(x))
    for c in range(start, stop):
        after = beyond(profile, nodes, count, row, grid, abs(x + 1.0))
        covered = abs(before - after)
        if -1.0 < x < 0.0:
            covered = 2.0 * beyond(profile, nodes, count, row, grid, 0.0) - before - after
        out[c - left] = min(max(covered * per_row, 0.0), 1.0)
        before = after
        x = c + 1 - u


@inlined
def list_disc(u, e, first, i_first, i_stop, scratch, half_turn, left, right):
    """List where edges of columns cross disc e in rows [i_first, i_stop), counted from ``first``, if it can be listed.

    Only columns in which the disc ends in one of these rows are listed.
    """
    half = scratch.half
    nodes, profiles, areas, lists, _, _ = scratch.discs
    if not is_listed(profiles[e]):
        return
    widest, narrowest = -1.0, np.inf
    for i in range(i_first, i_stop):
        widest = max(widest, half[2 * e + 1, i])
        narrowest = min(narrowest, half[2 * e, i])
    a, c, d, b = row_bounds(u, narrowest, widest, half_turn, left, right)
    if a < b:
        at = (u, profiles[e], nodes[e], areas[e, i_first:], first + i_first, first + i_stop)
        disc_lists(*at, a, min(c, b) + 1, left, lists[e])
        if c < d:
            disc_lists(*at, d, b + 1, left, lists[e])


@inlined
def copies(u, half, period, left, right):
    """First and last turn of longitude, relative to u, in which a disc of some half-width meets columns [left, right).

    All are in columns: the meridian u, the half-width, and the period of a whole turn.
    """
    half = min(half, 0.5 * period)
    return math.ceil((left - u - half) / period - 1e-12), math.floor((right - u + half) / period + 1e-12)


@jit
def region_runs(u0, lat0, rad, inner, outer, nvert, grid, window, scratch, runs, weight):
    """Pixels that one region covers within a window, as runs of equally covered pixels.

    Parameters
    ----------
    u0, lat0, rad : float
        Column coordinate of the crater's meridian, its latitude and its angular radius (radians).
    inner, outer : float
        Bounds of the region in crater radii.
    nvert : int
        Vertices of its polygons; 0 for true circles.
    grid : Rows
        Where rows and columns lie.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) in pixels of the whole grid.
    scratch : CoverScratch
        From `cover_scratch` for that window.
    runs, weight : ndarray, shape (3, n) and (n,)
        Filled with (row, start, stop) and the fraction covered, rows ascending, columns ascending within a row.

    Returns
    -------
    int
        The number of runs. If it exceeds n, there was not enough room, and only n were written.
    """
    half, cover = scratch.half, scratch.cover
    nodes, profiles, areas, lists, _, _ = scratch.discs
    period = grid.period
    left, right, half_turn = window[2], window[3], 0.5 * period
    first, stop = region_rows(lat0, outer * rad, grid, window[0], window[1])
    count = 1 if inner <= 0.0 else 2
    for e in range(count):
        rho = beside_pole(lat0, rad * (outer if e == count - 1 else inner), nvert)
        a, b = region_rows(lat0, rho, grid, first, stop)
        half[2 * e : 2 * e + 2, : stop - first] = -1.0
        disc_edges(e, lat0, rho, nvert, grid, window[0], first, a, b, scratch)
    n = 0
    widest = -1.0
    for i in range(stop - first):
        widest = max(widest, half[2 * count - 1, i])
    k_first, k_last = copies(u0, widest, period, left, right)
    outer_disc = count - 1
    for k in range(k_first, k_last + 1):
        if k_first == k_last:  # if there are several copies, the lists are made anew for each row
            for e in range(count):
                u = u0 + k * period
                list_disc(u, e, first, 0, stop - first, scratch, half_turn, left, right)
    for row in range(first, stop):
        i = row - first
        begun = n
        for k in range(k_first, k_last + 1):
            u = u0 + k * period
            a, c, d, b = row_bounds(u, half[2 * outer_disc, i], half[2 * outer_disc + 1, i], half_turn, left, right)
            hole_a = hole_c = hole_d = hole_b = b
            if count == 2:
                hole_a, hole_c, hole_d, hole_b = row_bounds(u, half[0, i], half[1, i], half_turn, left, right)
            for e in range(count):
                if k_first < k_last:
                    list_disc(u, e, first, i, i + 1, scratch, half_turn, left, right)
                disc = Disc(profiles[e], nodes[e], areas[e], lists[e])
                if e == outer_disc:
                    cover_row(u, disc, i, row, nvert, grid, a, c, left, cover[e])
                    cover_row(u, disc, i, row, nvert, grid, d, b, left, cover[e])
                else:
                    cover_row(u, disc, i, row, nvert, grid, hole_a, hole_c, left, cover[e])
                    cover_row(u, disc, i, row, nvert, grid, hole_d, hole_b, left, cover[e])
            col = a
            while col < b:
                end, w = col + 1, 1.0
                if c <= col < d:
                    # Fully covered, up to the hole or to the end
                    end = min(d, hole_a) if col < hole_a else (d if col >= hole_b else end)
                else:
                    w = cover[outer_disc, col - left]
                if hole_c <= col < hole_d:
                    w, end = 0.0, hole_d
                elif hole_a <= col < hole_b:
                    w -= cover[0, col - left]
                if w > EMPTY:
                    if w > 1.0 - EMPTY:
                        w = 1.0
                    if n > begun and runs.shape[1] >= n and runs[2, n - 1] > col:
                        weight[n - 1] = min(1.0, weight[n - 1] + w)  # where the disc meets itself half a turn away
                    else:
                        if n < runs.shape[1]:
                            runs[0, n], runs[1, n], runs[2, n], weight[n] = row, col, end, w
                        n += 1
                col = end
    return n


def cover_scratch(window: tuple[int, int, int, int], grid: Rows, nvert: int) -> CoverScratch:
    """Arrays that `region_runs` works in, any number of times.

    Parameters
    ----------
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) in pixels of the whole grid.
    grid : Rows
        Where rows and columns lie.
    nvert : int
        Greatest number of vertices of the regions' polygons; 0 for true circles.
    """
    rows, columns = window[1] - window[0], window[3] - window[2]
    tables = np.empty((3, rows + 1))
    row_tables(grid, window[0], window[1], TOUCHED, tables[0], tables[1], tables[2])
    return CoverScratch(
        tables=tables,
        discs=disc_scratch(rows, columns, nvert, 2),
        half=np.full((4, rows + SPACE), -1.0),
        cover=np.empty((2, columns)),
    )
