"""Runs an app for a test, on a real port."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from tests.machines import free_ports


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Runs an app on a free port of the loopback address."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=free_ports(1)[0], log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
            assert thread.is_alive(), "the server did not start"
        yield f"http://127.0.0.1:{server.config.port}"
    finally:
        server.should_exit = True
        thread.join()
