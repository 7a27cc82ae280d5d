"""Raster files: how they store their values, and their pixels, read window by window when they are asked for."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from threading import Lock
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import rasterio
import rasterio.env
import rasterio.vrt
import xarray as xr
from numpy.typing import NDArray
from rasterio.enums import MaskFlags
from rasterio.errors import RasterioIOError
from rasterio.windows import Window
from xarray.backends.common import BackendArray
from xarray.core import indexing

from xcrater.errors import GridError, ReadError
from xcrater.raster.pds4 import special_constants
from xcrater.raster.quiet import quietly
from xcrater.raster.remote import patiently
from xcrater.raster.sources import local_file

CACHE_BYTES = (2**22, 2**26)
"""The least and the most bytes of decoded blocks that GDAL is to keep while it reads whole blocks."""

HEADER_BYTES = 4096
"""Bytes at the start of a file that tell it from another of the same size and time."""


@dataclass(frozen=True)
class Packing:
    """How the bands of a file store values: ``value = stored * scale + offset``, and which pixels hold none.

    Parameters
    ----------
    nodata : tuple of float or None
        Stored number of each band that stands for no value.
    scales, offsets : tuple of float
        Of each band.
    hidden : bool
        Whether GDAL hides pixels for another reason than one nodata number: a mask band, an alpha band, the special
        constants of ISIS and PDS4, or numbers that only together mean no value.
    special : tuple of float
        All stored numbers that stand for a missing value, if GDAL does not know them itself; else empty.
    """

    nodata: tuple[float | None, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    hidden: bool
    special: tuple[float, ...] = ()

    @classmethod
    def of(cls, dataset: Any) -> Packing:
        """Read it from an open dataset of rasterio."""
        flags = [set(band) for band in dataset.mask_flag_enums]
        simple = all(band in ({MaskFlags.all_valid}, {MaskFlags.nodata}) for band in flags)
        # A declared number can be all_valid as well, where the band's data type cannot hold it.
        special = special_constants(dataset)
        hidden = bool(special) or not simple
        return cls(dataset.nodatavals, tuple(dataset.scales), tuple(dataset.offsets), hidden, special)

    @property
    def scaled(self) -> bool:
        """Whether values of some band differ from its stored numbers."""
        return any(scale != 1 for scale in self.scales) or any(offset != 0 for offset in self.offsets)

    @property
    def alike(self) -> bool:
        """Whether one nodata number, scale and offset hold for all bands, and nothing else hides pixels."""
        nodata = {None if n is None else np.float64(n).tobytes() for n in self.nodata}  # NaN equals NaN here
        return not self.hidden and len(nodata) == len(set(self.scales)) == len(set(self.offsets)) == 1

    def dtype(self, stored: np.dtype[Any]) -> np.dtype[Any]:
        """Data type of values: that of the stored numbers where it can say NaN, or a float that holds each exactly."""
        if stored.kind not in "biuf" or (stored.kind == "f" and not self.scaled):
            return stored
        halves = all(np.frexp(scale)[0] in (0.5, -0.5) for scale in self.scales) and not any(self.offsets)
        return np.dtype("f4" if stored.kind != "f" and stored.itemsize <= 2 and halves else "f8")


Dataset: TypeAlias = rasterio.io.DatasetReader | rasterio.io.DatasetWriter | rasterio.vrt.WarpedVRT
"""Open datasets of rasterio that pixels can be read from."""


@contextmanager
def opened(path: str, level: int | None = None) -> Iterator[Any]:
    """Open a file with rasterio, or an overview of it; one that is no raster raises GridError."""
    try:
        with quietly:
            dataset = rasterio.open(path, **({} if level is None else {"overview_level": level}))
    except RasterioIOError as err:
        raise GridError(f"cannot read {path!r} as a raster: {err}") from err
    with dataset:
        yield dataset


def fingerprint(path: str) -> tuple[int, int, str] | None:
    """Size in bytes, time of change in nanoseconds and hash of the header of a local file; None for other sources.

    Of a file in an archive, those of the archive.
    """
    local = local_file(path)
    if local is None:
        return None
    try:
        with open(local, "rb") as file:
            facts = os.stat(file.fileno())
            header = hashlib.blake2b(file.read(HEADER_BYTES), digest_size=8).hexdigest()
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns, header


@dataclass(frozen=True)
class FilePixels(BackendArray):
    """The pixels of a raster file, shape (bands, rows, columns), in the form that xarray reads lazily.

    Parameters
    ----------
    path : str
        What GDAL opens.
    mark : tuple or None
        Fingerprint of the file when it was opened.
    lengths : tuple of int
        Numbers of bands, rows and columns.
    stored : str
        Data type of the stored numbers.
    packing : Packing or None
        How stored numbers become values, NaN where there is none; None for the stored numbers themselves.
    level : int or None
        Which overview of the file is read, counted from 0 for the finest; None for the full resolution.
    server : tuple of str
        What the server told of a remote file when it was opened.
    """

    path: str
    mark: tuple[int, int, str] | None
    lengths: tuple[int, int, int]
    stored: str
    packing: Packing | None
    level: int | None = None
    server: tuple[str, ...] = ()

    def decoded(self, decode: bool = True) -> FilePixels:
        """The same with or without decoding; without, if decoding would change nothing but lose an integer's type."""
        packing, floats = self.packing, np.dtype(self.stored).kind == "f"
        if not decode or packing is None:
            return replace(self, packing=None)
        missing = packing.nodata[0] is not None and not np.isnan(packing.nodata[0])
        return self if packing.scaled or not packing.alike or (floats and missing) else replace(self, packing=None)

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        """The dataset to read from."""
        with opened(self.path, self.level) as dataset:
            yield dataset

    @property
    def shape(self) -> tuple[int, int, int]:
        """Bands, rows, columns."""
        return self.lengths

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Data type of what is read."""
        stored = np.dtype(self.stored)
        return stored if self.packing is None else self.packing.dtype(stored)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._slice)

    def _slice(self, key: tuple[int | slice, ...]) -> NDArray[Any]:
        """Pixels at positions and slices of any step: the window around them is read, and cut."""
        bounds: list[tuple[int, int]] = []
        cut: list[int | slice] = []
        for part, length in zip(key, self.shape, strict=True):
            steps = range(length)[part] if isinstance(part, slice) else range(part, part + 1)
            bounds.append((min(steps, default=0), max(steps, default=-1) + 1))
            cut.append(slice(None, None, steps.step) if isinstance(part, slice) else 0)
        if any(first == last for first, last in bounds):
            return np.empty([last - first for first, last in bounds], self.dtype)[tuple(cut)]
        return self.read(*bounds)[tuple(cut)]

    def read(self, bands: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]) -> NDArray[Any]:
        """Read a window of some consecutive bands, each given by first and past the last, counting from 0.

        Raises
        ------
        ReadError
            The file cannot be read there, or is no longer the one that was opened.
        """
        where = f"rows {rows[0]} to {rows[1]}, columns {columns[0]} to {columns[1]}"
        which = ", ".join(str(band + 1) for band in range(*bands))
        if self.mark is not None and fingerprint(self.path) != self.mark:
            raise ReadError.at(
                self.path,
                (*rows, *columns),
                f"cannot read {where} of {self.path!r}: the file has been changed, replaced or removed since it was "
                "opened. Open it again: da = xcrater.open_mosaic(...)",
            )
        cause, stored = "", None
        try:
            stored = patiently(self.path, lambda: self._stored(bands, rows, columns))
        except (rasterio.errors.RasterioError, GridError) as err:
            cause = str(err.__cause__ or err)
        if stored is None:  # Outside of the handler: GDAL's exceptions cannot travel between processes.
            raise ReadError.at(
                self.path,
                (*rows, *columns),
                f"cannot read {where} of band {which} of {self.path!r}: {cause}. Expected a whole, readable file: "
                "check it with `gdalinfo -checksum`, or copy it again",
            )
        return stored if self.packing is None else self._values(stored, slice(*bands))

    def _stored(self, bands: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]) -> Any:
        """Stored numbers, masked if they are to be decoded."""
        window = Window.from_slices(rows, columns)
        numbers = [band + 1 for band in range(*bands)]
        with self._opened() as dataset:
            if (dataset.count, *dataset.shape) != self.lengths:
                raise GridError(f"it has {dataset.shape} pixels by now, and had {self.lengths[1:]} when it was opened")
            limit_cache(dataset, rows, columns)
            if self.packing is None:
                return dataset.read(numbers, window=window, out_dtype=self.dtype)
            if not self.packing.special:
                return dataset.read(numbers, window=window, masked=True)
            stored = dataset.read(numbers, window=window)
            return np.ma.MaskedArray(stored, np.isin(stored, np.array(self.packing.special, stored.dtype)))

    def _values(self, stored: np.ma.MaskedArray[Any, Any], bands: slice) -> NDArray[Any]:
        """Values of stored numbers of some bands, NaN where there is none."""
        packing = self.packing
        assert packing is not None
        values = stored.data.astype(self.dtype)
        if packing.scaled:
            values *= np.array(packing.scales[bands]).reshape(-1, 1, 1).astype(self.dtype)
            values += np.array(packing.offsets[bands]).reshape(-1, 1, 1).astype(self.dtype)
        if self.dtype.kind in "fc":
            values[np.ma.getmaskarray(stored)] = np.nan
        return values


@dataclass(frozen=True)
class DatasetPixels(FilePixels):
    """The pixels of an open dataset that no path leads to: a warped view, an overview, or one that is being written.

    Parameters
    ----------
    dataset : rasterio dataset
        It has to stay open until the pixels are read. One thread reads at a time.
    """

    dataset: Any = None
    lock: Any = field(default_factory=Lock, compare=False)

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        with self.lock:
            if self.dataset.closed:
                raise GridError("the dataset has been closed; compute before it is")
            yield self.dataset


def limit_cache(dataset: Any, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    """Have GDAL keep few decoded blocks if a window of whole blocks is read: none of them is wanted twice.

    GDAL uses the memory of a block that it drops for the next one. A worker of dask.distributed, whose allocator gives
    memory back as soon as it is free, would get that memory from the system anew for each block, which takes as long
    as a fifth of the decoding.
    """
    if "GDAL_CACHEMAX" in os.environ:
        return
    sides = zip((rows, columns), dataset.block_shapes[0], dataset.shape, strict=True)
    if any(start % side or (stop % side and stop != length) for (start, stop), side, length in sides):
        return
    # All bands of a block are decoded together where pixels are interleaved, and every thread works on a block.
    block = dataset.count * math.prod(dataset.block_shapes[0]) * np.dtype(dataset.dtypes[0]).itemsize
    least, most = CACHE_BYTES
    wanted = min(max(least, 2 * (os.cpu_count() or 1) * block), most)
    with _cache_lock:
        kept = rasterio.env.get_gdal_config("GDAL_CACHEMAX")
        if kept > most or (kept == _cache_set[0] and wanted > kept):
            rasterio.env.set_gdal_config("GDAL_CACHEMAX", wanted)
            _cache_set[0] = wanted


_cache_lock = Lock()
_cache_set = [0]  # bytes that GDAL was last told to keep


def is_what_its_name_says(dataset: Any) -> bool:
    """Whether opening the file of a dataset again by its name gives the same pixels."""
    if dataset.mode != "r" or isinstance(dataset, rasterio.vrt.WarpedVRT):
        return False
    try:
        with opened(dataset.name) as again:
            return (again.shape, again.count, again.transform) == (dataset.shape, dataset.count, dataset.transform)
    except GridError:
        return False


class AsRead(NamedTuple):
    """What is known of the file that an array was read from.

    Parameters
    ----------
    packing : Packing
        How its bands store values.
    shape : tuple of int
        Its rows and columns.
    """

    packing: Packing
    shape: tuple[int, int]


def read_from(da: xr.DataArray) -> AsRead | None:
    """The file that rioxarray read an array from; None for arrays that were computed, or are from elsewhere."""
    source = da.encoding.get("source")
    if not isinstance(source, str) or "rasterio_dtype" not in da.encoding:
        return None
    return _read_from(source, fingerprint(source))


@lru_cache(maxsize=256)
def _read_from(path: str, mark: tuple[int, int, str] | None) -> AsRead | None:
    try:
        with opened(path) as dataset:
            return AsRead(Packing.of(dataset), dataset.shape)
    except GridError:
        return None  # a dataset in memory that is closed by now, for example
