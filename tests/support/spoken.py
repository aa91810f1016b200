"""Every caption that a captioner can say, with its probability: the truth about estimators."""

import itertools

import torch
from torch import Tensor

from captioning.batch import Captions
from captioning.captioner import Captioner
from captioning.text import END
from tests.support.builders import VOCABULARY

WORDS = range(END + 1, len(VOCABULARY))


def every_caption(steps: int) -> Captions:
    """Of the first image: all that end within so many tokens, and all that are cut off there."""
    shorter = [words for n in range(steps) for words in itertools.product(WORDS, repeat=n)]
    ended = [[*words, END] for words in shorter]
    cut = [list(words) for words in itertools.product(WORDS, repeat=steps)]
    return Captions.from_lists(ended + cut, [0] * len(ended + cut))


def said(captioner: Captioner, features: Tensor, captions: Captions) -> Tensor:
    """log Q of every word given those before it, "b t"; zeros at padding."""
    scores = captioner.decoder.logits(captioner(features, captions))[:, END:].log_softmax(1)
    return captions.unpack(scores.gather(1, captions.targets[:, None] - END).squeeze(1))


def place_in(every: Captions, captions: Captions) -> Tensor:
    """Which of every caption each is."""
    rows = [row[:length] for row, length in zip(every.tokens.tolist(), every.lengths, strict=True)]
    places = {tuple(row): place for place, row in enumerate(rows)}
    found = zip(captions.tokens.tolist(), captions.lengths, strict=True)
    return torch.tensor([places[tuple(row[:length])] for row, length in found])


def surprise(draws: Tensor, probabilities: Tensor) -> float:
    """How far counts are from what is expected, in standard deviations of chi-square.

    What is expected less than five times counts as one.
    """
    expected = probabilities.double() * len(draws)
    counts = draws.bincount(minlength=len(probabilities)).double()
    often = expected >= 5
    groups = [
        torch.cat([values[often], values[~often].sum()[None]]) for values in (counts, expected)
    ]
    squares = ((groups[0] - groups[1]) ** 2 / groups[1].clamp(min=1)).sum().item()
    freedom = int(often.sum())
    assert freedom > 3
    return float((squares - freedom) / (2 * freedom) ** 0.5)


# The seeds are fixed; chance alone exceeds this once in some ten thousand times.
LIKELY = 4.5
