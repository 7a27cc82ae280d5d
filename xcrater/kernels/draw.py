"""Regions drawn as runs of pixels."""

from __future__ import annotations

from xcrater.kernels.compile import jit
from xcrater.kernels.covered_runs import region_runs
from xcrater.kernels.polygon_spans import polygon_bound, polygon_runs
from xcrater.kernels.spans import EXACT, region_spans


@jit
def draw_discs(i, u0, lat0, rad, inner, outer, nvert, mode, grid, window, buffers, scratch, runs, weight, offset):
    """Runs of all regions of craters i, i + 1, ... one after another, as long as there is room.

    Parameters
    ----------
    mode : int
        Coverage: `CENTER`, `TOUCHED` or `EXACT`.
    buffers, scratch : tuple of ndarray
        From `span_scratch`, and from `cover_scratch` where the mode is `EXACT`.
    runs, weight : ndarray, shape (3, n) and (n,)
        Filled with (row, start, stop) and the fraction covered of each pixel.
    offset : ndarray, shape (craters, regions, 2)
        Filled with where a region's runs begin and end.

    Returns
    -------
    int
        The first crater that there was no room for.
    """
    n, room = 0, weight.size
    spans = buffers[5]
    while i < u0.size:
        begun = n
        for k in range(inner.size):
            at = (u0[i], lat0[i], rad[i], inner[k], outer[k], nvert[k])
            offset[i, k, 0] = n
            if mode == EXACT:
                m = region_runs(*at, grid, window, scratch, runs[:, n:], weight[n:])
            else:
                m = region_spans(*at, mode, grid, window, buffers)
                if n + m <= room:
                    for s in range(m):
                        runs[0, n + s], runs[1, n + s], runs[2, n + s] = spans[0, s], spans[1, s], spans[2, s]
                        weight[n + s] = 1.0
            n += m
            offset[i, k, 1] = n
            if n > room:
                break
        if n > room:
            n = begun
            break
        i += 1
    return i


@jit
def outline_rooms(u, v, ring, shape, period, window, out):
    """Add to ``out[i]`` how many pieces and runs shape i may have; see `polygon_bound`."""
    for i in range(shape.size - 1):
        pieces, runs = polygon_bound(u, v, ring, shape[i], shape[i + 1], period, window)
        out[i, 0] = max(out[i, 0], pieces)
        out[i, 1] += runs


@jit
def draw_outlines(u, v, ring, shape, first, stop, mode, period, window, scratch, runs, weight, n, k, offset):
    """Append the runs of shapes [first, stop), the craters' regions k, to n runs; returns their new number.

    Where each one's begin and end goes to ``offset[i - first, k]``.
    """
    for i in range(first, stop):
        offset[i - first, k, 0] = n
        n += polygon_runs(u, v, ring, shape[i], shape[i + 1], mode, period, window, scratch, runs[:, n:], weight[n:])
        offset[i - first, k, 1] = n
    return n
