"""Regions before any raster is known: declarations that know their own outlines.

A region declared in crater radii, such as `Annulus`, has one shape for all craters. A region whose shape differs from
crater to crater, such as `Polygons`, provides the shapes of the requested craters as `CraterShapes`. Code that draws
regions asks for outlines, disc bounds or a description, and never for the kind of region.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xcrater import formatting
from xcrater.errors import RegionError
from xcrater.geometry.antimeridian import cut_at_antimeridian
from xcrater.geometry.caps import Caps
from xcrater.geometry.clipping import polygon_shape, ring_shape
from xcrater.geometry.frame import Frame
from xcrater.geometry.grid import Boxes
from xcrater.geometry.lonlat_polygons import region_polygons
from xcrater.geometry.outlines import polygon_outlines, ring_outlines
from xcrater.geometry.plane_polygons import lies_in_plane, plane_outlines, plane_shape
from xcrater.geometry.polygon_table import PolygonTable
from xcrater.geometry.rings import Outlines
from xcrater.geometry.sphere import disc_nodes

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Index: TypeAlias = NDArray[np.integer] | slice


class CraterShapes(Protocol):
    """Shapes of one region that differ from crater to crater: one per crater, in the craters' order."""

    def take(self, index: Index) -> CraterShapes:
        """The shapes of the craters at some positions."""

    def boxes(self, frame: Frame, caps: Caps) -> Boxes:
        """Pixel bounds that contain every crater's shape, perhaps with a margin.

        Parameters
        ----------
        frame : Frame
            Frame of the raster.
        caps : Caps
            The craters, as many as there are shapes.
        """

    def outlines(self, frame: Frame, caps: Caps, finely: Bools | None = None) -> Outlines:
        """Outline of every crater's shape in pixel coordinates.

        Parameters
        ----------
        frame, caps
            As `boxes` takes them.
        finely : ndarray of bool, shape (n,), optional
            Craters whose outline is to keep within a thousandth of a pixel of the true boundary.
        """

    def shape(self, frame: Frame, caps: Caps, position: int) -> Any:
        """Shape of one crater as a geometry in the plane in which the frame cuts shapes."""


class Sited(Caps, Protocol):
    """Craters on a grid, together with their shapes in those regions that differ from crater to crater."""

    @property
    def shapes(self) -> tuple[CraterShapes, ...]:
        """Shapes of each such region of the request."""


class Member(Protocol):
    """A region as a member of a request: small, hashable, and independent of the craters that it is drawn for."""

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Inner and outer radius in crater radii, if the region is cut from discs about the centre; else None."""

    @property
    def vertices(self) -> int:
        """Number of vertices of the polygon that stands for each bounding curve; 0 for the true curve."""

    @property
    def azimuths(self) -> tuple[float, float] | None:
        """Azimuths between which the region lies, degrees clockwise from north; None for all azimuths."""

    def ring(self) -> Member:
        """The region at all azimuths."""

    def describe(self) -> str:
        """Describe the region in a few words."""

    def outlines(self, frame: Frame, caps: Sited, finely: Bools | None = None) -> Outlines:
        """Outline of every crater's region in pixel coordinates; see `CraterShapes.outlines`."""

    def shape(self, frame: Frame, caps: Sited, position: int) -> Any:
        """Region of one crater as a geometry in the plane in which the frame cuts shapes."""


@dataclass(frozen=True)
class Varying:
    """A region whose shape differs from crater to crater, so that the craters carry the shapes.

    Parameters
    ----------
    number : int
        Position of the region's shapes among those that the craters carry.
    description : str
        Description of the region in a few words.
    """

    number: int
    description: str

    bounds: ClassVar[None] = None
    vertices: ClassVar[int] = 0
    azimuths: ClassVar[None] = None

    def ring(self) -> Varying:
        """The region itself, which has no sectors."""
        return self

    def describe(self) -> str:
        """Describe the region in a few words."""
        return self.description

    def outlines(self, frame: Frame, caps: Sited, finely: Bools | None = None) -> Outlines:
        """Outline of every crater's shape in pixel coordinates."""
        return caps.shapes[self.number].outlines(frame, caps, finely)

    def shape(self, frame: Frame, caps: Sited, position: int) -> Any:
        """Shape of one crater in the plane in which the frame cuts shapes."""
        return caps.shapes[self.number].shape(frame, caps, position)


@dataclass(frozen=True)
class Annulus:
    """The ring between two distances from a crater's centre.

    Parameters
    ----------
    inner, outer : float
        Bounds in crater radii, ``0 <= inner < outer``.
    nvert : int or None
        Number of vertices, even, of the polygon that stands for each bounding circle (edges straight in
        longitude and latitude), or None for the true small circle.

    Raises
    ------
    RegionError
        If the bounds do not delimit a ring, or the number of vertices cannot be used.

    Examples
    --------
    >>> Annulus(1, 1.5)
    Annulus(inner=1, outer=1.5, nvert=32)
    """

    inner: float
    outer: float
    nvert: int | None = 32

    def __post_init__(self) -> None:
        if not all(isinstance(bound, Real) and math.isfinite(bound) for bound in (self.inner, self.outer)):
            raise RegionError(f"received inner={self.inner!r}, outer={self.outer!r}; both must be finite numbers")
        if self.inner < 0:
            raise RegionError(f"received inner={self.inner!r}; a distance in crater radii is 0 or more")
        if self.inner >= self.outer:
            raise RegionError(
                f"received inner={self.inner!r}, outer={self.outer!r}; inner must be less than outer "
                "(both in crater radii from the centre)"
            )
        if self.nvert is not None and (self.nvert != int(self.nvert) or self.nvert < 4 or self.nvert % 2):
            raise RegionError(
                f"received nvert={self.nvert!r}; expected an even number from 4 on, or None for a true circle"
            )

    @property
    def bounds(self) -> tuple[float, float]:
        """Inner and outer radius of the ring, in crater radii."""
        return float(self.inner), float(self.outer)

    @property
    def vertices(self) -> int:
        """Number of vertices of each bounding polygon; 0 for true circles."""
        return int(self.nvert or 0)

    @property
    def azimuths(self) -> tuple[float, float] | None:
        """Azimuths between which the region lies, degrees clockwise from north; None for the whole ring."""
        return None

    def ring(self) -> Annulus:
        """The whole ring that the region is a part of."""
        return self

    def describe(self) -> str:
        """Describe the region in a few words."""
        return f"{self.inner:g} to {self.outer:g} radii"

    def _repr_html_(self) -> str:
        outline = f"polygons of {self.nvert} vertices" if self.nvert else "true circles"
        rows = {"Extent": self.describe(), "Outline": outline}
        return formatting.table(
            f"xcrater {type(self).__name__}", rows, picture=formatting.ring(*self.bounds, self.azimuths)
        )

    def enter(self, data: pd.DataFrame, body_radius: float, shapes: list[CraterShapes]) -> Annulus:
        """Enter the region into a request; see `Region.enter`. It is the same for all craters."""
        return self

    def outlines(self, frame: Frame, caps: Sited, finely: Bools | None = None) -> Outlines:
        """Outline of every crater's region in pixel coordinates; see `CraterShapes.outlines`."""
        return ring_outlines(frame, caps, *self.bounds, self.vertices, finely)

    def shape(self, frame: Frame, caps: Sited, position: int) -> Any:
        """Region of one crater as a geometry in the plane in which the frame cuts shapes."""
        return ring_shape(frame, caps, position, *self.bounds, self.vertices)

    def polygons(self, data: pd.DataFrame, body_radius: float) -> NDArray[np.object_]:
        """Outline of each crater's region in longitude and latitude, for people and GIS files.

        Parameters
        ----------
        data : pandas.DataFrame
            Rows of the crater table.
        body_radius : float
            Radius of the body's sphere, metres.

        Returns
        -------
        ndarray of shapely geometries, shape (n,)
            Polygons, cut at the antimeridian and closed over the poles.
        """
        angle = np.degrees(data["_radius_m"].to_numpy() / body_radius)
        return region_polygons(data["_lon"], data["_lat"], angle, self.inner, self.outer, self.nvert)

    def curves(self, data: pd.DataFrame, body_radius: float) -> list[tuple[Floats, Floats]]:
        """Boundary of the first crater's region as closed curves, for plots; see `Region.curves`."""
        curves = []
        lon, lat = (float(data[name].iloc[0]) for name in ("_lon", "_lat"))
        angle = float(np.degrees(data["_radius_m"].iloc[0] / body_radius))
        for bound in self.bounds:
            if 0 < bound * angle < 180:
                node_lat, half = (nodes[0] for nodes in disc_nodes([lat], [bound * angle], self.vertices or 360))
                around = np.concatenate([lon + half, lon - half[::-1]])
                curves.append((around, np.concatenate([node_lat, node_lat[::-1]])))
        return curves


@dataclass(frozen=True)
class Circle(Annulus):
    """The disc within a distance of a crater's centre: an annulus whose inner bound is 0."""

    def __init__(self, size: float = 1.0, nvert: int | None = 32) -> None:
        super().__init__(0.0, size, nvert)


@dataclass(frozen=True)
class Sector(Annulus):
    """The part of a ring between two azimuths.

    Parameters
    ----------
    inner, outer, nvert
        Bounds and vertices of the ring; see `Annulus`.
    start, stop : float
        Degrees clockwise from north at the crater's centre, ``0 <= start < stop <= 360``. A pixel of the ring belongs
        to the sector if the azimuth of its centre is at least start and less than stop.

    Raises
    ------
    RegionError
        If the bounds do not delimit a sector.

    Examples
    --------
    >>> Sector(1, 1.5, None, start=90, stop=180)
    Sector(inner=1, outer=1.5, nvert=None, start=90, stop=180)
    """

    start: float = 0.0
    stop: float = 360.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isinstance(self.start, Real) and isinstance(self.stop, Real) and 0 <= self.start < self.stop <= 360):
            raise RegionError(
                f"received start={self.start!r}, stop={self.stop!r}; expected 0 <= start < stop <= 360, in degrees "
                "clockwise from north"
            )

    @property
    def azimuths(self) -> tuple[float, float]:
        """Azimuths between which the region lies, degrees clockwise from north."""
        return float(self.start), float(self.stop)

    def ring(self) -> Annulus:
        """The whole ring that the region is a sector of."""
        return Annulus(self.inner, self.outer, self.nvert)

    def describe(self) -> str:
        """Describe the region in a few words."""
        return f"{super().describe()}, azimuth {self.start:g} to {self.stop:g}°"


@dataclass(frozen=True)
class PolygonShapes:
    """The shapes of a region of some craters, as polygons.

    Parameters
    ----------
    table : PolygonTable
        One shape, perhaps empty, per crater.
    """

    table: PolygonTable

    def take(self, index: Index) -> PolygonShapes:
        """The shapes of the craters at some positions."""
        return PolygonShapes(self.table.take(index))

    def boxes(self, frame: Frame, caps: Caps) -> Boxes:
        """Pixel bounds of every crater's shape."""
        west, east, top, bottom = self.outlines(frame, caps).bounds()
        return top, bottom, west, east

    def outlines(self, frame: Frame, caps: Caps, finely: Bools | None = None) -> Outlines:
        """Outline of every crater's shape, which the polygons alone determine."""
        plane = self.table.plane
        if plane is not None and lies_in_plane(frame, plane):
            return plane_outlines(frame, plane)
        return polygon_outlines(frame, self.table, finely)

    def shape(self, frame: Frame, caps: Caps, position: int) -> Any:
        """Shape of one crater in the plane in which the frame cuts shapes."""
        plane = self.table.plane
        if plane is not None and lies_in_plane(frame, plane):
            drawn = plane_shape(frame, plane, position)
            if drawn is not None:
                return drawn
        return polygon_shape(frame, self.table, position)


@dataclass(frozen=True, eq=False, repr=False)
class Polygons:
    """User-supplied polygons, one or none per crater; see `CraterDatabase.add_polygons`.

    Parameters
    ----------
    table : PolygonTable
        The polygons, in the order of the craters.
    index : pandas.Index
        Labels of the craters when the polygons were added.
    centres : ndarray, shape (n, 2)
        Longitude and latitude of the craters at that time, degrees.
    """

    table: PolygonTable
    index: pd.Index[Any]
    centres: Floats

    def __repr__(self) -> str:
        regions = int(np.count_nonzero(np.diff(self.table.shape)))
        vertices = self.table.lon.size if self.table.plane is None else self.table.plane.x.size
        return f"Polygons({regions} of {len(self.table)} craters, {vertices} vertices)"

    def _repr_html_(self) -> str:
        sizes = np.diff(self.table.shape)
        rows = {"Craters": f"{np.count_nonzero(sizes):,} of {len(self.table):,} have one"}
        lines = "longitude and latitude" if self.table.plane is None else "the projection that they were given in"
        rows["Edges"] = f"straight in {lines}"
        return formatting.table("xcrater Polygons", rows)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Polygons):
            return NotImplemented
        alike = self.index.equals(other.index) and np.array_equal(self.centres, other.centres)
        return alike and self.table.same_as(other.table)

    def __hash__(self) -> int:
        return hash((self.table.lon.tobytes(), self.table.lat.tobytes(), self.table.ring.tobytes()))

    def describe(self) -> str:
        """Describe the region in a few words."""
        return "polygons"

    def polygons(self, data: pd.DataFrame, body_radius: float) -> NDArray[np.object_]:
        """Polygon of each crater in longitude and latitude; see `Annulus.polygons`."""
        return cut_at_antimeridian(self.of_craters(data).table.polygons())

    def curves(self, data: pd.DataFrame, body_radius: float) -> list[tuple[Floats, Floats]]:
        """Rings of the first crater's polygon, for plots; see `Region.curves`."""
        one = self.of_craters(data.iloc[:1]).table
        rings = [np.append(np.arange(begin, end), begin) for begin, end in itertools.pairwise(one.ring)]
        return [(one.lon[ring], one.lat[ring]) for ring in rings]

    def enter(self, data: pd.DataFrame, body_radius: float, shapes: list[CraterShapes]) -> Varying:
        """Enter the region into a request; see `Region.enter`."""
        shapes.append(self.of_craters(data))
        return Varying(len(shapes) - 1, self.describe())

    def of_craters(self, data: pd.DataFrame) -> PolygonShapes:
        """Shapes of some craters, even if rows have been selected or sorted since the polygons were added.

        Parameters
        ----------
        data : pandas.DataFrame
            The rows of `CraterDatabase.data` of these craters.

        Returns
        -------
        PolygonShapes
            One shape per row.

        Raises
        ------
        RegionError
            A label is unknown, or now belongs to a crater with another centre.
        """
        if self.index.equals(data.index):
            at = np.arange(len(data))
        elif self.index.is_unique:
            at = self.index.get_indexer(data.index)
        else:
            at = np.full(len(data), -1)
        if (at < 0).any() or not np.array_equal(self.centres[at], data[["_lon", "_lat"]].to_numpy(np.float64)):
            raise RegionError(
                "the table's rows are not those that the polygons were added to, by their labels and positions; "
                "type cdb.add_polygons(...) again after changing cdb.data"
            )
        same = np.array_equal(at, np.arange(len(self.table)))
        return PolygonShapes(self.table if same else self.table.take(at))


class Region(Protocol):
    """The protocol of every declaration of a region."""

    def describe(self) -> str:
        """Describe the region in a few words."""

    def enter(self, data: pd.DataFrame, body_radius: float, shapes: list[CraterShapes]) -> Member:
        """Enter the region into a request.

        Parameters
        ----------
        data : pandas.DataFrame
            The request's rows of the crater table.
        body_radius : float
            Radius of the sphere that turns the table's metres into angles, metres.
        shapes : list of CraterShapes
            Shapes that the request's craters carry; a region that differs from crater to crater appends its own.

        Returns
        -------
        Member
            The region as a member of the request's `RegionSet`.
        """

    def polygons(self, data: pd.DataFrame, body_radius: float) -> NDArray[np.object_]:
        """Outline of each crater's region in longitude and latitude; see `Annulus.polygons`."""

    def curves(self, data: pd.DataFrame, body_radius: float) -> list[tuple[Floats, Floats]]:
        """Boundary of the region of the first crater in the rows, as closed curves.

        Parameters
        ----------
        data : pandas.DataFrame
            Rows of the crater table.
        body_radius : float
            Radius of the body's sphere, metres.

        Returns
        -------
        list of (longitudes, latitudes)
            Degrees; longitudes are continuous across the antimeridian, and the first point is repeated at the end.
        """
