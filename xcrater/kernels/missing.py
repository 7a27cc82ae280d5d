"""Which pixels of a block hold a value, as a code per pixel."""

from __future__ import annotations

from xcrater.kernels.compile import jit

VALID, NODATA, NAN = 0, 1, 2
"""Codes of pixels: with a value, missing by the file's sentinel or mask, and not a number."""


@jit
def classify(block, nodata, has_nodata, out):
    """Write the code of each pixel of a block of integers to ``out``, of the same shape.

    Parameters
    ----------
    block : ndarray of int, shape (rows, columns)
        Stored numbers.
    nodata : scalar of the block's dtype
        The sentinel that stands for no value.
    has_nodata : bool
        Whether there is such a sentinel.
    out : ndarray of uint8, shape (rows, columns)
        Filled.

    Returns
    -------
    int
        The number of pixels without a value.
    """
    invalid = 0
    for r in range(block.shape[0]):
        for c in range(block.shape[1]):
            code = VALID
            if has_nodata and block[r, c] == nodata:
                code = NODATA
                invalid += 1
            out[r, c] = code
    return invalid


@jit
def classify_float(block, nodata, has_nodata, out):
    """Like `classify` for a block of floating-point numbers: NaN is no value either."""
    invalid = 0
    for r in range(block.shape[0]):
        for c in range(block.shape[1]):
            code = VALID
            x = block[r, c]
            if x != x:
                code = NAN
                invalid += 1
            elif has_nodata and x == nodata:
                code = NODATA
                invalid += 1
            out[r, c] = code
    return invalid
