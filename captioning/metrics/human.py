"""The human row of a table: one reference of each image, scored against its others."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar
from zlib import crc32

ImageId = TypeVar("ImageId", bound=Hashable)


def human(
    references: Mapping[ImageId, Sequence[str]],
) -> tuple[dict[ImageId, str], dict[ImageId, list[str]]]:
    """Hold one reference of each image out as a candidate: (candidates, remaining references).

    Which one follows from a checksum of the image's id, so that it depends neither on a seed nor on
    the other images, and all positions are drawn from (in some data sets they are annotators). An
    image with a single reference is left out, since nothing remains to compare it with: there are
    `len(references) - len(candidates)` of them.

    The row of a model has one more reference for each image, which favours the model a little.
    """
    candidates: dict[ImageId, str] = {}
    remaining: dict[ImageId, list[str]] = {}
    for image, captions in references.items():
        if len(captions) > 1:
            others = list(captions)
            candidates[image] = others.pop(crc32(str(image).encode()) % len(captions))
            remaining[image] = others
    return candidates, remaining
