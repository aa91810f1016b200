"""What files that must be whole need: room, a place to be made in, a content that is checked."""

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
ELSEWHERE = "mend the permissions, or name another folder"


@contextmanager
def whole(file: Path) -> Iterator[Path]:
    """Give the path of a file to be written that then takes the place of `file`, at once.

    Whatever breaks off leaves `file` as it was; a kill leaves the partial beside it, which
    `remove_leftovers` knows. Each writer has a partial of its own, threads and machines that share
    a disk, too: the last to end prevails. OSErrors are passed on.
    """
    partial = file.with_name(f"{file.name}.{os.getpid()}-{os.urandom(4).hex()}.partial")
    try:
        yield partial
        partial.replace(file)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def remove_leftovers(files: Collection[Path]) -> None:
    """Remove what killed processes have left of files, of which nobody may be writing any."""
    names = {file.name for file in files}
    for folder in {file.parent for file in files}:
        for partial in folder.glob("*.partial"):
            if partial.name.rsplit(".", 2)[0] in names:
                partial.unlink(missing_ok=True)


@contextmanager
def writing(path: Path, advice: str = ELSEWHERE) -> Iterator[None]:
    """Tell in one line, with what to do but make room, that a file or folder cannot be written."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror or error}); make room there, or {advice}"
        ) from error


def make_folder(folder: Path, advice: str = ELSEWHERE) -> None:
    """Make a folder, and those above it; InputError where that cannot be."""
    with writing(folder, advice):
        folder.mkdir(parents=True, exist_ok=True)


def write(file: Path, content: bytes) -> None:
    """Write a file whole, in a folder made for it if need be; InputError where that cannot be."""
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole(file) as partial:
            partial.write_bytes(content)


def write_json(file: Path, content: Any) -> None:
    """Write JSON as `write` does.

    Half a surrogate pair is written as JSON escapes it, for UTF-8 has no form of it.
    """
    text = json.dumps(content, indent=1, ensure_ascii=False)
    write(file, text.encode(errors="backslashreplace"))


@contextmanager
def locked(file: Path, complaint: str) -> Iterator[None]:
    """Keep other processes out, as long as this one is within or until it dies.

    InputError with this complaint where another is within. Such a lock is not handed down to the
    processes that load pictures, which outlive their parent by seconds.
    """
    with file.open("ab") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise InputError(complaint) from error
        yield


def check_room(folder: Path, needed: int, advice: str) -> None:
    """Raise InputError, with what to do but make room, unless a disk has so many bytes free."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{folder} has {free // MEGABYTE} MB free, {needed // MEGABYTE} MB are needed; make "
            f"room there, or {advice}"
        )


def check_content(file: Path, complaint: str, size: int | None, checksum: str) -> None:
    """Raise InputError unless a file is what it should be.

    Args:
        file: what to read.
        complaint: how the message begins where it is not.
        size: in bytes; None: not known.
        checksum: as `digest` gives it.
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
    """The checksum of a file's content: `sha256:` or `md5:` and hexadecimal digits."""
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
    """A folder that is empty at first and gone in the end."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def progress(what: str, size: int | None, done: int = 0) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, nothing elsewhere: call what it gives with each number of bytes."""
    from tqdm import tqdm

    with tqdm(desc=what, total=size, initial=done, unit="B", unit_scale=True, disable=None) as bar:
        yield bar.update
