"""Confidence intervals and tests of scores and their differences, by resampling images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from captioning.errors import InputError
from captioning.metrics.arrays import Floats
from captioning.metrics.statistics import Statistics

LEVEL = 0.95  # the share of intervals that should contain the true value
RESAMPLES = 10_000
_BLOCK = 256  # resamples at a time: 10 MB for 5,000 images


class Interval(NamedTuple):
    """The ends of a confidence interval."""

    low: float
    high: float


class Difference(NamedTuple):
    """The difference of two systems' scores.

    Attributes:
        value: the difference.
        interval: its confidence interval.
        p_value: how often a difference as large, of either sign, would arise by chance.
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
    """Compute bootstrap confidence intervals over images, with the same resamples for all metrics.

    A resample draws as many images as there are, with replacement, and is scored from the sum of
    their statistics; the interval is between quantiles of those scores (Efron 1979; Koehn 2004,
    section 3, for BLEU). It covers variation over images of this kind, not over training runs.

    Args:
        statistics: by metric, all on the same images.
        generator: draws the images.
        resamples: number of sets of images to draw.
        level: the share of such intervals that should contain the true score.
    """
    _check(resamples, level)
    draws = _draws(_images(statistics), resamples, generator)
    scores = [
        [each.summarise(weights @ each.per_image) for each in statistics.values()]
        for weights in draws
    ]
    return dict(zip(statistics, _quantiles(scores, level), strict=True))


def described(resamples: int = RESAMPLES, seed: int = 0) -> str:
    """Return the part of a signature that describes intervals."""
    return f"|intervals:bootstrap,{resamples},seed-{seed},level-{LEVEL}"


def compare(
    ours: Mapping[str, Statistics],
    theirs: Mapping[str, Statistics],
    generator: np.random.Generator,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> dict[str, Difference]:
    """Compare two systems on the same images, for each metric.

    The interval is that of the paired bootstrap (Koehn 2004): each resample scores both systems on
    the same images. The p-value is that of approximate randomisation (Noreen 1989; Riezler and
    Maxwell 2005, who find it more reliable for such metrics): if the systems were alike, each
    image's two captions could be exchanged, so a coin is flipped for each image. It is two-sided
    and at least 1 / (resamples + 1).

    Args:
        ours: by metric, on the same images as `theirs` and in the same order.
        theirs: subtracted from `ours`.
        generator: draws images and flips coins.
        resamples: number of resamples and of randomisations.
        level: confidence level of the intervals.
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
    """Return the differences after exchanging the captions of images whose coin is 1."""
    moved = coins @ (theirs.per_image - ours.per_image)
    difference: Floats = ours.summarise(ours.total + moved) - theirs.summarise(theirs.total - moved)
    return difference


def _p_values(observed: Floats, by_chance: Floats) -> Floats:
    """Return the share of differences at least as large, including the observed (Noreen 1989)."""
    # Equal differences must not appear smaller because they were summed in another order.
    large = np.abs(by_chance) >= np.abs(observed)[:, None] - 1e-12
    p_values = (1 + large.sum(axis=1)) / (1 + by_chance.shape[1])
    return np.where(np.isnan(observed), np.nan, p_values)


def _draws(images: int, resamples: int, generator: np.random.Generator) -> Iterator[Floats]:
    """Yield how often each image is drawn, one row per resample: [b, images]."""
    for rows in _blocks(resamples):
        drawn = generator.integers(images, size=(rows, images))
        cells = drawn + images * np.arange(rows)[:, None]
        counts = np.bincount(cells.ravel(), minlength=rows * images)
        yield counts.reshape(rows, images).astype(float)


def _coins(images: int, tosses: int, generator: np.random.Generator) -> Iterator[Floats]:
    """Yield a coin of 0 or 1 for each image, one row per toss of all: [b, images]."""
    for rows in _blocks(tosses):
        yield generator.integers(2, size=(rows, images), dtype=np.int8).astype(float)


def _blocks(rows: int) -> Iterator[int]:
    """Return the number of rows of each block."""
    return (min(_BLOCK, rows - start) for start in range(0, rows, _BLOCK))


def _quantiles(blocks: list[list[Floats]], level: float) -> list[Interval]:
    """Return the interval of each metric, from its scores in all blocks of resamples."""
    scores = np.concatenate([np.stack(block) for block in blocks], axis=1)
    outside = (1 - level) / 2
    ends = np.quantile(scores, [outside, 1 - outside], axis=1)
    return [Interval(low, high) for low, high in ends.T.tolist()]


def _images(statistics: Mapping[str, Statistics]) -> int:
    """Return the number of images, which must be the same for all metrics."""
    sizes = {len(each.per_image) for each in statistics.values()}
    if len(sizes) != 1:
        raise InputError(f"expected metrics of the same images, got {sorted(sizes)} images")
    return sizes.pop()


def _check(resamples: int, level: float) -> None:
    if resamples < 1:
        raise InputError(f"resamples: expected 1 or more, got {resamples}")
    if not 0 < level < 1:
        raise InputError(f"level: expected a number between 0 and 1, got {level}")
