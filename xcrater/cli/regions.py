"""Options of regions: rings, ellipses and polygons around each crater, and which pixels belong to them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click

from xcrater import CraterDatabase, Exclude
from xcrater.cli.packing import packed
from xcrater.cli.shared import TableOptions
from xcrater.options import COVERAGES, get_option
from xcrater.table.vector_files import read_file

RING = "NAME=INNER:OUTER"


class Ring(NamedTuple):
    """A region as the command line declares it: bounds in crater radii, or in units of the fitted ellipse."""

    name: str
    inner: float
    outer: float


class PolygonFile(NamedTuple):
    """A region of polygons: its name, and the vector file with one polygon per row of the crater table."""

    name: str
    path: str


def _ring(option: str) -> Callable[[str], Ring]:
    """Make the parser of a region, NAME=OUTER or NAME=INNER:OUTER."""
    number = r"([-+0-9.eE]+)"

    def read(text: str) -> Ring:
        match = re.fullmatch(rf"([^=]+)=(?:{number}:)?{number}", text)
        try:
            if match is None:
                raise ValueError
            return Ring(match[1], float(match[2] or 0.0), float(match[3]))
        except ValueError as err:
            raise click.BadParameter(
                f"received {option} {text!r}; expected {RING} in crater radii, such as rim=1:1.5"
            ) from err

    return read


def _polygon_file(text: str) -> PolygonFile:
    """The region of polygons that FILE or NAME=FILE declares; without NAME it is named after the file."""
    name, equals, path = text.partition("=")
    if not equals or Path(text).exists():
        name, path = Path(text).stem, text
    if not Path(path).expanduser().exists():
        raise click.BadParameter(f"received --polygons {text!r}; there is no file {path!r} in {Path.cwd()}")
    return PolygonFile(name, path)


class RegionOptions(NamedTuple):
    """The regions that a command declares around each crater."""

    regions: tuple[Ring, ...]
    ellipses: tuple[Ring, ...]
    polygons: tuple[PolygonFile, ...]
    nvert: int

    def check(self) -> None:
        """Refuse a command without any region."""
        if not (self.regions or self.ellipses or self.polygons):
            raise click.UsageError(
                "received no region; expected --region, --ellipse or --polygons, such as --region rim=1:1.5"
            )

    def declare(self, cdb: CraterDatabase) -> list[str]:
        """Declare the regions around the craters of a table, and return their names in the order of the options."""
        for ring in self.regions:
            cdb.add_annuli(ring.name, ring.inner, ring.outer, nvert=self.nvert or None)
        for ring in self.ellipses:
            cdb.add_ellipses(ring.name, ring.inner, ring.outer)
        for name, path in self.polygons:
            _add_polygons(cdb, name, path)
        rings = (*self.regions, *self.ellipses)
        return [*(ring.name for ring in rings), *(each.name for each in self.polygons)]


def _add_polygons(cdb: CraterDatabase, name: str, path: str) -> None:
    """Declare the polygons of a vector file, whose rows are those of the crater table."""
    frame = read_file(path)
    shapes = frame.geometry.to_numpy()
    # GeoJSON knows no CRS but the Earth's, so files of other bodies claim EPSG:4326, which must not be believed.
    crs = None if frame.crs is None or frame.crs.to_epsg() == 4326 else frame.crs
    cdb.add_polygons(name, shapes, crs=crs)


nvert_option = click.option(
    "--nvert",
    type=int,
    default=get_option("nvert") or 0,
    show_default=True,
    help="Number of vertices of the polygon that stands for each circle; 0 for true circles.",
)


def region_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of regions to a command, which receives them as one `RegionOptions` named ``shapes``."""
    options = (
        click.option(
            "--region",
            "regions",
            type=_ring("--region"),
            metavar=RING,
            multiple=True,
            help="A ring by its bounds in crater radii, such as rim=1:1.5, or a disc, such as floor=0.8; repeatable.",
        ),
        click.option(
            "--ellipse",
            "ellipses",
            type=_ring("--ellipse"),
            metavar=RING,
            multiple=True,
            help="Likewise, in units of the ellipse that the table fits to each rim; always true curves; repeatable.",
        ),
        click.option(
            "--polygons",
            type=_polygon_file,
            metavar="[NAME=]FILE",
            multiple=True,
            help="Polygons of a vector file, one per row of CRATERS and in the same order; repeatable.",
        ),
        nvert_option,
    )
    return packed(command, "shapes", RegionOptions, options)


class Near(NamedTuple):
    """Distance from other craters, in their radii, within which pixels are left out; and the file of these craters.

    Without a file they are the other craters of CRATERS.
    """

    radii: float
    path: str | None


def _near(text: str) -> Near:
    path, _, radii = text.rpartition(":")
    try:
        found = Near(float(radii), path or None)
    except ValueError as err:
        raise click.BadParameter(
            f"received --exclude {text!r}; expected crater radii, such as 1, or FILE:RADII for the craters of another "
            "table, such as others.csv:1"
        ) from err
    if path and not Path(path).expanduser().exists():
        raise click.BadParameter(f"received --exclude {text!r}; there is no file {path!r} in {Path.cwd()}")
    return found


class PixelOptions(NamedTuple):
    """Which pixels belong to a region, and which are excluded because of neighbouring craters."""

    coverage: str | None
    exclude: Near | None
    exclude_ratio: tuple[float, float] | None

    def excluded(self, table: TableOptions) -> Exclude | None:
        """The craters near which pixels are left out; another table of them is read with the options of CRATERS."""
        if self.exclude is None:
            if self.exclude_ratio is not None:
                raise click.UsageError("received --exclude-ratio without --exclude; expected both, such as --exclude 1")
            return None
        least, most = self.exclude_ratio or (0.0, math.inf)
        of = None if self.exclude.path is None else table.open(self.exclude.path)
        return Exclude(self.exclude.radii, min_ratio=least, max_ratio=most, of=of)


def _ratio(text: str) -> tuple[float, float]:
    least, colon, most = text.partition(":")
    try:
        return float(least), float(most) if colon and most else float("inf")
    except ValueError as err:
        raise click.BadParameter(
            f"received --exclude-ratio {text!r}; expected MIN or MIN:MAX, radii of neighbours in radii of the crater, "
            "such as 0.25 or 0.25:4"
        ) from err


def pixel_options(default: str | None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options of pixels to a command, which receives them as one `PixelOptions` named ``pixels``.

    Commands differ in their default of coverage.
    """
    options = (
        click.option(
            "--coverage",
            type=click.Choice(COVERAGES),
            default=default,
            show_default=default is not None,
            help="Which pixels belong to a region: all that it touches, those whose centres lie inside, or all by the "
            "fraction inside.",
        ),
        click.option(
            "--exclude",
            type=_near,
            metavar="[FILE:]RADII",
            help="Leave out pixels within this many radii of other craters of the table, or of those of another table, "
            "which is read with the same options as CRATERS.",
        ),
        click.option(
            "--exclude-ratio",
            type=_ratio,
            metavar="MIN[:MAX]",
            help="For --exclude, count only neighbours of this many times the crater's own radius, such as 0.25.",
        ),
    )
    return lambda command: packed(command, "pixels", PixelOptions, options)
