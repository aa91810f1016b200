"""The images that the page of a comparison holds."""

from pathlib import Path

import numpy as np

from captioning.comparison.compared import read_images
from captioning.comparison.gallery import Said, draw, fault, gallery, score
from captioning.shapes.scene import Group, Kind, Scene
from tests.comparison.tiny_comparison import compared


def test_images_are_drawn_at_random_but_always_the_same_and_keep_their_order() -> None:
    assert draw(3, 3) == [0, 1, 2]
    few = draw(100, 10)
    assert few == sorted(set(few)) == draw(100, 10)
    assert len(few) == 10
    assert few != list(range(10))
    assert draw(3, 0) == []


def test_each_image_has_every_rows_caption_with_the_score_of_the_first_seed(
    tmp_path: Path,
) -> None:
    base = compared(tmp_path, "base", [[1.0, 2.0, 3.0], [9.0, 9.0, 9.0]])
    other = compared(tmp_path, "other", [[0.12345, 0.0, 0.0]], ["a cat"])
    first, *_ = gallery(read_images([base, other]), 10, {})
    assert first.said == [Said("a red dog", 100.0, None), Said("a cat", 12.3, None)]
    assert first.references == ("a red dog",)
    assert first.thumbnail is not None
    assert first.thumbnail.tiny


def test_what_is_no_number_is_no_score() -> None:
    assert score({}, 0) is None
    assert score({"CIDEr": np.array([[np.nan, 0.5]])}, 0) is None
    assert score({"CIDEr": np.array([[np.nan, 0.5], [1.0, 1.0]])}, 1) == 50.0


def test_a_fault_is_told_where_the_scene_is_known() -> None:
    scene = Scene((Group(1, Kind("small", "red", "ring"), "top"),))
    assert fault("a red ring is at the top", scene) is None
    assert fault("words words", None) is None
