"""A server of files on this machine, and the faults that servers, lines and disks have."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread


class FileServer(ThreadingHTTPServer):
    """Files by their path; a fault can be planted: cut, cut once, stuck, changed or silent.

    Attributes:
        asked: path and `Range` of each request, in their order.
        ranges: whether it knows ranges.
        fault: `cut` ends each answer in its middle, `cut once` only the next; `stuck` waits there
            for `go_on`; `changed` turns the content round; `silent` ends it before it begins.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.ranges = True
        self.fault = ""
        self.halfway = Event()
        self.go_on = Event()
        self.address = f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        wanted = self.headers["Range"]
        self.server.asked.append((self.path, wanted))
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = 0
        if wanted and self.server.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.send(content[::-1][start:] if self.server.fault == "changed" else content[start:])

    def send(self, content: bytes) -> None:
        fault = self.server.fault
        half = 0 if fault == "silent" else len(content) // 2
        self.wfile.write(content[:half])
        self.wfile.flush()
        if fault == "stuck":
            self.server.halfway.set()
            self.server.go_on.wait(30)
        elif fault == "cut once":
            self.server.fault = ""
        elif fault not in ("cut", "silent"):
            self.wfile.write(content[half:])

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[FileServer]:
    with FileServer() as server:
        Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield server
        server.go_on.set()
        server.shutdown()


@contextmanager
def full_disk(at: int) -> Iterator[None]:
    """No file may grow beyond `at` bytes: the nearest to a full disk that needs no disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (at, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
