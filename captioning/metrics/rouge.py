"""ROUGE-L (Lin 2004) of many captions at once, equal to pycocoevalcap's."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from captioning.metrics.arrays import Floats, Integers

_BETA = 1.2  # recall counts for more than precision
_IMAGES = 256  # compared at a time: a long caption lengthens only these


def rouge_l(
    candidates: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]
) -> Floats:
    """The F-measure in [0, 1] of each image's candidate, which has at least one token.

    As in pycocoevalcap, the best precision and the best recall may be of different references.
    """
    blocks = range(0, len(candidates), _IMAGES)
    scores = [
        _rouge_l(candidates[start : start + _IMAGES], references[start : start + _IMAGES])
        for start in blocks
    ]
    return np.concatenate(scores)


def common_lengths(candidates: Integers, references: Integers) -> Integers:
    """How many words the longest common subsequence of each pair of columns has: [pairs].

    Words are numbers; either side is [words, pairs], and what fills its columns up is not in the
    other. One step takes a word of each candidate, and so gives the next row of the usual table for
    all pairs. Within a row, "or the neighbour's length" is a running maximum.
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
    """The captions as columns [words, captions] of numbers, new words numbered; lengths."""
    lengths = np.fromiter(map(len, captions), np.int64)
    words = chain.from_iterable(captions)
    columns = np.full((len(captions), lengths.max()), filler, np.int64)
    columns[np.arange(lengths.max()) < lengths[:, None]] = [
        numbers.setdefault(word, len(numbers)) for word in words
    ]
    return columns.T, lengths
