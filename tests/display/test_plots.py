"""Figures: what they show, at which places, and how much is read for them."""

from __future__ import annotations

import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import rioxarray  # noqa: F401
import xarray as xr

from tests.reference import distance_and_azimuth
from xcrater import CraterDatabase
from xcrater.display import background, curves
from xcrater.display.plane import Extent, Plane
from xcrater.errors import BodyError, PlotError, RegionError
from xcrater.geometry.bodies import get_body

PLACES = {
    "lat": [0.0, 12.0, -89.0, 88.0, 5.0],
    "lon": [179.5, -150.0, 40.0, -100.0, -179.0],
    "km": [60, 200, 150, 90, 40],
}
MOON = 1737400.0


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.fixture
def cdb():
    cdb = CraterDatabase(pd.DataFrame(PLACES), "moon", units="km", rad_col="km")
    cdb.add_annuli("rim", 1, 1.5, nvert=None)
    return cdb


def ramp(lon0=-180.0, step=1.0, chunks=None) -> xr.DataArray:
    """A global raster whose values are longitude + 1000 latitude."""
    lon, lat = lon0 + step * (np.arange(round(360 / step)) + 0.5), 90 - step * (np.arange(round(180 / step)) + 0.5)
    values = ((lon + 180) % 360 - 180)[None] + 1000 * lat[:, None]
    da = xr.DataArray(values, {"y": lat, "x": lon}, ("y", "x"), name="ramp").rio.write_crs("IAU_2015:30100")
    return da if chunks is None else da.chunk(chunks)


PLANES = {
    "lonlat": ("+proj=longlat +R=1737400", Extent(-180, 180, -90, 90)),
    "seam": ("+proj=longlat +R=1737400", Extent(150, 230, -30, 30)),
    "south": ("+proj=stere +lat_0=-90 +R=1737400", Extent(-6e5, 6e5, -6e5, 6e5)),
    "globe": ("+proj=ortho +lat_0=20 +lon_0=170 +R=1737400", Extent(-1.8e6, 1.8e6, -1.8e6, 1.8e6)),
    "mollweide": ("+proj=moll +lon_0=0 +R=1737400", Extent(-5e6, 5e6, -2.5e6, 2.5e6)),
}


def plane(name: str, rows: int = 200) -> Plane:
    import pyproj

    crs, extent = PLANES[name]
    cols = round(rows * (extent.east - extent.west) / (extent.north - extent.south))
    return Plane(pyproj.CRS(crs), extent, (rows, cols), "moon")


@pytest.mark.parametrize("name", PLANES)
def test_outlines_are_at_the_distance_of_the_region(cdb, name):
    import pyproj

    chart = plane(name)
    drawn = curves.outlines(chart, cdb, "rim")
    assert drawn.ink is None
    assert len(drawn.lines) >= 2
    geod, found = pyproj.Geod(a=MOON, b=MOON), set()
    for line in drawn.lines:
        u = (line[:, 0] - chart.extent.west) / chart.steps[0]
        v = (chart.extent.north - line[:, 1]) / chart.steps[1]
        lon, lat = chart.frame.lonlat(u, v)
        limit = 0.02 * MOON * np.radians(1.0)
        misfit = {}
        for i in range(len(cdb)):
            away, _ = distance_and_azimuth(geod, lon, lat, (cdb.lon[i], cdb.lat[i]))
            for bound in (1.0, 1.5):
                misfit[i, bound] = np.nanmedian(np.abs(away - bound * cdb.rad[i]))
        best = min(misfit, key=misfit.get)
        # To keep the area, vertices are moved outward by less than a pixel.
        assert misfit[best] < limit + chart.steps[1] * (MOON * np.radians(1.0) if chart.geographic else 1.0) / 5
        found.add(best)
    assert found <= {(int(i), bound) for i in drawn.shown for bound in (1.0, 1.5)}
    if name == "lonlat":
        assert found == {(i, bound) for i in range(len(cdb)) for bound in (1.0, 1.5)}


def test_outlines_have_no_edge_along_the_seam_or_the_pole(cdb):
    drawn = curves.outlines(plane("lonlat"), cdb, "rim")
    for line in drawn.lines:
        assert np.abs(line[:, 1]).max() < 90.0
        assert np.abs(np.diff(line[:, 0])).max() < 40.0  # no line crosses the whole map
    xs = [(line[:, 0].min(), line[:, 0].max()) for line in drawn.lines]
    assert any(left < 180 < right for left, right in xs)
    assert any(left < -180 < right for left, right in xs)


def test_small_outlines_become_shading_that_keeps_their_length():
    n = 3000
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {"lat": rng.uniform(-60, 60, n), "lon": rng.uniform(-180, 180, n), "r": 10 ** rng.uniform(3, 5, n)}
    )
    many = CraterDatabase(frame, "moon")
    from xcrater.table.regions import Circle

    chart = plane("lonlat")
    drawn = curves.outlines(chart, many, {"rim": Circle(1.0, None)}, shade=True)
    assert 0 < len(drawn.lines) < n / 3
    assert drawn.ink is not None
    assert drawn.ink.shape == chart.shape
    whole = curves.outlines(chart, many, {"rim": Circle(1.0, None)}, shade=False)
    assert whole.ink is None
    assert len(whole.lines) >= n
    small = np.pi * 2 * frame["r"] / MOON / np.radians(chart.steps[1])
    assert drawn.ink.sum() == pytest.approx(small[small < 3 * np.pi].sum(), rel=0.3)


@pytest.mark.parametrize("lon0", [-180.0, 0.0])
@pytest.mark.parametrize("name", PLANES)
def test_the_image_shows_the_raster_at_the_right_places(name, lon0):
    da, chart = ramp(lon0, chunks=64), plane(name)
    image, within = background.image_on(chart, da)
    lon, lat = chart.places()
    known = np.isfinite(lon)
    assert (within == known).all()
    lon, lat = lon[known], lat[known]
    north = np.round(image[known] / 1000 - 0.5) + 0.5
    assert np.abs(north - lat).max() < 2.0
    east = image[known] - 1000 * north
    assert (np.abs((east - lon + 180) % 360 - 180) * np.cos(np.radians(lat))).max() < 2.0


def test_a_large_raster_is_decimated(monkeypatch):
    read = []
    whole = xr.DataArray.compute

    def counted(self, **kwargs):
        read.append(self.size)
        return whole(self, **kwargs)

    monkeypatch.setattr(xr.DataArray, "compute", counted)
    background.image_on(plane("lonlat", rows=40), ramp(step=0.25, chunks=256))
    assert sum(read) < 5 * 40 * 80
    read.clear()
    background.image_on(plane("seam", rows=40), ramp(step=0.25, chunks=256))
    assert sum(read) < 5 * 40 * 53


def test_overviews_are_used(tmp_path):
    import rasterio

    da = ramp(step=0.5)
    path = tmp_path / "ramp.tif"
    da.astype("float32").rio.to_raster(path)
    with rasterio.open(path, "r+") as target:
        target.build_overviews([2, 4], rasterio.enums.Resampling.nearest)
    with rasterio.open(path, "r+", overview_level=1) as target:
        shape = target.shape
    assert shape == (90, 180)
    assert background._overview(path, 4.4) == (1, 4)
    assert background._overview(path, 3.9) == (0, 2)
    assert background._overview(path, 1.5) is None
    chart = plane("lonlat", rows=80)
    image, _ = background.image_on(chart, background.open_image(path, 1), path)
    assert np.abs(np.round(image / 1000) - chart.places()[1]).max() < 5


class TestPlot:
    """Maps of craters and their regions."""

    def test_a_map(self, cdb, tmp_path):
        ax = cdb.plot(ramp(), "rim", size=4, savefig=tmp_path / "map.png", savefig_kwargs={"dpi": 30})
        assert (len(ax.images), len(ax.collections)) == (1, 1)
        assert ax.get_title() == "Moon CraterDatabase (N=5) rim"
        assert (tmp_path / "map.png").stat().st_size > 1000
        labels = [text.get_text() for text in ax.texts]
        assert any(label.endswith(" km") for label in labels)
        assert ax.get_xlim() == (-180.0, 180.0)

    @pytest.mark.parametrize("projection", ["north", "south", "orthographic", "mollweide", "IAU_2015:30120"])
    def test_projections(self, cdb, projection):
        ax = cdb.plot(ramp(), projection=projection, size=3)
        ax.get_figure().canvas.draw()
        assert len(ax.collections[0].get_segments()) >= 1
        assert ax.images[0].get_array().count() > 1000

    @pytest.mark.parametrize(("raster", "color"), [(None, "0.5"), (ramp(), "white")])
    def test_meridians_are_visible_on_paper_and_over_an_image(self, raster, color):
        small = CraterDatabase(pd.DataFrame({"lat": [0.0, 50], "lon": [0.0, 40], "r": 1e3}), "moon")
        ax = small.plot(raster, projection="orthographic", size=2, dpi=30, shade=True)
        lines = [line for line in ax.lines if line.get_gid() != "scale bar"]
        assert len(ax.images) == (1 if raster is None else 2)  # including one of small outlines
        assert {line.get_color() for line in lines} == {color}

    def test_views_beyond_the_antimeridian(self, cdb):
        ax = cdb.iloc[[0, 4]].plot(size=3)
        west, east = ax.get_xlim()
        assert east - west < 20
        assert west < 179 < 181 < east or west < -181 < -179 < east
        ax = cdb.plot(extent=(170, 190, -10, 10), size=3)
        assert ax.get_xlim() == (170.0, 190.0)
        assert len(ax.collections[0].get_segments()) == 2

    def test_scale_bars_have_the_right_length(self, cdb):
        for options in ({"extent": (0, 20, 50, 70)}, {"projection": "south"}):
            ax = cdb.plot(size=3, **options)
            (bar,) = [line for line in ax.lines if line.get_gid() == "scale bar"]
            start, stop = bar.get_xdata()
            width = (stop - start) * np.diff(ax.get_xlim())[0]
            metres = width * np.radians(1) * MOON * np.cos(np.radians(60)) if "extent" in options else width
            (text,) = [t.get_text() for t in ax.texts if t.get_text().endswith("km")]
            assert float(text.split()[0]) * 1000 == pytest.approx(metres)

    def test_existing_axes_keep_their_limits(self, cdb):
        _, ax = plt.subplots()
        shown = ax.imshow(np.zeros((2, 4)), extent=(-180, 180, -90, 90))
        assert cdb.plot(ax=shown, region="rim", color="red", lw=3) is ax
        assert ax.get_xlim() == (-180, 180)
        assert ax.collections[0].get_linewidths() == [3]

    def test_axes_of_cartopy_are_drawn_in_their_projection(self, cdb):
        cartopy = pytest.importorskip("cartopy.crs")
        globe = cartopy.Globe(semimajor_axis=MOON, semiminor_axis=MOON, ellipse=None)
        ax = plt.subplot(projection=cartopy.SouthPolarStereo(globe=globe))
        ax.set_xlim(-5e5, 5e5)
        ax.set_ylim(-5e5, 5e5)
        cdb.plot(ax=ax)
        (line,) = ax.collections[0].get_segments()
        radii = np.hypot(*(line - line.mean(axis=0)).T)
        assert radii == pytest.approx(np.full(radii.size, 150e3), rel=0.02)

    def test_a_projected_raster_is_shown_in_its_own_projection(self, cdb):
        polar = ramp().isel(y=slice(150, 180)).rio.reproject("IAU_2015:30135", shape=(80, 80))
        ax = polar.craters.plot(cdb, size=3)
        assert ax.get_xlim() == pytest.approx(polar.rio.bounds()[::2])
        assert len(ax.collections[0].get_segments()) == 1

    def test_a_raster_with_units_has_a_colour_bar(self, cdb):
        da = ramp().assign_attrs(units="m", long_name="elevation")
        ax = da.craters.plot(cdb, size=3)
        assert [bar.get_ylabel() for bar in ax.child_axes] == ["elevation (m)"]
        assert da.craters.plot(cdb, size=3, colorbar=False).child_axes == []
        figure, (left, _) = plt.subplots(1, 2, figsize=(5, 2))
        room = left.get_position().width
        cdb.plot(da, ax=left)
        assert [axes.get_ylabel() for axes in figure.axes] == ["", "", "elevation (m)"]
        assert left.get_position().width < room

    def test_errors(self, cdb):
        for factor in (0, "much", np.nan):
            with pytest.raises(PlotError, match=r"received hillshade=.*; expected True, False, or .*: hillshade=2"):
                cdb.plot(ramp(), hillshade=factor)
        assert cdb.plot(ramp(), hillshade=2, size=2, dpi=20).images
        with pytest.raises(RegionError, match="none_such"):
            cdb.plot(region="none_such")
        with pytest.raises(PlotError, match=r"expected one of 'lonlat', 'north', .*, or a CRS"):
            cdb.plot(projection="nowhere")
        with pytest.raises(BodyError, match="expected a CRS of moon"):
            cdb.plot(projection="EPSG:3857")
        with pytest.raises(PlotError, match=r"extent=\(170, 190, -10, 10\)"):
            cdb.plot(extent=(190, 170, -10, 10))
        with pytest.raises(PlotError, match=r"the outlines cannot be drawn: .*color='red', alpha=0.5, lw=1"):
            cdb.plot(color="no colour", size=2)
        with pytest.raises(PlotError, match=r"the outline cannot be drawn: .*color='red', alpha=0.5, lw=1"):
            cdb.plot_rois(ramp(), "rim", [0], pixels=8, width=3)
        cdb.plot(color="red", alpha=0.5, lw=1, size=7.5, dpi=20)
        with pytest.raises(PlotError, match=r"received size=0, dpi=100; .*size=7.5, dpi=100"):
            cdb.plot(size=0)
        with pytest.raises(PlotError, match="the raster has one band: band=1"):
            cdb.plot(ramp(), band=2)
        with pytest.raises(PlotError, match=r"choose one image: da.isel\(time=0\)"):
            cdb.plot(ramp().expand_dims(time=3), band=4)
        with pytest.raises(PlotError, match="no crater is in the hemisphere of projection='north'"):
            cdb.iloc[[2]].plot(projection="north")

    def test_many_craters(self):
        rng = np.random.default_rng(0)
        n = 300_000
        frame = pd.DataFrame({"lat": rng.uniform(-80, 80, n), "lon": rng.uniform(-180, 180, n)})
        many = CraterDatabase(frame.assign(r=1e3 * rng.pareto(2, n) + 500), "moon")
        ax = many.plot(size=4)
        assert len(ax.images) == 1
        assert len(ax.collections[0].get_segments()) < n / 20


class TestHillshade:
    """Hill shading of elevations."""

    @staticmethod
    def hills(step: float, **attrs) -> xr.DataArray:
        """Waves of 12° in longitude and 15° in latitude, with heights of up to 3 km and missing polar caps."""
        da = ramp(step=step, chunks=256)
        east, north = np.cos(np.radians(30 * da["x"])), np.cos(np.radians(24 * da["y"]))
        return (
            (1500 * (east + north))
            .transpose("y", "x")
            .where(abs(da["y"]) < 60)
            .rio.write_crs(da.rio.crs)
            .assign_attrs(attrs)
        )

    @staticmethod
    def light(ax) -> np.ndarray:
        """Brightness of the image, from 0 to 1, in a gray colour map."""
        return np.asarray(ax.images[0].get_array())[..., 0]

    def look(self, da, cdb, **options) -> np.ndarray:
        options = {
            "extent": (-60, 60, -45, 45),
            "image": {"cmap": "gray", "vmin": -1e9, "vmax": 1e9},
            "size": 4,
        } | options
        return self.light(da.craters.plot(cdb, dpi=50, **options))

    def test_slopes_facing_the_upper_left_are_bright(self, cdb):
        found = self.look(self.hills(0.5, units="m"), cdb)
        rows, cols = found.shape
        lat, lon = 45 - 90 * (np.arange(rows) + 0.5) / rows, -60 + 120 * (np.arange(cols) + 0.5) / cols
        # West of a wave's crest, the terrain rises eastward, so the slope faces west.
        west = -np.sin(np.radians(30 * lon)) * 30 / np.cos(np.radians(lat))[:, None]
        north = np.sin(np.radians(24 * lat))[:, None] * 24
        assert np.corrcoef((west + north).ravel(), found.ravel())[0, 1] > 0.9

    @pytest.mark.parametrize("step", [0.1, 2.0])
    def test_shading_looks_alike_for_fine_and_coarse_rasters(self, cdb, step):
        plain, other = (self.look(self.hills(size, units="m"), cdb) for size in (0.5, step))
        assert np.corrcoef(plain.ravel(), other.ravel())[0, 1] > 0.95
        assert np.abs(plain - other).mean() < 0.05

    def test_shading_is_the_default_only_for_elevations_in_either_unit(self, cdb):
        metres = self.look(self.hills(1.0, units="m"), cdb, hillshade=1)
        kilometres = self.look(self.hills(1.0, units="m") / 1000, cdb, hillshade=1000)
        np.testing.assert_allclose(metres, kilometres, atol=1e-6)
        km = (self.hills(1.0) / 1000).assign_attrs(units="km")
        np.testing.assert_allclose(metres, self.look(km, cdb, hillshade=1), atol=1e-6)
        assert metres.std() < self.look(self.hills(1.0, units="m"), cdb).std()  # elevations are exaggerated by default
        for da, options in ((self.hills(1.0), {}), (self.hills(1.0, units="m"), {"hillshade": False})):
            assert da.craters.plot(cdb, size=2, dpi=20, **options).images[0].get_array().ndim == 2

    @pytest.mark.parametrize("projection", ["north", "orthographic", "mollweide"])
    def test_shading_on_projected_maps(self, cdb, projection):
        ax = self.hills(1.0, units="m").craters.plot(cdb, projection=projection, size=3, dpi=50)
        image = np.asarray(ax.images[0].get_array())
        assert image.shape[2] == 4
        assert (image[..., 3] > 0).mean() > 0.1
        assert np.isfinite(image).all()
        assert image[..., 0][image[..., 3] > 0].std() > 0.05


class TestRois:
    """Panels that show one crater each."""

    def test_panels_are_centred_on_the_craters_even_at_poles_and_seam(self, cdb):
        axes = cdb.plot_rois(ramp(chunks=90), "rim", pixels=40)
        assert axes.shape == (2, 3)
        for i, ax in enumerate(axes.flat[:5]):
            west, east = ax.get_xlim()
            assert (-west, east) == pytest.approx((1.12 * 1.5 * PLACES["km"][i],) * 2)
            vertices = ax.patches[-1].get_path().vertices
            sizes = np.hypot(*vertices.T) / PLACES["km"][i]
            assert np.minimum(np.abs(sizes - 1), np.abs(sizes - 1.5)).max() < 0.01
            assert len(ax.images) == 2
        assert axes[0, 0].get_title() == "0: 0°, 179.5°E"
        assert len(axes[0, 0].get_figure().axes) == 5

    def test_panels_show_the_pixels_of_the_raster(self, cdb):
        (ax, *_) = cdb.plot_rois(ramp(), "rim", [1], pixels=41, vmin=-2e5, vmax=2e5, cmap="gray").flat
        shade = ax.images[1].get_array()[20, 20, 0]
        assert shade == pytest.approx((12 * 1000 - 150 + 2e5) / 4e5, abs=0.01)

    def test_choices_of_craters(self, cdb):
        cdb.data.index = list("abcde")
        titles = [ax.get_title()[0] for ax in cdb.plot_rois(ramp(), "rim", cdb.data.index[[4, 1]], pixels=16).flat[:2]]
        assert titles == ["e", "b"]
        assert cdb.plot_rois(ramp(), "rim", index=(0, 2, 3, 1), pixels=16).shape == (2, 3)
        assert cdb.plot_rois(ramp(), "rim", index=1, pixels=16, share=True, color="red", grid_kw={"lw": 1}).shape == (
            1,
            3,
        )
        for index in ("ab", [7], 0, [0.5]):
            with pytest.raises(PlotError, match=r"received index=.*expected how many craters to draw"):
                cdb.plot_rois(ramp(), "rim", index=index)
        with pytest.raises(PlotError, match="which no crater has"):
            cdb.plot_rois(ramp(), "rim", index=pd.Index(["z"]))

    def test_elevations_are_shaded(self, cdb):
        lat = ramp() * 0 + ramp().y * 1000
        plain = cdb.plot_rois(lat, "rim", [1], pixels=32)[0, 0].images[1].get_array()
        heights = lat.assign_attrs(units="m")
        shaded = cdb.plot_rois(heights, "rim", [1], pixels=32)[0, 0].images[1].get_array()
        assert np.ptp(plain[:, :, 0], axis=1).max() < 0.1
        assert not np.allclose(plain, shaded)

    def test_polygons(self, cdb):
        import shapely

        cdb.add_polygons("mapped", [None, shapely.box(-152, 10, -146, 13), None, None, None])
        axes = cdb.plot_rois(ramp(), "mapped", [1], pixels=32)
        assert axes[0, 0].get_xlim()[1] == pytest.approx(
            1.12 * np.radians(np.hypot(4 * np.cos(np.radians(11)), 2)) * MOON / 1000, rel=0.02
        )

    def test_regions_off_the_raster_are_refused(self, cdb):
        part = ramp().isel(y=slice(80, 100), x=slice(170, 190))
        with pytest.raises(PlotError, match="none of the 5 regions 'rim' lies on the raster"):
            cdb.plot_rois(part, "rim")


@pytest.mark.slow
def test_neither_cartopy_nor_geopandas_is_needed():
    code = """
import sys
for name in ("cartopy", "geopandas"):
    sys.modules[name] = None
import matplotlib
matplotlib.use("Agg")
import pandas as pd
from xcrater import CraterDatabase
cdb = CraterDatabase(pd.DataFrame({"lat": [80.0], "lon": [5.0], "r": [9e4]}), "moon")
ax = cdb.plot(projection="north")
print(len(ax.collections[0].get_segments()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "1", done.stderr


def test_planes_use_the_radius_of_their_body():
    assert plane("south").raster.sphere == get_body("moon").radius
