"""Test each row against its baseline: over images, and over training runs."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from captioning.comparison.compared import Compared, Images
from captioning.comparison.departures import start
from captioning.metrics.uncertainty import RESAMPLES, Difference, Interval, compare
from captioning.report.table import Record, summary_record

LEVEL = 0.05
"""p-value below which a difference is marked."""

SPLITS = 20_000
"""Up to this many divisions of the seeds, all are enumerated; of more, this many are drawn."""


class Contrast(NamedTuple):
    """The difference between a row and its baseline.

    Attributes:
        value: The difference of the means over seeds, in the column's unit.
        spread: Sample standard deviation of the differences between runs of the same seed, which
            may have started from one captioner; None unless both rows have the same two or more
            seeds, all complete.
        interval: Confidence interval over images of this kind; None of what is not computed from
            images one by one, such as diversity.
        over_images: p-value, raw or corrected for the number of rows; None as for `interval`.
        over_seeds: p-value; None unless both rows have two or more seeds.
        paired: Whether that is over pairs of runs, as every run began from the baseline's run of
            the same seed.
    """

    value: float
    spread: float | None
    interval: Interval | None
    over_images: float | None
    over_seeds: float | None
    paired: bool = False


Contrasts = Mapping[str, Mapping[str, Contrast]]
"""Contrasts by row and column."""


def contrasts(rows: Sequence[Compared], images: Images, resamples: int = RESAMPLES) -> Contrasts:
    """Test every row that has a baseline, in every column that both have.

    p-values over images are corrected by Holm's method for the number of rows; those over seeds
    are not.
    """
    named = {row.name: row for row in rows if row.evaluations}
    found = {
        row.name: contrast(row, named[row.baseline], images, resamples)
        for row in named.values()
        if row.baseline in named and row.baseline != row.name
    }
    return corrected(found)


def contrast(
    row: Compared, baseline: Compared, images: Images, resamples: int
) -> dict[str, Contrast]:
    """Test one row, with the same random draws as for every row."""
    records, others = numbers(row), numbers(baseline)
    seeded = len(row.evaluations) == len(baseline.evaluations) > 1
    by_seed = seeded and not row.failures and not baseline.failures
    paired = by_seed and [*map(start, row.runs)] == [run.name for run in baseline.runs]
    differences = over_images(row, baseline, images, resamples)
    found = {}
    for column in records:
        if column in others:
            difference = differences.get(column)
            found[column] = Contrast(
                float(records[column].mean() - others[column].mean()),
                float((records[column] - others[column]).std(ddof=1)) if by_seed else None,
                difference and difference.interval,
                difference and difference.p_value,
                by_pairs(records[column] - others[column], np.random.default_rng(0))
                if paired
                else by_seeds(records[column], others[column], np.random.default_rng(0)),
                paired,
            )
    return found


def over_images(
    row: Compared, baseline: Compared, images: Images, resamples: int
) -> dict[str, Difference]:
    """Compare two rows, paired by image, by the metrics that both were scored with."""
    ours, theirs = (images.statistics[each.name] for each in (row, baseline))
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
    """Return the numbers of all seeds, for each column that every seed has."""
    records: list[Record] = [summary_record(evaluation) for evaluation in row.evaluations]
    return {
        column: np.array([record[column] for record in records])
        for column in records[0]
        if all(column in record for record in records)
    }


def by_seeds(
    ours: Float[ndarray, " m"], theirs: Float[ndarray, " n"], generator: np.random.Generator
) -> float | None:
    """Return the p-value of Fisher's permutation test on the difference of the means over runs.

    It is two-sided, and exact up to SPLITS divisions. Three runs each can be divided in only 20
    ways, so that no p-value is below 2 / 20.
    """
    m, n = len(ours), len(theirs)
    if min(m, n) < 2:
        return None
    both = np.concatenate([ours, theirs])
    if math.comb(m + n, m) <= SPLITS:
        chosen = np.array(list(combinations(range(m + n), m)))
    else:
        drawn = generator.permuted(np.tile(np.arange(m + n), (SPLITS, 1)), axis=1)
        chosen = np.concatenate([np.arange(m)[None], drawn[:, :m]])  # including the observed one
    sums = both[chosen].sum(1)
    differences = np.abs(sums / m - (both.sum() - sums) / n)
    observed = abs(ours.mean() - theirs.mean())
    return float((differences >= observed - 1e-12).mean())


def by_pairs(differences: Float[ndarray, " n"], generator: np.random.Generator) -> float | None:
    """Return the p-value of Fisher's randomisation test on the mean of paired differences.

    It is two-sided: the share of all choices of their signs with as large a mean; exact up to
    SPLITS choices. Three differences have 8, so that no p-value is below 2 / 8.
    """
    n = len(differences)
    if n < 2:
        return None
    if 2**n <= SPLITS:
        signs = np.array([*product((1, -1), repeat=n)])
    else:
        signs = generator.choice((1, -1), (SPLITS, n))
        signs[0] = 1  # as observed
    means = np.abs(signs @ differences)
    return float((means >= means[0] - 1e-12).mean())


def least_by_seeds(seeds: int, paired: bool = False) -> float:
    """Return the least possible p-value of two rows with this many seeds each."""
    return 2 / (2**seeds if paired else math.comb(2 * seeds, seeds))


def corrected(found: Contrasts) -> Contrasts:
    """Correct the p-values over images for the number of rows, column by column."""
    result = {row: dict(each) for row, each in found.items()}
    for column in dict.fromkeys(column for each in found.values() for column in each):
        raw = {row: each[column].over_images for row, each in found.items() if column in each}
        known = {row: p_value for row, p_value in raw.items() if p_value is not None}
        for row, p_value in holm(known).items():
            result[row][column] = result[row][column]._replace(over_images=p_value)
    return result


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Correct p-values for multiple testing (Holm 1979).

    The k-th smallest of m is multiplied by m - k + 1, and is at least as large as those before it.
    """
    largest = 0.0
    found = {}
    for rank, (name, p_value) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_value))
        found[name] = largest
    return found
