"""Identity of the files of a raster, by which changes since the beginning of a run are noticed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import xarray as xr

from xcrater.errors import ReadError
from xcrater.raster.files import FilePixels, fingerprint
from xcrater.raster.mosaic import files_of
from xcrater.raster.remote import told_by_server

AT_ONCE = 16
"""Number of servers or files that are queried at a time."""

FileIdentity = list[str | int | None]
"""Path of a file, followed by its size, time of change and hash of the header, or by what a server reports about it."""


def identity(da: xr.DataArray) -> list[FileIdentity]:
    """Identity of each file of a raster at the time when the raster was opened.

    Parameters
    ----------
    da : xarray.DataArray
        The raster as `xcrater.open_mosaic` opened it; other arrays have no known files.

    Returns
    -------
    list of FileIdentity
        One for each file. If a server reports nothing, it is the path alone.
    """
    found = files_of(da)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(lambda file: [file.path, *(file.mark or file.server)], found))


def check_unchanged(rasters: Iterable[xr.DataArray], known: Iterable[list[FileIdentity]]) -> None:
    """Check that files have not changed.

    Parameters
    ----------
    rasters : iterable of xarray.DataArray
        The rasters.
    known : iterable of list of FileIdentity
        Earlier results of `identity` for each raster.

    Raises
    ------
    ReadError
        A file has been changed, replaced or removed.
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
                    f"the file {file.path!r} has been changed, replaced or removed since the run began, so there is no "
                    "result; start the run again in another --work-dir",
                )


def _now(file: FilePixels) -> Sequence[str | int | None]:
    return told_by_server(file.path, anew=True) if file.mark is None else fingerprint(file.path) or ()
