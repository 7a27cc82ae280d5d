"""What happens to one tile, and to the results of several: the functions that tasks call.

They import numba when they are called, so a scheduler that only unpickles them loads no compiler.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xcrater import places
from xcrater.aggregations import Aggregation
from xcrater.counting import Counting
from xcrater.errors import GridError, StatisticError
from xcrater.grid import Grid, Window
from xcrater.order import Collect, Found, Order, Table, Targets
from xcrater.outlines import Frame, Outlines
from xcrater.plan import Craters, Tile

if TYPE_CHECKING:
    from xcrater.neighbours import Neighbours

Array = NDArray[Any]
Surface = tuple[NDArray[np.float64], NDArray[np.float64]]
"""True areas of a window's pixels and of those around it, and as they count; see `polygon_scratch`."""

_KERNEL_DTYPE = {"b1": "u1", "i1": "i2", "u4": "i8", "u8": "i8", "f2": "f4", "f12": "f8", "f16": "f8"}
"""Dtypes that kernels are not compiled for, and what stands in for them."""


MODES = {"center": 0, "all_touched": 1, "exact": 3}
"""Coverage rules as `xcrater.spans` numbers them."""

ROOM = 2**18
"""Runs that are drawn at once, unless one crater needs more."""

SECTOR_ROOM, PIXELS = 2**14, 2**18
"""Runs that are drawn at once where their pixels are told apart, and pixels that are placed at once."""

MOMENTS = 12
"""Slots of accumulators with areas and higher moments."""

OUTLINED, SHAPES = 2**12, 2**10
"""Craters whose outlines are traced at once, and regions that are kept at once as shapes in the plane."""


@dataclass(frozen=True)
class Shapes:
    """The regions of one request, and what places them on a grid.

    Parameters
    ----------
    inner, outer : tuple of float
        Bounds in crater radii.
    nvert : tuple of int
        Vertices of each region's polygons; 0 for true circles.
    coverage : {"all_touched", "center", "exact"}
        Which pixels belong to a region.
    grid : tuple of float
        `Grid.radians`.
    table : tuple of int
        Which of the craters' tables of polygons each region is, -1 for a disc or ring; empty for none but these.
    closed : bool
        Whether discs have a closed form on the grid.
    frame : Frame or None
        What traces the outlines of regions that have none, and of all for areas, and knows where pixels lie.
    sector : tuple of (tuple of float or None)
        Azimuths between which each region lies, degrees; None for all of its ring. Empty for none but these.
    """

    inner: tuple[float, ...]
    outer: tuple[float, ...]
    nvert: tuple[int, ...]
    coverage: str
    grid: tuple[float, float, float]
    table: tuple[int, ...] = ()
    closed: bool = True
    frame: Frame | None = None
    sector: tuple[tuple[float, float] | None, ...] = ()

    def of(self, regions: Sequence[int]) -> Shapes:
        """Some of the regions."""
        return replace(
            self,
            inner=tuple(self.inner[k] for k in regions),
            outer=tuple(self.outer[k] for k in regions),
            nvert=tuple(self.nvert[k] for k in regions),
            table=tuple(self.table[k] for k in regions) if self.table else (),
            sector=tuple(self.sector[k] for k in regions) if self.sector else (),
        )

    def parts(self) -> list[tuple[Array, Shapes]]:
        """Regions with a closed form, and those drawn by their outlines: their positions, and they alone."""
        drawn = [not self.closed or (bool(self.table) and self.table[k] >= 0) for k in range(len(self.outer))]
        members = [[k for k, is_drawn in enumerate(drawn) if is_drawn == kind] for kind in (False, True)]
        return [(np.array(some), replace(self.of(some), closed=not kind)) for kind, some in enumerate(members) if some]

    @property
    def mode(self) -> int:
        """The coverage rule's number."""
        return MODES[self.coverage]

    @property
    def exact(self) -> bool:
        """Whether pixels count by the fraction covered."""
        return self.coverage == "exact"

    def draw(
        self, craters: Craters, window: Window, most: int = ROOM, surface: Surface | None = None
    ) -> Iterator[Drawn]:
        """Runs of every region of some craters within a window, as many craters at once as there is room for.

        All regions have a closed form, or none has: see `parts`. With a surface, fractions covered are those of the
        pixels' true areas.
        """
        if self.sector:
            return self._draw_sectors(craters, window, surface)
        if self.closed and surface is None:
            drawn = self._draw_discs(craters, window, most)
        else:
            drawn = self._draw_outlines(craters, window, most, surface)
        return drawn if craters.near is None else self._leave_out(drawn, craters.near, window)

    def _leave_out(self, drawn: Iterable[Drawn], near: Neighbours, window: Window) -> Iterator[Drawn]:
        """What is drawn, without the pixels whose centres lie in the discs of the craters' neighbours."""
        from xcrater import kernels

        # Regions drawn by their outlines, such as polygons, may lie on a grid where discs have a closed form.
        closed = self.frame is None or (self.frame.sphere and not self.frame.crs)
        disc = Shapes((0.0,), (1.0,), (0,), "center", self.grid, closed=closed, frame=self.frame)
        begin, depth = np.empty(window[1] - window[0] + 1, np.int64), np.zeros(window[3] - window[2] + 1, np.int64)
        for some in drawn:
            here = near.take(some.craters)
            if here is None:
                yield some
                continue
            pieces = [(piece.runs, piece.offset[:, 0]) for piece in disc.draw(here.discs, window)]
            ends = [int(offset[-1, 1]) for _, offset in pieces]
            holes = np.concatenate([runs[:, :end] for (runs, _), end in zip(pieces, ends, strict=True)], axis=1)
            before = np.cumsum([0, *ends[:-1]])
            hole = np.concatenate([offset + n for (_, offset), n in zip(pieces, before, strict=True)])
            count, room, first = len(some.offset), min(ROOM, 2**12 * len(some.offset)), 0
            while first < count:
                runs, weight, cuts = np.empty((3, room), np.int64), np.empty(room), np.empty((2, room), np.int64)
                offset = np.empty(some.offset.shape, np.int64)
                stop = kernels.leave_out(
                    first, some.runs, some.weight, some.offset, holes, hole, here.offset, here.member, window, begin,
                    depth, cuts, runs, weight, offset,
                )  # fmt: skip
                if stop > first:
                    at = some.craters.start
                    yield Drawn(slice(at + first, at + stop), runs, weight, offset[first:stop])
                else:
                    room *= 4
                first = stop

    def _rings(self) -> tuple[list[int], list[tuple[float, float]]]:
        """Which regions begin a ring, the others being more sectors of it; and the azimuths that bound each."""
        bounds = [sector or (0.0, 360.0) for sector in self.sector or (None,) * len(self.outer)]
        rings = list(zip(self.inner, self.outer, self.nvert, self.table or (-1,) * len(bounds), strict=True))
        parts = [k > 0 and rings[k] == rings[k - 1] and bounds[k][0] >= bounds[k - 1][1] for k in range(len(rings))]
        return [k for k, part in enumerate(parts) if not part], bounds

    @property
    def layers(self) -> int:
        """At most so many of the regions that one pixel belongs to."""
        first, _ = self._rings()
        if self.coverage != "center" or len(set(self.nvert)) > 1 or self.table:
            return len(first)  # pixels on a bound belong to both sides of it, how ever many bounds there are
        inner, outer = np.array(self.inner)[first], np.array(self.outer)[first]
        return int(((inner <= inner[:, None]) & (inner[:, None] < outer)).sum(axis=1).max())

    def _draw_sectors(self, craters: Craters, window: Window, surface: Surface | None) -> Iterator[Drawn]:
        """Each ring is drawn once, and its runs are shared out among its sectors."""
        from xcrater import kernels

        first, bounds = self._rings()
        edges = np.unique(bounds)
        low, high = np.searchsorted(edges, bounds).T
        for drawn in replace(self.of(first), sector=()).draw(craters, window, SECTOR_ROOM, surface):
            drawn = drawn.in_order()
            count = drawn.weight.size
            begin = np.concatenate([[0], np.cumsum(drawn.runs[2] - drawn.runs[1])])
            number = self._sectors(drawn, craters.take(drawn.craters), begin, edges, window)
            room = count + np.count_nonzero(number[1:] != number[:-1])
            runs, weight, pieces = np.empty((3, room), np.int64), np.empty(room), np.empty((4, room), np.int64)
            offset = np.empty((len(drawn.offset), len(bounds), 2), np.int64)
            kernels.split_runs(
                drawn.runs, drawn.weight, drawn.offset, begin, number, np.array([*first, len(bounds)]), low, high,
                pieces, runs, weight, offset,
            )  # fmt: skip
            yield Drawn(drawn.craters, runs, weight, offset)

    def _sectors(self, drawn: Drawn, craters: Craters, begin: Array, edges: Array, window: Window) -> Array:
        """For every pixel of runs, the last of the edges that is not beyond its centre's azimuth; -1 where all are.

        Centres that are not on the body have the last edge of all, so that they are in no sector.
        """
        from xcrater import kernels

        assert self.frame is not None
        number = np.empty(begin[-1], np.int16)
        if self.closed:
            east = math.copysign(2 * math.pi / self.grid[2], self.frame.columns[1])
            across = np.empty((2, window[3] - window[2]))
            at = (craters.u0, craters.lat, self.grid, east, window, compass(edges), across)
            kernels.number_sectors(drawn.runs, drawn.offset, *at, number)
            return number
        # As places.seen_from has it; there is no shorter way on any other projection.
        grid = Grid(self.frame.shape, 0.0, 1.0, 0.0, 1.0, (), (), self.frame)
        craters = replace(craters, polygons=(), near=None)
        crater = np.repeat(np.arange(len(drawn.offset)), np.diff(drawn.offset, axis=2).sum(axis=(1, 2)))
        cuts = np.unique([*np.searchsorted(begin, np.arange(0, begin[-1], PIXELS)), begin.size - 1])
        for first, stop in itertools.pairwise(cuts.tolist()):
            length = np.diff(begin[first : stop + 1])
            nth = np.arange(begin[first], begin[stop]) - np.repeat(begin[first:stop], length)
            u, v = np.repeat(drawn.runs[1, first:stop], length) + nth, np.repeat(drawn.runs[0, first:stop], length)
            seen = craters.take(np.repeat(crater[first:stop], length))
            _, azimuth = places.seen_from(grid, seen, *places.lonlat(grid, u + 0.5, v + 0.5))
            number[begin[first] : begin[stop]] = np.searchsorted(edges, azimuth, "right") - 1
        return number

    def _draw_discs(self, craters: Craters, window: Window, most: int) -> Iterator[Drawn]:
        from xcrater import kernels
        from xcrater.cover import cover_scratch
        from xcrater.spans import scratch

        inner, outer, nvert = np.array(self.inner), np.array(self.outer), np.array(self.nvert, dtype=np.int64)
        buffers = scratch(window, self.grid, max(self.nvert), self.mode)
        covered = cover_scratch(window, self.grid, max(self.nvert) if self.exact else 0)
        room = min(most, 2**12 * len(craters))
        first = 0
        while first < len(craters):
            runs, weight = np.empty((3, room), np.int64), np.empty(room)
            offset = np.zeros((len(craters), inner.size, 2), np.int64)
            stop = kernels.draw_discs(
                first, craters.u0, craters.lat, craters.radius, inner, outer, nvert, self.mode, self.grid, window,
                buffers, covered, runs, weight, offset,
            )  # fmt: skip
            if stop > first:
                yield Drawn(slice(first, stop), runs, weight, offset[first:stop])
            else:
                room *= 4
            first = stop

    def outlines(self, craters: Craters, finely: Sequence[Array | None] = ()) -> list[Outlines]:
        """Outlines of every region, one shape per crater in each; some may be drawn more finely."""
        assert self.frame is not None
        table = self.table or (-1,) * len(self.outer)
        return [
            self.frame.outlines(craters, inner, outer, nvert, fine)
            if t < 0
            else self.frame.polygons(craters.polygons[t], fine)
            for inner, outer, nvert, t, fine in zip(
                self.inner, self.outer, self.nvert, table, finely or [None] * len(table), strict=True
            )
        ]

    def shape_of(self, craters: Craters, i: int, k: int) -> Any:
        """One region of a crater as a geometry in the plane of the frame."""
        assert self.frame is not None
        if self.table and self.table[k] >= 0:
            return self.frame.shape_of_polygon(craters.polygons[self.table[k]], i)
        return self.frame.shape_of(craters, i, self.inner[k], self.outer[k], self.nvert[k])

    def _draw_outlines(self, craters: Craters, window: Window, most: int, surface: Surface | None) -> Iterator[Drawn]:
        from xcrater import kernels
        from xcrater.polygons import MARGIN, polygon_scratch

        bends = None if surface is None or surface[0].shape[1] == 1 else _bends(surface[0])
        for start in range(0, len(craters), OUTLINED):
            some = craters.take(np.arange(start, min(start + OUTLINED, len(craters))))
            outlines = self.outlines(some)
            finely = [_meets(bends, window, o) for o in outlines] if bends is not None else []
            if any(fine.any() for fine in finely):
                outlines = self.outlines(some, finely)
            rooms = np.zeros((len(outlines[0]), 2), np.int64)
            for o in outlines:
                kernels.outline_rooms(o.u, o.v, o.ring, o.shape, o.period, window, rooms)
            scratch = polygon_scratch(window, int(rooms[:, 0].max()), surface)
            assert self.frame is not None
            shown = self.frame.shown(*window[:2])
            if surface is not None and surface[0].shape[1] == 1:  # of the others, shares are of what is on the body
                shown = np.where(np.isnan(surface[0][MARGIN:-MARGIN, 0]), shown, 1.0)
            ends = np.cumsum(rooms[:, 1])
            first = 0
            while first < len(rooms):
                before = ends[first] - rooms[first, 1]
                stop = max(first + 1, int(np.searchsorted(ends, before + most, "right")))
                room = int(ends[stop - 1] - before)
                runs, weight = np.empty((3, room), np.int64), np.empty(room)
                offset = np.empty((stop - first, len(outlines), 2), np.int64)
                n = 0
                for k, o in enumerate(outlines):
                    n = kernels.draw_outlines(
                        o.u, o.v, o.ring, o.shape, first, stop, self.mode, o.period, window, scratch, runs, weight, n,
                        k, offset,
                    )  # fmt: skip
                if self.exact and shown.min(initial=1.0) < 1.0:  # of a row across a pole, what is on the body is all
                    part = shown[runs[0, :n] - window[0]]
                    weight[:n] = np.minimum(weight[:n] / np.where(part > 0, part, 1.0), 1.0)
                if surface is not None and bends is not None:
                    self._measure(some.take(np.arange(first, stop)), runs[:, :n], weight[:n], offset, window, surface)
                yield Drawn(slice(start + first, start + stop), runs, weight, offset)
                first = stop

    def _measure(
        self, craters: Craters, runs: Array, weight: Array, offset: Array, window: Window,
        surface: Surface,
    ) -> None:  # fmt: skip
        """Set the shares of true areas of partly covered pixels where these are not smooth."""
        from xcrater.parts import true_parts
        from xcrater.polygons import MARGIN

        around, areas = surface
        smooth = np.isfinite(around[MARGIN - 1 :, MARGIN - 1 :])
        row, column = runs[0] - window[0], runs[1] - window[2]
        near = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))  # what the kernel takes the shape of areas from
        known = np.logical_and.reduce([smooth[row + i, column + j] for i, j in near])
        partly = np.flatnonzero((weight < 1.0) & ~known)
        if not partly.size:
            return
        begins, stops = offset.reshape(-1, 2).T
        order = np.argsort(begins, kind="stable")
        order = order[stops[order] > begins[order]]
        of, which = np.unique(order[np.searchsorted(begins[order], partly, "right") - 1], return_inverse=True)
        assert self.frame is not None
        for first in range(0, of.size, SHAPES):
            shapes = [self.shape_of(craters, *divmod(k, offset.shape[1])) for k in of[first : first + SHAPES].tolist()]
            some = np.flatnonzero((which >= first) & (which < first + SHAPES))
            at = partly[some]
            parts = true_parts(self.frame, shapes, which[some] - first, runs[1, at], runs[0, at])
            shown = np.isfinite(parts)
            weight[at[shown]] = (parts / areas[row[at], column[at]])[shown]

    def groups(self) -> list[Group]:
        """Regions whose discs are nested in one another: those of one number of vertices."""
        from xcrater.spans import CENTER, CONTAINED, TOUCHED

        # What covers pixels by fractions has one disc to a radius, whatever it bounds.
        outer_mode, inner_mode = (TOUCHED, CONTAINED) if self.coverage == "all_touched" else (CENTER, CENTER)
        groups = []
        for nvert in dict.fromkeys(self.nvert):
            members = [k for k, n in enumerate(self.nvert) if n == nvert]
            # Of two discs of one radius, the one that takes fewer pixels lies within the other.
            rank = {inner_mode: 0, outer_mode: 1}
            discs = {(self.outer[k], outer_mode) for k in members}
            discs |= {(self.inner[k], inner_mode) for k in members if self.inner[k] > 0}
            order = sorted(discs, key=lambda disc: (disc[0], rank[disc[1]]))
            groups.append(
                Group(
                    members=np.array(members),
                    edges=np.array([radius for radius, _ in order]),
                    modes=np.array([mode for _, mode in order]),
                    outer=np.array([order.index((self.outer[k], outer_mode)) for k in members]),
                    inner=np.array(
                        [order.index((self.inner[k], inner_mode)) if self.inner[k] > 0 else -1 for k in members]
                    ),
                    nvert=nvert,
                )
            )
        return groups


@dataclass(frozen=True, eq=False)
class Drawn:
    """Regions of some craters as runs of pixels within a window.

    Parameters
    ----------
    craters : slice
        Which of the craters.
    runs : ndarray of int64, shape (3, n)
        (row, start, stop), rows ascending and columns ascending within a row, region after region.
    weight : ndarray, shape (n,)
        Fraction covered of each pixel of a run; or what is covered of its true area, as part of the one it counts.
    offset : ndarray of int64, shape (craters, regions, 2)
        Where each region's runs begin and end.
    """

    craters: slice
    runs: Array
    weight: Array
    offset: Array

    def in_order(self) -> Drawn:
        """The same runs, and no others, crater by crater and region by region."""
        sizes = np.diff(self.offset, axis=2).ravel()
        ends = np.cumsum(sizes)
        offset = np.stack([ends - sizes, ends], axis=1).reshape(self.offset.shape)
        if (offset == self.offset)[..., 0].all():
            return replace(self, runs=self.runs[:, : offset[-1, -1, 1]], weight=self.weight[: offset[-1, -1, 1]])
        at = np.repeat((self.offset - offset)[..., 0].ravel(), sizes) + np.arange(sizes.sum())
        return Drawn(self.craters, self.runs[:, at], self.weight[at], offset)

    def pixels(self) -> int:
        """How many pixels all regions have, those of several counted for each."""
        total = np.concatenate([[0], np.cumsum(self.runs[2] - self.runs[1])]) if self.offset.size else np.zeros(1, int)
        return int((total[self.offset[..., 1]] - total[self.offset[..., 0]]).sum())


@dataclass(frozen=True, eq=False)
class Group:
    """Regions cut from one nest of discs.

    Parameters
    ----------
    members : ndarray, shape (k,)
        Positions of the regions in the request.
    edges, modes : ndarray, shape (e,)
        Radius in crater radii and rounding rule of each disc, innermost first.
    outer, inner : ndarray, shape (k,)
        Discs that bound each region; -1 for no hole.
    nvert : int
        Vertices of the discs' polygons; 0 for true circles.
    """

    members: Array
    edges: Array
    modes: Array
    outer: Array
    inner: Array
    nvert: int


@dataclass(frozen=True)
class Leaf:
    """One request's leaf: regions over a tile's pixels to a `Partial`.

    Parameters
    ----------
    shapes : Shapes
        The regions.
    nodata : float or None
        Stored number that stands for no value.
    order : Order or None
        The order statistics that are wanted, besides the sums.
    weights : str or None
        "area", "given" (then the leaf takes a block of them), or None.
    area, higher : bool
        Whether areas and higher moments are wanted, besides the sums.
    surface : tuple or None
        What `xcrater.areas.pixel_areas` takes besides a window, where areas are wanted.
    summarise : bool or None
        Whether to sum whole squares of pixels once for all craters; None where it pays.
    """

    shapes: Shapes
    nodata: float | int | None
    order: Order | None = None
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
        from xcrater.vectors import LANES

        images = [kernel_block(b) for b in block.reshape(math.prod(block.shape[:-2]), *block.shape[-2:])]
        dtype = images[0].dtype if images else block.dtype
        check_kernels(dtype.str)
        if self.shapes.exact:
            check_covered(dtype.str)
        start = self.start(dtype)
        sums = np.empty((len(tile.craters), len(images), len(self.shapes.outer), start.size), start.dtype)
        moments = np.zeros((*sums.shape[:-1], MOMENTS)) if self.more else None
        weights, areas = self._factors(tile.window, given)
        surface = self._surface(tile.window, areas) if self.area and self.shapes.exact else None
        parts = self.shapes.parts()
        found, coded = [], []
        for n, pixels in enumerate(images):
            codes, clean = classify(pixels, self.nodata)
            coded.append((codes, clean))
            stored = np.ascontiguousarray(np.ma.getdata(pixels))
            beside = ((0, 0), (0, -stored.shape[1] % LANES))
            if beside[1][1]:
                stored, codes = np.pad(stored, beside), codes if clean else np.pad(codes, beside)
            for members, shapes in parts:
                at = (shapes, members, stored, codes, clean, tile, weights, areas)
                if moments is not None and (self.higher or surface is None):
                    self._sum_drawn(*at, _start(moments.dtype, MOMENTS), n, moments)
                if self.weights is not None or not shapes.closed or shapes.sector:
                    self._sum_drawn(*at, start, n, sums)
                else:
                    self._sum_closed(*at, start, n, sums)
            if self.order is not None:
                assert tile.share is not None
                counts = self._most(sums[:, n])
                collect = self._collector(stored, codes, clean, tile, weights, counts)
                counting = self._counting(stored, codes, clean, tile, sums[:, n])
                craters = tile.craters.row
                found.append(
                    self.order.find(collect, counts, craters, tile.share, tile.window, n, len(images), counting)
                )
        if moments is not None and surface is not None:
            for members, shapes in parts:
                self._sum_areas(shapes, members, coded, tile, surface, moments)
        row = tile.craters.row
        return Partial([Sums(row, sums)], [] if moments is None else [Sums(row, moments)], found)

    def look(self, block: Array, tile: Tile, before: Targets, look: int) -> Found:
        """Another look at a tile, for order statistics of what is too large to ship."""
        assert self.order is not None
        images = [kernel_block(b) for b in block.reshape(math.prod(block.shape[:-2]), *block.shape[-2:])]
        found = []
        for n, pixels in enumerate(images):
            codes, clean = classify(pixels, self.nodata)
            stored = np.ascontiguousarray(np.ma.getdata(pixels))
            collect = self._collector(stored, codes, clean, tile, np.ones((1, 1)), None)
            found.append(self.order.look(collect, tile.craters.row, tile.window, before, look, n, len(images)))
        return self.order.merge(found, before)

    def _most(self, sums: Array) -> Array:
        """About how many pixels with values each region has, of its accumulators, shape (craters, regions, slots)."""
        from xcrater import kernels

        if not self.shapes.exact:
            return sums[..., kernels.PIXELS if self.weighted else kernels.COUNT].astype(np.int64)
        # Those all around are partly covered.
        pixels = sums[..., kernels.PIXELS]
        return (pixels + 8.0 * np.sqrt(pixels) + 16.0).astype(np.int64)

    def _collector(
        self, stored: Array, codes: Array, clean: bool, tile: Tile, weights: Array, counts: Array | None
    ) -> Collect:
        """What gives the values of an image's regions."""
        from xcrater import kernels

        regions = len(self.shapes.outer)
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
                        block, missing, clean, not unweighted, drawn.runs, drawn.weight, drawn.offset, window, mass,
                        values, masses, lengths,
                    )  # fmt: skip
                    length[drawn.craters, members] = lengths
                    pieces.append((values, masses, lengths, members, drawn.craters.start))
            return (*_in_order(pieces, length, stored.dtype, unweighted), length)

        return collect

    def _counting(self, stored: Array, codes: Array, clean: bool, tile: Tile, sums: Array) -> Counting | None:
        """What counts the keys of an image's regions, where these are narrow and without weights."""
        from xcrater import kernels

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
            from xcrater.areas import pixel_areas

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
        from xcrater.areas import areas_around
        from xcrater.polygons import MARGIN

        around = areas_around(*self.surface, window, MARGIN)
        if around.size == 1:
            return None
        if around.shape[1] > 1:
            known = areas[areas > 0.0]
            areas = np.where(areas > 0.0, areas, known.mean() if known.size else 1.0)  # of slivers, to tell parts by
        return around, np.ascontiguousarray(areas)

    def _sum_areas(
        self, shapes: Shapes, members: Array, coded: Sequence[tuple[Array, bool]], tile: Tile, surface: Surface,
        out: Array,
    ) -> None:  # fmt: skip
        """Areas of all images' regions to ``out``: true areas of the parts of pixels that are covered."""
        from xcrater import kernels

        for drawn in shapes.draw(tile.craters, tile.window, surface=surface):
            for image, (codes, clean) in enumerate(coded):
                kernels.sum_areas(
                    codes, clean, drawn.runs, drawn.weight, drawn.offset, tile.window, surface[1], image, members,
                    drawn.craters.start, out,
                )  # fmt: skip

    def _sum_drawn(
        self, shapes: Shapes, members: Array, stored: Array, codes: Array, clean: bool, tile: Tile, weights: Array,
        areas: Array, start: Array, image: int, out: Array,
    ) -> None:  # fmt: skip
        """Accumulators of an image to ``out[:, image]``, run by run."""
        from xcrater import kernels

        exact = None if stored.dtype.kind == "f" else True
        weighted = self.weighted or out.shape[-1] == MOMENTS
        for drawn in shapes.draw(tile.craters, tile.window):
            if not kernels.sum_runs(
                stored, codes, clean, exact, weighted, drawn.runs, drawn.weight, drawn.offset, tile.window,
                weights, areas, start, image, members, drawn.craters.start, out,
            ):  # fmt: skip
                raise StatisticError(
                    "received weights that are negative, infinite or not numbers, on pixels with values inside a "
                    "region; expected numbers from 0 on: weights=weights.fillna(0).clip(min=0)"
                )

    def _sum_closed(
        self, shapes: Shapes, members: Array, stored: Array, codes: Array, clean: bool, tile: Tile, weights: Array,
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
        self, shapes: Shapes, members: Array, stored: Array, codes: Array, clean: bool, tile: Tile, start: Array,
        image: int, out: Array,
    ) -> None:  # fmt: skip
        """Accumulators of an image to ``out[:, image]``, pixels by the fraction covered."""
        from xcrater import kernels

        craters, window = tile.craters, tile.window
        exact = None if stored.dtype.kind == "f" else True
        plain = _start(stored.dtype)
        squares = self._squares(stored, codes, clean, exact, tile, plain)
        order = np.argsort(craters.lat * shapes.grid[1], kind="stable")
        for group in shapes.groups():
            chosen = members[group.members]
            edges = group.edges.size
            scratch = kernels.covered_scratch(window, group.nvert, edges)
            held, partly = np.empty((edges, 8), plain.dtype), np.empty((edges + 1, 8))
            left_out = np.empty(order.size, np.int64)
            number = kernels.accumulate_covered(
                stored, codes, clean, exact, squares, order, craters.u0, craters.lat, craters.radius, group.edges,
                group.outer, group.inner, chosen, group.nvert, shapes.grid, window, scratch, plain, start, held,
                partly, image, out, left_out,
            )  # fmt: skip
            if number:
                rest = np.sort(left_out[:number])
                part = Tile(tile.index, window, craters.take(rest))
                sums = np.empty((number, *out.shape[1:]))
                self._sum_drawn(
                    shapes, members, stored, codes, clean, part, *self._factors(window, None), start, image, sums
                )
                out[rest[:, None], image, chosen] = sums[:, image, chosen]

    def _accumulate(
        self, shapes: Shapes, members: Array, stored: Array, codes: Array, clean: bool, tile: Tile, start: Array,
        image: int, out: Array,
    ) -> None:  # fmt: skip
        """Accumulators of an image to ``out[:, image]``."""
        from xcrater import kernels
        from xcrater.spans import scratch

        craters = tile.craters
        groups = shapes.groups()
        exact = None if stored.dtype.kind == "f" else True
        squares = self._squares(stored, codes, clean, exact, tile, start)
        buffers = scratch(
            tile.window, shapes.grid, max(shapes.nvert), shapes.mode,
            max(g.edges.size for g in groups), max(g.members.size for g in groups),
        )  # fmt: skip
        order = np.argsort(craters.lat * shapes.grid[1], kind="stable")
        for group in groups:
            held = np.empty((group.edges.size + group.members.size, start.size), start.dtype)
            kernels.accumulate(
                stored, codes, clean, exact, squares, order, craters.u0, craters.lat, craters.radius,
                group.edges, group.modes, group.outer, group.inner, members[group.members], group.nvert,
                shapes.grid, tile.window, buffers, start, held, image, out,
            )  # fmt: skip

    def _squares(self, stored: Array, codes: Array, clean: bool, exact: bool | None, tile: Tile, start: Array) -> Array:
        """Accumulators of whole squares of pixels, or none where they would not pay."""
        from xcrater import kernels
        from xcrater.vectors import LANES

        wanted = self.summarise
        if wanted is None:
            # It pays once wide regions would visit more pixels than there are.
            columns = max(self.shapes.outer) * tile.craters.radius * self.shapes.grid[2] / np.pi
            wide = columns[columns > 4 * LANES]
            wanted = bool(np.minimum(wide**2, stored.size).sum() > 2 * stored.size)
        count = (stored.shape[0] // LANES) * (stored.shape[1] // LANES) if wanted else 0
        squares = np.empty((count, start.size), start.dtype)
        if count:
            kernels.summarise(stored, codes, clean, exact, start, np.empty((2, 2, LANES), np.int16), squares)
        return squares


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
    from xcrater import _jit, kernels

    size, side, top = (160, 256), 0.25, 20.0
    row, column = np.indices(size)
    pixels = ((7 * row + 3 * column) % 101).astype(dtype)
    lon, lat, angle = 31.91, 0.43, 10.0
    north, east = np.radians(top - side * (row + 0.5)), np.radians(side * (column + 0.5) - lon)
    up, both = np.sin((north - np.radians(lat)) / 2) ** 2, np.cos(north) * math.cos(math.radians(lat))
    distance = np.degrees(2 * np.arcsin(np.sqrt(up + both * np.sin(east / 2) ** 2))) / angle
    shapes = Shapes((0.0, 0.7), (1.0, 1.8), (0, 0), "center", (math.radians(top), math.radians(-side), 360 / side))
    craters = Craters(np.zeros(1, np.int32), np.array([lon / side]), np.radians([lat]), np.radians([angle]))
    tile = Tile((0, 0), (0, size[0], 0, size[1]), craters)
    start = _start(pixels.dtype)
    out = np.empty((1, 1, 2, start.size), start.dtype)
    leaf = Leaf(shapes, None, summarise=True)
    leaf._accumulate(shapes, np.arange(2), pixels, np.empty((1, 1), np.uint8), True, tile, start, 0, out)
    for k, held in enumerate(out[0, 0]):
        inside = pixels[(shapes.inner[k] < distance) & (distance < shapes.outer[k])].astype(np.int64)
        wanted = [inside.size, inside.sum(), inside.min(), inside.max(), inside.size * inside.var()]
        found = [held[slot] for slot in (kernels.COUNT, kernels.TOTAL, kernels.LOW, kernels.HIGH)]
        square = held[kernels.SQ_HIGH]
        if start.dtype.kind != "f":
            square = square * 2**32 + held[kernels.SQ_LOW] - inside.sum() ** 2 / inside.size
        if found != wanted[:4] or not math.isclose(square, wanted[4], rel_tol=1e-9):
            raise RuntimeError(
                f"the compiled kernels give wrong numbers ({[*found, square]} for {wanted}); expected those of a file "
                f"in {_jit.cache_directory()} to be sound: delete that directory and start again"
            )


@cache
def check_covered(dtype: str) -> None:
    """Try the kernels that count pixels by the fraction covered: a disc's pixels sum to its area; once in a process.

    Raises
    ------
    RuntimeError
        They do not.
    """
    from xcrater import _jit, kernels

    size, side, top, lat, rho = (160, 256), 0.25, 20.0, math.radians(0.43), math.radians(10.0)
    shapes = Shapes((0.0,), (1.0,), (0,), "exact", (math.radians(top), math.radians(-side), 360 / side))
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
            f"in {_jit.cache_directory()} to be sound: delete that directory and start again"
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
    found : list of Found
        Towards order statistics.
    """

    sums: list[Sums] = field(default_factory=list)
    moments: list[Sums] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)


def compass(azimuth: Array) -> Array:
    """Azimuths of 0 to 360 degrees as numbers from 0 to 4 that need no arctangent; see `xcrater.kernels.compass`."""
    quarter, rest = np.divmod(azimuth, 90.0)
    east, north = np.sin(np.radians(rest)), np.cos(np.radians(rest))
    return np.asarray(quarter + east / (east + north))


def _start(dtype: np.dtype[Any], slots: int = 8) -> Array:
    """An accumulator before any pixel."""
    from xcrater import kernels

    floats = dtype.kind == "f"
    start: Array = np.zeros(slots, np.float64 if floats else np.int64)
    start[kernels.LOW] = np.inf if floats else np.iinfo(np.int64).max
    start[kernels.HIGH] = -np.inf if floats else np.iinfo(np.int64).min
    return start


def kernel_block(pixels: Array) -> Array:
    """A block in a dtype that kernels know, native and with the same values."""
    if pixels.dtype.kind == "u" and pixels.dtype.itemsize == 8:
        pixels = np.minimum(pixels, np.uint64(2**63 - 1))  # refused later on, rather than wrapped to a negative
    code = pixels.dtype.kind + str(pixels.dtype.itemsize)
    wanted = np.dtype(_KERNEL_DTYPE.get(code, code))
    return pixels if pixels.dtype == wanted and pixels.dtype.isnative else pixels.astype(wanted)


def classify(pixels: Array, nodata: float | int | None) -> tuple[Array, bool]:
    """Code of each pixel of a block, and whether all hold values (then there are no codes).

    Raises
    ------
    GridError
        If an integer is too large for sums of squares to stay exact.
    """
    from xcrater import kernels

    masked = isinstance(pixels, np.ma.MaskedArray) and pixels.mask is not np.ma.nomask
    stored = np.ascontiguousarray(np.ma.getdata(pixels))
    none: Array = np.empty((1, 1), np.uint8)
    codes: Array
    has_nodata = nodata is not None and representable(nodata, stored.dtype)
    sentinel = stored.dtype.type(nodata if has_nodata else 0)
    if stored.dtype.kind == "f":
        codes = np.empty(stored.shape, np.uint8)
        clean = kernels.classify_float(stored, sentinel, has_nodata, codes) == 0
    elif has_nodata:
        codes = np.empty(stored.shape, np.uint8)
        clean = kernels.classify(stored, sentinel, has_nodata, codes) == 0
    else:
        codes, clean = none, True
    if masked and np.ma.getmaskarray(pixels).any():
        codes = np.where(np.ma.getmaskarray(pixels), kernels.NODATA, 0 if clean else codes).astype(np.uint8)
        clean = False
    if stored.dtype == np.int64 and stored.size:
        value = stored if clean else np.where(codes == kernels.VALID, stored, 0)
        if value.min() <= -(2**31) or value.max() >= 2**31:
            raise GridError(
                "received integers beyond ±2147483647, whose sums of squares do not fit; "
                "convert the raster first: da = da.astype('float64')"
            )
    return (none if clean else codes), clean


def representable(nodata: float | int, dtype: np.dtype[Any]) -> bool:
    """Whether a pixel of that dtype can hold the number."""
    if dtype.kind == "f":
        return bool(np.isinf(nodata) or abs(nodata) <= float(np.finfo(dtype).max))
    if dtype.kind == "b":
        return nodata in (0, 1)
    info = np.iinfo(dtype)
    return float(nodata).is_integer() and info.min <= nodata <= info.max


def merge(partials: Sequence[Partial], order: Order | None = None) -> Partial:
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
    from xcrater import kernels

    like = pieces[0].sums
    out = np.empty((row.size, like.shape[1] * like.shape[2], like.shape[3]), like.dtype)
    out[:] = _start(like.dtype, like.shape[3])
    exact = None if like.dtype.kind == "f" else True
    together = row.size and row[-1] - row[0] + 1 == row.size
    for piece in pieces:
        place = piece.row - row[0] if together else np.searchsorted(row, piece.row)
        kernels.merge_sums(exact, piece.sums.reshape(-1, *out.shape[1:]), place, out)
    return out.reshape(-1, *like.shape[1:])


class State(dict[str, Any]):
    """The merged accumulators of some craters by name, each an array of shape (lead, region, crater).

    An array is laid out when it is first asked for.

    Parameters
    ----------
    sums : ndarray, shape (crater, lead, region, slots)
        The accumulators.
    weighted : bool
        Whether they are of weighted pixels.
    whole : bool
        Whether pixels are counted whole, rather than by the fraction covered.
    """

    def __init__(self, sums: Array, *, weighted: bool = False, whole: bool = True) -> None:
        from xcrater import kernels

        self._sums, self._whole = sums, whole
        self._slots = {
            "count": kernels.PIXELS if weighted else kernels.COUNT,
            "weight": kernels.COUNT,
            "total": kernels.TOTAL,
            "low": kernels.LOW,
            "high": kernels.HIGH,
            "nodata": kernels.MISSING,
            "nan": kernels.NANS,
        }
        if sums.dtype.kind == "f":
            self._slots |= {"m2": kernels.SQ_HIGH}
        else:
            self._slots |= {"sq_high": kernels.SQ_HIGH, "sq_low": kernels.SQ_LOW}

    def add_moments(self, sums: Array) -> None:
        """Add areas and higher moments, which have accumulators of their own."""
        from xcrater import kernels

        craters, lead, regions, slots = sums.shape
        for name, slot in (("area", kernels.AREA), ("m3", kernels.CUBES), ("m4", kernels.FOURTHS)):
            out = np.empty((lead * regions, craters))
            kernels.lay_out(sums.reshape(craters, lead * regions, slots), slot, out)
            self[name] = out.reshape(lead, regions, craters)

    def __missing__(self, name: str) -> Array:
        from xcrater import kernels

        craters, lead, regions, slots = self._sums.shape
        whole = self._whole and name in ("count", "nodata", "nan")
        out = np.empty((lead * regions, craters), np.int64 if whole else self._sums.dtype)
        kernels.lay_out(self._sums.reshape(craters, lead * regions, slots), self._slots[name], out)
        self[name] = out.reshape(lead, regions, craters)
        return self[name]


BLOCK = 2**15
"""Craters that are finished at once."""


@dataclass(frozen=True)
class Finish:
    """One request's end: merged tiles to an array for each statistic, shape (lead, region, crater).

    Parameters
    ----------
    aggregations : tuple of Aggregation
        The statistics.
    craters : int
        Length of the table.
    regions : int
        Number of regions.
    dtype : str
        Of the raster.
    scale, offset : float
        ``value = stored * scale + offset``.
    leaf : Leaf
        What made the partial results.
    """

    aggregations: tuple[Aggregation, ...]
    craters: int
    regions: int
    dtype: str
    scale: float
    offset: float
    leaf: Leaf

    def __call__(self, partial: Partial, lead: int) -> dict[str, Array]:
        """Finalise; lead is the number of images in the blocks."""
        dtype = np.dtype(self.dtype)
        results = {a.name: np.empty((lead, self.regions, self.craters), a.dtype) for a in self.aggregations}
        # Craters by the block, which stays in the processor's cache from one step to the next.
        order = self.leaf.order
        table = None if order is None else Table(partial.found[0], order, self.craters, lead)
        edges = np.append(np.arange(0, self.craters, BLOCK), self.craters).astype(np.int32)
        starts = {"sums": self.leaf.start(dtype)} | (
            {"moments": _start(np.dtype("f8"), MOMENTS)} if self.leaf.more else {}
        )
        cuts = {
            name: [(piece, np.searchsorted(piece.row, edges)) for piece in getattr(partial, name)] for name in starts
        }
        for n, (first, stop) in enumerate(itertools.pairwise(edges.tolist())):
            row = np.arange(first, stop, dtype=np.int32)
            whole = {}
            for name, start in starts.items():
                pieces = [
                    Sums(p.row[at[n] : at[n + 1]], p.sums[at[n] : at[n + 1]])
                    for p, at in cuts[name]
                    if at[n] < at[n + 1]
                ]
                nothing = Sums(np.empty(0, np.int32), np.empty((0, lead, self.regions, start.size), start.dtype))
                whole[name] = _add_up(pieces or [nothing], row)
            state = State(whole["sums"], weighted=self.leaf.weighted, whole=not self.leaf.shapes.exact)
            if self.leaf.more:
                state.add_moments(whole["moments"])
            state.update(scale=self.scale, offset=self.offset)
            if table is not None:
                state["order"] = table.block(first, stop)
            for a in self.aggregations:
                results[a.name][..., first:stop] = a.finalise(state)
        return results


def targets(order: Order, found: Partial | Found) -> Targets:
    """What another look at tiles needs to know."""
    return order.targets(found.found[0] if isinstance(found, Partial) else found)


def with_targets(order: Order, partial: Partial, last: Targets) -> Partial:
    """What was found, with the answers of the last look."""
    return Partial(partial.sums, partial.moments, [order.finish(partial.found[0], last)])


def covered(shapes: Shapes, region: int, craters: Craters, crater: int, window: Window) -> Array:
    """How much of each pixel of a window belongs to one crater's region: its weight, 1 for whole pixels.

    Parameters
    ----------
    shapes : Shapes
        The regions.
    region : int
        Which of them.
    craters : Craters
        Placed craters.
    crater : int
        Position among them.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) on the whole grid.
    """
    from xcrater import kernels

    out: Array = np.zeros((window[1] - window[0], window[3] - window[2]))
    for _, one in shapes.of([region]).parts():
        for drawn in one.draw(craters.take(np.array([crater])), window):
            kernels.paint(drawn.runs, drawn.weight, drawn.offset[0, 0], window, out)
    return out


def region_mask(shapes: Shapes, region: int, craters: Craters, crater: int, window: Window) -> NDArray[np.bool_]:
    """Which pixels of a window belong to one crater's region; see `covered`."""
    return covered(shapes, region, craters, crater, window) > 0.0


def _bends(around: Array) -> Array | None:
    """Numbers of pixels before each row and column around which areas are not smooth; None where all are."""
    rough = np.isnan(around)
    if not rough.any():
        return None
    return np.pad(rough, ((1, 0), (1, 0))).cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32)


def _meets(bends: Array, window: Window, outlines: Outlines) -> Array:
    """Which shapes' boxes hold such pixels, or have them beside them."""
    from xcrater.polygons import MARGIN

    west, east, north, south = outlines.bounds()

    def index(at: Array, first: int, size: int, beyond: int) -> Array:
        inside = np.floor(np.nan_to_num(at)) - first + MARGIN + beyond
        return np.clip(inside, 0, size - 1).astype(np.int64)

    left, right = index(west, window[2], bends.shape[1], -MARGIN), index(east, window[2], bends.shape[1], MARGIN + 1)
    top, bottom = index(north, window[0], bends.shape[0], -MARGIN), index(south, window[0], bends.shape[0], MARGIN + 1)
    met = bends[bottom, right] - bends[top, right] - bends[bottom, left] + bends[top, left] > 0
    return np.asarray(met & np.isfinite(west))
