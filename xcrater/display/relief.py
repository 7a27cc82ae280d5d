"""Shaded relief of heights, lit from the upper left of the figure as is customary on maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

Floats = NDArray[np.float64]

AZIMUTH, ALTITUDE = 315.0, 45.0
"""Direction of the light: degrees clockwise from the top of the figure, and degrees above its plane."""

_FLAT = float(np.sin(np.radians(ALTITUDE)))  # light on level ground
_AMBIENT = 0.35  # brightness of shadows
_BRIGHTEST = 1.15  # brightness of slopes that face the light, relative to level ground
_TYPICAL = 0.25  # slope to which the steeper slopes of a map are exaggerated if they are flatter
_MOST = 50.0  # largest exaggeration, beyond which noise would show on plains
_METRES = {"m": 1.0, "metre": 1.0, "metres": 1.0, "meter": 1.0, "meters": 1.0, "km": 1000.0, "kilometres": 1000.0}


def metres_of(da: xr.DataArray) -> float | None:
    """Metres per unit of a raster's values; None where they have no unit of length."""
    return _METRES.get(str(da.attrs.get("units")))


def light(downward: Floats, rightward: Floats) -> Floats:
    """Compute how much light falls on slopes.

    Parameters
    ----------
    downward, rightward : ndarray of float
        Slopes of the ground towards the bottom and towards the right of the figure, rise over run.

    Returns
    -------
    ndarray of float
        From 0, in shadow, to 1, where the ground faces the light; NaN where a slope is NaN.
    """
    slope, downhill = np.arctan(np.hypot(downward, rightward)), np.arctan2(-rightward, downward)
    azimuth, height = np.radians((AZIMUTH, ALTITUDE))
    shone = np.sin(height) * np.cos(slope) + np.cos(height) * np.sin(slope) * np.cos(azimuth - downhill)
    return np.asarray(np.clip(shone, 0.0, 1.0))


def shaded(rgba: NDArray[Any], shone: Floats) -> NDArray[Any]:
    """Shade colours by the light on them; they stay unchanged where the light is NaN.

    Parameters
    ----------
    rgba : ndarray of float, shape (rows, columns, 4)
        Colours, 0 to 1.
    shone : ndarray of float, shape (rows, columns)
        The light on each pixel, from `light`.
    """
    brightness = (_AMBIENT + (1 - _AMBIENT) * np.where(np.isnan(shone), _FLAT, shone) / _FLAT).clip(0.0, _BRIGHTEST)
    out = rgba.copy()
    out[..., :3] = (rgba[..., :3] * brightness[..., None]).clip(0.0, 1.0)
    return out


def light_on_map(heights: Floats, lon: Floats, lat: Floats, radius: float, exaggeration: float | None) -> Floats:
    """Compute the light on heights at the pixels of a map in any projection.

    Parameters
    ----------
    heights : ndarray of float, shape (rows, columns)
        Heights in metres; NaN where they are missing.
    lon, lat : ndarray of float, shape (rows, columns)
        Longitude and planetocentric latitude of the pixels, degrees; NaN off the body.
    radius : float
        Radius of the body, metres.
    exaggeration : float or None
        Factor of the heights. By default it is chosen from 1 to 50 so that the steeper slopes of the map become about
        14°, since slopes between large pixels are flat.

    Returns
    -------
    ndarray of float, shape (rows, columns)
        The light on each pixel, from `light`.
    """
    phi, lam = np.radians(lat), np.radians(lon)
    places = np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)])
    down, right = (radius * np.linalg.norm(np.gradient(places, axis=axis), axis=0) for axis in (1, 2))
    # Near a pole, neighbouring pixels of a row show nearly the same place, and slopes between them would explode
    down, right = np.maximum(down, right / 4), np.maximum(right, down / 4)
    with np.errstate(invalid="ignore", divide="ignore"):
        slopes = np.gradient(heights, axis=0) / down, np.gradient(heights, axis=1) / right
    steepness = np.hypot(*slopes)
    known = steepness[np.isfinite(steepness)]
    if exaggeration is None:
        steep = float(np.percentile(known, 90)) if known.size else 0.0
        exaggeration = float(np.clip(_TYPICAL / steep, 1.0, _MOST)) if steep > 0 else 1.0
    return light(exaggeration * slopes[0], exaggeration * slopes[1])
