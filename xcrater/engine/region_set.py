"""The regions of a request on a grid, drawn by closed forms or by their outlines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater import kernels
from xcrater.engine.coverage import RULES, CoverageRule
from xcrater.engine.craters import Craters
from xcrater.engine.drawn import ROOM, Drawn, Surface
from xcrater.engine.exclusion import leave_out
from xcrater.engine.outlined import draw_outlines
from xcrater.engine.plan import disc_boxes
from xcrater.engine.sectors import ROOM as SECTOR_ROOM
from xcrater.engine.sectors import Placement, sector_record, share_out
from xcrater.geometry.frame import Frame
from xcrater.geometry.grid import Boxes, Grid, Window
from xcrater.table.regions import Circle, Member

Array = NDArray[Any]


@dataclass(frozen=True)
class RegionSet:
    """The regions of one request, and their placement on a grid.

    Parameters
    ----------
    regions : tuple of Member
        The regions. Those cut from discs around the centre have a closed form if the grid has one; all others are drawn
        by their outlines.
    coverage : {"all_touched", "center", "exact"}
        Which pixels belong to a region.
    grid : Rows
        The grid's rows and columns as kernels take them: `Grid.radians`.
    closed : bool
        Whether discs have a closed form on the grid.
    frame : Frame or None
        Placement of the pixels on the body, for outlines, areas and azimuths.
    """

    regions: tuple[Member, ...]
    coverage: str
    grid: kernels.Rows
    closed: bool = True
    frame: Frame | None = None

    def __len__(self) -> int:
        return len(self.regions)

    def of(self, positions: Sequence[int]) -> RegionSet:
        """Select some of the regions."""
        return replace(self, regions=tuple(self.regions[k] for k in positions))

    def parts(self) -> list[tuple[Array, RegionSet]]:
        """Separate regions with a closed form from those drawn by outlines; positions and regions of each kind."""
        drawn = [not self.closed or region.bounds is None for region in self.regions]
        members = [[k for k, is_drawn in enumerate(drawn) if is_drawn == kind] for kind in (False, True)]
        return [(np.array(some), replace(self.of(some), closed=not kind)) for kind, some in enumerate(members) if some]

    @cached_property
    def bounds(self) -> Array:
        """Inner and outer radius of each region in crater radii, shape (2, regions); 0 unless it is cut from discs."""
        return np.array([region.bounds or (0.0, 0.0) for region in self.regions], dtype=float).reshape(-1, 2).T.copy()

    @cached_property
    def vertices(self) -> Array:
        """Number of vertices of each region's polygons, shape (regions,); 0 for true circles."""
        return np.array([region.vertices for region in self.regions], dtype=np.int64)

    @cached_property
    def in_sectors(self) -> bool:
        """Whether any region is restricted to a range of azimuths."""
        return any(region.azimuths for region in self.regions)

    def boxes(self, grid: Grid, craters: Craters) -> list[Boxes]:
        """Pixel bounds of every crater's regions on a grid, for each kind of outline.

        Discs around the centre are bounded by the largest of them. On a grid with a closed form the box of the true
        circle contains all of its polygons; on others there is one box for each number of vertices.
        """
        largest: dict[int, float] = {}
        for region in self.regions:
            if region.bounds is not None:
                kind = 0 if grid.closed else region.vertices
                largest[kind] = max(largest.get(kind, 0.0), region.bounds[1])
        boxes = [disc_boxes(grid, craters, outer, vertices) for vertices, outer in largest.items()]
        return boxes + [shapes.boxes(grid.to_frame(), craters) for shapes in craters.shapes]

    @property
    def rule(self) -> CoverageRule:
        """The rule that decides which pixels belong to a region."""
        return RULES[self.coverage]

    @property
    def mode(self) -> int:
        """The number by which kernels know the coverage rule."""
        return self.rule.mode

    @property
    def exact(self) -> bool:
        """Whether pixels count by the fraction covered."""
        return self.rule.weighs

    def draw(
        self, craters: Craters, window: Window, most: int = ROOM, surface: Surface | None = None
    ) -> Iterator[Drawn]:
        """Draw every region of some craters as runs within a window, as many craters at a time as there is room for.

        Either all regions have a closed form or none has; see `parts`. With a surface, fractions covered are those of
        the pixels' true areas.
        """
        if self.in_sectors:
            assert self.frame is not None
            first, bounds = self._rings()
            drawn = self.rings().draw(craters, window, SECTOR_ROOM, surface)
            return share_out(drawn, first, bounds, craters, window, self._placement())
        if self.closed and surface is None:
            drawn = self._draw_discs(craters, window, most)
        else:
            assert self.frame is not None
            drawn = draw_outlines(self.regions, self.rule, self.frame, craters, window, most, surface)
        if craters.near is None:
            return drawn
        # Even if regions are drawn by their outlines, such as polygons, discs may have a closed form on the grid.
        closed = self.frame is None or (self.frame.sphere and not self.frame.crs)
        discs = RegionSet((Circle(1.0, None),), "center", self.grid, closed, self.frame)
        return leave_out(drawn, craters.near, window, discs.draw)

    def rings(self) -> RegionSet:
        """The whole rings of which the regions are sectors."""
        return replace(self, regions=tuple(self.regions[k].ring() for k in self._rings()[0]))

    def sectors(self, members: Array, window: Window) -> kernels.Sectors:
        """The regions as sectors of `rings`, in a record for kernels; ``members`` are their positions in the output."""
        return sector_record(*self._rings(), members, window, self._placement())

    def _placement(self) -> Placement:
        assert self.frame is not None
        return Placement(self.closed, self.grid, self.frame)

    def _rings(self) -> tuple[list[int], list[tuple[float, float]]]:
        """Which regions begin a new ring, the others being further sectors of it; and the azimuths that bound each."""
        bounds = [region.azimuths or (0.0, 360.0) for region in self.regions]
        rings = [(region.bounds or region, region.vertices) for region in self.regions]
        parts = [k > 0 and rings[k] == rings[k - 1] and bounds[k][0] >= bounds[k - 1][1] for k in range(len(rings))]
        return [k for k, part in enumerate(parts) if not part], bounds

    @property
    def layers(self) -> int:
        """Upper bound of the number of regions to which one pixel belongs."""
        first, _ = self._rings()
        alike = len(set(self.vertices)) == 1 and all(region.bounds for region in self.regions)
        if self.coverage != "center" or not alike:
            return len(first)  # a pixel on several bounds belongs to the rings on both sides of each
        inner, outer = self.bounds[:, first]
        return int(((inner <= inner[:, None]) & (inner[:, None] < outer)).sum(axis=1).max())

    def _draw_discs(self, craters: Craters, window: Window, most: int) -> Iterator[Drawn]:
        annuli = kernels.Annuli(self.bounds[0], self.bounds[1], self.vertices)
        caps = craters.caps()
        most_vertices = int(self.vertices.max())
        scratch = kernels.span_scratch(window, self.grid, most_vertices, self.mode)
        covered = kernels.cover_scratch(window, self.grid, most_vertices) if self.exact else None
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

    def groups(self) -> list[Group]:
        """Groups of regions whose discs are nested, because they have the same number of vertices."""
        outer_mode, inner_mode = self.rule.roundings
        groups = []
        inner, outer = self.bounds.tolist()
        for nvert in dict.fromkeys(self.vertices.tolist()):
            members = [k for k, n in enumerate(self.vertices) if n == nvert]
            # Of two discs with the same radius, the one that takes fewer pixels is nested in the other.
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
        Number of vertices of the discs' polygons; 0 for true circles.
    """

    members: Array
    edges: Array
    modes: Array
    outer: Array
    inner: Array
    nvert: int


def covered(shapes: RegionSet, region: int, craters: Craters, crater: int, window: Window) -> Array:
    """Fraction of each pixel of a window that belongs to one crater's region; 1 for whole pixels.

    Parameters
    ----------
    shapes : RegionSet
        The regions.
    region : int
        Position of the region.
    craters : Craters
        The placed craters.
    crater : int
        Position of the crater among them.
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
