"""The pixels themselves: for every crater and region a masked array over the region's bounding box."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from xcrater import formatting
from xcrater.engine import graph
from xcrater.engine.craters import Craters
from xcrater.engine.neighbours import Exclude
from xcrater.engine.plan import Plan, Tile
from xcrater.engine.request import Request, make_request
from xcrater.errors import RegionError
from xcrater.geometry.grid import Window
from xcrater.pixels import blocks as _blocks
from xcrater.pixels import functions
from xcrater.pixels.blocks import Blocks, Masked
from xcrater.pixels.cutting import Cut, Cutter, Pieces, make_cutter
from xcrater.pixels.labelled import to_dataset
from xcrater.pixels.ragged import Ragged, lay_out
from xcrater.table.regions import Region

if TYPE_CHECKING:
    from xcrater.table.crater_table import CraterTable


def get_arrays(
    da: xr.DataArray,
    cdb: CraterTable,
    regions: str | Iterable[str] | Mapping[str, Region],
    *,
    coverage: str | None = None,
    nodata: float | int | None = None,
    exclude: Exclude | float | None = None,
) -> CraterArrays:
    """The pixels of the regions of every crater; see `CratersAccessor.get_arrays`."""
    request = make_request(da, cdb, regions, coverage=coverage, nodata=nodata, exclude=exclude)
    request = functions.with_whole_images(request)
    return CraterArrays(request, request.plan())


class CraterArrays:
    """Pixels of every crater and region, read when computed.

    Made by ``da.craters.get_arrays``. ``arrays["rim"]`` is a sequence of lazy masked arrays, one per crater;
    ``arrays[["rim", "floor"]]`` has some of the regions, ``arrays.iloc[:10]`` and ``arrays.loc[...]`` some of the
    craters; ``arrays.compute()`` is a DataFrame of them all.

    Attributes
    ----------
    regions : list of str
        The regions.
    index : pandas.Index
        Labels of the craters.
    dtype : numpy.dtype
        Of the values.
    """

    def __init__(self, request: Request, plan: Plan | None = None) -> None:
        self._request = request
        self._given = plan
        self.regions = list(request.names)
        self.index: pd.Index[Any] = request.table.data.index
        if plan is None:
            self.index = self.index[request.craters.row]
        self.dtype = make_cutter(request).result_dtype

    @cached_property
    def _plan(self) -> Plan:
        return self._given or self._request.plan(warn=False)

    @cached_property
    def _source(self) -> Any:
        """The raster's pixels as a dask array, which keys of elements are named after."""
        return graph.to_dask(self._request.da)

    @cached_property
    def _positions(self) -> pd.Series[int]:
        return pd.Series(np.arange(len(self.index)), self.index)

    @cached_property
    def _alone(self) -> list[_Alone]:
        return [_Alone(self, k) for k in range(len(self.regions))]

    @overload
    def __getitem__(self, region: str) -> RegionArrays: ...
    @overload
    def __getitem__(self, region: list[str]) -> CraterArrays: ...
    def __getitem__(self, region: str | list[str]) -> RegionArrays | CraterArrays:
        names = [region] if isinstance(region, str) else list(region)
        for name in names:
            if name not in self.regions:
                listed = ", ".join(map(repr, self.regions))
                raise RegionError(f"received the region {name!r}; these arrays have {listed}")
        if isinstance(region, str):
            return RegionArrays(self, region)
        if not names or len(set(names)) < len(names):
            raise RegionError(f"received the regions {names!r}; expected some of these arrays', each once")
        return CraterArrays(self._request.of([self.regions.index(name) for name in names]))

    def __iter__(self) -> Iterator[str]:
        return iter(self.regions)

    def __len__(self) -> int:
        return len(self.regions)

    def __contains__(self, region: object) -> bool:
        return region in self.regions

    def __repr__(self) -> str:
        regions = ", ".join(self.regions)
        tiles = f"{len(self._plan)} tile{'s' if len(self._plan) != 1 else ''}"
        return (
            f"CraterArrays of {len(self.index)} craters with regions {regions}: lazy masked arrays of {self.dtype} "
            f"from {tiles if self._request.store is None else repr(self._request.store.path)}"
        )

    def _repr_html_(self) -> str:
        request, raster = self._request, self._request.raster
        shapes, sizes = request.shapes, [*request.da.sizes.items()][:-2]
        sizes += zip((raster.y_dim, raster.x_dim), raster.grid.shape, strict=True)
        chunks = " × ".join(str(max(np.diff(e))) for e in (raster.grid.row_edges, raster.grid.col_edges))
        regions = [
            f"{name} ({shapes.inner[k]:g} to {shapes.outer[k]:g} radii)" if shapes.outer[k] else f"{name} (polygons)"
            for k, name in enumerate(self.regions)
        ]
        rows = {
            "Craters": f"{len(self.index):,}",
            "Regions": ", ".join(regions),
            "Coverage": shapes.coverage,
            "Values": str(self.dtype),
            "Pixels": f"{formatting.size(self.nbytes)} of values",
            "Raster": " × ".join(f"{dim} {n}" for dim, n in sizes),
        }
        if request.store is not None:
            rows["Store"] = request.store.path
        else:
            rows["Raster"] += f", lazy, in chunks of {chunks}" if self.is_lazy else ", in memory"
            rows["Tiles"] = f"{len(self._plan):,}"
        return formatting.table("xcrater.CraterArrays: lazy masked arrays", rows)

    @property
    def is_lazy(self) -> bool:
        """Whether the pixels are yet to be read: of a raster backed by dask, or a store."""
        return graph.is_lazy(self._request.da)

    @cached_property
    def nbytes(self) -> int:
        """Bytes of the values of all arrays, masked pixels included."""
        lead = math.prod(self._request.da.shape[:-2])
        return lead * self.dtype.itemsize * sum(self.pixels(name) for name in self.regions)

    def pixels(self, region: str) -> int:
        """Number of pixels in one image of all the arrays of a region, masked ones included."""
        alone = self._alone[self.regions.index(region)]
        window = make_cutter(alone._request).windows(self._request.craters)[0]
        return int(((window[:, 1] - window[:, 0]) * (window[:, 3] - window[:, 2])).sum())

    def window(self, region: str, crater: int) -> Window:
        """Window of one crater's array on the raster's grid: first and last row, first and last column.

        Parameters
        ----------
        region : str
            Which region.
        crater : int
            Position of the crater in these arrays.
        """
        return self._alone[self.regions.index(region)].window(crater)

    def token(self) -> str:
        """What tells these arrays from those of another raster, table or request."""
        request = self._request
        return graph.token(self._source.name, make_cutter(request), request.craters, self.index, self.regions)

    def fractions(self, region: str, crater: int) -> Any:
        """How much of each pixel of one crater's array is inside of its region, lazy; for ``coverage="exact"``.

        Parameters
        ----------
        region : str
            Which region.
        crater : int
            Position of the crater in these arrays.
        """
        return self._alone[self.regions.index(region)].element(crater, fraction=True)

    def to_dataset(self, label: Any, region: str | None = None) -> xr.Dataset:
        """One crater's pixels with coordinates, ready for ``.plot()``.

        Parameters
        ----------
        label : object
            Of the crater, in the table's index.
        region : str, optional
            Which region; not needed where there is only one.

        Returns
        -------
        xarray.Dataset
            Dimensions (extra dimensions of the raster, y, x); lazy where the raster is. ``data``: values as floats, NaN
            outside of the region and where there is none. ``mask``: True for pixels of the region that hold a value,
            as `xarray.DataArray.where` takes it. ``coverage``: fraction of the pixel inside of the region, for
            ``coverage="exact"``. ``distance``: from the crater's centre, in crater radii. ``azimuth``: clockwise from
            north at the centre, degrees. ``x`` and ``y`` are the raster's, running on across the antimeridian; ``lon``
            (east) and ``lat`` (planetocentric) are in degrees, along x and y where the raster's columns are meridians
            and its rows parallels, else of each pixel.

        Raises
        ------
        KeyError
            There is no such crater, or there are several.
        RegionError
            There is no such region, or several of which none was named.

        Examples
        --------
        >>> import pandas as pd, xcrater
        >>> from xcrater import tutorial
        >>> table = pd.DataFrame({"lat": [10.0], "lon": [179.5], "radius": [50e3]}, index=["on the seam"])
        >>> cdb = xcrater.CraterDatabase(table, "moon")
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> ds = dem.craters.get_arrays(cdb, "rim").to_dataset("on the seam")
        >>> ds.lon.values[[0, -1]].tolist()
        [176.875, 182.125]
        >>> bool((ds.distance.where(ds.mask).max() < 1.7).compute())
        True
        """
        if region is None and len(self.regions) > 1:
            raise RegionError(
                f"received no region; these arrays have {', '.join(map(repr, self.regions))}: "
                f"arrays.to_dataset({label!r}, {self.regions[0]!r})"
            )
        name = self[self.regions[0] if region is None else region].name
        at = _Labels(self._positions)[label]
        if not isinstance(at, int):
            raise KeyError(f"received {label!r}; expected the label of one crater")
        return to_dataset(self, name, at)

    def to_ragged(self) -> dict[str, Ragged]:
        """The pixels of every crater laid out flat, for each region; read at once, each tile once.

        Returns
        -------
        dict of str to Ragged
            Values, mask, offsets, shapes and labels, craters in the order of these arrays; see `Ragged`.

        See Also
        --------
        to_zarr : for more than memory holds.

        Examples
        --------
        >>> import numpy as np, pandas as pd, xcrater
        >>> from xcrater import tutorial
        >>> table = pd.DataFrame({"lat": [10.0, 0.0], "lon": [20.0, 0.0], "radius": [50e3, 20e3]})
        >>> cdb = xcrater.CraterDatabase(table, "moon")
        >>> cdb.add_circles("floor", 1)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> floor = dem.craters.get_arrays(cdb, "floor").to_ragged()["floor"]
        >>> np.add.reduceat(~floor.mask, floor.offsets[:-1]).tolist(), floor.shapes.tolist()
        ([164, 32], [[14, 14], [6, 6]])
        """
        cutter, empty = make_cutter(self._request), np.empty(0, np.int64)
        values = np.empty((*self._request.da.shape[:-2], 0), self.dtype)
        like = Blocks(
            empty, np.empty((0, 4), np.int64), np.zeros(1, np.int64), values, values.astype(bool),
            np.empty(0) if self._request.shapes.exact else None, cutter.fill_value,
        )  # fmt: skip
        windows = dict(zip(self.regions, cutter.windows(self._request.craters), strict=True))
        return lay_out(self.iter_blocks(), windows, self.index, like)

    def to_zarr(self, path: str | os.PathLike[str], *, batch: int = 10_000, overwrite: bool = False) -> None:
        """Store the pixels of every crater, batch by batch; `xcrater.open_arrays` gives them back.

        Each tile is read once. What an interruption cuts short goes on with the same call: craters that are stored
        stay, and tiles on which only they lie are not read again.

        Parameters
        ----------
        path : path
            Of the store, a directory; also a URL that zarr writes.
        batch : int
            Craters that are written at a time; after an interruption as many at most are read again, and those that
            reach on to tiles yet to come.
        overwrite : bool
            Replace a store of crater arrays that is there.

        Raises
        ------
        StoreError
            There is something else, or a store of another raster, table or regions.
        ImportError
            zarr is not installed.

        Notes
        -----
        Memory holds what `iter_computed` needs. On a local disk a crash leaves each chunk as it was or as it should be.

        Examples
        --------
        >>> import tempfile
        >>> import pandas as pd, xcrater
        >>> from xcrater import tutorial
        >>> cdb = xcrater.CraterDatabase(pd.DataFrame({"lat": [10.0], "lon": [20.0], "radius": [50e3]}), "moon")
        >>> cdb.add_circles("floor", 1)
        >>> arrays = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb).craters.get_arrays(cdb, "floor")
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     arrays.to_zarr(f"{directory}/floor.zarr")
        ...     int(xcrater.open_arrays(f"{directory}/floor.zarr").compute()["floor"].iloc[0].count())
        164
        """
        from xcrater.pixels.store import write

        write(self, path, batch=batch, overwrite=overwrite)

    @property
    def iloc(self) -> Look[CraterArrays, dict[str, Any]]:
        """Some of the craters by position, as `pandas.Series.iloc` counts; of one crater, a dict of its arrays."""
        return Look(self._positions.iloc, self.take, self._one)

    @property
    def loc(self) -> Look[CraterArrays, dict[str, Any]]:
        """Some of the craters by label, as `pandas.Series.loc` does; of one crater, a dict of its arrays."""
        return Look(_Labels(self._positions), self.take, self._one)

    def head(self, n: int = 5) -> CraterArrays:
        """The first craters."""
        return self.iloc[:n]

    def tail(self, n: int = 5) -> CraterArrays:
        """The last craters."""
        return self.iloc[len(self.index) - min(n, len(self.index)) :] if n >= 0 else self.iloc[-n:]

    def take(self, positions: NDArray[np.integer]) -> CraterArrays:
        """The arrays of some of the craters, in this order.

        Parameters
        ----------
        positions : ndarray of int
            Which, each once.
        """
        positions = np.asarray(positions)
        if np.unique(positions).size < positions.size:
            raise IndexError("received a crater twice; expected each once")
        return CraterArrays(self._request.take(positions))

    def _one(self, crater: int) -> dict[str, Any]:
        return {name: self.element(name, crater) for name in self.regions}

    def compute(self, *, workers: int | None = None) -> pd.DataFrame:
        """All the masked arrays, reading each tile once.

        Parameters
        ----------
        workers : int, optional
            Number of threads; None leaves it to dask.

        Returns
        -------
        pandas.DataFrame
            One row per crater and one column per region; each cell a `numpy.ma.MaskedArray`, dimensions
            (extra dimensions of the raster, row, column).

        See Also
        --------
        iter_computed : the same by the batch, for more than memory holds.
        """
        (cells,) = graph.compute(self.lazy(), workers=workers)
        columns = {name: pd.Series(list(cells[k]), self.index, object) for k, name in enumerate(self.regions)}
        return pd.DataFrame(columns, index=self.index)

    def lazy(self) -> Any:
        """One array of masked arrays, dtype object, shape (region, crater); a dask array over a dask raster."""
        call = functions.Call(_itself, None, ((None, None),), np.dtype(object))
        (cells,) = functions.map_craters(self._request, self._plan, call, apart=False)
        return cells

    def iter_computed(self, batch: int = 10_000) -> Iterator[pd.DataFrame]:
        """All the masked arrays, some craters at a time, reading each tile once.

        Parameters
        ----------
        batch : int
            Craters at a time; the last batch may have fewer.

        Yields
        ------
        pandas.DataFrame
            As `compute` gives it, of `batch` craters: every crater comes once, in the order in which tiles are read,
            row of tiles by row of tiles. First come the craters that lie on a tile alone, then those whose last tile it
            was, in table order each; at the very end those that lie on no tile.

        Notes
        -----
        Memory holds a batch, the tiles being read, and what was read of craters that reach on to tiles yet to come: the
        pixels of their bounding boxes, a value and a byte each, which for regions of great basins is gigabytes. Leave
        these out (``arrays.loc[diameter < 100]``), or take `map` or statistics of them, which need less.
        Tiles are read with dask's scheduler, the next ones while a batch is being used.

        Examples
        --------
        >>> import numpy as np, pandas as pd, xcrater
        >>> from xcrater import tutorial
        >>> table = pd.DataFrame({"lat": [10.0, 0.0, -5.0], "lon": [20.0, 0.0, 9.0], "radius": [50e3, 20e3, 30e3]})
        >>> cdb = xcrater.CraterDatabase(table, "moon")
        >>> cdb.add_circles("floor", 1)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> arrays = dem.craters.get_arrays(cdb, "floor")
        >>> [frame["floor"].map(np.ma.count).tolist() for frame in arrays.iter_computed(batch=2)]
        [[164, 32], [60]]
        """
        for found in self.iter_blocks(batch):
            columns = {}
            for name, of_region in found.items():
                index = self.index[of_region.crater]
                columns[name] = pd.Series(of_region.arrays(), index, object)
            yield pd.DataFrame(columns, copy=False)

    def iter_blocks(self, batch: int = 10_000) -> Iterator[dict[str, Blocks]]:
        """The pixels of all regions laid out flat, some craters at a time, reading each tile once.

        Parameters
        ----------
        batch : int
            Craters at a time; the last batch may have fewer.

        Yields
        ------
        dict of str to Blocks
            For each region its blocks, of the same craters in the same order; `Blocks.crater` are their positions in
            these arrays. For the order see `iter_computed`.
        """
        if batch < 1:
            raise ValueError(f"received batch={batch!r}; expected a number of craters from 1 on")
        waiting: list[list[Blocks]] = []
        count = 0
        for found in self._in_turn():
            waiting.append(found)
            count += len(found[0])
            if count >= batch:
                joined = [_blocks.concatenate(of_region) for of_region in zip(*waiting, strict=True)]
                starts = range(0, count - count % batch, batch)
                for start in starts:
                    yield self._named([b.part(start, start + batch) for b in joined])
                rest = [b.part(count - count % batch, count) for b in joined]
                waiting, count = [rest] if count % batch else [], count % batch
                del joined, rest
        if count:
            yield self._named([_blocks.concatenate(of_region) for of_region in zip(*waiting, strict=True)])

    def _named(self, of_regions: list[Blocks]) -> dict[str, Blocks]:
        crater = self._position[of_regions[0].crater]
        return {n: replace(b, crater=crater) for n, b in zip(self.regions, of_regions, strict=True)}

    @cached_property
    def _position(self) -> NDArray[np.int64]:
        """Position of each row of the table in these arrays."""
        row = self._request.craters.row
        position = np.zeros(int(row.max(initial=-1)) + 1, np.int64)
        position[row] = np.arange(row.size)
        return position

    def _in_turn(self) -> Iterator[list[Blocks]]:
        """Blocks of all regions as soon as they are complete; `Blocks.crater` are rows of the table."""
        request, plan, cutter = self._request, self._plan, make_cutter(self._request)
        lead, craters, tiles = request.da.shape[:-2], request.craters, list(plan)
        last = np.full(len(craters), -1)
        last[plan.member] = np.repeat(np.arange(len(tiles)), np.diff(plan.offset))  # of several, the last is kept
        left = np.ones(len(craters), bool)
        parts: list[Pieces] = []
        read = 0
        for cuts in graph.each_tile(request.da.data, tiles, cutter, ahead=AHEAD):
            for cut in cuts:
                left[self._position[cut.whole[0].crater]] = False
                if len(cut.whole[0]):
                    yield cut.whole
                parts.append(cut.parts)
            before, read = read, read + len(cuts)
            done = np.unique(plan.member[plan.offset[before] : plan.offset[read]])
            done = done[left[done] & (last[done] < read)]
            if done.size:
                left[done] = False
                yield from cutter.join(craters.take(done), parts, lead)
                parts = [p.take(np.flatnonzero(left[self._position[p.crater]])) for p in parts]
                parts = [p for p in parts if p.crater.size]
        yield from cutter.join(craters.take(np.flatnonzero(left)), [], lead)

    def extent(self, region: str, crater: int) -> tuple[float, float, float, float]:
        """Edges of one crater's array on the body.

        Parameters
        ----------
        region : str
            Which region.
        crater : int
            Position of the crater in these arrays.

        Returns
        -------
        tuple of float
            Longitude of the first column's and the last column's outer edge, latitude of the first row's and
            the last row's; degrees. Longitudes run on across the antimeridian. On a projected raster that is not
            linear in longitude and latitude, x and y in the units of its CRS.
        """
        raster = self._request.raster
        grid = raster.grid
        row_start, row_stop, col_start, col_stop = self._alone[self.regions.index(region)].window(crater)
        if not grid.closed:
            a, _, c, _, e, f = raster.surface[1]
            return c + a * col_start, c + a * col_stop, f + e * row_start, f + e * row_stop
        lon = [grid.lon_origin + grid.lon_step * col for col in (col_start, col_stop)]
        lat = [grid.lat_origin + grid.lat_step * row for row in (row_start, row_stop)]
        return lon[0], lon[1], lat[0], lat[1]

    def element(self, region: str, crater: int) -> Any:
        """One crater's pixels as a lazy masked array.

        Parameters
        ----------
        region : str
            Which region.
        crater : int
            Position of the crater in these arrays.
        """
        return self._alone[self.regions.index(region)].element(crater)


AHEAD = 4
"""Tiles that are computed at once by `CraterArrays.iter_blocks`."""


def _itself(block: Masked) -> Masked:
    return block


class _Alone:
    """Makes the elements of one region; what all of them share is made once."""

    def __init__(self, arrays: CraterArrays, region: int) -> None:
        self._arrays = arrays
        self._request = arrays._request.of([region])
        self._cutter = make_cutter(self._request)
        self._lead = self._request.da.shape[:-2]
        self._meta = np.ma.masked_array(
            np.empty((0,) * self._request.da.ndim, arrays.dtype), fill_value=self._cutter.fill_value
        )

    @cached_property
    def _token(self) -> str:
        return graph.token(self._arrays._source.name, self._cutter)

    def window(self, crater: int) -> Window:
        """Window of one crater's block."""
        return self._window(self._request.craters.take(np.array([crater])))

    def _window(self, one: Craters) -> Window:
        row_start, row_stop, col_start, col_stop = self._cutter.windows(one)[0, 0].tolist()
        return row_start, row_stop, col_start, col_stop

    def element(self, crater: int, *, fraction: bool = False) -> Any:
        """One crater's block, or the fractions covered of its pixels."""
        one, grid = self._request.craters.take(np.array([crater])), self._request.raster.grid
        window = self._window(one)
        tiles = [
            Tile(index, (*tile[:3], min(tile[3], grid.columns)), one)
            for index, tile in grid.tiles(self._cutter.portions(window))
        ]
        numbers = (int(one.row[0]), float(one.u0[0]), float(one.lat[0]), float(one.radius[0]))
        lead = () if fraction else self._lead
        return graph.gather(
            self._arrays._source,
            tiles,
            self._cutter,
            _Assemble(self._cutter, one, self._lead, fraction),
            shape=(*lead, window[1] - window[0], window[3] - window[2]),
            meta=np.empty((0, 0)) if fraction else self._meta,
            token=(self._token, numbers, one.polygons, one.near, fraction),
        )


@dataclass(frozen=True, eq=False)
class _Assemble:
    """What tiles have of one crater to its masked array."""

    cutter: Cutter
    crater: Craters
    lead: tuple[int, ...]
    fraction: bool = False

    def __call__(self, cuts: Sequence[Cut]) -> NDArray[Any]:
        whole = [cut.whole for cut in cuts if len(cut.whole[0])]
        ((blocks,),) = whole or self.cutter.join(self.crater, [cut.parts for cut in cuts], self.lead)
        if not self.fraction:
            return blocks.arrays()[0]
        assert blocks.fraction is not None
        return blocks.fraction.reshape(blocks.shape[0])


class RegionArrays:
    """One region's lazy masked arrays, in the manner of a pandas Series.

    Iteration and ``iloc`` go by position, ``loc`` and square brackets by the table's labels. A slice, a list or a
    boolean selection gives the same kind of sequence, of some of the craters.

    Attributes
    ----------
    name : str
        The region.
    index : pandas.Index
        Labels of the craters.
    dtype : numpy.dtype
        Of the values.
    """

    def __init__(self, arrays: CraterArrays, region: str) -> None:
        self._arrays = arrays
        self.name = region
        self.index = arrays.index
        self.dtype = arrays.dtype

    def __len__(self) -> int:
        return len(self.index)

    def __iter__(self) -> Iterator[Any]:
        return map(self._one, range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice) and all(end is None or hasattr(end, "__index__") for end in (key.start, key.stop)):
            return self.iloc[key]
        return self.loc[key]

    def _one(self, crater: int) -> Any:
        return self._arrays.element(self.name, crater)

    def _take(self, positions: NDArray[np.integer]) -> RegionArrays:
        return RegionArrays(self._arrays.take(positions), self.name)

    @property
    def iloc(self) -> Look[RegionArrays, Any]:
        """Look-up by position, as `pandas.Series.iloc` does."""
        return Look(self._arrays._positions.iloc, self._take, self._one)

    @property
    def loc(self) -> Look[RegionArrays, Any]:
        """Look-up by label of the table's index, as `pandas.Series.loc` does; a single label must be unique there."""
        return Look(_Labels(self._arrays._positions), self._take, self._one)

    def head(self, n: int = 5) -> RegionArrays:
        """The first arrays."""
        return RegionArrays(self._arrays.head(n), self.name)

    def tail(self, n: int = 5) -> RegionArrays:
        """The last arrays."""
        return RegionArrays(self._arrays.tail(n), self.name)

    def __repr__(self) -> str:
        return f"{len(self)} lazy masked arrays of region {self.name!r}, dtype {self.dtype}"

    @cached_property
    def _only(self) -> CraterArrays:
        return self._arrays if self._arrays.regions == [self.name] else self._arrays[[self.name]]

    def to_dataset(self, label: Any) -> xr.Dataset:
        """One crater's pixels with coordinates; see `CraterArrays.to_dataset`."""
        return self._arrays.to_dataset(label, self.name)

    def to_ragged(self) -> Ragged:
        """The pixels of every crater laid out flat, read at once, each tile once; see `CraterArrays.to_ragged`."""
        return self._only.to_ragged()[self.name]

    def compute(self, *, workers: int | None = None) -> pd.Series[Any]:
        """All the masked arrays, reading each tile once.

        Parameters
        ----------
        workers : int, optional
            Number of threads; None leaves it to dask.
        """
        return self._only.compute(workers=workers)[self.name]

    def map(self, func: Callable[[Masked], Any], *, dtype: Any = float) -> xr.DataArray:
        """Function of each crater's masked array, reading each tile once.

        Parameters
        ----------
        func : callable
            Masked array -> number. It is called where tiles are read, for a crater on several with the last of these.
        dtype : dtype
            Of the results.

        Returns
        -------
        xarray.DataArray
            Dimension crater; lazy where the raster is.

        Raises
        ------
        FunctionError
            When computed: the function fails, or returns something else than a number of that dtype.
        """
        only = self._only
        call = functions.make_call(func, dtype, None, None, "raise")
        (cells,) = functions.map_craters(only._request, only._plan, call, apart=False)
        return xr.DataArray(cells[0], dims="crater", coords=only._request.coordinates(), name=self.name)

    apply = map


class _Labels:
    """Positions by label."""

    def __init__(self, positions: pd.Series[int]) -> None:
        self._of = positions

    def __getitem__(self, key: Any) -> Any:
        if not (pd.api.types.is_scalar(key) or isinstance(key, tuple)):
            return self._of.loc[key]
        try:
            at = self._of.index.get_loc(key)
        except KeyError as err:
            raise KeyError(f"no crater is labelled {key!r}; use .iloc for positions") from err
        if not isinstance(at, int):
            raise KeyError(f"several craters are labelled {key!r}; use .iloc with a position")
        return at


Many = TypeVar("Many")
One = TypeVar("One")


class Look(Generic[Many, One]):
    """Look-up in a sequence of arrays."""

    def __init__(self, positions: Any, many: Callable[[NDArray[np.integer]], Many], one: Callable[[int], One]) -> None:
        self._positions, self._many, self._one = positions, many, one

    @overload
    def __getitem__(self, key: int) -> One: ...
    @overload
    def __getitem__(self, key: Any) -> Many: ...
    def __getitem__(self, key: Any) -> Many | One:
        at = self._positions[key]
        return self._many(at.to_numpy()) if isinstance(at, pd.Series) else self._one(int(at))
