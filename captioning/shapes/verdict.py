"""Verdicts: what, if anything, is wrong with a caption of a scene."""

from enum import Enum
from functools import cache

from captioning.shapes.grammar import Law, support
from captioning.shapes.scene import LONE, PAIRS, Kind, Scene


class Verdict(str, Enum):
    """A verdict on a caption; its value is its name in reports."""

    TRUE = "true"
    UNGRAMMATICAL = "ungrammatical"
    FALSE_ATTRIBUTE = "false_attribute"
    WRONG_COUNT = "wrong_count"
    WRONG_RELATION = "wrong_relation"


def judge(caption: str, scene: Scene) -> Verdict:
    """Return the first of these verdicts that holds.

    - `TRUE`: the caption is in the support of the scene's law.
    - `UNGRAMMATICAL`: it is not in the support of any scene.
    - `FALSE_ATTRIBUTE`: it names something (size, colour, shape) that is not in the scene.
    - `WRONG_COUNT`: everything named is there, but in other numbers; so is a group left out.
    - `WRONG_RELATION`: only places are wrong.

    A caption that leaves attributes open gets the most favourable reading. The first call with a
    caption that is not true takes a second, to enumerate the laws of all scenes.
    """
    if caption in support(scene):
        return Verdict.TRUE
    readings = [counts for law, counts in _laws() if caption in law]
    if not readings:
        return Verdict.UNGRAMMATICAL
    truth = _counts(scene)
    if not any(reading.keys() <= truth.keys() for reading in readings):
        return Verdict.FALSE_ATTRIBUTE
    return Verdict.WRONG_RELATION if truth in readings else Verdict.WRONG_COUNT


@cache
def _laws() -> list[tuple[Law, dict[Kind, int]]]:
    """Return the law and the counts of every scene; cached, as false captions need them often."""
    return [(support(scene), _counts(scene)) for scene in LONE + PAIRS]


def _counts(scene: Scene) -> dict[Kind, int]:
    """Count the things of each kind; no kind occurs in two groups of a scene."""
    return {group.kind: group.count for group in scene.groups}
