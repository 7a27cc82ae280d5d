"""Files behind HTTP, S3 and other object stores: what fails for a moment is asked for again."""

from __future__ import annotations

import contextlib
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import TypeVar

import rasterio
import rasterio.env
from rasterio.errors import RasterioError

from xcrater.errors import GridError

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
    with rasterio.Env(**{name: value for name, value in OPTIONS.items() if _option(name) is None}):
        delay = float(_option("GDAL_HTTP_RETRY_DELAY") or 0.5)
        for attempt in range(ATTEMPTS):
            try:
                return action()
            except (GridError, RasterioError) as err:
                _forget(path)
                if attempt == ATTEMPTS - 1 or FINAL.search(f"{err} {err.__cause__}"):
                    raise
            time.sleep(delay * 2**attempt)
    raise AssertionError("the last attempt returns or raises")


def told_by_server(path: str) -> tuple[str, ...]:
    """Length, time of change and entity tag of a file on an HTTP server, by which it is told from an earlier one.

    Parameters
    ----------
    path : str
        What GDAL opens.

    Returns
    -------
    tuple of str
        Those that the server tells; of a file in an archive, those of the archive. Nothing of files in other places, or
        where the server does not answer: then the path alone tells the file from others.
    """
    url = URL.search(path)
    if url is None:
        return ()
    request = urllib.request.Request(url[0], method="HEAD")
    delay = float(_option("GDAL_HTTP_RETRY_DELAY") or OPTIONS["GDAL_HTTP_RETRY_DELAY"])
    for attempt in range(ATTEMPTS):
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                told = [(name, answer.headers.get(name)) for name in ("Content-Length", "Last-Modified", "ETag")]
            return tuple(f"{name}: {text}" for name, text in told if text is not None)
        except urllib.error.HTTPError as err:
            if err.code < 500:
                return ()
        except (OSError, http.client.HTTPException, ValueError):
            pass
        time.sleep(delay * 2**attempt)
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
    """The beginning of the path by which GDAL knows a remote file."""
    inner = re.search(r"/vsi(curl|s3|gs|az|adls|oss|swift|webhdfs)/.*", path)
    if inner is not None:
        return inner[0]
    return re.sub(r"^.*?(https?|ftp|s3|gs|az|oss)://", _prefix, path)


def _prefix(scheme: re.Match[str]) -> str:
    return f"/vsicurl/{scheme[1]}://" if scheme[1] in ("http", "https", "ftp") else f"/vsi{scheme[1]}/"
