"""Each row tested against its baseline: over pictures, and over training runs."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from captioning.comparison.compared import Compared, Pictures
from captioning.metrics.statistics import Statistics, mean_of
from captioning.metrics.uncertainty import RESAMPLES, Difference, Interval, compare
from captioning.report.table import Record, summary_record

LEVEL = 0.05
"""What a p-value must be below for a difference to be marked."""

SPLITS = 20_000
"""Divisions of the seeds that are gone through; of more, as many are drawn."""


class Contrast(NamedTuple):
    """By how much a row exceeds its baseline.

    Attributes:
        value: The difference of the means over seeds, in the column's unit.
        spread: Sample standard deviation of the differences between runs of the same seed, which
            may have begun as one captioner; None unless both rows have all of two seeds or more.
        interval: Of the difference with other pictures of this kind; None where the score of a set
            is not the mean of its pictures' scores.
        over_pictures: p-value, as found or corrected for the number of rows; None as above.
        over_seeds: p-value; None unless both rows have two seeds or more.
    """

    value: float
    spread: float | None
    interval: Interval | None
    over_pictures: float | None
    over_seeds: float | None


Contrasts = Mapping[str, Mapping[str, Contrast]]
"""By row and column."""


def contrasts(
    rows: Sequence[Compared], pictures: Pictures, resamples: int = RESAMPLES
) -> Contrasts:
    """Test every row that has a baseline, in every column that both have.

    p-values over pictures are corrected by Holm's method for the number of rows, those over seeds
    are not.
    """
    named = {row.name: row for row in rows if row.evaluations}
    found = {
        row.name: contrast(row, named[row.baseline], pictures, resamples)
        for row in named.values()
        if row.baseline in named and row.baseline != row.name
    }
    return corrected(found)


def contrast(
    row: Compared, baseline: Compared, pictures: Pictures, resamples: int
) -> dict[str, Contrast]:
    """Test one row, by the same draws for every row."""
    records, others = numbers(row), numbers(baseline)
    seeded = len(row.evaluations) == len(baseline.evaluations) > 1
    by_seed = seeded and not row.failures and not baseline.failures
    differences = paired(row, baseline, pictures, resamples)
    found = {}
    for column in records:
        if column in others:
            difference = differences.get(column)
            found[column] = Contrast(
                float(records[column].mean() - others[column].mean()),
                float((records[column] - others[column]).std(ddof=1)) if by_seed else None,
                difference and difference.interval,
                difference and difference.p_value,
                by_seeds(records[column], others[column], np.random.default_rng(0)),
            )
    return found


def paired(
    row: Compared, baseline: Compared, pictures: Pictures, resamples: int
) -> dict[str, Difference]:
    """Compare two rows picture by picture, by the metrics that both have of each picture."""
    ours, theirs = (per_picture(each, pictures) for each in (row, baseline))
    both = [metric for metric in ours if metric in theirs]
    if not both:
        return {}
    return compare(
        {metric: ours[metric] for metric in both},
        {metric: theirs[metric] for metric in both},
        np.random.default_rng(0),
        resamples,
    )


def numbers(row: Compared) -> dict[str, Float[ndarray, " seeds"]]:
    """Give the numbers of each column that every seed has."""
    records: list[Record] = [summary_record(evaluation) for evaluation in row.evaluations]
    return {
        column: np.array([record[column] for record in records])
        for column in records[0]
        if all(column in record for record in records)
    }


def per_picture(row: Compared, pictures: Pictures) -> dict[str, Statistics]:
    """Give what each picture scores, averaged over seeds.

    Only of metrics whose score of a set is the mean over pictures, as CIDEr and unlike BLEU: so
    says the evaluation itself.
    """
    return {
        metric: mean_of(scores.mean(0))
        for metric, scores in pictures.scores[row.name].items()
        if all(
            math.isclose(seed.mean(), evaluation.metrics[metric], rel_tol=1e-6, abs_tol=1e-9)
            for seed, evaluation in zip(scores, row.evaluations, strict=True)
        )
    }


def by_seeds(
    ours: Float[ndarray, " m"], theirs: Float[ndarray, " n"], generator: np.random.Generator
) -> float | None:
    """How often runs divided at random differ as much, in the mean (Fisher's permutation test).

    Two-sided and exact up to SPLITS divisions. As few runs as three and three divide in 20 ways:
    no p-value is below 2 / 20.
    """
    m, n = len(ours), len(theirs)
    if min(m, n) < 2:
        return None
    both = np.concatenate([ours, theirs])
    if math.comb(m + n, m) <= SPLITS:
        chosen = np.array(list(combinations(range(m + n), m)))
    else:
        drawn = generator.permuted(np.tile(np.arange(m + n), (SPLITS, 1)), axis=1)
        chosen = np.concatenate([np.arange(m)[None], drawn[:, :m]])  # the observed one, too
    sums = both[chosen].sum(1)
    differences = np.abs(sums / m - (both.sum() - sums) / n)
    observed = abs(ours.mean() - theirs.mean())
    return float((differences >= observed - 1e-12).mean())


def least_by_seeds(seeds: int) -> float:
    """Give the least p-value that two rows of so many seeds each can have."""
    return 2 / math.comb(2 * seeds, seeds)


def corrected(found: Contrasts) -> Contrasts:
    """Correct the p-values over pictures, column by column, for the number of rows."""
    result = {row: dict(each) for row, each in found.items()}
    for column in dict.fromkeys(column for each in found.values() for column in each):
        raw = {row: each[column].over_pictures for row, each in found.items() if column in each}
        known = {row: p_value for row, p_value in raw.items() if p_value is not None}
        for row, p_value in holm(known).items():
            result[row][column] = result[row][column]._replace(over_pictures=p_value)
    return result


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Correct p-values so that all hold together (Holm 1979).

    The k-th least of m is multiplied by m - k + 1, and is at least what those before it became.
    """
    largest = 0.0
    found = {}
    for rank, (name, p_value) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_value))
        found[name] = largest
    return found
