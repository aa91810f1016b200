"""BLEU (Papineni et al. 2002) from sums of counts, equal to pycocoevalcap's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from captioning.metrics.arrays import Floats, Integers
from captioning.metrics.ngrams import ORDERS, Caption, count, find, grouped


def bleu_counts(candidates: Sequence[Caption], references: Sequence[Sequence[Caption]]) -> Floats:
    """What BLEU counts in each image's candidate and references, all of them tokens.

    Columns: words of the candidate; words of the reference nearest to it in length, of two as near
    the shorter; matching n-grams of one to four words, each as often as one reference has it at
    most; n-grams of the candidate of one to four words: [images, 10].

    Raises:
        InputError: when an image has no reference, when no reference has a word.
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
    """BLEU-1 to BLEU-4, by `order`, in [0, 1], of sums of the rows of `bleu_counts`.

    The tiny numbers are pycocoevalcap's: with them no match at all gives about 0, not 0 / 0.
    """
    words, closest, correct, ngrams = np.split(counts, [1, 2, 2 + ORDERS], axis=1)
    precisions = (correct + 1e-15) / (ngrams + 1e-9)
    ratio = (words + 1e-15) / (closest + 1e-9)
    brevity = np.exp(np.minimum(1 - 1 / ratio, 0))[:, 0]
    geometric_mean = precisions[:, :order].prod(axis=1) ** (1 / order)
    score: Floats = geometric_mean * brevity
    return score


def _closest(candidates: Integers, references: Integers, image: Integers) -> Integers:
    """The length of each image's reference that is nearest to its candidate's."""
    base = references.max() + 1  # ties go to the shorter
    ranked = np.abs(references - candidates[image]) * base + references
    starts = np.searchsorted(image, np.arange(len(candidates)))
    closest: Integers = np.minimum.reduceat(ranked, starts) % base
    return closest
