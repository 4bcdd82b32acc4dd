"""Downloads from a real HTTP server on the loopback address: whole, resumed, and from a server that knows no ranges."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from magnn.data.download import download
from magnn.errors import DownloadError

CONTENT = bytes(range(256)) * 3000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    asked: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.asked.append(wanted)
        if self.path == "/missing":
            self.send_error(404)
            return
        first = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.path != "/no-ranges" else 0
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(CONTENT) - first))
        self.end_headers()
        self.wfile.write(CONTENT[first : len(CONTENT) // 2 if self.path == "/breaks" else None])

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    Handler.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_a_whole_file_is_fetched_once(server: str, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    for _ in range(2):
        download(f"{server}/file", tmp_path / "f", SHA256, lambda done, total: seen.append((done, total)))
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert Handler.asked == [None], "what is there and right is not fetched again"
    assert seen[-1] == (len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("path", ["file", "no-ranges"])
def test_a_broken_download_goes_on(server: str, tmp_path: Path, path: str) -> None:
    with pytest.raises(DownloadError, match="cannot be fetched"):
        download(f"{server}/breaks", tmp_path / "f", SHA256)
    half = len(CONTENT) // 2
    assert (tmp_path / "f.part").stat().st_size == half and not (tmp_path / "f").exists()
    download(f"{server}/{path}", tmp_path / "f", SHA256)
    assert Handler.asked[-1] == f"bytes={half}-"
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert [file.name for file in tmp_path.iterdir()] == ["f"]


def test_what_is_not_there_is_an_error(server: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="Not Found"):
        download(f"{server}/missing", tmp_path / "f", SHA256)
