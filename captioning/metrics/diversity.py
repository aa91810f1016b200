"""How varied captions are, whatever they say."""

from __future__ import annotations

from collections.abc import Collection


def distinct_captions(captions: Collection[str]) -> float:
    """The share in (0, 1] of captions that are unlike every earlier one, letter by letter.

    It falls as captions are added, so compare it only over equally many pictures.
    """
    return len(set(captions)) / len(captions)
