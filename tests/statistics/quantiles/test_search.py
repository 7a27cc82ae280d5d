"""Order statistics are those of all sorted pixels of a region, for any chunking and any memory limit."""

from __future__ import annotations

import math
from typing import Any

import dask
import dask.array
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests import reference as ref
from tests import strategies
from tests.helpers import CountingScheduler
from tests.statistics.quantiles.patterns import DTYPES, PATTERNS, QUANTILES, patterned
from tests.strategies import MOON_RADIUS_M, GridCase
from xcrater import CraterDatabase, set_options, tutorial
from xcrater.errors import StatisticError
from xcrater.statistics.quantiles.coding import Coding
from xcrater.statistics.quantiles.problem import Problem
from xcrater.statistics.quantiles.search import OrderSearch
from xcrater.statistics.quantiles.tile_image import TileImage
from xcrater.statistics.quantiles.wanted import FREQUENCIES, OrderStatistics

Array = NDArray[Any]

SHARES = (0.1, 1.0, -0.0)
"""Values for which the `frac` statistic is requested."""

GRID = GridCase(Affine(20, 0, -180, 0, -20, 90), (9, 18))
REGIONS = {"disc": (0.0, 1.0), "ring": (0.4, 1.3)}
"""Inner and outer radius of each region, in crater radii."""


def database(*places: tuple[float, float, float]) -> CraterDatabase:
    """Craters at (longitude, latitude, angular radius) in degrees, each with the two `REGIONS`."""
    lon, lat, radius = np.array(places, dtype=float).T
    cdb = CraterDatabase(pd.DataFrame({"lat": lat, "lon": lon, "radius": np.radians(radius) * MOON_RADIUS_M}), "moon")
    for name, (inner, outer) in REGIONS.items():
        cdb.add_annuli(name, inner, outer, nvert=None)
    return cdb


def random_places(rng: np.random.Generator, n: int) -> list[tuple[float, float, float]]:
    """Random craters of many sizes; the disc of the first covers most of the sphere."""
    radius = [130.0, *rng.choice([4.0, 25.0, 60.0, 110.0], n - 1)] * rng.uniform(0.9, 1.0, n)
    return list(zip(rng.uniform(-180, 180, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n))), radius))


def region_masks(grid: GridCase, places: list[tuple[float, float, float]]) -> Array:
    """Masks of the pixels whose centre lies in each region, shape (region, crater, row, column)."""
    return np.array(
        [
            [
                ref.circle_mask_center(grid.transform, grid.shape, lon, lat, inner * radius, outer * radius)
                for lon, lat, radius in places
            ]
            for inner, outer in REGIONS.values()
        ]
    )


def raster(
    values: Array, grid: GridCase, scale: float = 1.0, nodata: Any = None, rows: Any = None, cols: Any = None
) -> xr.DataArray:
    """A raster of stored values, chunked at the edges `rows` and `cols` if given, with one image per chunk."""
    da = strategies.data_array(values, grid, nodata=nodata)
    if scale != 1.0:
        da.attrs |= {"scale_factor": scale, "add_offset": 3.0}
    if rows is None:
        return da
    return da.chunk(
        {"y": tuple(np.diff(rows).tolist()), "x": tuple(np.diff(cols).tolist()), **dict.fromkeys(da.dims[:-2], 1)}
    )


def expected(
    values: Array, masks: Array, scale: float, nodata: Any, weights: Array | None, *, frequencies: bool
) -> dict[str, Array]:
    """Order statistics from all pixels under each mask, each of shape (image, region, crater)."""
    shape = (len(values), *masks.shape[:2])
    out: dict[str, Array] = {}

    def put(name: str, place: tuple[int, ...], value: Any, dtype: Any = float) -> None:
        out.setdefault(name, np.empty(shape, dtype))[place] = value

    for place in np.ndindex(shape):
        image = values[place[0]]
        inside = masks[place[1:]] & (image == image)
        if nodata is not None:
            inside &= image != nodata
        decoded = image[inside].astype(np.float64)
        if scale != 1.0:
            decoded = decoded * scale + 3.0
        mass = np.ones(decoded.size, int) if weights is None else weights[inside]
        total = ref.weight_by_value(decoded + 0.0, mass)
        for q in QUANTILES:
            found = ref.quantile(decoded, q) if weights is None else ref.weighted_quantile(decoded, mass, q)
            put(f"quantile_{q}", place, found)
        if not frequencies:
            continue
        put("majority", place, max(total, key=lambda v: (total[v], -v), default=math.nan))
        put("minority", place, min(total, key=lambda v: (total[v], v), default=math.nan))
        put("unique", place, len(total) or math.nan)
        for value in SHARES:
            same = image.dtype.type(value) if image.dtype.kind == "f" and scale == 1.0 else value
            put(f"frac_{value}", place, total.get(float(same), 0) / sum(total.values()) if total else math.nan)
        put("categorical", place, total, object)
    return out


def assert_same(found: xr.Dataset, wanted: dict[str, Array], rtol: float = 0.0) -> None:
    assert set(found) == set(wanted)
    for name, array in wanted.items():
        mine = found[name].values
        assert mine.shape == array.shape
        if array.dtype == object:
            assert all(list(a) == list(b) for a, b in zip(mine.flat, array.flat))
            assert all(list(a.values()) == pytest.approx(list(b.values())) for a, b in zip(mine.flat, array.flat))
        elif rtol:
            np.testing.assert_allclose(mine, array, rtol=rtol, atol=rtol, err_msg=name)
        else:
            np.testing.assert_array_equal(mine, array, err_msg=name)


def edges(draw: st.DataObject, size: int) -> list[int]:
    return [0, *sorted(draw.draw(st.sets(st.integers(1, size - 1), max_size=4))), size]


def with_gaps(rng: np.random.Generator, values: Array) -> Any:
    """Turn some pixels into missing ones, in place, and return the nodata value."""
    gaps = rng.random(values.shape) < rng.choice([0.0, 0.5])
    if values.dtype.kind == "f":
        values[gaps] = np.nan
        return None
    nodata = values.flat[0]
    values[gaps] = nodata
    return int(nodata) if gaps.any() else None


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32), dtype=st.sampled_from(DTYPES), pattern=st.sampled_from(PATTERNS),
    memory=st.sampled_from([1, 6000, 2**29]), scale=st.sampled_from([1.0, -0.5]), draw=st.data(),
)  # fmt: skip
@pytest.mark.nojit
def test_quantiles_do_not_depend_on_chunks_or_memory(seed, dtype, pattern, memory, scale, draw):
    rng = np.random.default_rng(seed)
    values = patterned(rng, dtype, pattern, (2, *GRID.shape))
    nodata, places = with_gaps(rng, values), random_places(rng, 5)
    cdb, stats = database(*places), [f"quantile_{q}" for q in QUANTILES]
    rows, cols = edges(draw, GRID.shape[0]), edges(draw, GRID.shape[1])
    with np.errstate(invalid="ignore"):
        wanted = expected(values, region_masks(GRID, places), scale, nodata, None, frequencies=False)
    with set_options(memory=memory), dask.config.set(scheduler=CountingScheduler()):
        da = raster(values, GRID, scale, nodata, rows, cols)
        lazy = da.craters.get_stats(cdb, list(REGIONS), stats, coverage="center")
    found = lazy.compute(scheduler="threads", num_workers=2)
    assert_same(found, wanted)
    assert not any(np.signbit(array.values[array.values == 0]).any() for array in found.values())
    with set_options(memory=memory):
        eager = raster(values, GRID, scale, nodata).craters.get_stats(cdb, list(REGIONS), stats, coverage="center")
    for name in found:
        assert eager[name].values.tobytes() == found[name].values.tobytes()


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32), dtype=st.sampled_from(DTYPES), pattern=st.sampled_from(PATTERNS),
    memory=st.sampled_from([60000, 2**29]), scale=st.sampled_from([1.0, -0.5]), weighted=st.booleans(), draw=st.data(),
)  # fmt: skip
@pytest.mark.nojit
def test_frequencies_and_weights(seed, dtype, pattern, memory, scale, weighted, draw):
    rng = np.random.default_rng(seed)
    values = patterned(rng, dtype, "few" if weighted and pattern == "extreme" else pattern, (1, *GRID.shape))
    nodata, places = with_gaps(rng, values), random_places(rng, 4)
    cdb, stats = database(*places), [f"quantile_{q}" for q in QUANTILES]
    stats += [*FREQUENCIES, *(f"frac_{value}" for value in SHARES)]
    # Sums of these weights are exact in floats.
    mass = rng.choice([0.0, 0.25, 0.5, 1.0], GRID.shape) if weighted else None
    weights = None if mass is None else strategies.data_array(mass, GRID)
    options = {"coverage": "center", "weights": weights, "categorical": True}
    with np.errstate(invalid="ignore"):
        wanted = expected(values, region_masks(GRID, places), scale, nodata, mass, frequencies=True)
    rows, cols = edges(draw, GRID.shape[0]), edges(draw, GRID.shape[1])
    for da in (raster(values, GRID, scale, nodata, rows, cols), raster(values, GRID, scale, nodata)):
        with set_options(memory=memory):
            found = da.craters.get_stats(cdb, list(REGIONS), stats, **options)
        assert_same(found.compute(scheduler="synchronous"), wanted, rtol=1e-9 if weighted else 0.0)


LARGE = GridCase(Affine(7.2, 0, -180, 0, -4.5, 90), (40, 50))


@pytest.mark.parametrize("chunk", [40, 10])
@pytest.mark.parametrize("weighted", [False, True])
def test_too_little_memory_says_how_much_is_needed(chunk, weighted):
    """Each error names more memory than the one before, until the memory it names suffices."""
    values = np.random.default_rng(0).normal(size=LARGE.shape)
    da = strategies.data_array(values, LARGE).chunk({"y": chunk, "x": min(50, chunk + 10 if chunk == 40 else chunk)})
    cdb = database((0.3, 0.2, 130.0))
    weights = strategies.data_array(np.ones(LARGE.shape), LARGE) if weighted else None
    # On a single tile, quantiles fit into any memory.
    stats = ["median"] if weighted and chunk < 40 else ["median", "unique"]
    memory, refused = 10_000, 0
    while True:
        with set_options(memory=memory):
            lazy = da.craters.get_stats(cdb, "disc", stats, weights=weights)
        try:
            lazy.compute(scheduler="synchronous")
            break
        except StatisticError as error:
            message = str(error)
            more = int(message.partition("set_options(memory=")[2].partition(")")[0])
            assert "bytes or more at a time" in message
            assert more > memory
            memory, refused = more, refused + 1
    assert refused
    assert memory < 1_000_000


@pytest.mark.parametrize(("dtype", "reads"), [("i2", 1), ("f4", 2), ("i4", 2), ("f8", 4)])
def test_how_often_tiles_are_read(dtype, reads):
    """Tiles of large regions are read once per 16 bits of the key, all others once, and passes do not overlap."""
    # The first crater covers the western three fifths of the raster, the second lies on the last tile only.
    places = [(-100.3, 10.1, 57.7), (140.1, -60.3, 2.5)]
    values = np.random.default_rng(0).normal(0, 1000, LARGE.shape).astype(dtype)
    read: list[tuple[int, int]] = []

    def note(block, block_info=None):
        read.append(tuple(block_info[0]["chunk-location"]))
        return block

    da = strategies.data_array(values, LARGE).chunk({"y": 10, "x": 10})
    da = da.copy(data=da.data.map_blocks(note, dtype=da.dtype, meta=np.empty((0, 0), dtype)))
    read.clear()
    with set_options(memory=1000):
        lazy = da.craters.get_stats(
            database(*places), list(REGIONS), ["quantile_0.5", "quantile_0.9"], coverage="center"
        )
    found = lazy.compute(scheduler="synchronous")
    masks = region_masks(LARGE, places)
    for name, q in (("quantile_0.5", 0.5), ("quantile_0.9", 0.9)):
        wanted = [[ref.quantile(values[mask], q) for mask in craters] for craters in masks]
        np.testing.assert_array_equal(found[name], wanted)
    assert sorted(read) == sorted([(i, j) for i in range(4) for j in range(3)] * reads + [(3, 4)])
    for n in range(reads):
        assert len(set(read[12 * n + (n > 0) : 12 * (n + 1) + 1])) >= 12


def test_a_crater_is_solved_as_soon_as_its_last_tile_is_merged():
    search = OrderSearch(Problem(OrderStatistics((0.5,)), Coding("<i4"), 1, 2**29))

    def tile(value: int) -> Any:
        def collect(index, rows):
            return np.array([value], "i4"), None, np.ones((1, 1), np.int64)

        image = TileImage(search.problem, collect, np.zeros(1, np.int32), (0, 1, value, value + 1))
        return search.first_pass(image, np.ones((1, 1), np.int64), np.array([4], np.int32), np.zeros(1, bool))

    parts = [tile(value) for value in range(4)]
    three = search.merge(parts[:3])
    assert not three.answers
    assert three.pairs[0].seen == 3
    whole = search.merge([three, parts[3]])
    assert not whole.pairs
    assert whole.answers[0].numbers == 1.5


@pytest.mark.parametrize("dtype", ["int16", "float32", "float64"])
def test_zonal_statistics_in_little_memory_are_the_same_bytes(dtype):
    table = pd.DataFrame({"lat": [10.0, -40, 80, 0], "lon": [0.0, 170, 30, 20], "radius": [9e5, 6e5, 1e5, 2e5]})
    cdb = CraterDatabase(table, "moon")
    cdb.add_annuli("rim", 0.5, 1.5)
    cdb.add_circles("floor", 0.5, nvert=None)
    da = tutorial.synthetic_mosaic("moon", ppd=1, craters=cdb, chunks=50, dtype=dtype)
    da = xr.concat([da, -da], "band")
    stats = ["count", "median", "percentile_90"]
    usual = da.craters.get_stats(cdb, ["rim", "floor"], stats)
    with set_options(memory="4 kB"):
        little = da.craters.get_stats(cdb, ["rim", "floor"], stats)
    layers = [len(found["median"].data.dask.layers) for found in (usual, little)]
    # Keys of 16 bits need no further passes, however little memory there is.
    assert (layers[1] > layers[0]) == (dtype != "int16")
    for name in stats:
        assert usual[name].compute().values.tobytes() == little[name].compute().values.tobytes()
