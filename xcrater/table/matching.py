"""Matching of the craters that two tables have in common."""

from __future__ import annotations

import math
from collections.abc import Iterator
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xcrater.errors import BodyError, TableError
from xcrater.geometry.sphere import great_circle_distance
from xcrater.table.header import find_size_column

if TYPE_CHECKING:
    from xcrater.table.crater_table import CraterTable

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_OWN = ["_lat", "_lon", "_radius_m"]
_FEW = 4096  # number of pairs up to which every pair is compared


def match(first: CraterTable, second: CraterTable, separation: float, ratio: float) -> pd.DataFrame:
    """Find the craters that are in both tables; see `CraterDatabase.match`."""
    if first.body != second.body:
        raise BodyError(f"received tables on {first.body} and {second.body}; expected two tables on one body")
    for name, value, least in (("separation", separation, 0.0), ("ratio", ratio, 1.0)):
        if isinstance(value, bool) or not isinstance(value, Real) or not least <= float(value) < math.inf:
            raise TableError(f"received {name}={value!r}; expected a finite number of {least:g} or more")
    found = [_NOTHING, *_candidates(first, second, separation, ratio)]
    i, j, distance = (np.concatenate(column) for column in zip(*found, strict=True))
    r1, r2 = _numbers(first.rad), _numbers(second.rad)
    apart = distance * first.body_radius / np.minimum(r1[i], r2[j])
    larger = np.maximum(r1[i], r2[j]) / np.minimum(r1[i], r2[j])
    good = (apart <= separation) & (larger <= ratio)
    i, j, distance, apart, larger = i[good], j[good], distance[good], apart[good], larger[good]
    chosen = _one_to_one(i, j, np.hypot(apart, np.log(larger)))
    return pd.DataFrame(
        {
            "first": first.data.index[i[chosen]],
            "second": second.data.index[j[chosen]],
            "first_row": i[chosen],
            "second_row": j[chosen],
            "distance_m": distance[chosen] * first.body_radius,
            "separation": apart[chosen],
            "ratio": r2[j[chosen]] / r1[i[chosen]],
        }
    )


_NOTHING = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))


def _candidates(
    first: CraterTable, second: CraterTable, separation: float, ratio: float
) -> Iterator[tuple[Ints, Ints, Floats]]:
    """Yield candidate pairs and their distances in radians; each size class is compared with its neighbours."""
    places = [_on_sphere(table) for table in (first, second)]
    (lon1, lat1, r1), (lon2, lat2, r2) = (
        (_numbers(table.lon), _numbers(table.lat), _numbers(table.rad)) for table in (first, second)
    )
    if not r1.size or not r2.size:
        return
    smallest = min(r1.min(), r2.min())
    width = math.log(max(ratio, 1.25))
    class1, class2 = (np.floor(np.log(r / smallest) / width).astype(np.int64) for r in (r1, r2))
    by1, by2 = np.argsort(class1, kind="stable"), np.argsort(class2, kind="stable")
    for number in np.unique(class1):
        mine = by1[slice(*np.searchsorted(class1[by1], [number, number + 1]))]
        theirs = by2[slice(*np.searchsorted(class2[by2], [number - 1, number + 2]))]
        if mine.size and theirs.size:
            angle = separation * r1[mine].max() / first.body_radius
            a, b = _near_pairs(places[0][mine], places[1][theirs], angle)
            i, j = mine[a], theirs[b]
            yield i, j, great_circle_distance(lon1[i], lat1[i], lon2[j], lat2[j])


def _numbers(column: pd.Series[float]) -> Floats:
    return np.asarray(column, dtype=np.float64)


def _on_sphere(table: CraterTable) -> Floats:
    """Centres as points on the unit sphere, shape (n, 3)."""
    lon, lat = np.radians(table.lon.to_numpy()), np.radians(table.lat.to_numpy())
    return np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def _near_pairs(a: Floats, b: Floats, angle: float) -> tuple[Ints, Ints]:
    """Find the pairs of points on the unit sphere that are at most an angle apart; rounding may add a few others.

    Points are sorted by the cube of space in which they lie, with the chord of the angle as the cubes' side. The
    partners of a point then lie in 9 runs of 3 cubes each.
    """
    side = max(2.0 * math.sin(min(angle, math.pi) / 2.0), 1e-9) * (1 + 1e-9)
    if len(a) * len(b) <= _FEW or side > 0.5:
        i, j = np.divmod(np.arange(len(a) * len(b)), len(b))
        close = ((a[i] - b[j]) ** 2).sum(axis=1) <= side**2
        return i[close], j[close]
    many = int(2.0 / side) + 4  # cubes along an axis
    cubes = [np.floor((points + 1.0) / side).astype(np.int64) + 1 for points in (a, b)]
    keys = [(cube[:, 0] * many + cube[:, 1]) * many + cube[:, 2] for cube in cubes]
    order_a, order_b = (np.argsort(key, kind="stable") for key in keys)
    wanted, found = keys[0][order_a], keys[1][order_b]
    pairs_i, pairs_j = [], []
    for x in (-1, 0, 1):
        for y in (-1, 0, 1):
            middle = wanted + (x * many + y) * many
            start, stop = np.searchsorted(found, middle - 1, "left"), np.searchsorted(found, middle + 1, "right")
            count = stop - start
            i = np.repeat(np.arange(count.size), count)
            j = np.arange(i.size) - np.repeat(np.cumsum(count) - count - start, count)
            i, j = order_a[i], order_b[j]
            close = ((a[i] - b[j]) ** 2).sum(axis=1) <= side**2
            pairs_i.append(i[close])
            pairs_j.append(j[close])
    return np.concatenate(pairs_i), np.concatenate(pairs_j)


def _one_to_one(i: Ints, j: Ints, score: Floats) -> Ints:
    """Positions of the pairs chosen greedily: the best pair is taken and its two craters removed, until none is left.

    A pair that is the best for both of its craters is always among them, so each round can take many at once.
    """
    left = np.lexsort((j, i, score))
    taken = []
    while left.size:
        firsts = [np.zeros(left.size, bool), np.zeros(left.size, bool)]
        for best, of in zip(firsts, (i[left], j[left]), strict=True):
            best[np.unique(of, return_index=True)[1]] = True
        both = left[firsts[0] & firsts[1]]
        taken.append(both)
        left = left[~(np.isin(i[left], i[both]) | np.isin(j[left], j[both]))]
    chosen = np.concatenate([np.empty(0, np.int64), *taken])
    return chosen[np.argsort(i[chosen], kind="stable")]


def merged(
    first: CraterTable, second: CraterTable, units: tuple[str, str], separation: float, ratio: float
) -> tuple[pd.DataFrame, pd.Index[Any]]:
    """Table of the craters of both tables, and its own columns; see `CraterDatabase.merge`."""
    pairs = match(first, second, separation, ratio)
    shared = [column for column in first.orig_cols if column in second.orig_cols]
    if units[0] != units[1] and len(second):
        size = find_size_column(second.data[second.orig_cols], None, None, units[1]).name
        if size in shared:
            raise TableError(
                f"both tables have the column {size!r}, in {units[0]} and in {units[1]}; rename it in one of them: "
                f"CraterDatabase(cdb2.data[cdb2.orig_cols].rename(columns={{{size!r}: '{size} 2'}}), ...)"
            )
    new = np.setdiff1d(np.arange(len(second)), pairs["second_row"].to_numpy())
    data = pd.concat([first.data, second.data.iloc[new]], ignore_index=True)
    only = [column for column in second.data.columns if column not in first.data.columns]
    rows, partners = pairs["first_row"].to_numpy(), pairs["second_row"].to_numpy()
    for column in only:
        filled = second.data[column].iloc[np.concatenate([partners, new])]
        filled.index = pd.Index(np.concatenate([rows, len(first) + np.arange(new.size)]))
        data[column] = filled.reindex(data.index)
    ordered = [column for column in data.columns if column not in _OWN]
    original = pd.Index([c for c in ordered if c in first.orig_cols or c in second.orig_cols])
    return data[[*ordered, *_OWN]], original
