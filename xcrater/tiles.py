"""What happens to one tile, and to the results of several: the functions that tasks call.

They import numba when they are called, so a scheduler that only unpickles them loads no compiler.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater.aggregations import Aggregation
from xcrater.errors import GridError
from xcrater.grid import Window
from xcrater.order import Collect, Found, Order, Table, Targets
from xcrater.plan import Craters, Tile

Array = NDArray[Any]

_KERNEL_DTYPE = {"b1": "u1", "i1": "i2", "u4": "i8", "u8": "i8", "f2": "f4", "f12": "f8", "f16": "f8"}
"""Dtypes that kernels are not compiled for, and what stands in for them."""


@dataclass(frozen=True)
class Shapes:
    """The regions of one request, and what places them on a grid.

    Parameters
    ----------
    inner, outer : tuple of float
        Bounds in crater radii.
    nvert : tuple of int
        Vertices of each region's polygons; 0 for true circles.
    touched : bool
        Coverage "all_touched" rather than "center".
    grid : tuple of float
        `Grid.radians`.
    """

    inner: tuple[float, ...]
    outer: tuple[float, ...]
    nvert: tuple[int, ...]
    touched: bool
    grid: tuple[float, float, float]

    def arrays(self) -> tuple[Array, Array, Array]:
        """Inner, outer and nvert as kernels take them."""
        return (np.array(self.inner), np.array(self.outer), np.array(self.nvert, dtype=np.int64))

    def buffers(self, window: Window, edges: int = 2, regions: int = 1) -> tuple[Array, ...]:
        """Scratch arrays for a window of the grid, for so many discs and regions at once."""
        from xcrater.spans import scratch

        return scratch(window, self.grid, max(self.nvert), self.touched, edges, regions)

    def groups(self) -> list[Group]:
        """Regions whose discs are nested in one another: those of one number of vertices."""
        from xcrater.spans import CENTER, CONTAINED, TOUCHED

        outer_mode, inner_mode = (TOUCHED, CONTAINED) if self.touched else (CENTER, CENTER)
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
    values : bool
        Whether all values are wanted, besides their sums.
    summarise : bool or None
        Whether to sum whole squares of pixels once for all craters; None where it pays.
    """

    shapes: Shapes
    nodata: float | int | None
    values: bool
    summarise: bool | None = None
    order: Order | None = None

    def __call__(self, block: Array, tile: Tile) -> Partial:
        """Accumulate one tile."""
        from xcrater.vectors import LANES

        images = [_kernel_block(b) for b in block.reshape(math.prod(block.shape[:-2]), *block.shape[-2:])]
        dtype = images[0].dtype if images else block.dtype
        check_kernels(dtype.str)
        start = _start(dtype)
        sums = np.empty((len(tile.craters), len(images), len(self.shapes.outer), start.size), start.dtype)
        runs, lengths, founds = [], [], []
        for n, pixels in enumerate(images):
            codes, clean = classify(pixels, self.nodata)
            stored = np.ascontiguousarray(np.ma.getdata(pixels))
            beside = ((0, 0), (0, -stored.shape[1] % LANES))
            if beside[1][1]:
                stored, codes = np.pad(stored, beside), codes if clean else np.pad(codes, beside)
            self._accumulate(stored, codes, clean, tile, start, n, sums)
            if self.order is not None:
                counts = sums[:, n, :, 0].astype(np.int64)
                collect = self._collector(stored, codes, clean, tile, counts)
                assert tile.share is not None
                founds.append(
                    self.order.find(collect, counts, tile.craters.row, tile.share, tile.window, n, len(images))
                )
            elif self.values:
                lengths.append(sums[:, n, :, 0].T.astype(np.int64))
                runs.append(self._collect(stored, codes, clean, tile, lengths[-1]))
        row = tile.craters.row
        pieces = [Run(row, np.stack(lengths), np.concatenate(runs))] if runs else []
        return Partial([Sums(row, sums)], pieces, founds)

    def look(self, block: Array, tile: Tile, before: Targets, look: int) -> Found:
        """Another look at a tile, for order statistics."""
        assert self.order is not None
        images = [_kernel_block(b) for b in block.reshape(math.prod(block.shape[:-2]), *block.shape[-2:])]
        founds = []
        for n, pixels in enumerate(images):
            codes, clean = classify(pixels, self.nodata)
            collect = self._collector(np.ascontiguousarray(np.ma.getdata(pixels)), codes, clean, tile, None)
            founds.append(self.order.look(collect, tile.craters.row, tile.window, before, look, n, len(images)))
        return self.order.merge(founds, before)

    def _collector(self, stored: Array, codes: Array, clean: bool, tile: Tile, counts: Array | None) -> Collect:
        """What gives the values of an image's regions."""
        from xcrater import kernels

        regions = len(self.shapes.outer)

        def collect(index: Array, rows: tuple[int, int]) -> tuple[Array, None, Array]:
            craters, (top, _, left, right) = tile.craters.take(index), tile.window
            window = (*rows, left, right)
            size = (rows[1] - rows[0]) * (right - left) * index.size * regions
            if counts is not None:
                size = min(size, int(counts[index].sum()))
            out, length = np.empty(size + 1, stored.dtype), np.empty((index.size, regions), np.int64)
            part = slice(rows[0] - top, rows[1] - top)
            kernels.gather(
                stored[part], codes if clean else codes[part], clean, craters.u0, craters.lat, craters.radius,
                *self.shapes.arrays(), self.shapes.touched, self.shapes.grid, window, self.shapes.buffers(window),
                length, out,
            )  # fmt: skip
            return out[: length.sum()], None, length

        return collect

    def _accumulate(
        self, stored: Array, codes: Array, clean: bool, tile: Tile, start: Array, image: int, out: Array
    ) -> None:
        """Accumulators of an image to ``out[:, image]``."""
        from xcrater import kernels

        craters = tile.craters
        groups = self.shapes.groups()
        exact = None if stored.dtype.kind == "f" else True
        squares = self._squares(stored, codes, clean, exact, tile, start)
        buffers = self.shapes.buffers(
            tile.window, max(g.edges.size for g in groups), max(g.members.size for g in groups)
        )
        order = np.argsort(craters.lat * self.shapes.grid[1], kind="stable")
        for group in groups:
            held = np.empty((group.edges.size + group.members.size, start.size), start.dtype)
            kernels.accumulate(
                stored, codes, clean, exact, squares, order, craters.u0, craters.lat, craters.radius,
                group.edges, group.modes, group.outer, group.inner, group.members, group.nvert,
                self.shapes.grid, tile.window, buffers, start, held, image, out,
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

    def _collect(self, stored: Array, codes: Array, clean: bool, tile: Tile, length: Array) -> Array:
        """Values of an image's regions, in order of region and crater."""
        from xcrater import kernels

        craters = tile.craters
        offset = (np.cumsum(length) - length.ravel()).reshape(length.shape).T
        out = np.empty(int(length.sum()), stored.dtype)
        kernels.collect(
            stored, codes, clean, craters.u0, craters.lat, craters.radius, *self.shapes.arrays(),
            self.shapes.touched, self.shapes.grid, tile.window, self.shapes.buffers(tile.window),
            np.ascontiguousarray(offset), out,
        )  # fmt: skip
        return out


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
    shapes = Shapes((0.0, 0.7), (1.0, 1.8), (0, 0), False, (math.radians(top), math.radians(-side), 360 / side))
    craters = Craters(np.zeros(1, np.int32), np.array([lon / side]), np.radians([lat]), np.radians([angle]))
    tile = Tile((0, 0), (0, size[0], 0, size[1]), craters)
    start = _start(pixels.dtype)
    out = np.empty((1, 1, 2, start.size), start.dtype)
    leaf = Leaf(shapes, None, values=False, summarise=True)
    leaf._accumulate(pixels, np.empty((1, 1), np.uint8), True, tile, start, 0, out)
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


@dataclass(frozen=True, eq=False)
class Run:
    """Pixel values of some craters: lengths of shape (lead, region, crater), values in that order."""

    row: NDArray[np.int32]
    length: Array
    values: Array


@dataclass(frozen=True, eq=False)
class Sums:
    """Accumulators of some craters.

    Parameters
    ----------
    row : ndarray of int32, shape (n,)
        Their positions in the table, ascending.
    sums : ndarray, shape (n, lead, region, 8)
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
    runs : list of Run
        Pixel values.
    """

    sums: list[Sums] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    founds: list[Found] = field(default_factory=list)


def _start(dtype: np.dtype[Any]) -> Array:
    """An accumulator before any pixel."""
    from xcrater import kernels

    floats = dtype.kind == "f"
    start: Array = np.zeros(8, np.float64 if floats else np.int64)
    start[kernels.LOW] = np.inf if floats else np.iinfo(np.int64).max
    start[kernels.HIGH] = -np.inf if floats else np.iinfo(np.int64).min
    return start


def _kernel_block(pixels: Array) -> Array:
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
    founds = [order.merge([found for p in partials for found in p.founds])] if order is not None else []
    merged = Partial(
        [s for p in partials for s in p.sums if s.row.size], [run for p in partials for run in p.runs], founds
    )
    if len(merged.sums) < 2:
        return merged
    present = np.zeros(max(int(s.row[-1]) for s in merged.sums) + 1, bool)
    for s in merged.sums:
        present[s.row] = True
    row = np.flatnonzero(present).astype(np.int32)
    if sum(s.row.size for s in merged.sums) < 2 * row.size:
        return merged
    return Partial([Sums(row, _add_up(merged.sums, row))], merged.runs, founds)


def _add_up(pieces: Sequence[Sums], row: Array) -> Array:
    """Accumulators of the craters in ``row``, ascending, which has all that the pieces have."""
    from xcrater import kernels

    like = pieces[0].sums
    out = np.empty((row.size, like.shape[1] * like.shape[2], like.shape[3]), like.dtype)
    out[:] = _start(like.dtype)
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
    sums : ndarray, shape (crater, lead, region, 8)
        The accumulators.
    """

    def __init__(self, sums: Array) -> None:
        from xcrater import kernels

        self._sums = sums
        self._slots = {
            "count": kernels.COUNT,
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

    def __missing__(self, name: str) -> Array:
        from xcrater import kernels

        craters, lead, regions, slots = self._sums.shape
        dtype = np.int64 if name in ("count", "nodata", "nan") else self._sums.dtype
        out = np.empty((lead * regions, craters), dtype)
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
    """

    aggregations: tuple[Aggregation, ...]
    craters: int
    regions: int
    dtype: str
    scale: float
    offset: float
    order: Order | None = None

    def __call__(self, partial: Partial, lead: int) -> dict[str, Array]:
        """Finalise; lead is the number of images in the blocks."""
        dtype = np.dtype(self.dtype)
        results = {a.name: np.empty((lead, self.regions, self.craters), a.dtype) for a in self.aggregations}
        # Craters by the block, which stays in the processor's cache from one step to the next.
        step = BLOCK if all(a.reduces for a in self.aggregations) else max(1, self.craters)
        edges = np.append(np.arange(0, self.craters, step), self.craters).astype(np.int32)
        nothing = Sums(np.empty(0, np.int32), np.empty((0, lead, self.regions, 8), _start(dtype).dtype))
        cuts = [(piece, np.searchsorted(piece.row, edges)) for piece in partial.sums]
        for n, (first, stop) in enumerate(itertools.pairwise(edges.tolist())):
            row = np.arange(first, stop, dtype=np.int32)
            pieces = [Sums(p.row[at[n] : at[n + 1]], p.sums[at[n] : at[n + 1]]) for p, at in cuts if at[n] < at[n + 1]]
            pieces = pieces or [nothing]
            state = State(_add_up(pieces, row))
            state.update(scale=self.scale, offset=self.offset)
            if self.order is not None:
                state["runs"] = Table(partial.founds[0], self.order, self.craters, lead)
            elif step != BLOCK:
                state["runs"] = Runs.gather(partial.runs, state["count"], dtype, self.scale, self.offset)
            for a in self.aggregations:
                results[a.name][..., first:stop] = a.finalise(state)
        return results


@dataclass(eq=False)
class Runs:
    """The valid values of every region of every crater, sorted.

    Parameters
    ----------
    values : ndarray
        Decoded values, run after run.
    offsets : ndarray of int64
        Where each run begins, and the end.
    shape : tuple of int
        (lead, region, crater), the runs' order.
    """

    values: Array
    offsets: Array
    shape: tuple[int, ...]

    @classmethod
    def gather(cls, runs: Sequence[Run], count: Array, dtype: np.dtype[Any], scale: float, offset: float) -> Runs:
        """Put the runs of all tiles together and sort them."""
        from xcrater import kernels

        offsets = np.concatenate([[0], np.cumsum(count)])
        values = np.empty(offsets[-1], runs[0].values.dtype if runs else _kernel_block(np.empty(0, dtype)).dtype)
        at = offsets[:-1].reshape(count.shape).copy()
        for run in runs:
            target = at[..., run.row]
            flat = np.ascontiguousarray(target).ravel()
            length = np.ascontiguousarray(run.length).ravel()
            kernels.scatter(run.values, np.cumsum(length) - length, length, flat, values)
            at[..., run.row] = flat.reshape(target.shape)
        if (scale, offset) != (1.0, 0.0):
            values = values.astype(np.float64) * scale + offset
        kernels.sort_runs(values, offsets)
        return cls(values, offsets, count.shape)

    def quantile(self, q: float) -> Array:
        """Quantile of each run, linear between ranks; NaN where there is none."""
        from xcrater import kernels

        out = np.empty(self.offsets.size - 1)
        kernels.run_quantile(self.values, self.offsets, q, out)
        return out.reshape(self.shape)

    def frequency(self, which: str) -> Array:
        """Majority, minority or number of distinct values of each run; NaN where there is none."""
        from xcrater import kernels

        out = {name: np.full(self.offsets.size - 1, np.nan) for name in ("majority", "minority", "unique")}
        kernels.run_frequencies(self.values, self.offsets, out["majority"], out["minority"], out["unique"])
        return out[which].reshape(self.shape)

    def categories(self) -> Array:
        """A dict of value to pixel count for each run."""
        out = np.empty(self.offsets.size - 1, object)
        for i in range(out.size):
            value, count = np.unique(self.values[self.offsets[i] : self.offsets[i + 1]], return_counts=True)
            out[i] = dict(zip(value.tolist(), count.tolist(), strict=True))
        return out.reshape(self.shape)


def region_mask(shapes: Shapes, region: int, craters: Craters, crater: int, window: Window) -> NDArray[np.bool_]:
    """Which pixels of a window belong to one crater's region.

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

    out = np.zeros((window[1] - window[0], window[3] - window[2]), np.bool_)
    at = (craters.u0[crater], craters.lat[crater], craters.radius[crater])
    of = (shapes.inner[region], shapes.outer[region], shapes.nvert[region], shapes.touched)
    kernels.paint(*at, *of, shapes.grid, window, shapes.buffers(window), out)
    return out


def targets(order: Order, found: Partial | Found) -> Targets:
    """What another look at tiles needs to know."""
    return order.targets(found.founds[0] if isinstance(found, Partial) else found)


def with_targets(order: Order, partial: Partial, last: Targets) -> Partial:
    """What was found, with the answers of the last look."""
    return Partial(partial.sums, partial.runs, [order.finish(partial.founds[0], last)])
