"""Captions over so few words that they share many: some empty, lengths ragged."""

import numpy as np


def soup(generator: np.random.Generator, images: int, words: int = 9) -> list[list[list[str]]]:
    """One to five captions of up to fourteen words for each image; the first image's are one."""
    sizes = [1, *generator.integers(1, 6, size=images - 1)]
    return [
        [
            [f"w{word}" for word in generator.integers(words, size=generator.integers(15))]
            for _ in range(size)
        ]
        for size in sizes
    ]
