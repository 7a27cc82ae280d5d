"""Maps of crater tables: outlines over a raster, in any projection."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import pyproj
import xarray as xr
from numpy.typing import NDArray

from xcrater._optional import require
from xcrater.display import furniture, relief
from xcrater.display.background import image_on, open_image
from xcrater.display.curves import Drawing, outlines
from xcrater.display.plane import Extent, Plane, plane_crs
from xcrater.errors import PlotError
from xcrater.geometry.bodies import get_body
from xcrater.geometry.sphere import great_circle_direct
from xcrater.raster.reading import read_raster
from xcrater.table.crater_table import CraterTable
from xcrater.table.regions import Circle, Region

Floats = NDArray[np.float64]

_MARGIN = 0.03  # margin around the craters' bounds, as a fraction of their width
_WHOLE = 0.6  # fraction of the body's width or height on the map from which the whole body is shown
_FINE = 1.5  # pixels of the raster's image per pixel of the figure
_HEIGHTS = "pink"  # colour map of shaded heights: brighter upwards, and without the blue of outlines
_MISSING = "0.4"  # colour of places without a value
_ROUNDNESS = 75.0  # degrees of latitude up to which craters are drawn round on a map of longitude and latitude


@dataclass(frozen=True)
class Look:
    """Appearance of a map; see `CraterDatabase.plot`."""

    size: float | Sequence[float] = 7.5
    dpi: float = 100
    band: int = 1
    alpha: float = 0.5
    color: Any = "tab:blue"
    projection: Any = None
    extent: Sequence[float] | None = None
    image: Mapping[str, Any] | None = None
    colorbar: bool | None = None
    scale_bar: bool = True
    grid: bool = True
    title: str | None = None
    shade: bool | None = None
    hillshade: bool | float | None = None


def plot(
    cdb: CraterTable,
    raster: Any,
    region: str,
    ax: Any,
    look: Look,
    savefig: Any,
    savefig_kwargs: Mapping[str, Any] | None,
    line: Mapping[str, Any],
) -> Any:
    """Draw the outlines of a table's regions; see `CraterDatabase.plot` for the arguments in full.

    Parameters
    ----------
    cdb : CraterTable
        The craters.
    raster : path, rasterio dataset, xarray.DataArray or None
        The raster shown behind the outlines.
    region : str
        Name of a region; empty for the rims.
    ax : matplotlib.axes.Axes or None
        Axes to draw on; None for a new figure.
    look : Look
        Appearance of the map.
    savefig, savefig_kwargs
        As `CraterDatabase.plot` takes them.
    line : mapping
        More properties of the lines.

    Returns
    -------
    matplotlib.axes.Axes
        The map.
    """
    pyplot = require("matplotlib.pyplot", extra="plot")
    shown: str | dict[str, Region] = region or {"rim": Circle(1.0, None)}
    if region:
        cdb.region(region)
    sizes: tuple[Any, ...] = (look.size,) if isinstance(look.size, (int, float)) else tuple(look.size)
    if not 1 <= len(sizes) <= 2 or not all(isinstance(n, Real) and float(n) > 0 for n in (*sizes, look.dpi)):
        raise PlotError(
            f"received size={look.size!r}, dpi={look.dpi!r}; expected a width, or width and height, in inches, and "
            "pixels per inch, all above 0: size=7.5, dpi=100"
        )
    exaggeration = 1.0 if look.hillshade is None or isinstance(look.hillshade, bool) else look.hillshade
    if not isinstance(exaggeration, Real) or not 0 < float(exaggeration) < np.inf:
        raise PlotError(
            f"received hillshade={look.hillshade!r}; expected True, False, or a factor of the heights: hillshade=2"
        )
    da = None if raster is None else open_image(raster, look.band)
    ax = getattr(ax, "axes", ax)  # an artist, such as imshow returns, stands for its axes
    new = ax is None
    if new:
        plane = _new_plane(cdb, shown, da, look)
        _, ax = pyplot.subplots(figsize=_figsize(plane, look, _has_bar(da, look)), dpi=look.dpi, layout="constrained")
        _prepare(ax, plane)
    else:
        plane = _plane_of_axes(ax, cdb, da, look)
    if da is not None:
        values = _draw_image(ax, plane, da, raster, look)
        if _has_bar(da, look):
            _draw_bar(ax, plane, values, furniture.value_label(da), beside=new)
    drawing = outlines(plane, cdb, shown, shade=look.shade)
    _draw(ax, plane, drawing, look, dict(line))
    if new:
        _finish(ax, plane, cdb, region, look, over_image=da is not None)
    if savefig is not None:
        ax.get_figure().savefig(savefig, **{"dpi": look.dpi, "bbox_inches": "tight"} | dict(savefig_kwargs or {}))
    return ax


def _new_plane(cdb: CraterTable, region: str | dict[str, Region], da: xr.DataArray | None, look: Look) -> Plane:
    body = get_body(cdb.body)
    raster = None if da is None else read_raster(da, body=body)
    sphere = body.radius if raster is None else raster.sphere
    projection = look.projection
    if projection is None and da is not None and raster is not None and raster.grid.frame is not None:
        crs = pyproj.CRS(da.rio.crs)
        if crs.is_projected and raster.grid.to_frame().kind != "cylindrical":
            projection = crs
            if look.extent is None:
                west, south, east, north = da.rio.bounds()
                return _with_pixels(crs, Extent(west, east, south, north), cdb.body, look)
    lon, lat, radius = _sizes(cdb, region, sphere)
    crs = plane_crs(projection, body, sphere, _centre(lon, lat))
    if look.extent is not None:
        extent = _checked_extent(look.extent, crs, cdb.body)
    elif crs.is_geographic:
        extent = _lonlat_extent(lon, lat, radius)
    else:
        extent = _projected_extent(crs, cdb.body, lon, lat, radius, projection)
    return _with_pixels(crs, extent, cdb.body, look)


def _sizes(cdb: CraterTable, region: str | dict[str, Region], sphere: float) -> tuple[Floats, Floats, Floats]:
    """Centres of the regions and their reach from them, all in degrees."""
    declared = cdb.region(region) if isinstance(region, str) else next(iter(region.values()))
    reach = getattr(declared, "outer", 1.0)
    if not len(cdb):
        return np.zeros(1), np.zeros(1), np.full(1, 90.0)
    radius = np.degrees(cdb.rad.to_numpy(float) / sphere) * float(reach)
    return np.asarray(cdb.lon, float), np.asarray(cdb.lat, float), np.minimum(np.asarray(radius, float), 180.0)


def _centre(lon: Floats, lat: Floats) -> tuple[float, float]:
    """Longitude and latitude of the mean direction of some places; (0, 0) where their mean vector is short."""
    phi, lam = np.radians(lat), np.radians(lon)
    x, y, z = (np.cos(phi) * np.cos(lam)).mean(), (np.cos(phi) * np.sin(lam)).mean(), np.sin(phi).mean()
    if np.sqrt(x * x + y * y + z * z) < 0.2:
        return 0.0, 0.0
    return float(np.degrees(np.arctan2(y, x))), float(np.degrees(np.arctan2(z, np.hypot(x, y))))


def _lonlat_extent(lon: Floats, lat: Floats, radius: Floats) -> Extent:
    """Bounds of discs in longitude and latitude, with a margin; all longitudes if the discs cover most of them."""
    south, north = float((lat - radius).min()), float((lat + radius).max())
    over = (lat + radius >= 90.0) | (lat - radius <= -90.0)
    half = np.full(lon.size, 180.0)
    half[~over] = np.degrees(
        np.arcsin(np.minimum(1.0, np.sin(np.radians(radius[~over])) / np.cos(np.radians(lat[~over]))))
    )
    turn = np.sort(np.mod(lon, 360.0))
    gaps = np.diff(np.append(turn, turn[0] + 360.0))
    widest = int(np.argmax(gaps))
    start = turn[(widest + 1) % turn.size]
    ahead = np.mod(lon - start, 360.0)
    west, east = float((ahead - half).min()) + start, float((ahead + half).max()) + start
    if east - west > _WHOLE * 360.0:
        west, east = -180.0, 180.0
        if north - south > _WHOLE * 180.0:
            south, north = -90.0, 90.0
    else:
        turns = 360.0 * np.round((west + east) / 720.0)
        margin = _MARGIN * max(east - west, north - south)
        west, east = west - turns - margin, east - turns + margin
    margin = _MARGIN * (north - south)
    return Extent(west, east, max(-90.0, south - margin), min(90.0, north + margin))


def _projected_extent(crs: pyproj.CRS, body: str, lon: Floats, lat: Floats, radius: Floats, projection: Any) -> Extent:
    """Bounds of discs on a map, with a margin; the whole map of the body if they cover most of it."""
    scale = 0.1 * crs.ellipsoid.semi_major_metre if crs.ellipsoid else 1e5
    probe = Plane(crs, Extent(-scale, scale, -scale, scale), (64, 64), body)
    step = max(1, lon.size // 20_000)
    lon, lat, radius = lon[::step], lat[::step], radius[::step]
    if projection in ("north", "south"):
        here = lat > 0 if projection == "north" else lat < 0
        if not here.any():
            raise PlotError(f"no crater is in the hemisphere of projection={projection!r}")
        lon, lat, radius = lon[here], lat[here], radius[here]
    azimuth = np.radians(np.arange(0.0, 360.0, 30.0))
    x, y = probe.project(*great_circle_direct(lon[:, None], lat[:, None], radius[:, None], azimuth))
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        raise PlotError(f"no crater is on the map {crs.name!r}; name another projection, or an extent")
    bounds = Extent(*(float(f(a[known])) for a in (x, y) for f in (np.min, np.max)))
    world = np.meshgrid(np.arange(-180.0, 180.0, 2.0), np.arange(-89.0, 90.0, 2.0))
    wx, wy = probe.project(*world)
    on = np.isfinite(wx) & np.isfinite(wy) & (np.hypot(wx, wy) < 25 * scale * 10)
    if probe.frame.kind == "azimuthal" and projection in ("north", "south"):
        far = max(map(abs, bounds))
        return Extent(*(sign * far * (1 + _MARGIN) for sign in (-1, 1, -1, 1)))
    whole = Extent(*(float(f(a[on])) for a in (wx, wy) for f in (np.min, np.max)))
    if projection in ("orthographic", "mollweide", "sinusoidal") and (
        bounds.east - bounds.west > _WHOLE * (whole.east - whole.west)
        or bounds.north - bounds.south > _WHOLE * (whole.north - whole.south)
    ):
        bounds = whole
    margin = _MARGIN * max(bounds.east - bounds.west, bounds.north - bounds.south)
    west, east, south, north = bounds
    return Extent(west - margin, east + margin, south - margin, north + margin)


def _checked_extent(extent: Sequence[float], crs: pyproj.CRS, body: str) -> Extent:
    """Convert a user's extent in degrees to units of the plane."""
    numbers = [float(n) for n in extent] if len(extent) == 4 else []
    if (
        not numbers
        or not np.isfinite(numbers).all()
        or not (numbers[0] < numbers[1] <= numbers[0] + 360.0 and -90.0 <= numbers[2] < numbers[3] <= 90.0)
    ):
        raise PlotError(
            f"received extent={extent!r}; expected (west, east, south, north) in degrees, west < east and "
            "south < north: extent=(170, 190, -10, 10)"
        )
    if crs.is_geographic:
        return Extent(*numbers)
    west, east, south, north = numbers
    lon, lat = np.meshgrid(np.linspace(west, east, 181), np.linspace(south, north, 91))
    scale = 0.1 * crs.ellipsoid.semi_major_metre if crs.ellipsoid else 1e5
    x, y = Plane(crs, Extent(-scale, scale, -scale, scale), (64, 64), body).project(lon, lat)
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        raise PlotError(f"received extent={extent!r}, of which the map {crs.name!r} shows nothing")
    return Extent(*(float(f(a[known])) for a in (x, y) for f in (np.min, np.max)))


def _stretch(extent: Extent) -> float:
    """Height of a degree of latitude over the width of one of longitude that makes craters in the middle round."""
    middle = abs(extent.south + extent.north) / 2
    return float(1.0 / np.cos(np.radians(min(middle, _ROUNDNESS))))


def _figsize(plane: Plane, look: Look, bar: bool) -> tuple[float, float]:
    if not isinstance(look.size, (int, float)):
        width, height = look.size
        return float(width), float(height)
    west, east, south, north = plane.extent
    ratio = (north - south) / (east - west) * (_stretch(plane.extent) if plane.geographic else 1.0)
    width = float(look.size)
    beside = (0.7 if plane.geographic else 0.4) + (1.0 if bar else 0.0)  # inches that labels and colour bar take
    return width, float(np.clip(max(width - beside, 0.6 * width) * ratio + 0.6, 0.3 * width, 1.6 * width))


def _with_pixels(crs: pyproj.CRS, extent: Extent, body: str, look: Look) -> Plane:
    width = look.size if isinstance(look.size, (int, float)) else look.size[0]
    cols = int(np.clip(float(width) * look.dpi * _FINE, 64, 6000))
    west, east, south, north = extent
    ratio = (north - south) / (east - west)
    if crs.is_geographic:
        ratio *= _stretch(extent)
    return Plane(crs, extent, (int(np.clip(round(cols * ratio), 32, 8000)), cols), body)


def _plane_of_axes(ax: Any, cdb: CraterTable, da: xr.DataArray | None, look: Look) -> Plane:
    """The plane that existing axes show: a cartopy projection, or else longitude and latitude."""
    body = get_body(cdb.body)
    crs = plane_crs(getattr(ax, "projection", None), body, body.radius, (0.0, 0.0))
    (west, east), (south, north) = sorted(ax.get_xlim()), sorted(ax.get_ylim())
    if crs.is_geographic:
        south, north = max(south, -90.0), min(north, 90.0)
    width, height = ax.get_window_extent().size
    shape = int(np.clip(height * _FINE, 32, 8000)), int(np.clip(width * _FINE, 32, 8000))
    return Plane(crs, Extent(west, east, south, north), shape, cdb.body)


def _prepare(ax: Any, plane: Plane) -> None:
    west, east, south, north = plane.extent
    ax.set_xlim(west, east)
    ax.set_ylim(south, north)
    ax.set_aspect(_stretch(plane.extent) if plane.geographic else 1.0)


def _draw_image(ax: Any, plane: Plane, da: xr.DataArray, raster: Any, look: Look) -> Any:
    """Draw the raster, and return the mappable of its colours."""
    file = raster if isinstance(raster, (str, os.PathLike)) else None
    metres = relief.metres_of(da)
    shaded = metres is not None if look.hillshade is None else look.hillshade is not False
    image, on_body = image_on(plane, da, file, smooth=shaded)
    matplotlib = require("matplotlib", extra="plot")
    cm, colors = require("matplotlib.cm", extra="plot"), require("matplotlib.colors", extra="plot")
    given: dict[str, Any] = {"interpolation": "antialiased"} | dict(look.image or {})
    colormap = matplotlib.colormaps.get_cmap(given.pop("cmap", _HEIGHTS if shaded else "gray"))
    low, high = np.percentile(image.compressed(), (0.5, 99.5)) if image.count() else (0.0, 1.0)
    norm = given.pop("norm", None) or colors.Normalize(given.pop("vmin", low), given.pop("vmax", high))
    values = cm.ScalarMappable(norm, colormap.with_extremes(bad=_MISSING))
    values.set_array(image)
    limits = ax.get_xlim(), ax.get_ylim(), ax.get_aspect()
    options = {"extent": plane.extent, "origin": "upper"} | given
    if shaded:
        factor = None if look.hillshade is None or look.hillshade is True else float(look.hillshade)
        heights = (metres or 1.0) * image.filled(np.nan)
        rgba = relief.shaded(
            values.to_rgba(image), relief.light_on_map(heights, *plane.places(), plane.raster.sphere, factor)
        )
        rgba[..., 3] *= on_body
        ax.imshow(rgba, **options)
    else:
        if not on_body.all():
            options["alpha"] = on_body.astype(float)
        ax.imshow(image, cmap=values.cmap, norm=norm, **options)
    ax.set_xlim(limits[0])
    ax.set_ylim(limits[1])
    ax.set_aspect(limits[2])
    return values


def _draw_bar(ax: Any, plane: Plane, values: Any, label: str, *, beside: bool) -> None:
    """Draw a colour bar: beside a new map and as high as it, or taking a part of the room of the user's axes."""
    if beside:
        # Projected maps have the labels of parallels at their sides
        place = {"cax": ax.inset_axes((1.03 if plane.geographic else 1.1, 0.0, 0.035, 1.0))}
    else:
        place = {"ax": ax, "shrink": 0.75, "pad": 0.02}
    bar = ax.get_figure().colorbar(values, label=label, **place)
    bar.ax.tick_params(labelsize=8)


def _has_bar(da: xr.DataArray | None, look: Look) -> bool:
    """Whether a map has a colour bar."""
    return da is not None and (bool(da.attrs.get("units")) if look.colorbar is None else bool(look.colorbar))


def _draw(ax: Any, plane: Plane, drawing: Drawing, look: Look, line: dict[str, Any]) -> None:
    collections = require("matplotlib.collections", extra="plot")
    colors = require("matplotlib.colors", extra="plot")
    if drawing.ink is not None and drawing.ink.any():
        ink = drawing.ink
        full = np.percentile(ink[ink > 0], 99.5)
        shade = np.zeros((*ink.shape, 4))
        shade[..., :3] = colors.to_rgb(look.color)
        shade[..., 3] = np.clip(np.sqrt(ink / full), 0.0, 1.0) * look.alpha
        limits = ax.get_xlim(), ax.get_ylim(), ax.get_aspect()
        ax.imshow(shade, extent=plane.extent, origin="upper", interpolation="antialiased", zorder=1.5)
        ax.set_xlim(limits[0])
        ax.set_ylim(limits[1])
        ax.set_aspect(limits[2])
    width = 0.8 if len(drawing.lines) < 2000 else 0.5
    options = {"colors": look.color, "alpha": look.alpha, "linewidths": line.pop("lw", width), "zorder": 2} | line
    try:
        ax.add_collection(collections.LineCollection(drawing.lines, **options), autolim=False)
    except (AttributeError, TypeError, ValueError) as err:  # what matplotlib raises for unknown properties
        raise PlotError(
            f"the outlines cannot be drawn: {err}. Properties of lines are those of matplotlib's LineCollection, such "
            "as color='red', alpha=0.5, lw=1"
        ) from err


def _finish(ax: Any, plane: Plane, cdb: CraterTable, region: str, look: Look, *, over_image: bool) -> None:
    if plane.geographic:
        if look.grid:
            furniture.degrees_along_axes(ax)
        ax.set_xlabel("longitude", fontsize=9)
        ax.set_ylabel("latitude", fontsize=9)
    else:
        ax.set_xticks([])
        ax.set_yticks([])
        if not np.isfinite(plane.places()[0][[0, 0, -1, -1], [0, -1, 0, -1]]).any():
            ax.set_frame_on(False)  # the rim of a globe takes the place of the frame
        if look.grid:
            furniture.graticule(ax, plane, over_image=over_image)
            # The layout engine does not allow for every label beside a map of fixed aspect
            ax.get_figure().get_layout_engine().set(w_pad=0.15)
    if look.scale_bar:
        furniture.scale_bar(ax, plane.metres())
    title = f"{cdb}{' ' + region if region else ''}" if look.title is None else look.title
    ax.set_title(title, fontsize=10, pad=6 if plane.geographic else 12)
