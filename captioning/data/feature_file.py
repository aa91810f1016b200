"""Features on disk: a memory-mapped array and, beside it, which picture each row was made of."""

import os
import sys
import zlib
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float16, Shaped

from captioning.data.image import picture_bytes, picture_status
from captioning.errors import InputError
from captioning.files import remove_leftovers, whole

UNMADE, MADE, BAD = range(3)  # bad: there was no picture to be opened; the row is NaN

# The state of a row, the CRC-32 of its bytes, and the picture's size, date and SHA-256. At 64 bytes
# no record lies across two sectors of a disk, of which a power cut could leave one.
RECORD = np.dtype(
    {
        "names": ["state", "checksum", "size", "date", "digest"],
        "formats": ["<u4", "<u4", "<i8", "<i8", "V32"],
        "itemsize": 64,
    }
)


class Seen(NamedTuple):
    """A picture's file as it was found: bytes, nanoseconds, SHA-256 of the content."""

    size: int
    date: int
    digest: bytes


ABSENT = Seen(-1, -1, bytes(32))


def look(path: Path) -> Seen:
    """See what a file is; one that cannot be read counts as absent."""
    try:
        status = picture_status(path)  # first: what changes while it is read looks changed then
        return Seen(*status, sha256(picture_bytes(path)).digest()) if status else ABSENT
    except OSError:
        return ABSENT


class FeatureFile:
    """A half-precision array of known shape in `path`, and in `index_path` a record of each row.

    A row that is made never changes, unless somebody asks for that. Its record follows when the
    row is on the disk, so that after a kill or a power cut what the index calls made is whole.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int]) -> None:
        self.path = path
        self.index_path = path.with_suffix(".index.npy")
        self.shape = shape

    @property
    def size(self) -> int:
        """The bytes of the array and its index, but for their headers of a few hundred."""
        return 2 * int(np.prod(self.shape)) + RECORD.itemsize * self.shape[0]

    def exists(self) -> bool:
        """Say whether there is anything to open."""
        return self.path.exists() and self.index_path.exists()

    def create(self) -> None:
        """Take the room that all rows need; none is made yet. OSError where that is not to be had.

        The index appears last: an array without one is what a kill has left, and begun anew.
        """
        self.index_path.unlink(missing_ok=True)
        remove_leftovers([self.index_path])
        try:
            allot(self.path, np.dtype(np.float16), self.shape)
            with whole(self.index_path) as partial:
                allot(partial, RECORD, self.shape[:1])
        except BaseException:
            self.path.unlink(missing_ok=True)
            raise

    def array(self, writable: bool = False) -> Float16[np.memmap[Any, Any], "m r d"]:
        """Map the rows."""
        return open_checked(self.path, np.dtype(np.float16), self.shape, writable)

    def index(self, writable: bool = False) -> Shaped[np.memmap[Any, Any], " m"]:
        """Map the records."""
        return open_checked(self.index_path, RECORD, self.shape[:1], writable)

    def write(
        self, rows: Sequence[int], features: Float16[np.ndarray, "k r d"], seen: Sequence[Seen]
    ) -> None:
        """Put features, NaN for bad pictures, into rows, and note what they were made of."""
        array, index = self.array(writable=True), self.index(writable=True)
        array[rows] = features
        array.flush()
        for row, own, picture in zip(rows, features, seen, strict=True):
            state = BAD if np.isnan(own[0, 0]) else MADE
            index[row] = (state, zlib.crc32(own.tobytes()), *picture)
        index.flush()


def allot(path: Path, kind: "np.dtype[Any]", shape: tuple[int, ...]) -> None:
    """Make a file of zeros; a full disk is told now, not by a signal when it is written to."""
    np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape)
    if sys.platform != "darwin":  # which cannot be asked for blocks: there the file has holes
        with path.open("r+b") as blocks:
            os.posix_fallocate(blocks.fileno(), 0, path.stat().st_size)


def open_checked(
    path: Path, kind: "np.dtype[Any]", shape: tuple[int, ...], writable: bool
) -> np.memmap[Any, Any]:
    """Map an array; InputError where it is cut off or not the one that was expected."""
    found = "what is no whole NumPy array"
    try:
        array: np.memmap[Any, Any] = np.lib.format.open_memmap(path, "r+" if writable else "r")
        if (array.shape, array.dtype) == (shape, kind):
            return array
        found = f"{array.dtype} of {array.shape}"
    except (ValueError, EOFError):
        pass
    raise InputError(f"{path} is damaged: expected {kind} of {shape}, got {found}; {mend(path)}")


def mend(path: Path) -> str:
    """Say how to have a file made anew."""
    return f"remove {path} and have its features made anew"
