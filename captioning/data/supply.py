"""Use the files of a published data set that the user already has."""

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from captioning.data.published import Archive, Part, Published, has_all, lacking
from captioning.errors import InputError


class Supply(NamedTuple):
    """Sources of files that the user has named.

    Attributes:
        files: a folder to search, at any depth, before anything is downloaded.
        link: link the unpacked parts there; otherwise only report them.
        mirror: a server that has the files under the same paths as their own.
    """

    files: Path | None = None
    link: bool = False
    mirror: str | None = None


def look_through(
    files: Path, published: Published, folder: Path, link: bool, say: Callable[[str], object]
) -> dict[Archive, Path]:
    """Find the archives in `files` that contain parts missing from `folder`.

    With `link`, parts that are unpacked in `files` are linked into `folder`.

    Raises:
        InputError: if there is nothing useful, or if a part is there only unpacked, without `link`.
    """
    absent = lacking(published, folder)
    places = _places(files, absent)
    archives: dict[Archive, Path] = {}
    for archive, parts in absent.items():
        unpacked = _unpacked(parts, places)
        packed = places.get(archive.file, [])
        for path in (*unpacked.values(), *packed[:1]):
            say(f"found {path}")
        if link:
            _link(unpacked, folder)
        if packed and not (link and unpacked.keys() == set(parts)):
            archives[archive] = packed[0]
        elif unpacked and not link:
            part, path = next(iter(unpacked.items()))
            raise InputError(
                f"{path} is already unpacked: pass --link to link it to {folder / part.place}, or "
                "put it there yourself; nothing is moved or copied"
            )
    if not archives and lacking(published, folder) == absent:
        raise InputError(
            f"{files} contains none of the files missing from {folder}: expected, complete and at "
            "any depth, "
            f"{' or '.join(sorted(_names(absent)))}"
        )
    return archives


def _places(files: Path, absent: dict[Archive, list[Part]]) -> dict[str, list[Path]]:
    """Find the paths of all files and folders that may be useful, by name."""
    places: dict[str, list[Path]] = {name: [] for name in _names(absent)}
    for path in sorted(files.rglob("*")):
        if path.name in places:
            places[path.name].append(path)
    return places


def _names(absent: dict[Archive, list[Part]]) -> set[str]:
    parts = {name for parts in absent.values() for part in parts for name in _names_of(part)}
    return parts | {archive.file for archive in absent}


def _names_of(part: Part) -> tuple[str, str]:
    return part.packed, PurePosixPath(part.place).name


def _unpacked(parts: list[Part], places: dict[str, list[Path]]) -> dict[Part, Path]:
    """Return the first path of each part that is complete."""
    candidates = {
        part: [path for name in _names_of(part) for path in places[name]] for part in parts
    }
    whole = {
        part: next((path for path in paths if has_all(part, path)), None)
        for part, paths in candidates.items()
    }
    return {part: path for part, path in whole.items() if path is not None}


def _link(unpacked: dict[Part, Path], folder: Path) -> None:
    for part, path in unpacked.items():
        place = folder / part.place
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(path.resolve())
