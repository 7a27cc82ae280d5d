"""Drawn regions painted, counted and named in arrays."""

from __future__ import annotations

from xcrater.kernels.compile import jit


@jit
def paint(runs, weight, offset, window, out):
    """Write the covered fraction of one region's pixels to ``out``, an array over the window."""
    for s in range(offset[0], offset[1]):
        r = runs[0, s] - window[0]
        for c in range(runs[1, s] - window[2], runs[2, s] - window[2]):
            out[r, c] = weight[s]


@jit
def count_regions(runs, weight, offset, window, out):
    """Add 1 to the pixels of every shape in ``offset``, of shape (craters, regions, 2), in an array over the window."""
    for i in range(offset.shape[0]):
        for k in range(offset.shape[1]):
            for s in range(offset[i, k, 0], offset[i, k, 1]):
                if weight[s] > 0.0:
                    r = runs[0, s] - window[0]
                    for c in range(runs[1, s] - window[2], runs[2, s] - window[2]):
                        out[r, c] += 1


@jit
def name_craters(runs, weight, offset, window, row, out):
    """Write ``row[i]`` to the pixels of crater i's shapes, over those before; see `count_regions`."""
    for i in range(offset.shape[0]):
        for k in range(offset.shape[1]):
            for s in range(offset[i, k, 0], offset[i, k, 1]):
                if weight[s] > 0.0:
                    r = runs[0, s] - window[0]
                    for c in range(runs[1, s] - window[2], runs[2, s] - window[2]):
                        out[r, c] = row[i]
