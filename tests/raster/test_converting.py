"""Copies of rasters as cloud-optimised GeoTIFFs and Zarr stores are complete, resumable and checked."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr

from xcrater import CraterDatabase, open_mosaic
from xcrater.errors import GridError, ReadError
from xcrater.raster.converting import convert

MOON = "+proj=longlat +R=1737400 +no_defs"


class Interrupted(BaseException):
    pass


def make(path, dtype="int16", bands=1, nodata=-32768, scale=0.5, offset=10.0):
    random = np.random.default_rng(5)
    stored = random.integers(0, 200, (bands, 180, 360)).astype(dtype)
    stored[:, random.random((180, 360)) < 0.1] = nodata
    with rasterio.open(
        path, "w", driver="GTiff", width=360, height=180, count=bands, dtype=dtype, crs=MOON, nodata=nodata,
        transform=rasterio.Affine(1, 0, -180, 0, -1, 90), blockysize=7,
    ) as file:  # fmt: skip
        file.write(stored)
        file.scales, file.offsets = (scale,) * bands, (offset,) * bands
        file.units = ("m",) * bands
    return path


def copy(path, out, side=64, stop_at=None):
    """Convert, and return the windows that were written."""
    seen = []

    def report(done, total):
        if done == stop_at:
            raise Interrupted
        if done < total:
            seen.append(done)

    convert(str(path), out, out.with_name("unfinished"), side=side, report=report, about={"xcrater_run": '{"a": 1}'})
    return seen


def files_of(path):
    if path.is_file():
        return path.read_bytes()
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("c/*") if p.is_file()}


@pytest.mark.parametrize("ending", [".tif", ".zarr"])
@pytest.mark.parametrize(("dtype", "bands", "nodata"), [("int16", 1, -32768), ("float32", 2, float("nan"))])
def test_a_copy_is_the_same_raster(ending, dtype, bands, nodata, tmp_path):
    path, out = make(tmp_path / "dem.tif", dtype, bands, nodata), tmp_path / f"copy{ending}"
    assert copy(path, out) == ([0, 1, 2] if ending == ".zarr" else [0])
    assert sorted(os.listdir(tmp_path)) == sorted(["dem.tif", out.name])
    original, same = open_mosaic(path), open_mosaic(out)
    xr.testing.assert_equal(original.drop_vars("spatial_ref"), same.drop_vars("spatial_ref"))
    assert original.dtype == same.dtype
    assert same.attrs.get("units") == ("m" if ending == ".zarr" else original.attrs["units"])
    raw, again = (open_mosaic(each, decode=False) for each in (path, out))
    assert raw.dtype == again.dtype
    np.testing.assert_array_equal(raw, again)
    np.testing.assert_equal(again.rio.nodata, raw.rio.nodata)
    cdb = CraterDatabase(pd.DataFrame({"lat": [10.0, -85.0], "lon": [179.0, 0.0], "r": [3e5, 4e5]}), "moon")
    cdb.add_circles("disc", 1.0)
    found, expected = (each.craters.get_stats(cdb, "disc", "mean count").compute() for each in (same, original))
    np.testing.assert_array_equal(found["count"], expected["count"])
    np.testing.assert_allclose(found["mean"], expected["mean"], rtol=1e-12)


def test_a_copy_has_the_properties_its_format_promises(tmp_path):
    path = make(tmp_path / "dem.tif")
    copy(path, tmp_path / "copy.tif")
    with rasterio.open(tmp_path / "copy.tif") as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert file.tags()["xcrater_run"] == '{"a": 1}'
    copy(path, tmp_path / "copy.zarr")
    with xr.open_zarr(tmp_path / "copy.zarr", consolidated=False, decode_coords="all") as store:
        assert store.attrs["xcrater_run"] == {"a": 1}
        np.testing.assert_array_equal(store["values"][0], open_mosaic(path))
        assert store["values"].chunksizes["y"] == (64, 64, 52)
        assert store["values"].encoding["dtype"] == np.int16
        assert store["values"].rio.crs == open_mosaic(path).rio.crs


@pytest.mark.parametrize("ending", [".tif", ".zarr"])
def test_an_interrupted_copy_resumes_where_it_stopped(ending, tmp_path, monkeypatch):
    monkeypatch.setattr("xcrater.raster.converting.TILE", 32)
    path = make(tmp_path / "dem.tif")
    copy(path, tmp_path / f"whole{ending}", side=32)
    out = tmp_path / f"copy{ending}"
    with pytest.raises(Interrupted):
        copy(path, out, side=32, stop_at=4)
    assert not out.exists()
    assert copy(path, out, side=32) == [4, 5]
    assert files_of(out) == files_of(tmp_path / f"whole{ending}")
    assert not (tmp_path / "unfinished").exists()


def test_a_copy_cannot_be_resumed_with_another_raster(tmp_path):
    path, out = make(tmp_path / "dem.tif"), tmp_path / "copy.zarr"
    with pytest.raises(Interrupted):
        copy(path, out, stop_at=1)
    with pytest.raises(GridError, match="in other chunks"):
        copy(path, out, side=32)
    make(path, scale=2.0)
    with pytest.raises(GridError, match="Remove that directory"):
        copy(path, out)


@pytest.mark.parametrize("damage", ["missing", "flipped", "cut"])
def test_a_damaged_chunk_of_a_store_is_an_error_and_never_a_value(damage, tmp_path):
    path, out = make(tmp_path / "dem.tif"), tmp_path / "copy.zarr"
    copy(path, out)
    chunk = out / "values" / "c" / "0" / "1" / "2"
    content = bytearray(chunk.read_bytes())
    if damage == "missing":
        chunk.unlink()
    else:
        content[len(content) // 2] ^= 1
        chunk.write_bytes(content if damage == "flipped" else content[: len(content) // 2])
    da = open_mosaic(out, {"y": 64, "x": 64})
    np.testing.assert_array_equal(da[:64].values, open_mosaic(path)[:64])
    with pytest.raises(ReadError, match="rows 64 to 128, columns 128 to 192"):
        da.compute()


def test_a_store_replaced_after_it_was_opened_is_an_error(tmp_path):
    path, out = make(tmp_path / "dem.tif"), tmp_path / "copy.zarr"
    copy(path, out)
    da = open_mosaic(out)
    copy(path, out)
    with pytest.raises(ReadError, match="another store"):
        da.compute()
    with pytest.raises(GridError, match="has no overviews"):
        open_mosaic(out, overview_level=0)
