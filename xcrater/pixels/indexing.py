"""Selection of craters by position and label in the manner of pandas' ``iloc`` and ``loc``, and one region's arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, Generic, Self, TypeVar, overload

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from xcrater import formatting
from xcrater.engine import graph
from xcrater.pixels import functions, gathering, labelled, ragged
from xcrater.pixels.blocks import Masked
from xcrater.pixels.calls import make_call
from xcrater.pixels.elements import Elements
from xcrater.pixels.overview import overview
from xcrater.pixels.ragged import Ragged
from xcrater.pixels.source import BlockSource

Many = TypeVar("Many")
One = TypeVar("One")


class Indexer(Generic[Many, One]):
    """Selects craters by square brackets: one key gives an element, several keys a sequence of the same kind.

    Parameters
    ----------
    positions : object
        Indexable that turns a key into a position, or into a Series of positions: ``iloc`` of the craters' positions by
        label, or `Labels`.
    many, one : callable
        Make a selection from positions, and an element from one position.
    """

    def __init__(self, positions: Any, many: Callable[[NDArray[np.integer]], Many], one: Callable[[int], One]) -> None:
        self._positions, self._many, self._one = positions, many, one

    @overload
    def __getitem__(self, key: int) -> One: ...
    @overload
    def __getitem__(self, key: Any) -> Many: ...
    def __getitem__(self, key: Any) -> Many | One:
        found = self._positions[key]
        return self._many(found.to_numpy()) if isinstance(found, pd.Series) else self._one(int(found))


class Labels:
    """Positions of craters by label; a single label must be unique.

    Parameters
    ----------
    positions : pandas.Series of int
        The position of each crater, by label.
    """

    def __init__(self, positions: pd.Series[int]) -> None:
        self._positions = positions

    def __getitem__(self, key: Any) -> Any:
        if not (pd.api.types.is_scalar(key) or isinstance(key, tuple)):
            return self._positions.loc[key]
        try:
            position = self._positions.index.get_loc(key)
        except KeyError as err:
            raise KeyError(f"no crater is labelled {key!r}; use .iloc for positions") from err
        if not isinstance(position, int):
            raise KeyError(f"several craters are labelled {key!r}; use .iloc with a position")
        return position


class CraterSequence(ABC, Generic[One]):
    """A sequence over craters with selection by position or by label.

    Parameters
    ----------
    source : BlockSource
        The craters' blocks.

    Attributes
    ----------
    index : pandas.Index
        Labels of the craters.
    dtype : numpy.dtype
        Dtype of the values.
    """

    def __init__(self, source: BlockSource) -> None:
        self._source = source
        self.index: pd.Index[Any] = source.labels
        self.dtype = source.cutter.result_dtype

    @abstractmethod
    def _one(self, position: int) -> One:
        """The element of one crater."""

    def _position(self, label: Any) -> int:
        """Position of the crater with a label."""
        position = Labels(self._positions)[label]
        if not isinstance(position, int):
            raise KeyError(f"received {label!r}; expected the label of one crater")
        return position

    def _take(self, positions: NDArray[np.integer]) -> Self:
        positions = np.asarray(positions)
        if np.unique(positions).size < positions.size:
            raise IndexError("received a crater twice; expected each once")
        return type(self)(self._source.take(positions))

    @cached_property
    def _positions(self) -> pd.Series[int]:
        return pd.Series(np.arange(len(self.index)), self.index)

    @property
    def is_lazy(self) -> bool:
        """Whether the pixels are still to be read, from a raster backed by dask or from a store.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> arrays = dem.craters.get_arrays(cdb, "rim")
        >>> arrays.is_lazy
        True
        """
        return graph.is_lazy(self._source.request.da)

    @property
    def iloc(self) -> Indexer[Self, One]:
        """Craters by position, in the manner of `pandas.Series.iloc`: one of them, or a sequence of several.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> arrays = dem.craters.get_arrays(cdb, "rim")
        >>> arrays["rim"].iloc[0].shape
        (10, 39)
        >>> len(arrays["rim"].iloc[:2])
        2
        """
        return Indexer(self._positions.iloc, self._take, self._one)

    @property
    def loc(self) -> Indexer[Self, One]:
        """Craters by label, in the manner of `pandas.Series.loc`; a single label must be unique in the table's index.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> arrays = dem.craters.get_arrays(cdb, "rim")
        >>> arrays["rim"].loc[cdb.rad < 20e3]
        2 lazy masked arrays of region 'rim', dtype float32
        """
        return Indexer(Labels(self._positions), self._take, self._one)

    def head(self, n: int = 5) -> Self:
        """The first craters.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> arrays = dem.craters.get_arrays(cdb, "rim")
        >>> arrays["rim"].head(2)
        2 lazy masked arrays of region 'rim', dtype float32
        """
        return self.iloc[:n]

    def tail(self, n: int = 5) -> Self:
        """The last craters; all but the first ``-n`` if ``n`` is negative, as pandas counts.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> arrays = dem.craters.get_arrays(cdb, "rim")
        >>> arrays["rim"].tail(2).index.tolist()
        [1, 2]
        """
        return self.iloc[max(len(self.index) - n, 0) :] if n >= 0 else self.iloc[-n:]


class RegionArrays(CraterSequence[Any]):
    """One region's lazy masked arrays, in the manner of a pandas Series.

    Iteration and ``iloc`` go by position, ``loc`` and square brackets by the table's labels. A slice, a list or a
    boolean mask gives a sequence of the same kind for some of the craters.

    Attributes
    ----------
    name : str
        Name of the region.
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
    >>> rims = arrays["rim"]
    >>> len(rims), int(rims[0].compute().count())
    (3, 232)
    """

    def __init__(self, source: BlockSource) -> None:
        super().__init__(source)
        self._elements = Elements(source)
        (self.name,) = source.regions

    def __len__(self) -> int:
        return len(self.index)

    def __iter__(self) -> Iterator[Any]:
        return map(self._one, range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice) and all(end is None or hasattr(end, "__index__") for end in (key.start, key.stop)):
            return self.iloc[key]
        return self.loc[key]

    def __repr__(self) -> str:
        return f"{len(self)} lazy masked arrays of region {self.name!r}, dtype {self.dtype}"

    def _repr_html_(self) -> str:
        return formatting.table("xcrater.RegionArrays: lazy masked arrays of one region", overview(self._source))

    def _one(self, position: int) -> Any:
        return self._elements.array(position)

    def extent(self, position: int) -> tuple[float, float, float, float]:
        """Outer edges of one crater's array on the body, by the crater's position; see `CraterArrays.extent`.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> arrays = dem.craters.get_arrays(cdb, "rim")
        >>> arrays["rim"].extent(0)
        (33.5, 43.25, -74.0, -76.5)
        """
        return self._elements.extent(position)

    def to_dataset(self, label: Any) -> xr.Dataset:
        """One crater's pixels with coordinates, by the crater's label; see `CraterArrays.to_dataset`.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> arrays = dem.craters.get_arrays(cdb, "rim")
        >>> sorted(arrays["rim"].to_dataset(0).data_vars)
        ['azimuth', 'data', 'distance', 'mask']
        """
        return labelled.to_dataset([self._elements], self._position(label))

    def to_ragged(self) -> Ragged:
        """Read the pixels of every crater into flat arrays, each tile once; see `CraterArrays.to_ragged`.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> arrays = dem.craters.get_arrays(cdb, "rim")
        >>> arrays["rim"].to_ragged()
        Ragged of 3 craters, 484 pixels, dtype float32
        """
        return ragged.to_ragged(self._source)[self.name]

    def compute(self, *, workers: int | None = None) -> pd.Series[Any]:
        """Compute all masked arrays, reading each tile once.

        Parameters
        ----------
        workers : int, optional
            Number of threads; None leaves it to dask.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> arrays = dem.craters.get_arrays(cdb, "rim")
        >>> arrays["rim"].compute().map(lambda array: array.count()).tolist()
        [232, 38, 29]
        """
        with self._source.request.naming_craters():
            (cells,) = graph.compute(gathering.gather(self._source), workers=workers)
        return pd.Series(list(cells[0]), self.index, object, self.name)

    def map(self, func: Callable[[Masked], Any], *, dtype: Any = float) -> xr.DataArray:
        """Apply a function to each crater's masked array, reading each tile once.

        Parameters
        ----------
        func : callable
            Masked array -> number. It is called in the task that reads the crater's last tile.
        dtype : dtype
            Dtype of the results.

        Returns
        -------
        xarray.DataArray
            Dimension crater; lazy where the raster is.

        Raises
        ------
        FunctionError
            Raised on computing if the function fails, or returns anything but a number of that dtype.

        Examples
        --------
        >>> import numpy as np
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> arrays = dem.craters.get_arrays(cdb, "rim")
        >>> arrays["rim"].map(np.ma.median).compute().round(1).values
        array([711.8, 310.8, 130.9])
        """
        call = make_call(func, dtype, None, None, "raise")
        (cells,) = functions.map_craters(self._source, call, apart=False)
        return xr.DataArray(cells[0], dims="crater", coords=self._source.request.coordinates(), name=self.name)

    apply = map
