"""Selecting craters like rows in pandas, or by place, keeps their regions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import shapely

from xcrater import CraterDatabase
from xcrater.errors import IterationError, TableError


@pytest.fixture
def cdb():
    lat, lon = np.array([0.0, 10, 20, 30]), np.array([0.0, 50, 100, 179.5])
    frame = pd.DataFrame({"lat": lat, "lon": lon, "diam": [2.0, 4, 60, 80], "a b": [1, 2, 3, 4]}, index=list("wxyy"))
    cdb = CraterDatabase(frame, "moon", units="km")
    cdb.add_annuli("rim", 1, 1.5)
    cdb.add_polygons("mapped", shapely.box(lon, lat, lon + 1, lat + 1))
    return cdb


@pytest.mark.parametrize(
    ("choose", "expected"),
    [
        (lambda cdb: cdb[cdb.rad > 1500], [1, 2, 3]),
        (lambda cdb: cdb[[True, False, True, False]], [0, 2]),
        (lambda cdb: cdb[np.array([False] * 4)], []),
        (lambda cdb: cdb[pd.array([True, None, False, True], dtype="boolean")], [0, 3]),
        (lambda cdb: cdb[1:3], [1, 2]),
        (lambda cdb: cdb.iloc[-1], [3]),
        (lambda cdb: cdb.iloc[[2, 0]], [2, 0]),
        (lambda cdb: cdb.loc["y"], [2, 3]),
        (lambda cdb: cdb.loc[["x", "w"]], [1, 0]),
        (lambda cdb: cdb.loc["w":"x"], [0, 1]),
        (lambda cdb: cdb.query("diam > 3 and lat < 25"), [1, 2]),
        (lambda cdb: cdb.query("`a b` == 4"), [3]),
        (lambda cdb: cdb.head(2), [0, 1]),
        (lambda cdb: cdb.head(), [0, 1, 2, 3]),
        (lambda cdb: cdb.sample(4, seed=1), [0, 1, 2, 3]),
    ],
)
def test_selected_rows_keep_their_regions(cdb, choose, expected):
    some = choose(cdb)
    assert type(some) is CraterDatabase
    assert some.lat.tolist() == cdb.lat.iloc[expected].tolist()
    assert some.orig_cols.equals(cdb.orig_cols)
    for name in ("rim", "mapped"):
        assert [shape.wkt for shape in getattr(some, name)] == [getattr(cdb, name).iloc[i].wkt for i in expected]
    some.add_circles("floor")
    assert list(cdb.regions) == ["rim", "mapped"]


@pytest.mark.parametrize(
    ("choose", "message"),
    [
        (lambda cdb: cdb["rim"], r"received cdb\['rim'\]; expected one truth value per crater"),
        (lambda cdb: cdb[0], "expected one truth value per crater"),
        (lambda cdb: cdb[[0, 1]], "expected one truth value per crater"),
        (lambda cdb: cdb[[True]], "received a mask of 1 truth values; expected 4"),
        (lambda cdb: cdb[(cdb.rad > 0).reset_index(drop=True)], r"cdb\[mask.to_numpy\(\)\]"),
        (lambda cdb: cdb.iloc[4], "expected positions from 0 to 3"),
        (lambda cdb: cdb.loc["none"], "expected labels of cdb.data.index"),
        (lambda cdb: cdb.query("none > 1"), "cannot be evaluated: name 'none' is not defined. Columns are lat, lon"),
        (lambda cdb: cdb.query("1 + 1"), "expected a comparison, such as '_radius_m > 1000'"),
        (lambda cdb: cdb.sample(5), "expected a whole number of craters from 0 to 4"),
    ],
)
def test_errors(cdb, choose, message):
    with pytest.raises(TableError, match=message):
        choose(cdb)


def test_iteration_is_refused_with_advice(cdb):
    with pytest.raises(IterationError, match=r"type for crater in cdb.data.itertuples\(\)"):
        list(cdb)
    assert issubclass(IterationError, TypeError)
    assert len(list(cdb.data.itertuples())) == 4
    assert len(cdb.query("_radius_m > 1000")) == 3
    assert len(cdb[(cdb.rad > 0).to_numpy()]) == 4


def test_describe(cdb):
    assert cdb.describe().loc["max"].tolist() == [30.0, 179.5, 80.0]
    assert len(cdb.sample(2, seed=0)) == 2
    assert cdb.sample(2, seed=0) == cdb.sample(2, seed=0)


class TestPlaces:
    """Selecting craters by position."""

    @pytest.fixture
    def scattered(self):
        rng = np.random.default_rng(3)
        lat, lon = np.degrees(np.arcsin(rng.uniform(-1, 1, 500))), rng.uniform(0, 360, 500)
        lat[:3], lon[:3] = [90.0, -90.0, 0.0], [0.0, 77.0, 180.0]
        return CraterDatabase(pd.DataFrame({"lat": lat, "lon": lon, "radius": 1e3}), "moon")

    @pytest.mark.parametrize("west", [-200.0, -180.0, 0.0, 100.0, 170.0, 350.0])
    @pytest.mark.parametrize("width", [0.0, 15.0, 200.0, 360.0])
    def test_a_box_extends_eastward_from_west_to_east(self, scattered, west, width):
        found = scattered.sel_bbox(west=west, east=west + width, south=-30, north=60)
        eastward = np.mod(scattered.lon.to_numpy() - west, 360)
        inside = (eastward <= width) & (np.abs(scattered.lat - 15) <= 45)
        assert found.data.index.tolist() == np.flatnonzero(inside).tolist()
        if 0 < width < 360:
            wrapped = [(bound + 180) % 360 - 180 for bound in (west, west + width)]
            assert scattered.sel_bbox(west=wrapped[0], east=wrapped[1], south=-30, north=60) == found

    def test_boxes_and_distances_that_select_everything(self, scattered):
        assert len(scattered.sel_bbox()) == 500
        assert scattered.sel_bbox(south=90).data.index.tolist() == [0]

    @pytest.mark.parametrize(
        ("lon", "lat"), [(0, 90), (123, -90), (180, 0), (-180, 0), (179.99, 5), (540, 0), (37, 37)]
    )
    def test_the_nearest_craters_agree_with_angles_between_vectors(self, scattered, lon, lat):
        found = scattered.sel_nearest(lon=lon, lat=lat, n=7)
        vectors = [
            np.stack([np.cos(phi) * np.cos(x), np.cos(phi) * np.sin(x), np.sin(phi)])
            for x, phi in (np.radians([lon, lat]), np.radians([scattered.lon, scattered.lat]))
        ]
        angle = np.arctan2(
            np.linalg.norm(np.cross(vectors[0], vectors[1].T), axis=1), (vectors[0][:, None] * vectors[1]).sum(axis=0)
        )
        order = np.argsort(angle)
        assert found.data.index.tolist() == order[:7].tolist()
        within = scattered.sel_nearest(lon=lon, lat=lat, n=500, within=1737.4e3 * (angle[order[3]] + 1e-9))
        assert within.data.index.tolist() == order[:4].tolist()

    def test_selections_by_place_keep_regions(self, cdb):
        assert [s.wkt for s in cdb.sel_nearest(lon=-180, lat=31, n=2).mapped] == [
            cdb.mapped.iloc[i].wkt for i in (3, 2)
        ]
        assert cdb.sel_nearest(lon=0, lat=0, n=0).rad.size == 0

    @pytest.mark.parametrize(
        ("choose", "message"),
        [
            (lambda cdb: cdb.sel_bbox(south=10, north=0), "expected south to be the smaller"),
            (lambda cdb: cdb.sel_bbox(west="a"), "received west='a'; expected a finite number"),
            (lambda cdb: cdb.sel_bbox(north=91), "expected a latitude from -90 to 90"),
            (lambda cdb: cdb.sel_nearest(lon=0, lat=100), "expected a latitude"),
            (lambda cdb: cdb.sel_nearest(lon=np.nan, lat=0), "expected a finite number"),
            (lambda cdb: cdb.sel_nearest(lon=0, lat=0, n=1.5), "expected a whole number of craters, such as n=1"),
            (lambda cdb: cdb.sel_nearest(lon=0, lat=0, within=-1), "such as within=100e3"),
        ],
    )
    def test_errors(self, cdb, choose, message):
        with pytest.raises(TableError, match=message):
            choose(cdb)
