"""What a metric keeps of each image, so that any set of images can be scored from a sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from captioning.metrics.arrays import Floats


@dataclass(frozen=True)
class Statistics:
    """A metric of a set of captions, as a function of sums over images.

    Attributes:
        per_image: k numbers of each image: [n, k].
        summarise: the score that follows from the sum of such numbers over any images, however
            often each is among them: [b, k] sums to [b] scores.
    """

    per_image: Floats
    summarise: Callable[[Floats], Floats]

    @property
    def total(self) -> Floats:
        """The numbers of all images together."""
        total: Floats = self.per_image.sum(axis=0)
        return total

    @property
    def corpus(self) -> float:
        """The score of all images together."""
        return float(self.summarise(self.total[None]).item())

    @property
    def scores(self) -> Floats:
        """The score of each image alone."""
        return self.summarise(self.per_image)


def mean_of(scores: Floats) -> Statistics:
    """Give the statistics of a metric that is the mean of the images' scores."""
    return Statistics(np.stack([scores, np.ones_like(scores)], axis=1), _mean)


def _mean(sums: Floats) -> Floats:
    mean: Floats = sums[:, 0] / sums[:, 1]
    return mean
