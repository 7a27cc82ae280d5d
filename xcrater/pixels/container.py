"""The container of pixels: for every crater and region a lazy masked array over the region's bounding box."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import pandas as pd
import xarray as xr

from xcrater import formatting
from xcrater._deprecation import crater_before_region
from xcrater.engine import graph
from xcrater.engine.neighbours import Exclude
from xcrater.engine.request import make_request
from xcrater.errors import RegionError
from xcrater.pixels import functions, gathering, labelled, ragged, store, stored
from xcrater.pixels.blocks import Blocks
from xcrater.pixels.indexing import CraterSequence, RegionArrays
from xcrater.pixels.overview import overview
from xcrater.pixels.ragged import Ragged
from xcrater.pixels.source import BlockSource, from_raster
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
    """Cut out the pixels of every crater's regions; see `CratersAccessor.get_arrays`."""
    request = make_request(da, cdb, regions, coverage=coverage, nodata=nodata, exclude=exclude)
    request = functions.with_whole_images(request)
    return CraterArrays(from_raster(request, request.plan()))


def source_of(arrays: BulkMethods) -> BlockSource:
    """The source of the blocks of which the arrays consist."""
    return arrays._source


def open_arrays(path: str | os.PathLike[str]) -> CraterArrays:
    """Open the pixels that ``arrays.to_zarr(path)`` stored.

    Parameters
    ----------
    path : path
        Directory of the store, or a URL that zarr reads.

    Returns
    -------
    CraterArrays
        The same lazy arrays; each element reads its part of the store when it is computed. Scale and offset of the
        raster have already been applied.

    Raises
    ------
    FileNotFoundError
        There is nothing at that path.
    StoreError
        The object at that path is not a store of crater arrays, is unfinished, or has the layout of another version.
        Also raised later, when pixels are read, if a chunk is missing or is not the one that was written. Stores have
        checksums for this; older ones without them still open, with an `UncheckedStoreWarning`.
    ImportError
        zarr is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd, xcrater
    >>> from xcrater import tutorial
    >>> cdb = xcrater.CraterDatabase(pd.DataFrame({"lat": [10.0], "lon": [20.0], "radius": [50e3]}), "moon")
    >>> cdb.add_annuli("rim", 1, 1.5)
    >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     dem.craters.get_arrays(cdb, "rim").to_zarr(f"{directory}/rim.zarr")
    ...     xcrater.open_arrays(f"{directory}/rim.zarr")["rim"].iloc[0].compute().shape
    (20, 22)
    """
    return CraterArrays(stored.open_source(path))


def compute_together(several: Sequence[BulkMethods], *, workers: int | None = None) -> list[pd.DataFrame]:
    """Compute several containers together, so that they share threads and read common tiles only once.

    Parameters
    ----------
    several : sequence of CraterArrays
        The containers.
    workers : int, optional
        Number of threads; None leaves it to dask.

    Returns
    -------
    list of pandas.DataFrame
        The result of `CraterArrays.compute` for each container.
    """
    with ExitStack() as naming:
        for arrays in several:
            naming.enter_context(arrays._source.request.naming_craters())
        found = graph.compute(*(gathering.gather(arrays._source) for arrays in several), workers=workers)
    return [
        pd.DataFrame(
            {
                name: pd.Series(list(column), arrays.index, object)
                for name, column in zip(arrays.regions, cells, strict=True)
            },
            index=arrays.index,
        )
        for arrays, cells in zip(several, found, strict=True)
    ]


class BulkMethods(CraterSequence[dict[str, Any]]):
    """The methods of `CraterArrays` that process the pixels of all craters, tile by tile."""

    regions: list[str]

    def to_ragged(self) -> dict[str, Ragged]:
        """Lay the pixels of every crater out in flat arrays, one set per region; computed immediately, tile by tile.

        Returns
        -------
        dict of str to Ragged
            Values, mask, offsets, shapes and labels by region, craters in the order of these arrays; see `Ragged`.

        Raises
        ------
        MemoryBudgetError
            The result is larger than the memory that is available; nothing has been read.

        See Also
        --------
        to_zarr : Store pixels that do not fit into memory.

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
        return ragged.to_ragged(self._source)

    def to_zarr(self, path: str | os.PathLike[str], *, batch: int = 10_000, overwrite: bool = False) -> None:
        """Store the pixels of every crater, batch by batch; `xcrater.open_arrays` opens the store.

        Each tile is read once if the pixels fit the option ``memory``. After an interruption the same call resumes:
        craters that have been stored are kept, and tiles that hold no other craters are not read again.

        Parameters
        ----------
        path : path
            Directory of the store, or a URL that zarr writes.
        batch : int
            Number of craters written at a time. An interruption loses at most one batch, and the craters that extend to
            tiles not yet read.
        overwrite : bool
            Whether to replace another store of crater arrays at that path.

        Raises
        ------
        StoreError
            The path holds something else, or a store of another raster, table or regions.
        ImportError
            zarr is not installed.

        Notes
        -----
        Memory use is that of `iter_computed`. Craters that are too large for it are written one band of rows at a time,
        so any crater can be stored. On a local disk, a crash leaves every chunk either as it was before or completely
        written.

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
        store.write(self._source, path, batch=batch, overwrite=overwrite)

    def compute(self, *, workers: int | None = None) -> pd.DataFrame:
        """Compute all masked arrays, tile by tile.

        Parameters
        ----------
        workers : int, optional
            Number of threads; None leaves it to dask.

        Returns
        -------
        pandas.DataFrame
            One row per crater and one column per region. Each cell is a `numpy.ma.MaskedArray` of dimensions
            (extra dimensions of the raster, row, column).

        Raises
        ------
        MemoryBudgetError
            The result is larger than the memory that is available; nothing has been read.

        See Also
        --------
        iter_computed : Compute batch by batch, if not all arrays fit into memory.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> arrays = dem.craters.get_arrays(cdb, "rim")
        >>> arrays.compute()["rim"].map(lambda array: array.count()).tolist()
        [232, 38, 29]
        """
        return compute_together([self], workers=workers)[0]

    def iter_computed(self, batch: int = 10_000) -> Iterator[pd.DataFrame]:
        """Compute the masked arrays batch by batch, tile by tile.

        Parameters
        ----------
        batch : int
            Number of craters in a batch; the last may have fewer, and so may one whose pixels take much memory.

        Yields
        ------
        pandas.DataFrame
            The result of `compute` for `batch` craters. Every crater comes once, in the order in which tiles complete
            the craters: round by round, and within a round along the rows of tiles. Each tile yields first the craters
            that lie on it alone, then those whose last tile it is, both in the order of these arrays. Craters that lie
            on no tile come at the very end.

        Raises
        ------
        MemoryBudgetError
            The pixels of some crater take more than a quarter of the option ``memory``; nothing has been read. `sizes`
            shows which craters these are.

        Notes
        -----
        Memory holds a batch, the tiles being read, and the pixels read so far of craters that extend to later tiles.
        The option ``memory`` bounds all three: craters that do not fit are left for further rounds over their tiles,
        and batches are cut short. Tiles are read with dask's scheduler, which reads ahead while a batch is being used.

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
        yield from (_frame(found, self.index) for found in self.iter_blocks(batch))

    def iter_blocks(self, batch: int = 10_000) -> Iterator[dict[str, Blocks]]:
        """Yield the pixels of all regions in flat arrays, batch by batch, tile by tile.

        Parameters
        ----------
        batch : int
            Number of craters in a batch; the last may have fewer, and so may one whose pixels take much memory.

        Yields
        ------
        dict of str to Blocks
            The blocks of each region, for the same craters in the same order; `Blocks.crater` holds their positions in
            these arrays. For the order see `iter_computed`.

        Raises
        ------
        MemoryBudgetError
            The pixels of some crater take more than a quarter of the option ``memory``; nothing has been read.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> arrays = dem.craters.get_arrays(cdb, "rim")
        >>> [(found["rim"].crater.tolist(), found["rim"].values.size) for found in arrays.iter_blocks(batch=2)]
        [([0, 2], 430), ([1], 54)]
        """
        return gathering.iter_blocks(self._source, batch)


class CraterArrays(BulkMethods):
    """Pixels of every crater and region, read when computed.

    Made by ``da.craters.get_arrays``. ``arrays["rim"]`` is a sequence of lazy masked arrays, one per crater;
    ``arrays[["rim", "floor"]]`` has some of the regions, ``arrays.iloc[:10]`` and ``arrays.loc[...]`` have some of the
    craters, and ``arrays.iloc[0]`` is a dict of one crater's arrays. ``arrays.compute()`` is a DataFrame of all arrays.
    If a method takes a crater and a region, the crater comes first, as rows come before columns in that DataFrame.

    Attributes
    ----------
    regions : list of str
        Names of the regions.
    index : pandas.Index
        Labels of the craters.
    dtype : numpy.dtype
        Dtype of the values.

    Examples
    --------
    >>> from xcrater import tutorial
    >>> cdb = tutorial.synthetic_craters("moon", 3)
    >>> cdb.add_annuli("rim", 1, 1.5)
    >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
    >>> arrays = dem.craters.get_arrays(cdb, "rim")
    >>> arrays
    CraterArrays of 3 craters with regions rim: lazy masked arrays of float32 from 2 tiles
    >>> arrays["rim"].iloc[0].compute().shape
    (10, 39)
    >>> arrays.iloc[:2].compute().shape
    (2, 1)
    """

    def __init__(self, source: BlockSource) -> None:
        super().__init__(source)
        self.regions = list(source.regions)

    @cached_property
    def _by_region(self) -> dict[str, RegionArrays]:
        return {name: RegionArrays(self._source.of([k])) for k, name in enumerate(self.regions)}

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
            return self._by_region[region]
        if not names or len(set(names)) < len(names):
            raise RegionError(f"received the regions {names!r}; expected some of these arrays', each once")
        return CraterArrays(self._source.of([self.regions.index(name) for name in names]))

    def __iter__(self) -> Iterator[str]:
        return iter(self.regions)

    def __len__(self) -> int:
        return len(self.regions)

    def __contains__(self, region: object) -> bool:
        return region in self.regions

    def __repr__(self) -> str:
        regions, tiles = ", ".join(self.regions), len(self._source.plan)
        origin = f"{tiles} tile{'s' if tiles != 1 else ''}" if self._source.path is None else repr(self._source.path)
        return (
            f"CraterArrays of {len(self.index)} craters with regions {regions}: lazy masked arrays of {self.dtype} "
            f"from {origin}"
        )

    def _repr_html_(self) -> str:
        return formatting.table("xcrater.CraterArrays: lazy masked arrays", overview(self._source))

    @cached_property
    def nbytes(self) -> int:
        """Bytes of the values of all arrays, including masked pixels.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> arrays = dem.craters.get_arrays(cdb, "rim")
        >>> arrays.nbytes == sum(array.size * array.itemsize for array in arrays["rim"])
        True
        """
        return self._source.nbytes

    @cached_property
    def sizes(self) -> pd.Series[int]:
        """Bytes that all arrays of each crater take with their masks, by the craters' labels.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> arrays = dem.craters.get_arrays(cdb, "rim")
        >>> arrays.sizes.tolist()
        [1950, 270, 200]
        """
        return pd.Series(self._source.sizes, self.index, name="bytes")

    def _one(self, position: int) -> dict[str, Any]:
        return {name: region.iloc[position] for name, region in self._by_region.items()}

    def _region(self, region: str | None, call: str) -> RegionArrays:
        """The arrays of the named region, or of the only one; errors show how to complete ``call``."""
        if region is None and len(self.regions) > 1:
            raise RegionError(
                f"received no region; these arrays have {', '.join(map(repr, self.regions))}: "
                f"arrays.{call}, {self.regions[0]!r})"
            )
        return self[self.regions[0] if region is None else region]

    def to_dataset(self, label: Any, region: str | None = None) -> xr.Dataset:
        """One crater's pixels with coordinates, ready for ``.plot()``.

        Parameters
        ----------
        label : object
            Label of the crater in the table's index.
        region : str, optional
            Name of one region; by default all are given, along the dimension ``region`` if there are several.

        Returns
        -------
        xarray.Dataset
            Dimensions (region, extra dimensions of the raster, y, x); lazy where the raster is. Several regions share
            the smallest window that contains all of them. Variables: ``data``, the values as floats, NaN outside the
            region and where a pixel has no value; ``mask``, True for pixels of the region that have a value, as
            `xarray.DataArray.where` takes it; ``coverage``, the fraction of each pixel inside the region, for
            ``coverage="exact"`` only; ``distance`` from the crater's centre, in crater radii; ``azimuth`` at the
            centre, in degrees clockwise from north. Coordinates: ``x`` and ``y`` of the raster, continuous across the
            antimeridian; east longitude ``lon`` and planetocentric latitude ``lat`` in degrees, along x and y if the
            raster's columns are meridians and its rows parallels, otherwise per pixel.

        Raises
        ------
        KeyError
            No crater has that label, or several have.
        RegionError
            These arrays have no such region.

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
        names = self.regions if region is None else [region]
        return labelled.to_dataset([self[name]._elements for name in names], self._position(label))

    @crater_before_region
    def extent(self, position: int, region: str | None = None) -> tuple[float, float, float, float]:
        """Outer edges of one crater's array on the body.

        Parameters
        ----------
        position : int
            Position of the crater in these arrays.
        region : str, optional
            Name of the region; not needed if there is only one.

        Returns
        -------
        tuple of float
            Longitudes of the outer edges of the first and the last column, then latitudes of the outer edges of the
            first and the last row, in degrees; longitudes are continuous across the antimeridian. On a raster whose
            columns and rows are not linear in longitude and latitude, these are x and y in the units of its CRS.

        Raises
        ------
        RegionError
            These arrays have no such region, or have several and the call names none.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> arrays = dem.craters.get_arrays(cdb, "rim")
        >>> arrays.extent(0)
        (33.5, 43.25, -74.0, -76.5)
        """
        return self._region(region, f"extent({position!r}").extent(position)


def _frame(found: dict[str, Blocks], index: pd.Index[Any]) -> pd.DataFrame:
    """Make the DataFrame of the masked arrays of a batch of blocks."""
    columns = {name: pd.Series(blocks.arrays(), index[blocks.crater], object) for name, blocks in found.items()}
    return pd.DataFrame(columns, copy=False)
