"""Files that are opened without a word of what they lack, as what reads them says it with advice."""

from __future__ import annotations

import warnings
from threading import Lock

from rasterio.errors import NotGeoreferencedWarning


class Quiet:
    """While it is entered, in any thread, rasterio does not warn of files without a geotransform.

    `read_raster` refuses them, with advice. Python's own `warnings.catch_warnings` is for one thread at a time: of two
    that overlap, the one that leaves last restores the filters of the other.
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
