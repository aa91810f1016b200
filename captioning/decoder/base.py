"""The contract of a decoder: it owns the loop, its caller chooses what is fed."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from captioning.batch import Captions
from captioning.errors import InputError
from captioning.settings import check_probability
from captioning.text import BEGIN, END

try:
    from torch.nn import LinearCrossEntropyOptions
except ImportError:  # before PyTorch 2.15
    LinearCrossEntropyOptions = None  # type: ignore[assignment, misc]

# One word per caption: its id, or a mixture of words (a row of weights over the vocabulary).
Words: TypeAlias = Int[Tensor, " b"] | Float[Tensor, "b v"]

# Given the step t >= 1 and the outputs of step t - 1, return the words to feed at step t.
# Outputs, not logits: a feed that samples only some rows pays the vocabulary product for those.
Feed: TypeAlias = Callable[[int, Float[Tensor, "b h"]], Words]


class State(NamedTuple):
    """A decoder's state of b captions between two steps: tensors of one row per caption."""

    recurrent: tuple[Tensor, ...]  # what a step changes: of an LSTM, its hidden state and its cell
    memory: tuple[Tensor, ...] = ()  # of the image, the same at all steps

    def first(self, rows: int) -> "State":
        """Keep the first `rows` captions."""
        return State(
            tuple(part[:rows] for part in self.recurrent),
            tuple(part[:rows] for part in self.memory),
        )

    def select(self, rows: Int[Tensor, " b"]) -> "State":
        """Return the state of these captions, in this order; rows may repeat."""
        return self.reorder(rows)._replace(memory=tuple(part[rows] for part in self.memory))

    def reorder(self, rows: Int[Tensor, " b"]) -> "State":
        """Select among captions of the same image, whose memory stays as it is."""
        return State(tuple(part[rows] for part in self.recurrent), self.memory)


class Decoder(nn.Module, ABC):
    """A recurrent language model of captions given features.

    A subclass defines `begin` and `step`; it may override `forward` to run a whole sequence
    faster than step by step. Outputs become logits only on request. Dropout applies to words and
    outputs, never to the image. Among the arguments of its constructor are `vocabulary_size` and
    `feature_size`; `dropout` and `tied` (one matrix embeds words and predicts them) may be.
    """

    least_regions: int = 1  # per image, for this decoder to make sense

    def __init__(self, settings: dict[str, Any], embedding_size: int, output_size: int) -> None:
        """Take the subclass's arguments, which its checkpoint stores, and two widths."""
        super().__init__()
        self.settings = settings
        self.embedding = nn.Embedding(settings["vocabulary_size"], embedding_size)
        self.output = nn.Linear(output_size, settings["vocabulary_size"])
        self.dropout = nn.Dropout(settings.get("dropout", 0.0))
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        nn.init.uniform_(self.output.weight, -0.1, 0.1)
        nn.init.zeros_(self.output.bias)
        if settings.get("tied", False):
            if embedding_size != output_size:
                raise InputError(
                    "tied embeddings need an embedding as wide as the decoder's output, got "
                    f"{embedding_size} and {output_size}: make them equal or set tied to false"
                )
            self.output.weight = self.embedding.weight

    @abstractmethod
    def begin(self, features: Float[Tensor, "n r d"], image_index: Int[Tensor, " b"]) -> State:
        """Process each image once and return the state before BEGIN is fed."""

    @abstractmethod
    def step(self, words: Words, state: State) -> tuple[Float[Tensor, "b h"], State]:
        """Feed one word to each caption; return the outputs, after dropout, and the new state."""

    def forward(
        self, features: Float[Tensor, "n r d"], inputs: Int[Tensor, "b t"], captions: Captions
    ) -> Float[Tensor, "p h"]:
        """Feed `inputs` (BEGIN first) along `captions`; return the outputs, packed."""

        def feed(t: int, outputs: Float[Tensor, "b h"]) -> Int[Tensor, " b"]:
            return inputs[: len(outputs), t]

        return self.unroll(self.begin(features, captions.image_index), captions.active, feed)

    def unroll(self, state: State, active: Sequence[int], feed: Feed) -> Float[Tensor, "p h"]:
        """Feed BEGIN, then step by step what `feed` chooses; return the outputs, packed.

        `active` is the number of captions running at each step (see `Captions.active`); `feed`
        receives the outputs of those that continue.
        """
        words: Tensor = torch.full((active[0],), BEGIN, device=self.embedding.weight.device)
        outputs: list[Tensor] = []
        for t, running in enumerate(active):
            if t > 0:
                words = feed(t, outputs[-1][:running])
                state = state.first(running)
            output, state = self.step(words, state)
            outputs.append(output)
        return torch.cat(outputs)

    def embed(self, words: Words) -> Float[Tensor, "b e"]:
        """Embed words and apply dropout."""
        embedded: Tensor = self.dropout(embed(self.embedding, words))
        return embedded

    def logits(self, outputs: Float[Tensor, "*b h"]) -> Float[Tensor, "*b v"]:
        """Return the logit of every token of the vocabulary."""
        scores: Tensor = self.output(outputs)
        return scores

    def log_probabilities(self, outputs: Float[Tensor, "*b h"]) -> Float[Tensor, "*b w"]:
        """Return log Q of the possible next tokens: END, then the words, w = v - END in all.

        PAD, BEGIN and UNKNOWN are never generated, so Q is normalised without them.
        """
        scores = functional.linear(outputs, self.output.weight[END:], self.output.bias[END:])
        # The fused log_softmax costs half as much as logsumexp alone on a CPU.
        return scores.log_softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32))

    def cross_entropy(
        self,
        outputs: Float[Tensor, "p h"],
        targets: Int[Tensor, " p"],
        label_smoothing: float = 0.0,
    ) -> Float[Tensor, ""]:
        """Return the mean over positions of -log softmax(logits)[target], in nats per token.

        Unlike Q, the softmax is over the whole vocabulary: UNKNOWN may be a target.
        """
        return linear_cross_entropy(
            outputs, self.output.weight, self.output.bias, targets, label_smoothing
        )


def embed(embedding: nn.Embedding, words: Words) -> Float[Tensor, "b e"]:
    """Look up the embeddings of ids, or mix embeddings by the weights of mixtures."""
    if words.is_floating_point():
        return words @ embedding.weight
    looked_up: Tensor = embedding(words)
    return looked_up


def widen(values: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """Return values in float32 if mixed precision has made them halves, else unchanged."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def linear_cross_entropy(
    outputs: Float[Tensor, "p h"],
    weight: Float[Tensor, "v h"],
    bias: Float[Tensor, " v"],
    targets: Int[Tensor, " p"],
    label_smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """Return the mean cross entropy of `outputs @ weight.T + bias` without storing p × v logits.

    The logits are stored under PyTorch before 2.15, which has no such operation, for label
    smoothing, which the operation does not support, and in mixed precision, where it would multiply
    half-precision outputs by float32 weights, which GPUs refuse, and round the loss.
    """
    check_probability("label_smoothing", label_smoothing)
    mixed = outputs.dtype != weight.dtype
    if LinearCrossEntropyOptions is None or label_smoothing > 0 or mixed:
        logits = widen(functional.linear(outputs, weight, bias))
        return functional.cross_entropy(logits, targets, label_smoothing=label_smoothing)
    return functional.linear_cross_entropy(
        outputs,
        weight,
        targets,
        linear_bias=bias,
        options=LinearCrossEntropyOptions(),
    )
