"""What happens to one tile, and to the results of several: the functions that tasks call.

They import numba when they are called, so a scheduler that only unpickles them loads no compiler.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xcrater import kernels
from xcrater.engine.craters import Craters
from xcrater.engine.plan import disc_boxes
from xcrater.geometry import places
from xcrater.geometry.frame import Frame
from xcrater.geometry.grid import Boxes, Grid, Window
from xcrater.geometry.rings import Outlines
from xcrater.table.regions import Circle, Member

if TYPE_CHECKING:
    from xcrater.engine.craters import Neighbours

Array = NDArray[Any]
Surface = tuple[NDArray[np.float64], NDArray[np.float64]]
"""True areas of a window's pixels and of those around it, and as they count; see `polygon_scratch`."""


MODES = {"center": 0, "all_touched": 1, "exact": 3}
"""Coverage rules as `xcrater.kernels.half_widths` numbers them."""

ROOM = 2**18
"""Runs that are drawn at once, unless one crater needs more."""

SECTOR_ROOM, PIXELS = 2**14, 2**18
"""Runs that are drawn at once where their pixels are told apart, and pixels that are placed at once."""


OUTLINED, SHAPES = 2**12, 2**10
"""Craters whose outlines are traced at once, and regions that are kept at once as shapes in the plane."""


@dataclass(frozen=True)
class RegionSet:
    """The regions of one request, and what places them on a grid.

    Parameters
    ----------
    regions : tuple of Member
        The regions. Those cut from discs about the centre have a closed form where the grid has one; all others are
        drawn by their outlines.
    coverage : {"all_touched", "center", "exact"}
        Which pixels belong to a region.
    grid : Rows
        The grid's rows and columns as kernels take them: `Grid.radians`.
    closed : bool
        Whether discs have a closed form on the grid.
    frame : Frame or None
        How pixels lie on the body, for outlines, areas and azimuths.
    """

    regions: tuple[Member, ...]
    coverage: str
    grid: kernels.Rows
    closed: bool = True
    frame: Frame | None = None

    def __len__(self) -> int:
        return len(self.regions)

    def of(self, positions: Sequence[int]) -> RegionSet:
        """Some of the regions."""
        return replace(self, regions=tuple(self.regions[k] for k in positions))

    def parts(self) -> list[tuple[Array, RegionSet]]:
        """Regions with a closed form, and those drawn by their outlines: the positions and regions of each kind."""
        drawn = [not self.closed or region.bounds is None for region in self.regions]
        members = [[k for k, is_drawn in enumerate(drawn) if is_drawn == kind] for kind in (False, True)]
        return [(np.array(some), replace(self.of(some), closed=not kind)) for kind, some in enumerate(members) if some]

    @cached_property
    def bounds(self) -> Array:
        """Inner and outer radius of each region in crater radii, shape (2, regions); 0 unless it is cut from discs."""
        return np.array([region.bounds or (0.0, 0.0) for region in self.regions], dtype=float).reshape(-1, 2).T.copy()

    @cached_property
    def vertices(self) -> Array:
        """Vertices of each region's polygons, shape (regions,); 0 for true circles."""
        return np.array([region.vertices for region in self.regions], dtype=np.int64)

    @cached_property
    def in_sectors(self) -> bool:
        """Whether any region lies between two azimuths alone."""
        return any(region.azimuths for region in self.regions)

    def boxes(self, grid: Grid, craters: Craters) -> list[Boxes]:
        """Pixel bounds of every crater's regions on a grid, for each kind of outline.

        Discs about the centre are bounded by the largest of them: on a grid with a closed form the true circle's box
        holds all polygons within it, elsewhere there is one box for each number of vertices.
        """
        largest: dict[int, float] = {}
        for region in self.regions:
            if region.bounds is not None:
                kind = 0 if grid.closed else region.vertices
                largest[kind] = max(largest.get(kind, 0.0), region.bounds[1])
        boxes = [disc_boxes(grid, craters, outer, vertices) for vertices, outer in largest.items()]
        return boxes + [shapes.boxes(grid.to_frame(), craters) for shapes in craters.shapes]

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
        if self.in_sectors:
            return self._draw_sectors(craters, window, surface)
        if self.closed and surface is None:
            drawn = self._draw_discs(craters, window, most)
        else:
            drawn = self._draw_outlines(craters, window, most, surface)
        return drawn if craters.near is None else self._leave_out(drawn, craters.near, window)

    def _leave_out(self, drawn: Iterable[Drawn], near: Neighbours, window: Window) -> Iterator[Drawn]:
        """What is drawn, without the pixels whose centres lie in the discs of the craters' neighbours."""
        # Regions drawn by their outlines, such as polygons, may lie on a grid where discs have a closed form.
        closed = self.frame is None or (self.frame.sphere and not self.frame.crs)
        disc = RegionSet((Circle(1.0, None),), "center", self.grid, closed, self.frame)
        begin, depth = np.empty(window[1] - window[0] + 1, np.int64), np.zeros(window[3] - window[2] + 1, np.int64)
        for some in drawn:
            here = near.take(some.craters)
            if here is None:
                yield some
                continue
            pieces = list(disc.draw(here.discs, window))
            ends = [int(piece.offset[-1, 0, 1]) for piece in pieces]
            holes = np.concatenate([piece.runs[:, :end] for piece, end in zip(pieces, ends, strict=True)], axis=1)
            before = np.cumsum([0, *ends[:-1]])
            hole = np.concatenate([piece.offset + n for piece, n in zip(pieces, before, strict=True)])
            discs = kernels.Runs(holes, np.empty(0), hole)
            count, room, first = len(some.offset), min(ROOM, 2**12 * len(some.offset)), 0
            while first < count:
                runs, weight, cuts = np.empty((3, room), np.int64), np.empty(room), np.empty((2, room), np.int64)
                offset = np.empty(some.offset.shape, np.int64)
                scratch, left = kernels.HoleScratch(begin, depth, cuts), kernels.Runs(runs, weight, offset)
                stop = kernels.leave_out(first, some.record(), discs, here.offset, here.member, window, scratch, left)
                if stop > first:
                    at = some.craters.start
                    yield Drawn(slice(at + first, at + stop), runs, weight, offset[first:stop])
                else:
                    room *= 4
                first = stop

    def _whole_rings(self, first: Sequence[int]) -> RegionSet:
        """The whole rings of which some regions are the first sectors."""
        return replace(self, regions=tuple(self.regions[k].ring() for k in first))

    def _rings(self) -> tuple[list[int], list[tuple[float, float]]]:
        """Which regions begin a ring, the others being more sectors of it; and the azimuths that bound each."""
        bounds = [region.azimuths or (0.0, 360.0) for region in self.regions]
        rings = [(region.bounds or region, region.vertices) for region in self.regions]
        parts = [k > 0 and rings[k] == rings[k - 1] and bounds[k][0] >= bounds[k - 1][1] for k in range(len(rings))]
        return [k for k, part in enumerate(parts) if not part], bounds

    @property
    def layers(self) -> int:
        """At most so many of the regions that one pixel belongs to."""
        first, _ = self._rings()
        alike = len(set(self.vertices)) == 1 and all(region.bounds for region in self.regions)
        if self.coverage != "center" or not alike:
            return len(first)  # pixels on a bound belong to both sides of it, however many bounds there are
        inner, outer = self.bounds[:, first]
        return int(((inner <= inner[:, None]) & (inner[:, None] < outer)).sum(axis=1).max())

    def _draw_sectors(self, craters: Craters, window: Window, surface: Surface | None) -> Iterator[Drawn]:
        """Each ring is drawn once, and its runs are shared out among its sectors."""
        first, bounds = self._rings()
        edges = np.unique(bounds)
        low, high = np.searchsorted(edges, bounds).T
        for drawn in self._whole_rings(first).draw(craters, window, SECTOR_ROOM, surface):
            drawn = drawn.in_order()
            count = drawn.weight.size
            begin = np.concatenate([[0], np.cumsum(drawn.runs[2] - drawn.runs[1])])
            number = self._sectors(drawn, craters.take(drawn.craters), begin, edges, window)
            room = count + np.count_nonzero(number[1:] != number[:-1])
            runs, weight, pieces = np.empty((3, room), np.int64), np.empty(room), np.empty((4, room), np.int64)
            offset = np.empty((len(drawn.offset), len(bounds), 2), np.int64)
            regions, out = np.array([*first, len(bounds)]), kernels.Runs(runs, weight, offset)
            kernels.split_runs(drawn.record(), begin, number, regions, low, high, pieces, out)
            yield Drawn(drawn.craters, runs, weight, offset)

    def _sectors(self, drawn: Drawn, craters: Craters, begin: Array, edges: Array, window: Window) -> Array:
        """For every pixel of runs, the last of the edges that is not beyond its centre's azimuth; -1 where all are.

        Centres that are not on the body have the last edge of all, so that they are in no sector.
        """
        assert self.frame is not None
        number = np.empty(begin[-1], np.int16)
        if self.closed:
            east = math.copysign(2 * math.pi / self.grid[2], self.frame.columns[1])
            across = np.empty((2, window[3] - window[2]))
            caps = kernels.Caps(craters.u0, craters.lat, craters.radius)
            kernels.number_sectors(drawn.record(), caps, self.grid, east, window, compass(edges), across, number)
            return number
        # As places.seen_from has it; there is no shorter way on any other projection.
        grid = Grid(self.frame.shape, 0.0, 1.0, 0.0, 1.0, (), (), self.frame)
        craters = replace(craters, shapes=(), near=None)
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
        annuli = kernels.Annuli(self.bounds[0], self.bounds[1], self.vertices)
        caps = kernels.Caps(craters.u0, craters.lat, craters.radius)
        most_vertices = int(self.vertices.max())
        scratch = kernels.span_scratch(window, self.grid, most_vertices, self.mode)
        covered = kernels.cover_scratch(window, self.grid, most_vertices if self.exact else 0)
        room = min(most, 2**12 * len(craters))
        first = 0
        while first < len(craters):
            runs, weight = np.empty((3, room), np.int64), np.empty(room)
            offset = np.zeros((len(craters), annuli.inner.size, 2), np.int64)
            out = kernels.Runs(runs, weight, offset)
            stop = kernels.draw_discs(first, caps, annuli, self.mode, self.grid, window, scratch, covered, out)
            if stop > first:
                yield Drawn(slice(first, stop), runs, weight, offset[first:stop])
            else:
                room *= 4
            first = stop

    def outlines(self, craters: Craters, finely: Sequence[Array | None] = ()) -> list[Outlines]:
        """Outlines of every region, one shape per crater in each; some may be drawn more finely."""
        assert self.frame is not None
        return [
            region.outlines(self.frame, craters, fine)
            for region, fine in zip(self.regions, finely or [None] * len(self), strict=True)
        ]

    def _draw_outlines(self, craters: Craters, window: Window, most: int, surface: Surface | None) -> Iterator[Drawn]:
        bends = None if surface is None or surface[0].shape[1] == 1 else _bends(surface[0])
        for start in range(0, len(craters), OUTLINED):
            some = craters.take(np.arange(start, min(start + OUTLINED, len(craters))))
            outlines = self.outlines(some)
            finely = [_meets(bends, window, o) for o in outlines] if bends is not None else []
            if any(fine.any() for fine in finely):
                outlines = self.outlines(some, finely)
            rooms = np.zeros((len(outlines[0]), 2), np.int64)
            polygons = [kernels.Polygons(o.u, o.v, o.ring, o.shape, o.period) for o in outlines]
            for shapes in polygons:
                kernels.outline_rooms(shapes, window, rooms)
            scratch = kernels.polygon_scratch(window, int(rooms[:, 0].max()), surface)
            assert self.frame is not None
            shown = self.frame.shown(*window[:2])
            if surface is not None and surface[0].shape[1] == 1:  # of the others, shares are of what is on the body
                shown = np.where(np.isnan(surface[0][kernels.MARGIN : -kernels.MARGIN, 0]), shown, 1.0)
            ends = np.cumsum(rooms[:, 1])
            first = 0
            while first < len(rooms):
                before = ends[first] - rooms[first, 1]
                stop = max(first + 1, int(np.searchsorted(ends, before + most, "right")))
                room = int(ends[stop - 1] - before)
                runs, weight = np.empty((3, room), np.int64), np.empty(room)
                offset = np.empty((stop - first, len(outlines), 2), np.int64)
                n, out = 0, kernels.Runs(runs, weight, offset)
                for k, shapes in enumerate(polygons):
                    n = kernels.draw_outlines(shapes, first, stop, self.mode, window, scratch, out, n, k)
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
        from xcrater.geometry.pixel_parts import true_parts

        around, areas = surface
        smooth = np.isfinite(around[kernels.MARGIN - 1 :, kernels.MARGIN - 1 :])
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
            rois = (divmod(roi, offset.shape[1]) for roi in of[first : first + SHAPES].tolist())
            shapes = [self.regions[k].shape(self.frame, craters, i) for i, k in rois]
            some = np.flatnonzero((which >= first) & (which < first + SHAPES))
            at = partly[some]
            parts = true_parts(self.frame, shapes, which[some] - first, runs[1, at], runs[0, at])
            shown = np.isfinite(parts)
            weight[at[shown]] = (parts / areas[row[at], column[at]])[shown]

    def groups(self) -> list[Group]:
        """Regions whose discs are nested in one another: those of one number of vertices."""
        # What covers pixels by fractions has one disc to a radius, whatever it bounds.
        outer_mode, inner_mode = (
            (kernels.TOUCHED, kernels.CONTAINED) if self.coverage == "all_touched" else (kernels.CENTER, kernels.CENTER)
        )
        groups = []
        inner, outer = self.bounds.tolist()
        for nvert in dict.fromkeys(self.vertices.tolist()):
            members = [k for k, n in enumerate(self.vertices) if n == nvert]
            # Of two discs of one radius, the one that takes fewer pixels lies within the other.
            rank = {inner_mode: 0, outer_mode: 1}
            discs = {(outer[k], outer_mode) for k in members}
            discs |= {(inner[k], inner_mode) for k in members if inner[k] > 0}
            order = sorted(discs, key=lambda disc: (disc[0], rank[disc[1]]))
            groups.append(
                Group(
                    members=np.array(members),
                    edges=np.array([radius for radius, _ in order]),
                    modes=np.array([mode for _, mode in order]),
                    outer=np.array([order.index((outer[k], outer_mode)) for k in members]),
                    inner=np.array([order.index((inner[k], inner_mode)) if inner[k] > 0 else -1 for k in members]),
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

    def record(self) -> kernels.Runs:
        """The runs as kernels take them."""
        return kernels.Runs(self.runs, self.weight, self.offset)

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


def compass(azimuth: Array) -> Array:
    """Azimuths of 0 to 360 degrees as numbers from 0 to 4 that need no arctangent; see `kernels.compass`."""
    quarter, rest = np.divmod(azimuth, 90.0)
    east, north = np.sin(np.radians(rest)), np.cos(np.radians(rest))
    return np.asarray(quarter + east / (east + north))


def covered(shapes: RegionSet, region: int, craters: Craters, crater: int, window: Window) -> Array:
    """How much of each pixel of a window belongs to one crater's region: its weight, 1 for whole pixels.

    Parameters
    ----------
    shapes : RegionSet
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
    out: Array = np.zeros((window[1] - window[0], window[3] - window[2]))
    for _, one in shapes.of([region]).parts():
        for drawn in one.draw(craters.take(np.array([crater])), window):
            kernels.paint(drawn.record(), 0, 0, window, out)
    return out


def region_mask(shapes: RegionSet, region: int, craters: Craters, crater: int, window: Window) -> NDArray[np.bool_]:
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
