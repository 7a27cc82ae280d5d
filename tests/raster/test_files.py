"""Pixels of files that cannot be read, or that changed after opening, are an error that says where."""

from __future__ import annotations

import os
import pickle
import shutil

import numpy as np
import pandas as pd
import pytest
import rasterio
from affine import Affine

from xcrater import CraterDatabase, open_mosaic
from xcrater.errors import ReadError
from xcrater.raster.files import Packing, fingerprint
from xcrater.raster.headers import read_header

ROWS, COLUMNS = 256, 512
NUMBERS = (np.arange(3 * ROWS * COLUMNS).reshape(3, ROWS, COLUMNS) * 7 % 32749).astype("i2")


def write(path, numbers=NUMBERS[:1], **profile):
    options = {"driver": "GTiff", "crs": "IAU_2015:30100", "transform": Affine(360 / 512, 0, -180, 0, -180 / 256, 90)}
    options |= {"dtype": numbers.dtype, "tiled": True, "blockxsize": 128, "blockysize": 128} | profile
    shape = dict(zip(("count", "height", "width"), numbers.shape, strict=True))
    with rasterio.open(path, "w", **shape, **options) as file:
        file.write(numbers)
    return path


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "a.tif", compress="deflate")


@pytest.fixture
def cdb():
    places = {"lat": [45.0, -45.0], "lon": [-100.0, 100.0], "radius_km": [200.0, 300.0]}
    made = CraterDatabase(pd.DataFrame(places), "moon", units="km")
    made.add_annuli("rim", 0.5, 1.5, nvert=None)
    return made


KEYS = [
    np.s_[:, :],
    np.s_[3, 5],
    np.s_[10:20, 500:],
    np.s_[::-1, ::-1],
    np.s_[200:3:-7, 1::30],
    np.s_[5:5, :],
    np.s_[:, -1],
    np.s_[[1, 5, 3], 4],
    np.s_[7, [0, 511, 30]],
]


@pytest.mark.parametrize("key", KEYS, ids=str)
@pytest.mark.parametrize("chunks", [None, 100])
def test_any_slice_equals_that_of_the_array(path, key, chunks):
    da = open_mosaic(path, chunks=chunks)
    np.testing.assert_array_equal(da[key], NUMBERS[0][key])


@pytest.mark.parametrize("key", [np.s_[1], np.s_[::-1, 5:9, 3], np.s_[[2, 0], 10:30:4, ::-1]], ids=str)
def test_any_slice_of_several_bands(tmp_path, key):
    path = write(tmp_path / "bands.tif", NUMBERS)
    np.testing.assert_array_equal(open_mosaic(path, chunks=None)[key], NUMBERS[key])


def test_damaged_pixels_are_named_by_file_band_and_window(path, cdb):
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 3 // 4])
    da = open_mosaic(path, chunks=128)
    with pytest.raises(
        ReadError, match=r"cannot read rows \d+ to \d+, columns \d+ to \d+ of band 1 of '.*a\.tif': "
    ) as caught:
        da.craters.get_stats(cdb, "rim", "mean").compute()
    assert "See previous exception" not in str(caught.value)
    assert (caught.value.path, len(caught.value.window)) == (str(path), 4)
    assert da[:100].mean() > 0  # undamaged pixels can still be read


EAGER = {
    "cdb.get_stats": lambda path, cdb: cdb.get_stats(path, "rim", "mean"),
    "cdb.get_arrays": lambda path, cdb: cdb.get_arrays(path, "rim"),
    "compute": lambda path, cdb: open_mosaic(path).craters.get_arrays(cdb, "rim").compute(),
    "compute of a region": lambda path, cdb: open_mosaic(path).craters.get_arrays(cdb, "rim")["rim"].compute(),
    "iter_computed": lambda path, cdb: list(open_mosaic(path).craters.get_arrays(cdb, "rim").iter_computed()),
    "to_ragged": lambda path, cdb: open_mosaic(path).craters.get_arrays(cdb, "rim").to_ragged(),
}


@pytest.mark.parametrize("eager", EAGER)
def test_craters_that_need_damaged_pixels_are_named(path, cdb, eager):
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3])
    cdb.data = cdb.data.set_axis(["Abel", "Baco"])
    with pytest.raises(
        ReadError, match=r"of band 1 of '.*a\.tif': .*\. Craters that need these pixels: Abel, Baco$"
    ) as caught:
        EAGER[eager](path, cdb)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.path, again.window) == (str(caught.value), str(path), (0, ROWS, 0, COLUMNS))


CHANGES = {
    "other pixels": lambda path: write(path, NUMBERS[1:2], compress="deflate"),
    "another size": lambda path: write(path, NUMBERS[:1, :100], compress="deflate"),
    "no file": os.remove,
    "another file of the same size and time": lambda path: _swapped(path),
}


def _swapped(path):
    """Another scale in a file of the same length and age."""
    facts = path.stat()
    write(path, NUMBERS[:1], compress="deflate", nodata=12345)
    content = path.read_bytes()
    path.write_bytes(content[: facts.st_size].ljust(facts.st_size, b"\0"))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changed_after_it_was_opened_is_refused(path, cdb, change):
    stats = open_mosaic(path).craters.get_stats(cdb, "rim", "mean")
    CHANGES[change](path)
    with pytest.raises(ReadError, match=r"has been changed, replaced or removed since it was opened\. Open it again"):
        stats.compute()
    if change == "other pixels":  # the advice of the error
        opened = open_mosaic(path).craters.get_stats(cdb, "rim", "mean").compute()
        assert opened["mean"].notnull().all()


def test_a_copy_of_a_file_is_a_different_source(path, tmp_path):
    shutil.copy(path, tmp_path / "b.tif")
    assert open_mosaic(path).data.name != open_mosaic(tmp_path / "b.tif").data.name
    assert open_mosaic(path).data.name == open_mosaic(path).data.name
    assert open_mosaic(path).data.name != open_mosaic(path, chunks=100).data.name


def test_a_relative_path_is_found_from_another_directory(path, monkeypatch, tmp_path):
    monkeypatch.chdir(path.parent)
    da = open_mosaic("a.tif")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    np.testing.assert_array_equal(da, NUMBERS[0])


def test_pixels_can_be_read_in_other_processes(path):
    pixels = read_header(str(path), None).pixels.decoded()
    again = pickle.loads(pickle.dumps(pixels))
    assert again == pixels
    np.testing.assert_array_equal(again.read((0, 1), (3, 9), (10, 20)), NUMBERS[:1, 3:9, 10:20])


def test_the_fingerprint_of_anything_but_a_local_file_is_none(tmp_path):
    assert fingerprint("/vsicurl/http://example.org/a.tif") is None
    assert fingerprint(str(tmp_path)) is None


@pytest.mark.parametrize(
    ("stored", "scales", "offsets", "dtype"),
    [
        ("i2", (0.5,), (0.0,), "f4"),
        ("u1", (2.0, 4.0), (0.0, 0.0), "f4"),
        ("i2", (0.1,), (0.0,), "f8"),
        ("i2", (0.5,), (1737400.0,), "f8"),
        ("i4", (0.5,), (0.0,), "f8"),
        ("f4", (1.0,), (0.0,), "f4"),
        ("f4", (0.5,), (0.0,), "f8"),
        ("f8", (0.5,), (0.0,), "f8"),
        ("u1", (1.0,), (0.0,), "f4"),
        ("c8", (1.0,), (0.0,), "c8"),
    ],
)
def test_values_have_a_dtype_that_holds_them_exactly(stored, scales, offsets, dtype):
    packing = Packing((None,) * len(scales), scales, offsets, hidden=True)
    assert packing.dtype(np.dtype(stored)) == dtype
