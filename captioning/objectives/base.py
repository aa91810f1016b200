"""The interface between an objective and its trainer."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from captioning.batch import Batch
from captioning.captioner import Captioner
from captioning.data.dataset import ImageId
from captioning.schedules import Progress


class Loss(NamedTuple):
    """The loss of one batch, and the numbers to log."""

    value: Float[Tensor, ""]  # differentiated
    logs: dict[str, Tensor]  # only logged


class Objective(nn.Module, ABC):
    """A training objective of a captioner.

    `turns` names the players in the order in which they take optimiser steps, over and over, after
    those of `opening`, which come once; a turn is one step, of as many batches as are accumulated
    for it. A player other than "captioner" is the submodule of that name. Random numbers come from
    PyTorch's default generator, which training seeds anew for each batch; time comes from
    `progress`. It compares captions of `least_images` images in a batch.
    """

    opening: tuple[str, ...] = ()
    turns: tuple[str, ...] = ("captioner",)
    least_images: int = 1

    def turn(self, step: int) -> str:
        """Return whose turn it is after `step` optimiser steps."""
        if step < len(self.opening):
            return self.opening[step]
        return self.turns[(step - len(self.opening)) % len(self.turns)]

    def prepare(self, captioner: Captioner, references: Mapping[ImageId, Sequence[str]]) -> None:
        """Set up what depends on the captioner and the training captions, before the first turn.

        `references` has every caption of each training image. By default, nothing is set up.
        """

    @abstractmethod
    def forward(self, captioner: Captioner, batch: Batch, *, turn: str, progress: Progress) -> Loss:
        """Return the loss of a batch of this turn; its gradient must reach no other player."""
