"""The contract between an objective and whatever trains with it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
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

    `turns` names the players in the order in which they take optimiser steps, again and again,
    after those of `opening`, which are played once; every batch is one turn. A player other than
    "captioner" is a submodule of the objective of that name. Randomness comes from PyTorch's
    default generator, which training seeds anew at each step; time comes from `progress`.
    """

    opening: tuple[str, ...] = ()
    turns: tuple[str, ...] = ("captioner",)

    def turn(self, step: int) -> str:
        """Say whose turn it is after so many optimiser steps."""
        if step < len(self.opening):
            return self.opening[step]
        return self.turns[(step - len(self.opening)) % len(self.turns)]

    def prepare(self, captioner: Captioner, references: Sequence[Sequence[str]]) -> None:
        """Take what is known only now, before the first turn: by default nothing.

        These are the captioner's sizes and the training captions, those of each picture together.
        """

    @abstractmethod
    def forward(self, captioner: Captioner, batch: Batch, *, turn: str, progress: Progress) -> Loss:
        """Give the loss of this turn; its gradient may reach no other player."""
