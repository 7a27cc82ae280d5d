"""Names of regions: which are free, by which attribute the table shows them, and suggestions for unknown ones."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from xcrater.errors import RegionError
from xcrater.table.regions import Region


def attribute(name: str) -> str:
    """The attribute by which the table shows a region: its name with spaces replaced by underscores."""
    return name.replace(" ", "_")


def by_attribute(regions: Mapping[str, Region]) -> dict[str, str]:
    """The name of each region, keyed by the attribute that shows it."""
    return {attribute(name): name for name in regions}


def check_name(name: object, regions: Mapping[str, Region], cdb: object) -> str:
    """Check that a new region may have a name, and return it.

    Parameters
    ----------
    name : object
        Name that the user wants to give.
    regions : mapping of str to Region
        The regions that are declared already.
    cdb : object
        The table, whose own attributes a region must not hide.

    Returns
    -------
    str
        The name.

    Raises
    ------
    RegionError
        The name is not a string, is taken by another region, or is that of an attribute of the table.
    """
    if not isinstance(name, str):
        raise RegionError(f"received the region name {name!r}, a {type(name).__name__}; expected a str")
    shown_as = attribute(name)
    taken = by_attribute(regions).get(shown_as)
    if taken is not None:
        raise RegionError(
            f"received the region name {name!r}, which {'is' if taken == name else f'like {taken!r} would be'} "
            f"cdb.{shown_as} already; type del cdb.regions[{taken!r}] first, or choose another name"
        )
    if shown_as.startswith("__") or shown_as in vars(cdb) or hasattr(type(cdb), shown_as):
        raise RegionError(
            f"received the region name {name!r}, but cdb.{shown_as} is something else; "
            f"choose another name, such as {name + '_region'!r}"
        )
    return name


def find_region(name: str, regions: Mapping[str, Region]) -> Region:
    """Find the declaration of a region by name.

    Raises
    ------
    RegionError
        There is no region of that name; the error lists those that exist, or suggests one.
    """
    if name in regions:
        return regions[name]
    if not regions:
        raise RegionError(f"received region {name!r}; none was added yet: cdb.add_annuli({name!r}, inner=1, outer=1.5)")
    close = get_close_matches(str(name), regions)
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"expected one of {', '.join(regions)}"
    raise RegionError(f"received region {name!r}, which was not added; {hint}")
