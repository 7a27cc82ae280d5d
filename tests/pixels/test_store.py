"""Arrays in zarr stores: what is written comes back, interrupted writing resumes, and damage is an error."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import dask
import dask.array
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xcrater
from tests import strategies
from tests.helpers import raise_if_dask_computes
from tests.pixels.test_container import (
    CHUNKS,
    CRATERS,
    EAST,
    GLOBAL,
    PARTIAL,
    assert_same,
    database,
    numbered,
    with_regions,
)
from xcrater.errors import StoreError
from xcrater.pixels import store, stored

zarr = pytest.importorskip("zarr")

pytestmark = pytest.mark.filterwarnings("ignore:no region of the:xcrater.errors.NoOverlapWarning")


def assert_same_arrays(stored: Any, arrays: Any) -> None:
    """Check two containers for equal labels and regions, and equal arrays one by one and all at once."""
    assert stored.regions == arrays.regions
    pd.testing.assert_index_equal(stored.index, arrays.index, exact="equiv")
    assert stored.dtype == arrays.dtype.newbyteorder("=")
    wanted, found = arrays.compute(), stored.compute()
    for region in arrays:
        for i in range(len(arrays.index)):
            assert_same(found[region].iloc[i], wanted[region].iloc[i])
    exact = arrays._source.request.shapes.exact
    for region, ragged in stored.to_ragged().items():
        other = arrays[region].to_ragged()
        for name in ("values", "mask", "offsets", "shapes", "windows") + (("coverage",) if exact else ()):
            np.testing.assert_array_equal(getattr(ragged, name), getattr(other, name))
        pd.testing.assert_index_equal(ragged.labels, other.labels, exact="equiv")


@pytest.mark.parametrize(("coverage", "lead"), [("all_touched", (2, 3)), ("exact", ()), ("exact", (2,))])
@pytest.mark.parametrize("case", [EAST, PARTIAL], ids=["global", "partial"])
@pytest.mark.parametrize("chunks", CHUNKS)
def test_stored_arrays_can_be_read_back(tmp_path, case, chunks, lead, coverage):
    values = numbered(case, "f4", lead)
    values[..., ::3] = np.nan
    da = strategies.data_array(values, case)
    da = da if chunks is None else da.chunk({**chunks, **dict.fromkeys(da.dims[:-2], 1)})
    arrays = da.craters.get_arrays(database(*CRATERS), ["floor", "rim"], coverage=coverage)
    arrays.to_zarr(tmp_path / "a.zarr", batch=3)
    with raise_if_dask_computes():
        stored = xcrater.open_arrays(tmp_path / "a.zarr")
        elements = {region: list(stored[region]) for region in stored}
        datasets = [stored.to_dataset(i, "rim") for i in range(len(CRATERS))]
    assert_same_arrays(stored, arrays)
    for region, of_region in elements.items():
        for element, other in zip(of_region, arrays[region]):
            assert isinstance(element._meta, np.ma.MaskedArray)
            assert element._meta.fill_value == other._meta.fill_value
            assert element.shape == other.shape
            assert_same(element.compute(), other.compute())
    for i, ds in enumerate(datasets):
        xr.testing.assert_identical(ds.load(), arrays.to_dataset(i, "rim").load())


@pytest.mark.slow
@given(data=st.data(), case=strategies.grids(max_pixels=800))
@settings(max_examples=8)
def test_stores_do_not_depend_on_chunks_or_batches(data, case, tmp_path_factory):
    cdb = with_regions(data.draw(strategies.crater_tables(case, max_size=4)), data.draw(st.sampled_from([None, 32])))
    pixels = data.draw(strategies.pixel_values(case.shape))
    chunks = data.draw(strategies.chunkings(case.shape))
    path = tmp_path_factory.mktemp("stores")
    whole, cut = (strategies.data_array(pixels.values, case, chunks=c, nodata=pixels.nodata) for c in (None, chunks))
    eager = whole.craters.get_arrays(cdb, ["floor", "rim"])
    cut.craters.get_arrays(cdb, ["floor", "rim"]).to_zarr(path / "a", batch=data.draw(st.integers(1, 5)))
    assert_same_arrays(xcrater.open_arrays(path / "a"), eager)
    shutil.rmtree(path)


def test_stored_arrays_are_indexed_like_others(tmp_path):
    frame = pd.DataFrame({"lat": [1.0, 20.0, -33.0], "lon": [3.0, 4.0, 181.0], "radius": [3e5, 4e5, 2e5]})
    frame.index = pd.Index(["Copernicus", "Tycho", "Kepler"], name="crater name")
    da = strategies.data_array(numbered(GLOBAL, "i2"), GLOBAL, chunks={"y": 10, "x": 25}, nodata=7).rename("dem")
    da.attrs |= {"scale_factor": 0.5, "units": "m", "range": np.array([1, 2]), "of": object()}
    arrays = da.craters.get_arrays(with_regions(frame), ["floor", "rim"])
    arrays.to_zarr(tmp_path / "a")
    stored = xcrater.open_arrays(str(tmp_path / "a"))
    assert_same_arrays(stored, arrays)
    assert_same(stored["rim"]["Kepler"].compute(), arrays["rim"]["Kepler"].compute())
    assert_same_arrays(stored.iloc[[2, 0]], arrays.iloc[[2, 0]])
    assert_same_arrays(stored.loc[["Tycho"]][["rim"]], arrays.loc[["Tycho"]][["rim"]])
    assert_same_arrays(stored[["rim", "floor"]].head(2), arrays[["rim", "floor"]].head(2))
    xr.testing.assert_identical(stored["rim"].map(np.ma.count).compute(), arrays["rim"].map(np.ma.count).compute())
    batched = pd.concat(list(stored.iter_computed(batch=2)))
    assert sorted(batched.index) == ["Copernicus", "Kepler", "Tycho"]
    assert stored.to_dataset("Tycho", "rim").data.attrs == {"units": "m", "range": [1, 2], "long_name": "dem"}
    assert repr(stored).endswith(f"lazy masked arrays of float64 from {str(tmp_path / 'a')!r}")
    assert str(tmp_path / "a") in stored._repr_html_()
    again = xcrater.open_arrays(tmp_path / "a")
    assert again["rim"].iloc[1].name == stored["rim"].iloc[1].name != stored["floor"].iloc[1].name
    with dask.config.set(scheduler="processes", num_workers=1):
        assert_same(stored["rim"].iloc[0].compute(), arrays["rim"].iloc[0].compute(scheduler="sync"))


def test_part_of_a_table_and_stored_arrays_themselves_can_be_stored(tmp_path):
    da = strategies.data_array(numbered(GLOBAL, "i2"), GLOBAL, chunks={"y": 10, "x": 25})
    arrays = da.craters.get_arrays(database(*CRATERS), ["floor", "rim"]).iloc[[3, 1]]
    arrays.to_zarr(tmp_path / "a")
    stored = xcrater.open_arrays(tmp_path / "a")
    assert_same_arrays(stored, arrays)
    stored[["rim"]].to_zarr(tmp_path / "b")
    assert_same_arrays(xcrater.open_arrays(tmp_path / "b"), arrays[["rim"]])


def test_an_element_reads_only_its_own_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr("xcrater.pixels.store.CHUNK", 64)
    da = strategies.data_array(numbered(GLOBAL, "i2"), GLOBAL)
    arrays = da.craters.get_arrays(database(*CRATERS), "floor")
    arrays.to_zarr(tmp_path / "a")
    stored = xcrater.open_arrays(tmp_path / "a")["floor"]
    (begin, stop), wanted = arrays.to_ragged()["floor"].offsets[[1, 2]], arrays["floor"].iloc[1].compute()
    for name in ("values", "mask"):
        for chunk in (tmp_path / "a" / "region-0" / name / "c").iterdir():
            if not begin // 64 <= int(chunk.name) <= (stop - 1) // 64:
                chunk.write_bytes(b"spoilt")
    assert_same(stored.iloc[1].compute(), wanted)


def counted(read: list[Any], broken: set[Any]) -> xr.DataArray:
    """A raster of 8 x 8 chunks that records in `read` which chunks were read, and fails on those in `broken`."""

    def block(block_info: Any = None) -> np.ndarray:
        at = block_info[None]["chunk-location"]
        if at in broken:
            raise OSError(f"cannot read {at}")
        read.append(at)
        return np.full((5, 9), 8 * at[0] + at[1], "i2")

    data = dask.array.map_blocks(block, chunks=((5,) * 8, (9,) * 8), dtype="i2", meta=np.empty((0, 0), "i2"))
    case = strategies.GridCase(type(GLOBAL.transform)(5, 0, -180, 0, -4.5, 90), (40, 72))
    return strategies.data_array(np.zeros(case.shape, "i2"), case).copy(data=data)


def test_interrupted_writing_resumes_where_it_stopped(tmp_path):
    read: list[Any] = []
    broken = {(5, 3)}
    da = counted(read, broken)
    lon, lat = (a.ravel() for a in np.meshgrid(np.arange(-178, 180, 5.0), np.arange(-80, 90, 20.0)))
    cdb = database(*zip(lon, lat, np.full(lon.size, 1.5)))
    arrays = da.craters.get_arrays(cdb, ["floor", "rim"])
    with dask.config.set(scheduler="sync"):
        with pytest.raises(OSError, match="cannot read"):
            arrays.to_zarr(tmp_path / "a", batch=50)
        with pytest.raises(StoreError, match=r"is not finished: it holds [1-9]\d+ of 648 craters. Go on with"):
            xcrater.open_arrays(tmp_path / "a")
        written = zarr.open_group(tmp_path / "a", mode="r").attrs["xcrater"]["written"]
        assert 0 < written < 648
        assert written % 50 == 0
        # The interrupted batch may have been written in part.
        zarr.open_group(tmp_path / "a")["region-0/values"][-5:] = 99
        broken.clear()
        before = set(read)
        del read[:]
        arrays.to_zarr(tmp_path / "a", batch=70)
        assert len(read) == len(set(read))
        assert len(before - set(read)) > 25  # tiles whose craters were all stored
        assert set(read) | before == {tuple(divmod(int(t), 8)) for t in arrays._source.plan.tile}
        del read[:]
        arrays.to_zarr(tmp_path / "a")
        assert not read
    assert_same_arrays(xcrater.open_arrays(tmp_path / "a"), arrays)


def fifty() -> Any:
    """Arrays of fifty craters whose keys are the same in every process."""
    table = pd.DataFrame({"lat": np.linspace(-60, 60, 50), "lon": np.linspace(-170, 170, 50), "radius": 30e3})
    cdb = xcrater.CraterDatabase(table, "moon")
    cdb.add_circles("floor", 1)
    dem = xcrater.tutorial.synthetic_mosaic("moon", ppd=2, craters=cdb)
    return dem.chunk({"y": 30, "x": 180}).craters.get_arrays(cdb, "floor")


def be_killed(path: str) -> None:
    """Store fifty craters, and end the process in the fourth batch."""
    whole, times = store._append, iter(range(3))

    def append(*args: Any) -> None:
        whole(*args)
        if next(times, None) is None:
            os._exit(3)

    store._append = append
    fifty().to_zarr(path, batch=5)


@pytest.mark.slow
def test_another_process_resumes_after_one_was_killed(tmp_path):
    code = f"from tests.pixels import test_store; test_store.be_killed({str(tmp_path / 'a')!r})"
    killed = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert killed.returncode == 3, killed.stderr
    assert zarr.open_group(tmp_path / "a", mode="r").attrs["xcrater"]["written"] == 15
    fifty().to_zarr(tmp_path / "a", batch=5)
    assert_same_arrays(xcrater.open_arrays(tmp_path / "a"), fifty())


def test_a_different_request_is_refused_and_overwrite_replaces_it(tmp_path):
    da = strategies.data_array(numbered(GLOBAL, "i2"), GLOBAL, chunks={"y": 10})
    cdb, path = database(*CRATERS), tmp_path / "a"
    arrays = da.craters.get_arrays(cdb, "floor")
    arrays.to_zarr(path)
    others = [
        da.craters.get_arrays(cdb, "rim"),
        da.craters.get_arrays(cdb, "floor", coverage="center"),
        da.craters.get_arrays(cdb, "floor", nodata=3),
        (da + 1).rio.write_crs(da.rio.crs).craters.get_arrays(cdb, "floor"),
        da.craters.get_arrays(database(*CRATERS[:3]), "floor"),
        arrays.head(2),
    ]
    assert len({other._source.token for other in others}) == len(others)
    for other in others:
        with pytest.raises(StoreError, match=r"another raster, table or regions.*overwrite=True"):
            other.to_zarr(path)
    held = xcrater.open_arrays(path)["floor"].iloc[0]
    others[0].to_zarr(path, overwrite=True)
    assert_same_arrays(xcrater.open_arrays(path), others[0])
    da.craters.get_arrays(cdb, "floor").to_zarr(path, overwrite=True)
    assert_same(xcrater.open_arrays(path)["floor"].iloc[0].compute(), held.compute())


def test_files_that_are_not_stores_are_left_alone(tmp_path):
    da = strategies.data_array(numbered(GLOBAL, "i2"), GLOBAL)
    arrays = da.craters.get_arrays(database(*CRATERS), "floor")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "text").write_text("keep")
    (tmp_path / "file").write_text("keep")
    zarr.open_group(tmp_path / "group", mode="w", attributes={"mine": 1})
    zarr.create_array(tmp_path / "array", shape=(3,), dtype="i2")
    for name in ("notes", "file", "group", "array"):
        for call in (xcrater.open_arrays, arrays.to_zarr, lambda path: arrays.to_zarr(path, overwrite=True)):
            with pytest.raises(StoreError, match="is no store of crater arrays"):
                call(tmp_path / name)
    assert (tmp_path / "notes" / "text").read_text() == (tmp_path / "file").read_text() == "keep"
    assert zarr.open_group(tmp_path / "group", mode="r").attrs["mine"] == 1
    with pytest.raises(FileNotFoundError, match=r"there is no store '.*nothing'"):
        xcrater.open_arrays(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    arrays.to_zarr(tmp_path / "empty")
    assert_same_arrays(xcrater.open_arrays(tmp_path / "empty"), arrays)


def test_a_store_never_filled_is_rewritten_and_unknown_layouts_are_refused(tmp_path):
    da = strategies.data_array(numbered(GLOBAL, "i2"), GLOBAL)
    arrays = da.craters.get_arrays(database(*CRATERS), "floor")
    arrays.to_zarr(tmp_path / "a")
    root = zarr.open_group(tmp_path / "a")
    about = dict(root.attrs["xcrater"])
    root.update_attributes({"xcrater": {**about, "written": None}})
    del root["region-0/mask"]
    with pytest.raises(StoreError, match="it holds 0 of 4 craters"):
        xcrater.open_arrays(tmp_path / "a")
    arrays.to_zarr(tmp_path / "a")
    assert_same_arrays(xcrater.open_arrays(tmp_path / "a"), arrays)
    zarr.open_group(tmp_path / "a").update_attributes({"xcrater": {**about, "layout": 99}})
    with pytest.raises(StoreError, match="has layout 99; this version of xcrater reads and writes layout 1"):
        xcrater.open_arrays(tmp_path / "a")


def test_bad_arguments_are_named(tmp_path):
    da = strategies.data_array(numbered(GLOBAL, "i2"), GLOBAL)
    arrays = da.craters.get_arrays(database(*CRATERS), "floor")
    with pytest.raises(ValueError, match="received batch=0"):
        arrays.to_zarr(tmp_path / "a", batch=0)
    assert not (tmp_path / "a").exists()
    cdb = database(*CRATERS)
    cdb.data.index = pd.MultiIndex.from_product([[1, 2], ["a", "b"]])
    with pytest.raises(StoreError, match="labels of several levels"):
        da.craters.get_arrays(cdb, "floor").to_zarr(tmp_path / "b")


@pytest.mark.parametrize("name", ["a/b", "..", "Ränder 1"])
def test_region_names_of_any_kind(tmp_path, name):
    cdb = database(*CRATERS)
    cdb.add_circles(name, 0.5)
    cdb.add_polygons("own", [None, *cdb.rim.iloc[1:]])
    da = strategies.data_array(numbered(GLOBAL, "u1"), GLOBAL, chunks={"y": 10, "x": 25})
    arrays = da.craters.get_arrays(cdb, [name, "own"])
    arrays.to_zarr(tmp_path / "a")
    assert_same_arrays(xcrater.open_arrays(tmp_path / "a"), arrays)


@pytest.mark.parametrize("dtype", ["bool", ">i2", "u2", "f2", "<i8", "f8"])
def test_any_dtype(tmp_path, dtype):
    da = strategies.data_array((numbered(GLOBAL) % 100).astype(dtype), GLOBAL, chunks={"y": 10}, nodata=1)
    arrays = da.craters.get_arrays(database(*CRATERS), "floor")
    arrays.to_zarr(tmp_path / "a")
    stored = xcrater.open_arrays(tmp_path / "a")
    for element, other in zip(stored["floor"], arrays["floor"]):
        assert_same(element.compute(), other.compute().astype(stored.dtype))


def test_the_layout_is_the_documented_one(tmp_path):
    da = strategies.data_array(numbered(GLOBAL, "i2", (2,)), GLOBAL, chunks={"y": 10, "x": 25})
    da = da.assign_coords(band=pd.date_range("2020", periods=2))
    arrays = da.craters.get_arrays(database(*CRATERS), ["floor", "rim"], coverage="exact")
    arrays.to_zarr(tmp_path / "a")
    root = zarr.open_group(tmp_path / "a", mode="r")
    json.dumps(dict(root.attrs))
    crater = root["crater"][:]
    assert sorted(crater) == list(range(4))
    for k, region in enumerate(arrays):
        group, ragged = root[f"region-{k}"], arrays[region].to_ragged()
        assert group.attrs["name"] == region
        for entry, at in enumerate(crater):
            of = slice(*group["offset"][entry : entry + 2])
            assert (group["window"][entry] == ragged.windows[at]).all()
            np.testing.assert_array_equal(group["values"][:, of].ravel(), ragged[at].data.ravel())
            np.testing.assert_array_equal(group["mask"][:, of].ravel(), ragged[at].mask.ravel())
            assert group["coverage"][of].size == ragged[at][0].size
    # The same times, in nanoseconds or whichever unit pandas and xarray use.
    assert list(xcrater.open_arrays(tmp_path / "a").to_dataset(0, "rim").indexes["band"]) == list(da.indexes["band"])


DAMAGES = {
    "lost": os.remove,
    "emptied": lambda chunk: chunk.write_bytes(b""),
    "cut off": lambda chunk: chunk.write_bytes(chunk.read_bytes()[:-3]),
    "flipped": lambda chunk: chunk.write_bytes(_flipped(chunk.read_bytes())),
    "of another chunk": lambda chunk: chunk.write_bytes(b"spoilt" * 10),
}


def _flipped(content):
    """The same bytes with one bit flipped."""
    where = len(content) // 2
    return content[:where] + bytes([content[where] ^ 1]) + content[where + 1 :]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["values", "mask", "coverage", "offset", "window"])
def test_damaged_or_lost_chunks_are_an_error_and_its_advice_works(tmp_path, monkeypatch, name, damage):
    monkeypatch.setattr("xcrater.pixels.store.CHUNK", 64)
    da = strategies.data_array(numbered(GLOBAL, "i2"), GLOBAL)
    arrays = da.craters.get_arrays(database(*CRATERS), "floor", coverage="exact")
    arrays.to_zarr(tmp_path / "a")
    chunks = [chunk for chunk in (tmp_path / "a" / "region-0" / name / "c").rglob("*") if chunk.is_file()]
    for chunk in sorted(chunks)[len(chunks) // 2 :]:
        DAMAGES[damage](chunk)
    with pytest.raises(StoreError, match=rf"is damaged: (region 'floor'|the array 'region-0/{name}')") as caught:
        xcrater.open_arrays(tmp_path / "a").compute()
    with pytest.raises(StoreError):
        xcrater.open_arrays(tmp_path / "a")["floor"].map(np.ma.sum).compute()
    assert "overwrite=True" in str(caught.value)
    arrays.to_zarr(tmp_path / "a", overwrite=True)
    assert_same_arrays(xcrater.open_arrays(tmp_path / "a"), arrays)


@pytest.mark.parametrize("name", ["lat", "radius", "crater"])
def test_a_lost_column_of_the_table_is_an_error(tmp_path, name):
    da = strategies.data_array(numbered(GLOBAL, "i2"), GLOBAL)
    da.craters.get_arrays(database(*CRATERS), "floor").to_zarr(tmp_path / "a")
    for chunk in (tmp_path / "a" / "craters" / name / "c").rglob("*"):
        if chunk.is_file():
            chunk.unlink()
    with pytest.raises(StoreError, match="is damaged: its crater table"):
        xcrater.open_arrays(tmp_path / "a")


def test_a_lost_array_is_an_error(tmp_path):
    da = strategies.data_array(numbered(GLOBAL, "i2"), GLOBAL)
    da.craters.get_arrays(database(*CRATERS), "floor").to_zarr(tmp_path / "a")
    shutil.rmtree(tmp_path / "a" / "region-0" / "values")
    with pytest.raises(StoreError, match="is damaged: region 'floor' cannot be read"):
        xcrater.open_arrays(tmp_path / "a").compute()


def kept(tmp_path: Path, coverage: str = "all_touched", lead: tuple[int, ...] = ()) -> tuple[Any, Path]:
    """Arrays without a pixel of value 0, and a store of them in many small chunks."""
    da = strategies.data_array(numbered(GLOBAL, "i2", lead) % 1000 + 1, GLOBAL, chunks={"y": 10, "x": 25})
    arrays = da.craters.get_arrays(database(*CRATERS), ["floor", "rim"], coverage=coverage)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xcrater.pixels.store.CHUNK", 64)
        arrays.to_zarr(tmp_path / "a", batch=2)
    return arrays, tmp_path / "a"


def read_all(path: Path) -> dict[str, Any]:
    """Read all pixels of a store, opening it anew as another process would."""
    for cache in (stored._group, stored._array, stored._column, stored._entries):
        cache.cache_clear()
    return xcrater.open_arrays(path).to_ragged()


def error_in(path: Path) -> str | None:
    """The message of the error that reading the store raises, or None."""
    try:
        read_all(path)
    except StoreError as error:
        return str(error)
    return None


def damage_file(path: Path, how: str) -> None:
    """Damage a file in one of the ways in which copies and disks fail."""
    whole = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "cut short":
        path.write_bytes(whole[: len(whole) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        path.write_bytes(whole[:-3] + bytes([whole[-3] ^ 0x10]) + whole[-2:])


@pytest.mark.parametrize("how", ["missing", "cut short", "empty", "one bit"])
def test_no_file_of_a_store_can_be_lost_or_damaged_unnoticed(tmp_path, how):
    arrays, path = kept(tmp_path, "exact")
    wanted = {region: ragged.values.copy() for region, ragged in arrays.to_ragged().items()}
    read_all(path)
    chunks = sorted(file for file in path.rglob("c/**/*") if file.is_file())
    assert len(chunks) > 20
    firsts = [file for file in chunks if set(file.parts[file.parts.index("c") + 1 :]) == {"0"}]
    for chunk in [*chunks[::15], *firsts]:
        whole = chunk.read_bytes()
        damage_file(chunk, how)
        error = error_in(path)
        if error is None:
            assert how == "one bit", chunk  # a bit that the codec does not use
            for region, ragged in read_all(path).items():
                np.testing.assert_array_equal(ragged.values, wanted[region])
        else:
            assert "is damaged" in error
            assert f"arrays.to_zarr({str(path)!r}, overwrite=True)" in error
        chunk.write_bytes(whole)
    read_all(path)


def test_a_damaged_store_is_rewritten_as_the_error_says(tmp_path):
    arrays, path = kept(tmp_path)
    (path / "region-1" / "values" / "c" / "1").unlink()
    with pytest.raises(StoreError, match=r"region 'rim' cannot be read.*the craters at positions \[\d.*overwrite=True"):
        read_all(path)
    arrays.to_zarr(path, overwrite=True)
    assert_same_arrays(xcrater.open_arrays(path), arrays)


def test_a_chunk_from_before_the_last_batch_is_noticed(tmp_path):
    """A copy taken while the store was growing may contain old chunks, which decode without an error."""
    da = strategies.data_array(numbered(GLOBAL, "i2") % 1000 + 1, GLOBAL, chunks={"y": 10, "x": 25})
    arrays = da.craters.get_arrays(database(*CRATERS), "floor")
    path, append = tmp_path / "a", store._append
    early: list[bytes] = []

    def append_and_copy(*args: Any) -> None:
        append(*args)
        early.append((path / "region-0" / "values" / "c" / "0").read_bytes())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_append", append_and_copy)
        arrays.to_zarr(path, batch=2)
    assert len(early) > 1
    (path / "region-0" / "values" / "c" / "0").write_bytes(early[0])
    with pytest.raises(StoreError, match="a chunk is missing or was changed"):
        read_all(path)


def test_intact_craters_of_a_damaged_store_can_be_read(tmp_path):
    arrays, path = kept(tmp_path, lead=(2,))
    root = zarr.open_group(path, mode="r")
    (entry,) = np.flatnonzero(root["crater"][:] == 2)
    middle = int(root["region-1/offset"][entry : entry + 2].mean()) // 64
    (path / "region-1" / "values" / "c" / "1" / str(middle)).unlink()
    rim = xcrater.open_arrays(path)["rim"]
    with pytest.raises(StoreError, match="region 'rim'"):
        rim.iloc[2].compute()
    assert_same(rim.iloc[0].compute(), arrays["rim"].iloc[0].compute())


def test_resuming_a_damaged_store_is_refused(tmp_path):
    arrays, path = kept(tmp_path)
    root = zarr.open_group(path)
    about = dict(root.attrs["xcrater"])
    root.update_attributes({"xcrater": {**about, "written": 2}})
    (path / "crater" / "c" / "0").unlink()
    with pytest.raises(StoreError, match=r"the array 'crater'"):
        arrays.to_zarr(path)
    arrays.to_zarr(path, overwrite=True)
    assert_same_arrays(xcrater.open_arrays(path), arrays)


@pytest.mark.parametrize("how", ["cut short", "empty", "missing"])
def test_going_on_after_a_killed_job_left_half_a_chunk_is_refused_and_the_advice_helps(tmp_path, how):
    """On network file systems the last chunk of a killed job may be incomplete or missing."""
    arrays, path = fifty(), tmp_path / "a"
    append, times = store._append, iter(range(2))

    def fail(*args: Any) -> None:
        if next(times, None) is None:
            raise OSError("killed")
        append(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_append", fail)
        with pytest.raises(OSError, match="killed"):
            arrays.to_zarr(path, batch=5)
    damage_file(path / "region-0" / "values" / "c" / "0", how)

    def go_on() -> None:
        arrays.to_zarr(path, batch=5)
        read_all(path)

    with pytest.raises(StoreError, match=r"is damaged: region 'floor'.*overwrite=True"):
        go_on()
    arrays.to_zarr(path, overwrite=True)
    assert_same_arrays(xcrater.open_arrays(path), arrays)


def test_stores_without_checksums_still_open_with_a_warning(tmp_path):
    arrays, path = kept(tmp_path, "exact")
    root = zarr.open_group(path)
    about = dict(root.attrs["xcrater"])
    del about["checksums"]
    root.attrs["xcrater"] = about
    for k in range(2):
        shutil.rmtree(path / f"region-{k}" / "checksum")
    with pytest.warns(xcrater.errors.UncheckedStoreWarning, match=r"open_arrays\(path\)\.to_zarr\(another\)"):
        old = xcrater.open_arrays(path)
    assert_same_arrays(old, arrays)
    old.to_zarr(tmp_path / "b")
    assert_same_arrays(xcrater.open_arrays(tmp_path / "b"), arrays)


def test_a_store_begun_by_an_earlier_version_is_finished_without_checksums(tmp_path):
    arrays, path = fifty(), tmp_path / "a"
    append, times = store._append, iter(range(2))

    def fail(*args: Any) -> None:
        if next(times, None) is None:
            raise OSError("no space left on device")
        append(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_append", fail)
        with pytest.raises(OSError, match="no space left"):
            arrays.to_zarr(path, batch=5)
    root = zarr.open_group(path)
    about = dict(root.attrs["xcrater"])
    del about["checksums"]
    root.attrs["xcrater"] = about
    shutil.rmtree(path / "region-0" / "checksum")
    arrays.to_zarr(path, batch=5)
    with pytest.warns(xcrater.errors.UncheckedStoreWarning):
        assert_same_arrays(xcrater.open_arrays(path), arrays)
