"""Every kind of grid from end to end: pixels against geodesic distances, areas against those of caps on the body."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import dask
import numpy as np
import pandas as pd
import pyproj
import pytest
import shapely
import xarray as xr
from affine import Affine
from numpy.typing import NDArray

from tests import reference as ref
from tests.helpers import raise_if_dask_computes
from tests.strategies import GridCase, data_array
from xcrater import CraterDatabase
from xcrater.errors import BodyError, GridError

Array = NDArray[Any]

SPHERE, OBLATE = (1_737_400.0, 1_737_400.0), (3_396_190.0, 3_376_200.0)
BODY = {SPHERE: "moon", OBLATE: "mars"}
NEAR = 0.02
"""Pixels; centres nearer to a boundary may lie on either side of it."""


@dataclass(frozen=True)
class Map:
    """A raster's frame, in the raster's own words (crs) and in those of the oracle.

    Parameters
    ----------
    crs : str
        Label of the raster.
    axes : tuple of float
        The body's semi-axes, metres.
    transform, shape
        The grid.
    proj : str
        PROJ's terms without the ellipsoid; empty for longitude and latitude.
    west : bool
        Whether longitudes, or x, are counted westward.
    ocentric : bool
        Whether latitudes of the grid are planetocentric.
    centre, rim : tuple of float and float
        Longitude and latitude of the projection's centre and how far the map reaches from there, degrees.
    period : float
        Columns per turn of longitude.
    """

    crs: str
    axes: tuple[float, float]
    transform: Affine
    shape: tuple[int, int]
    proj: str = ""
    west: bool = False
    ocentric: bool = False
    centre: tuple[float, float] = (0.0, 0.0)
    rim: float = 180.0
    period: float = math.inf

    @property
    def body(self) -> str:
        return BODY[self.axes]

    @property
    def geod(self) -> pyproj.Geod:
        return pyproj.Geod(a=self.axes[0], b=self.axes[1])

    def geodetic(self, lat: Any) -> Any:
        """Geodetic latitude of a planetocentric one, degrees."""
        ratio = (self.axes[0] / self.axes[1]) ** 2
        inside = np.degrees(np.arctan(ratio * np.tan(np.radians(np.clip(lat, -89.99999999, 89.99999999)))))
        return np.where(np.abs(lat) >= 89.99999999, lat, inside)

    def places(self, shift: tuple[float, float] = (0.0, 0.0)) -> tuple[Array, Array]:
        """East longitude and geodetic latitude of every pixel's centre; NaN off the map and past one turn."""
        t = self.transform
        if self.proj:
            if self.west:
                t = Affine(-t.a, 0, -t.c, 0, t.e, t.f)
            crs = pyproj.CRS(f"{self.proj} +a={self.axes[0]} +b={self.axes[1]} +units=m +no_defs")
            lon, lat = ref.projected_pixels(crs, t, self.shape, shift)
        else:
            rows, cols = np.indices(self.shape, dtype=float)
            lon = (t.c + t.a * (cols + 0.5 + shift[0])) * (-1 if self.west else 1)
            lat = t.f + t.e * (rows + 0.5 + shift[1])
            lat = np.where(np.abs(lat) <= 90, lat, np.nan)
            lat = self.geodetic(lat) if self.ocentric else lat
        again = np.arange(self.shape[1]) >= round(min(self.period, 1e9))
        if shift == (0.0, 0.0):
            lat = np.where(again, np.nan, lat)
        return np.where(np.isfinite(lat), lon, np.nan), lat

    def data(self, values: Any, **options: Any) -> xr.DataArray:
        return data_array(values, GridCase(self.transform, self.shape), self.crs, **options)

    def numbered(self, **options: Any) -> xr.DataArray:
        """A raster of which each pixel holds its own number."""
        return self.data(np.arange(math.prod(self.shape), dtype="i4").reshape(self.shape), **options)


def projected(
    proj: str, axes: tuple[float, float], extent: tuple[float, float, float, float], columns: int = 90, **more: Any
) -> Map:
    """A map of a projection; west, east, south and north edges in body radii."""
    west, east, south, north = (edge * axes[0] for edge in extent)
    step = (east - west) / columns
    rows = math.ceil((north - south) / step)
    crs = more.pop("crs", f"{proj} +a={axes[0]} +b={axes[1]} +units=m +no_defs")
    return Map(crs, axes, Affine(step, 0, west, 0, -step, north), (rows, columns), proj, **more)


def geographic(axes: tuple[float, float], start: float, step: float, columns: int, **more: Any) -> Map:
    """Longitude and latitude, north-up, from pole to pole."""
    crs = more.pop("crs", f"+proj=longlat +a={axes[0]} +b={axes[1]} +no_defs")
    transform = more.pop("transform", Affine(step, 0, start, 0, -abs(step), 90))
    shape = more.pop("shape", (round(180 / abs(step)), columns))
    return Map(crs, axes, transform, shape, period=360 / abs(step), **more)


TURN = 2 * math.pi / 2
PROJECTED: dict[str, tuple[str, tuple[float, float, float, float], dict[str, Any]]] = {
    "equirectangular, lat_ts": ("+proj=eqc +lat_ts=30 +lon_0=180", (-2.720699, 2.720699, -1.5708, 1.5708), {"centre": (180, 0)}),
    "equirectangular, part": ("+proj=eqc +lat_ts=-40 +lon_0=-75", (-1, 2, -1.2, 1.5), {"centre": (-75, 0)}),
    "sinusoidal": ("+proj=sinu +lon_0=20", (-3.1416, 3.1416, -1.5708, 1.5708), {"centre": (20, 0)}),
    "Mollweide": ("+proj=moll +lon_0=-100", (-2.9, 2.9, -1.45, 1.45), {"centre": (-100, 0)}),
    "Robinson": ("+proj=robin +lon_0=5", (-2.7, 2.7, -1.36, 1.36), {"centre": (5, 0)}),
    "Mercator": ("+proj=merc +lon_0=30", (-math.pi, math.pi, -2.5, 2.5), {"centre": (30, 0), "period": 90}),
    "north polar": ("+proj=stere +lat_0=90 +lon_0=45", (-1, 1, -0.8, 1.2), {"centre": (45, 90)}),
    "south polar": ("+proj=stere +lat_0=-90 +lat_ts=-71", (-1, 1, -1, 1), {"centre": (0, -90)}),
    "Lambert azimuthal": ("+proj=laea +lat_0=40 +lon_0=170", (-2, 2, -2, 2), {"centre": (170, 40)}),
    "Lambert conic": ("+proj=lcc +lat_1=20 +lat_2=60 +lat_0=40 +lon_0=10", (-3, 3, -2, 2), {"centre": (10, 0)}),
    "Albers": ("+proj=aea +lat_1=20 +lat_2=60 +lat_0=40 +lon_0=-80", (-3, 3, -2, 2), {"centre": (-80, 0)}),
    "orthographic": ("+proj=ortho +lat_0=30 +lon_0=60", (-1.05, 1.05, -1.05, 1.05), {"centre": (60, 30), "rim": 90.0}),
    "azimuthal equidistant": ("+proj=aeqd +lat_0=-20 +lon_0=120", (-2.1, 2.1, -2.1, 2.1), {"centre": (120, -20)}),
    "local equidistant": ("+proj=aeqd +lat_0=-80 +lon_0=120", (-0.1, 0.1, -0.1, 0.1), {"centre": (120, -80), "rim": 6.0}),
    "equal-area cylindrical": ("+proj=cea +lat_ts=30 +lon_0=100", (-2.7207, 2.7207, -1.2, 1.2), {"centre": (100, 0)}),
    "transverse Mercator": ("+proj=tmerc +lon_0=15 +k=0.9996", (-0.3, 0.3, -1, 1), {"centre": (15, 0), "rim": 60.0}),
}  # fmt: skip

MARS = f"+a={OBLATE[0]} +b={OBLATE[1]}"
CODES: dict[str, tuple[str, tuple[float, float, float, float], dict[str, Any]]] = {
    "49911": ("+proj=eqc", (-math.pi, math.pi, -math.pi / 2, math.pi / 2), {"west": True, "period": 90}),
    "49912": ("+proj=eqc", (-math.pi, math.pi, -math.pi / 2, math.pi / 2), {"period": 90}),
    "49916": ("+proj=eqc +lon_0=180", (-1, math.pi, -1.2, 1), {"west": True, "centre": (180, 0)}),
    "49921": ("+proj=sinu", (-3.1416, 3.1416, -1.5708, 1.5708), {"west": True}),
    "49922": ("+proj=sinu", (-3.1416, 3.1416, -1.5708, 1.5708), {}),
    "49931": ("+proj=stere +lat_0=90", (-1, 1, -0.8, 1.2), {"west": True, "centre": (0, 90)}),
    "49932": ("+proj=stere +lat_0=90", (-1, 1, -0.8, 1.2), {"centre": (0, 90)}),
    "49936": ("+proj=stere +lat_0=-90", (-1, 1, -0.8, 1.2), {"west": True, "centre": (0, -90)}),
    "49941": ("+proj=moll", (-2.9, 2.9, -1.45, 1.45), {"west": True}),
}

MAPS: dict[str, Map] = {
    f"{name}, {'sphere' if axes == SPHERE else 'oblate'}": projected(proj, axes, extent, **more)
    for axes in (SPHERE, OBLATE)
    for name, (proj, extent, more) in PROJECTED.items()
}
MAPS |= {
    f"IAU {code}": projected(proj, OBLATE, extent, crs=f"IAU_2015:{code}", **more)
    for code, (proj, extent, more) in CODES.items()
}
MAPS |= {
    "0 to 360": geographic(SPHERE, 0, 4, 90, crs="IAU_2015:30100", centre=(180, 0)),
    "±180": geographic(SPHERE, -180, 4, 90, crs="IAU_2015:30100"),
    "westward": geographic(SPHERE, 360, -4, 90),
    "south-up": geographic(SPHERE, -180, 4, 90, transform=Affine(4, 0, -180, 0, 4, -90)),
    "part": geographic(SPHERE, 170, 0.5, 90, shape=(60, 90), transform=Affine(0.5, 0, 170, 0, -0.5, 20), centre=(10, 0)),
    "past 360": geographic(SPHERE, -180, 4, 117),
    "two turns": geographic(SPHERE, -360, 4, 180),
    "gridline": geographic(SPHERE, -182, 4, 91, transform=Affine(4, 0, -182, 0, -4, 92), shape=(46, 91)),
    "no whole number of columns a turn": geographic(SPHERE, -180, 7, 51, transform=Affine(7, 0, -180, 0, -7, 91), shape=(26, 51)),
    "gridline, oblate": geographic(
        OBLATE, -182, 4, 91, transform=Affine(4, 0, -182, 0, -4, 92), shape=(46, 91), crs="IAU_2015:49902", ocentric=True
    ),
    "IAU 49901": geographic(OBLATE, -180, 4, 90, crs="IAU_2015:49901", west=True),
    "IAU 49901, 0 to 360, past 360": geographic(OBLATE, 0, 4, 99, crs="IAU_2015:49901", west=True, centre=(180, 0)),
    "IAU 49902": geographic(OBLATE, 0, 4, 90, crs="IAU_2015:49902", ocentric=True, centre=(180, 0)),
    "planetographic, eastward": geographic(OBLATE, -180, 4, 90),
    "planetographic, south-up": geographic(OBLATE, -180, 4, 90, transform=Affine(4, 0, -180, 0, 4, -90)),
}  # fmt: skip


def telling_craters(on: Map, n: int, seed: int) -> pd.DataFrame:
    """Craters anywhere, on and about the poles, on the seam, on the rim of the map; and some as large as the body."""
    rng = np.random.default_rng(seed)
    lon, lat = rng.uniform(-180, 180, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    kind = np.arange(n) % 6
    near_pole = np.clip(rng.choice([-1, 1], n) * (90 - np.abs(rng.normal(0, 5, n))), -90, 90)
    lat = np.where(kind == 0, near_pole, lat)
    lon = np.where(kind == 1, on.centre[0] + 180 + rng.normal(0, 3, n), lon)
    if on.rim < 180:
        away = np.clip(on.rim + rng.normal(0, 3, n), 0, 179)
        x, y, _ = pyproj.Geod(a=1, b=1).fwd(
            np.full(n, on.centre[0]), np.full(n, on.centre[1]), rng.uniform(0, 360, n), np.radians(away)
        )
        lon, lat = np.where(kind == 2, x, lon), np.where(kind == 2, y, lat)
    else:  # on the map
        x, y = on.places()
        some = rng.choice(np.flatnonzero(np.isfinite(x)), n)
        lon, lat = np.where(kind == 2, x.ravel()[some], lon), np.where(kind == 2, y.ravel()[some], lat)
    lat = np.where(kind == 3, rng.choice([-90, 90, 0, 89.999], n), lat)
    lon = np.where(kind == 3, rng.choice([0, 180, -180, on.centre[0]], n), lon)
    smallest = 0.05 if abs(on.transform.a) < 1e4 and on.proj or on.rim < 10 else 0.5
    radius = np.exp(rng.uniform(np.log(smallest), np.log(60), n))
    radius = np.where(rng.random(n) < 0.1, rng.uniform(60, 150, n), radius)
    return pd.DataFrame({"lat": lat, "lon": lon, "radius": np.radians(radius) * on.axes[0]})


def haversine(lon: float, lat: float, x: Array, y: Array) -> Array:
    """Great-circle distance, radians."""
    half = np.sin(np.radians(y - lat) / 2) ** 2
    half += math.cos(math.radians(lat)) * np.cos(np.radians(y)) * np.sin(np.radians(x - lon) / 2) ** 2
    return np.asarray(2 * np.arcsin(np.sqrt(np.clip(half, 0, 1))))


class Oracle:
    """Geodesic distances of a map's pixels, and how far `NEAR` pixels are on the ground."""

    def __init__(self, on: Map) -> None:
        self.on, self.geod = on, on.geod
        self.x, self.y = on.places()
        self.shown = np.isfinite(self.x)
        self.reach = np.zeros(on.shape)
        for turn in np.arange(8) * math.pi / 4:
            x, y = on.places((NEAR * math.cos(turn), NEAR * math.sin(turn)))
            half = np.sin(np.radians(y - self.y) / 2) ** 2
            half += np.cos(np.radians(self.y)) * np.cos(np.radians(y)) * np.sin(np.radians(x - self.x) / 2) ** 2
            moved = 2.02 * on.axes[0] * np.arcsin(np.sqrt(np.clip(half, 0, 1)))
            # A centre that close to the rim of the map may as well be off it
            self.reach = np.maximum(self.reach, np.where(np.isfinite(moved), moved, np.inf))

    def distance(self, lon: float, lat: float, *bounds: float) -> Array:
        """From a point of planetocentric latitude, metres; where it is far from the bounds, about."""
        lat = float(self.on.geodetic(lat))
        out = haversine(lon, lat, self.x, self.y) * self.on.axes[0]
        if self.on.axes[0] != self.on.axes[1] or True:
            slack = 0.012 * out + np.where(np.isfinite(self.reach), self.reach, 0)
            close = self.shown & np.logical_or.reduce([np.abs(out - bound) <= slack for bound in bounds])
            n = np.count_nonzero(close)
            if n:
                _, _, out[close] = self.geod.inv(np.full(n, lon), np.full(n, lat), self.x[close], self.y[close])
        return np.where(self.shown, out, np.inf)

    def pixels(self, lon: float, lat: float, inner: float, outer: float) -> tuple[Array, Array]:
        """Which pixels lie in a ring, and which of them is certain."""
        distance = self.distance(lon, lat, *([inner] if inner else []), outer)
        inside = (distance <= outer) & ((distance > inner) | (inner == 0))
        certain = np.abs(distance - outer) > self.reach
        if inner:
            certain &= np.abs(distance - inner) > self.reach
        return inside, certain | ~self.shown & np.isinf(self.reach) & False | (~self.shown)


@cache
def oracle(name: str) -> Oracle:
    return Oracle(MAPS[name])


def table_of(on: Map, craters: pd.DataFrame) -> CraterDatabase:
    cdb = CraterDatabase(craters, on.body, "planetocentric")
    cdb.add_circles("disc", 1.0, nvert=None)
    cdb.add_annuli("ring", 0.4, 1.0, nvert=None)
    return cdb


BOUNDS = {"disc": (0.0, 1.0), "ring": (0.4, 1.0)}


def numbers(masked: Any) -> Array:
    """The pixels that a masked array of `Map.numbered` shows, each once."""
    found = np.sort(np.ma.MaskedArray(masked).compressed())
    assert (np.diff(found) > 0).all(), "a pixel counts twice"
    return found


def check_centres(name: str, n: int, seed: int) -> int:
    """Compare masks and counts with geodesic distances; returns the number of pixels compared."""
    on, judge = MAPS[name], oracle(name)
    craters = telling_craters(on, n, seed)
    cdb, da = table_of(on, craters), on.numbered()
    arrays = da.craters.get_arrays(cdb, list(BOUNDS), coverage="center").compute()
    stats = da.craters.get_stats(cdb, list(BOUNDS), "count sum min max", coverage="center")
    compared = 0
    for region, (inner, outer) in BOUNDS.items():
        of = stats.sel(region=region)
        for i, (lat, lon, radius) in enumerate(zip(cdb.lat, cdb.lon, cdb.rad)):
            found = numbers(arrays[region].iloc[i])
            got = np.zeros(on.shape, bool)
            got.flat[found] = True
            inside, certain = judge.pixels(lon, lat, inner * radius, outer * radius)
            wrong = (got != inside) & certain
            assert not wrong.any(), (
                f"{name}: {region} of crater at lon {lon!r}, lat {lat!r}, {radius!r} m: pixels {np.argwhere(wrong)[:5]} "
                f"({np.count_nonzero(wrong)}) are {'in' if got[wrong][0] else 'out'}"
            )
            compared += np.count_nonzero(certain & judge.shown)
            assert of["count"][i] == found.size
            if found.size:
                assert of["sum"][i] == found.astype(np.int64).sum()
                assert (of["min"][i], of["max"][i]) == (found[0], found[-1])
    return compared


@pytest.mark.parametrize("name", MAPS)
def test_pixels_within_geodesic_distance(name: str) -> None:
    assert check_centres(name, 12, len(name)) > 0


def check_consistency(name: str, n: int, seed: int, coverages: tuple[str, ...] = ("all_touched", "center", "exact")) -> None:
    """Arrays and statistics tell of the same pixels, and the three rules of one another."""
    on = MAPS[name]
    craters = telling_craters(on, n, seed)
    cdb, da = table_of(on, craters), on.numbered()
    cdb.add_annuli("polygon", 0.5, 1, nvert=12)
    regions = ["disc", "ring", "polygon"]
    held: dict[str, list[set[int]]] = {}
    counts = {}
    for coverage in coverages:
        arrays = da.craters.get_arrays(cdb, regions, coverage=coverage).compute()
        stats = da.craters.get_stats(cdb, regions, "count min max", coverage=coverage)
        counts[coverage] = stats["count"].to_numpy().ravel()
        held[coverage] = [set(numbers(arrays[r].iloc[i]).tolist()) for r in regions for i in range(n)]
        low, high = stats["min"].to_numpy().ravel(), stats["max"].to_numpy().ravel()
        for k, pixels in enumerate(held[coverage]):
            where = (name, coverage, regions[k // n], craters.iloc[k % n].to_dict())
            if coverage == "exact":
                assert counts[coverage][k] <= len(pixels) + 1e-9, where
            else:
                assert counts[coverage][k] == len(pixels), where
            assert (math.isnan(low[k]) and not pixels) or (min(pixels), max(pixels)) == (low[k], high[k]), where
    for k, pixels in enumerate(held["exact"]):
        where = (name, regions[k // n], craters.iloc[k % n].to_dict())
        assert pixels <= held["all_touched"][k], where
        # What is touched and not covered at all is touched by less than rounding
        assert len(held["all_touched"][k] - pixels) <= 2, where
        assert held["center"][k] <= held["all_touched"][k], where


@pytest.mark.parametrize("name", MAPS)
def test_arrays_and_statistics_agree(name: str) -> None:
    check_consistency(name, 6, len(name) + 1)
