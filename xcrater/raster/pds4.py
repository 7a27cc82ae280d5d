"""Special constants that the labels of PDS4 images give in hexadecimal notation.

A label may give the bits of a constant, as ``0xFF7FFFFB`` or, in older notation, ``16#FF7FFFFB#``. GDAL reads these as
the numbers 0 and 16 (except for ``missing_constant`` from version 3.12), so that special pixels would count as values
and valid pixels would be lost.
"""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import numpy as np

from xcrater.errors import GridError
from xcrater.raster.values import representable

NAMES = {
    "error_constant",
    "high_instrument_saturation",
    "high_representation_saturation",
    "invalid_constant",
    "low_instrument_saturation",
    "low_representation_saturation",
    "missing_constant",
    "not_applicable_constant",
    "saturated_constant",
    "unknown_constant",
}
"""Elements of the class Special_Constants in the PDS4 information model that stand for a missing value."""

_BITS = re.compile(r"(?:0x|16#)([0-9a-f]+)#?", re.IGNORECASE)


def special_constants(dataset: Any) -> tuple[float, ...]:
    """Read all special constants of a PDS4 image if its label gives some in hexadecimal notation; none otherwise.

    Parameters
    ----------
    dataset : rasterio dataset
        The open file.

    Returns
    -------
    tuple of float
        Stored numbers that stand for missing values; those that the pixels' data type cannot hold are left out.

    Raises
    ------
    GridError
        A constant is not a number or has more bits than a pixel, or the arrays of the label have different constants.
    """
    if dataset.driver != "PDS4":
        return ()
    label = dataset.tags(ns="xml:PDS4").get("xml:PDS4", "")
    if not _BITS.search(label):
        return ()
    arrays = [_texts(each) for each in ElementTree.fromstring(label).iter() if _tag(each) == "Special_Constants"]
    if not any(_BITS.fullmatch(text) for texts in arrays for text in texts.values()):
        return ()
    if any(texts != arrays[0] for texts in arrays):
        raise GridError(
            f"the label of {dataset.name!r} gives special constants in hexadecimals, and different ones for several "
            "arrays; expected one list. Write them in the label in decimals, which GDAL reads for each array"
        )
    numbers = (_number(text, name, dataset) for name, text in arrays[0].items())
    return tuple(number for number in numbers if representable(number, np.dtype(dataset.dtypes[0])))


def _texts(constants: ElementTree.Element) -> dict[str, str]:
    return {_tag(each): (each.text or "").strip() for each in constants if _tag(each) in NAMES}


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _number(text: str, name: str, dataset: Any) -> float:
    """Convert a text to the number that a pixel with these bits, or with this number, holds."""
    dtype = np.dtype(dataset.dtypes[0])
    bits = _BITS.fullmatch(text)
    try:
        if bits is None:
            return float(text)
        unsigned = np.dtype(f"u{dtype.itemsize}").type(int(bits[1], 16))
        return unsigned.view(dtype).item()
    except (OverflowError, TypeError, ValueError):
        raise GridError(
            f"the label of {dataset.name!r} gives {name}={text!r} for pixels of {dtype}; expected a decimal number or "
            f"{2 * dtype.itemsize} hexadecimal digits, such as 0x{'FF' * dtype.itemsize}. Correct the label"
        ) from None
