"""Attributes of coordinates, and names for the values of a raster, as figures and files show them."""

from __future__ import annotations

import xarray as xr

LON = {"units": "degrees_east", "long_name": "longitude", "standard_name": "longitude"}
LAT = {"units": "degrees_north", "long_name": "planetocentric latitude", "standard_name": "latitude"}
RADIUS = {"units": "m", "long_name": "crater radius"}
CRATER = {"long_name": "label of the crater"}
REGION = {"long_name": "name of the region"}


def value_name(da: xr.DataArray) -> str:
    """Name for the values of a raster: its long name, its name, or "values" if it has neither.

    Examples
    --------
    >>> value_name(xr.DataArray([1.0], name="dem", attrs={"long_name": "elevation"}))
    'elevation'
    """
    return str(da.attrs.get("long_name") or ("values" if da.name is None else da.name))
