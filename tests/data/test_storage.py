"""A write that fails in any way leaves what stood there before, and nothing beside it."""

import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from threading import Event, Lock
from time import sleep
from typing import Protocol

import pytest
from safetensors import SafetensorError

from magnn.errors import InputError, InUseError, StorageError
from magnn.storage import alone, atomic_directory, atomic_file


class Atomic(Protocol):
    def __call__(self, path: Path, /) -> AbstractContextManager[Path]: ...


both = pytest.mark.parametrize("atomic", [atomic_file, atomic_directory])


def fill(place: Path, content: str) -> None:
    """Writes `content` into a file, or into a file of a directory."""
    (place / "part" if place.is_dir() else place).write_text(content)


def content(place: Path) -> str:
    return (place / "part" if place.is_dir() else place).read_text()


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def write(atomic: Atomic, path: Path, text: str, failure: BaseException | None = None) -> None:
    with atomic(path) as temporary:
        fill(temporary, text)
        if failure is not None:
            raise failure


@both
def test_a_write_appears_whole_and_alone(atomic: Atomic, tmp_path: Path) -> None:
    path = tmp_path / "new" / "folders" / "x"
    with atomic(path) as temporary:
        assert temporary.parent == path.parent, "a rename across file systems would not be atomic"
        fill(temporary, "new")
        assert not path.exists(), "nobody sees half of it"
    assert content(path) == "new"
    assert names(path.parent) == ["x"]


@both
def test_a_write_replaces_what_was_there(atomic: Atomic, tmp_path: Path) -> None:
    write(atomic, tmp_path / "x", "old")
    with atomic(tmp_path / "x") as temporary:
        fill(temporary, "new")
        assert content(tmp_path / "x") == "old"
    assert content(tmp_path / "x") == "new"
    assert names(tmp_path) == ["x"]


@both
@pytest.mark.parametrize("failure", [ValueError("bad"), KeyboardInterrupt(), SystemExit(1)], ids=repr)
@pytest.mark.parametrize("before", [True, False], ids=["old", "nothing"])
def test_a_failure_leaves_what_was_there(atomic: Atomic, tmp_path: Path, failure: BaseException, before: bool) -> None:
    if before:
        write(atomic, tmp_path / "x", "old")
    with pytest.raises(type(failure)):  # as it is: what is no fault of the disk is not called one
        write(atomic, tmp_path / "x", "new", failure)
    assert names(tmp_path) == (["x"] if before else [])
    assert not before or content(tmp_path / "x") == "old"


@both
@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),
        (OSError("parquet: cannot write"), "parquet: cannot write"),
        (SafetensorError("I/O error: No space left on device"), "I/O error: No space left on device"),
    ],
    ids=repr,
)
def test_a_fault_of_the_disk_is_a_storage_error(
    atomic: Atomic, tmp_path: Path, failure: Exception, reason: str
) -> None:
    write(atomic, tmp_path / "x", "old")
    with pytest.raises(StorageError) as caught:
        write(atomic, tmp_path / "x", "new", failure)
    expected = f"{tmp_path / 'x'}: cannot be written: {reason}; free some space or choose another place"
    assert str(caught.value) == expected
    assert names(tmp_path) == ["x"] and content(tmp_path / "x") == "old"


@both
@pytest.mark.parametrize("failure", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()], ids=repr)
def test_a_rename_that_fails_leaves_what_was_there(
    atomic: Atomic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    write(atomic, tmp_path / "x", "old")
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if target == tmp_path / "x":
            raise failure
        return rename(self, target)

    # The way back after the failure is a replace, so only the way there is blocked for a directory.
    monkeypatch.setattr(Path, "rename" if atomic is atomic_directory else "replace", failing)
    with pytest.raises((StorageError, KeyboardInterrupt), match=r"Input/output error|^$"):
        write(atomic, tmp_path / "x", "new")
    assert names(tmp_path) == ["x"] and content(tmp_path / "x") == "old"


def test_ctrl_c_after_the_last_rename_leaves_the_new_one_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python tells of the signal when the system has done its work."""
    write(atomic_directory, tmp_path / "x", "old")
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        rename(self, target)
        if target == tmp_path / "x":
            raise KeyboardInterrupt
        return target

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(atomic_directory, tmp_path / "x", "new")
    assert names(tmp_path) == ["x"] and content(tmp_path / "x") == "new"


@both
def test_a_link_goes_on_leading_to_what_is_written(atomic: Atomic, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "x")
    for text in ("old", "new"):
        write(atomic, tmp_path / "link", text)
        assert (tmp_path / "link").is_symlink() and content(tmp_path / "elsewhere" / "x") == text
    assert names(tmp_path) == ["elsewhere", "link"] and names(tmp_path / "elsewhere") == ["x"]


@both
def test_a_link_to_itself_is_no_place(atomic: Atomic, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(StorageError, match="cannot be written"):
        write(atomic, tmp_path / "link" / "x", "new")


def test_no_file_takes_the_place_of_a_directory_or_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("directory", "pipe"):
        with pytest.raises(InputError, match=f"{name} is a .* name a file"):
            write(atomic_file, tmp_path / name, "new")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode) and names(tmp_path) == ["directory", "pipe"]


@both
def test_a_place_that_cannot_be_written_is_a_storage_error(atomic: Atomic, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    with pytest.raises(StorageError, match="cannot be written"):
        write(atomic, tmp_path / "file" / "x", "new")
    with pytest.raises(StorageError, match="cannot be written"):
        write(atomic, tmp_path / ("x" * 300), "new")
    assert names(tmp_path) == ["file"]


@both
def test_others_may_read_what_the_umask_lets_them(atomic: Atomic, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(atomic, tmp_path / "x", "new")
        assert os.umask(0o027) == 0o027, "the umask is left as it was"
    finally:
        os.umask(before)
    mode = stat.S_IMODE((tmp_path / "x").stat().st_mode)
    assert oct(mode) == oct(0o750 if atomic is atomic_directory else 0o640)


def test_a_place_is_had_by_one_at_a_time(tmp_path: Path) -> None:
    with alone(tmp_path / "new" / "x", "wait"):
        with pytest.raises(InUseError, match="x: wait"), alone(tmp_path / "new" / "x", "wait"):
            pass
        with alone(tmp_path / "new" / "y", "wait"):
            pass
    with alone(tmp_path / "new" / "x", "wait"):
        pass
    assert names(tmp_path / "new") == []


def test_of_many_at_once_no_two_have_it(tmp_path: Path) -> None:
    """Also where one opens the lock's file just when another lets go and removes it."""
    inside, met = Lock(), Event()

    def try_often(_: int) -> int:
        had = 0
        for _ in range(200):
            with suppress(InUseError), alone(tmp_path / "x", "wait"):
                if inside.acquire(blocking=False):
                    had += 1
                    sleep(0.001)
                    inside.release()
                else:
                    met.set()
        return had

    with ThreadPoolExecutor(8) as threads:
        had = sum(threads.map(try_often, range(8)))
    assert had and not met.is_set()
    assert names(tmp_path) == []


def test_a_path_may_be_long(tmp_path: Path) -> None:
    path = tmp_path.joinpath(*["a" * 100] * 7)
    with alone(path, "wait"):
        assert path.with_name(f".{path.name}.lock").exists()
