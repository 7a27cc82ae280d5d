"""Comparison with craterpy on all its sample data, and tests of craterpy's known errors."""

from __future__ import annotations

import functools
import pickle
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import filelock
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
import xarray as xr
from affine import Affine
from shapely.geometry.base import BaseGeometry

from tests.reference import polygon_mask, polygon_region, polygon_ties, tangent_to_pole, window
from xcrater import CraterDatabase, open_mosaic, sample_data
from xcrater.errors import TableError

BODIES = sorted(name.removesuffix("_craters_km.csv") for name in sample_data if name.endswith(".csv"))
REGIONS = {"floor": (0, 0.8), "rim": (1, 1.5), "ejecta": (1, 3)}
STATS = ["count", "min", "max", "mean", "sum", "std", "median", "majority", "percentile_90"]
EXACT = ["count", "min", "max", "sum", "median", "majority"]
MOON_RADIUS = 1737400.0


@pytest.fixture(scope="session")
def craterpy() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("craterpy")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Craters and raster of one body, and the results of both packages."""

    ours: pd.DataFrame
    theirs: pd.DataFrame
    cdb: CraterDatabase
    polygons: pd.DataFrame
    raster: Path
    plain: dict[str, np.ndarray]

    def both(self, stat: str, region: str) -> tuple[np.ndarray, np.ndarray]:
        """A statistic from both packages, for craters that touch neither the antimeridian nor a pole."""
        column, plain = f"{stat}_{region}", self.plain[region]
        return tuple(frame[column].to_numpy(dtype=float)[plain] for frame in (self.ours, self.theirs))


@pytest.fixture(scope="module")
def compare(craterpy, tmp_path_factory, worker_id):
    """``compare("moon")`` gives a Comparison, which takes seconds and is made once, by one of the test processes."""
    own = tmp_path_factory.getbasetemp()
    folder = (own if worker_id == "master" else own.parent) / "comparisons"
    folder.mkdir(exist_ok=True)

    @functools.cache
    def comparison(body: str) -> Comparison:
        made = folder / f"{body}.pickle"
        with filelock.FileLock(f"{made}.lock"):
            if not made.exists():
                made.write_bytes(pickle.dumps(compared(craterpy, body, folder)))
        return pickle.loads(made.read_bytes())

    return comparison


def compared(craterpy: ModuleType, body: str, folder: Path) -> Comparison:
    table, raster = sample_data[f"{body}_craters_km.csv"], sample_data[f"{body}.tif"]
    cdb = CraterDatabase(table, body, units="km")
    for name, bounds in REGIONS.items():
        cdb.add_annuli(name, *bounds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = craterpy.CraterDatabase(str(table), body, units="km")
        with projections_made_once(craterpy):
            for name, bounds in REGIONS.items():
                peer.add_annuli(name, *bounds, n_jobs=1)
        theirs = peer.get_stats(str(in_180(raster, folder)), list(REGIONS), STATS, n_jobs=1)
    return Comparison(
        ours=cdb.get_stats(raster, list(REGIONS), STATS),
        theirs=theirs,
        cdb=cdb,
        polygons=pd.DataFrame({name: list(peer.data[name]) for name in REGIONS}),
        raster=raster,
        plain={name: is_plain(cdb, outer) for name, (_, outer) in REGIONS.items()},
    )


@contextmanager
def projections_made_once(craterpy: ModuleType) -> Iterator[None]:
    """Cache the local projections of craters, on which craterpy spends most of its time, once for each region."""
    helper = craterpy.helper
    transformer = helper.pyproj.Transformer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(helper, "local_crs", functools.cache(helper.local_crs))
        patch.setattr(helper, "_naif_from_crs", functools.cache(helper._naif_from_crs))
        patch.setattr(transformer, "from_crs", staticmethod(functools.cache(transformer.from_crs)))
        yield


def in_180(path: Path, folder: Path) -> Path:
    """The raster, or a copy in -180..180 of one in 0..360, of which craterpy handles only the eastern half."""
    with rasterio.open(path) as source:
        if source.bounds.left < -1:
            return path
        pixels, mask, profile = source.read(1), source.read_masks(1), source.profile
        per_dataset = rasterio.enums.MaskFlags.per_dataset in source.mask_flag_enums[0]
    half = profile["width"] // 2
    step = profile["transform"].a
    profile.update(transform=Affine(step, 0, -180, 0, profile["transform"].e, 90))
    rolled = folder / path.name
    with rasterio.open(rolled, "w", **profile) as target:
        target.write(np.roll(pixels, half, axis=1), 1)
        if per_dataset:
            target.write_mask(np.roll(mask, half, axis=1))
    return rolled


def angles(cdb: CraterDatabase) -> np.ndarray:
    return np.degrees(cdb.rad.to_numpy() / cdb.body_radius)


def is_plain(cdb: CraterDatabase, outer: float) -> np.ndarray:
    """Whether each crater's disc touches neither ±180° nor a pole."""
    rho, lat, lon = outer * angles(cdb), cdb.lat.to_numpy(), cdb.lon.to_numpy()
    clear_of_poles = np.abs(lat) + rho < 90
    sine = np.sin(np.radians(rho)) / np.cos(np.radians(lat))
    half_width = np.degrees(np.arcsin(np.where(clear_of_poles, sine, 1.0)))
    return clear_of_poles & (lon - half_width > -180) & (lon + half_width < 180)


def disagreements(comparison: Comparison, region: str) -> np.ndarray:
    """Positions in the table of plain craters whose counts differ."""
    ours, theirs = comparison.both("count", region)
    return np.flatnonzero(comparison.plain[region])[ours != theirs]


@pytest.mark.slow
@pytest.mark.parametrize("body", BODIES)
def test_positions_agree_with_craterpy(compare, body):
    comparison = compare(body)
    assert list(comparison.ours.columns) == list(comparison.theirs.columns)
    assert sum(map(len, comparison.plain.values())) == 3 * len(comparison.theirs)
    assert all(plain.sum() > 0.5 * plain.size for plain in comparison.plain.values())


@pytest.mark.slow
@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("body", BODIES)
def test_statistics_agree_with_craterpy_where_counts_agree(compare, body, region):
    comparison = compare(body)
    ours, theirs = comparison.both("count", region)
    same = ours == theirs
    assert same.mean() > 0.99
    for stat in STATS:
        ours, theirs = (values[same] for values in comparison.both(stat, region))
        if stat in EXACT:
            np.testing.assert_array_equal(ours, theirs, err_msg=stat)
        else:
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-9, err_msg=stat)


@pytest.mark.slow
def test_counts_agree_with_craterpy_for_9989_of_10000_craters(compare):
    tried = sum(int(compare(body).plain[region].sum()) for body in BODIES for region in REGIONS)
    differ = sum(len(disagreements(compare(body), region)) for body in BODIES for region in REGIONS)
    assert tried > 8000
    assert differ <= 0.0011 * tried


@pytest.mark.slow
def test_where_counts_differ_ours_are_the_pixels_that_craterpys_polygon_overlaps(compare):
    """GDAL misses or adds pixels if an edge of the polygon lies almost on their border."""
    for comparison in map(compare, BODIES):
        da = open_mosaic(comparison.raster)
        ones = da.copy(data=np.ones(da.shape, "u1"))
        for region in REGIONS:
            for crater in disagreements(comparison, region):
                polygon = comparison.polygons[region].iloc[crater]
                ours = ~np.ma.getmaskarray(comparison.cdb.get_arrays(ones, region, nodata=255)[region].iloc[crater])
                gdals = ~np.ma.getmaskarray(gdal_pixels(polygon, da.shape))
                overlap = overlap_areas(polygon, da.shape)
                assert ours.shape == gdals.shape == overlap.shape
                np.testing.assert_array_equal(ours, overlap > 0)
                assert (gdals != ours).any()
                assert overlap[gdals != ours].max() < 1e-3


def global_transform(shape: tuple[int, int]) -> Affine:
    return Affine(360 / shape[1], 0, -180, 0, -180 / shape[0], 90)


def gdal_pixels(polygon: shapely.Polygon, shape: tuple[int, int]) -> np.ma.MaskedArray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from rasterstats import zonal_stats

        ones = np.ones(shape, "u1")
        options = {"affine": global_transform(shape), "nodata": 255, "all_touched": True, "raster_out": True}
        return zonal_stats([polygon], ones, **options)[0]["mini_raster_array"]


def overlap_areas(polygon: shapely.Polygon, shape: tuple[int, int]) -> np.ndarray:
    """Area, in pixels, that the polygon shares with each pixel of its window."""
    transform = global_transform(shape)
    (top, bottom), (left, right) = window(transform, polygon.bounds)
    in_pixels = shapely.transform(polygon, lambda xy: (xy - [transform.c, transform.f]) / [transform.a, transform.e])
    row, col = np.mgrid[top:bottom, left:right]
    return shapely.area(shapely.intersection(shapely.box(col, row, col + 1, row + 1), in_pixels))


@pytest.mark.slow
@pytest.mark.parametrize("body", BODIES)
def test_counts_across_the_seam_and_the_poles_agree_with_polygons(sample, body):
    """Where craterpy fills holes and drops craters, a brute-force test of polygons is the reference."""
    path = sample(f"{body}.tif")
    with rasterio.open(path) as source:
        transform, valid = source.transform, source.read_masks(1) > 0
    cdb = CraterDatabase(sample(f"{body}_craters_km.csv"), body, units="km")
    wrong = []
    for region, (inner, outer) in REGIONS.items():
        cdb.add_annuli(region, inner, outer)
        counts = cdb.get_stats(path, region, "count")[f"count_{region}"].to_numpy()
        for crater in np.flatnonzero(~is_plain(cdb, outer)):
            lon, lat, rho = cdb.lon.iloc[crater], cdb.lat.iloc[crater], angles(cdb)[crater]
            assert not tangent_to_pole(lat, outer * rho)
            assert not tangent_to_pole(lat, inner * rho)
            polygon = polygon_region(lon, lat, inner * rho, outer * rho, 32)
            fewest, most = polygon_counts(transform, valid, polygon, counts[crater])
            if not fewest <= counts[crater] <= most:
                wrong.append((region, int(crater), int(counts[crater]), (fewest, most)))
    assert wrong == []


def test_many_craters_cross_the_seam_or_contain_a_pole():
    crossing = 0
    for body in BODIES:
        cdb = CraterDatabase(sample_data[f"{body}_craters_km.csv"], body, units="km")
        crossing += sum(int((~is_plain(cdb, outer)).sum()) for _, outer in REGIONS.values())
    assert crossing == 256


def polygon_counts(transform: Affine, valid: np.ndarray, polygon: BaseGeometry, expected: int) -> tuple[int, int]:
    """Number of valid pixels of a global raster that meet the polygon, as a range where rounding decides."""
    height, width = valid.shape
    (top, bottom), (left, right) = window(transform, polygon.bounds)
    top, bottom = max(top - 1, 0), min(bottom + 1, height)
    left, right = (left - 1, right + 1) if right - left + 2 <= width else (0, width)
    grid = transform * Affine.translation(left, top)
    shape = (bottom - top, right - left)
    seen = valid[top:bottom].take(np.arange(left, right), axis=1, mode="wrap")
    mask = polygon_mask(grid, shape, polygon, "all_touched")
    count = int((mask & seen).sum())
    if count == expected:
        return count, count
    ties = polygon_ties(grid, shape, polygon, "all_touched")
    return int((mask & ~ties & seen).sum()), int(((mask | ties) & seen).sum())


@pytest.fixture(scope="module")
def moon():
    cdb = CraterDatabase(sample_data["moon_craters_km.csv"], "moon", units="km")
    cdb.add_annuli("rim", 1, 1.5)
    cdb.add_circles("inside", 1)
    cdb.add_circles("all", 1.5)
    return cdb


def near(lon: float, lat: float, radius_deg: float = 2.0) -> CraterDatabase:
    """One lunar crater with the regions "disc" (1 R) and "rim" (1 to 1.5 R)."""
    radius = np.radians(radius_deg) * MOON_RADIUS
    cdb = CraterDatabase(pd.DataFrame({"lon": [lon], "lat": [lat], "radius": [radius]}), "moon")
    cdb.add_circles("disc", 1)
    cdb.add_annuli("rim", 1, 1.5)
    return cdb


def flat(value, *, dtype, lon: tuple[float, float], lat: tuple[float, float]) -> xr.DataArray:
    """A lunar raster of one value, with one pixel per degree and without nodata."""
    x, y = np.arange(lon[0] + 0.5, lon[1]), np.arange(lat[1] - 0.5, lat[0], -1)
    da = xr.DataArray(np.full((y.size, x.size), value, dtype), {"y": y, "x": x}, ("y", "x"))
    return da.rio.write_crs("IAU_2015:30100")


class TestFaultsOfCraterpy:
    """Results that craterpy gets wrong."""

    def test_annulus_across_the_antimeridian_or_a_pole_keeps_its_hole(self, moon):
        crossing = ~is_plain(moon, 1.5)
        assert crossing.sum() >= 20
        counts = moon.get_stats(sample_data["moon.tif"], ["rim", "inside", "all"], "count", coverage="center")
        holes = counts["count_inside"]
        np.testing.assert_array_equal(counts["count_rim"][crossing], (counts["count_all"] - holes)[crossing])
        assert (holes[crossing] > 0).sum() >= 20

    @pytest.mark.parametrize(("lon", "lat"), [(180, 0), (-179.5, 40), (0, 90), (77, -89)])
    def test_pixels_inside_the_hole_are_not_used(self, lon, lat):
        da = flat(1, dtype="u1", lon=(-180, 180), lat=(-90, 90))
        cdb = near(lon, lat, radius_deg=10)
        inside = da.copy(data=np.zeros(da.shape, "u1"))
        mask = polygon_mask(
            Affine(1, 0, -180, 0, -1, 90), da.shape, polygon_region(cdb.lon[0], lat, 0, 7, 32), "all_touched"
        )
        inside.data[mask] = 200
        assert cdb.get_stats(inside, "disc", "max")["max_disc"].item() == 200
        assert cdb.get_stats(inside, "rim", "max")["max_rim"].item() == 0

    def test_raster_in_0_to_360_gives_the_same_as_one_in_180(self, moon):
        in_180 = open_mosaic(sample_data["moon.tif"])
        in_360 = in_180.roll(x=in_180.sizes["x"] // 2)
        in_360 = in_360.assign_coords(x=in_180["x"] + 180)
        a, b = (moon.get_stats(da, ["rim", "inside"], STATS) for da in (in_180, in_360))
        pd.testing.assert_frame_equal(a, b)

    def test_crater_at_270_east_on_a_raster_in_0_to_360(self):
        da = flat(0, dtype="u1", lon=(0, 360), lat=(-90, 90))
        da.loc[{"x": slice(260, 280)}] = 7
        for lon in (270, -90):
            row = near(lon, 10).get_stats(da, "disc").iloc[0]
            assert (row["mean_disc"], row["std_disc"]) == (7, 0)
            assert row["count_disc"] > 10

    @pytest.mark.parametrize("crs", ["+proj=eqc +R=1737400 +units=m +no_defs", "IAU_2015:30110"])
    def test_raster_in_metres_gives_the_same_as_one_in_degrees(self, moon, tmp_path, crs):
        metres = np.radians(1) * MOON_RADIUS
        with rasterio.open(sample_data["moon.tif"]) as source:
            profile = source.profile | {"crs": crs, "transform": Affine.scale(metres) * source.transform}
            with rasterio.open(tmp_path / "moon_metres.tif", "w", **profile) as target:
                target.write(source.read())
        a = moon.get_stats(sample_data["moon.tif"], ["rim", "inside"], STATS)
        b = moon.get_stats(tmp_path / "moon_metres.tif", ["rim", "inside"], STATS)
        pd.testing.assert_frame_equal(a, b)

    def test_pixels_outside_the_raster_never_count(self):
        da = flat(9, dtype="u1", lon=(0, 10), lat=(0, 10))
        cdb = near(0, 5)
        row = cdb.get_stats(da, "disc", "count min mean nodata").iloc[0]
        grid = Affine(1, 0, 0, 0, -1, 10)
        expected = polygon_mask(grid, da.shape, polygon_region(0, 5, 0, 2, 32), "all_touched").sum()
        assert (row["count_disc"], row["min_disc"], row["mean_disc"], row["nodata_disc"]) == (expected, 9, 9, 0)
        pixels = cdb.get_arrays(da, "disc")["disc"].iloc[0]
        assert pixels.shape == (4, 6)
        assert pixels.compressed().tolist() == [9] * expected

    def test_a_crater_off_the_raster_has_no_pixels(self):
        da = flat(9, dtype="u1", lon=(0, 10), lat=(0, 10))
        cdb = CraterDatabase(pd.DataFrame({"lon": [5, 60], "lat": [5, 5], "radius": [5e4, 5e4]}), "moon")
        cdb.add_circles("disc")
        frame = cdb.get_stats(da, "disc", "count min mean sum median")
        assert frame["count_disc"].tolist()[1:] == [0]
        assert frame[["min_disc", "mean_disc", "sum_disc", "median_disc"]].isna().to_numpy().tolist() == [
            [False] * 4,
            [True] * 4,
        ]

    @pytest.mark.parametrize(
        ("dtype", "value"), [("u1", 255), ("i1", -128), ("i2", 32767), ("u2", 65535), ("i4", -(2**31) + 1)]
    )
    def test_sums_of_integers_do_not_overflow(self, dtype, value):
        da = flat(value, dtype=dtype, lon=(-180, 180), lat=(-90, 90))
        row = near(20, 0, radius_deg=60).get_stats(da, "disc", "count sum mean std range").iloc[0]
        assert row["count_disc"] > 10_000
        assert row["sum_disc"] == value * row["count_disc"]
        assert (row["mean_disc"], row["std_disc"], row["range_disc"]) == (value, 0, 0)

    def test_scale_is_applied(self, moon):
        path = sample_data["moon_dem.tif"]
        with rasterio.open(path) as source:
            assert source.scales == (0.5,)
        values = moon.get_stats(path, "rim", STATS)
        stored = open_mosaic(path, decode=False)
        stored.attrs = {name: value for name, value in stored.attrs.items() if name != "scale_factor"}
        numbers = moon.get_stats(stored, "rim", STATS)
        np.testing.assert_array_equal(values["count_rim"], numbers["count_rim"])
        for stat in STATS[1:]:
            np.testing.assert_allclose(values[f"{stat}_rim"], numbers[f"{stat}_rim"] / 2, rtol=1e-12, err_msg=stat)

    def test_scaled_mean_is_half_of_the_stored_pixels(self):
        path = sample_data["moon_dem.tif"]
        cdb = near(30, 20, radius_deg=5)
        with rasterio.open(path) as source:
            mask = polygon_mask(source.transform, source.shape, polygon_region(30, 20, 0, 5, 32), "all_touched")
            pixels = source.read(1)[mask].astype(float)
        row = cdb.get_stats(path, "disc", "count mean min std").iloc[0]
        expected = [pixels.size, pixels.mean() / 2, pixels.min() / 2, pixels.std() / 2]
        np.testing.assert_allclose(row[["count_disc", "mean_disc", "min_disc", "std_disc"]], expected, rtol=1e-12)
        assert cdb.get_arrays(path, "disc")["disc"].iloc[0].mean() == pytest.approx(pixels.mean() / 2, rel=1e-12)

    def test_offset_is_applied(self):
        da = flat(10, dtype="u1", lon=(-180, 180), lat=(-90, 90))
        da.data[:, :200] = 20
        da.attrs.update(scale_factor=-2.0, add_offset=100.0)
        mask = polygon_mask(Affine(1, 0, -180, 0, -1, 90), da.shape, polygon_region(20, 0, 0, 5, 32), "all_touched")
        pixels = 100 - 2.0 * da.data[mask]
        row = near(20, 0, radius_deg=5).get_stats(da, "disc", "count min max mean std sum").iloc[0]
        assert (row["count_disc"], row["min_disc"], row["max_disc"]) == (pixels.size, 60, 80)
        assert row["sum_disc"] == pixels.sum()
        np.testing.assert_allclose(row[["mean_disc", "std_disc"]], [pixels.mean(), pixels.std()], rtol=1e-12)

    def test_miles_are_not_metres(self):
        table = pd.DataFrame({"lon": [0.0], "lat": [0.0], "radius": [10.0]})
        with pytest.raises(TableError, match=re.escape("received units='miles'; expected 'm' or 'km'")):
            CraterDatabase(table, "moon", units="miles")

    def test_degradation_state_is_not_a_radius(self):
        table = pd.DataFrame({"DEGRADATION_STATE": [4.0], "lon": [0.0], "lat": [0.0], "DIAM_KM": [10.0]})
        assert CraterDatabase(table, "moon", units="km").rad.tolist() == [5000.0]
        with pytest.raises(TableError, match="no radius or diameter column"):
            CraterDatabase(table.drop(columns="DIAM_KM"), "moon")
