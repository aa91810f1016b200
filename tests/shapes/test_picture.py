"""Pictures of scenes show what the scene holds."""

import numpy as np
import pytest
from numpy.random import default_rng

from captioning.shapes.picture import PAINTS, SIDE, coverage, draw
from captioning.shapes.scene import LONE, PAIRS, Group, Kind, Scene

AXES = {"left": (1, -1), "right": (1, 1), "top": (0, -1), "bottom": (0, 1)}


def figure(picture):
    """Where the picture is not ground: far from its median grey in some channel."""
    return np.abs(picture - np.median(picture, axis=(0, 1))).max(axis=2) > 40


def test_the_same_seed_gives_the_same_picture():
    assert (draw(PAIRS[0], default_rng(1)) == draw(PAIRS[0], default_rng(1))).all()


def test_two_drawings_of_a_scene_differ_by_more_than_noise():
    generator = default_rng(0)
    first, second = (draw(PAIRS[0], generator).astype(float) for _ in range(2))
    assert np.abs(first - second).max() > 50  # noise has a standard deviation of 6


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        ("ring", np.pi * (1 - 0.5**2)),
        ("square", 1.8**2),
        ("triangle", 0.75 * np.sqrt(3) * 1.3**2),
    ],
)
def test_coverage_adds_up_to_the_area_of_the_shape(shape, area):
    # Distances to a corner are short by a fraction of a pixel: within 2% at a radius of 8.
    assert coverage(shape, 16.2, 15.9, 8.0).sum() == pytest.approx(area * 8**2, rel=0.02)


def test_things_stand_at_their_place_in_their_colour():
    generator = default_rng(0)
    for scene in LONE:
        (group,) = scene.groups
        picture = draw(scene, generator).astype(float)
        mask = figure(picture)
        axis, sign = AXES[group.place]
        assert sign * (np.argwhere(mask).mean(axis=0)[axis] - SIDE / 2) > 4
        paint = np.median(picture[mask], axis=0)
        nearest = min(PAINTS, key=lambda name: np.linalg.norm(paint - PAINTS[name]))
        assert nearest == group.kind.colour


def test_more_and_larger_things_cover_more_of_the_picture():
    generator = default_rng(0)

    def area(count, size, shape):
        scene = Scene((Group(count, Kind(size, "red", shape), "top"),))
        return np.mean([figure(draw(scene, generator)).sum() for _ in range(20)])

    for shape in ("ring", "square", "triangle"):
        assert 1.5 * area(1, "small", shape) < area(1, "large", shape)
        assert 1.7 * area(1, "small", shape) < area(2, "small", shape) < area(3, "small", shape)


def test_pictures_are_small_and_in_colour():
    picture = draw(LONE[0], default_rng(0))
    assert picture.shape == (32, 32, 3)
    assert picture.dtype == np.uint8
