"""Captions without a language model: what every trained captioner must beat."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn import functional

from captioning.batch import Batch
from captioning.captioner import Captioner
from captioning.data.dataset import Example, ImageId

Direction: TypeAlias = Float32[np.ndarray, " d"]

# Images compared at once: 230 MB of cosines with COCO's 113,287 training images.
TOGETHER = 512


def most_common_caption(examples: Sequence[Example]) -> str:
    """Return the most frequent training caption; ties go to the first in alphabetical order."""
    counts = Counter(caption for example in examples for caption in example.captions)
    return min(counts, key=lambda caption: (-counts[caption], caption))


@torch.inference_mode()
def embed(captioner: Captioner, batches: Iterable[Batch]) -> list[tuple[ImageId, Direction]]:
    """Return each image's id and direction."""
    return [
        pair
        for batch in batches
        for pair in zip(batch.image_ids, directions(captioner.encode(batch)), strict=True)
    ]


def directions(features: Float[Tensor, "n r d"]) -> Float32[np.ndarray, "n d"]:
    """Average each image's standardised features over regions and scale them to unit length."""
    found: Float32[np.ndarray, "n d"] = functional.normalize(features.mean(1), dim=1).cpu().numpy()
    return found


def nearest(
    images: Mapping[ImageId, Direction], trained: Mapping[ImageId, Direction]
) -> dict[ImageId, ImageId]:
    """Find the training image of greatest cosine for each image; ties go to the first."""
    queries, places = (torch.from_numpy(np.stack([*each.values()])) for each in (images, trained))
    ids = [*trained]
    found = [row for few in queries.split(TOGETHER) for row in (few @ places.T).argmax(1).tolist()]
    return {image_id: ids[row] for image_id, row in zip(images, found, strict=True)}
