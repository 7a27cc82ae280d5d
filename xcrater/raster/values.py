"""The one rule for missing values, which determines for every operation which pixels of a raster have no value."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater import kernels
from xcrater.errors import GridError

Array = NDArray[Any]

_KERNEL_DTYPE = {"b1": "u1", "i1": "i2", "u4": "i8", "u8": "i8", "f2": "f4", "f12": "f8", "f16": "f8"}
"""Dtypes for which kernels are not compiled, by kind and size, and the dtype that replaces each."""


def representable(nodata: float | int, dtype: np.dtype[Any]) -> bool:
    """Whether a pixel of a dtype can hold a number, so that it can be nodata there."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            # The least float32, printed with the fewest digits that identify it, is slightly below its exact value.
            return bool(np.isinf(nodata) or np.isfinite(dtype.type(nodata)))
    if dtype.kind == "b":
        return nodata in (0, 1)
    info = np.iinfo(dtype)
    return float(nodata).is_integer() and info.min <= nodata <= info.max


def sentinel(nodata: float | int | None, dtype: np.dtype[Any]) -> tuple[Any, bool]:
    """Nodata as a number of a dtype, and whether a pixel of that dtype can hold it; 0 and False otherwise."""
    held = nodata is not None and representable(nodata, dtype)
    return dtype.type(nodata if held else 0), held


def missing(pixels: Array, nodata: float | int | None) -> NDArray[np.bool_]:
    """Find the pixels without a value: nodata, NaN, and those that a masked array masks.

    Parameters
    ----------
    pixels : ndarray or numpy.ma.MaskedArray
        Stored numbers, of any shape.
    nodata : number or None
        Stored number that stands for a missing value, if there is one.

    Returns
    -------
    ndarray of bool
        True where there is no value, in the shape of `pixels`.
    """
    stored = np.ma.getdata(pixels)
    number, held = sentinel(nodata, stored.dtype)
    absent: NDArray[np.bool_] = stored == number if held else np.zeros(stored.shape, bool)
    if stored.dtype.kind == "f":
        absent |= np.isnan(stored)
    if np.ma.is_masked(pixels):
        absent |= np.ma.getmaskarray(pixels)
    return absent


def kernel_block(pixels: Array, nodata: float | int | None = None) -> Array:
    """Convert a block to a native dtype for which kernels are compiled, with the same values and mask.

    Parameters
    ----------
    pixels : ndarray or numpy.ma.MaskedArray
        Stored numbers.
    nodata : number or None
        Stored number that stands for a missing value, if there is one. If the new dtype cannot hold it, such pixels are
        masked.

    Raises
    ------
    GridError
        A pixel with a value is 2**63 or more.
    """
    if pixels.dtype.kind == "u" and pixels.dtype.itemsize == 8:
        beyond = np.ma.getdata(pixels) > np.uint64(2**63 - 1)
        if beyond.any():
            hidden = missing(pixels, nodata)
            if (beyond & ~hidden).any():
                raise GridError(
                    "received integers of 2**63 or more, which do not fit 64 bits with a sign; "
                    "convert the raster first, which rounds them: da = da.astype('float64')"
                )
            pixels = np.ma.MaskedArray(np.where(beyond, 0, np.ma.getdata(pixels)), hidden)
    code = pixels.dtype.kind + str(pixels.dtype.itemsize)
    wanted = np.dtype(_KERNEL_DTYPE.get(code, code))
    return pixels if pixels.dtype == wanted and pixels.dtype.isnative else pixels.astype(wanted)


def classify(pixels: Array, nodata: float | int | None) -> tuple[Array, bool]:
    """Code each pixel of a block for kernels, by the rule of `missing` but with nodata and NaN distinguished.

    Parameters
    ----------
    pixels : ndarray or numpy.ma.MaskedArray, shape (rows, columns)
        Stored numbers in a dtype of `kernel_block`. Masked pixels count as nodata.
    nodata : number or None
        Stored number that stands for a missing value, if there is one.

    Returns
    -------
    codes : ndarray of uint8, shape (rows, columns) or (1, 1)
        ``VALID``, ``NODATA`` or ``NAN`` of `xcrater.kernels`; a placeholder of shape (1, 1) if all pixels have values.
    clean : bool
        Whether all pixels have values.
    """
    stored = np.ma.getdata(pixels)
    number, held = sentinel(nodata, stored.dtype)
    absent: Array | None = stored == number if held else None
    if np.ma.is_masked(pixels):
        mask = np.ma.getmaskarray(pixels)
        absent = mask if absent is None else absent | mask
    codes: Array | None = None
    if absent is not None and absent.any():
        codes = absent.view(np.uint8) * np.uint8(kernels.NODATA)
    if stored.dtype.kind == "f":
        nan = np.isnan(stored)
        if codes is not None:
            nan &= codes == kernels.VALID
        if nan.any():
            found = nan.view(np.uint8) * np.uint8(kernels.NAN)
            codes = found if codes is None else codes + found
    return (np.empty((1, 1), np.uint8), True) if codes is None else (np.ascontiguousarray(codes), False)
