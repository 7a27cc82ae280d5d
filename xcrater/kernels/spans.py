"""Conversion of regions to row spans on a cylindrical grid: the runs of columns that a region covers in each row.

Spans follow from the half-widths of the discs that bound a region. At the antimeridian, columns, counted modulo the
columns per turn, leave the grid.
"""

from __future__ import annotations

import math

import numpy as np

from xcrater.kernels.compile import inlined, jit, linked
from xcrater.kernels.half_widths import (
    CENTER,
    CONTAINED,
    NODE_HALF,
    NODE_ROW,
    TOUCHED,
    disc_half_widths,
    node_scratch,
    polygon_nodes,
    region_rows,
    row_tables,
)
from xcrater.kernels.lanes import NOWHERE, OUTSIDE
from xcrater.kernels.records import SpanScratch


@inlined
def row_columns(center, half, mode):
    """Columns [start, stop) that a disc of some half-width takes in a row, as floating-point numbers."""
    if mode == CENTER:
        return np.ceil(center - half - 0.5), np.floor(center + half - 0.5) + 1.0
    if mode == TOUCHED:
        return np.floor(center - half), np.ceil(center + half)
    return np.ceil(center - half), np.floor(center + half)


@inlined
def disc_lanes(u, e, mode, half, rows, period, left, right, origin, lanes):
    """Bounds of disc e in lanes, within columns [left, right).

    Parameters
    ----------
    u : float
        Column coordinate of the disc's meridian.
    mode : int
        Which pixels the disc takes.
    half : ndarray of float64, shape (discs, rows)
        Half-widths, columns.
    rows : int
        Number of rows.
    period : float
        Columns per turn of longitude.
    origin : int
        Column of lane 0.
    lanes : ndarray of int16, shape (2, discs + 1, rows)
        Filled in ``lanes[:, e + 1]``.

    Returns
    -------
    pixels : int
        Number of pixels of the disc.
    pieces : bool
        Whether the disc may appear a second time in a row, a turn of longitude away.
    """
    pixels = np.int64(0)
    pieces = False
    for row in range(rows):
        h = half[e, row]
        h = np.inf if h >= 0.5 * period else h
        a, b = row_columns(u, h, mode)
        a, b = max(a, left), min(b, right)
        hit = (h >= 0.0) & (a < b)
        east = (u + period - h < right + 1.0) & ((b < right) | (a >= b))
        west = (u - period + h > left - 1.0) & ((a > left) | (a >= b))
        pieces |= (h >= 0.0) & (east | west)
        first, stop = np.int32(a - origin if hit else OUTSIDE), np.int32(b - origin if hit else NOWHERE)
        lanes[0, e + 1, row] = first
        lanes[1, e + 1, row] = stop
        pixels += np.int64(stop - first if hit else 0)
    return pixels, pieces


@inlined
def nested_lanes(count, rows, lanes):
    """Whether the lanes of every disc include those of the disc before it, in every row."""
    apart = False
    for e in range(1, count):
        for row in range(rows):
            apart |= (lanes[0, e + 1, row] > lanes[0, e, row]) | (lanes[1, e + 1, row] < lanes[1, e, row])
    return not apart


@linked
def row_spans(u0, outer, inner, outer_mode, inner_mode, period, col_start, col_stop, start, stop, n):
    """Append the spans of one row to n spans: the outer disc without the inner one.

    A disc appears once in every turn of longitude of which the grid contains a part; the copies of one region never
    overlap, and come in order.

    Parameters
    ----------
    u0 : float
        Column coordinate of the crater's meridian.
    outer, inner : float
        Half-widths of the discs, columns; below 0 for none.
    outer_mode, inner_mode : int
        Which pixels each disc takes.
    period : float
        Columns per turn of longitude.
    col_start, col_stop : int
        Columns of the window.
    start, stop : ndarray of int64, shape (n,)
        Filled from position n on.

    Returns
    -------
    int
        The number of spans.
    """
    half_turn = 0.5 * period
    if outer < 0.0 or inner >= half_turn:
        return n
    if outer >= half_turn:
        k_first, k_last = 0, 0
    else:
        k_first = math.ceil((col_start - 1.0 - u0 - outer) / period)
        k_last = math.floor((col_stop + 1.0 - u0 + outer) / period)
    done = col_start
    for k in range(k_first, k_last + 1):
        if outer >= half_turn:
            a, b = col_start, col_stop
        else:
            a, b = row_columns(u0 + k * period, outer, outer_mode)
            a, b = max(a, done), min(b, col_stop)
        if a >= b:
            continue
        done = b
        if inner >= 0.0:
            hole_first = math.ceil((a - 1.0 - u0 - inner) / period)
            hole_last = math.floor((b + 1.0 - u0 + inner) / period)
            for m in range(hole_first, hole_last + 1):
                hole_a, hole_b = row_columns(u0 + m * period, inner, inner_mode)
                if hole_a >= hole_b or hole_b <= a:
                    continue
                if hole_a >= b:
                    break
                if hole_a > a:
                    start[n], stop[n] = a, hole_a
                    n += 1
                a = hole_b
        if a < b:
            start[n], stop[n] = a, b
            n += 1
    return n


@jit
def region_spans(u0, lat0, rad, inner, outer, nvert, mode, grid, window, scratch):
    """Row spans of one region within a window of the grid.

    Parameters
    ----------
    u0, lat0, rad : float
        Column coordinate of the crater's meridian, its latitude and its angular radius (radians).
    inner, outer : float
        Bounds of the region in crater radii.
    nvert : int
        Vertices of its polygons; 0 for true circles.
    mode : int
        Coverage: `CENTER` or `TOUCHED`.
    grid : Rows
        Where rows and columns lie.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) in pixels of the whole grid.
    scratch : SpanScratch
        From `span_scratch` for that window; ``spans`` is filled with row, first column and column past the last of each
        span: rows ascending, columns ascending within a row.

    Returns
    -------
    int
        The number of spans.
    """
    tables, nodes, half, _, _, spans = scratch
    period = grid.period
    outer_mode, inner_mode = (TOUCHED, CONTAINED) if mode == TOUCHED else (CENTER, CENTER)
    first, stop = region_rows(lat0, outer * rad, grid, window[0], window[1])
    disc_half_widths(lat0, outer * rad, nvert, outer_mode, grid, window[0], first, first, stop, tables, nodes, half[0])
    hole_first, hole_stop = first, first
    if inner > 0.0:
        rho = inner * rad
        hole_first, hole_stop = region_rows(lat0, rho, grid, first, stop)
        disc_half_widths(
            lat0, rho, nvert, inner_mode, grid, window[0], hole_first, hole_first, hole_stop, tables, nodes, half[1]
        )
    n = 0
    for r in range(first, stop):
        hole = -1.0
        if hole_first <= r < hole_stop:
            hole = half[1, r - hole_first]
        before = n
        n = row_spans(
            u0, half[0, r - first], hole, outer_mode, inner_mode, period, window[2], window[3], spans[1], spans[2], n
        )
        spans[0, before:n] = r
    return n


@jit
def region_windows(u0, lat0, rad, outer, nvert, grid, nodes, out):
    """Bounds of every crater's disc in pixel coordinates.

    Parameters
    ----------
    u0, lat0, rad : ndarray of float64, shape (craters,)
        Fields of `Caps`.
    outer : float
        Radius of the disc in crater radii.
    nvert : int
        Number of vertices of its polygon; 0 for a true circle.
    grid : Rows
        Where rows and columns lie.
    nodes : ndarray of float64
        From `node_scratch`.
    out : ndarray of float64, shape (craters, 4)
        Filled with the least and greatest row coordinate, then those of columns. Columns are counted on from the
        crater's meridian without wrapping; a disc that contains a pole spans a whole turn.
    """
    lat_origin, lat_step, period = grid
    half_pi = 0.5 * math.pi
    for i in range(u0.size):
        rho = outer * rad[i]
        north, south = lat0[i] + rho, lat0[i] - rho
        polar = north > half_pi or south < -half_pi
        if rho >= math.pi:
            north, south = half_pi, -half_pi
        a = (min(north, half_pi) - lat_origin) / lat_step
        b = (max(south, -half_pi) - lat_origin) / lat_step
        half = 0.5 * period
        if nvert == 0 and not polar:
            half = math.asin(min(1.0, math.sin(rho) / math.cos(lat0[i]))) * period / (2.0 * math.pi)
        elif nvert > 0 and rho < math.pi:
            count = polygon_nodes(lat0[i], rho, nvert, lat_origin, lat_step, period / (2.0 * math.pi), nodes)
            first, last = min(a, b), max(a, b)
            full = half * (1.0 - 1e-12)
            a = first if nodes[NODE_HALF, 0] >= full else nodes[NODE_ROW, 0]
            b = last if nodes[NODE_HALF, count - 1] >= full else nodes[NODE_ROW, count - 1]
            half = 0.0
            for j in range(count):
                half = max(half, nodes[NODE_HALF, j])
        out[i, 0] = min(a, b)
        out[i, 1] = max(a, b)
        out[i, 2] = u0[i] - half
        out[i, 3] = u0[i] + half


def span_scratch(window, grid, nvert, mode, edges=2, regions=1):
    """Make the scratch arrays for spans of regions in a window of the grid, which can be reused: a `SpanScratch`.

    Parameters
    ----------
    window, grid, mode
        As `region_spans` takes them.
    nvert : int
        Greatest number of vertices of the discs' polygons; 0 for true circles.
    edges, regions : int
        Number of discs and of regions of one crater. A row holds one outer piece and one hole per turn of longitude in
        the window, and one more at each end, for each region; or two runs for each of nested discs.
    """
    rows, columns = window[1] - window[0], window[3] - window[2]
    tables = np.empty((3, rows + 1))
    row_tables(grid, window[0], window[1], CENTER if mode == CENTER else TOUCHED, tables[0], tables[1], tables[2])
    turns = int(columns / grid.period) + 3
    lanes = np.empty((2, edges + 1, rows), np.int16)
    lanes[0], lanes[1] = OUTSIDE, NOWHERE  # the first disc keeps these bounds, as the hole of a ring without one
    return SpanScratch(
        tables=tables,
        nodes=node_scratch(nvert),
        half=np.empty((max(edges, 2), rows)),
        lanes=lanes,
        reach=np.empty((max(edges, 2), 2), np.int64),
        spans=np.empty((4, rows * 2 * (turns * regions + edges)), np.int64),
    )
