"""Neighbouring craters: those so close to each other that pixels near one are left out of the other's regions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from numbers import Real

import numpy as np
import shapely
from numpy.typing import NDArray

from xcrater.engine.craters import Craters, Neighbours, meets, on_grid
from xcrater.engine.plan import disc_boxes
from xcrater.errors import BodyError, RegionError
from xcrater.geometry.grid import Boxes, Grid
from xcrater.table.crater_table import CraterTable

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

BLOCK = 2**17
"""Number of craters whose neighbours are looked up at a time."""

_FAR = 2.0**30
_HAIR = 1e-6


@dataclass(frozen=True)
class Exclude:
    """Exclusion of pixels near other craters from all regions.

    Parameters
    ----------
    within : float
        Distance from another crater's centre up to which pixels are left out, in radii of that crater.
    min_ratio, max_ratio : float
        Bounds, inclusive, of the ratio of the other crater's radius to that of the crater whose region it is; craters
        with other ratios do not count.
    of : CraterDatabase, optional
        The other craters, on the same body; None for those of the same table. A crater with exactly the same centre and
        radius is the crater itself.

    Raises
    ------
    RegionError
        A number is out of range or not a number, or `of` is not a table.

    Notes
    -----
    A pixel is left out if its centre lies within the true circle, which is one of great-circle distance or, on an
    ellipsoid, of geodesic distance. This does not depend on the coverage rule, nor on the fraction of the pixel that
    the region covers. Pixels that are left out do not belong to the region, nor do they count in the statistic
    ``coverage``.

    Examples
    --------
    >>> Exclude(1.5, min_ratio=0.5)
    Exclude(within=1.5, min_ratio=0.5, max_ratio=inf, of=None)
    """

    within: float = 1.0
    _: KW_ONLY
    min_ratio: float = 0.0
    max_ratio: float = math.inf
    of: CraterTable | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        if not (_is_number(self.within) and 0 < self.within < math.inf):
            raise RegionError(
                f"received exclude with within={self.within!r}; expected a number above 0, crater radii "
                "from the centres of other craters: Exclude(1.0); exclude=None leaves nothing out"
            )
        if not (_is_number(self.min_ratio) and _is_number(self.max_ratio)) or not (
            0 <= self.min_ratio <= self.max_ratio and self.min_ratio < math.inf
        ):
            raise RegionError(
                f"received exclude with min_ratio={self.min_ratio!r}, max_ratio={self.max_ratio!r}; expected radii of "
                "other craters over the crater's own, 0 <= min_ratio <= max_ratio: Exclude(1.0, min_ratio=0.5)"
            )
        if not (self.of is None or isinstance(self.of, CraterTable)):
            raise RegionError(
                f"received exclude with a {type(self.of).__name__} for its of; expected a CraterDatabase, or None "
                "for the craters of the same table: Exclude(1.0, of=CraterDatabase(...))"
            )


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def check_exclude(exclude: object, cdb: CraterTable) -> Exclude | None:
    """Check the argument `exclude` of an operation.

    Parameters
    ----------
    exclude : Exclude, number or None
        The argument; a number stands for an `Exclude` of that many crater radii around the table's other craters.
    cdb : CraterDatabase
        The table.

    Raises
    ------
    RegionError, BodyError
        The argument has another type, or has craters of another body.
    """
    if exclude is None:
        return None
    if isinstance(exclude, Real) and not isinstance(exclude, bool):
        exclude = Exclude(float(exclude))
    if not isinstance(exclude, Exclude):
        raise RegionError(
            f"received exclude={exclude!r}, a {type(exclude).__name__}; expected None, a number of crater radii, or "
            "xcrater.Exclude(1.0, min_ratio=0.5)"
        )
    if exclude.of is not None and exclude.of.body != cdb.body:
        raise BodyError(
            f"received exclude with craters on {exclude.of.body}; expected craters on {cdb.body}, the table's body: "
            f"Exclude({exclude.within!r}, of=CraterDatabase(..., {cdb.body!r}))"
        )
    return exclude


def find_neighbours(
    grid: Grid, cdb: CraterTable, craters: Craters, boxes: Sequence[Boxes], exclude: Exclude, *, sphere: float
) -> Neighbours | None:
    """Find the discs to exclude from each crater's regions.

    Parameters
    ----------
    grid : Grid
        The raster's grid.
    cdb : CraterDatabase
        The table.
    craters : Craters
        The table on the grid.
    boxes : sequence of Boxes
        Pixel bounds of every crater's regions, for each kind of them.
    exclude : Exclude
        The exclusion to apply.
    sphere : float
        Radius of the sphere that turns the craters' radii into angles, metres.

    Returns
    -------
    Neighbours or None
        The discs of each crater; None if no crater has any.

    Notes
    -----
    Discs and regions are matched by their boxes on the grid, in a tree (shapely's STRtree). Some pairs whose boxes only
    meet corner to corner are found needlessly, but none is missed, in any projection, at the antimeridian or at a pole.
    Work and memory are proportional to the number of pairs found.
    """
    others = cdb if exclude.of is None else exclude.of
    if not len(others):
        return None
    placed = on_grid(grid, others, sphere)
    discs = replace(placed, radius=exclude.within * placed.radius)
    turn = grid.period if math.isfinite(grid.period) else 0.0
    around = _brought(disc_boxes(grid, discs, 1.0), turn)
    whole = (0, grid.shape[0], 0, grid.columns)
    there, shapes = _shapes(around, np.flatnonzero(meets(around, whole, grid.period)), turn)
    tree = shapely.STRtree(shapes)
    # The centre of a pixel that belongs to a region lies no more than half a pixel beyond the region's box.
    asked = [_brought(box, turn, 0.5 + _HAIR) for box in boxes]
    known, other = ([np.asarray(at, dtype=float) for at in (t.lon, t.lat, t.rad)] for t in (cdb, others))
    sizes, members = [np.zeros(1, np.int64)], [np.empty(0, np.int32)]
    for first in range(0, len(craters), BLOCK):
        stop = min(first + BLOCK, len(craters))
        pairs = [np.empty(0, np.int64)]
        for box in asked:
            some = first + np.flatnonzero(meets([at[first:stop] for at in box], whole, grid.period))
            asking, shapes = _shapes(box, some, turn)
            crater, disc = tree.query(shapes)
            crater, disc = asking[crater], there[disc]
            ratio = other[2][disc] / known[2][crater]
            itself = np.logical_and.reduce([a[crater] == b[disc] for a, b in zip(known, other, strict=True)])
            kept = (exclude.min_ratio <= ratio) & (ratio <= exclude.max_ratio) & ~itself
            pairs.append(crater[kept] * len(discs) + disc[kept])
        pair = np.sort(np.concatenate(pairs))  # duplicates, from boxes that meet twice, become adjacent
        crater, disc = np.divmod(pair[np.append(True, pair[1:] != pair[:-1])[: pair.size]], len(discs))
        sizes.append(np.bincount(crater - first, minlength=stop - first))
        members.append(disc.astype(np.int32))
    bounds = np.stack([np.floor(around[0]), np.ceil(around[1]), np.floor(around[2]), np.ceil(around[3])], axis=1)
    bounds = np.clip(np.nan_to_num(bounds), -_FAR, _FAR).astype(np.int32)
    found = Neighbours(np.cumsum(np.concatenate(sizes)), np.concatenate(members), discs, bounds)
    return found.take(slice(None))


def _brought(boxes: Boxes, turn: float, margin: float = _HAIR) -> Boxes:
    """Enlarge boxes slightly, and move their middles into the first turn of columns; none is wider than a turn."""
    top, bottom, west, east = boxes
    if turn:
        middle, half = np.mod((west + east) / 2, turn), np.minimum((east - west) / 2, turn / 2)
        west, east = middle - half, middle + half
    return top - margin, bottom + margin, west - margin, east + margin


def _shapes(boxes: Boxes, some: Ints, turn: float) -> tuple[Ints, NDArray[np.object_]]:
    """Make shapes of some boxes; one that leaves the first turn of columns is repeated where it enters it again."""
    west, east = (some[boxes[2][some] < 0], some[boxes[3][some] > turn]) if turn else (some[:0], some[:0])
    at = np.concatenate([some, west, east])
    shift = np.repeat([0.0, turn, -turn], [some.size, west.size, east.size])
    box = shapely.box(boxes[2][at] + shift, boxes[0][at], boxes[3][at] + shift, boxes[1][at])
    return at, np.asarray(box)
