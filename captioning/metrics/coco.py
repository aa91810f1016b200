"""The COCO metrics of a set of captions: pycocoevalcap's numbers, with a signature."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

from captioning.errors import InputError
from captioning.metrics.meteor import Meteor
from captioning.metrics.spice import missing_parser, spice
from captioning.metrics.tokenizer import tokenize

# Each metric, with the choices that change its number.
METRICS: Mapping[str, str] = {
    "Bleu": "4-grams,closest-length",
    "METEOR": "1.5,en,norm",
    "ROUGE_L": "beta-1.2",
    "CIDEr": "D,4-grams,sigma-6,df-references",
    "SPICE": "1.0",
}

ImageId = TypeVar("ImageId", bound=Hashable)
Tokens: TypeAlias = dict[ImageId, list[str]]  # of each image's captions, joined by spaces
Result: TypeAlias = tuple[float, NDArray[np.float64]]  # of the corpus, of each image


@dataclass(frozen=True)
class Scores:
    """What `score` returns.

    Attributes:
        corpus: the score of the whole set, for each of Bleu_1 to Bleu_4, METEOR, ROUGE_L, CIDEr and
            SPICE that was asked for. CIDEr lies in [0, 10], the others in [0, 1].
        per_image: the same for each image, in the order of `images`.
        images: ids of the images, in the order of the references.
        signature: tokeniser, metric versions, source of the document frequencies, and sizes.
        left_out: why a metric that was asked for is missing.
    """

    corpus: dict[str, float]
    per_image: dict[str, NDArray[np.float64]]
    images: tuple[Hashable, ...]
    signature: str
    left_out: dict[str, str]


def score(
    candidates: Mapping[ImageId, str],
    references: Mapping[ImageId, Sequence[str]],
    metrics: Sequence[str] = tuple(METRICS),
    progress: bool = False,
) -> Scores:
    """Score one candidate caption of each image against all references of that image.

    Captions are plain text and tokenised here. For several sets of candidates, keep a `Scorer`.

    Args:
        candidates: the caption of each image; an empty one scores 0.
        references: the reference captions of each image, in the order of the published file.
        metrics: names among METRICS; where the parser of SPICE is missing, SPICE is left out.
        progress: show a progress bar on standard error.

    Raises:
        InputError: when an image has no candidate or no reference, a candidate no known image, for
            an unknown metric, and when a Java program fails.
    """
    with Scorer(metrics) as scorer:
        return scorer.score(candidates, references, progress)


class Scorer(AbstractContextManager["Scorer"]):
    """Scores any number of candidate sets, with METEOR started and references tokenised once.

    METEOR reads its table in the background from the moment this is made. Close it, or use it as a
    context manager.
    """

    def __init__(self, metrics: Sequence[str] = tuple(METRICS)) -> None:
        if unknown := [metric for metric in metrics if metric not in METRICS]:
            raise InputError(f"unknown metric {unknown[0]!r}; choose among {', '.join(METRICS)}")
        reason = missing_parser() if "SPICE" in metrics else None
        self._left_out = {"SPICE": reason} if reason else {}
        self._metrics = [metric for metric in metrics if metric not in self._left_out]
        if not self._metrics:
            raise InputError(reason or f"no metric given; choose among {', '.join(METRICS)}")
        self._tokenize = lru_cache(maxsize=8)(tokenize)  # of whole corpora
        self._meteor = Meteor() if "METEOR" in self._metrics else None

    def score(
        self,
        candidates: Mapping[ImageId, str],
        references: Mapping[ImageId, Sequence[str]],
        progress: bool = False,
    ) -> Scores:
        """As the function `score`."""
        _check(candidates, references)
        reference_tokens = self._tokens(references)
        if not any(chain.from_iterable(reference_tokens.values())):
            raise InputError("the references hold no word to compare with, only punctuation")
        candidate_tokens = self._tokens({image: [candidates[image]] for image in references})
        results = self._compute(reference_tokens, candidate_tokens, progress)
        return Scores(
            corpus={name: corpus for name, (corpus, _) in results.items()},
            per_image={name: per_image for name, (_, per_image) in results.items()},
            images=tuple(references),
            signature=self._signature(reference_tokens),
            left_out=dict(self._left_out),
        )

    def close(self) -> None:
        """End METEOR's program."""
        if self._meteor:
            self._meteor.close()

    def __exit__(self, *error: object) -> None:
        self.close()

    def _tokens(self, captions: Mapping[ImageId, Sequence[str]]) -> Tokens[ImageId]:
        tokens = iter(self._tokenize(tuple(chain.from_iterable(captions.values()))))
        return {image: list(islice(tokens, len(group))) for image, group in captions.items()}

    def _compute(
        self, references: Tokens[ImageId], candidates: Tokens[ImageId], progress: bool
    ) -> dict[str, Result]:
        """All metrics side by side: while Python computes some, Java computes the others."""
        from tqdm import tqdm

        functions: dict[str, Callable[..., dict[str, Result]]] = {
            "Bleu": _bleu,
            "METEOR": self._meteor_result,
            "ROUGE_L": _rouge,
            "CIDEr": _cider,
            "SPICE": _spice,
        }
        with ThreadPoolExecutor() as pool:
            jobs = [pool.submit(functions[name], references, candidates) for name in self._metrics]
            for job in tqdm(as_completed(jobs), "metrics", len(jobs), disable=not progress):
                job.result()  # so that the first failure is told at once
        return {name: result for job in jobs for name, result in job.result().items()}

    def _meteor_result(
        self, references: Tokens[ImageId], candidates: Tokens[ImageId]
    ) -> dict[str, Result]:
        assert self._meteor
        captions = [caption for [caption] in candidates.values()]
        statistics = self._meteor.statistics(captions, references.values())
        corpus, per_image = self._meteor.evaluate(statistics)
        return {"METEOR": (corpus, np.array(per_image))}

    def _signature(self, references: Tokens[ImageId]) -> str:
        from importlib.metadata import version

        parts = {
            "images": str(len(references)),
            "references": str(sum(map(len, references.values()))),
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


def _bleu(references: Tokens[ImageId], candidates: Tokens[ImageId]) -> dict[str, Result]:
    corpus, per_image = Bleu(4).compute_score(references, candidates, verbose=0)
    return {f"Bleu_{n + 1}": (float(corpus[n]), np.array(per_image[n])) for n in range(4)}


def _rouge(references: Tokens[ImageId], candidates: Tokens[ImageId]) -> dict[str, Result]:
    corpus, per_image = Rouge().compute_score(references, candidates)
    return {"ROUGE_L": (float(corpus), per_image)}


def _cider(references: Tokens[ImageId], candidates: Tokens[ImageId]) -> dict[str, Result]:
    corpus, per_image = Cider().compute_score(references, candidates)
    return {"CIDEr": (float(corpus), per_image)}


def _spice(references: Tokens[ImageId], candidates: Tokens[ImageId]) -> dict[str, Result]:
    captions = [caption for [caption] in candidates.values()]
    corpus, per_image = spice(captions, references.values())
    return {"SPICE": (corpus, np.array(per_image))}
