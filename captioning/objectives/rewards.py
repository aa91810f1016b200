"""Rewards of captions, given the true captions of their images."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from captioning.errors import InputError
from captioning.metrics.ciderd import CiderD

Words: TypeAlias = Sequence[str]  # of one caption, with its end as a word if it has one


class CaptionReward(ABC):
    """A function of captions and references, prepared once for all training images."""

    @abstractmethod
    def prepare(self, references: Sequence[Sequence[Words]]) -> None:
        """Take the true captions of every training image; its index is the image's number."""

    @abstractmethod
    def __call__(self, captions: Sequence[Words], images: Sequence[int]) -> Float[ndarray, " b"]:
        """Return each caption's reward; `images` holds the numbers of their images."""


class CiderDReward(CaptionReward):
    """CIDEr-D, from 0 to 10, with the document frequencies of the training split."""

    def prepare(self, references: Sequence[Sequence[Words]]) -> None:
        """Count the n-grams of the references."""
        self.scorer = CiderD(references)

    def __call__(self, captions: Sequence[Words], images: Sequence[int]) -> Float[ndarray, " b"]:
        """Score each caption."""
        return self.scorer.score(captions, images)


class FunctionReward(CaptionReward):
    """Any function that returns a number for a caption and the true captions of its image."""

    def __init__(self, function: Callable[[Words, Sequence[Words]], float]) -> None:
        self.function = function

    def prepare(self, references: Sequence[Sequence[Words]]) -> None:
        """Keep the references and check that the function can be called."""
        self.references = references
        try:
            float(self.function(references[0][0], references[0]))
        except (TypeError, ValueError) as error:
            raise InputError(
                "a reward's function takes the words of a caption and those of the true ones, and "
                f"gives a number; {self.function!r} does not: {error}"
            ) from error

    def __call__(self, captions: Sequence[Words], images: Sequence[int]) -> Float[ndarray, " b"]:
        """Call the function for each caption."""
        pairs = zip(captions, images, strict=True)
        earned = [self.function(caption, self.references[image]) for caption, image in pairs]
        return np.array(earned, dtype=float)


class BleuReward(FunctionReward):
    """BLEU-4 of single captions, from 0 to 1, as in pycocoevalcap."""

    def __init__(self) -> None:
        super().__init__(bleu)


def bleu(caption: Words, references: Sequence[Words]) -> float:
    """Return the BLEU-4 of one caption, with the reference nearest in length for the penalty."""
    from pycocoevalcap.bleu.bleu_scorer import BleuScorer

    # The scorer splits at white space again, so no word may contain any.
    text, *others = (" ".join(words) for words in (caption, *references))
    scorer = BleuScorer(text, others, n=4)
    corpus, _ = scorer.compute_score(option="closest", verbose=0)
    return float(corpus[3])


class WeightedSum(CaptionReward):
    """A weighted sum of several rewards."""

    def __init__(self, rewards: Sequence[CaptionReward], weights: Sequence[float]) -> None:
        if len(rewards) != len(weights) or not rewards:
            raise InputError(
                f"a weighted sum needs a weight for each of its rewards, got {len(weights)} for "
                f"{len(rewards)}"
            )
        self.rewards, self.weights = rewards, weights

    def prepare(self, references: Sequence[Sequence[Words]]) -> None:
        """Prepare every reward."""
        for reward in self.rewards:
            reward.prepare(references)

    def __call__(self, captions: Sequence[Words], images: Sequence[int]) -> Float[ndarray, " b"]:
        """Return the weighted sum of the rewards."""
        earned = (reward(captions, images) for reward in self.rewards)
        terms = zip(self.weights, earned, strict=True)
        total: ndarray = np.sum([weight * values for weight, values in terms], axis=0)
        return total
