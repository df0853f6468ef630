"""A proxy before a service, which kills the process that calls it, at a chosen request."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import httpx

_OWN_HEADERS = {"connection", "content-length", "transfer-encoding", "content-encoding", "host", "keep-alive", "date", "server"}


@dataclass
class Trap:
    """Which request ends the process.

    Attributes:
        path: end of the request's path.
        words: what has to be in its body.
        moment: before the service hears of it, or after it has done it.
        victim: the process, once it runs; the leader of its own group.
    """

    path: str
    words: str
    moment: Literal["before", "after"]
    victim: subprocess.Popen[bytes] | None = None
    sprung: bool = False

    def fits(self, path: str, body: bytes) -> bool:
        return not self.sprung and path.partition("?")[0].endswith(self.path) and self.words.encode() in body

    def spring(self) -> None:
        self.sprung = True
        if self.victim is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.victim.pid, signal.SIGKILL)


@contextmanager
def trapped(url: str, trap: Trap) -> Iterator[int]:
    """Runs the proxy; gives its port of the loopback address."""
    with httpx.Client(base_url=url, trust_env=False, timeout=120) as service:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(service, trap))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def _handler(service: httpx.Client, trap: Trap) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            ends = trap.fits(self.path, body)
            if ends and trap.moment == "before":
                return trap.spring()
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _OWN_HEADERS}
            answer = service.request(self.command, self.path, content=body, headers=headers)
            if ends:
                return trap.spring()
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name.lower() not in _OWN_HEADERS:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)
            return None

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = _pass_on  # noqa: N815

        def log_message(self, format: str, *values: object) -> None:
            return None

    return Handler
