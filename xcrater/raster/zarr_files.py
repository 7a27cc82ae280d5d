"""Zarr stores of rasters with a checksum for every chunk, which ``xcrater convert`` writes and `open_mosaic` reads.

zarr silently returns fill values for a missing chunk, which would be taken for pixels. The array ``checksum`` of a
store therefore holds the CRC-32 of each chunk of ``values``, and each chunk that is read is compared with it. ``x``,
``y`` and ``spatial_ref`` serve xarray and rioxarray.
"""

from __future__ import annotations

import os
import uuid
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xcrater._optional import require
from xcrater.errors import GridError
from xcrater.raster.files import FilePixels, Packing
from xcrater.raster.headers import Header
from xcrater.raster.values import representable

LAYOUT = 1
"""Version of the layout; stores of other versions are refused."""

ABOUT = "xcrater_raster"
"""Key of a store's attributes that describes its pixels."""

Window = tuple[int, int, int, int]


@dataclass(frozen=True)
class ZarrPixels(FilePixels):
    """The pixels of a store.

    Parameters
    ----------
    made : str
        Random number that distinguishes the store from others that were at the same path before.
    side : int
        Rows and columns of a chunk.
    """

    made: str = ""
    side: int = 0

    def _stored(self, bands: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]) -> Any:
        """Read stored numbers, masked if they are to be decoded, and compare every chunk read with its checksum."""
        values, sums = _arrays(self.path, self.made)
        _, height, width = self.lengths
        (first, last), (left, right) = ((part[0] // self.side, -(-part[1] // self.side)) for part in (rows, columns))
        top, start = first * self.side, left * self.side
        which = slice(*bands)
        try:
            rows_of_chunks = slice(top, min(last * self.side, height))
            block = np.asarray(values[which, rows_of_chunks, start : min(right * self.side, width)])
            expected = np.asarray(sums[which, first:last, left:right])
        except (OSError, ValueError, RuntimeError) as err:
            raise GridError(f"a chunk cannot be decoded ({err})") from err
        found = checksums(block, self.side)
        if not np.array_equal(found, expected):
            _, row, column = (int(axis[0]) for axis in np.nonzero(found != expected))
            raise GridError(
                f"the chunk at row {(first + row) * self.side}, column {(left + column) * self.side} is missing or was "
                "changed"
            )
        block = block[:, rows[0] - top : rows[1] - top, columns[0] - start : columns[1] - start]
        if self.packing is None:
            return block
        nodata = np.array([np.nan if n is None else n for n in self.packing.nodata[which]]).reshape(-1, 1, 1)
        hidden = block == nodata
        return np.ma.masked_array(block, hidden | np.isnan(block) if block.dtype.kind in "fc" else hidden)


def checksums(block: NDArray[Any], side: int) -> NDArray[np.uint32]:
    """CRC-32 of each chunk in a block whose bounds coincide with those of chunks."""
    bands, height, width = block.shape
    little = block.astype(block.dtype.newbyteorder("<"), copy=False)
    sums = [
        zlib.crc32(np.ascontiguousarray(little[band, row : row + side, column : column + side]).view(np.uint8).data)
        for band in range(bands)
        for row in range(0, height, side)
        for column in range(0, width, side)
    ]
    return np.array(sums, np.uint32).reshape(bands, -(-height // side), -(-width // side))


def is_store(path: str) -> bool:
    """Whether a path leads to a local store of this layout."""
    if not path.rstrip("/").endswith(".zarr") or not os.path.isfile(os.path.join(path, "zarr.json")):
        return False
    zarr = require("zarr", extra="zarr")
    return ABOUT in zarr.open_group(path, mode="r").attrs


def read_header(path: str) -> Header:
    """Read the header of a store.

    Raises
    ------
    GridError
        The layout of the store has another version.
    """
    zarr = require("zarr", extra="zarr")
    root = zarr.open_group(path, mode="r")
    about = root.attrs[ABOUT]
    if about["layout"] != LAYOUT:
        raise GridError(
            f"the store {path!r} has layout {about['layout']}; this version of xcrater reads layout {LAYOUT}: convert "
            "the raster again"
        )
    lengths: tuple[int, int, int] = tuple(about["shape"])
    of_bands = [(about[name],) * lengths[0] for name in ("nodata", "scale", "offset")]
    packing = Packing(of_bands[0], of_bands[1], of_bands[2], hidden=False)
    side = about["chunk"]
    pixels = ZarrPixels(path, None, lengths, about["dtype"], packing, made=about["made"], side=side)
    a, b, c, d, e, f = about["transform"]
    return Header(pixels, about["crs"], (a, b, c, d, e, f), (side, side), (about["dtype"],) * lengths[0])


def attributes(path: str) -> dict[str, str]:
    """Units of a store's values, if it states them."""
    found = require("zarr", extra="zarr").open_group(path, mode="r")["values"].attrs
    return {"units": found["units"]} if "units" in found else {}


def units_of(da: xr.DataArray) -> str | None:
    """The units common to all bands of a raster; None if there are none, or if bands differ."""
    units = da.attrs.get("units")
    named = {units} if isinstance(units, str) else set(units or ())
    return str(named.pop()) if len(named) == 1 else None


def create(path: str, da: xr.DataArray, side: int) -> None:
    """Begin a store of the stored numbers of a raster.

    Parameters
    ----------
    path : str
        Path of the store, where nothing exists yet.
    da : xarray.DataArray
        Stored numbers, dimensions (band, y, x), with their nodata, scale and offset as attributes.
    side : int
        Rows and columns of a chunk.
    """
    require("zarr", extra="zarr")
    stored = da.dtype.newbyteorder("=")
    attrs: dict[str, Any] = {} if units_of(da) is None else {"units": units_of(da)}
    scale, offset = float(da.attrs.get("scale_factor", 1.0)), float(da.attrs.get("add_offset", 0.0))
    nodata = da.attrs.get("_FillValue")
    if nodata is not None and not (np.isnan(nodata) or representable(nodata, stored)):
        nodata = None  # no pixel can hold this number
    about = {
        "layout": LAYOUT,
        "made": uuid.uuid4().hex,
        "shape": list(da.shape),
        "dtype": stored.str,
        "nodata": None if nodata is None else float(nodata),
        "scale": scale,
        "offset": offset,
        "crs": da.rio.crs.to_wkt() if da.rio.crs else "",
        "transform": list(da.rio.transform())[:6],
        "chunk": side,
    }
    encoding: dict[str, Any] = {"chunks": (1, side, side)}
    if nodata is not None:
        attrs["_FillValue"] = np.asarray(nodata).astype(stored)[()]
    if scale != 1 or offset != 0:
        attrs |= {"scale_factor": scale, "add_offset": offset}
    import dask.array

    blank = dask.array.zeros(da.shape, dtype=stored, chunks=-1)  # only for its metadata; nothing of it is computed
    values = xr.DataArray(blank, {name: da.coords[name] for name in ("y", "x")}, ("band", "y", "x"), attrs=attrs)
    template = xr.Dataset({"values": values}, attrs={ABOUT: about})
    if da.rio.crs:
        template = template.rio.write_crs(da.rio.crs).rio.write_transform(da.rio.transform())
        encoding["grid_mapping"] = "spatial_ref"
    counts = (da.shape[0], *(-(-n // side) for n in da.shape[1:]))
    template.to_zarr(path, mode="w", compute=False, consolidated=False, zarr_format=3, encoding={"values": encoding})
    root = require("zarr", extra="zarr").open_group(path, mode="r+")
    chunks = (1, *(min(256, n) for n in counts[1:]))
    names = ("band", "y_chunk", "x_chunk")
    root.create_array("checksum", shape=counts, chunks=chunks, dtype="u4", dimension_names=names)


def write(path: str, window: Window, block: NDArray[Any]) -> None:
    """Write some rows and columns of all bands, whose bounds coincide with those of chunks."""
    root = require("zarr", extra="zarr").open_group(path, mode="r+")
    top, bottom, left, right = window
    side = root.attrs[ABOUT]["chunk"]
    root["values"][:, top:bottom, left:right] = block
    first, start = top // side, left // side
    root["checksum"][:, first : -(-bottom // side), start : -(-right // side)] = checksums(block, side)


@lru_cache(maxsize=16)
def _arrays(path: str, made: str) -> tuple[Any, Any]:
    """The pixels of a store and the checksums of their chunks."""
    root = require("zarr", extra="zarr").open_group(path, mode="r")
    if root.attrs[ABOUT]["made"] != made:
        raise GridError("another store is there by now")
    return root["values"], root["checksum"]
