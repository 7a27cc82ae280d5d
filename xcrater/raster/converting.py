"""Copies of rasters in a layout that is fast to read, made window by window so that they can be resumed."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import rasterio
import rasterio.shutil
import xarray as xr
from numpy.typing import NDArray
from rasterio.dtypes import dtype_rev, typename_fwd

from xcrater._optional import require
from xcrater.errors import BlocksWarning, GridError
from xcrater.raster import zarr_files
from xcrater.raster.mosaic import describe_raster, open_mosaic, stored_numbers

ENDINGS = (".tif", ".tiff", ".zarr")
"""Suffixes of copies: cloud-optimised GeoTIFFs, and Zarr stores."""

SIDE = 2048
"""Rows and columns of a chunk of a Zarr store."""

PIXELS = 2**26
"""Number of pixels, over all bands, in a window of a tiled raster."""

TILE = 512
"""Rows and columns of a tile of a GeoTIFF."""

STRIPS = 8
"""Number of parts in which a window of full width is read."""

PROGRESS = "progress.json"
"""Name of the file, in the directory of an unfinished copy, that records its progress and its raster."""

Window = tuple[int, int, int, int]


def convert(
    path: str, out: Path, folder: Path, *, side: int, report: Callable[[int, int], None], about: Mapping[str, str]
) -> None:
    """Copy a raster to a cloud-optimised GeoTIFF or a Zarr store.

    Parameters
    ----------
    path : str
        The raster, or a pattern or an index of many files of one map.
    out : Path
        The copy, whose suffix determines the format. A file that exists there is replaced at the end.
    folder : Path
        Directory in which the copy grows, on the same file system. If it holds the beginning of the same copy of the
        same raster, copying resumes from there.
    side : int
        Rows and columns of a chunk of a Zarr store.
    report : callable
        (windows written, windows) -> None; called before each window and at the end.
    about : mapping of str to str
        Metadata of the copy, each text JSON.

    Raises
    ------
    GridError
        The raster cannot be read, or `folder` holds the beginning of another copy.
    """
    store = out.suffix == ".zarr"
    step = side if store else TILE * max(1, side // TILE)
    da = _source(path, step)
    windows = _windows(da, step)
    asked = {"raster": describe_raster(da)["hash"], "side": step, "format": out.suffix}
    folder.mkdir(exist_ok=True)
    done = _done(folder, asked)
    grown = folder / f"copy{out.suffix}"
    if not done and store:
        zarr_files.create(str(grown), da, side)
    for number in range(done, len(windows)):
        report(number, len(windows))
        top, bottom, left, right = windows[number]
        block = da[:, top:bottom, left:right].to_numpy()
        if store:
            zarr_files.write(str(grown), windows[number], block)
        else:
            _write_part(folder, number, da, windows[number], block)
        _note(folder, {**asked, "done": number + 1})
    report(len(windows), len(windows))
    if store:
        _describe_store(grown, about)
    else:
        _join(folder, grown, da, windows, about)
    if out.is_dir():
        shutil.rmtree(out)
    grown.replace(out)
    shutil.rmtree(folder)


def _source(path: str, step: int) -> xr.DataArray:
    """Open the stored numbers of a raster if one nodata number, scale and offset apply to all of it; else its values.

    Dimensions are (band, y, x). Several chunks make a window, so that all threads read.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BlocksWarning)  # it would advise to convert, which is being done
        da = open_mosaic(path)
        assert da.chunks is not None
        rows, strips = da.chunks[-2][0], len(da.chunks[-1]) == 1
        large = strips and rows * da.shape[-1] > PIXELS  # large blocks are decoded as a whole, so read each only once
        chunks = {"y": rows if large else max(1, step // STRIPS), "x": -1} if strips else {"y": step, "x": step}
        da = stored_numbers(open_mosaic(path, chunks))
    return da if "band" in da.dims else da.expand_dims("band")


def _windows(da: xr.DataArray, step: int) -> list[Window]:
    """Windows along the chunks of a copy: whole rows of chunks, or parts of wide rows."""
    bands, height, width = da.shape
    assert da.chunks is not None
    rows = -(-da.chunks[1][0] // step) * step
    across = width  # strips are not divided, since they would be decoded again for each part
    if len(da.chunks[2]) > 1:
        across = min(width, max(1, PIXELS // (bands * step * step)) * step)
    return [
        (top, min(top + rows, height), left, min(left + across, width))
        for top in range(0, height, rows)
        for left in range(0, width, across)
    ]


def _done(folder: Path, asked: Mapping[str, Any]) -> int:
    """Number of windows of a copy that have been written."""
    try:
        noted = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return 0
    done = noted.pop("done")
    if noted != asked:
        raise GridError(
            f"{str(folder)!r} has the beginning of a copy of another raster, or of this one before it was changed or "
            "in other chunks; expected the same. Remove that directory to begin anew"
        )
    return int(done)


def _note(folder: Path, progress: Mapping[str, Any]) -> None:
    """Record the progress of a copy."""
    written = folder / f"{PROGRESS}.new"
    with written.open("w", encoding="utf-8") as file:
        json.dump(progress, file)
        file.flush()
        os.fsync(file.fileno())
    written.replace(folder / PROGRESS)


def _describe_store(grown: Path, about: Mapping[str, str]) -> None:
    """Write the metadata of a copy."""
    root = require("zarr", extra="zarr").open_group(str(grown), mode="r+")
    root.update_attributes({name: json.loads(text) for name, text in about.items()})


def _write_part(folder: Path, number: int, da: xr.DataArray, window: Window, block: NDArray[Any]) -> None:
    """Write a window as a separate GeoTIFF."""
    a, b, c, d, e, f = list(da.rio.transform())[:6]
    top, _, left, _ = window
    made = folder / "part.tif"
    with rasterio.open(
        made,
        "w",
        driver="GTiff",
        width=block.shape[2],
        height=block.shape[1],
        count=block.shape[0],
        dtype=block.dtype.newbyteorder("="),
        crs=da.rio.crs,
        transform=rasterio.Affine(a, b, c + a * left + b * top, d, e, f + d * left + e * top),
        nodata=_nodata(da),
        tiled=True,
        blockxsize=TILE,
        blockysize=TILE,
        compress="deflate",
        zlevel=1,
        bigtiff="if_safer",
    ) as file:
        file.write(block)
    made.replace(folder / f"part-{number:06d}.tif")


def _nodata(da: xr.DataArray) -> float | None:
    """Stored number that stands for a missing value."""
    nodata = da.attrs.get("_FillValue")
    if nodata is not None:
        return float(nodata)
    return float("nan") if da.dtype.kind == "f" else None


def _join(folder: Path, grown: Path, da: xr.DataArray, windows: list[Window], about: Mapping[str, str]) -> None:
    """Combine the parts of a raster into one cloud-optimised GeoTIFF with overviews."""
    virtual = folder / "parts.vrt"
    virtual.write_text(_virtual_raster(da, windows, about), encoding="utf-8")
    rasterio.shutil.copy(
        str(virtual),
        str(grown),
        driver="COG",
        compress="deflate",
        predictor="yes",
        blocksize=TILE,
        bigtiff="if_safer",
        num_threads="all_cpus",
        overview_resampling="average" if da.dtype.kind == "f" or da.dtype.itemsize > 1 else "nearest",
    )


def _virtual_raster(da: xr.DataArray, windows: list[Window], about: Mapping[str, str]) -> str:
    """GDAL's description of the parts as one raster."""
    nodata = _nodata(da)
    kind = typename_fwd[dtype_rev[np.dtype(da.dtype.newbyteorder("=")).name]]
    bands = []
    for band in range(1, da.shape[0] + 1):
        sources = "".join(
            f"<SimpleSource><SourceFilename relativeToVRT='1'>part-{n:06d}.tif</SourceFilename>"
            f"<SourceBand>{band}</SourceBand><SrcRect xOff='0' yOff='0' xSize='{right - left}' ySize='{bottom - top}'/>"
            f"<DstRect xOff='{left}' yOff='{top}' xSize='{right - left}' ySize='{bottom - top}'/></SimpleSource>"
            for n, (top, bottom, left, right) in enumerate(windows)
        )
        facts = "" if nodata is None else f"<NoDataValue>{nodata!r}</NoDataValue>"
        facts += f"<Offset>{float(da.attrs.get('add_offset', 0.0))!r}</Offset>"
        facts += f"<Scale>{float(da.attrs.get('scale_factor', 1.0))!r}</Scale>"
        units = zarr_files.units_of(da)
        facts += "" if units is None else f"<UnitType>{escape(units)}</UnitType>"
        bands.append(f"<VRTRasterBand dataType='{kind}' band='{band}'>{facts}{sources}</VRTRasterBand>")
    transform = ", ".join(map(repr, list(da.rio.transform().to_gdal())))
    crs = f"<SRS>{escape(da.rio.crs.to_wkt())}</SRS>" if da.rio.crs else ""
    items = "".join(f"<MDI key='{escape(key)}'>{escape(text)}</MDI>" for key, text in about.items())
    return (
        f"<VRTDataset rasterXSize='{da.shape[2]}' rasterYSize='{da.shape[1]}'>{crs}"
        f"<GeoTransform>{transform}</GeoTransform><Metadata>{items}</Metadata>{''.join(bands)}</VRTDataset>"
    )
