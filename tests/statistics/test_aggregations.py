"""Names of statistics are parsed, and user-supplied statistics get what they declare and nothing else."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from affine import Affine
from numpy.typing import NDArray

from tests import reference as ref
from tests import strategies
from tests.strategies import MOON_RADIUS_M, GridCase
from xcrater import CraterDatabase
from xcrater.aggregations import AGGREGATIONS, Aggregation, OrderStatistics, parse
from xcrater.errors import StatisticError

GRID = GridCase(Affine(4, 0, -180, 0, -4, 90), (45, 90))
PLACES = ((12.3, 34.5, 17.1), (179.1, -20.2, 15.0), (33.3, 84.6, 9.1))
"""Longitude, latitude and angular radius of each crater in degrees."""


def rasters(dtype: str, scale: float = 1.0) -> tuple[CraterDatabase, Any, list[NDArray[Any]]]:
    """A table of discs, a chunked raster of two images, and the stored values in each disc, shape (image, pixel)."""
    values = np.random.default_rng(4).integers(0, 200, (2, *GRID.shape)).astype(dtype)
    lon, lat, radius = np.array(PLACES).T
    cdb = CraterDatabase(pd.DataFrame({"lat": lat, "lon": lon, "radius": np.radians(radius) * MOON_RADIUS_M}), "moon")
    cdb.add_circles("floor", nvert=None)
    da = strategies.data_array(values, GRID, chunks={"band": 1, "y": 13, "x": 31})
    if scale != 1.0:
        da.attrs |= {"scale_factor": scale, "add_offset": 3.0}
    masks = [ref.circle_mask_center(GRID.transform, GRID.shape, *place[:2], 0.0, place[2]) for place in PLACES]
    return cdb, da, [values[:, mask] for mask in masks]


def interquartile(state: Any) -> Any:
    return state["order"].quantile(0.75) - state["order"].quantile(0.25)


@pytest.mark.parametrize("scale", [1.0, -0.5])
@pytest.mark.parametrize("dtype", ["u1", "f4"])
def test_a_user_supplied_statistic_reads_order_statistics(dtype: str, scale: float) -> None:
    cdb, da, inside = rasters(dtype, scale)
    decode = (lambda x: x) if scale == 1.0 else (lambda x: x * scale + 3.0)

    seven = decode(7.0)
    declared = {
        "iqr": (interquartile, OrderStatistics(quantiles=(0.25, 0.75))),
        "mode": (lambda s: s["order"].frequency("majority"), OrderStatistics(frequencies=True)),
        "distinct": (lambda s: s["order"].frequency("unique"), OrderStatistics(frequencies=True)),
        "sevens": (lambda s: s["order"].share(seven), OrderStatistics(shares=(seven,))),
        "values": (lambda s: s["order"].categories(), OrderStatistics(categories=True)),
    }
    own = {
        name: Aggregation(name, ("sums",), finalise, "object" if order.categories else "float64", order)
        for name, (finalise, order) in declared.items()
    }
    found = da.craters.get_stats(cdb, "floor", "median", coverage="center", add_stats=own).compute()
    for crater, images in enumerate(inside):
        for image, stored in enumerate(images):
            numbers = {name: found[name].values[image, crater] for name in ("median", *own)}
            values = decode(stored.astype(float))
            distinct, count = np.unique(values, return_counts=True)
            assert numbers["median"] == np.median(values)
            assert numbers["iqr"] == np.subtract(*np.quantile(values, [0.75, 0.25]))
            assert numbers["mode"] == distinct[count.argmax()]
            assert numbers["distinct"] == distinct.size
            assert numbers["sevens"] == (stored == 7).sum() / stored.size
            assert numbers["values"] == dict(zip(distinct.tolist(), count.tolist()))


@pytest.mark.parametrize("dtype", ["u1", "f8"])
def test_a_user_supplied_statistic_builds_on_others(dtype: str) -> None:
    cdb, da, inside = rasters(dtype)

    def rms(state: Any) -> Any:
        return np.hypot(AGGREGATIONS["mean"].finalise(state), AGGREGATIONS["std"].finalise(state))

    own = {"rms": Aggregation("rms", ("sums",), rms)}
    found = da.craters.get_stats(cdb, "floor", "mean", coverage="center", add_stats=own)["rms"].values
    wanted = [[np.sqrt((stored.astype(float) ** 2).mean()) for stored in images] for images in inside]
    np.testing.assert_allclose(found, np.transpose(wanted), rtol=1e-12)


def test_undeclared_needs_are_refused_with_the_line_to_type() -> None:
    cdb, da, _ = rasters("u1")
    asked = {
        "quantiles=(0.75,)": lambda s: s["order"].quantile(0.75),
        "frequencies=True": lambda s: s["order"].frequency("minority"),
        "shares=(3.0,)": lambda s: s["order"].share(3.0),
        "categories=True": lambda s: s["order"].categories(),
    }
    for line, finalise in asked.items():
        own = Aggregation("own", ("sums",), finalise, order=OrderStatistics(quantiles=(0.25,)))
        with pytest.raises(StatisticError, match="declared") as raised:
            da.craters.get_stats(cdb, "floor", "count", add_stats={"own": own}).compute()
        typed = str(raised.value).rpartition("order=")[2]
        assert typed == f"OrderStatistics({line})"
        own = Aggregation("own", ("sums",), finalise, "object", eval(typed))
        assert da.craters.get_stats(cdb, "floor", "count", add_stats={"own": own}).compute()["own"].shape == (2, 3)


def test_needs_that_only_another_statistic_declared_are_refused_too() -> None:
    """Otherwise a statistic would work in one call and fail in the next, where the other one is not requested."""
    cdb, da, _ = rasters("u1")
    own = Aggregation("own", ("sums",), lambda s: s["order"].quantile(0.5))
    modes = Aggregation("own", ("sums",), lambda s: s["order"].frequency("majority"), order=OrderStatistics((0.5,)))
    for statistic, others in (
        (own, "median"),
        (own, "count"),
        (own, "majority"),
        (modes, "majority"),
        (modes, "median"),
    ):
        for raster in (da, da.chunk(7)):
            with pytest.raises(StatisticError, match="declared"):
                raster.craters.get_stats(cdb, "floor", others, add_stats={"own": statistic}).compute()


def test_meaningless_needs_are_refused_with_the_line_to_type() -> None:
    with pytest.raises(StatisticError, match="'quantile'") as raised:
        Aggregation("iqr", ("sums", "quantile"), interquartile)
    line = re.search(r"from xcrater\.aggregations import \w+", str(raised.value))
    declaration = re.search(r"order=(OrderStatistics\(.*\))\)", str(raised.value))
    assert line
    assert declaration
    names: dict[str, Any] = {}
    exec(line[0], names)
    assert eval(declaration[1], names) == OrderStatistics(quantiles=(0.25, 0.75))
    with pytest.raises(StatisticError, match=r"received the quantile 75; expected numbers from 0 to 1"):
        OrderStatistics(quantiles=(75,))


@pytest.mark.parametrize("text", ["mean std", "mean,std", "mean, std", " std ,mean "])
def test_names_are_separated_by_spaces_or_commas(text: str) -> None:
    assert [a.name for a in parse(text)] == ["mean", "std"]
