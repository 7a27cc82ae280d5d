"""Statistics of elevations above a plane that is fitted to each crater's surroundings."""

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
from xcrater.engine.plan import Tile
from xcrater.engine.reduction import Output, Reduction
from xcrater.engine.region_set import RegionSet
from xcrater.engine.request import make_request
from xcrater.engine.sized import Sized
from xcrater.geometry.areas import pixel_areas
from xcrater.geometry.places import lonlat, seen_from
from xcrater.raster.reading import Raster
from xcrater.raster.values import classify, kernel_block, missing
from xcrater.table.regions import Annulus

if TYPE_CHECKING:
    from xcrater.table.crater_table import CraterTable

Array = NDArray[Any]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

PIECE = 2**18
"""Number of pixels that are processed at a time."""


def above_planes(
    da: xr.DataArray,
    cdb: CraterTable,
    zones: Mapping[str, Annulus],
    ranked: Sequence[str],
    percentiles: Sequence[str],
    *,
    weights: str | None,
    **options: Any,
) -> dict[str, xr.Dataset]:
    """Statistics of each zone's heights above the plane that best fits the zone "plane" of the same crater.

    Parameters
    ----------
    da : xarray.DataArray
        The elevations.
    cdb : CraterTable
        The craters.
    zones : mapping of str to Annulus
        The zones, one of which is "plane".
    ranked : sequence of str
        Zones for which percentiles are requested.
    percentiles : sequence of str
        Names of the percentiles, such as "percentile_60.0".
    weights : {"area"} or None
        Whether pixels are weighted by their true area.
    **options
        Coverage, nodata and exclude, as `make_request` takes them.

    Returns
    -------
    dict of str to xarray.Dataset
        For each zone mean, std and count, and the percentiles if requested.
    """
    request = make_request(da, cdb, zones, **options)
    raster, names = request.raster, request.names
    leaf = PlaneLeaf(request.shapes, raster, weights is not None, tuple(names.index(name) for name in ranked))
    finish = PlaneFinish(len(request.craters), len(names), names.index("plane"), tuple(percentiles))
    made = Output((len(names), len(request.craters)), "float64")
    results = graph.reduce_rounds(
        request.da,
        [graph.Round(list(request.plan()))],
        Reduction(leaf, merge, finish, dict.fromkeys(("mean", "std", "count", *finish.percentiles), made)),
        token=(request.craters, leaf, finish),
    )
    dims = (*raster.extra_dims, "region", "crater")
    dataset = xr.Dataset(
        {name: (dims, array) for name, array in results.items()},
        {**request.image_coordinates(), **request.coordinates(), "region": request.region_coordinate()},
    )
    if not request.shapes.exact:
        dataset["count"] = dataset["count"].astype("int64")
    return {name: dataset.sel(region=name, drop=True) for name in names}


COUNT, WEIGHT, MEAN, PRODUCTS = 0, 1, slice(2, 5), slice(5, 11)
"""Slots of an accumulator: number of pixels (or sum of fractions covered), sum of weights, means of x, y and z, and
sums of products of deviations from these."""

PAIRS = ((0, 0, 1, 0, 1, 2), (0, 1, 1, 2, 2, 2))
"""The two of x, y and z (0, 1, 2) that each of those products multiplies: xx, xy, yy, xz, yz, zz."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """Single pixels of some zones.

    Parameters
    ----------
    at : ndarray of int64, shape (3, n)
        Image, region and row of the crater table of each pixel.
    values : ndarray, shape (4, n)
        x, y, elevation and weight.
    """

    at: Ints
    values: Floats


@dataclass(frozen=True, eq=False)
class Moments(Sized):
    """Moments of the zones of some craters, from one tile or several.

    Parameters
    ----------
    row : ndarray of int32, shape (n,)
        Positions of the craters in the table, ascending.
    sums : ndarray, shape (n, region, image, 11)
        Accumulators of the craters.
    pixels : list of Pixels
        Single pixels of the zones for which percentiles are requested.
    """

    row: NDArray[np.int32]
    sums: Floats
    pixels: list[Pixels] = field(default_factory=list)


@dataclass(frozen=True)
class PlaneLeaf:
    """Computes a tile's moments of position and elevation in every zone of its craters.

    Positions are x eastward and y northward in the crater's azimuthal equidistant frame, in crater radii.

    Parameters
    ----------
    shapes : RegionSet
        The zones.
    raster : Raster
        The elevations.
    by_area : bool
        Whether pixels are weighted by their true area.
    kept : tuple of int
        Positions of the zones whose pixels are kept one by one, for percentiles.
    """

    shapes: RegionSet
    raster: Raster
    by_area: bool
    kept: tuple[int, ...]

    def __call__(self, block: Array, tile: Tile) -> Moments:
        """Accumulate one tile."""
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
        blocks = [kernel_block(image, self.raster.nodata) for image in images]
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
        """Values of some pixels, and which of the pixels have one."""
        pixels = image[row, col]
        z = np.asarray(self.raster.decode(np.ma.getdata(pixels)), dtype=np.float64)
        return z, ~missing(pixels, self.raster.nodata)


def _pixels(drawn: Drawn) -> Iterator[tuple[Ints, Ints, Ints, Floats]]:
    """Yield the pixels of all regions in batches.

    Yields
    ------
    tuple of ndarray, shape (pixels,)
        Position of the crater times the number of regions, plus the position of the region; row; column; fraction
        covered.
    """
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
    """Add pixels, sorted by group, to the accumulators of their groups, shape (groups, 11)."""
    if not group.size:
        return
    first, count = int(group[0]), int(group[-1] - group[0] + 1)
    group = group - first
    new = np.zeros((count, 11))
    new[:, COUNT] = np.bincount(group, cover, count)
    new[:, WEIGHT] = np.bincount(group, weight, count)
    mass = np.where(new[:, WEIGHT] > 0, new[:, WEIGHT], 1.0)
    with np.errstate(invalid="ignore"):  # infinite elevations give inf - inf
        mean = np.stack([np.bincount(group, weight * at, count) / mass for at in xyz])
        # A second pass refines the mean, so that deviations lose no digits to a mean far from 0.
        mean += np.stack([np.bincount(group, weight * d, count) / mass for d in xyz - mean[:, group]])
        away = xyz - mean[:, group]
        new[:, MEAN] = mean.T
        for slot, i, j in zip(range(PRODUCTS.start, PRODUCTS.stop), *PAIRS, strict=True):
            new[:, slot] = np.bincount(group, weight * away[i] * away[j], count)
    sums[first : first + count] = _together(sums[first : first + count], new)


def _together(one: Floats, two: Floats) -> Floats:
    """Merge two sets of accumulators (Chan, Golub & LeVeque 1983, for several variables)."""
    out = one + two
    share = two[..., WEIGHT] / np.where(out[..., WEIGHT] > 0, out[..., WEIGHT], 1.0)
    with np.errstate(invalid="ignore"):
        apart = two[..., MEAN] - one[..., MEAN]
        out[..., MEAN] = one[..., MEAN] + apart * share[..., None]
        products = apart[..., list(PAIRS[0])] * apart[..., list(PAIRS[1])]
        out[..., PRODUCTS] += products * (one[..., WEIGHT] * share)[..., None]
    return out


def merge(parts: Sequence[Moments]) -> Moments:
    """Merge moments of tiles, in the order given."""
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
    """Turns the moments of all tiles into statistics of heights above each crater's plane.

    Parameters
    ----------
    craters, regions : int
        Number of craters, and of zones.
    plane : int
        Position of the zone to which the plane is fitted.
    percentiles : tuple of str
        Names of the percentiles of the zones whose pixels were kept.
    """

    craters: int
    regions: int
    plane: int
    percentiles: tuple[str, ...]

    def __call__(self, found: Moments, images: int) -> dict[str, Floats]:
        """Return the array of each statistic, shape (images, regions, craters)."""
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
        """Least-squares slopes of the plane along x and y; NaN if there are no pixels or all lie on one line."""
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
        squares = np.empty(offsets.size - 1)
        kernels.sum_squares(weight[order], offsets, squares)
        kernels.weighted_quantiles(height[order], weight[order], squares, offsets, ranks, out)
        return {name: out[:, k].reshape(shape) for k, name in enumerate(self.percentiles)}
