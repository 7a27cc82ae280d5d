"""Files behind HTTP, S3 and other object stores: requests that fail temporarily are repeated."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import TypeVar
from xml.sax.saxutils import escape

import rasterio
import rasterio.env
from rasterio.errors import RasterioError

from xcrater.errors import GridError
from xcrater.raster.quiet import quietly

Result = TypeVar("Result")

REMOTE = re.compile(r"/vsi(curl|s3|gs|az|adls|oss|swift|webhdfs)\b|\b(https?|ftp|s3|gs|az|oss)://")
"""Pattern in the paths of remote files."""

OPTIONS = {
    "GDAL_HTTP_MAX_RETRY": "4",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    "GDAL_HTTP_RETRY_CODES": "0,429,500,502,503,504",
    "GDAL_HTTP_CONNECTTIMEOUT": "30",
    "GDAL_HTTP_LOW_SPEED_TIME": "60",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1",
}
"""GDAL options that apply while a remote file is opened or read, unless they are set otherwise.

GDAL then repeats each request by itself, at intervals that begin with the delay, in seconds, and more than double each
time. The code 0 stands for no answer, as after a dropped connection. Without it, a file of masks beside an image would
count as absent if the connection drops at that moment. A transfer below one byte per second for a minute has failed.
"""

ATTEMPTS = 4
"""Number of attempts to open or read a remote file as a whole, since GDAL itself does not repeat truncated answers."""

URL = re.compile(r"https?://[^/]+/(?:.*?\.zip(?=[/!])|.*)")
"""The URL in a GDAL path, up to the archive that may contain the file."""

PATIENCE = 30.0
"""Seconds to wait for a server."""

FINAL = re.compile(r"HTTP response code: (4(?!08|25|29)\d\d)\b")
"""Answers that repetition would not change."""

ARCHIVE = re.compile(r".*?\.zip(?=[/!])")
"""An archive in the path of a file."""

FIRST = 2**14
"""Number of bytes at the beginning of an object to compare; GDAL requests as many when it opens a file."""

BYTES = """<VRTDataset rasterXSize="{count}" rasterYSize="1">
<VRTRasterBand dataType="Byte" band="1" subClass="VRTRawRasterBand"><SourceFilename>{path}</SourceFilename>
<ImageOffset>0</ImageOffset><PixelOffset>1</PixelOffset><LineOffset>{count}</LineOffset></VRTRasterBand></VRTDataset>"""
"""A raster of the first bytes of an object as pixels, by which GDAL reads them whatever the object is."""

NOT_CACHED = "CPL_VSIL_CURL_NON_CACHED"
"""GDAL's option for files about which nothing is remembered once they are closed."""


def patiently(path: str, action: Callable[[], Result]) -> Result:
    """Open or read a file; if it is remote, repeat this after an error, having made GDAL forget the failure.

    Parameters
    ----------
    path : str
        Path that GDAL opens.
    action : callable
        Opens or reads the file, and returns the result.

    Raises
    ------
    GridError, rasterio.errors.RasterioError
        The error of the last attempt.

    Notes
    -----
    As long as the process runs, GDAL remembers a file that it could not reach as not existing, and keeps the first part
    of a transfer that broke off. It is made to forget these after the last attempt, too, so that the user can try again
    in the same process.
    """
    if REMOTE.search(path) is None:
        return action()

    def is_final(err: Exception) -> bool:
        if not isinstance(err, (GridError, RasterioError)):
            return True
        _forget(path)
        return FINAL.search(f"{err} {err.__cause__}") is not None

    with rasterio.Env(**{name: value for name, value in OPTIONS.items() if _option(name) is None}):
        return _again_and_again(action, is_final)


def _again_and_again(action: Callable[[], Result], is_final: Callable[[Exception], bool]) -> Result:
    """Repeat an action at doubling intervals until it succeeds; raises an error that is final, or the last one."""
    delay = float(_option("GDAL_HTTP_RETRY_DELAY") or OPTIONS["GDAL_HTTP_RETRY_DELAY"])
    for attempt in range(ATTEMPTS):
        try:
            return action()
        except Exception as err:
            if is_final(err) or attempt == ATTEMPTS - 1:
                raise
        time.sleep(delay * 2**attempt)
    raise AssertionError("the last attempt returns or raises")


def told_by_server(path: str, *, anew: bool = False) -> tuple[str, ...]:
    """What a server reports about a file, which distinguishes the file from earlier versions.

    Parameters
    ----------
    path : str
        Path that GDAL opens.
    anew : bool
        Whether to request even what GDAL remembers about the file.

    Returns
    -------
    tuple of str
        For a file on an HTTP server, those of length, time of change and entity tag that the server reports. GDAL does
        not give these for objects in other stores, such as S3; for them it is a hash of the first bytes, and the
        position of the last block of pixels, which moves if earlier blocks are compressed to other lengths. For a file
        in an archive, what is reported about the archive. Empty for local files, and if the server does not answer;
        the path alone then identifies the file.
    """
    url = URL.search(path)
    if url is not None:
        return _told_by_http(url[0])
    return () if REMOTE.search(path) is None else _told_by_store(path, anew)


def _told_by_http(url: str) -> tuple[str, ...]:
    def ask() -> tuple[str, ...]:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=PATIENCE) as answer:
            told = [(name, answer.headers.get(name)) for name in ("Content-Length", "Last-Modified", "ETag")]
        return tuple(f"{name}: {text}" for name, text in told if text is not None)

    def is_final(err: Exception) -> bool:
        if isinstance(err, urllib.error.HTTPError):
            return err.code < 500
        return not isinstance(err, (OSError, http.client.HTTPException))

    try:
        return _again_and_again(ask, is_final)
    except (OSError, http.client.HTTPException, ValueError):
        return ()


def _told_by_store(path: str, anew: bool) -> tuple[str, ...]:
    def look() -> tuple[str, ...]:
        if anew:
            _forget(path)
        with quietly, rasterio.open(path) as dataset:
            (height, width), (rows, columns) = dataset.shape, dataset.block_shapes[0]
            last = f"{(width - 1) // columns}_{(height - 1) // rows}"
            place = [dataset.get_tag_item(f"BLOCK_{what}_{last}", "TIFF", bidx=1) for what in ("OFFSET", "SIZE")]
        with (
            rasterio.Env(GDAL_VRT_RAWRASTERBAND_ALLOWED_SOURCE="ALL"),
            quietly,
            rasterio.open(BYTES.format(count=FIRST, path=escape(_of_gdal(path)))) as raw,
        ):
            first = hashlib.blake2b(raw.read().tobytes(), digest_size=8).hexdigest()
        return f"First bytes: {first}", f"Last block: {place}"

    try:
        return patiently(path, look)
    except RasterioError:
        return ()


def is_absent(error: Exception) -> bool:
    """Whether an error says that there is no such file."""
    text = f"{error} {error.__cause__}"
    return "HTTP response code: 404" in text or "does not exist in the file system" in text


def _option(name: str) -> str | None:
    """A GDAL option, from the environment or an enclosing `rasterio.Env`."""
    value = rasterio.env.get_gdal_config(name, normalize=False)
    return None if value is None else str(value)


def _forget(path: str) -> None:
    """Make GDAL forget a remote file, by closing it with the option not to remember it."""
    options = {NOT_CACHED: _of_gdal(path), "GDAL_HTTP_MAX_RETRY": "0"}
    with contextlib.suppress(RasterioError), rasterio.Env(**options):
        rasterio.open(path).close()


def _of_gdal(path: str) -> str:
    """The path by which GDAL knows a remote file, or the archive that contains it."""
    inner = re.search(r"/vsi(curl|s3|gs|az|adls|oss|swift|webhdfs)/.*", path)
    known = inner[0] if inner is not None else re.sub(r"^.*?(https?|ftp|s3|gs|az|oss)://", _prefix, path)
    archive = ARCHIVE.match(known)
    return known if archive is None else archive[0]


def _prefix(scheme: re.Match[str]) -> str:
    return f"/vsicurl/{scheme[1]}://" if scheme[1] in ("http", "https", "ftp") else f"/vsi{scheme[1]}/"
