"""Vector files in every CRS of a body are written, and read back by GDAL and by the package."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pyogrio
import pyproj
import pytest
import shapely

from tests.reference import distance_and_azimuth
from xcrater import CraterDatabase
from xcrater.errors import BodyError, RegionError, TableError
from xcrater.geometry.bodies import get_body, same_body
from xcrater.table import vector_files

PLACES = {"lat": [0.0, 60.0, -89.5, 12.0], "lon": [0.0, 179.9, 10.0, -120.0], "radius": [20e3, 50e3, 40e3, 30e3]}


@pytest.fixture
def cdb():
    cdb = CraterDatabase(pd.DataFrame(PLACES | {"name": list("abcd")}, index=list("wxyz")), "moon")
    cdb.add_annuli("rim", 1, 1.5)
    return cdb


class TestGeometries:
    """Centres and regions as geometries in a CRS."""

    def test_centres_and_regions_are_geoseries_in_the_bodys_crs(self, cdb):
        for series in (cdb.center, cdb.rim):
            assert isinstance(series, geopandas.GeoSeries)
            assert series.crs == cdb.crs
            assert series.index.equals(cdb.data.index)
        assert cdb.center.x.tolist() == cdb.lon.tolist()

    def test_without_geopandas_geometries_are_in_plain_series(self, cdb, monkeypatch):
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        for series in (cdb.center, cdb.rim):
            assert type(series) is pd.Series
            assert series.dtype == object

    @pytest.mark.parametrize("crs", ["IAU_2015:30110", "IAU_2015:30135", "+proj=sinu +R=1737400"])
    def test_to_crs_agrees_with_pyproj(self, cdb, crs):
        shown = cdb.to_crs(crs)
        x, y = pyproj.Transformer.from_crs(cdb.crs, crs, always_xy=True).transform(cdb.lon, cdb.lat)
        np.testing.assert_allclose(np.column_stack([shown.center.x, shown.center.y]), np.column_stack([x, y]))
        assert shown.center.crs == shown.rim.crs == pyproj.CRS(crs)
        assert shown.lat.equals(cdb.lat)
        assert shown.crs == cdb.crs
        assert shown.rim.is_valid.all()
        assert cdb.center.crs == cdb.crs

    def test_latitudes_are_converted_to_those_of_the_ellipsoid(self):
        mars = CraterDatabase(pd.DataFrame({"lat": [44.6618], "lon": [270.0], "radius": [1e4]}), "mars")
        assert mars.to_crs("IAU_2015:49901").center[0].coords[0] == pytest.approx((90.0, 45.0), abs=1e-4)
        assert mars.to_crs("IAU_2015:49902").center[0].coords[0] == pytest.approx((-90.0, 44.6618), abs=1e-4)
        back = CraterDatabase(
            geopandas.GeoDataFrame({"radius": [1e4]}, geometry=mars.to_crs("IAU_2015:49935").center), "mars"
        )
        assert back.lat[0] == pytest.approx(44.6618, abs=1e-9)

    def test_a_region_over_the_pole_is_a_disc_on_the_polar_map(self, cdb):
        shown = cdb.to_crs("IAU_2015:30135")
        assert shown.rim["y"].contains(shapely.Point(0, 0)) == cdb.rim["y"].contains(shapely.Point(0, -90))
        assert shown.rim["y"].area == pytest.approx(np.pi * (60e3**2 - 40e3**2), rel=0.02)

    def test_to_crs_in_place(self, cdb):
        assert cdb.to_crs("IAU_2015:30110", inplace=True) is None
        assert cdb.center.crs == pyproj.CRS("IAU_2015:30110")
        assert cdb.to_crs(cdb.crs).center.crs == cdb.crs

    @pytest.mark.parametrize("crs", ["EPSG:4326", "IAU_2015:49900", "no such thing"])
    def test_a_crs_of_another_body_is_refused(self, cdb, crs):
        with pytest.raises(BodyError, match="expected a CRS of moon that pyproj reads, such as 'IAU_2015:30100'"):
            cdb.to_crs(crs)

    def test_a_shape_outside_the_map_is_none(self, cdb):
        shown = cdb.to_crs("+proj=ortho +R=1737400 +lat_0=0 +lon_0=0")
        assert shown.rim.isna().tolist() == [False, True, True, True]


class TestGeoJSON:
    """Writing and reading GeoJSON."""

    def test_qgis_finds_body_places_and_columns(self, cdb, tmp_path):
        cdb.to_geojson(tmp_path / "craters.geojson")
        frame = geopandas.read_file(tmp_path / "craters.geojson")
        assert frame.crs.ellipsoid.semi_major_metre == 1737400.0
        assert frame.columns.tolist() == ["index", "lat", "lon", "radius", "name", "geometry"]
        assert frame.geometry.x.tolist() == cdb.lon.tolist()
        assert json.loads((tmp_path / "craters.geojson").read_text())["metadata"]["body"] == "moon"
        assert [path.name for path in tmp_path.iterdir()] == ["craters.geojson"]

    @pytest.mark.parametrize("crs", [None, "IAU_2015:30110", "IAU_2015:30135"])
    @pytest.mark.parametrize("region", [None, "rim"])
    def test_written_geojson_can_be_read_back(self, cdb, tmp_path, crs, region):
        cdb.to_geojson(tmp_path / "a.geojson", region=region, crs=crs)
        back = CraterDatabase.read_shapefile(tmp_path / "a.geojson")
        np.testing.assert_allclose(np.abs(back.lat - cdb.lat.to_numpy()), 0, atol=1e-9)
        np.testing.assert_allclose(np.abs(back.lon - cdb.lon.to_numpy()), 0, atol=1e-9)
        assert back.rad.tolist() == cdb.rad.tolist()
        assert back.data["name"].tolist() == list("abcd")
        assert list(back.regions) == ([region] if region else [])
        if region:
            np.testing.assert_allclose(shapely.area(back.rim), shapely.area(cdb.rim), rtol=1e-6)

    def test_units_and_directions_are_read_back(self, tmp_path):
        frame = pd.DataFrame({"Latitude": [45.0], "West Longitude": [30.0], "D": [4.0]})
        cdb = CraterDatabase(frame, "mars", "planetographic", units="km", diam_col="D")
        for region in (None, "rim"):
            if region:
                cdb.add_circles("rim")
            cdb.to_geojson(tmp_path / "a.geojson", region=region)
            back = CraterDatabase.read_shapefile(
                tmp_path / "a.geojson", body=None, diam_col="D" if not region else None
            )
            assert (back.body, back.rad[0]) == ("mars", 2000.0)
            assert (back.lat[0], back.lon[0]) == pytest.approx((cdb.lat[0], -30.0), abs=1e-9)

    def test_all_regions_are_written_and_read_back(self, cdb, tmp_path):
        cdb.add_circles("floor", 0.8)
        cdb.to_geojson(tmp_path / "a.geojson", keep_all=True)
        back = CraterDatabase.read_shapefile(str(tmp_path / "a.geojson"))
        assert set(back.regions) == {"rim", "floor"}
        assert "_radius_m" in geopandas.read_file(tmp_path / "a.geojson")
        cdb.to_geojson(tmp_path / "b.geojson", keep_cols=["floor"])
        assert list(CraterDatabase.read_shapefile(tmp_path / "b.geojson").regions) == ["floor"]

    def test_errors(self, cdb, tmp_path):
        with pytest.raises(RegionError, match="none_such"):
            cdb.to_geojson(tmp_path / "a.geojson", region="none_such")
        with pytest.raises(TableError, match=r"received keep_cols=\['none'\]; expected columns among lat, lon"):
            cdb.to_geojson(tmp_path / "a.geojson", keep_cols=["none"])
        plane = "+proj=aeqd +R=1737400 +lat_0=10"
        with pytest.raises(BodyError, match="has no code; a GeoJSON file can name no other: pass crs='IAU_2015:30100'"):
            cdb.to_geojson(tmp_path / "a.geojson", crs=plane)
        assert list(tmp_path.iterdir()) == []
        cdb.to_geojson(tmp_path / "a.geojson", crs="IAU_2015:30100")
        shown = cdb.to_crs(plane)
        geopandas.GeoDataFrame(shown.data, geometry=shown.center).to_file(tmp_path / "craters.gpkg")
        assert CraterDatabase(tmp_path / "craters.gpkg", "moon").lon.to_numpy() == pytest.approx(cdb.lon.to_numpy())


class TestFiles:
    """Reading vector files as crater tables."""

    @pytest.mark.parametrize("name", ["a.geojson", "a.gpkg", "a.shp"])
    @pytest.mark.parametrize("crs", ["IAU_2015:30100", "IAU_2015:30110"])
    def test_positions_come_from_the_points(self, cdb, tmp_path, name, crs):
        frame = geopandas.GeoDataFrame(
            {"radius": PLACES["radius"]}, geometry=cdb.to_crs(crs).center.to_numpy(), crs=crs
        )
        frame.to_file(tmp_path / name)
        for dataset in (tmp_path / name, str(tmp_path / name), frame):
            read = CraterDatabase(dataset, "moon")
            np.testing.assert_allclose(read.lon, cdb.lon, atol=1e-9)
            np.testing.assert_allclose(read.lat, cdb.lat, atol=1e-9)
            assert read.data.columns.tolist() == ["radius", "_lat", "_lon", "_radius_m"]
            assert type(read.data) is pd.DataFrame
        with pytest.raises(BodyError, match=r"of moon; the table is on mars. Pass body='moon'"):
            CraterDatabase.read_shapefile(tmp_path / name, body="Mars")
        assert CraterDatabase.read_shapefile(tmp_path / name, body=None).body == "moon"

    def test_columns_are_used_where_there_are_no_points(self, cdb, tmp_path):
        frame = geopandas.GeoDataFrame(pd.DataFrame(PLACES), geometry=cdb.rim.to_numpy(), crs=cdb.crs)
        frame.to_file(tmp_path / "a.gpkg")
        assert CraterDatabase(tmp_path / "a.gpkg", "moon").lat.tolist() == PLACES["lat"]
        frame = geopandas.GeoDataFrame(pd.DataFrame(PLACES), geometry=shapely.points(np.ones((4, 2))), crs=cdb.crs)
        assert CraterDatabase(frame, "moon", lat_col="lat", lon_col="lon").lat.tolist() == PLACES["lat"]
        assert CraterDatabase(frame, "moon", "planetocentric").lat.tolist() == PLACES["lat"]
        assert CraterDatabase(frame, "moon").lat.tolist() == [1.0] * 4

    def test_geojson_without_a_crs_belongs_to_the_body(self, tmp_path):
        point = {"type": "Point", "coordinates": [10.0, 20.0]}
        feature = {"type": "Feature", "geometry": point, "properties": {"radius": 1.5}}
        told = {"type": "FeatureCollection", "metadata": {"body": "Vesta", "units": "km"}, "features": [feature]}
        path = tmp_path / "a.geojson"
        path.write_text(json.dumps(told))
        read = CraterDatabase.read_shapefile(path, body=None)
        assert (read.body, read.lon[0], read.lat[0], read.rad[0]) == ("vesta", 10.0, 20.0, 1500.0)
        del told["metadata"]
        path.write_text(json.dumps(told))
        with pytest.raises(BodyError, match="does not say which body it is on; name it: body='moon'"):
            CraterDatabase.read_shapefile(path, body=None)
        assert CraterDatabase.read_shapefile(path, body="moon").lon[0] == 10.0

    def test_errors(self, cdb, tmp_path):
        with pytest.raises(TableError, match="there is no such file"):
            CraterDatabase.read_shapefile(tmp_path / "none.geojson")
        (tmp_path / "bad.gpkg").write_bytes(b"no")
        with pytest.raises(TableError, match="cannot be read as a vector file"):
            CraterDatabase(tmp_path / "bad.gpkg", "moon")
        frame = geopandas.GeoDataFrame({"x": [1]}, geometry=[shapely.Point(1, 2)], crs=cdb.crs)
        with pytest.raises(TableError, match="found no radius or diameter column"):
            CraterDatabase(frame, "moon")
        assert not vector_files.is_vector(pd.DataFrame({"geometry": [1], "crs": [2]}).rename(columns={"crs": "c"}))


class TestMatching:
    """Matching craters between catalogues."""

    def test_matches_agree_with_the_oracle(self):
        rng = np.random.default_rng(5)
        tables = []
        for n in (300, 400):
            lat = np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
            frame = pd.DataFrame({"lat": lat, "lon": rng.uniform(-180, 180, n), "r": 10 ** rng.uniform(4.5, 5.8, n)})
            tables.append(CraterDatabase(frame, "moon"))
        one, two = tables
        found = one.match(two, separation=0.8, ratio=1.6)
        candidates, geod = [], pyproj.Geod(a=one.body_radius, b=one.body_radius)
        for i in range(len(one)):
            centre = one.lon[i], one.lat[i]
            away, _ = distance_and_azimuth(geod, two.lon.to_numpy(), two.lat.to_numpy(), centre)
            r1, r2 = one.rad[i], two.rad.to_numpy()
            apart = away / np.minimum(r1, r2)
            larger = np.maximum(r1 / r2, r2 / r1)
            for j in np.flatnonzero((apart <= 0.8) & (larger <= 1.6)):
                candidates.append((np.hypot(apart[j], np.log(larger[j])), i, j))
        expected, used = set(), (set(), set())
        for _, i, j in sorted(candidates):
            if i not in used[0] and j not in used[1]:
                expected.add((i, j))
                used[0].add(i)
                used[1].add(j)
        assert len(expected) > 30
        assert set(zip(found["first_row"], found["second_row"])) == expected
        back = two.match(one, separation=0.8, ratio=1.6)
        assert set(zip(back["second_row"], back["first_row"])) == expected

    def test_two_catalogues_of_the_same_craters(self):
        """The catalogues are those of the benchmark that merges a million craters."""
        benchmark = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "merging.py"))
        one, two = (CraterDatabase(table, "moon", units="km") for table in benchmark["catalogues"](3000, 0.7))
        pairs = one.match(two)
        same = one.data["name"].to_numpy()[pairs["first_row"]] == two.data["name"].to_numpy()[pairs["second_row"]]
        assert same.sum() > 0.99 * 2100
        assert len(CraterDatabase.merge(one, two)) == 6000 - len(pairs)

    def test_merge_fills_columns_and_appends(self):
        one = CraterDatabase(
            pd.DataFrame({"lat": [0.0, 10], "lon": [179.99, 10], "rad": [1e4, 2e4], "a": [1, 2]}), "moon"
        )
        two = CraterDatabase(
            pd.DataFrame({"lat": [0.0, 50.0], "lon": [-179.99, 20], "rad": [1.1e4, 4e4], "b": ["p", "q"]}), "moon"
        )
        two.add_circles("rim")
        both = CraterDatabase.merge(one, two)
        assert both.rad.tolist() == [1e4, 2e4, 4e4]
        assert both.data["b"].fillna("").tolist() == ["p", "", "q"]
        assert both.data["a"].fillna(0).tolist() == [1, 2, 0]
        assert both.orig_cols.tolist() == ["lat", "lon", "rad", "a", "b"]
        assert both.regions == {}
        both.add_circles("rim")
        assert len(both.rim) == 3
        assert len(CraterDatabase.merge(one, two, separation=0.0)) == 4
        assert len(CraterDatabase.merge(one, one)) == 2

    def test_errors(self, cdb):
        mars = CraterDatabase(pd.DataFrame(PLACES), "mars")
        with pytest.raises(BodyError, match="tables on moon and mars"):
            CraterDatabase.merge(cdb, mars)
        with pytest.raises(TableError, match=r"received ratio=0.5; expected a finite number of 1 or more"):
            cdb.match(cdb, ratio=0.5)
        km = CraterDatabase(pd.DataFrame(PLACES | {"radius": [1.0, 2, 3, 4]}), "moon", units="km")
        with pytest.raises(TableError, match="both tables have the column 'radius', in m and in km; rename it"):
            CraterDatabase.merge(cdb, km)
        renamed = CraterDatabase(km.data[km.orig_cols].rename(columns={"radius": "radius 2"}), "moon", units="km")
        assert len(CraterDatabase.merge(cdb, renamed)) >= 4


class TestWriting:
    """Writing vector files."""

    @pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".parquet", ".geojson"])
    @pytest.mark.parametrize("region", [None, "rim"])
    def test_gdal_finds_the_body_and_the_table_can_be_read_back(self, cdb, tmp_path, suffix, region):
        path = tmp_path / f"craters{suffix}"
        for _ in range(2):  # the second write replaces the first
            cdb.to_file(path, region)
        crs = geopandas.read_parquet(path).crs if suffix == ".parquet" else pyogrio.read_info(path)["crs"]
        assert same_body(crs, get_body("moon"))
        assert "Moon" in pyproj.CRS(crs).name
        assert {file.stem for file in tmp_path.iterdir()} == {"craters"}
        back = CraterDatabase(path, "moon")
        np.testing.assert_allclose(np.abs(back.lat - cdb.lat.to_numpy()), 0, atol=1e-9)
        np.testing.assert_allclose(np.abs(back.lon - cdb.lon.to_numpy()), 0, atol=1e-9)
        assert back.rad.tolist() == cdb.rad.tolist()
        assert back.data["name"].tolist() == list("abcd")

    @pytest.mark.parametrize("crs", ["IAU_2015:30110", "IAU_2015:30135"])
    def test_in_a_projection(self, cdb, tmp_path, crs):
        cdb.to_file(tmp_path / "a.gpkg", crs=crs)
        shown = pyogrio.read_info(tmp_path / "a.gpkg")["crs"]
        assert pyproj.CRS(shown).name == pyproj.CRS(crs).name
        assert f'AUTHORITY["IAU","{crs[-5:]}"]' in shown
        assert CraterDatabase(tmp_path / "a.gpkg", "moon").rad.tolist() == cdb.rad.tolist()

    def test_a_crs_without_a_code_needs_no_geojson(self, cdb, tmp_path):
        crs = "+proj=sinu +R=1737400"
        with pytest.raises(BodyError, match=r"cdb.to_file\('craters.gpkg'\)"):
            cdb.to_file(tmp_path / "a.json", crs=crs)
        cdb.to_file(tmp_path / "craters.gpkg", crs=crs)
        assert geopandas.read_file(tmp_path / "craters.gpkg").crs.ellipsoid.semi_major_metre == 1737400.0

    def test_shortened_column_names_of_shapefiles_stay_distinct(self, tmp_path):
        names = ["DIAM_CIRC_IMG", "DIAM_CIRC_SD_IMG", "diam_circ_other"]
        frame = pd.DataFrame({"lat": [0.0], "lon": [0.0], **{name: [2.0] for name in names}})
        CraterDatabase(frame, "moon", diam_col=names[0]).to_file(tmp_path / "a.shp")
        found = geopandas.read_file(tmp_path / "a.shp").columns.tolist()
        assert found == ["lat", "lon", "DIAM_CIRC_", "DIAM_CIR_2", "diam_cir_3", "geometry"]

    def test_other_formats_are_refused(self, cdb, tmp_path):
        with pytest.raises(TableError, match=r"expected a file that ends in .geojson, .gpkg.*such as 'a.gpkg'"):
            cdb.to_file(tmp_path / "a.kml")
        with pytest.raises(TableError, match=r"received keep_cols=\['none'\]"):
            cdb.to_file(tmp_path / "a.gpkg", keep_cols=["none"])
