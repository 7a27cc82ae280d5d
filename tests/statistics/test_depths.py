"""Depths of craters agree with an oracle pixel by pixel, and with craters whose depth is known."""

from __future__ import annotations

import math
from functools import cache
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
from numpy.typing import NDArray

from tests import exact_reference, strategies
from tests import reference as ref
from tests.helpers import raise_if_dask_computes
from tests.strategies import MOON_RADIUS_M, GridCase
from tests.test_everywhere import MAPS
from xcrater import CraterDatabase, tutorial
from xcrater.errors import GridError, RegionError, StatisticError, XcraterError
from xcrater.kernels import planes

Array = NDArray[Any]

GLOBAL = GridCase(Affine(3, 0, -180, 0, -3, 90), (60, 120))
CRATERS = ((12.31, 34.53, 12.07), (179.13, -20.17, 15.03), (33.27, 84.61, 14.07), (-100.37, -5.17, 22.11))
"""Longitude, latitude and radius in degrees: in the open, across the seam, over a pole, and a large crater."""
ZONES: dict[str, Any] = {"rim": (0.8, 1.2), "floor": (0.0, 0.5), "wall": (0.5, 0.9), "background": (2.1, 2.6)}
CHUNKS: list[Any] = [None, {"y": 17, "x": 35}]


def table(*craters: tuple[float, float, float]) -> pd.DataFrame:
    lon, lat, radius = np.array(craters, dtype=float).T
    return pd.DataFrame({"lat": lat, "lon": lon, "radius": np.radians(radius) * MOON_RADIUS_M})


def database(*craters: tuple[float, float, float]) -> CraterDatabase:
    return CraterDatabase(table(*craters), "moon")


def terrain(seed: int = 0, lead: tuple[int, ...] = (), nodata: int | None = -99) -> Array:
    """Random elevations that tilt across the map, with missing pixels."""
    rng = np.random.default_rng(seed)
    rows, cols = np.indices(GLOBAL.shape)
    values = np.rint(rng.normal(4000, 300, (*lead, *GLOBAL.shape)) + 40 * rows + 15 * cols).astype("i2")
    if nodata is not None:
        values[rng.random(values.shape) < 0.1] = nodata
    return values


def expected(
    z: Array,
    valid: Array,
    weight: dict[str, Array],
    cover: dict[str, Array],
    xy: tuple[Array, Array],
    radius: float,
    *,
    wall: tuple[float, float],
    detrend: str | None = None,
    percentiles: tuple[float, float] | None = None,
) -> dict[str, float]:
    """What `depths` returns for one crater, computed from the weights of all pixels in each of its zones."""
    z = z.astype(float)
    if detrend:
        inside = valid & (weight["plane"] > 0)
        root = np.sqrt(weight["plane"][inside])
        columns = np.stack([np.ones(root.size), xy[0][inside], xy[1][inside]], axis=1)
        (c, a, b), *_ = np.linalg.lstsq(columns * root[:, None], z[inside] * root, rcond=None)
        z = z - c - a * xy[0] - b * xy[1]
    out, level, error = {}, {}, {}
    for zone, w in weight.items():
        inside = valid & (w > 0)
        x, w, n = z[inside], w[inside], float(cover[zone][inside].sum())
        out[f"{zone}_count"] = n
        if percentiles and zone in ("rim", "floor"):
            p = percentiles[("rim", "floor").index(zone)]
            h = min(5.0, p, 100 - p)

            def quantile(q: float, x: Array = x, w: Array = w) -> float:
                return ref.quantile(x, q / 100) if (w == 1).all() else ref.weighted_quantile(x, w, q / 100)

            level[zone] = quantile(p)
            error[zone] = math.sqrt(p * (100 - p) / n) * (quantile(p + h) - quantile(p - h)) / (2 * h)
        else:
            level[zone] = float(np.average(x, weights=w))
            error[zone] = math.sqrt(np.average((x - level[zone]) ** 2, weights=w) / n)
    out["wall_count"] = out.pop("lower_count") + out.pop("upper_count")
    for zone in ("rim", "floor", "background"):
        out[zone], out[f"{zone}_error"] = level[zone], error[zone]
    for name, one, other in (("depth", "rim", "floor"), ("rim_height", "rim", "background")):
        out[name], out[f"{name}_error"] = level[one] - level[other], math.hypot(error[one], error[other])
    out["depth_diameter"], out["depth_diameter_error"] = (out[f"depth{e}"] / (2 * radius) for e in ("", "_error"))
    inner, outer = wall
    middle = (inner + outer) / 2
    at = [2 / 3 * (b**3 - a**3) / (b**2 - a**2) for a, b in ((inner, middle), (middle, outer))]
    slope = (level["upper"] - level["lower"]) / (radius * (at[1] - at[0]))
    out["wall_slope"] = math.degrees(math.atan(slope))
    steep = math.hypot(error["upper"], error["lower"]) / (radius * (at[1] - at[0]))
    out["wall_slope_error"] = math.degrees(steep / (1 + slope**2))
    return out


def zones_of(plane: tuple[float, float] | None) -> dict[str, tuple[float, float]]:
    inner, outer = ZONES["wall"]
    halves = {"lower": (inner, (inner + outer) / 2), "upper": ((inner + outer) / 2, outer)}
    return {**{k: v for k, v in ZONES.items() if k != "wall"}, **halves, **({"plane": plane} if plane else {})}


def as_seen(lon: float, lat: float, radius: float, x: Array, y: Array, geod: pyproj.Geod) -> tuple[Array, Array]:
    """Points in the azimuthal equidistant frame of a crater, in crater radii; geodetic latitudes, radius in metres."""
    azimuth, _, distance = geod.inv(np.full(x.shape, lon), np.full(x.shape, lat), x, y)
    return distance / radius * np.sin(np.radians(azimuth)), distance / radius * np.cos(np.radians(azimuth))


MOON = pyproj.Geod(a=MOON_RADIUS_M, b=MOON_RADIUS_M)


@cache
def fractions(lon: float, lat: float, inner: float, outer: float) -> Array:
    return exact_reference.circle_coverage(GLOBAL.transform, GLOBAL.shape, lon, lat, inner, outer)


def by_pixel(values: Array, crater: tuple[float, float, float], coverage: str = "center", **options: Any) -> Any:
    """The oracle, pixel by pixel on the global map."""
    lon, lat, degrees = crater
    radius = math.radians(degrees) * MOON_RADIUS_M
    x, y = np.broadcast_arrays(*ref.pixel_centres(GLOBAL.transform, GLOBAL.shape))
    areas = ref.pixel_areas(GLOBAL.transform, GLOBAL.shape) if options.pop("area", False) else 1.0
    cover = {}
    for zone, (inner, outer) in zones_of((1.9, 3.0) if options.get("detrend") else None).items():
        of = (lon, lat, inner * degrees, outer * degrees)
        centres = ref.circle_mask_center(GLOBAL.transform, GLOBAL.shape, *of)
        cover[zone] = centres * 1.0 if coverage == "center" else fractions(*of)
    weight = {zone: c * areas for zone, c in cover.items()}
    xy = as_seen(lon, lat, radius, x, y, MOON)
    return expected(values, values != -99, weight, cover, xy, radius, wall=ZONES["wall"], **options)


def compare(found: xr.Dataset, wanted: dict[str, float], rtol: float = 1e-9) -> None:
    assert set(found.data_vars) == set(wanted)
    actual = {name: float(found[name]) for name in wanted}
    assert actual == pytest.approx(wanted, rel=rtol, abs=1e-9)


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("detrend", [None, "plane"])
@pytest.mark.parametrize("method", ["mean", "percentile"])
def test_depths_agree_with_the_oracle_pixel_by_pixel(chunks: Any, detrend: str | None, method: str) -> None:
    values = terrain()
    da = strategies.data_array(values, GLOBAL, chunks=chunks, nodata=-99)
    found = da.craters.depths(
        database(*CRATERS), **ZONES, coverage="center", detrend=detrend, plane=(1.9, 3.0), method=method
    ).compute()
    for i, crater in enumerate(CRATERS):
        options: Any = {"detrend": detrend, "percentiles": (60.0, 3.0) if method == "percentile" else None}
        compare(found.isel(crater=i), by_pixel(values, crater, **options))


@pytest.mark.parametrize("detrend", [None, "plane"])
@pytest.mark.parametrize("area", [False, True])
def test_fractions_and_areas_are_weights(detrend: str | None, area: bool) -> None:
    values = terrain()
    da = strategies.data_array(values, GLOBAL, chunks={"y": 17, "x": 35}, nodata=-99)
    some = CRATERS[1:2] if detrend else CRATERS[2:3]
    options: Any = {"detrend": detrend, "percentiles": (60.0, 3.0)}
    found = da.craters.depths(
        database(*some), **ZONES, detrend=detrend, plane=(1.9, 3.0), weights="area" if area else None
    ).compute()
    ranked = da.craters.depths(
        database(*some), **ZONES, detrend=detrend, plane=(1.9, 3.0), weights="area" if area else None,
        method="percentile",
    ).compute()  # fmt: skip
    for i, crater in enumerate(some):
        compare(found.isel(crater=i), by_pixel(values, crater, "exact", area=area, detrend=detrend), 1e-7)
        wanted = by_pixel(values, crater, "exact", area=area, **options)
        compare(ranked.isel(crater=i), wanted, 1e-6)


@pytest.mark.parametrize(
    "name", ["south polar, oblate", "equirectangular, lat_ts, oblate", "Mollweide, oblate", "±180"]
)
@pytest.mark.parametrize("detrend", [None, "plane"])
def test_depths_on_maps_of_every_kind(name: str, detrend: str | None) -> None:
    on = MAPS[name]
    values = np.random.default_rng(3).normal(0, 100, on.shape)
    lon, lat = on.places()
    shown = np.isfinite(lon)
    at = np.flatnonzero(shown.ravel())[shown.sum() // 3]  # some pixel on the body
    centres = [(float(lon.ravel()[at]) + 0.3, float(lat.ravel()[at]) * 0.98), (178.7, -83.0)]
    ratio = (on.axes[1] / on.axes[0]) ** 2
    frame = pd.DataFrame(
        {
            "lon": [c[0] for c in centres],
            "lat": [math.degrees(math.atan(ratio * math.tan(math.radians(c[1])))) for c in centres],
            "radius": np.radians(5.317 if "polar" in name else 13.01) * on.axes[0],
        }
    )
    da = on.data(values, chunks={"y": 20, "x": 37})
    cdb = CraterDatabase(frame, on.body)
    found = da.craters.depths(cdb, **ZONES, coverage="center", detrend=detrend, plane=(1.9, 3.0)).compute()
    lon, lat = (np.where(shown, axis, 0.0) for axis in (lon, lat))
    for i, (x0, y0) in enumerate(centres):
        radius = float(frame["radius"][i])
        xy = as_seen(x0, y0, radius, lon, lat, on.geod)
        away = np.hypot(*xy)
        cover = {
            zone: (shown & (away <= outer) & ((away > inner) | (inner == 0))) * 1.0
            for zone, (inner, outer) in zones_of((1.9, 3.0) if detrend else None).items()
        }
        wanted = expected(values, shown, cover, cover, xy, radius, wall=ZONES["wall"], detrend=detrend)
        compare(found.isel(crater=i), wanted, 1e-7)


@given(data=st.data(), frame=strategies.crater_tables(GLOBAL, max_radius=60.0))
@settings(max_examples=10)
def test_chunks_change_nothing(data: st.DataObject, frame: pd.DataFrame) -> None:
    chunks = data.draw(strategies.chunkings(GLOBAL.shape))
    values = data.draw(st.sampled_from([terrain(), terrain().astype("f4")]))
    options: Any = ZONES | {
        "coverage": data.draw(st.sampled_from(["center", "exact", "all_touched"])),
        "detrend": data.draw(st.sampled_from([None, "plane"])),
        "method": data.draw(st.sampled_from(["mean", "percentile"])),
        "weights": data.draw(st.sampled_from([None, "area"])),
    }
    cdb = CraterDatabase(frame, "moon", rad_col="radius_m")
    whole, cut = (
        strategies.data_array(values, GLOBAL, chunks=c, nodata=-99).craters.depths(cdb, **options).compute()
        for c in (None, chunks)
    )
    for name in whole:
        if str(name).endswith("_count") and options["coverage"] != "exact":
            np.testing.assert_array_equal(whole[name], cut[name], err_msg=str(name))
            assert whole[name].dtype == cut[name].dtype == np.int64
        else:
            # Depths are differences of elevations of some thousand metres, and slopes may span walls of a few metres.
            atol = 1e-6 if "slope" in str(name) or options["method"] == "percentile" else 1e-8
            np.testing.assert_allclose(cut[name], whole[name], rtol=1e-11, atol=atol, err_msg=str(name))


@pytest.mark.parametrize("chunks", [None, {"band": 1, "y": 20}, {"band": 2, "x": 50}])
@pytest.mark.parametrize("detrend", [None, "plane"])
@pytest.mark.parametrize("method", ["mean", "percentile"])
def test_bands_are_independent(chunks: Any, detrend: str | None, method: str) -> None:
    values = terrain(lead=(2,))
    da = strategies.data_array(values, GLOBAL, chunks=chunks, nodata=-99).assign_coords(band=[3, 5])
    options: Any = ZONES | {"detrend": detrend, "method": method}
    found = da.craters.depths(database(*CRATERS), **options).compute()
    assert found["depth"].dims == ("band", "crater")
    assert found["band"].values.tolist() == [3, 5]
    for n in range(2):
        flat = strategies.data_array(values[n], GLOBAL, nodata=-99).craters.depths(database(*CRATERS), **options)
        for name in flat:
            np.testing.assert_allclose(found[name][n], flat[name], rtol=1e-9, atol=1e-6, err_msg=str(name))


@pytest.mark.parametrize("detrend", [None, "plane"])
@pytest.mark.parametrize("method", ["mean", "percentile"])
def test_building_depths_computes_nothing(detrend: str | None, method: str) -> None:
    lazy, eager = (strategies.data_array(terrain(), GLOBAL, chunks=c, nodata=-99) for c in ({"y": 20}, None))
    with raise_if_dask_computes():
        found = lazy.craters.depths(database(*CRATERS), **ZONES, detrend=detrend, method=method)
    assert all(isinstance(v.data, dask.array.Array) for v in found.data_vars.values())
    with raise_if_dask_computes(max_computes=1):
        computed = found.compute()
    xr.testing.assert_identical(dask.compute(found)[0], computed)
    now = eager.craters.depths(database(*CRATERS), **ZONES, detrend=detrend, method=method)
    assert all(isinstance(v.data, np.ndarray) for v in now.data_vars.values())
    xr.testing.assert_allclose(computed, now)
    for name in now:
        assert computed[name].dtype == now[name].dtype == found[name].dtype
        assert computed[name].attrs == now[name].attrs


def test_stamped_depths_are_recovered_better_on_finer_maps() -> None:
    """The relative error of a depth is below 0.4 times pixel size over crater radius, and no depth is too deep.

    The ring at the crest clips pixels whose centre may be half a pixel away, where the terrain is lower, so the rim is
    too low by at most the slope of the wall times half a pixel's diagonal.
    """
    cdb = tutorial.synthetic_craters("moon", 30, diameters=(120e3, 400e3))
    # One more crater lies on the seam next to a pole, away from the others.
    cdb = CraterDatabase(
        pd.concat([cdb.data[["lat", "lon", "diameter"]], pd.DataFrame({"lat": [89.0], "lon": [180.0], "diameter": [180e3]})]),  # noqa: E501
        "moon", diam_col="diameter",
    )  # fmt: skip
    radius = cdb.rad.to_numpy()

    def truth(inner: float, outer: float) -> Array:
        return np.array([tutorial.crater_mean(inner, outer, r) for r in radius])

    stamped = 2 * tutorial.DEPTH_TO_DIAMETER * radius
    worst = []
    for ppd in (2, 4, 8):
        dem = tutorial.synthetic_mosaic("moon", ppd, cdb, roughness=0, chunks=500)
        pixel = math.pi * MOON_RADIUS_M / 180 / ppd / radius
        found = dem.craters.depths(cdb, weights="area").compute()
        between = truth(0.99, 1.01) - truth(0, 0.4)
        off = (found["depth"].to_numpy() - between) / stamped
        assert (np.abs(off) < 0.4 * pixel).all()
        worst.append(np.abs(off).max())
        # The difference of the zones' means is less than the depth stamped, by 1 % at the rim and 8 % on the parabolic
        # floor.
        np.testing.assert_allclose(between / stamped, 0.915, atol=0.005)
        deep = dem.craters.depths(cdb, floor=(0, 0.1), weights="area").compute()["depth"].to_numpy() / stamped
        assert (deep < 1.0).all()
        assert (deep > 1 - 0.015 - 0.4 * pixel).all()
        # The mean of a parabola over pixels differs from the true mean by the order of the pixel squared.
        np.testing.assert_allclose(found["floor"] / stamped, truth(0, 0.4) / stamped, atol=0.25 * pixel.max() ** 2)
        steepness = 2 * 0.8 * 2 * tutorial.DEPTH_TO_DIAMETER
        slope = np.tan(np.radians(found["wall_slope"]))
        assert (np.abs(slope / steepness - 1) < {2: 0.3, 4: 0.03, 8: 0.01}[ppd]).all()
        np.testing.assert_allclose(found["depth_diameter"], found["depth"] / (2 * radius), rtol=1e-15)
    assert worst[0] > 1.7 * worst[1] > 1.7**2 * worst[2]


@pytest.mark.parametrize("method", ["mean", "percentile"])
def test_a_tilt_is_removed(method: str) -> None:
    crater = (179.4, -41.3, 6.0)
    cdb = database(crater)
    flat = tutorial.synthetic_mosaic("moon", 2, cdb, roughness=0, dtype="float64", chunks=200)
    radius = math.radians(crater[2]) * MOON_RADIUS_M
    lon, lat = (axis.ravel() for axis in np.meshgrid(flat["x"], flat["y"]))
    x, y = (at.reshape(flat.shape) for at in as_seen(*crater[:2], radius, lon, lat, MOON))
    tilted = flat + (7000 + 2500 * x - 900 * y)
    options: Any = {"detrend": "plane", "background": (3, 3.5), "method": method}
    one, other = (da.craters.depths(cdb, **options).compute() for da in (flat, tilted.rio.write_crs(flat.rio.crs)))
    for name in one:
        np.testing.assert_allclose(other[name], one[name], rtol=1e-9, atol=1e-6, err_msg=str(name))
    assert abs(tilted.craters.depths(cdb, method=method).compute()["rim"].item() - one["rim"].item()) > 5000


def test_rims_narrower_than_a_pixel_keep_their_weight() -> None:
    crater = (10.0, 5.0, 3.1)  # about one pixel in radius
    da = strategies.data_array(terrain(nodata=None), GLOBAL, chunks={"y": 20})
    found, centres = (
        da.craters.depths(database(crater), coverage=c).compute().isel(crater=0) for c in ("exact", "center")
    )
    ring = exact_reference.circle_coverage(GLOBAL.transform, GLOBAL.shape, 10.0, 5.0, 0.99 * 3.1, 1.01 * 3.1)
    assert found["rim_count"].item() == pytest.approx(ring.sum(), rel=1e-9)
    assert found["rim"].item() == pytest.approx(np.average(da, weights=ring), rel=1e-9)
    assert 0 < found["rim_count"] < 0.2
    assert centres["rim_count"] == 0
    for name in ("rim", "depth", "depth_diameter"):
        assert np.isnan(centres[name])
        assert np.isfinite(found[name])
    assert np.isnan(found["rim_error"])  # the rim has less than one pixel


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("detrend", [None, "plane"])
@pytest.mark.parametrize("method", ["mean", "percentile"])
def test_zones_without_pixels_are_nan_and_count_0(chunks: Any, detrend: str | None, method: str) -> None:
    lon, lat, degrees = CRATERS[0]
    values = terrain(nodata=None).astype("f4")
    values[ref.circle_mask_center(GLOBAL.transform, GLOBAL.shape, lon, lat, 0, 0.7 * degrees)] = np.nan
    da = strategies.data_array(values, GLOBAL, chunks=chunks)
    off = strategies.data_array(values, GLOBAL, chunks=chunks).isel(y=slice(20, 40), x=slice(40, 80))
    options: Any = ZONES | {"detrend": detrend, "method": method, "coverage": "center"}
    found = da.craters.depths(database(CRATERS[0]), **options).compute().isel(crater=0)
    assert found["floor_count"] == 0
    assert found["rim_count"] > 10
    for name in ("floor", "floor_error", "depth", "depth_error", "depth_diameter"):
        assert np.isnan(found[name]), name
    for name in ("rim", "rim_error", "background", "rim_height"):
        assert np.isfinite(found[name]), name
    outside = off.craters.depths(database((0.0, 0.0, 3.0), (0.0, -80.0, 1.0)), **options).compute().isel(crater=1)
    for name, value in outside.data_vars.items():
        assert value == 0 if str(name).endswith("count") else np.isnan(value), name


def test_a_plane_needs_three_pixels_that_are_not_on_a_line() -> None:
    da = strategies.data_array(terrain(nodata=None), GLOBAL).isel(x=slice(60, 61))
    found = da.craters.depths(database((1.5, 0.0, 20.0)), **ZONES, detrend="plane", coverage="center").isel(crater=0)
    assert found["plane_count"] > 3
    assert found["rim_count"] > 0
    assert np.isnan(found["rim"])


def test_a_single_pixel_has_no_standard_error() -> None:
    da = strategies.data_array(terrain(nodata=None), GLOBAL)
    found = da.craters.depths(database((1.5, 1.5, 3.0)), floor=(0, 0.3), coverage="center").isel(crater=0)
    assert found["floor_count"] == 1
    assert np.isfinite(found["floor"])
    assert np.isnan(found["floor_error"])


def test_standard_errors_predict_the_scatter_of_random_samples() -> None:
    """The scatter of rim and floor over many random draws is what their standard errors predict."""
    rng = np.random.default_rng(0)
    da = strategies.data_array(rng.normal(0, 100, (300, *GLOBAL.shape)).astype("f4"), GLOBAL)
    for method in ("mean", "percentile"):
        found = da.craters.depths(
            database(CRATERS[3]),
            **ZONES,
            coverage="center",
            method=method,
            percentiles=(60, 20),
        ).isel(crater=0)
        for name in ("rim", "floor", "depth", "wall_slope"):
            scatter, said = float(found[name].std()), float(found[f"{name}_error"].mean())
            assert said == pytest.approx(scatter, rel=0.15), (method, name)


@pytest.mark.parametrize("detrend", [None, "plane"])
def test_scale_and_units_make_metres(detrend: str | None) -> None:
    values = terrain()
    cdb, options = database(*CRATERS), ZONES | {"detrend": detrend, "coverage": "center"}
    plain = strategies.data_array(values, GLOBAL, nodata=-99)
    metres = plain.craters.depths(cdb, **options)
    assert metres.attrs["elevation_units"].startswith("m, assumed")
    stored = plain.assign_attrs(units="km", scale_factor=0.0005, add_offset=2.0)
    found = stored.craters.depths(cdb, **options)
    assert found["depth"].attrs["units"] == "m"
    np.testing.assert_allclose(found["depth"], 0.5 * metres["depth"], rtol=1e-9)
    np.testing.assert_allclose(found["depth_error"], 0.5 * metres["depth_error"], rtol=1e-9)
    if detrend is None:
        np.testing.assert_allclose(found["rim"], 0.5 * metres["rim"] + 2000, rtol=1e-9)
    named = plain.assign_attrs(units=("metre", "metre")).craters.depths(cdb, **options)
    xr.testing.assert_equal(named, metres)
    with pytest.raises(GridError, match="received elevations in units of 'DN'; expected 'm' or 'km'"):
        plain.assign_attrs(units="DN").craters.depths(cdb)


def test_results_that_were_not_requested_are_absent() -> None:
    found = strategies.data_array(terrain(), GLOBAL, nodata=-99).craters.depths(database(*CRATERS))
    assert not any("background" in str(name) or "rim_height" in str(name) or "plane" in str(name) for name in found)
    assert found.attrs["rim"] == [0.99, 1.01]
    assert {v.attrs["units"] for v in found.data_vars.values()} == {"m", "1", "degrees"}


def test_every_change_of_a_request_changes_the_key() -> None:
    da, cdb = strategies.data_array(terrain(), GLOBAL, chunks={"y": 20}), database(*CRATERS)
    plain: Any = {"detrend": "plane"}
    requests: list[Any] = [
        plain,
        plain | {"rim": (0.9, 1.1)},
        plain | {"plane": (2, 2.5)},
        plain | {"coverage": "center"},
        plain | {"weights": "area"},
        plain | {"nodata": -99},
        plain | {"nvert": 32},
        plain | {"method": "percentile"},
        plain | {"method": "percentile", "percentiles": (50, 3)},
        {},
        {"method": "percentile"},
    ]
    names = [da.craters.depths(cdb, **request)["rim"].data.name for request in requests]
    assert len(set(names)) == len(names)
    assert names[0] == da.craters.depths(database(*CRATERS), detrend="plane")["rim"].data.name


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"method": "median"}, XcraterError, "received method='median'; expected 'mean' or 'percentile'"),
        ({"detrend": "line"}, XcraterError, "received detrend='line'; expected None or 'plane'"),
        ({"weights": "cos"}, StatisticError, "received weights='cos'"),
        ({"rim": 1.0}, RegionError, "received rim=1.0; expected its inner and outer limit"),
        ({"wall": (0.9, 0.7)}, RegionError, "inner must be less than outer"),
        ({"wall": "0"}, RegionError, "received wall='0'"),
        ({"floor": (0, None)}, RegionError, "both must be finite numbers"),
        ({"background": (5, 5, 5)}, RegionError, "received background"),
        ({"method": "percentile", "percentiles": (60, 101)}, StatisticError, "received percentiles"),
        ({"method": "percentile", "percentiles": 60}, StatisticError, "received percentiles=60"),
        ({"coverage": "some"}, XcraterError, "received coverage='some'"),
        ({"nvert": 3}, RegionError, "received nvert=3"),
    ],
)
def test_bad_input_is_refused(options: Any, error: type[Exception], message: str) -> None:
    da = strategies.data_array(terrain(), GLOBAL)
    with pytest.raises(error, match=message):
        da.craters.depths(database(*CRATERS), **options)


@pytest.mark.nojit
def test_arc_by_sine_inverts_the_sine() -> None:
    arc = np.append(np.geomspace(1e-12, 3.1, 200), [0.0, 0.0999, 0.1001, np.arcsin(0.1)])
    arc_by_sine = getattr(planes._arc_by_sine, "py_func", planes._arc_by_sine)
    found = [arc_by_sine(np.sin(a) ** 2, np.cos(a)) for a in arc]
    with np.errstate(invalid="ignore"):
        wanted = np.where(arc == 0, 1.0, arc / np.sin(arc))
    np.testing.assert_allclose(found, wanted, rtol=1e-14)
