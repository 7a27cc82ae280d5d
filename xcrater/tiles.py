"""What happens to one tile, and to the results of several: the functions that tasks call.

They import numba when they are called, so a scheduler that only unpickles them loads no compiler.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater.aggregations import ACCUMULATORS, Aggregation, accumulators, between_means
from xcrater.errors import GridError
from xcrater.grid import Window
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
        Whether to sum whole blocks of pixels once for all craters; None where it pays.
    """

    shapes: Shapes
    nodata: float | int | None
    values: bool
    summarise: bool | None = None

    def __call__(self, block: Array, tile: Tile) -> Partial:
        """Accumulate one tile."""
        # Craters next to each other in memory find their rows in the cache.
        tile = replace(tile, craters=tile.craters.take(np.argsort(tile.craters.lat, kind="stable")))
        images = [_kernel_block(b) for b in block.reshape(math.prod(block.shape[:-2]), *block.shape[-2:])]
        dtype = images[0].dtype if images else block.dtype
        slots = accumulators(dtype)
        kind = np.float64 if dtype.kind == "f" else np.int64
        held = np.empty((len(slots), len(images), len(self.shapes.outer), len(tile.craters)), kind)
        runs, lengths = [], []
        for n, pixels in enumerate(images):
            codes, clean = classify(pixels, self.nodata)
            stored = np.ascontiguousarray(np.ma.getdata(pixels))
            sums = self._accumulate(stored, codes, clean, tile)
            held[:, n] = np.moveaxis(sums, -1, 0).swapaxes(1, 2)
            if self.values:
                run = self._collect(stored, codes, clean, tile, held[0, n])
                runs.append(run)
                lengths.append(held[0, n])
        fields: dict[str, Array] = {
            a.name: part.astype(a.start(dtype)[0], copy=False) for a, part in zip(slots, held, strict=True)
        }
        pieces = [Run(tile.craters.row, np.stack(lengths).astype(np.int64), np.concatenate(runs))] if runs else []
        return Partial(tile.craters.row, fields, pieces)

    def _accumulate(self, stored: Array, codes: Array, clean: bool, tile: Tile) -> Array:
        """Accumulators of an image, shape (crater, region, slot)."""
        from xcrater import kernels

        craters, dtype = tile.craters, stored.dtype
        groups = self.shapes.groups()
        exact, wide = (None, False) if dtype.kind == "f" else (True, dtype.itemsize > 2)
        kind: Any = np.float64 if exact is None else np.int64
        start: Array = np.zeros(8, kind)
        for name, slot in (("low", kernels.LOW), ("high", kernels.HIGH)):
            start[slot] = ACCUMULATORS[name].start(dtype)[1]
        out: Array = np.empty((len(craters), len(self.shapes.outer), 8), kind)
        summary = self._summary(stored, codes, clean, tile)
        buffers = self.shapes.buffers(
            tile.window, max(g.edges.size for g in groups), max(g.members.size for g in groups)
        )
        for group in groups:
            part = np.empty((len(craters), group.members.size, 8), kind)
            held = np.empty((group.edges.size + group.members.size, 8), kind)
            kernels.accumulate(
                stored, codes, clean, exact, wide, summary, craters.u0, craters.lat, craters.radius,
                group.edges, group.modes, group.outer, group.inner, group.nvert,
                self.shapes.grid, tile.window, buffers, start, held, part,
            )  # fmt: skip
            out[:, group.members] = part
        if exact is None:
            return np.delete(out, kernels.SQ_LOW, axis=-1)
        # Squares of narrow integers are summed whole: split the sum, so that it can go on growing.
        out[..., kernels.SQ_HIGH] += out[..., kernels.SQ_LOW] >> 32
        out[..., kernels.SQ_LOW] &= 0xFFFFFFFF
        return out

    def _summary(self, stored: Array, codes: Array, clean: bool, tile: Tile) -> tuple[Array, ...]:
        """Sums over whole blocks of pixels, or arrays without rows where they would not pay."""
        from xcrater import kernels

        rows, blocks = stored.shape[0], stored.shape[1] // kernels.BLOCK
        narrow = stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2
        wanted = self.summarise
        if wanted is None:
            # Wide regions visit their pixels block by block; it pays once they would visit as many as there are.
            columns = max(self.shapes.outer) * tile.craters.radius * self.shapes.grid[2] / np.pi
            far = columns > 2 * kernels.BLOCK
            wanted = bool(np.minimum(columns[far] ** 2, stored.size).sum() > 0.5 * stored.size)
        if not (wanted and narrow):
            rows = blocks = 0
        summary = (
            np.empty((rows, blocks + 1), np.int64),
            np.empty((rows, blocks + 1), np.int64),
            np.empty((rows, blocks + 1), np.int64),
            np.empty((rows, blocks), np.int64),
            np.empty((rows, blocks), np.int64),
        )
        if rows:
            kernels.summarise(stored, codes, clean, *summary)
        return summary

    def _collect(self, stored: Array, codes: Array, clean: bool, tile: Tile, count: Array) -> Array:
        """Values of an image's regions, in order of region and crater."""
        from xcrater import kernels

        craters = tile.craters
        length = count.astype(np.int64)
        offset = (np.cumsum(length) - length.ravel()).reshape(length.shape).T
        out = np.empty(int(length.sum()), stored.dtype)
        kernels.collect(
            stored, codes, clean, craters.u0, craters.lat, craters.radius, *self.shapes.arrays(),
            self.shapes.touched, self.shapes.grid, tile.window, self.shapes.buffers(tile.window),
            np.ascontiguousarray(offset), out,
        )  # fmt: skip
        return out


@dataclass(frozen=True, eq=False)
class Run:
    """Pixel values of some craters: lengths of shape (lead, region, crater), values in that order."""

    row: NDArray[np.int32]
    length: Array
    values: Array


@dataclass(frozen=True, eq=False)
class Partial:
    """Accumulators of the craters present in some tiles.

    Parameters
    ----------
    row : ndarray of int32, shape (n,)
        Their positions in the table.
    fields : dict of ndarray, shape (lead, region, n)
        Accumulators by name.
    runs : list of Run
        Pixel values, in the order of the tiles.
    """

    row: NDArray[np.int32]
    fields: dict[str, Array] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)


def _start(start: tuple[type, float | int], shape: tuple[int, ...]) -> Array:
    return np.full(shape, start[1], dtype=start[0])


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


def merge(partials: Sequence[Partial]) -> Partial:
    """Merge partial results in the order given."""
    partials = [p for p in partials if p.row.size]
    if len(partials) < 2:
        return partials[0] if partials else Partial(np.empty(0, np.int32))
    present = np.zeros(max(int(p.row.max()) for p in partials) + 1, bool)
    for p in partials:
        present[p.row] = True
    row = np.flatnonzero(present).astype(np.int32)
    return Partial(row, _collect(row, partials, partials[0].fields), [run for p in partials for run in p.runs])


def _collect(row: Array, partials: Sequence[Partial], like: dict[str, Array]) -> dict[str, Array]:
    """Merge partial results into arrays over all the craters in `row` (ascending)."""
    dtype = np.dtype("f8") if "m2" in like else np.dtype("i8")
    out = {name: np.empty((*array.shape[:-1], row.size), array.dtype) for name, array in like.items()}
    place = np.zeros(int(row[-1]) + 1 if row.size else 0, np.int64)
    place[row] = np.arange(row.size)
    seen = np.zeros(row.size, bool)
    for partial in partials:
        at = place[partial.row]
        again = np.flatnonzero(seen[at])  # few: most craters lie on one tile
        if again.size:
            held = {name: array[..., at[again]] for name, array in out.items()}
            other = {name: array[..., again] for name, array in partial.fields.items()}
        for name, array in partial.fields.items():
            out[name][..., at] = array
        if again.size:
            if "m2" in out:
                held["m2"] = held["m2"] + between_means(held, other)
            for name, array in other.items():
                out[name][..., at[again]] = ACCUMULATORS[name].combine(held[name], array)
        seen[at] = True
    for name, array in out.items():
        array[..., ~seen] = ACCUMULATORS[name].start(dtype)[1]
    return out


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

    def __call__(self, partial: Partial, lead: int) -> dict[str, Array]:
        """Finalise; lead is the number of images in the blocks."""
        row = np.arange(self.craters, dtype=np.int32)
        fields = partial.fields
        if not fields:
            # No tile was touched: a block without pixels has all the accumulators, at their start.
            fields = {
                a.name: _start(a.start(np.dtype(self.dtype)), (lead, self.regions, 0))
                for a in accumulators(np.dtype(self.dtype))
            }
            partial = Partial(np.empty(0, np.int32), fields)
        whole = partial.row.size == row.size and bool((partial.row == row).all())
        state: dict[str, Any] = dict(fields) if whole else _collect(row, [partial], fields)
        state.update(scale=self.scale, offset=self.offset)
        if not all(a.reduces for a in self.aggregations):
            state["runs"] = Runs.gather(partial.runs, state["count"], np.dtype(self.dtype), self.scale, self.offset)
        return {a.name: a.finalise(state) for a in self.aggregations}


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
