"""Runs of covered pixels."""

from __future__ import annotations

import math

import numpy as np

from xcrater.kernels.compile import inlined, jit
from xcrater.kernels.crossings import beside_pole, disc_lists, disc_scratch, is_listed, prepare_disc
from xcrater.kernels.disc_areas import beyond, row_latitudes
from xcrater.kernels.disc_profiles import KIND, SERIES, SPACE, filled, row_half_widths
from xcrater.kernels.partial_pixels import EMPTY, beyond_listed
from xcrater.kernels.spans import CONTAINED, SLACK, TOUCHED, disc_half_widths, node_scratch, region_rows, row_tables


@jit
def disc_edges(e, lat0, rho, nvert, grid, window_start, first, row_start, row_stop, tables, nodes, profiles, half,
               areas):  # fmt: skip
    """`prepare_disc`, and half-widths of pixels contained and touched: ``half[2 * e : 2 * e + 2, row - first]``."""
    prepare_disc(e, lat0, rho, nvert, grid, first, row_start, row_stop, nodes, profiles, areas)
    if profiles[e, KIND] == SERIES:
        a, b = row_start - first, row_start - first + filled(row_stop - row_start)
        row_half_widths(profiles[e], row_start, half[2 * e, a:b], half[2 * e + 1, a:b])
        return
    at = (lat0, rho, nvert)
    disc_half_widths(*at, CONTAINED, grid, window_start, first, row_start, row_stop, tables, nodes[e], half, 2 * e)
    disc_half_widths(*at, TOUCHED, grid, window_start, first, row_start, row_stop, tables, nodes[e], half, 2 * e + 1)


@inlined
def row_bounds(u, contained, touched, half_turn, left, right):
    """Columns [a, b) that a disc touches in a row, and those of them, [c, d), that it holds; no c before b if none."""
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
def cover_row(u, e, i, row, profiles, nodes, nvert, grid, areas, lists, start, stop, left, out):
    """Covered fraction of the pixels [start, stop) of a row, number i, by disc e, to ``out[e, column - left]``.

    Of a row that reaches beyond a pole, what counts is the part on the body.
    """
    if start >= stop:
        return
    if is_listed(profiles[e]):
        area = areas[e, i]
        x = start - u
        lat_a, lat_b = row_latitudes(grid, row)
        height = abs(lat_b - lat_a) / abs(grid[1])
        per_row = 1.0 if height > 1.0 - SLACK else 1.0 / height
        before = beyond_listed(lists[e], start - left, row, area, abs(x))
        for c in range(start - left, stop - left):
            after = beyond_listed(lists[e], c + 1, row, area, abs(x + 1.0))
            covered = 2.0 * area - before - after if (x < 0.0) & (x > -1.0) else abs(before - after)
            out[e, c] = min(covered * per_row, 1.0)
            before = after
            x += 1.0
    else:
        _cover_unlisted(u, profiles[e], nodes[e], nvert, row, grid, start, stop, left, out[e])


@jit
def _cover_unlisted(u, profile, nodes, nvert, row, grid, start, stop, left, out):
    """`cover_row` of a disc without lists."""
    x = start - u
    count = nvert // 2 + 1
    lat_a, lat_b = row_latitudes(grid, row)
    per_row = 1.0 / max(abs((lat_b - lat_a) / grid[1]), 1e-300)
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
def list_disc(u, e, first, i_first, i_stop, half, half_turn, profiles, nodes, areas, left, right, lists):
    """`disc_lists` of disc e in rows [i_first, i_stop) from ``first`` on, of columns where it ends in some of them."""
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
    """First and last turn of longitude, relative to u, in which a disc of that half-width meets [left, right)."""
    half = min(half, 0.5 * period)
    return math.ceil((left - u - half) / period - 1e-12), math.floor((right - u + half) / period + 1e-12)


@jit
def region_runs(u0, lat0, rad, inner, outer, nvert, grid, window, scratch, runs, weight):
    """Covered pixels of one region within a window, as runs of equally covered ones.

    Parameters
    ----------
    u0, lat0, rad : float
        Column coordinate of the crater's meridian, its latitude and its angular radius (radians).
    inner, outer : float
        Bounds of the region in crater radii.
    nvert : int
        Vertices of its polygons; 0 for true circles.
    grid : tuple of float
        Latitude of the first row's outer edge, latitude per row (radians), columns per turn.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) in pixels of the whole grid.
    scratch : tuple of ndarray
        From `cover_scratch` for that window.
    runs, weight : ndarray, shape (3, n) and (n,)
        Filled with (row, start, stop) and the fraction covered, rows ascending, columns ascending within a row.

    Returns
    -------
    int
        The number of runs; more than n where these are too few, of which only n were written.
    """
    tables, nodes, profiles, half, areas, lists, cover = scratch
    left, right, half_turn = window[2], window[3], 0.5 * grid[2]
    first, stop = region_rows(lat0, outer * rad, grid, window[0], window[1])
    count = 1 if inner <= 0.0 else 2
    for e in range(count):
        rho = beside_pole(lat0, rad * (outer if e == count - 1 else inner), nvert)
        a, b = region_rows(lat0, rho, grid, first, stop)
        half[2 * e : 2 * e + 2, : stop - first] = -1.0
        disc_edges(e, lat0, rho, nvert, grid, window[0], first, a, b, tables, nodes, profiles, half, areas)
    n = 0
    widest = -1.0
    for i in range(stop - first):
        widest = max(widest, half[2 * count - 1, i])
    k_first, k_last = copies(u0, widest, grid[2], left, right)
    outer_disc = count - 1
    for k in range(k_first, k_last + 1):
        if k_first == k_last:  # else the lists are made for each row
            for e in range(count):
                u = u0 + k * grid[2]
                list_disc(
                    u, e, first, 0, stop - first, half, half_turn, profiles, nodes, areas, left, right, lists
                )  # fmt: skip
    for row in range(first, stop):
        i = row - first
        begun = n
        for k in range(k_first, k_last + 1):
            u = u0 + k * grid[2]
            a, c, d, b = row_bounds(u, half[2 * outer_disc, i], half[2 * outer_disc + 1, i], half_turn, left, right)
            ia = ic = id = ib = b
            if count == 2:
                ia, ic, id, ib = row_bounds(u, half[0, i], half[1, i], half_turn, left, right)
            for e in range(count):
                if k_first < k_last:
                    list_disc(
                        u, e, first, i, i + 1, half, half_turn, profiles, nodes, areas, left, right, lists
                    )  # fmt: skip
                at = (u, e, i, row, profiles, nodes, nvert, grid, areas, lists)
                if e == outer_disc:
                    cover_row(*at, a, c, left, cover)
                    cover_row(*at, d, b, left, cover)
                else:
                    cover_row(*at, ia, ic, left, cover)
                    cover_row(*at, id, ib, left, cover)
            col = a
            while col < b:
                end, w = col + 1, 1.0
                if c <= col < d:
                    # Whole, up to the hole or to the end
                    end = min(d, ia) if col < ia else (d if col >= ib else end)
                else:
                    w = cover[outer_disc, col - left]
                if ic <= col < id:
                    w, end = 0.0, id
                elif ia <= col < ib:
                    w -= cover[0, col - left]
                if w > EMPTY:
                    if w > 1.0 - EMPTY:
                        w = 1.0
                    if n > begun and runs.shape[1] >= n and runs[2, n - 1] > col:
                        weight[n - 1] = min(1.0, weight[n - 1] + w)  # where a disc meets itself on the other side
                    else:
                        if n < runs.shape[1]:
                            runs[0, n], runs[1, n], runs[2, n], weight[n] = row, col, end, w
                        n += 1
                col = end
    return n


def cover_scratch(window, grid, nvert, edges=2):
    """Arrays that a window's discs need: (tables, nodes, profiles, half, areas, lists, cover)."""
    rows, columns = window[1] - window[0], window[3] - window[2]
    tables = np.empty((3, rows + 1))
    row_tables(grid, window[0], window[1], TOUCHED, tables[0], tables[1], tables[2])
    profiles, areas, lists = disc_scratch(rows, columns, edges)
    nodes, half = np.stack([node_scratch(nvert)] * edges), np.full((2 * edges, rows + SPACE), -1.0)
    return tables, nodes, profiles, half, areas, lists, np.empty((edges, columns))
