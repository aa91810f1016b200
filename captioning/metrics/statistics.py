"""Statistics of a metric per image, from whose sum any set of images can be scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from captioning.metrics.arrays import Floats


@dataclass(frozen=True)
class Statistics:
    """A metric of a set of captions, as a function of sums over images.

    Attributes:
        per_image: k numbers per image: [n, k].
        summarise: turns sums of these numbers over any images, which may repeat, into scores:
            [b, k] sums to [b] scores.
    """

    per_image: Floats
    summarise: Callable[[Floats], Floats]

    @property
    def total(self) -> Floats:
        """The sum of the numbers over all images."""
        total: Floats = self.per_image.sum(axis=0)
        return total

    @property
    def corpus(self) -> float:
        """The score of all images."""
        return float(self.summarise(self.total[None]).item())

    @property
    def scores(self) -> Floats:
        """The score of each image by itself."""
        return self.summarise(self.per_image)


def mean_of(scores: Floats) -> Statistics:
    """Return the statistics of a metric that is the mean of the images' scores."""
    return Statistics(np.stack([scores, np.ones_like(scores)], axis=1), mean)


def mean(sums: Floats) -> Floats:
    """Return the mean of each set, from sums of scores and numbers of images: [b, 2] to [b]."""
    means: Floats = sums[:, 0] / sums[:, 1]
    return means
