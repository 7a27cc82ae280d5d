"""Where a raster lies and what its numbers mean, read from coordinates, geotransform, CRS and attributes."""

from __future__ import annotations

import pickle
import re
import warnings
from dataclasses import replace

import dask.array
import numpy as np
import pyproj
import pytest
import xarray as xr
from affine import Affine

from xcrater.errors import BodyError, GridError
from xcrater.geometry.bodies import get_body
from xcrater.geometry.grid import Grid
from xcrater.raster.reading import read_raster

MOON = "IAU_2015:30100"
MOON_RADIUS = 1737400.0
METRES = float(np.radians(1) * MOON_RADIUS)
WEST_POSITIVE = """GEOGCRS["Moon, west-positive",DATUM["Moon",ELLIPSOID["Moon",1737400,0,LENGTHUNIT["metre",1]]],
    PRIMEM["Reference Meridian",0],CS[ellipsoidal,2],
    AXIS["latitude",north,ORDER[1],ANGLEUNIT["degree",0.0174532925199433]],
    AXIS["longitude",west,ORDER[2],ANGLEUNIT["degree",0.0174532925199433]]]"""


def made(transform: Affine, shape: tuple[int, int], crs=MOON, *, dims=("y", "x"), dtype="u1") -> xr.DataArray:
    """A raster with coordinates, geotransform and CRS."""
    rows, cols = (np.arange(n) + 0.5 for n in shape)
    coords = {dims[0]: transform.f + rows * transform.e, dims[1]: transform.c + cols * transform.a}
    da = xr.DataArray(np.zeros(shape, dtype), coords, dims)
    if dims != ("y", "x"):
        da = da.rio.set_spatial_dims(x_dim=dims[1], y_dim=dims[0])
    return da.rio.write_crs(crs).rio.write_transform(transform)


def placed(da: xr.DataArray) -> tuple[float, float, float, float]:
    grid = read_raster(da).grid
    return grid.lon_origin, grid.lon_step, grid.lat_origin, grid.lat_step


def global_raster(degrees: float = 10.0, **options) -> xr.DataArray:
    shape = (round(180 / degrees), round(360 / degrees))
    return made(Affine(degrees, 0, -180, 0, -degrees, 90), shape, **options)


class TestGeographic:
    """Rasters in longitude and latitude."""

    @pytest.mark.parametrize("west", [-180, 0, -90.5])
    def test_longitudes_are_used_as_labelled(self, west):
        da = made(Affine(10, 0, west, 0, -10, 90), (18, 36))
        assert placed(da) == (west, 10, 90, -10)
        grid = read_raster(da).grid
        assert (grid.shape, grid.period, grid.wraps) == ((18, 36), 36, True)

    def test_a_partial_raster_does_not_wrap(self):
        da = made(Affine(0.5, 0, 20, 0, -0.25, 60), (40, 30))
        assert placed(da) == (20, 0.5, 60, -0.25)
        assert not read_raster(da).grid.wraps

    def test_a_south_up_raster(self):
        assert placed(made(Affine(10, 0, -180, 0, 10, -90), (18, 36))) == (-180, 10, -90, 10)

    def test_westward_columns(self):
        assert placed(made(Affine(-10, 0, 180, 0, -10, 90), (18, 36))) == (180, -10, 90, -10)

    def test_longitudes_that_count_westward(self):
        da = made(Affine(10, 0, 0, 0, -10, 90), (18, 36), WEST_POSITIVE)
        assert placed(da) == (0, -10, 90, -10)
        assert read_raster(da).grid.wraps

    def test_prime_meridian(self):
        crs = "+proj=longlat +R=1737400 +pm=20 +no_defs"
        lon_origin, lon_step, *_ = placed(made(Affine(10, 0, -180, 0, -10, 90), (18, 36), crs))
        assert (lon_origin % 360, lon_step) == (200, 10)

    def test_radians(self):
        crs = pyproj.CRS(MOON).to_json_dict()
        for axis in crs["coordinate_system"]["axis"]:
            axis["unit"] = {"type": "AngularUnit", "name": "radian", "conversion_factor": 1}
        transform = Affine.scale(np.pi / 180) * Affine(10, 0, -180, 0, -10, 90)
        da = made(transform, (18, 36), pyproj.CRS.from_json_dict(crs))
        assert placed(da) == pytest.approx((-180, 10, 90, -10), rel=1e-12)

    def test_several_bands(self):
        da = global_raster().expand_dims(time=2, band=[1, 2, 3])
        raster = read_raster(da)
        assert (raster.y_dim, raster.x_dim, raster.extra_dims) == ("y", "x", ("time", "band"))

    def test_transposed(self):
        raster = read_raster(global_raster().transpose("x", "y"))
        assert (raster.grid.shape, raster.grid.lon_step, raster.grid.lat_step) == ((18, 36), 10, -10)

    @pytest.mark.parametrize("dims", [("lat", "lon"), ("latitude", "longitude"), ("rows", "columns")])
    def test_names_of_dimensions(self, dims):
        da = global_raster(dims=dims)
        raster = read_raster(da)
        assert (raster.y_dim, raster.x_dim, raster.extra_dims) == (*dims, ())
        assert placed(da) == (-180, 10, 90, -10)

    def test_latitude_first_in_the_crs_makes_no_difference(self):
        crs = pyproj.CRS(MOON)
        assert crs.axis_info[0].direction == "north"
        assert placed(made(Affine(5, 0, 30, 0, -2, 10), (4, 6), crs)) == (30, 5, 10, -2)


class TestTransformAndCoordinates:
    """Which of geotransform and coordinates places the raster."""

    def test_a_slice_is_placed_by_its_coordinates(self):
        da = global_raster(1.0)
        stale = da.isel(x=slice(50, 90), y=slice(20, 40))
        assert stale["spatial_ref"].attrs["GeoTransform"] == da["spatial_ref"].attrs["GeoTransform"]
        assert placed(stale) == (-130, 1, 70, -1)
        assert read_raster(stale).grid.shape == (20, 40)

    @pytest.mark.parametrize("step", [2, -1])
    def test_a_strided_slice_has_its_own_step(self, step):
        da = global_raster(1.0).isel(y=slice(None, None, step))
        assert placed(da)[3] == -step

    def test_coordinates_without_transform(self):
        da = global_raster().drop_vars("spatial_ref").rio.write_crs(MOON)
        assert "GeoTransform" not in da["spatial_ref"].attrs
        assert placed(da) == (-180, 10, 90, -10)

    def test_transform_without_coordinates(self):
        da = global_raster().drop_vars(["x", "y"])
        assert placed(da) == (-180, 10, 90, -10)

    def test_neither_coordinates_nor_a_geotransform(self):
        da = xr.DataArray(np.zeros((3, 4)), dims=("y", "x")).rio.write_crs(MOON)
        with pytest.raises(GridError, match=re.escape("neither coordinates along 'x' nor a geotransform. Set one: da")):
            read_raster(da)

    def test_the_geotransform_is_used_where_coordinates_are_rounded(self):
        step = 360 / 109_164
        da = made(Affine(step, 0, -180, 0, -step, 90), (4, 5000))
        da = da.assign_coords(x=da["x"].astype("f4").astype("f8"))
        assert placed(da) == (-180, step, 90, -step)

    @pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1)])
    def test_one_pixel_wide(self, shape):
        da = made(Affine(0.5, 0, 20, 0, -0.25, 60), shape)
        assert placed(da) == (20, 0.5, 60, -0.25)

    @pytest.mark.parametrize(("column", "west"), [(7, -110), (-1, 170)])
    def test_one_column_of_a_slice(self, column, west):
        da = global_raster().isel(x=[column])
        assert placed(da) == (west, 10, 90, -10)

    def test_one_pixel_wide_without_transform(self):
        da = global_raster().isel(x=[3]).drop_vars("spatial_ref").rio.write_crs(MOON)
        with pytest.raises(GridError, match=re.escape("one pixel wide along 'x'")) as caught:
            read_raster(da)
        assert "da = da.rio.write_transform(affine.Affine(...))" in str(caught.value)

    def test_uneven_coordinates(self):
        da = global_raster()
        x = da["x"].to_numpy().copy()
        x[5] += 1
        message = (
            "the coordinates along 'x' are not evenly spaced; expected a regular grid. Interpolate onto one: da.in"
        )
        with pytest.raises(GridError, match=re.escape(message)):
            read_raster(da.assign_coords(x=x))

    @pytest.mark.parametrize("values", [np.zeros(36), np.full(36, np.nan)])
    def test_coordinates_that_do_not_advance(self, values):
        with pytest.raises(GridError, match="not evenly spaced"):
            read_raster(global_raster().assign_coords(x=values))

    def test_no_pixels(self):
        with pytest.raises(GridError, match=re.escape("no pixels along 'x'")):
            read_raster(global_raster().isel(x=slice(0, 0)))

    @pytest.mark.parametrize("coordinates", [False, True])
    def test_rotated(self, coordinates):
        da = global_raster() if coordinates else global_raster().drop_vars(["x", "y"])
        rotated = da.rio.write_transform(Affine.translation(20, 60) * Affine.rotation(10) * Affine.scale(1, -1))
        message = r"geotransform is rotated: \(.*Resample it north-up first: da = da\.rio\.reproject\(da\.rio\.crs\)"
        with pytest.raises(GridError, match=message):
            read_raster(rotated)

    def test_latitudes_beyond_180_degrees(self):
        da = made(Affine(10, 0, -180, 0, -10, 200), (40, 36))
        with pytest.raises(
            GridError, match=r"spans 400° of latitude; expected at most 180.*check da\.rio\.transform\(\)"
        ):
            read_raster(da)


CYLINDRICAL = {
    "plain": "+proj=eqc +R=1737400 +units=m +no_defs",
    "lon_0": "+proj=eqc +lon_0=180 +R=1737400 +units=m +no_defs",
    "west lon_0": "+proj=eqc +lon_0=-37.5 +R=1737400 +units=m +no_defs",
    "lat_ts": "+proj=eqc +lat_ts=60 +R=1737400 +units=m +no_defs",
    "lat_0": "+proj=eqc +lat_0=15 +R=1737400 +units=m +no_defs",
    "false origin": "+proj=eqc +x_0=250000 +y_0=-120000 +R=1737400 +units=m +no_defs",
    "kilometres": "+proj=eqc +x_0=1000 +y_0=2000 +R=1737400 +units=km +no_defs",
    "all": "+proj=eqc +lat_ts=-35 +lat_0=5 +lon_0=25 +x_0=1e6 +y_0=5e5 +R=1737400 +units=m +no_defs",
    "prime meridian": "+proj=eqc +lon_0=25 +pm=10 +R=1737400 +units=m +no_defs",
    "IAU": "IAU_2015:30110",
    "IAU, longitude 180": "IAU_2015:30115",
    "another radius": "+proj=eqc +R=1738000 +units=m +no_defs",
}


class TestMetres:
    """Cylindrical rasters in metres."""

    @pytest.mark.parametrize("crs", CYLINDRICAL.values(), ids=CYLINDRICAL.keys())
    def test_pixel_centres_are_where_pyproj_puts_them(self, crs):
        crs = pyproj.CRS(crs)
        unit = crs.axis_info[0].unit_conversion_factor
        transform = Affine(30e3 / unit, 0, -200e3 / unit, 0, -20e3 / unit, 900e3 / unit)
        da = made(transform, (40, 50), crs)
        grid = read_raster(da).grid
        lon = grid.lon_origin + (np.arange(50) + 0.5) * grid.lon_step
        lat = grid.lat_origin + (np.arange(40) + 0.5) * grid.lat_step
        x, y = np.meshgrid(da["x"], da["y"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            to_degrees = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
        expected_lon, expected_lat = to_degrees.transform(x, y)
        expected_lon = expected_lon + crs.geodetic_crs.prime_meridian.longitude
        np.testing.assert_allclose((lon - expected_lon + 180) % 360, 180, atol=1e-9)
        np.testing.assert_allclose(np.broadcast_to(lat[:, None], (40, 50)), expected_lat, atol=1e-9)

    def test_global_raster_wraps(self):
        transform = Affine.scale(METRES) * Affine(0.5, 0, -180, 0, -0.5, 90)
        grid = read_raster(made(transform, (360, 720), CYLINDRICAL["plain"])).grid
        assert grid.period == pytest.approx(720, rel=1e-12)
        assert grid.wraps

    def test_one_pixel_in_metres(self):
        da = made(Affine(100, 0, 0, 0, -100, 0), (1, 1), CYLINDRICAL["plain"])
        assert placed(da) == pytest.approx((0, 100 / METRES, 0, -100 / METRES), rel=1e-12)


class TestPeriod:
    """How many columns make one turn, and whether a raster wraps around."""

    @pytest.mark.parametrize(
        ("columns", "period", "wraps"),
        [
            (36, 36.0, True),
            (35, 36.0, False),
            (37, 36.0, True),  # columns beyond one turn do not matter
            (72, 36.0, True),
            (36, 36.4, True),
            (36, 36.6, False),
            (37, 36.6, True),
            (36, 35.6, True),
        ],
    )
    def test_a_raster_wraps_if_its_columns_make_one_turn(self, columns, period, wraps):
        grid = replace(read_raster(global_raster()).grid, shape=(18, columns), lon_step=360 / period)
        assert grid.period == pytest.approx(period)
        assert grid.wraps is wraps

    def test_a_mosaic_of_100_metre_pixels_wraps_with_a_fractional_period(self):
        """LROC WAC: 109164 columns of 100 m on a sphere of 1737.4 km, where one turn is 109164.03 columns."""
        width, height = 109_164, 54_582
        lazy = dask.array.zeros((height, width), chunks=8192, dtype="u1")
        transform = Affine(100, 0, -50 * width, 0, -100, 50 * height)
        da = xr.DataArray(lazy, dims=("y", "x")).rio.write_crs("IAU_2015:30110").rio.write_transform(transform)
        grid = read_raster(da).grid
        assert grid.period == pytest.approx(2 * np.pi * MOON_RADIUS / 100, rel=1e-12)
        assert 0 < abs(grid.period - width) < 0.5
        assert grid.wraps

    def test_westward_columns_wrap_too(self):
        grid = Grid((18, 36), 180.0, -10.0, 90.0, -10.0, (0, 18), (0, 36))
        assert (grid.period, grid.wraps) == (36, True)
        assert grid.radians == (np.pi / 2, np.radians(-10), 36)


class TestChunks:
    """Chunks as tiles."""

    def test_edges_are_the_chunks(self):
        grid = read_raster(global_raster().chunk(y=7, x=(10, 1, 25))).grid
        assert (grid.row_edges, grid.col_edges) == ((0, 7, 14, 18), (0, 10, 11, 36))

    def test_in_memory_is_one_chunk(self):
        grid = read_raster(global_raster()).grid
        assert (grid.row_edges, grid.col_edges) == ((0, 18), (0, 36))

    def test_tiles_that_intersect_windows(self):
        grid = read_raster(global_raster().chunk(y=6, x=12)).grid
        found = list(grid.tiles([(5, 7, 0, 12), (0, 6, 12, 13), (6, 6, 0, 12)]))
        assert found == [
            ((0, 0), (0, 6, 0, 12)),
            ((0, 1), (0, 6, 12, 24)),
            ((1, 0), (6, 12, 0, 12)),
        ]


class TestStoredNumbers:
    """Nodata, scale, offset and dtype."""

    def test_plain(self):
        raster = read_raster(global_raster())
        assert (raster.nodata, raster.scale, raster.offset, raster.decodes) == (None, 1, 0, False)
        assert raster.decode(7) == 7

    @pytest.mark.parametrize("how", ["write_nodata", "_FillValue", "missing_value", "nodata"])
    def test_declared_nodata(self, how):
        da = global_raster()
        da = da.rio.write_nodata(5) if how == "write_nodata" else da.assign_attrs({how: 5})
        assert read_raster(da).nodata == 5

    def test_given_nodata_wins(self):
        assert read_raster(global_raster().rio.write_nodata(5), nodata=0).nodata == 0

    @pytest.mark.parametrize("source", ["declared", "given"])
    def test_nan_is_never_a_value_and_therefore_not_nodata(self, source):
        da = global_raster(dtype="f4")
        declared = da.rio.write_nodata(np.nan) if source == "declared" else da
        assert read_raster(declared, nodata=np.nan if source == "given" else None).nodata is None

    def test_scale_and_offset(self):
        raster = read_raster(global_raster().assign_attrs(scale_factor=0.5, add_offset=-3))
        assert (raster.scale, raster.offset, raster.decodes) == (0.5, -3, True)
        np.testing.assert_array_equal(raster.decode(np.array([0, 10])), [-3, 2])

    @pytest.mark.parametrize("dtype", ["c8", "M8[ns]", "m8[ns]", "U3", "O"])
    def test_dtypes_that_are_not_real_numbers_are_refused(self, dtype):
        da = global_raster()
        da = da.copy(data=np.zeros(da.shape, dtype))
        message = f"received pixels of dtype {da.dtype}; expected real numbers: da.astype('float64')"
        with pytest.raises(GridError, match=re.escape(message)):
            read_raster(da)

    @pytest.mark.parametrize("dtype", ["?", "i1", "u2", "i8", "f2", "f8", ">i2"])
    def test_real_dtypes(self, dtype):
        assert read_raster(global_raster(dtype=dtype)).grid.shape == (18, 36)


class TestOtherRasters:
    """Rasters that are refused, or accepted despite a loose label."""

    def test_no_crs(self):
        with pytest.raises(GridError, match=re.escape("the raster has no CRS")) as caught:
            read_raster(global_raster().drop_vars("spatial_ref"))
        assert 'da = da.rio.write_crs("IAU_2015:30100")' in str(caught.value)

    def test_another_body(self):
        da = global_raster(crs="IAU_2015:49900")
        with pytest.raises(BodyError, match=r"is not on moon, the table's body \(radius 1\.7374e\+06 m\)") as caught:
            read_raster(da, body=get_body("moon"))
        assert "Mars" in str(caught.value)
        assert 'da = da.rio.write_crs("IAU_2015:30100")' in str(caught.value)

    def test_the_line_that_the_message_shows_fixes_the_raster(self):
        da = global_raster(crs="IAU_2015:49900")
        with pytest.raises(BodyError) as caught:
            read_raster(da, body=get_body("moon"))
        line = re.search(r"da = (da\.rio\.write_crs\(.*\))", str(caught.value))[1]
        assert read_raster(eval(line, {"da": da}), body=get_body("moon")).grid == read_raster(da).grid

    @pytest.mark.parametrize("crs", ["+proj=longlat +R=1737400 +no_defs", "+proj=longlat +R=1738000 +no_defs"])
    def test_a_loosely_labelled_body_is_recognised_by_its_ellipsoid(self, crs):
        assert read_raster(global_raster(crs=crs), body=get_body("moon")).grid.shape == (18, 36)

    def test_dimensions_that_are_not_spatial_are_refused(self):
        da = xr.DataArray(np.zeros((3, 4)), dims=("crater", "statistic"))
        message = r"dimensions \('crater', 'statistic'\); expected two spatial ones .*da\.rio\.set_spatial_dims\("
        with pytest.raises(GridError, match=message):
            read_raster(da)

    @pytest.mark.parametrize("other", [np.zeros((3, 4)), xr.Dataset(), "moon.tif"], ids=lambda v: type(v).__name__)
    def test_objects_other_than_a_dataarray_are_refused(self, other):
        with pytest.raises(
            GridError, match=f"received an object of type {type(other).__name__}; expected an xarray.DataArray"
        ):
            read_raster(other)

    @pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32633"])
    def test_a_raster_labelled_as_the_earth_is_refused(self, crs):
        da = made(Affine(1, 0, 0, 0, -1, 10), (10, 10), crs)
        with pytest.raises(BodyError, match=re.escape('da = da.rio.write_crs("IAU_2015:30100")')):
            read_raster(da, body=get_body("moon"))

    def test_a_crs_neither_geographic_nor_projected_is_refused(self):
        crs = pyproj.CRS("+proj=geocent +R=1737400")
        with pytest.raises(GridError, match=r"neither geographic nor projected.*da = da\.rio\.write_crs"):
            read_raster(made(Affine(1, 0, 0, 0, -1, 10), (10, 10), crs))

    def test_a_raster_off_the_map_is_refused(self):
        da = made(Affine(1e3, 0, 9e6, 0, -1e3, 9e6), (10, 10), "+proj=ortho +R=1737400 +units=m")
        with pytest.raises(GridError, match=r"no pixel of the raster lies within .* check da\.rio\.transform\(\)"):
            read_raster(da)


OTHER_GRIDS = {
    "polar": ("IAU_2015:30130", np.inf),
    "sinusoidal": ("IAU_2015:30120", np.inf),
    "Mercator": ("+proj=merc +R=1737400 +units=m +no_defs", 2 * np.pi * MOON_RADIUS / 1e4),
    "Mars, planetographic": ("IAU_2015:49911", 2 * np.pi * 3396190 / 1e4),
    "Mars, planetocentric": ("IAU_2015:49912", 2 * np.pi * 3396190 / 1e4),
    "oblate equirectangular": ("+proj=eqc +a=3396190 +b=3376200 +units=m", 2 * np.pi * 3396190 / 1e4),
}


class TestGridsWithoutClosedForm:
    """Grids whose pixels are placed by PROJ."""

    @pytest.mark.parametrize(("crs", "period"), OTHER_GRIDS.values(), ids=OTHER_GRIDS.keys())
    def test_grids_have_a_frame_and_place_craters_by_longitude(self, crs, period):
        da = made(Affine(1e4, 0, -5e4, 0, -1e4, 5e4), (10, 10), crs)
        grid = read_raster(da).grid
        assert (grid.closed, grid.lon_origin, grid.lon_step) == (False, 0, 1)
        assert (grid.period, grid.wraps) == (pytest.approx(period), False)
        assert grid.to_frame() is grid.frame
        assert pickle.loads(pickle.dumps(grid)) == grid

    @pytest.mark.parametrize("crs", ["IAU_2015:49901", "IAU_2015:49902"])
    def test_geographic_on_an_oblate_body(self, crs):
        da = made(Affine(1, 0, -5, 0, -1, 5), (10, 10), crs)
        grid = read_raster(da, body=get_body("mars")).grid
        u, v = grid.to_frame().pixels([-3.0, 3.0], [0.0, 2.0])
        sign = -1 if crs.endswith("1") else 1
        assert u.tolist() == pytest.approx([5 - 3 * sign, 5 + 3 * sign])
        graphic = np.degrees(np.arctan(np.tan(np.radians(2)) * (3396190 / 3376200) ** 2))
        assert v.tolist() == pytest.approx([5, 5 - (2 if sign == 1 else graphic)])

    def test_global_columns_wrap(self):
        da = made(Affine(10, 0, -180, 0, -10, 90), (18, 36), "IAU_2015:49901")
        grid = read_raster(da).grid
        assert (grid.period, grid.wraps, grid.closed) == (36, True, False)

    def test_latitudes_beyond_180_degrees(self):
        da = made(Affine(10, 0, -180, 0, -10, 200), (40, 36), "IAU_2015:49901")
        with pytest.raises(GridError, match=r"spans 400° of latitude; expected at most 180"):
            read_raster(da)

    @pytest.mark.parametrize("crs", ["+proj=eqc +R=1737400 +lon_0=30 +lat_ts=20", MOON])
    def test_a_grid_with_a_closed_form_gives_the_same_pixels_as_its_frame(self, crs):
        scale = METRES if "eqc" in crs else 1.0
        da = made(Affine.scale(scale) * Affine(0.5, 0, -20, 0, -0.5, 10), (40, 80), crs)
        grid = read_raster(da).grid
        assert grid.closed
        lon, lat = np.array([-12.0, 8.5]), np.array([3.0, -7.0])
        u, v = grid.to_frame().pixels(lon, lat)
        np.testing.assert_allclose(u, (lon - grid.lon_origin) / grid.lon_step)
        np.testing.assert_allclose(v, (lat - grid.lat_origin) / grid.lat_step)
