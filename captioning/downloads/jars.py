"""Fetch Java libraries from a Maven repository or a folder, verified and never incomplete."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from captioning.errors import InputError
from captioning.files import check_content, check_room, empty_folder, progress, writing

_TIMEOUT = 30  # seconds without an answer
_ADVICE = "set CAPTIONING_CACHE to another folder"


class Jar(NamedTuple):
    """A library in a Maven repository.

    Attributes:
        coordinates: `group:artifact:version`, with `:classifier` if it has one.
        size: in bytes.
        sha256: of its content, in hexadecimal digits.
    """

    coordinates: str
    size: int
    sha256: str

    @property
    def file(self) -> str:
        """The file's name, in a repository and in the user's cache."""
        return "-".join(self.coordinates.split(":")[1:]) + ".jar"


def missing(jars: Sequence[Jar], folder: Path) -> list[Jar]:
    """List those of `jars` that are not in `folder`."""
    return [jar for jar in jars if not (folder / jar.file).is_file()]


def fetch(
    jars: Sequence[Jar], folder: Path, source: Path | None = None, repository: str | None = None
) -> None:
    """Fetch those of `jars` that are not in `folder`.

    If several processes call this at once, one fetches and the others wait. A killed process
    never leaves an incomplete jar; the next one removes its temporary files.

    Args:
        jars: the libraries needed.
        folder: where to put them; made if necessary.
        source: a folder that contains them, at any depth; None for a Maven repository.
        repository: address of that repository; None for Maven Central.

    Raises:
        InputError: if a jar cannot be fetched, is not what it should be, or does not fit the disk.
    """
    from filelock import FileLock

    if not missing(jars, folder):
        return
    with writing(folder, _ADVICE):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            absent = missing(jars, folder)
            check_room(folder, sum(jar.size for jar in absent), _ADVICE)
            for jar in absent:
                with empty_folder(folder / "partial") as partial:
                    found = _find(jar, source) if source else _download(jar, repository, partial)
                    whole = Path(shutil.copyfile(found, partial / jar.file)) if source else found
                    complaint = f"{found.name} is not {jar.coordinates}"
                    check_content(whole, complaint, jar.size, f"sha256:{jar.sha256}")
                    whole.replace(folder / jar.file)


def _find(jar: Jar, source: Path) -> Path:
    found = next(source.rglob(jar.file), None)
    if found is None:
        raise InputError(f"{source} has no {jar.file}, neither in itself nor in a folder below")
    return found


def _download(jar: Jar, repository: str | None, folder: Path) -> Path:
    """Download a jar and return its path, somewhere below `folder`.

    jgo finds and reads the repository, but does not notice a truncated or altered file.
    """
    from jgo.maven import MavenContext, PythonResolver
    from requests import RequestException

    logging.getLogger("jgo").setLevel(logging.ERROR)
    addresses = None if repository is None else {"repository": repository}
    resolver = PythonResolver(progress_callback=progress)
    context = MavenContext(resolver, folder, remote_repos=addresses, timeout=_TIMEOUT)
    where = repository or "Maven Central"
    try:
        return Path(context.create_dependency(jar.coordinates).artifact.resolve())
    except RequestException as error:
        raise InputError(
            f"{jar.file} could not be downloaded from {where} ({type(error).__name__}); try again, "
            "or fetch it elsewhere and give its folder by --source"
        ) from error
    except RuntimeError as error:  # what jgo raises for any answer but 200
        raise InputError(
            f"{where} did not give {jar.coordinates}; name another Maven repository by "
            "--repository, or a folder that has it by --source"
        ) from error
