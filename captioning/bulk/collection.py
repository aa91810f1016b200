"""Collect any number of images named on a command line: files, folders, tar shards."""

import glob
import os
from collections.abc import Iterator, Sequence
from itertools import chain, groupby, islice
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from captioning.data.shards import expand, samples
from captioning.errors import InputError

# Formats that Pillow identifies but cannot decode by itself.
UNDECODED = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})


class Block(NamedTuple):
    """Images that one process captions in sequence: some files, or those of a shard.

    Names are relative to the folder, or absolute.
    """

    folder: str
    files: list[str]
    shard: str | None = None

    def names(self) -> list[str]:
        """Return the names of the images in order; only this call reads a shard."""
        if self.shard is None:
            return self.files
        return [str(Path(self.shard, each.file)) for _, each in samples(self.path(self.shard))]

    def path(self, name: str) -> Path:
        """Return the path of an image or of the shard; the file need not exist."""
        return Path(self.folder, name)


def find(named: Sequence[str], size: int) -> Iterator[Block]:
    """Yield the images named, in blocks of at most `size` files or of a whole shard.

    Images keep their names from the command line; if that names just one folder, they are named
    by their path in it. Raises InputError if there are none.
    """
    paths = [path for each in named for path in matches(each)]
    alone = len(paths) == 1 and Path(paths[0]).is_dir()
    folder = str(Path(paths[0]).resolve() if alone else Path.cwd())
    found = False
    for is_shard, group in groupby(paths, lambda path: path.endswith(".tar")):
        if is_shard:
            found = True
            yield from (Block(folder, [], path) for path in group)
            continue
        files = chain.from_iterable(below(path, alone) for path in group)
        while some := list(islice(files, size)):
            found = True
            yield Block(folder, some)
    if not found:
        raise InputError(
            f"{' '.join(named):.80}: expected images, found no file with a suffix such as .jpg; "
            "shards are named themselves: FOLDER/*.tar"
        )


def matches(named: str) -> list[str]:
    """Expand a pattern such as `{000..127}.tar` or `*.jpg`; return any other name as it is."""
    if Path(named).exists():
        return [named]
    if "{" in named:
        return [str(shard) for shard in expand(named)]
    if not glob.has_magic(named):
        return [named]
    found = glob.glob(named, recursive=True)  # noqa: PTH207  # Path.glob takes no absolute pattern
    if found:
        return sorted(found)
    raise InputError(f"{named}: expected files, but the pattern matches none")


def below(path: str, alone: bool) -> Iterator[str]:
    """Yield a file itself, or all images in a folder and its subfolders.

    In each folder the files come first, sorted by name, so that only one folder's names are held
    at a time. Names without an image's suffix or with a leading dot are skipped, as are links to
    folders.
    """
    if not Path(path).is_dir():
        yield path
        return
    suffixes = image_suffixes()
    for folder, folders, files in os.walk(path, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        start = os.path.relpath(folder, path) if alone else folder
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in suffixes:
                yield str(Path(start, name))


def refuse(error: OSError) -> None:
    """Raise InputError for a folder that cannot be searched, instead of skipping it silently."""
    raise InputError(
        f"{error.filename}: expected a folder to search ({error.strerror}); make it readable, or "
        "leave it out"
    ) from error


def image_suffixes() -> frozenset[str]:
    """Return the suffixes, such as .jpg, of the formats that Pillow decodes."""
    suffixes = Image.registered_extensions()  # which also fills OPEN
    decoded = Image.OPEN.keys() - UNDECODED
    return frozenset(suffix for suffix, kind in suffixes.items() if kind in decoded)
