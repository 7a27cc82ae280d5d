"""How objects show themselves in notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape


def size(count: float) -> str:
    """Bytes as people read them.

    Examples
    --------
    >>> size(999), size(12_345_678), size(3.2e12)
    ('999 B', '12.3 MB', '3.2 TB')
    """
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if count < 999.5 or unit == "PB":
            return f"{count:.3g} {unit}"
        count /= 1000.0
    raise AssertionError


def table(title: str, rows: Mapping[str, str]) -> str:
    """A small table in HTML, which takes the colours of the page, light or dark.

    Parameters
    ----------
    title : str
        Above it.
    rows : mapping of str to str
        What stands in the first and second column. All is escaped.

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
