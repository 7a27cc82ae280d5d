"""The files of a mosaic, from a list, a pattern or an index."""

from __future__ import annotations

import glob
import os
import re
import zipfile
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from xcrater._optional import require
from xcrater.errors import GridError

LISTS = (".txt", ".lst")
"""Suffixes of text files with one path per line."""

INDEXES = (".gpkg", ".shp", ".geojson", ".fgb", ".parquet")
"""Suffixes of tables of footprints with a column of paths, as ``gdaltindex`` writes them."""

COLUMN = "location"
"""The column of an index that holds paths; GDAL's name for it."""

PATTERN = re.compile(r"[*?[]")

ZIPPED = re.compile(r"(?:/vsizip/|zip://)(?P<archive>.+?\.zip)[/!]+(?P<member>.+)", re.IGNORECASE)


class Sources(NamedTuple):
    """The files of a mosaic.

    Parameters
    ----------
    paths : list of str
        Paths that GDAL opens; those of local files are absolute.
    name : str
        Name of the mosaic in messages.
    """

    paths: list[str]
    name: str


def sources_of(paths: Any) -> Sources | None:
    """Find the files that `open_mosaic` joins; None for a single raster.

    Parameters
    ----------
    paths : path, or iterable of paths
        A list of files, a pattern such as ``"ctx/*.tif"`` or ``"/vsizip/ctx/*.zip/*.tif"``, or an index: a text file
        with one path per line, or a table of footprints with the column ``location``.

    Raises
    ------
    GridError
        The list or index contains no file, or something other than paths.
    FileNotFoundError
        No file matches the pattern.
    """
    if isinstance(paths, str | os.PathLike):
        text = os.fspath(paths)
        if isinstance(text, bytes):
            return None
        text = text.removeprefix("GTI:")
        if PATTERN.search(text) and not os.path.exists(text) and local_file(text) is not None:
            return Sources(_matching(text), text)
        listed = _listed(text)
        return None if listed is None else Sources([_beside(text, path) for path in listed], text)
    if not isinstance(paths, Iterable) or hasattr(paths, "dtype") or hasattr(paths, "read"):
        return None
    named: Sequence[Any] = list(paths)
    for path in named:
        if not isinstance(path, str | os.PathLike):
            raise GridError(f"received an object of type {type(path).__name__} among the files; expected paths")
    if not named:
        raise GridError("received an empty list of files; expected the paths of raster files")
    found = [absolute(os.fspath(path)) for path in named]
    return Sources(found, found[0] if len(found) == 1 else f"{found[0]} and {len(found) - 1} more")


def _matching(pattern: str) -> list[str]:
    """Find the files that match a pattern, in the order of their names."""
    zipped = ZIPPED.fullmatch(pattern)
    if zipped is None:
        found = sorted(glob.glob(pattern, recursive=True))
    else:
        found = []
        for archive in sorted(glob.glob(zipped["archive"], recursive=True)):
            with zipfile.ZipFile(archive) as file:
                members = sorted(name for name in file.namelist() if fnmatchcase(name, zipped["member"]))
            found += [f"/vsizip/{archive}/{name}" for name in members]
    if not found:
        raise FileNotFoundError(f"no file matches {pattern!r} (looked in {Path.cwd()})")
    return [absolute(path) for path in found]


def _listed(path: str) -> list[str] | None:
    """Read the paths that an index lists; None for any other file."""
    suffix = Path(path).suffix.lower()
    if suffix in LISTS and os.path.exists(path):
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        listed = [line.strip() for line in lines if line.strip()]
    elif suffix in INDEXES and os.path.exists(path):
        pyogrio = require("pyogrio", extra="vector")
        try:
            fields = list(pyogrio.read_info(path)["fields"])
        except pyogrio.errors.DataSourceError:
            return None  # a raster in a GeoPackage, for example
        if COLUMN not in fields:
            raise GridError(
                f"received {path!r}, whose columns are {fields}; expected an index of raster files with the column "
                f"{COLUMN!r}, as `gdaltindex` writes it; or the files themselves: xcrater.open_mosaic([...])"
            )
        _, _, _, (column,) = pyogrio.raw.read(path, columns=[COLUMN], read_geometry=False)
        listed = [str(each) for each in column]
    else:
        return None
    if not listed:
        raise GridError(f"the index {path!r} lists no file")
    return listed


def _beside(index: str, path: str) -> str:
    """Resolve a path in an index, which may be relative to the index or to the working directory."""
    beside = os.path.join(os.path.dirname(os.path.abspath(index)), path)
    return beside if is_plain(path) and os.path.exists(beside) else absolute(path)


def is_plain(path: str) -> bool:
    """Whether a path belongs to the local file system, rather than being a URL or a virtual path of GDAL."""
    return not ("://" in path or path.startswith("/vsi") or ":" in (Path(path).parts or ("",))[0])


def local_file(path: str) -> str | None:
    """The local file behind a GDAL path: the file itself, or the archive that contains it; None for others."""
    if is_plain(path):
        return path
    zipped = ZIPPED.match(path)
    return zipped["archive"] if zipped is not None and is_plain(zipped["archive"]) else None


def absolute(path: str) -> str:
    """Make a path independent of the working directory, so that it means the same wherever it is opened."""
    if is_plain(path):
        return os.path.abspath(path)
    zipped = ZIPPED.match(path)
    if zipped is not None and is_plain(zipped["archive"]):
        return f"/vsizip/{os.path.abspath(zipped['archive'])}/{zipped['member']}"
    return path
