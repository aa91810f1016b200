"""CIDEr-D of token sequences as array arithmetic, fast enough to be a reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from itertools import chain
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from captioning.errors import InputError

Caption: TypeAlias = Sequence[int] | Sequence[str]  # its tokens
Codes: TypeAlias = NDArray[np.uint64]  # n-grams as integers
Integers: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]

_Integer = TypeVar("_Integer", bound=np.integer)

_ORDERS = 4  # n-grams of one to four tokens


@dataclass(frozen=True)
class DocumentFrequencies:
    """In the references of how many images each n-gram occurs.

    Attributes:
        ngrams: codes of the n-grams, ascending.
        counts: number of images of each n-gram.
        images: number of images in all.
    """

    ngrams: Codes
    counts: Integers
    images: int

    def weights(self, ngrams: Codes) -> Floats:
        """Log of images / images with the n-gram, at least 0; a new n-gram counts as seen once."""
        position, seen = _find(ngrams, self.ngrams)
        frequencies = np.where(seen, self.counts[position], 1)
        weights: Floats = np.log(self.images) - np.log(frequencies)
        return weights


def document_frequencies(references: Sequence[Sequence[Caption]]) -> DocumentFrequencies:
    """Count over `references`, one list of tokenised captions for each image.

    Raises:
        InputError: as `CiderD`.
    """
    captions, image = _captions(references)
    table = _count(captions)
    pairs = _distinct(image[table.caption] * len(table.ngrams) + table.ngram)
    counts = np.bincount(pairs % len(table.ngrams), minlength=len(table.ngrams))
    return DocumentFrequencies(table.ngrams, counts, len(references))


class CiderD:
    """CIDEr-D (Vedantam et al. 2015, with clipping and length penalty) against fixed references.

    Equal to pycocoevalcap's `Cider` on the same tokens. Make it once: the references are counted
    here, and `score` only looks them up. It keeps about 1 KB for each reference caption (500 MB for
    the training set of COCO).

    A token is an integer or a word, of one kind throughout. For a reward, append the
    end-of-sentence token to candidates, references and the references of the frequencies: it is
    then a word like any other. Without it a caption loses nothing by stopping after "with a".

    Args:
        references: one list of tokenised captions for each image.
        frequencies: from other captions, for example those of the training set; by default from
            the references themselves, as in pycocoevalcap.
        sigma: standard deviation of the length penalty, in words.

    Raises:
        InputError: when an image has no reference, when no reference has a word, when a caption is
            a string that was not split into tokens.
    """

    def __init__(
        self,
        references: Sequence[Sequence[Caption]],
        frequencies: DocumentFrequencies | None = None,
        sigma: float = 6.0,
    ) -> None:
        captions, image = _captions(references)
        table = _count(captions)
        frequencies = frequencies or document_frequencies(references)
        self._two_variances = 2 * sigma**2
        self._references_per_image = np.bincount(image)
        self._pairs_of_words = table.pairs_of_words
        self._norms = _norms(table, frequencies.weights(table.ngrams))
        self._ngrams = _distinct(np.concatenate([frequencies.ngrams, table.ngrams]))
        self._weights = frequencies.weights(self._ngrams)
        self._weight_of_others = np.log(frequencies.images)
        # Entries sorted by image, then n-gram: those of one such key lie side by side.
        column = np.searchsorted(self._ngrams, table.ngrams)
        keys = image[table.caption] * len(self._ngrams) + column[table.ngram]
        order = np.argsort(keys, kind="stable")
        self._keys, starts = np.unique(keys[order], return_index=True)
        self._starts = np.append(starts, len(keys))
        self._captions = table.caption[order].astype(np.int32)
        self._times = table.times[order].astype(np.int32)

    def score(self, candidates: Sequence[Caption], images: ArrayLike | None = None) -> Floats:
        """CIDEr-D of each candidate, in [0, 10]; the score of the corpus is the mean.

        Args:
            candidates: tokenised captions; an empty one scores 0.
            images: for each candidate, the position of its image among the references; several
                candidates may share one. By default candidate i belongs to image i.
        """
        image = self._positions(len(candidates), images)
        if not any(map(len, candidates)):
            return np.zeros(len(candidates))
        table = _count(candidates)
        column, known = _find(table.ngrams, self._ngrams)
        weights = np.where(known, self._weights[column], self._weight_of_others)
        # N-grams of weight 0 add nothing, and norms may be 0 with them.
        entry = np.flatnonzero((known & (weights > 0))[table.ngram])
        key = image[table.caption[entry]] * len(self._ngrams) + column[table.ngram[entry]]
        entry, match = self._matches(entry, key)
        candidate, reference = table.caption[entry], self._captions[match]
        ngram = table.ngram[entry]
        mine, theirs = table.times[entry], self._times[match]

        # The cosine of both vectors, with the candidate's clipped to the reference's.
        product = np.minimum(mine, theirs) * theirs * weights[ngram] ** 2
        order = table.orders[ngram]
        norms = _norms(table, weights)[candidate, order] * self._norms[reference, order]
        difference = table.pairs_of_words[candidate] - self._pairs_of_words[reference]
        penalty = np.exp(-(difference**2) / self._two_variances)
        total = np.bincount(candidate, product / norms * penalty, len(candidates))
        return 10 * total / (_ORDERS * self._references_per_image[image])

    def _positions(self, candidates: int, images: ArrayLike | None) -> Integers:
        n = len(self._references_per_image)
        positions = np.arange(n) if images is None else np.asarray(images, dtype=np.int64)
        if positions.shape != (candidates,):
            raise InputError(
                f"expected one image for each of the {candidates} candidates, "
                f"got {positions.size} images"
            )
        if np.any((positions < 0) | (positions >= n)):
            raise InputError(f"images must be positions among the {n} images of the references")
        return positions

    def _matches(self, entry: Integers, key: Integers) -> tuple[Integers, Integers]:
        """Each entry as often as its key occurs in the references, and those occurrences."""
        position, found = _find(key, self._keys)
        entry, position = entry[found], position[found]
        start, stop = self._starts[position], self._starts[position + 1]
        return np.repeat(entry, stop - start), _ranges(start, stop)


class _Table(NamedTuple):
    """How often each n-gram occurs in each caption: a sparse matrix, captions by n-grams."""

    ngrams: Codes  # [g] ascending
    orders: Integers  # [g] tokens of each n-gram, less one
    caption: Integers  # [e] row of each entry
    ngram: Integers  # [e] column of each entry
    times: Integers  # [e] value of each entry
    pairs_of_words: Integers  # [captions] their length as the length penalty measures it


def _count(captions: Sequence[Caption]) -> _Table:
    tokens, lengths = _flatten(captions)
    row = np.repeat(np.arange(len(captions)), lengths)
    end = np.cumsum(lengths)[row]
    start = np.arange(len(tokens))
    code = np.zeros(len(tokens), np.uint64)
    codes, rows, orders = [], [], []
    for order in range(_ORDERS):
        inside = start + order < end[start]
        start = start[inside]
        code = _extend(code[inside], tokens[start + order])
        codes.append(code)
        rows.append(row[start])
        orders.append(np.full(len(code), order))
    ngrams, first, column = np.unique(np.concatenate(codes), return_index=True, return_inverse=True)
    keys, times = np.unique(np.concatenate(rows) * len(ngrams) + column, return_counts=True)
    caption, ngram = np.divmod(keys, len(ngrams))
    pairs_of_words = np.maximum(lengths - 1, 0)
    return _Table(ngrams, np.concatenate(orders)[first], caption, ngram, times, pairs_of_words)


def _norms(table: _Table, weights: Floats) -> Floats:
    """Euclidean norm of each caption's weighted n-grams of each order: [captions, orders]."""
    cell = table.caption * _ORDERS + table.orders[table.ngram]
    squares = (table.times * weights[table.ngram]) ** 2
    sums = np.bincount(cell, squares, len(table.pairs_of_words) * _ORDERS)
    return np.sqrt(sums).reshape(-1, _ORDERS)


def _distinct(values: NDArray[_Integer]) -> NDArray[_Integer]:
    """The distinct values, ascending."""
    # Asked for counts, `unique` sorts; otherwise it hashes, 100 times slower for 20 million values.
    distinct: NDArray[_Integer] = np.unique(values, return_counts=True)[0]
    return distinct


def _find(
    values: NDArray[np.integer], ascending: NDArray[np.integer]
) -> tuple[Integers, NDArray[np.bool_]]:
    """Position of each value in an ascending array, and whether it is there at all."""
    position = np.searchsorted(ascending, values).clip(max=len(ascending) - 1)
    return position, ascending[position] == values


def _ranges(start: Integers, stop: Integers) -> Integers:
    """All of range(start, stop), one pair after the other."""
    lengths = stop - start
    before = np.cumsum(lengths) - lengths
    ranges: Integers = np.arange(lengths.sum()) + np.repeat(start - before, lengths)
    return ranges


def _extend(code: Codes, token: Integers) -> Codes:
    """Code of an n-gram with one more token: a 64-bit hash, mixed as in splitmix64.

    The probability that any two of COCO's 4 million n-grams share a code is 4e-7.
    """
    step, first, second = map(
        np.uint64, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
    )
    code = code * second + token.view(np.uint64) + step
    code = (code ^ (code >> np.uint64(30))) * first
    code = (code ^ (code >> np.uint64(27))) * second
    return code ^ (code >> np.uint64(31))


def _captions(references: Sequence[Sequence[Caption]]) -> tuple[list[Caption], Integers]:
    """All captions in one list, and the image of each."""
    sizes = np.array([len(captions) for captions in references], dtype=np.int64)
    if not sizes.all():
        raise InputError(f"image {sizes.argmin()} of the references has no caption; remove it")
    captions = list(chain.from_iterable(references))
    if not any(map(len, captions)):
        raise InputError("the references hold no word; CIDEr-D needs captions to compare with")
    return captions, np.repeat(np.arange(len(sizes)), sizes)


def _flatten(captions: Sequence[Caption]) -> tuple[Integers, Integers]:
    """All tokens in one array, and the number of them in each caption."""
    if any(isinstance(caption, str) for caption in captions):
        raise InputError("expected captions as lists of tokens, got strings: use caption.split()")
    lengths = np.fromiter(map(len, captions), np.int64, len(captions))
    tokens = list(chain.from_iterable(captions))
    numbers = map(_word_code, tokens) if isinstance(tokens[0], str) else tokens
    return np.fromiter(numbers, np.int64, len(tokens)), lengths


@cache
def _word_code(word: str) -> int:
    """A number for a word, the same in every process (which Python's `hash` is not)."""
    digest = blake2b(word.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)
