"""Rasters as people have them: pixels hidden by any means are missing, band by band, whichever library opens them."""

from __future__ import annotations

import math
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
import rioxarray
import xarray as xr
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import raise_if_dask_computes
from xcrater import CraterDatabase, open_mosaic
from xcrater.errors import GridError, StatisticError
from xcrater.raster.declared import stored_numbers

CRS = "IAU_2015:30100"
ROWS, COLUMNS = 90, 180
TRANSFORM = Affine(2, 0, -180, 0, -2, 90)
STATS = ["count", "mean", "std", "min", "max", "median"]


@pytest.fixture
def cdb() -> CraterDatabase:
    places = {"lat": [5.0, -40.0, 80.0, -88.0], "lon": [10.0, 179.0, 120.0, -60.0], "radius_km": [300.0, 250, 400, 350]}
    made = CraterDatabase(pd.DataFrame(places), "moon", units="km")
    made.add_annuli("rim", 0.5, 1.5, nvert=None)
    return made


@pytest.fixture
def numbers() -> np.ndarray:
    """Integers from 20 to 219."""
    return np.random.default_rng(3).integers(20, 220, (ROWS, COLUMNS))


@pytest.fixture
def gone() -> np.ndarray:
    """The pixels without a value, one in ten."""
    return np.random.default_rng(4).random((ROWS, COLUMNS)) < 0.1


def plain(values: np.ndarray) -> xr.DataArray:
    """Values in memory without any declaration, NaN where a pixel is missing."""
    x, y = -179 + 2.0 * np.arange(COLUMNS), 89 - 2.0 * np.arange(ROWS)
    dims = ("band", "y", "x")[-values.ndim :]
    return xr.DataArray(np.asarray(values, "f8"), {"y": y, "x": x}, dims).rio.write_crs(CRS)


def write(path: Path, bands: Any, *, mask: Any = None, scales: Any = None, offsets: Any = None, **profile: Any) -> str:
    bands = np.asarray(bands)
    bands = bands if bands.ndim == 3 else bands[None]
    options = {"driver": "GTiff", "crs": CRS, "transform": TRANSFORM, "dtype": bands.dtype.name} | profile
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", count=len(bands), height=ROWS, width=COLUMNS, **options) as file,
    ):
        file.write(bands)
        if mask is not None:
            file.write_mask(mask)
        if scales:
            file.scales = scales
        if offsets:
            file.offsets = offsets
    return str(path)


def vrt(path: Path, bands: list[tuple[str, str]], dtype: str = "Byte") -> str:
    """A virtual raster of bands, each with its declarations and the file that it shows."""
    text = f'<VRTDataset rasterXSize="{COLUMNS}" rasterYSize="{ROWS}"><SRS>{CRS}</SRS>'
    text += f"<GeoTransform>{','.join(map(str, TRANSFORM.to_gdal()))}</GeoTransform>"
    for n, (declared, source) in enumerate(bands, 1):
        shown = f"<SimpleSource><SourceFilename>{source}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>"
        text += f'<VRTRasterBand dataType="{dtype}" band="{n}">{declared}{shown}</VRTRasterBand>'
    path.write_text(text + "</VRTDataset>")
    return str(path)


def assert_stats(found: Any, values: np.ndarray, cdb: CraterDatabase, rtol: float = 1e-9) -> None:
    """Check that statistics equal those of the same values without any declaration."""
    wanted = plain(values).craters.get_stats(cdb, "rim", STATS, coverage="center")
    found = found.craters.get_stats(cdb, "rim", STATS, coverage="center").compute()
    for name in STATS:
        np.testing.assert_allclose(found[name].to_numpy(), wanted[name].to_numpy(), rtol=rtol, err_msg=name)


def pds4(path: Path, image: np.ndarray, constants: dict[str, str]) -> str:
    """An image whose label has some special constants."""
    step = np.pi * 1737400 / 90
    placed = {"crs": "+proj=eqc +R=1737400 +units=m", "transform": Affine(step, 0, -90 * step, 0, -step, 45 * step)}
    names = ("LOGICAL_IDENTIFIER", "TITLE", "INVESTIGATION_AREA_NAME", "INVESTIGATION_AREA_LID_REFERENCE")
    labels = {f"VAR_{name}": "x" for name in (*names, "OBSERVING_SYSTEM_NAME")}
    labels |= {"VAR_TARGET": "Moon", "VAR_TARGET_TYPE": "Satellite"}
    write(path, image, driver="PDS4", nodata=1, **placed, **labels)
    elements = "".join(f"<{name}>{text}</{name}>" for name, text in constants.items())
    label = re.sub(r"<missing_constant>.*</missing_constant>", elements, path.read_text())
    assert elements in label
    path.write_text(label)
    return str(path)


ISIS = {
    "f4": [struct.unpack("<f", struct.pack("<I", bits))[0] for bits in range(0xFF7FFFFB, 0xFF800000)],
    "i2": [-32768, -32767, -32766, -32765, -32764],
    "u2": [0, 1, 2, 65534, 65535],
    "u1": [0, 255],
}
"""NULL, LRS, LIS, HIS and HRS for each pixel type of ISIS cubes, as listed in the ISIS documentation."""


class Hidden:
    """Files that hide pixels by means other than a single nodata value; each method writes one and returns its path."""

    @staticmethod
    def mask_band(path, numbers, gone):
        return write(path / "a.tif", numbers.astype("u1"), mask=np.where(gone, 0, 255).astype("u1"))

    @staticmethod
    def mask_band_that_overrules_nodata(path, numbers, gone):
        return write(path / "a.tif", numbers.astype("i2"), mask=np.where(gone, 0, 255).astype("u1"), nodata=100)

    @staticmethod
    def alpha(path, numbers, gone):
        return write(path / "a.tif", [numbers.astype("u1"), np.where(gone, 0, 255).astype("u1")], alpha="yes")

    @staticmethod
    def colours_with_alpha(path, numbers, gone):
        bands = [numbers, numbers[::-1], numbers[:, ::-1], np.where(gone, 0, 255)]
        return write(path / "a.tif", np.array(bands, "u1"), photometric="RGB", alpha="yes")

    @staticmethod
    def nodata_of_several_bands_together(path, numbers, gone):
        bands = np.array([numbers, numbers[::-1]], "u1")
        bands[:, gone] = [[3], [4]]
        made = write(path / "a.tif", bands)
        with rasterio.open(made, "r+") as file:
            file.update_tags(NODATA_VALUES="3 4")
        return made

    @staticmethod
    def mask_of_a_band_of_a_vrt(path, numbers, gone):
        write(path / "mask.tif", np.where(gone, 0, 255).astype("u1"))
        write(path / "a.tif", numbers.astype("u1"))
        shown = f"<SourceFilename>{path / 'mask.tif'}</SourceFilename><SourceBand>1</SourceBand>"
        mask = (
            f'<MaskBand><VRTRasterBand dataType="Byte"><SimpleSource>{shown}</SimpleSource></VRTRasterBand></MaskBand>'
        )
        return vrt(path / "a.vrt", [(mask, str(path / "a.tif")), ("", str(path / "a.tif"))])

    @staticmethod
    def nodata_that_differs_between_bands(path, numbers, gone):
        write(path / "1.tif", np.where(gone, 0, numbers).astype("u1"))
        write(path / "2.tif", np.where(gone[::-1], 255, numbers).astype("u1"))
        declared = [f"<NoDataValue>{nodata}</NoDataValue>" for nodata in (0, 255)]
        return vrt(path / "a.vrt", [(each, str(path / f"{n}.tif")) for n, each in enumerate(declared, 1)])

    @staticmethod
    def nodata_of_the_second_band_alone(path, numbers, gone):
        write(path / "1.tif", numbers.astype("u1"))
        write(path / "2.tif", np.where(gone, 7, numbers).astype("u1"))
        declared = ["", "<NoDataValue>7</NoDataValue>"]
        return vrt(path / "a.vrt", [(each, str(path / f"{n}.tif")) for n, each in enumerate(declared, 1)])


HIDDEN = [name for name in vars(Hidden) if not name.startswith("_")]


def isis(path: Path, numbers: np.ndarray, gone: np.ndarray, dtype: str) -> str:
    cube = numbers.astype(dtype)
    cube[gone] = np.random.default_rng(0).choice(np.array(ISIS[dtype], dtype), gone.sum())
    step = np.pi * 1737400 / 90
    placed = {"crs": "+proj=eqc +R=1737400 +units=m", "transform": Affine(step, 0, -90 * step, 0, -step, 45 * step)}
    return write(path / "a.cub", cube, driver="ISIS3", TARGET_NAME="Moon", **placed)


def truth(path: str) -> np.ndarray:
    """The values of a file according to rasterio, NaN where pixels are hidden; bands first if there are several."""
    with rasterio.open(path) as file:
        bands = file.read(masked=True)
        values = bands.astype("f8") * np.reshape(file.scales, (-1, 1, 1)) + np.reshape(file.offsets, (-1, 1, 1))
    values = values.filled(np.nan)
    return values[0] if len(values) == 1 else values


OPENED = {
    "open_mosaic": open_mosaic,
    "open_mosaic in memory": lambda path: open_mosaic(path, chunks=None),
    "stored numbers": lambda path: open_mosaic(path, decode=False),
    "open_rasterio": rioxarray.open_rasterio,
    "open_rasterio lazily": lambda path: rioxarray.open_rasterio(path, chunks=70),
    "open_rasterio masked": lambda path: rioxarray.open_rasterio(path, masked=True),
    "open_rasterio decoded": lambda path: rioxarray.open_rasterio(path, mask_and_scale=True),
    "open_dataset": lambda path: xr.open_dataset(path, engine="rasterio")["band_data"],
    "open_dataset stored": lambda path: xr.open_dataset(path, engine="rasterio", mask_and_scale=False)["band_data"],
}

COMPUTED = {
    "half": lambda da: da * 0.5,
    "square": lambda da: da**2,
    "lower": lambda da: da - 1000,
    "absolute": abs,
    "negative": lambda da: -da,
    "above": lambda da: da.where(da > 0),
    "filled": lambda da: da.fillna(0),
    "other": lambda da: xr.where(da > 0, da, np.nan, keep_attrs=True),
    "float": lambda da: da.astype("f8"),
    "slice": lambda da: da.isel(y=slice(10, None)).reindex(y=da.y),
    "rolled": lambda da: da.roll(x=7, roll_coords=False),
    "difference": lambda da: da.diff("x").reindex(x=da.x),
    "clipped": lambda da: da.clip(-500, 500, keep_attrs=True),
    "rechunked": lambda da: da.chunk({"y": 33, "x": 71}),
}

IN_MEMORY = {
    "double": lambda da: da * 2,
    "square": lambda da: da * da,
    "above": lambda da: da.where(da > 90),
    "classes": lambda da: (da > 90).astype("u1"),
    "lower": lambda da: 255 - da,
    "persisted": lambda da: (da.chunk(50) * 2).persist(),
}
"""What people compute from a raster that they have read into memory."""

SELECTED = {
    "slice": lambda da: da.isel(y=slice(10, None)),
    "sorted": lambda da: da.assign_coords(x=da.x % 360).sortby("x"),
    "box": lambda da: da.rio.clip_box(-60, -80, 179, 80),
    "transposed": lambda da: da.transpose("x", "y"),
    "joined": lambda da: xr.concat([da.isel(x=slice(0, 50)), da.isel(x=slice(50, None))], "x"),
    "loaded": lambda da: da.chunk(50).compute(),
}
"""What leaves each pixel as it is."""


class TestPixelsThatAFileHides:
    """Pixels that a file hides are missing in statistics."""

    @pytest.mark.parametrize("chunks", ["auto", 50, None])
    @pytest.mark.parametrize("kind", HIDDEN)
    def test_hidden_pixels_are_missing_after_open_mosaic(self, tmp_path, numbers, gone, cdb, kind, chunks):
        path = getattr(Hidden, kind)(tmp_path, numbers, gone)
        values = truth(path)
        assert np.isnan(values).sum() >= gone.sum()
        da = open_mosaic(path, chunks=chunks)
        np.testing.assert_array_equal(da.to_numpy(), values)
        assert_stats(da, values, cdb)

    @pytest.mark.parametrize("dtype", ISIS)
    def test_special_pixels_of_an_isis_cube_are_missing(self, tmp_path, numbers, gone, cdb, dtype):
        path = isis(tmp_path, numbers, gone, dtype)
        da = open_mosaic(path)
        np.testing.assert_array_equal(np.isnan(da), gone)
        on_degrees = da.assign_coords(plain(numbers).coords).rio.write_crs(CRS).rio.write_transform(TRANSFORM)
        assert_stats(on_degrees, np.where(gone, np.nan, numbers), cdb)
        assert_stats(da, np.where(gone, np.nan, numbers), cdb)

    def test_special_constants_of_a_pds4_image_are_missing(self, tmp_path, numbers, gone, cdb):
        image = numbers.astype("i2")
        image[gone] = np.random.default_rng(0).choice(np.array([-32768, -32767, -32766], "i2"), gone.sum())
        constants = {"missing_constant": "-32768", "low_instrument_saturation": "-32767"}
        path = pds4(tmp_path / "a.xml", image, constants | {"high_instrument_saturation": "-32766"})
        assert_stats(open_mosaic(path), np.where(gone, np.nan, numbers), cdb)

    @pytest.mark.parametrize("chunks", ["auto", None])
    @pytest.mark.parametrize(
        ("dtype", "missing", "saturated"),
        [
            ("f4", "0xFF7FFFFB", "16#FF7FFFFE#"),
            ("f4", "16#ff7ffffb#", "-3.40282326356119e+38"),
            ("f4", "-3.40282265508890445e+38", "0xFF7FFFFE"),
            ("i2", "0x8000", "16#8003#"),
            ("u1", "0x00", "0xFF"),
        ],
    )
    def test_are_the_constants_of_pds4_whose_bits_the_label_gives(
        self, tmp_path, numbers, gone, cdb, dtype, missing, saturated, chunks
    ):
        bits = {"f4": (0xFF7FFFFB, 0xFF7FFFFE), "i2": (0x8000, 0x8003), "u1": (0, 255)}[dtype]
        image = (numbers - 20).astype(dtype) if dtype != "u1" else numbers.astype(dtype)  # 0 and 16 are values
        image[gone] = np.random.default_rng(0).choice(np.array(bits, f"u{image.itemsize}").view(dtype), gone.sum())
        constants = {"missing_constant": missing, "high_instrument_saturation": saturated}
        path = pds4(tmp_path / "a.xml", image, constants)
        assert_stats(open_mosaic(path, chunks=chunks), np.where(gone, np.nan, image), cdb)
        for masked in (False, True):
            with pytest.raises(GridError, match=r"hides pixels by a mask.* xcrater\.open_mosaic\("):
                rioxarray.open_rasterio(path, masked=masked).craters.get_stats(cdb, "rim", "mean")

    @pytest.mark.parametrize("text", ["-32768", "300", "2.5", "NaN"])
    def test_special_constants_that_pixels_cannot_hold_hide_nothing(self, tmp_path, numbers, text):
        image = (numbers - 20).astype("u1")
        path = pds4(tmp_path / "a.xml", image, {"missing_constant": "0xFF", "error_constant": text})
        np.testing.assert_array_equal(open_mosaic(path), image)

    @pytest.mark.parametrize("text", ["0x8000", "16#1FF7FFFFB#", "none (0x00000000)"])
    def test_constants_of_pds4_that_are_none_are_refused(self, tmp_path, numbers, text):
        path = pds4(
            tmp_path / "a.xml", numbers.astype("f4"), {"missing_constant": "0xFF7FFFFB", "error_constant": text}
        )
        if text == "0x8000":
            assert not np.isnan(open_mosaic(path)).any()  # leading zeros may be left out
        else:
            with pytest.raises(GridError, match=r"gives error_constant=.* 8 hexadecimal digits"):
                open_mosaic(path)

    @pytest.mark.parametrize("kind", [kind for kind in HIDDEN if "nodata_" not in kind or "together" in kind])
    def test_hidden_pixels_unknown_to_rioxarray_are_refused_and_the_advice_helps(
        self, tmp_path, numbers, gone, cdb, kind
    ):
        path = getattr(Hidden, kind)(tmp_path, numbers, gone)
        da = rioxarray.open_rasterio(path)
        with pytest.raises(GridError, match=r"hides pixels by a mask.* xcrater\.open_mosaic\(") as caught:
            da.craters.get_stats(cdb, "rim", "mean")
        advice = str(caught.value).rpartition("da = ")[2]
        assert_stats(eval(advice, {"xcrater": __import__("xcrater")}), truth(path), cdb)

    @pytest.mark.parametrize("chunks", [None, 60])
    @pytest.mark.parametrize("kind", HIDDEN)
    def test_hidden_pixels_are_missing_if_rioxarray_masks_them(self, tmp_path, numbers, gone, cdb, kind, chunks):
        path = getattr(Hidden, kind)(tmp_path, numbers, gone)
        da = rioxarray.open_rasterio(path, masked=True, chunks=chunks)
        assert_stats(da.squeeze("band") if da.sizes["band"] == 1 else da, truth(path), cdb)

    def test_hidden_pixels_stay_hidden_in_a_slice(self, tmp_path, numbers, gone, cdb):
        path = Hidden.alpha(tmp_path, numbers, gone)
        assert_stats(open_mosaic(path).isel(band=0), truth(path)[0], cdb)
        with pytest.raises(GridError, match="hides pixels"):
            rioxarray.open_rasterio(path).isel(band=0).craters.get_stats(cdb, "rim", "mean")


class TestBandsDiffer:
    """Bands of one raster with different declarations."""

    @pytest.fixture
    def path(self, tmp_path, numbers, gone):
        bands = np.array([numbers, numbers[::-1]], "i2")
        bands[:, gone] = -1
        return write(tmp_path / "a.tif", bands, nodata=-1, scales=(0.5, 0.1), offsets=(0, 1737.4))

    @pytest.mark.filterwarnings("ignore:(Scales|Offsets) differ across bands")
    @pytest.mark.parametrize("opener", OPENED)
    def test_bands_with_different_scale_and_offset(self, path, cdb, opener):
        da, values = OPENED[opener](path), truth(path)
        rtol = 1e-6 if da.dtype == np.float32 else 1e-9  # rioxarray decodes to float32
        assert_stats(da, values, cdb, rtol)
        assert_stats(da.isel(band=1), values[1], cdb, rtol)
        assert_stats(da.sel(band=[2, 1]), values[::-1], cdb, rtol)

    @pytest.mark.parametrize("opener", OPENED)
    def test_bands_with_different_nodata(self, tmp_path, numbers, gone, cdb, opener):
        path = Hidden.nodata_that_differs_between_bands(tmp_path, numbers, gone)
        da, values = OPENED[opener](path), truth(path)
        assert_stats(da, values, cdb)
        assert_stats(da.isel(band=1), values[1], cdb)

    @pytest.mark.parametrize("opener", OPENED)
    def test_bands_of_which_only_one_has_nodata(self, tmp_path, numbers, gone, cdb, opener):
        path = Hidden.nodata_of_the_second_band_alone(tmp_path, numbers, gone)
        da, values = OPENED[opener](path), truth(path)
        assert_stats(da, values, cdb)
        assert_stats(da.isel(band=1), values[1], cdb)

    def test_a_table_has_one_column_per_band(self, path, cdb):
        found, values = cdb.get_stats(path, "rim", "mean", coverage="center"), truth(path)
        for band in (0, 1):
            wanted = plain(values[band]).craters.get_stats(cdb, "rim", "mean", coverage="center")["mean"]
            np.testing.assert_allclose(found[f"mean_band{band + 1}_rim"], wanted, rtol=1e-12)

    @pytest.mark.filterwarnings("ignore:(Scales|Offsets) differ across bands")
    def test_a_band_that_cannot_be_told_from_the_others_is_refused(self, path, cdb):
        da = rioxarray.open_rasterio(path).isel(band=0, drop=True)
        with pytest.raises(GridError, match=r"of 2 bands.*do not say which band"):
            da.craters.get_stats(cdb, "rim", "mean")


class TestDerivedArrays:
    """Arrays computed from an opened raster."""

    @pytest.fixture
    def stored(self, numbers, gone):
        return np.where(gone, -32768, numbers * 20 - 2000).astype("i2")

    @pytest.fixture
    def dem(self, tmp_path, stored):
        return write(tmp_path / "dem.tif", stored, nodata=-32768, scales=(0.5,))

    @pytest.fixture
    def values(self, numbers, gone):
        return np.where(gone, np.nan, numbers * 10.0 - 1000)

    @pytest.fixture
    def image(self, tmp_path, numbers, gone):
        return write(tmp_path / "image.tif", np.where(gone, 0, numbers).astype("u1"), nodata=0)

    @pytest.mark.parametrize("chunks", ["auto", 64, None])
    def test_an_opened_raster_shows_values(self, dem, values, cdb, chunks):
        with raise_if_dask_computes():
            da = open_mosaic(dem, chunks=chunks)
        assert da.dtype == np.float32
        assert not {"scale_factor", "add_offset", "_FillValue"} & set(da.attrs)
        np.testing.assert_array_equal(da, values)
        assert_stats(da, values, cdb)

    @pytest.mark.parametrize("keep_attrs", [True, False])
    @pytest.mark.parametrize("chunks", ["auto", None])
    @pytest.mark.parametrize("name", COMPUTED)
    def test_computed_arrays_mean_what_they_show(self, dem, values, cdb, name, chunks, keep_attrs):
        compute = COMPUTED[name]
        with xr.set_options(keep_attrs=keep_attrs):
            assert_stats(compute(open_mosaic(dem, chunks=chunks)), compute(plain(values)).to_numpy(), cdb)

    @pytest.mark.parametrize("keep_attrs", [True, False])
    @pytest.mark.parametrize("chunks", ["auto", None])
    def test_comparisons_count_every_pixel(self, dem, values, image, numbers, gone, cdb, chunks, keep_attrs):
        with xr.set_options(keep_attrs=keep_attrs):
            assert_stats(open_mosaic(dem, chunks=chunks) > 0, values > 0, cdb)
            assert_stats((open_mosaic(dem, chunks=chunks) > 0).astype("u1"), values > 0, cdb)
            seen = np.where(gone, 0, numbers)
            assert_stats(open_mosaic(image, chunks=chunks) > 100, seen > 100, cdb)
            lazy = {"chunks": None if chunks is None else 64}
            assert_stats(rioxarray.open_rasterio(image, **lazy).squeeze("band") > 100, seen > 100, cdb)

    def test_images_whose_missing_pixels_were_set_to_nan(self, image, numbers, gone, cdb):
        da = open_mosaic(image)
        for compute in (lambda da: da.where(da > 0) - 100.0, lambda da: da.where(da != 0) / 2 - 50):
            assert_stats(compute(da), compute(plain(np.where(gone, 0, numbers))), cdb)

    @pytest.mark.parametrize("keep_attrs", [True, False])
    @pytest.mark.parametrize("chunks", ["auto", None])
    def test_arrays_computed_from_floats_with_nodata(self, tmp_path, numbers, gone, cdb, chunks, keep_attrs):
        path = write(tmp_path / "a.tif", np.where(gone, -9999, numbers).astype("f4"), nodata=-9999)
        with xr.set_options(keep_attrs=keep_attrs):
            for compute in COMPUTED.values():
                wanted = compute(plain(np.where(gone, np.nan, numbers))).to_numpy()
                assert_stats(compute(open_mosaic(path, chunks=chunks)), wanted, cdb)

    def test_masks_do_not_need_values(self, image, cdb):
        for da in (open_mosaic(image) - 100.0, open_mosaic(image).load().astype("f4")):
            np.testing.assert_array_equal(da.craters.mask(cdb, "rim"), plain(da.to_numpy()).craters.mask(cdb, "rim"))

    def test_arrays_converted_to_another_dtype_still_have_nodata(self, image, numbers, gone, cdb):
        assert_stats(open_mosaic(image).astype("f4"), np.where(gone, np.nan, numbers), cdb)
        assert_stats(open_mosaic(image).isel(y=slice(0, None)).astype("f8"), np.where(gone, np.nan, numbers), cdb)

    def test_computed_arrays_with_unclear_nodata_are_refused_and_the_advice_helps(self, image, numbers, gone, cdb):
        floats = open_mosaic(image).load().astype("f4")
        with pytest.raises(GridError, match=r"were computed from others, whose attribute _FillValue=0") as caught:
            floats.craters.get_stats(cdb, "rim", "mean")
        for advice in ("nodata=0 in the call", "del da.attrs['_FillValue']"):
            assert advice in str(caught.value)
        found = floats.craters.get_stats(cdb, "rim", "mean", nodata=0, coverage="center")["mean"]
        wanted = plain(np.where(gone, np.nan, numbers)).craters.get_stats(cdb, "rim", "mean", coverage="center")["mean"]
        np.testing.assert_allclose(found, wanted, rtol=1e-12)
        masked = floats.where(floats != 0)
        del masked.attrs["_FillValue"]
        assert_stats(masked - 100, np.where(gone, np.nan, numbers - 100.0), cdb)
        with pytest.raises(GridError, match=r"were computed from others, whose attribute _FillValue=0"):
            (open_mosaic(image) - 100.0).craters.get_stats(cdb, "rim", "mean")

    @pytest.mark.parametrize(
        "opener", [lambda p: open_mosaic(p, decode=False), lambda p: rioxarray.open_rasterio(p, chunks=90)]
    )
    def test_arrays_computed_from_stored_numbers_are_refused_and_the_advice_helps(
        self, dem, stored, values, cdb, opener
    ):
        raw = opener(dem).squeeze()
        assert_stats(raw, values, cdb)
        assert_stats(raw.isel(y=slice(0, None)), values, cdb)
        with xr.set_options(keep_attrs=True):
            computed = raw.astype("i4") + 1
        with pytest.raises(GridError, match=r"were computed \(.*scale_factor=0\.5") as caught:
            computed.craters.get_stats(cdb, "rim", "mean")
        assert "da = da.drop_attrs(deep=False)" in str(caught.value)
        assert_stats(computed.drop_attrs(deep=False), stored.astype("i4") + 1, cdb)
        assert_stats(open_mosaic(dem) + 1, values + 1, cdb)

    @pytest.mark.parametrize("masked", [False, True])
    @pytest.mark.parametrize("compute", IN_MEMORY.values(), ids=IN_MEMORY)
    def test_arrays_computed_in_memory_from_a_scaled_file_are_refused_and_the_advice_helps(
        self, dem, values, cdb, masked, compute
    ):
        raw = rioxarray.open_rasterio(dem, masked=masked).squeeze("band", drop=True)
        with xr.set_options(keep_attrs=True):
            computed, wanted = compute(raw), compute(open_mosaic(dem, chunks=None))
        with pytest.raises(GridError, match=r"were computed \(in memory\).*scale_factor=0\.5") as caught:
            computed.craters.get_stats(cdb, "rim", "mean")
        assert "da = xcrater.open_mosaic(path)" in str(caught.value)
        assert_stats(wanted, compute(plain(values)).to_numpy(), cdb)

    @pytest.mark.parametrize("select", SELECTED.values(), ids=SELECTED)
    @pytest.mark.parametrize("masked", [False, True])
    def test_selections_in_memory_keep_scale_and_nodata(self, dem, values, cdb, masked, select):
        raw = rioxarray.open_rasterio(dem, masked=masked).squeeze("band", drop=True)
        wanted = select(plain(values).rio.write_transform(TRANSFORM))
        found = select(raw).craters.get_stats(cdb, "rim", STATS, coverage="center")
        wanted = wanted.craters.get_stats(cdb, "rim", STATS, coverage="center")
        for name in STATS:
            np.testing.assert_allclose(found[name], wanted[name], rtol=1e-9, err_msg=name)

    @pytest.mark.parametrize("compute", [lambda da: 255 - da, lambda da: da // 2, lambda da: da.clip(50, 100)])
    @pytest.mark.parametrize("opener", [rioxarray.open_rasterio, open_mosaic])
    @pytest.mark.parametrize("chunks", [None, 64])
    def test_integers_computed_from_integers_with_nodata_are_refused_unless_nodata_is_named(
        self, image, cdb, opener, compute, chunks
    ):
        with xr.set_options(keep_attrs=True):
            computed = compute(opener(image, chunks=chunks).squeeze())
        with pytest.raises(GridError, match=r"were computed from others, whose attribute _FillValue=0") as caught:
            computed.craters.get_stats(cdb, "rim", "mean")
        assert "nodata=0 in the call" in str(caught.value)
        missing = int(compute(xr.DataArray(np.uint8(0))))
        found = computed.craters.get_stats(cdb, "rim", "mean", nodata=missing, coverage="center")["mean"]
        shown = np.where(computed == missing, np.nan, computed)
        wanted = plain(shown).craters.get_stats(cdb, "rim", "mean", coverage="center")["mean"]
        np.testing.assert_allclose(found, wanted, rtol=1e-12)

    @pytest.mark.parametrize("chunks", [None, 64])
    def test_floats_whose_nodata_is_nan_by_now_are_accepted_and_others_refused(
        self, tmp_path, numbers, gone, cdb, chunks
    ):
        path = write(tmp_path / "a.tif", np.where(gone, -9999, numbers).astype("f4"), nodata=-9999)
        values = np.where(gone, np.nan, numbers)
        da = rioxarray.open_rasterio(path, chunks=chunks).squeeze("band", drop=True)
        with xr.set_options(keep_attrs=True):
            assert_stats(da.where(da != -9999) * 2, values * 2, cdb)
            assert_stats((da > 100).astype("u1"), numbers * ~gone > 100, cdb)
            with pytest.raises(GridError, match=r"were computed from others, whose attribute _FillValue=-9999"):
                (da * 2).craters.get_stats(cdb, "rim", "mean")

    def test_rasters_that_were_only_opened_are_summed_from_stored_numbers(self, dem, values, cdb):
        da = open_mosaic(dem, chunks=64)
        with raise_if_dask_computes():
            numbers = stored_numbers(da)
        assert (numbers.dtype, numbers.chunks) == (np.int16, da.chunks)
        assert stored_numbers(da * 1.0).dtype.kind == "f"
        opened, rechunked = (each.craters.get_stats(cdb, "rim", STATS).compute() for each in (da, da.chunk(50)))
        xr.testing.assert_allclose(opened, rechunked, rtol=1e-12)

    def test_pixels_of_a_raster_that_was_only_opened_are_values(self, dem, values, cdb):
        da = open_mosaic(dem, chunks=64)
        for found in (da.craters.get_arrays(cdb, "rim").compute(), cdb.get_arrays(dem, "rim")):
            wanted = plain(values).craters.get_arrays(cdb, "rim").compute()
            for ours, theirs in zip(found["rim"], wanted["rim"], strict=True):
                np.testing.assert_array_equal(np.ma.getmaskarray(ours), np.ma.getmaskarray(theirs))
                np.testing.assert_array_equal(ours.compressed(), theirs.compressed())


class TestVariablesOfADataset:
    """Bands that xarray or rioxarray has made variables of a dataset, each with its own nodata and scale."""

    @pytest.fixture
    def path(self, tmp_path, numbers):
        files = [
            write(tmp_path / f"{band}.tif", numbers.astype("i2"), nodata=nodata)
            for band, nodata in enumerate((30, 40, None))
        ]
        declared = [
            "<NoDataValue>30</NoDataValue><Scale>0.5</Scale>",
            "<NoDataValue>40</NoDataValue><Scale>2</Scale>",
            "",
        ]
        return vrt(tmp_path / "a.vrt", list(zip(declared, files, strict=True)), "Int16")

    @pytest.fixture
    def wanted(self, numbers):
        return [np.where(numbers == 30, np.nan, numbers * 0.5), np.where(numbers == 40, np.nan, numbers * 2.0), numbers]

    @pytest.mark.parametrize("chunks", [None, 64])
    @pytest.mark.parametrize("masked", [False, True])
    def test_of_band_as_variable(self, path, wanted, cdb, masked, chunks):
        ds = rioxarray.open_rasterio(path, band_as_variable=True, masked=masked, chunks=chunks)
        for variable, values in zip(ds.data_vars.values(), wanted, strict=True):
            assert_stats(variable, values, cdb)

    @pytest.mark.filterwarnings("ignore:Scales differ across bands")
    @pytest.mark.parametrize("chunks", [None, 64])
    @pytest.mark.parametrize("masked", [False, True])
    def test_of_to_dataset_which_takes_the_attributes_away(self, path, wanted, cdb, masked, chunks):
        ds = rioxarray.open_rasterio(path, masked=masked, chunks=chunks).to_dataset("band")
        assert not ds[1].attrs
        for variable, values in zip(ds.data_vars.values(), wanted, strict=True):
            assert_stats(variable, values, cdb)

    @pytest.mark.parametrize("chunks", [None, 64])
    @pytest.mark.parametrize("decode", [False, True])
    def test_of_open_mosaic(self, path, wanted, cdb, decode, chunks):
        ds = open_mosaic(path, decode=decode, chunks=chunks).to_dataset("band")
        for variable, values in zip(ds.data_vars.values(), wanted, strict=True):
            assert_stats(variable, values, cdb)

    @pytest.mark.parametrize("opener", [rioxarray.open_rasterio, open_mosaic])
    def test_whose_bands_have_one_nodata(self, tmp_path, numbers, cdb, opener):
        path = write(tmp_path / "a.tif", np.stack([numbers, numbers[::-1]]).astype("i2"), nodata=30)
        for number, variable in opener(path).to_dataset("band").data_vars.items():
            shown = numbers[:: 3 - 2 * number]
            assert_stats(variable, np.where(shown == 30, np.nan, shown), cdb)


class TestAttributes:
    """Declarations in attributes, written by hand or by other programs."""

    @pytest.mark.parametrize(
        "attrs",
        [
            {"_FillValue": [30]},
            {"_FillValue": np.array([30])},
            {"_FillValue": 30.0},
            {"_FillValue": "30"},
            {"missing_value": (30,)},
            {"nodatavals": (30.0,)},
            {"_FillValue": 30, "missing_value": 30},
            {"_FillValue": None, "missing_value": 30},
            {"_FillValue": np.uint8(30), "scale_factor": [1.0], "add_offset": np.array([0.0])},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("chunks", [None, 40])
    def test_one_nodata_value_in_any_form(self, numbers, cdb, attrs, chunks):
        da = plain(numbers).astype("u1").assign_attrs(attrs)
        assert_stats(da if chunks is None else da.chunk(chunks), np.where(numbers == 30, np.nan, numbers), cdb)

    @pytest.mark.parametrize("chunks", [None, 40])
    @pytest.mark.parametrize("dtype", ["u1", "i2", "f4"])
    def test_two_nodata_values_are_both_missing(self, numbers, cdb, dtype, chunks):
        da = plain(numbers).astype(dtype).assign_attrs(_FillValue=30, missing_value=[40])
        absent = (numbers == 30) | (numbers == 40)
        assert_stats(da if chunks is None else da.chunk(chunks), np.where(absent, np.nan, numbers), cdb)

    @pytest.mark.parametrize("nodata", [np.nan, -9999, 300, 2.5, np.inf, 1e300])
    def test_nodata_that_the_dtype_cannot_hold_hides_nothing(self, numbers, cdb, nodata):
        assert_stats(plain(numbers).astype("u1").assign_attrs(_FillValue=nodata), numbers, cdb)
        assert_stats(plain(numbers).astype("u1").assign_attrs(nodatavals=(nodata,)), numbers, cdb)

    def test_declarations_for_each_image_of_an_unlabelled_dimension(self, numbers, cdb):
        bands = np.stack([numbers, numbers[::-1], numbers[:, ::-1]]).astype("i2")
        da = plain(bands).rename(band="look").astype("i2").assign_attrs(nodatavals=(30, None, 40), scales=(1, 2, 0.5))
        values = bands * np.reshape([1, 2, 0.5], (3, 1, 1))
        values[0][bands[0] == 30], values[2][bands[2] == 40] = np.nan, np.nan
        assert_stats(da, values, cdb)

    @pytest.mark.parametrize("name", ["_FillValue", "scale_factor", "add_offset"])
    def test_declarations_that_are_not_numbers_are_refused_by_name(self, numbers, cdb, name):
        da = plain(numbers).assign_attrs({name: "none"})
        with pytest.raises(GridError, match=rf"received the attribute {name}='none' of type str; expected a number"):
            da.craters.get_stats(cdb, "rim", "mean")

    def test_integers_of_the_wrong_signedness_are_refused_and_the_advice_helps(self, numbers, cdb):
        da = plain(numbers).astype("u1").astype("i1").assign_attrs(_Unsigned="true", _FillValue=np.int8(-100))
        with pytest.raises(
            GridError, match=r"says that they are uint8\. Read them as such: da = (.*), and name"
        ) as caught:
            da.craters.get_stats(cdb, "rim", "mean")
        right = eval(re.search("da = (.*), and", str(caught.value))[1], {"da": da})
        found = right.craters.get_stats(cdb, "rim", "mean", nodata=156, coverage="center")["mean"]
        wanted = plain(np.where(numbers == 156, np.nan, numbers)).craters.get_stats(
            cdb, "rim", "mean", coverage="center"
        )
        np.testing.assert_allclose(found, wanted["mean"], rtol=1e-12)
        assert_stats(plain(numbers).astype("u1").assign_attrs(_Unsigned="true"), numbers, cdb)

    def test_a_scale_written_as_text(self, numbers, cdb):
        da = plain(numbers).astype("i2").assign_attrs(scale_factor="0.5", add_offset="3")
        assert_stats(da, numbers * 0.5 + 3, cdb)

    def test_nodata_set_through_rioxarray(self, numbers, cdb):
        da = plain(numbers).astype("i2")
        da.rio.set_nodata(30, inplace=True)
        assert_stats(da, np.where(numbers == 30, np.nan, numbers), cdb)

    def test_nodata_of_integers_written_as_encoding(self, numbers, cdb):
        da = plain(numbers).astype("i2").rio.write_nodata(30, encoded=True)
        assert_stats(da, np.where(numbers == 30, np.nan, numbers), cdb)

    @pytest.mark.parametrize("chunks", [None, 40])
    def test_masked_arrays(self, numbers, gone, cdb, chunks):
        import dask.array

        for dtype in ("u1", "i2", ">f4", "f8"):
            masked = np.ma.MaskedArray(numbers.astype(dtype), gone)
            data = masked if chunks is None else dask.array.from_array(masked, chunks=chunks, asarray=False)
            da = plain(numbers)
            da = xr.DataArray(data, da.coords, da.dims).rio.write_crs(CRS)
            assert_stats(da, np.where(gone, np.nan, numbers), cdb)


class TestWeights:
    """Weights may be stored like any other raster; where they are missing, the user says what that means."""

    @pytest.mark.parametrize("chunks", [None, 50])
    @pytest.mark.parametrize("decode", [True, False])
    def test_weights_with_scale_and_offset(self, tmp_path, numbers, cdb, decode, chunks):
        path = write(tmp_path / "weights.tif", numbers.astype("i2"), scales=(0.25,), offsets=(1,))
        weights = open_mosaic(path, chunks=chunks, decode=decode)
        da, values = plain(numbers[::-1]), plain(numbers * 0.25 + 1)
        for stats in (["mean", "count", "median"], ["std", "sum"]):
            wanted = da.craters.get_stats(cdb, "rim", stats, weights=values)
            xr.testing.assert_allclose(da.craters.get_stats(cdb, "rim", stats, weights=weights).compute(), wanted)

    @pytest.mark.parametrize("chunks", [None, 50])
    @pytest.mark.parametrize("kind", ["nodata", "nodata and scale", "mask band"])
    def test_weights_with_missing_pixels_are_refused_and_the_advice_helps(
        self, tmp_path, numbers, gone, cdb, kind, chunks
    ):
        path, known = tmp_path / "weights.tif", {"nodata": 255} if "nodata" in kind else {}
        stored = np.where(gone, 255, numbers).astype("u1") if known else numbers.astype("u1")
        mask = None if known else np.where(gone, 0, 255).astype("u1")
        weights = open_mosaic(write(path, stored, mask=mask, scales=(0.5,) if "scale" in kind else None, **known))
        weights = weights.load() if chunks is None else weights
        da = plain(numbers[::-1])
        with pytest.raises(StatisticError, match="negative, infinite or not numbers") as caught:
            da.craters.get_stats(cdb, "rim", "mean", weights=weights).compute()
        filled = {
            "weights=weights.where((weights >= 0) & (weights < float('inf')), 0)": lambda: weights.where(
                (weights >= 0) & (weights < float("inf")), 0
            ),
            "weights=weights.where(weights != weights.rio.nodata, 0).drop_attrs(deep=False)": lambda: weights.where(
                weights != weights.rio.nodata, 0
            ).drop_attrs(deep=False),
        }
        assert all(advice in str(caught.value) for advice in filled)
        wanted = da.craters.get_stats(cdb, "rim", "mean", weights=plain(np.where(gone, 0, numbers)))
        fill = list(filled.values())[kind == "nodata"]
        xr.testing.assert_allclose(da.craters.get_stats(cdb, "rim", "mean", weights=fill()).compute(), wanted)

    def test_weights_that_rioxarray_does_not_mask_are_refused(self, tmp_path, numbers, gone, cdb):
        path = write(tmp_path / "a.tif", numbers.astype("u1"), mask=np.where(gone, 0, 255).astype("u1"))
        weights = rioxarray.open_rasterio(path).squeeze("band", drop=True)
        with pytest.raises(GridError, match="hides pixels"):
            plain(numbers).craters.get_stats(cdb, "rim", "mean", weights=weights)


@st.composite
def files(draw: st.DrawFn) -> dict[str, Any]:
    """Declarations of a file: bands of one dtype, each with nodata, scale and offset, and sometimes a mask."""
    dtype = np.dtype(draw(st.sampled_from(["u1", "i2", "u2", "i4", "f4", "f8"])))
    count = draw(st.integers(1, 3))
    nodata = st.none() | st.integers(20, 40) | (st.just(math.nan) if dtype.kind == "f" else st.nothing())
    each = draw(st.lists(nodata, min_size=count, max_size=count) | nodata.map(lambda n: [n] * count))
    numbers = st.sampled_from([1.0, 0.5, 0.1, -2.0])
    return {
        "seed": draw(st.integers(0, 2**16)),
        "dtype": dtype,
        "nodata": each,
        "scales": draw(st.lists(numbers, min_size=count, max_size=count) | numbers.map(lambda n: [n] * count)),
        "offsets": draw(st.lists(numbers, min_size=count, max_size=count) | st.just([0.0] * count)),
        "mask": draw(st.booleans()),
        "chunks": draw(st.none() | st.integers(7, 200)),
    }


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(files())
def test_any_combination_of_declarations_in_a_file(
    tmp_path_factory: pytest.TempPathFactory, known: dict[str, Any]
) -> None:
    path, rng = tmp_path_factory.mktemp("any"), np.random.default_rng(known["seed"])
    shown = []
    for n, nodata in enumerate(known["nodata"]):
        band = rng.integers(20, 220, (ROWS, COLUMNS)).astype(known["dtype"])
        if nodata is not None:
            band[rng.random(band.shape) < 0.1] = nodata
        text = "" if nodata is None else f"<NoDataValue>{nodata}</NoDataValue>"
        text += f"<Offset>{known['offsets'][n]}</Offset><Scale>{known['scales'][n]}</Scale>"
        if known["mask"]:
            mask = write(path / f"mask{n}.tif", np.where(rng.random(band.shape) < 0.1, 0, 255).astype("u1"))
            source = f"<SourceFilename>{mask}</SourceFilename><SourceBand>1</SourceBand>"
            source = f'<VRTRasterBand dataType="Byte"><SimpleSource>{source}</SimpleSource></VRTRasterBand>'
            text += f"<MaskBand>{source}</MaskBand>"
        shown.append((text, write(path / f"{n}.tif", band)))
    names = {"u1": "Byte", "i2": "Int16", "u2": "UInt16", "i4": "Int32", "f4": "Float32", "f8": "Float64"}
    file = vrt(path / "a.vrt", shown, names[known["dtype"].str[1:]])
    table = pd.DataFrame({"lat": [5.0, -40.0, 80.0], "lon": [10.0, 179.0, 120.0], "radius_km": [300.0, 250, 400]})
    cdb = CraterDatabase(table, "moon", units="km")
    cdb.add_annuli("rim", 0.5, 1.5, nvert=None)
    da, values = open_mosaic(file, chunks=known["chunks"]), truth(file)
    assert_stats(da, values, cdb)
    if da.dtype.kind == "f":
        np.testing.assert_allclose(da, values, rtol=1e-12)
        assert_stats(da * 2.0, values * 2, cdb)
    assert_stats(da.isel(band=-1) if "band" in da.dims else da, values[-1] if values.ndim == 3 else values, cdb)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.data())
def test_any_array_with_any_byte_order_attributes_and_mask(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    dtype = np.dtype(data.draw(st.sampled_from(["u1", ">i2", "<i2", ">u2", ">i4", ">f4", "<f4", ">f8"])))
    numbers = rng.integers(20, 220, (ROWS, COLUMNS)).astype(dtype)
    fills = data.draw(st.lists(st.integers(20, 40), max_size=2, unique=True))
    scale, offset = (data.draw(st.sampled_from(numbers)) for numbers in ([1.0, 0.5, -2.0], [0.0, 3.0]))
    values = numbers.astype("f8") * scale + offset
    values[np.isin(numbers, fills)] = np.nan
    pixels: Any = numbers
    if data.draw(st.booleans()):
        hidden = rng.random(numbers.shape) < 0.1
        pixels, values[hidden] = np.ma.MaskedArray(numbers, hidden), np.nan
    known = plain(numbers)
    da = xr.DataArray(pixels, known.coords, known.dims).rio.write_crs(CRS)
    da.attrs |= dict(zip(("_FillValue", "missing_value"), fills, strict=False))
    da.attrs |= {"scale_factor": scale, "add_offset": offset}
    if data.draw(st.booleans()):
        import dask.array

        chunks = data.draw(st.integers(7, 200))
        da = da.copy(data=dask.array.from_array(pixels, chunks=chunks, asarray=False))
    table = pd.DataFrame({"lat": [5.0, -40.0, 80.0], "lon": [10.0, 179.0, 120.0], "radius_km": [300.0, 250, 400]})
    cdb = CraterDatabase(table, "moon", units="km")
    cdb.add_annuli("rim", 0.5, 1.5, nvert=None)
    assert_stats(da, values, cdb)
