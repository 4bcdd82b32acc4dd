"""A web server on the loopback address that can be told to misbehave."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import pytest

Behaviour = Literal["ranges", "no ranges", "breaks off", "no length", "other bytes", "gone", "fails"]


@dataclass
class Server:
    """Files by name, when they changed, how to answer, and what was asked: (path, Range header) of each request."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    changed: str | None = None
    behaviour: Behaviour = "ranges"
    requests: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            told.requests.append((self.path, wanted))
            content = told.files.get(self.path.lstrip("/"))
            if content is None or told.behaviour in ("gone", "fails"):
                return self.send_error(503 if told.behaviour == "fails" else 404)
            first = 0
            if wanted and told.behaviour != "no ranges":
                first = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if first >= len(content):
                    return self.send_error(416)
            self.send_response(206 if first else 200)
            if told.changed:
                self.send_header("Last-Modified", told.changed)
            if told.behaviour == "no length":  # an answer without a length
                self.end_headers()
                self.wfile.write(content[first:])
                return None
            self.send_header("Content-Length", str(len(content) - first))
            self.end_headers()
            rest = content[first:] if told.behaviour != "other bytes" else bytes(len(content) - first)
            self.wfile.write(rest[: len(rest) // 2] if told.behaviour == "breaks off" else rest)
            return None

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        told = Server(f"http://127.0.0.1:{running.server_port}")
        thread = threading.Thread(target=lambda: running.serve_forever(poll_interval=0.01))
        thread.start()
        yield told
        running.shutdown()
        thread.join()
