"""Any number of pictures, as a command line names them: files, folders of them, tar shards."""

import glob
import os
from collections.abc import Iterator, Sequence
from itertools import chain, groupby, islice
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from captioning.data.shards import expand, samples
from captioning.errors import InputError

# Formats that Pillow knows by name and cannot decode by itself.
UNDECODED = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})


class Block(NamedTuple):
    """Pictures that one process captions one after the other: some files, or those of a shard.

    Names are relative to the folder, or absolute.
    """

    folder: str
    files: list[str]
    shard: str | None = None

    def names(self) -> list[str]:
        """Name the pictures in their order; a shard is looked through for them only now."""
        if self.shard is None:
            return self.files
        return [str(Path(self.shard, each.file)) for _, each in samples(self.path(self.shard))]

    def path(self, name: str) -> Path:
        """Say where a picture or the shard is; a file need not be there."""
        return Path(self.folder, name)


def find(named: Sequence[str], size: int) -> Iterator[Block]:
    """Give the pictures that were named, in blocks of at most `size` files or of a whole shard.

    They are named as the command line names them, but below a folder that stands there alone by
    their path in it. InputError if there are none.
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
            f"{' '.join(named):.80}: expected pictures, found no file with a suffix such as .jpg; "
            "shards are named themselves: FOLDER/*.tar"
        )


def matches(named: str) -> list[str]:
    """Give the files that a pattern names, `{000..127}.tar` or `*.jpg`; else the name itself."""
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
    """Give a file itself, and of a folder all pictures in it and below it.

    In each folder files come first, by their names, so that no more names are held at a time than
    the fullest folder has. Passed over are names without a picture's suffix or that begin with a
    dot, and links to folders.
    """
    if not Path(path).is_dir():
        yield path
        return
    suffixes = picture_suffixes()
    for folder, folders, files in os.walk(path, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        start = os.path.relpath(folder, path) if alone else folder
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in suffixes:
                yield str(Path(start, name))


def refuse(error: OSError) -> None:
    """Tell of a folder that cannot be searched: its pictures would be lost without a word."""
    raise InputError(
        f"{error.filename}: expected a folder to search ({error.strerror}); make it readable, or "
        "leave it out"
    ) from error


def picture_suffixes() -> frozenset[str]:
    """Give the suffixes, such as .jpg, of what Pillow decodes."""
    suffixes = Image.registered_extensions()  # which loads the formats that OPEN then has
    decoded = Image.OPEN.keys() - UNDECODED
    return frozenset(suffix for suffix, kind in suffixes.items() if kind in decoded)
