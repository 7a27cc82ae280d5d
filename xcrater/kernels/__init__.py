"""Compiled kernels that sum, draw and select the pixels of regions. They know no CRS and no class of ours.

The rest of the package writes ``from xcrater import kernels`` and ``kernels.sum_runs(...)``. A kernel's module, and
with it numba, is loaded when one of its names is first used, so neither ``import xcrater`` nor a scheduler that only
unpickles tasks loads the compiler. The records that kernels take and the slots of accumulators are plain Python.
"""

from __future__ import annotations

import importlib
from typing import Any

from xcrater.kernels.records import (
    Annuli,
    Caps,
    Chips,
    HoleScratch,
    Nest,
    Pixels,
    Polygons,
    Ranges,
    Rows,
    Runs,
    Sectors,
    Source,
    Squares,
    Sums,
)

__all__ = [
    "Annuli",
    "Caps",
    "Chips",
    "HoleScratch",
    "Nest",
    "Pixels",
    "Polygons",
    "Ranges",
    "Rows",
    "Runs",
    "Sectors",
    "Source",
    "Squares",
    "Sums",
]

_NAMES = {
    "accumulators": (
        "exact_variance",
        "lay_out",
        "merge_sums",
    ),
    "compile": ("cache_directory",),
    "covered_runs": ("cover_scratch",),
    "covered_sums": (
        "accumulate_covered",
        "covered_scratch",
    ),
    "cut": (
        "cut_pixels",
        "cut_regions",
        "lay",
        "put",
    ),
    "draw": (
        "draw_discs",
        "draw_outlines",
        "outline_rooms",
    ),
    "half_widths": ("CENTER", "CONTAINED", "EXACT", "TOUCHED", "node_scratch"),
    "histograms": (
        "SIDE",
        "histogram_scratch",
        "pair_runs",
        "select_runs",
        "square_counts",
        "square_ranges",
    ),
    "holes": ("leave_out",),
    "lanes": ("LANES",),
    "masks": (
        "count_regions",
        "name_craters",
        "paint",
    ),
    "missing": ("NAN", "NODATA", "VALID"),
    "planes": ("place_moments",),
    "polygon_spans": (
        "MARGIN",
        "polygon_scratch",
    ),
    "resample": (
        "FAR",
        "sample_points",
        "sample_sphere",
    ),
    "run_sums": (
        "collect",
        "sum_areas",
        "sum_runs",
    ),
    "sector_sums": ("accumulate_sectors",),
    "sectors": (
        "compass",
        "number_sectors",
        "split_runs",
    ),
    "selection": (
        "BUCKETS",
        "count_digits",
        "encode_floats",
        "merge_pairs",
        "pack",
        "select",
        "select_pairs",
        "to_pairs",
    ),
    "spans": ("region_windows", "span_scratch"),
    "sums": (
        "accumulate",
        "summarise",
    ),
    "tallies": (
        "frequencies",
        "sum_squares",
        "weighted_quantiles",
    ),
    "terrain": (
        "crater_height",
        "plane_waves",
        "stamp_craters",
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
