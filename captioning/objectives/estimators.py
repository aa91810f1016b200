"""The interface of gradient estimators, which turn a reward of captions into a loss."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from captioning.batch import Captions
from captioning.captioner import Captioner
from captioning.decoder import Words
from captioning.objectives.base import Loss
from captioning.schedules import Progress
from captioning.search.ensemble import Ensemble
from captioning.search.sampling import Choice, draw, say
from captioning.text import END, PAD

# The rewards of captions: one number each, or one per word, which is the reward from that word on.
# Mixtures (see `Discriminator`) replace the words if the estimator needs gradients.
Reward: TypeAlias = Callable[
    [Captions, Float[Tensor, "p v"] | None], Float[Tensor, " b"] | Float[Tensor, "b t"]
]


class Estimator(ABC):
    """Estimates the gradient of the expected reward of captions of at most `steps` tokens.

    It compares captions of `least_images` images in a batch.
    """

    steps: int  # including END
    least_images: int = 1

    @abstractmethod
    def loss(
        self,
        captioner: Captioner,
        features: Float[Tensor, "n r d"],
        reward: Reward,
        progress: Progress,
    ) -> Loss:
        """Return a loss whose gradient estimates that of minus the expected reward.

        Captions are sampled without dropout, as in use; with it, sampling under one mask and
        differentiating under another would give the gradient of no captioner at all.
        """


@contextmanager
def without_dropout(*modules: nn.Module) -> Iterator[None]:
    """Disable dropout in these networks inside the block; the rest of training mode stays."""
    dropouts = [
        layer
        for module in modules
        for layer in module.modules()
        if isinstance(layer, nn.Dropout) and layer.training
    ]
    for layer in dropouts:
        layer.eval()
    try:
        yield
    finally:
        for layer in dropouts:
            layer.train()


@torch.no_grad()
def speak(
    captioner: Captioner,
    features: Float[Tensor, "n r d"],
    image_index: Int[Tensor, " b"],
    steps: int,
    choose: Choice = draw,
) -> Captions:
    """Generate a caption for each entry of `image_index`, a sample by default."""
    with without_dropout(captioner):
        tokens, _ = say(Ensemble([captioner], [features]), image_index, steps, choose)
    return Captions.from_generated(tokens, image_index)


def speak_with_gradient(
    captioner: Captioner,
    features: Float[Tensor, "n r d"],
    image_index: Int[Tensor, " b"],
    steps: int,
    choose: Callable[[Float[Tensor, "b w"]], tuple[Words, Float[Tensor, "b ..."]]],
) -> tuple[Captions, Float[Tensor, "p ..."], Float[Tensor, " p"]]:
    """Caption the images in `image_index` in a single differentiable pass.

    Given log Q of the possible next tokens, `choose` returns the words to say and feed, and values
    to keep. Returns the captions and, packed, the values kept and the entropy of Q, in nats and
    without a gradient.
    """
    kept: list[Tensor] = []
    entropies: list[Tensor] = []

    def pick(_: int, __: Int[Tensor, " r"], log_probabilities: Float[Tensor, "r w"]) -> Words:
        words, keep = choose(log_probabilities)
        kept.append(keep)
        entropies.append(torch.special.entr(log_probabilities.detach().exp()).sum(1))
        return words

    tokens = Ensemble([captioner], [features]).generate(image_index, steps, pick)
    captions, order = Captions.sort_generated(tokens, image_index)
    # What was kept is ordered by step and row; packed, it is ordered by step and length.
    said = (tokens != PAD).t()
    numbers = (said.flatten().cumsum(0) - 1).view_as(said).t()
    places = captions.pack(numbers[order, : captions.tokens.shape[1]])
    return captions, torch.cat(kept)[places], torch.cat(entropies)[places]


@torch.no_grad()
def complete(
    captioner: Captioner,
    features: Float[Tensor, "n r d"],
    captions: Captions,
    rollouts: int,
    steps: int,
) -> tuple[Captions, Int[Tensor, " c"], Int[Tensor, " c"]]:
    """Sample `rollouts` completions of every proper prefix of every caption.

    Returns the c completions, all sampled in one batch, each with its row of `captions` and the
    position of the last word of its prefix.
    """
    width = captions.tokens.shape[1]
    places = torch.arange(width, device=captions.tokens.device)
    row, place = (places < captions.lengths[:, None] - 1).nonzero(as_tuple=True)
    row, place = row.repeat_interleave(rollouts), place.repeat_interleave(rollouts)
    opening = captions.tokens[row].masked_fill(places > place[:, None], PAD)
    owners = captions.image_index[row]
    with without_dropout(captioner):
        tokens, _ = say(Ensemble([captioner], [features]), owners, steps, draw, opening)
    completions, order = Captions.sort_generated(tokens, owners)
    return completions, row[order], place[order]


def describe(captions: Captions, entropies: Float[Tensor, " p"]) -> dict[str, Float[Tensor, ""]]:
    """Return how varied captions are: entropy in nats per word, length, share of distinct ones."""
    distinct = len(captions.tokens.unique(dim=0)) / len(captions.tokens)
    return {
        "entropy": entropies.mean(),
        "words": (captions.tokens > END).sum(1).float().mean(),
        "distinct": torch.tensor(distinct),
    }
