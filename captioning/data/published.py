"""The form of a published data set: archives at addresses, and what they hold."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from captioning.data.dataset import Dataset
from captioning.download import Remote


class Part(NamedTuple):
    """A file, or a folder of pictures, that belongs to a data set.

    Attributes:
        place: where it lies below the folder of the data set.
        packed: what it is called in its archive, at any depth.
        pictures: how many JPEGs the folder has; 0: it is a file.
    """

    place: str
    packed: str
    pictures: int = 0


class Archive(NamedTuple):
    """Parts that come packed in one file.

    Attributes:
        file: its name.
        parts: what is unpacked of it.
        unpacked: bytes that they take, rounded up.
        remote: where it is; None: nobody may have it without asking.
        page: where to ask for it then.
    """

    file: str
    parts: tuple[Part, ...]
    unpacked: int
    remote: Remote | None
    page: str = ""


class Published(NamedTuple):
    """A data set.

    Attributes:
        archives: what it is made of, small ones first: a dead address is found out at once.
        examples: how many there are in each split.
        reader: what reads it from its folder.
    """

    archives: tuple[Archive, ...]
    examples: dict[str, int]
    reader: Callable[[Path], Dataset]


def lacking(published: Published, folder: Path) -> dict[Archive, list[Part]]:
    """The parts that are not in their place, by the archive that holds them."""
    absent = {
        archive: [part for part in archive.parts if not (folder / part.place).exists()]
        for archive in published.archives
    }
    return {archive: parts for archive, parts in absent.items() if parts}


def has_all(part: Part, place: Path) -> bool:
    """Whether a file, or a folder with all pictures, is there."""
    if part.pictures:
        return place.is_dir() and count_pictures(place) >= part.pictures
    return place.is_file()


def count_pictures(folder: Path) -> int:
    """How many JPEGs lie in a folder, without the shadows that macOS makes of them."""
    return sum(1 for _ in folder.glob("[!.]*.jpg"))
