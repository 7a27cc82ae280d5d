"""Chips agree with their definition, written here in plain numpy with PROJ's azimuthal equidistant projection."""

from __future__ import annotations

import math
import warnings
from typing import Any

import dask.array
import numpy as np
import pandas as pd
import pyproj
import pytest
import rasterio.vrt
import rasterio.warp
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests import strategies
from tests.helpers import raise_if_dask_computes
from xcrater import CraterDatabase, set_options
from xcrater.errors import BlocksWarning, ChipError, NoOverlapWarning, XcraterError

Array = NDArray[Any]

MARS = "+proj=longlat +a=3396190 +b=3376200 +no_defs"
RASTERS: dict[str, tuple[str, str, tuple[float, float], tuple[float, float], tuple[int, int]]] = {
    # body, CRS, outer corner of the first pixel (x, y), pixel steps, shape
    "globe": ("moon", "+proj=longlat +R=1737400 +no_defs", (-180, 90), (5, -5), (36, 72)),
    "east": ("moon", "+proj=longlat +R=1737400 +no_defs", (0, 90), (5, -5), (36, 72)),
    "south-up": ("moon", "+proj=longlat +R=1737400 +no_defs", (-180, -90), (5, 5), (36, 72)),
    "gridline": ("moon", "+proj=longlat +R=1737400 +no_defs", (-182.5, 92.5), (5, -5), (37, 72)),
    "partial": ("moon", "+proj=longlat +R=1737400 +no_defs", (-180, 70), (5, -5), (20, 40)),
    "odd": ("moon", "+proj=longlat +R=1737400 +no_defs", (-180, 90), (8, -8), (22, 45)),
    "mars": ("mars", MARS, (-180, 90), (5, -5), (36, 72)),
    "eqc": ("mars", "+proj=eqc +lat_ts=40 +lon_0=10 +a=3396190 +b=3376200", (-8e6, 5e6), (3e5, -2e5), (50, 50)),
    "polar": ("moon", "+proj=stere +lat_0=-90 +R=1737400 +no_defs", (-15e5, 15e5), (7e4, -6e4), (50, 42)),
    "sinusoidal": ("mars", "+proj=sinu +a=3396190 +b=3376200 +no_defs", (-1e7, 55e5), (2e5, -2e5), (55, 100)),
}
TURNS = ("globe", "east", "south-up", "gridline")
LAT_TURNS = (*TURNS, "mars")
METHODS = {"nearest": 1, "bilinear": 2, "cubic": 4}
PLACES = {
    "open": (12.31, 34.53, 10.07),
    "seam": (179.13, -20.17, 13.03),
    "zero": (0.4, 11.3, 14.0),
    "north": (33.27, 84.61, 9.07),
    "south": (-130.0, -87.3, 11.9),
    "pole": (21.3, -90.0, 12.0),
    "huge": (-100.37, -5.17, 70.11),
}


def table(*craters: tuple[float, float, float], body: str = "moon") -> CraterDatabase:
    """Craters at (longitude, planetocentric latitude, angular radius on the body's sphere) in degrees."""
    lon, lat, radius = np.array(craters, dtype=float).T
    metres = np.radians(radius) * {"moon": 1737400.0, "mars": 3396190.0}[body]
    return CraterDatabase(pd.DataFrame({"lat": lat, "lon": lon, "radius": metres}), body)


def raster(name: str, values: Array, chunks: Any = None) -> xr.DataArray:
    _, crs, origin, step, shape = RASTERS[name]
    x, y = (o + s * (np.arange(n) + 0.5) for o, s, n in zip(origin, step, shape[::-1]))
    dims = ("band", "y", "x")[3 - values.ndim :]
    da = xr.DataArray(values, dims=dims, coords={"y": y, "x": x}).rio.write_crs(crs)
    return da if chunks is None else da.chunk(chunks)


def noise(name: str, dtype: str = "f8", lead: tuple[int, ...] = ()) -> Array:
    return np.random.default_rng(5).integers(0, 200, (*lead, *RASTERS[name][4])).astype(dtype)


def pixels(name: str, cdb: CraterDatabase, crater: int, size: tuple[int, int], extent: float) -> tuple[Array, Array]:
    """Columns and rows of a chip's pixel centres on the raster, by PROJ's own azimuthal equidistant projection."""
    _, crs, origin, step, _ = RASTERS[name]
    crs = pyproj.CRS(crs)
    a, b = crs.ellipsoid.semi_major_metre, crs.ellipsoid.semi_minor_metre
    lon, lat = float(cdb.lon.iloc[crater]), float(cdb.lat.iloc[crater])
    lat = lat if abs(lat) == 90 else math.degrees(math.atan((a / b) ** 2 * math.tan(math.radians(lat))))
    frame = pyproj.CRS(f"+proj=aeqd +lat_0={lat} +lon_0={lon} +a={a} +b={b} +no_defs")
    rows, cols = size
    radius = cdb.rad.iloc[crater]
    x = radius * extent * ((np.arange(cols) + 0.5) / cols * 2 - 1)
    y = radius * extent * (1 - (np.arange(rows) + 0.5) / rows * 2)
    x, y = np.meshgrid(x, y)
    near = np.hypot(x, y) < math.pi * b
    to = pyproj.Transformer.from_crs(frame, crs, always_xy=True)
    at = to.transform(np.where(near, x, 0), np.where(near, y, 0))
    u, v = ((p - o) / s for p, o, s in zip(at, origin, step))
    return np.where(near, u, np.nan), np.where(near, v, np.nan)


def padded(name: str, values: Array) -> Array:
    """The raster with 8 more rows and columns on each side, continued across seam and poles, or else NaN."""
    more = 8
    rows, cols = values.shape
    out = np.full((rows + 2 * more, cols + 2 * more), np.nan)
    out[more:-more, more:-more] = values
    turned = np.roll(values, cols // 2, axis=1)
    skip = 1 if name == "gridline" else 0  # the centres of the first and last row are the poles
    if name in LAT_TURNS:
        out[:more, more:-more] = turned[skip : more + skip][::-1]
        out[-more:, more:-more] = turned[rows - more - skip : rows - skip][::-1]
    if name in LAT_TURNS or name == "odd":
        out[:, :more], out[:, -more:] = out[:, -2 * more : -more].copy(), out[:, more : 2 * more].copy()
    return out


def kernel(taps: int, away: float) -> float:
    away = abs(away)
    if taps == 1:
        return 1.0
    if taps == 2:
        return max(0.0, 1 - away)
    if away <= 1:
        return 1.5 * away**3 - 2.5 * away**2 + 1
    return -0.5 * away**3 + 2.5 * away**2 - 4 * away + 2 if away < 2 else 0.0


def interpolated(name: str, values: Array, u: Array, v: Array, taps: int) -> Array:
    """Samples of the padded raster, interpolated one by one without any shortcut."""
    wide = padded(name, values)
    period = 360 / abs(RASTERS[name][3][0]) if "longlat" in RASTERS[name][1] else math.inf
    if name == "eqc":
        period = 2 * math.pi * 3396190 * math.cos(math.radians(40)) / 3e5
    out = np.full(u.shape, np.nan)
    for at in np.ndindex(u.shape):
        if not (np.isfinite(u[at]) and np.isfinite(v[at])):
            continue
        x = u[at]
        if math.isfinite(period):
            x -= period * math.floor((x - values.shape[1] / 2) / period + 0.5)
        x, y = x + 8, v[at] + 8
        first_col, first_row = (math.floor(p - 0.5 * (taps > 1)) - (taps == 4) for p in (x, y))
        total = weight = 0.0
        for i in range(first_row, first_row + taps):
            for j in range(first_col, first_col + taps):
                if 0 <= i < wide.shape[0] and 0 <= j < wide.shape[1] and not np.isnan(wide[i, j]):
                    w = kernel(taps, y - i - 0.5) * kernel(taps, x - j - 0.5)
                    total, weight = total + w * wide[i, j], weight + w
        if weight >= 0.5 - 1e-9:
            out[at] = total / weight
    return out


@pytest.mark.nojit
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", RASTERS)
def test_chips_sample_the_raster_where_proj_puts_their_pixels(name: str, method: str) -> None:
    values = noise(name)
    values[np.random.default_rng(3).random(values.shape) < 0.1] = np.nan
    cdb = table(*PLACES.values(), body=RASTERS[name][0])
    size = (6, 7)  # chosen so that no sample falls on the edge of a pixel
    found = raster(name, values).craters.chips(cdb, size, 1.7, method=method, antialias=False).to_numpy()
    assert found.dtype == np.float64
    for i, place in enumerate(PLACES):
        u, v = pixels(name, cdb, i, size, 1.7)
        if place == "huge" and name in ("eqc", "mars", "sinusoidal"):
            continue  # PROJ's aeqd is too inaccurate near the antipode on an ellipsoid
        wanted = interpolated(name, values, u, v, METHODS[method])
        np.testing.assert_allclose(found[i], wanted, rtol=1e-6, atol=1e-5, err_msg=place)
    if name in TURNS:
        assert np.isfinite(found[:-1]).mean() > 0.85


@pytest.mark.parametrize("name", ["globe", "polar", "mars"])
@pytest.mark.parametrize("method", METHODS)
def test_chips_from_tiles_equal_those_from_the_whole_raster(name: str, method: str) -> None:
    values, cdb = noise(name, "i2", (2,)), table(*list(PLACES.values())[:-1], body=RASTERS[name][0])
    whole = raster(name, values).rio.write_nodata(7).craters.chips(cdb, 9, method=method)
    for chunks in ({"y": 9, "x": 18}, {"y": 15, "x": -1, "band": 1}):
        cut = raster(name, values, chunks).rio.write_nodata(7).craters.chips(cdb, 9, method=method, group=2)
        assert cut.chunks[-3] == (2, 2, 2)
        xr.testing.assert_allclose(cut.compute(), whole, rtol=2e-7)
        np.testing.assert_array_equal(np.isnan(cut), np.isnan(whole))
        assert cut.dtype == whole.dtype == np.float32


@given(data=st.data(), method=st.sampled_from(list(METHODS)), case=strategies.grids(max_pixels=800))
@settings(max_examples=15)
def test_chunks_change_nothing(data: st.DataObject, method: str, case: strategies.GridCase) -> None:
    frame = data.draw(strategies.crater_tables(case, max_size=4))
    cdb = CraterDatabase(frame, "moon")
    values = np.random.default_rng(0).normal(0, 1000, case.shape)
    nodata = float(values[0, 0])
    chunks = data.draw(strategies.chunkings(case.shape))
    options = {"method": method, "size": 5, "antialias": data.draw(st.booleans())}
    with warnings.catch_warnings(category=NoOverlapWarning, action="ignore"):
        whole, cut = (
            strategies.data_array(values, case, chunks=c, nodata=nodata).craters.chips(cdb, **options)
            for c in (None, chunks)
        )
    np.testing.assert_allclose(cut.to_numpy(), whole.to_numpy(), rtol=1e-12, atol=1e-9)
    if method == "nearest":
        np.testing.assert_array_equal(cut.to_numpy(), whole.to_numpy())


def test_making_chips_computes_nothing_and_each_needed_chunk_is_read_once() -> None:
    read: list[Any] = []

    def block(block_info: Any = None) -> Array:
        read.append(block_info[None]["chunk-location"])
        return np.ones((9, 18), "i2")

    data = dask.array.map_blocks(block, chunks=((9,) * 4, (18,) * 4), dtype="i2", meta=np.empty((0, 0), "i2"))
    da = raster("globe", noise("globe")).copy(data=data)
    cdb = table(*PLACES.values(), (-60.37, 20.0, 0.41))
    with raise_if_dask_computes():
        lazy = da.craters.chips(cdb, 8, group=1)
        one = lazy.isel(crater=-1)
    assert not read
    one.compute()
    assert read == [(1, 1)]
    del read[:]
    with raise_if_dask_computes(max_computes=1):
        lazy.compute()
    assert len(read) == len(set(read)) == 16


def test_every_change_of_a_request_changes_the_key() -> None:
    da, cdb = raster("globe", noise("globe"), {"y": 9}), table(PLACES["open"], PLACES["seam"])

    def name(da: xr.DataArray = da, cdb: CraterDatabase = cdb, **options: Any) -> str:
        return da.craters.chips(cdb, **options).data.name

    names = [
        name(), name(size=32), name(extent=1.4), name(method="cubic"), name(north_up=False), name(antialias=False),
        name(group=1), name(nodata=5), name(da + 1), name(cdb=table(PLACES["seam"], PLACES["open"])),
        name(da.assign_attrs(scale_factor=2.0)),
    ]  # fmt: skip
    assert len(set(names)) == len(names)
    assert name() == names[0]


def test_neighbours_share_chunks_when_chips_are_ordered_by_tiles() -> None:
    rng = np.random.default_rng(0)
    craters = [(lon, lat, 0.5) for lon, lat in zip(rng.uniform(-180, 180, 60), rng.uniform(-80, 80, 60))]
    cdb = table(*craters)
    da = raster("globe", noise("globe"), {"y": 18, "x": 36})
    plain, sorted_ = (da.craters.chips(cdb, 6, order=order) for order in ("table", "tiles"))
    assert plain.crater.values.tolist() == list(range(60))
    assert plain.chunks[0] == (60,)
    # Each quarter of the globe is a tile. Chips well inside one do not wait for those that reach into another.
    quarter = ((sorted_.lat < 0) * 2 + (sorted_.lon > 0)).to_numpy()
    inside = ((np.abs(np.abs(sorted_.lat) - 45) < 20) & (np.abs(np.abs(sorted_.lon) - 90) < 55)).to_numpy()
    chunk = np.repeat(range(len(sorted_.chunks[0])), sorted_.chunks[0])
    assert inside.sum() > 10
    assert len(set(chunk[inside])) == len(set(quarter[inside])) == 4
    assert len(set(zip(chunk[inside], quarter[inside]))) == 4
    reaching = (np.abs(sorted_.lat) < 15).to_numpy()
    assert not set(chunk[inside]) & set(chunk[reaching])
    xr.testing.assert_identical(sorted_.sortby("crater").compute(), plain.compute())
    limited = da.craters.chips(cdb, 6, order="tiles", group=5)
    assert max(limited.chunks[0]) == 5
    xr.testing.assert_identical(limited.compute(), sorted_.compute())
    with pytest.warns(BlocksWarning, match=r"30 chunks of chips .* 4 chunks of the raster; type order='tiles'"):
        da.craters.chips(cdb, 6, group=2)


@pytest.mark.parametrize("method", ["bilinear", "nearest", "cubic"])
def test_an_interior_chip_agrees_with_gdal(method: str) -> None:
    """GDAL warps to the same grid: rows and columns of an azimuthal equidistant map centred on the crater."""
    values = np.random.default_rng(0).random((180, 360)).astype("f4")
    case = strategies.GridCase(rasterio.Affine(1, 0, -180, 0, -1, 90), (180, 360))
    da = strategies.data_array(values, case, crs="+proj=longlat +R=1737400 +no_defs")
    cdb = table((20.0, 10.0, 8.0))
    size, extent = 50, 1.5
    found = da.craters.chips(cdb, size, extent, method=method, antialias=False).to_numpy()[0]
    metres = extent * cdb.rad.iloc[0]
    crs = "+proj=longlat +R=1737400 +no_defs"
    profile = {"driver": "GTiff", "width": 360, "height": 180, "count": 1, "dtype": "f4", "crs": crs}
    with rasterio.MemoryFile() as file:
        with file.open(**profile, transform=case.transform) as dataset:
            dataset.write(values, 1)
        with (
            file.open() as dataset,
            rasterio.vrt.WarpedVRT(
                dataset,
                crs="+proj=aeqd +lat_0=10 +lon_0=20 +R=1737400 +no_defs",
                transform=rasterio.Affine(2 * metres / size, 0, -metres, 0, -2 * metres / size, metres),
                width=size,
                height=size,
                resampling=rasterio.warp.Resampling[method],
                tolerance=1e-6,
            ) as warped,
        ):
            wanted = warped.read(1)
    np.testing.assert_allclose(found, wanted, atol=1e-3 if method != "nearest" else 0)


def test_axes_and_labels() -> None:
    da = raster("globe", noise("globe", "u1")).assign_attrs(units="m")
    cdb = table(PLACES["open"], PLACES["seam"])
    chips = da.craters.chips(cdb, (4, 6), 3)
    assert chips.dims == ("crater", "y", "x")
    np.testing.assert_allclose(chips.y, [2.25, 0.75, -0.75, -2.25])
    np.testing.assert_allclose(chips.x, [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])
    assert chips.x.attrs["units"] == chips.y.attrs["units"] == "crater radii"
    assert chips.attrs["units"] == "m"
    assert (chips.attrs["method"], chips.attrs["extent"], chips.attrs["body"]) == ("bilinear", 3.0, "moon")
    np.testing.assert_array_equal(chips.lat, cdb.lat)
    np.testing.assert_array_equal(chips.radius, cdb.rad)


@pytest.mark.parametrize(
    ("dtype", "wanted"), [("u1", "f4"), ("i2", "f4"), ("?", "f4"), ("f4", "f4"), ("i4", "f8"), ("f8", "f8")]
)
def test_chips_are_floats_wide_enough_for_the_values(dtype: str, wanted: str) -> None:
    da = raster("globe", (noise("globe") > 100).astype(dtype))
    cdb = table(PLACES["open"])
    assert da.craters.chips(cdb, 4).dtype == da.chunk().craters.chips(cdb, 4).dtype == wanted
    np.testing.assert_array_equal(da.craters.chips(cdb, 4), da.astype("f8").craters.chips(cdb, 4).astype(wanted))


@pytest.mark.parametrize("dtype", [">i2", ">f8", "f2", "i8", "u8"])
def test_stored_values_of_any_dtype(dtype: str) -> None:
    values, cdb = noise("globe"), table(PLACES["open"])
    wanted = raster("globe", values).craters.chips(cdb, 4)
    np.testing.assert_allclose(raster("globe", values.astype(dtype)).craters.chips(cdb, 4), wanted, rtol=1e-6)


def test_masked_pixels_of_blocks_are_missing() -> None:
    values, cdb = noise("globe", "i2"), table(PLACES["open"], PLACES["seam"])
    masked = dask.array.ma.masked_less(dask.array.from_array(values, chunks=20), 60)
    found = raster("globe", values).copy(data=masked).craters.chips(cdb, 6)
    wanted = raster("globe", np.where(values < 60, np.nan, values)).craters.chips(cdb, 6)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert wanted.isnull().any()


def test_scale_offset_and_bands() -> None:
    values = noise("globe", "i2", (2,))
    cdb = table(PLACES["open"], PLACES["seam"])
    stored = raster("globe", values, {"band": 1, "x": 20}).rio.write_nodata(3)
    scaled = stored.assign_attrs(scale_factor=0.5, add_offset=-7.0, **{"_FillValue": 3}).assign_coords(band=["a", "b"])
    found = scaled.craters.chips(cdb, 6)
    assert found.dims == ("band", "crater", "y", "x")
    assert found.dtype == np.float64
    assert found.band.values.tolist() == ["a", "b"]
    plain = raster("globe", np.where(values == 3, np.nan, values)).craters.chips(cdb, 6)
    np.testing.assert_allclose(found, plain * 0.5 - 7, rtol=1e-12)


def test_a_chip_pixel_has_a_value_from_half_of_the_weight_on() -> None:
    values = np.full((36, 72), 5, "u1")
    values[:, 37:] = 255
    da = raster("globe", values).rio.write_nodata(255)
    # Chip pixels are 1° wide with centres at 0.5°, 1.5°, and so on. The last column of values is centred at 2.5°, the
    # first missing one at 7.5°.
    (row,) = da.craters.chips(table((5.0, 2.5, 5.0)), (1, 10), 1.0, antialias=False).to_numpy()[0]
    np.testing.assert_array_equal(row, [5.0] * 5 + [np.nan] * 5)
    assert np.isnan(da.craters.chips(table((40.0, 2.5, 5.0)), 4)).all()


def test_beyond_the_raster_chips_are_nan() -> None:
    da = raster("partial", np.ones((20, 40)))
    inside, outside = table((-100.0, 20.0, 3.0)), table((100.0, 20.0, 3.0))
    assert (da.craters.chips(inside, 8) == 1).all()
    with pytest.warns(NoOverlapWarning):
        chips = da.craters.chips(outside, 8)
    assert np.isnan(chips).all()
    half = da.craters.chips(table((20.0, 20.0, 5.0)), 8, 1.0, antialias=False)
    np.testing.assert_array_equal(half[0].isnull().any("y"), [False] * 4 + [True] * 4)


FINE = strategies.GridCase(rasterio.Affine(0.5, 0, -180, 0, -0.5, 90), (360, 720))


class TestAntialias:
    """Chips coarser than the raster average the pixels below them instead of sampling a few."""

    def chips(self, values: Array, *craters: tuple[float, float, float], **options: Any) -> Array:
        da = strategies.data_array(values, FINE, chunks={"y": 100, "x": 250})
        return da.craters.chips(table(*craters), 8, **options).to_numpy()

    def test_a_constant_stays_that_constant(self) -> None:
        places = [(lon, lat, 20.0) for lon in (0.0, 179.0) for lat in (-90.0, -75.0, 0.0, 60.0, 90.0)]
        for method in METHODS:
            found = self.chips(np.full(FINE.shape, 7, "u1"), *places, method=method)
            np.testing.assert_allclose(found, 7, rtol=1e-6)

    @pytest.mark.parametrize("method", ["bilinear", "cubic"])
    def test_a_ramp_stays_that_ramp(self, method: str) -> None:
        lat = np.broadcast_to(90 - (np.arange(360) + 0.5)[:, None] / 2, FINE.shape)
        found = self.chips(lat, (30.0, 0.0, 15.0), method=method, extent=1.0)[0]
        y = 15 * (1 - (np.arange(8) + 0.5) / 4)
        np.testing.assert_allclose(found[:, 3:5], np.stack([y, y], axis=1), atol=0.02)
        np.testing.assert_allclose(found, -found[::-1], atol=1e-9)

    def test_noise_falls_as_in_means_over_the_pixels_covered(self) -> None:
        values = np.random.default_rng(2).normal(0, 1, FINE.shape)
        for lat, radius in ((0.0, 20.0), (60.0, 20.0)):
            found = self.chips(values, (10.0, lat, radius), extent=1.0)[0]
            covered = (2 * radius / 8 / 0.5) ** 2 / math.cos(math.radians(lat))
            assert 0.5 < found.std() * math.sqrt(covered) < 1.3
            assert self.chips(values, (10.0, lat, radius), extent=1.0, antialias=False)[0].std() > 0.4

    def test_chip_pixels_are_means_of_the_pixels_below(self) -> None:
        values = np.random.default_rng(2).normal(0, 1, FINE.shape)
        smooth = np.cumsum(np.cumsum(values, axis=0), axis=1) / 100
        found = self.chips(smooth, (10.0, 3.0, 16.0), extent=1.0)[0]
        # At the equator a chip pixel of 4° covers 8 x 8 raster pixels.
        blocks = np.array(
            [[smooth[142 + 8 * i : 150 + 8 * i, 348 + 8 * j : 356 + 8 * j].mean() for j in range(8)] for i in range(8)]
        )
        assert np.abs(found - blocks)[3:5, 3:5].max() < 0.02 * blocks.std()

    def test_nearest_keeps_the_stored_values(self) -> None:
        values = np.random.default_rng(2).integers(0, 2, FINE.shape).astype("u1") * 200
        assert set(np.unique(self.chips(values, (10.0, 3.0, 40.0), method="nearest"))) == {0.0, 200.0}

    @pytest.mark.parametrize("name", ["polar", "mars"])
    def test_on_any_grid(self, name: str) -> None:
        values = np.random.default_rng(2).normal(0, 1, RASTERS[name][4])
        cdb = table((10.0, -80.0, 15.0), body=RASTERS[name][0])
        fine, plain = (raster(name, values).craters.chips(cdb, 3, antialias=a) for a in (True, False))
        assert float(fine.std()) < 0.6 * float(plain.std())
        assert (raster(name, np.ones(values.shape)).craters.chips(cdb, 3) == 1).all()


def test_up_on_the_chip_is_up_on_the_map_without_north_up() -> None:
    name = "polar"
    rows, cols = RASTERS[name][4]
    v = np.broadcast_to(np.arange(rows, dtype=float)[:, None], (rows, cols))
    u = np.broadcast_to(np.arange(cols, dtype=float), (rows, cols))
    cdb = table((50.0, -80.0, 3.0), (-120.0, -78.0, 3.0), (170.0, -75.0, 3.0))
    for values, along, across in ((v, "y", "x"), (u, "x", "y")):
        chips = raster(name, values).craters.chips(cdb, 6, north_up=False)
        slope = chips.diff(along)
        assert (slope > 0).all()
        assert (np.abs(chips.diff(across)) < 0.05 * float(slope.mean())).all()
        assert not (raster(name, values).craters.chips(cdb, 6).diff(along) > 0).all()
    # On a longitude-latitude grid up is north, or south where the rows run northwards.
    for name, turned in (("globe", False), ("mars", False), ("south-up", True)):
        cdb = table(*PLACES.values(), body=RASTERS[name][0])
        da = raster(name, noise(name))
        north, map_up = (da.craters.chips(cdb, 6, north_up=up, antialias=False).to_numpy() for up in (True, False))
        np.testing.assert_allclose(map_up, north[:, ::-1, ::-1] if turned else north, atol=1e-6)


@pytest.mark.nojit
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size=0"),
        ({"size": (4, -1)}, r"size=\(4, -1\)"),
        ({"size": 6.5}, "size=6.5"),
        ({"size": True}, "size=True"),
        ({"size": (1, 2, 3)}, "size=.*rows, columns"),
        ({"extent": 0}, "extent=0"),
        ({"extent": float("nan")}, "extent=nan"),
        ({"extent": "wide"}, "extent='wide'"),
        ({"method": "lanczos"}, "method='lanczos'.*'bilinear'"),
        ({"order": "size"}, "order='size'"),
        ({"group": 0}, "group=0"),
    ],
)
def test_impossible_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    da, cdb = raster("globe", noise("globe")), table(PLACES["open"])
    with pytest.raises(ChipError, match=message):
        da.craters.chips(cdb, **options)
    assert issubclass(ChipError, XcraterError)


def test_a_chip_beyond_the_memory_limit_is_refused() -> None:
    da, cdb = raster("globe", noise("globe")), table(PLACES["open"])
    with set_options(memory="1 MiB"), pytest.raises(ChipError, match="set_options"):
        da.craters.chips(cdb, 1000)
