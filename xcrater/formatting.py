"""Numbers for people to read, and HTML representations of objects in notebooks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape


def size(count: int) -> str:
    """Format a number of bytes for people.

    Parameters
    ----------
    count : int
        Number of bytes.

    Returns
    -------
    str
        The number in binary units, as dask writes it.

    Examples
    --------
    >>> size(999), size(12_345_678), size(2**30)
    ('0.98 kiB', '11.77 MiB', '1.00 GiB')
    """
    # Imported late, because modules below the engine do not load dask
    from dask.utils import format_bytes

    return format_bytes(count)


def number(value: float) -> str:
    """Format a number to four digits for people, without an exponent.

    Parameters
    ----------
    value : float
        The number.

    Returns
    -------
    str
        The number, with commas between thousands.

    Examples
    --------
    >>> number(1145.53), number(0.34567), number(20.0)
    ('1,146', '0.3457', '20')
    """
    return f"{float(f'{value:.4g}'):,.10g}"


def table(title: str, rows: Mapping[str, str], *, picture: str = "", below: str = "") -> str:
    """Make a small HTML table that takes its colours from the page, light or dark.

    Parameters
    ----------
    title : str
        Heading above the table.
    rows : mapping of str to str
        Texts of the first and second column; all are escaped.
    picture, below : str, optional
        HTML that stands at the table's right, and HTML that stands below it; neither is escaped.

    Returns
    -------
    str
        The table as HTML.

    Examples
    --------
    >>> "3 &lt; 4" in table("Craters", {"sizes": "3 < 4"})
    True
    """
    name = "text-align: left; font-weight: normal; opacity: 0.65; padding: 1px 16px 1px 0; vertical-align: top"
    line = "border: none; background: none"
    body = "".join(
        f'<tr style="{line}"><th style="{name}">{escape(key)}</th>'
        f'<td style="text-align: left; padding: 1px 0">{escape(value)}</td></tr>'
        for key, value in rows.items()
    )
    made = f'<table style="border-collapse: collapse; margin: 4px 0; color: inherit"><tbody>{body}</tbody></table>'
    if picture:
        made = (
            '<div style="display: flex; flex-wrap: wrap; gap: 8px 28px; align-items: flex-start">'
            f'<div style="max-width: 480px">{made}</div><div style="margin: 6px 0">{picture}</div></div>'
        )
    return (
        '<div style="color: inherit">'
        '<div style="padding: 2px 0 4px; border-bottom: 1px solid; border-color: rgba(128, 128, 128, 0.5)">'
        f"<strong>{escape(title)}</strong></div>{made}{below}</div>"
    )


def ring(inner: float, outer: float, azimuths: tuple[float, float] | None = None) -> str:
    """Draw a ring around a crater, whose rim is a dashed circle, as an SVG picture.

    Parameters
    ----------
    inner, outer : float
        Bounds of the ring in crater radii.
    azimuths : tuple of float, optional
        Azimuths between which the ring is filled, degrees clockwise from north; all of it by default.

    Returns
    -------
    str
        The picture, in the colour of the text around it.

    Examples
    --------
    >>> ring(1, 1.5).startswith("<svg")
    True
    """
    start, stop = azimuths if azimuths is not None and azimuths[1] - azimuths[0] < 360 else (0.0, 360.0)
    # Two arcs, since SVG cannot draw a full circle as one
    angles = [math.radians(start + (stop - start) * part) for part in (0, 0.5, 1)]

    def points(radius: float) -> list[str]:
        return [f"{radius * math.sin(a):.4g} {-radius * math.cos(a):.4g}" for a in angles]

    def arcs(radius: float, way: int, ends: list[str]) -> str:
        return "".join(f"A{radius:.4g} {radius:.4g} 0 0 {way} {end}" for end in ends)

    far, near = points(outer), points(inner)[::-1]
    whole = stop - start == 360
    back = f"{'M' if whole else 'L'}{near[0]}" + (arcs(inner, 0, near[1:]) if inner else "")
    view = 1.12 * max(outer, 1.0)
    return (
        f'<svg viewBox="{-view:.4g} {-view:.4g} {2 * view:.4g} {2 * view:.4g}" width="96" height="96" role="img" '
        'fill="none" stroke="currentColor">'
        f'<path d="M{far[0]}{arcs(outer, 1, far[1:])}{back}z" fill="currentColor" fill-opacity="0.25" '
        f'fill-rule="evenodd" stroke-width="{view / 60:.3g}"/>'
        f'<circle r="1" stroke-width="{view / 60:.3g}" stroke-dasharray="{view / 16:.3g}" stroke-opacity="0.7"/></svg>'
    )
