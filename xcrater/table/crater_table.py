"""CraterDatabase: a table of craters on one body, and the regions laid around them."""

from __future__ import annotations

import math
import os
import re
import warnings
from collections.abc import Hashable, Iterable, Mapping
from difflib import get_close_matches
from enum import Enum
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import pandas as pd
import pyproj
import shapely
from numpy.typing import NDArray

from xcrater._optional import require
from xcrater.errors import BodyError, DroppedRowsWarning, RegionError, TableError
from xcrater.geometry.antimeridian import cut_at_antimeridian
from xcrater.geometry.bodies import get_body, is_projected, to_geodetic
from xcrater.geometry.lonlat_polygons import region_polygons
from xcrater.geometry.polygon_table import make_polygon_table
from xcrater.options import get_option
from xcrater.table.regions import Annulus, Circle, Polygons, Region

Floats = NDArray[np.float64]


class _Default(Enum):
    """Type of the argument that was not given, where None has a meaning of its own."""

    OPTION = "option"

    def __repr__(self) -> str:
        return "<default>"


_OPTION: Final = _Default.OPTION
_Vertices: TypeAlias = int | Literal[_Default.OPTION] | None


class CraterTable:
    """A table of craters on one body, with named regions around each crater.

    Parameters
    ----------
    dataset : str, os.PathLike or pandas.DataFrame
        Path of a table (.csv; .tsv, .tab or .txt with tabs; .parquet), or the table itself, which is copied.
    body : str
        Planetary body in any case, such as ``"moon"`` or ``"Mars"``; any body of PROJ's IAU_2015 authority.
    input_crs : str or pyproj.CRS, default "default"
        What the table's coordinates are in: ``"planetocentric"``, ``"planetographic"``, one of Vesta's systems, or a
        CRS of the body; see `xcrater.geometry.bodies.to_geodetic`. Columns of a projected CRS are its x and y.
    units : {"m", "km"}, default "m"
        Unit of the radius or diameter column.
    lat_col, lon_col : str, optional
        Names of the latitude and longitude columns; found by the words in the header if not given. Longitudes may be
        in any range.
    rad_col, diam_col : str, optional
        Name of the radius column, or of the diameter column; found likewise.
    errors : {"raise", "drop"}, default "raise"
        What to do with rows that cannot be used: without a position, or with a radius that is no positive number or
        more than half the body's circumference.

    Attributes
    ----------
    data : pandas.DataFrame
        The table's own columns, and ``_lat``, ``_lon`` (degrees) and ``_radius_m`` (metres).
    orig_cols : pandas.Index
        The table's own columns.
    regions : dict of str to Annulus or Polygons
        The declared regions by name; ``del cdb.regions["rim"]`` removes one.

    Raises
    ------
    TableError
        The table cannot be read, a column is missing or ambiguous, its header contradicts `units`, or rows cannot be
        used.
    BodyError
        The body is unknown, or `input_crs` is unknown or belongs to another body.

    Warns
    -----
    DroppedRowsWarning
        Rows were dropped because of ``errors="drop"``.

    Notes
    -----
    A header counts by whole words: ``DIAM_CIRC_IMG`` holds a diameter, ``DEGRADATION_STATE`` no radius. Plain names
    come before circle fits (``CIRC``, ``IMG``), these before other qualified names, and ellipse fits (``ELLI``,
    ``MAJOR``) last. Standard deviations, shapes, bounds and the like are never taken.

    Each region is also an attribute: ``cdb.rim`` is a pandas.Series of shapely polygons in longitude and latitude,
    cut at the antimeridian and closed over the poles. It is made anew on each access, so keep it in a variable.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"Lat": [-43.3, 9.6], "Lon": [348.8, 339.9], "Diam_km": [85.0, 96.0]})
    >>> cdb = CraterDatabase(table, "moon", units="km")
    >>> cdb.add_annuli("rim", 1, 1.5)
    >>> cdb
    CraterDatabase of length 2 with attributes lat, lon, rad, center, rim.
    >>> cdb.lon.round(3).tolist(), cdb.rad.tolist()
    ([-11.2, -20.1], [42500.0, 48000.0])
    >>> cdb.rim.iloc[0].geom_type
    'Polygon'
    """

    data: pd.DataFrame
    orig_cols: pd.Index[Any]
    regions: dict[str, Region]

    def __init__(
        self,
        dataset: str | os.PathLike[str] | pd.DataFrame,
        body: str,
        input_crs: Any = "default",
        units: str = "m",
        *,
        lat_col: str | None = None,
        lon_col: str | None = None,
        rad_col: str | None = None,
        diam_col: str | None = None,
        errors: Literal["raise", "drop"] = "raise",
    ) -> None:
        if units not in ("m", "km"):
            raise TableError(
                f"received units={units!r}; expected 'm' or 'km', the unit of the radius or diameter column"
            )
        if errors not in ("raise", "drop"):
            raise TableError(f"received errors={errors!r}; expected 'raise' or 'drop'")
        if rad_col is not None and diam_col is not None:
            raise TableError(f"received rad_col={rad_col!r} and diam_col={diam_col!r}; expected only one of them")
        self._body = get_body(body)
        table = _read_table(dataset)
        projected = is_projected(input_crs)
        y_name = _column(table, "latitude", lat_col, projected=projected)
        x_name = _column(table, "longitude", lon_col, projected=projected)
        size_name, per_radius = _size_column(table, rad_col, diam_col, units)

        faults: dict[str, NDArray[np.bool_]] = {}
        y = _numbers(table, y_name, faults)
        x = _numbers(table, x_name, faults)
        radius = _numbers(table, size_name, faults) * (_METRES[units] / per_radius)
        if not projected:
            faults[f"{y_name!r} is beyond ±90°"] = np.abs(y) > 90
        lon, lat = to_geodetic(x, y, self._body, input_crs)
        faults["the position is outside the projection"] = np.isfinite(x) & np.isfinite(y) & np.isnan(lon)
        half_circumference = math.pi * self._body.radius
        faults[f"{size_name!r} is 0 or less"] = radius <= 0
        faults[
            f"{size_name!r} in {units} makes a radius of more than half the circumference of {self.body}, "
            f"{half_circumference / 1000:.6g} km"
        ] = radius > half_circumference

        self.orig_cols = table.columns[~table.columns.isin(_OWN_COLUMNS)]
        good = _usable_rows(table.index, faults, errors)
        data = table.assign(_lat=lat, _lon=lon, _radius_m=radius)
        self.data = data if good.all() else data.loc[good]
        self.regions = {}

    def __repr__(self) -> str:
        attributes = ["lat", "lon", "rad", "center", *self._region_attributes()]
        return f"CraterDatabase of length {len(self)} with attributes {', '.join(attributes)}."

    def __str__(self) -> str:
        return f"{self.body.capitalize()} CraterDatabase (N={len(self)})"

    def __len__(self) -> int:
        return len(self.data)

    def __bool__(self) -> bool:
        return len(self) > 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CraterTable):
            return NotImplemented
        return bool(self.crs == other.crs and self.regions == other.regions and self.data.equals(other.data))

    def __getattr__(self, name: str) -> pd.Series[Any]:
        # Copying and unpickling ask an instance for attributes before it has any
        attributes = {} if "regions" not in self.__dict__ else self._region_attributes()
        if name not in attributes:
            known = f"; its regions are {', '.join(attributes)}" if attributes else "; it has no regions yet"
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}{known}", name=name, obj=self
            )
        return self._polygons(attributes[name])

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._region_attributes()})

    @property
    def body(self) -> str:
        """Lower-case name of the body."""
        return self._body.name

    @property
    def body_radius(self) -> float:
        """Radius of the body's IAU sphere, metres."""
        return self._body.radius

    @property
    def crs(self) -> pyproj.CRS:
        """CRS of `lon` and `lat`: the body's IAU sphere, planetocentric."""
        return self._body.crs

    @property
    def lat(self) -> pd.Series[float]:
        """Planetocentric latitude of each centre, degrees."""
        return self.data["_lat"]

    @property
    def lon(self) -> pd.Series[float]:
        """East longitude of each centre in [-180, 180), degrees."""
        return self.data["_lon"]

    @property
    def rad(self) -> pd.Series[float]:
        """Radius of each crater, metres."""
        return self.data["_radius_m"]

    @property
    def center(self) -> pd.Series[Any]:
        """Centre of each crater: shapely points (longitude, latitude), made anew on each access."""
        points = shapely.points(self.lon.to_numpy(), self.lat.to_numpy())
        return pd.Series(points, index=self.data.index, name="center", dtype=object)

    def copy(self) -> CraterTable:
        """Return an independent copy: changing its table or its regions leaves this one alone.

        Returns
        -------
        CraterDatabase
            The copy.

        Examples
        --------
        >>> cdb = CraterDatabase(pd.DataFrame({"lat": [0.0], "lon": [0.0], "r": [1e4]}), "moon")
        >>> other = cdb.copy()
        >>> other.add_circles("crater")
        >>> other == cdb, list(cdb.regions)
        (False, [])
        """
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__, data=self.data.copy(), regions=dict(self.regions))
        return new

    def add_circles(self, name: str = "", size: float = 1.0, *, nvert: _Vertices = _OPTION) -> None:
        """Declare a region that is the disc around each crater.

        Parameters
        ----------
        name : str, optional
            Name of the region, ``circle_{size}`` if not given.
        size : float, default 1.0
            Radius of the disc in crater radii.
        nvert : int or None, optional
            Number of vertices of the polygon that stands for each circle, 32 unless set otherwise with
            `xcrater.set_options`. None means the true small circle.

        Raises
        ------
        RegionError
            The name is taken or reserved, or the numbers make no circle.

        Examples
        --------
        >>> cdb = CraterDatabase(pd.DataFrame({"lat": [0.0], "lon": [0.0], "r": [1e4]}), "moon")
        >>> cdb.add_circles(size=2.5)
        >>> cdb.regions
        {'circle_2.5': Circle(inner=0.0, outer=2.5, nvert=32)}
        """
        self._declare(name or f"circle_{size}", Circle(size, _vertices(nvert)))

    def add_annuli(self, name: str, inner: float, outer: float, *, nvert: _Vertices = _OPTION) -> None:
        """Declare a region that is a ring around each crater.

        Parameters
        ----------
        name : str
            Name of the region, ``annulus_{inner}_{outer}`` if empty.
        inner, outer : float
            Distances from the centre in crater radii, ``0 <= inner < outer``. From 1 to 3 is the ejecta up to one
            diameter from the rim.
        nvert : int or None, optional
            Number of vertices of the polygon that stands for each circle, 32 unless set otherwise with
            `xcrater.set_options`. None means the true small circle.

        Raises
        ------
        RegionError
            The name is taken or reserved, or the numbers make no ring.

        Examples
        --------
        >>> cdb = CraterDatabase(pd.DataFrame({"lat": [0.0], "lon": [0.0], "r": [1e4]}), "moon")
        >>> cdb.add_annuli("rim", 1, 1.5, nvert=None)
        >>> cdb.regions
        {'rim': Annulus(inner=1, outer=1.5, nvert=None)}
        """
        self._declare(name or f"annulus_{inner}_{outer}", Annulus(inner, outer, _vertices(nvert)))

    def add_polygons(self, name: str, geometries: Any, crs: Any = None) -> None:
        """Declare a region of polygons of one's own, such as mapped ejecta, one or none per crater.

        Parameters
        ----------
        name : str
            Name of the region.
        geometries : sequence, numpy.ndarray, pandas.Series or geopandas.GeoSeries
            A shapely Polygon or MultiPolygon for each crater, in the table's order; None or an empty polygon for a
            crater without. The index of a Series must be the table's.
        crs : str or pyproj.CRS, optional
            What the coordinates are in: anything that `input_crs` of the table may be. If not given, a GeoSeries' own
            CRS, or else east longitude and planetocentric latitude, as `lon` and `lat` are.

        Raises
        ------
        RegionError
            The name is taken or reserved, there is not one geometry per crater, or one cannot be used: it is no
            polygon, is invalid, or lies outside of its CRS. The error names the crater.
        BodyError
            The CRS is unknown or belongs to another body.

        Notes
        -----
        Edges are straight in the CRS given. Longitudes may be in any range; polygons that cross the antimeridian may
        run on past it, jump from one side to the other, or be cut in two there. In longitude and latitude an edge of
        more than 180° is taken the short way round, so a wider one needs vertices in between. A ring that goes around
        the body is closed over the nearer pole. See `xcrater.geometry.polygon_table.make_polygon_table` for these rules
        and the accuracy.

        The polygons follow their craters when rows of `data` are taken or sorted.

        Examples
        --------
        >>> cdb = CraterDatabase(pd.DataFrame({"lat": [0.0, 9.0], "lon": [0.0, 180.0], "r": [1e4, 2e4]}), "moon")
        >>> cdb.add_polygons("ejecta", [None, shapely.box(179, 8, 181, 10)])
        >>> cdb.regions
        {'ejecta': Polygons(1 of 2 craters, 4 vertices)}
        >>> cdb.ejecta[1].bounds
        (-180.0, 8.0, 180.0, 10.0)
        """
        self._check_name(name)
        own, (shapes, crs) = crs, _geometries(geometries, self.data.index, crs)
        try:
            table = make_polygon_table(
                shapes, self._body, "planetocentric" if crs is None else crs, self.data.index.to_numpy()
            )
        except BodyError as err:
            label = "" if crs is own else ". If that is a wrong label, pass crs='planetocentric'"
            raise BodyError(str(err).replace("an input_crs", "a crs").replace("input_crs", "crs") + label) from err
        centres = self.data[["_lon", "_lat"]].to_numpy(np.float64, copy=True)
        self.regions[name] = Polygons(table, self.data.index.copy(), centres)

    def region(self, name: str) -> Region:
        """Look up the declaration of a region.

        Parameters
        ----------
        name : str
            Name given when the region was added.

        Returns
        -------
        Annulus or Polygons
            The declaration.

        Raises
        ------
        RegionError
            There is no region of that name.

        Examples
        --------
        >>> cdb = CraterDatabase(pd.DataFrame({"lat": [0.0], "lon": [0.0], "r": [1e4]}), "moon")
        >>> cdb.add_annuli("rim", 1, 1.5)
        >>> cdb.region("rim").outer
        1.5
        """
        if name in self.regions:
            return self.regions[name]
        if not self.regions:
            raise RegionError(
                f"received region {name!r}; none was added yet: cdb.add_annuli({name!r}, inner=1, outer=1.5)"
            )
        close = get_close_matches(str(name), self.regions)
        hint = (
            f"did you mean {' or '.join(map(repr, close))}?" if close else f"expected one of {', '.join(self.regions)}"
        )
        raise RegionError(f"received region {name!r}, which was not added; {hint}")

    def _region_attributes(self) -> dict[str, str]:
        """Name of each region by the attribute that shows it."""
        return {_attribute(name): name for name in self.regions}

    def _declare(self, name: str, region: Region) -> None:
        self._check_name(name)
        self.regions[name] = region

    def _check_name(self, name: str) -> None:
        if not isinstance(name, str):
            raise RegionError(f"received the region name {name!r}, a {type(name).__name__}; expected a str")
        attribute = _attribute(name)
        taken = self._region_attributes().get(attribute)
        if taken is not None:
            raise RegionError(
                f"received the region name {name!r}, which {'is' if taken == name else f'like {taken!r} would be'} "
                f"cdb.{attribute} already; type del cdb.regions[{taken!r}] first, or choose another name"
            )
        if attribute.startswith("__") or attribute in self.__dict__ or hasattr(type(self), attribute):
            raise RegionError(
                f"received the region name {name!r}, but cdb.{attribute} is something else; "
                f"choose another name, such as {name + '_region'!r}"
            )

    def _polygons(self, name: str) -> pd.Series[Any]:
        region = self.region(name)
        lon, lat = self.lon.to_numpy(), self.lat.to_numpy()
        if isinstance(region, Polygons):
            polygons = cut_at_antimeridian(region.of(self.data).polygons())
        else:
            angle = np.degrees(self.rad.to_numpy() / self.body_radius)
            polygons = region_polygons(lon, lat, angle, region.inner, region.outer, region.nvert)
        return pd.Series(polygons, index=self.data.index, name=name, dtype=object)


def _attribute(region: str) -> str:
    return region.replace(" ", "_")


def _vertices(nvert: _Vertices) -> int | None:
    return get_option("nvert") if nvert is _OPTION else nvert


def _geometries(geometries: Any, index: pd.Index[Any], crs: Any) -> tuple[NDArray[np.object_], Any]:
    """One geometry per row as an array, and the CRS they are in."""
    if isinstance(geometries, pd.DataFrame):
        raise RegionError(
            "received a DataFrame; expected one geometry per crater: type cdb.add_polygons(name, table.geometry)"
        )
    if isinstance(geometries, (str, bytes, Mapping)) or not hasattr(geometries, "__len__"):
        kind = type(geometries).__name__
        raise RegionError(
            f"received geometries of type {kind}; expected a sequence with a shapely Polygon, MultiPolygon or None "
            f"for each of the {len(index)} craters: type [geometry, None, ...]"
        )
    if len(geometries) != len(index):
        raise RegionError(
            f"received {len(geometries)} geometries for {len(index)} craters; expected one per crater, None where "
            "there is no region"
            + (": type geometries.reindex(cdb.data.index)" if isinstance(geometries, pd.Series) else "")
        )
    if isinstance(geometries, pd.Series) and not geometries.index.equals(index):
        line = (
            "geometries.loc[cdb.data.index]"
            if geometries.index.is_unique and index.isin(geometries.index).all()
            else "geometries.to_numpy(), if they are in the table's order"
        )
        raise RegionError(f"received a Series whose index is not the table's; type {line}")
    if crs is None:
        crs = getattr(geometries, "crs", None)
    shapes = np.empty(len(index), dtype=object)
    shapes[:] = list(geometries)
    return shapes, crs


_SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": "\t"}
_VECTOR = frozenset({".shp", ".geojson", ".json", ".gpkg", ".kml", ".gml", ".fgb"})
_OWN_COLUMNS = ("_lat", "_lon", "_radius_m")


def _read_table(dataset: str | os.PathLike[str] | pd.DataFrame) -> pd.DataFrame:
    if isinstance(dataset, pd.DataFrame):
        # pd.DataFrame also makes a plain table of a subclass such as geopandas'
        table, origin = pd.DataFrame(dataset.copy()), "the DataFrame"
    elif isinstance(dataset, (str, os.PathLike)):
        table, origin = _read_file(Path(dataset).expanduser()), f"{os.fspath(dataset)!r}"
    else:
        raise TableError(
            f"received a dataset of type {type(dataset).__name__}; expected a pandas.DataFrame or the path of a table"
        )
    if table.empty:
        raise TableError(f"{origin} has no rows; expected one row per crater")
    return table


def _read_file(path: Path) -> pd.DataFrame:
    suffix = path.suffix.lower()
    if suffix in _VECTOR:
        raise TableError(
            f"received {str(path)!r}; vector files are not read yet. Read it with geopandas and pass the table: "
            f"CraterDatabase(geopandas.read_file({str(path)!r}), ...)"
        )
    if suffix not in _SEPARATORS and suffix != ".parquet":
        raise TableError(
            f"received {str(path)!r}; expected a file that ends in {', '.join(_SEPARATORS)} or .parquet. "
            "Read any other with pandas and pass the DataFrame"
        )
    if not path.is_file():
        where = "" if path.is_absolute() else f" in {Path.cwd()}"
        raise TableError(f"received {str(path)!r}; there is no such file{where}")
    if suffix == ".parquet":
        require("pyarrow", extra="parquet")
    try:
        return pd.read_parquet(path) if suffix == ".parquet" else _read_text(path, _SEPARATORS[suffix])
    except (OSError, ValueError) as err:
        kind = {".csv": "comma-separated", ".parquet": "Parquet"}.get(suffix, "tab-separated")
        raise TableError(
            f"{str(path)!r} cannot be read as a {kind} table: {err}. Read it with pandas and pass the DataFrame"
        ) from err


def _read_text(path: Path, separator: str) -> pd.DataFrame:
    for encoding in ("utf-8-sig", "latin-1"):
        try:
            # Without index_col=False, a separator at the end of lines would shift all columns by one
            return pd.read_csv(
                path, sep=separator, encoding=encoding, index_col=False, skipinitialspace=True, low_memory=False
            )
        except UnicodeDecodeError:
            continue
    raise AssertionError("latin-1 decodes anything")


_KEYWORDS = {"latitude": "lat_col", "longitude": "lon_col", "radius": "rad_col", "diameter": "diam_col"}
_NOUNS = {
    "latitude": "latitude latitudes lat lats",
    "longitude": "longitude longitudes lon lons long lng",
    "radius": "radius radii rad",
    "diameter": "diameter diameters diam diams dia",
}
_QUANTITY = {word: quantity for quantity, words in _NOUNS.items() for word in words.split()}
_AXES = {"x": "longitude", "easting": "longitude", "y": "latitude", "northing": "latitude"}
_INITIALS = {"r": "radius", "d": "diameter"}

_METRES = {"m": 1.0, "km": 1000.0}


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_LENGTHS = dict.fromkeys(_set("m meter meters metre metres"), "m")
_LENGTHS |= dict.fromkeys(_set("km kms kilometer kilometers kilometre kilometres"), "km")
_ANGLES = _set("deg degs degree degrees")
_NEUTRAL = _ANGLES | _LENGTHS.keys() | _set("e east n north")
_CIRCLE = _set("circ circle circular c img image im center centre")
_ELLIPSE = _set("elli ell ellipse elliptical el major minor semimajor semiminor")
# A column with any of these holds something about the quantity, not the quantity
_NEVER = _set(
    """
    sd std stdev stddev dev deviation err error errors sigma unc uncert uncertainty var variance rms rmse ci precision
    eccen eccentricity ecc ellip ellipticity angle azimuth orientation tilt axis aspect ratio frac fraction
    depth height elevation area perimeter volume slope count number num rank order bin flag quality class type state
    confidence score id name source method reference note notes comment
    min max minimum maximum range lower upper low high bound bounds limit
    northmost southmost eastmost westmost northernmost southernmost easternmost westernmost
    log ln delta diff difference offset radian radians px pix pixel pixels mile miles mi ft feet
    """
)
# Words end where letters do and at a change of case: "DiamKm", "DIAMkm", "LonE"
_WORD = re.compile(r"[A-Z]{2,}(?=(?:km|m|deg)(?![a-z]))|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def _words(column: Hashable) -> list[str]:
    return [word.lower() for word in _WORD.findall(str(column))]


def _reading(column: Hashable, *, projected: bool) -> tuple[str, int] | None:
    """What a header says the column holds, and how far down the order of preference; None if nothing of use."""
    if str(column).startswith("_"):
        return None
    words = _words(column)
    bare = [word for word in words if word not in _LENGTHS]
    if len(bare) == 1 and bare[0] in _INITIALS:
        return _INITIALS[bare[0]], 2
    if projected and len(bare) == 1 and bare[0] in _AXES:
        return _AXES[bare[0]], 0
    nouns = [word for word in words if word in _QUANTITY]
    if len(nouns) != 1 or not _NEVER.isdisjoint(words):
        return None
    quantity = _QUANTITY[nouns[0]]
    if quantity in ("radius", "diameter") and not _ANGLES.isdisjoint(words):
        return None
    qualifiers = {*words} - {*nouns} - _NEUTRAL
    if not qualifiers:
        return quantity, 0
    if qualifiers <= _CIRCLE:
        return quantity, 1
    return quantity, 2 if qualifiers.isdisjoint(_ELLIPSE) else 3


def _candidates(table: pd.DataFrame, quantity: str, *, projected: bool = False) -> list[Hashable]:
    """The columns that are equally good for a quantity, and better than all others."""
    ranks = [
        (reading[1], column)
        for column in table.columns
        if (reading := _reading(column, projected=projected)) is not None and reading[0] == quantity
    ]
    best = min((rank for rank, _ in ranks), default=0)
    return [column for rank, column in ranks if rank == best]


def _column(table: pd.DataFrame, quantity: str, name: str | None, *, projected: bool = False) -> Hashable:
    """The column of a name that was given, or else the one that its header marks out."""
    keyword = _KEYWORDS[quantity]
    if name is not None:
        return _given(table, keyword, name)
    candidates = _candidates(table, quantity, projected=projected)
    if not candidates:
        raise TableError(
            f"found no {quantity} column among {_listed(table.columns)}; name it: {keyword}='...'{_hint(table)}"
        )
    if len(candidates) > 1:
        raise TableError(_ambiguous(quantity, candidates, keyword))
    return candidates[0]


def _given(table: pd.DataFrame, keyword: str, name: str) -> str:
    found = int((table.columns == name).sum())
    if found == 1:
        return name
    if found:
        raise TableError(f"received {keyword}={name!r}; {found} columns have that name. Rename all but one")
    close = get_close_matches(str(name), [str(column) for column in table.columns])
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"expected one of {_listed(table.columns)}"
    raise TableError(f"received {keyword}={name!r}, which is not a column; {hint}")


def _size_column(
    table: pd.DataFrame, rad_col: str | None, diam_col: str | None, units: str
) -> tuple[Hashable, Literal[1, 2]]:
    """The radius or diameter column, and how often its number holds the radius."""
    if rad_col is not None:
        return _in_units(_given(table, "rad_col", rad_col), units), 1
    if diam_col is not None:
        return _in_units(_given(table, "diam_col", diam_col), units), 2
    radii, diameters = (_size_candidates(table, quantity, units) for quantity in ("radius", "diameter"))
    if not radii and not diameters:
        raise TableError(
            f"found no radius or diameter column among {_listed(table.columns)}; "
            f"name it: rad_col='...' or diam_col='...'{_hint(table)}"
        )
    for quantity, candidates in (("radius", radii), ("diameter", diameters)):
        if len(candidates) > 1:
            keywords = "rad_col or diam_col" if radii and diameters else _KEYWORDS[quantity]
            raise TableError(_ambiguous(quantity, candidates, keywords))
    if radii and diameters and not _agree(table, radii[0], diameters[0], units):
        raise TableError(
            f"found both a radius column {radii[0]!r} and a diameter column {diameters[0]!r}, and one is not twice the "
            f"other; say which: rad_col={radii[0]!r} or diam_col={diameters[0]!r}"
        )
    return (_in_units(radii[0], units), 1) if radii else (_in_units(diameters[0], units), 2)


def _size_candidates(table: pd.DataFrame, quantity: str, units: str) -> list[Hashable]:
    candidates = _candidates(table, quantity)
    # Of the same quantity in several units, the one that `units` asks for
    matching = [column for column in candidates if _header_unit(column) == units]
    return matching if len(matching) == 1 else candidates


def _header_unit(column: Hashable) -> str | None:
    """The unit of length in a header, "m" or "km"; None if there is none, or both."""
    units = {_LENGTHS[word] for word in _words(column) if word in _LENGTHS}
    return units.pop() if len(units) == 1 else None


def _in_units(column: Hashable, units: str) -> Hashable:
    header = _header_unit(column)
    if header is not None and header != units:
        raise TableError(
            f"column {column!r} says {header}, but units={units!r}; pass units={header!r}, or rename the column "
            "if its header is wrong"
        )
    return column


def _agree(table: pd.DataFrame, rad_col: Hashable, diam_col: Hashable, units: str) -> bool:
    radius, diameter = (
        _values(table, column) * _METRES[_header_unit(column) or units] for column in (rad_col, diam_col)
    )
    both = np.isfinite(radius) & np.isfinite(diameter)
    return bool(np.all(np.abs(diameter - 2 * radius)[both] <= 1e-3 * np.abs(2 * radius)[both]))


def _ambiguous(quantity: str, candidates: Iterable[Hashable], keyword: str) -> str:
    return f"found several {quantity} columns, {_listed(candidates)}; say which with {keyword}='...'"


def _hint(table: pd.DataFrame) -> str:
    if len(table.columns) > 1:
        return ""
    return ". There is only one column: are its values separated otherwise? Read it with pandas.read_csv(..., sep=...)"


def _listed(labels: Iterable[Hashable], limit: int = 20) -> str:
    names = [repr(label) for label in labels]
    more = f", and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _values(table: pd.DataFrame, column: Hashable) -> Floats:
    numbers = pd.to_numeric(table[column], errors="coerce")
    return np.asarray(numbers.to_numpy(dtype=float, na_value=np.nan))


def _numbers(table: pd.DataFrame, column: Hashable, faults: dict[str, NDArray[np.bool_]]) -> Floats:
    """A column as floats, with NaN for what is none; why it is none goes to `faults`."""
    values = _values(table, column)
    missing = table[column].isna().to_numpy(dtype=bool)
    faults[f"{column!r} is missing"] = missing
    faults[f"{column!r} is not a number"] = np.isnan(values) & ~missing
    faults[f"{column!r} is infinite"] = np.isinf(values)
    return np.where(np.isinf(values), np.nan, values)


def _usable_rows(
    index: pd.Index[Any], faults: dict[str, NDArray[np.bool_]], errors: Literal["raise", "drop"]
) -> NDArray[np.bool_]:
    bad = reduce(or_, faults.values())
    count = int(bad.sum())
    if not count:
        return ~bad
    reasons = "; ".join(f"{reason}: {_rows(index[rows])}" for reason, rows in faults.items() if rows.any())
    if count == len(bad):
        raise TableError(f"none of the {count} rows can be used. {reasons}. Check the columns, units and input_crs")
    if errors == "raise":
        raise TableError(
            f"{count} of {len(bad)} rows cannot be used. {reasons}. Correct them, or leave them out with errors='drop'"
        )
    warnings.warn(f"dropped {count} of {len(bad)} rows. {reasons}", DroppedRowsWarning, stacklevel=3)
    return ~bad


def _rows(labels: pd.Index[Any]) -> str:
    shown = ", ".join(str(label) for label in labels[:5])
    return f"{len(labels)} row{'s' if len(labels) > 1 else ''} ({shown}{', …' if len(labels) > 5 else ''})"
