"""Order statistics of regions in any chunks and any memory, against sorting all their pixels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import dask
import dask.array
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests import reference as ref
from tests.helpers import CountingScheduler
from xcrater import CraterDatabase, set_options, tutorial
from xcrater.engine import graph
from xcrater.engine.craters import Craters
from xcrater.engine.plan import Tile
from xcrater.errors import StatisticError
from xcrater.statistics.quantiles.order import Coding, Found, Order, Table, Targets, Wanted, share

Array = NDArray[Any]

DTYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "i8", "f2", "f4", "f8")
STORED = {"i1": "i2", "u4": "i8", "f2": "f4"}
"""What a tile makes of a dtype that kernels are not compiled for."""

QUANTILES = (0.0, 0.175, 0.25, 0.5, 0.9, 1.0)
PATTERNS = ("constant", "few", "wide", "extreme", "ascending", "normal")


def drawn(rng: np.random.Generator, dtype: str, pattern: str, size: Any) -> Array:
    """Pixels of a pattern; of floats, some are infinite and some are zeros of either sign."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        values = {
            "constant": lambda: np.full(size, rng.choice([-0.0, 0.0, 2.5])),
            "few": lambda: rng.choice([-1.0, -0.0, 0.0, 1.0, 0.1], size),
            "wide": lambda: rng.choice([-1, 1], size) * 10.0 ** rng.uniform(-4, 4, size),
            "extreme": lambda: rng.choice([-np.inf, float(np.finfo(dtype).max), np.inf, -0.0], size),
            "ascending": lambda: np.sort(rng.normal(size=size), axis=None).reshape(size),
            "normal": lambda: rng.normal(0, 300, size),
        }[pattern]()
        return values.astype(dtype)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    return {
        "constant": lambda: np.full(size, rng.choice([low, 0, 7, high])),
        "few": lambda: rng.integers(0, 4, size),
        "wide": lambda: rng.integers(low, high, size, endpoint=True, dtype=dtype),
        "extreme": lambda: rng.choice(np.array([low, high], dtype), size),
        "ascending": lambda: np.sort(rng.integers(0, 100, size), axis=None).reshape(size),
        "normal": lambda: np.clip(rng.normal(0, 300, size), low, high),
    }[pattern]().astype(dtype)


@dataclass(frozen=True)
class Pixels:
    """Regions drawn pixel by pixel: masks of shape (crater, region, row, column), and weights of the pixels."""

    masks: Array
    order: Order
    weights: Array | None = None

    def _collect(self, image: Array, tile: Tile) -> Callable[..., Any]:
        def collect(index: Array, rows: tuple[int, int]) -> tuple[Array, Array | None, Array]:
            band = slice(rows[0] - tile.window[0], rows[1] - tile.window[0]), slice(None)
            there = (slice(*rows), slice(*tile.window[2:]))
            inside = self.masks[tile.craters.row[index]][:, :, *there]
            values = np.concatenate([image[band][m] for m in inside.reshape(-1, *inside.shape[2:])])
            weights = None
            if self.weights is not None:
                weights = np.concatenate([self.weights[there][m] for m in inside.reshape(-1, *inside.shape[2:])])
            return values.astype(STORED.get(image.dtype.str[1:], image.dtype)), weights, inside.sum(axis=(2, 3))

        return collect

    def find(self, block: Array, tile: Tile) -> Found:
        images = block.reshape(-1, *block.shape[-2:])
        rows, cols = slice(*tile.window[:2]), slice(*tile.window[2:])
        counts = self.masks[tile.craters.row][:, :, rows, cols].sum(axis=(2, 3))
        return self.order.merge(
            [
                self.order.find(
                    self._collect(image, tile), counts, tile.craters.row, tile.share, tile.window, n, len(images)
                )
                for n, image in enumerate(images)
            ]
        )

    def look(self, block: Array, tile: Tile, before: Targets, look: int) -> Found:
        images = block.reshape(-1, *block.shape[-2:])
        founds = [
            self.order.look(self._collect(image, tile), tile.craters.row, tile.window, before, look, n, len(images))
            for n, image in enumerate(images)
        ]
        return self.order.merge(founds, before)

    def finish(self, found: Found, images: int) -> dict[str, Array]:
        table, wanted = Table(found, self.order, len(self.masks), images), self.order.wanted
        results = {f"quantile_{q}": table.quantile(q) for q in wanted.quantiles}
        if wanted.frequencies:
            results |= {name: table.frequency(name) for name in ("majority", "minority", "unique")}
        results |= {f"share_{value}": table.share(value) for value in wanted.shares}
        return results | ({"categories": table.categories()} if wanted.categories else {})

    def tiles(self, row_edges: list[int], col_edges: list[int], images: int) -> list[Tile]:
        plan, offset = [], [0]
        for i in range(len(row_edges) - 1):
            for j in range(len(col_edges) - 1):
                window = (row_edges[i], row_edges[i + 1], col_edges[j], col_edges[j + 1])
                inside = self.masks[:, :, window[0] : window[1], window[2] : window[3]]
                row = np.flatnonzero(inside.any(axis=(1, 2, 3))).astype(np.int32)
                if row.size:
                    plan.append(Tile((i, j), window, Craters(row, *np.zeros((3, row.size)))))
                    offset.append(offset[-1] + row.size)
        member = np.concatenate([tile.craters.row for tile in plan] or [np.empty(0, np.int32)])
        pixels = self.masks.sum(axis=(1, 2, 3))
        whole = share(np.array(offset), member, pixels, self.order, images=images)
        return [whole.on(tile) for tile in plan]

    def reduce(self, da: xr.DataArray, row_edges: list[int], col_edges: list[int]) -> dict[str, Any]:
        images = math.prod(max(c) for c in da.chunks[:-2]) if da.chunks else math.prod(da.shape[:-2])
        tiles = self.tiles(row_edges, col_edges, images)
        again = [replace(t, craters=t.craters.take(np.flatnonzero(t.share.digits))) for t in tiles]
        looks = graph.Looks(
            [t for t in again if len(t.craters)], self.order.looks - 1, self.look, self.order.merge,
            self.order.targets, self.order.finish,
        )  # fmt: skip
        names = self.finish(Found(), math.prod(da.shape[:-2]))
        return graph.reduce_tiles(
            da, tiles, self.find, self.order.merge, self.finish, shape=self.masks.shape[1::-1],
            dtypes={name: str(array.dtype) for name, array in names.items()}, token=repr(self), looks=looks,
        )  # fmt: skip


def expected(pixels: Pixels, values: Array) -> dict[str, Array]:
    """The same from all pixels under each mask."""
    order, wanted = pixels.order, pixels.order.wanted
    images = values.reshape(-1, *values.shape[-2:])
    shape = (len(images), *pixels.masks.shape[1::-1])
    out: dict[str, Array] = {}

    def put(name: str, at: tuple[int, ...], value: Any, dtype: Any = float) -> None:
        out.setdefault(name, np.empty(shape, dtype))[at] = value

    for at in np.ndindex(shape):
        mask = pixels.masks[at[2], at[1]]
        stored = images[at[0]][mask]
        decoded = stored.astype(np.float64)
        if order.coding.scaled:
            decoded = decoded * order.coding.scale + order.coding.offset
        weights = np.ones(decoded.size, int) if pixels.weights is None else pixels.weights[mask]
        total = ref.weight_by_value(decoded + 0.0, weights)
        for q in wanted.quantiles:
            weighed = pixels.weights is not None
            put(
                f"quantile_{q}", at, ref.weighted_quantile(decoded, weights, q) if weighed else ref.quantile(decoded, q)
            )
        if wanted.frequencies:
            put("majority", at, max(total, key=lambda v: (total[v], -v), default=math.nan))
            put("minority", at, min(total, key=lambda v: (total[v], v), default=math.nan))
            put("unique", at, len(total) or math.nan)
        for value in wanted.shares:
            same = stored.dtype.type(value) if stored.dtype.kind == "f" and not order.coding.scaled else value
            put(f"share_{value}", at, total.get(float(same), 0) / sum(total.values()) if total else math.nan)
        if wanted.categories:
            put("categories", at, total, object)
    return out


def blobs(rng: np.random.Generator, shape: tuple[int, int], craters: int, regions: int) -> Array:
    """Rectangles of any size, some of their pixels left out."""
    masks = rng.random((craters, regions, *shape)) < rng.choice([0.0, 0.5, 1.0, 1.0], (craters, regions, 1, 1))
    for i in range(craters):
        (top, bottom), (left, right) = (np.sort(rng.integers(0, n + 1, 2)) for n in shape)
        box = np.zeros(shape, bool)
        box[top:bottom, left:right] = True
        masks[i] &= box if i else True
    return masks


def edges(draw: st.DataObject, size: int) -> list[int]:
    return [0, *sorted(draw.draw(st.sets(st.integers(1, size - 1), max_size=4))), size]


def lazy(values: Array, rows: list[int], cols: list[int]) -> xr.DataArray:
    chunks = (*((1,) * n for n in values.shape[:-2]), tuple(np.diff(rows)), tuple(np.diff(cols)))
    dims = [f"d{n}" for n in range(values.ndim)]
    return xr.DataArray(dask.array.from_array(values, chunks=chunks), dims=dims)


def assert_same(found: dict[str, Any], wanted: dict[str, Array], rtol: float = 0.0) -> None:
    assert set(found) == set(wanted)
    for name, array in wanted.items():
        mine = np.asarray(found[name])
        if array.dtype == object:
            assert all(list(a) == list(b) for a, b in zip(mine.ravel(), array.ravel()))
            assert all(list(a.values()) == pytest.approx(list(b.values())) for a, b in zip(mine.flat, array.flat))
        elif rtol:
            np.testing.assert_allclose(mine, array, rtol=rtol, atol=rtol, err_msg=name)
        else:
            np.testing.assert_array_equal(mine, array, err_msg=name)


SHAPE = (11, 14)


@pytest.mark.slow
@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32), dtype=st.sampled_from(DTYPES), pattern=st.sampled_from(PATTERNS),
    memory=st.sampled_from([1, 6000, 2**29]), scale=st.sampled_from([1.0, -0.5]), draw=st.data(),
)  # fmt: skip
@pytest.mark.nojit
def test_quantiles_do_not_depend_on_chunks_or_memory(seed, dtype, pattern, memory, scale, draw):
    rng = np.random.default_rng(seed)
    values = drawn(rng, dtype, pattern, (2, *SHAPE))
    order = Order(Wanted(QUANTILES), Coding(values.dtype.str, scale, 3.0 if scale < 0 else 0.0), 2, memory)
    pixels = Pixels(blobs(rng, SHAPE, 5, 2), order)
    rows, cols = edges(draw, SHAPE[0]), edges(draw, SHAPE[1])
    with np.errstate(invalid="ignore"):
        wanted = expected(pixels, values)
    with dask.config.set(scheduler=CountingScheduler()):
        result = pixels.reduce(lazy(values, rows, cols), rows, cols)
    found = dict(zip(result, dask.compute(*result.values(), scheduler="threads", num_workers=2)))
    assert_same(found, wanted)
    assert not any(np.signbit(array[array == 0]).any() for array in found.values())
    da = xr.DataArray(values, dims=["d0", "d1", "d2"])
    eager = pixels.reduce(da, rows, cols)
    for name in found:
        assert eager[name].tobytes() == found[name].tobytes()


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**32), dtype=st.sampled_from(DTYPES), pattern=st.sampled_from(PATTERNS),
    memory=st.sampled_from([40000, 2**29]), scale=st.sampled_from([1.0, -0.5]), weighted=st.booleans(), draw=st.data(),
)  # fmt: skip
@pytest.mark.nojit
def test_frequencies_and_weights(seed, dtype, pattern, memory, scale, weighted, draw):
    rng = np.random.default_rng(seed)
    values = drawn(rng, dtype, "few" if weighted and pattern == "extreme" else pattern, SHAPE)
    wanted = Wanted(QUANTILES, True, (0.1, 1.0, -0.0), True)
    order = Order(wanted, Coding(values.dtype.str, scale, 3.0 if scale < 0 else 0.0), 2, memory, weighted)
    weights = rng.choice([0.0, 0.25, 0.5, 1.0], SHAPE) if weighted else None  # sums without rounding
    pixels = Pixels(blobs(rng, SHAPE, 4, 2), order, weights)
    rows, cols = edges(draw, SHAPE[0]), edges(draw, SHAPE[1])
    result = pixels.reduce(lazy(values, rows, cols), rows, cols)
    found = dict(zip(result, dask.compute(*result.values(), scheduler="synchronous")))
    with np.errstate(invalid="ignore"):
        assert_same({k: v[None] for k, v in found.items()}, expected(pixels, values), rtol=1e-9 if weighted else 0.0)
    eager = pixels.reduce(xr.DataArray(values, dims=["d0", "d1"]), rows, cols)
    assert_same(eager, found)


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_kernels_on_runs_of_every_length(dtype, pattern):
    rng = np.random.default_rng(3)
    length = np.array([0, 1, 2, 31, 32, 33, 100, 255, 256, 1000, 5000, 0, 70000])
    values = np.concatenate([drawn(rng, dtype, pattern, n) for n in length])
    offsets = np.append(0, np.cumsum(length))
    coding = Coding(values.dtype.str)
    for wanted in (Wanted(QUANTILES), Wanted(QUANTILES, True)):
        order = Order(wanted, coding, 1, 2**29)
        found = order._solve(np.arange(length.size), coding.keys(values.copy()), None, offsets).numbers
        for i in range(length.size):
            run = values[offsets[i] : offsets[i + 1]]
            for k, q in enumerate(QUANTILES):
                np.testing.assert_array_equal(found[i, k], ref.quantile(run, q), err_msg=f"{q} of {length[i]}")
            if run.size and np.isfinite(run).all():
                np.testing.assert_array_equal(found[i, : len(QUANTILES)], np.quantile(run.astype("f8"), QUANTILES))
            if wanted.frequencies and run.size:
                value, count = np.unique(run, return_counts=True)
                three = [value[count.argmax()], value[count.argmin()], value.size]
                np.testing.assert_array_equal(found[i, len(QUANTILES) :], three)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.nojit
def test_keys_keep_the_order(dtype):
    rng = np.random.default_rng(0)
    values = np.concatenate([drawn(rng, dtype, pattern, 20) for pattern in PATTERNS])
    coding = Coding(values.dtype.str)
    keys = coding.keys(values.astype(STORED.get(dtype, dtype)))
    assert keys.dtype.kind == "u"
    order = np.argsort(keys, kind="stable")
    np.testing.assert_array_equal(values[order], np.sort(values))
    np.testing.assert_array_equal(keys[:, None] == keys, values[:, None] == values)
    np.testing.assert_array_equal(coding.values(keys), values.astype("f8"))


def test_weighted_statistics_are_exactextracts():
    exactextract = pytest.importorskip("exactextract")
    from exactextract.raster import NumPyRasterSource

    rng = np.random.default_rng(1)
    stats = ["quantile(q=0.25)", "median", "quantile(q=0.9)", "majority", "minority", "variety"]
    for n in (1, 2, 3, 10, 40):
        values = rng.choice([1.0, 2.0, 5.0, 7.5, 8.0, 11.0, 20.0], n)
        weights = rng.uniform(0.05, 1, n).astype("f4").astype("f8")
        squares = [[[[i, 0], [i + 1, 0], [i + 1, w], [i, w], [i, 0]]] for i, w in enumerate(weights)]
        shape = {"type": "Feature", "properties": {}, "geometry": {"type": "MultiPolygon", "coordinates": squares}}
        source = NumPyRasterSource(values[None], xmin=0, ymin=0, xmax=n, ymax=1)
        theirs = exactextract.exact_extract(source, [shape], [*stats, "frac", "unique"])[0]["properties"]
        wanted = Wanted((0.25, 0.5, 0.9), True, tuple(theirs["unique"].tolist()))
        order = Order(wanted, Coding("<f8"), 1, 2**29, weighted=True)
        keys = order.coding.keys(values.copy())
        ours = order._solve(np.zeros(1, int), keys, weights.copy(), np.array([0, n])).numbers[0]
        names = ["quantile_25", "median", "quantile_90", "majority", "minority", "variety"]
        np.testing.assert_allclose(ours[:6], [theirs[name] for name in names], rtol=1e-6)
        np.testing.assert_allclose(ours[6:], theirs["frac"], rtol=1e-6)


def big(wanted: Wanted, memory: int, dtype: str = "f8", weighted: bool = False) -> tuple[Pixels, Array]:
    rng = np.random.default_rng(0)
    order = Order(wanted, Coding(np.dtype(dtype).str), 1, memory, weighted)
    return Pixels(np.ones((1, 1, 40, 50), bool), order, np.ones((40, 50)) if weighted else None), rng.normal(
        size=(40, 50)
    ).astype(dtype)


@pytest.mark.parametrize("chunk", [40, 10])
def test_what_does_not_fit_tells_how_much_it_needs(chunk):
    rows, cols = list(range(0, 41, chunk)), list(range(0, 51, chunk + 10 if chunk == 40 else chunk))
    for weighted in (False, True):
        pixels, values = big(Wanted((0.5,), not weighted), 10000, weighted=weighted)
        with pytest.raises(StatisticError, match=r"take \d+ bytes or more.*set_options\(memory=") as raised:
            dask.compute(pixels.reduce(lazy(values, rows, cols), rows, cols), scheduler="synchronous")
        enough = int(str(raised.value).partition("memory=")[2].partition(")")[0])
        while True:  # each time, more is known
            pixels, values = big(Wanted((0.5,), not weighted), enough, weighted=weighted)
            try:
                dask.compute(pixels.reduce(lazy(values, rows, cols), rows, cols), scheduler="synchronous")
                break
            except StatisticError as again:
                more = int(str(again).partition("memory=")[2].partition(")")[0])
                assert more > enough
                enough = more
        assert enough < 1_000_000


@pytest.mark.parametrize(("dtype", "reads"), [("i2", 1), ("f4", 2), ("i4", 2), ("f8", 4)])
def test_how_often_tiles_are_read(dtype, reads):
    """Tiles of large regions as often as a key has digits, others once; and no look keeps its blocks for the next."""
    pixels, values = big(Wanted((0.5, 0.9)), 1000, dtype)
    masks = np.zeros((2, 1, 40, 50), bool)
    masks[0, :, :, :30] = True
    masks[1, :, 32:34, 42:44] = True
    pixels = replace(pixels, masks=masks)
    read: list[tuple[int, int]] = []

    def note(block, block_info=None):
        read.append(tuple(block_info[0]["chunk-location"]))
        return block

    rows, cols = list(range(0, 41, 10)), list(range(0, 51, 10))
    da = lazy(values, rows, cols)
    da = da.copy(data=da.data.map_blocks(note, dtype=da.dtype, meta=np.empty((0, 0), dtype)))
    result = pixels.reduce(da, rows, cols)
    (found,) = dask.compute(result, scheduler="synchronous")
    assert_same({k: v[None] for k, v in found.items()}, expected(pixels, values))
    assert sorted(read) == sorted([(i, j) for i in range(4) for j in range(3)] * reads + [(3, 4)])
    for n in range(reads):
        assert len(set(read[12 * n + (n > 0) : 12 * (n + 1) + 1])) >= 12


@pytest.mark.nojit
def test_share_takes_digits_for_the_largest_until_the_rest_fits():
    offset, member = np.array([0, 3, 6, 8]), np.array([0, 1, 2, 0, 1, 3, 0, 4])
    pixels = np.array([1000, 100, 10**6, 5, 10**6])
    order = Order(Wanted((0.5,)), Coding("<f4"), 1, 2 * 32 * 1100)
    np.testing.assert_array_equal(share(offset, member, pixels, order).digits, [False] * 5)
    np.testing.assert_array_equal(share(offset, member, pixels, order).tiles, [3, 2, 1, 1, 1])
    order = replace(order, memory=2 * 32 * 1099)
    np.testing.assert_array_equal(share(offset, member, pixels, order).digits, [True, *[False] * 4])
    np.testing.assert_array_equal(share(offset, member, pixels, replace(order, memory=1)).digits, [1, 1, 0, 0, 0])
    for other in (replace(order, wanted=Wanted((0.5,), True)), replace(order, coding=Coding("<i2"))):
        assert not share(offset, member, pixels, other).digits.any()


def test_craters_are_solved_once_their_last_tile_is_there():
    order = Order(Wanted((0.5,)), Coding("<i2"), 1, 2**29)
    pixels = Pixels(np.ones((1, 1, 2, 2), bool), order)
    tiles = pixels.tiles([0, 1, 2], [0, 1, 2], 1)
    parts = [pixels.find(np.full((1, 1), n, "i2"), tile) for n, tile in enumerate(tiles)]
    some = order.merge(parts[:3])
    assert not some.solved
    assert some.pairs[0].seen == 3
    whole = order.merge([some, parts[3]])
    assert not whole.pairs
    assert whole.solved[0].numbers == 1.5


@pytest.mark.parametrize("dtype", ["int16", "float32", "float64"])
def test_zonal_statistics_in_little_memory_are_the_same_bytes(dtype):
    table = pd.DataFrame({"lat": [10.0, -40, 80, 0], "lon": [0.0, 170, 30, 20], "radius": [9e5, 6e5, 1e5, 2e5]})
    cdb = CraterDatabase(table, "moon")
    cdb.add_annuli("rim", 0.5, 1.5)
    cdb.add_circles("floor", 0.5, nvert=None)
    da = tutorial.synthetic_mosaic("moon", ppd=1, craters=cdb, chunks=50, dtype=dtype)
    da = xr.concat([da, -da], "band")
    stats = ["count", "median", "percentile_90"]
    usual = da.craters.get_stats(cdb, ["rim", "floor"], stats).compute()
    with set_options(memory="4 kB"):
        little = da.craters.get_stats(cdb, ["rim", "floor"], stats)
    assert any("look" in name for name in little["median"].data.dask.layers) == (dtype != "int16")
    for name in stats:
        assert usual[name].values.tobytes() == little[name].compute().values.tobytes()
