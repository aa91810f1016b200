"""Captions without a language model: what every trained captioner must beat."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float32
from torch.nn import functional

from captioning.batch import Batch
from captioning.captioner import Captioner
from captioning.data.dataset import Example, ImageId

Direction: TypeAlias = Float32[np.ndarray, " d"]

# Pictures compared at once: 230 MB of cosines with the 113,287 training pictures of COCO.
TOGETHER = 512


def most_common_caption(examples: Sequence[Example]) -> str:
    """Give the caption said most often in training; of equals, the first by the alphabet."""
    counts = Counter(caption for example in examples for caption in example.captions)
    return min(counts, key=lambda caption: (-counts[caption], caption))


@torch.inference_mode()
def embed(captioner: Captioner, batches: Iterable[Batch]) -> list[tuple[ImageId, Direction]]:
    """Give a direction of length one for each picture: its standardised features, averaged."""
    return [
        (image_id, direction)
        for batch in batches
        for image_id, direction in zip(
            batch.image_ids,
            functional.normalize(captioner.encode(batch).mean(1), dim=1).cpu().numpy(),
            strict=True,
        )
    ]


def nearest(
    pictures: Mapping[ImageId, Direction], trained: Mapping[ImageId, Direction]
) -> dict[ImageId, ImageId]:
    """Find the training picture of the greatest cosine for each picture; of equals, the first."""
    queries, places = (torch.from_numpy(np.stack([*each.values()])) for each in (pictures, trained))
    ids = [*trained]
    found = [row for few in queries.split(TOGETHER) for row in (few @ places.T).argmax(1).tolist()]
    return {image_id: ids[row] for image_id, row in zip(pictures, found, strict=True)}
