"""Hypothesis strategies for grids, pixel values, chunkings, caps, regions and crater tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import rioxarray  # noqa: F401  (registers the accessor)
import xarray as xr
from affine import Affine
from hypothesis import strategies as st
from numpy.typing import DTypeLike, NDArray

MOON_RADIUS_M = 1_737_400.0
MAX_PIXELS = 20_000
DTYPES = ("u1", "i2", "u2", "i4", "f4", "f8")

Chunks = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class GridCase:
    """A geographic grid: affine in degrees, and shape (rows, columns)."""

    transform: Affine
    shape: tuple[int, int]

    @property
    def pixel_size(self) -> float:
        """The shorter side of a pixel, in degrees."""
        return min(abs(self.transform.a), abs(self.transform.e))


@dataclass(frozen=True, eq=False)
class DataCase:
    """Pixel values, and the nodata value if any."""

    values: NDArray[Any]
    nodata: float | int | None

    def __repr__(self) -> str:
        values = np.array2string(self.values, threshold=12, separator=", ")
        return f"DataCase(<{self.values.dtype}{list(self.values.shape)}> {values}, nodata={self.nodata})"


@dataclass(frozen=True)
class Cap:
    """A disc on the sphere: centre and angular radius in degrees."""

    lon: float
    lat: float
    radius: float


@st.composite
def grids(draw: st.DrawFn, *, max_pixels: int = MAX_PIXELS, overhang: bool = False) -> GridCase:
    """Global, full-circle or partial grids, north-up or south-up, from any origin.

    With overhang, some grids are gridline-registered: 360° wide, with the first and last row centred on the poles.
    """
    kinds = ["global", "band", "partial"] + ["gridline"] * overhang
    kind = draw(st.sampled_from(kinds))
    origin = draw(st.sampled_from([-180.0, 0.0]) | st.floats(-360, 360).map(lambda lon: round(lon, 3)))
    if kind == "partial":
        x_step = 1 / draw(st.sampled_from([0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 4.0, 8.0]) | st.floats(0.2, 8))
        y_step = x_step * draw(st.sampled_from([1.0, 1.0, 1.0, 0.5, 1.5]))
        most_cols = max(1, min(math.floor(360 / x_step), max_pixels))
        cols = draw(st.integers(1, most_cols))
        rows = draw(st.integers(1, max(1, min(math.floor(180 / y_step), max_pixels // cols))))
        slack = max(0.0, 180 - rows * y_step)
        north = 90 - slack * draw(st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0, 1))
    else:
        steps = [step for step in (10, 8, 5, 4, 3, 2.5, 2, 1, 0.5) if 360 / step <= max_pixels]
        if kind != "band":
            steps = [step for step in steps if 360 / step * (180 / step + 1) <= max_pixels and 180 % step == 0]
        x_step = y_step = float(draw(st.sampled_from(steps)))
        cols, rows, north = round(360 / x_step), round(180 / y_step), 90.0
        if kind == "gridline":
            rows, north = rows + 1, 90 + y_step / 2
        if kind == "band":
            rows = draw(st.integers(1, max(1, min(math.floor(180 / y_step), max_pixels // cols))))
            north = 90 - y_step * draw(st.integers(0, math.floor(180 / y_step) - rows))
    if draw(st.booleans()):
        transform = Affine(x_step, 0, origin, 0, -y_step, north)
    else:
        transform = Affine(x_step, 0, origin, 0, y_step, north - rows * y_step)
    return GridCase(transform, (rows, cols))


@st.composite
def pixel_values(draw: st.DrawFn, shape: Sequence[int], *, dtypes: Sequence[str] = DTYPES) -> DataCase:
    """Values of a random dtype: constant, of few levels, wide, extreme or on a high plateau, with missing pixels."""
    dtype = np.dtype(draw(st.sampled_from(list(dtypes))))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pattern = draw(st.sampled_from(["constant", "levels", "wide", "extreme", "plateau"]))
    values = _pattern(rng, pattern, dtype, tuple(shape))
    holes = draw(st.sampled_from([0.0, 0.0, 0.05, 0.5, 1.0]))
    nodata = draw(st.none() | st.sampled_from(_sentinels(dtype)))
    if nodata is not None:
        values[rng.random(shape) < holes] = nodata
    if dtype.kind == "f":
        values[rng.random(shape) < draw(st.sampled_from([0.0, 0.0, 0.05, 1.0]))] = np.nan
    return DataCase(values, nodata)


def _pattern(rng: np.random.Generator, pattern: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    low: float
    high: float
    wide: NDArray[Any]
    plateau: NDArray[Any]
    if dtype.kind == "f":
        # Squares and sums of these stay finite in float64.
        low, high = (-1e100, 1e100) if dtype.itemsize == 8 else (float(np.finfo(dtype).min), float(np.finfo(dtype).max))
        wide = rng.normal(0, 1000, shape)
        plateau = 1e6 + rng.random(shape)
    else:
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        wide = rng.integers(low, high, shape, endpoint=True)
        plateau = high - rng.integers(0, 3, shape)
    if pattern == "constant":
        return np.full(shape, rng.choice([low, 0, 1, 7, high]), dtype=dtype)
    if pattern == "levels":
        return rng.integers(0, 4, shape).astype(dtype)
    if pattern == "extreme":
        return rng.choice(np.array([low, high, 0], dtype=dtype), shape)
    return (plateau if pattern == "plateau" else wide).astype(dtype)


def _sentinels(dtype: np.dtype[Any]) -> list[float | int]:
    if dtype.kind == "f":
        return [0.0, -9999.0, float(np.finfo(dtype).min), math.nan]
    limits = np.iinfo(dtype)
    return [0, int(limits.min), int(limits.max)]


@st.composite
def chunkings(draw: st.DrawFn, shape: Sequence[int], *, max_chunks: int = 5) -> Chunks:
    """Random dask chunks of a shape; uneven chunks, single pixels and whole axes occur."""

    def along(length: int) -> tuple[int, ...]:
        if length < 2:
            return (length,)
        cuts = draw(st.sets(st.integers(1, length - 1), max_size=max_chunks - 1))
        return tuple(np.diff([0, *sorted(cuts), length]).tolist())

    return tuple(along(length) for length in shape)


@st.composite
def caps(draw: st.DrawFn, grid: GridCase | None = None, *, max_radius: float = 170.0) -> Cap:
    """Discs anywhere, often near poles, seams and the middle of the grid.

    Radii range from a tenth of a pixel to max_radius, uniformly in their logarithm, with some round ones.
    """
    lon = st.sampled_from([-180.0, 180.0, 0.0, 360.0, 179.9, -179.9, 270.0]) | st.floats(-180, 360)
    lat = st.sampled_from([-90.0, 90.0, 0.0, 89.9, -88.63]) | st.floats(-90, 90)
    smallest = 0.01
    if grid is not None:
        (rows, cols), affine = grid.shape, grid.transform
        lon |= st.floats(0, cols).map(lambda col: affine.c + affine.a * col)
        lat |= st.floats(0, rows).map(lambda row: min(90.0, max(-90.0, affine.f + affine.e * row)))
        smallest = grid.pixel_size / 10
    smallest = min(smallest, max_radius)
    radius = st.floats(math.log(smallest), math.log(max_radius)).map(lambda log: min(math.exp(log), max_radius))
    round_radii = [value for value in (0.5, 1.0, 5.0, 10.0, 30.0, 90.0, 120.0) if smallest <= value <= max_radius]
    if round_radii:
        radius |= st.sampled_from(round_radii)
    return Cap(draw(lon), draw(lat), draw(radius))


def annuli() -> st.SearchStrategy[tuple[float, float]]:
    """One (inner, outer) pair in crater radii; inner is often 0."""
    bound = st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.0]) | st.floats(0.05, 4).map(lambda value: round(value, 3))
    ring = st.tuples(bound, bound).filter(lambda pair: pair[0] != pair[1]).map(lambda pair: (min(pair), max(pair)))
    return bound.map(lambda outer: (0.0, outer)) | ring


def region_lists(*, max_size: int = 4) -> st.SearchStrategy[list[tuple[float, float]]]:
    """Several (inner, outer) pairs in crater radii: nested, overlapping, disjoint or sharing bounds."""
    return st.lists(annuli(), min_size=1, max_size=max_size)


@st.composite
def crater_tables(
    draw: st.DrawFn,
    grid: GridCase | None = None,
    *,
    min_size: int = 1,
    max_size: int = 6,
    max_radius: float = 170.0,
) -> pd.DataFrame:
    """Lunar craters with the columns lat, lon (degrees) and radius_m; some tables repeat a crater."""
    discs = draw(st.lists(caps(grid, max_radius=max_radius), min_size=min_size, max_size=max_size))
    if discs and len(discs) < max_size and draw(st.booleans()):
        discs.append(draw(st.sampled_from(discs)))
    return pd.DataFrame(
        {
            "lat": np.array([disc.lat for disc in discs], dtype=float),
            "lon": np.array([disc.lon for disc in discs], dtype=float),
            "radius_m": np.array([math.radians(disc.radius) * MOON_RADIUS_M for disc in discs], dtype=float),
        }
    )


def data_array(
    values: NDArray[Any],
    grid_case: GridCase,
    crs: Any = "IAU_2015:30100",
    chunks: Any = None,
    nodata: float | int | None = None,
    *,
    dtype: DTypeLike | None = None,
) -> xr.DataArray:
    """Values on a grid as rioxarray would label them; axes before (y, x) are named band, time, axis2, ..."""
    transform, (rows, cols) = grid_case.transform, grid_case.shape
    data = np.asarray(values, dtype=dtype)
    extra = [("band", "time")[i] if i < 2 else f"axis{i}" for i in range(data.ndim - 2)]
    array = xr.DataArray(
        data,
        dims=(*extra, "y", "x"),
        coords={
            "y": transform.f + (np.arange(rows) + 0.5) * transform.e,
            "x": transform.c + (np.arange(cols) + 0.5) * transform.a,
        },
    )
    array = array.rio.write_crs(crs).rio.write_transform(transform)
    if nodata is not None:
        array = array.rio.write_nodata(nodata)
    if chunks is not None:
        array = array.chunk(dict(zip(array.dims, chunks, strict=True)) if isinstance(chunks, tuple) else chunks)
    return array
