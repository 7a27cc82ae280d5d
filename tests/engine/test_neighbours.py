"""Pixels near other craters are left out of regions, as a check of all pairs and distances would have it."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr
from dask.base import tokenize
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import xcrater
from tests import reference as ref
from tests import strategies
from tests.helpers import raise_if_dask_computes
from tests.statistics.test_zonal import CRATERS, GLOBAL, database, raster, table, with_regions
from tests.strategies import MOON_RADIUS_M
from tests.test_everywhere import MAPS, oracle, varied_craters
from xcrater import CraterDatabase, Exclude
from xcrater.engine import exclusion, neighbours, region_set
from xcrater.engine.request import make_request
from xcrater.errors import BodyError, RegionError, XcraterError
from xcrater.statistics.aggregations import Aggregation

Array = NDArray[Any]
COVERAGES = ("center", "all_touched", "exact")


def weights_of(da: xr.DataArray, cdb: CraterDatabase, region: str, **options: Any) -> list[Array]:
    """The weight of each pixel in the region of each crater, from 0 to 1."""
    request = make_request(da, cdb, region, **{"coverage": None, "nodata": None, **options})
    grid = request.raster.grid
    whole = (0, grid.shape[0], 0, grid.columns)
    return [region_set.covered(request.shapes, 0, request.craters, i, whole) for i in range(len(cdb))]


def is_neighbour(cdb: CraterDatabase, i: int, others: CraterDatabase, j: int, exclude: Exclude) -> bool:
    """Whether crater j's disc is to be left out of the regions of crater i."""
    mine, its = ((t.lon.iloc[n], t.lat.iloc[n], t.rad.iloc[n]) for t, n in ((cdb, i), (others, j)))
    return mine != its and exclude.min_ratio <= its[2] / mine[2] <= exclude.max_ratio


def left_out(cdb: CraterDatabase, exclude: Exclude) -> list[tuple[Array, Array]]:
    """For each crater, the pixels of the global grid in its neighbours' discs, and those that rounding decides."""
    others = cdb if exclude.of is None else exclude.of
    lon, lat = ref.pixel_centres(GLOBAL.transform, GLOBAL.shape)
    distance = [ref.great_circle_distance(x, y, lon, lat) for x, y in zip(others.lon, others.lat)]
    reach = exclude.within * np.degrees(others.rad.to_numpy() / MOON_RADIUS_M)
    out = []
    for i in range(len(cdb)):
        inside, tie = np.zeros((2, *GLOBAL.shape), bool)
        for j in range(len(others)):
            if is_neighbour(cdb, i, others, j, exclude):
                inside |= distance[j] <= reach[j]
                tie |= np.abs(distance[j] - reach[j]) < ref.TIE
        out.append((inside, tie))
    return out


def check(cdb: CraterDatabase, exclude: Exclude, coverage: str, chunks: Any = None) -> int:
    """Compare pixels and statistics with the oracle; return how many pixels were left out."""
    values = raster("i4", seed=5)
    da = strategies.data_array(values, GLOBAL, chunks=chunks, nodata=7)
    found = da.craters.get_stats(
        cdb, list(cdb.regions), "count sum nodata", coverage=coverage, exclude=exclude
    ).compute()
    gone = 0
    for region in cdb.regions:
        bare = weights_of(da, cdb, region, coverage=coverage)
        got = weights_of(da, cdb, region, coverage=coverage, exclude=exclude)
        for i, (inside, tie) in enumerate(left_out(cdb, exclude)):
            wanted = np.where(inside, 0.0, bare[i])
            wrong = (got[i] != wanted) & ~tie
            assert not wrong.any(), (region, i, np.argwhere(wrong)[:5])
            gone += int(np.count_nonzero((bare[i] > 0) & (got[i] == 0)))
            valid = np.where(values == 7, 0.0, got[i])
            of = found.sel(region=region).isel(crater=i)
            assert of["count"].item() == pytest.approx(valid.sum(), rel=1e-9, abs=1e-9)
            assert of["nodata"].item() == pytest.approx((got[i] - valid).sum(), rel=1e-9, abs=1e-9)
            if valid.any():
                assert of["sum"].item() == pytest.approx((valid * values).sum(), rel=1e-9, abs=1e-9)
            else:
                assert math.isnan(of["sum"].item())
    return gone


@pytest.mark.slow
def test_areas_refer_to_the_remaining_pixels() -> None:
    """The area without neighbours is the area of a raster on which the neighbours' pixels are missing."""
    cdb, values = database(*CRATERS), np.ones(GLOBAL.shape, "u1")
    da = strategies.data_array(values, GLOBAL)
    found = da.craters.get_stats(cdb, list(cdb.regions), "area", coverage="exact", exclude=1.0)["area"]
    less = 0
    for i, (inside, tie) in enumerate(left_out(cdb, Exclude(1.0))):
        assert not tie.any()
        masked = strategies.data_array(np.where(inside, 0, values).astype("u1"), GLOBAL, nodata=0)
        wanted = masked.craters.get_stats(cdb, list(cdb.regions), "area", coverage="exact")["area"]
        np.testing.assert_allclose(found.isel(crater=i), wanted.isel(crater=i), rtol=1e-12)
        whole = da.craters.get_stats(cdb, list(cdb.regions), "area", coverage="exact")["area"]
        less += int((found.isel(crater=i) < whole.isel(crater=i)).sum())
    assert less > 1


@pytest.mark.parametrize("coverage", COVERAGES)
@pytest.mark.parametrize("nvert", [None, 32])
@pytest.mark.parametrize("chunks", [None, {"y": 10, "x": 20}])
def test_pixels_of_other_craters_are_left_out(coverage: str, nvert: int | None, chunks: Any) -> None:
    more = ((-178.3, -31.2, 8.1), (60.2, 86.13, 4.3), (-150.31, 79.7, 12.2), (20.1, -88.2, 5.21), (-160.3, -80.7, 8.12))
    cdb = database(*CRATERS, *more, nvert=nvert)
    assert check(cdb, Exclude(1.0), coverage, chunks) > 200
    assert check(cdb, Exclude(1.7, min_ratio=0.5, max_ratio=2.0), coverage, chunks) > 100


@given(
    data=st.data(),
    frame=strategies.crater_tables(GLOBAL, min_size=2),
    coverage=st.sampled_from(COVERAGES),
    nvert=st.sampled_from([None, 4, 32]),
    within=st.sampled_from([0.5, 1.0, 2.0, 20.0]),
    ratios=st.tuples(st.floats(0, 2), st.sampled_from([1.0, 2.0, math.inf])).filter(lambda r: r[0] <= r[1]),
)
@settings(max_examples=25)
def test_random_craters_and_chunks(
    data: st.DataObject,
    frame: pd.DataFrame,
    coverage: str,
    nvert: int | None,
    within: float,
    ratios: tuple[float, float],
) -> None:
    chunks = data.draw(st.none() | strategies.chunkings(GLOBAL.shape))
    others = data.draw(st.none() | strategies.crater_tables(GLOBAL).map(lambda frame: CraterDatabase(frame, "moon")))
    check(
        with_regions(frame, nvert=nvert),
        Exclude(within, min_ratio=ratios[0], max_ratio=ratios[1], of=others),
        coverage,
        chunks,
    )


@pytest.mark.parametrize(
    "name",
    [
        "0 to 360",
        "westward",
        "south-up",
        "part",
        "two turns",
        "gridline",
        "no whole number of columns a turn",
        "gridline, oblate",
        "IAU 49901, 0 to 360, past 360",
        "IAU 49902",
        "north polar, sphere",
        "south polar, oblate",
        "IAU 49931",
        "sinusoidal, oblate",
        "Lambert azimuthal, sphere",
        "Lambert conic, oblate",
        "Mercator, oblate",
        "transverse Mercator, sphere",
    ],
)
def test_neighbours_by_geodesic_distance_on_every_grid(name: str) -> None:
    on, judge = MAPS[name], oracle(name)
    coverage = COVERAGES[len(name) % 3]
    craters = varied_craters(on, 4, len(name))
    size = np.radians(min(8.0, on.rim / 3)) * on.axes[0]
    craters.loc[4] = {"lat": 0.98 * on.centre[1], "lon": on.centre[0], "radius": size}
    craters["radius"] = np.minimum(craters["radius"], np.radians(25) * on.axes[0])
    beside = craters.assign(lat=(craters["lat"] + np.degrees(craters["radius"] / on.axes[0])).clip(upper=90))
    craters = pd.concat([craters, beside.assign(radius=0.6 * beside["radius"])], ignore_index=True)
    n = len(craters)
    cdb, da = CraterDatabase(craters, on.body, "planetocentric"), on.numbered()
    cdb.add_circles("disc", 3.0, nvert=None if len(name) % 2 else 12)
    discs = [
        judge.pixels(lon, lat, 0, 1.3 * radius) for lon, lat, radius in zip(cdb.lon, cdb.lat, cdb.rad, strict=True)
    ]
    bare = weights_of(da, cdb, "disc", coverage=coverage)
    found = weights_of(da, cdb, "disc", coverage=coverage, exclude=1.3)
    stats = da.craters.get_stats(cdb, "disc", "count max", coverage=coverage, exclude=1.3)
    gone = 0
    for i in range(n):
        inside = np.logical_or.reduce([d[0] for j, d in enumerate(discs) if j != i])[:, : bare[i].shape[1]]
        certain = np.logical_and.reduce([d[1] for j, d in enumerate(discs) if j != i])[:, : bare[i].shape[1]]
        wrong = (found[i] != np.where(inside, 0.0, bare[i])) & certain
        assert not wrong.any(), (i, np.argwhere(wrong)[:5])
        gone += int(np.count_nonzero((bare[i] > 0) & (found[i] == 0)))
        assert stats["count"][i].item() == pytest.approx(found[i].sum(), rel=1e-9)
        kept = np.flatnonzero(found[i].ravel() > 0)
        if kept.size and on.shape[1] == found[i].shape[1]:
            assert stats["max"][i].item() == kept[-1]
    assert gone > 0


def at(*craters: tuple[float, float, float], nvert: int | None = None) -> CraterDatabase:
    """Craters at (longitude, latitude, radius) in degrees, with the region "disc" of three radii."""
    cdb = CraterDatabase(table(*craters), "moon")
    cdb.add_circles("disc", 3.0, nvert=nvert)
    return cdb


def counts(cdb: CraterDatabase, exclude: Any, coverage: str = "center", **options: Any) -> list[float]:
    da = strategies.data_array(raster(), GLOBAL)
    found = da.craters.get_stats(cdb, "disc", "count", coverage=coverage, exclude=exclude, **options)["count"]
    return found.values.tolist()


@pytest.mark.parametrize("coverage", COVERAGES)
def test_craters_inside_a_larger_one_have_no_pixels(coverage: str) -> None:
    cdb = at((10, 20, 40), (12, 25, 3), (170, -60, 5))
    da = strategies.data_array(raster("f4"), GLOBAL)
    found = da.craters.get_stats(cdb, "disc", "count mean median coverage nodata", coverage=coverage, exclude=1.0)
    assert (found["count"] > 0).values.tolist() == [True, False, True]
    inner = found.isel(crater=1)
    assert inner["count"] == inner["nodata"] == 0
    assert all(math.isnan(inner[name].item()) for name in ("mean", "median", "coverage"))
    # The large crater lacks the small one's pixels, unless that is too small to count as a neighbour.
    assert counts(cdb, 1.0)[0] < counts(cdb, Exclude(min_ratio=0.5))[0] == counts(cdb, None)[0]


def test_ratios_divide_the_neighbours_radius_by_the_craters_own_and_include_their_bounds() -> None:
    cdb = at((0, 0, 8), (12.5, 2.5, 4))
    bare = counts(cdb, None)
    for exclude, fewer in (
        (Exclude(), (True, True)),
        (Exclude(min_ratio=2.0), (False, True)),
        (Exclude(min_ratio=2.1), (False, False)),
        (Exclude(max_ratio=1.0), (True, False)),
        (Exclude(max_ratio=0.5), (True, False)),
        (Exclude(min_ratio=0.6, max_ratio=1.9), (False, False)),
    ):
        found = counts(cdb, exclude)
        assert tuple(a < b for a, b in zip(found, bare, strict=True)) == fewer, exclude


def test_a_number_is_the_distance_in_crater_radii() -> None:
    cdb = at((0, 0, 9), (15, 0, 3))
    assert counts(cdb, 2) == counts(cdb, np.float32(2)) == counts(cdb, Exclude(2.0)) != counts(cdb, 1.0)


def test_craters_of_another_table() -> None:
    cdb, others = at((0, 0, 9), (15, 0, 3)), at((15, 0, 3), (-20, 10, 6))
    alone, both = counts(at((0, 0, 9)), Exclude(of=others)), counts(cdb, Exclude(of=others))
    assert both[0] == alone[0] < counts(cdb, None)[0]
    assert both[1] == counts(cdb, None)[1]  # the other table contains the crater itself, and nothing else is near
    assert counts(cdb, Exclude(of=cdb)) == counts(cdb, 1.0)
    others.data = others.data.iloc[:0]
    assert counts(cdb, Exclude(of=others)) == counts(cdb, None)


def test_a_crater_listed_twice_is_not_its_own_neighbour() -> None:
    assert counts(at((0, 0, 9), (0, 0, 9)), 1.0) == counts(at((0, 0, 9), (0, 0, 9)), None)


def test_without_neighbours_nothing_changes() -> None:
    cdb, da = at((0, 0, 5), (100, 0, 5)), strategies.data_array(raster(), GLOBAL)
    request = make_request(da, cdb, "disc", coverage=None, nodata=None, exclude=1.0)
    assert request.craters.near is None
    regional = at((100, 0, 5), (120, 0, 5))
    part = da.isel(x=slice(0, 20))
    with pytest.warns(xcrater.errors.NoOverlapWarning):
        found = part.craters.get_stats(regional, "disc", "count", exclude=1.0)
    assert found["count"].values.tolist() == [0, 0]


@pytest.mark.parametrize("coverage", COVERAGES)
def test_weights_order_statistics_and_functions_see_the_same_pixels(coverage: str) -> None:
    cdb = at((-175, 30, 8), (179, 38, 5), (170, 85, 3), (60, 10, 4))
    values = raster("f8", seed=3) + 0.25
    values[np.random.default_rng(0).random(values.shape) < 0.1] = np.nan
    da = strategies.data_array(values, GLOBAL, chunks={"y": 7, "x": 19})
    area = ref.pixel_areas(GLOBAL.transform, GLOBAL.shape) * MOON_RADIUS_M**2
    masks = weights_of(da, cdb, "disc", coverage=coverage, exclude=1.2)
    added = {
        "most": lambda pixels: float(pixels.max()),
        "average": Aggregation("average", ("sums",), lambda state: state["total"] / state["weight"], "float64"),
    }
    stats = "mean median percentile_30 coverage area"
    options = {"coverage": coverage, "exclude": 1.2}
    plain = da.craters.get_stats(cdb, "disc", stats, add_stats=added, **options).compute()
    by_area = da.craters.get_stats(cdb, "disc", "mean count median", weights="area", **options).compute()
    by_one = da.craters.get_stats(cdb, "disc", "mean", weights=xr.ones_like(da), **options).compute()
    pixels = da.craters.get_arrays(cdb, "disc", **options)["disc"]
    for i, mask in enumerate(masks):
        some = (mask > 0) & ~np.isnan(values)
        x, w = values[some], mask[some]
        of = plain.isel(crater=i)
        assert of["mean"] == pytest.approx(np.average(x, weights=w), rel=1e-9)
        assert by_one["mean"][i] == pytest.approx(np.average(x, weights=w), rel=1e-9)
        assert of["coverage"] == pytest.approx(w.sum() / mask.sum(), rel=1e-9)
        alone = strategies.data_array(np.where(some, values, np.nan), GLOBAL).craters
        of_all = alone.get_stats(cdb, "disc", "area", coverage=coverage)["area"][i]
        assert of["area"] == pytest.approx(of_all.item(), rel=1e-12)
        if coverage != "exact":
            assert of["area"] == pytest.approx(area[some].sum(), rel=1e-9)
        assert by_area["mean"][i] == pytest.approx(np.average(x, weights=w * area[some]), rel=1e-9)
        assert by_area["count"][i] == pytest.approx(w.sum(), rel=1e-9)
        quantile = ref.weighted_quantile(x, w, 0.5) if coverage == "exact" else ref.quantile(x, 0.5)
        assert of["median"] == pytest.approx(quantile, rel=1e-9)
        assert by_area["median"][i] == pytest.approx(ref.weighted_quantile(x, w * area[some], 0.5), rel=1e-9)
        assert of["most"] == x.max()
        assert of["average"] == pytest.approx(np.average(x, weights=w), rel=1e-9)
        assert sorted(pixels.iloc[i].compute().compressed().tolist()) == sorted(x.tolist())


@pytest.mark.parametrize("name", ["±180", "sinusoidal, sphere", "north polar, oblate", "IAU 49902"])
@pytest.mark.parametrize("coverage", COVERAGES)
def test_user_supplied_polygons(name: str, coverage: str) -> None:
    on, judge = MAPS[name], oracle(name)
    lon, lat = np.array([-178.0, 174.0, 3.0, 90.0]), np.array([60.0, 63.0, 50.0, 80.0])
    frame = pd.DataFrame({"lat": lat, "lon": lon, "radius": np.radians([6.0, 4.0, 3.0, 5.0]) * on.axes[0]})
    cdb = CraterDatabase(frame, on.body, "planetocentric")
    squares = [shapely.box(x - 15, y - 9, x + 15, y + 9) for x, y in zip(lon, lat)]
    cdb.add_polygons("square", [*squares[:3], None])
    cdb.add_circles("disc", 2.0)
    da = on.numbered(chunks={"y": 17, "x": 23})
    bare = weights_of(da, cdb, "square", coverage=coverage)
    found = weights_of(da, cdb, "square", coverage=coverage, exclude=1.0)
    stats = da.craters.get_stats(cdb, ["disc", "square"], "count", coverage=coverage, exclude=1.0)
    stats = stats.sel(region="square").compute()
    gone = 0
    for i in range(4):
        discs = [judge.pixels(lon[j], lat[j], 0, cdb.rad.iloc[j]) for j in range(4) if j != i]
        inside, certain = np.logical_or.reduce([d[0] for d in discs]), np.logical_and.reduce([d[1] for d in discs])
        assert not ((found[i] != np.where(inside, 0.0, bare[i])) & certain).any()
        assert stats["count"][i].item() == pytest.approx(found[i].sum(), rel=1e-9)
        gone += int(np.count_nonzero(found[i] != bare[i]))
    assert gone > 5
    assert not found[3].any()


@pytest.mark.slow
@given(
    data=st.data(),
    frame=strategies.crater_tables(GLOBAL, min_size=2, max_radius=40),
    dtype=st.sampled_from(["i2", "f4"]),
)
@settings(max_examples=10)
def test_chunks_change_nothing(data: st.DataObject, frame: pd.DataFrame, dtype: str) -> None:
    values, cdb = raster(dtype, lead=(2,)), with_regions(frame)
    names = ["count", "min", "max", "median", "majority", "nodata", "mean"]
    found = [
        strategies.data_array(values, GLOBAL, chunks=chunks, nodata=3).craters.get_stats(
            cdb, ["floor", "ejecta"], names, exclude=1.5
        ).compute()
        for chunks in (None, ((1, 1), *data.draw(strategies.chunkings(GLOBAL.shape))))
    ]  # fmt: skip
    np.testing.assert_allclose(found[1]["mean"], found[0]["mean"], rtol=1e-12)
    xr.testing.assert_identical(found[1][names[:-1]], found[0][names[:-1]])


def test_nothing_is_computed_until_asked_for() -> None:
    da, cdb = strategies.data_array(raster(), GLOBAL, chunks={"y": 9, "x": 13}), database(*CRATERS)
    with raise_if_dask_computes():
        lazy = da.craters.get_stats(cdb, "ejecta", "count median", exclude=1.0)
        arrays = da.craters.get_arrays(cdb, "ejecta", exclude=1.0)
        arrays["ejecta"].iloc[1]
    eager = da.compute().craters.get_stats(cdb, "ejecta", "count median", exclude=1.0)
    xr.testing.assert_identical(lazy.compute(), eager)


def test_keys_depend_on_what_is_left_out() -> None:
    da = strategies.data_array(raster(), GLOBAL, chunks={"y": 9, "x": 13})

    def key(exclude: Any, *more: tuple[float, float, float]) -> tuple[str, str]:
        cdb = database(*CRATERS, *more)
        stats = da.craters.get_stats(cdb, "ejecta", "count", exclude=exclude)["count"].data.name
        return stats, da.craters.get_arrays(cdb, "ejecta", exclude=exclude)["ejecta"].iloc[1].name

    others = database((170.0, -20.0, 9.0), nvert=None)
    excludes = [None, 1.0, 1.5, Exclude(min_ratio=2.0), Exclude(max_ratio=0.5), Exclude(of=others)]
    keys = [key(exclude) for exclude in excludes]
    assert keys == [key(exclude) for exclude in excludes]
    assert key(1.0) == key(Exclude(1.0))
    assert len({stats for stats, _ in keys}) == len(excludes)
    assert keys[0][1] != keys[1][1] != keys[2][1]


def test_tiles_carry_only_the_discs_that_reach_them() -> None:
    da = strategies.data_array(raster(), GLOBAL, chunks={"y": 9, "x": 18})
    cdb = at((0, 0, 50), (30, 40, 3), (-60, -40, 3), (179, 20, 4))
    request = make_request(da, cdb, "disc", coverage=None, nodata=None, exclude=1.0)
    whole = request.craters.near
    assert whole is not None
    assert len(whole.discs) == 4
    sizes = []
    for tile in request.plan():
        near = tile.craters.near
        if near is None:
            continue
        sizes.append(len(near.discs))
        assert near.offset.size == len(tile.craters) + 1
        assert near.offset[-1] == near.member.size
        assert sorted(set(near.member.tolist())) == list(range(len(near.discs)))
        again = pickle.loads(pickle.dumps(tile.craters))
        assert tokenize(again) == tokenize(tile.craters)
    assert min(sizes) == 1 < max(sizes) <= 4
    assert whole.take(np.array([1, 1])).offset.tolist() == [0, *np.cumsum([np.diff(whole.offset)[1]] * 2)]


@pytest.mark.parametrize("seed", range(3))
def test_neighbours_agree_with_a_check_of_all_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 400
    lon, lat = rng.uniform(-180, 180, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    cdb = at(*zip(lon, lat, np.exp(rng.uniform(-2, 3.5, n)), strict=True))
    da = strategies.data_array(raster(), GLOBAL)
    exclude = Exclude(1.2, min_ratio=0.1, max_ratio=5.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "BLOCK", 150)
        near = make_request(da, cdb, "disc", coverage="center", nodata=None, exclude=exclude).craters.near
    radius = np.degrees(cdb.rad.to_numpy() / MOON_RADIUS_M)
    apart = ref.great_circle_distance(lon[:, None], lat[:, None], lon, lat)
    ratio = radius / radius[:, None]
    wanted = (apart < 3 * radius[:, None] + 1.2 * radius) & (ratio >= 0.1) & (ratio <= 5) & ~np.eye(n, dtype=bool)
    found = np.zeros((n, n), bool)
    rows = np.repeat(np.arange(n), np.diff(near.offset))
    found[rows, near.discs.row[near.member]] = True
    assert not (wanted & ~found).any()
    assert found.sum() < 2 * wanted.sum()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Exclude(-1.0),
        lambda: Exclude(0.0),
        lambda: Exclude(math.nan),
        lambda: Exclude(math.inf),
        lambda: Exclude("1"),  # type: ignore[arg-type]
        lambda: Exclude(True),
        lambda: Exclude(min_ratio=-0.1),
        lambda: Exclude(min_ratio=math.nan),
        lambda: Exclude(min_ratio=math.inf),
        lambda: Exclude(max_ratio=math.nan),
        lambda: Exclude(min_ratio=2.0, max_ratio=1.0),
        lambda: Exclude(of=pd.DataFrame()),  # type: ignore[arg-type]
        lambda: counts(at((0, 0, 5)), "near"),
        lambda: counts(at((0, 0, 5)), True),
        lambda: counts(at((0, 0, 5)), -2),
        lambda: counts(at((0, 0, 5)), math.nan),
        lambda: counts(at((0, 0, 5)), at((0, 0, 5))),
    ],
)
def test_bad_arguments_are_refused(make: Any) -> None:
    with pytest.raises(RegionError, match=r"received exclude.*expected.*Exclude\("):
        make()


def test_craters_of_another_body_are_refused() -> None:
    mars = CraterDatabase(pd.DataFrame({"lat": [0.0], "lon": [0.0], "radius": [1e5]}), "mars")
    with pytest.raises(BodyError, match=r"craters on mars; expected craters on moon.*Exclude\(1.0, of="):
        counts(at((0, 0, 5)), Exclude(of=mars))
    assert issubclass(BodyError, XcraterError)


def test_excluding_works_for_tables_of_results_too() -> None:
    cdb, da = database(*CRATERS), strategies.data_array(raster(), GLOBAL)
    frame = cdb.get_stats(da, "ejecta", "count", exclude=1.0)
    wanted = da.craters.get_stats(cdb, "ejecta", "count", exclude=1.0)["count"]
    assert frame["count_ejecta"].tolist() == wanted.values.tolist()
    pixels = cdb.get_arrays(da, "ejecta", exclude=1.0)["ejecta"]
    assert [p.count() for p in pixels] == wanted.values.tolist()


def test_regions_that_need_larger_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    cdb = database(*CRATERS, (20.1, 30.2, 3.3))
    wanted = strategies.data_array(raster(), GLOBAL).craters.get_stats(cdb, "ejecta", "count median", exclude=1.0)
    monkeypatch.setattr(exclusion, "ROOM", 2)
    found = strategies.data_array(raster(), GLOBAL).craters.get_stats(cdb, "ejecta", "count median", exclude=1.0)
    xr.testing.assert_identical(found, wanted)


@pytest.mark.nojit
def test_the_kernel_cuts_discs_out_of_runs() -> None:
    """The runs of pixels and the discs are small and written out by hand."""
    from xcrater import kernels

    # One crater with two regions on rows 1 to 3, and three discs, which overlap, meet and extend beyond them.
    runs = np.array([[1, 2, 2, 3, 2], [2, 0, 6, 4, 3], [8, 4, 9, 5, 7]])
    weight = np.array([1.0, 0.5, 0.25, 1.0, 1.0])
    offset = np.array([[[0, 4], [4, 5]]])
    holes = np.array([[0, 1, 2, 1, 2, 3, 2, 9], [0, 3, 3, 4, 7, 0, 5, 0], [9, 5, 5, 6, 8, 9, 7, 9]])
    hole = np.array([[[0, 3]], [[3, 6]], [[6, 8]]])
    near, member = np.array([0, 3]), np.array([0, 1, 2], np.int32)
    begin, depth, cuts = np.empty(11, np.int64), np.zeros(11, np.int64), np.empty((2, 40), np.int64)
    out, out_weight, out_offset = np.empty((3, 40), np.int64), np.empty(40), np.empty((1, 2, 2), np.int64)
    window = (0, 10, 0, 10)
    drawn, discs = kernels.Runs(runs, weight, offset), kernels.Runs(holes, np.ones(8), hole)
    args = (0, drawn, discs, near, member, window)
    few = kernels.Runs(out[:, :4].copy(), out_weight[:4], out_offset)
    assert kernels.leave_out(*args, kernels.HoleScratch(begin, depth, cuts[:, :4].copy()), few) == 0
    room = kernels.Runs(out, out_weight, out_offset)
    assert kernels.leave_out(*args, kernels.HoleScratch(begin, depth, cuts), room) == 1
    assert out_offset.tolist() == [[[0, 4], [4, 4]]]
    assert out[:, :4].T.tolist() == [[1, 2, 3], [1, 6, 8], [2, 0, 3], [2, 8, 9]]
    assert out_weight[:4].tolist() == [1.0, 1.0, 0.5, 0.25]
    assert not depth.any()


@pytest.mark.parametrize("chunks", [None, {"y": 9, "x": 13}])
def test_every_operation_leaves_out_the_same_pixels(chunks: Any, tmp_path: Any) -> None:
    values = raster("i2", seed=3)
    da = strategies.data_array(values, GLOBAL, chunks=chunks)
    cdb = database(*CRATERS, (-160.3, -80.7, 8.12), nvert=None)
    exclude = Exclude(1.2, min_ratio=0.3)
    of = {"coverage": "center", "exclude": exclude}
    stats = da.craters.get_stats(cdb, "ejecta", "count sum", **of).compute()
    assert (stats["count"] < da.craters.get_stats(cdb, "ejecta", "count", coverage="center")["count"]).any()

    ring = cdb.region("ejecta")
    profile = da.craters.radial_profile(cdb, [ring.inner, ring.outer], "count sum", **of).compute()
    sectors = da.craters.radial_profile(cdb, [ring.inner, ring.outer], "count", sectors=5, **of).compute()
    np.testing.assert_array_equal(profile["count"][:, 0], stats["count"])
    np.testing.assert_array_equal(sectors["count"].sum("azimuth")[:, 0], stats["count"])

    mapped = da.craters.map(cdb, "ejecta", lambda pixels: pixels.astype(float).sum(), **of)
    np.testing.assert_array_equal(mapped, stats["sum"].fillna(0))

    kept = np.sum([weight > 0 for weight in weights_of(da, cdb, "ejecta", **of)], axis=0)
    np.testing.assert_array_equal(da.craters.mask(cdb, "ejecta", kind="count", **of), kept)

    depths = da.craters.depths(cdb, floor=(ring.inner, ring.outer), coverage="center", exclude=exclude)
    planes = da.craters.depths(cdb, plane=(ring.inner, ring.outer), coverage="center", exclude=exclude, detrend="plane")
    np.testing.assert_array_equal(depths["floor_count"], stats["count"])
    np.testing.assert_array_equal(planes["plane_count"], stats["count"])

    arrays = da.chunk({"y": 9, "x": 13}).craters.get_arrays(cdb, "ejecta", **of)
    arrays.to_zarr(tmp_path / "arrays.zarr")
    for source in (arrays, xcrater.open_arrays(tmp_path / "arrays.zarr")):
        counts = [np.ma.count(block) for block in source.compute()["ejecta"]]
        np.testing.assert_array_equal(counts, stats["count"])
        assert np.ma.count(source["ejecta"].iloc[1].compute()) == counts[1]
    with pytest.raises(XcraterError, match="another"):
        da.chunk({"y": 9, "x": 13}).craters.get_arrays(cdb, "ejecta", coverage="center").to_zarr(
            tmp_path / "arrays.zarr"
        )
