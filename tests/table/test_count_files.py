"""Crater counts of craterstats and of counting tools are read, written, and read back unchanged."""

from __future__ import annotations

import math

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely

from xcrater import CraterDatabase
from xcrater.errors import TableError

TEXT = """# a count by hand
#
a-axis radius = 1737.4 <km>
coordinate_system_name = unknown
# area_shapes:
unit_boundary = {{vertex, sub_area, tag, lon, lat
1 1 ext 10 -2
2 1 ext 14 -2
3 1 ext 14 2
4 1 ext 10 2
5 1 ext 10 -2
6\t2\tint\t11\t-1
7\t2\tint\t12\t-1
8\t2\tint\t12\t1
9\t2\tint\t11\t-1
}}
Total_area = 13500 <km^2>
#
crater = {{{columns}
3.5 {one}12.5 1.5 1
1.05 {two}13.0 -1.0 1
20.0 {three}13.9 0.0 1
}}
"""


def text(fractions: bool = False) -> str:
    columns = "diam, fraction, lon, lat, topo_scale_factor" if fractions else "diam, lon, lat"
    return TEXT.format(columns=columns, one="1 " * fractions, two="1 " * fractions, three="0.25 " * fractions)


@pytest.mark.parametrize("fractions", [False, True])
def test_a_text_file_is_read(tmp_path, fractions):
    (tmp_path / "a.scc").write_text(text(fractions))
    cdb = CraterDatabase.read_count(tmp_path / "a.scc")
    assert (cdb.body, cdb.rad.tolist()) == ("moon", [1750.0, 525.0, 10e3])
    assert cdb.lon.tolist() == [12.5, 13.0, 13.9]
    assert ("fraction" in cdb.data) == fractions
    assert cdb.count_area.area == pytest.approx(16 - 1)
    assert cdb.query("Diam_km > 2").count_area is cdb.count_area


@pytest.mark.parametrize("name", ["b.scc", "b_CRATER.shp"])
def test_written_files_can_be_read_back(tmp_path, name):
    (tmp_path / "a.scc").write_text(text())
    cdb = CraterDatabase.read_count(tmp_path / "a.scc")
    cdb.to_count(tmp_path / name)
    back = CraterDatabase.read_count(tmp_path / name)
    assert back.body == "moon"
    np.testing.assert_allclose(back.rad, np.sort(cdb.rad))
    np.testing.assert_allclose(np.sort(back.lon), np.sort(cdb.lon))
    assert back.count_area.equals_exact(cdb.count_area, 1e-9) or back.count_area.equals(cdb.count_area)
    if name.endswith(".shp"):
        assert CraterDatabase(tmp_path / name, "moon", units="km").rad.tolist() == back.rad.tolist()
        assert geopandas.read_file(tmp_path / "b_AREA.shp")["area"][0] == pytest.approx(square_kilometres(), rel=1e-3)


def square_kilometres() -> float:
    """Area of the example on the sphere; its parallels instead of great circles make it too large by 3e-4."""
    band = math.radians(4) * 2 * math.sin(math.radians(2))
    return 1737.4**2 * (band - math.radians(1) * math.sin(math.radians(1)))


@pytest.mark.parametrize("seam", [0.0, 167.0])
def test_craters_on_the_boundary_count_by_the_fraction_inside(tmp_path, seam):
    table = pd.DataFrame({"lat": [1.0, 1.0, 1.0, 1.0], "lon": np.array([12.0, 14.0, 16.0, 13.0]) + seam, "d": 20.0})
    cdb = CraterDatabase(table, "moon", units="km", diam_col="d")
    cdb.to_count(tmp_path / "a.scc", shapely.box(10 + seam, -2, 14 + seam, 4))
    back = CraterDatabase.read_count(tmp_path / "a.scc")
    assert back.data["fraction"].round(3).tolist() == [1.0, 0.5, 1.0]


def test_bins_agree_with_craterstats(tmp_path):
    diameters = [0.95, 1.0, 1.05, 1.69, 1.7, 9.99, 10.0, 99.0]
    cdb = CraterDatabase(pd.DataFrame({"lat": 0.0, "lon": 0.0, "diam_km": diameters}), "moon", units="km")
    cdb.to_count(tmp_path / "a.stat", 50.0)
    rows = np.loadtxt(tmp_path / "a.stat")
    assert rows[:, 0].tolist() == [0.9, 1.0, 1.5, 1.7, 9.0, 10.0, 90.0]
    assert rows[:, 1].tolist() == [1, 2, 1, 1, 1, 1, 1]
    assert rows[:, 4].tolist() == [8, 7, 5, 4, 3, 2, 1]
    np.testing.assert_allclose(rows[:, 5], rows[:, 4] / 50, rtol=1e-3)
    np.testing.assert_allclose(rows[:, 6], np.sqrt(rows[:, 4]) / 50, rtol=1e-3)
    np.testing.assert_allclose(rows[1, 7:], [math.sqrt(1.1), 0.4, 0.4 / math.sqrt(2), 2], rtol=1e-3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("crater = {diam, lon, lat\n1 2 3", "ends within its table 'crater'"),
        ("x = 1", "is no crater count"),
        ("crater = {diam, lon, lat\n1 a 3\n}", "has 'a' where a number is expected"),
        ("crater = {diam, lon, lat\n1 2 3\n}", "name its body: body='moon'"),
        ("a_axis_radius = 1737.4 <km>\n" + "unit_boundary = {sub_area, tag, lon, lat\n1 ext 0 0\n}\n"
         "crater = {diam, lon, lat\n1 2 3\n}", "a ring of 1 vertices"),
    ],
)  # fmt: skip
def test_unreadable_files_are_refused(tmp_path, content, message):
    (tmp_path / "a.scc").write_text(content)
    with pytest.raises(TableError, match=message):
        CraterDatabase.read_count(tmp_path / "a.scc")


def test_bad_arguments_are_refused(tmp_path):
    cdb = CraterDatabase(pd.DataFrame({"lat": [0.0], "lon": [12.0], "diam_km": [1.0]}), "moon", units="km")
    with pytest.raises(TableError, match=r"area=shapely.box\(10, -5, 20, 5\)"):
        cdb.to_count(tmp_path / "a.stat")
    for name in ("a.scc", "a.stat", "a_CRATER.shp"):
        cdb.to_count(tmp_path / name, area=shapely.box(10, -5, 20, 5))
    with pytest.raises(TableError, match="needs the polygon"):
        cdb.to_count(tmp_path / "a.scc", area=1000.0)
    with pytest.raises(TableError, match="a shapely polygon in longitude and latitude, or square kilometres"):
        cdb.to_count(tmp_path / "a.stat", area=-1)
    with pytest.raises(TableError, match="no crater lies within the area"):
        cdb.to_count(tmp_path / "a.stat", area=shapely.box(50, 0, 60, 1))
    with pytest.raises(TableError, match=r"ends in .scc, .stat or _CRATER.shp"):
        cdb.to_count(tmp_path / "a.csv", area=1.0)
    with pytest.raises(TableError, match=r"a name that ends in _CRATER.shp"):
        cdb.to_count(tmp_path / "a.shp", area=shapely.box(10, -5, 20, 5))
    with pytest.raises(TableError, match=r"expected a crater count that ends in .scc"):
        CraterDatabase.read_count(tmp_path / "a.stat")
    with pytest.raises(TableError, match="there is no such file"):
        CraterDatabase.read_count(tmp_path / "none.scc")
