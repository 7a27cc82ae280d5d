"""Figures match pictures that somebody has looked at.

``python -m tests.display.test_baselines`` draws the pictures anew: look at each of them before you commit it. They have
no text and no automatic layout, because fonts differ between machines, and so does the space that text needs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import rioxarray  # noqa: F401
import xarray as xr
from matplotlib.legend import Legend
from matplotlib.testing.compare import compare_images
from matplotlib.testing.decorators import remove_ticks_and_titles
from matplotlib.text import Text

from xcrater import CraterDatabase

pytest.importorskip("matplotlib", minversion="3.11", reason="the pictures are of matplotlib 3.11")

BASELINES = Path(__file__).parent / "baseline"

TOLERANCE = 2.0
"""Root mean square difference allowed, out of 255. Outlines larger by a twentieth differ by 6 and more."""

PLACES = {"lat": [0.0, 12.0, -89.0, 78.0, -35.0], "lon": [179.0, -150.0, 40.0, -100.0, 20.0]}


def craters(larger: float = 1.0) -> CraterDatabase:
    """Craters at the antimeridian, near a pole and elsewhere, with rims from 1 to 1.5 radii."""
    table = pd.DataFrame(PLACES | {"km": larger * np.array([340.0, 500.0, 420.0, 300.0, 620.0])})
    cdb = CraterDatabase(table, "moon", units="km", rad_col="km")
    cdb.add_annuli("rim", 1, 1.5, nvert=None)
    return cdb


def heights() -> xr.DataArray:
    """Elevations in waves of some kilometres, with missing pixels between two parallels."""
    lon, lat = np.arange(-179.0, 180.0, 2.0), np.arange(89.0, -90.0, -2.0)
    waves = 2000 * np.cos(np.radians(9 * lon)) * np.cos(np.radians(lat))[:, None]
    waves = waves + 1500 * np.sin(np.radians(12 * lat))[:, None]
    waves[(lat > 40) & (lat < 50)] = np.nan
    attrs = {"units": "m", "long_name": "elevation"}
    return xr.DataArray(waves, {"y": lat, "x": lon}, ("y", "x"), attrs=attrs).rio.write_crs("IAU_2015:30100")


def global_map(larger: float) -> Any:
    return craters(larger).plot(heights(), "rim", hillshade=False, size=3.2, dpi=80, color="red", lw=1.2)


def polar_map(larger: float) -> Any:
    return craters(larger).plot(heights(), "rim", projection="south", size=2.6, dpi=70, lw=1.2, alpha=1)


def globe(larger: float) -> Any:
    return craters(larger).plot(heights(), projection="orthographic", size=2.6, dpi=70, color="black", alpha=1)


def panels(larger: float) -> Any:
    return craters(larger).plot_rois(heights(), "rim", (0, 2, 3), pixels=64)[0, 0]


def sizes(larger: float) -> Any:
    diameter = larger * np.random.default_rng(7).uniform(300.0**-1.75, 1.0, 300) ** (-1 / 1.75)
    table = pd.DataFrame({"lat": np.zeros(300), "lon": np.zeros(300), "diam": diameter})
    _, ax = plt.subplots(figsize=(3, 2.4), dpi=80)
    return CraterDatabase(table, "moon", units="km").plot_sizes(1e6, ax=ax)


FIGURES: dict[str, Callable[[float], Any]] = {
    figure.__name__: figure for figure in (global_map, polar_map, globe, panels, sizes)
}


def draw(name: str, folder: Path, larger: float = 1.0) -> Path:
    """Save a figure without its text, with all craters enlarged by a factor."""
    with plt.rc_context(plt.rcParamsDefault | {"backend": "agg"}):
        figure = FIGURES[name](larger).get_figure()
        remove_ticks_and_titles(figure)
        for legend in figure.findobj(Legend):
            legend.remove()
        for text in figure.findobj(Text):
            text.set_visible(False)
        figure.set_layout_engine("none")
        for number, ax in enumerate(figure.axes):
            ax.set_position(((number + 0.03) / len(figure.axes), 0.05, 0.8 / len(figure.axes), 0.9))
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=30 if name == "panels" else figure.dpi, metadata={"Software": None})
        plt.close(figure)
    return path


@pytest.mark.parametrize("name", FIGURES)
def test_figures_match_the_reviewed_pictures(name, tmp_path):
    baseline = BASELINES / f"{name}.png"
    assert baseline.stat().st_size < 60_000
    assert compare_images(str(baseline), str(draw(name, tmp_path)), tol=TOLERANCE) is None


@pytest.mark.parametrize("name", FIGURES)
def test_outlines_larger_by_a_twentieth_are_detected(name, tmp_path):
    different = compare_images(str(BASELINES / f"{name}.png"), str(draw(name, tmp_path, 1.05)), tol=TOLERANCE)
    assert different is not None
    assert "Error" in different


if __name__ == "__main__":
    BASELINES.mkdir(exist_ok=True)
    for name in FIGURES:
        print(draw(name, BASELINES))
