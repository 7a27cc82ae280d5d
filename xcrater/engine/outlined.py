"""Drawing of regions by their outlines: on grids without a closed form, for any shape, and for true areas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater import kernels
from xcrater.engine.coverage import CoverageRule
from xcrater.engine.craters import Craters
from xcrater.engine.drawn import Drawn, Surface
from xcrater.geometry.frame import Frame
from xcrater.geometry.grid import Window
from xcrater.geometry.pixel_parts import true_parts
from xcrater.geometry.rings import Outlines
from xcrater.table.regions import Member

Array = NDArray[Any]

OUTLINED, SHAPES = 2**12, 2**10
"""Numbers of craters whose outlines are traced at a time, and of regions kept at a time as shapes in the plane."""


def draw_outlines(
    regions: Sequence[Member],
    rule: CoverageRule,
    frame: Frame,
    craters: Craters,
    window: Window,
    most: int,
    surface: Surface | None,
) -> Iterator[Drawn]:
    """Draw regions as runs by their outlines, as many craters at a time as there is room for.

    Parameters
    ----------
    regions : sequence of Member
        The regions.
    rule : CoverageRule
        The rule that decides which pixels belong to a region.
    frame : Frame
        Frame of the raster.
    craters : Craters
        The craters.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) on the whole grid.
    most : int
        Number of runs that are drawn at a time, unless one crater needs more.
    surface : tuple of ndarray or None
        Areas with which fractions covered become those of the pixels' true areas.
    """

    def outlines(some: Craters, finely: Sequence[Array | None] = ()) -> list[Outlines]:
        pairs = zip(regions, finely or [None] * len(regions), strict=True)
        return [region.outlines(frame, some, fine) for region, fine in pairs]

    bends = None if surface is None or surface[0].shape[1] == 1 else _bends(surface[0])
    for start in range(0, len(craters), OUTLINED):
        some = craters.take(np.arange(start, min(start + OUTLINED, len(craters))))
        traced = outlines(some)
        finely = [_meets(bends, window, o) for o in traced] if bends is not None else []
        if any(fine.any() for fine in finely):
            traced = outlines(some, finely)
        rooms = np.zeros((len(traced[0]), 2), np.int64)
        polygons = [kernels.Polygons(o.u, o.v, o.ring, o.shape, o.period) for o in traced]
        for shapes in polygons:
            kernels.outline_rooms(shapes, window, rooms)
        scratch = kernels.polygon_scratch(window, int(rooms[:, 0].max()), surface)
        shown = frame.shown(*window[:2])
        if surface is not None and surface[0].shape[1] == 1:  # with areas, fractions refer to the part on the body
            shown = np.where(np.isnan(surface[0][kernels.MARGIN : -kernels.MARGIN, 0]), shown, 1.0)
        ends = np.cumsum(rooms[:, 1])
        first = 0
        while first < len(rooms):
            before = ends[first] - rooms[first, 1]
            stop = max(first + 1, int(np.searchsorted(ends, before + most, "right")))
            room = int(ends[stop - 1] - before)
            runs, weight = np.empty((3, room), np.int64), np.empty(room)
            offset = np.empty((stop - first, len(traced), 2), np.int64)
            n, out = 0, kernels.Runs(runs, weight, offset)
            for k, shapes in enumerate(polygons):
                n = kernels.draw_outlines(shapes, first, stop, rule.mode, window, scratch, out, n, k)
            if rule.weighs and shown.min(initial=1.0) < 1.0:  # in a row across a pole, only the part on the body counts
                part = shown[runs[0, :n] - window[0]]
                weight[:n] = np.minimum(weight[:n] / np.where(part > 0, part, 1.0), 1.0)
            if surface is not None and bends is not None:
                out = kernels.Runs(runs[:, :n], weight[:n], offset)
                _measure_parts(regions, frame, some.take(np.arange(first, stop)), out, window, surface)
            yield Drawn(slice(start + first, start + stop), runs, weight, offset)
            first = stop


def _measure_parts(
    regions: Sequence[Member], frame: Frame, craters: Craters, drawn: kernels.Runs, window: Window, surface: Surface
) -> None:
    """Set the covered fractions of true area for partly covered pixels around which areas are not smooth."""
    (runs, weight, offset), (around, areas) = drawn, surface
    smooth = np.isfinite(around[kernels.MARGIN - 1 :, kernels.MARGIN - 1 :])
    row, column = runs[0] - window[0], runs[1] - window[2]
    near = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))  # the pixels from which the kernel infers how areas vary
    known = np.logical_and.reduce([smooth[row + i, column + j] for i, j in near])
    partly = np.flatnonzero((weight < 1.0) & ~known)
    if not partly.size:
        return
    begins, stops = offset.reshape(-1, 2).T
    order = np.argsort(begins, kind="stable")
    order = order[stops[order] > begins[order]]
    of, which = np.unique(order[np.searchsorted(begins[order], partly, "right") - 1], return_inverse=True)
    for first in range(0, of.size, SHAPES):
        rois = (divmod(roi, offset.shape[1]) for roi in of[first : first + SHAPES].tolist())
        shapes = [regions[k].shape(frame, craters, i) for i, k in rois]
        some = np.flatnonzero((which >= first) & (which < first + SHAPES))
        at = partly[some]
        parts = true_parts(frame, shapes, which[some] - first, runs[1, at], runs[0, at])
        shown = np.isfinite(parts)
        weight[at[shown]] = (parts / areas[row[at], column[at]])[shown]


def _bends(around: Array) -> Array | None:
    """Cumulative numbers, by row and column, of pixels whose areas are not smooth; None if all are smooth."""
    rough = np.isnan(around)
    if not rough.any():
        return None
    return np.pad(rough, ((1, 0), (1, 0))).cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32)


def _meets(bends: Array, window: Window, outlines: Outlines) -> Array:
    """Which shapes' boxes contain such pixels, or are next to one."""
    west, east, north, south = outlines.bounds()

    def index(at: Array, first: int, size: int, beyond: int) -> Array:
        inside = np.floor(np.nan_to_num(at)) - first + kernels.MARGIN + beyond
        return np.clip(inside, 0, size - 1).astype(np.int64)

    left, right = (
        index(west, window[2], bends.shape[1], -kernels.MARGIN),
        index(east, window[2], bends.shape[1], kernels.MARGIN + 1),
    )
    top, bottom = (
        index(north, window[0], bends.shape[0], -kernels.MARGIN),
        index(south, window[0], bends.shape[0], kernels.MARGIN + 1),
    )
    met = bends[bottom, right] - bends[top, right] - bends[bottom, left] + bends[top, left] > 0
    return np.asarray(met & np.isfinite(west))
