"""The grammar of the shapes world: the exact law P(caption | scene).

Captions have three long-range dependencies. The opening chooses a register, which decides the
preposition at the other end ("look there is ... over ..." but "the picture shows ... located above
..."). The subject's number decides verb and pronoun, across the other noun phrase if the order is
inverted ("above two squares is a ring"). And the first noun phrase decides how much is said about
the second.
"""

import math
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np

from captioning.shapes.scene import Group, Kind, Scene

Law = Mapping[str, float]
"""A distribution over strings: the probability of each."""


def choice(*options: tuple[float, Law]) -> Law:
    """Return the mixture of laws, each with the probability that precedes it."""
    return _gather((text, chance * share) for chance, law in options for text, share in law.items())


def row(*parts: str | Law) -> Law:
    """Return the law of the parts in sequence, drawn independently of each other."""
    laws: list[Law] = [{part: 1.0} if isinstance(part, str) else part for part in parts]
    outcomes = (zip(*words, strict=True) for words in product(*(law.items() for law in laws)))
    return _gather((" ".join(texts), math.prod(chances)) for texts, chances in outcomes)


def _gather(outcomes: Iterable[tuple[str, float]]) -> Law:
    """Add the probabilities of equal strings."""
    law: dict[str, float] = {}
    for text, chance in outcomes:
        law[text] = law.get(text, 0.0) + chance
    return law


class Register(NamedTuple):
    """A style of speech: its words for the place of a group, absolute or relative to another."""

    places: Mapping[str, str]
    relations: Mapping[str, str]


PLAIN = Register(
    places={
        "left": "on the left",
        "right": "on the right",
        "top": "at the top",
        "bottom": "at the bottom",
    },
    relations={"left": "left of", "right": "right of", "top": "above", "bottom": "below"},
)
CASUAL = Register(
    places={
        "left": "off to the left",
        "right": "off to the right",
        "top": "up top",
        "bottom": "down below",
    },
    relations={
        "left": "on the left of",
        "right": "on the right of",
        "top": "over",
        "bottom": "under",
    },
)
FORMAL = Register(
    places={
        "left": "located in the left part",
        "right": "located in the right part",
        "top": "located in the upper part",
        "bottom": "located in the lower part",
    },
    relations={
        "left": "located to the left of",
        "right": "located to the right of",
        "top": "located above",
        "bottom": "located beneath",
    },
)

NUMERALS = {1: "a", 2: "two", 3: "three"}
ADJECTIVES: Mapping[str, Law] = {
    "small": {"small": 0.6, "tiny": 0.4},
    "large": {"large": 0.6, "big": 0.4},
}
NOUNS: Mapping[str, Law] = {
    "ring": {"ring": 0.7, "circle": 0.3},
    "square": {"square": 0.7, "block": 0.3},
    "triangle": {"triangle": 1.0},
}
DETAILS = ((0.25, ()), (0.4, ("colour",)), (0.35, ("size", "colour")))
"""The attributes that a caption names, with their probability."""


@cache
def support(scene: Scene) -> Law:
    """Return every caption of the scene with its probability; they sum to one.

    Each of the scene's groups is the subject with equal probability.
    """
    return choice(
        *(
            (chance / len(scene.groups), _sentence(subject, scene, detail))
            for subject in scene.groups
            for chance, detail in DETAILS
        )
    )


def sample(scene: Scene, generator: np.random.Generator) -> str:
    """Draw a caption from the law of the scene."""
    law = support(scene)
    return list(law)[generator.choice(len(law), p=list(law.values()))]


def _sentence(subject: Group, scene: Scene, detail: tuple[str, ...]) -> Law:
    """Describe the subject and its place, relative to the other group if there is one."""
    things = _noun_phrase(subject.count, subject.kind, detail)
    others = [_noun_phrase(o.count, o.kind, detail) for o in scene.groups if o != subject]
    verb, pronoun = ("is", "it") if subject.count == 1 else ("are", "they")
    plain, casual, formal = (
        (register.relations if others else register.places)[subject.place]
        for register in (PLAIN, CASUAL, FORMAL)
    )
    return choice(
        (0.30, row(things, verb, plain, *others)),
        (0.15, row(plain, *others, verb, things)),
        (0.15, row("look there", verb, things, casual, *others)),
        (0.15, row("i see", things, "and", pronoun, verb, casual, *others)),
        (0.15, row("the picture shows", things, formal, *others)),
        (0.10, row("the picture contains", things, formal, *others)),
    )


@cache
def _noun_phrase(count: int, kind: Kind, detail: tuple[str, ...]) -> Law:
    """Return the law of a noun phrase such as "two big red rings"."""
    adjectives: dict[str, str | Law] = {"size": ADJECTIVES[kind.size], "colour": kind.colour}
    ending = "" if count == 1 else "s"
    nouns = {noun + ending: chance for noun, chance in NOUNS[kind.shape].items()}
    return row(NUMERALS[count], *(adjectives[attribute] for attribute in detail), nouns)
