"""Descriptions of published data sets: archives, where to get them, and what they contain."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from captioning.data.dataset import Dataset
from captioning.downloads.remote import Remote


class Part(NamedTuple):
    """A file, or a folder of images, that belongs to a data set.

    Attributes:
        place: its path in the folder of the data set.
        packed: its name in the archive, at any depth.
        images: number of JPEGs in the folder; 0 for a file.
    """

    place: str
    packed: str
    images: int = 0


class Archive(NamedTuple):
    """A file in which some parts are packed.

    Attributes:
        file: its name.
        parts: the parts to unpack.
        unpacked: their size in bytes, rounded up.
        remote: where to download it; None if access must be requested.
        page: where to request it in that case.
    """

    file: str
    parts: tuple[Part, ...]
    unpacked: int
    remote: Remote | None
    page: str = ""


class Published(NamedTuple):
    """A published data set.

    Attributes:
        archives: its archives, small ones first so that a dead address shows at once.
        examples: the number of examples in each split.
        reader: makes the data set, given its folder.
    """

    archives: tuple[Archive, ...]
    examples: dict[str, int]
    reader: Callable[[Path], Dataset]


def lacking(published: Published, folder: Path) -> dict[Archive, list[Part]]:
    """Return the missing parts, by the archive that contains them."""
    absent = {
        archive: [part for part in archive.parts if not (folder / part.place).exists()]
        for archive in published.archives
    }
    return {archive: parts for archive, parts in absent.items() if parts}


def has_all(part: Part, place: Path) -> bool:
    """Return whether a file, or a folder with all its images, exists."""
    if part.images:
        return place.is_dir() and count_images(place) >= part.images
    return place.is_file()


def count_images(folder: Path) -> int:
    """Count the JPEGs in a folder, without the metadata files of macOS."""
    return sum(1 for _ in folder.glob("[!.]*.jpg"))
