"""Descriptions and units of the variables of results."""

from __future__ import annotations

from typing import Any

import xarray as xr

from xcrater.raster.naming import value_name

_OF_VALUES = {
    "min": "minimum",
    "max": "maximum",
    "mean": "mean",
    "sum": "sum",
    "std": "standard deviation",
    "median": "median",
    "majority": "most frequent value",
    "minority": "least frequent value",
    "range": "range",
    "var": "variance",
}
"""Long names of the statistics in the raster's units or a power of them."""

_NUMBERS = {
    "count": "pixels with a value",
    "unique": "number of distinct values",
    "variety": "number of distinct values",
    "cv": "coefficient of variation",
    "skew": "skewness",
    "kurtosis": "excess kurtosis",
    "coverage": "share of pixels with a value",
    "nodata": "pixels of nodata",
    "nan": "pixels that are NaN",
    "categorical": "pixels by value",
}
"""Statistics without units."""


def attributes(statistic: str, da: xr.DataArray, weights: Any = None) -> dict[str, str]:
    """Attributes of a statistic of a raster.

    Parameters
    ----------
    statistic : str
        Name of the statistic.
    da : xarray.DataArray
        The raster.
    weights : {"area"}, xarray.DataArray or None
        Weights of the pixels.

    Returns
    -------
    dict of str to str
        ``long_name``, and ``units`` where they are known: means of a raster without units have none either.

    Examples
    --------
    >>> da = xr.DataArray([[1.0]], name="dem", attrs={"units": "m", "long_name": "elevation"})
    >>> attributes("var", da)
    {'long_name': 'variance of elevation', 'units': 'm2'}
    >>> attributes("count", da)
    {'long_name': 'pixels with a value, elevation', 'units': '1'}
    """
    family, _, number = statistic.partition("_")
    if statistic in _NUMBERS:
        return {"long_name": f"{_NUMBERS[statistic]}, {value_name(da)}", "units": "1"}
    if statistic == "area":
        return {"long_name": f"area of pixels with a value, {value_name(da)}", "units": "m2"}
    if family == "frac" and number:
        return {"long_name": f"share of pixels of the value {number}, {value_name(da)}", "units": "1"}
    known = statistic in _OF_VALUES or (family in ("percentile", "quantile") and number)
    text = _OF_VALUES.get(statistic, f"{family} {number}" if number and known else statistic)
    found = {"long_name": f"{text} of {value_name(da)}"}
    units = da.attrs.get("units")
    if not known or not isinstance(units, str) or not units:
        return found  # the units of a user-supplied function are unknown
    if statistic == "var":
        units = f"{units}2" if units.isalpha() else "1" if units == "1" else f"({units})2"
    if statistic == "sum" and weights is not None:
        if not isinstance(weights, str):
            return found
        units = f"{units} m2"
    return found | {"units": units}
