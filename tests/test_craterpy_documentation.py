"""What craterpy's documentation tells users to type, and what its own tests check, with xcrater in its place."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import re
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import geopandas
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import CRS

from xcrater import CraterDatabase, all_bodies, open_mosaic, sample_data
from xcrater.errors import XcraterError

MOON, DEM, VESTA = (sample_data[f"{name}.tif"] for name in ("moon", "moon_dem", "vesta"))
TABLE = sample_data["moon_craters_km.csv"]
METRES = "IAU_2015:30110"  # the Moon in simple cylindrical projection


@pytest.fixture(scope="module")
def craterpy() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("craterpy")


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture
def moon() -> CraterDatabase:
    return CraterDatabase(TABLE, "Moon", units="km")


@pytest.fixture
def vesta() -> CraterDatabase:
    return CraterDatabase(sample_data["vesta_craters_km.csv"], "Vesta", units="km")


def theirs(craterpy: ModuleType, table: pd.DataFrame, regions: dict[str, tuple[float, float]]) -> Any:
    """A craterpy database with annular regions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = craterpy.CraterDatabase(table, "Moon", units="km")
        for name, bounds in regions.items():
            peer.add_annuli(name, *bounds, n_jobs=1)
        return peer


def test_signatures_begin_like_those_of_craterpy(craterpy):
    for name in ("plot", "plot_rois", "to_geojson", "to_crs", "merge", "read_shapefile", "get_stats", "get_arrays"):
        parameters = inspect.signature(getattr(craterpy.CraterDatabase, name)).parameters
        ours = inspect.signature(getattr(CraterDatabase, name)).parameters
        named = [parameter for parameter, how in parameters.items() if how.kind is not inspect.Parameter.VAR_KEYWORD]
        assert list(ours)[: len(named)] == named
        if name not in ("get_stats", "get_arrays"):  # n_jobs is left to dask
            assert [ours[parameter].default for parameter in named] == [
                parameters[parameter].default for parameter in named
            ]


@pytest.mark.slow
def test_the_readme_of_the_installed_craterpy(craterpy, tmp_path, monkeypatch, capsys):
    """Each Python statement as it stands there, except for the name of the package."""
    monkeypatch.chdir(tmp_path)
    text = importlib.metadata.distribution("craterpy").read_text("METADATA") or ""
    names: dict[str, Any] = {}
    run = 0
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        for statement in ast.parse(block.replace("craterpy", "xcrater")).body:
            exec(compile(ast.Module([statement], []), "README of craterpy", "exec"), names)
            run += 1
    assert run == 14
    assert len(list(tmp_path.glob("*.png"))) == 1
    assert len(plt.get_fignums()) == 2
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split()[-1] == "(m)"
    # The elevations are stored in half metres, which craterpy takes for metres.
    shown = np.array([line.split() for line in printed[1:5]], float)
    np.testing.assert_allclose(2 * shown[:, 3], [6070.0, -976.4, -3617.5, 1843.4], atol=0.16)
    np.testing.assert_allclose(2 * shown[:, 4], [10792.9, 3114.0, 186.8, 6127.9], atol=0.16)


class TestGettingStarted:
    """craterpy's tutorial, section by section."""

    def test_importing_craters(self):
        assert str(CraterDatabase(TABLE, body="Moon", units="km")) == "Moon CraterDatabase (N=786)"
        df = pd.read_csv(TABLE)
        assert str(CraterDatabase(df[df["Diameter (km)"] > 100], body="Moon", units="km")) == (
            "Moon CraterDatabase (N=222)"
        )
        columns = {"lat_col": "Latitude", "lon_col": "Longitude", "diam_col": "Diameter (km)"}
        named = CraterDatabase(df, body="Moon", units="km", **columns)
        assert named == CraterDatabase(df, body="Moon", units="km")

    @pytest.mark.parametrize(
        "crs", ["IAU_2015:200000100", CRS("IAU_2015:200000100"), "+proj=longlat +R=487300 +no_defs"], ids=str
    )
    def test_coordinate_systems(self, crs):
        table = sample_data["ceres_craters_km.csv"]
        ceres = CraterDatabase(table, "ceres", input_crs=crs, units="km")
        assert ceres == CraterDatabase(table, "ceres", units="km")

    def test_bodies(self, craterpy):
        assert set(craterpy.all_bodies) <= set(all_bodies)

    def test_adding_regions(self, moon):
        assert len(moon.plot(size=3, dpi=50).collections) == 1
        moon.add_circles("crater", size=1)
        assert len(moon.plot(MOON, "crater", size=3, dpi=50).images) == 1
        moon.add_annuli("ejecta", inner=1, outer=3)
        ax = moon.plot(MOON, "ejecta", linestyle="--", color="tab:green", alpha=0.4, size=3, dpi=50)
        ax.set_ylim(-30, 70)
        ax.set_xlim(-90, 90)
        plt.title("of the reader")
        plt.gcf().canvas.draw()
        (lines,) = ax.collections
        assert (lines.get_linestyle()[0][1] is not None, lines.get_alpha(), ax.get_title()) == (
            True,
            0.4,
            "of the reader",
        )

    def test_plotting_rois(self):
        cdb = CraterDatabase(sample_data["tethys_craters_km.csv"], body="tethys", units="km")
        cdb.add_circles("crater", size=2)
        assert cdb.data.iloc[10:19].index.tolist() == list(range(10, 19))
        assert cdb.plot_rois(sample_data["tethys.tif"], "crater", range(1, 3), pixels=24).shape == (1, 3)
        cdb.add_annuli("ejecta", 1, 2)
        look = {"color": "black", "cmap": "cividis", "grid_kw": {"alpha": 0}}
        axes = cdb.plot_rois(sample_data["tethys.tif"], "ejecta", range(1, 3), pixels=24, **look)
        assert [ax.get_title()[0] for ax in axes.flat[:2]] == ["1", "2"]

    def test_exporting_to_gis(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        cdb = CraterDatabase(sample_data["mars_craters_km.csv"], body="Mars", units="km")
        cdb.add_circles("crater", size=1)
        cdb.to_geojson("mars_craters.geojson", "crater")
        back = CraterDatabase("mars_craters.geojson", body="Mars", units="km")
        assert str(back) == "Mars CraterDatabase (N=352)"
        np.testing.assert_allclose(back.rad, cdb.rad)

    def test_extracting_statistics(self, craterpy):
        regions = {"floor": (0.4, 0.6), "rim": (0.99, 1.01), "background": (5, 5.5)}
        df = pd.read_csv(TABLE)
        # Only craters whose ring does not lose its hole in craterpy.
        df = df[(df["Diameter (km)"] < 200) & (df["Latitude"].abs() < 50) & (df["Longitude"].abs() < 140)][:25]
        cdb = CraterDatabase(df, "Moon", units="km")
        for name, bounds in regions.items():
            cdb.add_annuli(name, *bounds)
        stats = cdb.get_stats(DEM, regions=["floor", "rim", "background"], stats=["mean"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            peer = theirs(craterpy, df, regions).get_stats(str(DEM), regions=list(regions), stats=["mean"], n_jobs=1)
        assert list(stats) == list(peer)
        for name in regions:
            # The elevations are in half metres, and a few polygons enter a pixel by less than GDAL's tolerance.
            np.testing.assert_allclose(2 * stats[f"mean_{name}"], peer[f"mean_{name}"], rtol=1e-12, atol=1.0)
        stats["crater_depth"] = stats.mean_rim - stats.mean_floor
        stats["rim_height"] = stats.mean_rim - stats.mean_background
        assert stats["crater_depth"].median() > stats["rim_height"].median()
        assert stats[["crater_depth", "rim_height"]].plot(kind="hist", bins=100, alpha=0.8).patches

    def test_a_downloaded_table(self, tmp_path):
        rng = np.random.default_rng(1)
        names = ["LAT_CIRC_IMG", "LON_CIRC_IMG", "DIAM_CIRC_IMG", "LAT_ELLI_IMG", "LON_ELLI_IMG", "DIAM_ELLI_MAJOR_IMG"]
        many = pd.DataFrame(np.tile(rng.uniform((-70, 220, 1), (30, 320, 300), (400, 3)), 2), columns=names)
        df = many[(many.DIAM_CIRC_IMG > 5) & (many.LAT_CIRC_IMG < 30)]
        columns = {"diam_col": "DIAM_CIRC_IMG", "lat_col": "LAT_CIRC_IMG", "lon_col": "LON_CIRC_IMG"}
        cdb = CraterDatabase(df, "Moon", units="km", **columns)
        path = tmp_path / "map.png"
        ax = cdb.plot(DEM, alpha=0.3, color="k", savefig=str(path), size=3, dpi=50)
        assert path.stat().st_size > 0
        west, east = ax.get_xlim()
        assert -180 < west < -140 < -40 < east < 0


def test_arrays_of_pixels(moon, craterpy):
    """craterpy's page on pixels, whose first five craters do not cross the seam."""
    moon.add_annuli("rim", 1, 1.5)
    arrays = moon.head().get_arrays(MOON, "rim")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = theirs(craterpy, pd.read_csv(TABLE).head(), {"rim": (1, 1.5)}).get_arrays(str(MOON), "rim", n_jobs=1)
    for i in range(5):
        ours, other = arrays["rim"].iloc[i], peer["rim"].iloc[i]
        assert (type(ours), ours.shape, ours.dtype) == (type(other), other.shape, other.dtype)
        np.testing.assert_array_equal(ours.filled(0), other.filled(0))
        plt.hist(ours.compressed(), bins=30, histtype="stepfilled", alpha=0.7, label=f"Crater {i + 1}")
    plt.legend()
    p90 = arrays["rim"].apply(lambda a: np.percentile(a.compressed(), 90))
    assert p90.tolist() == pytest.approx([78.0, 126.0, 92.0, 90.0, 99.8], rel=1e-12)
    means = moon.head().get_stats(MOON, "rim")["mean_rim"]
    np.testing.assert_allclose([roi.mean() for roi in arrays["rim"]], means, rtol=1e-12)


def test_every_body_of_the_sample_data():
    """craterpy's gallery: the map, the regions and the CRS of the table of each body."""
    drawn = 0
    for body in all_bodies:
        table = f"{body}_craters_km.csv"
        if table not in sample_data:
            continue
        cdb = CraterDatabase(sample_data[table], body, units="km")
        authority, code = cdb.data.crs.to_authority()
        assert (authority, code[-2:]) == ("IAU_2015", "00")
        cdb.add_circles("Rim", 1)
        cdb.add_circles("Ejecta", 2.5)
        raster = sample_data[f"{body}.tif"]
        assert len(cdb.plot(raster, "Rim", size=3, dpi=40).images) == 1
        assert cdb.plot_rois(raster, "Ejecta", index=1, pixels=24).shape == (1, 3)
        plt.close("all")
        drawn += 1
    assert drawn == 15


class TestIdeasOfCraterpysTests:
    """One test for each idea of craterpy's tests that none of ours covers elsewhere."""

    def test_the_crs_of_the_table_is_that_of_its_geometries(self, moon):
        assert moon.data.crs == moon.center.crs == CRS("IAU_2015:30100")
        turned = CraterDatabase.to_crs(moon, CRS(METRES))
        assert turned is not moon
        assert turned.data.crs == CraterDatabase.to_crs(moon, METRES).data.crs == CRS(METRES)
        assert moon.data.crs == CRS("IAU_2015:30100")
        assert CraterDatabase.to_crs(moon, moon.data.crs) == moon
        pd.testing.assert_frame_equal(turned.data, moon.data)
        # A column of that name next to a geometry column stays a plain column.
        frame = pd.DataFrame({"lat": [0.0], "lon": [0.0], "radius": [1.0], "crs": ["a"], "geometry": ["b"]})
        own = CraterDatabase(frame, "moon")
        assert own.data.crs.tolist() == ["a"]
        assert CraterDatabase(own.data, "moon") == own
        assert CraterDatabase(own.data.drop(columns="crs"), "moon").lat.tolist() == [0.0]

    def test_names_of_size_columns(self):
        for header in ("diameter", "diam", "d_m", "d"):
            assert CraterDatabase(pd.DataFrame({"lat": [0], "lon": [0], header: [10.0]}), "moon").rad[0] == 5.0
        for header in ("radius", "rad", "r_m", "r"):
            assert CraterDatabase(pd.DataFrame({"lat": [0], "lon": [0], header: [10.0]}), "moon").rad[0] == 10.0
        for header, radius in (("d_km", 5e3), ("r (km)", 1e4)):
            table = pd.DataFrame({"lat": [0], "lon": [0], header: [10.0]})
            assert CraterDatabase(table, "moon", units="km").rad[0] == radius
            with pytest.raises(ValueError, match="units='km'"):  # craterpy takes them for metres
                CraterDatabase(table, "moon")

    def test_coordinate_systems_of_vesta(self):
        for system, shift in (("claudia_dp", 0), ("claudia_p", 10), ("dawn_claudia", 150)):
            table = pd.DataFrame({"lat": [0, -1.6], "lon": [0, 146 - shift], "radius": [1, 2]})
            lon = CraterDatabase(table, "vesta", system).lon
            np.testing.assert_allclose(lon, [shift, 146], atol=1e-9)

    @pytest.mark.parametrize(
        "call",
        [
            lambda cdb, tmp: CraterDatabase(cdb.data, "krypton"),
            lambda cdb, tmp: CraterDatabase(cdb.data[cdb.orig_cols], "moon", "asdf", units="km"),
            lambda cdb, tmp: CraterDatabase(cdb.data, "moon", rad_col="Diameter (km)", diam_col="Diameter (km)"),
            lambda cdb, tmp: CraterDatabase(cdb.data, "moon", units="km", lat_col="nope"),
            lambda cdb, tmp: cdb.to_geojson(tmp / "a.geojson", region="nope"),
            lambda cdb, tmp: cdb.to_geojson(tmp / "a.geojson", keep_cols=["nope"]),
            lambda cdb, tmp: CraterDatabase.merge(cdb, CraterDatabase(cdb.data, "vesta", units="km")),
            lambda cdb, tmp: CraterDatabase.read_shapefile(tmp / "nope.geojson"),
        ],
    )
    def test_errors_are_value_errors(self, moon, tmp_path, call):
        with pytest.raises(ValueError, match=r"received|expected|no such file") as raised:
            call(moon, tmp_path)
        assert isinstance(raised.value, XcraterError)

    def test_each_package_reads_what_the_other_wrote(self, vesta, tmp_path, craterpy):
        path = str(tmp_path / "vesta.geojson")
        vesta.add_circles("rim")
        for options in ({}, {"region": "rim", "keep_all": True}, {"region": "rim"}):
            assert vesta.to_geojson(path, **options) is None
            back = CraterDatabase.read_shapefile(path, body="Vesta", units="km")
            np.testing.assert_allclose(back.rad, vesta.rad)
            np.testing.assert_allclose(back.lat, vesta.lat, atol=1e-8)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            peer = craterpy.CraterDatabase.read_shapefile(path, body="Vesta")
            np.testing.assert_allclose(peer.rad, vesta.rad)
            few = craterpy.CraterDatabase(pd.read_csv(TABLE)[100:108], "Moon", units="km")
            few.add_annuli("ring", 1, 1.1, n_jobs=1)
            for options in ({}, {"region": "ring"}, {"region": "ring", "keep_cols": ["Latitude"]}, {"keep_all": True}):
                few.to_geojson(path, **options)
                back = CraterDatabase.read_shapefile(path, units="km")
                np.testing.assert_allclose(back.rad, few.rad)
                np.testing.assert_allclose(back.lon, few.lon, atol=1e-8)
                if "region" in options or "keep_all" in options:
                    assert "ring" in back.regions
                    assert shapely.area(back.ring).tolist() == pytest.approx(shapely.area(few.ring), rel=1e-6)

    def test_a_file_written_in_a_projection_has_the_crs_of_the_table(self, moon, tmp_path):
        moon.add_circles("crater", 1)
        moon.head().to_geojson(tmp_path / "a.geojson", region="crater", crs=METRES)
        assert geopandas.read_file(tmp_path / "a.geojson").crs == moon.to_crs(METRES).data.crs

    def test_geometries_at_the_seam_and_the_poles(self):
        places = pd.DataFrame({"lat": [0, 89.9, -89.9, 0], "lon": [179.9, 0, 0, 0], "radius": [1e4] * 4})
        cdb = CraterDatabase(places, "moon")
        cdb.add_annuli("ring", 0.5, 1)
        cdb.add_circles("disc")
        seam, *_, plain = cdb.ring
        assert seam.geom_type == "MultiPolygon"
        assert (seam.bounds[0], seam.bounds[2]) == (-180.0, 180.0)
        assert len(plain.interiors) == 1
        assert shapely.is_valid(cdb.ring).all()
        north, south = cdb.disc.iloc[1:3]
        assert (north.bounds[0], north.bounds[2], north.bounds[3]) == (-180, 180, 90)
        assert (south.bounds[0], south.bounds[2], south.bounds[1]) == (-180, 180, -90)

    def test_regions_off_the_raster_have_no_panel(self, tmp_path):
        path = tmp_path / "patch.tif"
        profile = {"driver": "GTiff", "height": 50, "width": 50, "count": 1, "dtype": "uint8", "nodata": 0}
        place = {"crs": "IAU_2015:30100", "transform": Affine(0.4, 0, -10, 0, -0.4, 10)}
        with rasterio.open(path, "w", **profile, **place) as target:
            target.write(np.ones((50, 50), "u1"), 1)
        places = pd.DataFrame({"lat": [3, -4, 0], "lon": [-3, 4, 120], "radius": [100, 100, 100]})
        cdb = CraterDatabase(places, "moon", units="km")
        cdb.add_circles("disc")
        axes = cdb.plot_rois(path, "disc", index=3, pixels=24)
        drawn = [ax for ax in axes.flat if ax.figure is not None and ax.images]
        assert [ax.get_title()[0] for ax in drawn] == ["0", "1"]

    def test_a_raster_in_metres_is_plotted_and_cropped_like_one_in_degrees(self, tmp_path):
        step = np.radians(1) * 1737400.0
        path = tmp_path / "metres.tif"
        with rasterio.open(MOON) as source:
            profile = source.profile | {"crs": METRES, "transform": Affine.scale(step) * source.transform}
            with rasterio.open(path, "w", **profile) as target:
                target.write(source.read())
        cdb = CraterDatabase(pd.read_csv(TABLE).head(12), "moon", units="km")
        cdb.add_circles("crater", 1.0)
        for ours, other in zip(cdb.get_arrays(path, "crater")["crater"], cdb.get_arrays(MOON, "crater")["crater"]):
            np.testing.assert_array_equal(ours.filled(0), other.filled(0))
        maps = [cdb.plot(raster, region="crater", size=3, dpi=40) for raster in (path, MOON)]
        assert [(len(ax.images), len(ax.collections)) for ax in maps] == [(1, 1)] * 2
        np.testing.assert_array_equal(*(ax.images[0].get_array().filled(0) for ax in maps))
        panels = [cdb.plot_rois(raster, "crater", index=1, pixels=24)[0, 0] for raster in (path, MOON)]
        np.testing.assert_allclose(*(ax.images[1].get_array() for ax in panels), atol=1e-9)

    def test_maps_on_existing_axes(self, moon, tmp_path):
        moon.add_circles("disc")
        shown = plt.imshow(open_mosaic(MOON)[::8, ::8], extent=(-180, 180, -90, 90))
        for given in (shown, shown.axes):
            ax = moon.plot(region="disc", ax=given)
        assert (len(ax.images), len(ax.collections)) == (1, 2)
        ax = moon.plot(savefig=tmp_path / "map.png", savefig_kwargs={"dpi": 60, "bbox_inches": None}, size=3)
        assert plt.imread(tmp_path / "map.png").shape[1] == 180
