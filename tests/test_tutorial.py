"""Synthetic craters and mosaics have a known truth, whatever the chunks and the resolution."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests import reference as ref
from tests.helpers import raise_if_dask_computes
from xcrater import tutorial
from xcrater.database import CraterDatabase

BARE = CraterDatabase(pd.DataFrame({"lat": [0.1], "lon": [0.1], "radius": [0.01]}), "moon")
"""The last crater is too small for any pixel."""


@pytest.fixture(scope="module")
def craters() -> CraterDatabase:
    return tutorial.synthetic_craters("moon", 60, diameters=(100e3, 300e3), seed=4)


def test_mosaic_is_lazy_and_labelled(craters):
    with raise_if_dask_computes():
        da = tutorial.synthetic_mosaic("mars", ppd=4, chunks=256)
    assert da.shape == (720, 1440)
    assert da.chunks[0] == (256, 256, 208)
    assert da.dtype == "float32"
    assert da.attrs["units"] == "m"
    assert "Mars" in da.rio.crs.to_wkt()
    assert da.rio.bounds() == (-180, -90, 180, 90)


@pytest.mark.parametrize("chunks", [100, 333, 5000])
def test_pixels_do_not_depend_on_chunks(craters, chunks):
    one = tutorial.synthetic_mosaic("moon", ppd=2, craters=craters, chunks=720).values
    np.testing.assert_array_equal(tutorial.synthetic_mosaic("moon", ppd=2, craters=craters, chunks=chunks).values, one)


def test_pixels_do_not_depend_on_where_the_raster_is_cut(craters):
    west = tutorial.synthetic_mosaic("moon", ppd=2, craters=craters, lon_origin=-180.0, dtype="float64")
    east = tutorial.synthetic_mosaic("moon", ppd=2, craters=craters, lon_origin=0.0, dtype="float64")
    np.testing.assert_allclose(np.roll(west.values, 360, axis=1), east.values, atol=1e-6)


def test_terrain_has_no_seam():
    da = tutorial.synthetic_mosaic("moon", ppd=4, craters=BARE).values
    inside = np.abs(np.diff(da, axis=1)).max()
    assert np.abs(da[:, 0] - da[:, -1]).max() <= inside
    assert np.ptp(da[0]) < 0.05 * np.ptp(da)  # one row around a pole is a single point
    assert np.ptp(da[-1]) < 0.05 * np.ptp(da)


def test_terrain_has_the_requested_roughness():
    da = tutorial.synthetic_mosaic("moon", ppd=2, craters=BARE, roughness=20.0, dtype="float64")
    twice = tutorial.synthetic_mosaic("moon", ppd=2, craters=BARE, roughness=40.0, dtype="float64")
    np.testing.assert_allclose(twice.values, 2 * da.values, atol=1e-9)
    assert 10 < da.values.std() < 40


def test_integers_are_rounded(craters):
    exact = tutorial.synthetic_mosaic("moon", ppd=1, craters=craters, dtype="float64").values
    np.testing.assert_array_equal(
        tutorial.synthetic_mosaic("moon", ppd=1, craters=craters, dtype="int32").values, np.rint(exact)
    )


def test_crater_shape_is_bowl_rim_and_ejecta(craters):
    """The oracle computes the shape pixel by pixel."""
    da = tutorial.synthetic_mosaic("moon", ppd=2, craters=craters, roughness=0.0, dtype="float64")
    lon, lat = np.meshgrid(da.x, da.y)
    expected = np.zeros(da.shape)
    for at_lon, at_lat, radius in zip(craters.lon, craters.lat, craters.rad, strict=True):
        r = np.radians(ref.great_circle_distance(lon, lat, at_lon, at_lat)) * 1737400.0 / radius
        depth, rim = 0.4 * radius, 0.072 * radius
        bowl = rim - depth * (1 - r**2)
        ejecta = rim * (np.maximum(r, 0.5) ** -3.0 - 5.0**-3) / (1 - 5.0**-3)
        expected += np.where(r <= 1, bowl, np.where(r < 5, ejecta, 0.0))
    np.testing.assert_allclose(da.values, expected, atol=1e-6 * 60e3)


@pytest.mark.parametrize(("inner", "outer"), [(0, 0.8), (0, 1), (1, 1.5), (0.5, 3), (4, 6)])
def test_true_mean_agrees_with_fine_pixels(inner, outer):
    """The mean of the shape over a fine grid, weighted by area."""
    radius = 100e3
    edges = np.linspace(inner, outer, 200_001)
    r = (edges[1:] + edges[:-1]) / 2
    area = np.sin(r * radius / 1737400.0)
    shape = np.where(r <= 1, 7200 - 40e3 * (1 - r**2), 7200 * (np.maximum(r, 0.9) ** -3.0 - 0.008) / 0.992)
    shape = np.where(r >= 5, 0.0, shape)
    assert tutorial.crater_mean(inner, outer, radius) == pytest.approx(np.average(shape, weights=area), rel=1e-6)


def test_ring_means_approach_the_truth_with_resolution(craters):
    """The demo claims that statistics of the synthetic craters approach those of their known shape."""
    table = tutorial.synthetic_craters("moon", 60, diameters=(100e3, 300e3), seed=4)
    table.add_annuli("ring", 0.2, 1.4, nvert=None)
    truth = np.array([tutorial.crater_mean(0.2, 1.4, r) for r in table.rad])
    low = np.abs(table.lat.to_numpy()) < 40  # unweighted means favour pixels towards the pole
    error = {}
    for ppd in (2, 16):
        da = tutorial.synthetic_mosaic("moon", ppd=ppd, craters=table, roughness=0.0)
        mean = da.craters.get_stats(table, "ring", "mean", coverage="center")["mean"].compute().to_numpy()
        error[ppd] = np.median((np.abs(mean - truth) / (0.4 * table.rad.to_numpy()))[low])
    assert error[16] < 0.005
    assert error[16] < error[2] / 2


def test_craters_keep_apart():
    table = tutorial.synthetic_craters("moon", 300, seed=1)
    assert 100 < len(table) < 300
    for i in range(len(table)):
        d = ref.great_circle_distance(table.lon[:i], table.lat[:i], table.lon[i], table.lat[i])
        limit = np.degrees(6 * table.rad[:i] / 1737400.0)
        assert (np.asarray(d) >= np.asarray(limit)).all()


def test_craters_may_overlap_on_request():
    table = tutorial.synthetic_craters("moon", 1000, apart=0, diameters=(1e3, 100e3))
    assert len(table) == 1000
    above = [(2 * table.rad > d).sum() for d in (1e3, 4e3)]
    assert above[0] / above[1] == pytest.approx(4**1.75, rel=0.3)  # N(>D) ~ D**-1.75


@pytest.mark.parametrize("ppd", [0, -1, 0.3333, 1 / 360, 0.025])
def test_odd_resolutions_are_refused(ppd):
    with pytest.raises(ValueError, match="expected 360"):
        tutorial.synthetic_mosaic("moon", ppd=ppd)
