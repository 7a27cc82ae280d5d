"""`open_mosaic` opens one file lazily, with chunks that fit its blocks, its place and its declarations."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import warnings

import dask.array
import numpy as np
import pandas as pd
import pytest
import rasterio
import rioxarray
import xarray as xr
from affine import Affine

from tests.helpers import raise_if_dask_computes
from xcrater import CraterDatabase, open_mosaic
from xcrater.errors import BlocksWarning, GridError
from xcrater.raster import files
from xcrater.raster import mosaic as module
from xcrater.raster.mosaic import check_chunks

TRANSFORM = Affine(0.1, 0, -180, 0, -0.1, 90)


def numbers(height: int, width: int, dtype="u1") -> np.ndarray:
    return (np.arange(height * width).reshape(height, width) % 251).astype(dtype)


def written(path, bands, *, mask=None, **profile):
    """Path of a GeoTIFF with the given bands."""
    bands = [bands] if isinstance(bands, np.ndarray) else list(bands)
    height, width = bands[0].shape
    options = {"driver": "GTiff", "crs": "IAU_2015:30100", "transform": TRANSFORM, "dtype": bands[0].dtype} | profile
    with rasterio.open(path, "w", height=height, width=width, count=len(bands), **options) as target:
        for i, band in enumerate(bands, 1):
            target.write(band, i)
        if mask is not None:
            target.write_mask(mask)
    return path


@pytest.fixture
def tiled(tmp_path):
    return written(tmp_path / "tiled.tif", numbers(1300, 2100), tiled=True, blockxsize=512, blockysize=512)


@pytest.fixture
def strips(tmp_path):
    return written(tmp_path / "strips.tif", numbers(1300, 2100), blockysize=8)


def starts(chunks: tuple[int, ...]) -> np.ndarray:
    return np.cumsum((0, *chunks[:-1]))


def test_nothing_is_read_until_computed(tiled):
    with raise_if_dask_computes():
        da = open_mosaic(tiled)
    assert isinstance(da.data, dask.array.Array)
    assert (da.dims, da.shape, da.dtype) == (("y", "x"), (1300, 2100), np.uint8)
    np.testing.assert_array_equal(da.to_numpy(), numbers(1300, 2100))


def test_opening_takes_no_longer_for_larger_rasters(tmp_path):
    path = tmp_path / "huge.tif"
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "width": 100_000, "height": 50_000}
    with rasterio.open(path, "w", tiled=True, SPARSE_OK="TRUE", crs="IAU_2015:30100", transform=TRANSFORM, **profile):
        pass
    assert path.stat().st_size < 5e6
    start = time.perf_counter()
    da = open_mosaic(path)
    assert time.perf_counter() - start < 5
    assert da.sizes == {"y": 50_000, "x": 100_000}
    assert 200 < da.data.npartitions < 1000


@pytest.mark.parametrize("pixels", [2**18, 2**20, 2**21])
def test_chunks_of_a_tiled_file_are_whole_tiles(tiled, monkeypatch, pixels):
    monkeypatch.setattr(module, "TARGET_PIXELS", pixels)
    rows, cols = open_mosaic(tiled).chunks
    assert len(rows) * len(cols) > 1
    assert not (starts(rows) % 512).any()
    assert not (starts(cols) % 512).any()
    assert max(rows) * max(cols) <= pixels


@pytest.mark.parametrize("pixels", [1, 2100 * 8, 2**17])
def test_chunks_of_a_file_in_strips_span_the_full_width(strips, monkeypatch, pixels):
    monkeypatch.setattr(module, "TARGET_PIXELS", pixels)
    rows, cols = open_mosaic(strips).chunks
    assert cols == (2100,)
    assert len(rows) > 1
    assert not (starts(rows) % 8).any()
    assert max(rows) == max(pixels // 2100 // 8, 1) * 8


def test_chunks_are_about_16_million_pixels(tmp_path):
    path = tmp_path / "wide.tif"
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "width": 20_000, "height": 9_000}
    with rasterio.open(path, "w", blockysize=1, SPARSE_OK="TRUE", crs="IAU_2015:30100", transform=TRANSFORM, **profile):
        pass
    rows, cols = open_mosaic(path).chunks
    assert cols == (20_000,)
    assert 0.9 * 2**24 < rows[0] * 20_000 <= 2**24


def test_a_small_file_is_one_chunk(tiled):
    assert open_mosaic(tiled).chunks == ((1300,), (2100,))


def test_user_supplied_chunks(tiled):
    assert open_mosaic(tiled, chunks=1000).chunks == ((1000, 300), (1000, 1000, 100))
    assert open_mosaic(tiled, chunks={"y": 500, "x": 2100}).chunks == ((500, 500, 300), (2100,))


def test_chunks_none_reads_the_file_into_memory(tiled):
    da = open_mosaic(tiled, chunks=None)
    assert da.chunks is None
    np.testing.assert_array_equal(da.to_numpy(), numbers(1300, 2100))


@pytest.mark.parametrize("chunks", ["auto", 64, None])
def test_chunks_do_not_change_the_pixels(strips, chunks):
    np.testing.assert_array_equal(open_mosaic(strips, chunks=chunks).to_numpy(), numbers(1300, 2100))


def test_coordinates_and_crs(tiled):
    da = open_mosaic(tiled)
    assert da.rio.crs.to_string() == "IAU_2015:30100"
    assert da.rio.transform() == TRANSFORM
    np.testing.assert_allclose(da["x"][[0, -1]], [-179.95, 29.95])
    np.testing.assert_allclose(da["y"][[0, -1]], [89.95, -39.95])


def test_one_band_has_no_band_dimension(tiled):
    da = open_mosaic(tiled)
    assert da.dims == ("y", "x")
    assert "band" not in da.coords


@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_several_bands(tmp_path, interleave):
    bands = [numbers(40, 60), numbers(40, 60) + 1, numbers(40, 60) + 2]
    da = open_mosaic(written(tmp_path / "bands.tif", bands, interleave=interleave))
    assert (da.dims, da.shape) == (("band", "y", "x"), (3, 40, 60))
    assert da["band"].to_numpy().tolist() == [1, 2, 3]
    np.testing.assert_array_equal(da.to_numpy(), bands)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_floats_without_a_value_are_nan(tmp_path, dtype):
    da = open_mosaic(written(tmp_path / "typed.tif", numbers(4, 6, dtype), nodata=3))
    assert da.dtype == np.dtype(dtype)
    assert "_FillValue" not in da.attrs
    wanted = numbers(4, 6, dtype)
    np.testing.assert_array_equal(da, np.where(wanted == 3, np.nan, wanted))


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "f4", "f8"])
def test_dtype_is_that_of_the_file(tmp_path, dtype):
    da = open_mosaic(written(tmp_path / "typed.tif", numbers(4, 6, dtype), nodata=3), decode=False)
    assert da.dtype == np.dtype(dtype)
    assert da.rio.nodata == 3
    assert da.to_numpy()[0, 3] == 3


def test_scale_and_offset_of_stored_numbers_stay_attributes(tmp_path):
    path = written(tmp_path / "scaled.tif", numbers(4, 6, "i2"))
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (0.5,), (10.0,)
    np.testing.assert_array_equal(open_mosaic(path).to_numpy(), numbers(4, 6, "i2") * 0.5 + 10)
    da = open_mosaic(path, decode=False)
    assert (da.attrs["scale_factor"], da.attrs["add_offset"]) == (0.5, 10)
    np.testing.assert_array_equal(da.to_numpy(), numbers(4, 6, "i2"))


@pytest.mark.parametrize("chunks", ["auto", None])
def test_a_mask_band_becomes_nan(tmp_path, chunks):
    mask = np.full((40, 60), 255, "u1")
    mask[10:20, 5:9] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = written(tmp_path / "masked.tif", numbers(40, 60), mask=mask)
    da = open_mosaic(path, chunks=chunks)
    assert da.dtype.kind == "f"
    np.testing.assert_array_equal(da.to_numpy(), np.where(mask > 0, numbers(40, 60), np.nan))


def test_a_mask_made_of_nodata_does_not_become_nan(tmp_path):
    da = open_mosaic(written(tmp_path / "nodata.tif", numbers(40, 60), nodata=7))
    assert da.dtype == np.uint8
    assert (da.to_numpy() == 7).any()


def test_missing_file(tmp_path, monkeypatch):
    path = tmp_path / "absent.tif"
    for given in (path, str(path)):
        with pytest.raises(FileNotFoundError, match=re.escape(f"there is no raster file {str(path)!r}")):
            open_mosaic(given)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"there is no raster file 'absent\.tif'"):
        open_mosaic("absent.tif")


@pytest.mark.parametrize("content", [b"lat,lon,radius\n1,2,3\n", b"", b"II*\x00broken"], ids=["text", "empty", "torn"])
def test_unreadable_file(tmp_path, content):
    path = tmp_path / "not_a_raster.tif"
    path.write_bytes(content)
    with pytest.raises(GridError, match=re.escape(f"cannot read {str(path)!r} as a raster: ")):
        open_mosaic(path)


@pytest.mark.parametrize("given", [3, None, np.zeros((2, 2))], ids=lambda v: type(v).__name__)
def test_neither_a_path_nor_a_dataset(given):
    with pytest.raises(
        GridError, match=f"received an object of type {type(given).__name__}; expected the path of a raster file"
    ):
        open_mosaic(given)


def test_paths_strings_and_open_datasets_give_the_same(tiled):
    from_path = open_mosaic(tiled)
    assert from_path.identical(open_mosaic(str(tiled)))
    assert from_path.identical(open_mosaic(os.fspath(tiled)))
    with rasterio.open(tiled) as dataset:
        assert from_path.identical(open_mosaic(dataset))
        assert not dataset.closed


def test_the_result_for_an_open_dataset_outlives_the_dataset(tiled):
    with rasterio.open(tiled) as dataset:
        da = open_mosaic(dataset)
    np.testing.assert_array_equal(da.to_numpy(), numbers(1300, 2100))


def test_relative_path(tiled, monkeypatch):
    monkeypatch.chdir(tiled.parent)
    assert open_mosaic(tiled.name).shape == (1300, 2100)


def test_gdal_paths(tiled):
    vrt = f"vrt://{tiled}?bands=1"
    np.testing.assert_array_equal(open_mosaic(vrt).to_numpy(), numbers(1300, 2100))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_file_of_several_rasters_asks_which_one(tmp_path):
    pytest.importorskip("scipy")
    path = tmp_path / "two.nc"
    coords = {"x": np.arange(6.0), "y": np.arange(4.0)}
    variables = {name: (("y", "x"), numbers(4, 6, "f4")) for name in ("a", "b")}
    xr.Dataset(variables, coords).to_netcdf(path, engine="scipy")
    assert open_mosaic(f"netcdf:{path}:a").shape == (4, 6)
    with pytest.raises(GridError, match="holds several rasters; name one of its subdatasets"):
        open_mosaic(path)


class TestChunksThatStraddleBlocks:
    """Chunks that cut through the blocks of a file, which are then decoded several times."""

    @pytest.fixture(autouse=True)
    def no_file_is_small(self, monkeypatch):
        monkeypatch.setattr(module, "SMALL", 0)

    @staticmethod
    def block_warnings(path, chunks):
        """The warning that requesting statistics gives."""
        cdb = CraterDatabase(pd.DataFrame({"lat": [70.0], "lon": [-100.0], "diam": [60.0]}), "moon", units="km")
        cdb.add_annuli("rim", 1, 1.5)
        da = rioxarray.open_rasterio(path, chunks=chunks)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            da.craters.get_stats(cdb, "rim", "mean")
        return [w for w in caught if w.category is BlocksWarning]

    def test_the_warning_says_how_often_a_pixel_is_decoded_and_what_to_type(self, tiled):
        (warning,) = self.block_warnings(tiled, {"y": 500, "x": 700})
        # Rows 0-500, 500-1000 and 1000-1300 read 512, 1024 and 788 rows; the columns read 1024, 1024 and 1076.
        times = (512 + 1024 + 788) / 1300 * (1024 + 1024 + 1076) / 2100
        assert f"decoded {times:.1f} times" in str(warning.message)
        assert "chunks of 500 x 700" in str(warning.message)
        assert "blocks of 512 x 512" in str(warning.message)
        assert f"open_mosaic({str(tiled)!r})" in str(warning.message)
        assert warning.filename == __file__

    @pytest.mark.parametrize("chunks", [{"y": 512, "x": 1024}, {"y": -1, "x": -1}, {"y": 1024, "x": 2048}])
    def test_chunks_of_whole_blocks_do_not_warn(self, tiled, chunks):
        assert not self.block_warnings(tiled, chunks)

    def test_columns_cut_from_strips_warn(self, strips):
        (warning,) = self.block_warnings(strips, {"y": 800, "x": 525})
        assert "decoded 4.0 times" in str(warning.message)

    def test_a_small_file_does_not_warn(self, tiled, monkeypatch):
        monkeypatch.setattr(module, "SMALL", 1300 * 2100)
        assert not self.block_warnings(tiled, {"y": 500, "x": 700})

    def test_a_crop_or_a_raster_in_memory_does_not_warn(self, tiled):
        da = rioxarray.open_rasterio(tiled, chunks={"y": 500, "x": 700})
        with warnings.catch_warnings():
            warnings.simplefilter("error", BlocksWarning)
            check_chunks(da.isel(x=slice(100, 1000)), 2)
            check_chunks(da.compute(), 2)
            check_chunks(da * 1, 2)


@pytest.mark.slow
def test_the_gdal_block_cache_is_small_unless_the_user_sets_it(tiled):
    code = (
        "import rasterio.env, xcrater, sys; xcrater.open_mosaic(sys.argv[1]).compute(scheduler='sync');"
        "print(rasterio.env.get_gdal_config('GDAL_CACHEMAX'))"
    )
    environment = {k: v for k, v in os.environ.items() if k != "GDAL_CACHEMAX"}
    for wish, wanted in (
        ({}, files.CACHE_BYTES[0]),
        ({"GDAL_CACHEMAX": "300"}, 300 * 2**20),
        ({"GDAL_CACHEMAX": "1"}, 2**20),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, str(tiled)], env=environment | wish, capture_output=True, text=True, check=True
        )
        assert int(done.stdout) == wanted
