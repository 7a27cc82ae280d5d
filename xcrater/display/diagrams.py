"""Diagrams of results: depths against diameters, radial profiles, and numbers of craters by size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xcrater._optional import require
from xcrater.errors import PlotError
from xcrater.geometry.bodies import Body
from xcrater.table.count_files import BOUNDS, counted
from xcrater.table.crater_table import CraterTable

Floats = NDArray[np.float64]

_FEW = 400  # most craters that each get an error bar
_SINGLE = 30  # most craters that each get a thin line of their own in a profile
_SIZE = (5.6, 4.2)  # inches
_DARK = "#1b3a5c"
_LINE_STYLES = ("-", "--", ":", "-.")


class PowerLaw(NamedTuple):
    """A published relation of depth to diameter, ``depth = coefficient * diameter**exponent``, both in km.

    Examples
    --------
    >>> from xcrater import tutorial
    >>> from xcrater.display.diagrams import PowerLaw
    >>> cdb = tutorial.synthetic_craters("moon", 3)
    >>> depths = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb).craters.depths(cdb)
    >>> fresh = PowerLaw("0.2 D", 0.2, 1.0, smallest=0.0, largest=100.0)
    >>> ax = depths.craters.plot_depths(lines=[fresh])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['3 craters', '0.2 D']
    """

    source: str
    coefficient: float
    exponent: float
    smallest: float
    """Smallest diameter for which the relation holds, km."""
    largest: float
    """Largest diameter for which the relation holds, km."""


PUBLISHED = {
    "moon": (
        PowerLaw("Pike (1977), simple", 0.196, 1.010, 0.0, 15.0),
        PowerLaw("Pike (1977), complex", 1.044, 0.301, 15.0, math.inf),
    ),
    "mars": (
        PowerLaw("Garvin and Frawley (1998), simple", 0.14, 0.90, 0.0, 8.0),
        PowerLaw("Garvin and Frawley (1998), complex", 0.25, 0.49, 8.0, math.inf),
    ),
}
"""Relations for fresh craters, by body."""


def depth_diameter(ds: xr.Dataset, ax: Any, lines: Sequence[PowerLaw] | None, ratio: bool, options: Any) -> Any:
    """Draw depths against diameters; see `DatasetCratersAccessor.plot_depths`."""
    if not {"depth", "depth_error", "radius"} <= set(ds.variables) or ds["depth"].dims != ("crater",):
        raise PlotError(
            "received a Dataset without one depth per crater; expected the result of da.craters.depths(cdb), of one "
            "image: .isel(band=0)"
        )
    ds = ds[["depth", "depth_error"]].compute()
    diameter = 2e-3 * ds["radius"].to_numpy()
    depth, error = (1e-3 * ds[name].to_numpy() for name in ("depth", "depth_error"))
    shown = np.isfinite(depth) & (depth > 0)
    if not shown.any():
        raise PlotError("received no depth above 0; there is nothing to be seen in a logarithmic diagram")
    scale = diameter if ratio else np.ones_like(diameter)
    ax = _axes(ax)
    x, y, bars = diameter[shown], (depth / scale)[shown], (error / scale)[shown]
    many = x.size > _FEW
    opacity = float(np.clip(15.0 / math.sqrt(x.size), 0.04, 0.6))
    style = {"color": _DARK, "alpha": opacity, "ms": 2.4 if many else 3.5, "mew": 0} | options
    if not many and np.isfinite(bars).any():
        # On a logarithmic axis, bars that reach 0 would extend to the bottom of the diagram
        lower = np.minimum(np.nan_to_num(bars), 0.95 * y)
        ax.errorbar(x, y, [lower, np.nan_to_num(bars)], fmt="none", ecolor=style["color"], elinewidth=0.6, alpha=0.35)
    left_out = int(np.isfinite(depth).sum()) - x.size
    label = f"{x.size:,} craters" + (f" ({left_out:,} more without a depth above 0)" if left_out else "")
    ax.plot(x, y, "o", label=label, zorder=2, rasterized=x.size > 5000, **style)
    lines = PUBLISHED.get(str(ds.attrs.get("body")), ()) if lines is None else lines
    low, high = x.min() / 1.15, x.max() * 1.15
    for number, line in enumerate(lines):
        ends = max(low, line.smallest), min(high, line.largest)
        if ends[0] < ends[1]:
            along = np.geomspace(*ends, 50)
            law = line.coefficient * along ** (line.exponent - 1 if ratio else line.exponent)
            dashes = _LINE_STYLES[number % len(_LINE_STYLES)]
            ax.plot(along, law, color="#c1440e", ls=dashes, lw=1.6, label=line.source, zorder=3)
    _logarithmic(ax)
    _labels(ax, "diameter (km)", "depth / diameter" if ratio else "depth, rim to floor (km)")
    legend = ax.legend(fontsize=8, frameon=False)
    legend.legend_handles[0].set_alpha(max(opacity, 0.6))  # a lone point as faint as those of a cloud is hardly visible
    return ax


def profile(ds: xr.Dataset, variable: str | None, ax: Any, relative: bool, options: dict[str, Any]) -> Any:
    """Draw radial profiles; see `DatasetCratersAccessor.plot_profile`."""
    if "r" not in ds.dims or not ds.data_vars:
        raise PlotError("received a Dataset without radial profiles; expected one of da.craters.radial_profile(cdb)")
    name = str(next(iter(ds.data_vars))) if variable is None else variable
    if name not in ds.data_vars:
        raise PlotError(f"received variable={variable!r}; expected one of {', '.join(map(str, ds.data_vars))}")
    extra = set(ds[name].dims) - {"r", "azimuth", "crater"}
    if extra:
        raise PlotError(f"received profiles with the dimension {extra.pop()!r}; choose one: ds.isel(band=0)")
    wanted = [name, *(other for other in (f"{name}_stderr",) if other in ds)]
    ds = ds[wanted].compute()
    values = ds[name].astype(float)
    if relative:
        values = values - values.isel(r=-1)
    ax = _axes(ax)
    sectors = range(ds.sizes["azimuth"]) if "azimuth" in ds.dims else [None]
    for number, sector in enumerate(sectors):
        one = values if sector is None else values.isel(azimuth=sector)
        color = _DARK if sector is None else f"C{number}"
        label = (
            None if sector is None else f"{float(ds['azimuth_start'][sector]):g}–{float(ds['azimuth_stop'][sector]):g}°"
        )
        style = {"color": color, "lw": 1.8, "label": label, "zorder": 3} | options
        r = one["r"].to_numpy()
        if "crater" in one.dims:
            lines = one.transpose("crater", "r").to_numpy()
            lines = lines[np.isfinite(lines).any(axis=1)]
            if not len(lines):
                raise PlotError(f"received profiles of {name!r} without a value; there is nothing to be seen")
            if len(lines) <= _SINGLE:
                ax.plot(r, lines.T, color=style["color"], lw=0.5, alpha=0.35, zorder=1)
            low, middle, high = np.nanpercentile(lines, (16, 50, 84), axis=0)
            ax.plot(r, middle, **style | {"label": label or f"median of {len(lines):,} craters"})
            band = "16th to 84th percentile" if sector is None else None
            ax.fill_between(r, low, high, color=style["color"], alpha=0.18, lw=0, label=band)
        else:
            ax.plot(r, one.to_numpy(), **style)
            if f"{name}_stderr" in ds:
                error = ds[f"{name}_stderr"] if sector is None else ds[f"{name}_stderr"].isel(azimuth=sector)
                low, high = one - error, one + error
                band = "standard error" if sector is None else None
                ax.fill_between(r, low, high, color=style["color"], alpha=0.18, lw=0, label=band)
    ax.axvline(1.0, color="0.5", lw=0.8, ls=(0, (4, 3)), zorder=0)
    ax.set_xlim(0.0, float(ds["r_outer"].max()))
    units = ds[name].attrs.get("units")
    text = f"{ds[name].attrs.get('long_name', name)}{f' ({units})' if units else ''}"
    _labels(ax, "distance from the centre (crater radii)", f"{text}, above the last ring" if relative else text)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=8, frameon=False)
    return ax


def sizes(cdb: CraterTable, body: Body, area: Any, kind: str, ax: Any, options: dict[str, Any]) -> Any:
    """Draw the numbers of craters by size; see `CraterDatabase.plot_sizes`."""
    if kind not in ("cumulative", "relative"):
        raise PlotError(f"received kind={kind!r}; expected 'cumulative' or 'relative'")
    whole = area is None
    found = counted(cdb, body, 4e-6 * math.pi * body.radius**2 if whole else area)
    if not found.rows.size:
        raise PlotError("received no crater within the area; there is nothing to be seen")
    ax = _axes(ax)
    earlier = ax.get_ylim() if ax.has_data() else (math.inf, 0.0)
    low, high = found.diameter[0], found.diameter[-1]
    if kind == "cumulative":
        decades = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
        bounds = np.array([b * 10.0**decade for decade in decades for b in BOUNDS])
        beyond = np.cumsum(found.fraction[::-1])[::-1]
        first = np.searchsorted(found.diameter, bounds * (1 - 1e-12))
        bounds, first = bounds[first < found.rows.size], first[first < found.rows.size]
        bounds, first = bounds[np.append(first[1:] > 0, True)], first[np.append(first[1:] > 0, True)]
        number, x, scale = beyond[first], bounds, np.full(bounds.size, 1.0 / found.size)
        text = "cumulative number per km²"
    else:
        steps = np.arange(math.floor(2 * math.log2(low)), math.ceil(2 * math.log2(high) + 1e-9) + 1)
        bounds = 2.0 ** (steps / 2)
        number, _ = np.histogram(found.diameter, bounds, weights=found.fraction)
        x = np.sqrt(bounds[:-1] * bounds[1:])
        x, width, number = x[number > 0], np.diff(bounds)[number > 0], number[number > 0]
        scale = x**3 / width / found.size
        text = "relative frequency R"
    y, bar = number * scale, np.sqrt(number) * scale
    limits = 0.4 * y.min(), 2.5 * (y + bar).max()
    lower = np.minimum(bar, 0.95 * y)  # the bar of a single crater would reach to 0
    where = f"the whole {body.name.title()}" if whole else f"{found.size:,.4g} km²"
    style = {"fmt": "o", "ms": 3.5, "color": _DARK, "ecolor": "0.55", "elinewidth": 0.8} | options
    ax.errorbar(x, y, [lower, bar], label=f"{found.rows.size:,} craters, {where}", **style)
    ax.set_yscale("log")
    # Bars that reach to 0 would leave little room for the points; limits set by earlier tables are kept
    ax.set_ylim(min(limits[0], earlier[0]), max(limits[1], earlier[1]))
    _logarithmic(ax)
    _labels(ax, "diameter (km)", text)
    ax.legend(fontsize=8, frameon=False)
    return ax


def _axes(ax: Any) -> Any:
    """The axes given, or those of a new figure."""
    if ax is None:
        _, ax = require("matplotlib.pyplot", extra="plot").subplots(figsize=_SIZE, dpi=120, layout="constrained")
    return ax


def _logarithmic(ax: Any) -> None:
    """Make both axes logarithmic, with tick labels written out where they are short."""
    ticker = require("matplotlib.ticker", extra="plot")
    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis, limits in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
        if limits[0] > 5e-4 and limits[1] < 2e4:
            axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
            decades = math.log10(limits[1] / limits[0])
            # Over less than two decades, labels at powers of ten alone would be too few
            subs = (2, 5) if decades < 2 else ()
            axis.set_minor_locator(ticker.LogLocator(subs=tuple(range(2, 10))))
            axis.set_minor_formatter(
                ticker.FuncFormatter(
                    lambda value, _, subs=subs: (
                        f"{value:g}" if round(value / 10.0 ** math.floor(math.log10(value)), 6) in subs else ""
                    )
                )
            )
    ax.tick_params(which="minor", pad=5.0)  # aligns labels at short ticks with those at long ones
    ax.grid(which="major", color="0.88", lw=0.6)
    ax.set_axisbelow(True)


def _labels(ax: Any, x: str, y: str) -> None:
    ax.set_xlabel(x, fontsize=10)
    ax.set_ylabel(y, fontsize=10)
    ax.tick_params(which="both", labelsize=8.5)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
