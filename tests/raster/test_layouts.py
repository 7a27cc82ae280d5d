"""Byte order, memory layout and dtype of a raster do not change the result of any operation."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import dask.array
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xcrater
from xcrater import CraterDatabase

ROWS, COLUMNS = 60, 120
NUMBERS = np.random.default_rng(8).integers(0, 2, (ROWS, COLUMNS))


@pytest.fixture(scope="module")
def cdb() -> CraterDatabase:
    places = {"lat": [5.0, -40.0, 86.0], "lon": [10.0, 179.0, -60.0], "radius_km": [400.0, 350, 450]}
    made = CraterDatabase(pd.DataFrame(places), "moon", units="km")
    made.add_annuli("rim", 0.5, 1.5, nvert=None)
    return made


def raster(data: object, dims: tuple[str, str] = ("y", "x"), chunks: int | None = None) -> xr.DataArray:
    coords = {"y": 88.5 - 3.0 * np.arange(ROWS), "x": -178.5 + 3.0 * np.arange(COLUMNS)}
    data = data if chunks is None else dask.array.from_array(data, chunks=chunks)
    return xr.DataArray(data, coords, dims).rio.write_crs("IAU_2015:30100")


def numbers(dtype: str) -> np.ndarray:
    many = np.random.default_rng(9).integers(0, 2 if dtype == "?" else 100, (ROWS, COLUMNS))
    return many.astype(dtype)


def spread_out(array: np.ndarray) -> np.ndarray:
    """A view of every other row and every third column of a larger array."""
    wide = np.zeros((2 * ROWS, 3 * COLUMNS), array.dtype)
    wide[::2, ::3] = array
    return wide[::2, ::3]


def read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "other byte order": lambda a: a.astype(a.dtype.newbyteorder()),
    "Fortran": np.asfortranarray,
    "view": spread_out,
    "read-only": read_only,
    "negative strides": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "unaligned": lambda a: np.frombuffer(b"\0" + a.tobytes(), a.dtype, offset=1).reshape(a.shape),
}
DTYPES = ["u1", "i2", "u2", "i4", "u4", "i8", "f2", "f4", "f8", "?"]


OPERATIONS: dict[str, Callable[[xr.DataArray, CraterDatabase], object]] = {
    "statistics": lambda da, cdb: da.craters.get_stats(cdb, "rim", "mean count min max median majority").to_dataframe(),
    "exact fractions": lambda da, cdb: da.craters.get_stats(cdb, "rim", "mean median", coverage="exact").to_dataframe(),
    "map": lambda da, cdb: da.craters.map(cdb, "rim", lambda v: float(np.mean(v.astype("f8")))).values,
    "profile": lambda da, cdb: da.craters.radial_profile(cdb, 4).to_dataframe(),
    "chips": lambda da, cdb: da.craters.chips(cdb, 8).values,
    "arrays": lambda da, cdb: [
        np.asarray(a.compressed(), "f8") for a in da.craters.get_arrays(cdb, "rim").compute()["rim"]
    ],
    "one array": lambda da, cdb: np.asarray(
        da.craters.get_arrays(cdb, "rim")["rim"].iloc[1].compute().compressed(), "f8"
    ),
    "ragged": lambda da, cdb: np.asarray(da.craters.get_arrays(cdb, "rim").to_ragged()["rim"].values, "f8"),
    "depths": lambda da, cdb: da.craters.depths(cdb).to_dataframe(),
}


@pytest.fixture(scope="module")
def native_result(cdb: CraterDatabase) -> Callable[[str, str], object]:
    """``native_result(operation, dtype)`` is the cached result for `numbers` in memory in numpy's native layout."""
    return cache(lambda operation, dtype: OPERATIONS[operation](raster(numbers(dtype)), cdb))


def assert_equal(found: object, wanted: object) -> None:
    if isinstance(wanted, pd.DataFrame):
        pd.testing.assert_frame_equal(found, wanted, check_dtype=False)
    elif isinstance(wanted, list):
        for ours, theirs in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    else:
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("chunks", [47])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_statistics_equal_those_of_a_native_copy(cdb, native_result, layout, dtype, chunks):
    other = LAYOUTS[layout](numbers(dtype))
    for name in ("statistics", "arrays"):
        assert_equal(OPERATIONS[name](raster(other, chunks=chunks), cdb), native_result(name, dtype))


@pytest.mark.parametrize("chunks", [None, 47])
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_operation_accepts_every_layout(cdb, native_result, layout, operation, chunks):
    for dtype in ("i2", "f4"):
        other = raster(LAYOUTS[layout](numbers(dtype)), chunks=chunks)
        assert_equal(OPERATIONS[operation](other, cdb), native_result(operation, dtype))


@pytest.mark.parametrize("chunks", [None, 47])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_columns_may_come_before_rows(cdb, native_result, operation, chunks):
    native = numbers("i2")
    for turned in (native.T.copy(), native.T):
        da = raster(turned, ("x", "y"), chunks)
        assert_equal(OPERATIONS[operation](da, cdb), native_result(operation, "i2"))


@pytest.mark.parametrize("dtype", [">i2", ">f4", "<i2"])
def test_images_memory_mapped_from_a_file(tmp_path, cdb, native_result, dtype):
    native = numbers("i2")
    native.astype(dtype).tofile(tmp_path / "a.img")
    image = np.memmap(tmp_path / "a.img", dtype, "r", shape=native.shape)
    for name, operation in OPERATIONS.items():
        for chunks in (None, 47):
            assert_equal(operation(raster(image, chunks=chunks), cdb), native_result(name, "i2"))


@pytest.mark.parametrize("dtype", [">i2", ">f4"])
def test_stores_and_masks_of_another_byte_order(tmp_path, cdb, dtype):
    pytest.importorskip("zarr")
    native = numbers("i2")
    da = raster(native.astype(dtype), chunks=47)
    da.craters.get_arrays(cdb, "rim").to_zarr(tmp_path / "a.zarr")
    stored = xcrater.open_arrays(tmp_path / "a.zarr").compute()["rim"]
    assert_equal([np.asarray(a.compressed(), "f8") for a in stored], OPERATIONS["arrays"](raster(native), cdb))
    np.testing.assert_array_equal(da.craters.mask(cdb, "rim"), raster(native).craters.mask(cdb, "rim"))
