"""Batches of images with their captions: the value that all parts pass on."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from captioning.text import BEGIN, END, PAD


class Captions(NamedTuple):
    """Captions as ids: each row holds the words, END, then PAD; the longest row comes first.

    Because rows are sorted, the captions still running at step t are the first `active[t]` rows,
    and no work is spent on padding. A caption cut off at the length limit has no END.
    """

    tokens: Int[Tensor, "b t"]
    lengths: Int[Tensor, " b"]  # 1 to t, including END
    image_index: Int[Tensor, " b"]  # which of the batch's n images each caption belongs to

    @classmethod
    def from_lists(cls, rows: Sequence[Sequence[int]], image_index: Sequence[int]) -> "Captions":
        """Pad lists of ids (END included, none empty) to one tensor."""
        order = sorted(range(len(rows)), key=lambda row: -len(rows[row]))
        lengths = [len(rows[row]) for row in order]
        # One list: a tensor for each row takes twice the time, in which a GPU may have to wait.
        tokens = [[*rows[row], *[PAD] * (lengths[0] - len(rows[row]))] for row in order]
        owners = [image_index[row] for row in order]
        return cls(torch.tensor(tokens), torch.tensor(lengths), torch.tensor(owners))

    @classmethod
    def from_generated(
        cls, tokens: Int[Tensor, "b t"], image_index: Int[Tensor, " b"]
    ) -> "Captions":
        """Sort generated ids by length; whatever follows a row's first END becomes PAD."""
        return cls.sort_generated(tokens, image_index)[0]

    @classmethod
    def sort_generated(
        cls, tokens: Int[Tensor, "b t"], image_index: Int[Tensor, " b"]
    ) -> tuple["Captions", Int[Tensor, " b"]]:
        """Do as `from_generated`; also return the row of `tokens` that each caption comes from."""
        ends = (tokens == END).int()
        after_end = ends.cumsum(1) - ends > 0
        lengths = (~after_end).sum(1)
        order = lengths.argsort(descending=True, stable=True)
        every = cls(tokens.masked_fill(after_end, PAD), lengths, image_index)
        return every.select(order), order

    def select(self, rows: Int[Tensor, " _"]) -> "Captions":
        """Keep these rows (at least one) in this order, which must put the longest first."""
        lengths = self.lengths[rows]
        return Captions(self.tokens[rows, : int(lengths[0])], lengths, self.image_index[rows])

    @property
    def mask(self) -> Bool[Tensor, "t b"]:
        """True at real positions; time comes first, as in the order of packed values."""
        steps = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        return steps[:, None] < self.lengths

    @property
    def active(self) -> list[int]:
        """The number of captions still running at each step; it starts at b and never rises."""
        active: list[int] = self.mask.sum(1).tolist()
        return active

    @property
    def inputs(self) -> Int[Tensor, "b t"]:
        """The inputs of teacher forcing: BEGIN, then every token but the last."""
        begin = torch.full_like(self.tokens[:, :1], BEGIN)
        return torch.cat([begin, self.tokens[:, :-1]], dim=1)

    @property
    def targets(self) -> Int[Tensor, " p"]:
        """The tokens to predict, packed."""
        return self.pack(self.tokens)

    def pack(self, values: Shaped[Tensor, "b t"]) -> Shaped[Tensor, " p"]:
        """Return the p real positions of `values`: all first ones, then all second ones, and so on.

        This is the order of PyTorch's `PackedSequence`.
        """
        return values.t()[self.mask]

    def along(self, values: Shaped[Tensor, "b _"]) -> Shaped[Tensor, "p _"]:
        """Repeat each caption's row of `values` at each of its real positions, packed."""
        return torch.cat([values[:running] for running in self.active])

    def last(self, values: Shaped[Tensor, " p"]) -> Shaped[Tensor, " b"]:
        """Return the packed values at the last position of each caption."""
        return self.unpack(values).gather(1, self.lengths[:, None] - 1).squeeze(1)

    def unpack(self, values: Shaped[Tensor, " p"]) -> Shaped[Tensor, "b t"]:
        """Undo `pack`, with zeros at padding."""
        padded = values.new_zeros(self.mask.shape)
        return padded.masked_scatter(self.mask, values).t()


class Batch(NamedTuple):
    """n distinct images, with all b captions chosen for them.

    It holds either the images or the features that a frozen encoder made of them.
    """

    images: Float[Tensor, "n c height width"] | None
    features: Float[Tensor, "n r d"] | None
    captions: Captions
    image_ids: tuple[int | str, ...]
    references: tuple[tuple[str, ...], ...]  # every caption of each image, as text
