"""Numbers that change in the course of training."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
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

    def check(self, refuse: Callable[[float], None]) -> None:
        """Let `refuse` judge the values of a whole run at once, not when it has come so far.

        Those at each percent of the run, that is: of a schedule that counts steps, only the first.
        """
        for percent in range(101):
            refuse(self.at(Progress(0, percent / 100)))


class Constant(Schedule):
    """The same value throughout."""

    def __init__(self, value: float) -> None:
        self.value = value

    def at(self, progress: Progress) -> float:
        """Return the value."""
        return self.value


class Decay(Schedule):
    """A function of i (Bengio et al. 2015, section 2.4).

    It counts steps (mini-batches, as published) if `length` is null; with a `length`, i goes from
    0 to `length` over the whole run, however long that is.
    """

    def __init__(self, length: float | None) -> None:
        if length is not None and not 0 < length < math.inf:
            raise InputError(
                f"a schedule's length must be positive, or null for steps, got {length:g}"
            )
        self.length = length

    def elapsed(self, progress: Progress) -> float:
        """Return i: the steps so far, or the share of the run times `length`."""
        return float(progress.step) if self.length is None else progress.share * self.length


class Linear(Decay):
    """max(floor, start - slope · i) (Bengio et al. 2015: ε, k and c).

    i goes from 0 to `length` over the whole run, or counts steps if `length` is null.
    """

    def __init__(
        self, start: float = 1.0, slope: float = 1.0, floor: float = 0.0, length: float | None = 1.0
    ) -> None:
        if not all(map(math.isfinite, (start, slope, floor))):
            raise InputError(
                "a linear schedule needs a finite start, slope and floor, got "
                f"{start}, {slope} and {floor}"
            )
        super().__init__(length)
        self.start, self.slope, self.floor = start, slope, floor

    def at(self, progress: Progress) -> float:
        """Fall by `slope` for each unit of i, down to `floor`."""
        return max(self.floor, self.start - self.slope * self.elapsed(progress))


class Exponential(Decay):
    """base^i, with base < 1 (Bengio et al. 2015: k^i).

    i goes from 0 to `length` over the whole run, or counts steps if `length` is null.
    """

    def __init__(self, base: float = 0.5, length: float | None = 1.0) -> None:
        if not 0 < base < 1:
            raise InputError(f"an exponential schedule needs 0 < base < 1, got {base}")
        super().__init__(length)
        self.base = base

    def at(self, progress: Progress) -> float:
        """Fall by the factor `base` for each unit of i."""
        return float(self.base ** self.elapsed(progress))


class InverseSigmoid(Decay):
    """k / (k + exp(i / k)), with k >= 1 (Bengio et al. 2015).

    i goes from 0 to `length` over the whole run, or counts steps if `length` is null.
    It starts at k / (k + 1) and falls through one half at i = k ln k.
    """

    def __init__(self, k: float = 1000.0, length: float | None = None) -> None:
        if not 1 <= k < math.inf:
            raise InputError(f"an inverse-sigmoid schedule needs a finite k >= 1, got {k}")
        super().__init__(length)
        self.k = k

    def at(self, progress: Progress) -> float:
        """Fall along the sigmoid."""
        exponent = self.elapsed(progress) / self.k
        return self.k / (self.k + math.exp(min(exponent, 700.0)))


class Cosine(Schedule):
    """Half a cosine from `start` to `floor`, after a linear rise from 0 to `start`.

    The rise takes a share of the run, `warm_up_share`, in [0, 1).
    """

    def __init__(self, start: float = 1.0, floor: float = 0.0, warm_up_share: float = 0.0) -> None:
        if not 0 <= warm_up_share < 1:
            raise InputError(f"a cosine schedule needs 0 <= warm_up_share < 1, got {warm_up_share}")
        self.start, self.floor, self.warm_up_share = start, floor, warm_up_share

    def at(self, progress: Progress) -> float:
        """Rise during the warm-up, then fall."""
        if progress.share < self.warm_up_share:
            return self.start * progress.share / self.warm_up_share
        share = (progress.share - self.warm_up_share) / (1 - self.warm_up_share)
        return self.floor + (self.start - self.floor) * (1 + math.cos(math.pi * min(share, 1))) / 2
