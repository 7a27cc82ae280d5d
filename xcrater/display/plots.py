"""Panels that compare the pixels of a few craters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xcrater._optional import require
from xcrater.geometry.bodies import get_body
from xcrater.pixels.container import get_arrays
from xcrater.raster.reading import read_raster

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from xcrater.table.crater_table import CraterTable


def roi_panels(
    da: xr.DataArray, cdb: CraterTable, regions: Sequence[str], craters: Sequence[int], *, bins: int = 40
) -> Figure:
    """Draw a few craters: the raster around each with the outlines of its regions, and below it their histograms.

    Parameters
    ----------
    da : xarray.DataArray
        The raster, two-dimensional.
    cdb : CraterDatabase
        The craters and their regions.
    regions : sequence of str
        Names of regions; the widest one sets the extent of the view.
    craters : sequence of int
        Positions of craters in the table.
    bins : int
        Number of bins of the histograms.

    Returns
    -------
    matplotlib.figure.Figure
        The figure, not attached to any window, ready to be saved.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    """
    figures = require("matplotlib.figure", extra="plot")
    arrays = get_arrays(da, cdb, regions)
    blocks = arrays.iloc[list(craters)].compute()  # together, so that each part of the raster is read once
    widest = max(regions, key=lambda name: getattr(cdb.region(name), "outer", 0.0))
    figure = figures.Figure(figsize=(3.1 * len(craters), 5.6), layout="constrained", dpi=150)
    axes = figure.subplots(2, len(craters), squeeze=False, gridspec_kw={"height_ratios": (1.4, 1.0)})
    named = da.attrs.get("long_name", "pixel value") + (f" ({da.attrs['units']})" if "units" in da.attrs else "")
    sphere = read_raster(da, body=get_body(cdb.body)).sphere
    for column, crater in enumerate(craters):
        above, below = axes[:, column]
        view = blocks[widest].iloc[column]
        west, east, first, last = arrays[widest].extent(crater)
        pixels = np.ma.masked_array(view.data, np.isnan(view.data) if view.dtype.kind == "f" else False)
        above.imshow(pixels, cmap="gray", extent=(west, east, last, first), aspect="auto")
        above.set_box_aspect((abs(first - last)) / (abs(east - west) * np.cos(np.radians(cdb.lat.iloc[crater]))))
        above.set_title(_title(cdb, crater), fontsize=9)
        above.tick_params(labelsize=7)
        values = {name: blocks[name].iloc[column].compressed() for name in regions}
        edges = np.histogram_bin_edges(np.concatenate(list(values.values())), bins)
        for n, (name, pixels) in enumerate(values.items()):
            _outline(above, cdb, name, crater, sphere, (west + east) / 2, f"C{n}")
            below.hist(pixels, bins=edges, color=f"C{n}", alpha=0.55, label=f"{name} ({pixels.size} px)")
        if len(regions) > 1:
            below.set_yscale("log")  # a floor has about a hundredth of the pixels of the ejecta
        below.set_xlabel(named, fontsize=8)
        below.tick_params(labelsize=7)
        below.legend(fontsize=7)
    axes[0, 0].set_ylabel("latitude (°)", fontsize=8)
    axes[0, 0].set_xlabel("longitude (°)", fontsize=8)
    axes[1, 0].set_ylabel("pixels", fontsize=8)
    return figure


def _title(cdb: CraterTable, crater: int) -> str:
    lat, lon, diameter = cdb.lat.iloc[crater], cdb.lon.iloc[crater], 2 * cdb.rad.iloc[crater] / 1000
    return f"{abs(lat):.1f}°{'SN'[int(lat >= 0)]} {abs(lon):.1f}°{'WE'[int(lon >= 0)]}, {diameter:.4g} km"


def _outline(axes: Any, cdb: CraterTable, name: str, crater: int, sphere: float, near: float, color: str) -> None:
    """Draw a region's outline, in the turn of longitude nearest to the middle of the view."""
    for lon, lat in cdb.region(name).curves(cdb.data.iloc[[crater]], sphere):
        turn = 360.0 * np.round((near - lon.mean()) / 360.0)
        axes.plot(lon + turn, lat, color=color, lw=1.2)
