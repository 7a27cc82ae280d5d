"""Every kind of grid from end to end: pixels agree with geodesic distances, and areas with true areas on the body."""

from __future__ import annotations

import math
from collections.abc import Iterable
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
from xcrater.engine.craters import Craters
from xcrater.engine.request import make_request
from xcrater.errors import BodyError, GridError
from xcrater.geometry.frame import Frame
from xcrater.geometry.outlines import ring_outlines

Array = NDArray[Any]

SPHERE, OBLATE = (1_737_400.0, 1_737_400.0), (3_396_190.0, 3_376_200.0)
BODY = {SPHERE: "moon", OBLATE: "mars"}
NEAR = 0.02
"""Distance in pixels; centres closer to a boundary may lie on either side of it."""


@dataclass(frozen=True)
class Map:
    """A raster's grid, described by its CRS and, independently, in the terms of the oracle.

    Parameters
    ----------
    crs : str
        CRS with which the raster is labelled.
    axes : tuple of float
        Semi-axes of the body in metres.
    transform, shape
        The grid.
    proj : str
        PROJ parameters without the ellipsoid; empty for longitude and latitude.
    west : bool
        Whether longitudes, or x, increase westward.
    ocentric : bool
        Whether latitudes of the grid are planetocentric.
    centre, rim : tuple of float and float
        Longitude and latitude of the projection's centre, and how far the map extends from it, in degrees.
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
        """Geodetic latitude from a planetocentric one, in degrees."""
        ratio = (self.axes[0] / self.axes[1]) ** 2
        inside = np.degrees(np.arctan(ratio * np.tan(np.radians(np.clip(lat, -89.99999999, 89.99999999)))))
        return np.where(np.abs(lat) >= 89.99999999, lat, inside)

    def places(self, shift: tuple[float, float] = (0.0, 0.0)) -> tuple[Array, Array]:
        """East longitude and geodetic latitude of each pixel's centre; NaN off the map and beyond one turn."""
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
        """A raster in which each pixel holds its own number."""
        return self.data(np.arange(math.prod(self.shape), dtype="i4").reshape(self.shape), **options)


def projected(
    proj: str, axes: tuple[float, float], extent: tuple[float, float, float, float], columns: int = 90, **more: Any
) -> Map:
    """A map in some projection; west, east, south and north edges are in body radii."""
    west, east, south, north = (edge * axes[0] for edge in extent)
    step = (east - west) / columns
    rows = math.ceil((north - south) / step)
    crs = more.pop("crs", f"{proj} +a={axes[0]} +b={axes[1]} +units=m +no_defs")
    return Map(crs, axes, Affine(step, 0, west, 0, -step, north), (rows, columns), proj, **more)


def geographic(axes: tuple[float, float], start: float, step: float, columns: int, **more: Any) -> Map:
    """A map in longitude and latitude, north-up, from pole to pole."""
    crs = more.pop("crs", f"+proj=longlat +a={axes[0]} +b={axes[1]} +no_defs")
    transform = more.pop("transform", Affine(step, 0, start, 0, -abs(step), 90))
    shape = more.pop("shape", (round(180 / abs(step)), columns))
    return Map(crs, axes, transform, shape, period=360 / abs(step), **more)


PROJECTED: dict[str, tuple[str, tuple[float, float, float, float], dict[str, Any]]] = {
    "equirectangular, lat_ts": ("+proj=eqc +lat_ts=30 +lon_0=180", (-2.720699, 2.720699, -1.5708, 1.5708), {"centre": (180, 0)}),  # noqa: E501
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
    "local equidistant": ("+proj=aeqd +lat_0=-80 +lon_0=120", (-0.1, 0.1, -0.1, 0.1), {"centre": (120, -80), "rim": 6.0}),  # noqa: E501
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
    "part": geographic(SPHERE, 170, 0.5, 90, shape=(60, 90), transform=Affine(0.5, 0, 170, 0, -0.5, 20), centre=(10, 0)),  # noqa: E501
    "past 360": geographic(SPHERE, -180, 4, 117),
    "two turns": geographic(SPHERE, -360, 4, 180),
    "gridline": geographic(SPHERE, -182, 4, 91, transform=Affine(4, 0, -182, 0, -4, 92), shape=(46, 91)),
    "no whole number of columns a turn": geographic(SPHERE, -180, 7, 51, transform=Affine(7, 0, -180, 0, -7, 91), shape=(26, 51)),  # noqa: E501
    "gridline, oblate": geographic(
        OBLATE, -182, 4, 91, transform=Affine(4, 0, -182, 0, -4, 92), shape=(46, 91), crs="IAU_2015:49902", ocentric=True  # noqa: E501
    ),
    "IAU 49901": geographic(OBLATE, -180, 4, 90, crs="IAU_2015:49901", west=True),
    "IAU 49901, 0 to 360, past 360": geographic(OBLATE, 0, 4, 99, crs="IAU_2015:49901", west=True, centre=(180, 0)),
    "IAU 49902": geographic(OBLATE, 0, 4, 90, crs="IAU_2015:49902", ocentric=True, centre=(180, 0)),
    "planetographic, eastward": geographic(OBLATE, -180, 4, 90),
    "planetographic, south-up": geographic(OBLATE, -180, 4, 90, transform=Affine(4, 0, -180, 0, 4, -90)),
}  # fmt: skip


QUICK = frozenset(
    {
        "0 to 360",
        "gridline, oblate",
        "IAU 49901, 0 to 360, past 360",
        "IAU 49902",
        "IAU 49916",
        "part",
        "equirectangular, lat_ts, sphere",
        "equirectangular, part, oblate",
        "Lambert conic, oblate",
        "Mercator, sphere",
        "north polar, oblate",
        "orthographic, sphere",
        "sinusoidal, oblate",
        "transverse Mercator, sphere",
    }
)
"""Maps of the quick run: longitude-latitude grids with each peculiarity, and each kind of projection once."""


def every(names: Iterable[str]) -> list[Any]:
    """Parameters for a test that runs on all these maps, of which the quick run takes those in `QUICK` only."""
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in names]


def varied_craters(on: Map, n: int, seed: int) -> pd.DataFrame:
    """Craters anywhere, near poles, near the seam and near the rim of the map, some as large as the body."""
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
    else:  # somewhere on the map
        x, y = on.places()
        some = rng.choice(np.flatnonzero(np.isfinite(x)), n)
        lon, lat = np.where(kind == 2, x.ravel()[some], lon), np.where(kind == 2, y.ravel()[some], lat)
    lat = np.where(kind == 3, rng.choice([-90, 90, 0, 89.999], n), lat)
    lon = np.where(kind == 3, rng.choice([0, 180, -180, on.centre[0]], n), lon)
    smallest = 0.05 if (abs(on.transform.a) < 1e4 and on.proj) or on.rim < 10 else 0.5
    radius = np.exp(rng.uniform(np.log(smallest), np.log(60), n))
    radius = np.where(rng.random(n) < 0.1, rng.uniform(60, 150, n), radius)
    return pd.DataFrame({"lat": lat, "lon": lon, "radius": np.radians(radius) * on.axes[0]})


def haversine(lon: float, lat: float, x: Array, y: Array) -> Array:
    """Great-circle distance in radians."""
    half = np.sin(np.radians(y - lat) / 2) ** 2
    half += math.cos(math.radians(lat)) * np.cos(np.radians(y)) * np.sin(np.radians(x - lon) / 2) ** 2
    return np.asarray(2 * np.arcsin(np.sqrt(np.clip(half, 0, 1))))


class Oracle:
    """Geodesic distances to a map's pixels, and the length of `NEAR` pixels on the ground."""

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
            # A centre that close to the rim of the map may just as well be off it.
            self.reach = np.maximum(self.reach, np.where(np.isfinite(moved), moved, np.inf))

    def distance(self, lon: float, lat: float, *bounds: float) -> Array:
        """Distance from a point in planetocentric latitude, metres; only approximate far from the bounds."""
        lat = float(self.on.geodetic(lat))
        out = haversine(lon, lat, self.x, self.y) * self.on.axes[0]
        slack = 0.012 * out + np.where(np.isfinite(self.reach), self.reach, 0)
        close = self.shown & np.logical_or.reduce([np.abs(out - bound) <= slack for bound in bounds])
        n = np.count_nonzero(close)
        _, _, out[close] = self.geod.inv(np.full(n, lon), np.full(n, lat), self.x[close], self.y[close])
        return np.where(self.shown, out, np.inf)

    def pixels(self, lon: float, lat: float, inner: float, outer: float) -> tuple[Array, Array]:
        """Which pixels lie in a ring, and for which pixels this is certain."""
        distance = self.distance(lon, lat, *([inner] if inner else []), outer)
        inside = (distance <= outer) & ((distance > inner) | (inner == 0))
        certain = np.abs(distance - outer) > self.reach
        if inner:
            certain &= np.abs(distance - inner) > self.reach
        return inside, certain | ~self.shown


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
    """The numbers of the unmasked pixels of an array from `Map.numbered`, each once."""
    found = np.sort(np.ma.MaskedArray(masked).compressed())
    assert (np.diff(found) > 0).all(), "a pixel occurs twice"
    return found


def check_centres(name: str, n: int, seed: int) -> int:
    """Compare masks and counts with geodesic distances; return the number of pixels compared."""
    on, judge = MAPS[name], oracle(name)
    craters = varied_craters(on, n, seed)
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
                f"{name}: {region} of crater at lon {lon!r}, lat {lat!r}, {radius!r} m: pixels {np.argwhere(wrong)[:5]} "  # noqa: E501
                f"({np.count_nonzero(wrong)}) are {'in' if got[wrong][0] else 'out'}"
            )
            compared += np.count_nonzero(certain & judge.shown)
            assert of["count"][i] == found.size
            if found.size:
                assert of["sum"][i] == found.astype(np.int64).sum()
                assert (of["min"][i], of["max"][i]) == (found[0], found[-1])
    return compared


@pytest.mark.parametrize("name", every(MAPS))
def test_pixels_within_geodesic_distance(name: str) -> None:
    assert check_centres(name, 6, len(name)) > 0


def check_consistency(
    name: str, n: int, seed: int, coverages: tuple[str, ...] = ("all_touched", "center", "exact")
) -> None:
    """Arrays and statistics use the same pixels, and the three coverage rules agree with each other."""
    on = MAPS[name]
    craters = varied_craters(on, n, seed)
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
        # A pixel that is touched but not covered at all is touched by less than rounding.
        assert len(held["all_touched"][k] - pixels) <= 2, where
        assert held["center"][k] <= held["all_touched"][k], where


@pytest.mark.parametrize("name", every(MAPS))
def test_arrays_and_statistics_agree(name: str) -> None:
    check_consistency(name, 2, len(name) + 1)


# Areas


def ring_area(on: Map, lon: float, lat: float, inner: float, outer: float) -> float:
    """True area between two geodesic circles around a point in planetocentric latitude, m²."""

    def disc(radius: float) -> float:
        if on.axes[0] == on.axes[1]:
            return 4 * math.pi * on.axes[0] ** 2 * math.sin(radius / on.axes[0] / 2) ** 2
        phi = float(on.geodetic(lat))

        def polygon(n: int) -> float:
            turn = np.arange(n) * 360 / n
            x, y, _ = on.geod.fwd(np.full(n, lon), np.full(n, phi), turn, np.full(n, radius))
            return abs(on.geod.polygon_area_perimeter(x, y)[0])

        return (4 * polygon(1024) - polygon(512)) / 3  # the error is quadratic in the step

    return disc(outer) - (disc(inner) if inner else 0.0)


def zoomed(on: Map, lon: float, lat: float, radius: float, pixels: int) -> Map:
    """The same projection with the given number of pixels across a circle around a point; the radius is in metres."""
    lat = float(on.geodetic(lat))
    if on.proj:
        projection = pyproj.Proj(f"{on.proj} +a={on.axes[0]} +b={on.axes[1]} +units=m +no_defs")
        x, y, _ = on.geod.fwd(np.full(65, lon), np.full(65, lat), np.linspace(0, 360, 65), np.full(65, radius))
        u, v = projection(x, y)
        u = -u if on.west else u
        west, east, south, north = u.min(), u.max(), v.min(), v.max()
        step = 2 * radius / pixels
    else:
        y = (
            lat
            if not on.ocentric
            else math.degrees(math.atan((on.axes[1] / on.axes[0]) ** 2 * math.tan(math.radians(lat))))
        )
        high = math.degrees(radius / on.axes[1])
        wide = 1.3 * high / math.cos(math.radians(min(abs(y) + high, 89)))
        x = -lon if on.west else lon
        west, east, south, north = x - wide, x + wide, max(-90, y - high * 1.02), min(90, y + high * 1.02)
        step = 2 * high / pixels
    cols, rows = (math.ceil((b - a) / step) + 4 for a, b in ((west, east), (south, north)))
    return replace(on, transform=Affine(step, 0, west - 2 * step, 0, -step, north + 2 * step), shape=(rows, cols))


def area_errors(on: Map, places: Any, pixels: int = 160) -> list[float]:
    """Relative errors of the areas of discs and rings."""
    out = []
    for lon, lat, degrees in places:
        radius = math.radians(degrees) * on.axes[0]
        zoom = zoomed(on, lon, lat, radius, pixels)
        cdb = table_of(zoom, pd.DataFrame({"lat": [lat], "lon": [lon], "radius": [radius]}))
        area = zoom.data(np.ones(zoom.shape, "u1")).craters.get_stats(cdb, list(BOUNDS), "area", coverage="exact")
        for region, (inner, outer) in BOUNDS.items():
            wanted = ring_area(on, lon, lat, inner * radius, outer * radius)
            out.append(area["area"].sel(region=region).item() / wanted - 1)
    return out


@pytest.mark.slow
@pytest.mark.parametrize("name", every(MAPS))
def test_areas_agree_with_those_of_caps(name: str) -> None:
    on = MAPS[name]
    lon, lat = on.centre
    at = lat - math.copysign(2.5, lat or 1)
    errors = area_errors(on, [(lon + 3.0, at, 1.0)])
    assert max(map(abs, errors)) < 2e-8, errors  # the accuracy of PROJ's latitudes on equal-area maps of ellipsoids


def finer(on: Map, by: int) -> Map:
    """The same map, cut off at the poles, with more pixels."""
    t, (rows, cols) = on.transform, (on.shape[0] * by, on.shape[1] * by)
    t = Affine(t.a / by, 0, t.c, 0, t.e / by, t.f)
    if not on.proj:
        t, rows = Affine(t.a, 0, t.c, 0, t.e, np.clip(t.f, -90, 90)), min(rows, int(180 / abs(t.e) + 1e-9))
    return replace(on, transform=t, shape=(rows, cols), period=on.period * by)


def shown_whole(on: Map, cdb: CraterDatabase, frame: Frame, placed: Craters) -> Array:
    """Which craters smaller than half the body have discs within the domain of the projection and the raster."""
    u0, u1, v0, v1 = ring_outlines(frame, placed, 0, 1).bounds()
    reach = np.degrees(cdb.rad / on.axes[0]) * 1.006 + 0.01
    (low, high), (rows, cols) = frame.limits, on.shape
    if frame.kind == "azimuthal":
        lat = frame.geodetic(np.array(cdb.lat))
        distance = np.degrees([haversine(x, y, *on.centre) for x, y in zip(cdb.lon, lat)])
        inside = distance + reach < high
    else:
        inside = ((low <= -90) | (cdb.lat - reach > low)) & ((high >= 90) | (cdb.lat + reach < high))
    if frame.kind == "cylindrical":
        _, poles = frame.pixels(np.full(2, on.centre[0]), np.array([-90.0, 90.0]))
        with np.errstate(invalid="ignore"):
            v0, v1 = np.maximum(v0, np.nanmin(poles)), np.minimum(v1, np.nanmax(poles))
            u1, u0 = u1 - np.floor(u0 / frame.period) * frame.period, np.mod(u0, frame.period)
        if abs(cols - frame.period) < 1e-6 or cols > frame.period + 1:
            u0, u1 = np.zeros(len(cdb)), np.zeros(len(cdb))
    close = 1e-6
    return inside & (reach < 85) & (u0 >= -close) & (u1 <= cols + close) & (v0 >= -close) & (v1 <= rows + close)


def check_areas(name: str, n: int, seed: int, by: int) -> tuple[int, float]:
    """Compare areas with those of caps; return how many were compared and the largest relative error."""
    on = finer(MAPS[name], by)
    craters = varied_craters(on, n, seed)
    cdb, da = table_of(on, craters), on.data(np.ones(on.shape, "u1"))
    request = make_request(da, cdb, ["disc"], coverage="exact", nodata=None)
    assert request.shapes.frame is not None
    some = np.flatnonzero(shown_whole(on, cdb, request.shapes.frame, request.craters))
    found = da.craters.get_stats(table_of(on, craters.iloc[some]), list(BOUNDS), "area", coverage="exact")["area"]
    worst = 0.0
    for k, i in enumerate(some.tolist()):
        for region, (inner, outer) in BOUNDS.items():
            wanted = ring_area(on, cdb.lon[i], cdb.lat[i], inner * cdb.rad[i], outer * cdb.rad[i])
            error = abs(found.sel(region=region)[k].item() / wanted - 1)
            assert error < 1e-6, (name, region, cdb.lat[i], cdb.lon[i], cdb.rad[i], error)
            worst = max(worst, error)
    return some.size, worst


@pytest.mark.slow
@pytest.mark.parametrize("name", every(MAPS))
def test_areas_anywhere_on_a_map(name: str) -> None:
    """The discs are on poles, on seams and close to rims, and as small as a pixel."""
    # Among a dozen craters, none lies wholly on the raster named "part".
    compared, _ = check_areas(name, 40 if name == "part" else 12, len(name), 4)
    assert compared > 0


def lens_area(distance: float, radius: float) -> float:
    """Area, on the unit sphere, of a cap's part within 90° of a point; distance and radius in radians."""
    rim = math.pi / 2 - distance
    if radius <= rim:
        return 4 * math.pi * math.sin(radius / 2) ** 2
    nodes, weights = np.polynomial.legendre.leggauss(200)
    # Integrate over circles around the cap's centre the part of each on the near side, which is smooth in the root of r
    # - rim.
    end = math.sqrt(radius - abs(rim))
    root = end * (nodes + 1) / 2
    r = abs(rim) + root**2
    inside = np.arccos(np.clip(-1 / (np.tan(r) * math.tan(distance)), -1, 1))
    ring = float((weights * end / 2 * 2 * inside * np.sin(r) * 2 * root).sum())
    return ring + (4 * math.pi * math.sin(rim / 2) ** 2 if rim > 0 else 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("beyond", [-2.0, -0.5, -0.05, -1e-4, 1.5, 6.0])
def test_areas_at_the_rim_of_an_orthographic_map(beyond: float) -> None:
    """Only the near side counts, which is seen edge-on here; the disc reaches ``beyond`` degrees past the rim."""
    on = finer(MAPS["orthographic, sphere"], 4)
    geod, radius = pyproj.Geod(a=1, b=1), 4.0
    distance = 90 - radius + beyond
    bearing = np.array([10.0, 100.0, 190.0, 280.0])
    lon, lat, _ = geod.fwd(*(np.full(4, x) for x in on.centre), bearing, np.full(4, math.radians(distance)))
    craters = pd.DataFrame({"lat": lat, "lon": lon, "radius": math.radians(radius) * on.axes[0]})
    da = on.data(np.ones(on.shape, "u1"))
    found = da.craters.get_stats(table_of(on, craters), "disc", "area", coverage="exact")["area"]
    wanted = lens_area(math.radians(distance), math.radians(radius)) * on.axes[0] ** 2
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


# User-supplied polygons


def ocentric_places(on: Map) -> tuple[Array, Array]:
    """East longitude and planetocentric latitude of the pixel centres."""
    x, y = on.places()
    inside = np.degrees(
        np.arctan((on.axes[1] / on.axes[0]) ** 2 * np.tan(np.radians(np.clip(y, -89.99999999, 89.99999999))))
    )
    return x, np.where(np.abs(y) >= 89.99999999, y, inside)


def random_polygons(n: int, seed: int) -> list[Any]:
    """Random stars, some with a hole, in two parts or across the antimeridian, one None; longitudes may pass 180."""
    rng = np.random.default_rng(seed)

    def star(lon: float, lat: float, size: float) -> Any:
        turn = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(5, 14)))
        away = size * rng.uniform(0.3, 1, turn.size)
        return shapely.Polygon(np.stack([lon + away * np.cos(turn), lat + 0.8 * away * np.sin(turn)], axis=1)).buffer(0)

    out: list[Any] = []
    while len(out) < n:
        lon = rng.choice([180.0, -180.0, 0.0, rng.uniform(-180, 180)]) + rng.normal(0, 4)
        lat, size = rng.uniform(-55, 55), np.exp(rng.uniform(np.log(0.5), np.log(30)))
        shape = star(lon, lat, size)
        kind = rng.integers(4)
        if kind == 1:
            shape = shape.difference(shape.centroid.buffer(size / 6, quad_segs=2))
        if kind == 2:
            shape = shapely.MultiPolygon(
                [*shapely.get_parts(shape), *shapely.get_parts(star(lon + 2.5 * size, lat, size / 2))]
            )
        if shape.is_valid and not shape.is_empty and "Polygon" in shape.geom_type:
            out.append(shape)
    out[n // 2] = None
    return out


def with_polygons(on: Map, shapes: list[Any]) -> CraterDatabase:
    n = len(shapes)
    table = pd.DataFrame({"lat": np.linspace(-80, 80, n), "lon": np.linspace(-180, 170, n), "r": on.axes[0] / 20})
    cdb = CraterDatabase(table, on.body, "planetocentric")
    cdb.add_polygons("mapped", shapes)
    cdb.add_annuli("ring", 0.5, 1.5, nvert=None)
    return cdb


def check_polygons(name: str, n: int, seed: int) -> None:
    on = MAPS[name]
    shapes = random_polygons(n, seed)
    cdb, da = with_polygons(on, shapes), on.numbered()
    stats = da.craters.get_stats(cdb, ["ring", "mapped"], "count sum", coverage="center").sel(region="mapped")
    arrays = da.craters.get_arrays(cdb, ["mapped", "ring"], coverage="center").compute()["mapped"]
    x, y = ocentric_places(on)
    step = oracle(name).reach / on.axes[0] * 180 / math.pi
    step = np.where(np.isfinite(step), step / np.maximum(np.cos(np.radians(np.where(np.isfinite(y), y, 0))), 0.01), 360)
    for i, shape in enumerate(shapes):
        found = numbers(arrays.iloc[i])
        assert stats["count"][i] == found.size
        if shape is None:
            assert not found.size
            continue
        got = np.zeros(on.shape, bool)
        got.flat[found] = True
        inside = ref.lonlat_mask((x, y), shape)
        near = np.zeros(on.shape, bool)
        edge = shape.boundary
        shapely.prepare(edge)
        shown = np.isfinite(x)
        for turn in (-360, 0, 360):
            points = shapely.points(np.mod(x[shown] + 180, 360) - 180 + turn, y[shown])
            near[shown] |= shapely.dwithin(edge, points, step[shown])
        wrong = (got != inside) & ~near
        assert not wrong.any(), (name, i, shape.wkt, np.argwhere(wrong)[:5])


@pytest.mark.parametrize("name", every(MAPS))
def test_polygons_contain_the_pixels_whose_centre_is_inside(name: str) -> None:
    check_polygons(name, 5, 3)


def lonlat_area(shape: Any, radius: float) -> float:
    """Area on a sphere of a polygon with straight edges in longitude and latitude: the sum of R² ∫ sin(lat) dlon."""
    total = []
    for part in shapely.get_parts(shape):
        part = shapely.geometry.polygon.orient(part)
        for ring in (part.exterior, *part.interiors):
            x, y = np.radians(np.asarray(ring.coords)).T
            dx, dy = np.diff(x), np.diff(y)
            # The mean sine between two latitudes, without dividing by their difference.
            total += (-dx * np.sin((y[1:] + y[:-1]) / 2) * np.sinc(dy / 2 / np.pi)).tolist()
    return radius**2 * math.fsum(total)


SMALL = shapely.Polygon(
    [(2.5, -2.6), (3.6, -2.9), (3.3, -1.9), (4.0, -1.4), (2.9, -1.6), (2.2, -1.2)],
    [[(2.9, -2.4), (3.2, -2.5), (3.0, -2.1)]],
)
SPHERES = [name for name, on in MAPS.items() if on.axes == SPHERE]


@pytest.mark.parametrize("name", every(SPHERES))
def test_polygons_have_their_true_area(name: str) -> None:
    on = MAPS[name]
    lon, lat = on.centre
    shape = shapely.affinity.translate(SMALL, lon, lat if abs(lat) < 80 else math.copysign(80, lat))
    middle = shape.envelope.centroid
    on = zoomed(on, middle.x, middle.y, math.radians(1.5) * on.axes[0], 200)
    cdb = with_polygons(on, [shape, None])
    stats = on.data(np.ones(on.shape, "u1")).craters.get_stats(cdb, "mapped", "count area", coverage="exact")
    assert stats["area"][0].item() == pytest.approx(lonlat_area(shape, on.axes[0]), rel=3e-6)
    assert stats["count"][1] == 0
    assert stats["area"][1] == 0


CROSSING = {
    "running on": shapely.Polygon([(170, -10), (195, -10), (190, 30), (170, 20)]),
    "running on, west": shapely.Polygon([(-190, -10), (-165, -10), (-170, 30), (-190, 20)]),
    "jumping": shapely.Polygon([(170, -10), (-165, -10), (-170, 30), (170, 20)]),
    "cut": shapely.union_all(
        [
            shapely.Polygon([(170, -10), (195, -10), (190, 30), (170, 20)]) & shapely.box(0, -90, 180, 90),
            shapely.affinity.translate(
                shapely.Polygon([(170, -10), (195, -10), (190, 30), (170, 20)]) & shapely.box(180, -90, 360, 90), -360
            ),
        ]
    ),
}


@pytest.mark.parametrize("name", ["0 to 360", "±180", "past 360", "gridline", "westward", "sinusoidal, sphere", "Mercator, sphere",  # noqa: E501
                                  "equirectangular, lat_ts, sphere", "Lambert azimuthal, sphere"])  # fmt: skip
def test_polygons_across_the_antimeridian(name: str) -> None:
    on = MAPS[name]
    cdb, da = with_polygons(on, list(CROSSING.values())), on.numbered()
    for coverage in ("center", "exact", "all_touched"):
        stats = da.craters.get_stats(cdb, "mapped", "count sum min max", coverage=coverage)
        assert stats["count"][0] > 0
        for stat in stats:
            rtol = 1e-7 if on.proj else 1e-9
            np.testing.assert_allclose(stats[stat], stats[stat][0], rtol=rtol, err_msg=f"{stat} {coverage}")


@pytest.mark.parametrize("name", every(SPHERES))
def test_a_polygon_equals_a_ring_with_the_same_vertices(name: str) -> None:
    on = MAPS[name]
    craters = varied_craters(on, 24, 5)
    degrees = np.degrees(craters["radius"] / on.axes[0])
    keep = (craters["lat"].abs() + degrees < 89) & (degrees < 60) & (degrees > 0.5)
    craters, degrees = craters[keep].reset_index(drop=True), degrees[keep]
    shapes = [ref.polygon_region(x, y, 0.4 * r, r, 32) for x, y, r in zip(craters["lon"], craters["lat"], degrees)]
    cdb = table_of(on, craters)
    cdb.add_annuli("rim", 0.4, 1.0, nvert=32)
    cdb.add_polygons("same", shapes)
    da = on.numbered()
    for coverage in ("exact", "center"):
        stats = da.craters.get_stats(cdb, ["rim", "same"], "count mean min max area", coverage=coverage)
        for stat in ("count", "mean", "area"):
            rim, same = stats[stat].to_numpy()
            # Where edges are curved on the map, cutting or a hole puts the vertices along them at other places.
            rtol = 1e-4 if on.proj and "eqc" not in on.proj else 1e-9
            np.testing.assert_allclose(same, rim, rtol=rtol, atol=rtol, err_msg=f"{name} {stat} {coverage}")


# Tables and rasters


def test_a_table_in_any_system_of_its_body_gives_the_same_numbers() -> None:
    on = MAPS["IAU 49921"]
    craters = varied_craters(on, 20, 8).query("abs(lat) < 80")
    lon, lat, radius = (craters[c].to_numpy() for c in ("lon", "lat", "radius"))
    systems = {
        "planetocentric": (lon, lat),
        "IAU_2015:49900": (lon, lat),
        "IAU_2015:49901": (-lon, on.geodetic(lat)),
        "IAU_2015:49902": (lon + 360, lat),
        "planetographic": (-lon, on.geodetic(lat)),
        f"+proj=longlat {MARS}": (lon, on.geodetic(lat)),
    }
    found = []
    for system, (x, y) in systems.items():
        cdb = CraterDatabase(pd.DataFrame({"lon": x, "lat": y, "radius": radius}), "mars", system)
        cdb.add_annuli("ring", 0.5, 1, nvert=None)
        found.append(on.numbered().craters.get_stats(cdb, "ring", "count mean area", coverage="exact"))
    for other in found[1:]:
        for stat in other:
            np.testing.assert_allclose(other[stat], found[0][stat], rtol=1e-7, err_msg=stat)


def test_one_raster_in_several_frames_of_its_body() -> None:
    """The grids have west-positive, planetographic or planetocentric labels and show the same field."""
    table = pd.DataFrame({"lat": [10.0, -50.0, 71.0], "lon": [30.0, 100.0, -100.0], "r": [6e5, 7e5, 5e5]})
    cdb = CraterDatabase(table, "mars", "planetocentric")
    cdb.add_circles("disc", nvert=None)
    means, areas = [], []
    for name in ("IAU 49901", "IAU 49902", "planetographic, eastward", "IAU 49921", "IAU 49941", "Robinson, oblate"):
        on = MAPS[name]
        x, y = ocentric_places(on)
        field = np.nan_to_num(np.cos(np.radians(x)) * np.cos(np.radians(y)) + np.sin(np.radians(y)))
        stats = on.data(field).craters.get_stats(cdb, "disc", "mean area", coverage="exact", weights="area")
        means.append(stats["mean"].to_numpy())
        areas.append(stats["area"].to_numpy())
    np.testing.assert_allclose(means, np.broadcast_to(means[0], np.shape(means)), atol=3e-3)
    np.testing.assert_allclose(areas, np.broadcast_to(areas[0], np.shape(areas)), rtol=2e-3)


@pytest.mark.parametrize("name", ["±180", "sinusoidal, sphere", "orthographic, sphere", "north polar, sphere"])
def test_other_bodies_are_refused(name: str) -> None:
    on = MAPS[name]
    mars = CraterDatabase(pd.DataFrame({"lat": [0.0], "lon": [0.0], "r": [1e5]}), "mars")
    mars.add_circles("disc")
    with pytest.raises(BodyError, match=r"not on mars.*write_crs"):
        on.numbered().craters.get_stats(mars, "disc")
    with pytest.raises(BodyError, match=r"not on mars.*write_crs"):
        on.numbered().craters.get_arrays(mars, "disc")


def test_a_raster_labelled_as_the_earth_or_not_at_all_is_refused() -> None:
    on = MAPS["±180"]
    cdb = table_of(on, varied_craters(on, 3, 1))
    for crs in ("EPSG:4326", "EPSG:3857"):
        with pytest.raises(BodyError, match=r"da = da.rio.write_crs\("):
            on.numbered().rio.write_crs(crs).craters.get_stats(cdb, "disc")
    with pytest.raises(GridError, match=r"da = da.rio.write_crs\("):
        on.numbered().drop_vars("spatial_ref").craters.get_stats(cdb, "disc")


@pytest.mark.parametrize("name", ["±180", "past 360", "sinusoidal, oblate", "north polar, sphere", "orthographic, oblate",  # noqa: E501
                                  "IAU 49901", "Mercator, oblate"])  # fmt: skip
@pytest.mark.parametrize("coverage", ["center", "exact", "all_touched"])
def test_lazy_results_equal_eager_ones_for_any_chunks(name: str, coverage: str) -> None:
    on = MAPS[name]
    shapes = random_polygons(8, 4)
    cdb = with_polygons(on, shapes)
    regions, stats = ["ring", "mapped"], "count mean std min max median majority"
    whole = on.numbered().craters.get_stats(cdb, regions, stats, coverage=coverage)
    for chunks in ({"y": 17, "x": 23}, {"y": 200, "x": 8}):
        da = on.numbered(chunks=chunks)
        with raise_if_dask_computes():
            lazy = da.craters.get_stats(cdb, regions, stats, coverage=coverage)
            again = da.craters.get_stats(cdb, regions, stats, coverage=coverage)
            arrays = da.craters.get_arrays(cdb, regions, coverage=coverage)
        for stat in lazy:
            assert dask.is_dask_collection(lazy[stat].data)
            assert lazy[stat].data.name == again[stat].data.name
        found = lazy.compute(scheduler="synchronous")
        for stat in whole:
            np.testing.assert_allclose(found[stat], whole[stat], rtol=1e-11, atol=1e-11, err_msg=stat)
        for region, masked in arrays.compute().items():
            held = [numbers(one).size for one in masked]
            if coverage != "exact":
                np.testing.assert_array_equal(held, whole["count"].sel(region=region))


@pytest.mark.parametrize("name", ["gridline", "gridline, oblate", "no whole number of columns a turn"])
def test_rows_across_a_pole_count_only_the_part_on_the_body(name: str) -> None:
    on = MAPS[name]
    table = pd.DataFrame({"lat": [90.0, -90.0], "lon": [0.0, 20.0], "radius": np.radians([6, 6]) * on.axes[0]})
    cdb = table_of(on, table)
    cdb.add_annuli("vertices", 0, 1, nvert=32)
    cdb.add_polygons("belt", [shapely.box(-180, 84, 180, 90), shapely.box(-180, -90, 180, -84)])
    da = on.data(np.ones(on.shape, "u1"))
    area = da.craters.get_stats(cdb, ["disc", "vertices", "belt"], "area", coverage="exact")["area"]
    wanted = ring_area(on, 0, 90, 0, math.radians(6) * on.axes[0])
    np.testing.assert_allclose(area, np.full((3, 2), wanted), rtol=2e-2)


@pytest.mark.parametrize("name", ["gridline", "gridline, oblate"])
@pytest.mark.parametrize("north_up", [True, False])
@pytest.mark.parametrize("lat", [84.0, -84.0])
def test_a_row_centred_on_a_pole_belongs_to_regions_that_contain_the_pole(
    name: str, north_up: bool, lat: float
) -> None:
    on = MAPS[name]
    da = on.numbered()
    da = da if north_up else da.isel(y=slice(None, None, -1))
    cdb = CraterDatabase(pd.DataFrame({"lat": [lat], "lon": [17.0], "radius": [0.2 * on.axes[0]]}), BODY[on.axes])
    cdb.add_circles("disc", 1, nvert=None)
    cdb.add_circles("polygon", 1, nvert=32)
    cdb.add_polygons("cap", [shapely.box(-180, 70, 180, 90) if lat > 0 else shapely.box(-180, -90, 180, -70)])
    for region in ("disc", "polygon", "cap"):
        (found,) = da.craters.get_arrays(cdb, region, coverage="center").compute()[region]
        row = 0 if lat > 0 else on.shape[0] - 1
        columns = np.mod(numbers(found)[numbers(found) // on.shape[1] == row], on.shape[1])
        assert columns.size == 90, region


def test_a_ring_around_a_pole_touches_nothing_in_its_hole() -> None:
    for name in ("Mercator, sphere", "gridline, oblate", "equirectangular, lat_ts, oblate", "IAU 49901", "IAU 49912"):
        on = MAPS[name]
        lat, lon = np.array([80.0, -75.0, 60.0, 46.0, -10.0, 85.0]), np.array([3.0, 80.0, -84.0, 179.0, 10.0, -120.0])
        radius = np.radians([40.0, 60.0, 120.0, 124.0, 170.0, 57.0]) * on.axes[0]
        cdb = table_of(on, pd.DataFrame({"lat": lat, "lon": lon, "radius": radius}))
        cdb.add_annuli("vertices", 0.4, 1.0, nvert=32)
        touched, covered = (
            on.numbered().craters.get_arrays(cdb, ["ring", "vertices"], coverage=c).compute()
            for c in ("all_touched", "exact")
        )
        for region in touched:
            for one, other in zip(touched[region], covered[region]):
                np.testing.assert_array_equal(numbers(one), numbers(other))


def test_an_array_of_all_longitudes_contains_them_all_however_they_are_rounded() -> None:
    on = MAPS["IAU 49916"]
    table = pd.DataFrame({"lat": [-82.45070339525657], "lon": [40.53417428518233], "radius": [7049873.866900689]})
    cdb = table_of(on, table)
    masked = on.numbered().craters.get_arrays(cdb, "disc", coverage="center").compute()["disc"].iloc[0]
    count = on.numbered().craters.get_stats(cdb, "disc", "count", coverage="center")["count"]
    assert numbers(masked).size == count.item() == 3399
