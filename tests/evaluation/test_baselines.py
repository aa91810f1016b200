"""Captions without a language model, by hand."""

from pathlib import Path

import numpy as np

from captioning.data.dataset import Example
from captioning.evaluation.baselines import TOGETHER, most_common_caption, nearest


def test_of_captions_said_equally_often_the_first_by_the_alphabet_is_the_most_common() -> None:
    said = [("a dog", "a cat"), ("a cat", "a dog"), ("a ball",)]
    examples = [Example(place, Path(), captions) for place, captions in enumerate(said)]
    assert most_common_caption(examples) == "a cat"


def test_the_nearest_training_image_has_the_greatest_cosine_and_of_equals_is_the_first() -> None:
    trained = {
        "east": np.array([1.0, 0.0], np.float32),
        "north": np.array([0.0, 1.0], np.float32),
        "east again": np.array([1.0, 0.0], np.float32),
    }
    images = {1: np.array([0.8, 0.6], np.float32), 2: np.array([0.6, 0.8], np.float32)}
    assert nearest(images, trained) == {1: "east", 2: "north"}


def test_more_images_than_are_compared_at_once_each_find_their_own() -> None:
    angles = np.linspace(0, 3, 2 * TOGETHER + 1)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    images = dict(enumerate(circle))
    assert nearest(images, {-place: each for place, each in images.items()}) == {
        place: -place for place in images
    }
