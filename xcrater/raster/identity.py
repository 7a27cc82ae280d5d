"""What tells the files of a raster from others, and from what they were when a run began."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import xarray as xr

from xcrater.errors import ReadError
from xcrater.raster.files import FilePixels, fingerprint
from xcrater.raster.mosaic import files_of
from xcrater.raster.remote import told_by_server

AT_ONCE = 16
"""Servers or files that are asked at once."""

FileIdentity = list[str | int | None]
"""Path of a file; its size, time of change and hash of the header, or what a server tells of it."""


def identity(da: xr.DataArray) -> list[FileIdentity]:
    """What tells each file of a raster from others, as it was when the raster was opened.

    Parameters
    ----------
    da : xarray.DataArray
        As `xcrater.open_mosaic` opened it; of other arrays no file is known.

    Returns
    -------
    list of FileIdentity
        One for each file. Of servers that tell nothing, the path alone is known.
    """
    found = files_of(da)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(lambda file: [file.path, *(file.mark or file.server)], found))


def check_unchanged(rasters: Iterable[xr.DataArray], known: Iterable[list[FileIdentity]]) -> None:
    """Make sure that files are what they were.

    Parameters
    ----------
    rasters : iterable of xarray.DataArray
        The rasters.
    known : iterable of list of FileIdentity
        What `identity` said of each.

    Raises
    ------
    ReadError
        One of their files has been changed, replaced or removed.
    """
    for da, before in zip(rasters, known, strict=True):
        files = files_of(da)
        with ThreadPoolExecutor(AT_ONCE) as threads:
            now = list(threads.map(lambda file: [file.path, *_now(file)], files))
        for file, one, other in zip(files, before, now, strict=True):
            if one != other:
                raise ReadError.at(
                    file.path,
                    (0, file.shape[1], 0, file.shape[2]),
                    f"the file {file.path!r} has been changed, replaced or removed since the run began, which has no "
                    "result therefore; start it again in another --work-dir",
                )


def _now(file: FilePixels) -> Sequence[str | int | None]:
    return told_by_server(file.path, anew=True) if file.mark is None else fingerprint(file.path) or ()
