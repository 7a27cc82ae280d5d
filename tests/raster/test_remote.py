"""Files on a server that fails are requested again, and are never taken for missing files."""

from __future__ import annotations

import time
import zipfile

import numpy as np
import pandas as pd
import pytest
import rasterio
import rasterio.env

from tests.raster.flaky_server import flaky_server
from tests.raster.test_many_files import COLUMNS, NUMBERS, SIDE, cut, write
from xcrater import CraterDatabase, open_mosaic
from xcrater.errors import GridError, MissingFilesWarning, ReadError
from xcrater.raster import mosaic, remote
from xcrater.raster.identity import check_unchanged, identity

FAILURES = ("503", "drop")


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setenv("GDAL_HTTP_RETRY_DELAY", "0.01")


def noise(seed=0):
    return np.random.default_rng(seed).integers(1, 255, NUMBERS.shape).astype("u1")


@pytest.fixture
def tiles(tmp_path):
    return cut(tmp_path, noise(), tiled=True, blockxsize=32, blockysize=32)


@pytest.mark.parametrize(("every", "kinds"), [(3, FAILURES), (9, ("half",)), (5, ("503", "half", "drop"))])
def test_a_server_that_fails_every_few_requests(tiles, tmp_path, every, kinds):
    with flaky_server(tmp_path, every, *kinds) as server:
        da = open_mosaic([f"http://127.0.0.1:{server.port}/{path.name}" for path in tiles.values()], chunks=100)
        np.testing.assert_array_equal(da, noise())
    assert server.failures > 20


def test_a_single_file_on_a_failing_server(tmp_path):
    write(tmp_path / "a.tif", noise())
    with flaky_server(tmp_path, 3, *FAILURES) as server:
        for path in ("http://127.0.0.1:{}/a.tif", "/vsicurl/http://127.0.0.1:{}/a.tif"):
            np.testing.assert_array_equal(open_mosaic(path.format(server.port)), noise())


def test_a_failed_request_is_not_remembered_as_an_absent_file(tmp_path):
    write(tmp_path / "a.tif", noise())
    with flaky_server(tmp_path, 1, "drop") as server:
        url = f"http://127.0.0.1:{server.port}/a.tif"
        for _ in range(2):
            before = server.asked()
            with pytest.raises(GridError, match="Empty reply"):
                open_mosaic(url)
            assert server.asked() - before >= remote.ATTEMPTS


@pytest.mark.parametrize("kind", ["503", "drop"])
def test_a_mask_file_is_found_whichever_request_fails(tmp_path, kind):
    mask = noise(1) > 100
    write(tmp_path / "a.tif", noise())
    with rasterio.open(tmp_path / "a.tif", "r+") as file, rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False):
        file.write_mask(mask)
    assert (tmp_path / "a.tif.msk").exists()
    for every in (3, 5, 11):
        with flaky_server(tmp_path, every, kind) as server:
            found = open_mosaic(f"http://127.0.0.1:{server.port}/a.tif").to_numpy()
        np.testing.assert_array_equal(found, np.where(mask, noise(), np.nan))


def test_archives_and_buckets_on_a_failing_server(tiles, tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as file:
        for path in tiles.values():
            file.write(path, path.name)
    names = [path.name for path in tiles.values()]
    with flaky_server(tmp_path, 3, *FAILURES) as server:
        host = f"127.0.0.1:{server.port}"
        options = {"AWS_S3_ENDPOINT": host, "AWS_HTTPS": "NO", "AWS_VIRTUAL_HOSTING": "FALSE"}
        for name, value in (options | {"AWS_NO_SIGN_REQUEST": "YES"}).items():
            monkeypatch.setenv(name, value)
        np.testing.assert_array_equal(
            open_mosaic([f"/vsizip//vsicurl/http://{host}/all.zip/{n}" for n in names]), noise()
        )
        (tmp_path / "bucket").mkdir()
        for path in tiles.values():
            path.rename(tmp_path / "bucket" / path.name)
        for bucket in ("s3://bucket", "/vsis3/bucket"):
            np.testing.assert_array_equal(open_mosaic([f"{bucket}/{name}" for name in names]), noise())


def test_absent_files_are_missing_and_a_server_that_is_down_is_an_error(tiles, tmp_path):
    cdb = CraterDatabase(pd.DataFrame({"lat": [75.0], "lon": [-150.0], "radius_km": [100.0]}), "moon", units="km")
    cdb.data = cdb.data.set_axis(["Abel"])
    cdb.add_annuli("rim", 0.5, 1.5, nvert=None)
    tiles[2, 5].unlink()
    with flaky_server(tmp_path, 3, *FAILURES) as server:
        urls = [f"http://127.0.0.1:{server.port}/{path.name}" for path in tiles.values()]
        with pytest.warns(MissingFilesWarning, match=r"1 of the 18 files .* such as 'http.*tile_2_5\.tif'"):
            da = open_mosaic(urls)
        found = da.to_numpy()
        assert np.isnan(found[-SIDE:, COLUMNS - SIDE :]).all()
        np.testing.assert_array_equal(found[:-SIDE], noise()[:-SIDE])
    remote._forget(urls[0])  # drop the pixels that GDAL has cached
    start = time.perf_counter()
    with pytest.raises(ReadError, match=r"of 'http.*tile_0_0\.tif': .*Craters that need these pixels: Abel"):
        cdb.get_stats(da, "rim", "mean")
    assert time.perf_counter() - start < 20


def test_gdal_options_of_the_user_take_precedence(monkeypatch):
    def seen():
        return [rasterio.env.get_gdal_config(name) for name in ("GDAL_HTTP_MAX_RETRY", "GDAL_HTTP_CONNECTTIMEOUT")]

    assert remote.patiently("https://example.org/a.tif", seen) == [4, 30]
    assert remote.patiently("a.tif", seen) == [None, None]
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    assert remote.patiently("s3://bucket/a.tif", seen) == [0, 30]
    with rasterio.Env(GDAL_HTTP_CONNECTTIMEOUT=7):
        assert remote.patiently("/vsis3/bucket/a.tif", seen) == [0, 7]
    assert seen() == [0, None]


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("https://a.org/b.tif", "/vsicurl/https://a.org/b.tif"),
        ("s3://a/b.tif", "/vsis3/a/b.tif"),
        ("zip+https://a.org/b.zip!c.tif", "/vsicurl/https://a.org/b.zip"),
        ("/vsizip//vsicurl/http://a.org/b.zip/c.tif", "/vsicurl/http://a.org/b.zip"),
    ],
)
def test_the_path_that_gdal_is_told_to_forget(path, known):
    assert remote._of_gdal(path) == known


@pytest.mark.parametrize("path", ["http://127.0.0.1:{}/a.tif", "/vsizip//vsicurl/http://127.0.0.1:{}/a.zip/a.tif"])
def test_a_file_that_changes_on_its_server_gets_new_task_names(tmp_path, path):
    def put(seed):
        write(tmp_path / "a.tif", noise(seed))
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.write(tmp_path / "a.tif", "a.tif")

    put(0)
    with flaky_server(tmp_path, 3, *FAILURES) as server:
        url = path.format(server.port)
        first, again = open_mosaic(url), open_mosaic(url)
        assert first.data.name == again.data.name
        put(1)
        assert open_mosaic(url).data.name != first.data.name
        about = mosaic.describe_raster(again)
        assert about["server"][-1].startswith("ETag: ")


@pytest.mark.parametrize(
    ("path", "side"), [("s3://bucket/a.tif", 300), ("/vsizip//vsis3/bucket/a.zip/a.tif", 300), ("s3://bucket/a.tif", 8)]
)
def test_an_object_that_changes_in_its_store_is_detected(path, side, tmp_path, monkeypatch):
    def put(seed):
        write(tmp_path / "bucket" / "a.tif", noise(seed)[:side, :side])
        with zipfile.ZipFile(tmp_path / "bucket" / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(tmp_path / "bucket" / "a.tif", "a.tif")

    (tmp_path / "bucket").mkdir()
    put(0)
    with flaky_server(tmp_path, 3, "503") as server:
        monkeypatch.setenv("AWS_S3_ENDPOINT", f"127.0.0.1:{server.port}")
        for name, value in {"HTTPS": "NO", "VIRTUAL_HOSTING": "FALSE", "NO_SIGN_REQUEST": "YES"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        da = open_mosaic(path)
        known = identity(da)
        assert [text.partition(":")[0] for text in known[0][1:]] == ["First bytes", "Last block"]
        np.testing.assert_array_equal(da, noise()[:side, :side])
        check_unchanged([da], [known])
        put(1)
        with pytest.raises(ReadError, match="has been changed"):
            check_unchanged([da], [known])
        assert identity(open_mosaic(path)) != known


def test_headers_that_a_server_does_not_send_are_left_out(tmp_path, monkeypatch):
    assert remote.told_by_server(str(tmp_path / "a.tif")) == ()
    with flaky_server(tmp_path, 1, "drop") as server:
        assert remote.told_by_server(f"http://127.0.0.1:{server.port}/a.tif") == ()
        monkeypatch.setenv("AWS_S3_ENDPOINT", f"127.0.0.1:{server.port}")
        monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
        monkeypatch.setenv("AWS_HTTPS", "NO")
        assert remote.told_by_server("s3://bucket/a.tif") == ()
