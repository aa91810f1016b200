"""Verdicts: what, if anything, is wrong with a caption of a scene."""

from enum import Enum
from functools import cache

from captioning.shapes.grammar import Law, support
from captioning.shapes.scene import LONE, PAIRS, Kind, Scene


class Verdict(str, Enum):
    """The value is the name under which a report counts it."""

    TRUE = "true"
    UNGRAMMATICAL = "ungrammatical"
    FALSE_ATTRIBUTE = "false_attribute"
    WRONG_COUNT = "wrong_count"
    WRONG_RELATION = "wrong_relation"


def judge(caption: str, scene: Scene) -> Verdict:
    """The first of these that holds.

    - `TRUE`: the caption lies in the support of the scene's law.
    - `UNGRAMMATICAL`: it lies in the support of no scene at all.
    - `FALSE_ATTRIBUTE`: it names something (size, colour, shape) that the scene does not hold.
    - `WRONG_COUNT`: all that it names is there, in another number; a group left out counts too.
    - `WRONG_RELATION`: only places are wrong.

    A caption that leaves attributes open is read in the way that is kindest to it. The first call
    with a caption that is not true takes a second, for the laws of all scenes.
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
    """The law of every scene, with what it holds; a captioner that errs asks thousands of times."""
    return [(support(scene), _counts(scene)) for scene in LONE + PAIRS]


def _counts(scene: Scene) -> dict[Kind, int]:
    """How many things of each kind; no kind occurs in two groups of a scene."""
    return {group.kind: group.count for group in scene.groups}
