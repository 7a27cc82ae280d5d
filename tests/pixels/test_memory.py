"""Little memory changes no pixel, and craters that cannot fit are refused with advice that works."""

from __future__ import annotations

import re
import weakref
from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.pixels.test_container import CRATERS, GLOBAL, PARTIAL, assert_same, database, numbered
from tests.strategies import data_array
from xcrater import open_arrays, set_options
from xcrater.engine.plan import Plan
from xcrater.engine.rounds import Room, in_rounds
from xcrater.errors import MemoryBudgetError, StoreError
from xcrater.pixels import source
from xcrater.pixels.gathering import iter_complete


def raster(case: Any = GLOBAL, *, lazy: bool = True, images: int = 0) -> xr.DataArray:
    lead = (images,) if images else ()
    values = numbered(case, "i2" if not images else "f4", lead)
    values[..., ::7, ::5] = -1
    da = data_array(values, case, nodata=-1) if not images else data_array(values, case)
    return da.chunk({"y": 10, "x": 25}) if lazy else da


def tiny(arrays: Any) -> int:
    """A number of bytes that the largest craters exceed several times."""
    return int(arrays.sizes.max()) // 5


def arrays_of(da: xr.DataArray, coverage: str = "all_touched") -> Any:
    return da.craters.get_arrays(
        database(*CRATERS, *((lon, -40.0, 4.0) for lon in range(-180, 180, 30))), ["floor", "rim"], coverage=coverage
    )


def assert_alike(actual: Any, wanted: Any) -> None:
    assert sorted(actual.index) == sorted(wanted.index)
    for name in wanted:
        for label in wanted.index:
            assert_same(actual[name][label], wanted[name][label])


def test_rounds_that_have_been_read_take_no_memory(monkeypatch):
    """Each plan of a round knows all craters of the table, some 26 MB for a million."""
    made: list[weakref.ref[Plan]] = []

    def noted(*args: Any) -> list[Plan]:
        plans = in_rounds(*args)
        made.extend(map(weakref.ref, plans))
        return plans

    arrays = arrays_of(raster())
    with set_options(memory=tiny(arrays)):
        monkeypatch.setattr(source, "in_rounds", noted)
        held = [
            sum(plan is not None and "spread" in vars(plan) for plan in (ref() for ref in made))
            for _ in iter_complete(arrays._source)
        ]
    assert len(made) > 5
    assert max(held) <= 3


@pytest.mark.parametrize("coverage", ["center", "exact"])
@pytest.mark.parametrize("lazy", [True, False])
def test_arrays_with_little_memory_are_the_same(lazy, coverage):
    arrays = arrays_of(raster(lazy=lazy), coverage)
    wanted = arrays.compute()
    # The largest crater takes all of the quarter of the memory in which craters wait for their tiles.
    with set_options(memory=4 * int(arrays.sizes.max())):
        assert len(arrays._source.rounds()) > 1
        batches = list(arrays.iter_computed(batch=5))
        assert_alike(arrays.compute(), wanted)
    assert all(len(batch) <= 5 for batch in batches)
    assert sum(map(len, batches)) == len(wanted)
    for batch in batches:
        assert_alike(batch, wanted.loc[batch.index])


@pytest.mark.slow
@pytest.mark.parametrize("images", [0, 2])
def test_ragged_arrays_and_stores_accept_craters_of_any_size(tmp_path, images):
    arrays = arrays_of(raster(images=images), "exact")
    wanted, ragged = arrays.compute(), arrays.to_ragged()
    with set_options(memory=tiny(arrays)):
        little = arrays.to_ragged()
        arrays.to_zarr(tmp_path / "stored.zarr")
    for name, of_region in ragged.items():
        for field in ("values", "mask", "offsets", "shapes", "windows", "coverage"):
            np.testing.assert_array_equal(getattr(little[name], field), getattr(of_region, field))
    stored = open_arrays(tmp_path / "stored.zarr")
    assert_alike(stored.compute(), wanted)
    # A store with its coverage can be stored again with as little memory.
    with set_options(memory=tiny(arrays)):
        stored.to_zarr(tmp_path / "again.zarr")
    again = open_arrays(tmp_path / "again.zarr").to_ragged()
    np.testing.assert_array_equal(again["rim"].values, ragged["rim"].values)
    np.testing.assert_array_equal(again["rim"].coverage, ragged["rim"].coverage)


def test_a_store_can_be_resumed_between_the_bands_of_a_large_crater(tmp_path, monkeypatch):
    from xcrater.pixels import store

    arrays = arrays_of(raster())
    bands = store.iter_bands

    def interrupted(*args, **kwargs):
        for n, band in enumerate(bands(*args, **kwargs)):
            if n == 1:
                raise KeyboardInterrupt
            yield band

    with set_options(memory=tiny(arrays)):
        monkeypatch.setattr(store, "iter_bands", interrupted)
        with pytest.raises(KeyboardInterrupt):
            arrays.to_zarr(tmp_path / "stored.zarr")
        monkeypatch.undo()
        with pytest.raises(StoreError, match="not finished"):
            open_arrays(tmp_path / "stored.zarr")
        arrays.to_zarr(tmp_path / "stored.zarr")
    assert_alike(open_arrays(tmp_path / "stored.zarr").compute(), arrays.compute())


def test_a_damaged_band_of_a_store_is_detected(tmp_path):
    zarr = pytest.importorskip("zarr")
    arrays = arrays_of(raster())
    with set_options(memory=tiny(arrays)):
        arrays.to_zarr(tmp_path / "stored.zarr")
        values = zarr.open_group(tmp_path / "stored.zarr")["region-0/values"]
        values[-1] = 9999
        stored = open_arrays(tmp_path / "stored.zarr")
        with pytest.raises(StoreError, match="is damaged"):
            stored.to_zarr(tmp_path / "again.zarr")


@pytest.mark.parametrize("wants", [None, ("values", "distance", "weights")])
@pytest.mark.parametrize("lazy", [True, False])
def test_functions_with_little_memory_get_the_same_pixels(lazy, wants):
    da = raster(lazy=lazy)
    cdb = database(*CRATERS[1:], *((lon, -40.0, 4.0) for lon in range(-180, 180, 30)))

    def total(values, distance=0.0, weights=1.0):
        return float(np.sum(values * (1.0 + np.asarray(distance)) * weights))

    def mapped() -> xr.DataArray:
        return da.craters.map(cdb, ["floor", "rim"], total, wants=wants, weights="area" if wants else None)

    wanted = mapped().compute()
    sizes = da.craters.get_arrays(cdb, ["floor", "rim"]).sizes
    with set_options(memory=4 * int(sizes.max()) if wants is None else 60 * int(sizes.max())):
        found = mapped()
    if lazy:
        assert any("gate" in layer for layer in found.data.dask.layers) == (wants is None)
    xr.testing.assert_equal(found.compute(scheduler="threads") if lazy else found, wanted)


def test_a_crater_larger_than_the_memory_is_refused_before_any_read():
    def unreadable(block: np.ndarray) -> np.ndarray:
        raise AssertionError("was read")

    da = raster()
    da = da.copy(data=da.data.map_blocks(unreadable, meta=np.empty((0, 0), "i2")))
    arrays = arrays_of(da)
    label = arrays.sizes.idxmax()
    with set_options(memory=tiny(arrays)), pytest.raises(MemoryBudgetError, match=f"labelled {label} take") as refused:
        next(arrays.iter_computed())
    assert "and so do those of" in str(refused.value)
    with set_options(memory=tiny(arrays)), pytest.raises(MemoryBudgetError, match="never hold a whole crater"):
        da.craters.map(database(*CRATERS), "rim", np.ptp)


def test_the_advice_of_the_error_works(tmp_path):
    da = raster()
    arrays = arrays_of(da)
    wanted = arrays.compute()
    with set_options(memory=tiny(arrays)):
        with pytest.raises(MemoryBudgetError) as refused:
            next(arrays.iter_computed())
        advice = str(refused.value)
        fewer = eval(re.search(r"arrays\.loc\[.*?\](?=, or)", advice)[0], {"arrays": arrays})
        assert 0 < len(fewer.index) < len(arrays.index)
        for batch in fewer.iter_computed():
            assert_alike(batch, wanted.loc[batch.index])
        arrays.to_zarr(tmp_path / "stored.zarr")
    with set_options(memory=int(re.search(r"set_options\(memory=(\d+)\)", advice)[1])):
        assert sum(map(len, arrays.iter_computed())) == len(wanted)
    with set_options(memory=tiny(arrays)):
        with pytest.raises(MemoryBudgetError) as refused:
            da.craters.map(database(*CRATERS), "rim", np.ptp)
        assert da.craters.get_stats(database(*CRATERS), "rim", "range").range.compute().notnull().all()
    with set_options(memory=int(re.search(r"set_options\(memory=(\d+)\)", str(refused.value))[1])):
        assert da.craters.map(database(*CRATERS), "rim", np.ptp).compute().notnull().all()


def test_results_that_do_not_fit_are_refused(monkeypatch):
    import psutil

    arrays = arrays_of(raster(PARTIAL))
    available = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: available._replace(available=1000))
    for call in (arrays.compute, arrays.to_ragged):
        with pytest.raises(MemoryBudgetError, match=r"kiB of memory|B of memory"):
            call()


def test_reported_sizes_are_those_of_the_arrays():
    arrays = arrays_of(raster(images=2), "exact")
    computed = arrays.compute()
    # Each pixel also takes 8 bytes for its covered fraction, whatever the number of images.
    taken = computed.map(lambda array: array.nbytes + array.mask.nbytes + 8 * array[0].size).sum(axis=1)
    np.testing.assert_array_equal(arrays.sizes, taken)
    assert Room.within(2**30).waiting >= arrays.sizes.max()
