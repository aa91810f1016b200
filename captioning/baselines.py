"""Captions without a language model: what every trained captioner must beat."""

from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from captioning.batch import Batch
from captioning.captioner import Captioner
from captioning.data.dataset import Example, ImageId


def most_common_caption(examples: Sequence[Example]) -> str:
    """Give the caption said most often in training; of equals, the first by the alphabet."""
    counts = Counter(caption for example in examples for caption in example.captions)
    return min(counts, key=lambda caption: (-counts[caption], caption))


@torch.inference_mode()
def embed(
    captioner: Captioner, batches: Iterable[Batch]
) -> tuple[list[ImageId], Float[Tensor, "m d"]]:
    """Give a direction of length one for each picture: its standardised features, averaged."""
    ids: list[ImageId] = []
    pooled = [torch.empty(0, captioner.encoder.feature_size)]
    for batch in batches:
        ids += batch.image_ids
        pooled.append(captioner.encode(batch).mean(1).cpu())
    return ids, functional.normalize(torch.cat(pooled), dim=1)


def nearest(queries: Float[Tensor, "n d"], pictures: Float[Tensor, "m d"]) -> Int[Tensor, " n"]:
    """Find the picture of the greatest cosine for each query."""
    return (queries @ pictures.T).argmax(1)
