"""What a DataArray declares about its stored numbers: which stand for no value, and how the others become values.

Declarations are attributes, and xarray hands attributes on: to slices, which they still describe, and to whatever is
computed from an array, which they may not. Here the two are told apart, or the user is asked to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import rioxarray  # noqa: F401  (registers .rio)
import xarray as xr

from xcrater.errors import GridError
from xcrater.raster.files import AsRead, read_from
from xcrater.raster.mosaic import stored_numbers
from xcrater.raster.values import representable

FILLS = ("_FillValue", "missing_value", "fill_value", "nodata", "nodatavals")
"""Attributes that say which stored number stands for no value; the first two hold together, as CF has them."""

PACKING = (*FILLS, "scale_factor", "add_offset", "scales", "offsets")
"""Attributes that say how values are stored; they do not hold for decoded values."""

VIEWS = {"getitem", "rechunk", "rechunk-merge", "rechunk-split", "astype", "transpose", "concatenate", "stack", "copy"}
"""Operations of dask, by the names that layers of its graphs bear, that keep stored numbers as they are."""

UNMASKED = {"getmaskarray", "invert", "where"}
"""Operations by which xarray takes masked arrays in: what they hide becomes NaN, and all else stays as it is."""

READ = {"source", "preferred_chunks", "rasterio_dtype"}
"""What xarray's readers of files note in the encoding of a variable, some of it or all."""

PerImage: TypeAlias = float | xr.DataArray
"""A number that holds for all images of a raster, or one for each, along the dimension of its bands."""


class Declaration(NamedTuple):
    """How the stored numbers of a DataArray become values.

    Parameters
    ----------
    fills : tuple of number or DataArray
        Stored numbers that stand for no value; NaN never is a value and is not among them.
    scale, offset : number or DataArray
        ``value = stored * scale + offset``.
    """

    fills: tuple[PerImage, ...]
    scale: PerImage
    offset: PerImage

    @property
    def uniform(self) -> bool:
        """Whether at most one number stands for no value, and everything holds for all images."""
        return len(self.fills) <= 1 and not any(isinstance(each, xr.DataArray) for each in (*self.fills, *self[1:]))


def prepare(da: xr.DataArray, nodata: float | int | None) -> xr.DataArray:
    """Bring a raster into the form that the engine reads: one nodata number, scale and offset for all of its images.

    Values that `open_mosaic` has decoded, and that nothing has been done to, become the stored numbers behind them
    again, which kernels sum faster and exactly. An array whose images are packed differently is decoded.

    Parameters
    ----------
    da : xarray.DataArray
        Stored numbers or values.
    nodata : number or None
        Stored number that stands for no value, instead of those that the raster declares.

    Raises
    ------
    GridError
        What the raster declares about its numbers cannot be used; see `declaration`.
    """
    da = stored_numbers(da)
    declared = declaration(da, nodata)
    return da if declared.uniform else _decode(da, declared)


def decoded(da: xr.DataArray) -> xr.DataArray:
    """Values of a raster that may hold stored numbers, NaN where there is none; values are given back as they are.

    Raises
    ------
    GridError
        What the raster declares about its numbers cannot be used; see `declaration`.
    """
    declared = declaration(da)
    return da if declared == ((), 1.0, 0.0) else _decode(da, declared)


def _decode(da: xr.DataArray, declared: Declaration) -> xr.DataArray:
    values = da.astype(np.float64)
    for fill in declared.fills:
        values = values.where(da != fill)
    values = values * declared.scale + declared.offset
    kept = {name: value for name, value in da.attrs.items() if name not in PACKING}
    return values.transpose(*da.dims).rename(da.name).drop_attrs(deep=False).assign_attrs(kept)


def declaration(da: xr.DataArray, nodata: float | int | None = None) -> Declaration:
    """Read what a DataArray declares about its stored numbers.

    Parameters
    ----------
    da : xarray.DataArray
        Stored numbers or values.
    nodata : number or None
        Stored number that stands for no value, instead of those that the raster declares.

    Returns
    -------
    Declaration
        Numbers that the pixels' data type cannot hold are not among its fills.

    Raises
    ------
    GridError
        A declaration is no number, there are more or fewer than bands, it describes other pixels than these, or the
        file hides pixels by a mask that `da` was opened without.
    """
    if da.dtype.kind == "b":
        return Declaration(_fills_of_truth(da, nodata), 1.0, 0.0)
    _refuse_other_sign(da)
    file = read_from(da)
    da = _with_lost_attributes(da, file)
    as_stored = "dtype" not in da.encoding  # Else opened as values: what was missing is NaN.
    misread = file is not None and bool(file.packing.special) and "special_constants" not in da.encoding
    if file is not None and (misread or (as_stored and file.packing.hidden)):
        raise GridError(
            f"the file {da.encoding['source']!r} hides pixels by a mask, an alpha band or special constants, and the "
            f"raster was opened without them. Open it so: da = xcrater.open_mosaic({da.encoding['source']!r})"
        )
    scale = _of_images(da, _first(da, ("scales", "scale_factor"), 1.0), "scale_factor")
    offset = _of_images(da, _first(da, ("offsets", "add_offset"), 0.0), "add_offset")
    _refuse_computed(da, scale, offset)
    declared = _declared_fills(da, file if as_stored else None) if nodata is None else {"nodata": nodata}
    fills = {name: _of_images(da, fill, name) for name, fill in declared.items()}
    fills = {name: f for name, f in fills.items() if isinstance(f, xr.DataArray) or _can_be(f, da.dtype)}
    if nodata is None and fills and _describe_others(da, {name: declared[name] for name in fills}):
        fills = {}
    kept = {_key(fill): fill for fill in fills.values()}
    return Declaration(tuple(kept.values()), scale, offset)


def _fills_of_truth(da: xr.DataArray, nodata: float | int | None) -> tuple[PerImage, ...]:
    """What stands for no value among truth values.

    No file stores them: what a number declares belongs to pixels that they were computed from.
    """
    if nodata is not None:
        return (nodata,) if nodata in (0, 1) else ()
    named = [da.attrs.get(name) for name in FILLS[:2]]
    return tuple(float(fill) for fill in named if isinstance(fill, bool | np.bool_))[:1]


def _refuse_other_sign(da: xr.DataArray) -> None:
    """Refuse integers that an attribute of netCDF's declares to be of the other sign than their data type says."""
    signed = {"false": "i", "true": "u"}.get(str(da.attrs.get("_Unsigned")).lower(), da.dtype.kind)
    if da.dtype.kind in "iu" and da.dtype.kind != signed:
        meant = f"{'int' if signed == 'i' else 'uint'}{8 * da.dtype.itemsize}"
        raise GridError(
            f"received pixels of {da.dtype} whose attribute _Unsigned={da.attrs['_Unsigned']!r} says that they are "
            f"{meant}. Read them as such: da = da.astype({meant!r}).drop_attrs(deep=False), and name nodata in the call"
        )


def _declared_fills(da: xr.DataArray, file: AsRead | None) -> dict[str, Any]:
    """What is declared to stand for no value, by the name that declares it: a number, or a sequence for each band."""
    together = {name: where[name] for where in (da.encoding, da.attrs) for name in FILLS[:2] if name in where}
    if da.dtype.kind == "f" and any(name in da.encoding for name in FILLS[:2]):
        return {}  # Opened as values: what was missing is NaN.
    others = {name: da.attrs[name] for name in FILLS[2:] if name in da.attrs}
    declared = {name: fill for name, fill in (together or others).items() if fill is not None}
    if file is not None and len(set(file.packing.nodata)) > 1:
        nodata = file.packing.nodata
        first = [np.nan if fill is None else fill for fill in nodata[:1]]
        if not declared or np.array_equal(np.ravel(next(iter(declared.values()))), first, equal_nan=True):
            return {"nodatavals": nodata}  # The attribute is that of the first band.
    if not declared:
        try:
            number = da.rio.nodata  # As `da.rio.set_nodata` leaves it: in no attribute.
        except (OverflowError, TypeError, ValueError):
            number = None
        declared = {} if number is None else {"nodata": number}
    return declared


def _with_lost_attributes(da: xr.DataArray, file: AsRead | None) -> xr.DataArray:
    """Give a band back the attributes that it loses when ``to_dataset("band")`` makes it a variable."""
    band = _band_by_name(da)
    if da.attrs or band is None or isinstance(da.name, str) or file is None or band > len(file.packing.nodata):
        return da
    packing = file.packing
    attrs: dict[str, Any] = {}
    if not {"scale_factor", "scales"} & da.encoding.keys():
        attrs = {"scale_factor": packing.scales[band - 1], "add_offset": packing.offsets[band - 1]}
    if "dtype" not in da.encoding:
        attrs["_FillValue"] = packing.nodata[band - 1]
    return da.assign_attrs(attrs)


def _band_by_name(da: xr.DataArray) -> int | None:
    """Which band a variable of a dataset is, as ``to_dataset("band")`` and ``band_as_variable=True`` name them."""
    if "band" in da.coords or (isinstance(da.name, str) and not da.name.startswith("band_")):
        return None
    number = str(da.name).removeprefix("band_")
    return int(number) if number.isdecimal() and int(number) > 0 else None


def _first(da: xr.DataArray, names: Sequence[str], default: float) -> Any:
    """The first of some attributes that is there."""
    return next((da.attrs[name] for name in names if da.attrs.get(name) is not None), default)


def _of_images(da: xr.DataArray, declared: Any, name: str) -> PerImage:
    """One number for all images, or a number for each of them."""
    several = np.ndim(declared) > 0 and not isinstance(declared, str)
    numbers = [_number(each, name) for each in (declared if several else [declared])]
    if len({_key(number) for number in numbers}) == 1:
        return numbers[0]
    if (
        "band" in da.coords
        and da["band"].dtype.kind in "iu"
        and set(np.ravel(da["band"])) <= set(range(1, 1 + len(numbers)))
    ):
        bands = np.array(numbers, dtype=float)[da["band"].to_numpy() - 1]
        return xr.DataArray(bands, dims=da["band"].dims) if bands.ndim else float(bands)
    band = _band_by_name(da)
    if band is not None and band <= len(numbers):
        return numbers[band - 1]
    fitting = [dim for dim in da.dims[:-2] if da.sizes[dim] == len(numbers)]
    if len(fitting) != 1:
        raise GridError(
            f"received {name} of {len(numbers)} bands, {tuple(numbers)}, and pixels with dimensions {dict(da.sizes)} "
            "that do not say which band they are of. Decode them before you select: da = xcrater.open_mosaic(path)"
        )
    return xr.DataArray(np.array(numbers, dtype=float), dims=fitting)


def _number(declared: Any, name: str) -> float:
    if declared is None:
        return float("nan")
    plain = declared.item() if isinstance(declared, np.ndarray | np.generic) else declared
    if isinstance(plain, int | float):
        return plain
    try:
        return float(plain)
    except (TypeError, ValueError):
        raise GridError(
            f"received the attribute {name}={declared!r} of type {type(declared).__name__}; expected a number. "
            f"Correct it: da.attrs[{name!r}] = ..."
        ) from None


def _key(number: PerImage) -> Any:
    """What tells a number from others: NaN is NaN."""
    return id(number) if isinstance(number, xr.DataArray) else "nan" if number != number else number


def _can_be(fill: float, dtype: np.dtype[Any]) -> bool:
    """Whether some pixel of a data type can be a number that is declared as no value."""
    return not np.isnan(fill) and (dtype.kind not in "iuf" or representable(fill, dtype))


def _computed_by(da: xr.DataArray) -> set[str]:
    """Operations that turned the numbers of a file into others; empty if there were none, or if nothing shows them."""
    operations = _operations(da)
    return operations - VIEWS - UNMASKED if operations else {"in memory"} if _has_lost_its_file(da) else set()


def _has_lost_its_file(da: xr.DataArray) -> bool:
    """Whether an array has the attributes that rioxarray gives to what it reads from a GeoTIFF, but not the encoding.

    xarray hands attributes on to whatever is computed from an array, and the encoding, which says what file a variable
    was read from, to selections only.
    """
    return da.attrs.keys() >= {"AREA_OR_POINT", "scale_factor", "add_offset"} and not da.encoding.keys() & READ


def _operations(da: xr.DataArray) -> set[str]:
    """What dask computes a raster by from the arrays that it was read from; nothing for pixels in memory."""
    graph = getattr(da.data, "dask", None)
    if graph is None:
        return set()
    # A layer that depends on no other, or on the array alone that `dask.array.from_array` was given, is a source.
    computed = (
        name for name, needed in graph.dependencies.items() if any(not n.startswith("original-") for n in needed)
    )
    return {name.rpartition("-")[0] for name in computed}


def _describe_others(da: xr.DataArray, declared: Mapping[str, Any]) -> bool:
    """Whether a declaration stands on pixels that were computed from those it describes, missing ones set to NaN.

    Raises
    ------
    GridError
        It stands on other pixels, and it is not known whether the number still means no value.
    """
    operations, floats = _operations(da), da.dtype.kind == "f"
    if _computed_by(da):
        others = floats or _has_lost_its_file(da)  # Else integers of integers, declared by hand for all we know.
    else:
        others = floats and not operations and any(isinstance(fill, np.integer) for fill in declared.values())
    if not others:
        return False
    if floats and ("where" in operations or (isinstance(da.data, np.ndarray) and np.isnan(da.data).any())):
        return True
    name, fill = next(iter(declared.items()))
    raise GridError(
        f"received pixels of {da.dtype} that were computed from others, whose attribute {name}={fill} they have. If "
        f"missing pixels are NaN by now, or none is missing, take it away: del da.attrs[{name!r}]. If some number "
        f"stands for no value, name it: nodata={fill} in the call"
    )


def _refuse_computed(da: xr.DataArray, scale: PerImage, offset: PerImage) -> None:
    """Refuse a scale that stands on pixels which were computed from the stored numbers that it belongs to."""
    plain = not isinstance(scale, xr.DataArray) and not isinstance(offset, xr.DataArray) and (scale, offset) == (1, 0)
    if plain or not (computed := _computed_by(da)):
        return
    raise GridError(
        f"received pixels that were computed ({', '.join(sorted(computed))}) and have the attributes "
        f"scale_factor={scale} and add_offset={offset} of stored numbers. Compute with values: "
        "da = xcrater.open_mosaic(path); or take the attributes away: da = da.drop_attrs(deep=False)"
    )
