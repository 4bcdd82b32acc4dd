"""Writing files so that a failure leaves what stood there before: a temporary name, then a rename.

And whether a place can be written, a lock against a second writer, and the hash of a file.
"""

import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from polars.exceptions import PolarsError
from safetensors import SafetensorError

from magnn.errors import InputError, InUseError, StorageError


def check_file(path: Path, example: str) -> None:
    """That a file can have the name `path`, as the file `example` in a directory could.

    Raises:
        InputError: a directory has it, or a device or pipe, whose place a file would take.
        StorageError: the place cannot be read or written.
    """
    _check_name(path, example)
    check_place(path)


def check_place(path: Path) -> None:
    """That something can be written to `path`, in folders that may still have to be made, under a longer name first.

    Raises:
        StorageError: it cannot.
    """
    with explained(path):
        target = _followed(path)
        place = target.parent
        while not place.exists() and place != place.parent:
            place = place.parent
        tempfile.TemporaryFile(dir=place).close()
        with suppress(FileNotFoundError):  # the longest name on the way to it, see `atomic_directory`
            (place / f".{target.name}.xxxxxxxx.old").lstat()


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; renamed to it on success, removed on failure.

    Raises:
        InputError: a directory or a device has the name.
        StorageError: the disk is full, or the place cannot be written.
    """
    _check_name(path, "file")
    path = _followed(path)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _beside(path)
        temporary.touch(exist_ok=False)  # unlike tempfile, it lets others read as far as the umask does
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yields a new temporary directory beside `path`; on success it takes the place of `path` and what was there.

    Raises:
        StorageError: the disk is full, or the place cannot be written.
    """
    path = _followed(path)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _beside(path)
        temporary.mkdir()
        try:
            yield temporary
            old = temporary.with_name(temporary.name + ".old")
            try:
                if path.exists():
                    path.rename(old)
                temporary.rename(path)
            except BaseException:  # Ctrl-C too
                if old.exists() and not path.exists():
                    old.replace(path)
                raise
            finally:
                if path.exists():
                    shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def alone(path: Path, said: str) -> Iterator[None]:
    """Keeps a second process away from `path`, by a system's lock on a hidden file beside it, which falls with the process.

    Raises:
        InUseError: another process, or another thread, has it; the message is `said`.
        StorageError: the place cannot be written.
    """
    from filelock import FileLock, Timeout

    place = _followed(path)
    beside = place.with_name(f".{place.name}.lock")
    check_place(beside)
    with explained(path):
        beside.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(beside)
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            raise InUseError(f"{path}: {said}") from error
    try:
        yield
    finally:
        try:
            if lock.is_locked:  # not by the parent of this process
                # While it is held: whoever has opened this file then does not get it. Windows removes it by itself.
                with suppress(OSError):
                    beside.unlink()
        finally:
            lock.release()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_name(path: Path, example: str) -> None:
    with explained(path):
        if path.is_dir():
            raise InputError(f"{path} is a directory; name a file, for example {path / example}")
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is a device or a pipe; name a file, for example {example}")


def _followed(path: Path) -> Path:
    """Where links lead: they go on leading there, and what is there is replaced."""
    return Path(os.path.realpath(path))  # Path.resolve fails on a link to itself, differently from version to version


def _beside(path: Path) -> Path:
    """A name that nothing has yet, in the same folder."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """What goes wrong inside with the disk or the place is a StorageError that names `path`."""
    try:
        yield
    except (SafetensorError, PolarsError) as error:  # they write by themselves and wrap what the system says
        reason = str(error).rpartition("IO error: ")[2]
        raise StorageError(f"{path}: cannot be written: {reason}; free some space or choose another place") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(f"{path}: cannot be written: {reason}; free some space or choose another place") from error
