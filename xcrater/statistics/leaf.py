"""The first stage: sums, areas, moments and the input of order statistics, collected from the pixels of one tile."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater import kernels
from xcrater.engine.drawn import Drawn, Surface
from xcrater.engine.plan import Tile
from xcrater.engine.region_set import RegionSet
from xcrater.geometry.areas import areas_around, pixel_areas
from xcrater.geometry.grid import Window
from xcrater.kernels import slots
from xcrater.raster.values import classify, kernel_block
from xcrater.statistics.accumulators import Partial, Sums, empty_accumulator
from xcrater.statistics.collecting import Collector
from xcrater.statistics.paths import Image, RunByRun, choose_way, sum_true_areas
from xcrater.statistics.quantiles.answers import AnyTargets
from xcrater.statistics.quantiles.counting import Counting
from xcrater.statistics.quantiles.search import OrderPartial, OrderSearch
from xcrater.statistics.quantiles.sharing import SharedTile
from xcrater.statistics.quantiles.tile_image import TileImage
from xcrater.statistics.selftest import check_covered, check_kernels

Array = NDArray[Any]


@dataclass(frozen=True)
class Leaf:
    """The leaf of one request: collects the pixels of a tile in its craters' regions into a `Partial`.

    Parameters
    ----------
    shapes : RegionSet
        The regions.
    nodata : float or None
        Stored number that stands for a missing value.
    order : OrderSearch or None
        The search for order statistics; None if none are requested.
    weights : str or None
        "area", "given" (the leaf then takes a block of them), or None.
    area, higher : bool
        Whether areas and higher moments are requested.
    surface : tuple or None
        Arguments of `xcrater.geometry.areas.pixel_areas` other than the window, if areas are requested or are the
        weights.
    summarise : bool or None
        Whether to sum whole squares of pixels once for all craters; None to do so where it pays.
    """

    shapes: RegionSet
    nodata: float | int | None
    order: OrderSearch | None = None
    weights: str | None = None
    area: bool = False
    higher: bool = False
    surface: tuple[str, tuple[float, float, float, float, float, float]] | None = None
    summarise: bool | None = None

    @property
    def more(self) -> bool:
        """Whether extended accumulators, with areas and higher moments, are collected in addition."""
        return self.area or self.higher

    @property
    def weighted(self) -> bool:
        """Whether accumulators are of weighted pixels."""
        return self.shapes.exact or self.weights is not None

    def crater_bytes(self, images: int) -> int:
        """Bytes of the accumulators of one crater on one tile, for a number of images."""
        each = self.start(np.dtype("f8")).nbytes + (8 * slots.MOMENTS if self.more else 0)
        return images * len(self.shapes) * each

    def start(self, dtype: np.dtype[Any]) -> Array:
        """An accumulator before any pixel, for a raster of a dtype; it is of floats if pixels are weighted."""
        return empty_accumulator(np.dtype("f8") if self.weighted else dtype)

    def __call__(self, block: Array, tile: Tile, given: Array | None = None) -> Partial:
        """Accumulate one tile.

        Parameters
        ----------
        block : ndarray, shape (..., rows, columns)
            Stored numbers of the tile's pixels, one image after the other along the leading dimensions.
        tile : Tile
            Window of the tile, and its craters.
        given : ndarray, shape (rows, columns), optional
            Weight of each pixel, if `weights` is "given".
        """
        weights, areas = self._factors(tile.window, given)
        narrow = list(self._images(block, tile.window, weights, areas))
        dtype = narrow[0].pixels.stored.dtype if narrow else block.dtype
        check_kernels(dtype.str)
        if self.shapes.exact:
            check_covered(dtype.str)
        start = self.start(dtype)
        shape = (len(tile.craters), len(narrow), len(self.shapes))
        sums = np.empty((*shape, start.size), start.dtype)
        moments = np.zeros((*shape, slots.MOMENTS)) if self.more else None
        surface = self._surface(tile.window, areas) if self.area and self.shapes.exact else None
        parts = self.shapes.parts()
        ways = [choose_way(*part, weights=self.weights is not None, summarise=self.summarise) for part in parts]
        found = []
        for n, image in enumerate(map(_in_lanes, narrow)):
            if moments is not None and (self.higher or surface is None):
                for part in parts:
                    into = kernels.Sums(empty_accumulator(moments.dtype, slots.MOMENTS), n, moments)
                    RunByRun(*part, weighted=True)(image, tile.craters, into)
            for way in ways:
                way(image, tile.craters, kernels.Sums(start, n, sums))
            if self.order is not None:
                assert isinstance(tile, SharedTile)
                found.append(self._first_pass(image, tile, n, sums))
        if moments is not None and surface is not None:
            for part in parts:
                sum_true_areas(*part, narrow, tile.craters, surface, moments)
        row = tile.craters.row
        return Partial([Sums(row, sums)], [] if moments is None else [Sums(row, moments)], found)

    def _first_pass(self, image: Image, tile: SharedTile, number: int, sums: Array) -> OrderPartial:
        """Search one image for order statistics, given its accumulators."""
        assert self.order is not None
        sought = self._sought(image, tile, number, sums.shape[1])
        counting = self._counting(image, tile, sums[:, number])
        if counting is not None:
            return self.order.counting_pass(counting, sought.rois, tile.tiles)
        return self.order.first_pass(sought, self._most(sums[:, number]), tile.tiles, tile.by_digits)

    def next_pass(self, block: Array, tile: Tile, targets: AnyTargets, number: int) -> OrderPartial:
        """Search a tile in a later pass, for order statistics of craters whose pixels are too many to ship."""
        assert self.order is not None
        images, found = math.prod(block.shape[:-2]), []
        for n, image in enumerate(self._images(block, tile.window, *self._factors(tile.window, None))):
            found.append(self.order.next_pass(self._sought(image, tile, n, images), targets, number))
        return self.order.merge(found, targets)

    def _images(self, block: Array, window: Window, weights: Array, areas: Array) -> Iterator[Image]:
        """Yield the images of a block of shape (..., rows, columns), as kernels take them."""
        for pixels in block.reshape(math.prod(block.shape[:-2]), *block.shape[-2:]):
            native = kernel_block(pixels, self.nodata)
            codes, clean = classify(native, self.nodata)
            stored = np.ascontiguousarray(np.ma.getdata(native))
            exact = None if stored.dtype.kind == "f" else True
            yield Image(kernels.Pixels(stored, codes, clean, exact), window, weights, areas)

    def _sought(self, image: Image, tile: Tile, number: int, images: int) -> TileImage:
        """One image in the form that the search for order statistics takes."""
        assert self.order is not None
        weighted = self.weights is not None or self.shapes.exact
        collect = Collector(self.shapes, image, tile.craters, weighted)
        return TileImage(self.order.problem, collect, tile.craters.row, tile.window, number, images)

    def _most(self, sums: Array) -> Array:
        """Upper estimate of the number of valid pixels of each region, from its accumulators."""
        if not self.shapes.exact:
            return sums[..., slots.PIXELS if self.weighted else slots.COUNT].astype(np.int64)
        # Pixels along the edge are partly covered, so each counts less than one.
        pixels = sums[..., slots.PIXELS]
        return (pixels + 8.0 * np.sqrt(pixels) + 16.0).astype(np.int64)

    def _counting(self, image: Image, tile: Tile, sums: Array) -> Counting | None:
        """Make the counter of the keys of an image's regions, if keys are narrow and pixels have no weights."""
        stored, codes, clean, _ = image.pixels
        if self.weighted or stored.dtype.kind == "f" or stored.dtype.itemsize > 2:
            return None

        def draw(index: Array) -> Iterator[tuple[Array, Drawn]]:
            craters = tile.craters.take(index)
            for members, shapes in self.shapes.parts():
                for drawn in shapes.draw(craters, tile.window):
                    yield members, drawn

        held = (sums[..., slot] for slot in (slots.COUNT, slots.LOW, slots.HIGH))
        return Counting(draw, stored, codes, clean, tile.window, tile.craters.lat, *held)

    def _factors(self, window: Window, given: Array | None) -> tuple[Array, Array]:
        """Weight and area of each pixel of a window, as a single row or column if they are all alike."""
        areas = np.ones((1, 1))
        if self.surface is not None:
            areas = np.ascontiguousarray(pixel_areas(*self.surface, window, whole=True))
        if self.weights == "area":
            return areas, areas
        if given is not None:
            return np.ascontiguousarray(np.ma.filled(given.astype(np.float64), np.nan)), areas
        return np.ones((1, 1)), areas

    def _surface(self, window: Window, areas: Array) -> Surface | None:
        """True areas of a window's pixels and of those around it; None if they do not differ or are not requested."""
        if self.surface is None:
            return None
        around = areas_around(*self.surface, window, kernels.MARGIN)
        if around.size == 1:
            return None
        if around.shape[1] > 1:
            known = areas[areas > 0.0]
            # Slivers off the body need some positive area, so that fractions of them can be computed
            areas = np.where(areas > 0.0, areas, known.mean() if known.size else 1.0)
        return around, np.ascontiguousarray(areas)


def _in_lanes(image: Image) -> Image:
    """Widen an image to a multiple of `kernels.LANES` columns, as the closed forms take it."""
    stored, codes, clean, _ = image.pixels
    beside = ((0, 0), (0, -stored.shape[1] % kernels.LANES))
    if not beside[1][1]:
        return image
    wide = image.pixels._replace(stored=np.pad(stored, beside), codes=codes if clean else np.pad(codes, beside))
    return replace(image, pixels=wide)
