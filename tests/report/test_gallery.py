"""The gallery: which images are shown, and how large."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from captioning.report.gallery import choose, thumbnail


def test_few_images_are_all_shown_in_their_order() -> None:
    assert choose([3, 1, 2], {1: 0.5}, 3, np.random.default_rng(0)) == {"All images": [3, 1, 2]}


def test_images_are_a_random_third_then_the_best_and_the_worst_of_the_others() -> None:
    scores = {f"{n}.jpg": n / 10 for n in range(20)}
    random, best, worst = choose(list(scores), scores, 9, np.random.default_rng(0)).values()
    others = [image for image in scores if image not in random]
    assert len(random) == 3
    assert best == others[::-1][:3]
    assert worst == others[:3]


def test_the_random_images_do_not_depend_on_the_scores() -> None:
    falling, rising = ({n: slope * n for n in range(20)} for slope in (-1.0, 1.0))
    chosen = [choose(list(s), s, 9, np.random.default_rng(0)) for s in (falling, rising)]
    assert chosen[0]["3 drawn at random"] == chosen[1]["3 drawn at random"]
    assert chosen[0] != chosen[1]


def test_without_scores_all_images_are_drawn_at_random() -> None:
    chosen = choose(list(range(20)), {}, 9, np.random.default_rng(0))
    assert list(chosen) == ["9 drawn at random"]
    assert len(set(chosen["9 drawn at random"])) == 9


def test_no_image_is_among_the_best_and_the_worst_where_few_have_scores() -> None:
    chosen = choose(list(range(100)), {1: 0.5, 2: 1.0, 3: 1.5}, 9, np.random.default_rng(0))
    shown = [image for images in chosen.values() for image in images]
    assert len(shown) == len(set(shown)) == 6


@pytest.mark.parametrize(
    ("size", "shown", "tiny"),
    [((32, 32), (32, 32), True), ((640, 320), (320, 160), False), ((100, 200), (100, 200), False)],
)
def test_large_images_are_made_small_and_tiny_ones_kept(
    tmp_path: Path, size: tuple[int, int], shown: tuple[int, int], tiny: bool
) -> None:
    Image.new("RGB", size).save(tmp_path / "image.png")
    made = thumbnail(tmp_path / "image.png")
    assert made is not None
    assert (made.width, made.height, made.tiny) == (*shown, tiny)
