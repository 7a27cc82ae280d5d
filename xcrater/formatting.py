"""HTML representations of objects in notebooks."""

from __future__ import annotations

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
    # Imported late, as the modules beneath the engine do without dask
    from dask.utils import format_bytes

    return format_bytes(count)


def table(title: str, rows: Mapping[str, str]) -> str:
    """Make a small HTML table that takes its colours from the page, light or dark.

    Parameters
    ----------
    title : str
        Heading above the table.
    rows : mapping of str to str
        Texts of the first and second column; all are escaped.

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
    return (
        '<div style="color: inherit">'
        '<div style="padding: 2px 0 4px; border-bottom: 1px solid; border-color: rgba(128, 128, 128, 0.5)">'
        f"<strong>{escape(title)}</strong></div>"
        f'<table style="border-collapse: collapse; margin: 4px 0; color: inherit"><tbody>{body}</tbody></table></div>'
    )
