"""Small multiples of regions: each crater in its azimuthal equidistant frame, with outline and masked pixels."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyproj
import xarray as xr
from numpy.typing import NDArray

from xcrater._optional import require
from xcrater.display import furniture, relief
from xcrater.display.background import open_image
from xcrater.display.curves import outlines
from xcrater.display.plane import Extent, Plane
from xcrater.errors import NoOverlapWarning, PlotError
from xcrater.geometry.bodies import get_body
from xcrater.pixels.chips import chips
from xcrater.raster.reading import read_raster
from xcrater.table.selectable_table import SelectableTable

Floats = NDArray[np.float64]

COLUMNS = 3

_ROOM = 1.12  # half-width of the view over the reach of the region
_LINE = {"color": "tab:green", "facecolor": "none", "lw": 1.5, "alpha": 0.9}


@dataclass(frozen=True)
class View:
    """Appearance of the panels; see `CraterDatabase.plot_rois`."""

    band: int = 1
    nodata: float | int | None = None
    pixels: int = 240
    outside: float = 0.35
    share: bool = False
    hillshade: bool | None = None
    title: str | None = None


@dataclass(frozen=True)
class Panel:
    """One crater's view: metres east and north of its centre."""

    label: Any
    plane: Plane
    image: np.ma.MaskedArray[Any, Any]
    lines: list[Floats]
    place: str


def plot_rois(
    cdb: SelectableTable,
    raster: Any,
    region: str,
    index: Any,
    grid_kw: Mapping[str, Any] | None,
    savefig: Any,
    savefig_kwargs: Mapping[str, Any] | None,
    view: View,
    options: dict[str, Any],
) -> NDArray[np.object_]:
    """Draw the regions of a few craters; see `CraterDatabase.plot_rois`."""
    pyplot = require("matplotlib.pyplot", extra="plot")
    cdb.region(region)
    da = open_image(raster, view.band)
    chosen = cdb._taken(_positions(cdb, index))
    panels = [
        panel for i in range(len(chosen)) for panel in [_panel(chosen, i, da, region, view)] if panel.image.count()
    ]
    if not panels:
        raise PlotError(
            f"none of the {len(chosen)} regions {region!r} lies on the raster; choose others by index=..., or check "
            "the units of the radii and the raster's coordinates"
        )
    image: dict[str, Any] = {name: options.pop(name) for name in ("cmap", "vmin", "vmax", "norm") if name in options}
    metres = relief.metres_of(da)
    shaded = metres is not None if view.hillshade is None else view.hillshade
    if view.share:
        values = np.concatenate([panel.image.compressed() for panel in panels])
        image = {"vmin": float(values.min()), "vmax": float(values.max())} | image
    rows = 1 + (len(panels) - 1) // COLUMNS
    figure, axes = pyplot.subplots(rows, COLUMNS, figsize=(10.5, 0.5 + 2.85 * rows), squeeze=False, layout="compressed")
    label = furniture.value_label(da)
    for number, (ax, panel) in enumerate(zip(axes.flat, panels, strict=False)):
        line = _LINE | ({"color": "tab:red"} if shaded else {}) | options
        shown = _draw(ax, panel, view, image, (metres or 1.0) if shaded else None, line)
        ax.set_title(f"{panel.label}: {panel.place}", fontsize=9)
        ax.grid(**{"ls": "--", "lw": 0.4, "color": "0.5", "alpha": 0.5} | dict(grid_kw or {}))
        if not view.share:
            bar = figure.colorbar(shown, cax=ax.inset_axes((1.03, 0.0, 0.045, 1.0)))
            bar.ax.tick_params(labelsize=7)
            if number % COLUMNS == COLUMNS - 1 or number == len(panels) - 1:
                bar.set_label(label, fontsize=8)
        if number % COLUMNS == 0:
            ax.set_ylabel("km north", fontsize=8)
        if number + COLUMNS >= len(panels):
            ax.set_xlabel("km east", fontsize=8)
    for ax in axes.flat[len(panels) :]:
        ax.remove()
    if view.share:
        bar = figure.colorbar(shown, ax=axes[:, :].ravel()[: len(panels)].tolist(), shrink=0.7, pad=0.02, label=label)
        bar.ax.tick_params(labelsize=8)
    figure.suptitle(f"{cdb.body.capitalize()} {region} ROIs" if view.title is None else view.title, fontsize=11)
    if savefig is not None:
        figure.savefig(savefig, **{"bbox_inches": "tight"} | dict(savefig_kwargs or {}))
    return np.asarray(axes, dtype=object)


def _positions(cdb: SelectableTable, index: Any) -> NDArray[np.int64]:
    """Positions of craters, from a number of first craters, a pandas.Index of labels, or positions."""
    if isinstance(index, pd.Index):
        at = pd.Series(np.arange(len(cdb)), index=cdb.data.index)
        known = index.isin(cdb.data.index)
        if not known.all():
            raise PlotError(f"received the labels {list(index[~known])[:5]!r}, which no crater has; see cdb.data.index")
        return at.loc[index].to_numpy(dtype=np.int64)
    if isinstance(index, (int, np.integer)) and not isinstance(index, bool):
        if index < 1:
            raise PlotError(f"received index={index!r}; expected how many craters to draw, 1 or more")
        return np.arange(min(int(index), len(cdb)))
    try:
        positions = np.asarray(list(index))
        if positions.dtype.kind not in "iu":
            raise TypeError("they are no whole numbers")
        return np.asarray(np.arange(len(cdb), dtype=np.int64)[positions])
    except (TypeError, IndexError) as err:
        raise PlotError(
            f"received index={index!r}: {err}; expected how many craters to draw, or positions in the table, of which "
            f"there are {len(cdb)}: index=(0, 2, 5); labels are given as cdb.data.index[...]"
        ) from err


def _panel(cdb: SelectableTable, position: int, da: xr.DataArray, region: str, view: View) -> Panel:
    one = cdb._taken(np.array([position]))
    raster = read_raster(da, body=get_body(cdb.body))
    frame = raster.grid.to_frame()
    # On a grid with a closed form, the frame's axes are in units of the sphere's radius, not in metres
    a, b = frame.axes if raster.grid.frame is not None and not frame.sphere else (raster.sphere, raster.sphere)
    lon, lat, radius = (float(of.iloc[0]) for of in (one.lon, one.lat, one.rad))
    geodetic = float(frame.geodetic(np.array([lat]))[0])
    crs = pyproj.CRS(f"+proj=aeqd +lat_0={geodetic!r} +lon_0={lon!r} +a={a!r} +b={b!r} +units=m +no_defs")
    rough = Plane(crs, _square(4 * radius), (view.pixels, view.pixels), cdb.body)
    reach = _reach(rough, one, region, radius)
    half = _ROOM * reach
    plane = Plane(crs, _square(half), (view.pixels, view.pixels), cdb.body)
    drawn = outlines(plane, one, region, shade=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoOverlapWarning)  # craters off the raster are simply left out
        chip = chips(da, one, view.pixels, half / radius, nodata=view.nodata).isel(crater=0)
    image = np.ma.masked_invalid(np.asarray(chip.compute(), dtype=float))
    place = f"{furniture.latitude_text(lat, 2)}, {furniture.longitude_text(lon, 2)}"
    return Panel(one.data.index[0], plane, image, drawn.lines, place)


def _square(half: float) -> Extent:
    return Extent(-half, half, -half, half)


def _reach(plane: Plane, one: SelectableTable, region: str, radius: float) -> float:
    """Largest distance of one crater's region from its centre, metres; the diameter if there is no region."""
    outer = getattr(one.region(region), "outer", None)
    bounds = getattr(one.region(region), "bounds", None)
    if outer is not None and bounds is not None:
        return float(outer) * radius
    shape = one._polygons(region).iloc[0]
    if shape is None or shape.is_empty:
        return 2 * radius
    x, y = np.array(
        [xy for ring in one.region(region).curves(one.data, one.body_radius) for xy in zip(*ring, strict=True)]
    ).T
    east, north = plane.project(x, y)
    return float(np.nanmax(np.hypot(east, north)))


def _draw(
    ax: Any, panel: Panel, view: View, image: Mapping[str, Any], metres: float | None, line: Mapping[str, Any]
) -> Any:
    """Draw one panel: pixels of the region opaque, those around it faint, and the outline.

    `metres` is the number of metres per unit of the values if they are shaded as heights, otherwise None.
    """
    patches, paths = require("matplotlib.patches", extra="plot"), require("matplotlib.path", extra="plot")
    km = 1e-3
    extent = tuple(km * bound for bound in panel.plane.extent)
    rings = panel.lines or [np.zeros((4, 2))]
    path = paths.Path.make_compound_path(*(paths.Path(km * ring, closed=True) for ring in rings))
    cm, colors = require("matplotlib.cm", extra="plot"), require("matplotlib.colors", extra="plot")
    inside = panel.image.compressed()
    low, high = np.percentile(inside, (0.5, 99.5)) if inside.size else (0.0, 1.0)
    norm = image.get("norm") or colors.Normalize(image.get("vmin", low), image.get("vmax", high))
    values = cm.ScalarMappable(norm=norm, cmap=image.get("cmap", "gray" if metres is None else "viridis"))
    rgba = values.to_rgba(panel.image)
    if metres is not None:
        spacing = 2 * panel.plane.extent.east / view.pixels
        rgba = relief.shaded(rgba, relief.light(*np.gradient(metres * panel.image.filled(np.nan), spacing)))
    rgba[..., 3] = ~np.ma.getmaskarray(panel.image)
    faint = rgba.copy()
    faint[..., 3] *= view.outside
    clip = patches.PathPatch(
        path, transform=ax.transData, facecolor="none", edgecolor="0.7", hatch="////", lw=0, zorder=0
    )
    ax.add_patch(clip)  # hatching that shows through where values are missing
    ax.imshow(faint, extent=extent, origin="upper", zorder=0.5)
    ax.imshow(rgba, extent=extent, origin="upper", zorder=1).set_clip_path(clip)
    if line.get("facecolor", "none") != "none":
        ax.add_patch(patches.PathPatch(path, lw=0, facecolor=line["facecolor"], alpha=0.3 * line.get("alpha", 1.0)))
    edge = {key: value for key, value in line.items() if key not in ("facecolor", "color")}
    try:
        ax.add_patch(patches.PathPatch(path, facecolor="none", edgecolor=line["color"], **edge))
    except (AttributeError, TypeError, ValueError) as err:  # what matplotlib raises for unknown properties
        raise PlotError(
            f"the outline cannot be drawn: {err}. Properties of outlines are those of matplotlib's PathPatch, such as "
            "color='red', alpha=0.5, lw=1"
        ) from err
    ax.set_xlim(extent[:2])
    ax.set_ylim(extent[2:])
    ax.set_aspect("equal")
    ax.tick_params(labelsize=7, length=2)
    return values
