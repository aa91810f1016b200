"""Scenes: the content of pictures in the shapes world, before they are drawn or described."""

from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np

SIZES = ("small", "large")
COLOURS = ("red", "green", "blue", "yellow")
SHAPES = ("ring", "square", "triangle")
OPPOSITES = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}


class Kind(NamedTuple):
    """The attributes shared by the things of one group."""

    size: str
    colour: str
    shape: str


@dataclass(frozen=True)
class Group:
    """One to three things of one kind, side by side along one edge of the picture."""

    count: int
    kind: Kind
    place: str


@dataclass(frozen=True)
class Scene:
    """One group, or two groups of different shapes at opposite places: at most three things.

    The left or upper one of two groups comes first, so that equal scenes compare equal.
    """

    groups: tuple[Group, ...]


KINDS = tuple(Kind(*attributes) for attributes in product(SIZES, COLOURS, SHAPES))
LONE = tuple(
    Scene((Group(count, kind, place),))
    for count, kind, place in product((1, 2, 3), KINDS, OPPOSITES)
)
PAIRS = tuple(
    Scene((Group(counts[0], first, place), Group(counts[1], second, OPPOSITES[place])))
    for counts, first, second, place in product(
        ((1, 1), (1, 2), (2, 1)), KINDS, KINDS, ("left", "top")
    )
    if first.shape != second.shape
)
SCENES = frozenset(LONE + PAIRS)


def random_scene(generator: np.random.Generator) -> Scene:
    """Draw one group or two with equal probability, then any such scene with equal probability."""
    scenes = (LONE, PAIRS)[generator.integers(2)]
    return scenes[generator.integers(len(scenes))]


def to_json(scene: Scene) -> list[dict[str, Any]]:
    """Return one flat record per group: count, size, colour, shape, place."""
    return [
        {"count": group.count, **group.kind._asdict(), "place": group.place}
        for group in scene.groups
    ]


def from_json(records: list[dict[str, Any]]) -> Scene:
    """Invert `to_json`; KeyError or ValueError if the result is not a scene of this world."""
    scene = Scene(
        tuple(
            Group(record["count"], Kind(*(record[name] for name in Kind._fields)), record["place"])
            for record in records
        )
    )
    if scene not in SCENES:
        raise ValueError(f"no scene of this world: {records}")
    return scene
