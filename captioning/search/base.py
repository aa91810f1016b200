"""The interface of searches."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import NamedTuple, TypeVar
from zlib import crc32

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from captioning.captioner import Captioner
from captioning.errors import InputError

Name = TypeVar("Name", bound=Hashable)

STEPS = 21  # 20 words and END, as many as `Loading.max_words` keeps by default


class Hypotheses(NamedTuple):
    """k captions of each of n images, the best first (samples as drawn).

    Each holds words, END, then PAD up to the t steps allowed; one that was cut off has no END.
    PAD, BEGIN and UNKNOWN are never chosen and have no part in Q (`Decoder.log_probabilities`).
    """

    tokens: Int[Tensor, "n k t"]
    scores: Float[Tensor, "n k"]  # by which the search ranks
    log_probabilities: Float[Tensor, "n k"]  # log Q(caption), in nats, including END
    finished: Bool[Tensor, "n k"]


class Search(ABC):
    """A way to choose captions of at most `steps` tokens, including END."""

    def __init__(self, steps: int) -> None:
        if steps < 1:
            raise InputError(f"a caption needs room for at least one token, got steps={steps}")
        self.steps = steps

    @property
    def description(self) -> str:
        """A short name of this search and its settings, for reports and files."""
        return " ".join([*self.words(), *self.limit()])

    def limit(self) -> list[str]:
        """Return the limit of a caption's tokens as a word, if it is not the usual one."""
        return [] if self.steps == STEPS else [f"steps={self.steps}"]

    @abstractmethod
    def words(self) -> list[str]:
        """Return the name of this search, then its other settings except `steps`, one word each."""

    @abstractmethod
    def __call__(
        self,
        captioners: Sequence[Captioner],
        features: Sequence[Float[Tensor, "n _ _"]],
        generator: torch.Generator | None = None,
    ) -> Hypotheses:
        """Caption n images in one batch, without gradients.

        The probabilities of several captioners, of one vocabulary, are averaged at every step.
        `features[i]` come from `captioners[i].encode`; the captioners must be in evaluation mode.
        `generator`, needed only for sampling, must be on the features' device.
        """


def caption_texts(
    search: Search,
    captioners: Sequence[Captioner],
    features: Sequence[Float[Tensor, "n _ _"]],
    image_ids: Sequence[Name],
) -> dict[Name, str]:
    """Return the best caption of each image, in words, or the first of its samples."""
    every = all_texts(search, captioners, features, image_ids)
    return {image_id: texts[0] for image_id, texts in every.items()}


def all_texts(
    search: Search,
    captioners: Sequence[Captioner],
    features: Sequence[Float[Tensor, "n _ _"]],
    image_ids: Sequence[Name],
) -> dict[Name, list[str]]:
    """Return the k captions of each image, in words; samples are reproducible."""
    generator = seeded(image_ids, features[0].device)
    found = search(captioners, features, generator).tokens.tolist()
    vocabulary = captioners[0].vocabulary
    return {
        image_id: [vocabulary.decode(tokens) for tokens in each]
        for image_id, each in zip(image_ids, found, strict=True)
    }


def seeded(image_ids: Sequence[Name], device: torch.device) -> torch.Generator:
    """Return a generator seeded by the images alone, independent of earlier draws."""
    return torch.Generator(device).manual_seed(crc32(repr(tuple(image_ids)).encode()))
