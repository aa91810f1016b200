"""The files of a report."""

import os
from pathlib import Path

from captioning.errors import InputError


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it; InputError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refusal(folder, error) from error


def write(file: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all, in a folder made for it if need be.

    InputError where that cannot be.
    """
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(content)
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise _refusal(file, error) from error


def _refusal(path: Path, error: OSError) -> InputError:
    return InputError(
        f"{path}: cannot be written ({error.strerror}); make room, or name another folder"
    )
