"""Placement of a DataArray's rows and columns in the plane of its CRS, from its coordinates and its geotransform."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pyproj
import xarray as xr
from numpy.typing import NDArray
from rasterio import Affine

from xcrater.errors import GridError
from xcrater.raster.files import read_from

EVEN = 0.05
"""Fraction of a pixel by which coordinates may deviate from even spacing."""

FINER = 1 / 50
"""Ratio of pixel sizes below which coordinates must be in another unit than the geotransform, not interpolated."""

UNITS = {
    "length": {
        **dict.fromkeys(("m", "metre", "metres", "meter", "meters"), 1.0),
        **dict.fromkeys(("km", "kilometre", "kilometres", "kilometer", "kilometers"), 1000.0),
        **dict.fromkeys(("cm", "centimetre", "centimetres", "centimeter", "centimeters"), 0.01),
    },
    "angle": {
        **dict.fromkeys(("rad", "radian", "radians"), 1.0),
        **dict.fromkeys(("deg", "degree", "degrees", "°"), math.pi / 180),
        **dict.fromkeys((f"degree{s}_{d}" for s in ("", "s") for d in ("east", "north", "E", "N")), math.pi / 180),
    },
}
"""Units that coordinates may declare, with their sizes in metres or radians."""


class Axis(NamedTuple):
    """Pixels along one dimension, in units of the CRS.

    Parameters
    ----------
    origin : float
        Outer edge of the first pixel.
    step : float
        Size of a pixel; negative where coordinates descend.
    """

    origin: float
    step: float


def place_axes(da: xr.DataArray, y_dim: str, x_dim: str, crs: pyproj.CRS) -> tuple[Axis, Axis]:
    """Place the columns and the rows of a raster in the plane of its CRS.

    Parameters
    ----------
    da : xarray.DataArray
        The raster.
    y_dim, x_dim : str
        Dimensions of its rows and columns.
    crs : pyproj.CRS
        CRS of the raster.

    Returns
    -------
    x, y : Axis
        The columns and the rows.

    Raises
    ------
    GridError
        There are neither coordinates nor a geotransform, they contradict each other, are uneven or rotated, or are in
        units that do not fit the CRS.

    Notes
    -----
    If the two differ, coordinates take precedence, because slices keep the geotransform of the whole raster. If they
    agree within the rounding of the coordinates, the geotransform is used, because it is exact.
    """
    declared = _declared_transform(da)
    if declared is None:
        return _place(da, x_dim, None, crs, 1), _place(da, y_dim, None, crs, 0)
    if declared.b or declared.d:
        raise GridError(
            f"the raster's geotransform is rotated: {tuple(declared)[:6]}. "
            "Resample it north-up first: da = da.rio.reproject(da.rio.crs)"
        )
    _refuse_pixel_numbers(da, (y_dim, x_dim), declared)
    x, y = Axis(declared.c, declared.a), Axis(declared.f, declared.e)
    return _place(da, x_dim, x, crs, 1), _place(da, y_dim, y, crs, 0)


def _declared_transform(da: xr.DataArray) -> Affine | None:
    """The geotransform stored with the raster, if any; rioxarray would make one from the coordinates."""
    written = da.coords[da.rio.grid_mapping].attrs.get("GeoTransform") if da.rio.grid_mapping in da.coords else None
    if written is not None:
        declared = Affine.from_gdal(*map(float, str(written).split()))
    elif "transform" in da.attrs:
        declared = Affine(*da.attrs["transform"][:6])
    else:
        return None
    return None if declared.is_identity else declared


def _place(da: xr.DataArray, dim: str, declared: Axis | None, crs: pyproj.CRS, position: int) -> Axis:
    size = da.sizes[dim]
    if size == 0:
        raise GridError(f"received a raster with no pixels along {dim!r}")
    if dim not in da.coords:
        if declared is None:
            raise GridError(
                f"the raster has neither coordinates along {dim!r} nor a geotransform. "
                "Set one: da = da.rio.write_transform(affine.Affine(...))"
            )
        file = read_from(da)
        if file is not None and size != file.shape[position]:
            raise GridError(
                f"the raster has {size} of the {file.shape[position]} pixels of its file along {dim!r}, and no "
                "coordinates that say which. Give it coordinates before it is cut: da = xcrater.open_mosaic(path)"
            )
        return Axis(float(declared.origin), float(declared.step))
    centres = _in_units_of(crs, da[dim])
    if declared is not None and _agree(declared, centres, _rounding(da[dim], centres)):
        return Axis(float(declared.origin), float(declared.step))
    if size > 1:
        measured = _measured(da[dim], centres)
        _refuse_other_units(da[dim], measured, declared, crs)
        return measured
    if declared is None:
        raise GridError(
            f"the raster is one pixel wide along {dim!r}, so its pixel size is unknown. "
            "Set it: da = da.rio.write_transform(affine.Affine(...))"
        )
    return Axis(float(centres[0] - declared.step / 2), float(declared.step))


def _agree(declared: Axis, centres: NDArray[np.float64], rounding: float) -> bool:
    """Whether coordinates agree with a geotransform within rounding, so that it describes these pixels exactly."""
    off = centres - (declared.origin + declared.step * (np.arange(len(centres)) + 0.5))
    if np.abs(off).max() < rounding:
        return True
    # Coordinates may have been rounded before they were stored in a wider data type.
    halves = [part.mean() for part in np.array_split(off, 2) if part.size]
    return bool(np.abs(off).max() < EVEN * abs(declared.step) and np.abs(halves).max() < 1e-3 * abs(declared.step))


def _rounding(coordinate: xr.DataArray, centres: NDArray[np.float64]) -> float:
    """Spacing, in units of the CRS, of the numbers that the data type of coordinates can represent."""
    if coordinate.dtype.kind != "f":
        return 0.0
    stored = np.abs(coordinate.to_numpy())
    scale = float(np.abs(centres).max() / stored.max()) if stored.max() else 1.0
    return float(np.spacing(stored.max())) * scale


def _measured(coordinate: xr.DataArray, centres: NDArray[np.float64]) -> Axis:
    """The axis defined by evenly spaced centres of pixels."""
    dim, size = coordinate.name, len(centres)
    step = (centres[-1] - centres[0]) / (size - 1)
    start, rounding = centres[0], _rounding(coordinate, centres)
    if rounding > 1e-3 * abs(step):  # Rounding varies from pixel to pixel, so most of it cancels in a fitted line.
        step, start = np.polynomial.polynomial.polyfit(np.arange(size), centres, 1)[::-1]
        if rounding / math.sqrt(size) > EVEN * abs(step):
            raise GridError(
                f"the coordinates along {dim!r} are of {coordinate.dtype}, which rounds them to {rounding:g} at pixels "
                f"of {abs(step):g}. Say where the pixels are: da = da.rio.write_transform(affine.Affine(...))"
            )
    uneven = float(np.abs(centres - (start + step * np.arange(size))).max())
    if not step or not uneven < EVEN * abs(step) + rounding:
        ascending = np.sort(centres)
        steps = np.diff(ascending)
        if steps.min() > 0 and np.ptp(steps) < 2 * EVEN * steps.mean() + 2 * rounding:
            raise GridError(
                f"the coordinates along {dim!r} are not in order; expected them to ascend or descend evenly. "
                f"Sort them: da = da.sortby({dim!r})"
            )
        raise GridError(
            f"the coordinates along {dim!r} are not evenly spaced; expected a regular grid. "
            f"Interpolate onto one: da.interp({dim}=numpy.linspace(...))"
        )
    return Axis(float(start - step / 2), float(step))


def _counts(coordinate: xr.DataArray) -> bool:
    """Whether coordinates may be counts of pixels, at whole or half numbers."""
    numbers = coordinate.to_numpy()
    return bool(len(numbers) > 1 and numbers[0] >= 0 and numbers[0] % 0.5 == 0 and (np.diff(numbers) == 1).all())


def _refuse_pixel_numbers(da: xr.DataArray, dims: tuple[str, str], declared: Affine) -> None:
    """Refuse coordinates that count pixels if the geotransform has pixels of another size."""
    axes = (Axis(declared.f, declared.e), Axis(declared.c, declared.a))
    if any(dim not in da.coords or not _counts(da[dim]) for dim in dims) or abs(abs(declared.a) - 1) < 1e-3:
        return
    half = [0 if da[dim].to_numpy()[0] % 1 else 0.5 for dim in dims]
    placed = ", ".join(
        f"{dim}={axis.origin!r} + (da[{dim!r}].values + {part}) * {axis.step!r}"
        for dim, axis, part in zip(dims, axes, half, strict=True)
    )
    raise GridError(
        f"the coordinates along {dims[0]!r} and {dims[1]!r} count up by 1, while the geotransform has pixels of "
        f"{declared.a:g}. If they are numbers of pixels of the whole raster, counted from 0, say where these are: "
        f"da = da.assign_coords({placed}); if they are positions, correct the geotransform: "
        "da = da.rio.write_transform(da.rio.transform(recalc=True))"
    )


def _refuse_other_units(coordinate: xr.DataArray, measured: Axis, declared: Axis | None, crs: pyproj.CRS) -> None:
    """Refuse coordinates far finer than the geotransform, which must be in an undeclared unit."""
    ratio = 1.0 if declared is None else abs(measured.step / declared.step)
    if declared is None or ratio > FINER:
        return
    dim, unit = coordinate.name, crs.axis_info[0].unit_name
    known, label = (math.pi / 180, "radian") if crs.is_geographic else (0.001, "km")
    skipped = (measured.origin / ratio - declared.origin) / declared.step
    if abs(ratio / known - 1) < 1e-3:
        remedy = f"say so: da[{dim!r}].attrs['units'] = {label!r}"
    elif abs(skipped - round(skipped)) < EVEN:
        remedy = f"multiply them: da = da.assign_coords({dim}=da[{dim!r}].values * {1 / ratio!r})"
    else:
        remedy = f"convert them to {unit}: da = da.assign_coords({dim}=...)"
    raise GridError(
        f"the coordinates along {dim!r} have pixels of {abs(measured.step):g}, while the geotransform has pixels of "
        f"{abs(declared.step):g} {unit}. If the coordinates are in another unit, {remedy}; if they are right, correct "
        "the geotransform: da = da.rio.write_transform(da.rio.transform(recalc=True))"
    )


def _in_units_of(crs: pyproj.CRS, coordinate: xr.DataArray) -> NDArray[np.float64]:
    """Convert coordinates that declare other units to the units of the CRS."""
    centres: NDArray[np.float64] = np.asarray(coordinate.to_numpy(), dtype=float)
    declared = coordinate.attrs.get("units")
    kind = "angle" if crs.is_geographic else "length"
    for known, units in UNITS.items():
        if isinstance(declared, str) and declared.strip() in units:
            if known != kind:
                raise GridError(_wrong_kind(coordinate, crs, known))
            factor = units[declared.strip()] / crs.axis_info[0].unit_conversion_factor
            return centres if abs(factor - 1) < 1e-12 else centres * factor
    return centres


def _wrong_kind(coordinate: xr.DataArray, crs: pyproj.CRS, kind: str) -> str:
    ellipsoid = crs.ellipsoid
    body = "" if ellipsoid is None else f" +a={ellipsoid.semi_major_metre:.10g} +b={ellipsoid.semi_minor_metre:.10g}"
    projection, meaning = ("longlat", "longitude and latitude") if kind == "angle" else ("eqc", "an equidistant map")
    return (
        f"the coordinates along {coordinate.name!r} are in {coordinate.attrs['units']!r}, but those of the CRS "
        f"{crs.name!r} are in {crs.axis_info[0].unit_name}. If they are of {meaning}, say so: "
        f'da = da.rio.write_crs("+proj={projection}{body}"); if the label is wrong, correct it: '
        f"da[{coordinate.name!r}].attrs['units'] = {crs.axis_info[0].unit_name!r}"
    )
