"""Diagrams of results, as methods of the accessor of Datasets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import xarray as xr

from xcrater.display import diagrams
from xcrater.display.diagrams import PowerLaw


class ResultMethods:
    """Methods of `ds.craters` that draw results of `da.craters`."""

    _ds: xr.Dataset

    def plot_depths(
        self, ax: Any = None, *, lines: Sequence[PowerLaw] | None = None, ratio: bool = False, **kwargs: Any
    ) -> Any:
        """Draw the depths in a result of `da.craters.depths` against diameters, with published relations.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure is made.
        lines : sequence of PowerLaw, optional
            Relations to be drawn as lines; those of the body by default, if it has any.
        ratio : bool, default False
            Whether depths are divided by diameters.
        **kwargs
            More arguments of `matplotlib.axes.Axes.plot` for the craters.

        Returns
        -------
        matplotlib.axes.Axes
            The diagram, with logarithmic axes in km. Craters whose depth is not above 0 are not in it.

        Raises
        ------
        PlotError
            The Dataset has no depths, or none above 0.
        ImportError
            matplotlib is not installed.

        Notes
        -----
        The relations hold for fresh craters, in km: on the Moon d = 0.196 D^1.010 up to 15 km and 1.044 D^0.301 beyond
        (Pike 1977), on Mars d = 0.14 D^0.90 up to 8 km and 0.25 D^0.49 beyond (Garvin and Frawley 1998). Declare any
        other relation as a `xcrater.display.diagrams.PowerLaw`.

        References
        ----------
        Garvin, J. B., and Frawley, J. J. (1998). Geometric properties of Martian impact craters: preliminary results
        from the Mars Orbiter Laser Altimeter. Geophys. Res. Lett. 25, 4405-4408.
        Pike, R. J. (1977). Size-dependence in the shape of fresh impact craters on the moon. In: Impact and
        Explosion Cratering, Pergamon, 489-509.

        Examples
        --------
        >>> import pandas as pd, xcrater
        >>> table = pd.DataFrame({"lat": [10.0, -30.0], "lon": [20.0, 0.0], "radius": [50e3, 90e3]})
        >>> cdb = xcrater.CraterDatabase(table, "moon")
        >>> dem = xcrater.tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> ax = dem.craters.depths(cdb).craters.plot_depths()
        >>> ax.get_xlabel(), len(ax.lines)
        ('diameter (km)', 2)
        """
        return diagrams.depth_diameter(self._ds, ax, lines, ratio, kwargs)

    def plot_profile(
        self, variable: str | None = None, ax: Any = None, *, relative: bool = False, **kwargs: Any
    ) -> Any:
        """Draw the radial profiles in a result of `da.craters.radial_profile`, and their spread.

        For several craters this is the median of their profiles with a band from the 16th to the 84th percentile, and
        each profile if there are at most 30. For a stack it is the stacked profile with a band of one standard error.

        Parameters
        ----------
        variable : str, optional
            Name of the statistic; the first by default.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure is made.
        relative : bool, default False
            Whether each profile is taken relative to its outermost ring, so that craters in highlands and lowlands can
            be compared.
        **kwargs
            More arguments of `matplotlib.axes.Axes.plot` for the line.

        Returns
        -------
        matplotlib.axes.Axes
            The diagram. Each sector of azimuth has its own colour.

        Raises
        ------
        PlotError
            The Dataset has no profiles, or not the one requested, or has further dimensions.
        ImportError
            matplotlib is not installed.

        Examples
        --------
        >>> import pandas as pd, xcrater
        >>> table = pd.DataFrame({"lat": [10.0, -30.0], "lon": [20.0, 0.0], "radius": [50e3, 90e3]})
        >>> cdb = xcrater.CraterDatabase(table, "moon")
        >>> dem = xcrater.tutorial.synthetic_mosaic("moon", ppd=4, craters=cdb)
        >>> ax = dem.craters.radial_profile(cdb, 10).craters.plot_profile(relative=True)
        >>> ax.get_xlabel()
        'distance from the centre (crater radii)'
        """
        return diagrams.profile(self._ds, variable, ax, relative, kwargs)
