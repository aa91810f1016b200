"""The human row of a table: one reference per image, scored against the others."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar
from zlib import crc32

ImageId = TypeVar("ImageId", bound=Hashable)


def human(
    references: Mapping[ImageId, Sequence[str]],
) -> tuple[dict[ImageId, str], dict[ImageId, list[str]]]:
    """Hold out one reference of each image as a candidate: (candidates, remaining references).

    A checksum of the image's id decides which one, so that it depends neither on a seed nor on the
    other images, and all positions are used (in some data sets they correspond to annotators).
    Images with a single reference are left out, since nothing remains to compare it with: there are
    `len(references) - len(candidates)` of them.

    A model is scored against one more reference per image, which favours it slightly.
    """
    candidates: dict[ImageId, str] = {}
    remaining: dict[ImageId, list[str]] = {}
    for image, captions in references.items():
        if len(captions) > 1:
            others = list(captions)
            candidates[image] = others.pop(crc32(str(image).encode()) % len(captions))
            remaining[image] = others
    return candidates, remaining
