"""METEOR 1.5 for English: counts from its own Java program, and scores of their sums."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path

import numpy as np
from pycocoevalcap.meteor import meteor as pycocoevalcap_meteor

from captioning.errors import InputError
from captioning.metrics.arrays import Floats
from captioning.metrics.java import JavaProcess

_JAR = Path(pycocoevalcap_meteor.__file__).with_name(pycocoevalcap_meteor.METEOR_JAR)
_CHUNK = 64  # images per request: few round trips, and answers that fit into a pipe
_COUNTS = 23

# The published parameters for English (Denkowski and Lavie 2014): the weight of recall, the power
# and the weight of fragmentation, the weight of content words against function words, and those of
# the kinds of match: exact, by stem, by synonym and by paraphrase.
_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75
_KINDS = np.array([1.0, 0.6, 0.8, 0.6])


class Meteor(AbstractContextManager["Meteor"]):
    """A running METEOR program (Denkowski and Lavie 2014), called as the COCO evaluation does.

    It takes 500 MB of memory, and five seconds to load its paraphrase table: start it early, and do
    other work before the first call. Close it, or use it as a context manager.
    """

    def __init__(self) -> None:
        protocol = ["-", "-", "-stdio", "-l", "en", "-norm"]
        self._java = JavaProcess("METEOR", ["-Xmx2G", "-jar", str(_JAR), *protocol])

    def counts(self, candidates: Iterable[str], references: Iterable[Sequence[str]]) -> Floats:
        """Count what each tokenised candidate shares with its best-scoring reference: [images, 23].

        The columns are pairs, of the candidate and of the reference: words, function words; for
        each kind of match, matched content words and matched function words; then the number of
        chunks that the matches form (one column); matched words. As in the program's own sums, a
        candidate equal to its reference counts as zero chunks, so that its score is 1.

        Raises:
            InputError: if the program fails.
        """
        questions = map(_question, candidates, references)
        answers: list[list[str]] = []
        while chunk := list(islice(questions, _CHUNK)):
            answers += [answer.split() for answer in self._java.ask(chunk, answers=len(chunk))]
        if wrong := [answer for answer in answers if len(answer) != _COUNTS]:
            raise InputError(f"METEOR answered {' '.join(wrong[0])!r}, not with {_COUNTS} counts")
        counts = np.array(answers, dtype=float).reshape(-1, _COUNTS)
        matches = counts[:, 4:20].reshape(-1, len(_KINDS) * 2, 2).sum(axis=1)
        counts[np.all(matches == counts[:, :2], axis=1) & (counts[:, 20] == 1), 20] = 0
        return counts

    def close(self) -> None:
        """End the program."""
        self._java.close()

    def __exit__(self, *error: object) -> None:
        self.close()


def meteor(counts: Floats) -> Floats:
    """Return METEOR, in [0, 1], from sums of rows of `Meteor.counts`, as the program computes it.

    Section 2 of "Meteor Universal" (Denkowski and Lavie 2014). No match at all gives 0.
    """
    words, function_words, by_kind, chunks, matched = np.split(counts, [2, 4, 20, 21], axis=1)
    matches = by_kind.reshape(-1, len(_KINDS), 2, 2)
    of_content = np.array([_DELTA, 1 - _DELTA])
    weighted = np.einsum("bkcs,k,c->bs", matches, _KINDS, of_content)
    weights = _DELTA * (words - function_words) + (1 - _DELTA) * function_words
    precision, recall = _ratio(weighted, weights).T
    f_mean = _ratio(precision * recall, _ALPHA * precision + (1 - _ALPHA) * recall)
    fragmentation = _ratio(chunks[:, 0], matched.mean(axis=1))
    score: Floats = f_mean * (1 - _GAMMA * fragmentation**_BETA)
    return score


def _ratio(part: Floats, whole: Floats) -> Floats:
    ratio: Floats = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    return ratio


def _question(candidate: str, references: Sequence[str]) -> str:
    """Return one line of METEOR's protocol, which separates captions by three bars."""
    candidate = candidate.replace("|||", "").replace("  ", " ")
    return " ||| ".join(["SCORE", *references, candidate])
