"""The law of captions: exact, true, and dependent at long range."""

import math
import re
from collections import Counter
from itertools import product

import pytest
from numpy.random import default_rng

from captioning.shapes.grammar import choice, row, sample, support
from captioning.shapes.picture import centres
from captioning.shapes.scene import LONE, PAIRS, SCENES, Group, Kind, Scene

RING = Group(1, Kind("small", "red", "ring"), "left")
RINGS_OVER_SQUARE = Scene(
    (
        Group(2, Kind("small", "red", "ring"), "top"),
        Group(1, Kind("large", "blue", "square"), "bottom"),
    )
)
SOME_SCENES = LONE[::5] + PAIRS[::31]

# A slow reader of captions, which knows nothing of the grammar's code.

PHRASE = (
    r"(a|two|three)( small| tiny| large| big)?( red| green| blue| yellow)?"
    r" (ring|circle|square|block|triangle)(s?)"
)
PLACE = {
    "plain": r"(on the left|on the right|at the top|at the bottom)",
    "casual": r"(off to the left|off to the right|up top|down below)",
    "formal": r"located in the (left|right|upper|lower) part",
}
RELATION = {
    "plain": r"(left of|right of|above|below)",
    "casual": r"(on the left of|on the right of|over|under)",
    "formal": r"located (to the left of|to the right of|above|beneath)",
}
FRAMES = {
    "{thing} (?P<verb>is|are) {where}": "plain",
    "{where} (?P<verb>is|are) {thing}": "plain",
    "look there (?P<verb>is|are) {thing} {where}": "casual",
    "i see {thing} and (?P<verb>it is|they are) {where}": "casual",
    "the picture (?:shows|contains) {thing} {where}": "formal",
}
SINGULAR = ("is", "it is")
DIRECTIONS = {
    "left": ("left",),
    "right": ("right",),
    "top": ("top", "above", "over", "upper"),
    "bottom": ("bottom", "below", "down", "under", "beneath", "lower"),
}
SAME_WORDS = {"tiny": "small", "big": "large", "circle": "ring", "block": "square"}


def compiled(frame: str, register: str, pair: bool) -> re.Pattern[str]:
    where = f"(?P<where>{RELATION[register]}) (?P<other>{PHRASE})" if pair else PLACE[register]
    where = where if pair else f"(?P<where>{where})"
    return re.compile(frame.format(thing=f"(?P<thing>{PHRASE})", where=where))


PATTERNS = [
    compiled(frame, register, pair)
    for (frame, register), pair in product(FRAMES.items(), (False, True))
]


def read(caption: str) -> dict[str, str | None]:
    """Verb, thing, where and other, by the one pattern that fits the caption."""
    (match,) = [m for m in (pattern.fullmatch(caption) for pattern in PATTERNS) if m]
    return match.groupdict()


def named(phrase: str, things: list[tuple[Kind, float, float]]) -> list[tuple[float, float]]:
    """The middles of the things that a noun phrase speaks of, having checked their number."""
    match = re.fullmatch(PHRASE, phrase)
    assert match
    numeral, size, colour, noun, ending = match.groups()
    words = {SAME_WORDS.get(w.strip(), w.strip()) for w in (size, colour, noun) if w}
    found = [(x, y) for kind, x, y in things if words <= set(kind)]
    assert len(found) == {"a": 1, "two": 2, "three": 3}[numeral]
    assert (ending == "") == (numeral == "a")
    return found


def is_true(caption: str, scene: Scene) -> bool:
    """By the coordinates of the things, not by the names of their places."""
    generator = default_rng(0)
    things = [(g.kind, x, y) for g in scene.groups for x, y in centres(g, generator)]
    parts = read(caption)
    here = named(str(parts["thing"]), things)
    there = named(str(parts["other"]), things) if parts.get("other") else [(16.0, 16.0)]
    if parts.get("verb"):
        assert (parts["verb"] in SINGULAR) == (len(here) == 1)
    (direction,) = [
        name for name, words in DIRECTIONS.items() if set(words) & set(str(parts["where"]).split())
    ]
    axis, sign = {"left": (0, -1), "right": (0, 1), "top": (1, -1), "bottom": (1, 1)}[direction]
    said = len(here) + (len(there) if parts.get("other") else 0)
    return said == len(things) and all(
        sign * (mine[axis] - yours[axis]) > 2 for mine in here for yours in there
    )


def test_laws_add_up_over_derivations_and_multiply_along_a_row():
    law = choice((0.5, row("a", {"b": 0.25, "c": 0.75})), (0.5, {"a b": 1.0}))
    assert law == {"a b": 0.625, "a c": 0.375}


@pytest.mark.parametrize("scenes", [LONE, PAIRS])
def test_the_probabilities_of_a_scene_sum_to_one(scenes):
    for scene in scenes:
        assert abs(math.fsum(support(scene).values()) - 1) < 1e-12


def test_a_caption_of_one_thing_has_the_probability_worked_by_hand():
    # no attributes .25, plain order .3, "ring" .7
    probability = 0.25 * 0.3 * 0.7
    law = support(Scene((RING,)))
    assert law["a ring is on the left"] == pytest.approx(probability, rel=1e-12)


def test_a_caption_of_two_groups_has_the_probability_worked_by_hand():
    # subject .5, all attributes .35, inverted .15, "tiny" .4, "rings" .7, "big" .4, "block" .3
    probability = 0.5 * 0.35 * 0.15 * (0.4 * 0.7) * (0.4 * 0.3)
    caption = "below two tiny red rings is a big blue block"
    assert support(RINGS_OVER_SQUARE)[caption] == pytest.approx(probability, rel=1e-12)


@pytest.mark.parametrize(
    "caption",
    [
        "a ring is on the right",  # untrue
        "a ring are on the left",  # number
        "look there is a ring on the left",  # the plain place after the casual opening
        "a small ring is on the left",  # the size is never told without the colour
        "",
    ],
)
def test_a_caption_outside_the_support_has_probability_zero(caption):
    assert caption not in support(Scene((RING,)))


def test_supports_hold_tens_to_hundreds_of_captions_of_six_to_seventeen_words():
    sizes = [len(support(scene)) for scene in SCENES]
    lengths = {len(caption.split()) for scene in SOME_SCENES for caption in support(scene)}
    assert (min(sizes), max(sizes)) == (24, 288)
    assert (min(lengths), max(lengths)) == (6, 17)


def test_every_caption_is_true_and_agrees_in_number_and_register():
    for scene in SOME_SCENES:
        for caption in support(scene):
            assert is_true(caption, scene), (caption, scene)


def test_the_slow_reader_knows_a_false_caption():
    assert is_true("two rings are above a square", RINGS_OVER_SQUARE)
    assert not is_true("two rings are left of a square", RINGS_OVER_SQUARE)


def test_the_second_noun_phrase_says_as_much_as_the_first():
    for scene in PAIRS[::31]:
        for caption in support(scene):
            first, second = (match.groups()[1:3] for match in re.finditer(PHRASE, caption))
            assert [bool(word) for word in first] == [bool(word) for word in second]


def test_a_caption_that_names_all_attributes_is_true_of_one_scene_only():
    seen = Counter(
        caption
        for scene in SCENES
        for caption in support(scene)
        if re.search("small|tiny|large|big", caption)
    )
    assert set(seen.values()) == {1}


def test_samples_follow_the_law():
    scene = Scene((Group(3, Kind("large", "green", "triangle"), "top"),))
    draws, law, generator = 20_000, support(scene), default_rng(0)
    counts = Counter(sample(scene, generator) for _ in range(draws))
    assert counts.keys() == law.keys()
    # Pearson's statistic of 24 captions, each expected 280 times or more, is chi-square with 23
    # degrees of freedom: above 49.7 once in a thousand seeds, and this seed is fixed.
    statistic = sum((counts[c] - draws * p) ** 2 / (draws * p) for c, p in law.items())
    assert statistic < 49.7


def test_the_same_seed_gives_the_same_captions():
    first, second = default_rng(3), default_rng(3)
    assert [sample(RINGS_OVER_SQUARE, first) for _ in range(9)] == [
        sample(RINGS_OVER_SQUARE, second) for _ in range(9)
    ]
