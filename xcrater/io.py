"""Opening rasters lazily."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, cast

import rasterio
import rioxarray
import xarray as xr

from xcrater.errors import GridError

TARGET_PIXELS = 2**24
"""Pixels in a chunk that ``chunks="auto"`` aims at."""


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
    return da.squeeze("band", drop=True) if da.sizes["band"] == 1 else da


def _auto_chunks(shape: tuple[int, int], block: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of a chunk: whole blocks, about TARGET_PIXELS."""
    height, width = shape
    side = int(TARGET_PIXELS**0.5)
    cols = width if block[1] >= width else min(width, max(1, side // block[1]) * block[1])
    rows = max(1, TARGET_PIXELS // cols // block[0]) * block[0]
    return min(height, rows), cols
