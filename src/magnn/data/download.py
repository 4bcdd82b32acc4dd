"""Fetching a file: resumed where it broke off, kept only if its SHA-256 is right, or written down where none is known.

The standard library does it: the download libraries that check hashes (pooch among them) start again from nothing.
"""

import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from email.utils import formatdate, parsedate_to_datetime
from http.client import HTTPException, HTTPMessage, InvalidURL
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from magnn.errors import DownloadError, InputError, StorageError
from magnn.storage import alone, atomic_file, file_sha256

CHUNK = 1 << 18
TIMEOUT = 20.0  # seconds without a byte
AGAIN = "run the same again to go on from where it stopped"

# Called with bytes so far and bytes in all (None if the server does not say).
BytesProgress = Callable[[int, int | None], None]


def download(url: str, path: Path, sha256: str | None, progress: BytesProgress | None = None) -> Path:
    """Fetch `url` to `path`; does nothing if the right file is already there.

    What has arrived stays in `path` + ".part" when the connection breaks, and the next call asks for the rest.

    Without a hash, a file that is there is taken as it is. One that is fetched must be as long as the server says, and is
    resumed only if the server says that it has not changed since; the hash of what came is written to `path` + ".sha256",
    in the form that sha256sum -c reads.

    Args:
        url: http, https or file.
        sha256: of the whole file, hexadecimal; None where none is known.

    Raises:
        InputError: the URL has another scheme, or is none, or another process is fetching the file.
        DownloadError: the address cannot be reached, or the hash is wrong (what came is deleted).
        StorageError: the file cannot be written.
    """
    try:
        scheme = urlsplit(url).scheme
    except ValueError as error:
        raise InputError(f"{url}: not an address: {error}") from error
    if scheme not in ("http", "https", "file"):
        raise InputError(f"{url}: only http, https and file addresses are fetched, such as file:///data")
    part = path.with_name(path.name + ".part")
    try:
        if path.exists() and (sha256 is None or file_sha256(path) == sha256):
            return path
        with alone(path, "another process is fetching it; wait for its end"):
            _fetch(url, part, progress, unchanged_only=sha256 is None)
            found = file_sha256(part)
            if sha256 is not None and found != sha256:
                part.unlink()
                raise DownloadError(
                    f"{url}: SHA-256 is {found}, expected {sha256}; the file was not kept; fetch it again"
                )
            part.replace(path)
            if sha256 is None:
                with atomic_file(path.with_name(path.name + ".sha256")) as temporary:
                    temporary.write_text(f"{found}  {path.name}\n", encoding="utf-8", newline="\n")
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or error
        wrong = isinstance(error, urllib.error.HTTPError) and error.code in (403, 404, 410)
        wrong |= isinstance(error, InvalidURL) or isinstance(error.__cause__, ValueError)
        remedy = "MAGNN_DATA_MIRROR can name another folder to fetch from" if wrong else AGAIN
        raise DownloadError(f"{url}: cannot be fetched: {reason}; {remedy}") from error
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be written: {error.strerror or error}; free some space or choose another place"
        ) from error
    return path


def _fetch(url: str, part: Path, progress: BytesProgress | None, unchanged_only: bool) -> None:
    """Fetches the rest of `part`; if `unchanged_only`, all of it unless the server says that the file is still the same."""
    have = part.stat().st_size if part.exists() else 0
    # The part carries the time at which the server last changed the file: no place of its own is needed for it.
    version = formatdate(part.stat().st_mtime, usegmt=True) if have and unchanged_only else None
    response = _answer(url, have)
    if response is None and not unchanged_only:
        return  # nothing beyond what is here: complete, or another file; the hash will tell
    if response is None or (version and response.status == 206 and response.headers.get("Last-Modified") != version):
        have, response = 0, _answer(url, 0)
    with response:
        if have and response.status != 206:  # the server sends it all again (a file address always does)
            have = 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length and length.isdecimal() else None
        try:
            with part.open("ab" if have else "wb") as file:
                while chunk := _read(response):
                    file.write(chunk)
                    have += len(chunk)
                    if progress:
                        progress(have, total)
        finally:
            _set_time(part, response.headers)
        if total is not None and have < total:
            raise ConnectionError(f"connection closed after {have:,} of {total:,} bytes")


def _answer(url: str, have: int) -> Any:
    """The open response, of the bytes from `have` on if the server can; None where there are none."""
    try:
        request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
        return urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:
            return None
        raise
    except ValueError as error:  # an address, or that of a proxy, which is none after all
        raise urllib.error.URLError(str(error)) from error


def _read(response: Any) -> bytes:
    """The next bytes; what goes wrong with a file that is read is not taken for a fault of the file that is written."""
    try:
        return bytes(response.read(CHUNK))
    except OSError as error:
        raise urllib.error.URLError(error) from error


def _set_time(part: Path, headers: HTTPMessage) -> None:
    try:
        changed = parsedate_to_datetime(headers["Last-Modified"]).timestamp()
        os.utime(part, (changed, changed))
    except (TypeError, ValueError, KeyError, OSError):  # without it, a resume starts again
        return
