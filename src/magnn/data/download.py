"""Fetching a file whose SHA-256 is known: resumed where it broke off, kept only if the hash is right.

The standard library does it: the download libraries that check hashes (pooch among them) start again from nothing.
"""

import hashlib
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from magnn.errors import DownloadError, InputError, StorageError

CHUNK = 1 << 18
TIMEOUT = 20.0  # seconds without a byte

# Called with bytes so far and bytes in all (None if the server does not say).
BytesProgress = Callable[[int, int | None], None]


def download(url: str, path: Path, sha256: str, progress: BytesProgress | None = None) -> Path:
    """Fetch `url` to `path`; does nothing if the right file is already there.

    What has arrived stays in `path` + ".part" when the connection breaks, and the next call asks for the rest.

    Args:
        url: http, https or file.
        sha256: of the whole file, hexadecimal.

    Raises:
        InputError: the URL has another scheme.
        DownloadError: the address cannot be reached, or the hash is wrong (what came is deleted).
        StorageError: the file cannot be written.
    """
    if urlsplit(url).scheme not in ("http", "https", "file"):
        raise InputError(f"{url}: only http, https and file addresses are fetched")
    part = path.with_name(path.name + ".part")
    try:
        if path.exists() and file_sha256(path) == sha256:
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        _fetch(url, part, progress)
        found = file_sha256(part)
        if found != sha256:
            part.unlink()
            raise DownloadError(f"{url}: SHA-256 is {found}, expected {sha256}; the file was not kept")
        part.replace(path)
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or error
        raise DownloadError(
            f"{url}: cannot be fetched: {reason}; run the same again to go on from where it stopped"
        ) from error
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}") from error
    return path


def _fetch(url: str, part: Path, progress: BytesProgress | None) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # nothing beyond what is here: complete, or another file; the hash will tell
            raise
        return
    with response:
        if have and response.status != 206:  # the server sends it all again (a file address always does)
            have = 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        with part.open("ab" if have else "wb") as file:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                have += len(chunk)
                if progress:
                    progress(have, total)
        if total is not None and have < total:
            raise ConnectionError(f"connection closed after {have:,} of {total:,} bytes")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
