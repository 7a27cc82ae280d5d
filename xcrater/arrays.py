"""The pixels themselves: for every crater and region a masked array over the region's bounding box."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from xcrater import graph, tiles
from xcrater.errors import RegionError
from xcrater.grid import Raster, Window
from xcrater.neighbours import Exclude
from xcrater.plan import Craters, Plan, Tile
from xcrater.request import Request, make_request

if TYPE_CHECKING:
    from xcrater.database import CraterDatabase

Masked = np.ma.MaskedArray[Any, Any]


@dataclass(frozen=True)
class Cutter:
    """How regions are cut from a raster.

    Parameters
    ----------
    shapes : Shapes
        The regions.
    raster : Raster
        The raster.
    dtype : str
        Of its stored numbers.
    """

    shapes: tiles.Shapes
    raster: Raster
    dtype: str

    @property
    def result_dtype(self) -> np.dtype[Any]:
        """Of the values: the raster's own, or float64 where a scale or offset applies."""
        return np.dtype("f8") if self.raster.decodes else np.dtype(self.dtype)

    @property
    def fill_value(self) -> Any:
        """Shown for masked pixels: the raster's nodata, or None for numpy's default."""
        if self.raster.decodes or self.raster.nodata is None:
            return None
        return self.raster.nodata if tiles.representable(self.raster.nodata, np.dtype(self.dtype)) else None

    def windows(self, craters: Craters) -> NDArray[np.int64]:
        """Window of every region of every crater, shape (region, crater, 4).

        Rows and columns are the floor and ceiling of the bounding box. They may lie beyond the raster's edge.
        On a raster that goes once round the body, columns below 0 or beyond the width stand for those on the
        other side; a region that goes all the way round has each column once.
        """
        grid = self.raster.grid
        width, period = grid.columns, grid.period
        out = np.empty((len(self.shapes.outer), len(craters), 4), np.int64)
        for k, bounds in enumerate(self._bounds(craters)):
            shown = np.asarray(np.isfinite(bounds).all(axis=1))
            top, bottom, left, right = np.where(shown[:, None], bounds, 0.0).T
            if np.isfinite(period):  # the copy whose middle is within one turn of the first column
                turn = np.floor((left + right) / (2 * period))
                left, right = left - turn * period, right - turn * period
            if grid.wraps:
                # The period may differ from the width by a fraction of a pixel: count from the edge crossed.
                start = np.where(left < 0, np.floor(left + period) - width, np.floor(left))
                stop = np.where(right > width, np.ceil(right - period) + width, np.ceil(right))
                whole = (right - left >= period * (1 - 1e-12)) | (stop - start >= width)
            elif np.isfinite(period):
                west = right - period > 0  # the copy one turn west reaches onto the grid
                here = left < width
                shift = np.where(west & ~here, period, 0.0)
                start, stop = np.floor(left - shift), np.ceil(right - shift)
                whole = (right - left >= period * (1 - 1e-12)) | (west & here)
            else:
                start, stop, whole = np.floor(left), np.ceil(right), np.zeros(left.size, bool)
            out[k, :, 0], out[k, :, 1] = np.floor(top), np.ceil(bottom)
            out[k, :, 2], out[k, :, 3] = np.where(whole, 0, start), np.where(whole, width, stop)
            out[k, ~shown] = 0
        return out

    def _bounds(self, craters: Craters) -> Iterator[NDArray[np.float64]]:
        """Each region's bounds in pixel coordinates, shape (crater, 4): rows and columns, first and last."""
        from xcrater.spans import node_scratch, region_windows

        shapes = self.shapes
        for k in range(len(shapes.outer)):
            bounds = np.full((len(craters), 4), np.nan)
            _, one = shapes.of([k]).parts()[0]
            if one.closed:
                region_windows(
                    craters.u0, craters.lat, craters.radius, one.outer[0], one.nvert[0], shapes.grid,
                    node_scratch(one.nvert[0]), bounds,
                )  # fmt: skip
            else:
                for start in range(0, len(craters), tiles.OUTLINED):
                    at = np.arange(start, min(start + tiles.OUTLINED, len(craters)))
                    west, east, top, bottom = one.outlines(craters.take(at))[0].bounds()
                    bounds[at] = np.stack([top, bottom, west, east], axis=1)
            yield bounds

    def portions(self, window: Window) -> Iterator[tuple[Window, tuple[int, int]]]:
        """The parts of a window that lie on the raster, each with its (row, column) within the window."""
        height, width = self.raster.grid.shape[0], self.raster.grid.columns
        row_start, row_stop = max(window[0], 0), min(window[1], height)
        if row_start >= row_stop:
            return
        for turn in (-1, 0, 1) if self.raster.grid.wraps else (0,):
            col_start = max(window[2], turn * width)
            col_stop = min(window[3], (turn + 1) * width)
            if col_start < col_stop:
                part = (row_start, row_stop, col_start - turn * width, col_stop - turn * width)
                yield part, (row_start - window[0], col_start - window[2])

    def crops(self, window: Window, tile: Window) -> Iterator[tuple[Window, tuple[int, int]]]:
        """The parts of a window that lie on a tile, each with its (row, column) within the window."""
        for part, (row, col) in self.portions(window):
            row_start, row_stop = max(part[0], tile[0]), min(part[1], tile[1])
            col_start, col_stop = max(part[2], tile[2]), min(part[3], tile[3])
            if row_start < row_stop and col_start < col_stop:
                at = (row + row_start - part[0], col + col_start - part[2])
                yield (row_start, row_stop, col_start, col_stop), at

    def assemble(
        self,
        region: int,
        craters: Craters,
        crater: int,
        window: Window,
        lead: tuple[int, ...],
        pieces: Iterable[tuple[tuple[int, int], NDArray[Any]]],
    ) -> Masked:
        """One crater's masked array from its pieces, each with its (row, column) within the window."""
        shape = (window[1] - window[0], window[3] - window[2])
        stored = np.zeros((*lead, *shape), np.dtype(self.dtype))
        if self.fill_value is not None:
            stored[...] = self.fill_value
        missing = np.ones(stored.shape, bool)
        for (row, col), piece in pieces:
            where = (..., slice(row, row + piece.shape[-2]), slice(col, col + piece.shape[-1]))
            stored[where] = np.ma.getdata(piece)
            missing[where] = np.ma.getmaskarray(piece)
        inside = np.zeros(shape, bool)
        for part, (row, col) in self.portions(window):
            inside[row : row + part[1] - part[0], col : col + part[3] - part[2]] = tiles.region_mask(
                self.shapes, region, craters, crater, part
            )
        nodata = self.raster.nodata
        if nodata is not None and tiles.representable(nodata, stored.dtype):
            missing |= stored == stored.dtype.type(nodata)
        if stored.dtype.kind == "f":
            missing |= np.isnan(stored)
        values = self.raster.decode(stored).astype(self.result_dtype, copy=False)
        return np.ma.MaskedArray(values, mask=missing | ~inside, fill_value=self.fill_value)


@dataclass(frozen=True)
class CutLeaf:
    """A tile's pieces of every region of its craters: lists of (crater row, region, place, pixels)."""

    cutter: Cutter

    def __call__(self, block: NDArray[Any], tile: Tile) -> list[tuple[int, int, tuple[int, int], NDArray[Any]]]:
        """Cut one tile."""
        windows = self.cutter.windows(tile.craters).tolist()
        top, left = tile.window[0], tile.window[2]
        pieces = []
        for k, of_region in enumerate(windows):
            for row, window in zip(tile.craters.row.tolist(), of_region, strict=True):
                for (r0, r1, c0, c1), at in self.cutter.crops(tuple(window), tile.window):
                    pieces.append((row, k, at, block[..., r0 - top : r1 - top, c0 - left : c1 - left].copy()))
        return pieces


def concatenate(parts: Sequence[list[Any]]) -> list[Any]:
    """Merge lists of pieces in order."""
    return [piece for part in parts for piece in part]


@dataclass(frozen=True, eq=False)
class CutFinish:
    """All pieces to one array of masked arrays, or to functions of them.

    Parameters
    ----------
    cutter : Cutter
        How regions are cut.
    craters : Craters
        The whole table.
    lead : tuple of int or None
        Shape of the raster's extra dimensions, which lead in each masked array; None to keep images apart.
    functions : mapping of str to callable or None
        What to do with each masked array; None gives it itself.
    """

    cutter: Cutter
    craters: Craters
    lead: tuple[int, ...] | None
    functions: Mapping[str, Callable[[Masked], Any] | None]

    def __call__(self, pieces: list[Any], images: int) -> dict[str, NDArray[Any]]:
        """Put pieces together; images is their number in a block."""
        lead = (images,) if self.lead is None else self.lead
        windows = self.cutter.windows(self.craters)
        regions, craters = windows.shape[:2]
        found: dict[tuple[int, int], list[Any]] = {}
        for row, k, at, piece in pieces:
            found.setdefault((k, row), []).append((at, piece.reshape(*lead, *piece.shape[-2:])))
        outer = (images,) if self.lead is None else ()
        out = {name: np.empty((*outer, regions, craters), object) for name in self.functions}
        for k in range(regions):
            for i, window in enumerate(windows[k].tolist()):
                whole = self.cutter.assemble(k, self.craters, i, tuple(window), lead, found.pop((k, i), ()))
                for name, function in self.functions.items():
                    if self.lead is None:
                        for image in range(images):
                            out[name][image, k, i] = whole[image] if function is None else function(whole[image])
                    else:
                        out[name][k, i] = whole if function is None else function(whole)
        return out


def map_blocks(request: Request, plan: Plan, functions: Mapping[str, Callable[[Masked], Any]]) -> dict[str, Any]:
    """Functions of every crater's 2-D masked array: arrays of objects, dimensions (extra, region, crater)."""
    cutter = make_cutter(request)
    return graph.reduce_tiles(
        request.da,
        plan,
        CutLeaf(cutter),
        concatenate,
        CutFinish(cutter, request.craters, None, functions),
        shape=(len(request.names), len(request.craters)),
        dtypes=dict.fromkeys(functions, "object"),
        token=(request.craters, cutter, dict(functions)),
    )


def make_cutter(request: Request) -> Cutter:
    """How the regions of a request are cut from its raster."""
    return Cutter(request.shapes, request.raster, request.da.dtype.str)


def get_arrays(
    da: xr.DataArray,
    cdb: CraterDatabase,
    regions: str | Iterable[str],
    *,
    coverage: str | None = None,
    nodata: float | int | None = None,
    exclude: Exclude | float | None = None,
) -> CraterArrays:
    """The pixels of the regions of every crater; see `CratersAccessor.get_arrays`."""
    request = make_request(da, cdb, regions, coverage=coverage, nodata=nodata, exclude=exclude)
    if graph.is_lazy(request.da) and request.raster.extra_dims:
        request = request.with_data(request.da.chunk(dict.fromkeys(request.raster.extra_dims, -1)))
    return CraterArrays(request, request.plan())


class CraterArrays:
    """Pixels of every crater and region, read when computed.

    Made by ``da.craters.get_arrays``. ``arrays["rim"]`` is a sequence of lazy masked arrays, one per crater;
    ``arrays.compute()`` a DataFrame of them all.

    Attributes
    ----------
    regions : list of str
        The regions.
    index : pandas.Index
        Labels of the craters.
    dtype : numpy.dtype
        Of the values.
    """

    def __init__(self, request: Request, plan: Plan) -> None:
        self._request = request
        self._plan = plan
        self._cutter = make_cutter(request)
        self._windows = self._cutter.windows(request.craters)
        self.regions = list(request.names)
        self.index: pd.Index[Any] = request.table.data.index
        self.dtype = self._cutter.result_dtype

    def __getitem__(self, region: str) -> RegionArrays:
        if region not in self.regions:
            raise RegionError(f"received the region {region!r}; these arrays have {', '.join(map(repr, self.regions))}")
        return RegionArrays(self, region)

    def __iter__(self) -> Iterator[str]:
        return iter(self.regions)

    def __len__(self) -> int:
        return len(self.regions)

    def __contains__(self, region: object) -> bool:
        return region in self.regions

    def __repr__(self) -> str:
        regions = ", ".join(self.regions)
        return (
            f"CraterArrays of {len(self.index)} craters with regions {regions}: lazy masked arrays of {self.dtype} "
            f"from {len(self._plan)} tile{'s' if len(self._plan) != 1 else ''}"
        )

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
        """
        (cells,) = graph.compute(self.lazy(), workers=workers)
        columns = {name: pd.Series(list(cells[k]), self.index, object) for k, name in enumerate(self.regions)}
        return pd.DataFrame(columns, index=self.index)

    def lazy(self) -> Any:
        """One array of masked arrays, dtype object, shape (region, crater); a dask array over a dask raster."""
        request, cutter = self._request, self._cutter
        lead = request.da.shape[:-2]
        return graph.reduce_tiles(
            request.da,
            self._plan,
            CutLeaf(cutter),
            concatenate,
            CutFinish(cutter, request.craters, lead, {"arrays": None}),
            shape=(len(self.regions), len(self.index)),
            dtypes={"arrays": "object"},
            token=(request.craters, cutter),
            keep_images=False,
        )["arrays"]

    def _window(self, region: str, crater: int) -> Window:
        row_start, row_stop, col_start, col_stop = self._windows[self.regions.index(region), crater].tolist()
        return row_start, row_stop, col_start, col_stop

    def extent(self, region: str, crater: int) -> tuple[float, float, float, float]:
        """Edges of one crater's array on the body.

        Parameters
        ----------
        region : str
            Which region.
        crater : int
            Position of the crater in the table.

        Returns
        -------
        tuple of float
            Longitude of the first column's and the last column's outer edge, latitude of the first row's and
            the last row's; degrees. Longitudes run on across the antimeridian. On a projected raster that is not
            linear in longitude and latitude, x and y in the units of its CRS.
        """
        raster = self._request.raster
        grid = raster.grid
        row_start, row_stop, col_start, col_stop = self._window(region, crater)
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
            Position of the crater in the table.
        """
        request, cutter = self._request, self._cutter
        k = self.regions.index(region)
        window = self._window(region, crater)
        craters = request.craters.take(np.array([crater]))
        lead = request.da.shape[:-2]
        places, crops = [], []
        for tile_index, tile_window in cutter.raster.grid.tiles(part for part, _ in cutter.portions(window)):
            for part, at in cutter.crops(window, tile_window):
                places.append(at)
                crops.append((tile_index, tile_window, part))
        return graph.gather(
            request.da,
            crops,
            _Element(cutter, k, craters, window, lead, tuple(places)),
            shape=(*lead, window[1] - window[0], window[3] - window[2]),
            meta=np.ma.masked_array(np.empty((0,) * (len(lead) + 2), self.dtype), fill_value=cutter.fill_value),
            token=(region, crater, craters, cutter),
        )


@dataclass(frozen=True, eq=False)
class _Element:
    """Crops of one crater to its masked array."""

    cutter: Cutter
    region: int
    craters: Craters
    window: Window
    lead: tuple[int, ...]
    places: tuple[tuple[int, int], ...]

    def __call__(self, crops: Sequence[NDArray[Any]]) -> Masked:
        pieces = zip(self.places, crops, strict=True)
        return self.cutter.assemble(self.region, self.craters, 0, self.window, self.lead, pieces)


class RegionArrays:
    """One region's lazy masked arrays, in the manner of a pandas Series.

    Iteration and ``iloc`` go by position, ``loc`` and square brackets by the table's labels.
    """

    def __init__(self, arrays: CraterArrays, region: str) -> None:
        self._arrays = arrays
        self.name = region
        self.index = arrays.index

    def __len__(self) -> int:
        return len(self.index)

    def __iter__(self) -> Iterator[Any]:
        return (self._arrays.element(self.name, i) for i in range(len(self)))

    def __getitem__(self, label: Any) -> Any:
        return self.loc[label]

    @property
    def iloc(self) -> _Look:
        """Look-up by position."""
        return _Look(self, lambda at: range(len(self))[at])

    @property
    def loc(self) -> _Look:
        """Look-up by label of the table's index, which must be unique there."""
        return _Look(self, self._position)

    def _position(self, label: Any) -> int:
        try:
            at = self.index.get_loc(label)
        except KeyError as err:
            raise KeyError(f"no crater is labelled {label!r}; use .iloc for positions") from err
        if not isinstance(at, int):
            raise KeyError(f"several craters are labelled {label!r}; use .iloc with a position")
        return at

    def __repr__(self) -> str:
        return f"{len(self)} lazy masked arrays of region {self.name!r}, dtype {self._arrays.dtype}"

    def map(self, func: Callable[[Masked], Any], *, dtype: Any = float) -> xr.DataArray:
        """Function of each crater's masked array, reading each tile once.

        Parameters
        ----------
        func : callable
            Masked array -> number.
        dtype : dtype
            Of the results.

        Returns
        -------
        xarray.DataArray
            Dimension crater; lazy where the raster is.
        """
        arrays = self._arrays
        k = arrays.regions.index(self.name)
        cells = xr.DataArray(arrays.lazy()[k], dims="crater", coords=arrays._request.coordinates(), name=self.name)
        return xr.apply_ufunc(
            _map_cells, cells, kwargs={"func": func, "dtype": dtype}, dask="parallelized", output_dtypes=[dtype]
        )

    apply = map


class _Look:
    def __init__(self, arrays: RegionArrays, position: Callable[[Any], Any]) -> None:
        self._of = arrays
        self._position = position

    def __getitem__(self, key: Any) -> Any:
        at = self._position(key)
        if isinstance(at, range):
            return [self._of._arrays.element(self._of.name, i) for i in at]
        return self._of._arrays.element(self._of.name, int(at))


def _map_cells(cells: NDArray[Any], *, func: Callable[[Masked], Any], dtype: Any) -> NDArray[Any]:
    return np.array([func(cell) for cell in cells], dtype=dtype)
