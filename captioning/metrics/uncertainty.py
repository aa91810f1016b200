"""How sure a score is, and the difference of two: pictures drawn anew, from sums of statistics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from captioning.errors import InputError
from captioning.metrics.arrays import Floats
from captioning.metrics.statistics import Statistics

LEVEL = 0.95  # the share of intervals that should hold the true value
RESAMPLES = 10_000
_BLOCK = 256  # resamples at a time: 10 MB for 5,000 images


class Interval(NamedTuple):
    """The ends of a confidence interval."""

    low: float
    high: float


class Difference(NamedTuple):
    """By how much one system's score exceeds another's.

    Attributes:
        value: the difference of both scores.
        interval: of the difference.
        p_value: how often a difference as large, of either sign, would come from chance alone.
    """

    value: float
    interval: Interval
    p_value: float


def confidence_intervals(
    statistics: Mapping[str, Statistics],
    generator: np.random.Generator,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> dict[str, Interval]:
    """Confidence intervals by the bootstrap over images, all metrics on the same resamples.

    A resample draws as many images as there are, with replacement, and is scored from the sum of
    their statistics; the interval lies between the quantiles of those scores (Efron 1979; Koehn
    2004, section 3, for BLEU). It tells how the score would vary with other images of this kind,
    not with another training run.

    Args:
        statistics: of each metric, all of the same images.
        generator: draws the images.
        resamples: how many sets of images are drawn.
        level: the share of such intervals that should hold the true score.
    """
    _check(resamples, level)
    draws = _draws(_images(statistics), resamples, generator)
    scores = [
        [each.summarise(weights @ each.per_image) for each in statistics.values()]
        for weights in draws
    ]
    return dict(zip(statistics, _quantiles(scores, level), strict=True))


def described(resamples: int = RESAMPLES, seed: int = 0) -> str:
    """What a signature says of intervals."""
    return f"|intervals:bootstrap,{resamples},seed-{seed},level-{LEVEL}"


def compare(
    ours: Mapping[str, Statistics],
    theirs: Mapping[str, Statistics],
    generator: np.random.Generator,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> dict[str, Difference]:
    """The difference of two systems on the same images, for each metric.

    Its interval is the paired bootstrap's (Koehn 2004): each resample scores both systems on the
    same images. Its p-value is that of approximate randomisation (Noreen 1989; Riezler and Maxwell
    2005, who find it more trustworthy for such metrics): were the systems alike, each image's two
    captions could as well be exchanged, so a coin for each image does it. Two-sided, at least
    1 / (resamples + 1).

    Args:
        ours: of each metric, as `theirs`, in the same order of images.
        theirs: what is subtracted.
        generator: draws images and tosses coins.
        resamples: how often each is done.
        level: of the intervals.
    """
    _check(resamples, level)
    images = _images(ours)
    if ours.keys() != theirs.keys() or images != _images(theirs):
        raise InputError(
            f"expected the same metrics of the same images, got {', '.join(ours)} of {images} "
            f"images and {', '.join(theirs)} of {_images(theirs)}"
        )
    pairs = [(ours[name], theirs[name]) for name in ours]
    observed = np.array([mine.corpus - other.corpus for mine, other in pairs])
    drawn = [
        [
            mine.summarise(weights @ mine.per_image) - other.summarise(weights @ other.per_image)
            for mine, other in pairs
        ]
        for weights in _draws(images, resamples, generator)
    ]
    exchanged = [
        [_exchanged(mine, other, coins) for mine, other in pairs]
        for coins in _coins(images, resamples, generator)
    ]
    p_values = _p_values(observed, np.concatenate(exchanged, axis=1))
    spans = _quantiles(drawn, level)
    rows = zip(ours, observed, spans, p_values, strict=True)
    return {name: Difference(float(value), span, float(p)) for name, value, span, p in rows}


def _exchanged(ours: Statistics, theirs: Statistics, coins: Floats) -> Floats:
    """The difference where each image whose coin is 1 has its captions exchanged."""
    moved = coins @ (theirs.per_image - ours.per_image)
    difference: Floats = ours.summarise(ours.total + moved) - theirs.summarise(theirs.total - moved)
    return difference


def _p_values(observed: Floats, by_chance: Floats) -> Floats:
    """The share of differences at least as large, the observed one among them (Noreen 1989)."""
    # Equal differences must not seem smaller by the order in which they were summed.
    large = np.abs(by_chance) >= np.abs(observed)[:, None] - 1e-12
    p_values = (1 + large.sum(axis=1)) / (1 + by_chance.shape[1])
    return np.where(np.isnan(observed), np.nan, p_values)


def _draws(images: int, resamples: int, generator: np.random.Generator) -> Iterator[Floats]:
    """How often each image is drawn, a row for each resample: [b, images]."""
    for rows in _blocks(resamples):
        drawn = generator.integers(images, size=(rows, images))
        cells = drawn + images * np.arange(rows)[:, None]
        counts = np.bincount(cells.ravel(), minlength=rows * images)
        yield counts.reshape(rows, images).astype(float)


def _coins(images: int, tosses: int, generator: np.random.Generator) -> Iterator[Floats]:
    """A coin of 0 or 1 for each image, a row for each toss of them all: [b, images]."""
    for rows in _blocks(tosses):
        yield generator.integers(2, size=(rows, images), dtype=np.int8).astype(float)


def _blocks(rows: int) -> Iterator[int]:
    """How many rows each block has."""
    return (min(_BLOCK, rows - start) for start in range(0, rows, _BLOCK))


def _quantiles(blocks: list[list[Floats]], level: float) -> list[Interval]:
    """The interval of each metric, from its scores in the blocks of resamples."""
    scores = np.concatenate([np.stack(block) for block in blocks], axis=1)
    outside = (1 - level) / 2
    ends = np.quantile(scores, [outside, 1 - outside], axis=1)
    return [Interval(low, high) for low, high in ends.T.tolist()]


def _images(statistics: Mapping[str, Statistics]) -> int:
    """The number of images, the same for each metric."""
    sizes = {len(each.per_image) for each in statistics.values()}
    if len(sizes) != 1:
        raise InputError(f"expected metrics of the same images, got {sorted(sizes)} images")
    return sizes.pop()


def _check(resamples: int, level: float) -> None:
    if resamples < 1:
        raise InputError(f"resamples: expected 1 or more, got {resamples}")
    if not 0 < level < 1:
        raise InputError(f"level: expected a number between 0 and 1, got {level}")
