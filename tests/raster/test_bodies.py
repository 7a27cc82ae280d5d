"""Rasters that show a body on a sphere of another radius are refused unless the user confirms this once."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
from affine import Affine

import xcrater
from xcrater import CraterDatabase, Exclude, open_mosaic
from xcrater.errors import BodyError

SPHERES = {
    "vesta": (289_000.0, 287_858.0),
    "phobos": (11_000.0, 13_000.0),
    "deimos": (6_000.0, 6_500.0),
    "mars": (3_376_200.0, 3_420_000.0),
    "moon": (1_700_000.0, 1_800_000.0),
}
"""Radii, in metres, of spheres used for maps of these bodies that differ from the IAU's."""
CASES = [(body, radius) for body, radii in SPHERES.items() for radius in radii]
NUMBERS = np.random.default_rng(5).integers(1, 200, (90, 180)).astype("i2")


def table(body: str, radius: float) -> CraterDatabase:
    """Craters of 10° to 15° on a sphere of this radius in metres."""
    degree = np.radians(radius)
    places = {"lat": [5.0, -40.0, 80.0], "lon": [10.0, 179.0, 120.0]}
    sizes = {"radius": degree * np.array([10.3, 12.7, 15.1]), "major": degree * np.array([20.0, 30, 40])}
    made = CraterDatabase(
        pd.DataFrame({**places, **sizes, "minor": degree * 18, "angle": 30.0}), body, rad_col="radius"
    )
    made.add_annuli("rim", 0.5, 1.5, nvert=None)
    made.add_circles("craterpy's disc", 1.2)
    made.add_ellipses("ellipse", 0, 1, major_col="major", minor_col="minor", angle_col="angle")
    return made


def raster(radius: float, path: Path | None = None) -> xr.DataArray:
    """A map of the whole body in metres, on a sphere of this radius."""
    step = np.radians(2) * radius
    coords = {"y": (44.5 - np.arange(90)) * step, "x": (np.arange(180) - 89.5) * step}
    da = xr.DataArray(NUMBERS, coords, ("y", "x")).rio.write_crs(f"+proj=eqc +R={radius}")
    if path is not None:
        da.rio.to_raster(path)
    return da


def on_degrees(cdb: CraterDatabase) -> xr.DataArray:
    """The same pixels in longitude and latitude on the table's own body."""
    coords = {"y": 89 - 2.0 * np.arange(90), "x": -179 + 2.0 * np.arange(180)}
    return xr.DataArray(NUMBERS, coords, ("y", "x")).rio.write_crs(cdb.crs)


OPERATIONS = {
    "statistics": lambda da, cdb: da.craters.get_stats(
        cdb, list(cdb.regions), "mean count", coverage="center"
    ).to_dataframe()[["mean", "count"]],
    "without neighbours": lambda da, cdb: da.craters.get_stats(
        cdb, "rim", "mean count", coverage="center", exclude=Exclude(0.9, of=cdb)
    ).to_dataframe()[["mean", "count"]],
    "profile": lambda da, cdb: da.craters.radial_profile(cdb, 4).to_dataframe()[["mean"]],
    "chips": lambda da, cdb: da.craters.chips(cdb, 8).values,
    "pixels": lambda da, cdb: np.concatenate(
        [a.compressed() for a in da.craters.get_arrays(cdb, "rim").compute()["rim"]]
    ),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(("body", "radius"), CASES[::2])
def test_metres_become_angles_on_the_sphere_of_the_raster_once_confirmed(body, radius, operation):
    cdb, da = table(body, radius), raster(radius).assign_attrs(body=body)
    own = xcrater.CraterDatabase(pd.DataFrame({"lat": [0.0], "lon": [0.0], "r": [1.0]}), body).body_radius
    alike = table(body, own)
    run = OPERATIONS[operation]
    np.testing.assert_allclose(np.asarray(run(da, cdb)), np.asarray(run(on_degrees(alike), alike)), rtol=1e-6)


@pytest.mark.parametrize(("body", "radius"), [case for case in CASES if case != ("mars", 3_376_200.0)])
def test_without_confirmation_rasters_are_refused_and_each_advice_helps(tmp_path, body, radius):
    path = tmp_path / "a.tif"
    cdb, da = table(body, radius), raster(radius, path)
    with pytest.raises(BodyError, match=r"is not on .*, the table's body") as caught:
        da.craters.get_stats(cdb, "rim", "mean")
    message = str(caught.value)
    assert f"{radius:g} m" in message
    said = da.assign_attrs(body=body).craters.get_stats(cdb, "rim", "mean")["mean"].to_numpy()
    for advice in re.findall(r"xcrater\.open_mosaic\([^)]*\)|da\.assign_attrs\([^)]*\)", message):
        opened = eval(advice, {"xcrater": xcrater, "da": da, "path": path})
        np.testing.assert_array_equal(opened.craters.get_stats(cdb, "rim", "mean")["mean"], said)
        np.testing.assert_array_equal(cdb.get_stats(opened, "rim", "mean")["mean_rim"], said)
    with pytest.raises(BodyError):
        cdb.get_stats(path, "rim", "mean")


def test_the_confirmation_survives_computations(tmp_path):
    raster(289e3, tmp_path / "a.tif")
    cdb, da = table("vesta", 289e3), open_mosaic(tmp_path / "a.tif", body="Vesta")
    single = da.craters.get_stats(cdb, "rim", "mean")["mean"].to_numpy()
    for derived in (da * 2.0, da.isel(y=slice(None)).chunk(50) * 2.0):
        derived.attrs.pop("_FillValue", None)
        np.testing.assert_allclose(derived.craters.get_stats(cdb, "rim", "mean")["mean"], 2 * single, rtol=1e-12)


def test_another_body_is_still_refused(tmp_path):
    raster(289e3, tmp_path / "a.tif")
    with pytest.raises(BodyError, match="is not on moon"):
        open_mosaic(tmp_path / "a.tif", body="vesta").craters.get_stats(table("moon", 1.7e6), "rim", "mean")
    with pytest.raises(BodyError, match="vulcan"):
        open_mosaic(tmp_path / "a.tif", body="vulcan")


@pytest.mark.parametrize(
    ("body", "label"),
    [("mars", "EPSG:4326"), ("moon", "EPSG:4326"), ("venus", "EPSG:4326"), ("mercury", "IAU_2015:30100")],
)
def test_the_label_of_another_body_is_no_sphere_of_its_own_and_the_advice_helps(body, label):
    """GeoTIFFs of Mars that say WGS 84 are common; the Earth's radius must not turn metres into angles."""
    cdb = table(body, CraterDatabase(pd.DataFrame({"lat": [0.0], "lon": [0.0], "r": [1.0]}), body).body_radius)
    da = on_degrees(cdb)
    wanted = da.craters.get_stats(cdb, "rim", "mean")["mean"]
    mislabelled = da.drop_vars("spatial_ref").rio.write_crs(label)
    for received in (mislabelled, mislabelled.assign_attrs(body=body)):
        with pytest.raises(BodyError, match="too far from it for a sphere of its own") as caught:
            received.craters.get_stats(cdb, "rim", "mean")
        (advice,) = re.findall(r"da\.rio\.write_crs\([^)]*\)", str(caught.value))
        corrected = eval(advice, {"da": received})
        np.testing.assert_array_equal(corrected.craters.get_stats(cdb, "rim", "mean")["mean"], wanted)


def test_the_confirmation_does_not_affect_a_raster_on_the_bodys_own_sphere():
    cdb = table("moon", 1737400.0)
    da = on_degrees(cdb)
    wanted = da.craters.get_stats(cdb, "rim", "mean")["mean"]
    np.testing.assert_array_equal(da.assign_attrs(body="moon").craters.get_stats(cdb, "rim", "mean")["mean"], wanted)


def test_stored_pixels_are_found_again_under_the_confirmation(tmp_path):
    pytest.importorskip("zarr")
    cdb, da = table("vesta", 289e3), raster(289e3).assign_attrs(body="vesta")
    da.craters.get_arrays(cdb, "rim").to_zarr(tmp_path / "a.zarr")
    again, wanted = xcrater.open_arrays(tmp_path / "a.zarr"), da.craters.get_arrays(cdb, "rim")
    for ours, theirs in zip(again.compute()["rim"], wanted.compute()["rim"], strict=True):
        np.testing.assert_array_equal(ours.compressed(), theirs.compressed())
    np.testing.assert_allclose(again.to_dataset(0)["distance"], wanted.to_dataset(0)["distance"], rtol=1e-12)


@pytest.mark.slow
def test_the_command_line_has_an_option_for_it(tmp_path):
    raster(289e3, tmp_path / "a.tif")
    cdb = table("vesta", 289e3)
    cdb.data[["lat", "lon", "radius"]].to_csv(tmp_path / "craters.csv", index=False)
    command = [sys.executable, "-m", "xcrater", "stats", "a.tif", "craters.csv", "--body", "vesta", "--units", "m"]
    command += ["--region", "rim=0.5:1.5", "--stats", "mean", "--nvert", "0", "--out", "found.csv", "--quiet"]
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "is not on vesta" in refused.stderr
    subprocess.run([*command, "--trust-body"], cwd=tmp_path, check=True)
    wanted = raster(289e3).assign_attrs(body="vesta").craters.get_stats(cdb, "rim", "mean")["mean"]
    np.testing.assert_allclose(pd.read_csv(tmp_path / "found.csv")["mean_rim"], wanted, rtol=1e-9)


def test_the_raster_file_alone_is_no_confirmation(tmp_path):
    raster(289e3, tmp_path / "a.tif")
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.transform != Affine.identity()
    assert "body" not in open_mosaic(tmp_path / "a.tif").attrs
