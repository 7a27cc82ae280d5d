"""Order statistics found by counting keys tile by tile agree with numpy on the same pixels."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xcrater.engine.drawn import Drawn
from xcrater.kernels import Pixels, Squares, histograms
from xcrater.raster.values import classify
from xcrater.statistics.quantiles.counting import Counting

SIDE = histograms.SIDE


def _rectangles(rng: np.random.Generator, shape: tuple[int, int], craters: int, regions: int) -> list[list[np.ndarray]]:
    """Random rectangular masks, about half of them with a rectangular hole: masks[crater][region]."""
    masks = []
    for _ in range(craters):
        row = []
        for _ in range(regions):
            mask = np.zeros(shape, bool)
            edges = [np.sort(rng.integers(0, n + 1, 2)) for n in shape]
            mask[slice(*edges[0]), slice(*edges[1])] = True
            hole = [np.sort(rng.integers(a, b + 1, 2)) for a, b in edges]
            mask[slice(*hole[0]), slice(*hole[1])] = rng.random() < 0.5
            row.append(mask)
        masks.append(row)
    return masks


def _drawn(masks: list[list[np.ndarray]], index: np.ndarray, top: int, left: int) -> Iterator[tuple[np.ndarray, Drawn]]:
    """Yield the craters' masks as runs of pixels, one crater and one half of the regions at a time."""
    regions = len(masks[0])
    for members in (np.arange(0, regions, 2), np.arange(1, regions, 2)):
        for n, i in enumerate(index):
            runs, offset = [], []
            for k in members:
                begun = len(runs)
                for r, row in enumerate(masks[i][k]):
                    edge = np.flatnonzero(np.diff(np.concatenate([[0], row.view("u1"), [0]])))
                    runs += [(r + top, a + left, b + left) for a, b in zip(edge[::2], edge[1::2])]
                offset.append((begun, len(runs)))
            table = np.array(runs, np.int64).reshape(-1, 3).T.copy()
            if members.size:
                yield members, Drawn(slice(n, n + 1), table, np.ones(table.shape[1]), np.array([offset], np.int64))


def _counting(block: np.ndarray, nodata: int | None, masks: list[list[np.ndarray]]) -> tuple[Counting, list]:
    """The counter of keys under the masks, and the sorted pixel values under each mask: values[crater][region]."""
    codes, clean = classify(block, nodata)
    values = [[np.sort(block[m & (block != (2**40 if nodata is None else nodata))]) for m in row] for row in masks]
    held = (
        np.array([[f(v.astype(np.int64)) if v.size else 0 for v in row] for row in values], np.int64)
        for f in (np.size, np.min, np.max)
    )
    window = (7, 7 + block.shape[0], 3, 3 + block.shape[1])
    lat = np.random.default_rng(len(masks)).uniform(-1, 1, len(masks))
    counting = Counting(lambda index: _drawn(masks, index, 7, 3), block, codes, clean, window, lat, *held)
    return counting, values


def _compare(counting: Counting, values: list, index: np.ndarray) -> None:
    """Check quantiles and (value, count) pairs of the craters in `index` against the sorted values."""
    q = np.array([0.0, 0.1, 0.5, 0.9, 1.0])
    wanted = [v for i in index for v in values[i]]
    for mirrored in (False, True):
        low, high = counting.select(index, q, mirrored)
        for n, value in enumerate(wanted):
            if value.size:
                key = value.astype(np.int64) - counting.least
                rank = (q * (value.size - 1)).astype(np.int64)
                above = np.minimum(rank + 1, value.size - 1)
                if mirrored:
                    rank, above = value.size - 1 - above, value.size - 1 - rank
                assert low[n].tolist() == key[rank].tolist()
                assert high[n].tolist() == key[above].tolist()
    start, stop, keys, tally = counting.pairs(index)
    for n, value in enumerate(wanted):
        key, count = np.unique(value, return_counts=True)
        part = slice(start[n], stop[n])
        assert (keys[part].astype(np.int64) + counting.least).tolist() == key.tolist()
        assert tally[part].tolist() == count.tolist()


@pytest.mark.slow
@pytest.mark.nojit
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["u1", "i2", "u2"]), st.booleans(), st.sampled_from([3, 500, 60_000]))
def test_quantiles_and_value_counts_agree_with_numpy(seed, dtype, has_nodata, spread):
    rng = np.random.default_rng(seed)
    info = np.iinfo(dtype)
    middle = rng.integers(info.min, info.max + 1)
    block = np.clip(middle + rng.integers(-spread, spread + 1, (20, 31)), info.min, info.max).astype(dtype)
    counting, values = _counting(block, int(block[0, 0]) if has_nodata else None, _rectangles(rng, block.shape, 4, 3))
    _compare(counting, values, np.array([0, 2, 3]))


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2"])
@pytest.mark.parametrize("has_nodata", [False, True])
@pytest.mark.parametrize("spread", [5, 400, 9000])
def test_whole_squares_are_counted_once(dtype, has_nodata, spread):
    rng = np.random.default_rng(spread + has_nodata)
    info, shape = np.iinfo(dtype), (5 * SIDE + 11, 6 * SIDE + 8)
    slope = np.add.outer(np.arange(shape[0]), np.arange(shape[1]))
    block = np.clip(slope + rng.integers(0, spread, shape) + info.min, info.min, info.max).astype(dtype)
    masks = _rectangles(rng, shape, 6, 2)
    for row in masks:
        row[1][:] = True
        row[0] |= rng.random(shape) < 0.001
        row[0][SIDE : 4 * SIDE, SIDE : 5 * SIDE] = True
    nodata = int(np.unique(block)[3]) if has_nodata else None
    counting, values = _counting(block, nodata, masks)
    _compare(counting, values, np.arange(6))
    _compare(counting, values, np.array([4, 1]))  # counts from the first call must not leak into the second


@pytest.mark.nojit
@pytest.mark.parametrize("dtype", ["u1", "i2", "u2"])
@pytest.mark.parametrize("has_nodata", [False, True])
@pytest.mark.parametrize("spread", [5, 200, 5000])
def test_counts_of_whole_squares_agree_with_numpy(dtype, has_nodata, spread):
    """Pixels beyond the last whole square are left out, and so are squares whose range of keys is too wide to count."""
    rng = np.random.default_rng(spread + has_nodata)
    info = np.iinfo(dtype)
    block = np.clip(info.min + rng.integers(0, spread + 1, (SIDE + 5, 2 * SIDE + 9)), info.min, info.max).astype(dtype)
    block[:SIDE, :SIDE] = info.min + 1
    nodata = info.min + 1 if has_nodata else None
    codes, clean = classify(block, nodata)
    pixels, base, start = Pixels(block, codes, clean, True), np.empty(2, np.int64), np.zeros(3, np.int64)
    histograms.square_ranges(pixels, base, start)
    counts = np.zeros(start[-1], np.uint16)
    histograms.square_counts(pixels, Squares(base, start, counts))
    for n in range(2):
        square = block[:SIDE, n * SIDE : (n + 1) * SIDE].astype(np.int64)
        valid = square[square != nodata] if has_nodata else square.ravel()
        counted = valid.size > 0 and np.ptp(valid) < histograms.SPREAD
        assert counted == ((n == 0 and not has_nodata) or (n == 1 and (spread < 5000 or dtype == "u1")))
        wanted = np.bincount(valid - valid.min()) if counted else np.empty(0)
        np.testing.assert_array_equal(counts[start[n] : start[n + 1]], wanted)
        assert not counted or base[n] == valid.min()
