"""Pictures as a network sees them: decoded from files, or read back as features already made."""

from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float16
from PIL.Image import Image
from torch import Tensor
from torch.utils.data import Dataset

from captioning.data.image import ImageError, open_image

Transform = Callable[[Image], Tensor]


class ImageFiles(Dataset[Tensor | ImageError]):
    """Pictures opened and transformed when asked for; a bad one is returned as its error."""

    def __init__(self, paths: Sequence[Path], transform: Transform) -> None:
        self.paths = paths
        self.transform = transform

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def together(self) -> list[range]:
        """The pictures by what they lie in: each shard, or among all files that are none."""
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
    """Features of a frozen encoder, read from memory-mapped rows; NaN stands for a bad picture."""

    def __init__(self, array: Float16[np.ndarray, "m r d"], paths: Sequence[Path]) -> None:
        self.array = array
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def together(self) -> list[range]:
        """One file holds them all."""
        return [range(len(self))]

    def __getitem__(self, index: int) -> Tensor | ImageError:
        features = torch.from_numpy(np.array(self.array[index]))
        if torch.isnan(features[0, 0]):
            return ImageError(f"{self.paths[index]}: could not be opened when features were made")
        return features
