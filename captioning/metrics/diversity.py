"""How varied captions are, whatever they say."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

Tokens: TypeAlias = Sequence[str]
"""One caption as words."""

Ngram: TypeAlias = tuple[str, ...]


class Diversity(NamedTuple):
    """How varied the captions of a split are, one of each picture.

    Shares and Self-BLEU lie in [0, 1]. All but `novel` and the lengths depend on how many captions
    there are: compare them only over equally many.
    """

    distinct_1: float
    distinct_2: float
    self_bleu_4: float
    words: float  # how many different ones are said
    vocabulary_share: float  # of the words of the training captions, those that are said
    novel: float  # share of the captions that are no training caption, word for word
    length: float  # in words
    length_deviation: float  # over the captions
    length_5: float  # the 5th percentile, and so on
    length_50: float
    length_95: float


def diversity(captions: Sequence[Tokens], training: Iterable[Tokens]) -> Diversity:
    """Measure at least one caption, beside the captions of training."""
    known = {tuple(caption) for caption in training}
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
        length=float(lengths.mean()),
        length_deviation=float(lengths.std()),
        **{f"length_{share}": float(np.percentile(lengths, share)) for share in (5, 50, 95)},
    )


def distinct_captions(captions: Collection[str]) -> float:
    """The share in (0, 1] of captions that are unlike every earlier one, letter by letter.

    It falls as captions are added, so compare it only over equally many pictures.
    """
    return len(set(captions)) / len(captions)


def distinct_ngrams(captions: Iterable[Tokens], size: int) -> float:
    """Different n-grams over the number of words: distinct-n of Li et al. (2016), in [0, 1].

    Over words even for n > 1, as there. It falls as captions are added. 0 where there is no word.
    """
    words = 0
    found: set[Ngram] = set()
    for caption in captions:
        words += len(caption)
        found.update(ngrams(caption, size))
    return len(found) / words if words else 0.0


def mutual_bleu(sets: Iterable[Sequence[Tokens]], order: int = 4) -> float:
    """BLEU, in [0, 1], of every caption against the others of its set; low where they are varied.

    With one set of all captions it is Self-BLEU (Zhu et al. 2018), with the samples of each picture
    as a set mutual BLEU (Shetty et al. 2017). A caption is never among its own references, and
    nothing is kept between calls: Texygen's Self-BLEU did both, and came out near 1 whatever was
    said (its issues 46 and 27). N-grams are counted over all captions of all sets, as BLEU is
    defined for a corpus, so that no smoothing is needed; authors who average the BLEU of sentences
    get other numbers. References are of the closest length, the shorter of two. A caption alone in
    its set is left out; 0 if nothing is left.

    The time is linear in the n-grams: against all others, a caption's counts are clipped at the
    highest of the corpus or, if that is its own, at the second.
    """
    compared = [captions for captions in sets if len(captions) > 1]
    precisions = []
    for size in range(1, order + 1):
        counts = [[Counter(ngrams(caption, size)) for caption in each] for each in compared]
        total = sum(count.total() for each in counts for count in each)
        precisions.append(sum(map(matches, counts)) / total if total else 0.0)
    if not all(precisions):
        return 0.0
    said = sum(len(caption) for captions in compared for caption in captions)
    closest = sum(closest_lengths([len(caption) for caption in each]) for each in compared)
    brevity = min(0.0, 1 - closest / said)
    return math.exp(brevity + sum(map(math.log, precisions)) / order)


def matches(counts: Sequence[Counter[Ngram]]) -> int:
    """Sum, over captions and their n-grams, the counts clipped at the most that another has."""
    highest: dict[Ngram, int] = {}
    second: dict[Ngram, int] = {}
    for count in counts:
        for ngram, times in count.items():
            lower, highest[ngram] = sorted((times, highest.get(ngram, 0)))
            second[ngram] = max(lower, second.get(ngram, 0))
    return sum(
        times if times < highest[ngram] else second[ngram]
        for count in counts
        for ngram, times in count.items()
    )


def closest_lengths(lengths: Sequence[int]) -> int:
    """Sum, over captions, the length nearest to its own among the others, the shorter of two."""
    captions = Counter(lengths)
    total = 0
    for length, times in captions.items():
        others = captions if times > 1 else captions.keys() - {length}
        total += times * min(others, key=lambda other: (abs(other - length), other))
    return total


def ngrams(caption: Tokens, size: int) -> Iterator[Ngram]:
    """All runs of `size` words."""
    return zip(*(caption[start:] for start in range(size)), strict=False)
