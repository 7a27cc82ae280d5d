"""Lazy opening of rasters."""

from __future__ import annotations

import glob
import hashlib
import os
import shlex
import uuid
import warnings
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, cast
from weakref import WeakValueDictionary

import numpy as np
import rasterio
import rioxarray
import xarray as xr
from numpy.typing import NDArray
from rasterio import Affine
from rasterio.crs import CRS
from xarray.core import indexing

from xcrater.errors import BlocksWarning, GridError
from xcrater.geometry.bodies import get_body
from xcrater.raster import zarr_files
from xcrater.raster.files import Dataset, DatasetPixels, FilePixels, is_what_its_name_says
from xcrater.raster.headers import Header, advise, choose_level, header_of, packing_as_opened, read_header
from xcrater.raster.many_files import MosaicPixels, join
from xcrater.raster.remote import patiently
from xcrater.raster.sources import Sources, absolute, is_plain, sources_of

TARGET_PIXELS = 2**24
"""Number of pixels in a chunk at which ``chunks="auto"`` aims."""

SMALL = 2**24
"""Number of pixels up to which a file is decoded so fast that `check_chunks` does not warn."""

WASTE = 1.25
"""Number of times that the pixels of a file may be decoded before `check_chunks` warns."""


STORED = ("_FillValue", "missing_value", "scale_factor", "add_offset", "scales", "offsets")
"""Attributes of stored numbers that decoded values carry as encoding instead."""


def open_mosaic(
    paths: str | os.PathLike[str] | Dataset | Iterable[str | os.PathLike[str]],
    chunks: str | int | dict[str, int] | None = "auto",
    *,
    decode: bool = True,
    body: str | None = None,
    overview_level: int | None = None,
    resolution: float | None = None,
) -> xr.DataArray:
    """Open a raster file, or many files of one map, as a lazy DataArray of values with chunks aligned to blocks.

    Parameters
    ----------
    paths : path, rasterio dataset, or iterable of paths
        Anything that GDAL reads, or many files of one CRS and one grid of pixels, whose order matters only where they
        overlap (see the notes): a list of paths; a pattern such as ``"ctx/*.tif"`` or ``"/vsizip/ctx/*.zip/*.tif"``, in
        the order of names; or an index, which is a text file (``.txt``, ``.lst``) with one path per line, or a table of
        footprints with the column ``location``, as ``gdaltindex`` writes it (GeoPackage, shapefile, GeoJSON, …, with or
        without the prefix ``GTI:``). An open dataset is read as it was opened, be it an overview, a warped view or one
        in memory; if it cannot be opened again by a path, it must stay open until the pixels are read.
    chunks : "auto", int, dict or None
        Chunks in pixels. "auto" takes whole blocks of the file, about 16 million pixels per chunk: bands of full width
        if the file has strips. Chunks of many files begin where files begin. None reads the raster into memory when its
        pixels are first needed.
    decode : bool
        Whether to return values. False returns the stored numbers as they are in the file, with nodata, scale and
        offset as attributes, as rioxarray does.
    body : str, optional
        Name of the body that the raster shows, needed if its CRS has a sphere other than the IAU's for that body, as
        mosaics of Vesta on 289 km have. Metres, including those of crater radii, are then converted to angles on the
        raster's sphere. The name is stored as the attribute ``body``, which may also be set on other DataArrays.
    overview_level : int, optional
        Overview of the files to read for a coarse pass, counted from 0 for the finest.
    resolution : float, optional
        Largest acceptable size of a pixel, in units of the CRS: the coarsest overview whose pixels are not larger is
        read, or the full resolution if there is none.

    Returns
    -------
    xarray.DataArray
        Dimensions (y, x), or (band, y, x) if there are several bands. If the file holds floats or declares a scale or
        an offset, values are floats with NaN where they are missing: float32 if that holds every value exactly, else
        float64. The same applies to a file that masks pixels by more than a single nodata number: by a mask or an alpha
        band, by nodata that differs from band to band, by the special pixels of ISIS cubes or the special constants of
        PDS4; the missing pixels are those of ``rasterio.open(...).read(masked=True)``. Integers that need none of this
        keep their data type, with nodata as the attribute ``_FillValue``.

    Raises
    ------
    FileNotFoundError
        The file does not exist, or none of many files does.
    GridError
        GDAL cannot read the file. Among many files, one has another CRS, another data type, or is not on the grid of
        the others; or stored numbers are requested although files differ in nodata, scale or offset, or although there
        is no nodata number for a pixel that is in no file.
    BodyError
        The body is unknown.
    ReadError
        Raised when pixels are read, if they are damaged or the file has changed since it was opened.

    Warns
    -----
    MissingFilesWarning
        Some of many files do not exist.
    BlocksWarning
        A file is stored in blocks so large that reading any part of one takes long and much memory.

    Notes
    -----
    Where files overlap, a pixel's value is that of the last file that has one, as in GDAL's virtual rasters. Pixels
    that are in no file are missing. A file that exists but cannot be read is an error that names it, never missing
    pixels. Each file is decoded by its own nodata, scale and offset. If these differ, or if integers without nodata
    leave some pixels out, values are floats with NaN where they are missing.

    Statistics of a raster that was only opened are summed from its stored numbers, which is exact and as fast as
    without a scale. Arrays computed from it (``da * 2``, ``da.where(...)``) are used with the values that they show.

    Paths may lead to other machines (``https://``, ``s3://``, ``/vsicurl/``, ``/vsizip//vsicurl/``, …). Requests that
    fail temporarily are repeated, as tuned by GDAL's own options (``GDAL_HTTP_MAX_RETRY``, ``GDAL_HTTP_RETRY_DELAY``,
    …, in the environment). Of many files, those for which the server answers 404 count as not existing.

    Chunks of whole blocks never need a block twice. In the process that reads them, which on a cluster is each worker,
    GDAL's cache of decoded blocks, by default 5 % of the memory, is therefore set to 4 to 64 MB depending on the size
    of a block, unless ``GDAL_CACHEMAX`` is set in the environment or the cache is already smaller.

    Examples
    --------
    >>> import xcrater
    >>> xcrater.open_mosaic(xcrater.sample_data["moon.tif"]).dtype
    dtype('uint8')
    """
    sources = None if isinstance(paths, Dataset) else sources_of(paths)
    if sources is not None:
        level = choose_level(sources.paths, overview_level, resolution)
        source = _many(sources, level, decode=decode)
    elif isinstance(paths, Dataset) and not is_what_its_name_says(paths):
        if overview_level is not None or resolution is not None:
            raise GridError(
                "received an open dataset that no path leads to, and an overview of it to read; expected a path. Open "
                "the overview: xcrater.open_mosaic(rasterio.open(path, overview_level=0))"
            )
        source = _unbound(paths, decode=decode)
    else:
        path = paths.name if isinstance(paths, Dataset) else _checked_path(paths)
        source = _single(path, choose_level([path], overview_level, resolution), decode=decode)
    pixels, labels = source.pixels, source.labels
    lazy: Any = indexing.LazilyIndexedArray(pixels)
    if chunks is None:
        lazy = indexing.MemoryCachedArray(indexing.CopyOnWriteArray(lazy))
    da = xr.DataArray(lazy, labels.coords, labels.dims, labels.name, labels.attrs)
    da.encoding = dict(labels.encoding)
    if pixels.packing is not None:
        da.encoding |= {name: da.attrs.pop(name) for name in STORED if name in da.attrs} | {"dtype": pixels.stored}
        if pixels.packing.special:
            da.encoding["special_constants"] = pixels.packing.special
    da = da if body is None else da.assign_attrs(body=get_body(body).name)
    da = da.squeeze("band", drop=True) if da.sizes["band"] == 1 else da
    if chunks is None:
        return da
    return _chunked(da, pixels, dict(zip(("y", "x"), source.chunks, strict=True)) if chunks == "auto" else chunks)


class _Source(NamedTuple):
    """The source of a raster: pixels, coordinates and attributes, and the rows and columns of chunks for "auto"."""

    pixels: FilePixels
    labels: xr.DataArray
    chunks: tuple[int | tuple[int, ...], int | tuple[int, ...]]


def _single(path: str, level: int | None, *, decode: bool) -> _Source:
    """Open a single raster."""
    if zarr_files.is_store(path):
        if level is not None:
            raise GridError(f"received overview_level={level}; the Zarr store {path!r} has no overviews")
        header = zarr_files.read_header(path)
        labels = _labels(header).assign_attrs(zarr_files.attributes(path))
        labels.encoding["source"] = path
        return _Source(header.pixels.decoded(decode), labels, _auto_chunks(header.pixels.lengths[1:], header.block))
    header = read_header(path, level)
    advise([header], stacklevel=3)
    if level is None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "(Scales|Offsets) differ across bands")  # we apply them band by band
            labels = cast(xr.DataArray, patiently(path, lambda: rioxarray.open_rasterio(path)))
    else:
        labels = _labels(header)
    labels.encoding["source"] = path
    return _Source(header.pixels.decoded(decode), labels, _auto_chunks(header.pixels.lengths[1:], header.block))


def _unbound(dataset: Dataset, *, decode: bool) -> _Source:
    """Take over an open dataset that cannot be opened again by a path."""
    header = header_of(dataset, dataset.name, packing_as_opened(dataset))
    facts = header.pixels
    pixels = DatasetPixels(facts.path, None, facts.lengths, facts.stored, facts.packing, dataset=dataset)
    return _Source(pixels.decoded(decode), _labels(header), _auto_chunks(dataset.shape, header.block))


def _many(sources: Sources, level: int | None, *, decode: bool) -> _Source:
    """Open many files as one raster."""
    header = join(sources, level, stacklevel=3)
    pixels = cast(MosaicPixels, header.pixels)
    if not decode and not (pixels.packing is not None and pixels.packing.alike):
        raise GridError(
            f"the files of {sources.name!r} have no nodata number that holds for all of their bands and for the pixels "
            "between them, or they differ in scale or offset; expected that to give stored numbers. Open them as "
            "values: da = xcrater.open_mosaic(paths)"
        )
    labels = _labels(header)
    labels.encoding["source"] = sources.name
    return _Source(pixels.decoded(decode), labels, pixels.chunks(_auto_chunks(pixels.lengths[1:], header.block)))


def _checked_path(path: Any) -> str:
    """Convert a path to the one that GDAL opens, after checking that a local file exists."""
    if not isinstance(path, (str, os.PathLike)):
        raise GridError(f"received an object of type {type(path).__name__}; expected the path of a raster file")
    source = os.fspath(path)
    if not is_plain(source):
        return absolute(source)
    if os.path.isdir(source) and glob.glob(os.path.join(glob.escape(source), "*.tif")):
        raise GridError(
            f"received the directory {source!r}; expected a file, or a pattern for many: "
            f"xcrater.open_mosaic({os.path.join(source, '*.tif')!r})"
        )
    if not Path(source).exists():
        raise FileNotFoundError(f"there is no raster file {source!r} (looked in {Path.cwd()})")
    return os.path.abspath(source)


def _labels(header: Header) -> xr.DataArray:
    """Coordinates and attributes as rioxarray makes them for files, without pixels."""
    bands, height, width = header.pixels.lengths
    a, _, c, _, e, f = header.transform
    coords = {
        "band": list(range(1, bands + 1)),
        "y": f + e * (np.arange(height) + 0.5),
        "x": c + a * (np.arange(width) + 0.5),
    }
    pixels = np.broadcast_to(np.zeros((), header.pixels.stored), header.pixels.lengths)
    labels = xr.DataArray(pixels, coords, ("band", "y", "x")).rio.write_transform(
        Affine(*header.transform), inplace=True
    )
    labels = labels.rio.write_crs(CRS.from_wkt(header.crs), inplace=True) if header.crs else labels
    packing = header.pixels.packing
    assert packing is not None
    labels.attrs |= {"scales": packing.scales, "offsets": packing.offsets}
    nodata = packing.nodata[0]
    return labels if nodata is None else labels.rio.write_nodata(nodata, inplace=True)


_PIXELS: WeakValueDictionary[str, FilePixels] = WeakValueDictionary()
"""The pixels that dask arrays made by `open_mosaic` read, by the arrays' names."""


def _chunked(da: xr.DataArray, pixels: FilePixels, chunks: Any) -> xr.DataArray:
    """Make a dask array of a file's lazy pixels."""
    what = "stored" if pixels.packing is None else "values"
    # The name covers everything that the pixels depend on, so that equal names mean equal pixels.
    facts = uuid.uuid4() if isinstance(pixels, DatasetPixels) else (pixels, da.dims, chunks)
    token = hashlib.blake2b(repr(facts).encode(), digest_size=16).hexdigest()
    da = da.chunk(chunks, name_prefix=f"{what}-", token=token)
    _PIXELS[da.data.name] = pixels
    return da


def describe_raster(da: xr.DataArray) -> dict[str, Any]:
    """Describe a raster by what distinguishes it from any other, in terms of JSON.

    Parameters
    ----------
    da : xarray.DataArray
        The raster.

    Returns
    -------
    dict
        ``source``, its origin; ``shape`` and ``dtype``; ``files``, the number of its files; and for a single file its
        ``bytes`` and the time in nanoseconds at which it was last ``modified``, or what the ``server`` reports about
        it. ``hash`` covers everything that the pixels depend on: each file's path, size, time of change and header, or
        what its server reports, the decoding of values, and the chunks.
    """
    about: dict[str, Any] = {
        "source": da.encoding.get("source"),
        "shape": list(da.shape),
        "dtype": str(da.dtype),
        "hash": str(da.data.name)
        if da.chunks
        else hashlib.blake2b(da.to_numpy().tobytes(), digest_size=16).hexdigest(),
    }
    pixels = _PIXELS.get(str(getattr(da.data, "name", "")))
    if isinstance(pixels, MosaicPixels):
        return about | {"files": len(pixels.files)}
    if pixels is not None and pixels.mark is not None:
        return about | {"files": 1, "bytes": pixels.mark[0], "modified": pixels.mark[1]}
    if pixels is not None and pixels.server:
        return about | {"files": 1, "server": list(pixels.server)}
    return about


def files_of(da: xr.DataArray) -> list[FilePixels]:
    """The files behind an array that `open_mosaic` opened and that is unchanged since; empty for other arrays."""
    pixels = _PIXELS.get(str(getattr(da.data, "name", "")))
    if isinstance(pixels, MosaicPixels):
        return [file.pixels for file in pixels.files]
    return [] if pixels is None else [pixels]


def stored_numbers(da: xr.DataArray) -> xr.DataArray:
    """The stored numbers behind values that `open_mosaic` returned and that are unchanged; other arrays are returned.

    Nodata, scale and offset are attributes, and apply to all bands.
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
    """Rows and columns of a chunk of whole blocks with about TARGET_PIXELS pixels."""
    height, width = shape
    side = int(TARGET_PIXELS**0.5)
    cols = width if block[1] >= width else min(width, max(1, side // block[1]) * block[1])
    rows = max(1, TARGET_PIXELS // cols // block[0]) * block[0]
    return min(height, rows), cols


def check_chunks(da: xr.DataArray, stacklevel: int) -> None:
    """Warn if blocks of files would be decoded several times, because chunks straddle them.

    This covers rasters opened by `open_mosaic`, or by rioxarray from a local file, that have not been cropped since.
    """
    pixels = _PIXELS.get(str(getattr(da.data, "name", "")))
    if isinstance(pixels, MosaicPixels):
        _check_chunks_of_many(da, pixels, stacklevel + 1)
        return
    source = da.encoding.get("source")
    if not da.chunks or not isinstance(source, str) or not os.path.exists(source) or zarr_files.is_store(source):
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
    """Average number of times that a pixel is decoded if every chunk reads its blocks separately."""
    times = 1.0
    for chunks, size, side in zip(cast(Any, da.chunks)[-2:], shape, block, strict=True):
        times *= _decoded_along(np.cumsum([0, *chunks]), 0, size, side) / size
    return times


def _decoded_along(edges: NDArray[np.integer], start: int, stop: int, side: int) -> int:
    """Number of rows or columns of a file that are decoded if every chunk reads its blocks separately.

    Parameters
    ----------
    edges : ndarray of int
        Edges of chunks, ascending.
    start, stop : int
        Edges of the file.
    side : int
        Rows or columns of a block of the file.
    """
    inside = edges[(edges > start) & (edges < stop)]
    cuts = np.concatenate([[start], inside, [stop]]) - start
    first, last = cuts[:-1] // side * side, np.minimum(-(-cuts[1:] // side) * side, stop - start)
    return int((last - first).sum())


def _check_chunks_of_many(da: xr.DataArray, pixels: MosaicPixels, stacklevel: int) -> None:
    """Warn if blocks of many files would be decoded several times."""
    sizes = [file.pixels.lengths[1] * file.pixels.lengths[2] for file in pixels.files]
    if not da.chunks or sum(sizes) <= SMALL:
        return
    down, across = (np.cumsum([0, *chunks]) for chunks in da.chunks[-2:])
    along = lru_cache(maxsize=None)(lambda axis, *file: _decoded_along((down, across)[axis], *file))
    decoded = [
        along(0, file.top, file.bottom, file.block[0]) * along(1, file.left, file.right, file.block[1])
        for file in pixels.files
    ]
    times = sum(decoded) / sum(sizes)
    if times <= WASTE:
        return
    worst = pixels.files[int(np.argmax(np.divide(decoded, sizes)))]
    was, block = (max(c) for c in da.chunks[-2:]), worst.block
    warnings.warn(
        f"received chunks of {' x '.join(map(str, was))} pixels of {pixels.path!r}, whose files have blocks of up to "
        f"{block[0]} x {block[1]}, as {worst.pixels.path!r} has: every pixel is decoded {times:.1f} times; expected "
        f"whole blocks: use xcrater.open_mosaic(...) without chunks, or store the map in tiles: xcrater convert "
        f"{shlex.quote(pixels.path)} tiled.zarr",
        BlocksWarning,
        stacklevel=stacklevel,
    )
