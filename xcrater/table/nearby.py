"""Selection of craters by position: in a box of longitude and latitude, or nearest to a point."""

from __future__ import annotations

import math
from numbers import Integral, Real

import numpy as np
from numpy.typing import NDArray

from xcrater.errors import TableError
from xcrater.geometry.sphere import great_circle_distance
from xcrater.table.crater_table import CraterTable

Ints = NDArray[np.intp]


def in_box(cdb: CraterTable, west: object, east: object, south: object, north: object) -> Ints:
    """Positions of the craters whose centres lie in a box; see `CraterDatabase.sel_bbox`."""
    left, right = _number("west", west), _number("east", east)
    low, high = _latitude("south", south), _latitude("north", north)
    if low > high:
        raise TableError(f"received south={south!r}, north={north!r}; expected south to be the smaller of the two")
    lon, lat = np.asarray(cdb.lon, np.float64), np.asarray(cdb.lat, np.float64)
    inside = (lat >= low) & (lat <= high)
    if abs(right - left) < 360.0:
        inside &= np.mod(lon - left, 360.0) <= (right - left) % 360.0
    return np.flatnonzero(inside)


def nearest(cdb: CraterTable, lon: object, lat: object, n: object, within: object) -> Ints:
    """Positions of the craters nearest to a point, by distance; see `CraterDatabase.sel_nearest`."""
    x, y = _number("lon", lon), _latitude("lat", lat)
    if isinstance(n, bool) or not isinstance(n, Integral) or n < 0:
        raise TableError(f"received n={n!r}; expected a whole number of craters, such as n=1")
    most = math.inf if within is None else _number("within", within)
    if most < 0:
        raise TableError(f"received within={within!r}; expected a distance in metres, such as within=100e3")
    centres = np.asarray(cdb.lon, np.float64), np.asarray(cdb.lat, np.float64)
    distance = great_circle_distance(*centres, np.full(1, x), np.full(1, y)) * cdb.body_radius
    found = np.flatnonzero(distance <= most)
    return found[np.argsort(distance[found], kind="stable")[: int(n)]]


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise TableError(f"received {name}={value!r}; expected a finite number")
    return float(value)


def _latitude(name: str, value: object) -> float:
    number = _number(name, value)
    if abs(number) > 90.0:
        raise TableError(f"received {name}={value!r}; expected a latitude from -90 to 90 degrees")
    return number
