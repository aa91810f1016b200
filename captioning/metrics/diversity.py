"""How varied captions are, whatever their quality."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from typing import NamedTuple, TypeAlias

import numpy as np

from captioning.metrics.arrays import Floats, Integers
from captioning.metrics.ngrams import ORDERS, NgramCounts, count

Tokens: TypeAlias = Sequence[str]
"""One caption as words."""


class Diversity(NamedTuple):
    """How varied the captions of a split are, one per image.

    Shares and Self-BLEU are in [0, 1]. All but `novel` and the lengths depend on the number of
    captions: compare them only for equal numbers.
    """

    distinct_1: float
    distinct_2: float
    self_bleu_4: float
    words: float  # number of different words
    vocabulary_share: float  # share of the training captions' words that are used
    novel: float  # share of the captions that are not training captions, word for word
    bad_endings: float  # share of the captions that are empty or end in none of `enders`
    length: float  # in words
    length_deviation: float  # over the captions
    length_5: float  # the 5th percentile, and so on
    length_50: float
    length_95: float


def diversity(captions: Sequence[Tokens], training: Iterable[Tokens]) -> Diversity:
    """Measure one or more captions, given the training captions."""
    training = [tuple(caption) for caption in training]
    known, ends = {*training}, enders(training)
    vocabulary = {word for caption in known for word in caption}
    said = {word for caption in captions for word in caption}
    lengths = np.array([len(caption) for caption in captions])
    return Diversity(
        distinct_1=distinct_ngrams(captions, 1),
        distinct_2=distinct_ngrams(captions, 2),
        self_bleu_4=mutual_bleu([captions]),
        words=float(len(said)),
        vocabulary_share=len(said & vocabulary) / max(len(vocabulary), 1),
        novel=sum(tuple(caption) not in known for caption in captions) / len(captions),
        bad_endings=sum(not ends.intersection(each[-1:]) for each in captions) / len(captions),
        length=float(lengths.mean()),
        length_deviation=float(lengths.std()),
        **{f"length_{share}": float(np.percentile(lengths, share)) for share in (5, 50, 95)},
    )


def enders(captions: Iterable[Tokens], least: float = 0.01) -> set[str]:
    """Find the words that a caption may end with: those that do in this share of their uses."""
    used: Counter[str] = Counter()
    last: Counter[str] = Counter()
    for words in captions:
        used.update(words)
        last.update(words[-1:])
    return {word for word, count in last.items() if count >= least * used[word]}


def distinct_captions(captions: Collection[str]) -> float:
    """Return the share in (0, 1] of distinct captions, compared letter by letter.

    It falls as captions are added, so compare it only for equal numbers of images.
    """
    return len(set(captions)) / len(captions)


def distinct_ngrams(captions: Iterable[Tokens], size: int) -> float:
    """Return distinct-n, n from 1 to 4: the number of different n-grams over that of words.

    It is in [0, 1], divided by the number of words even for n > 1, as in Li et al. (2016), and
    falls as captions are added. It is 0 if there are no words.
    """
    table = count([*captions])
    words = table.lengths.sum().item()
    return np.count_nonzero(table.orders == size - 1) / words if words else 0.0


def mutual_bleu(sets: Iterable[Sequence[Tokens]], order: int = 4) -> float:
    """Return BLEU-1 to BLEU-4, by `order`, of every caption against the others of its set.

    It is in [0, 1], and low for varied captions. With all captions as one set it is Self-BLEU (Zhu
    et al. 2018); with the samples of each image as a set, mutual BLEU (Shetty et al. 2017). A
    caption is never among its own references, and nothing is kept between calls: Texygen's
    Self-BLEU did both, and came out near 1 for any captions (its issues 46 and 27). N-grams are
    counted over all captions of all sets, as in corpus BLEU, so that no smoothing is needed;
    averages of sentence BLEU give other numbers. The reference length is the closest one, the
    shorter of two. A caption alone in its set is left out; the result is 0 if none are left, or if
    no caption shares `order` words in a row with another.

    Captions are not compared in pairs: a caption's counts are clipped at the highest count in its
    set or, if that is its own, at the second highest.
    """
    compared = [captions for captions in sets if len(captions) > 1]
    table = count([*chain.from_iterable(compared)])
    words = table.lengths.sum()
    if not words:
        return 0.0
    sizes = np.fromiter(map(len, compared), np.int64)
    matched = matches(table, np.repeat(np.arange(len(sizes)), sizes))[:order]
    if not matched.all():
        return 0.0
    possible = np.maximum(table.lengths[:, None] - np.arange(order), 0).sum(axis=0)
    lengths = np.split(table.lengths, np.cumsum(sizes)[:-1])
    brevity = min(0.0, 1 - sum(closest_lengths(each.tolist()) for each in lengths) / words)
    return float(np.exp(brevity + np.log(matched / possible).mean()))


def matches(table: NgramCounts, group: Integers) -> Floats:
    """Count matching n-grams of one to four words, clipped at the maximum of the others: [4].

    `group` is the number of each caption's set.
    """
    cell = group[table.caption] * len(table.ngrams) + table.ngram
    ascending = np.lexsort((table.times, cell))
    cell, times = cell[ascending], table.times[ascending]
    changes = cell[1:] != cell[:-1]
    # The last of a cell is its highest: only that is clipped, at the one before it.
    before = np.where(np.append(True, changes), 0, np.roll(times, 1))
    clipped = np.where(np.append(changes, True), before, times)
    return np.bincount(table.orders[table.ngram[ascending]], clipped, ORDERS).astype(float)


def closest_lengths(lengths: Sequence[int]) -> int:
    """Sum, over captions, the length nearest to their own among the others, the shorter of two."""
    captions = Counter(lengths)
    total = 0
    for length, times in captions.items():
        others = captions if times > 1 else captions.keys() - {length}
        total += times * min(others, key=lambda other: (abs(other - length), other))
    return total
