"""Regions that are elliptical rings, derived from the ellipses that a crater table fits to the rims.

An ellipse is defined in the azimuthal equidistant frame of its crater's centre, so whether a point lies inside it
depends on the point's geodesic distance and azimuth from the centre.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xcrater import formatting
from xcrater.errors import RegionError
from xcrater.geometry import tracing
from xcrater.geometry.antimeridian import cut_at_antimeridian
from xcrater.geometry.boxes import ring_boxes
from xcrater.geometry.caps import Caps
from xcrater.geometry.clipping import ring_shape
from xcrater.geometry.frame import Frame
from xcrater.geometry.grid import Boxes
from xcrater.geometry.outlines import ring_outlines
from xcrater.geometry.polygon_table import PolygonTable, gather, offsets
from xcrater.geometry.rings import Outlines
from xcrater.geometry.sphere import great_circle_direct
from xcrater.table.header import EllipseColumns
from xcrater.table.reading import finite_numbers
from xcrater.table.regions import Annulus, CraterShapes, Varying

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_SHOWN = 360  # vertices of a curve in plots and GIS files
_LATTICE = 2.0**-43  # degrees; sums of multiples of this and whole turns are exact
_WIDEST = 90.0  # degrees; a wider ellipse might contain both poles


@dataclass(frozen=True)
class Ellipses:
    """The ring between two concentric, similar ellipses around each crater; see `CraterDatabase.add_ellipses`.

    Parameters
    ----------
    inner, outer : float
        Bounds in units of the ellipse that the table gives, ``0 <= inner < outer``: 1 is its outline.
    columns : EllipseColumns
        Columns of the table that hold the axes and the angle, and the factors that turn the axes into semi-axes in
        metres. Since they are read anew for each request, ellipses stay with their craters when rows of
        `CraterDatabase.data` are selected or sorted.
    angle_from : {"east", "north"}
        Whether the angle is counter-clockwise from east or clockwise from north.
    nvert : int or None
        Number of vertices of the polygon that stands for each ellipse, or None for the true curve.

    Notes
    -----
    The label of the lunar catalogue of Robbins (2018, doi:10.1029/2018JE005592) does not say from where
    ``DIAM_ELLI_ANGLE_IMG`` is counted. Its positions show that it is counter-clockwise from east: the centres of circle
    and ellipse fits should differ along the major axis, and do so only under this convention.

    Examples
    --------
    >>> import pandas as pd
    >>> from xcrater import CraterDatabase
    >>> fits = {"major_km": [12.0], "minor_km": [10.0], "angle": [45.0]}
    >>> table = pd.DataFrame({"lat": [5.0], "lon": [8.0], "diam_km": [11.0]} | fits)
    >>> cdb = CraterDatabase(table, "moon", units="km")
    >>> cdb.add_ellipses("rim", 1, 1.5, major_col="major_km", minor_col="minor_km", angle_col="angle")
    >>> cdb.regions["rim"]
    Ellipses(inner=1, outer=1.5, nvert=None)
    """

    inner: float
    outer: float
    columns: EllipseColumns
    angle_from: Literal["east", "north"] = "east"
    nvert: int | None = None

    def __post_init__(self) -> None:
        Annulus(self.inner, self.outer, self.nvert)  # checks the bounds and vertices, which obey the same rules
        if self.angle_from not in ("east", "north"):
            raise RegionError(
                f"received angle_from={self.angle_from!r}; expected 'east' for angles that are counter-clockwise from "
                "east, or 'north' for angles that are clockwise from north"
            )

    def __repr__(self) -> str:
        return f"Ellipses(inner={self.inner}, outer={self.outer}, nvert={self.nvert})"

    def _repr_html_(self) -> str:
        rows = {
            "Extent": self.describe(),
            "Axes and angle": ", ".join(map(str, self.columns[:3])),
            "Outline": f"polygons of {self.nvert} vertices" if self.nvert else "true ellipses",
        }
        return formatting.table("xcrater Ellipses", rows)

    def check(self, data: pd.DataFrame, body_radius: float) -> None:
        """Raise a `RegionError` if a row's ellipse cannot be used, or if no row has an ellipse."""
        if not self.of_craters(data, body_radius).fitted.size and len(data):
            raise RegionError(f"none of the {len(data)} craters has an ellipse: columns {self.columns[:3]} are empty")

    def describe(self) -> str:
        """Describe the region in a few words."""
        return f"ellipses, {self.inner:g} to {self.outer:g} times the fit"

    def enter(self, data: pd.DataFrame, body_radius: float, shapes: list[CraterShapes]) -> Varying:
        """Enter the region into a request; see `Region.enter`."""
        shapes.append(self.of_craters(data, body_radius))
        return Varying(len(shapes) - 1, self.describe())

    def polygons(self, data: pd.DataFrame, body_radius: float) -> NDArray[np.object_]:
        """Outline of each crater's region in longitude and latitude; see `Annulus.polygons`."""
        shapes = self.of_craters(data, body_radius)
        shapes = replace(shapes, vertices=shapes.vertices or _SHOWN)
        return cut_at_antimeridian(shapes.table().polygons())

    def curves(self, data: pd.DataFrame, body_radius: float) -> list[tuple[Floats, Floats]]:
        """Boundary of the first crater's region as closed curves; see `Region.curves`."""
        one = self.of_craters(data.iloc[:1], body_radius)
        curves = []
        for scale in (self.outer, self.inner) if one.fitted.size else ():
            if scale > 0:
                x, y = one.sample(scale, one.fitted, one.vertices or _SHOWN)
                curves.append((np.append(x[0], x[0, 0] + _turns(x)[0] * 360.0), np.append(y[0], y[0, 0])))
        return curves

    def of_craters(self, data: pd.DataFrame, body_radius: float) -> EllipseShapes:
        """Read the ellipses of some craters.

        Parameters
        ----------
        data : pandas.DataFrame
            Rows of the crater table.
        body_radius : float
            Radius of the sphere that turns metres into angles, metres.

        Returns
        -------
        EllipseShapes
            One ellipse per crater; none for a crater without a fit, whose two axes and angle are all missing.

        Raises
        ------
        RegionError
            A column is missing, or the ellipses of some rows cannot be used. The error names them.
        """
        columns = self.columns
        gone = [name for name in columns[:3] if name not in data.columns]
        if gone:
            raise RegionError(
                f"the table has no column {gone[0]!r} any more, which the ellipses are read from; put it back, or "
                "declare the ellipses anew with cdb.add_ellipses(...)"
            )
        faults: dict[str, Bools] = {}
        major, minor, angle = (finite_numbers(data, name, faults) for name in columns[:3])
        missing = [data[name].isna().to_numpy(dtype=bool) for name in columns[:3]]
        unfitted = np.logical_and.reduce(missing)
        for name, rows in zip(columns[:3], missing, strict=True):
            faults[f"{name!r} is missing"] = rows & ~unfitted
        major, minor = major * columns.major_scale, minor * columns.minor_scale
        faults[f"{columns.minor!r} is 0 or less"] = minor <= 0
        faults[f"{columns.minor!r} makes a longer axis than {columns.major!r}"] = minor > major
        widest = math.radians(_WIDEST) * body_radius
        faults[
            f"{columns.major!r} times {self.outer:g} makes a semi-axis of more than a quarter of the body's "
            f"circumference, {widest / 1000:.6g} km"
        ] = self.outer * major > widest
        bad = {reason: rows for reason, rows in faults.items() if rows.any()}
        if bad:
            reasons = "; ".join(f"{reason}: {_labels(data.index[rows])}" for reason, rows in bad.items())
            raise RegionError(
                f"the ellipses of some craters cannot be used. {reasons}. Correct them, or empty all three columns of "
                "a crater to leave it without a region"
            )
        azimuth = np.radians(90.0 - angle if self.angle_from == "east" else angle)
        lon, lat = (data[name].to_numpy(np.float64) for name in ("_lon", "_lat"))
        bounds = (float(self.inner), float(self.outer))
        return EllipseShapes(lon, lat, major / body_radius, minor / body_radius, azimuth, bounds, int(self.nvert or 0))


@dataclass(frozen=True, eq=False)
class EllipseShapes:
    """Rings of ellipses, one per crater.

    Parameters
    ----------
    lon, lat : ndarray, shape (n,)
        East longitude and planetocentric latitude of the centres, degrees.
    major, minor : ndarray, shape (n,)
        Semi-axes as angles on the body's sphere, radians; NaN for a crater without a fit.
    azimuth : ndarray, shape (n,)
        Azimuth of the major axis at the centre, radians clockwise from north.
    bounds : tuple of float
        Inner and outer bound in units of the semi-axes.
    vertices : int
        Number of vertices of each ellipse's polygon; 0 for the true curve.
    """

    lon: Floats
    lat: Floats
    major: Floats
    minor: Floats
    azimuth: Floats
    bounds: tuple[float, float]
    vertices: int = 0

    @property
    def fitted(self) -> NDArray[np.intp]:
        """Positions of the craters that have an ellipse, shape (m,), ascending."""
        return np.flatnonzero(np.isfinite(self.major))

    def take(self, index: NDArray[np.integer] | slice) -> EllipseShapes:
        """The shapes of the craters at some positions."""
        lon, lat, major, minor, azimuth = (a[index] for a in (self.lon, self.lat, self.major, self.minor, self.azimuth))
        return EllipseShapes(lon, lat, major, minor, azimuth, self.bounds, self.vertices)

    def boxes(self, frame: Frame, caps: Caps) -> Boxes:
        """Pixel bounds of the disc around each crater's ellipse; see `CraterShapes.boxes`."""
        fitted = self.fitted
        found = np.full((4, len(self.major)), np.nan)
        found[:, fitted] = ring_boxes(frame, caps.take(fitted), self.bounds[1], self.vertices, self._on_body(fitted))
        return found[0], found[1], found[2], found[3]

    def outlines(self, frame: Frame, caps: Caps, finely: Bools | None = None) -> Outlines:
        """Outline of every crater's shape in pixel coordinates; see `CraterShapes.outlines`."""
        fitted = self.fitted
        fine = None if finely is None else finely[fitted]
        of_fits = ring_outlines(frame, caps.take(fitted), *self.bounds, self.vertices, fine, self._on_body(fitted))
        rings = np.zeros(self.major.size, np.int64)
        rings[fitted] = np.diff(of_fits.shape)
        return replace(of_fits, shape=offsets(rings))

    def shape(self, frame: Frame, caps: Caps, position: int) -> Any:
        """Shape of one crater in the plane in which the frame cuts shapes."""
        one = np.array([position])
        return ring_shape(frame, caps.take(one), 0, *self.bounds, self.vertices, self._on_body(one))

    def _on_body(self, craters: NDArray[np.intp]) -> tracing.Ellipses:
        """The ellipses of craters that all have one, in the form that the geometry modules take."""
        azimuth = np.degrees(self.azimuth[craters])
        return tracing.Ellipses(self.major[craters], self.minor[craters], azimuth)

    def table(self) -> PolygonTable:
        """The shapes as polygons of `vertices` vertices, which must not be 0, on the body's sphere."""
        inner, outer = self.bounds
        fitted = self.fitted
        outside = self.sample(outer, fitted, self.vertices)
        return self._assemble(outside, self.sample(inner, fitted, self.vertices) if inner > 0 else None)

    def sample(self, scale: float, craters: NDArray[np.intp], n: int) -> tuple[Floats, Floats]:
        """Vertices of some craters' ellipses, counter-clockwise.

        Parameters
        ----------
        scale : float
            Size of the ellipses in units of the semi-axes.
        craters : ndarray of int, shape (m,)
            Positions of the craters.
        n : int
            Number of vertices of each.

        Returns
        -------
        lon, lat : ndarray, shape (m, n)
            Planetocentric degrees; longitudes are continuous along a curve.

        Notes
        -----
        Vertices begin on the centre's meridian, in the direction of the nearer pole. A curve around that pole therefore
        begins beyond it, on the opposite meridian, which no hole around the crater alone can reach.
        """
        lon, lat = self.lon[craters, None], self.lat[craters, None]
        start = np.where(lat >= 0, 0.0, math.pi)
        major, minor = scale * self.major[craters, None], scale * self.minor[craters, None]
        azimuth = self.azimuth[craters, None]
        turn = -2 * math.pi * np.arange(n) / n
        begin = np.arctan2(np.sin(start - azimuth) / minor, np.cos(start - azimuth) / major)
        eccentric = begin + turn
        along, across = major * np.cos(eccentric), minor * np.sin(eccentric)
        x, y = great_circle_direct(lon, lat, np.degrees(np.hypot(along, across)), azimuth + np.arctan2(across, along))
        # The first vertex lies on the meridian or opposite it; set its longitude exactly
        beyond = np.abs(x[:, 0] - lon[:, 0]) > 90.0
        x[:, 0] = lon[:, 0] + np.where(beyond, np.where(lon[:, 0] < 0, 180.0, -180.0), 0.0)
        x = np.round(x / _LATTICE) * _LATTICE
        return np.unwrap(x, period=360.0, axis=1), y

    def _assemble(self, outside: tuple[Floats, Floats], inside: tuple[Floats, Floats] | None) -> PolygonTable:
        """Make rings between the outer and inner curves, closed over a pole if they contain one.

        Parameters
        ----------
        outside, inside : tuple of ndarray, each of shape (fitted craters, vertices)
            Longitudes and latitudes in degrees, from `sample`; `inside` is None if there is no hole.
        """
        fitted = self.fitted
        owner, rings = [np.empty(0, np.intp)], [np.empty((0, 2, 1))]
        shells: dict[int, tuple[float, Floats]] = {}  # outer curves around a pole, by crater
        holes = []
        for craters, x, y in ((fitted, *outside),):
            turns = _turns(x)
            shells |= {int(craters[k]): (90.0 * turns[k], _line(x[k], y[k])) for k in np.flatnonzero(turns)}
            plain = turns == 0
            owner.append(craters[plain])
            rings.append(np.stack([x[plain], y[plain]], axis=1))
        for craters, x, y in ((fitted, *inside),) if inside is not None else ():
            turns = _turns(x)
            for k in np.flatnonzero(turns):
                crater, line = int(craters[k]), _line(x[k], y[k])
                shell = shells.pop(crater)[1]  # joined with the inner curve, since the pole is in the hole
                line[0] += 360.0 * np.rint((shell[0, 0] - line[0, 0]) / 360.0)
                owner.append(np.array([crater]))
                rings.append(np.concatenate([shell, line[:, ::-1]], axis=1)[None])
            plain = turns == 0
            holes.append((craters[plain], np.stack([x[plain], y[plain]], axis=1)[:, :, ::-1]))
        for crater, (pole, line) in shells.items():
            owner.append(np.array([crater]))
            rings.append(np.append(line, [line[0, [-1, 0]], np.full(2, pole)], axis=1)[None])
        owner += [craters for craters, _ in holes]  # after the shells, since a shape's shell precedes its holes
        rings += [ring for _, ring in holes]
        sizes = np.concatenate([np.full(len(ring), ring.shape[2]) for ring in rings])
        lon, lat = (np.concatenate([ring[:, k].ravel() for ring in rings]) for k in (0, 1))
        crater_of = np.concatenate(owner)
        vertices, ring_starts = gather(offsets(sizes), np.argsort(crater_of, kind="stable"))
        shape = offsets(np.bincount(crater_of, minlength=self.major.size))
        return PolygonTable(lon[vertices], lat[vertices], ring_starts, shape)


def _line(x: Floats, y: Floats) -> Floats:
    """Unroll a closed curve of n points around a pole into a line over one turn of longitude, shape (2, n + 1)."""
    return np.stack([np.append(x, x[0] + 360.0 * _turns(x[None])[0]), np.append(y, y[0])])


def _turns(x: Floats) -> Floats:
    """Turns of longitude that each closed curve makes: 1 around the north pole, -1 around the south pole, or 0."""
    closing = np.mod(x[:, 0] - x[:, -1] + 180.0, 360.0) - 180.0
    return np.asarray(np.rint((x[:, -1] + closing - x[:, 0]) / 360.0))


def _labels(labels: pd.Index[Any]) -> str:
    shown = ", ".join(str(label) for label in labels[:5])
    return f"{len(labels)} crater{'s' if len(labels) > 1 else ''} ({shown}{', …' if len(labels) > 5 else ''})"
