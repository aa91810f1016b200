"""Quality against diversity as the temperature of sampling goes up (Caccia et al. 2018)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from jaxtyping import Float
from torch import Tensor

from captioning.captioner import Captioner
from captioning.data.dataset import ImageId
from captioning.metrics import Scorer, distinct_captions, mutual_bleu, tokenize
from captioning.search import Greedy, Sampling, all_texts

SAMPLES = 5
"""Captions drawn of each picture: as many as pictures commonly have references."""

Drawn: TypeAlias = list[list[str]]
"""The samples of one picture at each temperature."""


class Point(NamedTuple):
    """What sampling gives at one temperature; all but `mutual_bleu_4` of one sample a picture."""

    temperature: float  # 0 for the greedy caption, to which samples tend
    CIDEr: float
    Bleu_4: float
    distinct: float  # share of captions unlike every other
    self_bleu_4: float  # between pictures
    mutual_bleu_4: float  # between the samples of a picture


def samplings(temperatures: Iterable[float], steps: int) -> list[Sampling]:
    """Give a search for each temperature, the lowest first."""
    return [Sampling(SAMPLES, temperature, steps=steps) for temperature in sorted({*temperatures})]


def draw_batch(
    captioners: Sequence[Captioner],
    features: Sequence[Float[Tensor, "n _ _"]],
    image_ids: Sequence[ImageId],
    searches: Sequence[Sampling],
) -> list[tuple[ImageId, Drawn]]:
    """Sample every picture at each temperature, 0 first. The draws are of the same numbers."""
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
    """Measure what was drawn at each temperature and, before them, at 0."""
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
    """Measure samples of each picture; the first stands for it beside other pictures."""
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
