"""Compiled kernels: spans of regions, what they sum, draw and select. They know no CRS and no class of ours.

The rest of the package says ``from xcrater import kernels`` and ``kernels.sum_runs(...)``. A kernel's module, and
with it numba, is loaded when one of its names is first asked for, so neither ``import xcrater`` nor a scheduler that
only unpickles tasks loads the compiler. The records that kernels take are plain Python and loaded at once.
"""

from __future__ import annotations

import importlib
from typing import Any

from xcrater.kernels.records import Annuli, Caps, Nest, Pixels, Polygons, Rows, Runs, Sums

__all__ = ["Annuli", "Caps", "Nest", "Pixels", "Polygons", "Rows", "Runs", "Sums"]

_NAMES = {
    "compile": ("cache_directory",),
    "coverage": ("cover_scratch",),
    "cut": (
        "cut_pixels",
        "cut_regions",
        "lay",
        "put",
    ),
    "histograms": (
        "SIDE",
        "pair_runs",
        "select_runs",
        "square_counts",
        "histogram_scratch",
        "square_ranges",
    ),
    "lanes": ("LANES",),
    "polygon_spans": (
        "MARGIN",
        "polygon_scratch",
    ),
    "resample": (
        "FAR",
        "sample_points",
        "sample_sphere",
    ),
    "selection": (
        "BUCKETS",
        "count_digits",
        "encode_floats",
        "frequencies",
        "merge_pairs",
        "pack",
        "select",
        "select_pairs",
        "to_pairs",
        "weighted_quantiles",
    ),
    "spans": (
        "CENTER",
        "CONTAINED",
        "TOUCHED",
        "node_scratch",
        "region_windows",
        "span_scratch",
    ),
    "sums": (
        "AREA",
        "COUNT",
        "CUBES",
        "FOURTHS",
        "HIGH",
        "LOW",
        "MISSING",
        "NANS",
        "NODATA",
        "ORIGIN",
        "PIXELS",
        "SQ_HIGH",
        "SQ_LOW",
        "TOTAL",
        "VALID",
        "accumulate",
        "accumulate_covered",
        "classify",
        "classify_float",
        "collect",
        "compass",
        "count_regions",
        "covered_scratch",
        "crater_height",
        "draw_discs",
        "draw_outlines",
        "exact_variance",
        "lay_out",
        "leave_out",
        "merge_sums",
        "name_craters",
        "number_sectors",
        "outline_rooms",
        "paint",
        "place_moments",
        "plane_waves",
        "split_runs",
        "stamp_craters",
        "sum_areas",
        "sum_runs",
        "summarise",
    ),
}
"""The names that other packages use, by the module that holds them."""

_HOME = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load the module that holds a name (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
