"""The furniture of a map: graticule, labels in degrees, scale bar."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr

from xcrater._optional import require
from xcrater.display.plane import Plane

_NAME = (0.7, 0.3)  # inches along the axis that the label of a meridian takes, and that of a parallel
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 45, 60, 90)


def nice_length(most: float) -> float:
    """The largest 1, 2 or 5 times a power of ten that does not exceed a length."""
    power = 10.0 ** math.floor(math.log10(most))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= most * (1 + 1e-12))


def longitude_text(lon: float, digits: int = 6) -> str:
    """Format a longitude such as 30°W."""
    lon = (lon + 180.0) % 360.0 - 180.0
    if abs(lon) < 1e-9 or abs(abs(lon) - 180) < 1e-9:
        return f"{abs(lon):g}°"
    return f"{abs(round(lon, digits)):g}°{'E' if lon > 0 else 'W'}"


def latitude_text(lat: float, digits: int = 6) -> str:
    """Format a latitude such as 30°S."""
    return "0°" if abs(lat) < 1e-9 else f"{abs(round(lat, digits)):g}°{'N' if lat > 0 else 'S'}"


def value_label(da: xr.DataArray) -> str:
    """Label for the values of a raster, with their units."""
    name = str(da.attrs.get("long_name") or ("" if da.name is None else da.name))
    units = str(da.attrs.get("units") or "")
    return f"{name} ({units})" if name and units else name or units


def scale_bar(axes: Any, metres: float, *, color: str = "black", size: float = 8.0) -> None:
    """Draw a scale bar at the lower left of a map.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        The map; its limits are set.
    metres : float
        Metres per unit of the x axis.
    color : str
        Colour of the bar; its outline is white or black.
    size : float
        Size of the label, points.
    """
    effects = require("matplotlib.patheffects", extra="plot")
    left, right = axes.get_xlim()
    length = nice_length(abs(right - left) * metres * 0.22)
    text = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    rim = [effects.withStroke(linewidth=2.4, foreground="white" if color == "black" else "black")]
    start = 0.03
    stop = start + length / metres / abs(right - left)
    across = axes.transAxes
    (bar,) = axes.plot([start, stop], [0.035, 0.035], color=color, lw=2.2, transform=across, solid_capstyle="butt")
    bar.set_path_effects([effects.withStroke(linewidth=4.4, foreground=rim[0]._gc["foreground"])])
    bar.set_gid("scale bar")
    middle = (start + stop) / 2
    label = axes.text(middle, 0.055, text, color=color, fontsize=size, ha="center", va="bottom", transform=across)
    label.set_path_effects(rim)


def degrees_along_axes(axes: Any) -> None:
    """Label longitudes and latitudes along the axes of a plane of longitude and latitude, with a light grid."""
    ticker = require("matplotlib.ticker", extra="plot")
    room = axes.get_window_extent().size / axes.get_figure().dpi
    for axis, text, limits, names in (
        (axes.xaxis, longitude_text, axes.get_xlim(), room[0] / _NAME[0]),
        (axes.yaxis, latitude_text, axes.get_ylim(), room[1] / _NAME[1]),
    ):
        step = nice_step(abs(limits[1] - limits[0]) / min(max(names, 1.0), 6.0))
        axis.set_major_locator(ticker.MultipleLocator(step))
        axis.set_major_formatter(ticker.FuncFormatter(lambda value, _, text=text: text(value)))
    axes.tick_params(labelsize=8, direction="out", length=3)
    axes.grid(color="0.5", lw=0.4, alpha=0.5)
    axes.set_axisbelow(False)


def nice_step(least: float) -> float:
    """The smallest customary step of a graticule that is at least a number of degrees."""
    return next((step for step in _STEPS if step >= least), _STEPS[-1])


def graticule(axes: Any, plane: Plane, *, over_image: bool) -> None:
    """Draw meridians and parallels on a projected map, and label them where they leave it, or within it."""
    lon, lat = plane.places()
    known = np.isfinite(lon) & np.isfinite(lat)
    if not known.any():
        return
    low, high = float(lat[known].min()), float(lat[known].max())
    turn = np.sort(np.mod(lon[known], 360.0))
    gaps = np.diff(np.append(turn, turn[0] + 360.0))
    widest = int(np.argmax(gaps))
    first = turn[(widest + 1) % turn.size]
    span = 360.0 - gaps[widest] if gaps[widest] > 5.0 else 360.0
    by_lat, by_lon = nice_step((high - low) / 5), nice_step(span / 7)
    parallels = np.arange(math.ceil(low / by_lat), math.floor(high / by_lat) + 1) * by_lat
    parallels = parallels[np.abs(parallels) < 90.0 - 1e-9]
    meridians = np.arange(math.ceil(first / by_lon), math.ceil((first + span) / by_lon - 1e-9)) * by_lon
    if span >= 360.0:
        meridians = np.arange(0.0, 360.0, by_lon)
    fine_lon, fine_lat = np.linspace(first, first + span, 721), np.linspace(max(low, -90), min(high, 90), 361)
    if high > 88 or low < -88:  # meridians end short of a pole, where they would crowd
        stop = 90.0 - by_lat / 2
        fine_lat = fine_lat[np.abs(fine_lat) <= stop]
    style = {"color": "white" if over_image else "0.5", "lw": 0.5, "alpha": 0.55, "zorder": 1.8}
    round_a_pole = plane.frame.kind == "azimuthal" and abs(plane.frame.centre[1]) > 89.0
    for value in parallels:
        around = fine_lon + 45.0 if round_a_pole else fine_lon
        _graticule_line(
            axes, plane, around, np.full(fine_lon.size, value), latitude_text(value), style, not round_a_pole
        )
    for value in meridians:
        _graticule_line(axes, plane, np.full(fine_lat.size, value), fine_lat, longitude_text(value), style, True)


def _graticule_line(
    axes: Any, plane: Plane, lon: Any, lat: Any, text: str, style: dict[str, Any], at_edges: bool
) -> None:
    """Draw one line, labelled where it leaves the map, or else on the line."""
    x, y = plane.project(lon, lat)
    west, east, south, north = plane.extent
    inside = (x >= west) & (x <= east) & (y >= south) & (y <= north)
    if inside.sum() < 2:
        return
    step = np.hypot(np.diff(x), np.diff(y))
    torn = np.append(step > 20 * np.nanmedian(step) + 1e-9, False)
    axes.plot(np.where(torn, np.nan, x), np.where(torn, np.nan, y), scalex=False, scaley=False, **style)
    options = {"fontsize": 7, "color": "0.25", "textcoords": "offset points", "zorder": 4}
    named = False
    for end in np.flatnonzero(inside[1:] != inside[:-1]) if at_edges else ():
        fx, fy = (x[end] - west) / (east - west), (y[end] - south) / (north - south)
        along = 0.02 < (fx if min(fy, 1 - fy) < 0.03 else fy) < 0.98
        for near, place, offset, ha, va in (
            (fy, (x[end], south), (0, -3), "center", "top"),
            (fx, (west, y[end]), (-3, 0), "right", "center"),
            (1 - fx, (east, y[end]), (3, 0), "left", "center"),
            (1 - fy, (x[end], north), (0, 2), "center", "bottom"),
        ):
            if near < 0.03 and along:
                axes.annotate(text, place, offset, ha=ha, va=va, annotation_clip=False, **options)
                named = True
                break
    if not named:
        effects = require("matplotlib.patheffects", extra="plot")
        at = np.flatnonzero(inside)[0] if not at_edges else int(np.flatnonzero(inside)[inside.sum() // 2])
        label = axes.annotate(text, (x[at], y[at]), (0, 0), ha="center", va="center", **options)
        label.set_path_effects([effects.withStroke(linewidth=1.8, foreground="white")])
