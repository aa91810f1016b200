"""The optimal discriminator, which knows both laws."""

import torch
from jaxtyping import Float
from torch import Tensor

from captioning.batch import Captions
from captioning.discriminator import Discriminator
from captioning.text import END


class TrueRatio(Discriminator):
    """The optimal discriminator at equal shares: log P/Q of the whole caption.

    For mixtures of words it is the multilinear function with these values at the words.
    """

    def __init__(self, log_ratio: Float[Tensor, "..."]) -> None:
        super().__init__()
        self.log_ratio = log_ratio

    def forward(
        self,
        features: Float[Tensor, "n r d"],
        captions: Captions,
        mixtures: Float[Tensor, "p v"] | None = None,
    ) -> Float[Tensor, " p"]:
        """Return log P/Q of the whole caption at every position."""
        words, steps = self.log_ratio.shape[0], self.log_ratio.dim()
        if mixtures is None:
            mixtures = torch.eye(words + END + 1).to(self.log_ratio)[captions.targets]
        weights = mixtures[:, END + 1 :].unflatten(0, (steps, len(captions.lengths)))
        values = self.log_ratio.expand(len(captions.lengths), *self.log_ratio.shape)
        for step in weights:
            values = torch.einsum("bv,bv...->b...", step, values)
        return values.repeat(steps)
