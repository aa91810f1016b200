"""The contract between an objective and whatever trains with it."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from captioning.batch import Batch
from captioning.captioner import Captioner
from captioning.schedules import Progress


class Loss(NamedTuple):
    """What one turn asks to be lowered, and what it has to tell."""

    value: Float[Tensor, ""]  # differentiated
    logs: dict[str, Tensor]  # only shown


class Objective(nn.Module, ABC):
    """What training a captioner means.

    `turns` names the players in the order in which they take optimiser steps, again and again;
    every batch is one turn. A player other than "captioner" is a submodule of the objective of
    that name. Randomness comes from PyTorch's default generator, which training seeds anew at
    each step; time comes from `progress`.
    """

    turns: tuple[str, ...] = ("captioner",)

    @abstractmethod
    def forward(self, captioner: Captioner, batch: Batch, *, turn: str, progress: Progress) -> Loss:
        """Give the loss of this turn; its gradient may reach no other player."""
