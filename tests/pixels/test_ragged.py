"""Ragged arrays: the pixels of many craters in a few flat arrays."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import strategies
from tests.helpers import raise_if_dask_computes
from tests.pixels.test_container import CHUNKS, CRATERS, GLOBAL, assert_same, database, numbered
from xcrater.pixels.blocks import Blocks
from xcrater.pixels.ragged import Ragged, lay_out

pytestmark = pytest.mark.nojit


@st.composite
def many_blocks(draw) -> tuple[Blocks, list[np.ma.MaskedArray]]:
    """Blocks in any order, and the arrays of their craters in table order."""
    lead = draw(st.sampled_from([(), (1,), (3,), (2, 2)]))
    shapes = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), max_size=6))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    crater = rng.permutation(len(shapes))
    dtype = draw(st.sampled_from(["i2", "f8", "bool"]))
    arrays = [rng.integers(0, 9, (*lead, *shape)).astype(dtype) for shape in shapes]
    masks = [rng.random(a.shape) < 0.4 for a in arrays]
    sizes = [rows * cols for rows, cols in shapes]
    corner = rng.integers(-5, 5, (len(shapes), 2))
    shape = np.array(shapes, dtype=int).reshape(-1, 2)
    blocks = Blocks(
        crater=crater,
        window=np.stack([corner[:, 0], corner[:, 0] + shape[:, 0], corner[:, 1], corner[:, 1] + shape[:, 1]], axis=1),
        offset=np.cumsum([0, *sizes]),
        values=np.concatenate([np.empty((*lead, 0), dtype)] + [a.reshape(*lead, -1) for a in arrays], axis=-1),
        mask=np.concatenate([np.empty((*lead, 0), bool)] + [m.reshape(*lead, -1) for m in masks], axis=-1),
        fraction=rng.random(sum(sizes)) if draw(st.booleans()) else None,
        fill_value=7 if dtype == "i2" else None,
    )
    wanted = [np.ma.masked_array(a, m, fill_value=blocks.fill_value) for a, m in zip(arrays, masks)]
    return blocks, [wanted[i] for i in np.argsort(crater)]


@given(case=many_blocks())
@settings(max_examples=40)
def test_arrays_are_in_table_order_with_all_images(case):
    blocks, wanted = case
    labels = pd.Index([f"crater {i}" for i in range(len(wanted))])
    order = np.argsort(blocks.crater)
    batches = ({"rim": blocks.part(i, min(i + 2, len(blocks)))} for i in range(0, len(blocks), 2))
    ragged = lay_out(batches, {"rim": blocks.window[order]}, labels, blocks.part(0, 0))["rim"]
    assert len(ragged) == len(wanted)
    assert ragged.labels.equals(labels)
    np.testing.assert_array_equal(ragged.windows, blocks.window[order])
    for i, array in enumerate(wanted):
        assert tuple(ragged.shapes[i]) == array.shape
        assert_same(ragged[i], array)
        assert ragged.offsets[i + 1] - ragged.offsets[i] == array.size
        if blocks.fraction is not None:
            of = slice(*blocks.offset[order[i] : order[i] + 2])
            shown = ragged.coverage[ragged.offsets[i] : ragged.offsets[i + 1]].reshape(array.shape)
            np.testing.assert_array_equal(
                shown, np.broadcast_to(blocks.fraction[of].reshape(array.shape[-2:]), array.shape)
            )
    arrow = ragged.to_arrow()
    arrow.validate(full=True)
    assert [entry.as_py()["values"] for entry in arrow] == [a.ravel().tolist() for a in wanted]
    assert [entry.as_py()["shape"] for entry in arrow] == [list(a.shape) for a in wanted]


def test_views_and_arrow_copy_nothing():
    shapes = np.array([[1, 2], [3, 1]])
    ragged = Ragged(
        np.arange(5.0), np.arange(5) > 3, np.array([0, 2, 5]), shapes, pd.Index([3, 8]), np.zeros((2, 4), int)
    )
    assert np.shares_memory(ragged[1], ragged.values)
    assert np.shares_memory(ragged[1].mask, ragged.mask)
    assert ragged[-1].tolist() == [[2], [3], [None]]
    assert [a.shape for a in ragged] == [(1, 2), (3, 1)]
    arrow = ragged.to_arrow()
    assert arrow.field("values").values.buffers()[1].address == ragged.values.ctypes.data
    assert arrow.field("values").buffers()[1].address == ragged.offsets.ctypes.data
    with pytest.raises(IndexError):
        ragged[2]


@pytest.mark.parametrize("coverage", ["all_touched", "exact"])
@pytest.mark.parametrize("lead", [(), (2,), (2, 3)], ids=str)
@pytest.mark.parametrize("chunks", CHUNKS)
def test_ragged_arrays_equal_the_elements(chunks, lead, coverage):
    values = numbered(GLOBAL, "f4", lead)
    values[..., ::3] = np.nan
    da = strategies.data_array(values, GLOBAL)
    da = da if chunks is None else da.chunk({**chunks, **dict.fromkeys(da.dims[:-2], 1)})
    with raise_if_dask_computes():
        arrays = da.craters.get_arrays(database(*CRATERS), ["floor", "rim"], coverage=coverage)
    every = arrays.to_ragged()
    assert list(every) == ["floor", "rim"]
    for region, ragged in every.items():
        assert ragged.labels.equals(arrays.index)
        assert ragged.shapes.shape == (4, 2 + len(lead))
        assert (ragged.coverage is not None) == (coverage == "exact")
        one = arrays[region].to_ragged()
        np.testing.assert_array_equal(one.values, ragged.values)
        for i, element in enumerate(arrays[region]):
            assert_same(ragged[i], element.compute())
            if coverage == "exact":
                inside = ragged.coverage[ragged.offsets[i] : ragged.offsets[i + 1]].reshape(ragged[i].shape)
                assert (inside[~ragged[i].mask] > 0).all()
                np.testing.assert_array_equal(
                    inside, np.broadcast_to(arrays.to_dataset(i, region)["coverage"].values, inside.shape)
                )


def test_coverage_adds_up_to_the_counts_of_statistics():
    da = strategies.data_array(numbered(GLOBAL, "f4"), GLOBAL, chunks={"y": 10, "x": 25})
    cdb = database(*CRATERS)
    ragged = da.craters.get_arrays(cdb, "floor", coverage="exact")["floor"].to_ragged()
    weight = np.where(ragged.mask, 0.0, ragged.coverage)
    counts = da.craters.get_stats(cdb, "floor", "count", coverage="exact")["count"].values
    np.testing.assert_allclose(np.add.reduceat(weight, ragged.offsets[:-1]), counts, rtol=1e-12)


def test_no_craters_give_empty_arrays():
    da = strategies.data_array(numbered(GLOBAL, "i2"), GLOBAL)
    arrays = da.craters.get_arrays(database(*CRATERS), "floor").head(0)
    assert len(arrays.to_ragged()["floor"]) == len(arrays.to_ragged()["floor"].to_arrow()) == 0
