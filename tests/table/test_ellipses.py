"""Rings of ellipses on every kind of grid agree with geodesic distances, with circles and with true areas."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from tests import reference as ref
from tests.helpers import raise_if_dask_computes
from tests.test_everywhere import MAPS, SPHERES, Map, every, numbers, oracle, varied_craters, zoomed
from xcrater import CraterDatabase
from xcrater.errors import RegionError, TableError

Array = NDArray[Any]
BOUNDS = {"ellipse": (0.0, 1.0), "ring": (0.4, 1.0)}
RULES = ("center", "all_touched", "exact")


def elliptical(on: Map, n: int, seed: int) -> pd.DataFrame:
    """Craters near critical places, with ellipses of any orientation and elongation, none wider than a hemisphere."""
    rng = np.random.default_rng(seed)
    craters = varied_craters(on, n, seed)
    craters["radius"] = np.minimum(craters["radius"], math.radians(60) * on.axes[0])
    craters["semi_major"] = craters["radius"] * rng.uniform(1.0, 1.4, n)
    craters["semi_minor"] = craters["semi_major"] * rng.uniform(0.2, 1.0, n)
    craters["angle"] = rng.uniform(0, 180, n)
    return craters


def table_of(on: Map, craters: pd.DataFrame, nvert: int | None = None) -> CraterDatabase:
    cdb = CraterDatabase(craters, on.body, "planetocentric")
    for name, bounds in BOUNDS.items():
        cdb.add_ellipses(name, *bounds, nvert=nvert)
    return cdb


@pytest.mark.parametrize("name", every(MAPS))
def test_pixels_inside_the_ellipse_by_geodesic_distance_and_azimuth(name: str) -> None:
    on, judge = MAPS[name], oracle(name)
    craters = elliptical(on, 6, len(name))
    arrays = on.numbered().craters.get_arrays(table_of(on, craters), list(BOUNDS), coverage="center").compute()
    x, y = judge.x[judge.shown], judge.y[judge.shown]
    # Across the radial direction, lengths in the frame exceed those on the body by up to pi / 2 at a quarter of a turn.
    reach = 1.6 * judge.reach[judge.shown]
    compared = 0
    for i, row in enumerate(craters.itertuples()):
        distance, azimuth = ref.distance_and_azimuth(on.geod, x, y, (row.lon, float(on.geodetic(row.lat))))

        def within(scale: float, grown: Any = 0.0, at: Any = (distance, azimuth, row)) -> Array:
            axes = scale * at[2].semi_major + grown, scale * at[2].semi_minor + grown
            return ref.in_ellipse(at[0], at[1], *axes, math.radians(90 - at[2].angle))

        for region, (inner, outer) in BOUNDS.items():
            got = np.zeros(on.shape, bool)
            got.flat[numbers(arrays[region].iloc[i])] = True
            inside = within(outer) & ~(within(inner) if inner else False)
            certain = within(outer, -reach) == within(outer, reach)
            if inner:
                certain &= within(inner, -reach) == within(inner, reach)
            wrong = (got[judge.shown] != inside) & certain
            assert not wrong.any(), (name, region, row, np.count_nonzero(wrong))
            assert not got[~judge.shown & np.isfinite(judge.reach)].any() or on.period < on.shape[1]
            compared += np.count_nonzero(certain & inside)
    assert compared > 0


@pytest.mark.parametrize("name", every(MAPS))
def test_an_ellipse_with_equal_axes_is_the_circle_under_every_coverage_rule(name: str) -> None:
    on = MAPS[name]
    craters = elliptical(on, 6, len(name) + 1)
    craters["semi_major"] = craters["semi_minor"] = craters["radius"]
    cdb = table_of(on, craters)
    cdb.add_circles("circle", nvert=None)
    cdb.add_annuli("annulus", 0.4, 1, nvert=None)
    pairs = (("ellipse", "circle"), ("ring", "annulus"))
    regions = [region for pair in pairs for region in pair]
    da = on.numbered()
    held = {rule: da.craters.get_arrays(cdb, regions, coverage=rule).compute() for rule in RULES}
    covered = da.craters.get_stats(cdb, regions, "count", coverage="exact")["count"]
    for one, other in pairs:
        a, b = (covered.sel(region=region).to_numpy() for region in (one, other))
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=0.01, err_msg=name)
        for rule in ("center", "all_touched"):
            for i in range(len(cdb)):
                a, b = (numbers(held[rule][region].iloc[i]) for region in (one, other))
                # Pixels may differ where a circle passes a centre or an edge within hundredths of a pixel.
                assert np.setxor1d(a, b).size <= 1 + 0.01 * max(a.size, b.size), (name, rule, craters.iloc[i].to_dict())


@pytest.mark.parametrize("name", every(MAPS))
def test_coverage_rules_agree_with_each_other_and_with_statistics(name: str) -> None:
    on = MAPS[name]
    craters = elliptical(on, 6, len(name) + 2)
    cdb, da = table_of(on, craters), on.numbered()
    held = {rule: da.craters.get_arrays(cdb, list(BOUNDS), coverage=rule).compute() for rule in RULES}
    for rule in RULES:
        stats = da.craters.get_stats(cdb, list(BOUNDS), "count min max median", coverage=rule)
        for region in BOUNDS:
            of = stats.sel(region=region)
            for i in range(len(cdb)):
                center, touched, exact = (set(numbers(held[r][region].iloc[i]).tolist()) for r in RULES)
                assert center <= touched
                assert exact <= touched
                pixels = {"center": center, "all_touched": touched, "exact": exact}[rule]
                count = of["count"][i].item()
                assert count == len(pixels) if rule != "exact" else count <= len(pixels) + 1e-9
                if pixels:
                    assert (of["min"][i], of["max"][i]) == (min(pixels), max(pixels))
                    assert min(pixels) <= of["median"][i] <= max(pixels)


@pytest.mark.parametrize("name", every(SPHERES))
def test_areas_are_those_on_the_sphere(name: str) -> None:
    on = MAPS[name]
    lon, lat = on.centre[0] + 2, on.centre[1] * 0.9
    radius = math.radians(1) * on.axes[0]
    near = zoomed(on, lon, lat, 1.4 * radius, 160)
    craters = pd.DataFrame({"lat": [lat], "lon": [lon], "radius": [radius]})
    craters = craters.assign(semi_major=1.3 * radius, semi_minor=0.5 * radius, angle=35.0)
    da = near.data(np.ones(near.shape, "u1"))
    area = da.craters.get_stats(table_of(near, craters), list(BOUNDS), "area", coverage="exact")["area"]
    whole, hole = (ref.ellipse_area(s * 1.3 * radius, s * 0.5 * radius, on.axes[0]) for s in (1.0, 0.4))
    np.testing.assert_allclose(area.to_numpy().ravel(), [whole, whole - hole], rtol=2e-5)


@pytest.mark.parametrize(
    "name", ["±180", "past 360", "sinusoidal, oblate", "north polar, sphere", "orthographic, oblate"]
)
@pytest.mark.parametrize("rule", RULES)
def test_lazy_pixels_equal_eager_ones_for_any_chunks(name: str, rule: str) -> None:
    on = MAPS[name]
    cdb = table_of(on, elliptical(on, 8, 4))
    stats = "count mean std min max median majority"
    whole = on.numbered().craters.get_stats(cdb, list(BOUNDS), stats, coverage=rule)
    for chunks in ({"y": 17, "x": 23}, {"y": 200, "x": 8}):
        da = on.numbered(chunks=chunks)
        with raise_if_dask_computes():
            lazy = da.craters.get_stats(cdb, list(BOUNDS), stats, coverage=rule)
        found = lazy.compute(scheduler="synchronous")
        for stat in whole:
            np.testing.assert_allclose(found[stat], whole[stat], rtol=1e-11, atol=1e-11, err_msg=stat)


def test_a_ring_around_a_pole_touches_no_pixel_in_its_hole() -> None:
    for name in ("Mercator, sphere", "gridline, oblate", "equirectangular, lat_ts, oblate", "IAU 49901", "IAU 49912"):
        on = MAPS[name]
        craters = pd.DataFrame({"lat": [80.0, -75.0, 60.0, 85.0], "lon": [3.0, 80.0, -84.0, -120.0]})
        radius = np.radians([40.0, 60.0, 80.0, 57.0]) * on.axes[0]
        craters = craters.assign(radius=radius, semi_major=radius, semi_minor=0.9 * radius, angle=[0.0, 50, 90, 130])
        for nvert in (None, 32):
            cdb = table_of(on, craters, nvert)
            touched, covered = (
                on.numbered().craters.get_arrays(cdb, "ring", coverage=rule).compute()["ring"]
                for rule in ("all_touched", "exact")
            )
            for one, other in zip(touched, covered):
                np.testing.assert_array_equal(numbers(one), numbers(other))


def test_masks_and_excluded_neighbours_accept_ellipses() -> None:
    on = MAPS["±180"]
    cdb = table_of(on, elliptical(on, 6, 1))
    da = on.numbered()
    count = da.craters.get_stats(cdb, "ellipse", "count", coverage="center")["count"]
    assert da.craters.mask(cdb, "ellipse", kind="count", coverage="center").sum() == count.sum()
    left = da.craters.get_stats(cdb, "ellipse", "count", coverage="center", exclude=1)["count"]
    assert (left <= count).all()


FITS = pd.DataFrame(
    {
        "LAT_CIRC_IMG": [0.0, 40.0, -88.0],
        "LON_CIRC_IMG": [0.0, 179.0, 20.0],
        "DIAM_CIRC_IMG": [20.0, 30.0, 25.0],
        "DIAM_CIRC_SD_IMG": [0.1, 0.1, 0.1],
        "DIAM_ELLI_MAJOR_IMG": [24.0, 31.0, np.nan],
        "DIAM_ELLI_MINOR_IMG": [16.0, 30.0, np.nan],
        "DIAM_ELLI_ECCEN_IMG": [0.7, 0.2, np.nan],
        "DIAM_ELLI_ELLIP_IMG": [1.5, 1.03, np.nan],
        "DIAM_ELLI_ANGLE_IMG": [30.0, 100.0, np.nan],
    },
    index=["a", "b", "c"],
)


def test_columns_of_the_lunar_catalogue_are_found_and_craters_without_a_fit_have_no_region() -> None:
    cdb = CraterDatabase(FITS, "moon", units="km")
    cdb.add_ellipses("rim")
    assert repr(cdb.regions["rim"]) == "Ellipses(inner=0.0, outer=1.0, nvert=None)"
    stats = MAPS["±180"].numbered().craters.get_stats(cdb, "rim", "count mean", coverage="exact")
    assert stats["count"][2] == 0
    assert np.isnan(stats["mean"][2])
    assert cdb.rim.loc["c"] is None or cdb.rim.loc["c"].is_empty
    # The table holds full axes, and the angle counts counter-clockwise from east, so the major axis ends in the
    # north-east.
    lon, lat = np.asarray(cdb.rim["a"].exterior.coords).T
    reach = np.radians(np.hypot(lon, lat)) * cdb.body_radius
    assert reach.max() == pytest.approx(12e3, rel=1e-3)
    assert reach.min() == pytest.approx(8e3, rel=1e-3)
    end = reach.argmax()
    assert math.degrees(math.atan2(lat[end], lon[end])) % 180 == pytest.approx(30, abs=1)
    cdb.add_ellipses("north", angle_from="north")
    lon, lat = np.asarray(cdb.north["a"].exterior.coords).T
    end = np.hypot(lon, lat).argmax()
    assert math.degrees(math.atan2(lon[end], lat[end])) % 180 == pytest.approx(30, abs=1)


def test_ellipses_follow_their_craters() -> None:
    cdb = CraterDatabase(FITS, "moon", units="km")
    cdb.add_ellipses("rim")
    other = cdb.copy()
    other.data = other.data.iloc[[1, 0]]
    assert other.rim["a"].equals(cdb.rim["a"])
    assert other.copy() == other
    other.data = other.data.drop(columns="DIAM_ELLI_ANGLE_IMG")
    with pytest.raises(RegionError, match="no column 'DIAM_ELLI_ANGLE_IMG' any more"):
        _ = other.rim


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("DIAM_ELLI_MINOR_IMG", 30.0, r"makes a longer axis than 'DIAM_ELLI_MAJOR_IMG': 1 crater \(a\)"),
        ("DIAM_ELLI_MINOR_IMG", 0.0, r"is 0 or less: 1 crater \(a\)"),
        ("DIAM_ELLI_MINOR_IMG", np.inf, "is infinite"),
        ("DIAM_ELLI_ANGLE_IMG", np.nan, "'DIAM_ELLI_ANGLE_IMG' is missing"),
        ("DIAM_ELLI_MAJOR_IMG", 1e4, "quarter of the body's circumference"),
    ],
)
def test_invalid_ellipses_are_named_by_their_craters(column: str, value: float, message: str) -> None:
    table = FITS.copy()
    table.loc["a", column] = value
    cdb = CraterDatabase(table, "moon", units="km")
    with pytest.raises(RegionError, match=message):
        cdb.add_ellipses("rim")
    assert not cdb.regions


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"inner": 1.0, "outer": 0.5}, RegionError, "inner must be less than outer"),
        ({"nvert": 7}, RegionError, "expected an even number"),
        ({"angle_from": "west"}, RegionError, "expected 'east'"),
        ({"major_col": "nothing"}, TableError, "is not a column"),
        ({"major_col": "DIAM_CIRC_SD_IMG", "minor_col": "x"}, TableError, "does not say whether|is not a column"),
    ],
)
def test_unusable_declarations_are_refused(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    cdb = CraterDatabase(FITS, "moon", units="km")
    with pytest.raises(error, match=message):
        cdb.add_ellipses("rim", **arguments)
    assert not cdb.regions


def test_unusable_headers_are_refused() -> None:
    table = pd.DataFrame({"lat": [0.0], "lon": [0.0], "radius_m": [1e4], "a": [1.0], "b": [1.0], "angle": [0.0]})
    cdb = CraterDatabase(table, "moon")
    with pytest.raises(TableError, match="found no column of the ellipses' major axis"):
        cdb.add_ellipses("rim")
    with pytest.raises(TableError, match="does not say whether it holds full or half axes"):
        cdb.add_ellipses("rim", major_col="a", minor_col="b")
    cdb = CraterDatabase(table.rename(columns={"a": "semi_major_axis_km", "b": "semi_minor_axis_km"}), "moon")
    with pytest.raises(TableError, match="says km"):
        cdb.add_ellipses("rim")
    empty = FITS.assign(**{c: np.nan for c in FITS.columns if "ELLI" in c})
    with pytest.raises(RegionError, match="none of the 3 craters has an ellipse"):
        CraterDatabase(empty, "moon", units="km").add_ellipses("rim")
