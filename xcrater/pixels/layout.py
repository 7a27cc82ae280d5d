"""The self-description of a store of crater arrays, and the checksums that protect its pixels.

zarr returns fill values for a missing chunk, such as an interrupted copy leaves, and nothing in a chunk shows whether
it is the one that was written last. Every entry of a store therefore has a checksum of its pixels, and every array that
holds one item per entry has a checksum of all its items, so that reading gives either what was written or an error. The
checksums are CRC-32 of the numbers themselves, little-endian, regardless of the chunks and codecs that store them.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater._optional import require
from xcrater.errors import StoreError

LAYOUT = 1
"""Version of the layout; stores of other versions are refused."""

READ_BACK = 2**22
"""Number of pixels that are read at a time to compute the checksum of a large entry."""


def read_about(path: str) -> dict[str, Any] | None:
    """The description that a store holds in its attributes; None if there is nothing at that path.

    Raises
    ------
    StoreError
        The path holds something else, or a store whose layout has another version.
    """
    zarr = require("zarr", extra="zarr")
    try:
        attrs = dict(zarr.open_group(path, mode="r").attrs)
    except FileNotFoundError:
        local = Path(path)
        if not local.exists() or (local.is_dir() and not any(local.iterdir())):
            return None
        attrs = {}
    except ValueError:  # the path holds an array, or a broken store
        attrs = {}
    if "xcrater" not in attrs:
        raise StoreError(
            f"{path!r} is no store of crater arrays; expected a path where there is nothing yet, or one that "
            "arrays.to_zarr(path) wrote. What is there is left as it is"
        )
    about: dict[str, Any] = attrs["xcrater"]
    if about["layout"] != LAYOUT:
        raise StoreError(
            f"the store {path!r} has layout {about['layout']}; this version of xcrater reads and writes layout "
            f"{LAYOUT}: write it anew at another path"
        )
    return about


@contextmanager
def naming(path: str, part: str, *, but: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn errors of zarr and its codecs on reading a part of a store into a `StoreError`, except those in `but`."""
    try:
        yield
    except Exception as error:
        if isinstance(error, (StoreError, *but)):
            raise
        raise damaged(path, part, f"{type(error).__name__}: {error}") from error


def damaged(path: str, part: str, cause: str) -> StoreError:
    """The error for a part of a store that is not what was written."""
    return StoreError(
        f"the store {path!r} is damaged: {part} cannot be read as it was written ({cause}). Bring back a whole copy of "
        "the store, or write it anew from the same raster, table and regions: "
        f"arrays.to_zarr({path!r}, overwrite=True)"
    )


def checksum(array: NDArray[Any], before: int = 0) -> int:
    """CRC-32 of an array's numbers, continued from the checksum of what precedes them."""
    return zlib.crc32(_octets(array), before)


def entry_checksums(
    values: NDArray[Any], mask: NDArray[np.bool_], fraction: NDArray[np.float64] | None, offset: NDArray[np.int64]
) -> NDArray[np.uint32]:
    """CRC-32 of the pixels of each of several entries.

    Parameters
    ----------
    values : ndarray, shape (*lead, pixels)
        Values of the pixels of one entry after another.
    mask : ndarray of bool, shape (*lead, pixels)
        True where there is no value.
    fraction : ndarray of float64, shape (pixels,), or None
        Fraction of each pixel inside the region.
    offset : ndarray of int64, shape (entries + 1,)
        Entry i has the pixels [offset[i], offset[i + 1]).

    Returns
    -------
    ndarray of uint32, shape (entries,)
        Checksum of each entry: of its values, pixel by pixel, then its mask, then its fractions.
    """
    sums = [0] * (offset.size - 1)
    for array in (values, mask, fraction):
        if array is None or not array.size:
            continue
        # The pixel axis comes first, so that the numbers of one entry are contiguous for any extra dimensions.
        octets = _octets(np.moveaxis(array, -1, 0))
        bounds = (offset * (len(octets) // array.shape[-1])).tolist()
        sums = [zlib.crc32(octets[bounds[i] : bounds[i + 1]], before) for i, before in enumerate(sums)]
    return np.array(sums, np.uint32)


def stored_checksum(group: Any, first: int, last: int) -> int:
    """Compute the checksum of one stored entry, reading a part at a time; see `entry_checksums`.

    Parameters
    ----------
    group : zarr.Group
        The region's group.
    first, last : int
        The entry's first pixel in the flat arrays, and the pixel past its last.
    """
    total = 0
    for name in ("values", "mask", "coverage"):
        array = group.get(name)
        for start in range(first, last, READ_BACK) if array is not None else ():
            part = np.asarray(array[..., start : min(start + READ_BACK, last)])
            total = zlib.crc32(_octets(np.moveaxis(part, -1, 0)), total)
    return total


def table_checksum(craters: Any) -> int:
    """CRC-32 of the crater table in a store, from its columns as zarr returns them."""
    total = 0
    for name, array in sorted(craters.arrays()):
        column = np.asarray(array[...])
        if column.dtype.kind in "OTU":
            column = np.frombuffer("\0".join(map(str, column.ravel().tolist())).encode(), np.uint8)
        total = checksum(column, zlib.crc32(name.encode(), total))
    return total


def read_column(root: Any, path: str, name: str, items: int, checksums: dict[str, int] | None) -> NDArray[Any]:
    """Read the first items of an array that holds one item per entry, and compare them with their checksum.

    Parameters
    ----------
    root : zarr.Group
        The store's root.
    path : str
        Path of the store, for errors.
    name : str
        Name of the array in the store.
    items : int
        Number of items that have been written.
    checksums : dict or None
        The store's checksums of such arrays, by name; None for a store without checksums.

    Returns
    -------
    ndarray, shape (items, ...)
        The items.

    Raises
    ------
    StoreError
        The array cannot be read, or is not what was written.
    """
    with naming(path, f"the array {name!r}"):
        column = np.asarray(root[name][:items])
    if checksums is not None and checksum(column) != checksums[name]:
        raise damaged(path, f"the array {name!r}", "a chunk is missing or was changed")
    return column


def _octets(array: NDArray[Any]) -> memoryview:
    """The bytes of an array in row-major order, little-endian."""
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return np.ascontiguousarray(little).reshape(-1).view(np.uint8).data


def whole_path(path: str | os.PathLike[str]) -> str:
    """Make a path independent of the working directory, so that it means the same in every process."""
    path = os.fspath(path)
    return path if "://" in path or "::" in path else os.path.abspath(path)
