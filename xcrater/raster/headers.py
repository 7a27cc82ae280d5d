"""Headers of raster files: grid, blocks, packing, overviews."""

from __future__ import annotations

import contextlib
import math
import operator
import shlex
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import rasterio.vrt

from xcrater.errors import BlocksWarning, GridError
from xcrater.raster.files import FilePixels, Packing, fingerprint, opened
from xcrater.raster.remote import patiently, told_by_server

LARGE_BLOCK = 2**26
"""Number of pixels in a block from which `advise` warns: four times that of a chunk, or 64 MB at a byte per pixel."""


class Header(NamedTuple):
    """The header of a raster file.

    Parameters
    ----------
    pixels : FilePixels
        The file's pixels, as values.
    crs : str
        CRS as WKT; empty if there is none.
    transform : tuple of float
        Geotransform (a, b, c, d, e, f).
    block : tuple of int
        Rows and columns of a block.
    dtypes : tuple of str
        Data type of each band.
    """

    pixels: FilePixels
    crs: str
    transform: tuple[float, float, float, float, float, float]
    block: tuple[int, int]
    dtypes: tuple[str, ...]

    @property
    def path(self) -> str:
        """Path that GDAL opens."""
        return self.pixels.path


def read_header(path: str, level: int | None) -> Header:
    """Read the header of a file, or of one of its overviews.

    Parameters
    ----------
    path : str
        Path that GDAL opens.
    level : int or None
        Overview, counted from 0 for the finest; None for the full resolution.

    Raises
    ------
    GridError
        The file is not a raster, or has no such overview.
    """
    return patiently(path, lambda: _read_header(path, level))


def _read_header(path: str, level: int | None) -> Header:
    with opened(path) as whole:
        if not whole.count:
            raise GridError(
                f"{path!r} holds several rasters; name one of its subdatasets: "
                + ", ".join(map(repr, whole.subdatasets))
            )
        if whole.driver == "GTI":
            raise GridError(
                f"GDAL reads {path!r} as an index of tiles, and takes tiles that it cannot read for missing pixels. "
                "Give the table of the index instead, such as xcrater.open_mosaic('index.gpkg'), or the tiles: "
                "xcrater.open_mosaic('tiles/*.tif')"
            )
        if level is None:
            return header_of(whole, path, Packing.of(whole))
        factors = whole.overviews(1)
        if level < len(factors):
            with opened(path, level) as dataset:
                return header_of(dataset, path, _of_overview(dataset, whole), level)
    listed = ", ".join(f"{n} (by {factor})" for n, factor in enumerate(factors)) or "none"
    raise GridError(
        f"received overview_level={level}; the overviews of {path!r} are {listed}. Make some, of which that of level "
        f"n is by 2**(n + 1): with rasterio.open({path!r}, 'r+') as file: "
        "file.build_overviews([2, 4, 8, 16], rasterio.enums.Resampling.average)"
    )


def header_of(dataset: Any, path: str, packing: Packing, level: int | None = None) -> Header:
    """Make the header of an open rasterio dataset, given how it stores values."""
    stored = np.result_type(*dataset.dtypes).str
    lengths = (dataset.count, *dataset.shape)
    pixels = FilePixels(path, fingerprint(path), lengths, stored, packing, level, told_by_server(path))
    crs = "" if dataset.crs is None else dataset.crs.wkt
    return Header(pixels, crs, tuple(dataset.transform)[:6], dataset.block_shapes[0], dataset.dtypes)


def packing_as_opened(dataset: Any) -> Packing:
    """How an open rasterio dataset stores values; for an overview, the file itself is consulted."""
    if dataset.mode == "r" and not isinstance(dataset, rasterio.vrt.WarpedVRT):
        with contextlib.suppress(GridError), opened(dataset.name) as whole:
            if whole.count == dataset.count and whole.shape != dataset.shape and whole.bounds == dataset.bounds:
                return _of_overview(dataset, whole)
    return Packing.of(dataset)


def _of_overview(dataset: Any, whole: Any) -> Packing:
    """How an overview stores values: GDAL passes nodata and masks on to it, but not scale and offset."""
    return replace(Packing.of(dataset), scales=tuple(whole.scales), offsets=tuple(whole.offsets))


def choose_level(paths: Sequence[str], overview_level: Any, resolution: Any) -> int | None:
    """Choose the overview to read; None for the full resolution.

    Parameters
    ----------
    paths : sequence of str
        The files; the first that can be opened determines which overviews exist.
    overview_level : int or None
        The overview that the user requests, if any.
    resolution : float or None
        Largest acceptable size of a pixel, in units of the CRS, if the user gives one.

    Raises
    ------
    GridError
        Both are given, or one of them is not a valid level or size.
    """
    if overview_level is not None:
        if resolution is not None:
            raise GridError("received both overview_level and resolution; expected one of them")
        try:
            level = operator.index(overview_level)
        except TypeError:
            level = -1
        if level < 0:
            raise GridError(f"received overview_level={overview_level!r}; expected 0 for the finest, 1, 2, …")
        return level
    if resolution is None:
        return None
    if not isinstance(resolution, int | float | np.number) or not resolution > 0:
        raise GridError(f"received resolution={resolution!r}; expected the size of a pixel in units of the CRS")
    for n, path in enumerate(paths):
        try:
            sizes = patiently(path, lambda path=path: _sizes(path))  # type: ignore[misc]
        except GridError:
            if n == len(paths) - 1:
                raise
            continue
        return max((level for level, size in enumerate(sizes) if size <= resolution * (1 + 1e-6)), default=None)
    raise AssertionError("there is a last path")


def _sizes(path: str) -> list[float]:
    """Size of the pixels of each overview of a file, in units of its CRS."""
    with opened(path) as dataset:
        pixel = max(abs(dataset.transform.a), abs(dataset.transform.e))
        return [factor * pixel for factor in dataset.overviews(1)] if dataset.count else []


def advise(headers: Sequence[Header], stacklevel: int) -> None:
    """Warn about files that are stored in very large blocks.

    Parameters
    ----------
    headers : sequence of Header
        The files.
    stacklevel : int
        Stack level, as `warnings.warn` would count it in this function.
    """
    large = [header for header in headers if math.prod(header.block) >= LARGE_BLOCK]
    if not large:
        return
    (rows, columns), path = large[0].block, large[0].path
    bytes_of_block = rows * columns * np.dtype(large[0].pixels.stored).itemsize
    others = f" and {len(large) - 1} more files are" if len(large) > 1 else " is"
    warnings.warn(
        f"{path!r}{others} stored in blocks of {rows} x {columns} pixels. A block is decoded whole, in "
        f"{bytes_of_block / 1e9:.2g} GB, whatever part of it is wanted, and each thread decodes one. Store pixels in "
        f"tiles instead: xcrater convert {shlex.quote(path)} tiled.tif",
        BlocksWarning,
        stacklevel=stacklevel + 1,
    )
