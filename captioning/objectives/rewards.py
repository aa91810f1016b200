"""Rewards of captions, given the true captions of their images."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from captioning.errors import InputError
from captioning.metrics.bleu import bleu, bleu_counts
from captioning.metrics.ciderd import CiderD
from captioning.metrics.ngrams import Caption


class CaptionReward(ABC):
    """A function of captions and references, prepared once for all training images.

    Captions are given as words, among which is the end if it counts.
    """

    @abstractmethod
    def prepare(self, references: Sequence[Sequence[Caption]]) -> None:
        """Take the true captions of every training image; its index is the image's number."""

    @abstractmethod
    def __call__(self, captions: Sequence[Caption], images: Sequence[int]) -> Float[ndarray, " b"]:
        """Return each caption's reward; `images` holds the numbers of their images."""


class CiderDReward(CaptionReward):
    """CIDEr-D, from 0 to 10, with the document frequencies of the training split."""

    def prepare(self, references: Sequence[Sequence[Caption]]) -> None:
        """Count the n-grams of the references."""
        self.scorer = CiderD(references)

    def __call__(self, captions: Sequence[Caption], images: Sequence[int]) -> Float[ndarray, " b"]:
        """Score each caption."""
        return self.scorer.score(captions, images)


class FunctionReward(CaptionReward):
    """Any function that returns a number for a caption and the true captions of its image."""

    def __init__(self, function: Callable[[Caption, Sequence[Caption]], float]) -> None:
        self.function = function

    def prepare(self, references: Sequence[Sequence[Caption]]) -> None:
        """Keep the references and check that the function can be called."""
        self.references = references
        try:
            float(self.function(references[0][0], references[0]))
        except (TypeError, ValueError) as error:
            raise InputError(
                "a reward's function takes the words of a caption and those of the true ones, and "
                f"gives a number; {self.function!r} does not: {error}"
            ) from error

    def __call__(self, captions: Sequence[Caption], images: Sequence[int]) -> Float[ndarray, " b"]:
        """Call the function for each caption."""
        pairs = zip(captions, images, strict=True)
        earned = [self.function(caption, self.references[image]) for caption, image in pairs]
        return np.array(earned, dtype=float)


class BleuReward(CaptionReward):
    """BLEU-4 of single captions, from 0 to 1, as in pycocoevalcap."""

    def prepare(self, references: Sequence[Sequence[Caption]]) -> None:
        """Keep the references."""
        self.references = references

    def __call__(self, captions: Sequence[Caption], images: Sequence[int]) -> Float[ndarray, " b"]:
        """Score each caption."""
        truth = [self.references[image] for image in images]
        return bleu(bleu_counts(captions, truth), order=4)


class WeightedSum(CaptionReward):
    """A weighted sum of several rewards."""

    def __init__(self, rewards: Sequence[CaptionReward], weights: Sequence[float]) -> None:
        if len(rewards) != len(weights) or not rewards:
            raise InputError(
                f"a weighted sum needs a weight for each of its rewards, got {len(weights)} for "
                f"{len(rewards)}"
            )
        self.rewards, self.weights = rewards, weights

    def prepare(self, references: Sequence[Sequence[Caption]]) -> None:
        """Prepare every reward."""
        for reward in self.rewards:
            reward.prepare(references)

    def __call__(self, captions: Sequence[Caption], images: Sequence[int]) -> Float[ndarray, " b"]:
        """Return the weighted sum of the rewards."""
        earned = (reward(captions, images) for reward in self.rewards)
        terms = zip(self.weights, earned, strict=True)
        total: ndarray = np.sum([weight * values for weight, values in terms], axis=0)
        return total
