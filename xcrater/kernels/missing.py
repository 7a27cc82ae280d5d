"""Codes by which kernels know which pixels of a block have a value; `xcrater.raster.values.classify` assigns them."""

from __future__ import annotations

VALID, NODATA, NAN = 0, 1, 2
"""Codes of pixels: with a value, missing by the file's sentinel or mask, and not a number."""
