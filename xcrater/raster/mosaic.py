"""Opening rasters lazily."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, cast

import numpy as np
import rasterio
import rasterio.env
import rioxarray
import xarray as xr

from xcrater.errors import BlocksWarning, GridError

TARGET_PIXELS = 2**24
"""Pixels in a chunk that ``chunks="auto"`` aims at."""

CACHE_BYTES = 2**26
"""Bytes of decoded blocks that GDAL keeps: chunks of whole blocks want none of them twice."""

SMALL = 2**24
"""Pixels up to which a file is decoded so soon that `check_chunks` says nothing."""

WASTE = 1.25
"""How many times the pixels of a file may be decoded before `check_chunks` warns."""


def open_mosaic(
    paths: str | os.PathLike[str] | rasterio.DatasetReader, chunks: str | int | dict[str, int] | None = "auto"
) -> xr.DataArray:
    """Open a raster file as a lazy DataArray, chunks aligned to the file's blocks.

    Parameters
    ----------
    paths : path or rasterio.DatasetReader
        Anything that GDAL reads.
    chunks : "auto", int, dict or None
        Chunks in pixels. "auto" takes whole blocks of the file, about 16 million pixels a chunk: bands of full
        width where the file has strips. None reads the file into memory.

    Notes
    -----
    Chunks of whole blocks never want a block twice. For them, GDAL's cache of decoded blocks, which would take 5 % of
    the memory, is set to 64 MB for the process, unless ``GDAL_CACHEMAX`` is set in the environment or the cache is
    smaller already.

    Returns
    -------
    xarray.DataArray
        Stored numbers as they are in the file, dimensions (y, x), or (band, y, x) where there are several bands.
        Nodata, scale and offset stay in its attributes and are applied where statistics are taken. Only a
        raster whose missing pixels are told by a mask band comes as floats with NaN.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    GridError
        GDAL cannot read it.

    Examples
    --------
    >>> import xcrater
    >>> xcrater.open_mosaic(xcrater.sample_data["moon.tif"]).dtype
    dtype('uint8')
    """
    source: Any = paths
    if isinstance(paths, rasterio.DatasetReader):
        source = paths.name
    elif isinstance(paths, (str, os.PathLike)):
        source = os.fspath(paths)
        local = "://" not in source and not source.startswith("/vsi") and ":" not in Path(source).parts[0]
        if local and not Path(source).exists():
            raise FileNotFoundError(f"there is no raster file {source!r} (looked in {Path.cwd()})")
    else:
        raise GridError(f"received an object of type {type(paths).__name__}; expected the path of a raster file")
    try:
        with warnings.catch_warnings():
            # A file that only holds others has no geotransform; a raster without one is read_raster's to refuse
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            dataset = rasterio.open(source)
        with dataset:
            if not dataset.count:
                raise GridError(
                    f"{source!r} holds several rasters; name one of its subdatasets: "
                    + ", ".join(map(repr, dataset.subdatasets))
                )
            shape, block = dataset.shape, dataset.block_shapes[0]
            flags = {flag for band in dataset.mask_flag_enums for flag in band}
    except rasterio.errors.RasterioIOError as err:
        raise GridError(f"cannot read {source!r} as a raster: {err}") from err
    if chunks == "auto":
        chunks = dict(zip(("y", "x"), _auto_chunks(shape, block), strict=True))
    masked = rasterio.enums.MaskFlags.per_dataset in flags and rasterio.enums.MaskFlags.nodata not in flags
    da: Any = rioxarray.open_rasterio(source, chunks=cast(Any, chunks), lock=False, cache=chunks is None, masked=masked)
    if chunks is not None and _decoded_times(da, shape, block) == 1:
        _limit_cache()
    return da.squeeze("band", drop=True) if da.sizes["band"] == 1 else da


def _auto_chunks(shape: tuple[int, int], block: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of a chunk: whole blocks, about TARGET_PIXELS."""
    height, width = shape
    side = int(TARGET_PIXELS**0.5)
    cols = width if block[1] >= width else min(width, max(1, side // block[1]) * block[1])
    rows = max(1, TARGET_PIXELS // cols // block[0]) * block[0]
    return min(height, rows), cols


def _limit_cache() -> None:
    """Have GDAL keep no more blocks than chunks of whole blocks need."""
    if "GDAL_CACHEMAX" not in os.environ and rasterio.env.get_gdal_config("GDAL_CACHEMAX") > CACHE_BYTES:
        rasterio.env.set_gdal_config("GDAL_CACHEMAX", CACHE_BYTES)


def check_chunks(da: xr.DataArray, stacklevel: int) -> None:
    """Warn where a file's blocks would be decoded several times, as its chunks straddle them.

    For what was opened by open_mosaic or rioxarray from a local file, and not cropped since.
    """
    source = da.encoding.get("source")
    if not da.chunks or not isinstance(source, str) or not os.path.exists(source):
        return
    try:
        with warnings.catch_warnings(), rasterio.open(source) as dataset:
            shape, block = dataset.shape, dataset.block_shapes[0]
    except (rasterio.errors.RasterioError, IndexError):
        return
    if shape != da.shape[-2:] or shape[0] * shape[1] <= SMALL:
        return
    decoded = _decoded_times(da, shape, block)
    if decoded > WASTE:
        was, better = (max(c) for c in da.chunks[-2:]), _auto_chunks(shape, block)
        warnings.warn(
            f"received chunks of {' x '.join(map(str, was))} pixels of a file in blocks of {block[0]} x {block[1]}: "
            f"every pixel is decoded {decoded:.1f} times; expected whole blocks: use xcrater.open_mosaic({source!r}), "
            f"or chunks={dict(zip(da.dims[-2:], better, strict=True))}",
            BlocksWarning,
            stacklevel=stacklevel,
        )


def _decoded_times(da: xr.DataArray, shape: tuple[int, int], block: tuple[int, int]) -> float:
    """How often a pixel is decoded if every chunk reads its blocks for itself."""
    times = 1.0
    for chunks, size, side in zip(cast(Any, da.chunks)[-2:], shape, block, strict=True):
        stop = np.cumsum(chunks)
        start = stop - chunks
        pixels = np.minimum(-(-stop // side) * side, size) - start // side * side
        times *= float(pixels.sum() / size)
    return times
