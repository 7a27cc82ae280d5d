"""The crater table: columns, regions and polygons of a `CraterDatabase`, and their agreement with craterpy."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import shapely

from tests.table.examples import table
from xcrater.database import CraterDatabase
from xcrater.errors import BodyError, RegionError, TableError
from xcrater.options import set_options
from xcrater.table.regions import Annulus, Circle

BODIES = [
    "callisto", "ceres", "dione", "enceladus", "europa", "ganymede", "iapetus", "mars", "mercury", "moon", "pluto",
    "rhea", "tethys", "venus", "vesta",
]  # fmt: skip


@pytest.fixture
def cdb():
    return CraterDatabase(table(), "moon")


@pytest.fixture
def moon(sample):
    return CraterDatabase(sample("moon_craters_km.csv"), "moon", units="km")


class TestAgainstCraterpy:
    """Positions, radii and names agree with craterpy on its sample table."""

    @pytest.mark.parametrize("body", BODIES)
    def test_positions_and_radii_of_the_samples(self, sample, body):
        path = sample(f"{body}_craters_km.csv")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import craterpy

            theirs = craterpy.CraterDatabase(str(path), body, units="km")
        ours = CraterDatabase(path, body, units="km")
        assert (len(ours), ours.body, str(ours)) == (len(theirs), theirs.body, str(theirs))
        assert list(ours.orig_cols) == [column for column in theirs.orig_cols if column != "geometry"]
        np.testing.assert_allclose(ours.lat, theirs.lat, atol=1e-9)
        np.testing.assert_allclose((ours.lon - theirs.lon + 180) % 360, 180, atol=1e-9)
        np.testing.assert_allclose(ours.rad, theirs.rad, rtol=1e-12)
        assert ours.body_radius == pytest.approx(theirs._rbody)
        assert ours.crs == theirs._crs

    def test_repr(self, moon):
        assert repr(moon) == "CraterDatabase of length 786 with attributes lat, lon, rad, center."
        moon.add_annuli("rim", 1, 1.5)
        assert repr(moon) == "CraterDatabase of length 786 with attributes lat, lon, rad, center, rim."
        assert str(moon) == "Moon CraterDatabase (N=786)"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"units": "miles"}, TableError, "units='miles'; expected 'm' or 'km'"),
        ({"errors": "ignore"}, TableError, "errors='ignore'; expected 'raise' or 'drop'"),
        ({"body": "mon"}, BodyError, "did you mean 'moon'"),
        ({"input_crs": "EPSG:4326"}, BodyError, "the table is on moon"),
    ],
)
def test_unusable_options(options, error, message):
    with pytest.raises(error, match=message):
        CraterDatabase(table(), **{"body": "moon"} | options)


class TestData:
    """The table's columns, copies and comparisons."""

    def test_columns_and_index(self):
        frame = table(name=["a", "b", "c"]).set_index("name")
        before = frame.copy()
        cdb = CraterDatabase(frame, "Moon")
        pd.testing.assert_frame_equal(frame, before)
        assert cdb.orig_cols.tolist() == ["lat", "lon", "r"]
        assert cdb.data.columns.tolist() == ["lat", "lon", "r", "_lat", "_lon", "_radius_m"]
        pd.testing.assert_frame_equal(cdb.data[cdb.orig_cols], before)
        assert cdb.body == "moon"
        assert cdb.crs.to_authority() == ("IAU_2015", "30100")
        assert cdb.lon["b"] == pytest.approx(-11.2)
        assert cdb.lon["c"] == -180.0
        pd.testing.assert_series_equal(cdb.rad, before["r"], check_names=False)
        assert shapely.get_coordinates(cdb.center["b"]).tolist() == [[cdb.lon["b"], -43.3]]
        assert cdb.center.index.equals(before.index)

    def test_a_database_can_be_made_from_its_own_table(self, cdb):
        again = CraterDatabase(cdb.data[cdb.data["r"] > 2e3], "moon")
        assert again.orig_cols.equals(cdb.orig_cols)
        assert again.data.equals(cdb.data.iloc[:2])

    def test_equality(self, cdb):
        other = CraterDatabase(table(), "moon")
        assert cdb == other
        other.add_circles()
        assert cdb != other
        cdb.add_circles()
        assert cdb == other
        cdb.data.loc[0, "r"] = 7.0
        assert cdb != other
        assert CraterDatabase(table(), "mars") != CraterDatabase(table(), "mercury")
        assert cdb.__eq__("moon") is NotImplemented

    def test_a_database_with_craters_is_true(self, cdb):
        assert cdb
        cdb.data = cdb.data.iloc[:0]
        assert not cdb

    @pytest.mark.parametrize("clone", [CraterDatabase.copy, copy.deepcopy, lambda cdb: pickle.loads(pickle.dumps(cdb))])
    def test_copies_are_independent(self, cdb, clone):
        cdb.add_annuli("rim", 1, 1.5)
        other = clone(cdb)
        assert other == cdb
        assert other.rim.equals(cdb.rim)
        other.data.loc[0, "_lat"] = 5.0
        del other.regions["rim"]
        assert cdb.lat[0] == 0.0
        assert list(cdb.regions) == ["rim"]


class TestRegions:
    """Discs and rings declared relative to the crater radius."""

    def test_declarations_and_default_names(self, cdb):
        cdb.add_circles()
        cdb.add_circles("crater", 1)
        cdb.add_circles(size=2, nvert=None)
        cdb.add_annuli("", 1, 1.5)
        with set_options(nvert=64):
            cdb.add_annuli("rim", 1, 1.5)
            cdb.add_annuli("coarse", 1, 1.5, nvert=16)
        assert cdb.regions == {
            "circle_1.0": Circle(1.0, 32),
            "crater": Circle(1, 32),
            "circle_2": Circle(2, None),
            "annulus_1_1.5": Annulus(1, 1.5, 32),
            "rim": Annulus(1, 1.5, 64),
            "coarse": Annulus(1, 1.5, 16),
        }
        assert cdb.region("rim") is cdb.regions["rim"]

    def test_polygons(self, cdb):
        cdb.add_annuli("my rim", 1, 1.5)
        cdb.add_circles("crater")
        rim = cdb.my_rim
        assert isinstance(rim, pd.Series)
        assert rim.name == "my rim"
        assert rim.index.equals(cdb.data.index)
        assert [geometry.geom_type for geometry in rim] == ["Polygon", "Polygon", "MultiPolygon"]
        assert shapely.is_valid(rim.to_numpy()).all()
        radius = np.degrees(5e3 / 1737400)
        np.testing.assert_allclose(cdb.crater[0].bounds, [-radius, -radius, radius, radius], rtol=1e-6)
        np.testing.assert_allclose(rim[0].interiors[0].bounds, cdb.crater[0].bounds, rtol=1e-6)
        assert {"my_rim", "crater", "lat", "add_annuli"} <= set(dir(cdb))

    def test_rings_keep_their_holes(self, moon):
        moon.add_annuli("rim", 1, 1.5)
        moon.add_circles("crater")
        rim, crater = moon.rim.to_numpy(), moon.crater.to_numpy()
        assert shapely.is_valid(rim).all()
        assert shapely.area(shapely.intersection(rim, crater)).max() < 1e-9

    def test_attributes_belong_to_one_database(self, cdb):
        cdb.add_circles("crater")
        other = CraterDatabase(table(), "moon")
        with pytest.raises(AttributeError, match="no attribute 'crater'; it has no regions yet"):
            _ = other.crater
        with pytest.raises(AttributeError, match="no attribute 'rim'; its regions are crater"):
            _ = cdb.rim
        del cdb.regions["crater"]
        assert not hasattr(cdb, "crater")
        cdb.add_circles("crater", 2)

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("my rim", "'my rim', which is cdb.my_rim already; type del cdb.regions.'my rim'. first"),
            ("my_rim", "'my_rim', which like 'my rim' would be cdb.my_rim already; type del cdb.regions.'my rim'."),
            ("lat", "'lat', but cdb.lat is something else; choose another name, such as 'lat_region'"),
            ("data", "'data', but cdb.data is something else"),
            ("get stats", "'get stats', but cdb.get_stats is something else"),
            ("__x", "'__x', but cdb.__x is something else"),
            (5, "region name 5, a int; expected a str"),
        ],
    )
    def test_unusable_names(self, cdb, name, message):
        cdb.add_annuli("my rim", 1, 1.5)
        with pytest.raises(RegionError, match=message):
            cdb.add_annuli(name, 1, 2)
        assert list(cdb.regions) == ["my rim"]

    def test_region_look_up_suggests_what_to_type(self, cdb):
        with pytest.raises(RegionError, match=r"'rim'; none was added yet: cdb.add_annuli\('rim', inner=1, outer=1.5"):
            cdb.region("rim")
        cdb.add_annuli("rim", 1, 1.5)
        with pytest.raises(RegionError, match="'rims', which was not added; did you mean 'rim'"):
            cdb.region("rims")
        with pytest.raises(RegionError, match="'floor', which was not added; expected one of rim"):
            cdb.region("floor")


class TestPolygons:
    """Polygons that users add, one per crater."""

    EJECTA = (shapely.box(-1, -1, 1, 1) - shapely.box(0, 0, 0.5, 0.5), None, shapely.box(170, 80, 190, 85))

    @pytest.fixture
    def named(self):
        return CraterDatabase(table().set_axis(list("abc")), "moon")

    @pytest.mark.parametrize(
        "kind",
        [
            list,
            tuple,
            lambda shapes: np.array([*shapes, 0], dtype=object)[:3],
            lambda shapes: pd.Series(shapes, index=list("abc")),
            lambda shapes: [*shapes[:1], np.nan, *shapes[2:]],
            lambda shapes: [*shapes[:1], shapely.Polygon(), *shapes[2:]],
        ],
    )
    def test_sequences(self, named, kind):
        named.add_polygons("ejecta", kind(self.EJECTA))
        assert repr(named.regions) == "{'ejecta': Polygons(2 of 3 craters, 12 vertices)}"
        assert "ejecta" in dir(named)
        ejecta = named.ejecta
        assert (ejecta.name, ejecta.index.tolist()) == ("ejecta", ["a", "b", "c"])
        assert ejecta["a"].equals(self.EJECTA[0])
        assert ejecta["b"] is None
        assert ejecta["c"].geom_type == "MultiPolygon"
        assert (ejecta["c"].bounds, ejecta["c"].area) == ((-180, 80, 180, 85), 100)

    def test_geoseries_bring_their_crs(self, named):
        geopandas = pytest.importorskip("geopandas")
        stere = "+proj=stere +lat_0=90 +R=1737400"
        shapes = geopandas.GeoSeries([shapely.box(-1e5, -1e5, 1e5, 1e5), None, None], index=list("abc"), crs=stere)
        named.add_polygons("cap", shapes)
        assert named.cap["a"].bounds[3] == 90
        named.add_polygons("same", shapes.to_numpy(), crs=stere)
        assert named.regions["cap"] == named.regions["same"]
        with pytest.raises(RegionError, match=r"received a DataFrame; .* table.geometry"):
            named.add_polygons("frame", geopandas.GeoDataFrame(geometry=shapes))
        earthly = geopandas.GeoSeries(list(self.EJECTA), index=list("abc"), crs="EPSG:4326")
        with pytest.raises(BodyError, match=r"received crs 'WGS 84', of earth.*wrong label, pass crs='planetocentric'"):
            named.add_polygons("earth", earthly)
        named.add_polygons("labelled", earthly, crs="planetocentric")
        with pytest.raises(BodyError, match="received crs='nonsense'; expected"):
            named.add_polygons("nonsense", self.EJECTA, crs="nonsense")
        assert list(named.regions) == ["cap", "same", "labelled"]

    @pytest.mark.parametrize(
        ("geometries", "message"),
        [
            (EJECTA[:2], "received 2 geometries for 3 craters; expected one per crater, None where"),
            (EJECTA[0], r"geometries of type Polygon; expected a sequence .* type \[geometry, None, ...\]"),
            ("POLYGON EMPTY", "geometries of type str; expected a sequence"),
            (pd.Series(EJECTA), "index is not the table's; type geometries.to_numpy"),
            (pd.Series(EJECTA, list("cab")), "index is not the table's; type geometries.loc.cdb.data.index"),
            (pd.Series(EJECTA[:1], ["a"]), "1 geometries for 3 craters; .* type geometries.reindex.cdb.data.index"),
            ((None, None, shapely.Point(0, 0)), "the polygon of crater 'c' cannot be used: it is a Point"),
        ],
    )
    def test_unusable_geometries_are_refused(self, named, geometries, message):
        with pytest.raises(RegionError, match=message):
            named.add_polygons("ejecta", geometries)
        assert named.regions == {}

    def test_polygon_names_follow_the_rules_of_region_names(self, named):
        named.add_polygons("ejecta", self.EJECTA)
        with pytest.raises(RegionError, match=r"which is cdb.ejecta already; type del cdb.regions.'ejecta'. first"):
            named.add_polygons("ejecta", self.EJECTA)
        with pytest.raises(RegionError, match=r"'lat', but cdb.lat is something else"):
            named.add_polygons("lat", self.EJECTA)
        del named.regions["ejecta"]
        named.add_polygons("ejecta", self.EJECTA)

    @pytest.mark.parametrize("clone", [CraterDatabase.copy, copy.deepcopy, lambda cdb: pickle.loads(pickle.dumps(cdb))])
    def test_copies_and_equality(self, named, clone):
        named.add_polygons("ejecta", self.EJECTA)
        other = clone(named)
        assert other == named
        assert hash(other.regions["ejecta"]) == hash(named.regions["ejecta"])
        del other.regions["ejecta"]
        assert other != named
        other.add_polygons("ejecta", self.EJECTA[::-1])
        assert other != named
        assert named.regions["ejecta"] != "ejecta"

    def test_polygons_follow_their_craters(self, named):
        named.add_polygons("ejecta", self.EJECTA)
        every = named.ejecta
        named.data = named.data.iloc[[2, 0]]
        assert named.ejecta.index.tolist() == ["c", "a"]
        assert all(one.equals(every[label]) for label, one in named.ejecta.items())
        named.data = named.data.reset_index(drop=True)
        with pytest.raises(RegionError, match=r"not those that the polygons were added to.* cdb.add_polygons"):
            _ = named.ejecta

    def test_a_different_crater_with_the_same_label_is_detected(self, cdb):
        cdb.add_polygons("ejecta", self.EJECTA)
        cdb.data = cdb.data.iloc[1:].reset_index(drop=True)
        with pytest.raises(RegionError, match="not those that the polygons were added to"):
            _ = cdb.ejecta


def test_statistics_and_arrays_refer_to_the_current_table(moon, sample):
    moon.data = moon.data.iloc[:5]
    moon.add_annuli("rim", 1, 1.5)
    stats = moon.get_stats(sample("moon.tif"), "rim")
    assert stats.columns.tolist() == [*moon.orig_cols, "mean_rim", "count_rim", "std_rim"]
    np.testing.assert_allclose(stats["mean_rim"], [59.517785, 85.994535, 64.427007, 68.585645, 68.183126], atol=5e-7)
    arrays = moon.get_arrays(sample("moon.tif"), "rim", n_jobs=1)
    assert arrays["rim"].iloc[0].shape == (162, 201)
    assert arrays["rim"].map(lambda pixels: pixels.count()).tolist() == stats["count_rim"].tolist()


def test_importing_the_table_loads_no_raster_libraries():
    code = (
        "import sys, types; package = types.ModuleType('xcrater'); package.__path__ = [sys.argv[1]]; "
        "sys.modules['xcrater'] = package; import xcrater.table.crater_table; "
        "print(sorted({'xarray', 'dask', 'numba', 'geopandas', 'rasterio'} & set(sys.modules)))"
    )
    path = str(sys.modules["xcrater"].__path__[0])
    found = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
