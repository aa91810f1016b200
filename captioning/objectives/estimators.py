"""The contract of a gradient estimator: how a reward of captions becomes the captioner's loss."""

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
from captioning.text import BEGIN, END, PAD

# What captions earn, one number each, or one for every word: what is earned from that word on.
# Mixtures (see `Discriminator`) are judged in place of words where the estimator needs gradients.
Reward: TypeAlias = Callable[
    [Captions, Float[Tensor, "p v"] | None], Float[Tensor, " b"] | Float[Tensor, "b t"]
]


class Estimator(ABC):
    """A way to climb the expected reward of what a captioner says, in at most `steps` tokens."""

    steps: int  # END counted

    @abstractmethod
    def loss(
        self,
        captioner: Captioner,
        features: Float[Tensor, "n r d"],
        reward: Reward,
        progress: Progress,
    ) -> Loss:
        """Give a loss whose gradient estimates that of minus the expected reward.

        The captioner speaks without dropout: so it does when it is used, and a draw under one mask
        with the gradient under another would be that of no captioner at all.
        """


@contextmanager
def without_dropout(*modules: nn.Module) -> Iterator[None]:
    """Let these networks drop nothing for a while; all else that training means to them stays."""
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
    """Let the captioner say a caption of each picture named, a sample by default."""
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
    """Caption the pictures named in one pass, which a gradient can follow back.

    From log Q of what can be said next, `choose` gives the words to be said and fed on, and
    whatever of them is to be kept. Gives the captions with, packed, what was kept and the entropy
    of Q, in nats and without its gradient.
    """
    decoder = captioner.decoder
    state = decoder.begin(features, image_index)
    tokens = image_index.new_full((len(image_index), steps), PAD)
    running = torch.arange(len(image_index), device=image_index.device)
    words: Tensor = torch.full_like(running, BEGIN)
    kept: list[Tensor] = []
    entropies: list[Tensor] = []
    for t in range(steps):
        if not len(running):
            break
        outputs, state = decoder.step(words, state)
        log_probabilities = decoder.log_probabilities(outputs)
        words, keep = choose(log_probabilities)
        kept.append(keep)
        entropies.append(torch.special.entr(log_probabilities.detach().exp()).sum(1))
        tokens[running, t] = words.argmax(1) if words.is_floating_point() else words
        going_on = (tokens[running, t] != END).nonzero().squeeze(1)
        running, words, state = running[going_on], words[going_on], state.select(going_on)
    captions, order = Captions.sort_generated(tokens, image_index)
    # What was kept comes by step and row; packed, it comes by step and length.
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
    """Let the captioner go on `rollouts` times from every true prefix of every caption.

    Gives the c completions, all said in one batch, with the row of `captions` that each belongs to
    and the place of the last word that was given.
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
    """Say how varied captions are: entropy in nats a word, length, share of distinct ones."""
    distinct = len(captions.tokens.unique(dim=0)) / len(captions.tokens)
    return {
        "entropy": entropies.mean(),
        "words": captions.lengths.float().mean(),
        "distinct": torch.tensor(distinct),
    }
