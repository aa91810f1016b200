"""The COCO metrics of a set of captions: the numbers of pycocoevalcap, with a signature."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import chain, islice
from typing import TypeAlias, TypeVar

import numpy as np

from captioning.errors import InputError
from captioning.metrics.arrays import Floats
from captioning.metrics.bleu import bleu, bleu_counts
from captioning.metrics.ciderd import CiderD
from captioning.metrics.meteor import Meteor, meteor
from captioning.metrics.rouge import rouge_l
from captioning.metrics.spice import missing_parser, spice
from captioning.metrics.statistics import Statistics, mean, mean_of
from captioning.metrics.tokenizer import tokenize

# Each metric, with the settings that affect its value.
METRICS: Mapping[str, str] = {
    "Bleu": "4-grams,closest-length",
    "METEOR": "1.5,en,norm",
    "ROUGE_L": "beta-1.2",
    "CIDEr": "D,4-grams,sigma-6,df-references",
    "SPICE": "1.0,corenlp-3.6.0",
}

# How scores follow from sums over images, for metrics that are not the mean of the images' scores.
OF_SUMS: Mapping[str, Callable[[Floats], Floats]] = {
    **{f"Bleu_{order}": partial(bleu, order=order) for order in range(1, 5)},
    "METEOR": meteor,
}

ImageId = TypeVar("ImageId", bound=Hashable)
Groups: TypeAlias = tuple[tuple[str, ...], ...]  # the captions of each image


@dataclass(frozen=True)
class Scores:
    """The result of `score`.

    Attributes:
        statistics: what the scores are computed from, for each requested one of Bleu_1 to Bleu_4,
            METEOR, ROUGE_L, CIDEr and SPICE; input of `confidence_intervals` and `compare`.
        images: ids of the images, in the order of the references.
        signature: tokeniser, metric versions, source of the document frequencies, and sizes.
        left_out: why metrics are missing, by name.
    """

    statistics: dict[str, Statistics]
    images: tuple[Hashable, ...]
    signature: str
    left_out: dict[str, str]

    @cached_property
    def corpus(self) -> dict[str, float]:
        """The scores of the whole set. CIDEr is in [0, 10], the others in [0, 1]."""
        return {name: each.corpus for name, each in self.statistics.items()}

    @cached_property
    def per_image(self) -> dict[str, Floats]:
        """The scores of each image, in the order of `images`."""
        return {name: each.scores for name, each in self.statistics.items()}

    @property
    def by_image(self) -> dict[str, dict[str, float]]:
        """The same by image id, as text, for a JSON file."""
        return {
            str(image): {name: float(scores[row]) for name, scores in self.per_image.items()}
            for row, image in enumerate(self.images)
        }


def score(
    candidates: Mapping[ImageId, str],
    references: Mapping[ImageId, Sequence[str]],
    metrics: Sequence[str] | None = None,
    progress: bool = False,
) -> Scores:
    """Score one candidate caption per image against all references of that image.

    Captions are plain text, tokenised here. For several sets of candidates, use a `Scorer`.

    Args:
        candidates: the caption of each image; an empty one scores 0.
        references: the reference captions of each image, in the order of the published file.
        metrics: names from METRICS; by default all, with SPICE only if its parser is installed.
        progress: show a progress bar on standard error.

    Raises:
        InputError: if an image has no candidate or no reference, a candidate's image or a metric is
            unknown, or a Java program is missing or fails.
    """
    with Scorer(metrics) as scorer:
        return scorer.score(candidates, references, progress)


def statistics_of(metric: str, per_image: Floats) -> Statistics:
    """Return the statistics of one of `Scores.statistics`, by its name, with other numbers."""
    return Statistics(per_image, OF_SUMS.get(metric, mean))


def check_metrics(metrics: Sequence[str]) -> None:
    """Raise InputError unless these are one or more metrics that can be computed here."""
    if unknown := [metric for metric in metrics if metric not in METRICS]:
        raise InputError(f"unknown metric {unknown[0]!r}; choose among {', '.join(METRICS)}")
    if not metrics:
        raise InputError(f"no metric given; choose among {', '.join(METRICS)}")
    if "SPICE" in metrics and (reason := missing_parser()):
        raise InputError(reason)


class Scorer(AbstractContextManager["Scorer"]):
    """Scores any number of candidate sets, starting METEOR and preparing references only once.

    METEOR loads its table in the background from construction on. Close the scorer, or use it as a
    context manager.
    """

    def __init__(self, metrics: Sequence[str] | None = None) -> None:
        if metrics is not None:
            check_metrics(metrics)
        chosen = METRICS if metrics is None else metrics
        reason = missing_parser() if "SPICE" in chosen else None
        self._left_out = {"SPICE": reason} if reason else {}
        self._metrics = [metric for metric in chosen if metric not in self._left_out]
        self._tokens = lru_cache(maxsize=8)(_tokens)  # of whole corpora
        self._ciderd = lru_cache(maxsize=2)(lambda references: CiderD(_words(references)))
        self._meteor = Meteor() if "METEOR" in self._metrics else None

    def score(
        self,
        candidates: Mapping[ImageId, str],
        references: Mapping[ImageId, Sequence[str]],
        progress: bool = False,
        split: str | None = None,
    ) -> Scores:
        """Score as the function `score` does; the signature names the split, if given."""
        _check(candidates, references)
        reference_tokens = self._tokens(tuple(map(tuple, references.values())))
        if not any(chain.from_iterable(reference_tokens)):
            raise InputError("the references hold no word to compare with, only punctuation")
        captions = self._tokens(tuple((candidates[image],) for image in references))
        candidate_tokens = [caption for (caption,) in captions]
        return Scores(
            statistics=self._compute(candidate_tokens, reference_tokens, progress),
            images=tuple(references),
            signature=self._signature(reference_tokens, split),
            left_out=dict(self._left_out),
        )

    def close(self) -> None:
        """End METEOR's program."""
        if self._meteor:
            self._meteor.close()

    def __exit__(self, *error: object) -> None:
        self.close()

    def _compute(
        self, candidates: Sequence[str], references: Groups, progress: bool
    ) -> dict[str, Statistics]:
        """Compute all metrics concurrently: some in Python, the others in Java."""
        from tqdm import tqdm

        functions: dict[str, Callable[[Sequence[str], Groups], dict[str, Statistics]]] = {
            "Bleu": _bleu,
            "METEOR": self._meteor_result,
            "ROUGE_L": _rouge_l,
            "CIDEr": self._cider,
            "SPICE": _spice,
        }
        with ThreadPoolExecutor() as pool:
            jobs = [pool.submit(functions[name], candidates, references) for name in self._metrics]
            for job in tqdm(as_completed(jobs), "metrics", len(jobs), disable=not progress):
                job.result()  # so that the first failure is raised at once
        return {name: result for job in jobs for name, result in job.result().items()}

    def _meteor_result(
        self, candidates: Sequence[str], references: Groups
    ) -> dict[str, Statistics]:
        assert self._meteor
        return {"METEOR": statistics_of("METEOR", self._meteor.counts(candidates, references))}

    def _cider(self, candidates: Sequence[str], references: Groups) -> dict[str, Statistics]:
        scores = self._ciderd(references).score([caption.split() for caption in candidates])
        return {"CIDEr": mean_of(scores)}

    def _signature(self, references: Groups, split: str | None) -> str:
        from importlib.metadata import version

        parts = {
            "images": str(len(references)),
            "references": str(sum(map(len, references))),
            **({"split": split} if split else {}),
            "tokenizer": "ptb-3.4.1,lower,no-punctuation",
            **{metric: METRICS[metric] for metric in self._metrics},
            "pycocoevalcap": version("pycocoevalcap"),
        }
        return "|".join(f"{name}:{value}" for name, value in parts.items())


def _check(candidates: Mapping[ImageId, str], references: Mapping[ImageId, Sequence[str]]) -> None:
    if not references:
        raise InputError("there is nothing to score: the references hold no image")
    if missing := [image for image in references if image not in candidates]:
        raise InputError(
            f"{len(missing)} of {len(references)} images of the references have no candidate, "
            f"the first is {missing[0]!r}; give each a caption, an empty one if need be"
        )
    if unknown := [image for image in candidates if image not in references]:
        raise InputError(
            f"{len(unknown)} images of the candidates are not in the references, "
            f"the first is {unknown[0]!r}; remove them, or check the split"
        )
    for image, captions in references.items():
        if isinstance(captions, str) or not captions:
            raise InputError(
                f"the references of image {image!r} must be a list of captions, got {captions!r}"
            )
        if not isinstance(candidates[image], str):
            raise InputError(
                f"the candidate of image {image!r} must be one caption, got {candidates[image]!r}"
            )


def _tokens(groups: Groups) -> Groups:
    tokens = iter(tokenize(list(chain.from_iterable(groups))))
    return tuple(tuple(islice(tokens, len(group))) for group in groups)


def _words(groups: Groups) -> list[list[list[str]]]:
    """Split captions into words for BLEU and CIDEr, at no-break spaces too."""
    return [[caption.split() for caption in group] for group in groups]


def _bleu(candidates: Sequence[str], references: Groups) -> dict[str, Statistics]:
    counts = bleu_counts([caption.split() for caption in candidates], _words(references))
    return {name: statistics_of(name, counts) for name in map("Bleu_{}".format, range(1, 5))}


def _rouge_l(candidates: Sequence[str], references: Groups) -> dict[str, Statistics]:
    # As in pycocoevalcap's ROUGE-L: "22 3/4" is one word, an empty caption is one empty word.
    said = [caption.split(" ") for caption in candidates]
    heard = [[caption.split(" ") for caption in group] for group in references]
    return {"ROUGE_L": mean_of(rouge_l(said, heard))}


def _spice(candidates: Sequence[str], references: Groups) -> dict[str, Statistics]:
    _, per_image = spice(candidates, references)
    return {"SPICE": mean_of(np.array(per_image))}
