"""Suppression of rasterio's warning about files without a geotransform, which xcrater refuses with advice."""

from __future__ import annotations

import warnings
from threading import Lock

from rasterio.errors import NotGeoreferencedWarning


class Quiet:
    """While any thread is within the context, rasterio does not warn about files without a geotransform.

    `read_raster` refuses such files with advice. Python's own `warnings.catch_warnings` is not safe among threads: if
    two contexts overlap, the one that exits last restores the filters of the other.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._entered = 0
        self._caught = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if not self._entered:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
            self._entered += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._entered -= 1
            if not self._entered:
                self._caught.__exit__(None, None, None)


quietly = Quiet()
"""The one of this process."""
