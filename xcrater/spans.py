"""Regions to row spans on a cylindrical grid: the run of columns that a region covers in each row.

On a grid whose columns are equally spaced in longitude and whose rows are equally spaced in latitude, a
disc around a crater is symmetric about the crater's meridian. So its shape in one row is a single number,
the half-width: the disc covers the columns between ``u0 - h`` and ``u0 + h``. A half-width below zero says
that the disc misses the row, an infinite one that it goes all the way round. The antimeridian is where the
columns, counted modulo the columns per turn, fall off the grid; a pole is where the half-width is infinite.

Pixel coordinates: column ``j`` covers ``[j, j + 1)`` and row ``r`` covers ``[r, r + 1)``; angles are radians.
"""

from __future__ import annotations

import math

import numpy as np

from xcrater._jit import jit

CENTER, TOUCHED, CONTAINED = 0, 1, 2
"""Which pixels of a row a disc takes: centre inside, square touched, square wholly inside."""

POLE_SLACK = 1e-9
"""Rows by which rounding may misplace a pole."""


@jit
def _circle_half_width(lat, lat0, rho):
    """Half-width in radians of the cap of radius rho around lat0, at one latitude (spherical law of cosines).

    In the half-angle form, which keeps its digits for small caps:
    sin²(h/2) = sin((rho - d)/2) sin((rho + d)/2) / (cos lat cos lat0) with d = |lat - lat0|.
    """
    d = abs(lat - lat0)
    s = math.sin(0.5 * (rho - d)) * math.sin(0.5 * (rho + d))
    if s < 0.0:
        return -1.0
    q = s / (math.cos(lat) * math.cos(lat0))
    if q >= 1.0:
        return np.inf
    if q >= 0.0:
        return 2.0 * math.asin(math.sqrt(q))
    return -1.0


@jit
def circle_half_widths(lat0, rho, mode, lat_origin, lat_step, columns_per_radian, row_start, row_stop, out):
    """Half-widths, in columns, of a true small circle in rows [row_start, row_stop); out[0] is row_start's.

    Within a row the half-width is taken where the mode asks: at the centre, where it is largest (touched) or
    where it is smallest (contained).
    """
    half_pi = 0.5 * math.pi
    slack = abs(lat_step) * POLE_SLACK
    if mode == CENTER:
        for row in range(row_start, row_stop):
            lat = lat_origin + lat_step * (row + 0.5)
            h = -1.0
            if abs(lat) <= half_pi + abs(lat_step) * POLE_SLACK:
                h = _circle_half_width(min(max(lat, -half_pi), half_pi), lat0, rho)
            out[row - row_start] = h * columns_per_radian
        return
    # The parallel where the half-width has its extreme: a maximum for a cap without a pole, a minimum for
    # one with both; a cap with one pole has none.
    cos_rho = math.cos(rho)
    turning = np.nan
    extreme = 0.0
    if abs(math.sin(lat0)) < abs(cos_rho):
        turning = math.asin(math.sin(lat0) / cos_rho)
        extreme = math.asin(min(1.0, math.sin(rho) / math.cos(lat0)))
        if cos_rho < 0.0:
            extreme = math.pi - extreme
    lat_a = lat_origin + lat_step * row_start
    h_a = _circle_half_width(min(max(lat_a, -half_pi), half_pi), lat0, rho)
    for row in range(row_start, row_stop):
        lat_b = lat_origin + lat_step * (row + 1)
        h_b = _circle_half_width(min(max(lat_b, -half_pi), half_pi), lat0, rho)
        turns_inside = min(lat_a, lat_b) <= turning <= max(lat_a, lat_b)
        if min(lat_a, lat_b) >= half_pi - slack or max(lat_a, lat_b) <= slack - half_pi:
            h = -1.0
        elif mode == TOUCHED:
            h = max(h_a, h_b)
            if turns_inside and cos_rho > 0.0:
                h = extreme
        else:
            h = min(h_a, h_b)
            if turns_inside and cos_rho < 0.0 and h >= 0.0:
                h = extreme
        out[row - row_start] = h * columns_per_radian
        lat_a = lat_b
        h_a = h_b


@jit
def polygon_nodes(lat0, rho, nvert, lat_origin, lat_step, columns_per_radian, node_row, node_half):
    """Vertices of a disc's polygon on one side of its meridian, in pixel coordinates, in order of rows.

    Fills the two arrays and returns how many vertices there are. A first or last half-width that is infinite
    says that the polygon closes over the pole beyond it.
    """
    count = nvert // 2 + 1
    sin0, cos0 = math.sin(lat0), math.cos(lat0)
    sin_rho, cos_rho = math.sin(rho), math.cos(rho)
    for j in range(count):
        azimuth = 2.0 * math.pi * j / nvert
        cos_a = math.cos(azimuth)
        sin_a = math.sin(azimuth) if 2 * j < nvert else 0.0
        x = cos0 * cos_rho - sin0 * sin_rho * cos_a
        y = sin_rho * sin_a
        z = sin0 * cos_rho + cos0 * sin_rho * cos_a
        lat = math.atan2(z, math.hypot(x, y))
        at = j if lat_step < 0.0 else count - 1 - j
        node_row[at] = (lat - lat_origin) / lat_step
        node_half[at] = math.atan2(y, x) * columns_per_radian
    return count


@jit
def _polygon_half_width(v, j, node_row, node_half):
    """Half-width at row coordinate v on the edge between nodes j and j + 1."""
    height = node_row[j + 1] - node_row[j]
    if height <= 0.0:
        return max(node_half[j], node_half[j + 1])
    t = (v - node_row[j]) / height
    return node_half[j] + t * (node_half[j + 1] - node_half[j])


@jit
def polygon_half_widths(count, node_row, node_half, half_turn, pole_first, pole_last, mode, row_start, row_stop, out):
    """Half-widths, in columns, of a disc's polygon in rows [row_start, row_stop); out[0] is row_start's.

    `half_turn` is the columns in 180°, which a node's half-width reaches where the polygon closes over a
    pole; `pole_first` and `pole_last` are the row coordinates of the poles before and after the nodes.
    """
    first, last = node_row[0], node_row[count - 1]
    open_first = node_half[0] >= half_turn * (1.0 - 1e-12)
    open_last = node_half[count - 1] >= half_turn * (1.0 - 1e-12)
    j = 0
    for row in range(row_start, row_stop):
        if mode == CENTER:
            v = row + 0.5
            if v < first:
                h = np.inf if open_first and v >= pole_first - POLE_SLACK else -1.0
            elif v > last:
                h = np.inf if open_last and v <= pole_last + POLE_SLACK else -1.0
            else:
                while j < count - 2 and node_row[j + 1] < v:
                    j += 1
                h = _polygon_half_width(v, j, node_row, node_half)
            out[row - row_start] = h
            continue
        top, bottom = float(row), row + 1.0
        before = top < first  # part of the row lies before the first node
        after = bottom > last
        off_body = bottom <= pole_first + POLE_SLACK or top >= pole_last - POLE_SLACK
        if mode == TOUCHED:
            h = -1.0
            if off_body:
                out[row - row_start] = h
                continue
            if (before and open_first) or (after and open_last):
                out[row - row_start] = np.inf
                continue
            if bottom <= first or top >= last:
                # A polygon no higher than a rounding error still has its place.
                out[row - row_start] = h
                continue
            top, bottom = max(top, first), min(bottom, last)
            while j < count - 2 and node_row[j + 1] <= top:
                j += 1
            h = _polygon_half_width(top, j, node_row, node_half)
            i = j
            while i < count - 2 and node_row[i + 1] < bottom:
                i += 1
                h = max(h, node_half[i])
            h = max(h, _polygon_half_width(bottom, i, node_row, node_half))
        else:
            h = np.inf
            if (before and not open_first) or (after and not open_last) or off_body:
                out[row - row_start] = -1.0
                continue
            if bottom > first and top < last:
                top, bottom = max(top, first), min(bottom, last)
                while j < count - 2 and node_row[j + 1] <= top:
                    j += 1
                h = _polygon_half_width(top, j, node_row, node_half)
                i = j
                while i < count - 2 and node_row[i + 1] < bottom:
                    i += 1
                    h = min(h, node_half[i])
                h = min(h, _polygon_half_width(bottom, i, node_row, node_half))
        out[row - row_start] = h


@jit
def disc_half_widths(lat0, rho, nvert, mode, grid, row_start, row_stop, node_row, node_half, out):
    """Half-widths of a disc in rows [row_start, row_stop): of its polygon, or of the true circle for nvert 0."""
    lat_origin, lat_step, period = grid[0], grid[1], grid[2]
    columns_per_radian = period / (2.0 * math.pi)
    pole = 0.5 * math.pi if lat_step < 0.0 else -0.5 * math.pi
    pole_first = (pole - lat_origin) / lat_step
    pole_last = (-pole - lat_origin) / lat_step
    if rho >= math.pi:
        for row in range(row_start, row_stop):
            if mode == CENTER:
                on_body = pole_first - POLE_SLACK <= row + 0.5 <= pole_last + POLE_SLACK
            else:
                on_body = row + 1.0 > pole_first + POLE_SLACK and row < pole_last - POLE_SLACK
            out[row - row_start] = np.inf if on_body else -1.0
        return
    if nvert == 0:
        circle_half_widths(lat0, rho, mode, lat_origin, lat_step, columns_per_radian, row_start, row_stop, out)
        return
    count = polygon_nodes(lat0, rho, nvert, lat_origin, lat_step, columns_per_radian, node_row, node_half)
    polygon_half_widths(count, node_row, node_half, 0.5 * period, pole_first, pole_last, mode, row_start, row_stop, out)


@jit
def _columns(center, half, mode):
    """Columns [start, stop) that a disc's row takes."""
    if mode == CENTER:
        return math.ceil(center - half - 0.5), math.floor(center + half - 0.5) + 1
    if mode == TOUCHED:
        return math.floor(center - half), math.ceil(center + half)
    return math.ceil(center - half), math.floor(center + half)


@jit
def row_spans(u0, outer, inner, outer_mode, inner_mode, period, col_start, col_stop, start, stop, n):
    """Append one row's spans: the outer disc without the inner one, within columns [col_start, col_stop).

    A disc shows once per turn of longitude that the grid holds a part of; the copies of one region never
    overlap and come in order. Returns the new number of spans.
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
            a, b = _columns(u0 + k * period, outer, outer_mode)
            a, b = max(a, done), min(b, col_stop)
        if a >= b:
            continue
        done = b
        if inner >= 0.0:
            hole_first = math.ceil((a - 1.0 - u0 - inner) / period)
            hole_last = math.floor((b + 1.0 - u0 + inner) / period)
            for m in range(hole_first, hole_last + 1):
                hole_a, hole_b = _columns(u0 + m * period, inner, inner_mode)
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
def region_rows(lat0, rho, grid, row_start, row_stop):
    """The rows within [row_start, row_stop) that a disc can meet, with a hair to spare."""
    lat_origin, lat_step = grid[0], grid[1]
    half_pi = 0.5 * math.pi
    a = (min(lat0 + rho, half_pi) - lat_origin) / lat_step
    b = (max(lat0 - rho, -half_pi) - lat_origin) / lat_step
    if rho >= math.pi:
        a, b = (half_pi - lat_origin) / lat_step, (-half_pi - lat_origin) / lat_step
    if lat0 + rho > half_pi:
        a = (half_pi - lat_origin) / lat_step
    low, high = min(a, b), max(a, b)
    first = max(row_start, math.floor(max(low - 1e-6, -1.0)))
    last = min(row_stop, math.ceil(min(high + 1e-6, row_stop + 1.0)))
    return first, max(first, last)


@jit
def region_spans(u0, lat0, rad, inner, outer, nvert, touched, grid, window, work, row, start, stop):
    """Row spans of one region within a window of the grid.

    Parameters
    ----------
    u0, lat0, rad : float
        Column coordinate of the crater's meridian, its latitude and its angular radius (radians).
    inner, outer : float
        Bounds of the region in crater radii.
    nvert : int
        Vertices of its polygons; 0 for true circles.
    touched : bool
        Coverage: every pixel touched, or those whose centre is inside.
    grid : tuple of float
        Latitude of the first row's outer edge, latitude per row (radians), columns per turn.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) in pixels of the whole grid.
    work : ndarray, shape (4, >= max(rows, nvert // 2 + 1))
        Scratch space.
    row, start, stop : ndarray of int64
        Filled with the spans, rows ascending, columns ascending within a row.

    Returns
    -------
    int
        The number of spans.
    """
    row_start, row_stop = region_rows(lat0, outer * rad, grid, window[0], window[1])
    rows = row_stop - row_start
    if rows <= 0:
        return 0
    outer_half, inner_half, node_row, node_half = work[0], work[1], work[2], work[3]
    outer_mode, inner_mode = (TOUCHED, CONTAINED) if touched else (CENTER, CENTER)
    disc_half_widths(lat0, outer * rad, nvert, outer_mode, grid, row_start, row_stop, node_row, node_half, outer_half)
    hole_start, hole_stop = row_start, row_start
    if inner > 0.0:
        hole_start, hole_stop = region_rows(lat0, inner * rad, grid, row_start, row_stop)
        disc_half_widths(
            lat0, inner * rad, nvert, inner_mode, grid, hole_start, hole_stop, node_row, node_half, inner_half
        )
    n = 0
    for r in range(row_start, row_stop):
        hole = -1.0
        if hole_start <= r < hole_stop:
            hole = inner_half[r - hole_start]
        before = n
        n = row_spans(
            u0, outer_half[r - row_start], hole, outer_mode, inner_mode, grid[2], window[2], window[3], start, stop, n
        )
        for i in range(before, n):
            row[i] = r
    return n


@jit
def region_windows(u0, lat0, rad, outer, nvert, grid, node_row, node_half, out):
    """Bounds of every crater's disc in pixel coordinates: (first row, last row, first column, last column).

    The columns are counted on from the crater's meridian without wrapping; a disc that holds a pole spans
    a whole turn.
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
            count = polygon_nodes(
                lat0[i], rho, nvert, lat_origin, lat_step, period / (2.0 * math.pi), node_row, node_half
            )
            first, last = min(a, b), max(a, b)
            widest = node_half[:count].max()
            full = half * (1.0 - 1e-12)
            a = first if node_half[0] >= full else node_row[0]
            b = last if node_half[count - 1] >= full else node_row[count - 1]
            half = widest
        out[i, 0] = min(a, b)
        out[i, 1] = max(a, b)
        out[i, 2] = u0[i] - half
        out[i, 3] = u0[i] + half


def scratch(rows: int, columns: int, period: float, nvert: int):
    """Arrays that `region_spans` needs for windows of that size: (work, row, start, stop).

    A row holds one outer piece and one hole per turn of longitude in the window, and one more at each end.
    """
    spans = rows * 2 * (int(columns / period) + 3)
    work = np.empty((4, max(rows, nvert // 2 + 1)))
    return work, np.empty(spans, np.int64), np.empty(spans, np.int64), np.empty(spans, np.int64)
