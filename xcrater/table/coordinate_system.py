"""The column of a table that states the system of its coordinates, as in the tables of the Gazetteer.

"Planetographic, +West, 0 - 360" states what a header might also state: the direction of positive longitudes and the
kind of latitude. The range is not needed, since longitudes are cyclic.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any, NamedTuple

import pandas as pd

from xcrater.errors import TableError
from xcrater.geometry.bodies import Convention
from xcrater.table.header import Column
from xcrater.table.wording import KINDS, Direction, LatitudeKind, word_set, words_of

_ABOUT = word_set("coordinate coordinates coord coords direction convention system")
_DIRECTION = re.compile(
    r"(?:\+|\bpositive)[\s_-]*(east|west|e|w)(?:ward)?\b|\b(east|west)(?:ward)?[\s_-]*(?:\+|positive\b)", re.IGNORECASE
)


class System(NamedTuple):
    """What a cell says about the coordinates in its row; None for what it leaves open."""

    direction: Direction | None
    kind: LatitudeKind | None


def in_stated_system(
    table: pd.DataFrame, latitude: Column, longitude: Column, convention: Convention, *, oblate: bool
) -> tuple[Column, Column]:
    """Complete what the headers of a table's coordinates say by what another column says about them.

    Parameters
    ----------
    table : pandas.DataFrame
        The crater table.
    latitude, longitude : Column
        The columns, as their headers describe them.
    convention : Convention
        Convention of ``input_crs``.
    oblate : bool
        Whether the body has two kinds of latitude; if not, statements about the kind are ignored.

    Returns
    -------
    tuple of Column
        The columns of latitude and longitude, with their completed descriptions.

    Raises
    ------
    TableError
        Rows contradict each other, a header or ``input_crs``.
    """
    for name in table.columns:
        if name in (latitude.name, longitude.name) or _ABOUT.isdisjoint(words_of(name)):
            continue
        systems = _systems(table[name])
        if not systems:
            continue
        if len(set(systems.values())) > 1:
            text = next(iter(systems))
            raise TableError(
                f"column {name!r} names several systems, {', '.join(map(repr, systems))}; expected one for all rows. "
                f"Read them one by one: xcrater.CraterDatabase(table[table[{name!r}] == {text!r}], ...)"
            )
        system = next(iter(systems.values()))
        system = system if oblate else system._replace(kind=None)
        if convention.stated:
            counted = System("west" if convention.west else "east", convention.latitude)
            _refuse_contradiction(name, system, counted, "input_crs")
            continue
        header = System(longitude.wording.direction, latitude.wording.kind)
        _refuse_contradiction(name, system, header, f"column {longitude.name!r} or {latitude.name!r}")
        latitude = latitude._replace(wording=latitude.wording._replace(kind=system.kind or header.kind))
        wording = longitude.wording
        wording = wording._replace(kind=system.kind or wording.kind, direction=system.direction or wording.direction)
        longitude = longitude._replace(wording=wording)
    return latitude, longitude


def _systems(column: Any) -> dict[str, System]:
    """The system that each text of a column states; empty unless every text states one."""
    if not isinstance(column, pd.Series) or pd.api.types.is_numeric_dtype(column):
        return {}
    found = {str(cell): _system(str(cell)) for cell in column.dropna().unique()}
    return {} if any(system == (None, None) for system in found.values()) else found


def _system(cell: str) -> System:
    directions = {(found[1] or found[2])[0].lower() for found in _DIRECTION.finditer(cell)}
    kinds = {KINDS[word] for word in words_of(cell) if word in KINDS}
    direction: Direction | None = None
    if len(directions) == 1:
        direction = "west" if directions == {"w"} else "east"
    return System(direction, kinds.pop() if len(kinds) == 1 else None)


def _refuse_contradiction(name: Hashable, system: System, other: System, whose: str) -> None:
    for ours, theirs in zip(system, other, strict=True):
        if ours is not None and theirs is not None and ours != theirs:
            raise TableError(
                f"column {name!r} says {ours!r} of the coordinates, and {whose} {theirs!r}; expected one of both. If "
                f"column {name!r} is wrong, take it away: table = table.drop(columns={name!r})"
            )
