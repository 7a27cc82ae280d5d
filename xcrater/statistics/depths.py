"""Depths of craters and what goes with them: rim, floor and background elevation, rim height, slope of the wall."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xcrater import kernels
from xcrater.engine import graph
from xcrater.engine.drawn import Drawn
from xcrater.engine.neighbours import Exclude
from xcrater.engine.plan import Tile
from xcrater.engine.reduction import Output, Reduction
from xcrater.engine.region_set import RegionSet
from xcrater.engine.request import make_request
from xcrater.errors import GridError, RegionError, StatisticError, XcraterError
from xcrater.geometry.areas import pixel_areas
from xcrater.geometry.places import lonlat, seen_from
from xcrater.raster.reading import Raster
from xcrater.raster.values import classify, kernel_block, missing
from xcrater.statistics import zonal
from xcrater.table.regions import Annulus

if TYPE_CHECKING:
    from xcrater.table.crater_table import CraterTable

Array = NDArray[Any]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Limits = tuple[float, float]

METRES = {
    **dict.fromkeys(("m", "metre", "metres", "meter", "meters"), 1.0),
    **dict.fromkeys(("km", "kilometre", "kilometres", "kilometer", "kilometers"), 1000.0),
}
"""Metres in a unit of elevation."""

SPREAD = 5.0
"""Percentage points to either side of a percentile between which the density of elevations is taken."""

PIECE = 2**18
"""Pixels that are worked on at once."""


def depths(
    da: xr.DataArray,
    cdb: CraterTable,
    *,
    rim: Limits = (0.99, 1.01),
    floor: Limits = (0.0, 0.4),
    wall: Limits = (0.7, 0.9),
    background: Limits | None = None,
    method: str = "mean",
    percentiles: tuple[float, float] = (60, 3),
    detrend: str | None = None,
    plane: Limits = (2.0, 3.0),
    nvert: int | None = None,
    coverage: str = "exact",
    weights: str | None = None,
    nodata: float | int | None = None,
    exclude: Exclude | float | None = None,
) -> xr.Dataset:
    """Depths of craters on an elevation model; see `CratersAccessor.depths`."""
    if method not in ("mean", "percentile"):
        raise XcraterError(f"received method={method!r}; expected 'mean' or 'percentile'")
    if detrend not in (None, "plane"):
        raise XcraterError(f"received detrend={detrend!r}; expected None or 'plane'")
    if weights is not None and str(weights) != "area":
        raise StatisticError(f"received weights={weights!r}; expected None, or 'area' for each pixel's true area")
    inner, outer = _limits("wall", wall)
    middle = (inner + outer) / 2
    limits = {"rim": rim, "floor": floor, "wall, lower": (inner, middle), "wall, upper": (middle, outer)}
    if background is not None:
        limits["background"] = background
    if detrend is not None:
        limits["plane"] = plane
    zones = {name: Annulus(*_limits(name, given), nvert) for name, given in limits.items()}
    ranks = dict(zip(("rim", "floor"), _ranks(percentiles), strict=True)) if method == "percentile" else {}
    factor, said = _units(da)

    options: Any = {"coverage": coverage, "nodata": nodata, "weights": weights, "exclude": exclude}
    stats = (_above_planes if detrend else _as_they_are)(da, cdb, zones, ranks, options)
    made = Derive(tuple(zones), tuple(ranks.items()), (inner, middle, outer), factor)
    arrays = [stats[name][of_zone] for name in zones for of_zone in made.needs(name)]
    names = made.names()
    results = xr.apply_ufunc(
        made, *arrays, arrays[0]["radius"], output_core_dims=[[]] * len(names), dask="parallelized",
        output_dtypes=[arrays[0].dtype if name.endswith("_count") else np.dtype("f8") for name in names],
    )  # fmt: skip
    out = xr.Dataset(attrs={"body": cdb.body, "coverage": coverage, "method": method, "elevation_units": said})
    out.attrs |= {name: list(given) for name, given in limits.items() if "," not in name} | {"wall": list(wall)}
    out.attrs |= {"percentiles": list(percentiles)} if ranks else {}
    out.attrs |= {"weights": weights} if weights else {}
    out.attrs |= {"detrend": detrend} if detrend else {}
    for name, array in zip(names, results, strict=True):
        out[name] = array
        out[name].attrs = _attrs(name, bool(detrend))
    return out


def _attrs(name: str, above_plane: bool) -> dict[str, str]:
    """What is said of a variable."""
    if name.endswith("_count"):
        return {"long_name": f"pixels with values, {name.removesuffix('_count')}", "units": "1"}
    of = name.removesuffix("_error")
    above = "height above the plane" if above_plane else "elevation"
    long_name, units = {
        "depth": ("depth, rim to floor", "m"),
        "rim_height": ("height of the rim above the background", "m"),
        "depth_diameter": ("depth by diameter", "1"),
        "wall_slope": ("slope of the wall, up outwards", "degrees"),
    }.get(of, (f"{above} of the {of}", "m"))
    return {"long_name": long_name if of == name else f"standard error of: {long_name}", "units": units}


@dataclass(frozen=True)
class Derive:
    """Statistics of zones to depths and what goes with them.

    One function of whole arrays, so that a lazy result has one more task rather than one for every operation.

    Parameters
    ----------
    zones : tuple of str
        The zones, in order.
    ranks : tuple of (str, float)
        Zones of which percentiles are taken, and which.
    wall : tuple of float
        Inner limit, middle and outer limit of the wall, in crater radii.
    factor : float
        Metres in a unit of elevation.
    """

    zones: tuple[str, ...]
    ranks: tuple[tuple[str, float], ...]
    wall: tuple[float, float, float]
    factor: float

    def needs(self, zone: str) -> list[str]:
        """The statistics of a zone that are taken, in order."""
        ranks = dict(self.ranks)
        if zone not in ranks:
            return ["count", "mean", "std"]
        p, h = ranks[zone], _spread(ranks[zone])
        return ["count", *dict.fromkeys(_percentile(at) for at in (p, p - h, p + h))]

    def names(self) -> list[str]:
        """What is made of them, in order."""
        levels = [zone for zone in ("rim", "floor", "background") if zone in self.zones]
        values = [*levels, "depth", *(["rim_height"] if "background" in levels else []), "depth_diameter", "wall_slope"]
        counts = [zone for zone in self.zones if "," not in zone] + ["wall"]
        return [value + suffix for value in values for suffix in ("", "_error")] + [f"{zone}_count" for zone in counts]

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        """Values and standard errors, in the order of the names; the last array has the craters' radii in metres."""
        given, radius = iter(arrays[:-1]), arrays[-1]
        out: dict[str, Array] = {}
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            for zone in self.zones:
                found = {name: next(given) for name in self.needs(zone)}
                out[f"{zone}_count"] = found["count"]
                out[zone], out[f"{zone}_error"] = self._level(zone, found)
            self._subtract(out, "depth", "rim", "floor")
            for suffix in ("", "_error"):
                out[f"depth_diameter{suffix}"] = out[f"depth{suffix}"] / (2 * radius)
            if "background" in self.zones:
                self._subtract(out, "rim_height", "rim", "background")
            inner, middle, outer = self.wall
            self._subtract(out, "rise", "wall, upper", "wall, lower")
            run = radius * (_mean_distance(middle, outer) - _mean_distance(inner, middle))
            slope = out["rise"] / run
            out["wall_slope"] = np.degrees(np.arctan(slope))
            out["wall_slope_error"] = np.degrees(out["rise_error"] / run / (1 + slope**2))
        out["wall_count"] = out["wall, lower_count"] + out["wall, upper_count"]
        return tuple(out[name] for name in self.names())

    def _level(self, zone: str, found: Mapping[str, Array]) -> tuple[Array, Array]:
        """Elevation of a zone and its standard error."""
        n = np.where(found["count"] > 1, found["count"], np.nan)  # one pixel alone says nothing of how they scatter
        if "mean" in found:
            return self.factor * found["mean"], self.factor * found["std"] / np.sqrt(n)
        p = dict(self.ranks)[zone]
        h = _spread(p)
        density = 2 * h / (found[_percentile(p + h)] - found[_percentile(p - h)]) if h else np.full(n.shape, np.nan)
        return self.factor * found[_percentile(p)], self.factor * np.sqrt(p * (100 - p) / n) / density

    @staticmethod
    def _subtract(out: dict[str, Array], name: str, one: str, other: str) -> None:
        out[name] = out[one] - out[other]
        out[f"{name}_error"] = np.hypot(out[f"{one}_error"], out[f"{other}_error"])


def _limits(name: str, given: object) -> Limits:
    if not isinstance(given, list | tuple) or len(given) != 2:
        raise RegionError(
            f"received {name}={given!r}; expected its inner and outer limit in crater radii, such as {name}=(0.9, 1.1)"
        )
    ring = Annulus(*given)  # which says what is wrong with them
    return float(ring.inner), float(ring.outer)


def _ranks(given: object) -> tuple[float, float]:
    pair = given if isinstance(given, list | tuple) and len(given) == 2 else ()
    if not pair or not all(isinstance(rank, int | float) and 0 <= rank <= 100 for rank in pair):
        raise StatisticError(
            f"received percentiles={given!r}; expected that of the rim and that of the floor, from 0 to 100, such as "
            "percentiles=(60, 3)"
        )
    return float(pair[0]), float(pair[1])


def _units(da: xr.DataArray) -> tuple[float, str]:
    """Metres in the raster's unit, and what is said of it."""
    given = da.attrs.get("units")
    named = {str(unit).strip().lower() for unit in (given if isinstance(given, list | tuple) else [given])}
    if given is None or named <= {"", "none"}:
        return 1.0, "m, assumed: the raster names none"
    found = {METRES.get(unit) for unit in named}
    factor = found.pop()
    if factor is None or found:
        raise GridError(
            f"received elevations in units of {given!r}; expected 'm' or 'km'. If they are metres, say so: "
            'da = da.assign_attrs(units="m")'
        )
    return factor, ", ".join(sorted(named))


def _spread(p: float) -> float:
    return min(SPREAD, p, 100.0 - p)


def _percentile(p: float) -> str:
    return f"percentile_{p!r}"


def _wanted(ranks: Mapping[str, float]) -> list[str]:
    """The percentiles at some ranks and around them."""
    return list(dict.fromkeys(_percentile(p + h) for p in ranks.values() for h in (0.0, -_spread(p), _spread(p))))


def _mean_distance(inner: float, outer: float) -> float:
    """Mean distance from the centre of the points of a flat ring."""
    return 2 / 3 * (outer**3 - inner**3) / (outer**2 - inner**2)


def _as_they_are(
    da: xr.DataArray, cdb: CraterTable, zones: Mapping[str, Annulus], ranks: Mapping[str, float], options: Any
) -> dict[str, xr.Dataset]:
    """Statistics of each zone: count, mean and std, or count and percentiles."""
    parts = [([name for name in zones if name not in ranks], ["mean", "std", "count"])]
    if ranks:
        parts.append((list(ranks), ["count", *_wanted(ranks)]))
    found: dict[str, xr.Dataset] = {}
    for names, stats in parts:
        dataset = zonal.get_stats(da, cdb, {name: zones[name] for name in names}, stats, **options)
        found |= {name: dataset.sel(region=name, drop=True) for name in names}
    return found


def _above_planes(
    da: xr.DataArray, cdb: CraterTable, zones: Mapping[str, Annulus], ranks: Mapping[str, float], options: Any
) -> dict[str, xr.Dataset]:
    """The same of heights above a plane of each crater's own."""
    given = {name: options[name] for name in ("coverage", "nodata", "exclude")}
    request = make_request(da, cdb, zones, **given)
    raster, names = request.raster, request.names
    leaf = PlaneLeaf(request.shapes, raster, options["weights"] is not None, tuple(names.index(name) for name in ranks))
    finish = PlaneFinish(len(request.craters), len(names), names.index("plane"), tuple(_wanted(ranks)))
    made = Output((len(names), len(request.craters)), "float64")
    results = graph.reduce_tiles(
        request.da,
        request.plan(),
        Reduction(leaf, merge, finish, dict.fromkeys(("mean", "std", "count", *finish.percentiles), made)),
        token=(request.craters, leaf, finish),
    )
    dims = (*raster.extra_dims, "region", "crater")
    dataset = xr.Dataset(
        {name: (dims, array) for name, array in results.items()},
        {**request.image_coordinates(), **request.coordinates(), "region": names},
    )
    if not request.shapes.exact:
        dataset["count"] = dataset["count"].astype("int64")
    return {name: dataset.sel(region=name, drop=True) for name in names}


COUNT, WEIGHT, MEAN, PRODUCTS = 0, 1, slice(2, 5), slice(5, 11)
"""Slots of an accumulator: pixels, their weights, the means of x, y and z, and sums of products of deviations."""

PAIRS = ((0, 0, 1, 0, 1, 2), (0, 1, 1, 2, 2, 2))
"""Of which two of x, y and z each of those products is: xx, xy, yy, xz, yz, zz."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """Single pixels of some zones.

    Parameters
    ----------
    at : ndarray of int64, shape (3, n)
        Image, region and crater row.
    values : ndarray, shape (4, n)
        x, y, elevation and weight.
    """

    at: Ints
    values: Floats


@dataclass(frozen=True, eq=False)
class Moments:
    """What some tiles found of their craters' zones.

    Parameters
    ----------
    row : ndarray of int32, shape (n,)
        Positions of the craters in the table, ascending.
    sums : ndarray, shape (n, region, image, 11)
        Their accumulators.
    pixels : list of Pixels
        Where percentiles are wanted.
    """

    row: NDArray[np.int32]
    sums: Floats
    pixels: list[Pixels] = field(default_factory=list)


@dataclass(frozen=True)
class PlaneLeaf:
    """A tile's moments of place and elevation, in every zone of its craters.

    Places are x eastward and y northward in the crater's azimuthal equidistant frame, in crater radii.

    Parameters
    ----------
    shapes : RegionSet
        The zones.
    raster : Raster
        The raster.
    by_area : bool
        Whether pixels weigh by their area.
    kept : tuple of int
        Zones whose pixels are kept one by one.
    """

    shapes: RegionSet
    raster: Raster
    by_area: bool
    kept: tuple[int, ...]

    def __call__(self, block: Array, tile: Tile) -> Moments:
        """Collect from one tile."""
        images = block.reshape(-1, *block.shape[-2:])
        regions = len(self.shapes)
        groups = np.zeros((len(tile.craters) * regions, len(images), 11))
        kept: list[Pixels] = []
        areas = np.ones((1, 1))
        if self.by_area:
            areas = pixel_areas(*self.raster.surface, tile.window, whole=True)
        if self.shapes.closed:
            self._sum(images, tile, areas, groups.reshape(-1, regions, len(images), 11))
        areas = np.broadcast_to(areas, block.shape[-2:])
        numbers = list(self.kept) if self.shapes.closed else list(range(regions))
        for _, shapes in self.shapes.of(numbers).parts():
            for drawn in shapes.draw(tile.craters, tile.window):
                for group, row, col, cover in _pixels(drawn):
                    crater, region = np.divmod(group, len(numbers))
                    crater, region = crater + drawn.craters.start, np.array(numbers)[region]
                    lon, lat = lonlat(self.raster.grid, col + 0.5, row + 0.5)
                    distance, azimuth = seen_from(self.raster.grid, tile.craters.take(crater), lon, lat)
                    x, y = distance * np.sin(np.radians(azimuth)), distance * np.cos(np.radians(azimuth))
                    r, c = row - tile.window[0], col - tile.window[2]
                    weight = cover * areas[r, c]
                    for n, image in enumerate(images):
                        z, valid = self._values(image, r, c)
                        valid &= np.isfinite(x) & (cover > 0)
                        xyz = np.stack([x[valid], y[valid], z[valid]])
                        if not self.shapes.closed:
                            at = (crater * regions + region)[valid]
                            _add(groups[:, n], at, cover[valid], weight[valid], xyz)
                        some = np.isin(region[valid], self.kept)
                        if some.any():
                            whose = tile.craters.row[crater[valid][some]]
                            at = np.stack([np.full(whose.size, n), region[valid][some], whose])
                            kept.append(Pixels(at, np.concatenate([xyz[:, some], weight[valid][None, some]])))
        return Moments(tile.craters.row, groups.reshape(-1, regions, len(images), 11), kept)

    def _sum(self, images: Array, tile: Tile, areas: Floats, out: Floats) -> None:
        """Moments on a grid with a closed form, of shape (craters, regions, images, 11)."""
        shapes, grid, craters = self.shapes, self.raster.grid, tile.craters
        across = np.empty((2, tile.window[3] - tile.window[2]))
        east, areas = float(np.radians(grid.lon_step)), np.ascontiguousarray(areas)
        blocks = [kernel_block(image) for image in images]
        coded = [
            kernels.Pixels(np.ascontiguousarray(np.ma.getdata(b)), *classify(b, self.raster.nodata), None)
            for b in blocks
        ]
        for drawn in shapes.draw(craters, tile.window):
            some = drawn.craters
            caps = craters.take(some).caps()
            at = (drawn.record(), caps, shapes.grid, east, tile.window, areas, across)
            for n, image in enumerate(coded):
                kernels.place_moments(image, *at, out[some, :, n])
        if self.raster.decodes:
            scale = self.raster.scale
            out[..., MEAN.stop - 1] = self.raster.decode(out[..., MEAN.stop - 1])
            out[..., PRODUCTS.stop - 3 : PRODUCTS.stop] *= [scale, scale, scale * scale]

    def _values(self, image: Array, row: Ints, col: Ints) -> tuple[Floats, NDArray[np.bool_]]:
        """Values of some pixels, and which of them there are."""
        pixels = image[row, col]
        z = np.asarray(self.raster.decode(np.ma.getdata(pixels)), dtype=np.float64)
        return z, ~missing(pixels, self.raster.nodata)


def _pixels(drawn: Drawn) -> Iterator[tuple[Ints, Ints, Ints, Floats]]:
    """Pixels of all regions, some at a time: number of the crater times regions plus region, row, column, fraction."""
    begin, runs = drawn.offset[..., 0].ravel(), (drawn.offset[..., 1] - drawn.offset[..., 0]).ravel()
    group = np.repeat(np.arange(begin.size), runs)
    run = np.repeat(begin - (np.cumsum(runs) - runs), runs) + np.arange(group.size)
    length = drawn.runs[2, run] - drawn.runs[1, run]
    past = np.cumsum(length)
    first = 0
    while first < run.size:
        before = past[first] - length[first]
        stop = max(first + 1, int(np.searchsorted(past, before + PIECE, "right")))
        some, n = run[first:stop], length[first:stop]
        start = np.cumsum(n) - n
        col = np.repeat(drawn.runs[1, some] - start, n) + np.arange(int(n.sum()))
        row, weight = np.repeat(drawn.runs[0, some], n), np.repeat(drawn.weight[some], n)
        yield np.repeat(group[first:stop], n), row, col, weight
        first = stop


def _add(sums: Floats, group: Ints, cover: Floats, weight: Floats, xyz: Floats) -> None:
    """Add pixels, in the order of their groups, to the accumulators of these, of shape (group, 11)."""
    if not group.size:
        return
    first, count = int(group[0]), int(group[-1] - group[0] + 1)
    group = group - first
    new = np.zeros((count, 11))
    new[:, COUNT] = np.bincount(group, cover, count)
    new[:, WEIGHT] = np.bincount(group, weight, count)
    mass = np.where(new[:, WEIGHT] > 0, new[:, WEIGHT], 1.0)
    with np.errstate(invalid="ignore"):  # of infinities
        mean = np.stack([np.bincount(group, weight * at, count) / mass for at in xyz])
        # Twice, so that a mean far from 0 costs the deviations no digits
        mean += np.stack([np.bincount(group, weight * d, count) / mass for d in xyz - mean[:, group]])
        away = xyz - mean[:, group]
        new[:, MEAN] = mean.T
        for slot, i, j in zip(range(PRODUCTS.start, PRODUCTS.stop), *PAIRS, strict=True):
            new[:, slot] = np.bincount(group, weight * away[i] * away[j], count)
    sums[first : first + count] = _together(sums[first : first + count], new)


def _together(one: Floats, two: Floats) -> Floats:
    """Accumulators of both (Chan, Golub & LeVeque 1983, of several variables)."""
    out = one + two
    share = two[..., WEIGHT] / np.where(out[..., WEIGHT] > 0, out[..., WEIGHT], 1.0)
    with np.errstate(invalid="ignore"):
        apart = two[..., MEAN] - one[..., MEAN]
        out[..., MEAN] = one[..., MEAN] + apart * share[..., None]
        products = apart[..., list(PAIRS[0])] * apart[..., list(PAIRS[1])]
        out[..., PRODUCTS] += products * (one[..., WEIGHT] * share)[..., None]
    return out


def merge(parts: Sequence[Moments]) -> Moments:
    """Merge what tiles found, in the order given."""
    pixels = [piece for part in parts for piece in part.pixels]
    parts = [part for part in parts if part.row.size]
    if len(parts) < 2:
        first = parts[0] if parts else Moments(np.empty(0, np.int32), np.empty((0, 0, 0, 11)))
        return Moments(first.row, first.sums, pixels)
    row = np.unique(np.concatenate([part.row for part in parts]))
    sums = np.zeros((row.size, *parts[0].sums.shape[1:]))
    for part in parts:
        at = np.searchsorted(row, part.row)
        sums[at] = _together(sums[at], part.sums)
    return Moments(row, sums, pixels)


@dataclass(frozen=True)
class PlaneFinish:
    """Moments of all tiles to statistics of heights above each crater's plane.

    Parameters
    ----------
    craters, regions : int
        Length of the table, and number of zones.
    plane : int
        The zone to which the plane is fitted.
    percentiles : tuple of str
        Those wanted of the zones whose pixels were kept.
    """

    craters: int
    regions: int
    plane: int
    percentiles: tuple[str, ...]

    def __call__(self, found: Moments, images: int) -> dict[str, Floats]:
        """Finish; each array of shape (images, regions, craters)."""
        sums = np.zeros((self.craters, self.regions, images, 11))
        if found.row.size:
            sums[found.row] = found.sums
        sums = sums.transpose(2, 1, 0, 3)
        east, north = self._tilt(sums[:, self.plane])
        xx, xy, yy, xz, yz, zz = np.moveaxis(sums[..., PRODUCTS], -1, 0)
        weight = np.where(sums[..., WEIGHT] > 0, sums[..., WEIGHT], np.nan)
        a, b = east[:, None], north[:, None]
        with np.errstate(invalid="ignore"):
            away = sums[..., MEAN] - sums[:, self.plane, None, :, MEAN]
            mean = np.where(weight > 0, away[..., 2] - a * away[..., 0] - b * away[..., 1], np.nan)
            square = zz - 2 * (a * xz + b * yz) + a * a * xx + 2 * a * b * xy + b * b * yy
            std = np.sqrt(np.maximum(square, 0.0) / weight)
        out = {"mean": mean, "std": std, "count": sums[..., COUNT]}
        if self.percentiles:
            level = sums[:, self.plane, :, MEAN]
            tilt = level[..., 2] - east * level[..., 0] - north * level[..., 1], east, north
            out |= self._percentiles(found.pixels, tilt, images)
        return out

    @staticmethod
    def _tilt(sums: Floats) -> tuple[Floats, Floats]:
        """Slopes of the plane along x and y, by least squares; NaN where pixels lie on one line or there are none."""
        xx, xy, yy, xz, yz, _ = np.moveaxis(sums[..., PRODUCTS], -1, 0)
        with np.errstate(invalid="ignore"):
            squares = xx * yy - xy * xy
            squares = np.where(squares > 1e-9 * (xx + yy) ** 2, squares, np.nan)
            return (yy * xz - xy * yz) / squares, (xx * yz - xy * xz) / squares

    def _percentiles(
        self, pixels: Sequence[Pixels], tilt: tuple[Floats, Floats, Floats], images: int
    ) -> dict[str, Floats]:
        shape = (images, self.regions, self.craters)
        at = np.concatenate([np.empty((3, 0), np.int64), *(p.at for p in pixels)], axis=1)
        x, y, z, weight = np.concatenate([np.empty((4, 0)), *(p.values for p in pixels)], axis=1)
        plane, east, north = (of[at[0], at[2]] for of in tilt)
        height = z - plane - east * x - north * y
        group = np.ravel_multi_index(tuple(at), shape)
        order = np.lexsort((weight, height, group))
        order = order[np.isfinite(plane[order]) & (weight[order] > 0)]
        group = group[order]
        offsets = np.searchsorted(group, np.arange(int(np.prod(shape)) + 1))
        ranks = np.array([float(name.partition("_")[2]) / 100 for name in self.percentiles])
        out = np.empty((offsets.size - 1, ranks.size))
        kernels.weighted_quantiles(height[order], weight[order], offsets, ranks, out)
        return {name: out[:, k].reshape(shape) for k, name in enumerate(self.percentiles)}
