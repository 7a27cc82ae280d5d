"""Pixels that a disc covers partly, found and measured from the disc's lists of crossings alone."""

from __future__ import annotations

import math

import numpy as np

from xcrater.kernels.compile import apart, inlined
from xcrater.kernels.crossings import AFTER, BEFORE, BEYOND_AFTER, BEYOND_BEFORE, disc_lists
from xcrater.kernels.disc_profiles import FILL


@apart
def cover_box(u, disc, row_start, row_stop, columns, left, skip, n, out):
    """Compute the covered fractions of all pixels of a small box.

    If a box has hardly more pixels than the disc's edge, treating all of them alike takes less time.

    Parameters
    ----------
    u : float
        Column coordinate of the disc's meridian.
    disc : Disc
        A disc with lists of crossings; its areas begin with ``row_start``.
    row_start, row_stop : int
        Rows that the disc may meet.
    columns : ndarray of int64, shape (4,)
        From `disc_columns`.
    left : int
        First column that is filled.
    skip, n : int
        Position of that column in ``out``, and the number of columns.
    out : ndarray of float64, shape (rows, columns)
        Filled in ``out[row - row_start, column - left + skip]``.
    """
    profile, nodes, areas, lists = disc
    before, beyond_before = lists[BEFORE, : n + FILL], lists[BEYOND_BEFORE, : n + FILL]
    after, beyond_after = lists[AFTER, : n + FILL], lists[BEYOND_AFTER, : n + FILL]
    for j in range(n + FILL):
        before[j], after[j] = np.inf, -np.inf
    start, stop = columns[0], columns[3] + 1
    if start < stop:
        disc_lists(u, profile, nodes, areas, row_start, row_stop, start, stop, left, lists)
        for j in range(stop - left, n + FILL):
            before[j], after[j] = np.inf, -np.inf
    away = left - u
    next_before, next_beyond_before, next_after, next_beyond_after = (
        before[1:], beyond_before[1:], after[1:], beyond_after[1:],
    )  # fmt: skip
    for i in range(row_stop - row_start):
        here, area, part = float(row_start + i), areas[i], out[i, skip : skip + n]
        for j in range(n):
            # Both edges are computed anew, since keeping one from the previous pixel would take a store and a load.
            w = _east_of_edge(
                area, here, j + away, before[j], beyond_before[j], after[j], beyond_after[j]
            ) - _east_of_edge(
                area, here, j + 1 + away, next_before[j], next_beyond_before[j], next_after[j], next_beyond_after[j]
            )  # fmt: skip
            w = w if w > EMPTY else 0.0
            part[j] = w if w < 1.0 - EMPTY else 1.0


@inlined
def _east_of_edge(area, here, d, before, beyond_before, after, beyond_after):
    """Area of a disc, in row ``here``, east of an edge that is d columns from the meridian; pixels."""
    beyond = area - abs(d) if (before < here) & (here < after) else 0.0
    beyond = beyond_after if after == here else beyond
    beyond = beyond_before if before == here else beyond
    return 2.0 * area - beyond if d < 0.0 else beyond


@apart
def disc_bounds(lists, columns, first, begin, end, stop, left, right, origin, tally, bounds):
    """Find the columns that a disc with lists touches and contains in each row of a crater.

    They follow from the lists alone, so that no pixel is lost or counted twice however crossings are rounded.

    Parameters
    ----------
    lists, columns
        Lists of the `Disc`, and the columns from `disc_columns`.
    first, stop : int
        Rows that are filled.
    begin, end : int
        Rows that the disc may meet.
    left, right : int
        Columns [left, right) of the window.
    origin : int
        First edge of the lists.
    tally : ndarray of int64, shape (rows, 4)
        Scratch space.
    bounds : ndarray of int64, shape (rows, 4)
        Filled in ``bounds[row - first]`` with a, c, d, b: the disc touches columns [a, b) and contains [c, d).
    """
    n = end - begin
    for i in range(n + 2):
        for j in range(4):
            tally[i, j] = 0
    a, b, c, d = columns
    for side in range(2):
        from_edge, to_edge, touches, holds = (a, b + 1, 0, 1) if side == 0 else (c, d + 1, 3, 2)
        for k in range(from_edge - origin, to_edge - origin):
            before, after = lists[BEFORE, k], lists[AFTER, k]
            i, j = int(min(max(before - begin, -1.0), float(n))), int(min(max(after - begin, -1.0), float(n)))
            tally[max(i, 0), touches] += before <= after
            tally[j + 1, touches] -= before <= after
            tally[i + 1, holds] += before < after
            tally[max(j, 0), holds] -= before < after
    for row in range(first, begin):
        _no_bounds(left, right, bounds[row - first])
    touches_west = holds_west = holds_east = touches_east = 0
    for i in range(n):
        touches_west, holds_west = touches_west + tally[i, 0], holds_west + tally[i, 1]
        holds_east, touches_east = holds_east + tally[i, 2], touches_east + tally[i, 3]
        here = bounds[begin - first + i]
        here[0], here[1] = (max(b - touches_west, left), b + 1 - holds_west) if b >= left else (left, left)
        here[2], here[3] = (c - 1 + holds_east, min(c + touches_east, right)) if c <= right else (right, right)
    for row in range(end, stop):
        _no_bounds(left, right, bounds[row - first])


@inlined
def _no_bounds(left, right, bounds):
    """Set the bounds of a row that the disc misses, so that it contains no pixel, be it a disc or a hole."""
    bounds[0] = bounds[1] = right
    bounds[2] = bounds[3] = left


@inlined
def _beyond_edge(u, lists, columns, origin, row, area, edge):
    """`beyond_listed` of any edge, whether it is listed or not."""
    a, b, c, d = columns
    if edge < a or edge > d:
        return 0.0
    if b < edge < c:
        return area - abs(edge - u)
    return beyond_listed(lists, edge - origin, row, area, abs(edge - u))


@inlined
def covered_part(u, lists, columns, origin, row, area, column):
    """Fraction covered of a pixel that a disc with lists touches but does not contain."""
    west = _beyond_edge(u, lists, columns, origin, row, area, column)
    east = _beyond_edge(u, lists, columns, origin, row, area, column + 1)
    return 2.0 * area - west - east if column < u < column + 1 else abs(west - east)


@apart
def list_parts(u, first, begin, end, columns, origin, lists, areas, bounds, window, places, shares):
    """List the pixels that a disc covers partly.

    On either side of the meridian such a pixel is next to a crossing in its row, on the outer side of the edge of
    columns; or it is the outermost pixel whose inner edge lies in the disc. The pixel on the meridian is added.

    Parameters
    ----------
    u : float
        Column coordinate of the disc's meridian.
    first : int
        Row of the grid from which rows are counted.
    begin, end : int
        Rows [begin, end) that the disc may meet, counted from ``first``.
    columns : ndarray of int64, shape (4,)
        From `disc_columns`.
    origin : int
        First column of the lists.
    lists, areas : ndarray of float64, shape (5, columns) and (rows,)
        Fields of `Disc`; areas begin with ``first``.
    bounds : ndarray of int64, shape (rows, 4)
        From `disc_bounds`.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop): columns beyond it are left out.
    places : ndarray of int64, shape (2, n)
        Filled with the row, counted from ``first``, and the column of each pixel; see `parts_of`.
    shares : ndarray of float64, shape (n,)
        Filled with the fraction covered of each.

    Returns
    -------
    int
        The number of pixels.
    """
    left, right = window[2], window[3]
    n = 0
    low, high = float(first + begin), float(first + end)
    for side in range(2):
        a = max(columns[0], left + 1) if side == 0 else columns[2]
        b = columns[1] + 1 if side == 0 else min(columns[3] + 1, right)
        outward, shift = (-1, -1) if side == 0 else (1, 0)
        for turn in range(2):
            rows, beyond = lists[2 * turn], lists[2 * turn + 1]
            for k in range(a - origin, b - origin):
                row = rows[k]
                places[0, n] = np.int64(min(max(row, low), high)) - first
                places[1, n] = k + origin + shift
                shares[n] = beyond[k] - (beyond[k + outward] if rows[k + outward] == row else 0.0)
                n += (low <= row) & (row < high) & ((turn == 0) | (lists[BEFORE, k] != row))
    middle = math.floor(u)
    for i in range(begin, end):
        c, d, row, area = bounds[i, 1], bounds[i, 2], first + i, areas[i]
        if left < c <= min(middle, right):
            places[0, n], places[1, n] = i, c - 1
            shares[n] = area - (u - c) - _beyond_outer(lists, c - 1 - origin, row)
            n += 1
        if max(middle + 1, left) <= d < right:
            places[0, n], places[1, n] = i, d
            shares[n] = area - (d - u) - _beyond_outer(lists, d + 1 - origin, row)
            n += 1
        if left <= middle < right and not c <= middle < d:
            places[0, n], places[1, n] = i, middle
            shares[n] = covered_part(u, lists, columns, origin, row, area, middle)
            n += 1
    return n


def parts_of(rows, columns):
    """Upper bound of the number of partly covered pixels: two for each edge of columns and each row, and one spare."""
    return 2 * (columns + 2) + 2 * rows + 1


EMPTY = 1e-13
"""Fractions of a pixel below this are rounding and treated as none; likewise, pixels that lack less count as whole."""


@inlined
def _beyond_outer(lists, at, row):
    """`beyond_listed` for an edge that crosses the disc in the row, or misses it there."""
    beyond = lists[BEYOND_AFTER, at] if lists[AFTER, at] == row else 0.0
    return lists[BEYOND_BEFORE, at] if lists[BEFORE, at] == row else beyond


@inlined
def beyond_listed(lists, at, row, area, d):
    """Area, in pixels, of the part of a disc with lists that is beyond an edge of columns in a row.

    The edge is at position ``at`` of the lists, d columns from the meridian; area is that of the whole row on one side.
    """
    inside = (lists[BEFORE, at] < row) & (row < lists[AFTER, at])
    return max(0.0, area - d if inside else _beyond_outer(lists, at, row))
