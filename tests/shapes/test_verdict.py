"""Verdicts on captions, by examples written by hand."""

import pytest

from captioning.shapes.scene import Group, Kind, Scene
from captioning.shapes.verdict import judge

LONE_SCENE = Scene((Group(2, Kind("small", "red", "ring"), "left"),))
PAIR_SCENE = Scene(
    (
        Group(2, Kind("small", "red", "ring"), "top"),
        Group(1, Kind("large", "blue", "square"), "bottom"),
    )
)


@pytest.mark.parametrize(
    ("caption", "verdict"),
    [
        ("two red circles are on the left", "true"),
        ("two red rings is on the left", "ungrammatical"),
        ("the picture shows two rings off to the left", "ungrammatical"),
        ("two red rings are on the left on the left", "ungrammatical"),
        ("", "ungrammatical"),
        ("two blue rings are on the left", "false_attribute"),
        ("two squares are on the left", "false_attribute"),
        ("two large red rings are on the left", "false_attribute"),
        ("three squares are on the right", "false_attribute"),  # and the rest is wrong as well
        ("two red rings are left of a blue square", "false_attribute"),  # there is no square
        ("three red rings are on the left", "wrong_count"),
        ("look there is a ring off to the right", "wrong_count"),  # and wrong relation
        ("two red rings are at the top", "wrong_relation"),
    ],
)
def test_captions_of_one_group(caption, verdict):
    assert judge(caption, LONE_SCENE).value == verdict


@pytest.mark.parametrize(
    ("caption", "verdict"),
    [
        ("below two rings is a square", "true"),
        ("above two rings are a square", "ungrammatical"),
        ("a square is below two red rings", "ungrammatical"),  # one detail for both
        ("two blue rings are above a red square", "false_attribute"),  # colours exchanged
        ("a ring is above two squares", "wrong_count"),  # numbers exchanged
        ("two red rings are at the top", "wrong_count"),  # the square is left out
        ("a square is above two rings", "wrong_relation"),
        ("two rings are left of a square", "wrong_relation"),
    ],
)
def test_captions_of_two_groups(caption, verdict):
    assert judge(caption, PAIR_SCENE).value == verdict
