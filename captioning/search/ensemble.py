"""Ensembles of captioners."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from captioning.captioner import Captioner
from captioning.decoder import State, Words
from captioning.errors import InputError
from captioning.text import BEGIN, END, PAD

States: TypeAlias = tuple[State, ...]  # one per captioner

# Given the step t, the r captions still running and log Q of their next tokens (END, then the
# words), return what to feed.
Choose: TypeAlias = Callable[[int, Int[Tensor, " r"], Float[Tensor, "r w"]], Words]


class Ensemble:
    """One or more captioners of one vocabulary, each with its own features of the same n images."""

    def __init__(
        self, captioners: Sequence[Captioner], features: Sequence[Float[Tensor, "n _ _"]]
    ) -> None:
        if not 0 < len(captioners) == len(features):
            raise ValueError(
                "a search needs one or more captioners, each with its own features, got "
                f"{len(captioners)} captioners and features for {len(features)}"
            )
        first, *others = (captioner.vocabulary for captioner in captioners)
        for place, other in enumerate(others, start=2):
            if other != first:
                raise InputError(
                    "an ensemble needs captioners of one vocabulary, but captioner 1 has "
                    f"{len(first)} tokens and captioner {place} another {len(other)}: "
                    "train them on the same data with the same --loading.minimum_count"
                )
        self.decoders = [captioner.decoder for captioner in captioners]
        self.features = features
        self.images = torch.arange(len(features[0]), device=features[0].device)

    def begin(self, image_index: Int[Tensor, " b"]) -> States:
        """Return the states of b captions before BEGIN is fed; each image is processed once."""
        return tuple(
            decoder.begin(features, image_index)
            for decoder, features in zip(self.decoders, self.features, strict=True)
        )

    def step(self, words: Words, states: States) -> tuple[Float[Tensor, "b w"], States]:
        """Feed one word to each caption; return log Q of END and the words, and the states."""
        each, new_states = [], []
        for decoder, state in zip(self.decoders, states, strict=True):
            outputs, new_state = decoder.step(words, state)
            each.append(decoder.log_probabilities(outputs))
            new_states.append(new_state)
        return average(each), tuple(new_states)

    def generate(
        self, image_index: Int[Tensor, " b"], steps: int, choose: Choose
    ) -> Int[Tensor, "b t"]:
        """Caption the images in `image_index` by words that `choose` picks, at most `steps` each.

        Of a mixture, the likeliest word is said. All captions run in one batch, which each leaves
        when it ends. Returns the tokens, with PAD after END.
        """
        states = self.begin(image_index)
        tokens = image_index.new_full((len(image_index), steps), PAD)
        running = torch.arange(len(image_index), device=image_index.device)
        words: Tensor = torch.full_like(running, BEGIN)
        for t in range(steps):
            if not len(running):
                break
            log_probabilities, states = self.step(words, states)
            words = choose(t, running, log_probabilities)
            said = words.argmax(1) if words.is_floating_point() else words
            tokens[running, t] = said
            going_on = (said != END).nonzero().squeeze(1)
            if len(going_on) < len(running):
                running, words = running[going_on], words[going_on]
                states = tuple(state.select(going_on) for state in states)
        return tokens


def average(log_probabilities: Sequence[Float[Tensor, "b w"]]) -> Float[Tensor, "b w"]:
    """Return the logarithm of the averaged probabilities."""
    if len(log_probabilities) == 1:  # saves a pass over the vocabulary
        return log_probabilities[0]
    total = functools.reduce(torch.logaddexp, log_probabilities)
    return total - math.log(len(log_probabilities))
