"""Diagrams show the numbers of the results they are drawn from."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr

from xcrater import CraterDatabase
from xcrater.display.diagrams import PUBLISHED, PowerLaw
from xcrater.errors import PlotError, TableError
from xcrater.table.count_files import BOUNDS

pyplot = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def _closed():
    yield
    pyplot.close("all")


def depths(diameter, depth, body="moon"):
    return xr.Dataset(
        {"depth": ("crater", np.array(depth) * 1e3), "depth_error": ("crater", np.full(len(depth), 50.0))},
        {"radius": ("crater", np.array(diameter) * 500.0)},
        attrs={"body": body},
    )


class TestDepths:
    """Depths against diameters."""

    def test_craters_and_published_lines(self):
        ax = depths([5, 50, 90, 20], [1.0, 3.0, np.nan, -0.1]).craters.plot_depths()
        craters, simple, complex_ = ax.lines
        np.testing.assert_allclose(craters.get_xydata(), [[5, 1], [50, 3]])
        for line, law, ends in (
            (simple, PUBLISHED["moon"][0], (5 / 1.15, 15)),
            (complex_, PUBLISHED["moon"][1], (15, 57.5)),
        ):
            x, y = line.get_xydata().T
            np.testing.assert_allclose(y, law.coefficient * x**law.exponent)
            np.testing.assert_allclose(x[[0, -1]], ends)
        assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
        assert [text.get_text() for text in ax.get_legend().get_texts()] == [
            "2 craters (1 more without a depth above 0)", "Pike (1977), simple", "Pike (1977), complex",
        ]  # fmt: skip

    def test_ratios_and_user_supplied_lines(self):
        ax = depths([10, 20], [2.0, 2.0]).craters.plot_depths(ratio=True, lines=[PowerLaw("mine", 0.2, 1, 0, math.inf)])
        craters, line = ax.lines
        np.testing.assert_allclose(craters.get_ydata(), [0.2, 0.1])
        np.testing.assert_allclose(line.get_ydata(), 0.2)
        assert ax.get_ylabel() == "depth / diameter"

    def test_mars_has_published_lines_and_other_bodies_none(self):
        assert len(depths([5, 50], [1, 2], "mars").craters.plot_depths().lines) == 3
        ax = depths([5, 50], [1, 2], "ceres").craters.plot_depths()
        assert len(depths([7], [1], "ceres").craters.plot_depths(ax, color="red").lines) == 2

    def test_results_without_depths_are_refused(self):
        with pytest.raises(PlotError, match="without one depth per crater"):
            xr.Dataset({"mean": ("crater", [1.0])}).craters.plot_depths()
        with pytest.raises(PlotError, match="no depth above 0"):
            depths([5], [-1]).craters.plot_depths()
        several = depths([5], [1]).expand_dims(band=2)
        with pytest.raises(PlotError, match=r".isel\(band=0\)"):
            several.craters.plot_depths()
        assert several.isel(band=0).craters.plot_depths().lines


def profiles(craters=40, **dims):
    r = np.array([0.25, 0.75, 1.25])
    values = np.arange(craters)[:, None] + np.array([-3.0, 1.0, 0.0])
    values = xr.DataArray(values, {"r": r, "r_outer": ("r", r + 0.25)}, ("crater", "r")).expand_dims(dims)
    return xr.Dataset({"mean": values.assign_attrs(long_name="mean of elevation", units="m")})


class TestProfiles:
    """Radial profiles."""

    def test_median_and_band(self):
        ax = profiles(41).craters.plot_profile()
        line = ax.lines[0]
        np.testing.assert_allclose(line.get_xydata(), [[0.25, 17], [0.75, 21], [1.25, 20]])
        vertices = ax.collections[0].get_paths()[0].vertices
        assert vertices[:, 1].min() == pytest.approx(np.percentile(np.arange(41), 16) - 3)
        assert ax.get_ylabel() == "mean of elevation (m)"
        assert ax.get_xlim() == (0, 1.5)

    def test_relative_profiles_are_aligned_and_few_are_drawn_one_by_one(self):
        ax = profiles(7).craters.plot_profile(relative=True)
        assert len(ax.lines) == 7 + 1 + 1  # one per crater, the median and the rim
        for line in ax.lines[:8]:
            np.testing.assert_allclose(line.get_ydata(), [-3, 1, 0])
        assert ax.get_ylabel().endswith("above the last ring")

    def test_a_stacked_profile_has_a_band_of_its_error(self):
        stacked = profiles(1).isel(crater=0)
        stacked["mean_stderr"] = xr.full_like(stacked["mean"], 0.5)
        ax = stacked.craters.plot_profile("mean")
        assert ax.collections[0].get_paths()[0].vertices[:, 1].max() == pytest.approx(1.5)

    def test_each_sector_has_its_own_colour(self):
        ds = profiles(3, azimuth=2).transpose("crater", "r", "azimuth")
        ds = ds.assign_coords(azimuth_start=("azimuth", [0.0, 180.0]), azimuth_stop=("azimuth", [180.0, 360.0]))
        texts = [text.get_text() for text in ds.craters.plot_profile().get_legend().get_texts()]
        assert texts == ["0–180°", "180–360°"]

    def test_results_without_profiles_are_refused(self):
        with pytest.raises(PlotError, match="without radial profiles"):
            depths([5], [1]).craters.plot_profile()
        with pytest.raises(PlotError, match="expected one of mean"):
            profiles().craters.plot_profile("median")
        with pytest.raises(PlotError, match=r"choose one: ds.isel\(band=0\)"):
            profiles(3, band=2).craters.plot_profile()
        assert profiles(3, band=2).isel(band=0).craters.plot_profile().lines
        with pytest.raises(PlotError, match="without a value"):
            (profiles() * np.nan).craters.plot_profile()


class TestSizes:
    """Size-frequency distributions."""

    @pytest.fixture
    def cdb(self):
        table = pd.DataFrame({"lat": 0.0, "lon": np.linspace(0, 50, 6), "diam_km": [1.0, 1.2, 3.0, 3.1, 9.9, 40.0]})
        return CraterDatabase(table, "moon", units="km")

    def test_cumulative_numbers(self, cdb):
        points, _, (bars,) = cdb.plot_sizes(1000.0).containers[0]
        bins = [*BOUNDS, *(10 * bound for bound in BOUNDS)]
        np.testing.assert_allclose(points.get_xdata(), [bound for bound in bins if bound <= 40])
        number = [(np.array([1.0, 1.2, 3.0, 3.1, 9.9, 40.0]) >= d).sum() for d in points.get_xdata()]
        np.testing.assert_allclose(points.get_ydata(), np.array(number) / 1000)
        ends = bars.get_segments()[0][:, 1]
        np.testing.assert_allclose(ends, (6 + np.array([-1, 1]) * np.sqrt(6)) / 1000)

    def test_relative_frequencies_follow_their_definition(self, cdb):
        points = cdb.plot_sizes(1000.0, kind="relative").containers[0][0]
        low = 2.0 ** (np.arange(0, 12) / 2)
        number = np.histogram([1.0, 1.2, 3.0, 3.1, 9.9, 40.0], np.append(low, 64))[0]
        wanted = number * (low * 2**0.25) ** 3 / (low * (math.sqrt(2) - 1)) / 1000
        np.testing.assert_allclose(points.get_ydata(), wanted[number > 0])

    def test_the_whole_body_and_an_area(self, cdb):
        ax = cdb.plot_sizes()
        assert ax.get_legend().get_texts()[0].get_text() == "6 craters, the whole Moon"
        y = ax.containers[0][0].get_ydata()
        assert y[0] == pytest.approx(6 / (4 * np.pi * 1737.4**2))
        assert cdb.plot_sizes(shapely.box(-5, -5, 15, 5), ax=ax) is ax
        assert len(ax.containers) == 2

    def test_bad_arguments_are_refused(self, cdb):
        with pytest.raises(PlotError, match="expected 'cumulative' or 'relative'"):
            cdb.plot_sizes(kind="differential")
        with pytest.raises(PlotError, match="no crater within the area"):
            cdb.plot_sizes(shapely.box(100, 0, 110, 10))
        with pytest.raises(TableError, match="or square kilometres"):
            cdb.plot_sizes("everywhere")
