"""A real server on the loopback that speaks OpenAI's chat API, and misbehaves as it is told to."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Said:
    """What the server sends. `drops` ends the connection without an answer; `drips` sends a byte every 20 milliseconds."""

    body: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    drops: bool = False
    drips: bool = False


def completion(text: str | None, finish: str = "stop", usage: Any = None) -> Said:
    answer = {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": finish}]}
    return Said(json.dumps(answer | ({"usage": usage} if usage is not None else {})))


class LoopbackEndpoint:
    """`decide` gets the body of a request, and how many came before it with the same messages."""

    def __init__(self, decide: Callable[[dict[str, Any], int], Said] = lambda body, before: completion("ok")) -> None:
        self.decide = decide
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.under_way = self.most_under_way = 0
        lock, endpoint = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    before = sum(earlier["messages"] == body["messages"] for earlier in endpoint.asked)
                    endpoint.asked.append({**body, "path": self.path})
                    endpoint.headers.append({key.lower(): value for key, value in self.headers.items()})
                    endpoint.under_way += 1
                    endpoint.most_under_way = max(endpoint.most_under_way, endpoint.under_way)
                try:
                    self._send(endpoint.decide(body, before))
                except (BrokenPipeError, ConnectionResetError):
                    pass
                finally:
                    with lock:
                        endpoint.under_way -= 1

            def _send(self, said: Said) -> None:
                if said.drops:
                    return
                self.send_response(said.status)
                for key, value in said.headers.items():
                    self.send_header(key, value)
                self.end_headers()
                content = said.body.encode()
                for part in (content[at : at + 1] for at in range(len(content))) if said.drips else (content,):
                    self.wfile.write(part)
                    self.wfile.flush()
                    if said.drips:
                        time.sleep(0.02)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
