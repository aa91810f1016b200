"""METEOR 1.5 for English, from its own Java program kept alive between calls."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path

from pycocoevalcap.meteor import meteor as pycocoevalcap_meteor

from captioning.errors import InputError
from captioning.metrics.java import JavaProcess

_JAR = Path(pycocoevalcap_meteor.__file__).with_name(pycocoevalcap_meteor.METEOR_JAR)
_CHUNK = 64  # images asked about at once: few round trips, and answers that fit into a pipe


class Meteor(AbstractContextManager["Meteor"]):
    """A running METEOR program (Denkowski and Lavie 2014), called as the COCO evaluation does.

    It takes 500 MB, and five seconds to read its table of paraphrases: make it early, and do other
    work before the first question. Close it, or use it as a context manager.
    """

    def __init__(self) -> None:
        protocol = ["-", "-", "-stdio", "-l", "en", "-norm"]
        self._java = JavaProcess("METEOR", ["-Xmx2G", "-jar", str(_JAR), *protocol])

    def statistics(
        self, candidates: Iterable[str], references: Iterable[Sequence[str]]
    ) -> list[str]:
        """Match counts of each tokenised candidate with its references, in METEOR's own notation.

        `evaluate` scores those of any selection of images.
        """
        questions = map(_question, candidates, references)
        statistics: list[str] = []
        while chunk := list(islice(questions, _CHUNK)):
            statistics += self._java.ask(chunk, answers=len(chunk))
        return statistics

    def evaluate(self, statistics: Sequence[str]) -> tuple[float, list[float]]:
        """The corpus score of the summed statistics, and the score of each image; in [0, 1]."""
        question = " ||| ".join(["EVAL", *statistics])
        answers = self._java.ask([question], answers=len(statistics) + 1)
        try:
            *scores, corpus = map(float, answers)
        except ValueError:
            raise InputError(f"METEOR answered {answers[0]!r}, not with a score") from None
        return corpus, scores

    def close(self) -> None:
        """End the program."""
        self._java.close()

    def __exit__(self, *error: object) -> None:
        self.close()


def _question(candidate: str, references: Sequence[str]) -> str:
    """One line of METEOR's protocol, in which three bars separate the captions."""
    candidate = candidate.replace("|||", "").replace("  ", " ")
    return " ||| ".join(["SCORE", *references, candidate])
