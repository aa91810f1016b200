"""Unpack archives into one folder and never outside it."""

import lzma
import platform
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from captioning.errors import InputError
from captioning.files import progress

try:
    from tarfile import FilterError, data_filter
except ImportError:  # before Python 3.10.12 and 3.11.4
    FilterError, data_filter = tarfile.TarError, None  # type: ignore[misc, assignment]


def unpack(archive: Path, folder: Path, wanted: Callable[[PurePosixPath], bool]) -> None:
    """Unpack the members of a ZIP or tar archive whose names are wanted.

    Every member is checked: an archive with a member that would land outside `folder` is refused,
    even if that member is not wanted.

    Raises:
        InputError: if the archive is refused or damaged, or the file is not an archive.
        OSError: if the members cannot be written.
    """
    try:
        if zipfile.is_zipfile(archive):
            _unzip(archive, folder, wanted)
        elif tarfile.is_tarfile(archive):
            _untar(archive, folder, wanted)
        else:
            raise InputError(f"{archive} is neither a ZIP nor a tar archive; fetch it again")
    except FilterError as error:
        raise _outside(archive, error.tarinfo.name) from error
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError) as error:
        raise InputError(f"{archive} is damaged ({error}); fetch it again") from error


def _unzip(archive: Path, folder: Path, wanted: Callable[[PurePosixPath], bool]) -> None:
    with zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
        size = sum(member.file_size for member in members)
        with progress(f"unpacking {archive.name}", size) as advance:
            for member in members:
                name = PurePosixPath(member.filename)
                if name.is_absolute() or ".." in name.parts:
                    raise _outside(archive, member.filename)
                if wanted(name):
                    opened.extract(member, folder)
                advance(member.file_size)


def _untar(archive: Path, folder: Path, wanted: Callable[[PurePosixPath], bool]) -> None:
    if data_filter is None:
        raise InputError(
            f"{archive}: unpacking tar archives safely needs Python 3.10.12, 3.11.4 or newer, this "
            f"is {platform.python_version()}; upgrade, or unpack it yourself and give the folder "
            "by --files with --link"
        )
    with tarfile.open(archive) as opened, progress(f"unpacking {archive.name}", None) as advance:
        for member in opened:
            data_filter(member, str(folder))
            if wanted(PurePosixPath(member.name)):
                opened.extract(member, folder, filter="data")
            advance(member.size)


def _outside(archive: Path, member: str) -> InputError:
    return InputError(
        f"{archive} holds {member!r}, which would land outside of the folder it is unpacked into; "
        "do not trust it, fetch it from elsewhere"
    )
