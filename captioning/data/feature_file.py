"""Features on disk: a memory-mapped array, and an index of the images they were made from."""

import os
import sys
import zlib
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float16, Shaped

from captioning.data.image import image_bytes, image_status
from captioning.errors import InputError
from captioning.files import remove_leftovers, whole

UNMADE, MADE, BAD = range(3)  # bad: the image could not be opened; the row is NaN

# The state of a row, the CRC-32 of its bytes, and the image's size, date and SHA-256. With 64
# bytes, no record spans two sectors of a disk, of which a power cut could leave only one written.
RECORD = np.dtype(
    {
        "names": ["state", "checksum", "size", "date", "digest"],
        "formats": ["<u4", "<u4", "<i8", "<i8", "V32"],
        "itemsize": 64,
    }
)


class Seen(NamedTuple):
    """The state of an image's file: size in bytes, date in nanoseconds, SHA-256 of the content."""

    size: int
    date: int
    digest: bytes


ABSENT = Seen(-1, -1, bytes(32))


def look(path: Path) -> Seen:
    """Return the state of an image's file; one that cannot be read counts as absent."""
    try:
        status = image_status(path)  # first, so that a change while reading is detected
        return Seen(*status, sha256(image_bytes(path)).digest()) if status else ABSENT
    except OSError:
        return ABSENT


class FeatureFile:
    """A half-precision array of known shape in `path`, with a record of each row in `index_path`.

    A row never changes once made, unless it is renewed. Its record is written when the row is on
    disk, so that even after a kill or a power cut, rows that the index calls made are complete.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int]) -> None:
        self.path = path
        self.index_path = path.with_suffix(".index.npy")
        self.shape = shape

    @property
    def size(self) -> int:
        """The bytes of the array and its index, without their headers of a few hundred bytes."""
        return 2 * int(np.prod(self.shape)) + RECORD.itemsize * self.shape[0]

    def exists(self) -> bool:
        """Return whether both files exist."""
        return self.path.exists() and self.index_path.exists()

    def create(self) -> None:
        """Allocate the disk space of all rows, with none made yet; OSError if there is too little.

        The index appears last: an array without one was left by a killed process, and is remade.
        """
        self.index_path.unlink(missing_ok=True)
        remove_leftovers([self.index_path])
        try:
            allot(self.path, np.dtype(np.float16), self.shape)
            with whole(self.index_path) as partial:
                allot(partial, RECORD, self.shape[:1])
        except BaseException:
            self.remove()
            raise

    def remove(self) -> None:
        """Give the disk space back."""
        self.index_path.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def array(self, writable: bool = False) -> Float16[np.memmap[Any, Any], "m r d"]:
        """Map the rows into memory."""
        return open_checked(self.path, np.dtype(np.float16), self.shape, writable)

    def index(self, writable: bool = False) -> Shaped[np.memmap[Any, Any], " m"]:
        """Map the records into memory."""
        return open_checked(self.index_path, RECORD, self.shape[:1], writable)

    def write(
        self, rows: Sequence[int], features: Float16[np.ndarray, "k r d"], seen: Sequence[Seen]
    ) -> None:
        """Write features (NaN for bad images) into rows, then their records."""
        array, index = self.array(writable=True), self.index(writable=True)
        array[rows] = features
        array.flush()
        for row, own, image in zip(rows, features, seen, strict=True):
            state = BAD if np.isnan(own[0, 0]) else MADE
            index[row] = (state, zlib.crc32(own.tobytes()), *image)
        index.flush()


def allot(path: Path, kind: "np.dtype[Any]", shape: tuple[int, ...]) -> None:
    """Make a file of zeros; a full disk raises OSError now, not a signal on a later write."""
    np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape)
    if sys.platform != "darwin":  # which has no such call: there the file is sparse
        with path.open("r+b") as blocks:
            os.posix_fallocate(blocks.fileno(), 0, path.stat().st_size)


def open_checked(
    path: Path, kind: "np.dtype[Any]", shape: tuple[int, ...], writable: bool
) -> np.memmap[Any, Any]:
    """Map an array into memory; InputError if it is truncated or not of this type and shape."""
    found = "an incomplete NumPy array"
    try:
        array: np.memmap[Any, Any] = np.lib.format.open_memmap(path, "r+" if writable else "r")
        if (array.shape, array.dtype) == (shape, kind):
            return array
        found = f"{array.dtype} of {array.shape}"
    except (ValueError, EOFError):
        pass
    raise InputError(f"{path} is damaged: expected {kind} of {shape}, got {found}; {mend(path)}")


def mend(path: Path) -> str:
    """Return the advice on how to have a file made again."""
    return f"remove {path} to have its features recomputed"
