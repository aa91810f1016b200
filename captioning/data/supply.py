"""What a user has of a published data set on disk already."""

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from captioning.data.published import Archive, Part, Published, has_all, lacking
from captioning.errors import InputError


class Supply(NamedTuple):
    """Where the user says that files are.

    Attributes:
        files: a folder to look through, at any depth, before anything is downloaded.
        link: link what lies unpacked there; else it is only told of.
        mirror: a server that has the files under the same paths as their own.
    """

    files: Path | None = None
    link: bool = False
    mirror: str | None = None


def look_through(
    files: Path, published: Published, folder: Path, link: bool, say: Callable[[str], object]
) -> dict[Archive, Path]:
    """Those archives in `files` that hold something which `folder` lacks.

    What lies in `files` unpacked is linked to its place in `folder`, if that is asked for.

    Raises:
        InputError: when there is nothing of use, or when that only lies unpacked and no link is
            asked for.
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
            f"{files} has nothing of what {folder} lacks: expected, at any depth and whole, "
            f"{' or '.join(sorted(_names(absent)))}"
        )
    return archives


def _places(files: Path, absent: dict[Archive, list[Part]]) -> dict[str, list[Path]]:
    """Where whatever may be of use lies, by its name."""
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
    """The first place of each part where it is whole."""
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
