"""The images on the page of a comparison, with every row's captions."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from captioning.comparison.compared import Images
from captioning.evaluation.known_world import Scenes
from captioning.report.gallery import RANKED_BY, Thumbnail, thumbnail
from captioning.shapes.scene import Scene
from captioning.shapes.verdict import Verdict, judge

LONGEST = 192
"""Longest side of an image, in pixels: about 12 kB per photograph inside a page."""


class Said(NamedTuple):
    """A row's caption; in JSON, a list.

    Attributes:
        caption: From the row's first seed.
        score: CIDEr × 100; None if none was saved.
        fault: What is wrong with it by the true law; None if nothing is, or if that is unknown.
    """

    caption: str
    score: float | None
    fault: str | None


class Image(NamedTuple):
    """An image; without a thumbnail if its file is missing or damaged."""

    file: str
    thumbnail: Thumbnail | None
    said: Sequence[Said]
    references: Sequence[str]


def gallery(images: Images, count: int, scenes: Scenes) -> list[Image]:
    """Return at most `count` images, drawn with a fixed seed, in the split's order.

    `scenes` is empty except in the shapes world.
    """
    chosen = draw(len(images.examples), count)
    examples = [images.examples[place] for place in chosen]
    with ThreadPoolExecutor() as pool:  # decoding releases the GIL
        files = (example.image for example in examples)
        thumbnails = list(pool.map(partial(thumbnail, longest=LONGEST), files))
    return [
        Image(
            str(example.image),
            small,
            [
                Said(
                    captions[example.image_id],
                    score(images.scores[row], place),
                    fault(captions[example.image_id], scenes.get(example.image_id)),
                )
                for row, captions in images.captions.items()
            ],
            example.captions,
        )
        for place, example, small in zip(chosen, examples, thumbnails, strict=True)
    ]


def draw(images: int, count: int) -> list[int]:
    """Draw indices of images independently of scores, so that no row is favoured."""
    if images <= count:
        return list(range(images))
    return sorted(np.random.default_rng(0).choice(images, count, replace=False).tolist())


def score(scores: Mapping[str, Float[ndarray, "seeds images"]], place: int) -> float | None:
    """Return an image's CIDEr × 100, rounded for the page; None if there is none."""
    if RANKED_BY not in scores or not np.isfinite(scores[RANKED_BY][0, place]):
        return None
    return round(100 * float(scores[RANKED_BY][0, place]), 1)


def fault(caption: str, scene: Scene | None) -> str | None:
    """Return what is wrong with a caption of a known scene; None if nothing is."""
    verdict = Verdict.TRUE if scene is None else judge(caption, scene)
    return None if verdict is Verdict.TRUE else verdict.value.replace("_", " ")
