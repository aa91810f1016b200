"""BLEU (Papineni et al. 2002) from sums of counts, with the same results as pycocoevalcap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from captioning.metrics.arrays import Floats, Integers
from captioning.metrics.ngrams import ORDERS, Caption, count, find, grouped


def bleu_counts(candidates: Sequence[Caption], references: Sequence[Sequence[Caption]]) -> Floats:
    """Count what BLEU needs of each image's tokenised candidate and references: [images, 10].

    Columns: words of the candidate; words of the reference nearest to it in length (the shorter of
    two equally near); matching n-grams of one to four words, each counted at most as often as it
    occurs in one reference; n-grams of one to four words of the candidate.

    Raises:
        InputError: if an image has no reference, or no reference has a word.
    """
    captions, image = grouped(references)
    images = len(candidates)
    table = count([*candidates, *captions])
    lengths = table.lengths[:images]
    closest = _closest(lengths, table.lengths[images:], image)
    ngrams = np.maximum(lengths[:, None] - np.arange(ORDERS), 0)

    key = np.append(np.arange(images), image)[table.caption] * len(table.ngrams) + table.ngram
    mine = table.caption < images
    known, position = np.unique(key[~mine], return_inverse=True)
    most = np.zeros_like(known)
    np.maximum.at(most, position, table.times[~mine])
    position, shared = find(key[mine], known)
    matches = np.where(shared, np.minimum(table.times[mine], most[position]), 0)
    cell = table.caption[mine] * ORDERS + table.orders[table.ngram[mine]]
    correct = np.bincount(cell, matches, images * ORDERS).reshape(images, ORDERS)
    return np.column_stack([lengths, closest, correct, ngrams]).astype(float)


def bleu(counts: Floats, order: int) -> Floats:
    """Return BLEU-1 to BLEU-4, by `order`, in [0, 1], from sums of rows of `bleu_counts`.

    The tiny constants are pycocoevalcap's: with them, no match at all gives about 0, not 0 / 0.
    """
    words, closest, correct, ngrams = np.split(counts, [1, 2, 2 + ORDERS], axis=1)
    precisions = (correct + 1e-15) / (ngrams + 1e-9)
    ratio = (words + 1e-15) / (closest + 1e-9)
    brevity = np.exp(np.minimum(1 - 1 / ratio, 0))[:, 0]
    geometric_mean = precisions[:, :order].prod(axis=1) ** (1 / order)
    score: Floats = geometric_mean * brevity
    return score


def _closest(candidates: Integers, references: Integers, image: Integers) -> Integers:
    """Return the length of each image's reference that is nearest in length to the candidate."""
    base = references.max() + 1  # ties go to the shorter
    ranked = np.abs(references - candidates[image]) * base + references
    starts = np.searchsorted(image, np.arange(len(candidates)))
    closest: Integers = np.minimum.reduceat(ranked, starts) % base
    return closest
