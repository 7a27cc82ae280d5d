"""Painting of drawn regions into arrays over a window: their fractions covered, numbers, or craters."""

from __future__ import annotations

from xcrater.kernels.compile import jit


@jit
def paint(drawn, i, k, window, out):
    """Write the fraction covered of the pixels of region k of crater i.

    Parameters
    ----------
    drawn : Runs
        Regions of some craters.
    i, k : int
        Position of the crater among them, and of the region.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) of the array on the whole grid.
    out : ndarray of float64, shape (rows, columns)
        Changed.
    """
    runs, weight, offset = drawn
    for s in range(offset[i, k, 0], offset[i, k, 1]):
        r = runs[0, s] - window[0]
        for c in range(runs[1, s] - window[2], runs[2, s] - window[2]):
            out[r, c] = weight[s]


@jit
def count_regions(drawn, window, out):
    """Add 1 to every pixel of each region of each crater; parameters as in `paint`."""
    runs, weight, offset = drawn
    for i in range(offset.shape[0]):
        for k in range(offset.shape[1]):
            for s in range(offset[i, k, 0], offset[i, k, 1]):
                if weight[s] > 0.0:
                    r = runs[0, s] - window[0]
                    for c in range(runs[1, s] - window[2], runs[2, s] - window[2]):
                        out[r, c] += 1


@jit
def name_craters(drawn, window, row, out):
    """Overwrite every pixel of each region of crater i by ``row[i]``; parameters as in `paint`."""
    runs, weight, offset = drawn
    for i in range(offset.shape[0]):
        for k in range(offset.shape[1]):
            for s in range(offset[i, k, 0], offset[i, k, 1]):
                if weight[s] > 0.0:
                    r = runs[0, s] - window[0]
                    for c in range(runs[1, s] - window[2], runs[2, s] - window[2]):
                        out[r, c] = row[i]
