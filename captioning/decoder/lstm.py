"""LSTM decoders that see an image as a whole: once at first, or at every step."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from captioning.batch import Captions
from captioning.decoder.base import Decoder, State, Words
from captioning.settings import arguments


class ShowAndTell(Decoder):
    """An LSTM that sees the image once, as its first input (Vinyals et al. 2015, eq. 10-12)."""

    def __init__(
        self,
        vocabulary_size: int,
        feature_size: int,
        hidden_size: int = 512,
        embedding_size: int = 512,
        dropout: float = 0.5,
        tied: bool = False,
    ) -> None:
        settings = arguments(locals())
        super().__init__(settings, embedding_size, hidden_size)
        self.image = nn.Linear(feature_size, embedding_size)
        self.lstm = nn.LSTM(embedding_size, hidden_size)

    def begin(self, features: Float[Tensor, "n r d"], image_index: Int[Tensor, " b"]) -> State:
        """Feed the image, averaged over its regions."""
        image = self.image(features.mean(1))
        state = lstm_step(self.lstm, image, blank(image, self.lstm.hidden_size))
        return state.select(image_index)

    def step(self, words: Words, state: State) -> tuple[Float[Tensor, "b h"], State]:
        """Feed one word to each caption."""
        state = lstm_step(self.lstm, self.embed(words), state)
        return self.dropout(state.recurrent[0]), state

    def forward(
        self, features: Float[Tensor, "n r d"], inputs: Int[Tensor, "b t"], captions: Captions
    ) -> Float[Tensor, "p h"]:
        """Run all steps in one fused call."""
        state = self.begin(features, captions.image_index)
        words = self.embed(captions.pack(inputs))
        outputs: Tensor = self.dropout(run_lstm(self.lstm, words, state, captions.active))
        return outputs


class Lrcn(Decoder):
    """An LSTM that sees the image with the word at every step (LRCN, Donahue et al. 2015)."""

    def __init__(
        self,
        vocabulary_size: int,
        feature_size: int,
        hidden_size: int = 512,
        embedding_size: int = 512,
        dropout: float = 0.5,
        tied: bool = False,
    ) -> None:
        settings = arguments(locals())
        super().__init__(settings, embedding_size, hidden_size)
        self.image = nn.Linear(feature_size, embedding_size)
        self.lstm = nn.LSTM(2 * embedding_size, hidden_size)

    def begin(self, features: Float[Tensor, "n r d"], image_index: Int[Tensor, " b"]) -> State:
        """Keep the image, averaged over its regions, as memory."""
        image = self.image(features.mean(1))[image_index]
        return blank(image, self.lstm.hidden_size)._replace(memory=(image,))

    def step(self, words: Words, state: State) -> tuple[Float[Tensor, "b h"], State]:
        """Feed one word to each caption, along with its image."""
        both = torch.cat([self.embed(words), state.memory[0]], dim=1)
        state = lstm_step(self.lstm, both, state)
        return self.dropout(state.recurrent[0]), state

    def forward(
        self, features: Float[Tensor, "n r d"], inputs: Int[Tensor, "b t"], captions: Captions
    ) -> Float[Tensor, "p h"]:
        """Run all steps in one fused call."""
        state = self.begin(features, captions.image_index)
        words = self.embed(captions.pack(inputs))
        images = captions.along(state.memory[0])
        both = torch.cat([words, images], dim=1)
        outputs: Tensor = self.dropout(run_lstm(self.lstm, both, state, captions.active))
        return outputs


def blank(like: Float[Tensor, "b d"], hidden_size: int) -> State:
    """Return the zero state of an LSTM, with as many rows as `like`."""
    zeros = like.new_zeros(len(like), hidden_size)
    return State((zeros, zeros))


def lstm_step(lstm: nn.LSTM | nn.LSTMCell, inputs: Float[Tensor, "b d"], state: State) -> State:
    """Advance a one-layer LSTM by one step."""
    recurrent: tuple[Tensor, ...] = torch.lstm_cell(inputs, state.recurrent, *lstm.parameters())
    return state._replace(recurrent=recurrent)


def run_lstm(
    lstm: nn.LSTM, inputs: Float[Tensor, "p d"], state: State, active: Sequence[int]
) -> Float[Tensor, "p h"]:
    """Run a one-layer LSTM over whole captions, packed: padding costs nothing."""
    packed = PackedSequence(inputs, torch.tensor(active))
    hidden, cell = state.recurrent
    outputs, _ = lstm(packed, (hidden[None], cell[None]))
    every_hidden: Tensor = outputs.data
    return every_hidden
