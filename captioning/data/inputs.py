"""Inputs of a network: images decoded from files, or stored features of them."""

import warnings
import zlib
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor
from torch.utils.data import Dataset

from captioning.data.feature_file import MADE, FeatureFile, mend
from captioning.data.image import ImageError, open_image
from captioning.errors import InputError

Transform = Callable[[Image], Tensor]


class ImageFiles(Dataset[Tensor | ImageError]):
    """Images opened and transformed on access; a bad one is returned as its error."""

    def __init__(self, paths: Sequence[Path], transform: Transform) -> None:
        self.paths = paths
        self.transform = transform

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def together(self) -> list[range]:
        """The ranges of consecutive images in the same shard, or outside of shards."""
        together, start = [], 0
        for _, neighbours in groupby(str(path).rpartition(".tar/")[0] for path in self.paths):
            stop = start + sum(1 for _ in neighbours)
            together.append(range(start, stop))
            start = stop
        return together

    def __getitem__(self, index: int) -> Tensor | ImageError:
        try:
            return self.transform(open_image(self.paths[index]))
        except ImageError as error:
            return error


class StoredFeatures(Dataset[Tensor | ImageError]):
    """Features of a frozen encoder, memory-mapped; for a bad image, an error.

    A row is a view of the file, so only the rows of a batch are read. A row's checksum is verified
    the first time it is used in a process.
    """

    def __init__(self, file: FeatureFile, paths: Sequence[Path]) -> None:
        self.file = file
        self.paths = paths
        index = file.index()
        self.bad = index["state"] != MADE
        self.checksums = index["checksum"].copy()
        self.checked = np.zeros(len(paths), dtype=bool)
        self.array = file.array()
        with warnings.catch_warnings():
            # Writing to the map would kill the process, but nothing does so.
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            self.rows = torch.from_numpy(self.array)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def together(self) -> list[range]:
        """A single range: all features are in one file."""
        return [range(len(self))]

    def __getitem__(self, index: int) -> Tensor | ImageError:
        if self.bad[index]:
            return ImageError(f"{self.paths[index]}: could not be opened when features were made")
        if not self.checked[index]:
            self.check(index)
        return self.rows[index]

    def check(self, index: int) -> None:
        """Raise InputError if a row does not match its checksum."""
        if zlib.crc32(self.array[index]) != self.checksums[index]:
            raise InputError(
                f"{self.file.path} is damaged: the features of {self.paths[index]} are not as they "
                f"were written; {mend(self.file.path)}"
            )
        self.checked[index] = True
