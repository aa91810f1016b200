"""The gallery: images with their generated and reference captions."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from captioning.data.dataset import ImageId
from captioning.data.image import open_image
from captioning.data.paths import locate
from captioning.errors import InputError
from captioning.report.html import data_address
from captioning.runs import Evaluation

THUMBNAIL = 320
"""Longest side of an embedded image, in pixels: about 15 kB per photograph."""

TINY = 96
"""Up to this size an image is embedded unchanged, and shown enlarged with sharp pixels."""

RANKED_BY = "CIDEr"

Chosen = dict[str, list[ImageId]]
"""Images by a description of how they were chosen."""


class Thumbnail(NamedTuple):
    """An image embedded in the page."""

    address: str
    width: int
    height: int
    tiny: bool


class Said(NamedTuple):
    """A caption by the model, and its score times 100 if known."""

    search: str
    caption: str
    score: float | None


class Card(NamedTuple):
    """One image; without a thumbnail if its file is missing or damaged."""

    image_id: ImageId
    file: str
    thumbnail: Thumbnail | None
    said: tuple[Said, ...]
    references: tuple[str, ...]


def choose(
    images: Sequence[ImageId],
    scores: Mapping[ImageId, float],
    count: int,
    generator: np.random.Generator,
) -> Chosen:
    """Choose a third of the images at random, a third as the best of the others, a third the worst.

    The random third shows what the model's captions are usually like. Images without a score are
    never among the best and worst; if there are at most `count` images, all are shown.
    """
    if len(images) <= count:
        return {"All images": list(images)}
    extremes = count // 3 if scores else 0
    places = generator.choice(len(images), count - 2 * extremes, replace=False)
    random = [images[place] for place in sorted(places)]
    others = [image for image in images if image in scores and image not in random]
    ranked = sorted(others, key=lambda image: scores[image])
    chosen = {
        f"{len(random)} drawn at random": random,
        "The best of the others": ranked[extremes:][::-1][:extremes],
        "The worst of the others": ranked[:extremes],
    }
    return {title: members for title, members in chosen.items() if members}


def gallery(evaluations: Sequence[Evaluation], count: int) -> dict[str, list[Card]]:
    """Make cards of at most `count` images, by a description of how they were chosen.

    The first evaluation determines the choice and ranking; captions of the others come below.
    """
    results = {evaluation.search: evaluation.captions() for evaluation in evaluations}
    scores = {evaluation.search: evaluation.scores() for evaluation in evaluations}
    captioned = results[evaluations[0].search]
    examples = {e.image_id: e for e in evaluations[0].references() if e.image_id in captioned}

    def score(search: str, image: ImageId) -> float | None:
        return scores[search].get(str(image), {}).get(RANKED_BY)

    def card(image: ImageId) -> Card:
        said = (
            Said(search, captions[image], score(search, image))
            for search, captions in results.items()
            if image in captions
        )
        file = examples[image].image
        return Card(image, str(file), thumbnail(file), tuple(said), examples[image].captions)

    ranks = {image: score(evaluations[0].search, image) for image in examples}
    known = {image: rank for image, rank in ranks.items() if rank is not None}
    chosen = choose(list(examples), known, count, np.random.default_rng(0))
    return {title: [card(image) for image in images] for title, images in chosen.items()}


def thumbnail(file: Path, longest: int = THUMBNAIL) -> Thumbnail | None:
    """Shrink an image; None if it is missing or damaged."""
    try:
        image = open_image(locate(file))
    except InputError:
        return None
    tiny = max(image.size) <= TINY
    content = io.BytesIO()
    if tiny:
        image.save(content, format="PNG")
    else:
        image.thumbnail((longest, longest))
        image.save(content, format="JPEG", quality=80)
    kind = "png" if tiny else "jpeg"
    return Thumbnail(data_address(kind, content.getvalue()), *image.size, tiny)
