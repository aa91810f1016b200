"""Numbers that change in the course of training."""

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

from captioning.errors import InputError


class Progress(NamedTuple):
    """How far training has come."""

    step: int  # optimiser steps made so far, by all players
    share: float  # of the whole run, from 0 to 1


class Schedule(ABC):
    """A function of training's progress."""

    @abstractmethod
    def at(self, progress: Progress) -> float:
        """Return the value at this point of training."""


class Constant(Schedule):
    """The same value throughout."""

    def __init__(self, value: float) -> None:
        self.value = value

    def at(self, progress: Progress) -> float:
        """Return the value."""
        return self.value


class Linear(Schedule):
    """max(floor, start - slope · i) (Bengio et al. 2015, section 2.4: ε, k and c).

    Here and in the next two, i counts steps (mini-batches, as published) if `length` is null; with
    a `length`, i goes from 0 to `length` over the whole run, however long that is.
    """

    def __init__(
        self, start: float = 1.0, slope: float = 1.0, floor: float = 0.0, length: float | None = 1.0
    ) -> None:
        self.start, self.slope, self.floor, self.length = start, slope, floor, length

    def at(self, progress: Progress) -> float:
        """Fall by `slope` for each unit of i, down to `floor`."""
        return max(self.floor, self.start - self.slope * elapsed(progress, self.length))


class Exponential(Schedule):
    """base^i, with base < 1 (Bengio et al. 2015, section 2.4: k^i)."""

    def __init__(self, base: float = 0.5, length: float | None = 1.0) -> None:
        if not 0 < base < 1:
            raise InputError(f"an exponential schedule needs 0 < base < 1, got {base}")
        self.base, self.length = base, length

    def at(self, progress: Progress) -> float:
        """Fall by the factor `base` for each unit of i."""
        return float(self.base ** elapsed(progress, self.length))


class InverseSigmoid(Schedule):
    """k / (k + exp(i / k)), with k >= 1 (Bengio et al. 2015, section 2.4).

    It starts at k / (k + 1) and falls through one half at i = k ln k.
    """

    def __init__(self, k: float = 1000.0, length: float | None = None) -> None:
        if not k >= 1:
            raise InputError(f"an inverse-sigmoid schedule needs k >= 1, got {k}")
        self.k, self.length = k, length

    def at(self, progress: Progress) -> float:
        """Fall along the sigmoid."""
        exponent = elapsed(progress, self.length) / self.k
        return self.k / (self.k + math.exp(min(exponent, 700.0)))


class Cosine(Schedule):
    """Half a cosine from `start` to `floor`, after a linear rise over the first `warmup` share."""

    def __init__(self, start: float = 1.0, floor: float = 0.0, warmup: float = 0.0) -> None:
        if not 0 <= warmup < 1:
            raise InputError(f"a cosine schedule needs 0 <= warmup < 1, got {warmup}")
        self.start, self.floor, self.warmup = start, floor, warmup

    def at(self, progress: Progress) -> float:
        """Rise during the warm-up, then fall."""
        if progress.share < self.warmup:
            return self.start * progress.share / self.warmup
        share = (progress.share - self.warmup) / (1 - self.warmup)
        return self.floor + (self.start - self.floor) * (1 + math.cos(math.pi * min(share, 1))) / 2


def elapsed(progress: Progress, length: float | None) -> float:
    """Return the i of a schedule: the steps so far, or the share of the run times `length`."""
    if length is not None and length <= 0:
        raise InputError(f"a schedule's length must be positive, or null for steps, got {length:g}")
    return float(progress.step) if length is None else progress.share * length
