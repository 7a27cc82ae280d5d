"""Conversion of polygons in pixel coordinates to weighted runs: the pixels that a shape covers, row by row.

A shape is a set of rings; a point is inside if the rings wind around it. Going east along a row, the winding number
changes only at an edge. Every edge is therefore cut into *pieces* at the borders of rows, pieces are listed by row, and
each row's list is sorted and swept from west to east. The result for a piece depends only on its edge and its row, with
the edge taken from its smaller to its larger row. A pixel thus gets the same result in every window, and an edge that
two rings share in opposite directions cancels to the bit; fractions of true areas, from moments summed along the row,
cancel to rounding.

Pixel coordinates: column ``j`` covers ``[j, j + 1)`` along u and row ``r`` covers ``[r, r + 1)`` along v. Rings with
``sum(u[i] * v[i + 1] - u[i + 1] * v[i]) > 0`` are shells.
"""

from __future__ import annotations

import math

import numpy as np

from xcrater.kernels.compile import inlined, jit
from xcrater.kernels.half_widths import CENTER, EXACT, TOUCHED
from xcrater.kernels.records import Floats, PolygonScratch

ONE = 1 << 56
"""A whole pixel in the fixed-point numbers in which areas are summed: sums of integers do not depend on their order,
even if they overflow 64 bits on the way."""

DUST = 1 << 20
"""Fractions this close (1.5e-11 of a pixel) to none or to a whole pixel are rounding of coordinates; treat as such."""

HAIR = 2.0**-33
"""Overlaps below this (1.2e-10 of a pixel) do not touch; and `CENTER` tests a point this far east of a pixel's centre.

Seams and edges of polygons often run along the borders or through the centres of pixels. Depending on rounding they
would touch an additional column; or, if two shapes abut, leave out a column of centres or take it twice.
"""

NEXT, FIRST, STOP, TURN = range(4)
"""Entries of a piece: the next piece of its row, its columns, and its change of the winding number or of the area."""


@jit
def _extent(u, v, first, stop):
    """Bounds of vertices [first, stop): (least v, greatest v, least u, greatest u)."""
    top, bottom, west, east = np.inf, -np.inf, np.inf, -np.inf
    for i in range(first, stop):
        top, bottom = min(top, v[i]), max(bottom, v[i])
        west, east = min(west, u[i]), max(east, u[i])
    return top, bottom, west, east


@inlined
def _copies(west, east, period, window):
    """First and last k for which a shape displaced by k periods may meet the window."""
    return math.ceil((window[2] - 1.0 - east) / period), math.floor((window[3] + 1.0 - west) / period)


@inlined
def _clip(first, stop, low, high):
    """Whole numbers [first, stop) within [low, high)."""
    a = max(first, low)
    return a, max(a, min(stop, high))


@jit
def polygon_bound(polygons, shape, window):
    """Upper bounds of the numbers of pieces and runs that `polygon_runs` makes of a shape in any mode."""
    u, v, ring, rings, period = polygons
    first_ring, stop_ring = rings[shape], rings[shape + 1]
    first, stop = ring[first_ring], ring[stop_ring]
    top, bottom, west, east = _extent(u, v, first, stop)
    k_first, k_last = _copies(west, east, period, window)
    pieces, runs = 0, 0
    if bottom <= window[0] or top >= window[1]:
        return pieces, runs
    for k in range(k_first, k_last + 1):
        shift = k * period if k != 0 else 0.0
        for j in range(first_ring, stop_ring):
            u1, v1 = u[ring[j + 1] - 1] + shift, v[ring[j + 1] - 1]
            for i in range(ring[j], ring[j + 1]):
                u0, v0, u1, v1 = u1, v1, u[i] + shift, v[i]
                a, b = _clip(math.floor(min(v0, v1)), math.floor(max(v0, v1)) + 1, window[0], window[1])
                left, right = _clip(math.floor(min(u0, u1)) - 1, math.floor(max(u0, u1)) + 2, window[2], window[3])
                pieces += b - a
                runs += 2 * (b - a) + right - left if b > a else 0
    return pieces, runs


@jit
def polygons_bound(polygons, window):
    """Greatest `polygon_bound` of all shapes: (pieces, runs)."""
    pieces, runs = 0, 0
    for i in range(polygons.shape.size - 1):
        p, n = polygon_bound(polygons, i, window)
        pieces, runs = max(pieces, p), max(runs, n)
    return pieces, runs


MARGIN = 2
"""Pixels around a window from whose areas the variation within a pixel is inferred; see `polygon_scratch`."""

MOMENTS = 5
"""Number of moments of a part of a pixel about the pixel's middle: of x, y, x² - 1/12, y² - 1/12 and xy, in pixels; all
are 0 for a whole pixel. If areas depend on rows alone, the first is the moment of y³ instead."""


def polygon_scratch(
    window: tuple[int, int, int, int], pieces: int, surface: tuple[Floats, Floats] | None = None
) -> PolygonScratch:
    """Make the scratch arrays of `polygon_runs`, which can be reused, for shapes of up to a number of pieces.

    Parameters
    ----------
    window : tuple of int
        (row_start, row_stop, col_start, col_stop).
    pieces : int
        Number of pieces, from `polygon_bound`, or from `polygons_bound` for many shapes.
    surface : tuple of ndarray, optional
        For fractions of true areas, on a map where these differ: true areas of the window's pixels and of `MARGIN` more
        around it (`areas_around`), and the areas to which fractions refer (`pixel_areas`).
    """
    row_count, columns = max(0, window[1] - window[0]), max(0, window[3] - window[2])
    rows = np.zeros((row_count, 2), np.int64)
    rows[:, 0] = -1
    none = np.empty((0, 0))
    around, areas = surface or (none, none)
    return PolygonScratch(
        rows=rows,
        area=np.zeros(columns + 2, np.int64),
        pieces=np.empty((pieces, 4), np.int64),
        ends=np.empty((pieces, 4)),
        order=np.empty((pieces, 3), np.int64),
        moments=none if surface is None else np.zeros((MOMENTS, columns + 2)),
        so_far=np.zeros(MOMENTS),
        beside=none if surface is None else np.zeros((row_count, 3)),
        around=around,
        areas=areas,
    )


@inlined
def _list_piece(row, a, b, turn, window, rows, pieces, n):
    """List a piece in columns [a, b) of a row; west of the window, count its change. Returns the number of pieces."""
    r = row - window[0]
    if b <= window[2]:
        rows[r, 1] += turn
    elif a < window[3]:
        pieces[n, NEXT], pieces[n, TURN] = rows[r, 0], turn
        pieces[n, FIRST], pieces[n, STOP] = a, b
        rows[r, 0] = n
        n += 1
    return n


@inlined
def _centre_pieces(u0, v0, u1, v1, turn, window, rows, pieces, n):
    """List where an edge, v0 < v1, crosses the middle of each row: the first column whose centre is east of it."""
    first, stop = _clip(math.ceil(v0 - 0.5), math.ceil(v1 - 0.5), window[0], window[1])
    origin = math.floor(u0)
    x0, x1 = u0 - origin, u1 - origin
    low, high = min(x0, x1), max(x0, x1)
    for row in range(first, stop):
        x = x0 + (row + 0.5 - v0) / (v1 - v0) * (u1 - u0)
        column = origin + math.ceil(min(max(x, low), high) - (0.5 + HAIR))
        n = _list_piece(row, column, column, turn, window, rows, pieces, n)
    return n


@inlined
def _edge_pieces(u0, v0, u1, v1, turn, mode, window, rows, pieces, ends, west, n):
    """List the pieces of an edge, v0 <= v1, between the borders of rows.

    Positions are counted from a nearby column, so that they lose no digits far from column 0.
    """
    hair = HAIR if mode == TOUCHED else 0.0
    top, bottom = math.floor(v0 + hair), math.ceil(v1 - hair)
    first, stop = _clip(top, bottom, window[0], window[1])
    origin = math.floor(u0)
    x0, x1 = u0 - origin, u1 - origin
    low, high = min(x0, x1), max(x0, x1)
    at = x0
    if first > top:
        at = min(max(x0 + (first - v0) / (v1 - v0) * (u1 - u0), low), high)
    for row in range(first, stop):
        start, at = at, x1
        if row + 1 < bottom:
            at = min(max(x0 + (row + 1 - v0) / (v1 - v0) * (u1 - u0), low), high)
        left, right = min(start, at), max(start, at)
        a = math.floor(left + hair)
        if mode == TOUCHED:
            crosses = v0 <= row + 0.5 < v1
            n = _list_piece(row, origin + a, origin + math.ceil(right - hair), turn * crosses, window, rows, pieces, n)
            continue
        y0 = int((v0 - top) * ONE) if row == top else 0
        y1 = int((v1 - row) * ONE) if row + 1 == bottom else ONE
        if y1 > y0:
            a += left - a >= 1.0  # a tiny negative number that the difference lost
            before, b = n, max(a + 1, math.ceil(right))
            n = _list_piece(row, origin + a, origin + b, turn * (y1 - y0), window, rows, pieces, n)
            if n > before:
                ends[before, 0], ends[before, 1] = left - a, right - a
                if west.shape[0] > 0:
                    y0, y1 = (y0, y1) if start <= at else (y1, y0)
                    ends[before, 2], ends[before, 3] = y0 / ONE - 0.5, y1 / ONE - 0.5
            elif west.shape[0] > 0 and origin + b <= window[2]:
                y, square, cube = _column_moments(y0 / ONE - 0.5, y1 / ONE - 0.5)
                west[row - window[0], 0] += turn * y
                west[row - window[0], 1] += turn * square
                west[row - window[0], 2] += turn * cube
    return n


@inlined
def _column_moments(y0, y1):
    """Moments of y, y² - 1/12 and y³ that a piece of an edge adds to every pixel east of its columns."""
    low, high = min(y0, y1), max(y0, y1)
    y = 0.5 * (high - low) * (high + low)
    return y, (high**3 - low**3) / 3.0 - (high - low) / 12.0, 0.5 * y * (high * high + low * low)


@inlined
def _ring_pieces(u, v, first, stop, shift, mode, window, rows, pieces, ends, west, n):
    """List the pieces of one ring, displaced by some columns. Returns the number of pieces."""
    u1, v1 = u[stop - 1] + shift, v[stop - 1]
    for i in range(first, stop):
        u0, v0, u1, v1 = u1, v1, u[i] + shift, v[i]
        if max(v0, v1) <= window[0] or min(v0, v1) >= window[1] or min(u0, u1) >= window[3]:
            continue
        if v0 == v1 and mode != TOUCHED:
            continue
        turn, a0, b0, a1, b1 = -1, u0, v0, u1, v1
        if v0 > v1:
            turn, a0, b0, a1, b1 = 1, u1, v1, u0, v0
        if mode == CENTER:
            n = _centre_pieces(a0, b0, a1, b1, turn, window, rows, pieces, n)
        else:
            n = _edge_pieces(a0, b0, a1, b1, turn, mode, window, rows, pieces, ends, west, n)
    return n


@inlined
def _in_order(piece, pieces, order):
    """Sort a row's pieces from west to east into ``order``: columns and change. Returns their number.

    Neighbours in the list that touch, which follow a ring through the row, become one.
    """
    count = 0
    while piece >= 0:
        a, b, turn = pieces[piece, FIRST], pieces[piece, STOP], pieces[piece, TURN]
        if count > 0 and a <= order[count - 1, 1] and b >= order[count - 1, 0]:
            order[count - 1, 0] = min(a, order[count - 1, 0])
            order[count - 1, 1] = max(b, order[count - 1, 1])
            order[count - 1, 2] += turn
        else:
            order[count, 0], order[count, 1], order[count, 2] = a, b, turn
            count += 1
        piece = pieces[piece, NEXT]
    gap = 1
    while gap < count // 8:  # Shellsort: plain insertion for the few pieces that a row nearly always has
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, count):
            a, b, turn = order[i, 0], order[i, 1], order[i, 2]
            j = i
            while j >= gap and order[j - gap, 0] > a:
                order[j, 0], order[j, 1], order[j, 2] = order[j - gap, 0], order[j - gap, 1], order[j - gap, 2]
                j -= gap
            order[j, 0], order[j, 1], order[j, 2] = a, b, turn
        gap //= 3
    return count


@inlined
def _write(row, start, stop, share, runs, weight, n):
    runs[0, n], runs[1, n], runs[2, n] = row, start, stop
    weight[n] = share
    return n + 1


@inlined
def _row_runs(row, winding, count, order, window, runs, weight, n):
    """Append the runs of one row from its sorted pieces: columns with a piece, or whose winding number is not 0."""
    start = stop = window[2]
    for i in range(count):
        a, b = max(order[i, 0], window[2]), min(order[i, 1], window[3])
        if winding != 0:
            stop = max(stop, a)
        if a > stop:
            if start < stop:
                n = _write(row, start, stop, 1.0, runs, weight, n)
            start = a
        stop = max(stop, a, b)
        winding += order[i, 2]
    if winding != 0:
        stop = window[3]
    if start < stop:
        n = _write(row, start, stop, 1.0, runs, weight, n)
    return n


@inlined
def _add_area(piece, pieces, ends, window, area):
    """Add a piece's change of the area covered; summed along the row, ``area`` gives each pixel's fraction covered.

    A piece of height h at mean distance x from a pixel's west border covers h (1 - x) of that pixel and h of every
    pixel further east: h x more of the next one.
    """
    a, b = pieces[piece, FIRST], pieces[piece, STOP]
    left, right = ends[piece, 0], ends[piece, 1]
    turn = 1 if pieces[piece, TURN] > 0 else -1
    height = abs(pieces[piece, TURN])
    if b - a == 1:
        part = int(height * (1.0 - 0.5 * (left + right)))
        area[a - window[2]] += turn * part
        area[a - window[2] + 1] += turn * (height - part)
        return
    before = 0
    per_column = height / (right - left)
    first = max(a, window[2])
    if first > a:
        before = min(int((first - a - left) * per_column), height)
        area[0] += turn * before
    for column in range(first, min(b, window[3])):
        after = height if column == b - 1 else min(int((column + 1 - a - left) * per_column), height)
        mean = 0.5
        if column == a:
            mean = 0.5 * (left + 1.0)
        elif column == b - 1:
            mean = 0.5 * (right - (column - a))
        part = int((after - before) * (1.0 - mean))
        area[column - window[2]] += turn * part
        area[column - window[2] + 1] += turn * (after - before - part)
        before = after


_AT, _WEIGHT = (0.5 - math.sqrt(0.15), 0.5, 0.5 + math.sqrt(0.15)), (5 / 18, 8 / 18, 5 / 18)
"""Nodes and weights of the Gauss-Legendre rule of three points on [0, 1]: exact to degree 5."""


@inlined
def _add_moments(piece, pieces, ends, window, by_rows, moments):
    """Add a piece's change of the moments of pixels, as `_add_area` does for their areas."""
    a, b = pieces[piece, FIRST], pieces[piece, STOP]
    left, right, y_left, y_right = ends[piece, 0], ends[piece, 1], ends[piece, 2], ends[piece, 3]
    turn = 1.0 if pieces[piece, TURN] > 0 else -1.0
    slope = (y_right - y_left) / (right - left) if b - a > 1 else 0.0
    x0, y0, first = left, y_left, max(a, window[2])
    if first > a:
        x0, y0 = first - a, y_left + (first - a - left) * slope
        y, square, cube = _column_moments(y_left, y0)
        moments[1, 0] += turn * y
        moments[3, 0] += turn * square
        moments[0, 0] += turn * cube * by_rows
    for column in range(first, min(b, window[3])):
        x1, y1 = right, y_right
        if column < b - 1:
            x1 = column + 1.0 - a
            y1 = y_left + (x1 - left) * slope
        at, middle, height = column - window[2], column - a + 0.5, turn * abs(y1 - y0)
        for k in range(3):
            x, y = x0 + _AT[k] * (x1 - x0) - middle, y0 + _AT[k] * (y1 - y0)
            w = height * _WEIGHT[k]
            # Pixels further east, from at + 1 on, receive all of it.
            moments[1, at] += w * (0.5 - x) * y
            moments[1, at + 1] += w * (0.5 + x) * y
            moments[3, at] += w * (0.5 - x) * (y * y - 1.0 / 12.0)
            moments[3, at + 1] += w * (0.5 + x) * (y * y - 1.0 / 12.0)
            if by_rows:
                moments[0, at] += w * (0.5 - x) * y * y * y
                moments[0, at + 1] += w * (0.5 + x) * y * y * y
            else:
                moments[0, at] += w * 0.5 * (0.25 - x * x)
                moments[0, at + 1] -= w * 0.5 * (0.25 - x * x)
                moments[2, at] += w * x * (1.0 / 12.0 - x * x / 3.0)
                moments[2, at + 1] -= w * x * (1.0 / 12.0 - x * x / 3.0)
                moments[4, at] += w * 0.5 * (0.25 - x * x) * y
                moments[4, at + 1] -= w * 0.5 * (0.25 - x * x) * y
        x0, y0 = x1, y1


@inlined
def _true_share(share, sign, so_far, row, column, window, around, areas):
    """Fraction of a pixel's true area that belongs to a part of it, from the part's moments.

    The density of area is approximated by the quadratic polynomial whose integrals over this pixel and its neighbours
    are their areas; by a cubic one if areas depend on rows alone.
    """
    i, j = row - window[0] + MARGIN, column - window[2] + MARGIN if around.shape[1] > 1 else 0
    here, above, below = around[i, j], around[i - 1, j], around[i + 1, j]
    area = areas[i - MARGIN if areas.shape[0] > 1 else 0, column - window[2] if areas.shape[1] > 1 else 0]
    bend = above - 2.0 * here + below
    if not (abs(bend) < np.inf and area > 0.0):
        return share
    more = 0.5 * ((below - above) * so_far[1] + bend * so_far[3])
    if around.shape[1] > 1:
        before, after = around[i, j - 1], around[i, j + 1]
        bend = before - 2.0 * here + after
        if not abs(bend) < np.inf:
            return share
        more += 0.5 * ((after - before) * so_far[0] + bend * so_far[2])
        twist = around[i - 1, j - 1] - around[i - 1, j + 1] - around[i + 1, j - 1] + around[i + 1, j + 1]
        more += 0.25 * twist * so_far[4] if abs(twist) < np.inf else 0.0
    else:
        cubic = (around[i + 2, 0] - 2.0 * (below - above) - around[i - 2, 0]) / 12.0
        more += cubic * (so_far[0] - 1.25 * so_far[1]) if abs(cubic) < np.inf else 0.0
    return min(max((share * here + sign * more) / area, 0.0), 1.0)


@inlined
def _row_shares(row, level, count, window, scratch, runs, weight, n):
    """Append the weighted runs of one row to n runs; returns their new number.

    Parameters
    ----------
    row : int
        The row, counted on the whole grid.
    level : int
        Fraction covered, in units of ``1 / ONE``, of the pixels west of the row's first piece. A piece can change it in
        one more column than it has.
    count : int
        Number of the row's pieces, ``scratch.order``.
    window, scratch, runs, weight
        As `polygon_runs` takes them; areas and moments of columns are zeros afterwards.
    """
    _, area, _, _, order, moments, so_far, _, around, areas = scratch
    whole = window[3]  # first whole pixel not written yet; window[3] if there is none
    done = window[2]
    for i in range(count + 1):
        a, b = window[3], window[3]
        if i < count:
            a, b = max(order[i, 0], done), min(order[i, 1] + 1, window[3])
        column = done
        while column < max(a, b):
            until = a
            if column >= a:
                until = column + 1
                level += area[column - window[2]]
                area[column - window[2]] = 0
                for k in range(moments.shape[0]):
                    so_far[k] += moments[k, column - window[2]]
                    moments[k, column - window[2]] = 0.0
            share = abs(level)
            if share >= ONE - DUST:
                whole = min(whole, column)
            else:
                if whole < column:
                    n = _write(row, whole, column, 1.0, runs, weight, n)
                whole = window[3]
                if share > DUST:
                    for c in range(column, until):
                        part = share / ONE
                        if moments.shape[0] > 0:
                            part = _true_share(part, 1.0 if level > 0 else -1.0, so_far, row, c, window, around, areas)
                        n = _write(row, c, c + 1, part, runs, weight, n)
            column = until
        done = column
    if whole < window[3]:
        n = _write(row, whole, window[3], 1.0, runs, weight, n)
    area[window[3] - window[2]] = 0
    for k in range(moments.shape[0]):
        moments[k, window[3] - window[2]] = 0.0
    return n


@jit
def polygon_runs(polygons, shape, mode, window, scratch, runs, weight):
    """Weighted runs of one shape, and of all its copies, within a window.

    Parameters
    ----------
    polygons : Polygons
        Shapes in pixel coordinates; copies of one, a period apart, do not overlap.
    shape : int
        Position of the shape among them.
    mode : int
        `CENTER` takes pixels whose centre has a winding number other than 0. `TOUCHED` takes pixels whose open square
        contains part of an edge, or points inside, by more than `HAIR`. `EXACT` takes pixels of which a fraction above
        `DUST` is inside; rings must then wind around no point more than once. Fractions are accurate to some 1e-15,
        plus 3e-16 times the length of the edges in pixels. With a surface in the scratch they are fractions of true
        areas, to the accuracy of a quadratic density through the areas of neighbouring pixels.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop).
    scratch : PolygonScratch
        From `polygon_scratch`, for that window and at least the pieces of `polygon_bound`.
    runs : ndarray of int64, shape (3, n)
        Filled with row, start and stop: rows ascending, columns ascending within a row, disjoint; n at least the
        runs of `polygon_bound`.
    weight : ndarray of float64, shape (n,)
        Filled with 1.0, or with the fraction covered of a pixel: those are runs of one pixel each.

    Returns
    -------
    int
        The number of runs.
    """
    u, v, ring, rings, period = polygons
    first_ring, stop_ring = rings[shape], rings[shape + 1]
    rows, pieces, ends, order = scratch.rows, scratch.pieces, scratch.ends, scratch.order
    moments, so_far, beside, around = scratch.moments, scratch.so_far, scratch.beside, scratch.around
    top, bottom, west, east = _extent(u, v, ring[first_ring], ring[stop_ring])
    n = 0
    if not (bottom > window[0] and top < window[1] and window[2] < window[3]):
        return n
    k_first, k_last = _copies(west, east, period, window)
    count = 0
    for k in range(k_first, k_last + 1):
        shift = k * period if k != 0 else 0.0
        for j in range(first_ring, stop_ring):
            count = _ring_pieces(u, v, ring[j], ring[j + 1], shift, mode, window, rows, pieces, ends, beside, count)
    first, stop = _clip(math.floor(top), math.ceil(bottom), window[0], window[1])
    for row in range(first, stop):
        newest, winding = rows[row - window[0], 0], rows[row - window[0], 1]
        rows[row - window[0], 0], rows[row - window[0], 1] = -1, 0
        if moments.shape[0] > 0:
            for k in range(MOMENTS):
                so_far[k] = 0.0
            by_rows, r = around.shape[1] == 1, row - window[0]
            so_far[1], so_far[3], so_far[0] = beside[r, 0], beside[r, 1], beside[r, 2] * by_rows
            beside[r, 0] = beside[r, 1] = beside[r, 2] = 0.0
        if newest < 0 and winding == 0:
            continue
        in_row = _in_order(newest, pieces, order)
        if mode == EXACT:
            if moments.shape[0] > 0:
                piece = newest
                while piece >= 0:
                    _add_moments(piece, pieces, ends, window, around.shape[1] == 1, moments)
                    piece = pieces[piece, NEXT]
            while newest >= 0:
                _add_area(newest, pieces, ends, window, scratch.area)
                newest = pieces[newest, NEXT]
            n = _row_shares(row, winding, in_row, window, scratch, runs, weight, n)
        else:
            n = _row_runs(row, winding, in_row, order, window, runs, weight, n)
    return n


@jit
def polygon_sums(polygons, mode, window, scratch, runs, weight, out):
    """Sum the weights of each shape's pixels within a window, to ``out``, shape (shapes,); see `polygon_runs`."""
    for i in range(polygons.shape.size - 1):
        n = polygon_runs(polygons, i, mode, window, scratch, runs, weight)
        total = 0.0
        for k in range(n):
            total += weight[k] * (runs[2, k] - runs[1, k])
        out[i] = total
