"""Captions without a language model: what every trained captioner must beat."""

from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from captioning.batch import Batch
from captioning.captioner import Captioner
from captioning.data.dataset import Example


def most_common_caption(examples: Sequence[Example]) -> str:
    """Give the caption said most often in training; of equals, the first by the alphabet."""
    counts = Counter(caption for example in examples for caption in example.captions)
    return min(counts, key=lambda caption: (-counts[caption], caption))


@torch.inference_mode()
def embed(captioner: Captioner, batches: Iterable[Batch]) -> Float[Tensor, "m d"]:
    """Give a direction of length one for each picture: its standardised features, averaged."""
    pooled = [captioner.encode(batch).mean(1) for batch in batches]
    return torch.nn.functional.normalize(torch.cat(pooled), dim=1)


def nearest(queries: Float[Tensor, "n d"], pictures: Float[Tensor, "m d"]) -> Int[Tensor, " n"]:
    """Find the picture of the greatest cosine for each query."""
    return (queries @ pictures.T).argmax(1)
