"""Draw a scene as a small picture, with random variation."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, UInt8

from captioning.shapes.scene import Group, Scene

SIDE = 32
"""Height and width of a picture in pixels, the unit of every length here."""

RADII = {"small": 3.0, "large": 4.6}
PAINTS = {
    "red": (215, 45, 40),
    "green": (40, 165, 60),
    "blue": (50, 80, 215),
    "yellow": (230, 205, 50),
}
OFFSETS = {"left": (-8.0, 0.0), "right": (8.0, 0.0), "top": (0.0, -8.0), "bottom": (0.0, 8.0)}
"""From the centre of the picture to that of a group: x to the right, y downwards."""

Plane = Float[np.ndarray, "32 32"]

DISTANCES: dict[str, Callable[[Plane, Plane, float], Plane]] = {
    "ring": lambda x, y, radius: np.abs(np.hypot(x, y) - 0.75 * radius) - 0.25 * radius,
    "square": lambda x, y, radius: np.maximum(np.abs(x), np.abs(y)) - 0.9 * radius,
    "triangle": lambda x, y, radius: (
        np.maximum(y, np.sqrt(0.75) * np.abs(x) - 0.5 * y) - 0.65 * radius
    ),
}
"""Signed distance to the outline, negative inside, of a shape centred at the origin."""


def draw(scene: Scene, generator: np.random.Generator) -> UInt8[np.ndarray, "32 32 3"]:
    """Draw antialiased shapes on grey, with jitter in place, size and paint, and additive noise."""
    picture = np.full((SIDE, SIDE, 3), generator.uniform(90, 150))
    for group in scene.groups:
        for x, y in centres(group, generator):
            radius = RADII[group.kind.size] * generator.uniform(0.93, 1.07)
            paint = PAINTS[group.kind.colour] + generator.normal(0, 12, size=3)
            opacity = coverage(group.kind.shape, x, y, radius)[..., None]
            picture = opacity * paint + (1 - opacity) * picture
    picture += generator.normal(0, 6, size=picture.shape)
    return picture.round().clip(0, 255).astype(np.uint8)


def centres(group: Group, generator: np.random.Generator) -> Float[np.ndarray, "count 2"]:
    """Return positions in a row at the top or bottom or a column at a side, ten pixels apart."""
    offset = np.array(OFFSETS[group.place])
    along = (offset[::-1] != 0).astype(float)
    steps = 10.0 * (np.arange(group.count) - (group.count - 1) / 2)
    middle = SIDE / 2 + offset + generator.uniform(-1.0, 1.0, size=2)
    things: Float[np.ndarray, "count 2"] = middle + steps[:, None] * along
    return things + generator.uniform(-0.5, 0.5, size=things.shape)


def coverage(shape: str, x: float, y: float, radius: float) -> Plane:
    """Return the share of each pixel, in [0, 1], that the shape covers."""
    down, right = np.mgrid[:SIDE, :SIDE] + 0.5
    distance = DISTANCES[shape](right - x, down - y, radius)
    return (0.5 - distance).clip(0, 1)
