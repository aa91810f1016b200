"""Quality against diversity as the sampling temperature rises (Caccia et al. 2018)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from jaxtyping import Float
from torch import Tensor

from captioning.captioner import Captioner
from captioning.data.dataset import ImageId
from captioning.metrics import Scorer, distinct_captions, mutual_bleu, tokenize
from captioning.search import Greedy, Sampling, all_texts

SAMPLES = 5
"""Captions drawn per image: as many as images usually have references."""

Drawn: TypeAlias = list[list[str]]
"""The samples of one image at each temperature."""


class Point(NamedTuple):
    """The results at one temperature; all but `mutual_bleu_4` are of one sample per image."""

    temperature: float  # 0 for the greedy caption, the limit of sampling
    CIDEr: float
    Bleu_4: float
    distinct: float  # share of distinct captions
    self_bleu_4: float  # between images
    mutual_bleu_4: float  # between the samples of an image


def samplings(temperatures: Iterable[float], steps: int) -> list[Sampling]:
    """Return a search per temperature, the lowest first."""
    return [Sampling(SAMPLES, temperature, steps=steps) for temperature in sorted({*temperatures})]


def draw_batch(
    captioners: Sequence[Captioner],
    features: Sequence[Float[Tensor, "n _ _"]],
    image_ids: Sequence[ImageId],
    searches: Sequence[Sampling],
) -> list[tuple[ImageId, Drawn]]:
    """Sample every image at each temperature, 0 first, all with the same random numbers."""
    if not searches:
        return []
    said = [all_texts(search, captioners, features, image_ids) for search in searches]
    limit = all_texts(Greedy(searches[0].steps), captioners, features, image_ids)
    return [
        (image_id, [SAMPLES * limit[image_id], *(texts[image_id] for texts in said)])
        for image_id in image_ids
    ]


def curve(
    searches: Sequence[Sampling],
    drawn: Mapping[ImageId, Drawn],
    references: Mapping[ImageId, Sequence[str]],
) -> list[Point]:
    """Measure the samples at temperature 0, then at each other one."""
    if not searches:
        return []
    points = []
    with Scorer(("Bleu", "CIDEr")) as scorer:
        for place, temperature in enumerate([0.0, *(search.temperature for search in searches)]):
            samples = {image_id: each[place] for image_id, each in drawn.items()}
            points.append(measure(temperature, samples, references, scorer))
    return points


def measure(
    temperature: float,
    samples: Mapping[ImageId, Sequence[str]],
    references: Mapping[ImageId, Sequence[str]],
    scorer: Scorer,
) -> Point:
    """Measure samples of each image; the first represents it in comparisons of images."""
    first = {image_id: each[0] for image_id, each in samples.items()}
    scores = scorer.score(first, references).corpus
    words = [
        text.split() for text in tokenize([text for each in samples.values() for text in each])
    ]
    sets = [words[start : start + SAMPLES] for start in range(0, len(words), SAMPLES)]
    return Point(
        temperature,
        scores["CIDEr"],
        scores["Bleu_4"],
        distinct_captions(first.values()),
        mutual_bleu([[each[0] for each in sets]]),
        mutual_bleu(sets),
    )
