"""Which pixels of a block hold a value, as a code per pixel."""

from __future__ import annotations

from xcrater.kernels.compile import jit

VALID, NODATA, NAN = 0, 1, 2


@jit
def classify(block, nodata, has_nodata, out):
    """Write each pixel's code; returns how many pixels hold no value. For integers."""
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
    """Write each pixel's code; returns how many pixels hold no value. For floats: NaN holds none either."""
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
