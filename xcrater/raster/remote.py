"""Files behind HTTP, S3 and other object stores: what fails for a moment is asked for again."""

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
"""What paths of files in other places have in them."""

OPTIONS = {
    "GDAL_HTTP_MAX_RETRY": "4",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    "GDAL_HTTP_RETRY_CODES": "0,429,500,502,503,504",
    "GDAL_HTTP_CONNECTTIMEOUT": "30",
    "GDAL_HTTP_LOW_SPEED_TIME": "60",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1",
}
"""Options of GDAL that hold while a remote file is opened or read, unless they are set otherwise.

GDAL then repeats each request by itself, at intervals that begin with the delay, in seconds, and more than double each
time. The code 0 stands for no answer, as of a connection that was dropped: without it, a file of masks beside an image
would be taken for absent when the connection drops just then. A transfer below one byte a second for a minute has
failed.
"""

ATTEMPTS = 4
"""How often a remote file is opened or read as a whole: GDAL notices only then that part of an answer is lacking."""

URL = re.compile(r"https?://[^/]+/(?:.*?\.zip(?=[/!])|.*)")
"""The URL in a path of GDAL's, up to the archive that the file may be in."""

PATIENCE = 30.0
"""Seconds that a server is waited for."""

FINAL = re.compile(r"HTTP response code: (4(?!08|25|29)\d\d)\b")
"""Answers that would be the same the next time."""

ARCHIVE = re.compile(r".*?\.zip(?=[/!])")
"""An archive in the path of a file."""

FIRST = 2**14
"""Bytes at the beginning of an object that are compared; GDAL asks for as many when it opens a file."""

BYTES = """<VRTDataset rasterXSize="{count}" rasterYSize="1">
<VRTRasterBand dataType="Byte" band="1" subClass="VRTRawRasterBand"><SourceFilename>{path}</SourceFilename>
<ImageOffset>0</ImageOffset><PixelOffset>1</PixelOffset><LineOffset>{count}</LineOffset></VRTRasterBand></VRTDataset>"""
"""The first bytes of an object as pixels, which is how GDAL gives them whatever the object is."""

NOT_CACHED = "CPL_VSIL_CURL_NON_CACHED"
"""GDAL's option for files that nothing is remembered of, once they are closed."""


def patiently(path: str, action: Callable[[], Result]) -> Result:
    """Open or read a file; where it is remote, again after an error, of which GDAL is made to forget first.

    Parameters
    ----------
    path : str
        What GDAL opens.
    action : callable
        Opens the file, and gives what is wanted of it.

    Raises
    ------
    GridError, rasterio.errors.RasterioError
        Those of the last attempt.

    Notes
    -----
    GDAL remembers a file that it could not reach as one that does not exist, for as long as the process runs, and keeps
    the first part of a transfer that broke off. It forgets them after the last attempt, too, so that the user can try
    again in the same process.
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
    """Do something until it succeeds, at intervals that double; an error that is final, or the last one, is raised."""
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
    """What a server tells of a file, by which it is told from an earlier one.

    Parameters
    ----------
    path : str
        What GDAL opens.
    anew : bool
        Whether to ask for what GDAL remembers of the file, too.

    Returns
    -------
    tuple of str
        Length, time of change and entity tag of a file on an HTTP server, those that it tells. GDAL does not say these
        of objects in other stores, such as S3: of them, a hash of the first bytes, and where the last block of pixels
        lies, which moves when the blocks before it are compressed to other lengths. Of a file in an archive, what is
        told of the archive. Nothing of local files, or where the server does not answer: then the path alone tells the
        file from others.
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
    """An option of GDAL's, from the environment or an enclosing `rasterio.Env`."""
    value = rasterio.env.get_gdal_config(name, normalize=False)
    return None if value is None else str(value)


def _forget(path: str) -> None:
    """Have GDAL forget what it knows of a remote file; it does when it closes one that it is told not to remember."""
    options = {NOT_CACHED: _of_gdal(path), "GDAL_HTTP_MAX_RETRY": "0"}
    with contextlib.suppress(RasterioError), rasterio.Env(**options):
        rasterio.open(path).close()


def _of_gdal(path: str) -> str:
    """The path by which GDAL knows a remote file, or the archive that it is in."""
    inner = re.search(r"/vsi(curl|s3|gs|az|adls|oss|swift|webhdfs)/.*", path)
    known = inner[0] if inner is not None else re.sub(r"^.*?(https?|ftp|s3|gs|az|oss)://", _prefix, path)
    archive = ARCHIVE.match(known)
    return known if archive is None else archive[0]


def _prefix(scheme: re.Match[str]) -> str:
    return f"/vsicurl/{scheme[1]}://" if scheme[1] in ("http", "https", "ftp") else f"/vsi{scheme[1]}/"
