"""ROUGE-L (Lin 2004) of many captions at once, with the same results as pycocoevalcap."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from captioning.metrics.arrays import Floats, Integers

_BETA = 1.2  # recall counts more than precision
_IMAGES = 256  # compared at a time: a long caption pads only these


def rouge_l(
    candidates: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]
) -> Floats:
    """Return the F-measure in [0, 1] of each image's candidate, which must have a token.

    As in pycocoevalcap, the best precision and the best recall may come from different references.
    """
    blocks = range(0, len(candidates), _IMAGES)
    scores = [
        _rouge_l(candidates[start : start + _IMAGES], references[start : start + _IMAGES])
        for start in blocks
    ]
    return np.concatenate(scores)


def common_lengths(candidates: Integers, references: Integers) -> Integers:
    """Return the length of the longest common subsequence of each pair of columns: [pairs].

    Words are numbers; both arguments are [words, pairs], padded with different numbers. Each step
    takes one word of every candidate and computes the next row of the usual dynamic-programming
    table for all pairs. Within a row, the maximum with the left neighbour is a running maximum.
    """
    row = np.zeros((len(references) + 1, references.shape[1]), np.int64)
    for words in candidates:
        longer = row[:-1] + (references == words)
        np.maximum.accumulate(np.maximum(row[1:], longer), axis=0, out=row[1:])
    lengths: Integers = row[-1]
    return lengths


def _rouge_l(
    candidates: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]
) -> Floats:
    sizes = np.fromiter(map(len, references), np.int64)
    starts = np.cumsum(sizes) - sizes
    image = np.repeat(np.arange(len(sizes)), sizes)
    numbers: dict[str, int] = {}
    said, of_candidates = _columns(candidates, numbers, filler=-1)
    heard, of_references = _columns(list(chain.from_iterable(references)), numbers, filler=-2)
    common = common_lengths(said[:, image], heard)
    precision = np.maximum.reduceat(common / of_candidates[image], starts)
    recall = np.maximum.reduceat(common / of_references, starts)
    weighted = recall + _BETA**2 * precision
    product = (1 + _BETA**2) * precision * recall
    return np.divide(product, weighted, out=np.zeros(len(sizes)), where=weighted > 0)


def _columns(
    captions: Sequence[Sequence[str]], numbers: dict[str, int], filler: int
) -> tuple[Integers, Integers]:
    """Return captions as columns of numbers, [words, captions], and lengths; number new words."""
    lengths = np.fromiter(map(len, captions), np.int64)
    words = chain.from_iterable(captions)
    columns = np.full((len(captions), lengths.max()), filler, np.int64)
    columns[np.arange(lengths.max()) < lengths[:, None]] = [
        numbers.setdefault(word, len(numbers)) for word in words
    ]
    return columns.T, lengths
