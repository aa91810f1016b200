"""Captions generated word by word: greedily or by sampling."""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from captioning.captioner import Captioner
from captioning.errors import InputError
from captioning.search.base import STEPS, Hypotheses, Search
from captioning.search.ensemble import Ensemble
from captioning.text import END, PAD

# Given the log probabilities of w tokens, pick a position in each row.
Choice: TypeAlias = Callable[[Float[Tensor, "b w"]], Int[Tensor, " b"]]


def draw(
    logits: Float[Tensor, "b w"], generator: torch.Generator | None = None
) -> Int[Tensor, " b"]:
    """Draw a position in each row with probability softmax(logits); never one at minus infinity.

    Inverting the cumulative sum takes one random number per row: on a CPU, this is several times
    cheaper than one per token, as torch.multinomial and the Gumbel trick need.
    """
    cumulative = logits.softmax(1).cumsum(1)
    numbers = torch.rand(len(logits), 1, generator=generator, device=logits.device)
    points = numbers * cumulative[:, -1:]
    return torch.searchsorted(cumulative, points, right=True).squeeze(1)


def likeliest(
    logits: Float[Tensor, "b w"], top_k: int | None, top_p: float | None
) -> tuple[Float[Tensor, "b k"], Int[Tensor, "b k"]]:
    """Return the logits and positions that may be drawn, the most likely first.

    These are the `top_k` largest, or all (Fan et al. 2018). Of these, `top_p` in (0, 1] keeps the
    smallest set with at least this probability (Holtzman et al. 2020): the logits of the others
    become minus infinity.
    """
    width = logits.shape[1]
    largest, places = logits.topk(width if top_k is None else min(top_k, width))
    if top_p is not None:
        probabilities = largest.softmax(1)
        before = probabilities.cumsum(1) - probabilities
        largest = largest.masked_fill(before >= top_p, -torch.inf)
    return largest, places


@torch.no_grad()
def say(
    ensemble: Ensemble,
    image_index: Int[Tensor, " b"],
    steps: int,
    choose: Choice,
    opening: Int[Tensor, "b _"] | None = None,
) -> tuple[Int[Tensor, "b t"], Float[Tensor, " b"]]:
    """Caption the images in `image_index`; `choose` picks among END and the words.

    A caption begins with the tokens of its `opening`, up to the first PAD there. Returns the
    tokens, with PAD after END, and the log probabilities.
    """
    totals = torch.zeros(len(image_index), device=image_index.device)

    def pick(
        t: int, running: Int[Tensor, " r"], log_probabilities: Float[Tensor, "r w"]
    ) -> Int[Tensor, " r"]:
        chosen = choose(log_probabilities) + END
        if opening is not None and t < opening.shape[1]:
            given = opening[running, t]
            chosen = torch.where(given == PAD, chosen, given)
        totals[running] += log_probabilities.gather(1, chosen[:, None] - END).squeeze(1)
        return chosen

    return ensemble.generate(image_index, steps, pick), totals


def roll_out(ensemble: Ensemble, samples: int, steps: int, choose: Choice) -> Hypotheses:
    """Generate `samples` captions of each image, all in one batch."""
    image_index = ensemble.images.repeat_interleave(samples)
    tokens, totals = say(ensemble, image_index, steps, choose)
    shape = (len(ensemble.images), samples)
    tokens, totals = tokens.unflatten(0, shape), totals.unflatten(0, shape)
    return Hypotheses(tokens, totals, totals, (tokens == END).any(2))


class Greedy(Search):
    """The most likely token at every step; scores are log probabilities."""

    def __init__(self, steps: int = STEPS) -> None:
        super().__init__(steps)

    def words(self) -> list[str]:
        """Return "greedy"."""
        return ["greedy"]

    def __call__(
        self,
        captioners: Sequence[Captioner],
        features: Sequence[Float[Tensor, "n _ _"]],
        generator: torch.Generator | None = None,
    ) -> Hypotheses:
        """Return one caption per image."""
        ensemble = Ensemble(captioners, features)
        return roll_out(ensemble, 1, self.steps, lambda scores: scores.argmax(1))


class Sampling(Search):
    """Independent samples of each image, in the order in which they were drawn.

    A `temperature` below one sharpens the probabilities, then `top_k` and `top_p` cut their tail;
    by default, samples follow the model's own distribution. Scores are log probabilities at
    temperature one, with the tail included.
    """

    def __init__(
        self,
        samples: int = 1,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        steps: int = STEPS,
    ) -> None:
        super().__init__(steps)
        if samples < 1:
            raise InputError(f"sampling needs samples of 1 or more, got {samples}")
        if not 1e-6 <= temperature < math.inf:
            raise InputError(
                f"sampling needs a finite temperature above 0, got {temperature}: 0 would be Greedy"
            )
        if top_k is not None and top_k < 1:
            raise InputError(f"sampling needs top_k of 1 or more, or null, got {top_k}")
        if top_p is not None and not 0 < top_p <= 1:
            raise InputError(f"sampling needs 0 < top_p <= 1, or null, got {top_p}")
        self.samples, self.temperature = samples, temperature
        self.top_k, self.top_p = top_k, top_p

    def words(self) -> list[str]:
        """Return, for example, "sampling", "t=1" and "top-k=5"."""
        words = ["sampling", f"t={self.temperature:g}"]
        if self.samples > 1:  # which changes the first, too
            words.append(f"samples={self.samples}")
        if self.top_k is not None:
            words.append(f"top-k={self.top_k}")
        if self.top_p is not None:
            words.append(f"top-p={self.top_p:g}")
        return words

    def __call__(
        self,
        captioners: Sequence[Captioner],
        features: Sequence[Float[Tensor, "n _ _"]],
        generator: torch.Generator | None = None,
    ) -> Hypotheses:
        """Draw `samples` captions per image."""

        def choose(log_probabilities: Float[Tensor, "b w"]) -> Int[Tensor, " b"]:
            logits = log_probabilities / self.temperature
            if self.top_k is None and self.top_p is None:
                return draw(logits, generator)
            logits, places = likeliest(logits, self.top_k, self.top_p)
            return places.gather(1, draw(logits, generator)[:, None]).squeeze(1)

        return roll_out(Ensemble(captioners, features), self.samples, self.steps, choose)
