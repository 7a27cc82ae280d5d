"""Radial profiles: whole rings, rings cut into sectors, and stacks of many craters."""

from __future__ import annotations

import itertools
from typing import Any

import dask
import dask.array
import numpy as np
import pandas as pd
import pyproj
import pytest
import xarray as xr
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import reference as ref
from tests import strategies
from tests.helpers import raise_if_dask_computes
from tests.strategies import MOON_RADIUS_M, GridCase
from xcrater import CraterDatabase, set_options
from xcrater.engine import region_set, sectors
from xcrater.engine.request import make_request
from xcrater.errors import BodyError, RegionError, StatisticError, XcraterError
from xcrater.geometry import places
from xcrater.statistics import paths
from xcrater.table.regions import Annulus, Sector

GLOBAL = GridCase(Affine(3, 0, -180, 0, -3, 90), (60, 120))
WESTWARD = GridCase(Affine(-3, 0, 180, 0, 3, -90), (60, 120))
CRATERS = (
    (12.31, 34.53, 7.07),
    (179.13, -20.17, 11.03),
    (33.27, 84.61, 6.07),
    (12.31, 34.53, 7.07),
    (71.7, -90.0, 8.9),
    (-100.37, -5.17, 25.11),
)
"""In the open, across the seam, over a pole, the first one again, at a pole, and one that reaches halfway round."""
RADII = [0.0, 0.3, 1.0, 1.1, 2.5]
AZIMUTHS = [10.0, 45.5, 90.25, 200.0, 359.5]
STATS = ("count", "mean", "median", "max", "std", "percentile_90", "nodata")
SPHERE = pyproj.Geod(a=MOON_RADIUS_M, b=MOON_RADIUS_M)
TIE = 1e-7


def database(craters: Any = CRATERS) -> CraterDatabase:
    lon, lat, radius = np.array(craters, dtype=float).T
    return CraterDatabase(pd.DataFrame({"lat": lat, "lon": lon, "radius": np.radians(radius) * MOON_RADIUS_M}), "moon")


def raster(case: GridCase = GLOBAL, dtype: str = "i2", lead: tuple[int, ...] = ()) -> Any:
    return np.random.default_rng(0).integers(0, 50, (*lead, *case.shape)).astype(dtype)


def seen(geod: pyproj.Geod, crater: tuple[float, float], lon: Any, lat: Any) -> tuple[Any, Any]:
    """Geodesic distance in metres and azimuth of points from a crater; NaN where the map shows no point of the body."""
    here = np.isfinite(lon)
    distance, azimuth = np.full(lon.shape, np.nan), np.full(lon.shape, np.nan)
    n = np.count_nonzero(here)
    forward, _, distance[here] = geod.inv(np.full(n, crater[0]), np.full(n, crater[1]), lon[here], lat[here])
    azimuth[here] = np.mod(forward, 360)
    return distance, azimuth


def parts(case: GridCase, cdb: CraterDatabase, i: int, radii: Any = RADII, azimuths: Any = AZIMUTHS) -> Any:
    """Masks of one crater's rings and sectors by pixel centres, shape (rings, sectors, rows, columns)."""
    lon, lat = ref.pixel_centres(case.transform, case.shape)
    distance, azimuth = seen(SPHERE, (cdb.lon.iloc[i], cdb.lat.iloc[i]), lon, lat)
    distance = distance / cdb.rad.iloc[i]
    assert np.abs(distance[..., None] - radii).min() > TIE
    assert np.abs(np.mod(azimuth[..., None] - azimuths + 180, 360) - 180).min() > TIE
    rings = [(low < distance) & (distance <= high) for low, high in itertools.pairwise(radii)]
    sectors = [(low <= azimuth) & (azimuth < high) for low, high in itertools.pairwise(azimuths)]
    return np.array([[ring & sector for sector in sectors] for ring in rings])


@pytest.mark.parametrize("case", [GLOBAL, WESTWARD], ids=["north-up", "westward, south-up"])
@pytest.mark.parametrize("chunks", [None, {"y": 13, "x": 29}])
def test_profiles_equal_statistics_of_the_pixels_of_every_ring_and_sector(case: GridCase, chunks: Any) -> None:
    values, cdb = raster(case), database()
    da = strategies.data_array(values, case, chunks=chunks, nodata=3)
    cut = da.craters.radial_profile(cdb, RADII, STATS, sectors=AZIMUTHS).compute()
    whole = da.craters.radial_profile(cdb, RADII, STATS).compute()
    assert cut["mean"].dims == ("crater", "r", "azimuth")
    assert whole["mean"].dims == ("crater", "r")
    for i in range(len(cdb)):
        masks = parts(case, cdb, i)
        rings = [parts(case, cdb, i, azimuths=[-400.0, 400.0])[k, 0] for k in range(len(RADII) - 1)]
        for k in range(len(RADII) - 1):
            found = {name: whole[name].values[i, k] for name in STATS}
            assert found == pytest.approx(ref.statistics(values[rings[k]], 3, STATS), rel=1e-12, nan_ok=True)
            for s in range(len(AZIMUTHS) - 1):
                found = {name: cut[name].values[i, k, s] for name in STATS}
                wanted = ref.statistics(values[masks[k, s]], 3, STATS)
                assert found == pytest.approx(wanted, rel=1e-12, nan_ok=True), (i, k, s)
    assert (cut["count"] > 0).sum() > 50


PROJECTED = {
    "stere": ("+proj=stere +lat_0=-90 +R=1737400", "moon", (3e4, -1.2e6), (-179.9, -88.7)),
    "oblate longlat": ("+proj=longlat +a=3396190 +b=3376200", "mars", (1.0, None), (179.3, 83.3)),
    "oblate sinusoidal": ("+proj=sinu +a=3396190 +b=3376200", "mars", (1e5, None), (101.3, 41.7)),
}


@pytest.mark.parametrize("name", PROJECTED)
@pytest.mark.parametrize("coverage", ["center", "all_touched"])
def test_sectors_on_any_projection_follow_geodesic_azimuths(name: str, coverage: str) -> None:
    code, body, (step, west), (lon, lat) = PROJECTED[name]
    crs = pyproj.CRS(code)
    if west is not None:
        shape = (80, 80)
        transform = Affine(step, 0, west, 0, -step, -west)
    else:
        shape = (180, 360) if step == 1.0 else (108, 214)
        transform = Affine(step, 0, -step * shape[1] / 2, 0, -step, step * shape[0] / 2)
    values = np.arange(shape[0] * shape[1], dtype="i4").reshape(shape)
    da = strategies.data_array(values, GridCase(transform, shape), crs, chunks={"y": 31, "x": 47})
    near = {"lat": [lat, lat - 3.17 * np.sign(lat)], "lon": [lon, -lon / 3], "radius": [5.0e5, 6.1e5]}
    cdb = CraterDatabase(pd.DataFrame(near), body, "planetocentric" if body == "mars" else "default")
    radii, azimuths = [0.0, 0.7, 2.0], [0.3, 77.7, 181.1, 290.9]
    found = da.craters.radial_profile(cdb, radii, "count sum", sectors=azimuths, coverage=coverage).compute()

    a, b = crs.ellipsoid.semi_major_metre, crs.ellipsoid.semi_minor_metre
    if step == 1.0:
        pixels = ref.pixel_centres(transform, shape)
    else:
        pixels = ref.projected_pixels(crs, transform, shape)
    rings = {f"{k}": Annulus(radii[k], radii[k + 1], None) for k in range(2)}
    request = make_request(da, cdb, rings, coverage=coverage, nodata=None)
    for i in range(2):
        geodetic = np.degrees(np.arctan(np.tan(np.radians(cdb.lat.iloc[i])) * (a / b) ** 2))
        _, azimuth = seen(pyproj.Geod(a=a, b=b), (cdb.lon.iloc[i], geodetic), *pixels)
        for k in range(2):
            ring = region_set.region_mask(request.shapes, k, request.craters, i, (0, shape[0], 0, shape[1]))
            for s in range(3):
                mask = ring & (azimuths[s] <= azimuth) & (azimuth < azimuths[s + 1])
                assert found["count"].values[i, k, s] == mask.sum()
                assert found["sum"].values[i, k, s] == values[mask].sum()
                assert mask.sum() > 3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::xcrater.errors.NoOverlapWarning")
@given(data=st.data())
@settings(max_examples=12)
def test_sectors_add_up_to_their_rings_whatever_the_chunks(data: st.DataObject) -> None:
    case = data.draw(strategies.grids(max_pixels=3000))
    frame = data.draw(strategies.crater_tables(case, max_size=4, max_radius=80.0))
    cdb = CraterDatabase(frame.rename(columns={"radius_m": "radius"}), "moon")
    pixels = data.draw(strategies.pixel_values(case.shape, dtypes=("u1", "i2", "i4")))
    radii = sorted(data.draw(st.sets(st.sampled_from([0, 0.25, 0.5, 0.75, 1, 1.5, 2]), min_size=2, max_size=4)))
    sectors = data.draw(st.integers(1, 12))
    coverage = data.draw(st.sampled_from(["center", "all_touched"]))
    stats = ("count", "sum", "min", "median", "nodata")
    chunks = data.draw(strategies.chunkings(case.shape))
    whole, cut = (strategies.data_array(pixels.values, case, chunks=c, nodata=pixels.nodata) for c in (None, chunks))
    ask = {"stats": stats, "coverage": coverage}
    found = whole.craters.radial_profile(cdb, radii, sectors=sectors, **ask)
    xr.testing.assert_identical(cut.craters.radial_profile(cdb, radii, sectors=sectors, **ask).compute(), found)
    rings = cut.craters.radial_profile(cdb, radii, **ask).compute()
    for name in ("count", "nodata", "sum"):
        np.testing.assert_array_equal(found[name].sum("azimuth"), rings[name].fillna(0), err_msg=name)
    np.testing.assert_array_equal(found["min"].min("azimuth"), rings["min"])


@pytest.mark.parametrize("nvert", [None, 32])
@pytest.mark.parametrize("coverage", ["center", "all_touched"])
@pytest.mark.parametrize("dtype", ["i2", "f4"])
def test_sectors_equal_sums_taken_run_by_run_to_the_last_bit(
    monkeypatch: pytest.MonkeyPatch, dtype: str, coverage: str, nvert: int | None
) -> None:
    """The fast path for blocks of columns inside one sector changes no bit, with or without missing pixels."""
    rng = np.random.default_rng(1)
    case = GridCase(Affine(1, 0, -180, 0, -1, 90), (180, 360))
    lat = np.append(np.degrees(np.arcsin(rng.uniform(-1, 1, 20))), [89.5, -88, 60, -5, 0, 30])
    lon = np.append(rng.uniform(-180, 180, 20), [10, 20, 179.9, -179.5, 0, 40])
    cdb = database(np.transpose([lon, lat, np.append(rng.uniform(0.3, 10, 20), [10, 30, 8, 7, 66, 20])]))
    values = rng.normal(0, 100, case.shape).astype(dtype)
    values[90:, ::7] = -999
    da = strategies.data_array(values, case, nodata=-999, chunks={"y": 85, "x": 290})
    ask: dict[str, Any] = {"stats": "count sum mean std min max nodata", "coverage": coverage, "nvert": nvert}
    found = [da.craters.radial_profile(cdb, RADII, sectors=azimuths, **ask).compute() for azimuths in (8, AZIMUTHS)]

    def run_by_run(way: paths.SectorPixels, *args: Any) -> None:
        paths.RunByRun(way.members, way.regions, weighted=False)(*args)

    monkeypatch.setattr(paths.SectorPixels, "__call__", run_by_run)
    for azimuths, profile in zip((8, AZIMUTHS), found, strict=True):
        xr.testing.assert_identical(da.craters.radial_profile(cdb, RADII, sectors=azimuths, **ask).compute(), profile)


@pytest.mark.parametrize("coverage", ["exact", "center"])
@pytest.mark.parametrize("weights", [None, "area"])
def test_weighted_pixels_are_divided_among_sectors_too(coverage: str, weights: str | None) -> None:
    values, cdb = raster(dtype="f4"), database()
    ask: dict[str, Any] = {"stats": "count sum mean skew area", "coverage": coverage, "weights": weights}
    da, lazy = (strategies.data_array(values, GLOBAL, chunks=c) for c in (None, {"y": 17, "x": 50}))
    found = da.craters.radial_profile(cdb, RADII, sectors=7, **ask)
    xr.testing.assert_allclose(lazy.craters.radial_profile(cdb, RADII, sectors=7, **ask).compute(), found, rtol=1e-11)
    rings = da.craters.radial_profile(cdb, RADII, **ask)
    for name in ("count", "sum", "area"):
        np.testing.assert_allclose(found[name].sum("azimuth"), rings[name].fillna(0), rtol=1e-12, err_msg=name)
    if coverage == "center" and weights == "area":
        area = ref.pixel_areas(GLOBAL.transform, GLOBAL.shape) * MOON_RADIUS_M**2
        cut = da.craters.radial_profile(cdb, RADII, sectors=AZIMUTHS, **ask)
        for i in range(len(cdb)):
            for k, s in np.ndindex(len(RADII) - 1, len(AZIMUTHS) - 1):
                mask = parts(GLOBAL, cdb, i)[k, s]
                if mask.any():
                    wanted = np.average(values[mask], weights=area[mask])
                    assert cut["mean"].values[i, k, s] == pytest.approx(wanted, rel=1e-10)


@pytest.mark.nojit
def test_pixels_are_in_the_sector_of_their_azimuth_and_the_centre_counts_as_north() -> None:
    case = GridCase(Affine(1, 0, 0, 0, -1, 6), (12, 12))
    da = strategies.data_array(np.zeros(case.shape, "u1"), case)
    cdb = database([(6.5, 0.5, 2.0), (6.5, -0.5, 1.3)])
    sectors = {f"{start}": Sector(0, 2, None, start, start + 45) for start in range(0, 360, 45)}
    request = make_request(da, cdb, sectors, coverage="center", nodata=None)
    lon, lat = places.lonlat(request.raster.grid, *np.meshgrid(np.arange(12) + 0.5, np.arange(12) + 0.5))
    for i in range(2):
        masks = [region_set.region_mask(request.shapes, k, request.craters, i, (0, 12, 0, 12)) for k in range(8)]
        distance, azimuth = places.seen_from(request.raster.grid, request.craters.take(np.array([i])), lon, lat)
        assert (np.sum(masks, axis=0) == (distance <= 2)).all()
        off = np.abs(np.mod(azimuth + 1, 45) - 1) > TIE
        for k, mask in enumerate(masks):
            assert (mask[off] == ((azimuth // 45 == k) & (distance <= 2))[off]).all()
    # In order: the pixel at the crater's centre, the one due north of it and the one due south of it.
    assert region_set.region_mask(request.shapes, 0, request.craters, 0, (0, 12, 0, 12))[5, 6]
    assert region_set.region_mask(request.shapes, 0, request.craters, 0, (0, 12, 0, 12))[4, 6]
    assert region_set.region_mask(request.shapes, 4, request.craters, 0, (0, 12, 0, 12))[6, 6]


@pytest.mark.nojit
def test_overlapping_regions_take_layers_and_disjoint_ones_share_one() -> None:
    da, cdb = strategies.data_array(raster(), GLOBAL), database()

    def layers(*regions: Annulus, coverage: str = "center") -> int:
        named = {f"{k}": region for k, region in enumerate(regions)}
        return make_request(da, cdb, named, coverage=coverage, nodata=None).shapes.layers

    rings = [Annulus(k, k + 1, None) for k in range(5)]
    assert layers(*rings) == 1
    assert layers(*rings, Annulus(0.5, 1.5, None), Annulus(1.2, 3, None)) == 3
    assert layers(*rings, coverage="all_touched") == 5
    assert layers(*rings, Annulus(9, 10)) == 6
    assert layers(Annulus(0, 1), Annulus(0, 2)) == 2
    assert layers(*(Sector(k, k + 1, None, s, s + 90) for k in range(2) for s in (0, 90)), coverage="exact") == 2


@pytest.mark.nojit
def test_the_centre_counts_as_north_on_an_ellipsoid_too() -> None:
    case = GridCase(Affine(1, 0, 0, 0, -1, 8.5), (9, 9))
    da = strategies.data_array(np.zeros(case.shape, "u1"), case, "+proj=longlat +a=3396190 +b=3376200")
    cdb = CraterDatabase(pd.DataFrame({"lat": [0.0], "lon": [4.5], "radius": [2e5]}), "mars")
    request = make_request(da, cdb, {"north": Sector(0, 1, None, 0, 10)}, coverage="center", nodata=None)
    mask = region_set.region_mask(request.shapes, 0, request.craters, 0, (0, 9, 0, 9))
    assert np.argwhere(mask).tolist() == [[5, 4], [6, 4], [7, 4], [8, 4]]


@pytest.mark.nojit
def test_compass_numbers_increase_with_azimuth() -> None:
    from xcrater import kernels

    azimuth = np.sort(np.append(np.random.default_rng(0).uniform(0, 360, 200), [0, 90, 180, 270, 360 - 1e-14]))
    compass = getattr(kernels.compass, "py_func", kernels.compass)
    numbers = [compass(np.sin(np.radians(a)), np.cos(np.radians(a))) for a in azimuth]
    np.testing.assert_allclose(numbers, sectors.compass(azimuth), rtol=0, atol=1e-15)
    assert (np.diff(sectors.compass(azimuth)) > 0).all()
    assert sectors.compass(np.array([0.0, 90.0, 180.0, 270.0, 360.0])).tolist() == [0, 1, 2, 3, 4]
    assert compass(-1e-300, 1.0) < 4.0


def test_mixed_regions_and_sectors_are_each_drawn_right() -> None:
    da, cdb = strategies.data_array(raster(), GLOBAL), database()
    regions = {
        "east": Sector(0.5, 2, None, 0, 180),
        "all": Annulus(0.5, 2, None),
        "south": Sector(0.5, 2, None, 90, 270),
        "west": Sector(0.5, 2, None, 180, 360),
        "inside": Annulus(0, 0.5, None),
    }
    from xcrater.statistics import zonal

    together = zonal.get_stats(da, cdb, regions, "count sum")
    for name, region in regions.items():
        alone = zonal.get_stats(da, cdb, {name: region}, "count sum").isel(region=0)
        xr.testing.assert_identical(together.sel(region=name), alone)
    count = together["count"]
    assert (count.sel(region="east") + count.sel(region="west") == count.sel(region="all")).all()
    assert (count.sel(region="south") < count.sel(region="all")).all()


def test_building_profiles_computes_nothing_and_bands_are_kept() -> None:
    values, cdb = raster(lead=(2, 3)), database()
    da = strategies.data_array(values, GLOBAL, chunks={"band": 1, "y": 20, "x": 50}, nodata=3)
    eager = strategies.data_array(values, GLOBAL, nodata=3)
    for ask in ({}, {"stack": "craters"}, {"stack": "pixels"}):
        ask |= {"stats": "mean std max" if ask.get("stack") == "pixels" else "mean median", "sectors": 3}
        with raise_if_dask_computes():
            lazy = da.craters.radial_profile(cdb, RADII, **ask)
        assert all(isinstance(v.data, dask.array.Array) for v in lazy.data_vars.values())
        lead = ("band", "time") + (() if "stack" in ask else ("crater",))
        assert lazy["mean"].dims == (*lead, "r", "azimuth")
        found = eager.craters.radial_profile(cdb, RADII, **ask)
        assert all(isinstance(v.data, np.ndarray) for v in found.data_vars.values())
        xr.testing.assert_identical(lazy.compute(), found)
        one = eager.isel(band=1, time=2).craters.radial_profile(cdb, RADII, **ask)
        xr.testing.assert_identical(found.isel(band=1, time=2).drop_vars(["band", "time"], errors="ignore"), one)


def test_coordinates_are_middles_with_bounds_and_units() -> None:
    found = strategies.data_array(raster(), GLOBAL).craters.radial_profile(database(), 10, sectors=4)
    np.testing.assert_allclose(found["r"], np.arange(10) * 0.25 + 0.125)
    np.testing.assert_allclose(found["r_inner"], np.arange(10) * 0.25)
    np.testing.assert_allclose(found["r_outer"], np.arange(1, 11) * 0.25)
    assert found["azimuth"].values.tolist() == [45, 135, 225, 315]
    assert found["azimuth_start"].values.tolist() == [0, 90, 180, 270]
    assert found["azimuth_stop"].values.tolist() == [90, 180, 270, 360]
    assert found["r"].attrs["units"] == found["r_outer"].attrs["units"] == "crater radii"
    assert "clockwise from north" in found["azimuth"].attrs["long_name"]
    assert found["radius"].attrs["units"] == "m"
    assert found.attrs == {"body": "moon", "coverage": "center"}
    far = strategies.data_array(raster(), GLOBAL).craters.radial_profile(database(), 4, outer=1)
    assert far["r_outer"].values.tolist() == [0.25, 0.5, 0.75, 1.0]


def test_rings_share_no_pixels_unless_asked_to() -> None:
    da, cdb = strategies.data_array(raster(), GLOBAL), database()
    rings = da.craters.radial_profile(cdb, 9, "count")
    cdb.add_circles("disc", 2.5, nvert=None)
    disc = da.craters.get_stats(cdb, "disc", "count", coverage="center")
    np.testing.assert_array_equal(rings["count"].sum("r"), disc["count"])
    touched = da.craters.radial_profile(cdb, 9, "count", coverage="all_touched")
    assert (touched["count"].sum("r") > disc["count"]).all()
    with set_options(coverage="exact"):
        exact = da.craters.radial_profile(cdb, 9, "count")
        disc = da.craters.get_stats(cdb, "disc", "count")
    assert exact.attrs["coverage"] == "exact"
    np.testing.assert_allclose(exact["count"].sum("r"), disc["count"], rtol=1e-12)
    polygons = da.craters.radial_profile(cdb, 9, "count", nvert=8)
    assert (polygons["count"].sum("r") < rings["count"].sum("r")).any()


def test_the_mean_profile_of_craters_agrees_with_pandas() -> None:
    values = raster(dtype="f8")
    values[:12] = np.nan  # the north, which holds almost all of one crater
    craters = (*CRATERS, (0.0, 85.0, 0.1))
    cdb = database(craters)
    da = strategies.data_array(values, GLOBAL, chunks={"y": 25, "x": 60})
    each = da.craters.radial_profile(cdb, RADII, "mean median count").compute()
    for stack in (True, "craters"):
        found = da.craters.radial_profile(cdb, RADII, "mean median count", stack=stack).compute()
        assert found["mean"].dims == ("r",)
        assert set(found.coords) == {"r", "r_inner", "r_outer", "spatial_ref"} - {"spatial_ref"}
        assert found.attrs["stack"] == "craters"
        for name in ("mean", "median", "count"):
            table = pd.DataFrame(each[name].values)
            np.testing.assert_allclose(found[name], table.mean(), rtol=1e-12)
            np.testing.assert_allclose(found[f"{name}_stderr"], table.sem(), rtol=1e-12)
            np.testing.assert_array_equal(found[f"{name}_craters"], table.count())
    assert 0 < found["mean_craters"].min() < len(cdb)


def test_the_stacked_profile_of_pixels_pools_the_pixels_of_every_crater() -> None:
    values, cdb = raster(), database()
    da = strategies.data_array(values, GLOBAL, chunks={"y": 25, "x": 60}, nodata=3)
    stats = ("count", "sum", "mean", "std", "var", "min", "max", "nodata")
    found = da.craters.radial_profile(cdb, RADII, stats, sectors=AZIMUTHS, stack="pixels").compute()
    assert set(found.data_vars) == set(stats)
    assert found["count"].dtype == np.int64
    masks = [parts(GLOBAL, cdb, i) for i in range(len(cdb))]
    for k, s in np.ndindex(len(RADII) - 1, len(AZIMUTHS) - 1):
        pixels = np.concatenate([values[mask[k, s]] for mask in masks])
        valid = pixels[pixels != 3]
        wanted = {"count": valid.size, "nodata": pixels.size - valid.size, "sum": valid.sum()}
        wanted |= {name: getattr(valid, name)() for name in ("mean", "std", "var", "min", "max")}
        actual = {name: found[name].values[k, s].item() for name in stats}
        assert actual == pytest.approx(wanted, rel=1e-12)


def test_stacks_of_weighted_pixels_use_the_weights() -> None:
    values, cdb = raster(dtype="f4"), database()
    da = strategies.data_array(values, GLOBAL)
    found = da.craters.radial_profile(cdb, RADII, "mean var count", stack="pixels", weights="area")
    area = ref.pixel_areas(GLOBAL.transform, GLOBAL.shape)
    masks = [parts(GLOBAL, cdb, i, azimuths=[-400.0, 400.0])[:, 0] for i in range(len(cdb))]
    for k in range(len(RADII) - 1):
        x, w = (np.concatenate([a[mask[k]] for mask in masks]).astype(float) for a in (values, area))
        mean = np.average(x, weights=w)
        assert found["mean"].values[k] == pytest.approx(mean, rel=1e-10)
        assert found["var"].values[k] == pytest.approx(np.average((x - mean) ** 2, weights=w), rel=1e-9)
        assert found["count"].values[k] == x.size


def test_stacks_without_pixels_are_nan() -> None:
    values = np.full(GLOBAL.shape, np.nan)
    for cdb in (database(), database(CRATERS[:1])):
        da = strategies.data_array(values, GLOBAL, chunks={"y": 20})
        pixels = da.craters.radial_profile(cdb, 3, "mean std min sum count", stack="pixels").compute()
        craters = da.craters.radial_profile(cdb, 3, "mean", stack=True).compute()
        assert all(pixels[name].isnull().all() for name in ("mean", "std", "min", "sum"))
        assert (pixels["count"] == 0).all()
        assert craters["mean"].isnull().all()
        assert craters["mean_stderr"].isnull().all()
        assert (craters["mean_craters"] == 0).all()


@pytest.mark.parametrize(
    ("ask", "error", "match"),
    [
        ({"edges": 0}, RegionError, r"edges=0; expected a number of equal rings from 1 on"),
        ({"edges": True}, RegionError, "edges=True"),
        ({"edges": [0, 1, 1]}, RegionError, "increasing crater radii"),
        ({"edges": [1]}, RegionError, "increasing crater radii"),
        ({"edges": [-0.1, 1]}, RegionError, "from 0 on"),
        ({"edges": [0, np.nan]}, RegionError, "increasing crater radii"),
        ({"edges": "rim"}, RegionError, "edges='rim'"),
        ({"edges": [0, 1], "outer": 2}, RegionError, "outer with a number of rings alone"),
        ({"edges": 3, "outer": 0}, RegionError, "outer=0; expected crater radii above 0"),
        ({"edges": 3, "outer": "2"}, RegionError, "outer='2'"),
        ({"sectors": 0}, RegionError, "sectors=0; expected a number of equal sectors"),
        ({"sectors": [0, 400]}, RegionError, "between 0 and 360"),
        ({"sectors": [-45, 45]}, RegionError, "between 0 and 360"),
        ({"sectors": [90, 0]}, RegionError, "increasing degrees"),
        ({"stack": "median"}, StatisticError, "stack='median'; expected False"),
        ({"stack": 1}, StatisticError, "stack=1; expected False"),
        ({"stack": "pixels", "stats": "median"}, StatisticError, r"'median' of the pixels.*stack='craters'"),
        ({"stats": ()}, StatisticError, "no statistic"),
        ({"stats": "meen"}, StatisticError, "unknown statistic"),
        ({"nvert": 3}, RegionError, "nvert=3"),
        ({"coverage": "all"}, XcraterError, "coverage='all'"),
    ],
)
def test_arguments_that_make_no_profile_are_refused(ask: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        strategies.data_array(raster(), GLOBAL).craters.radial_profile(database(), **ask)


def test_impossible_sectors_and_craters_of_another_body_are_refused() -> None:
    for start, stop in ((90, 90), (-1, 5), (0, 361), ("0", 90)):
        with pytest.raises(RegionError, match=r"0 <= start < stop <= 360"):
            Sector(0, 1, None, start, stop)
    mars = CraterDatabase(pd.DataFrame({"lat": [0.0], "lon": [0.0], "r": [1e5]}), "mars")
    with pytest.raises(BodyError, match="not on mars"):
        strategies.data_array(raster(), GLOBAL).craters.radial_profile(mars)


def test_user_supplied_statistics_of_rings_equal_those_of_get_stats() -> None:
    cdb = database()
    da = strategies.data_array(raster(), GLOBAL, chunks={"y": 25, "x": 60})
    add = {"spread": np.ma.ptp, "mid": lambda pixels: (pixels.min() + pixels.max()) / 2}
    with raise_if_dask_computes():
        profile = da.craters.radial_profile(cdb, [0.3, 1.0, 2.5], "range", add_stats=add)
    for k, (inner, outer) in enumerate([(0.3, 1.0), (1.0, 2.5)]):
        name = f"ring {k}"
        cdb.add_annuli(name, inner, outer, nvert=None)
        expected = da.craters.get_stats(cdb, name, "range", add_stats=add, coverage="center").compute()
        for stat in ("range", "spread", "mid"):
            np.testing.assert_array_equal(profile[stat].isel(r=k), expected[stat])
    stacked = da.craters.radial_profile(cdb, [0.3, 1.0, 2.5], (), add_stats=add, stack=True).compute()
    np.testing.assert_allclose(stacked["spread"], profile["spread"].mean("crater"), rtol=1e-12)
    with pytest.raises(StatisticError, match="the 'spread' of the pixels of all craters together does not follow"):
        da.craters.radial_profile(cdb, 2, "mean", add_stats=add, stack="pixels")
