"""Order statistics of runs of keys agree with numpy, exactextract and the oracle for weighted quantiles."""

from __future__ import annotations

import numpy as np
import pytest

from tests import reference as ref
from tests.statistics.quantiles.patterns import PATTERNS, QUANTILES, patterned
from xcrater.statistics.quantiles.answers import answer_runs
from xcrater.statistics.quantiles.coding import Coding
from xcrater.statistics.quantiles.problem import Problem
from xcrater.statistics.quantiles.wanted import OrderStatistics


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_runs_of_every_length(dtype, pattern):
    rng = np.random.default_rng(3)
    length = np.array([0, 1, 2, 31, 32, 33, 100, 255, 256, 1000, 5000, 0, 70000])
    values = np.concatenate([patterned(rng, dtype, pattern, n) for n in length])
    offsets = np.append(0, np.cumsum(length))
    coding = Coding(values.dtype.str)
    for wanted in (OrderStatistics(QUANTILES), OrderStatistics(QUANTILES, frequencies=True)):
        problem = Problem(wanted, coding, 1, 2**29)
        found = answer_runs(problem, np.arange(length.size), coding.keys(values.copy()), None, offsets).numbers
        for i in range(length.size):
            run = values[offsets[i] : offsets[i + 1]]
            for k, q in enumerate(QUANTILES):
                np.testing.assert_array_equal(found[i, k], ref.quantile(run, q), err_msg=f"{q} of {length[i]}")
            if run.size and np.isfinite(run).all():
                np.testing.assert_array_equal(found[i, : len(QUANTILES)], np.quantile(run.astype("f8"), QUANTILES))
            if wanted.frequencies and run.size:
                value, count = np.unique(run, return_counts=True)
                three = [value[count.argmax()], value[count.argmin()], value.size]
                np.testing.assert_array_equal(found[i, len(QUANTILES) :], three)


@pytest.mark.parametrize("equal", [False, True])
def test_weighted_frequencies_agree_with_exactextract_and_so_do_quantiles_of_equal_weights_and_distinct_values(equal):
    exactextract = pytest.importorskip("exactextract")
    from exactextract.raster import NumPyRasterSource

    rng = np.random.default_rng(1)
    stats = ["quantile(q=0.25)", "median", "quantile(q=0.9)", "majority", "minority", "variety"]
    for n in (1, 2, 3, 10, 40):
        values = rng.permutation(n) * 1.5 if equal else rng.choice([1.0, 2.0, 5.0, 7.5, 8.0, 11.0, 20.0], n)
        weights = np.full(n, 0.25) if equal else rng.uniform(0.05, 1, n).astype("f4").astype("f8")
        squares = [[[[i, 0], [i + 1, 0], [i + 1, w], [i, w], [i, 0]]] for i, w in enumerate(weights)]
        shape = {"type": "Feature", "properties": {}, "geometry": {"type": "MultiPolygon", "coordinates": squares}}
        source = NumPyRasterSource(values[None], xmin=0, ymin=0, xmax=n, ymax=1)
        theirs = exactextract.exact_extract(source, [shape], [*stats, "frac", "unique"])[0]["properties"]
        wanted = OrderStatistics((0.25, 0.5, 0.9), frequencies=True, shares=tuple(theirs["unique"].tolist()))
        problem = Problem(wanted, Coding("<f8"), 1, 2**29, weighted=True)
        keys = problem.coding.keys(values.copy())
        ours = answer_runs(problem, np.zeros(1, int), keys, weights.copy(), np.array([0, n])).numbers[0]
        names = ["quantile_25", "median", "quantile_90", "majority", "minority", "variety"]
        if not equal:  # exactextract counts each distinct value once
            np.testing.assert_allclose(
                ours[:3], [ref.weighted_quantile(values, weights, q) for q in wanted.quantiles], rtol=1e-12
            )
        compared = (0, 1, 2, 5) if equal else (3, 4, 5)
        np.testing.assert_allclose(ours[list(compared)], [theirs[names[k]] for k in compared], rtol=1e-6)
        np.testing.assert_allclose(ours[6:], theirs["frac"], rtol=1e-6)
