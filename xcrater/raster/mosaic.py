"""Opening rasters lazily."""

from __future__ import annotations

import hashlib
import os
import uuid
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from weakref import WeakValueDictionary

import numpy as np
import rasterio
import rasterio.env
import rioxarray
import xarray as xr
from xarray.core import indexing

from xcrater.errors import BlocksWarning, GridError
from xcrater.geometry.bodies import get_body
from xcrater.raster.files import Dataset, DatasetPixels, FilePixels, is_what_its_name_says, opened

TARGET_PIXELS = 2**24
"""Pixels in a chunk that ``chunks="auto"`` aims at."""

CACHE_BYTES = 2**26
"""Bytes of decoded blocks that GDAL keeps: chunks of whole blocks want none of them twice."""

SMALL = 2**24
"""Pixels up to which a file is decoded so soon that `check_chunks` says nothing."""

WASTE = 1.25
"""How many times the pixels of a file may be decoded before `check_chunks` warns."""


STORED = ("_FillValue", "missing_value", "scale_factor", "add_offset", "scales", "offsets")
"""Attributes of stored numbers that decoded values carry as encoding instead."""


def open_mosaic(
    paths: str | os.PathLike[str] | Dataset,
    chunks: str | int | dict[str, int] | None = "auto",
    *,
    decode: bool = True,
    body: str | None = None,
) -> xr.DataArray:
    """Open a raster file as a lazy DataArray of values, chunks aligned to the file's blocks.

    Parameters
    ----------
    paths : path or rasterio dataset
        Anything that GDAL reads. An open dataset is read as it was opened, be it an overview, a warped view or one in
        memory; where no path leads to it, it has to stay open until the pixels are read.
    chunks : "auto", int, dict or None
        Chunks in pixels. "auto" takes whole blocks of the file, about 16 million pixels a chunk: bands of full
        width where the file has strips. None reads the file into memory when its pixels are first asked for.
    decode : bool
        Whether to give values. False gives the stored numbers as they are in the file, with nodata, scale and offset
        as attributes, as rioxarray does.
    body : str, optional
        Name of the body that the raster shows, where its CRS has another sphere than the body's of the IAU, as mosaics
        of Vesta on 289 km have: metres, those of the craters' radii too, become angles by the raster's sphere. It is
        written to the attribute ``body``, which other DataArrays may be given as well.

    Returns
    -------
    xarray.DataArray
        Dimensions (y, x), or (band, y, x) where there are several bands. Where the file holds floats or declares a
        scale or an offset, values are floats, NaN where there is none: float32 where that holds every value exactly,
        else float64. So are those of a file that hides pixels by more than one nodata number: by a mask or an alpha
        band, by nodata that differs from band to band, by the special pixels of ISIS cubes or the special constants of
        PDS4; the measure is what ``rasterio.open(...).read(masked=True)`` hides. Integers that need none of this keep
        their data type, with nodata as the attribute ``_FillValue``.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    GridError
        GDAL cannot read it.
    BodyError
        The body is not known.
    ReadError
        When pixels are read: they are damaged, or the file is no longer the one that was opened.

    Notes
    -----
    Statistics of values that were only opened are summed from the stored numbers, which is as fast as without a scale,
    and exact. What is computed from them (``da * 2``, ``da.where(...)``) means what it shows.

    Chunks of whole blocks never want a block twice. For them, GDAL's cache of decoded blocks, which would take 5 % of
    the memory, is set to 64 MB for the process, unless ``GDAL_CACHEMAX`` is set in the environment or the cache is
    smaller already.

    Examples
    --------
    >>> import xcrater
    >>> xcrater.open_mosaic(xcrater.sample_data["moon.tif"]).dtype
    dtype('uint8')
    """
    if isinstance(paths, Dataset) and not is_what_its_name_says(paths):
        unbound = DatasetPixels.of(paths, paths.name, decode=decode)
        pixels: FilePixels = replace(cast(DatasetPixels, unbound), mark=None, dataset=paths)
        labels, shape, block = _labels(paths), paths.shape, paths.block_shapes[0]
    else:
        source = paths.name if isinstance(paths, Dataset) else _checked_path(paths)
        with opened(source) as dataset:
            if not dataset.count:
                raise GridError(
                    f"{source!r} holds several rasters; name one of its subdatasets: "
                    + ", ".join(map(repr, dataset.subdatasets))
                )
            shape, block = dataset.shape, dataset.block_shapes[0]
            pixels = FilePixels.of(dataset, source, decode=decode)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "(Scales|Offsets) differ across bands")  # They are applied band by band.
            labels = cast(xr.DataArray, rioxarray.open_rasterio(source))
    lazy: Any = indexing.LazilyIndexedArray(pixels)
    if chunks is None:
        lazy = indexing.MemoryCachedArray(indexing.CopyOnWriteArray(lazy))
    da = xr.DataArray(lazy, labels.coords, labels.dims, labels.name, labels.attrs)
    da.encoding = dict(labels.encoding)
    if pixels.packing is not None:
        da.encoding |= {name: da.attrs.pop(name) for name in STORED if name in da.attrs} | {"dtype": pixels.stored}
    da = da if body is None else da.assign_attrs(body=get_body(body).name)
    da = da.squeeze("band", drop=True) if da.sizes["band"] == 1 else da
    if chunks is None:
        return da
    if chunks == "auto":
        chunks = dict(zip(("y", "x"), _auto_chunks(shape, block), strict=True))
    da = _chunked(da, pixels, chunks)
    if _decoded_times(da, shape, block) == 1:
        _limit_cache()
    return da


def _checked_path(path: Any) -> str:
    """What GDAL is to open; a local file is looked for."""
    if not isinstance(path, (str, os.PathLike)):
        raise GridError(f"received an object of type {type(path).__name__}; expected the path of a raster file")
    source = os.fspath(path)
    if "://" in source or source.startswith("/vsi") or ":" in Path(source).parts[0]:
        return source
    if not Path(source).exists():
        raise FileNotFoundError(f"there is no raster file {source!r} (looked in {Path.cwd()})")
    return os.path.abspath(source)


def _labels(dataset: Any) -> xr.DataArray:
    """Coordinates and attributes of an open dataset, as rioxarray gives them for files; without pixels."""
    height, width = dataset.shape
    a, _, c, _, e, f = tuple(dataset.transform)[:6]
    coords = {
        "band": list(dataset.indexes),
        "y": f + e * (np.arange(height) + 0.5),
        "x": c + a * (np.arange(width) + 0.5),
    }
    pixels = np.broadcast_to(np.zeros((), dataset.dtypes[0]), (dataset.count, height, width))
    labels = xr.DataArray(pixels, coords, ("band", "y", "x")).rio.write_transform(dataset.transform)
    labels = labels if dataset.crs is None else labels.rio.write_crs(dataset.crs)
    labels.attrs |= {"scales": tuple(dataset.scales), "offsets": tuple(dataset.offsets)}
    return labels if dataset.nodata is None else labels.rio.write_nodata(dataset.nodata)


_PIXELS: WeakValueDictionary[str, FilePixels] = WeakValueDictionary()
"""What the dask arrays that `open_mosaic` made read, by their names."""


def _chunked(da: xr.DataArray, pixels: FilePixels, chunks: Any) -> xr.DataArray:
    """The lazy pixels of a file as a dask array."""
    what = "stored" if pixels.packing is None else "values"
    # The name is made of all that the pixels depend on, so that equal names mean equal pixels.
    facts = uuid.uuid4() if isinstance(pixels, DatasetPixels) else (pixels, da.dims, chunks)
    token = hashlib.blake2b(repr(facts).encode(), digest_size=16).hexdigest()
    da = da.chunk(chunks, name_prefix=f"{what}-", token=token)
    _PIXELS[da.data.name] = pixels
    return da


def stored_numbers(da: xr.DataArray) -> xr.DataArray:
    """The stored numbers behind values that `open_mosaic` gave and that nothing was done to; other arrays as they are.

    Their nodata, scale and offset are attributes, and hold for all bands.
    """
    pixels = _PIXELS.get(getattr(da.data, "name", ""))
    if pixels is None or pixels.packing is None or not pixels.packing.alike:
        return da
    packing, stored = pixels.packing, pixels.decoded(False)
    lazy = xr.Variable(("band", "y", "x"), indexing.LazilyIndexedArray(stored))
    numbers = da.copy(data=(lazy[0] if da.ndim == 2 else lazy)._data)
    numbers.attrs = {name: value for name, value in da.attrs.items() if name not in STORED}
    numbers.attrs |= {"scale_factor": packing.scales[0], "add_offset": packing.offsets[0]}
    if packing.nodata[0] is not None:
        numbers.attrs["_FillValue"] = packing.nodata[0]
    numbers.encoding = {name: value for name, value in da.encoding.items() if name not in (*STORED, "dtype")}
    return _chunked(numbers, stored, da.chunksizes)


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
