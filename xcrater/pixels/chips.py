"""Chips: a small image of every crater, all of one size and orientation."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xcrater import kernels
from xcrater.engine import graph
from xcrater.engine.craters import Craters
from xcrater.engine.plan import Tile
from xcrater.engine.reduction import Output, Reduction, chained
from xcrater.engine.request import Request, make_request, users_level
from xcrater.errors import BlocksWarning, ChipError
from xcrater.geometry.grid import Boxes, Grid
from xcrater.geometry.places import centres, reached, seen_from
from xcrater.options import get_option
from xcrater.pixels.blocks import groups
from xcrater.raster.naming import value_name
from xcrater.raster.values import sentinel
from xcrater.table.regions import Circle

if TYPE_CHECKING:
    from xcrater.table.crater_table import CraterTable

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

METHODS = {"nearest": 1, "bilinear": 2, "cubic": 4}
"""Number of raster pixels along each axis from which a sample is interpolated, by method."""

FINEST = 32
"""Largest number of samples, along each axis, that are averaged to one pixel of a chip."""

HALF = 0.5 - 1e-9
"""Least weight of valid pixels for which a chip's pixel has a value: slightly below half, so that rounding does not
decide the case of exactly half."""

AGAIN = 8
"""Average number of times that a chunk of the raster may be read before a warning is given."""

_REACH = 3.0  # raster pixels beyond a chip's edge that its samples may need
_CHUNK = 2**21  # pixels of all chips in a group
_BATCH = 2**18  # samples that are projected at a time

Partial = tuple[NDArray[np.int32], Floats, Floats]
"""Positions of a tile's craters in the order of the chips, shape (n,); and for each pixel of their chips, shape
(images, n, rows, columns), the sum of weight times stored number, and the sum of weights."""


def chips(
    da: xr.DataArray,
    cdb: CraterTable,
    size: int | tuple[int, int] = 64,
    extent: float = 1.5,
    *,
    method: str = "bilinear",
    north_up: bool = True,
    antialias: bool = True,
    order: str = "table",
    group: int | None = None,
    nodata: float | int | None = None,
) -> xr.DataArray:
    """Resample an image of every crater in its own azimuthal equidistant frame; see `CratersAccessor.chips`."""
    shape = _checked_size(size)
    if isinstance(extent, bool) or not isinstance(extent, Real) or not 0 < float(extent) < math.inf:
        raise ChipError(
            f"received extent={extent!r}; expected crater radii from the centre to the chip's edge, above 0: extent=1.5"
        )
    if not isinstance(method, str) or method not in METHODS:
        raise ChipError(f"received method={method!r}; expected one of {', '.join(map(repr, METHODS))}")
    if order not in ("table", "tiles"):
        raise ChipError(f"received order={order!r}; expected 'table', or 'tiles' for neighbours side by side")
    if group is not None and (isinstance(group, bool) or not isinstance(group, Integral) or group < 1):
        raise ChipError(f"received group={group!r}; expected how many chips to make together, 1 or more")
    extent = float(extent)
    request = make_request(
        da, cdb, {"chip": Circle(math.sqrt(2.0) * extent, nvert=None)}, coverage="all_touched", nodata=nodata
    )
    grid, raster, dtype = request.raster.grid, request.raster, request.da.dtype
    images = request.images
    needed = math.prod(shape) * images * 16
    if needed > get_option("memory"):
        raise ChipError(
            f"received size={size!r}: one crater's {images} images take {needed:,} bytes at work, and the option "
            f"memory is {get_option('memory'):,}. Make chips smaller, or allow it: xcrater.set_options(memory={needed})"
        )
    if group is None:
        group = max(1, _CHUNK // (math.prod(shape) * images))

    plan = request.plan([_reaching(grid, box) for box in request.boxes])
    # Group a crater on several tiles with others that the same tile completes, but not with craters that lie on that
    # tile alone: those are finished at once, while sums of the former occupy memory until their last tile is read.
    spread = plan.spread
    turn = 2 * spread.last + (spread.count > 1) if order == "tiles" else np.zeros(len(request.craters), np.int64)
    at = np.argsort(turn, kind="stable")
    edges = _edges(turn[at], int(group))
    place = np.empty_like(at)
    place[at] = np.arange(at.size)
    tiles: list[list[Tile]] = [[] for _ in edges[1:]]
    for tile in plan:
        inside = np.argsort(place[tile.craters.row])
        craters = replace(tile.craters.take(inside), row=place[tile.craters.row[inside]].astype(np.int32))
        of = np.searchsorted(edges, craters.row, "right") - 1
        first = np.flatnonzero(np.diff(of, prepend=-1))
        for n, start, stop in zip(of[first], first, [*first[1:], of.size], strict=True):
            tiles[n].append(replace(tile, craters=craters.take(slice(start, stop))))

    pairs = sum(map(len, tiles))
    if order == "table" and graph.is_lazy(request.da) and pairs > AGAIN * len(plan):
        warnings.warn(
            f"in this order, {len(tiles)} chunks of chips need {pairs} reads of the {len(plan)} chunks of the raster; "
            "type order='tiles' to put neighbours side by side, and find chips by label: chips.sel(crater=...)",
            BlocksWarning,
            stacklevel=users_level(),
        )
    leaf = Leaf(grid, shape, extent, METHODS[method], north_up, antialias and method != "nearest", raster.nodata)
    small = not raster.decodes and (dtype.itemsize <= 2 or dtype.newbyteorder("=") == np.float32)
    finish = Finish(shape, raster.scale, raster.offset, "f4" if small else "f8")
    data = graph.reduce_groups(
        request.da,
        [graph.Group([graph.Round(of)], *bounds) for of, *bounds in zip(tiles, edges, edges[1:], strict=False)],
        Reduction(leaf, chained, finish, {"chips": Output(shape, finish.dtype)}),
        token=(request.craters, at, leaf, finish),
    )["chips"]
    result = _labelled(request, data, shape, extent, at)
    result.attrs |= {
        "body": cdb.body,
        "method": method,
        "extent": extent,
        "north_up": int(north_up),
        "antialias": int(leaf.antialias),
    }
    return result


def _checked_size(size: Any) -> tuple[int, int]:
    sides = size if isinstance(size, tuple | list) else (size, size)
    if len(sides) != 2 or any(isinstance(n, bool) or not isinstance(n, Integral) or int(n) < 1 for n in sides):
        raise ChipError(
            f"received size={size!r}; expected pixels along each side, above 0: size=64, or (rows, columns)"
        )
    return int(sides[0]), int(sides[1])


def _reaching(grid: Grid, box: Boxes) -> Boxes:
    """Enlarge boxes, in pixels, by the reach of the pixels from which samples in them are interpolated."""
    top, bottom, west, east = box[0] - _REACH, box[1] + _REACH, box[2] - _REACH, box[3] + _REACH
    columns, half, *_, low, high = around(grid)
    # Beyond a pole, sampling continues on rows half a turn away, so all columns may be needed
    over = (half > 0) & ((2 * top < low) | (2 * bottom > high))
    return top, bottom, np.where(over, 0.0, west), np.where(over, max(columns, grid.period), east)


def around(grid: Grid) -> tuple[int, int, float, float, int, int]:
    """How rows and columns continue beyond the raster's edges, as `xcrater.kernels.resample.add_sample` takes it."""
    columns = grid.columns if grid.wraps else 0
    period = grid.period if math.isfinite(grid.period) else 0.0
    frame = grid.to_frame()
    low, high, half = -kernels.FAR, kernels.FAR, 0
    if columns and columns % 2 == 0:
        half = columns // 2
        _, poles = frame.pixels(np.full(2, frame.centre[0]), np.array([90.0, -90.0]))
        doubled = [round(v) if np.isfinite(v) and abs(v - round(v)) < 1e-6 else None for v in 2 * np.sort(poles)]
        low = low if doubled[0] is None else doubled[0]
        high = high if doubled[1] is None else doubled[1]
    return columns, half, period, grid.columns / 2, low, high


def _edges(turn: Ints, group: int) -> list[int]:
    """Positions at which groups begin, and the end of the last group.

    Parameters
    ----------
    turn : ndarray of int64, shape (n,)
        Number of the turn in which each crater is completed, ascending. A group never mixes two turns.
    group : int
        Largest number of craters in a group.
    """
    if not turn.size:
        return [0, 0]  # one empty group
    first = np.flatnonzero(np.diff(turn, prepend=turn[0] - 1))
    stops = [*first[1:].tolist(), turn.size]
    return [at for start, stop in zip(first.tolist(), stops, strict=True) for at in range(start, stop, group)] + [
        turn.size
    ]


def groups_of_chips(chips: xr.DataArray, most: int, craters: int) -> list[tuple[int, int]]:
    """Bounds of groups of craters whose chips are made together, so that few parts of the raster are read twice.

    Parameters
    ----------
    chips : xarray.DataArray
        Lazy chips.
    most, craters : int
        Largest number of bytes and of chips in a group; a single chunk may exceed both.
    """
    chunks = np.array(chips.chunksizes["crater"])
    each = chips.nbytes // max(chips.sizes["crater"], 1)
    edges = np.concatenate([[0], np.cumsum(chunks)]).tolist()
    return [(edges[run.start], edges[run.stop]) for run in groups(chunks * each, min(most, craters * each))]


def _labelled(request: Request, data: Any, shape: tuple[int, int], extent: float, at: Ints) -> xr.DataArray:
    da, (rows, cols) = request.da, shape
    up, right = (
        {"units": "crater radii", "long_name": f"distance {way} the centre"} for way in ("up from", "right of")
    )
    axes = {
        "y": ("y", extent * (1 - (2 * np.arange(rows) + 1) / rows), up),
        "x": ("x", extent * ((2 * np.arange(cols) + 1) / cols - 1), right),
    }
    craters = xr.Dataset(coords=request.coordinates()).isel(crater=at)
    result = xr.DataArray(
        data,
        dims=(*request.raster.extra_dims, "crater", "y", "x"),
        coords={**request.image_coordinates(), **craters.coords, **axes},
    )
    result.name = da.name
    result.attrs = {"long_name": value_name(da)} | {name: da.attrs[name] for name in ("units",) if name in da.attrs}
    return result


@dataclass(frozen=True)
class Leaf:
    """Computes a tile's contribution to the chips of its craters.

    Parameters
    ----------
    grid : Grid
        Grid of the raster.
    shape : tuple of int
        Rows and columns of a chip.
    extent : float
        Distance from a chip's centre to its edge, crater radii.
    taps : int
        Number of raster pixels along each axis from which a sample is interpolated.
    north_up : bool
        Whether up is north; otherwise it is the direction of the raster's columns at the crater's centre.
    antialias : bool
        Whether a chip's pixel is the mean of as many samples as the raster has pixels there.
    nodata : float or int or None
        Stored number that stands for a missing value.
    """

    grid: Grid
    shape: tuple[int, int]
    extent: float
    taps: int
    north_up: bool
    antialias: bool
    nodata: float | int | None

    def __call__(self, block: NDArray[Any], tile: Tile) -> list[Partial]:
        """Sum the pixels of one tile, shape (..., rows, columns), for the chips of its craters; see `Partial`."""
        craters, grid = tile.craters, self.grid
        block = _kernel_block(block.reshape(-1, *block.shape[-2:]))
        nodata, has_nodata = sentinel(self.nodata, block.dtype)
        total, weight = np.zeros((2, block.shape[0], len(craters), *self.shape))
        turn, fine = self._turn(craters), self._fine(craters)
        top, bottom, left, right = (int(n) for n in tile.window)
        window = (top, bottom, left, right)
        source = kernels.Source(block, nodata, has_nodata, window, around(grid), self.taps)
        chips = kernels.Chips(total, weight)
        if grid.closed:
            steps = tuple(np.radians([grid.lat_origin, grid.lat_step, grid.lon_step]).tolist())
            caps = craters.caps()
            kernels.sample_sphere(source, steps, caps, turn, fine, self.extent, chips)
        else:
            for chip, row, samples, u, v in self._places(craters, turn, fine):
                self._sample(source, u, v, chip, row, samples, chips)
        return [(craters.row, total, weight)]

    def _sample(self, source: Any, u: Floats, v: Floats, *more: Any) -> None:
        kernels.sample_points(source, u, v, *more)

    def _places(self, craters: Craters, turn: Floats, fine: Ints) -> Any:
        """Yield batches of rows of chips, as `sample_points` takes them.

        A batch is (chip, row, samples, u, v): position of the crater and row of its chip, shape (n,); number of samples
        of a pixel, down and across; column and row coordinates of the samples on the raster, shape (n, down, columns of
        the chip * across).
        """
        frame = self.grid.to_frame()
        rows, cols = self.shape
        for samples in sorted(set(map(tuple, fine.tolist()))):
            down, across = samples
            some = np.flatnonzero((fine == samples).all(axis=1))
            many = max(1, _BATCH // (cols * down * across))
            right = self.extent * ((2 * np.arange(cols * across) + 1) / (cols * across) - 1)
            for start in range(0, some.size * rows, many):
                which, row = np.divmod(np.arange(start, min(start + many, some.size * rows)), rows)
                chip = some[which]
                up = self.extent * (1 - (2 * (row[:, None] * down + np.arange(down)) + 1) / (rows * down))
                size = (chip.size, down, right.size)
                east, north = np.broadcast_to(right, size).ravel(), np.broadcast_to(up[:, :, None], size).ravel()
                each = np.repeat(chip, down * right.size)
                azimuth = np.degrees(np.arctan2(east, north) + turn[each])
                lon, lat = reached(self.grid, craters.take(each), np.hypot(east, north), azimuth)
                u, v = frame.pixels(lon, lat)
                yield chip, row, samples, u.reshape(size), v.reshape(size)

    def _turn(self, craters: Craters) -> Floats:
        """Azimuth of each chip's upward direction, radians clockwise from north, shape (craters,)."""
        if self.north_up:
            return np.zeros(len(craters))
        grid = self.grid
        if grid.closed:
            return np.full(len(craters), 0.0 if grid.lat_step < 0 else np.pi)
        frame = grid.to_frame()
        u, v = frame.pixels(*centres(craters))
        azimuth = [seen_from(grid, craters, *frame.lonlat(u, v + step))[1] for step in (-0.01, 0.01)]
        # If the point above the centre is off the map, use the opposite of the direction downwards
        return np.asarray(np.radians(np.where(np.isnan(azimuth[0]), azimuth[1] + 180.0, azimuth[0])))

    def _fine(self, craters: Craters) -> Ints:
        """Number of samples of a chip's pixel, down and across, shape (craters, 2)."""
        sides = 2 * self.extent * craters.radius[:, None] / np.array(self.shape)
        if not self.antialias:
            return np.ones(sides.shape, np.int64)
        return np.clip(np.ceil(self._density(craters)[:, None] * sides - 1e-6), 1, FINEST).astype(np.int64)

    def _density(self, craters: Craters) -> Floats:
        """Pixels of the raster per radian at each crater, shape (craters,); 0 off the map.

        It is the square root of the number of pixels per square radian.
        """
        frame = self.grid.to_frame()
        lon, lat = centres(craters)
        if self.grid.closed or frame.kind == "cylindrical":
            south, north = np.clip(lat - 0.01, -90.0, 90.0), np.clip(lat + 0.01, -90.0, 90.0)
            v = [frame.pixels(lon, at)[1] for at in (south, north)]
            by_lat = np.abs(v[1] - v[0]) / np.radians(north - south)
            # Meridians meet at a pole, so near it the width at the centre is replaced by a mean over the disc
            wide = np.maximum(np.cos(craters.lat), np.minimum(self.extent * craters.radius, np.pi) / 2)
            found = by_lat * self.grid.period / (2 * np.pi) / wide
        else:
            step = 1e-5
            u, v = np.array(
                [
                    frame.pixels(*reached(self.grid, craters, step / craters.radius, azimuth))
                    for azimuth in (0.0, 180.0, 90.0, 270.0)
                ]
            ).transpose(1, 0, 2)
            found = np.abs((u[2] - u[3]) * (v[0] - v[1]) - (u[0] - u[1]) * (v[2] - v[3])) / (2 * step) ** 2
        return np.asarray(np.sqrt(np.nan_to_num(found, nan=0.0, posinf=0.0)))


def _kernel_block(block: NDArray[Any]) -> NDArray[Any]:
    """Prepare a block for kernels: contiguous, in native byte order, with NaN where it is masked."""
    if np.ma.is_masked(block):
        return np.ma.filled(block.astype(np.float64), np.nan)
    stored: NDArray[Any] = np.ma.getdata(block)
    wanted: Any = {"?": "u1", "e": "f4"}.get(stored.dtype.char, stored.dtype.newbyteorder("="))
    return np.ascontiguousarray(stored.astype(wanted, copy=False))


@dataclass(frozen=True)
class Finish:
    """Turns the sums of all tiles into values.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of a chip.
    scale, offset : float
        ``value = stored * scale + offset``.
    dtype : str
        Data type of the values.
    """

    shape: tuple[int, int]
    scale: float
    offset: float
    dtype: str

    def __call__(self, partials: Sequence[Partial], images: int, start: int, stop: int) -> dict[str, NDArray[Any]]:
        """Compute the chips of one group of craters, shape (images, craters, rows, columns)."""
        if len(partials) == 1 and partials[0][0].size == stop - start:
            total, weight = partials[0][1:]
        else:
            total, weight = np.zeros((2, images, stop - start, *self.shape))
            for row, sums, weights in partials:
                total[:, row - start] += sums
                weight[:, row - start] += weights
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            values = np.where(weight >= HALF, total / weight, np.nan)
            return {"chips": (values * self.scale + self.offset).astype(self.dtype)}
