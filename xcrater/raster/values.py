"""Which pixels hold values, and in which dtype kernels take them: the one rule for missing values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater import kernels
from xcrater.errors import GridError

Array = NDArray[Any]


_KERNEL_DTYPE = {"b1": "u1", "i1": "i2", "u4": "i8", "u8": "i8", "f2": "f4", "f12": "f8", "f16": "f8"}
"""Dtypes that kernels are not compiled for, and what stands in for them."""


def kernel_block(pixels: Array) -> Array:
    """A block in a dtype that kernels know, native and with the same values."""
    if pixels.dtype.kind == "u" and pixels.dtype.itemsize == 8:
        pixels = np.minimum(pixels, np.uint64(2**63 - 1))  # refused later on, rather than wrapped to a negative
    code = pixels.dtype.kind + str(pixels.dtype.itemsize)
    wanted = np.dtype(_KERNEL_DTYPE.get(code, code))
    return pixels if pixels.dtype == wanted and pixels.dtype.isnative else pixels.astype(wanted)


def classify(pixels: Array, nodata: float | int | None) -> tuple[Array, bool]:
    """Code of each pixel of a block, and whether all hold values (then there are no codes).

    Raises
    ------
    GridError
        If an integer is too large for sums of squares to stay exact.
    """
    masked = isinstance(pixels, np.ma.MaskedArray) and pixels.mask is not np.ma.nomask
    stored = np.ascontiguousarray(np.ma.getdata(pixels))
    none: Array = np.empty((1, 1), np.uint8)
    codes: Array
    has_nodata = nodata is not None and representable(nodata, stored.dtype)
    sentinel = stored.dtype.type(nodata if has_nodata else 0)
    if stored.dtype.kind == "f":
        codes = np.empty(stored.shape, np.uint8)
        clean = kernels.classify_float(stored, sentinel, has_nodata, codes) == 0
    elif has_nodata:
        codes = np.empty(stored.shape, np.uint8)
        clean = kernels.classify(stored, sentinel, has_nodata, codes) == 0
    else:
        codes, clean = none, True
    if masked and np.ma.getmaskarray(pixels).any():
        codes = np.where(np.ma.getmaskarray(pixels), kernels.NODATA, 0 if clean else codes).astype(np.uint8)
        clean = False
    if stored.dtype == np.int64 and stored.size:
        value = stored if clean else np.where(codes == kernels.VALID, stored, 0)
        if value.min() <= -(2**31) or value.max() >= 2**31:
            raise GridError(
                "received integers beyond ±2147483647, whose sums of squares do not fit; "
                "convert the raster first: da = da.astype('float64')"
            )
    return (none if clean else codes), clean


def representable(nodata: float | int, dtype: np.dtype[Any]) -> bool:
    """Whether a pixel of that dtype can hold the number."""
    if dtype.kind == "f":
        return bool(np.isinf(nodata) or abs(nodata) <= float(np.finfo(dtype).max))
    if dtype.kind == "b":
        return nodata in (0, 1)
    info = np.iinfo(dtype)
    return float(nodata).is_integer() and info.min <= nodata <= info.max
