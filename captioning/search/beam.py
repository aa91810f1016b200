"""Beam search over all images in one batch."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from captioning.captioner import Captioner
from captioning.errors import InputError
from captioning.search.base import STEPS, Hypotheses, Search
from captioning.search.ensemble import Ensemble, States
from captioning.text import BEGIN, END, PAD


class Beams(NamedTuple):
    """The k captions held for each image, finished or not, the best first."""

    tokens: Int[Tensor, "n k t"]  # PAD where there is no token yet
    log_probabilities: Float[Tensor, "n k"]  # minus infinity where no caption is held

    @property
    def finished(self) -> Bool[Tensor, "n k"]:
        """True where a caption has reached END."""
        return (self.tokens == END).any(2) & self.log_probabilities.isfinite()

    @property
    def lengths(self) -> Int[Tensor, "n k"]:
        """The number of tokens so far."""
        return (self.tokens != PAD).sum(2)


def no_beams(images: Int[Tensor, " n"], size: int, steps: int) -> Beams:
    """Return a single empty beam per image."""
    shape = (len(images), size)
    log_probabilities = torch.full(shape, -torch.inf, device=images.device)
    log_probabilities[:, 0] = 0
    return Beams(images.new_full((*shape, steps), PAD), log_probabilities)


def length_penalty(lengths: Int[Tensor, "*b"], alpha: float) -> Float[Tensor, "*b"]:
    """Return ((5 + length) / 6)^alpha, which divides log probabilities (Wu et al. 2016, eq. 14)."""
    return ((5 + lengths) / 6) ** alpha


def without_repeated_trigrams(
    log_probabilities: Float[Tensor, "b w"], tokens: Int[Tensor, "b t"]
) -> Float[Tensor, "b w"]:
    """Rule out tokens that would repeat three tokens in a row (Paulus et al. 2018)."""
    same = (tokens[:, :-2] == tokens[:, -2:-1]) & (tokens[:, 1:-1] == tokens[:, -1:])
    rows, places = (same & (tokens[:, 2:] != PAD)).nonzero(as_tuple=True)
    never = log_probabilities.new_tensor(-torch.inf)
    return log_probabilities.index_put((rows, tokens[rows, places + 2] - END), never)


def extend(
    beams: Beams, log_probabilities: Float[Tensor, "rows w"], t: int, alpha: float
) -> tuple[Beams, Int[Tensor, "n k"]]:
    """Return each image's best beams with one more token, at t, and the beam that each extends.

    `log_probabilities` has a row per beam, or one for all beams of an image. A finished caption has
    a single continuation, itself, for as long as it is among the best.
    """
    n, size, _ = beams.tokens.shape
    choices = min(size, log_probabilities.shape[1])
    likeliest, places = log_probabilities.topk(choices)
    likeliest, words = likeliest.unflatten(0, (n, -1)), (places + END).unflatten(0, (n, -1))
    finished = beams.finished[:, :, None]
    stay = likeliest.new_full((choices,), -torch.inf)
    stay[0] = 0
    totals = beams.log_probabilities[:, :, None] + torch.where(finished, stay, likeliest)
    lengths = beams.lengths[:, :, None] + ~finished
    order = (totals / length_penalty(lengths, alpha)).flatten(1).topk(size).indices
    parents = order // choices
    tokens = beams.tokens.take_along_dim(parents[:, :, None], dim=1)
    tokens[:, :, t] = torch.where(finished, PAD, words).flatten(1).gather(1, order)
    return Beams(tokens, totals.flatten(1).gather(1, order)), parents


def settled(beams: Beams, keep: int, alpha: float) -> Bool[Tensor, " n"]:
    """Return for which images no running beam can still join the `keep` best finished captions.

    A log probability can only fall, and is divided by at most the penalty of the longest caption.
    """
    longest = torch.full_like(beams.lengths, beams.tokens.shape[2])
    scores = beams.log_probabilities / length_penalty(beams.lengths, alpha)
    ceilings = beams.log_probabilities / length_penalty(longest, alpha)
    never = -torch.inf
    worst_kept = scores.masked_fill(~beams.finished, never).topk(keep).values[:, -1]
    return ceilings.masked_fill(beams.finished, never).amax(1) <= worst_kept


def best(beams: Beams, keep: int, alpha: float) -> Hypotheses:
    """Return the `keep` best captions, finished ones before those cut off."""
    order = beams.finished.int().argsort(dim=1, descending=True, stable=True)[:, :keep]
    tokens = beams.tokens.take_along_dim(order[:, :, None], dim=1)
    log_probabilities = beams.log_probabilities.gather(1, order)
    tokens = tokens.masked_fill(log_probabilities.isinf()[:, :, None], PAD)
    kept = Beams(tokens, log_probabilities)
    scores = log_probabilities / length_penalty(kept.lengths, alpha)
    return Hypotheses(tokens, scores, log_probabilities, kept.finished)


def select(states: States, rows: Int[Tensor, " b"]) -> States:
    """Select these rows of every captioner's state."""
    return tuple(state.select(rows) for state in states)


class Beam(Search):
    """Keeps the `size` best captions of each image at every step, and returns the best `keep`.

    Scores are log probabilities divided by `((5 + length) / 6) ** length_penalty`: 0 ranks by
    probability, higher values favour long captions. Finished captions compete with running ones
    for the `size` places; without a penalty nothing is lost by that, as a caption ranked below a
    finished one never overtakes it. An image is done as soon as no running caption can join its
    best. Captions cut off at `steps` come after all finished ones. If fewer captions than `keep`
    exist, the rest are padding with a score of minus infinity.
    """

    def __init__(
        self,
        size: int = 5,
        length_penalty: float = 0.0,
        block_trigrams: bool = False,
        keep: int = 1,
        steps: int = STEPS,
    ) -> None:
        super().__init__(steps)
        if size < 1:
            raise InputError(f"a beam search needs a size of 1 or more, got {size}")
        if not 1 <= keep <= size:
            raise InputError(
                f"a beam of size {size} can keep 1 to {size} captions, got keep={keep}"
            )
        if not 0 <= length_penalty <= 10:
            raise InputError(
                f"a beam search needs a length_penalty of 0 to 10, got {length_penalty}"
            )
        self.size, self.keep = size, keep
        self.length_penalty, self.block_trigrams = length_penalty, block_trigrams

    def words(self) -> list[str]:
        """Return, for example, "beam 5" and "no-repeated-trigrams"."""
        words = [f"beam {self.size}"]
        if self.length_penalty:
            words.append(f"length-penalty={self.length_penalty:g}")
        if self.block_trigrams:
            words.append("no-repeated-trigrams")
        return words

    @torch.no_grad()
    def __call__(
        self,
        captioners: Sequence[Captioner],
        features: Sequence[Float[Tensor, "n _ _"]],
        generator: torch.Generator | None = None,
    ) -> Hypotheses:
        """Return the `keep` best captions per image."""
        ensemble = Ensemble(captioners, features)
        running = ensemble.images
        held = no_beams(running, self.size, self.steps)
        states = ensemble.begin(running)
        words = torch.full_like(running, BEGIN)
        for t in range(self.steps):
            if not len(running):
                break
            beams = Beams(*(part[running] for part in held))
            following, states = ensemble.step(words, states)
            if t == 0:  # until now, each image had a single row
                states = select(states, running.repeat_interleave(self.size))
            if self.block_trigrams and t > 2:
                said = beams.tokens[:, :, :t].flatten(0, 1)
                following = without_repeated_trigrams(following, said)
            beams, parents = extend(beams, following, t, self.length_penalty)
            held.tokens[running], held.log_probabilities[running] = beams
            rows = torch.arange(len(running), device=running.device)[:, None] * self.size + parents
            going_on = ~settled(beams, self.keep, self.length_penalty)
            if going_on.all():
                states = tuple(state.reorder(rows.flatten()) for state in states)
            else:
                running = running[going_on]
                states = select(states, rows[going_on].flatten())
            words = beams.tokens[going_on, :, t].flatten()
        return best(held, self.keep, self.length_penalty)
