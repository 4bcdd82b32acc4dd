"""Downloads from a real server that breaks off, starts over, lies or is gone; what is kept is what the hash promises.

Where no hash is known, it is what the server calls one version of the file, whole, and its hash is written down.
"""

import hashlib
import random
import ssl
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from magnn.data import download as module
from magnn.data.download import download
from magnn.errors import DownloadError, InputError, StorageError
from magnn.storage import file_sha256
from tests.data.conftest import Behaviour, Server

CONTENT = random.Random(0).randbytes(700_001)  # more than two chunks, and no round number
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "folder" / "archive.zip"


def left(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


def test_a_file_is_fetched_whole_and_nothing_else_is_left(server: Server, path: Path) -> None:
    server.files["a"] = CONTENT
    assert download(f"{server.url}/a", path, SHA256) == path
    assert path.read_bytes() == CONTENT and left(path) == ["archive.zip"]
    assert server.requests == [("/a", None)]


def test_what_is_already_there_is_not_asked_for(server: Server, path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert download(f"{server.url}/a", path, SHA256) == path
    assert server.requests == []


def test_another_file_of_that_name_is_replaced(server: Server, path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"an older version")
    server.files["a"] = CONTENT
    download(f"{server.url}/a", path, SHA256)
    assert path.read_bytes() == CONTENT and left(path) == ["archive.zip"]


def test_an_older_file_stands_until_the_new_one_is_complete(server: Server, path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"an older version")
    server.files["a"], server.behaviour = CONTENT, "breaks off"
    with pytest.raises(DownloadError):
        download(f"{server.url}/a", path, SHA256)
    assert path.read_bytes() == b"an older version"


def test_after_a_break_only_the_rest_is_asked_for(server: Server, path: Path) -> None:
    server.files["a"], server.behaviour = CONTENT, "breaks off"
    with pytest.raises(DownloadError, match="350,000 of 700,001 bytes; run the same again to go on"):
        download(f"{server.url}/a", path, SHA256)
    assert left(path) == ["archive.zip.part"] and path.with_name("archive.zip.part").read_bytes() == CONTENT[:350_000]
    with pytest.raises(DownloadError, match="525,000 of 700,001 bytes"):
        download(f"{server.url}/a", path, SHA256)
    server.behaviour = "ranges"
    seen: list[tuple[int, int | None]] = []
    download(f"{server.url}/a", path, SHA256, lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT and left(path) == ["archive.zip"]
    assert server.requests == [("/a", None), ("/a", "bytes=350000-"), ("/a", "bytes=525000-")]
    assert seen == [(700_001, 700_001)], "what was there before counts as done"


@pytest.mark.parametrize("behaviour", ["no ranges", "no length"])
def test_a_server_without_ranges_or_lengths_serves_too(server: Server, path: Path, behaviour: Behaviour) -> None:
    server.files["a"], server.behaviour = CONTENT, behaviour
    path.parent.mkdir(parents=True)
    path.with_name("archive.zip.part").write_bytes(CONTENT[:1000])
    seen: list[tuple[int, int | None]] = []
    download(f"{server.url}/a", path, SHA256, lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT and left(path) == ["archive.zip"]
    assert seen[-1] == (len(CONTENT), None if behaviour == "no length" else len(CONTENT))


def test_progress_grows_to_the_whole(server: Server, path: Path) -> None:
    server.files["a"] = CONTENT
    seen: list[tuple[int, int | None]] = []
    download(f"{server.url}/a", path, SHA256, lambda done, total: seen.append((done, total)))
    done = [bytes_so_far for bytes_so_far, _ in seen]
    assert done == sorted(set(done)) and done[-1] == len(CONTENT) and len(done) > 1
    assert {total for _, total in seen} == {len(CONTENT)}


def test_a_part_that_is_already_complete_needs_nothing_more(server: Server, path: Path) -> None:
    server.files["a"] = CONTENT
    path.parent.mkdir(parents=True)
    path.with_name("archive.zip.part").write_bytes(CONTENT)
    download(f"{server.url}/a", path, SHA256)  # the server answers 416: there is nothing beyond
    assert path.read_bytes() == CONTENT and left(path) == ["archive.zip"]
    assert server.requests == [("/a", f"bytes={len(CONTENT)}-")]


@pytest.mark.parametrize(
    "part", [b"", CONTENT[:1000], bytes(1000), CONTENT + b"more"], ids=["", "good", "bad", "longer"]
)
@pytest.mark.parametrize("behaviour", ["other bytes", "ranges"])
def test_what_the_hash_does_not_promise_is_never_kept(
    server: Server, path: Path, behaviour: Behaviour, part: bytes
) -> None:
    server.files["a"], server.behaviour = CONTENT, behaviour
    path.parent.mkdir(parents=True)
    if part:
        path.with_name("archive.zip.part").write_bytes(part)
    right = behaviour == "ranges" and CONTENT.startswith(part)
    if not right:
        with pytest.raises(
            DownloadError, match=rf"SHA-256 is [0-9a-f]{{64}}, expected {SHA256}; the file was not kept"
        ):
            download(f"{server.url}/a", path, SHA256)
        assert left(path) == [], "a bad beginning is not resumed for ever"
    server.behaviour = "ranges"
    download(f"{server.url}/a", path, SHA256)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(("behaviour", "said"), [("gone", "Not Found"), ("fails", "Service Unavailable")])
def test_a_refusal_is_an_error_that_keeps_what_has_arrived(
    server: Server, path: Path, behaviour: Behaviour, said: str
) -> None:
    server.behaviour = behaviour
    path.parent.mkdir(parents=True)
    path.with_name("archive.zip.part").write_bytes(CONTENT[:10])
    with pytest.raises(DownloadError) as caught:
        download(f"{server.url}/a", path, SHA256)
    assert str(caught.value).startswith(f"{server.url}/a: cannot be fetched: {said}")
    assert ("MAGNN_DATA_MIRROR" in str(caught.value)) == (behaviour == "gone")
    assert path.with_name("archive.zip.part").read_bytes() == CONTENT[:10]


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1:9/a", "http://127.0.0.1:port/a", "http:///a", "file:///not/there"),
        *("http://127.0.0.1:9/donn\xe9es", "http://a..b/a"),
    ],
)
def test_an_address_that_cannot_be_reached_is_one_line(url: str, path: Path) -> None:
    with pytest.raises(DownloadError) as caught:
        download(url, path, SHA256)
    assert str(caught.value).startswith(f"{url}: cannot be fetched: ") and "\n" not in str(caught.value)
    assert left(path) == []


def test_a_silent_server_is_given_up(server: Server, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: Any, timeout: float) -> None:
        assert timeout == module.TIMEOUT
        raise TimeoutError("timed out")

    monkeypatch.setattr(urllib.request, "urlopen", silent)
    with pytest.raises(DownloadError, match="cannot be fetched: timed out; run the same again"):
        download(f"{server.url}/a", path, SHA256)


def test_a_file_address_is_copied(tmp_path: Path, path: Path) -> None:
    source = tmp_path / "a source é.zip"
    source.write_bytes(CONTENT)
    path.parent.mkdir(parents=True)
    path.with_name("archive.zip.part").write_bytes(b"from an earlier try")
    seen: list[tuple[int, int | None]] = []
    download(source.as_uri(), path, SHA256, lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT and left(path) == ["archive.zip"]
    assert source.read_bytes() == CONTENT and seen[-1] == (len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/a", "data:,hello", "a.zip", "/data/a.zip", ""])
def test_no_other_scheme_is_followed(url: str, path: Path) -> None:
    with pytest.raises(InputError, match="only http, https and file addresses are fetched"):
        download(url, path, SHA256)
    assert not path.parent.exists()


def test_what_is_no_address_is_refused(path: Path) -> None:
    with pytest.raises(InputError, match=r"http://\[bad/a.zip: not an address"):
        download("http://[bad/a.zip", path, SHA256)


def breaking(error: OSError) -> Callable[..., Any]:
    """An `urlopen` whose answer fails with `error` when it is read."""

    class Answer:
        status = 200
        headers: dict[str, str] = {}  # noqa: RUF012

        def __enter__(self) -> "Answer":
            return self

        def __exit__(self, *_: object) -> None:
            """Nothing to close."""

        def read(self, _: int) -> bytes:
            raise error

    return lambda *_, **__: Answer()


@pytest.mark.parametrize(
    "error",
    [ssl.SSLEOFError("EOF occurred in violation of protocol"), ConnectionResetError("reset"), TimeoutError("slow")],
)
def test_a_connection_that_breaks_is_no_fault_of_the_disk(
    error: OSError, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", breaking(error))
    with pytest.raises(DownloadError, match="run the same again"):
        download("https://example.org/a", path, SHA256)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="NOT RUN: needs the device /dev/full, which is always full")
def test_a_full_disk_is_a_storage_error(server: Server, path: Path) -> None:
    server.files["a"] = CONTENT
    path.parent.mkdir(parents=True)
    path.with_name("archive.zip.part").symlink_to("/dev/full")
    with pytest.raises(StorageError) as caught:
        download(f"{server.url}/a", path, SHA256)
    said = "cannot be written: No space left on device; free some space or choose another place"
    assert str(caught.value) == f"{path}: {said}"


@pytest.mark.parametrize("obstacle", ["a file as folder", "a folder as file"])
def test_a_place_that_cannot_be_written_is_a_storage_error(server: Server, tmp_path: Path, obstacle: str) -> None:
    server.files["a"] = CONTENT
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    path = tmp_path / "file" / "a.zip" if obstacle == "a file as folder" else tmp_path / "folder"
    with pytest.raises(StorageError, match="cannot be written"):
        download(f"{server.url}/a", path, SHA256)


def test_the_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert file_sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


# Without a hash -------------------------------------------------------------------------------------------------------

MONDAY, TUESDAY = "Mon, 03 Nov 2014 10:00:00 GMT", "Tue, 04 Nov 2014 10:00:00 GMT"
NEWER = CONTENT[::-1]


def test_the_hash_of_what_came_is_written_down(server: Server, path: Path) -> None:
    server.files["a"] = CONTENT
    assert download(f"{server.url}/a", path, None) == path
    assert path.read_bytes() == CONTENT and left(path) == ["archive.zip", "archive.zip.sha256"]
    assert path.with_name("archive.zip.sha256").read_text() == f"{SHA256}  archive.zip\n", "what sha256sum -c reads"


def test_a_file_that_is_there_is_taken_as_it_is(server: Server, path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"brought from elsewhere")
    assert download(f"{server.url}/a", path, None) == path
    assert server.requests == [] and left(path) == ["archive.zip"]


def test_the_rest_of_the_same_version_is_asked_for(server: Server, path: Path) -> None:
    server.files["a"], server.changed, server.behaviour = CONTENT, MONDAY, "breaks off"
    with pytest.raises(DownloadError, match="350,000 of 700,001 bytes"):
        download(f"{server.url}/a", path, None)
    assert left(path) == ["archive.zip.part"]
    server.behaviour = "ranges"
    download(f"{server.url}/a", path, None)
    assert path.read_bytes() == CONTENT and left(path) == ["archive.zip", "archive.zip.sha256"]
    assert server.requests == [("/a", None), ("/a", "bytes=350000-")], "and nothing again from the start"


@pytest.mark.parametrize(("before", "after"), [(MONDAY, TUESDAY), (None, None), (MONDAY, None), (None, MONDAY)])
def test_two_versions_are_never_joined(server: Server, path: Path, before: str | None, after: str | None) -> None:
    server.files["a"], server.changed, server.behaviour = CONTENT, before, "breaks off"
    with pytest.raises(DownloadError):
        download(f"{server.url}/a", path, None)
    server.files["a"], server.changed, server.behaviour = NEWER, after, "ranges"
    download(f"{server.url}/a", path, None)
    assert path.read_bytes() == NEWER and left(path) == ["archive.zip", "archive.zip.sha256"]


def test_a_part_beyond_the_end_is_another_file(server: Server, path: Path) -> None:
    server.files["a"] = CONTENT
    path.parent.mkdir(parents=True)
    path.with_name("archive.zip.part").write_bytes(NEWER)  # the server answers 416: there is nothing beyond
    download(f"{server.url}/a", path, None)
    assert path.read_bytes() == CONTENT
    assert server.requests == [("/a", f"bytes={len(NEWER)}-"), ("/a", None)]


def test_one_process_at_a_time_fetches_a_file(server: Server, path: Path) -> None:
    server.files["a"] = CONTENT

    def second(*_: Any) -> None:
        with pytest.raises(InputError, match="another process is fetching it"):
            download(f"{server.url}/a", path, None)

    download(f"{server.url}/a", path, None, progress=second)
    assert path.read_bytes() == CONTENT and left(path) == ["archive.zip", "archive.zip.sha256"]
