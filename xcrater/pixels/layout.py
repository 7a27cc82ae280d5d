"""Layout of zarr stores of crater arrays: what they describe themselves by, and how their parts are recognised.

Each region is a group of flat arrays: ``values``, ``mask`` and, for exact coverage, ``coverage`` of one crater after
another. One crater's part of them is an entry; ``window`` is its window on the raster, and ``offset`` says where it
begins and ends. Entries come in the order in which tiles completed the craters, so the array ``crater`` at the root
holds each entry's position in the table. The group ``craters`` is the table as xarray writes it; the attributes of the
root describe the raster and the regions, and hold a hash of the table.

zarr gives fill values for a chunk that is not there, so every chunk is written, whatever it holds, and looked for when
it is read; each ends in a checksum.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from xcrater._optional import require
from xcrater.errors import StoreError

LAYOUT = 2
"""Version of the layout; stores of other versions are refused."""

CHUNK = 2**18
"""Number of pixels in a chunk of the flat arrays."""

ENTRIES = 2**16
"""Number of entries in a chunk of the arrays that hold one item per entry."""


def read_about(path: str) -> dict[str, Any] | None:
    """The description that a store holds in its attributes; None if there is nothing at that path.

    Raises
    ------
    StoreError
        Something else is at that path, or a store whose layout is of another version.
    """
    zarr = require("zarr", extra="zarr")
    try:
        attrs = dict(zarr.open_group(path, mode="r").attrs)
    except FileNotFoundError:
        local = Path(path)
        if not local.exists() or (local.is_dir() and not any(local.iterdir())):
            return None
        attrs = {}
    except ValueError:  # an array, or something broken
        attrs = {}
    if "xcrater" not in attrs:
        raise StoreError(
            f"{path!r} is no store of crater arrays; expected a path where there is nothing yet, or one that "
            "arrays.to_zarr(path) wrote. What is there is left as it is"
        )
    about: dict[str, Any] = attrs["xcrater"]
    if about["layout"] != LAYOUT:
        raise StoreError(
            f"the store {path!r} has layout {about['layout']}; this version of xcrater reads and writes layout "
            f"{LAYOUT}: write it anew at another path"
        )
    return about


def digest(columns: Iterable[Any], index: pd.Index[Any]) -> str:
    """Hash of numbers of a crater table, column by column, and of its labels."""
    found = hashlib.blake2b(digest_size=16)
    for column in columns:
        found.update(np.ascontiguousarray(column, dtype="<f8").tobytes())
    found.update("\0".join(map(str, index)).encode())
    return found.hexdigest()


def whole_path(path: str | os.PathLike[str]) -> str:
    """A path that means the same in every process, whatever its working directory."""
    path = os.fspath(path)
    return path if "://" in path or "::" in path else os.path.abspath(path)
