"""A file server that fails every n-th request. It runs in its own process, since GDAL may hold the interpreter's lock.

    python -m tests.raster.flaky_server FOLDER EVERY KIND...

Failures cycle through the given kinds: "503", "drop" (no answer) and "half" (half an answer). The server prints its
port, serves until its standard input ends, and then prints the numbers of requests and of failures.
"""

from __future__ import annotations

import itertools
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

ASKED = "number-of-requests"
"""Path that returns the number of requests so far; requests for it never fail and are not counted."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder: str, every: int, kinds: Sequence[str]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.every, self.kinds = Path(folder), every, itertools.cycle(kinds)
        self.lock, self.requests, self.failures = threading.Lock(), 0, 0

    def failure(self) -> str | None:
        """The kind of failure of the next request, or None if it is to succeed."""
        with self.lock:
            self.requests += 1
            if self.requests % self.every:
                return None
            self.failures += 1
            return next(self.kinds)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def drop(self):
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def answer(self, code, content=b"", headers=(), *, half=False):
        self.send_response(code)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[: len(content) // 2] if half else content)
        if half:
            self.drop()

    def do_GET(self):
        if self.path == f"/{ASKED}":
            return self.answer(200, str(self.server.requests).encode())
        kind = self.server.failure()
        if kind == "503":
            return self.answer(503)
        if kind == "drop":
            return self.drop()
        path = self.server.folder / self.path.partition("?")[0].lstrip("/")
        if not path.is_file():
            return self.answer(404)
        content = path.read_bytes()
        wanted = self.headers.get("Range")
        if wanted is None:
            tag = f'"{path.stat().st_mtime_ns}"'
            return self.answer(200, content, [("Accept-Ranges", "bytes"), ("ETag", tag)], half=kind == "half")
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start, stop = int(first), min(int(last or len(content)) + 1, len(content))
        if start >= len(content):
            return self.answer(416)
        headers = [("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")]
        return self.answer(206, content[start:stop], headers, half=kind == "half")

    do_HEAD = do_GET


class Running:
    """A running server: its port and, after it has stopped, the numbers of requests and of failures."""

    port: int = 0
    requests: int = 0
    failures: int = 0

    def asked(self) -> int:
        """The number of requests so far."""
        with urlopen(f"http://127.0.0.1:{self.port}/{ASKED}") as answer:
            return int(answer.read())


@contextmanager
def flaky_server(folder: Path, every: int, *kinds: str) -> Iterator[Running]:
    """Serve a folder within the block."""
    command = [sys.executable, "-m", "tests.raster.flaky_server", str(folder), str(every), *kinds]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        running = Running()
        try:
            running.port = int(process.stdout.readline())
            yield running
        finally:
            out, _ = process.communicate("")
            running.requests, running.failures = map(int, out.split())


if __name__ == "__main__":
    server = Server(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()
    print(server.requests, server.failures)
