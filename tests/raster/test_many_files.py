"""Many files as one raster: their positions, missing values and overlaps, and errors when they do not fit together."""

from __future__ import annotations

import os
import pickle
import re
import shlex
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor

import click.testing
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import rasterio.shutil
import rasterio.vrt
import rioxarray
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from tests.helpers import raise_if_dask_computes
from xcrater import CraterDatabase, open_mosaic
from xcrater.cli import cli
from xcrater.errors import BlocksWarning, GridError, MissingFilesWarning, ReadError
from xcrater.raster import headers, many_files, mosaic
from xcrater.raster.sources import Sources, sources_of

ROWS, COLUMNS, SIDE = 192, 384, 64
STEP = 360 / COLUMNS
NUMBERS = (np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) * 7 % 251 + 1).astype("u1")


def write(path, numbers, top=0, left=0, **profile):
    """Write a file whose first pixel is at this row and column of the whole map."""
    options = {"driver": "GTiff", "crs": "IAU_2015:30100", "dtype": numbers.dtype, "nodata": None} | profile
    options.setdefault("transform", Affine(STEP, 0, -180 + left * STEP, 0, -STEP, 90 - top * STEP))
    scale, offset = options.pop("scale", 1.0), options.pop("offset", 0.0)
    numbers = numbers.reshape(-1, *numbers.shape[-2:])
    shape = dict(zip(("count", "height", "width"), numbers.shape))
    with rasterio.open(path, "w", **shape, **options) as file:
        file.write(numbers)
        file.scales, file.offsets = (scale,) * len(numbers), (offset,) * len(numbers)
    return path


def cut(folder, numbers=NUMBERS, side=SIDE, **profile):
    """Write a map as square tiles, and return their paths by row and column of the tile."""
    return {
        (i, j): write(folder / f"tile_{i}_{j}.tif", numbers[top : top + side, left : left + side], top, left, **profile)
        for i, top in enumerate(range(0, ROWS, side))
        for j, left in enumerate(range(0, COLUMNS, side))
    }


@pytest.fixture
def tiles(tmp_path):
    return cut(tmp_path)


@pytest.fixture
def whole(tmp_path):
    return write(tmp_path / "whole.tif", NUMBERS, tiled=True, blockxsize=64, blockysize=64)


@pytest.fixture
def cdb():
    """Craters on two tiles, on four, across the antimeridian, and on a single tile."""
    places = {"lat": [60.0, 30.0, -10.0, -60.0], "lon": [-120.0, 0.0, 180.0, -90.0]}
    made = CraterDatabase(pd.DataFrame({**places, "radius_km": [300.0, 400.0, 350.0, 100.0]}), "moon", units="km")
    made.data = made.data.set_axis(["Abel", "Baco", "Cook", "Dove"])
    made.add_annuli("rim", 0.5, 1.5, nvert=None)
    return made


def stats(da, cdb):
    return da.craters.get_stats(cdb, "rim", "count mean min max median nodata").compute()


def test_tiles_equal_the_whole_map(tiles, whole, cdb):
    with raise_if_dask_computes():
        da = open_mosaic(list(tiles.values()))
    assert (da.shape, da.dims, da.dtype, da.rio.crs.to_string()) == (NUMBERS.shape, ("y", "x"), "u1", "IAU_2015:30100")
    np.testing.assert_array_equal(da, NUMBERS)
    one = open_mosaic(whole)
    np.testing.assert_allclose(da.x, one.x, atol=1e-9)
    np.testing.assert_allclose(da.y, one.y, atol=1e-9)
    assert stats(da, cdb).equals(stats(one, cdb))


@pytest.mark.parametrize("chunks", ["auto", None, 50, {"y": 64, "x": 100}])
@pytest.mark.parametrize("key", [np.s_[60:70, 60:200:3], np.s_[5], np.s_[::-50, -1], np.s_[[1, 100], 3]], ids=str)
def test_any_slice_in_any_chunks(tiles, chunks, key):
    np.testing.assert_array_equal(open_mosaic(tiles.values(), chunks)[key], NUMBERS[key])


class TestWaysToNameFiles:
    """The ways of naming many files."""

    def test_a_pattern(self, tiles, tmp_path):
        np.testing.assert_array_equal(open_mosaic(tmp_path / "tile_*.tif"), NUMBERS)
        with pytest.raises(FileNotFoundError, match=r"no file matches 'none_\*\.tif'"):
            open_mosaic("none_*.tif")

    def test_a_file_whose_name_looks_like_a_pattern(self, tmp_path):
        path = write(tmp_path / "a[1].tif", NUMBERS)
        np.testing.assert_array_equal(open_mosaic(path), NUMBERS)

    @pytest.mark.parametrize(
        "path", ["https://a.org/b.tif?key=*", "/vsicurl/https://a.org/b.tif?key", "s3://a/b[1].tif", "/vsis3/a/b*.tif"]
    )
    def test_patterns_apply_to_local_files_only(self, path):
        assert sources_of(path) is None

    @pytest.mark.parametrize("absolute", [True, False])
    def test_a_text_file(self, tiles, tmp_path, absolute):
        lines = (str(path) if absolute else path.name for path in tiles.values())
        (tmp_path / "tiles.txt").write_text("\n".join(lines) + "\n\n")
        np.testing.assert_array_equal(open_mosaic(tmp_path / "tiles.txt"), NUMBERS)

    @pytest.mark.parametrize("name", ["index.gpkg", "index.shp", "index.geojson", "index.gti.gpkg"])
    def test_a_tile_index(self, tiles, tmp_path, name):
        index = gpd.GeoDataFrame({"location": [path.name for path in tiles.values()]})
        index = index.set_geometry([box(j, -i, j + 1, 1 - i) for i, j in tiles], crs="IAU_2015:30100")
        index.to_file(tmp_path / name)
        np.testing.assert_array_equal(open_mosaic(tmp_path / name), NUMBERS)
        np.testing.assert_array_equal(open_mosaic(f"GTI:{tmp_path / name}"), NUMBERS)
        tiles[1, 1].write_bytes(b"no raster")  # GDAL's own index reader silently gives nodata here.
        with pytest.raises(GridError, match=r"tile_1_1\.tif' as a raster"):
            open_mosaic(tmp_path / name)

    def test_an_index_without_locations(self, tmp_path):
        gpd.GeoDataFrame({"file": ["a"]}, geometry=[box(0, 0, 1, 1)], crs=4326).to_file(tmp_path / "index.gpkg")
        with pytest.raises(GridError, match=r"columns are \['file'\]; expected an index .* the column 'location'"):
            open_mosaic(tmp_path / "index.gpkg")

    def test_archives(self, tiles, tmp_path):
        for (i, j), path in tiles.items():
            with zipfile.ZipFile(tmp_path / f"{i}.zip", "a") as file:
                file.write(path, f"in/{j}.tif")
                file.writestr(f"in/{j}.txt", "label")
        da = open_mosaic(f"/vsizip/{tmp_path}/*.zip/in/*.tif")
        np.testing.assert_array_equal(da, NUMBERS)
        (tmp_path / "1.zip").write_bytes((tmp_path / "0.zip").read_bytes())
        with pytest.raises(ReadError, match=r"1\.zip/in/\d\.tif': the file has been changed"):
            da.compute()

        with zipfile.ZipFile(tmp_path / "1.zip", "w") as file:
            file.write(tiles[1, 0], "in/0.tif")
        members = [f"/vsizip/{tmp_path}/1.zip/in/{j}.tif" for j in range(2)]
        with pytest.warns(MissingFilesWarning, match=r"1 of the 2 files .* such as '.*1\.zip/in/1\.tif'"):
            np.testing.assert_array_equal(open_mosaic(members), NUMBERS[SIDE : 2 * SIDE, :SIDE])

    def test_an_index_that_only_gdal_can_read_is_refused(self, tiles, tmp_path):
        index = gpd.GeoDataFrame({"location": [str(path) for path in tiles.values()]})
        index = index.set_geometry([box(j, -i, j + 1, 1 - i) for i, j in tiles], crs="IAU_2015:30100")
        index.to_file(tmp_path / "index.gpkg")
        text = "<GDALTileIndexDataset><IndexDataset>index.gpkg</IndexDataset></GDALTileIndexDataset>"
        (tmp_path / "index.gti").write_text(text.replace("index.gpkg", f"{tmp_path}/index.gpkg"))
        with pytest.raises(GridError, match=r"takes tiles that it cannot read for missing.*Give the table"):
            open_mosaic(tmp_path / "index.gti")

    def test_a_directory(self, tiles, tmp_path):
        with pytest.raises(GridError, match=r"received the directory .*a pattern for many: (.*)$") as caught:
            open_mosaic(tmp_path)
        (line,) = re.findall(r"xcrater\.open_mosaic\('(.*)'\)", str(caught.value))
        np.testing.assert_array_equal(open_mosaic(line), NUMBERS)

    def test_a_list_of_one_file(self, whole):
        np.testing.assert_array_equal(open_mosaic([whole]), NUMBERS)

    def test_an_empty_list_or_other_objects_are_refused(self):
        with pytest.raises(GridError, match="received an empty list of files; expected"):
            open_mosaic([])
        with pytest.raises(GridError, match="received an object of type int among the files"):
            open_mosaic([3])

    def test_cdb_get_stats_takes_patterns_and_indexes(self, tiles, tmp_path, cdb):
        found = cdb.get_stats(f"{tmp_path}/tile_*.tif", "rim", "mean")
        pd.testing.assert_frame_equal(found, cdb.get_stats(open_mosaic(tiles.values()), "rim", "mean"))


class TestPixelsInNoFile:
    """Pixels that no file covers."""

    def test_uncovered_pixels_are_nodata_if_it_is_declared(self, tmp_path, cdb):
        tiles = cut(tmp_path, nodata=0)
        gone = np.zeros(NUMBERS.shape, bool)
        for i, j in [(1, 2), (0, 0), (2, 5)]:
            tiles.pop((i, j))
            gone[i * SIDE : (i + 1) * SIDE, j * SIDE : (j + 1) * SIDE] = True
        da = open_mosaic(tiles.values(), chunks=100)
        assert (da.dtype, da.rio.nodata) == ("u1", 0)
        np.testing.assert_array_equal(da, np.where(gone, 0, NUMBERS))
        filled = write(tmp_path / "whole.tif", np.where(gone, 0, NUMBERS).astype("u1"), nodata=0)
        assert stats(da, cdb).equals(stats(open_mosaic(filled), cdb))
        assert stats(open_mosaic(tiles.values(), decode=False), cdb).equals(stats(open_mosaic(filled), cdb))

    def test_uncovered_pixels_are_nan_if_no_nodata_is_declared(self, tiles, cdb):
        tiles.pop((1, 2))
        da = open_mosaic(tiles.values())
        expected = NUMBERS.astype("f4")
        expected[SIDE : 2 * SIDE, 2 * SIDE : 3 * SIDE] = np.nan
        assert da.dtype == "f4"
        np.testing.assert_array_equal(da, expected)
        assert stats(da, cdb)["mean"].notnull().all()
        with pytest.raises(GridError, match=r"Open them as values: da = xcrater\.open_mosaic\(paths\)"):
            open_mosaic(tiles.values(), decode=False)

    @pytest.mark.parametrize("nodata", [None, -9999.0, np.nan])
    @pytest.mark.parametrize("scale", [1.0, 0.5])
    def test_uncovered_pixels_of_floats_are_nan(self, tmp_path, nodata, scale):
        tiles = cut(tmp_path, NUMBERS.astype("f4"), nodata=nodata, scale=scale)
        tiles.pop((0, 1))
        da = open_mosaic(tiles.values(), chunks=90)
        expected = np.where(np.arange(COLUMNS) // SIDE == 1, np.nan, NUMBERS[:SIDE] * scale)
        np.testing.assert_array_equal(da[:SIDE], expected)

    def test_a_file_that_does_not_exist_is_reported(self, tiles):
        os.remove(tiles[0, 0])
        with pytest.warns(MissingFilesWarning, match=r"1 of the 18 files .* such as '.*tile_0_0\.tif'") as caught:
            da = open_mosaic(tiles.values())
        assert caught[0].filename == __file__
        assert np.isnan(da[:SIDE, :SIDE]).all()
        with pytest.raises(FileNotFoundError, match="there is no raster file"):
            open_mosaic(["absent.tif", "gone.tif"])


class TestOverlaps:
    """Files that overlap."""

    def test_the_last_file_with_a_value_counts(self, tmp_path):
        below = write(tmp_path / "a.tif", np.full((60, 60), 1, "u1"), 10, 10, nodata=0)
        above = np.full((60, 60), 2, "u1")
        above[:40, :40] = 0
        above = write(tmp_path / "b.tif", above, 30, 30, nodata=0)
        expected = np.zeros((80, 80), "u1")
        expected[:60, :60] = 1
        expected[60:, 20:60] = expected[20:, 60:] = expected[60:, 60:] = 2
        expected[20:60, 60:], expected[60:, 20:60] = 0, 0
        expected[60:, 60:] = 2
        with rasterio.open(above) as file:
            top = file.read(1)
        expected[20:, 20:] = np.where(top == 0, expected[20:, 20:], top)
        for chunks in (None, 7, 50):
            np.testing.assert_array_equal(open_mosaic([below, above], chunks), expected)

    @settings(max_examples=15, deadline=None)
    @given(data=st.data())
    def test_random_positions_and_chunks(self, tmp_path_factory, data):
        folder = tmp_path_factory.mktemp("random")
        draw = data.draw
        places = draw(
            st.lists(st.tuples(*(st.integers(0, 40),) * 2, *(st.integers(1, 30),) * 2), min_size=1, max_size=6)
        )
        nodata = draw(st.sampled_from([(None,), (0,), (0, 255), (0, None)]))
        expected, paths = np.full((80, 80), np.nan), []
        for n, (top, left, height, width) in enumerate(places):
            numbers = np.random.default_rng(n).choice(np.array([0, 3, 200, 255], "u1"), (height, width))
            own = nodata[n % len(nodata)]
            paths.append(write(folder / f"{n}.tif", numbers, top, left, nodata=own))
            part = expected[top : top + height, left : left + width]
            np.copyto(part, numbers, where=(numbers != own) if own is not None else True)
        tops, lefts, heights, widths = np.array(places).T
        expected = expected[tops.min() : (tops + heights).max(), lefts.min() : (lefts + widths).max()]
        da = open_mosaic(paths, draw(st.sampled_from(["auto", 7, 33])))
        found = da.astype(float).where(da != da.rio.nodata if da.dtype == "u1" and da.rio.nodata is not None else True)
        np.testing.assert_array_equal(found, expected)


class TestFilesThatDiffer:
    """Files that differ in their declarations, and files that cannot be joined."""

    def test_files_with_different_nodata_and_scale_are_each_decoded(self, tmp_path, cdb):
        tiles = cut(tmp_path)
        stored = NUMBERS[:SIDE, :SIDE]
        write(tiles[0, 0], stored, nodata=7)
        write(tiles[0, 1], NUMBERS[:SIDE, SIDE : 2 * SIDE], 0, SIDE, nodata=9, scale=0.1, offset=3.0)
        expected = NUMBERS.astype(float)
        expected[:SIDE, :SIDE][stored == 7] = np.nan
        part = expected[:SIDE, SIDE : 2 * SIDE]
        part[...] = np.where(part == 9, np.nan, part * 0.1 + 3.0)
        da = open_mosaic(tiles.values(), chunks=100)
        np.testing.assert_array_equal(da, expected)
        plain = write(tmp_path / "plain.tif", expected)
        for name, found in stats(da, cdb).data_vars.items():
            np.testing.assert_allclose(found, stats(open_mosaic(plain), cdb)[name], rtol=1e-12)
        with pytest.raises(GridError, match="they differ in scale or offset"):
            open_mosaic(tiles.values(), decode=False)

    def test_files_with_one_scale_are_summed_from_stored_numbers(self, tmp_path, cdb):
        tiles = cut(tmp_path, nodata=5, scale=0.25, offset=-3.0)
        da = open_mosaic(tiles.values())
        np.testing.assert_array_equal(da, np.where(NUMBERS == 5, np.nan, NUMBERS * 0.25 - 3.0))
        assert mosaic.stored_numbers(da).dtype == "u1"
        whole = open_mosaic(write(tmp_path / "whole.tif", NUMBERS, nodata=5, scale=0.25, offset=-3.0))
        assert stats(da, cdb).equals(stats(whole, cdb))

    def test_files_with_masks_and_several_bands(self, tmp_path):
        bands = np.stack([NUMBERS, NUMBERS[::-1]])
        paths = []
        for j, left in enumerate((0, COLUMNS // 2)):
            part = bands[:, :, left : left + COLUMNS // 2]
            paths.append(write(tmp_path / f"{j}.tif", part, 0, left))
            if j:
                with rasterio.open(paths[-1], "r+") as file:
                    file.write_mask(part[0] > 100)
        expected = bands.astype("f4")
        right = expected[:, :, COLUMNS // 2 :]
        right[:, right[0] <= 100] = np.nan
        da = open_mosaic(paths, chunks=100)
        assert da.dims == ("band", "y", "x")
        np.testing.assert_array_equal(da, expected)

    def refused(self, paths, pattern):
        with pytest.raises(GridError, match=pattern) as caught:
            open_mosaic(paths)
        return str(caught.value)

    def test_files_in_different_crs_are_refused_by_name_and_the_advice_helps(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        a = write(tmp_path / "a.tif", NUMBERS[:64, :64], 64, 128)
        plane = Affine(2e3, 0, 0, 0, -2e3, 0)
        b = write(tmp_path / "b.tif", NUMBERS[:64, :64], crs="IAU_2015:30110", transform=plane)
        message = self.refused([a, b], r"the CRS of '.*b\.tif' is '.*', that of '.*a\.tif' is '.*'; expected one CRS")
        run_advice(message, r"da = rioxarray.*")
        with rasterio.open("reprojected.tif") as file:
            assert file.crs == rasterio.open(a).crs

    def test_files_with_one_crs_written_differently_are_joined(self, tmp_path):
        a = write(tmp_path / "a.tif", NUMBERS[:, :64])
        b = write(
            tmp_path / "b.tif", NUMBERS[:, 64:], 0, 64, crs=rasterio.CRS.from_user_input("IAU_2015:30100").to_wkt()
        )
        np.testing.assert_array_equal(open_mosaic([a, b]), NUMBERS)

    @pytest.mark.parametrize("narrow", ["a.tif", "b.tif"])
    def test_files_of_different_dtypes_are_refused_and_the_advice_helps(self, tmp_path, monkeypatch, narrow):
        monkeypatch.chdir(tmp_path)
        kinds = {name: "u1" if name == narrow else "i2" for name in ("a.tif", "b.tif")}
        a = write(tmp_path / "a.tif", NUMBERS[:, :64].astype(kinds["a.tif"]))
        b = write(tmp_path / "b.tif", NUMBERS[:, 64:].astype(kinds["b.tif"]), 0, 64)
        message = self.refused(
            [a, b], r"bands of '.*b\.tif' are u?int.*, those of '.*a\.tif' are .*; expected the same"
        )
        run_advice(message, r"da = rioxarray.*")
        np.testing.assert_array_equal(open_mosaic([{a: b, b: a}[tmp_path / narrow], "converted.tif"]), NUMBERS)

    def test_files_with_different_numbers_of_bands_are_refused_and_the_advice_helps(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        a = write(tmp_path / "a.tif", NUMBERS[:, :64])
        b = write(tmp_path / "b.tif", np.stack([NUMBERS[:, 64:]] * 3), 0, 64)
        message = self.refused([a, b], r"'.*b\.tif' has 3 bands, '.*a\.tif' has 1; expected as many in all files")
        run_advice(message, r"da = rioxarray.*")
        np.testing.assert_array_equal(open_mosaic([a, "bands.tif"]), NUMBERS)

    @pytest.mark.parametrize("change", ["half a pixel", "other pixels"])
    def test_files_off_the_common_grid_are_refused_and_the_advice_helps(self, tmp_path, monkeypatch, change):
        monkeypatch.chdir(tmp_path)
        a = write(tmp_path / "a.tif", NUMBERS[:, :64])
        place, size = (64.4, STEP) if change == "half a pixel" else (64, 2 * STEP)
        transform = Affine(size, 0, -180 + place * STEP, 0, -size, 90)
        b = write(tmp_path / "b.tif", NUMBERS[:96, 64:128], transform=transform)
        message = self.refused([a, b], r"the pixels of '.*b\.tif', .* off the grid of '.*a\.tif'.*share one grid")
        run_advice(message, r"da = rioxarray.*")
        assert open_mosaic([a, "resampled.tif"]).sizes["x"] > 100

    def test_files_off_the_grid_by_rounding_are_joined(self, tmp_path):
        a = write(tmp_path / "a.tif", NUMBERS[:, :64])
        transform = Affine(STEP * (1 + 1e-9), 0, -180 + 64 * STEP + 1e-6, 0, -STEP, 90 - 1e-6)
        b = write(tmp_path / "b.tif", NUMBERS[:, 64:], transform=transform)
        np.testing.assert_array_equal(open_mosaic([b, a]), NUMBERS)

    def test_files_more_than_a_turn_apart_are_refused_and_the_advice_helps(self, tmp_path):
        a, b = write(tmp_path / "a.tif", NUMBERS[:, :64]), write(tmp_path / "b.tif", NUMBERS[:, 64:], 0, 64 + COLUMNS)
        message = self.refused([a, b], r"the files span 7\d\d° of longitude; expected at most one turn\. Move")
        run_advice(message, r"with rasterio.*")
        np.testing.assert_array_equal(open_mosaic([a, b]), NUMBERS)

    def test_files_without_a_geotransform_are_refused_and_the_advice_helps(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        a = write(tmp_path / "a.tif", NUMBERS[:, :64])
        place = Affine(STEP, 0, -180 + 64 * STEP, 0, -STEP, 90)
        with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
            b = write(tmp_path / "b.tif", NUMBERS[:, 64:], transform=Affine.identity())
        message = self.refused([a, b], r"the geotransform of '.*b\.tif' is not declared")
        run_advice(message.replace("Affine(...)", f"Affine{tuple(place)[:6]}"), r"with rasterio.*")
        np.testing.assert_array_equal(open_mosaic([a, b]), NUMBERS)
        write(b, NUMBERS[:, 64:], transform=Affine(STEP, 0.01, -120, 0.01, -STEP, 90))
        message = self.refused([a, b], r"the geotransform of '.*b\.tif' is rotated")
        with pytest.warns(UserWarning, match="rotation found"):
            run_advice(message, r"da = rioxarray.*")
        assert open_mosaic("north_up.tif").rio.transform().b == 0


def run_advice(message, pattern):
    """Execute the line that an error tells the user to type."""
    (line,) = re.findall(pattern, message)
    exec(line, {"rasterio": rasterio, "rioxarray": rioxarray})


class TestUnreadableFiles:
    """Files that cannot be read, or that changed."""

    def test_unreadable_files_are_named_with_the_craters_that_need_them(self, tmp_path, cdb):
        tiles = cut(tmp_path, compress="deflate")
        content = bytearray(tiles[0, 0].read_bytes())
        content[300:900] = bytes(600)
        tiles[0, 0].write_bytes(content)
        da = open_mosaic(tiles.values())
        with pytest.raises(
            ReadError, match=r"cannot read rows 0 to 64, columns 0 to 64 of band 1 of '.*tile_0_0\.tif'"
        ):
            stats(da, cdb)
        with pytest.raises(ReadError, match=r"tile_0_0\.tif'.*Craters that need these pixels: Abel") as caught:
            cdb.get_stats(da, "rim", "mean")
        assert caught.value.path == str(tiles[0, 0])
        with pytest.raises(ReadError, match=r"tile_0_0\.tif'.*Craters that need these pixels: Abel"):
            da.craters.get_arrays(cdb, "rim").compute()
        assert da[SIDE:].mean() > 0  # undamaged tiles can still be read

    @pytest.mark.parametrize("change", ["other pixels", "no file", "another file"])
    def test_a_changed_file_is_refused(self, tiles, cdb, change):
        result = open_mosaic(tiles.values()).craters.get_stats(cdb, "rim", "mean")
        if change == "no file":
            os.remove(tiles[1, 2])
        else:
            write(tiles[1, 2], NUMBERS[:SIDE, : SIDE if change == "other pixels" else 9], SIDE, 2 * SIDE)
        with pytest.raises(ReadError, match=r"tile_1_2\.tif': the file has been changed, replaced or removed"):
            result.compute()

    def test_pixels_and_errors_can_be_pickled(self, tiles):
        paths = [str(path) for path in tiles.values()]
        pixels = pickle.loads(pickle.dumps(many_files.join(Sources(paths, "moon"), None, 1).pixels))
        np.testing.assert_array_equal(pixels.read((0, 1), (60, 70), (0, COLUMNS))[0], NUMBERS[60:70])
        os.remove(tiles[1, 2])
        with pytest.raises(ReadError, match=r"tile_1_2\.tif") as caught:
            pixels.read((0, 1), (60, 70), (0, COLUMNS))
        again = pickle.loads(pickle.dumps(caught.value))
        wanted = (str(tiles[1, 2]), "moon", (SIDE, 70, 2 * SIDE, 3 * SIDE))
        assert (str(again), again.path, again.raster, again.window) == (str(caught.value), *wanted)


class TestChunks:
    """Default chunks of many files."""

    def test_chunks_begin_where_files_do(self, tiles, monkeypatch):
        monkeypatch.setattr(mosaic, "TARGET_PIXELS", SIDE**2)
        assert open_mosaic(tiles.values()).chunks == (3 * (SIDE,), 6 * (SIDE,))

    @pytest.mark.parametrize(
        ("edges", "step", "chunks"),
        [
            ([0, 47420, 94840], 4096, (11 * (4096,) + (2364,)) * 2),
            ([0, 5, 10, 15, 20], 10, (10, 10)),
            ([0, 100, 103, 200], 50, (50, 50, 50, 50)),
            ([0, 1], 10, (1,)),
            ([0, 12], 10, (12,)),
        ],
    )
    def test_chunks_are_close_to_the_target_size(self, edges, step, chunks):
        assert many_files._cut(edges, step) == chunks

    def test_equal_names_mean_equal_pixels(self, tiles):
        paths = list(tiles.values())
        assert open_mosaic(paths).data.name == open_mosaic(paths).data.name
        assert open_mosaic(paths).data.name != open_mosaic(paths[::-1]).data.name
        before = open_mosaic(paths).data.name
        write(paths[0], NUMBERS[:SIDE, :SIDE], nodata=1)
        assert open_mosaic(paths).data.name != before


class TestOverviews:
    """Overviews of one file and of many."""

    @pytest.fixture
    def coarse(self, tiles):
        for path in tiles.values():
            with rasterio.open(path, "r+") as file:
                file.build_overviews([2, 4], rasterio.enums.Resampling.nearest)
        return list(tiles.values())

    @pytest.mark.parametrize(
        ("options", "factor"),
        [
            ({"overview_level": 1}, 4),
            ({"resolution": 4 * STEP}, 4),
            ({"resolution": 3.9 * STEP}, 2),
            ({"resolution": STEP / 2}, 1),
        ],
    )
    def test_overviews_of_one_file_and_of_many(self, coarse, cdb, options, factor):
        for paths, height, width in ((coarse, ROWS, COLUMNS), (coarse[0], SIDE, SIDE)):
            da = open_mosaic(paths, **options)
            assert da.shape == (height // factor, width // factor)
            assert np.isclose(da.rio.resolution()[0], STEP * factor)
            np.testing.assert_allclose(da.rio.bounds(), open_mosaic(paths).rio.bounds())
        whole = open_mosaic(coarse, **options)
        for n, path in enumerate(coarse):
            with rasterio.open(path, **({"overview_level": {2: 0, 4: 1}[factor]} if factor > 1 else {})) as file:
                part, side = file.read(1), SIDE // factor
            i, j = divmod(n, COLUMNS // SIDE)
            np.testing.assert_array_equal(whole[i * side : (i + 1) * side, j * side : (j + 1) * side], part)
        assert stats(whole, cdb)["mean"].notnull().all()

    def test_overviews_keep_nodata_and_scale(self, tmp_path):
        path = write(tmp_path / "a.tif", NUMBERS, nodata=5, scale=0.5)
        with rasterio.open(path, "r+") as file:
            file.build_overviews([2], rasterio.enums.Resampling.nearest)
        with rasterio.open(path, overview_level=0) as file:
            stored = file.read(1)
        assert (stored == 5).any()
        expected = np.where(stored == 5, np.nan, stored * 0.5)
        for paths in (path, [path]):
            np.testing.assert_array_equal(open_mosaic(paths, overview_level=0), expected)
        with rasterio.open(path, overview_level=0) as file:
            np.testing.assert_array_equal(open_mosaic(file), expected)

    def test_missing_overviews_are_refused_and_the_advice_helps(self, coarse, whole):
        with pytest.raises(GridError, match=r"received overview_level=2; .* are 0 \(by 2\), 1 \(by 4\)\."):
            open_mosaic(coarse, overview_level=2)
        with pytest.raises(GridError, match=r"the overviews of '.*whole\.tif' are none\. Make some") as caught:
            open_mosaic(whole, overview_level=0)
        run_advice(str(caught.value), r"with rasterio.*")
        assert open_mosaic(whole, overview_level=1).shape == (ROWS // 4, COLUMNS // 4)

    def test_impossible_levels_and_resolutions_are_refused(self, whole):
        for options in ({"overview_level": -1}, {"overview_level": 0.5}, {"resolution": 0.0}, {"resolution": "fine"}):
            with pytest.raises(GridError, match=f"received {next(iter(options))}="):
                open_mosaic(whole, **options)
        with pytest.raises(GridError, match="expected one of them"):
            open_mosaic(whole, overview_level=0, resolution=1.0)
        advice = r"open_mosaic\(rasterio\.open\(path, overview_level=0\)\)"
        with (
            rasterio.open(whole) as file,
            rasterio.vrt.WarpedVRT(file) as warped,
            pytest.raises(GridError, match=advice),
        ):
            open_mosaic(warped, overview_level=0)


class TestLargeBlocks:
    """Files stored in blocks so large that reading a crater decodes far too much."""

    def test_large_blocks_are_reported_and_the_advice_helps(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(headers, "LARGE_BLOCK", 600 * 600)
        numbers = np.tile(NUMBERS, (4, 2))
        place = Affine(0.1, 0, 0, 0, -0.1, 90)
        paths = [
            write(tmp_path / name, numbers, blockysize=len(numbers), compress="deflate", transform=place)
            for name in ("a.tif", "b.tif")
        ]
        with pytest.warns(BlocksWarning, match=r"'.*a\.tif' is stored in blocks of 768 x 768 pixels") as caught:
            open_mosaic(paths[0])
        assert caught[0].filename == __file__
        with pytest.warns(BlocksWarning, match=r"'.*a\.tif' and 1 more files are stored in blocks") as caught:
            open_mosaic(paths)
        assert caught[0].filename == __file__
        advice = re.search(r"xcrater convert (.*)", str(caught[0].message))
        done = click.testing.CliRunner().invoke(cli, ["convert", *shlex.split(advice[1]), "--quiet"])
        assert done.exit_code == 0, done.output
        np.testing.assert_array_equal(open_mosaic("tiled.tif"), numbers)


def test_threads_that_open_files_leave_warning_filters_alone(tmp_path):
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        path = write(tmp_path / "a.tif", NUMBERS, transform=Affine.identity())
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(headers.read_header, [str(path)] * 200, [None] * 200))) == 200
    assert warnings.filters == before


class TestChunksThatStraddleBlocks:
    """Files of 50 rows and columns, in tiles of 16 or in strips."""

    @pytest.fixture
    def place(self, tmp_path, monkeypatch):
        monkeypatch.setattr(mosaic, "SMALL", 0)
        monkeypatch.chdir(tmp_path)
        return tmp_path

    @staticmethod
    def block_warnings(da):
        cdb = CraterDatabase(pd.DataFrame({"lat": [80.0], "lon": [5.0], "radius": [50e3]}), "moon")
        cdb.add_circles("disc")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            da.craters.get_stats(cdb, "disc", "mean")
        return [w for w in caught if w.category is BlocksWarning]

    def put(self, place, **layout):
        for n in range(2):
            transform = Affine(0.2, 0, 10 * n, 0, -0.2, 90)
            write(place / f"part-{n}.tif", NUMBERS[:50, :50], transform=transform, **layout)

    def test_chunks_that_straddle_tiles_are_reported(self, place):
        self.put(place, tiled=True, blockxsize=16, blockysize=16)
        assert not self.block_warnings(open_mosaic("part-*.tif"))
        (warning,) = self.block_warnings(open_mosaic("part-*.tif", {"y": 10, "x": 50}))
        # Rows 0-10, …, 40-50 read 16, 32, 16, 32 and 18 rows.
        assert f"decoded {114 / 50:.1f} times" in str(warning.message)
        assert "blocks of up to 16 x 16" in str(warning.message)
        assert warning.filename == __file__

    def test_chunks_that_straddle_strips_are_reported_and_the_advice_helps(self, place):
        self.put(place, blockysize=50)
        (warning,) = self.block_warnings(open_mosaic("part-*.tif", {"y": 50, "x": 25}))
        assert "decoded 2.0 times" in str(warning.message)
        advice = re.search(r"xcrater convert (.*)", str(warning.message))
        done = click.testing.CliRunner().invoke(cli, ["convert", *shlex.split(advice[1]), "--quiet", "--chunk", "32"])
        assert done.exit_code == 0, done.output
        np.testing.assert_array_equal(open_mosaic("tiled.zarr"), open_mosaic("part-*.tif"))
        assert not self.block_warnings(open_mosaic("tiled.zarr"))
