"""Drawing of regions as runs of pixels, as many craters at a time as there is room for."""

from __future__ import annotations

from xcrater.kernels.compile import jit
from xcrater.kernels.covered_runs import region_runs
from xcrater.kernels.polygon_spans import polygon_bound, polygon_runs
from xcrater.kernels.spans import region_spans


@jit
def draw_discs(first, caps, annuli, mode, grid, window, scratch, cover, out):
    """Draw all regions of craters first, first + 1, ... one after another, as long as there is room.

    Parameters
    ----------
    first : int
        Position of the first crater.
    caps : Caps
        The craters.
    annuli : Annuli
        The regions.
    mode : int
        Which pixels the regions take: `CENTER` or `TOUCHED`; without effect if `cover` is given.
    grid : Rows
        Placement of rows and columns.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) in pixels of the whole grid.
    scratch, cover : SpanScratch, CoverScratch or None
        From `span_scratch` and `cover_scratch` for that window; the latter is None unless pixels are weighted by the
        fraction covered.
    out : Runs
        Filled with the runs.

    Returns
    -------
    int
        Position of the first crater that there was no room for.
    """
    n, room, i = 0, out.weight.size, first
    spans = scratch.spans
    while i < caps.u0.size:
        begun = n
        for k in range(annuli.inner.size):
            at = (caps.u0[i], caps.lat[i], caps.radius[i], annuli.inner[k], annuli.outer[k], annuli.nvert[k])
            out.offset[i, k, 0] = n
            if cover is not None:  # known at compile time, so the other branch is left out
                m = region_runs(*at, grid, window, cover, out.runs[:, n:], out.weight[n:])
            else:
                m = region_spans(*at, mode, grid, window, scratch)
                if n + m <= room:
                    for s in range(m):
                        out.runs[0, n + s], out.runs[1, n + s] = spans[0, s], spans[1, s]
                        out.runs[2, n + s], out.weight[n + s] = spans[2, s], 1.0
            n += m
            out.offset[i, k, 1] = n
            if n > room:
                break
        if n > room:
            n = begun
            break
        i += 1
    return i


@jit
def outline_rooms(polygons, window, out):
    """Upper bounds of the room that drawing each shape takes.

    Parameters
    ----------
    polygons : Polygons
        The shapes.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop).
    out : ndarray of int64, shape (shapes, 2)
        The number of pieces is raised to that of the shape, if less; the number of its runs is added.
    """
    for i in range(polygons.shape.size - 1):
        pieces, runs = polygon_bound(polygons, i, window)
        out[i, 0] = max(out[i, 0], pieces)
        out[i, 1] += runs


@jit
def draw_outlines(polygons, first, stop, mode, window, scratch, out, n, k):
    """Append the runs of shapes [first, stop), which are region k of as many craters, to n runs.

    Parameters
    ----------
    polygons : Polygons
        One shape for each crater.
    mode, window, scratch
        As `polygon_runs` takes them.
    out : Runs
        Filled: begin and end of each shape's runs go to ``offset[i - first, k]``.
    n, k : int
        Number of runs so far, and position of the region.

    Returns
    -------
    int
        The number of runs.
    """
    for i in range(first, stop):
        out.offset[i - first, k, 0] = n
        n += polygon_runs(polygons, i, mode, window, scratch, out.runs[:, n:], out.weight[n:])
        out.offset[i - first, k, 1] = n
    return n
