"""Coordinates of a raster in other units, of low precision, out of order or missing, and open datasets."""

from __future__ import annotations

import re
from typing import Any

import affine
import numpy
import numpy as np
import pandas as pd
import pytest
import rasterio
import rioxarray
import xarray as xr
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT

import xcrater
from xcrater import CraterDatabase, open_mosaic
from xcrater.errors import GridError, ReadError
from xcrater.raster.reading import read_raster

RADIUS = 1737400.0
STEP = np.pi * RADIUS / 90
"""Size of a pixel of two degrees, in metres."""
LONLAT = "IAU_2015:30100"
METRES = f"+proj=eqc +R={RADIUS:.0f}"
NUMBERS = np.random.default_rng(2).integers(1, 200, (90, 180)).astype("i2")


@pytest.fixture(scope="module")
def cdb() -> CraterDatabase:
    places = {"lat": [5.0, -40.0, 80.0], "lon": [10.0, 179.0, 120.0], "radius_km": [300.0, 250, 400]}
    made = CraterDatabase(pd.DataFrame(places), "moon", units="km")
    made.add_annuli("rim", 0.5, 1.5, nvert=None)
    return made


def degrees(**coords: Any) -> xr.DataArray:
    known = {"y": 89 - 2.0 * np.arange(90), "x": -179 + 2.0 * np.arange(180)}
    return xr.DataArray(NUMBERS, known, ("y", "x")).assign_coords(coords).rio.write_crs(LONLAT)


def metres(unit: float = 1.0, dtype: str = "f8") -> xr.DataArray:
    coords = {"y": (44.5 - np.arange(90)) * STEP / unit, "x": (np.arange(180) - 89.5) * STEP / unit}
    coords = {name: values.astype(dtype) for name, values in coords.items()}
    return xr.DataArray(NUMBERS, coords, ("y", "x")).rio.write_crs(METRES)


def means(da: xr.DataArray, cdb: CraterDatabase) -> np.ndarray:
    return da.craters.get_stats(cdb, "rim", "mean", coverage="center")["mean"].to_numpy()


@pytest.fixture(scope="module")
def truth(cdb):
    return means(degrees(), cdb)


def followed(da: xr.DataArray, advice: str) -> xr.DataArray:
    """The raster after executing the line that an error tells the user to type."""
    names = {"da": da, "numpy": numpy, "affine": affine, "xcrater": xcrater}
    exec(advice, names)
    return names["da"]


def advice_of(da: xr.DataArray, cdb: CraterDatabase, match: str) -> list[str]:
    """The lines to type that an error names, each beginning with "da = " or "da["."""
    with pytest.raises(GridError, match=match) as caught:
        means(da, cdb)
    return [line.rstrip(".;") for line in re.findall(r"da(?: = |\[').*?(?=;|\. |$)", str(caught.value))]


class TestUnits:
    """Units that coordinates declare, or that contradict the CRS."""

    @pytest.mark.parametrize(("name", "metres_each"), [("km", 1e3), ("kilometers", 1e3), ("m", 1), ("cm", 0.01)])
    @pytest.mark.parametrize("transform", [True, False])
    def test_coordinates_in_units_of_length_are_converted(self, cdb, truth, name, metres_each, transform):
        da = metres(metres_each)
        for dim in ("x", "y"):
            da[dim].attrs["units"] = name
        if transform:
            da = da.rio.write_transform(affine.Affine(STEP, 0, -90 * STEP, 0, -STEP, 45 * STEP))
        np.testing.assert_allclose(means(da, cdb), truth, rtol=1e-12)

    def test_a_crs_in_kilometres(self, cdb, truth):
        da = metres(1e3).rio.write_crs(METRES + " +units=km")
        np.testing.assert_allclose(means(da, cdb), truth, rtol=1e-12)
        da["x"].attrs["units"] = da["y"].attrs["units"] = "km"
        np.testing.assert_allclose(means(da, cdb), truth, rtol=1e-12)

    def test_radians_of_longitude_and_latitude_are_converted(self, cdb, truth):
        da = degrees(x=np.radians(-179 + 2.0 * np.arange(180)), y=np.radians(89 - 2.0 * np.arange(90)))
        da["x"].attrs["units"], da["y"].attrs["units"] = "radians", "rad"
        np.testing.assert_allclose(means(da, cdb), truth, rtol=1e-12)

    @pytest.mark.parametrize("units", ["radian", "degrees_east"])
    def test_angles_under_a_crs_in_metres_are_refused_and_the_advice_helps(self, cdb, truth, units):
        da = degrees()
        if units == "radian":
            da = degrees(x=np.radians(da.x.values), y=np.radians(da.y.values))
        da = da.rio.write_crs(METRES)
        da["x"].attrs["units"] = da["y"].attrs["units"] = units
        first, second = advice_of(da, cdb, "are in '.*', but those of the CRS")
        assert "longlat" in first
        np.testing.assert_allclose(means(followed(da, first), cdb), truth, rtol=1e-12)
        right = metres()
        right["x"].attrs["units"] = units  # only the label is wrong
        followed(right, second)
        np.testing.assert_allclose(means(right, cdb), truth, rtol=1e-12)

    def test_metres_under_a_crs_in_degrees_are_refused_and_the_advice_helps(self, cdb, truth):
        da = metres().rio.write_crs(LONLAT)
        da["x"].attrs["units"] = da["y"].attrs["units"] = "m"
        first = advice_of(da, cdb, "are in 'm', but those of the CRS")[0]
        np.testing.assert_allclose(means(followed(da, first), cdb), truth, rtol=1e-12)

    @pytest.mark.parametrize("label", [None, "metre"])
    def test_coordinates_divided_by_1000_for_a_plot_are_refused_and_the_advice_helps(self, cdb, truth, label):
        """The attributes of the coordinates survive the division, and so does the geotransform."""
        da = metres().rio.write_transform(affine.Affine(STEP, 0, -90 * STEP, 0, -STEP, 45 * STEP))
        da = da.assign_coords(x=da.x / 1000, y=da.y / 1000)
        if label is not None:
            da["x"].attrs["units"] = da["y"].attrs["units"] = label
        for dim in ("x", "y"):
            advice = next(line for line in advice_of(da, cdb, f"along '{dim}' have pixels of") if dim in line)
            assert advice == f"da['{dim}'].attrs['units'] = 'km'"
            da = followed(da, advice)
        np.testing.assert_allclose(means(da, cdb), truth, rtol=1e-12)

    def test_degrees_with_a_geotransform_in_metres_are_refused_and_each_advice_helps(self, cdb, truth):
        da = metres().rio.write_transform(affine.Affine(STEP, 0, -90 * STEP, 0, -STEP, 45 * STEP))
        turned = da.assign_coords(x=degrees().x.values, y=degrees().y.values)
        for given in (turned, turned.isel(x=slice(80, 140), y=slice(None, None, -1))):
            wanted = means(metres().isel(x=slice(80, 140)), cdb) if given.sizes["x"] == 60 else truth
            for dim in ("x", "y"):
                given = followed(given, advice_of(given, cdb, f"along '{dim}' have pixels of 2")[0])
            np.testing.assert_allclose(means(given, cdb), wanted, rtol=1e-12)
        second = advice_of(turned, cdb, "have pixels of 2")[1]
        np.testing.assert_allclose(means(followed(turned.rio.write_crs(LONLAT), second), cdb), truth, rtol=1e-12)

    def test_radians_without_a_label_are_refused_and_the_advice_helps(self, cdb, truth):
        da = degrees().rio.write_transform(affine.Affine(2, 0, -180, 0, -2, 90))
        da = da.assign_coords(x=np.radians(da.x.values), y=np.radians(da.y.values))
        for dim in ("x", "y"):
            da = followed(da, advice_of(da, cdb, f"along '{dim}' have pixels of 0.0349")[0])
        np.testing.assert_allclose(means(da, cdb), truth, rtol=1e-12)

    def test_a_geotransform_that_no_longer_fits_the_coordinates_is_ignored(self, cdb):
        da = metres().astype(float).rio.write_transform(affine.Affine(STEP, 0, -90 * STEP, 0, -STEP, 45 * STEP))
        for part in (da.coarsen(x=30, y=30).mean(), da.interp(x=np.arange(-2, 2, 1 / 16) * STEP)):
            bare = part.drop_vars("spatial_ref").rio.write_crs(METRES)
            assert read_raster(part).surface[1] == read_raster(bare).surface[1]

    def test_unknown_units_are_taken_as_those_of_the_crs(self, cdb, truth):
        da = degrees()
        da["x"].attrs["units"] = "furlong"
        np.testing.assert_allclose(means(da, cdb), truth, rtol=1e-12)


class TestPrecision:
    """Pixels of five metres far from the origin, whose coordinates need more digits than float32 has."""

    EXACT = (10.5e6, 5.0, 1e5, -5.0)

    def fine(self, dtype: str) -> xr.DataArray:
        x, y = 10.5e6 + 5 * (np.arange(600) + 0.5), 1e5 - 5 * (np.arange(600) + 0.5)
        coords = {"y": y.astype(dtype), "x": x.astype(dtype)}
        return xr.DataArray(np.zeros((600, 600)), coords, ("y", "x")).rio.write_crs("+proj=eqc +R=3396190")

    def placed(self, da: xr.DataArray) -> tuple[float, ...]:
        (a, _, c, _, e, f) = read_raster(da).surface[1]
        return (c, a, f, e)

    @pytest.mark.parametrize("dtype", ["f8", "f4"])
    def test_a_geotransform_is_used_where_coordinates_are_rounded(self, dtype):
        da = self.fine(dtype).rio.write_transform(affine.Affine(5, 0, 10.5e6, 0, -5, 1e5))
        assert self.placed(da) == self.EXACT

    def test_rounded_coordinates_without_a_geotransform_are_fitted(self):
        assert self.placed(self.fine("f4")) == pytest.approx(self.EXACT, abs=0.25)
        assert self.placed(self.fine("f4"))[1] == pytest.approx(5, abs=1e-3)

    def test_a_slice_with_rounded_coordinates_is_not_placed_by_its_old_geotransform(self):
        da = self.fine("f4").rio.write_transform(affine.Affine(5, 0, 10.5e6, 0, -5, 1e5))
        assert self.placed(da.isel(x=slice(100, None)))[0] == pytest.approx(10.5e6 + 500, abs=0.25)
        assert self.placed(da.isel(x=slice(2, None)))[0] == pytest.approx(10.5e6 + 10, abs=0.25)

    def test_too_coarse_coordinates_are_refused_and_the_advice_helps(self, cdb, truth):
        x = (10.5e6 + 0.5 * np.arange(100)).astype("f4")
        da = xr.DataArray(np.zeros((2, 100)), {"y": [5.0, 4.5], "x": x}, ("y", "x")).rio.write_crs(METRES)
        with pytest.raises(GridError, match=r"of float32, which rounds them to 1 .* da\.rio\.write_transform"):
            read_raster(da)
        assert read_raster(da.rio.write_transform(affine.Affine(0.5, 0, 10.5e6, 0, -0.5, 5.25))).surface[1][2] == 10.5e6

    def test_degrees_in_low_precision(self, cdb, truth):
        da = degrees()
        da = da.assign_coords(x=da.x.astype("f4"), y=da.y.astype("f4"))
        np.testing.assert_allclose(means(da, cdb), truth, rtol=1e-12)


class TestOrderAndNumbers:
    """The order of coordinates, and pixel numbers instead of coordinates."""

    def test_unsorted_longitudes_are_refused_and_the_advice_helps(self, cdb, truth):
        da = degrees()
        turned = da.assign_coords(x=da.x % 360)
        (advice,) = advice_of(turned, cdb, "along 'x' are not in order")
        assert advice == "da = da.sortby('x')"
        np.testing.assert_allclose(means(followed(turned, advice), cdb), truth, rtol=1e-12)

    def test_unsorted_rows_are_refused_and_the_advice_helps(self, cdb, truth):
        da = degrees().isel(y=np.random.default_rng(0).permutation(90))
        (advice,) = advice_of(da, cdb, "along 'y' are not in order")
        np.testing.assert_allclose(means(followed(da, advice), cdb), truth, rtol=1e-12)

    def test_sorting_is_not_advised_for_uneven_coordinates(self, cdb):
        da = degrees(x=np.geomspace(1, 100, 180))
        with pytest.raises(GridError, match="not evenly spaced") as caught:
            means(da, cdb)
        assert "sortby" not in str(caught.value)

    @pytest.mark.parametrize("half", [0, 0.5])
    @pytest.mark.parametrize("dtype", ["i8", "f8"])
    def test_pixel_numbers_as_coordinates_are_refused_and_the_advice_helps(self, cdb, truth, half, dtype):
        da = degrees().rio.write_transform(affine.Affine(2, 0, -180, 0, -2, 90))
        counted = da.assign_coords(x=np.arange(180) + half, y=np.arange(90) + half)
        if not half:
            counted = counted.assign_coords(x=counted.x.astype(dtype), y=counted.y.astype(dtype))
        for part in (counted, counted.isel(x=slice(0, 170))):
            placed = followed(part, advice_of(part, cdb, "along 'y' and 'x' count up by 1")[0])
            np.testing.assert_array_equal(placed.y, da.y)
            np.testing.assert_array_equal(placed.x, da.x[: part.sizes["x"]])
        np.testing.assert_allclose(means(placed.reindex(x=da.x, fill_value=0), cdb)[0], truth[0], rtol=1e-12)

    def test_positions_that_count_up_by_one_are_kept_by_the_second_advice(self, cdb):
        da = xr.DataArray(np.zeros((20, 30)), {"y": np.arange(20.0), "x": np.arange(30.0)}, ("y", "x"))
        da = da.rio.write_crs(LONLAT).rio.write_transform(affine.Affine(0.5, 0, 0, 0, 0.5, 0))
        advice = advice_of(da, cdb, "count up by 1")[-1]
        assert read_raster(followed(da, advice)).surface[1] == (1, 0, -0.5, 0, 1, -0.5)

    @pytest.mark.parametrize("west", [-180, 0])
    def test_coarsened_rasters_are_placed_by_coordinates_and_not_by_the_finer_geotransform(self, cdb, west):
        x, y = west + 0.25 + 0.5 * np.arange(720), 89.75 - 0.5 * np.arange(360)
        fine = xr.DataArray(np.random.default_rng(1).random((360, 720)), {"y": y, "x": x}, ("y", "x"))
        fine = fine.rio.write_crs(LONLAT).rio.write_transform(affine.Affine(0.5, 0, west, 0, -0.5, 90))
        coarse = fine.coarsen(x=2, y=2).mean()
        alone = xr.DataArray(coarse.to_numpy(), {"y": coarse.y.values, "x": coarse.x.values}, ("y", "x"))
        np.testing.assert_array_equal(means(coarse, cdb), means(alone.rio.write_crs(LONLAT), cdb))

    def test_a_slice_without_coordinates_is_refused_and_the_advice_helps(self, tmp_path, cdb, truth):
        degrees().rio.to_raster(tmp_path / "a.tif")
        da = rioxarray.open_rasterio(tmp_path / "a.tif", parse_coordinates=False).squeeze("band")
        np.testing.assert_allclose(means(da, cdb), truth, rtol=1e-12)
        for cut in (np.s_[:, 10:], np.s_[5:, :], np.s_[::2, :]):
            with pytest.raises(
                GridError, match=r"of its file along '[xy]', and no coordinates.*da = xcrater\.open_mosaic"
            ):
                means(da[cut], cdb)
        whole = open_mosaic(tmp_path / "a.tif")
        np.testing.assert_allclose(means(whole[:, 10:], cdb)[:1], truth[:1], rtol=1e-12)


class TestDatasets:
    """Open rasterio datasets are read in the state in which they were opened."""

    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "a.tif"
        with rasterio.open(
            path, "w", driver="GTiff", width=180, height=90, count=1, dtype="int16", crs=LONLAT,
            transform=affine.Affine(2, 0, -180, 0, -2, 90), tiled=True, blockxsize=64, blockysize=64, nodata=-1,
        ) as file:  # fmt: skip
            file.write(NUMBERS, 1)
            file.build_overviews([2], rasterio.enums.Resampling.nearest)
        return path

    def test_a_dataset_in_memory(self, path, cdb, truth):
        with MemoryFile(path.read_bytes()) as file, file.open() as dataset:
            np.testing.assert_allclose(cdb.get_stats(dataset, "rim", "mean", coverage="center")["mean_rim"], truth)
            np.testing.assert_allclose(means(open_mosaic(dataset), cdb), truth)

    @pytest.mark.parametrize("chunks", ["auto", 50, None])
    def test_a_warped_dataset(self, path, cdb, truth, chunks):
        with rasterio.open(path) as source:
            placed = {"transform": affine.Affine(2, 0, 0, 0, -2, 90), "width": 180, "height": 90, "crs": LONLAT}
            with WarpedVRT(source, **placed) as east:
                da = open_mosaic(east, chunks=chunks)
                assert float(da.x[0]) == 1
                np.testing.assert_array_equal(da[:, :90], NUMBERS[:, 90:])
                wanted = means(degrees()[:, 90:], cdb)
                np.testing.assert_allclose(means(da[:, :90], cdb), wanted, rtol=1e-12)
            with WarpedVRT(source, crs=LONLAT) as same:
                found = cdb.get_stats(same, "rim", "mean", coverage="center")["mean_rim"]
                np.testing.assert_allclose(found, truth, rtol=1e-12)

    def test_a_dataset_opened_at_an_overview(self, path, cdb):
        with rasterio.open(path, overview_level=0) as dataset:
            da = open_mosaic(dataset)
            assert da.shape == (45, 90)
            wanted = xr.DataArray(dataset.read(1), da.coords, da.dims)
            np.testing.assert_allclose(means(da, cdb), means(wanted, cdb), rtol=1e-12)
        with rioxarray.open_rasterio(path, overview_level=0) as da:
            np.testing.assert_allclose(means(da.squeeze("band"), cdb), means(wanted, cdb), rtol=1e-12)

    def test_a_dataset_open_for_writing(self, path, cdb, truth):
        with rasterio.open(path, "r+") as dataset:
            dataset.write(NUMBERS * 2, 1)
            found = cdb.get_stats(dataset, "rim", "mean", coverage="center")["mean_rim"]
        np.testing.assert_allclose(found, 2 * truth, rtol=1e-12)

    def test_a_dataset_closed_before_computing_is_refused(self, path, cdb):
        with rasterio.open(path) as source, WarpedVRT(source, crs=LONLAT) as warped:
            lazy = open_mosaic(warped).craters.get_stats(cdb, "rim", "mean")
        with pytest.raises(ReadError, match="the dataset has been closed; compute before it is"):
            lazy.compute()

    def test_scale_and_nodata_of_an_open_dataset(self, path, cdb, truth):
        with rasterio.open(path, "r+") as dataset:
            dataset.scales, dataset.offsets = (0.5,), (3,)
            for decode in (True, False):
                np.testing.assert_allclose(means(open_mosaic(dataset, decode=decode), cdb), truth / 2 + 3, rtol=1e-12)
