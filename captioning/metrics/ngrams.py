"""Counts of n-grams in captions, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import blake2b
from itertools import chain
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from captioning.errors import InputError
from captioning.metrics.arrays import Integers

Caption: TypeAlias = Sequence[int] | Sequence[str]  # as tokens
Codes: TypeAlias = NDArray[np.uint64]  # n-grams as integers

_Integer = TypeVar("_Integer", bound=np.integer)

ORDERS = 4  # n-grams of one to four tokens


class NgramCounts(NamedTuple):
    """A sparse matrix, captions by n-grams."""

    ngrams: Codes  # [g] ascending
    orders: Integers  # [g] tokens of each n-gram, less one
    caption: Integers  # [e] row of each entry
    ngram: Integers  # [e] column of each entry
    times: Integers  # [e] value of each entry
    lengths: Integers  # [captions] in tokens


def count(captions: Sequence[Caption]) -> NgramCounts:
    """Count the n-grams of one to four tokens; entries are sorted by caption, then n-gram.

    Raises:
        InputError: if a caption is a string that was not split into tokens.
    """
    tokens, lengths = _flatten(captions)
    row = np.repeat(np.arange(len(captions)), lengths)
    end = np.cumsum(lengths)[row]
    start = np.arange(len(tokens))
    code = np.zeros(len(tokens), np.uint64)
    codes, rows, orders = [], [], []
    for order in range(ORDERS):
        inside = start + order < end[start]
        start = start[inside]
        code = _extend(code[inside], tokens[start + order])
        codes.append(code)
        rows.append(row[start])
        orders.append(np.full(len(code), order))
    ngrams, first, column = np.unique(np.concatenate(codes), return_index=True, return_inverse=True)
    keys, times = np.unique(np.concatenate(rows) * len(ngrams) + column, return_counts=True)
    caption, ngram = np.divmod(keys, len(ngrams))
    return NgramCounts(ngrams, np.concatenate(orders)[first], caption, ngram, times, lengths)


def distinct(values: NDArray[_Integer]) -> NDArray[_Integer]:
    """Return the distinct values, ascending."""
    # With counts, `unique` sorts; otherwise it hashes, 100 times slower for 20 million values.
    distinct: NDArray[_Integer] = np.unique(values, return_counts=True)[0]
    return distinct


def find(
    values: NDArray[np.integer], ascending: NDArray[np.integer]
) -> tuple[Integers, NDArray[np.bool_]]:
    """Return the position of each value in an ascending array, and whether it occurs there."""
    position = np.searchsorted(ascending, values).clip(max=len(ascending) - 1)
    return position, ascending[position] == values


def ranges(start: Integers, stop: Integers) -> Integers:
    """Concatenate range(start, stop) of all pairs."""
    lengths = stop - start
    before = np.cumsum(lengths) - lengths
    ranges: Integers = np.arange(lengths.sum()) + np.repeat(start - before, lengths)
    return ranges


def _extend(code: Codes, token: Integers) -> Codes:
    """Return the code of an n-gram with one more token: a 64-bit hash, mixed as in splitmix64.

    The probability that any two of COCO's 4 million n-grams share a code is 4e-7.
    """
    step, first, second = map(
        np.uint64, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
    )
    code = code * second + token.view(np.uint64) + step
    code = (code ^ (code >> np.uint64(30))) * first
    code = (code ^ (code >> np.uint64(27))) * second
    return code ^ (code >> np.uint64(31))


def grouped(references: Sequence[Sequence[Caption]]) -> tuple[list[Caption], Integers]:
    """Return all captions in one list, and the image of each.

    Raises:
        InputError: if an image has no reference, or no reference has a word.
    """
    sizes = np.array([len(captions) for captions in references], dtype=np.int64)
    if not sizes.all():
        raise InputError(f"image {sizes.argmin()} of the references has no caption; remove it")
    captions = list(chain.from_iterable(references))
    if not any(map(len, captions)):
        raise InputError("the references hold no word to compare with")
    return captions, np.repeat(np.arange(len(sizes)), sizes)


def _flatten(captions: Sequence[Caption]) -> tuple[Integers, Integers]:
    """Return all tokens in one array, and the number of tokens in each caption."""
    if any(isinstance(caption, str) for caption in captions):
        raise InputError("expected captions as lists of tokens, got strings: use caption.split()")
    lengths = np.fromiter(map(len, captions), np.int64, len(captions))
    tokens = list(chain.from_iterable(captions))
    numbers = map(_word_code, tokens) if tokens and isinstance(tokens[0], str) else tokens
    return np.fromiter(numbers, np.int64, len(tokens)), lengths


@cache
def _word_code(word: str) -> int:
    """Return a number for a word, the same in every process (unlike Python's `hash`)."""
    digest = blake2b(word.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)
