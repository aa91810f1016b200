"""Prepare a published data set: find or download the missing parts, verify and unpack them."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from captioning.data.published import (
    Archive,
    Part,
    Published,
    count_images,
    has_all,
    lacking,
)
from captioning.data.supply import Supply, look_through
from captioning.downloads.archives import unpack
from captioning.downloads.remote import Remote, download
from captioning.errors import InputError
from captioning.files import MEGABYTE, check_content, check_room, digest, empty_folder, writing

_ADVICE = "set CAPTIONING_DATA to another folder"


def prepare(
    published: Published, folder: Path, supply: Supply, say: Callable[[str], object] = print
) -> None:
    """Complete a data set in its folder, and check that its reader finds everything.

    Existing parts are not touched, and nothing is written if none are missing. Downloads are kept
    in `partial` until they are unpacked, so that a killed process can be resumed; a part appears in
    its place only when complete. If several processes call this at once, one works and the others
    wait for it.

    Raises:
        InputError: if a missing part cannot be obtained, is damaged, or does not fit the disk.
    """
    _check_images(published, folder)
    if lacking(published, folder) or (folder / "partial").exists():
        from filelock import FileLock

        with writing(folder, _ADVICE):
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / ".lock"):
                _complete(published, folder, supply, say)
    else:
        say(f"{folder} has every part already: nothing to do")
    _check_splits(published, folder, say)


def _check_images(published: Published, folder: Path) -> None:
    """Raise InputError if an existing folder has too few images."""
    for archive in published.archives:
        for part in archive.parts:
            place = folder / part.place
            if place.exists() and not has_all(part, place):
                raise InputError(
                    f"{place} has {count_images(place):,} of {part.images:,} images; remove "
                    "it and run this again, or put the others there"
                )


def _check_splits(published: Published, folder: Path, say: Callable[[str], object]) -> None:
    """Read every split and check that each of its images exists."""
    dataset = published.reader(folder)
    images = [part for archive in published.archives for part in archive.parts if part.images]
    present = {path for part in images for path in (folder / part.place).iterdir()}
    for split, expected in published.examples.items():
        examples = dataset.examples(split)
        if len(examples) != expected:
            raise InputError(
                f"{folder}, split {split!r}: expected {expected:,} images, got "
                f"{len(examples):,}; remove the file that lists them and run this again"
            )
        absent = [each.image for each in examples if each.image not in present]
        if absent:
            raise InputError(
                f"{folder}, split {split!r}: {len(absent):,} of {expected:,} images are not "
                f"there, the first is {absent[0]}; remove {absent[0].parent} and run this again"
            )
    splits = ", ".join(f"{split} {count:,}" for split, count in published.examples.items())
    say(f"{folder}: {sum(part.images for part in images):,} images; {splits}: all there")


def _complete(
    published: Published, folder: Path, supply: Supply, say: Callable[[str], object]
) -> None:
    """Find or download, then unpack, every archive with missing parts."""
    found: dict[Archive, Path] = {}
    if supply.files is not None and lacking(published, folder):
        found = look_through(supply.files, published, folder, supply.link, say)
    absent = lacking(published, folder)
    remotes = {archive: _remote(archive, supply) for archive in absent if archive not in found}
    partial = folder / "partial"
    room = _room(absent, remotes, partial)
    say(f"{folder}: {len(remotes)} to download, {room // MEGABYTE:,} MB of room needed")
    check_room(folder, room, _ADVICE)
    partial.mkdir(exist_ok=True)
    for archive, parts in absent.items():
        file = found.get(archive, partial / archive.file)
        if archive in found:
            _check_found(archive, file, folder)
        elif not file.exists():
            say(f"{archive.file} from {remotes[archive].address}")
            download(remotes[archive], file)
        _unpack(file, parts, folder)
        if archive in remotes:
            file.unlink()
    shutil.rmtree(partial)


def _remote(archive: Archive, supply: Supply) -> Remote:
    """Return where to download an archive."""
    if archive.remote is None:
        raise InputError(
            f"{archive.file} must be requested: see {archive.page}, then give its folder with "
            "--files"
        )
    if supply.mirror is None:
        return archive.remote
    path = urlsplit(archive.remote.address).path
    return archive.remote._replace(address=supply.mirror.rstrip("/") + path)


def _room(absent: dict[Archive, list[Part]], remotes: dict[Archive, Remote], partial: Path) -> int:
    """Return the bytes needed at the peak: all archives unpacked plus the largest download."""
    largest = max((remote.size or each.unpacked for each, remote in remotes.items()), default=0)
    come = sum(file.stat().st_size for file in partial.glob("*") if file.is_file())
    return sum(archive.unpacked for archive in absent) + max(largest - come, 0)


def _check_found(archive: Archive, file: Path, folder: Path) -> None:
    """Compare a file with the published checksum, or with that of the first file used.

    If no checksum is published, the first file is trusted and its SHA-256 is saved in the folder.
    """
    if archive.remote is not None:
        complaint = f"{file} is not what {archive.remote.address} should give"
        check_content(file, complaint, archive.remote.size, archive.remote.checksum)
        return
    note = folder / f"{archive.file}.sha256"
    if note.exists():
        checksum = f"sha256:{note.read_text(encoding='ascii').split()[0]}"
        check_content(file, f"{file} is not the file that {note} was noted of", None, checksum)
    else:
        digits = digest(file, "sha256").removeprefix("sha256:")
        note.write_text(f"{digits}  {archive.file}\n", encoding="ascii")


def _unpack(file: Path, parts: Sequence[Part], folder: Path) -> None:
    """Unpack an archive and move each part to its place when it is complete."""
    packed = {part.packed for part in parts}

    def wanted(name: PurePosixPath) -> bool:
        """Return whether a member belongs to a part and is not a metadata file of macOS."""
        shadow = name.name.startswith("._") or "__MACOSX" in name.parts
        return not shadow and not packed.isdisjoint(name.parts)

    with empty_folder(folder / "partial" / "unpacked") as scratch:
        unpack(file, scratch, wanted)
        for part in parts:
            found = next(scratch.rglob(part.packed), None)
            if found is None or not has_all(part, found):
                count = f" with {part.images:,} images" if part.images else ""
                raise InputError(f"{file} holds no {part.packed}{count}; fetch another")
            place = folder / part.place
            place.parent.mkdir(parents=True, exist_ok=True)
            found.replace(place)
