"""The ways in which pixels of one image accumulate: one for each kind of regions and weights.

Regions cut from discs have a closed form on some grids, and their pixels accumulate disc by disc: by `WholePixels` if
each pixel counts one, by `SectorPixels` if regions are also cut into sectors, and by `Fractions` if pixels count by the
fraction covered. All other regions and all weighted pixels accumulate by `RunByRun`, which knows nothing of shapes. A
way is chosen once for each part of a request's regions (`RegionSet.parts`) and then processes every image of every
tile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater import kernels
from xcrater.engine.craters import Craters
from xcrater.engine.drawn import Surface
from xcrater.engine.region_set import RegionSet
from xcrater.errors import StatisticError
from xcrater.geometry.grid import Window
from xcrater.statistics.accumulators import empty_accumulator

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Image:
    """One image of a tile, with the weight and the area of each pixel.

    Parameters
    ----------
    pixels : Pixels
        Stored numbers and which of them are values. For the closed forms the width is a multiple of `kernels.LANES`,
        so that it may exceed that of the window.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) of the tile on the whole grid.
    weights, areas : ndarray of float64, shape (rows or 1, columns or 1)
        Weight and area in m² of each pixel; a single row or column if these are all alike, and 1 if not requested.
    """

    pixels: kernels.Pixels
    window: Window
    weights: Array
    areas: Array


Way = Callable[[Image, Craters, kernels.Sums], None]
"""(image, craters on its tile, accumulators) -> None; overwrites only the accumulators of these craters' regions in
that image."""


@dataclass(frozen=True, eq=False)
class RunByRun:
    """Regions of any shape, drawn as runs of pixels.

    Parameters
    ----------
    members : ndarray of int64, shape (regions,)
        Position of each region among those of the request.
    regions : RegionSet
        The regions, which all have a closed form, or none of them has.
    weighted : bool
        Whether accumulators are of weighted pixels.
    """

    members: Array
    regions: RegionSet
    weighted: bool

    def __call__(self, image: Image, craters: Craters, sums: kernels.Sums) -> None:
        """Accumulate the image's pixels; see `Way`.

        Raises
        ------
        StatisticError
            A pixel inside a region has a value, and a weight that is negative, infinite or not a number.
        """
        for drawn in self.regions.draw(craters, image.window):
            if not kernels.sum_runs(
                image.pixels, self.weighted, drawn.record(), image.window, image.weights, image.areas, sums,
                self.members, drawn.craters.start,
            ):  # fmt: skip
                raise StatisticError(
                    "received weights that are negative, infinite or not numbers, on pixels with values inside a "
                    "region; expected numbers from 0 on: "
                    "weights=weights.where((weights >= 0) & (weights < float('inf')), 0), or, where an array has "
                    "nodata as an attribute, "
                    "weights=weights.where(weights != weights.rio.nodata, 0).drop_attrs(deep=False)"
                )


@dataclass(frozen=True, eq=False)
class WholePixels:
    """Regions with a closed form whose pixels count one each, by their centres or because they are touched.

    Parameters
    ----------
    members, regions
        As `RunByRun` takes them.
    summarise : bool or None
        Whether to sum whole squares of pixels once for all craters; None to do so where it pays.
    """

    members: Array
    regions: RegionSet
    summarise: bool | None = None

    def __call__(self, image: Image, craters: Craters, sums: kernels.Sums) -> None:
        """Accumulate the image's pixels, as `Way` says."""
        grid, start = self.regions.grid, sums.start
        groups = self.regions.groups()
        squares = _whole_squares(image.pixels, start, self.regions, craters, self.summarise)
        scratch = kernels.span_scratch(
            image.window, grid, int(self.regions.vertices.max()), self.regions.mode,
            max(g.edges.size for g in groups), max(g.members.size for g in groups),
        )  # fmt: skip
        caps, order = craters.caps(), _by_place(craters, grid)
        for group in groups:
            held = np.empty((group.edges.size + group.members.size, start.size), start.dtype)
            chosen = self.members[group.members]
            nest = kernels.Nest(group.edges, group.modes, group.outer, group.inner, chosen, group.nvert)
            kernels.accumulate(image.pixels, squares, order, caps, nest, grid, image.window, scratch, held, sums)


@dataclass(frozen=True, eq=False)
class SectorPixels:
    """Sectors of rings with a closed form whose pixels count one each; for the parameters see `RunByRun`."""

    members: Array
    regions: RegionSet

    def __call__(self, image: Image, craters: Craters, sums: kernels.Sums) -> None:
        """Accumulate the image's pixels, as `Way` says."""
        regions, window = self.regions, image.window
        rings = regions.rings()
        groups = rings.groups()
        scratch = kernels.span_scratch(
            window, regions.grid, int(rings.vertices.max()), rings.mode, max(g.edges.size for g in groups)
        )
        caps, order = craters.caps(), _by_place(craters, regions.grid)
        sectors = regions.sectors(self.members, window)
        held = np.empty((len(regions), sums.start.size), sums.start.dtype)
        for group in groups:
            nest = kernels.Nest(group.edges, group.modes, group.outer, group.inner, group.members, group.nvert)
            kernels.accumulate_sectors(
                image.pixels, order, caps, nest, sectors, regions.grid, window, scratch, held, sums
            )


@dataclass(frozen=True, eq=False)
class Fractions:
    """Regions with a closed form whose pixels count by the fraction covered; for the parameters see `WholePixels`."""

    members: Array
    regions: RegionSet
    summarise: bool | None = None

    def __call__(self, image: Image, craters: Craters, sums: kernels.Sums) -> None:
        """Accumulate the image's pixels; see `Way`. Craters that the closed form leaves out go run by run."""
        grid, pixels, window = self.regions.grid, image.pixels, image.window
        plain = empty_accumulator(pixels.stored.dtype)
        squares = _whole_squares(pixels, plain, self.regions, craters, self.summarise)
        caps, order = craters.caps(), _by_place(craters, grid)
        run_by_run = RunByRun(self.members, self.regions, weighted=True)
        for group in self.regions.groups():
            chosen = self.members[group.members]
            scratch = kernels.covered_scratch(window, group.nvert, group.edges.size, plain.dtype)
            nest = kernels.Nest(group.edges, group.modes, group.outer, group.inner, chosen, group.nvert)
            left_out = np.empty(order.size, np.int64)
            number = kernels.accumulate_covered(
                pixels, squares, order, caps, nest, grid, window, scratch, plain, sums, left_out
            )
            if number:
                _replace(run_by_run, np.sort(left_out[:number]), chosen, image, craters, sums)


@dataclass(frozen=True, eq=False)
class LoneCratersClosed:
    """Regions with a closed form, some of which exclude pixels of neighbouring craters.

    Parameters
    ----------
    closed_form : WholePixels, SectorPixels or Fractions
        The way for craters without neighbours.
    run_by_run : RunByRun
        The way for the others, whose regions are no longer cut from discs alone.
    """

    closed_form: WholePixels | SectorPixels | Fractions
    run_by_run: RunByRun

    def __call__(self, image: Image, craters: Craters, sums: kernels.Sums) -> None:
        """Accumulate the image's pixels, as `Way` says."""
        if craters.near is None:
            self.closed_form(image, craters, sums)
            return
        alone = np.diff(craters.near.offset) == 0
        for index in (np.flatnonzero(alone), np.flatnonzero(~alone)):
            if index.size:
                way: Way = self.closed_form if craters.take(index).near is None else self.run_by_run
                _replace(way, index, self.run_by_run.members, image, craters, sums)


def choose_way(members: Array, regions: RegionSet, *, weights: bool, summarise: bool | None) -> Way:
    """Choose the way to accumulate one part of a request's regions.

    Parameters
    ----------
    members, regions
        As `RunByRun` takes them.
    weights : bool
        Whether pixels have weights in addition to the fraction covered.
    summarise : bool or None
        As `WholePixels` takes it.
    """
    run_by_run = RunByRun(members, regions, weighted=weights or regions.exact)
    if weights or not regions.closed or (regions.in_sectors and regions.exact):
        return run_by_run
    if regions.in_sectors:
        return LoneCratersClosed(SectorPixels(members, regions), run_by_run)
    closed_form = Fractions if regions.exact else WholePixels
    return LoneCratersClosed(closed_form(members, regions, summarise), run_by_run)


def sum_true_areas(
    members: Array, regions: RegionSet, images: Sequence[Image], craters: Craters, surface: Surface, out: Array
) -> None:
    """Set the areas of all images' regions to the true areas of the covered parts of their pixels.

    Parameters
    ----------
    members, regions
        As `RunByRun` takes them.
    images : sequence of Image
        All images of the tile, which share the runs.
    craters : Craters
        The craters on the tile.
    surface : tuple of ndarray
        True areas of the tile's pixels; see `Surface`.
    out : ndarray of float64, shape (craters, images, regions, slots)
        Extended accumulators, of which the slot AREA is overwritten.
    """
    if not images:
        return
    window = images[0].window
    for drawn in regions.draw(craters, window, surface=surface):
        for n, image in enumerate(images):
            sums = kernels.Sums(out[0, 0, 0], n, out)
            kernels.sum_areas(image.pixels, drawn.record(), window, surface[1], sums, members, drawn.craters.start)


def _replace(
    way: Way, index: Array, members: Array, image: Image, craters: Craters, sums: kernels.Sums
) -> None:  # fmt: skip
    """Overwrite the accumulators of some craters by those of another way.

    Parameters
    ----------
    way : Way
        The other way.
    index : ndarray of int64, shape (n,)
        Positions of these craters among those of the tile.
    members : ndarray of int64, shape (regions,)
        Positions of the overwritten regions among those of the request.
    image, craters, sums
        Arguments of the way for all craters.
    """
    out = np.empty((index.size, *sums.out.shape[1:]), sums.out.dtype)
    way(image, craters.take(index), sums._replace(out=out))
    sums.out[index[:, None], sums.image, members] = out[:, sums.image, members]


BAND = 8
"""Number of rows in a band, within which craters are visited from column to column."""


def _by_place(craters: Craters, grid: kernels.Rows) -> Array:
    """Positions of the craters sorted by bands of rows, and by columns within a band.

    Neighbours then find their pixels in the processor's cache, which detects the sweep along the rows and prefetches.
    """
    band = np.floor((craters.lat - grid.lat_origin) / (grid.lat_step * BAND))
    return np.argsort(band * grid.period + craters.column, kind="stable")


def _whole_squares(
    pixels: kernels.Pixels, start: Array, regions: RegionSet, craters: Craters, summarise: bool | None
) -> Array:
    """Sum whole squares of `kernels.LANES` pixels a side, shape (squares, slots); no square if that does not pay."""
    stored = pixels.stored
    if summarise is None:
        # It pays if wide regions would otherwise visit more pixels than the image has.
        columns = regions.bounds[1].max() * craters.radius * regions.grid.period / np.pi
        wide = columns[columns > 4 * kernels.LANES]
        summarise = bool(np.minimum(wide**2, stored.size).sum() > 2 * stored.size)
    count = (stored.shape[0] // kernels.LANES) * (stored.shape[1] // kernels.LANES) if summarise else 0
    squares = np.empty((count, start.size), start.dtype)
    if count:
        kernels.summarise(pixels, start, np.empty((2, 2, kernels.LANES), np.int16), squares)
    return squares
