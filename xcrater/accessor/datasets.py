"""The ``.craters`` accessor of Datasets, which applies each operation to every variable that is a raster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import xarray as xr

from xcrater.accessor.results import ResultMethods
from xcrater.database import CraterDatabase
from xcrater.errors import GridError
from xcrater.pixels.container import CraterArrays
from xcrater.raster.reading import spatial_dims
from xcrater.statistics.aggregations import Asked


class DatasetCratersAccessor(ResultMethods):
    """Crater science on all rasters of a Dataset: ``ds.craters``.

    Each variable with rows and columns of pixels is treated as ``ds["dem"].craters`` treats it; the methods of that
    accessor document the arguments. Other variables are ignored. The results share one Dataset, with names such as
    ``mean_dem``, like the columns of `CraterDatabase.get_stats`. The plotting methods draw such results, not rasters.

    Examples
    --------
    >>> import pandas as pd, xarray as xr, xcrater
    >>> cdb = xcrater.CraterDatabase(pd.DataFrame({"lat": [10.0], "lon": [20.0], "radius": [50e3]}), "moon")
    >>> cdb.add_annuli("rim", 1, 1.5)
    >>> dem = xcrater.tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
    >>> ds = xr.Dataset({"dem": dem, "high": dem > 0})
    >>> sorted(ds.craters.get_stats(cdb, "rim", "mean,max").data_vars)
    ['max_dem', 'max_high', 'mean_dem', 'mean_high']
    """

    def __init__(self, ds: xr.Dataset) -> None:
        self._ds = ds

    def get_stats(
        self,
        cdb: CraterDatabase,
        regions: str | Iterable[str],
        stats: Asked = ("mean", "std", "count"),
        **options: Any,
    ) -> xr.Dataset:
        """Compute statistics of each raster's pixels: variables ``<statistic>_<raster>``; see `da.craters.get_stats`.

        Parameters
        ----------
        cdb : CraterDatabase
            The craters and their regions.
        regions : str or iterable of str
            Names of regions.
        stats : str, callable or iterable of these
            Names of statistics, or functions of a crater's pixels.
        **options
            More arguments of `da.craters.get_stats`.

        Returns
        -------
        xarray.Dataset
            Variables ``<statistic>_<raster>``, each lazy where its raster is.

        Raises
        ------
        GridError
            No variable is a raster, or the results of two rasters would have the same name.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> ds = dem.to_dataset(name="dem").assign(coarse=dem.round(-3))
        >>> dict(ds.craters.get_stats(cdb, ["rim"], "mean").sizes)
        {'region': 1, 'crater': 3}
        """
        stats = stats if isinstance(stats, str) or callable(stats) else tuple(stats)
        return self._joined(lambda da: da.craters.get_stats(cdb, regions, stats, **options))

    def radial_profile(self, cdb: CraterDatabase, *args: Any, **options: Any) -> xr.Dataset:
        """Compute profiles of each raster: ``<statistic>_<raster>``; arguments of `da.craters.radial_profile`.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> ds = dem.to_dataset(name="dem").assign(coarse=dem.round(-3))
        >>> sorted(ds.craters.radial_profile(cdb, 10, "mean").data_vars)
        ['mean_coarse', 'mean_dem']
        """
        return self._joined(lambda da: da.craters.radial_profile(cdb, *args, **options))

    def depths(self, cdb: CraterDatabase, **options: Any) -> xr.Dataset:
        """Measure craters on each elevation model: ``<result>_<raster>``; arguments of `da.craters.depths`.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> ds = dem.to_dataset(name="dem").assign(coarse=dem.round(-3))
        >>> ds[["dem"]].craters.depths(cdb)["depth_dem"].dims
        ('crater',)
        """
        return self._joined(lambda da: da.craters.depths(cdb, **options))

    def map(
        self, cdb: CraterDatabase, regions: str | Iterable[str], func: Callable[..., Any], **options: Any
    ) -> xr.Dataset:
        """Apply a function to every crater's pixels of each raster; arguments of `da.craters.map`.

        Parameters
        ----------
        cdb : CraterDatabase
            The craters and their regions.
        regions : str or iterable of str
            Names of regions.
        func : callable
            Receives the pixels of one crater in one raster.
        **options
            More arguments of `da.craters.map`.

        Returns
        -------
        xarray.Dataset
            One variable per raster, under its name; where the function returns a dict, one per item and raster.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> ds = dem.to_dataset(name="dem").assign(coarse=dem.round(-3))
        >>> sorted(ds.craters.map(cdb, "rim", lambda values: values.max()).data_vars)
        ['coarse', 'dem']
        """
        return self._joined(lambda da: da.craters.map(cdb, regions, func, **options))

    def chips(self, cdb: CraterDatabase, *args: Any, **options: Any) -> xr.Dataset:
        """Cut images of all craters out of each raster, under its name; arguments of `da.craters.chips`.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> ds = dem.to_dataset(name="dem").assign(coarse=dem.round(-3))
        >>> ds[["dem"]].craters.chips(cdb, size=16)["dem"].shape
        (3, 16, 16)
        """
        return self._joined(lambda da: da.craters.chips(cdb, *args, **options))

    def get_arrays(self, cdb: CraterDatabase, regions: str | Iterable[str], **options: Any) -> dict[str, CraterArrays]:
        """Cut out the pixels of each raster, as a dict of lazy arrays keyed by the raster's name.

        Parameters
        ----------
        cdb : CraterDatabase
            The craters and their regions.
        regions : str or iterable of str
            Names of regions.
        **options
            More arguments of `da.craters.get_arrays`.

        Returns
        -------
        dict of str to CraterArrays
            The result of `da.craters.get_arrays` for each raster.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> ds = dem.to_dataset(name="dem").assign(coarse=dem.round(-3))
        >>> ds.craters.get_arrays(cdb, "rim")["coarse"]
        CraterArrays of 3 craters with regions rim: lazy masked arrays of float32 from 2 tiles
        """
        names = regions if isinstance(regions, str) else tuple(regions)
        return {name: da.craters.get_arrays(cdb, names, **options) for name, da in self._rasters().items()}

    def mask(self, cdb: CraterDatabase, region: str, *args: Any, **options: Any) -> xr.DataArray:
        """Mark the pixels in any crater's region, on the grid of all rasters; arguments of `da.craters.mask`.

        Examples
        --------
        >>> from xcrater import tutorial
        >>> cdb = tutorial.synthetic_craters("moon", 3)
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> dem = tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> ds = dem.to_dataset(name="dem").assign(coarse=dem.round(-3))
        >>> int(ds.craters.mask(cdb, "rim").sum())
        299
        """
        first = next(iter(self._rasters().values()))
        found: xr.DataArray = first.craters.mask(cdb, region, *args, **options)
        return found

    def _rasters(self) -> dict[str, xr.DataArray]:
        """The variables that are rasters, by name, each with the CRS that the Dataset declares for it."""
        ds, found = self._ds, {}
        mappings = {v.encoding.get("grid_mapping", v.attrs.get("grid_mapping")) for v in ds.data_vars.values()}
        ds = ds.set_coords([name for name in ds.data_vars if name in mappings or name == "spatial_ref"])
        for name, da in ds.data_vars.items():
            try:
                spatial_dims(da)
            except GridError:
                continue
            if da.dtype.kind in "biuf":
                found[str(name)] = da
        if not found:
            raise GridError(
                f"received a Dataset without rasters: its variables are {', '.join(map(str, ds.data_vars)) or 'none'}. "
                "Expected one with two spatial dimensions, such as ('y', 'x'): "
                "da.to_dataset(name='dem').craters"
            )
        return found

    def _joined(self, operation: Callable[[xr.DataArray], xr.DataArray | xr.Dataset]) -> xr.Dataset:
        """Apply an operation to each raster and put the results into one Dataset."""
        variables: dict[str, xr.Variable] = {}
        coords: dict[Any, Any] = {}
        attrs: Mapping[Any, Any] = {}
        for name, da in self._rasters().items():
            result = operation(da)
            parts = {name: result} if isinstance(result, xr.DataArray) else _named(result, name)
            twice = sorted(parts.keys() & variables.keys())
            if twice:
                raise GridError(
                    f"two rasters have results named {twice[0]!r}; rename one: ds.rename({{{name!r}: 'other'}})"
                )
            variables |= {full: part.variable for full, part in parts.items()}
            coords |= result.coords
            attrs = {**result.attrs, **attrs}
        return xr.Dataset(variables, coords, attrs)


def _named(result: xr.Dataset, raster: str) -> dict[str, xr.DataArray]:
    return {f"{name}_{raster}": variable for name, variable in result.data_vars.items()}
