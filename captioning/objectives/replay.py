"""A replay buffer of a captioner's earlier captions, with the features of their images."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from captioning.batch import Captions

Said = tuple[Float[Tensor, "n r d"], Captions]


class Replay(nn.Module):
    """The captions of up to `size` earlier batches, saved and restored with the objective.

    A discriminator that also sees these does not forget what it once learned to detect (Shrivastava
    et al. 2017, section 2.3).
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.kept: list[Said] = []

    def exchange(self, features: Float[Tensor, "n r d"], captions: Captions) -> Said | None:
        """Return the captions of a random earlier batch, or None if there are none, and keep these.

        Once the buffer is full, they replace the captions returned.
        """
        earlier = None
        place = len(self.kept)
        if self.kept:
            drawn = int(torch.randint(len(self.kept), ()))
            earlier = moved(self.kept[drawn], features.device)
            place = drawn if len(self.kept) == self.size else place
        self.kept[place : place + 1] = [(features, captions)]
        return earlier

    def get_extra_state(self) -> list[tuple[Tensor, ...]]:
        """Return the buffer as plain tensors."""
        return [(features, *captions) for features, captions in self.kept]

    def set_extra_state(self, state: Any) -> None:
        """Restore the buffer from the result of `get_extra_state`."""
        self.kept = [(features, Captions(*captions)) for features, *captions in state]


def moved(said: Said, device: torch.device) -> Said:
    """Bring captions where they are judged: a checkpoint is read on the CPU."""
    features, captions = said
    return features.to(device), Captions(*(part.to(device) for part in captions))
