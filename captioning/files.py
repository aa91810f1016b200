"""Write files atomically: partial files, locks, free space and checksums."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from captioning.errors import InputError

MEGABYTE = 10**6
ELSEWHERE = "fix the permissions, or name another folder"


@contextmanager
def whole(file: Path) -> Iterator[Path]:
    """Yield the path of a partial file to write, which then atomically replaces `file`.

    An exception leaves `file` as it was; a killed process leaves the partial file beside it, for
    `remove_leftovers` to find. Every writer has a partial file of its own, even among threads and
    machines that share a disk: the last to finish wins. It may also be a folder, which replaces
    only an empty one: there, the first to finish wins. OSErrors propagate.
    """
    partial = file.with_name(f"{file.name}.{os.getpid()}-{os.urandom(4).hex()}.partial")
    try:
        yield partial
        partial.replace(file)
    except BaseException:
        with suppress(OSError):
            _remove(partial)
        raise


def remove_leftovers(files: Collection[Path]) -> None:
    """Remove what killed processes left of files or folders; nobody may be writing them now."""
    names = {file.name for file in files}
    for folder in {file.parent for file in files}:
        for partial in folder.glob("*.partial"):
            if partial.name.rsplit(".", 2)[0] in names:
                _remove(partial)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def writing(path: Path, advice: str = ELSEWHERE) -> Iterator[None]:
    """Turn an OSError into an InputError; `advice` is what to do besides making room."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror or error}); make room there, or {advice}"
        ) from error


def make_folder(folder: Path, advice: str = ELSEWHERE) -> None:
    """Make a folder and its parents; InputError if that is impossible."""
    with writing(folder, advice):
        folder.mkdir(parents=True, exist_ok=True)


def write(file: Path, content: bytes) -> None:
    """Write a file atomically, making its folder if necessary; InputError if that is impossible."""
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole(file) as partial:
            partial.write_bytes(content)


def write_json(file: Path, content: Any) -> None:
    """Write JSON as `write` does.

    A lone surrogate is written as a JSON escape, because UTF-8 cannot encode it.
    """
    text = json.dumps(content, indent=1, ensure_ascii=False)
    write(file, text.encode(errors="backslashreplace"))


@contextmanager
def locked(file: Path, complaint: str) -> Iterator[None]:
    """Keep other processes out until this one leaves the block or dies.

    Raises InputError with this complaint if another process is inside. The lock is not inherited
    by the processes that load images, which outlive their parent by seconds.
    """
    with file.open("ab") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise InputError(complaint) from error
        yield


def check_room(folder: Path, needed: int, advice: str) -> None:
    """Raise InputError unless a disk has `needed` bytes free; `advice` is an alternative."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{folder} has {free // MEGABYTE} MB free, {needed // MEGABYTE} MB are needed; make "
            f"room there, or {advice}"
        )


def check_content(file: Path, complaint: str, size: int | None, checksum: str) -> None:
    """Raise InputError unless a file has the expected size and checksum.

    Args:
        file: the file to read.
        complaint: how the error message begins.
        size: in bytes; None if unknown.
        checksum: as returned by `digest`.
    """
    actual_size = file.stat().st_size
    actual = digest(file, checksum.partition(":")[0])
    if actual != checksum or size not in (None, actual_size):
        expected = "" if size is None else f"{size} bytes with "
        raise InputError(
            f"{complaint}: expected {expected}{_short(checksum)}, got {actual_size} bytes with "
            f"{_short(actual)}; it was cut or changed on its way: fetch it again"
        )


def digest(file: Path, algorithm: str) -> str:
    """Return the checksum of a file's content: `sha256:` or `md5:` and hexadecimal digits."""
    state = hashlib.new(algorithm, usedforsecurity=False)
    with file.open("rb") as content, progress("checking", file.stat().st_size) as advance:
        while block := content.read(2**20):
            state.update(block)
            advance(len(block))
    return f"{algorithm}:{state.hexdigest()}"


def _short(checksum: str) -> str:
    algorithm, _, digits = checksum.partition(":")
    return f"{algorithm} {digits[:12]}…"


@contextmanager
def empty_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder that is empty at first and removed in the end."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def progress(what: str, size: int | None, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal; yield the function to call with each number of bytes."""
    from tqdm import tqdm

    with tqdm(desc=what, total=size, initial=done, unit="B", unit_scale=True, disable=None) as bar:
        yield bar.update
