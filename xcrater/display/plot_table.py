"""Crater tables with methods that draw: maps of outlines, and small multiples of regions."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcrater.display import diagrams, maps, overview, rois
from xcrater.table.selectable_table import SelectableTable


class PlotTable(SelectableTable):
    """A crater table with figures of its regions, alone or over a raster."""

    def _repr_html_(self) -> str:
        return overview.html(self)

    def plot(
        self,
        fraster: Any = None,
        region: str = "",
        ax: Any = None,
        size: float | Sequence[float] = 7.5,
        dpi: float = 100,
        band: int = 1,
        alpha: float = 0.5,
        color: Any = "tab:blue",
        savefig: str | os.PathLike[str] | None = None,
        savefig_kwargs: Mapping[str, Any] | None = None,
        *,
        projection: Any = None,
        extent: Sequence[float] | None = None,
        image: Mapping[str, Any] | None = None,
        colorbar: bool | None = None,
        scale_bar: bool = True,
        grid: bool = True,
        title: str | None = None,
        shade: bool | None = None,
        hillshade: bool | float | None = None,
        **kwargs: Any,
    ) -> Any:
        """Draw the outlines of craters or of one of their regions on a map.

        Parameters
        ----------
        fraster : path, rasterio dataset or xarray.DataArray, optional
            Raster to show behind the outlines. It is read at the resolution of the figure, from the overviews of a
            file or by taking every n-th pixel, so its size does not matter.
        region : str, optional
            Name of a region; the rims by default.
        ax : matplotlib.axes.Axes, optional
            Axes to draw on, of longitude and latitude or of a cartopy projection, whose limits are kept. By default a
            new figure is made.
        size : float or (float, float), default 7.5
            Width of a new figure, or width and height, inches.
        dpi : float, default 100
            Pixels per inch of a new figure.
        band : int, default 1
            Number of the raster's band.
        alpha : float, default 0.5
            Opacity of the outlines, 0 to 1.
        color : colour of matplotlib, default "tab:blue"
            Colour of the outlines.
        savefig : path, optional
            File to save the figure to.
        savefig_kwargs : dict, optional
            More arguments of `matplotlib.figure.Figure.savefig`.
        projection : str or CRS, optional
            ``"lonlat"``, ``"north"`` or ``"south"`` (polar stereographic), ``"orthographic"``, ``"mollweide"``,
            ``"sinusoidal"``, ``"equidistant"`` (the last four centred on the craters), or any CRS of the body that
            pyproj reads, including cartopy's. The default is the CRS of a projected raster, and longitude and latitude
            otherwise.
        extent : (west, east, south, north), optional
            Bounds of the map, degrees; those of the craters by default. West may be beyond ±180.
        image : dict, optional
            How the raster is shown: ``cmap``, ``vmin``, ``vmax`` and other arguments of
            `matplotlib.axes.Axes.imshow`.
        colorbar : bool, optional
            Whether there is a colour bar; by default where the raster has units.
        scale_bar, grid : bool, default True
            Whether a new figure has a scale bar, true in the middle of the map, and a graticule.
        title : str, optional
            Title of a new figure.
        shade : bool, optional
            Whether outlines smaller than 3 pixels are shown as shading, which is darker where they are denser; by
            default if more than 20 000 outlines are on the map.
        hillshade : bool or float, optional
            Whether the raster is shown as shaded relief, with its values taken as heights and the light from the upper
            left; by default if its units are metres or kilometres. Heights are exaggerated so that relief is visible at
            the scale of the map; a number sets the factor, such as 1 for true slopes.
        **kwargs
            More properties of `matplotlib.collections.LineCollection`.

        Returns
        -------
        matplotlib.axes.Axes
            The map. Its units are degrees, or metres of the projection.

        Raises
        ------
        RegionError
            The region was not added.
        PlotError
            An argument cannot be used, or there is nothing to be seen.
        GridError, BodyError
            The raster or the projection is not on the body.
        ImportError
            matplotlib is not installed.

        Notes
        -----
        The map traces the same outlines by which statistics are computed, across the antimeridian and around the poles.
        Maps of longitude and latitude stretch the degree of latitude so that craters in the middle are round, up to 75°
        of latitude.

        Examples
        --------
        >>> from xcrater import CraterDatabase, sample_data
        >>> cdb = CraterDatabase(sample_data["moon_craters_km.csv"], "moon", units="km")
        >>> ax = cdb.plot(sample_data["moon.tif"], size=3, color="yellow")
        >>> len(ax.collections), len(ax.images), ax.get_title()
        (1, 1, 'Moon CraterDatabase (N=786)')
        """
        look = maps.Look(
            size, dpi, band, alpha, color, projection, extent, image, colorbar, scale_bar, grid, title, shade, hillshade
        )
        return maps.plot(self, fraster, region, ax, look, savefig, savefig_kwargs, kwargs)

    def plot_sizes(self, area: Any = None, *, kind: str = "cumulative", ax: Any = None, **kwargs: Any) -> Any:
        """Draw the numbers of craters by size, with their statistical errors.

        Parameters
        ----------
        area : shapely Polygon or MultiPolygon, or float, optional
            The area that the craters were counted in, in longitude and latitude, or in km²; `count_area` by default,
            or else the whole body. A crater counts by the fraction of it that lies inside.
        kind : {"cumulative", "relative"}, default "cumulative"
            The number of craters of at least each diameter per km², in the bins of craterstats; or the relative
            frequency R, the number in bins of a factor of √2 per km² and km of diameter times the cube of their
            geometric mean diameter.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure is made.
        **kwargs
            More arguments of `matplotlib.axes.Axes.errorbar`.

        Returns
        -------
        matplotlib.axes.Axes
            The diagram, with logarithmic axes and bars of the square root of the number.

        Raises
        ------
        PlotError, TableError
            An argument cannot be used, or no crater lies within the area.
        ImportError
            matplotlib is not installed.

        References
        ----------
        Crater Analysis Techniques Working Group (1979). Standard techniques for presentation and analysis of crater
        size-frequency data. Icarus 37, 467-474.

        Examples
        --------
        >>> from xcrater import CraterDatabase, sample_data
        >>> cdb = CraterDatabase(sample_data["moon_craters_km.csv"], "moon", units="km")
        >>> cdb.plot_sizes(kind="relative").get_ylabel()
        'relative frequency R'
        """
        area = self.count_area if area is None else area
        return diagrams.sizes(self, self._body, area, kind, ax, kwargs)

    def plot_rois(
        self,
        fraster: Any,
        region: str,
        index: Any = 9,
        grid_kw: Mapping[str, Any] | None = None,
        savefig: str | os.PathLike[str] | None = None,
        savefig_kwargs: Mapping[str, Any] | None = None,
        *,
        band: int = 1,
        nodata: float | int | None = None,
        pixels: int = 240,
        outside: float = 0.35,
        share: bool = False,
        hillshade: bool | None = None,
        title: str | None = None,
        **kwargs: Any,
    ) -> NDArray[np.object_]:
        """Draw the regions of a few craters, each in a panel of its own with the raster's pixels.

        Every panel is the azimuthal equidistant projection about the crater's centre, north up: distances from the
        centre are true, also at the poles and the antimeridian.

        Parameters
        ----------
        fraster : path, rasterio dataset or xarray.DataArray
            The raster. Only pixels around the craters are read.
        region : str
            Name of a region.
        index : int, pandas.Index or sequence of int, default 9
            How many craters from the first one on, labels of craters, or positions in the table. Those without a pixel
            of the raster are left out.
        grid_kw : dict, optional
            More arguments of `matplotlib.axes.Axes.grid`.
        savefig : path, optional
            File to save the figure to.
        savefig_kwargs : dict, optional
            More arguments of `matplotlib.figure.Figure.savefig`.
        band : int, default 1
            Number of the raster's band.
        nodata : number, optional
            As in `get_stats`.
        pixels : int, default 240
            Pixels along each side of a panel.
        outside : float, default 0.35
            Opacity of the raster outside the region, 0 to 1.
        share : bool, default False
            Whether all panels share one colour scale.
        hillshade : bool, optional
            Whether the raster is shown as shaded relief, with its values taken as heights in metres; by default if its
            units are metres or kilometres.
        title : str, optional
            Title of the figure.
        **kwargs
            ``cmap``, ``vmin``, ``vmax`` and ``norm`` for the raster; all others, such as ``color``, ``facecolor``,
            ``lw`` and ``alpha``, for the outline.

        Returns
        -------
        numpy.ndarray of matplotlib.axes.Axes, shape (rows, 3)
            The panels, with axes in kilometres east and north of each centre. Panels left over in the last row are
            removed from the figure.

        Raises
        ------
        RegionError
            The region was not added.
        PlotError
            An argument cannot be used, or no region lies on the raster.
        GridError, BodyError
            The raster does not fit.
        ImportError
            matplotlib is not installed.

        Examples
        --------
        >>> from xcrater import CraterDatabase, sample_data
        >>> cdb = CraterDatabase(sample_data["moon_craters_km.csv"], "moon", units="km")
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> axes = cdb.plot_rois(sample_data["moon.tif"], "rim", index=[0], pixels=32)
        >>> axes.shape, axes[0, 0].get_title()
        ((1, 3), '0: 34.72°N, 14.91°W')
        """
        view = rois.View(band, nodata, pixels, outside, share, hillshade, title)
        return rois.plot_rois(self, fraster, region, index, grid_kw, savefig, savefig_kwargs, view, kwargs)
