"""What happens to one tile, and to the results of several: the functions that tasks call.

They carry no numba at import, so a scheduler that only unpickles them stays light.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
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
        return np.array(self.inner), np.array(self.outer), np.array(self.nvert, dtype=np.int64)

    def buffers(self, window: Window) -> tuple[Array, ...]:
        """Scratch arrays for a window of the grid."""
        from xcrater.spans import scratch

        return scratch(window[1] - window[0], window[3] - window[2], self.grid[2], max(self.nvert))


@dataclass(frozen=True)
class Leaf:
    """One request's leaf: regions over a tile's pixels to a `Partial`.

    Parameters
    ----------
    shapes : Shapes
        The regions.
    nodata : float or None
        Stored number that stands for no value.
    extremes, values : bool
        Whether the lowest and highest value, or all values, are wanted.
    """

    shapes: Shapes
    nodata: float | int | None
    extremes: bool
    values: bool

    def __call__(self, block: Array, tile: Tile) -> Partial:
        """Accumulate one tile."""
        from xcrater import kernels

        lead = [_kernel_block(b) for b in block.reshape(-1, *block.shape[-2:])]
        craters, (inner, outer, nvert) = tile.craters, self.shapes.arrays()
        dtype = np.dtype(lead[0].dtype) if lead else block.dtype
        fields = accumulators(dtype)
        kernel = kernels.accumulate_float if dtype.kind == "f" else kernels.accumulate_int
        buffers = self.shapes.buffers(tile.window)
        place = (craters.u0, craters.lat, craters.radius, inner, outer, nvert, self.shapes.touched, self.shapes.grid)
        states, runs, lengths = [], [], []
        for pixels in lead:
            codes, clean = classify(pixels, self.nodata)
            stored = np.ascontiguousarray(np.ma.getdata(pixels))
            state = [_start(a.start(dtype), (len(craters), inner.size)) for a in fields]
            kernel(stored, codes, clean, *place, tile.window, buffers, self.extremes, *state)
            states.append(state)
            if self.values:
                count = state[0].T
                offset = np.ascontiguousarray((np.cumsum(count) - count.ravel()).reshape(count.shape).T)
                out = np.empty(int(count.sum()), dtype)
                kernels.collect(stored, codes, clean, *place, tile.window, buffers, offset, out)
                runs.append(out)
                lengths.append(count)
        arrays = {
            a.name: np.stack([s[n].T for s in states]) if states else np.empty((0, inner.size, len(craters)))
            for n, a in enumerate(fields)
        }
        pieces = [Run(craters.row, np.stack(lengths), np.concatenate(runs))] if runs else []
        return Partial(craters.row, arrays, pieces)


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
        Their positions in the table, ascending.
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
    row = np.unique(np.concatenate([p.row for p in partials]))
    fields = _collect(row, partials, partials[0].fields)
    return Partial(row, fields, [run for p in partials for run in p.runs])


def _collect(row: Array, partials: Sequence[Partial], like: dict[str, Array]) -> dict[str, Array]:
    """Merge partial results into arrays over all the craters in `row` (ascending)."""
    dtype = np.dtype("f8") if "m2" in like else np.dtype("i8")
    out = {name: _start(ACCUMULATORS[name].start(dtype), (*array.shape[:-1], row.size)) for name, array in like.items()}
    for partial in partials:
        at = np.searchsorted(row, partial.row)
        if "m2" in out:
            held = {name: out[name][..., at] for name in ("count", "total")}
            out["m2"][..., at] += between_means(held, partial.fields)
        for name, array in partial.fields.items():
            out[name][..., at] = ACCUMULATORS[name].combine(out[name][..., at], array)
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
        state: dict[str, Any] = _collect(row, [partial], fields)
        state.update(scale=self.scale, offset=self.offset)
        if any("values" in a.needs for a in self.aggregations):
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
