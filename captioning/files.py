"""What files that must be whole need: room, a content that is checked, a place to be made in."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from captioning.errors import InputError

MEGABYTE = 10**6


def write_json(file: Path, content: Any) -> None:
    """Write a file that is there whole or not at all; InputError where that cannot be.

    Half a surrogate pair is written as JSON escapes it, for UTF-8 has no form of it.
    """
    partial = file.with_suffix(f".{os.getpid()}.partial")
    text = json.dumps(content, indent=1, ensure_ascii=False)
    try:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")
        partial.replace(file)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise InputError(
            f"{file} cannot be written ({error.strerror}); make room there, or mend the "
            "permissions of its folder"
        ) from error


def check_room(folder: Path, needed: int, variable: str) -> None:
    """Raise InputError unless the disk of a folder has so many bytes free.

    `variable` is the environment variable by which the user can name another folder.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{folder} has {free // MEGABYTE} MB free, {needed // MEGABYTE} MB are needed; make "
            f"room there, or set {variable} to another folder"
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
def filling(folder: Path, variable: str) -> Iterator[None]:
    """Tell in one line that a folder cannot be written to, or that its disk is full."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{folder} cannot take what is fetched ({error.strerror or error}); make room there, "
            f"or set {variable} to another folder"
        ) from error


@contextmanager
def progress(what: str, size: int | None, done: int = 0) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, nothing elsewhere: call what it gives with each number of bytes."""
    from tqdm import tqdm

    with tqdm(desc=what, total=size, initial=done, unit="B", unit_scale=True, disable=None) as bar:
        yield bar.update
