"""What notebooks show is escaped, appears at once, and computes nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
import xml.etree.ElementTree as ElementTree

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import shapely

from tests.helpers import raise_if_dask_computes
from tests.pixels.test_container import CRATERS, GLOBAL, database, numbered
from tests.strategies import data_array
from xcrater import CraterDatabase, sample_data
from xcrater.table.regions import Annulus, Sector

SCRIPT = "<script>document.title = 'run'</script>"


def moon(lat, lon, radius, **columns) -> CraterDatabase:
    return CraterDatabase(pd.DataFrame({"lat": lat, "lon": lon, "radius": radius, **columns}), "moon")


def picture(html: str) -> ElementTree.Element:
    """The first SVG in some HTML, which must be well-formed."""
    return ElementTree.fromstring(re.search(r"<svg.*?</svg>", html, re.DOTALL)[0])


@pytest.fixture
def named():
    cdb = moon([10.0, 60.0, -88.0], [20.0, 179.0, 0.0], [50e3, 300e3, 400e3], **{f"a {SCRIPT}": [SCRIPT] * 3})
    cdb.add_annuli(SCRIPT, 1, 1.5)
    return cdb


def test_a_table_shows_counts_body_sizes_and_regions(named):
    html = named._repr_html_()
    for text in ("Moon, radius 1,737.4 km", "100 to 800 km, median 600 km", "-88.0° to 60.0°", "1 to 1.5 radii"):
        assert text in html
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 3


def test_a_table_with_sizes_in_metres_and_an_empty_one():
    assert (
        'Diameters</th><td style="text-align: left; padding: 1px 0">20 to 40 m'
        in moon([0.0, 1.0], [0.0, 1.0], [10.0, 20.0])._repr_html_()
    )
    none = moon([0.0], [0.0], [1e4])[[False]]
    html = none._repr_html_()
    assert "none yet: cdb.add_annuli(&#x27;rim&#x27;, 1, 1.5)" in html
    assert "Diameters" not in html
    assert picture(html) is not None


def test_the_map_has_dots_and_outlines_at_the_craters(named):
    lines, dots, outlines, _ = picture(named._repr_html_())
    assert lines.get("d").startswith("M-120 -90")
    assert dots.get("d") == "M20.0 -10.0h0"
    x, y = np.array(re.findall(r"(-?[\d.]+) (-?[\d.]+)", outlines.get("d")), float).T
    assert (np.abs(x) <= 180).all()
    assert set(np.sign(x[np.abs(y + 60) < 11])) >= {-1, 1}  # on both sides of the antimeridian
    assert y.max() == 90  # over the south pole


def test_many_craters_are_shown_by_their_density_at_once():
    rng, many = np.random.default_rng(0), 1_300_000
    lat, lon = np.degrees(np.arcsin(rng.uniform(-1, 1, many))), rng.uniform(-60, 60, many)
    cdb = moon(lat, lon, rng.uniform(500, 5000, many))
    begin = time.perf_counter()
    html = cdb._repr_html_()
    assert time.perf_counter() - begin < 2
    assert len(html) < 60_000
    _, *shades, _, _ = picture(html)
    assert [float(shade.get("fill-opacity")) for shade in shades] == sorted(
        float(s.get("fill-opacity")) for s in shades
    )
    cells = [float(x) for shade in shades for x in re.findall(r"M(-?\d+) ", shade.get("d"))]
    assert (min(cells), max(cells)) <= (-60, 55)
    assert "name" not in html


def test_regions_show_their_shape():
    html = Annulus(1, 1.5)._repr_html_()
    assert "xcrater Annulus" in html
    assert "polygons of 32 vertices" in html
    assert [child.tag for child in picture(html)] == ["path", "circle"]
    path = picture(Sector(0, 2, None, start=0, stop=90)._repr_html_())[0].get("d")
    assert path.startswith("M0 -2")
    assert "2 -1.225e-16" in path
    cdb = moon([0.0, 9.0], [0.0, 180.0], [1e4, 2e4], major=[2.4e4, 4e4], minor=[2e4, 4e4], angle=[0.0, 9.0])
    cdb.add_polygons("mapped", [None, shapely.box(179, 8, 181, 10)])
    cdb.add_ellipses("fit")
    assert "1 of 2 have one" in cdb.regions["mapped"]._repr_html_()
    assert "major, minor, angle" in cdb.regions["fit"]._repr_html_()


def test_lazy_arrays_compute_nothing():
    da = data_array(numbered(GLOBAL, "i2", (2,)), GLOBAL).chunk({"band": 1, "y": 10, "x": 25})
    with raise_if_dask_computes():
        arrays = da.craters.get_arrays(database(*CRATERS), ["floor", "rim"])
        whole, one = arrays._repr_html_(), arrays["rim"]._repr_html_()
    assert "floor (" in whole
    assert "floor (" not in one
    assert "xcrater.RegionArrays" in one
    sizes = [arrays[name]._source.nbytes for name in arrays]
    assert sum(sizes) == arrays.nbytes == sum(array.nbytes for name in arrays for array in arrays[name].compute())


@pytest.mark.slow
def test_a_browser_shows_text_and_map(named, tmp_path):
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium on this machine")
    cdb = CraterDatabase(sample_data["moon_craters_km.csv"], "moon", units="km")
    cdb.add_annuli("rim", 1, 1.5)
    da = data_array(numbered(GLOBAL, "i2", (2,)), GLOBAL)
    shown = [cdb, named, cdb.regions["rim"], da.craters.get_arrays(database(*CRATERS), ["floor", "rim"])]
    shown.append(da.craters.plan(database(*CRATERS), ["floor", "rim"]))
    page = tmp_path / "page.html"
    body = "<hr>".join(thing._repr_html_() for thing in shown)
    page.write_text(f"<meta charset=utf-8><title>still</title><body style='font: 14px sans-serif'>{body}")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=900,1000"]
    image = tmp_path / "page.png"
    done = subprocess.run(
        [*command, f"--screenshot={image}", "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120
    )
    assert "<title>still</title>" in done.stdout, done.stderr[-2000:]
    pixels = matplotlib.image.imread(image)[..., :3]
    assert pixels.shape == (1000, 900, 3)
    dark = (pixels < 0.5).all(axis=2)
    assert dark[:260, :450].any(axis=1).sum() > 60  # rows with text
    assert dark[30:250, 450:].mean() > 0.01  # the map next to the text
