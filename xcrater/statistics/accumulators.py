"""How pixels of one tile accumulate, and how the accumulators of several tiles merge."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater import kernels
from xcrater.engine.craters import Craters
from xcrater.engine.drawn import Drawn, Surface
from xcrater.engine.plan import Tile
from xcrater.engine.region_set import RegionSet
from xcrater.errors import StatisticError
from xcrater.geometry.areas import areas_around
from xcrater.geometry.grid import Window
from xcrater.raster.values import classify, kernel_block
from xcrater.statistics.quantiles.counting import Counting
from xcrater.statistics.quantiles.passes import Targets
from xcrater.statistics.quantiles.search import OrderPartial, OrderSearch
from xcrater.statistics.quantiles.sharing import SharedTile
from xcrater.statistics.quantiles.tile_image import Collect, TileImage
from xcrater.table.regions import Annulus

Array = NDArray[Any]


MOMENTS = 12
"""Slots of accumulators with areas and higher moments."""


@dataclass(frozen=True)
class Leaf:
    """One request's leaf: regions over a tile's pixels to a `Partial`.

    Parameters
    ----------
    shapes : RegionSet
        The regions.
    nodata : float or None
        Stored number that stands for no value.
    order : OrderSearch or None
        The search for the order statistics that are wanted, besides the sums.
    weights : str or None
        "area", "given" (then the leaf takes a block of them), or None.
    area, higher : bool
        Whether areas and higher moments are wanted, besides the sums.
    surface : tuple or None
        What `xcrater.geometry.areas.pixel_areas` takes besides a window, where areas are wanted.
    summarise : bool or None
        Whether to sum whole squares of pixels once for all craters; None where it pays.
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
        """Whether there are accumulators with areas and higher moments."""
        return self.area or self.higher

    @property
    def weighted(self) -> bool:
        """Whether accumulators are of weighted pixels."""
        return self.shapes.exact or self.weights is not None

    def start(self, dtype: np.dtype[Any]) -> Array:
        """An accumulator before any pixel."""
        return _start(np.dtype("f8") if self.weighted else dtype)

    def __call__(self, block: Array, tile: Tile, given: Array | None = None) -> Partial:
        """Accumulate one tile."""
        images = [kernel_block(b) for b in block.reshape(math.prod(block.shape[:-2]), *block.shape[-2:])]
        dtype = images[0].dtype if images else block.dtype
        check_kernels(dtype.str)
        if self.shapes.exact:
            check_covered(dtype.str)
        start = self.start(dtype)
        sums = np.empty((len(tile.craters), len(images), len(self.shapes), start.size), start.dtype)
        moments = np.zeros((*sums.shape[:-1], MOMENTS)) if self.more else None
        weights, areas = self._factors(tile.window, given)
        surface = self._surface(tile.window, areas) if self.area and self.shapes.exact else None
        parts = self.shapes.parts()
        found, coded = [], []
        for n, pixels in enumerate(images):
            codes, clean = classify(pixels, self.nodata)
            stored = np.ascontiguousarray(np.ma.getdata(pixels))
            coded.append(_record(stored, codes, clean))
            beside = ((0, 0), (0, -stored.shape[1] % kernels.LANES))
            if beside[1][1]:
                stored, codes = np.pad(stored, beside), codes if clean else np.pad(codes, beside)
            for members, shapes in parts:
                at = (shapes, members, stored, codes, clean, tile, weights, areas)
                if moments is not None and (self.higher or surface is None):
                    self._sum_drawn(*at, _start(moments.dtype, MOMENTS), n, moments)
                if self.weights is not None or not shapes.closed or shapes.in_sectors:
                    self._sum_drawn(*at, start, n, sums)
                else:
                    self._sum_closed(*at, start, n, sums)
            if self.order is not None:
                assert isinstance(tile, SharedTile)
                collect = self._collector(stored, codes, clean, tile, weights)
                image = TileImage(self.order.problem, collect, tile.craters.row, tile.window, n, len(images))
                counting = self._counting(stored, codes, clean, tile, sums[:, n])
                if counting is not None:
                    found.append(self.order.counting_pass(counting, image.rois, tile.spread.count))
                else:
                    most = self._most(sums[:, n])
                    found.append(self.order.first_pass(image, most, tile.spread.count, tile.by_digits))
        if moments is not None and surface is not None:
            for members, shapes in parts:
                self._sum_areas(shapes, members, coded, tile, surface, moments)
        row = tile.craters.row
        return Partial([Sums(row, sums)], [] if moments is None else [Sums(row, moments)], found)

    def next_pass(self, block: Array, tile: Tile, targets: Targets, number: int) -> OrderPartial:
        """Take a tile in a later pass, for order statistics of craters that are too large to ship."""
        assert self.order is not None
        images = [kernel_block(b) for b in block.reshape(math.prod(block.shape[:-2]), *block.shape[-2:])]
        found = []
        for n, pixels in enumerate(images):
            codes, clean = classify(pixels, self.nodata)
            stored = np.ascontiguousarray(np.ma.getdata(pixels))
            collect = self._collector(stored, codes, clean, tile, np.ones((1, 1)))
            image = TileImage(self.order.problem, collect, tile.craters.row, tile.window, n, len(images))
            found.append(self.order.next_pass(image, targets, number))
        return self.order.merge(found, targets)

    def _most(self, sums: Array) -> Array:
        """About how many pixels with values each region has, of its accumulators, shape (craters, regions, slots)."""
        if not self.shapes.exact:
            return sums[..., kernels.PIXELS if self.weighted else kernels.COUNT].astype(np.int64)
        # Those all around are partly covered.
        pixels = sums[..., kernels.PIXELS]
        return (pixels + 8.0 * np.sqrt(pixels) + 16.0).astype(np.int64)

    def _collector(self, stored: Array, codes: Array, clean: bool, tile: Tile, weights: Array) -> Collect:
        """What gives the values of an image's regions."""
        regions = len(self.shapes)
        top, _, left, right = tile.window
        unweighted = self.weights is None and not self.shapes.exact

        def collect(index: Array, rows: tuple[int, int]) -> tuple[Array, Array | None, Array]:
            craters, window = tile.craters.take(index), (*rows, left, right)
            part = slice(rows[0] - top, rows[1] - top)
            block, missing = stored[part], codes if clean else codes[part]
            mass = weights[part] if weights.shape[0] > 1 else weights
            length = np.zeros((index.size, regions), np.int64)
            pieces: list[tuple[Array, Array, Array, Array, int]] = []
            for members, shapes in self.shapes.parts():
                for drawn in shapes.draw(craters, window):
                    size = drawn.pixels() + 1
                    values, masses = np.empty(size, stored.dtype), np.empty(0 if unweighted else size)
                    lengths = np.empty(drawn.offset.shape[:2], np.int64)
                    kernels.collect(
                        _record(block, missing, clean), not unweighted, drawn.record(), window, mass, values, masses,
                        lengths,
                    )  # fmt: skip
                    length[drawn.craters, members] = lengths
                    pieces.append((values, masses, lengths, members, drawn.craters.start))
            return (*_in_order(pieces, length, stored.dtype, unweighted), length)

        return collect

    def _counting(self, stored: Array, codes: Array, clean: bool, tile: Tile, sums: Array) -> Counting | None:
        """What counts the keys of an image's regions, where these are narrow and without weights."""
        if self.weighted or stored.dtype.kind == "f" or stored.dtype.itemsize > 2:
            return None

        def draw(index: Array) -> Iterator[tuple[Array, Drawn]]:
            craters = tile.craters.take(index)
            for members, shapes in self.shapes.parts():
                for drawn in shapes.draw(craters, tile.window):
                    yield members, drawn

        held = (sums[..., slot] for slot in (kernels.COUNT, kernels.LOW, kernels.HIGH))
        return Counting(draw, stored, codes, clean, tile.window, tile.craters.lat, *held)

    def _factors(self, window: Window, given: Array | None) -> tuple[Array, Array]:
        """Weight and area of each pixel of a window, of one row or column where they are all alike."""
        areas = np.ones((1, 1))
        if self.surface is not None:
            from xcrater.geometry.areas import pixel_areas

            areas = np.ascontiguousarray(pixel_areas(*self.surface, window, whole=True))
        if self.weights == "area":
            return areas, areas
        if given is not None:
            return np.ascontiguousarray(np.ma.filled(given.astype(np.float64), np.nan)), areas
        return np.ones((1, 1)), areas

    def _surface(self, window: Window, areas: Array) -> Surface | None:
        """True areas of a window's pixels and of those around it; None where they do not differ or are not wanted."""
        if self.surface is None:
            return None
        around = areas_around(*self.surface, window, kernels.MARGIN)
        if around.size == 1:
            return None
        if around.shape[1] > 1:
            known = areas[areas > 0.0]
            areas = np.where(areas > 0.0, areas, known.mean() if known.size else 1.0)  # of slivers, to tell parts by
        return around, np.ascontiguousarray(areas)

    def _sum_areas(
        self, shapes: RegionSet, members: Array, coded: Sequence[kernels.Pixels], tile: Tile, surface: Surface,
        out: Array,
    ) -> None:  # fmt: skip
        """Areas of all images' regions to ``out``: true areas of the parts of pixels that are covered."""
        for drawn in shapes.draw(tile.craters, tile.window, surface=surface):
            for image, pixels in enumerate(coded):
                sums = kernels.Sums(out[0, 0, 0], image, out)
                kernels.sum_areas(pixels, drawn.record(), tile.window, surface[1], sums, members, drawn.craters.start)

    def _sum_drawn(
        self, shapes: RegionSet, members: Array, stored: Array, codes: Array, clean: bool, tile: Tile, weights: Array,
        areas: Array, start: Array, image: int, out: Array,
    ) -> None:  # fmt: skip
        """Accumulators of an image to ``out[:, image]``, run by run."""
        pixels, sums = _record(stored, codes, clean), kernels.Sums(start, image, out)
        weighted = self.weighted or out.shape[-1] == MOMENTS
        for drawn in shapes.draw(tile.craters, tile.window):
            if not kernels.sum_runs(
                pixels, weighted, drawn.record(), tile.window, weights, areas, sums, members, drawn.craters.start
            ):
                raise StatisticError(
                    "received weights that are negative, infinite or not numbers, on pixels with values inside a "
                    "region; expected numbers from 0 on: weights=weights.fillna(0).clip(min=0)"
                )

    def _sum_closed(
        self, shapes: RegionSet, members: Array, stored: Array, codes: Array, clean: bool, tile: Tile, weights: Array,
        areas: Array, start: Array, image: int, out: Array,
    ) -> None:  # fmt: skip
        """Accumulators of an image to ``out[:, image]``, of regions with a closed form."""
        accumulate = self._accumulate_covered if shapes.exact else self._accumulate
        near = tile.craters.near
        if near is None:
            accumulate(shapes, members, stored, codes, clean, tile, start, image, out)
            return
        alone = np.diff(near.offset) == 0  # the others are drawn
        for some in (np.flatnonzero(alone), np.flatnonzero(~alone)):
            if not some.size:
                continue
            part = replace(tile, craters=tile.craters.take(some))
            sums = np.empty((some.size, *out.shape[1:]), out.dtype)
            if part.craters.near is None:
                accumulate(shapes, members, stored, codes, clean, part, start, image, sums)
            else:
                self._sum_drawn(shapes, members, stored, codes, clean, part, weights, areas, start, image, sums)
            out[some[:, None], image, members] = sums[:, image, members]

    def _accumulate_covered(
        self, shapes: RegionSet, members: Array, stored: Array, codes: Array, clean: bool, tile: Tile, start: Array,
        image: int, out: Array,
    ) -> None:  # fmt: skip
        """Accumulators of an image to ``out[:, image]``, pixels by the fraction covered."""
        craters, window = tile.craters, tile.window
        pixels, sums = _record(stored, codes, clean), kernels.Sums(start, image, out)
        caps = kernels.Caps(craters.u0, craters.lat, craters.radius)
        plain = _start(stored.dtype)
        squares = self._squares(pixels, tile, plain)
        order = np.argsort(craters.lat * shapes.grid.lat_step, kind="stable")
        for group in shapes.groups():
            chosen = members[group.members]
            scratch = kernels.covered_scratch(window, group.nvert, group.edges.size, plain.dtype)
            nest = kernels.Nest(group.edges, group.modes, group.outer, group.inner, chosen, group.nvert)
            left_out = np.empty(order.size, np.int64)
            number = kernels.accumulate_covered(
                pixels, squares, order, caps, nest, shapes.grid, window, scratch, plain, sums, left_out
            )
            if number:
                rest = np.sort(left_out[:number])
                part = Tile(tile.index, window, craters.take(rest))
                rest_sums = np.empty((number, *out.shape[1:]))
                self._sum_drawn(
                    shapes, members, stored, codes, clean, part, *self._factors(window, None), start, image, rest_sums
                )
                out[rest[:, None], image, chosen] = rest_sums[:, image, chosen]

    def _accumulate(
        self, shapes: RegionSet, members: Array, stored: Array, codes: Array, clean: bool, tile: Tile, start: Array,
        image: int, out: Array,
    ) -> None:  # fmt: skip
        """Accumulators of an image to ``out[:, image]``."""
        craters = tile.craters
        groups = shapes.groups()
        pixels, sums = _record(stored, codes, clean), kernels.Sums(start, image, out)
        caps = kernels.Caps(craters.u0, craters.lat, craters.radius)
        squares = self._squares(pixels, tile, start)
        scratch = kernels.span_scratch(
            tile.window, shapes.grid, int(shapes.vertices.max()), shapes.mode,
            max(g.edges.size for g in groups), max(g.members.size for g in groups),
        )  # fmt: skip
        order = np.argsort(craters.lat * shapes.grid.lat_step, kind="stable")
        for group in groups:
            held = np.empty((group.edges.size + group.members.size, start.size), start.dtype)
            chosen = members[group.members]
            nest = kernels.Nest(group.edges, group.modes, group.outer, group.inner, chosen, group.nvert)
            kernels.accumulate(pixels, squares, order, caps, nest, shapes.grid, tile.window, scratch, held, sums)

    def _squares(self, pixels: kernels.Pixels, tile: Tile, start: Array) -> Array:
        """Accumulators of whole squares of pixels, or none where they would not pay."""
        stored, wanted = pixels.stored, self.summarise
        if wanted is None:
            # It pays once wide regions would visit more pixels than there are.
            columns = self.shapes.bounds[1].max() * tile.craters.radius * self.shapes.grid.period / np.pi
            wide = columns[columns > 4 * kernels.LANES]
            wanted = bool(np.minimum(wide**2, stored.size).sum() > 2 * stored.size)
        count = (stored.shape[0] // kernels.LANES) * (stored.shape[1] // kernels.LANES) if wanted else 0
        squares = np.empty((count, start.size), start.dtype)
        if count:
            kernels.summarise(pixels, start, np.empty((2, 2, kernels.LANES), np.int16), squares)
        return squares


def _record(stored: Array, codes: Array, clean: bool) -> kernels.Pixels:
    """An image as kernels take it."""
    return kernels.Pixels(stored, codes, clean, None if stored.dtype.kind == "f" else True)


def _in_order(
    pieces: Sequence[tuple[Array, Array, Array, Array, int]], length: Array, dtype: np.dtype[Any], unweighted: bool
) -> tuple[Array, Array | None]:
    """Values and weights crater by crater and region by region, from pieces of some craters and some regions.

    A piece has values, weights, their numbers of shape (craters, regions), the regions and the first crater.
    """
    if len(pieces) == 1 and pieces[0][3].size == length.shape[1]:
        values, masses, lengths, _, _ = pieces[0]
        end = int(lengths.sum())
        return values[:end], None if unweighted else masses[:end]
    start = (np.cumsum(length) - length.ravel()).reshape(length.shape)
    out = np.empty(int(length.sum()), dtype)
    mass = None if unweighted else np.empty(out.size)
    for values, masses, lengths, members, first in pieces:
        of = lengths.ravel()
        end = int(of.sum())
        begin = np.cumsum(of) - of
        to = start[first : first + len(lengths), members].ravel()
        at = np.repeat(to - begin, of) + np.arange(end)
        out[at] = values[:end]
        if mass is not None:
            mass[at] = masses[:end]
    return out, mass


@cache
def check_kernels(dtype: str) -> None:
    """Try the kernels of a dtype, which may come from a file, on pixels whose sums are known; once in a process.

    Raises
    ------
    RuntimeError
        They give other sums.
    """
    size, side, top = (160, 256), 0.25, 20.0
    row, column = np.indices(size)
    pixels = ((7 * row + 3 * column) % 101).astype(dtype)
    lon, lat, angle = 31.91, 0.43, 10.0
    north, east = np.radians(top - side * (row + 0.5)), np.radians(side * (column + 0.5) - lon)
    up, both = np.sin((north - np.radians(lat)) / 2) ** 2, np.cos(north) * math.cos(math.radians(lat))
    distance = np.degrees(2 * np.arcsin(np.sqrt(up + both * np.sin(east / 2) ** 2))) / angle
    rows = kernels.Rows(math.radians(top), math.radians(-side), 360 / side)
    shapes = RegionSet((Annulus(0, 1, None), Annulus(0.7, 1.8, None)), "center", rows)
    craters = Craters(np.zeros(1, np.int32), np.array([lon / side]), np.radians([lat]), np.radians([angle]))
    tile = Tile((0, 0), (0, size[0], 0, size[1]), craters)
    start = _start(pixels.dtype)
    out = np.empty((1, 1, 2, start.size), start.dtype)
    leaf = Leaf(shapes, None, summarise=True)
    leaf._accumulate(shapes, np.arange(2), pixels, np.empty((1, 1), np.uint8), True, tile, start, 0, out)
    for k, held in enumerate(out[0, 0]):
        inside = pixels[(shapes.bounds[0, k] < distance) & (distance < shapes.bounds[1, k])].astype(np.int64)
        wanted = [inside.size, inside.sum(), inside.min(), inside.max(), inside.size * inside.var()]
        found = [held[slot] for slot in (kernels.COUNT, kernels.TOTAL, kernels.LOW, kernels.HIGH)]
        square = held[kernels.SQ_HIGH]
        if start.dtype.kind != "f":
            square = square * 2**32 + held[kernels.SQ_LOW] - inside.sum() ** 2 / inside.size
        if found != wanted[:4] or not math.isclose(square, wanted[4], rel_tol=1e-9):
            raise RuntimeError(
                f"the compiled kernels give wrong numbers ({[*found, square]} for {wanted}); expected those of a file "
                f"in {kernels.cache_directory()} to be sound: delete that directory and start again"
            )


@cache
def check_covered(dtype: str) -> None:
    """Try the kernels that count pixels by the fraction covered: a disc's pixels sum to its area; once in a process.

    Raises
    ------
    RuntimeError
        They do not.
    """
    size, side, top, lat, rho = (160, 256), 0.25, 20.0, math.radians(0.43), math.radians(10.0)
    rows = kernels.Rows(math.radians(top), math.radians(-side), 360 / side)
    shapes = RegionSet((Annulus(0, 1, None),), "exact", rows)
    craters = Craters(np.zeros(1, np.int32), np.array([127.64]), np.array([lat]), np.array([rho]))
    leaf = Leaf(shapes, None)
    out = np.empty((1, 1, 1, 8))
    tile = Tile((0, 0), (0, size[0], 0, size[1]), craters)
    pixels = np.full(size, 7, dtype)
    at = (shapes, np.arange(1), pixels, np.empty((1, 1), np.uint8), True, tile)
    leaf._accumulate_covered(*at, leaf.start(pixels.dtype), 0, out)
    # The integral of the width over latitude, by the substitution that makes it smooth.
    nodes, weights = np.polynomial.legendre.leggauss(64)
    angle = np.pi / 2 * nodes
    north = lat + rho * np.sin(angle)
    up = np.sin((rho - (north - lat)) / 2) * np.sin((rho + (north - lat)) / 2)
    width = 4 * np.arcsin(np.sqrt(up / (np.cos(north) * math.cos(lat))))
    area = float((weights * width * rho * np.cos(angle)).sum() * np.pi / 2 / math.radians(side) ** 2)
    found = [float(out[0, 0, 0, slot]) for slot in (kernels.COUNT, kernels.TOTAL, kernels.SQ_HIGH)]
    if not np.allclose(found, [area, 7 * area, 0.0], rtol=1e-9, atol=1e-9):
        raise RuntimeError(
            f"the compiled kernels give wrong numbers ({found} for {[area, 7 * area, 0.0]}); expected those of a file "
            f"in {kernels.cache_directory()} to be sound: delete that directory and start again"
        )


@dataclass(frozen=True, eq=False)
class Sums:
    """Accumulators of some craters.

    Parameters
    ----------
    row : ndarray of int32, shape (n,)
        Their positions in the table, ascending.
    sums : ndarray, shape (n, lead, region, slots)
        Their accumulators, as kernels lay them out.
    """

    row: NDArray[np.int32]
    sums: Array


@dataclass(frozen=True, eq=False)
class Partial:
    """What some tiles found, in the order of the tiles.

    Parameters
    ----------
    sums : list of Sums
        Accumulators; a crater may be in several.
    moments : list of Sums
        Accumulators with areas and higher moments besides, of weighted pixels; none where these are not wanted.
    found : list of OrderPartial
        Towards order statistics.
    """

    sums: list[Sums] = field(default_factory=list)
    moments: list[Sums] = field(default_factory=list)
    found: list[OrderPartial] = field(default_factory=list)


def _start(dtype: np.dtype[Any], slots: int = 8) -> Array:
    """An accumulator before any pixel."""
    floats = dtype.kind == "f"
    start: Array = np.zeros(slots, np.float64 if floats else np.int64)
    start[kernels.LOW] = np.inf if floats else np.iinfo(np.int64).max
    start[kernels.HIGH] = -np.inf if floats else np.iinfo(np.int64).min
    return start


def merge(partials: Sequence[Partial], order: OrderSearch | None = None) -> Partial:
    """Merge partial results in the order given.

    Most craters lie on one tile: their accumulators are passed on as they are, rather than copied from level to
    level, until as many are of craters that were there before.
    """
    found = [] if order is None else [order.merge([f for p in partials for f in p.found])]
    sums, moments = ([s for p in partials for s in getattr(p, name)] for name in ("sums", "moments"))
    return Partial(_merge_sums(sums), _merge_sums(moments), found)


def _merge_sums(sums: Sequence[Sums]) -> list[Sums]:
    sums = [s for s in sums if s.row.size]
    if len(sums) < 2:
        return sums
    present = np.zeros(max(int(s.row[-1]) for s in sums) + 1, bool)
    for s in sums:
        present[s.row] = True
    row = np.flatnonzero(present).astype(np.int32)
    return sums if sum(s.row.size for s in sums) < 2 * row.size else [Sums(row, _add_up(sums, row))]


def _add_up(pieces: Sequence[Sums], row: Array) -> Array:
    """Accumulators of the craters in ``row``, ascending, which has all that the pieces have."""
    like = pieces[0].sums
    out = np.empty((row.size, like.shape[1] * like.shape[2], like.shape[3]), like.dtype)
    out[:] = _start(like.dtype, like.shape[3])
    exact = None if like.dtype.kind == "f" else True
    together = row.size and row[-1] - row[0] + 1 == row.size
    for piece in pieces:
        place = piece.row - row[0] if together else np.searchsorted(row, piece.row)
        kernels.merge_sums(exact, piece.sums.reshape(-1, *out.shape[1:]), place, out)
    return out.reshape(-1, *like.shape[1:])


def targets(order: OrderSearch, found: Partial | OrderPartial) -> Targets:
    """What the next pass over tiles needs to know."""
    return order.targets(found.found[0] if isinstance(found, Partial) else found)


def with_targets(order: OrderSearch, partial: Partial, last: Targets) -> Partial:
    """The merged result of the first pass, completed by the targets of the last one."""
    return Partial(partial.sums, partial.moments, [order.finish(partial.found[0], last)])
