"""Interpretation of a column's header: the quantity, its unit, and the convention in which it is counted."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Literal, NamedTuple, TypeAlias

Quantity: TypeAlias = Literal["latitude", "longitude", "radius", "diameter"]
Direction: TypeAlias = Literal["north", "south", "east", "west"]
LatitudeKind: TypeAlias = Literal["planetocentric", "planetographic"]

METRES = {"m": 1.0, "km": 1000.0, "cm": 0.01, "mm": 0.001, "ft": 0.3048}
"""Metres per unit of length, for each unit that a header may name; feet are international feet."""

UNUSABLE = 4
"""Rank of a column that holds the quantity in a unit or form that is not converted."""


def word_set(words: str) -> frozenset[str]:
    """Split a text at spaces into a set of words."""
    return frozenset(words.split())


_NOUNS: dict[Quantity, str] = {
    "latitude": "latitude latitudes lat lats colatitude colatitudes colat colats",
    "longitude": "longitude longitudes lon lons long lng",
    "radius": "radius radii rad",
    "diameter": "diameter diameters diam diams dia",
}
NOUNS: dict[str, Quantity] = {word: quantity for quantity, words in _NOUNS.items() for word in words.split()}
"""The quantity that each noun names."""

_AXES: dict[str, Quantity] = {"x": "longitude", "easting": "longitude", "y": "latitude", "northing": "latitude"}
_INITIALS: dict[str, Quantity] = {"r": "radius", "d": "diameter"}
_POLAR = word_set("co colatitude colatitudes colat colats")

_UNIT_WORDS = {
    "m": "m meter meters metre metres",
    "km": "km kms kilometer kilometers kilometre kilometres",
    "cm": "cm cms centimeter centimeters centimetre centimetres",
    "mm": "mm millimeter millimeters millimetre millimetres",
    "ft": "ft foot feet",
    "miles": "mi mile miles nmi",
    "inches": "inch inches",
    "yards": "yd yard yards",
    "micrometres": "um micron microns micrometer micrometers micrometre micrometres",
    "pixels": "px pix pixel pixels",
    "arcseconds": "arcsec arcsecs arcsecond arcseconds",
    "arcminutes": "arcmin arcmins arcminute arcminutes",
    "gons": "gon gons grad grads gradian gradians",
    "hours": "hour hours hr hrs",
    "deg": "deg degs degree degrees",
    "rad": "radian radians",
}
_UNITS = {word: unit for unit, words in _UNIT_WORDS.items() for word in words.split()}
UNIT_NAMES = {"deg": "degrees", "rad": "radians"}
"""Words that messages use for units in place of their short names."""

# "Diameter (10^3 km)", "D x 1000 m": a power of ten is not part of a name.
_MULTIPLE = re.compile(r"10\s*(?:\^|\*\*)\s*[-+]?\d|\b1[eE][-+]?\d|[x×*]\s*10{1,6}\b")

_DIRECTIONS: dict[str, Direction] = {
    "n": "north", "north": "north", "northern": "north", "northward": "north",
    "s": "south", "south": "south", "southern": "south", "southward": "south",
    "e": "east", "east": "east", "eastern": "east", "eastward": "east",
    "w": "west", "west": "west", "western": "west", "westward": "west",
}  # fmt: skip
_ACROSS: dict[Quantity, tuple[Direction, Direction]] = {"latitude": ("north", "south"), "longitude": ("east", "west")}
KINDS: dict[str, LatitudeKind] = dict.fromkeys(
    word_set("planetocentric ocentric centric areocentric geocentric pc"), "planetocentric"
)
KINDS |= dict.fromkeys(word_set("planetographic ographic graphic areographic geodetic pg"), "planetographic")
"""The latitude that each adjective names."""

_NEUTRAL = word_set("in of positive")
_CIRCLE = word_set("circ circle circular c img image im center centre")
ELLIPSE = word_set("elli ell ellipse elliptical el major minor semimajor semiminor")
"""Words that mark fits of ellipses to rims."""

NEVER = word_set(
    """
    sd std stdev stddev dev deviation err error errors sigma unc uncert uncertainty var variance rms rmse ci precision
    eccen eccentricity ecc ellip ellipticity angle azimuth orientation tilt axis aspect ratio frac fraction
    depth height elevation area perimeter volume slope count number num rank order bin flag quality class type state
    confidence score id name source method reference note notes comment
    min max minimum maximum range lower upper low high bound bounds limit
    northmost southmost eastmost westmost northernmost southernmost easternmost westernmost
    log ln delta diff difference offset
    """
)
"""A column with any of these words describes the quantity (its error, its rank, a bound) and does not hold it."""

# A word ends where the letters end or the case changes: "DiamKm", "DIAMkm" and "LonE" are two words each.
_WORD = re.compile(r"[A-Z]{2,}(?=(?:km|cm|mm|m|deg)(?![a-z]))|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


class Wording(NamedTuple):
    """What a header says about the numbers below it."""

    quantity: Quantity
    rank: int
    """How well the words fit, 0 being best; `UNUSABLE` if the unit or form is not converted."""
    unit: str | None = None
    """The unit, if exactly one is named, such as "km", "deg", "rad" or "pixels"."""
    direction: Direction | None = None
    """Direction in which positive numbers count."""
    from_pole: bool = False
    """Whether it is a co-latitude, counted from the north pole."""
    kind: LatitudeKind | None = None
    """Kind of latitude, or kind of latitude to which the longitudes belong."""


def is_unit(text: str) -> bool:
    """Whether a text is the name of a unit and nothing else, such as "km", "(deg)" or "degrees_east"."""
    words = words_of(text)
    return bool(words) and words[0] in _UNITS and all(word in _UNITS or word in _DIRECTIONS for word in words)


def words_of(column: Hashable) -> list[str]:
    """The words of a header in lower case."""
    return [word.lower() for word in _WORD.findall(str(column))]


def unit_of(column: Hashable) -> str | None:
    """The unit that a header names; None if it names none, or several.

    Returns
    -------
    str or None
        A key of `METRES`, "deg", "rad", the name of another unit, or "a multiple" where it names a power of ten.
    """
    if _MULTIPLE.search(str(column)):
        return "a multiple of a unit"
    words = words_of(column)
    units = {_UNITS[word] for word in words if word in _UNITS}
    if not units and "rad" in words and any(word in NOUNS and word != "rad" for word in words):
        return "rad"  # "lat_rad"; alone, "rad" is a radius
    return units.pop() if len(units) == 1 else None


def read_wording(column: Hashable, *, projected: bool = False, as_quantity: Quantity | None = None) -> Wording | None:
    """Read a header.

    Parameters
    ----------
    column : hashable
        The header.
    projected : bool, default False
        Whether coordinates are x and y of a projected CRS, so that columns named ``x`` or ``northing`` count.
    as_quantity : str, optional
        Quantity that the user says the column holds; the words then only determine its unit and convention.

    Returns
    -------
    Wording or None
        None if the header names no quantity.

    Examples
    --------
    >>> read_wording("Longitude (°W)")
    Wording(quantity='longitude', rank=0, unit=None, direction='west', from_pole=False, kind=None)
    >>> read_wording("DIAM_CIRC_SD_IMG") is None
    True
    """
    if as_quantity is None and str(column).startswith("_"):
        return None
    words, unit = words_of(column), unit_of(column)
    if as_quantity is not None:
        quantity, rank = as_quantity, 0
    else:
        named = _named_quantity(words, projected=projected)
        if named is None:
            return None
        quantity, rank = named
    across = _ACROSS.get(quantity, ())
    found = [_DIRECTIONS[word] for word in words if _DIRECTIONS.get(word) in across]
    # Without a known noun, a single letter may mean anything: in a column "width_w" that the user names, w is not west.
    if not any(NOUNS.get(word) == quantity for word in words):
        found = [_DIRECTIONS[word] for word in words if len(word) > 1 and _DIRECTIONS.get(word) in across]
    if not _convertible(quantity, unit, projected=projected):
        rank = UNUSABLE
    return Wording(
        quantity,
        rank,
        unit,
        found[0] if len(set(found)) == 1 else None,
        quantity == "latitude" and not _POLAR.isdisjoint(words),
        next((KINDS[word] for word in words if word in KINDS), None) if across else None,
    )


def _named_quantity(words: list[str], *, projected: bool) -> tuple[Quantity, int] | None:
    """The quantity that words name, and its rank regardless of the unit."""
    without_units = [word for word in words if word not in _UNITS]
    if len(without_units) == 1 and without_units[0] in _INITIALS:
        return _INITIALS[without_units[0]], 2
    if projected and len(without_units) == 1 and without_units[0] in _AXES:
        return _AXES[without_units[0]], 0
    nouns = [word for word in words if word in NOUNS]
    in_radians = [word for word in nouns if word == "rad"] if len(nouns) > 1 else []
    nouns = [word for word in nouns if word not in in_radians]
    if len(nouns) != 1 or not NEVER.isdisjoint(words):
        return None
    quantity = NOUNS[nouns[0]]
    neutral = _NEUTRAL | {word for word, where in _DIRECTIONS.items() if where in _ACROSS.get(quantity, ())}
    qualifiers = {*words} - {*nouns, *in_radians} - neutral - _UNITS.keys()
    if quantity in _ACROSS and ("rad" in in_radians or not {"radian", "radians"}.isdisjoint(words)):
        return quantity, 3  # if a table has both, columns in degrees are preferred, since they need no conversion
    if quantity == "latitude" and not _POLAR.isdisjoint(words):
        return quantity, 3
    qualifiers -= {word for word, kind in KINDS.items() if kind == "planetocentric"}
    if not qualifiers:
        return quantity, 0
    if qualifiers <= _CIRCLE:
        return quantity, 1
    return quantity, 2 if qualifiers.isdisjoint(ELLIPSE) else 3


def _convertible(quantity: Quantity, unit: str | None, *, projected: bool) -> bool:
    if unit is None:
        return True
    if quantity in ("radius", "diameter"):
        return unit in METRES
    return unit in ("m", "km") if projected else unit in ("deg", "rad")
