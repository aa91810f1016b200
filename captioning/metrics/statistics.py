"""What a metric keeps of each image, so that any set of images can be scored from a sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray


@dataclass(frozen=True)
class Statistics:
    """A metric of a set of captions, as a function of sums over images.

    Attributes:
        per_image: k numbers of each image.
        summarise: the score that follows from the sum of such numbers over any images, however
            often each is among them; a row for each such sum.
    """

    per_image: Float[ndarray, "n k"]
    summarise: Callable[[Float[ndarray, "b k"]], Float[ndarray, " b"]]

    @property
    def total(self) -> Float[ndarray, " k"]:
        """The numbers of all images together."""
        total: ndarray = self.per_image.sum(axis=0)
        return total

    @property
    def corpus(self) -> float:
        """The score of all images together."""
        return float(self.summarise(self.total[None]).item())

    @property
    def scores(self) -> Float[ndarray, " n"]:
        """The score of each image alone."""
        return self.summarise(self.per_image)


def mean_of(scores: Float[ndarray, " n"]) -> Statistics:
    """Give the statistics of a metric that is the mean of the images' scores."""
    return Statistics(np.stack([scores, np.ones_like(scores)], axis=1), _mean)


def _mean(sums: Float[ndarray, "b 2"]) -> Float[ndarray, " b"]:
    mean: ndarray = sums[:, 0] / sums[:, 1]
    return mean
