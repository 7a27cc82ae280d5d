"""Many raster files as one: their headers are checked against each other, and their pixels are read on one grid."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyproj
from numpy.typing import NDArray
from rasterio import Affine
from rasterio.crs import CRS

from xcrater.errors import GridError, MissingFilesWarning, ReadError
from xcrater.geometry.projection import classify
from xcrater.raster.files import FilePixels, Packing
from xcrater.raster.headers import Header, advise, read_header
from xcrater.raster.remote import is_absent
from xcrater.raster.sources import Sources, local_file
from xcrater.raster.values import missing, representable

ALIGNED = 0.05
"""Fraction of a pixel by which a file may lie off the grid of the others."""

OPENERS = 8
"""Number of files that are opened at a time."""


class Placed(NamedTuple):
    """A file and its place on the grid of a mosaic.

    Parameters
    ----------
    top, left : int
        Row and column of the file's first pixel.
    pixels : FilePixels
        Pixels of the file.
    block : tuple of int
        Rows and columns of one block of the file.
    """

    top: int
    left: int
    pixels: FilePixels
    block: tuple[int, int]

    @property
    def bottom(self) -> int:
        """The row past the file's last row."""
        return self.top + self.pixels.lengths[1]

    @property
    def right(self) -> int:
        """The column past the file's last column."""
        return self.left + self.pixels.lengths[2]

    def holds(self, rows: tuple[int, int], columns: tuple[int, int]) -> bool:
        """Whether the file contains all pixels of a window of the mosaic."""
        return self.top <= rows[0] and rows[1] <= self.bottom and self.left <= columns[0] and columns[1] <= self.right


@dataclass(frozen=True)
class MosaicPixels(FilePixels):
    """The pixels of many files on one grid.

    Parameters
    ----------
    files : tuple of Placed
        The files. If several have a value for one pixel, that of the last of them is used.
    fill : float or None
        Stored number for pixels without a value in any file; None if every pixel has one, or if no number can stand for
        a missing value.

    Notes
    -----
    `path` is the name of the mosaic, and `packing` that of all files. If the files differ, or if some pixels have no
    value but no number of the files' data type stands for that, `packing` is one that masks pixels.
    """

    files: tuple[Placed, ...] = ()
    fill: float | None = None

    def decoded(self, decode: bool = True) -> MosaicPixels:
        """The same pixels with or without decoding, for all files."""
        if super().decoded(decode).packing is not None:
            return self
        raw = tuple(file._replace(pixels=replace(file.pixels, packing=None)) for file in self.files)
        return replace(self, packing=None, files=raw)

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the pixels as read."""
        return np.result_type(*{file.pixels.dtype for file in self.files})

    @cached_property
    def _edges(self) -> NDArray[np.int64]:
        """First row, row past the last, first column and column past the last of each file, shape (4, files)."""
        return np.array([(f.top, f.bottom, f.left, f.right) for f in self.files], dtype=np.int64).T

    def chunks(self, step: tuple[int, int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Rows and columns of chunks of about a given shape that begin where files begin."""
        top, bottom, left, right = self._edges
        return _cut(np.union1d(top, bottom).tolist(), step[0]), _cut(np.union1d(left, right).tolist(), step[1])

    def read(self, bands: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]) -> NDArray[Any]:
        """Read a window of some consecutive bands from the files that it meets.

        Raises
        ------
        ReadError
            One of these files cannot be read in that window, or has changed since it was opened.
        """
        top, bottom, left, right = self._edges
        met = np.flatnonzero((top < rows[1]) & (bottom > rows[0]) & (left < columns[1]) & (right > columns[0]))
        files = [self.files[n] for n in met.tolist()]
        if len(files) == 1 and files[0].holds(rows, columns):
            return np.asarray(self._part(files[0], bands, rows, columns), self.dtype)
        shape = (bands[1] - bands[0], rows[1] - rows[0], columns[1] - columns[0])
        fill = self.fill if self.packing is None else float("nan")
        out = np.full(shape, 0 if fill is None else fill, self.dtype)
        empty = np.ones(shape, bool) if _overlap(self._edges[:, met]) else None
        for file in reversed(files):
            first, last = max(rows[0], file.top), min(rows[1], file.bottom)
            west, east = max(columns[0], file.left), min(columns[1], file.right)
            part = self._part(file, bands, (first, last), (west, east))
            where = np.s_[:, first - rows[0] : last - rows[0], west - columns[0] : east - columns[0]]
            if empty is None:
                out[where] = part
                continue
            take = empty[where] & ~missing(part, fill)
            np.copyto(out[where], part, where=take)
            empty[where] &= ~take
            if not empty.any():
                break
        return out

    def _part(
        self, file: Placed, bands: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]
    ) -> NDArray[Any]:
        """Read a window of one file, given in rows and columns of the mosaic."""
        own_rows = (rows[0] - file.top, rows[1] - file.top)
        own_columns = (columns[0] - file.left, columns[1] - file.left)
        try:
            return file.pixels.read(bands, own_rows, own_columns)
        except ReadError as err:
            text = str(err)
        raise ReadError.at(file.pixels.path, (*rows, *columns), text, raster=self.path)


def _overlap(edges: NDArray[np.int64]) -> bool:
    """Whether any two files overlap, from the rows and columns of their edges."""
    top, bottom, left, right = edges
    down = (top < bottom[:, None]) & (bottom > top[:, None])
    across = (left < right[:, None]) & (right > left[:, None])
    return int((down & across).sum()) > len(top)


def join(sources: Sources, level: int | None, stacklevel: int) -> Header:
    """Open files, check them against each other, and place them on one grid.

    Parameters
    ----------
    sources : Sources
        The files.
    level : int or None
        Overview of the files to read, counted from 0 for the finest; None for the full resolution.
    stacklevel : int
        Stack level of warnings, as `warnings.warn` would count it in this function.

    Returns
    -------
    Header
        Header of the mosaic; its pixels are `MosaicPixels`, and its block is that of the first file.

    Raises
    ------
    FileNotFoundError
        None of the files exists.
    GridError
        A file cannot be read as a raster, or does not fit the others.
    """
    with ThreadPoolExecutor(OPENERS) as pool:
        found = list(pool.map(partial(_header, level=level), sources.paths))
    headers = [header for header in found if header is not None]
    absent = [path for path, header in zip(sources.paths, found, strict=True) if header is None]
    if not headers:
        others = "" if len(absent) == 1 else f", nor any of the {len(absent) - 1} others"
        raise FileNotFoundError(f"there is no raster file {absent[0]!r}{others}")
    if absent:
        warnings.warn(
            f"{len(absent)} of the {len(found)} files of {sources.name!r} do not exist, such as {absent[0]!r}; pixels "
            "that no other file has are missing ones",
            MissingFilesWarning,
            stacklevel=stacklevel + 1,
        )
    advise(headers, stacklevel + 1)
    first = headers[0]
    same_crs = {first.crs}
    for header in headers[1:]:
        _check_alike(first, header, same_crs)
    rows, columns = _places(headers)
    files = tuple(
        Placed(row, column, header.pixels, header.block)
        for header, row, column in zip(headers, rows, columns, strict=True)
    )
    a, b, c, d, e, f = first.transform
    transform = (a, b, c - a * columns[0], d, e, f - e * rows[0])
    height, width = max(file.bottom for file in files), max(file.right for file in files)
    _refuse_two_turns(headers, columns, width, transform)
    packing, fill = _common_packing(headers, gaps=_has_gaps(files, (height, width)))
    lengths = (first.pixels.lengths[0], height, width)
    pixels = MosaicPixels(sources.name, None, lengths, first.pixels.stored, packing, files=files, fill=fill)
    return first._replace(pixels=pixels, transform=transform)


def _header(path: str, level: int | None) -> Header | None:
    """Read the header of a file; None if there is no such file."""
    local = local_file(path)
    if local is not None and not os.path.exists(local):
        return None
    try:
        return read_header(path, level)
    except GridError as err:
        if is_absent(err):
            return None
        raise


def _check_alike(first: Header, other: Header, same_crs: set[str]) -> None:
    """Refuse a file that cannot form one raster with the first; WKT of an equal CRS is added to `same_crs`."""
    if other.crs not in same_crs:
        if not (first.crs and other.crs and CRS.from_wkt(first.crs) == CRS.from_wkt(other.crs)):
            raise GridError(
                f"the CRS of {other.path!r} is {_name(other.crs)}, that of {first.path!r} is {_name(first.crs)}; "
                "expected one CRS for all files. Open the files apart, or bring the pixels over: da = "
                f"rioxarray.open_rasterio({other.path!r}); da.rio.reproject(rioxarray.open_rasterio({first.path!r})"
                '.rio.crs).rio.to_raster("reprojected.tif")'
            )
        same_crs.add(other.crs)
    one, more = sorted((first, other), key=lambda header: len(header.dtypes))
    if len(one.dtypes) != len(more.dtypes):
        raise GridError(
            f"{more.path!r} has {len(more.dtypes)} bands, {one.path!r} has {len(one.dtypes)}; expected as many in all "
            f"files. Take some of them: da = rioxarray.open_rasterio({more.path!r}); "
            f'da[:{len(one.dtypes)}].rio.to_raster("bands.tif")'
        )
    if other.dtypes != first.dtypes:
        wide = str(np.result_type(*first.dtypes, *other.dtypes))
        narrow = other if {*other.dtypes} != {wide} else first
        raise GridError(
            f"the bands of {other.path!r} are {', '.join(other.dtypes)}, those of {first.path!r} are "
            f"{', '.join(first.dtypes)}; expected the same data types in all files. Convert one: da = "
            f'rioxarray.open_rasterio({narrow.path!r}); da.astype({wide!r}).rio.to_raster("converted.tif")'
        )


def _name(wkt: str) -> str:
    return repr(pyproj.CRS.from_wkt(wkt).name) if wkt else "not declared"


def _places(headers: Sequence[Header]) -> tuple[list[int], list[int]]:
    """Row and column of each file's first pixel.

    Raises
    ------
    GridError
        A file has no geotransform, is rotated, or its pixels are not on the grid of the others.
    """
    transforms = np.array([header.transform for header in headers])
    a, _, c, _, e, f = transforms[0]
    identity = (transforms == tuple(Affine.identity())[:6]).all(axis=1)
    for wrong in np.flatnonzero(identity | (transforms[:, (1, 3)] != 0).any(axis=1))[:1].tolist():
        path = headers[wrong].path
        if identity[wrong]:
            what = "not declared"
            advice = f"Say it: with rasterio.open({path!r}, 'r+') as file: file.transform = rasterio.Affine(...)"
        else:
            what = "rotated"
            advice = f"Resample it north-up first: da = rioxarray.open_rasterio({path!r}); "
            advice += 'da.rio.reproject(da.rio.crs).rio.to_raster("north_up.tif")'
        raise GridError(
            f"the geotransform of {path!r} is {what}; expected files with the rows and columns of one grid. {advice}"
        )
    placed, strays = [], []
    for which, origin, step, position, axis in ((4, f, e, 5, 1), (0, c, a, 2, 2)):
        sizes = np.array([header.pixels.lengths[axis] for header in headers])
        off = (transforms[:, position] - origin) / step
        nearest = np.round(off)
        strays.append(np.maximum(np.abs(off - nearest), np.abs(transforms[:, which] / step - 1) * sizes))
        placed.append(nearest.astype(int))
    stray = np.maximum(*strays)
    if stray.max() > ALIGNED:
        raise GridError(_off_grid(headers[0], headers[int(stray.argmax())], float(stray.max())))
    rows, columns = ((each - each.min()).tolist() for each in placed)
    return rows, columns


def _off_grid(first: Header, other: Header, stray: float) -> str:
    """The message about a file whose pixels are not on the grid of the first."""
    (a, b, c, d, e, f), (own_a, _, own_c, _, own_e, own_f) = first.transform, other.transform
    _, height, width = other.pixels.lengths
    aligned = (a, b, c + a * round((own_c - c) / a), d, e, f + e * round((own_f - f) / e))
    shape = (max(1, round(height * abs(own_e / e))), max(1, round(width * abs(own_a / a))))
    return (
        f"the pixels of {other.path!r}, {own_a:.12g} x {own_e:.12g} in size, are up to {stray:.2f} pixels off the grid "
        f"of {first.path!r}, {a:.12g} x {e:.12g}; expected files that share one grid. Resample it: da = "
        f"rioxarray.open_rasterio({other.path!r}); da.rio.reproject(da.rio.crs, transform=rasterio.Affine{aligned}, "
        f'shape={shape}).rio.to_raster("resampled.tif")'
    )


def _refuse_two_turns(headers: Sequence[Header], columns: Sequence[int], width: int, transform: Any) -> None:
    """Refuse files in two conventions of longitude, because columns past one turn would be ignored."""
    try:
        linear = classify(pyproj.CRS.from_wkt(headers[0].crs)).linear if headers[0].crs else None
    except GridError:
        return  # `read_raster` refuses this with advice
    if linear is None:
        return
    turn = 360.0 / abs(linear.lon_per_x)
    if width <= turn / abs(transform[0]) + 0.5:
        return
    last = headers[int(np.argmax(columns))]
    a, b, c, d, e, f = last.transform
    moved = (a, b, float(c - np.copysign(turn, a)), d, e, f)
    raise GridError(
        f"the files span {width * abs(transform[0]) / turn * 360:.6g}° of longitude; expected at most one turn. Move "
        f"those at one end by a turn: with rasterio.open({last.path!r}, 'r+') as file: file.transform = "
        f"rasterio.Affine{moved}"
    )


def _has_gaps(files: Sequence[Placed], shape: tuple[int, int]) -> bool:
    """Whether some pixels are in no file."""
    columns = sorted({edge for file in files for edge in (file.left, file.right)})
    where = {edge: n for n, edge in enumerate(columns)}
    changes: dict[int, list[tuple[slice, int]]] = {0: [], shape[0]: []}
    for file in files:
        across = slice(where[file.left], where[file.right])
        changes.setdefault(file.top, []).append((across, 1))
        changes.setdefault(file.bottom, []).append((across, -1))
    covered = np.zeros(len(columns) - 1, dtype=np.int32)
    for row in sorted(changes)[:-1]:
        for across, change in changes[row]:
            covered[across] += change
        if not covered.all():
            return True
    return False


def _common_packing(headers: Sequence[Header], *, gaps: bool) -> tuple[Packing, float | None]:
    """Packing of all files, and the stored number for pixels that are in no file."""
    first = headers[0].pixels
    packing, stored = first.packing, np.dtype(first.stored)
    assert packing is not None
    same = len({repr(header.pixels.packing) for header in headers}) == 1  # compared as text, in which NaN equals NaN
    fill = packing.nodata[0]
    if fill is None or not (np.isnan(fill) or representable(fill, stored)):
        fill = float("nan") if stored.kind == "f" else None
    hidden = packing.hidden or not same or (gaps and fill is None)
    return replace(packing, hidden=hidden), fill


def _cut(edges: Sequence[int], step: int) -> tuple[int, ...]:
    """Lengths of chunks of about a step between the edges of files, skipping edges that are closer than that."""
    kept = [edges[0]]
    for edge in edges[1:-1]:
        if edge - kept[-1] >= 3 * step // 4 and edges[-1] - edge >= step // 4:
            kept.append(edge)
    cuts = []
    for start, stop in pairwise([*kept, edges[-1]]):
        cuts += list(range(start, max(start + 1, stop - step // 4), step))
    return tuple(np.diff([*cuts, edges[-1]]).tolist())
