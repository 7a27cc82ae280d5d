"""Containers of arrays describe themselves in text and in notebooks, without computing anything."""

from __future__ import annotations

from html.parser import HTMLParser

import dask.array
import numpy as np
import pytest

from tests import strategies
from tests.helpers import raise_if_dask_computes
from tests.pixels.test_container import CRATERS, GLOBAL, database, numbered
from xcrater import formatting

pytestmark = pytest.mark.nojit


class Cells(HTMLParser):
    """Cells of a table by the header in their row; checks that all tags are closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        assert tag in ("div", "table", "tbody", "tr", "th", "td", "strong")
        assert [name for name, _ in attrs] in ([], ["style"])
        self.open.append(tag)
        if tag in ("th", "td"):
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("th", "td"):
            self.cells[-1] += data


def rows(html: str) -> dict[str, str]:
    cells = Cells(html).cells
    return dict(zip(cells[::2], cells[1::2], strict=True))


def test_arrays_show_what_they_are_and_compute_nothing():
    da = strategies.data_array(numbered(GLOBAL, "i2", (3,)), GLOBAL)
    da = da.copy(data=dask.array.from_array(da.data, chunks=(3, 10, 25)))
    cdb = database(*CRATERS)
    cdb.add_circles("<b>all & sundry", 2.5, nvert=None)
    with raise_if_dask_computes():
        arrays = da.craters.get_arrays(cdb, ["rim", "<b>all & sundry"])
        shown = rows(arrays._repr_html_())
    assert shown["Craters"] == "4"
    assert shown["Regions"] == "rim (0.7 to 1.4 radii), <b>all & sundry (0 to 2.5 radii)"
    assert shown["Values"] == "int16"
    assert shown["Raster"] == "band 3 × y 36 × x 72, lazy, in chunks of 10 × 25"
    assert shown["Tiles"] == str(len(arrays._source.plan))
    wanted = sum(element.nbytes for region in arrays for element in arrays[region])
    assert shown["Pixels"] == f"{formatting.size(wanted)} of values"


def test_a_raster_in_memory_is_described_as_such():
    arrays = strategies.data_array(numbered(GLOBAL), GLOBAL).craters.get_arrays(
        database(*CRATERS), "rim", coverage="exact"
    )
    shown = rows(arrays._repr_html_())
    assert shown["Raster"] == "y 36 × x 72, in memory"
    assert shown["Coverage"] == "exact"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (900, "900 B"), (1024, "1.00 kiB"), (10**6, "0.95 MiB"), (2**40, "1.00 TiB"), (2**60, "1024.00 PiB")],
)
def test_sizes_read_well(count, text):
    assert formatting.size(count) == text


def test_sizes_never_shrink():
    counts = np.geomspace(1, 1e16, 300).astype(np.int64)
    units = {"B": 1, "kiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "PiB": 2**50}
    read = [float(n) * units[u] for n, u in (formatting.size(c).split() for c in counts.tolist())]
    np.testing.assert_allclose(read, counts, rtol=6e-3)
