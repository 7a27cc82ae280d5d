"""Parts of pixels inside a region, cut where the map is neither torn nor folded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyproj
import pytest
import shapely
from affine import Affine

from tests import exact_reference as ref
from tests.test_everywhere import MAPS, Map, finer, lens_area, ring_area, table_of
from xcrater import CraterDatabase
from xcrater.engine.craters import Craters
from xcrater.engine.request import make_request
from xcrater.geometry import pixel_parts
from xcrater.geometry.areas import pixel_areas
from xcrater.geometry.clipping import ring_shape
from xcrater.geometry.frame import Frame
from xcrater.geometry.pixel_parts import true_parts

TORN = ["Robinson, sphere", "Robinson, oblate", "Lambert conic, sphere", "Mollweide, sphere", "sinusoidal, oblate",
        "orthographic, sphere", "azimuthal equidistant, oblate", "Lambert azimuthal, sphere"]  # fmt: skip


def placed(on: Map, lat: float, lon: float, degrees: float) -> tuple[Frame, Craters, CraterDatabase]:
    table = pd.DataFrame({"lat": [lat], "lon": [lon], "radius": [np.radians(degrees) * on.axes[0]]})
    cdb = table_of(on, table)
    request = make_request(on.data(np.ones(on.shape, "u1")), cdb, ["disc"], coverage="exact", nodata=None)
    assert request.shapes.frame is not None
    return request.shapes.frame, request.craters, cdb


def all_parts(frame: Frame, shape: Any) -> np.ndarray[Any, Any]:
    row, column = (axis.ravel() for axis in np.indices(frame.shape))
    return true_parts(frame, [shape], np.zeros(row.size, np.int64), column, row).reshape(frame.shape)


@pytest.mark.parametrize("name", TORN)
@pytest.mark.parametrize(("lat", "lon", "degrees"), [(88.0, -170.0, 4.0), (28.0, 135.0, 3.0), (38.5, 61.0, 9.0)])
def test_parts_add_up_to_the_region(name: str, lat: float, lon: float, degrees: float) -> None:
    """Across poles, seams and folds, the outlines of pixels leave no gaps and do not overlap."""
    on = MAPS[name]
    frame, craters, cdb = placed(on, lat, lon, degrees)
    for inner, outer in ((0.0, 1.0), (0.5, 1.0)):
        wanted = ring_area(on, cdb.lon[0], cdb.lat[0], inner * cdb.rad[0], outer * cdb.rad[0])
        found = all_parts(frame, ring_shape(frame, craters, 0, inner, outer))
        assert np.nansum(found) == pytest.approx(wanted, rel=3e-8)


@pytest.mark.slow
@pytest.mark.parametrize("name", TORN)
def test_the_part_of_a_whole_pixel_is_its_area(name: str) -> None:
    """Across the edge of the map too, so that all pixels together are what the map shows of the body."""
    on = MAPS[name]
    frame, _, _ = placed(on, 10.0, 40.0, 3.0)
    body = shapely.box(-200, -90, 200, 90) if frame.kind == "normal" else shapely.box(-200, -200, 200, 200)
    found = all_parts(frame, body)
    t, (rows, cols) = on.transform, on.shape
    areas = np.broadcast_to(pixel_areas(frame.crs, (t.a, 0, t.c, 0, t.e, t.f), (0, rows, 0, cols)), found.shape)
    corners = frame.plane(*(axis.ravel().astype(float) for axis in np.indices((rows + 1, cols + 1))[::-1]))[0]
    seen = np.isfinite(corners).reshape(rows + 1, cols + 1)
    inside = seen[1:, 1:] & seen[1:, :-1] & seen[:-1, 1:] & seen[:-1, :-1]
    assert inside.sum() > 100
    assert np.median(np.abs(found[inside] / areas[inside] - 1)) < 1e-8
    whole = {"Robinson": 1.0, "Mollweide": 1.0, "sinusoidal": 1.0, "orthographic": 0.5}.get(name.split(",")[0])
    if whole is not None:
        label = f"+proj=longlat +a={on.axes[0]} +b={on.axes[1]}"
        wanted = whole * 360 * pixel_areas(label, (1, 0, -180, 0, -1, 90), (0, 180, 0, 360)).sum()
        assert np.nansum(found) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("south_up", [False, True])
def test_the_rim_itself_is_an_arc(south_up: bool) -> None:
    """The near half of a disc at the rim of an orthographic map, north-up and south-up."""
    on = MAPS["orthographic, sphere"]
    if south_up:
        t = on.transform
        on = replace(on, transform=Affine(t.a, 0, t.c, 0, -t.e, t.f + on.shape[0] * t.e))
    frame, craters, _ = placed(on, 30.0, 155.0, 10.0)
    _, _, distance = pyproj.Geod(a=1, b=1).inv(*on.centre, 155.0, 30.0)
    wanted = lens_area(distance, np.radians(10.0)) * on.axes[0] ** 2
    assert np.nansum(all_parts(frame, ring_shape(frame, craters, 0, 0.0, 1.0))) == pytest.approx(wanted, rel=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Robinson, sphere", "Lambert conic, sphere", "orthographic, sphere"])
def test_areas_of_polygons(name: str) -> None:
    """With a hole, near the seam or the rim, and with straight edges in longitude and latitude."""
    on = finer(MAPS[name], 2)
    shell = [(130.0, -8.0), (143.0, -5.0), (139.0, 9.0), (128.0, 6.0)]
    shape = shapely.Polygon(shell, [[(133.0, -1.0), (136.0, -2.0), (136.5, 2.0)]])
    cdb = table_of(on, pd.DataFrame({"lat": [0.0], "lon": [135.0], "radius": [1e5]}))
    cdb.add_polygons("mapped", [shape])
    da = on.data(np.ones(on.shape, "u1"))
    found = da.craters.get_stats(cdb, "mapped", "area", coverage="exact")["area"].item()
    wanted = ref.polygon_areas(Affine(360, 0, -180, 0, -180, 90), (1, 1), shape, on.axes[0]).sum()
    assert found == pytest.approx(wanted, rel=1e-6)


def test_pixels_off_the_map_have_no_part() -> None:
    frame, craters, _ = placed(MAPS["orthographic, sphere"], 30.0, 60.0, 5.0)
    found = true_parts(frame, [ring_shape(frame, craters, 0, 0.0, 1.0)], np.zeros(2, np.int64), np.zeros(2, np.int64),
                       np.array([0, frame.shape[0] // 2]))  # fmt: skip
    assert np.isnan(found).all()
    assert true_parts(frame, [], *(np.empty(0, np.int64) for _ in range(3))).size == 0


def test_many_pixels_are_placed_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    frame, craters, _ = placed(MAPS["Robinson, sphere"], 38.5, 61.0, 9.0)
    shape = ring_shape(frame, craters, 0, 0.5, 1.0)
    whole = all_parts(frame, shape)
    monkeypatch.setattr(pixel_parts, "_AT_ONCE", 100)
    np.testing.assert_allclose(all_parts(frame, shape), whole, rtol=1e-12)
