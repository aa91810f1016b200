"""The pictures of a comparison, with what every row says of them, as the page holds them."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from captioning.comparison.compared import Pictures
from captioning.known_world import Scenes
from captioning.report.gallery import RANKED_BY, Thumbnail, thumbnail
from captioning.shapes.scene import Scene
from captioning.shapes.verdict import Verdict, judge

LONGEST = 192
"""Longest side of a picture, in pixels: about 12 kB a photograph inside a page."""


class Said(NamedTuple):
    """A row's caption.

    Attributes:
        caption: Of the row's first seed.
        score: CIDEr × 100; None where none was kept.
        fault: What is wrong with it where the true law is known; None: nothing, or not known.
    """

    caption: str
    score: float | None
    fault: str | None


class Picture(NamedTuple):
    """A picture; without a thumbnail where its file is missing or damaged.

    In JSON it is a list, as are its parts.
    """

    file: str
    thumbnail: Thumbnail | None
    said: Sequence[Said]
    references: Sequence[str]


def gallery(pictures: Pictures, count: int, scenes: Scenes) -> list[Picture]:
    """Give at most `count` pictures, drawn at random but always the same, in the split's order.

    Scenes are those of the shapes world, none elsewhere.
    """
    chosen = draw(len(pictures.examples), count)
    examples = [pictures.examples[place] for place in chosen]
    with ThreadPoolExecutor() as pool:  # decoding leaves Python to others
        files = (example.image for example in examples)
        thumbnails = list(pool.map(partial(thumbnail, longest=LONGEST), files))
    return [
        Picture(
            str(example.image),
            small,
            [
                Said(
                    captions[example.image_id],
                    score(pictures.scores[row], place),
                    fault(captions[example.image_id], scenes.get(example.image_id)),
                )
                for row, captions in pictures.captions.items()
            ],
            example.captions,
        )
        for place, example, small in zip(chosen, examples, thumbnails, strict=True)
    ]


def draw(images: int, count: int) -> list[int]:
    """Draw places of pictures, the same for any scores, so that no row is favoured."""
    if images <= count:
        return list(range(images))
    return sorted(np.random.default_rng(0).choice(images, count, replace=False).tolist())


def score(scores: Mapping[str, Float[ndarray, "seeds pictures"]], place: int) -> float | None:
    """Give a picture's CIDEr × 100, as the page shows it; None where there is no number."""
    if RANKED_BY not in scores or not np.isfinite(scores[RANKED_BY][0, place]):
        return None
    return round(100 * float(scores[RANKED_BY][0, place]), 1)


def fault(caption: str, scene: Scene | None) -> str | None:
    """Say what is wrong with a caption of a known scene; None where nothing is."""
    verdict = Verdict.TRUE if scene is None else judge(caption, scene)
    return None if verdict is Verdict.TRUE else verdict.value.replace("_", " ")
