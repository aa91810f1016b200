"""An LSTM decoder that looks at one region of the image after another."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from captioning.decoder.base import Decoder, State, Words
from captioning.decoder.lstm import lstm_step
from captioning.settings import arguments


class ShowAttendTell(Decoder):
    """Soft attention over grid features (Xu et al. 2015, eq. 4-9 and 13), with its gate β.

    Regions are projected to `attention_size` once per image, not at every step. The output is
    the tanh of the sum of word, state and context (eq. 7), as wide as the embedding.
    """

    least_regions = 2

    def __init__(  # noqa: PLR0913 - hyper-parameters
        self,
        vocabulary_size: int,
        feature_size: int,
        hidden_size: int = 512,
        embedding_size: int = 512,
        attention_size: int = 512,
        dropout: float = 0.5,
        tied: bool = False,
    ) -> None:
        settings = arguments(locals())
        super().__init__(settings, embedding_size, embedding_size)
        self.value = nn.Linear(feature_size, attention_size)
        self.key = nn.Linear(attention_size, attention_size)
        self.query = nn.Linear(hidden_size, attention_size)
        self.energy = nn.Linear(attention_size, 1, bias=False)
        self.gate = nn.Linear(hidden_size, attention_size)
        self.lstm = nn.LSTMCell(embedding_size + attention_size, hidden_size)
        self.first_state = nn.Linear(attention_size, 2 * hidden_size)
        self.from_hidden = nn.Linear(hidden_size, embedding_size)
        self.from_context = nn.Linear(attention_size, embedding_size, bias=False)

    def begin(self, features: Float[Tensor, "n r d"], image_index: Int[Tensor, " b"]) -> State:
        """Project the regions; compute the first state from their mean (section 3.1.2)."""
        values = torch.relu(self.value(features))
        hidden, cell = torch.tanh(self.first_state(values.mean(1))).chunk(2, dim=1)
        return State((hidden, cell), (self.key(values), values)).select(image_index)

    def step(self, words: Words, state: State) -> tuple[Float[Tensor, "b h"], State]:
        """Attend to the regions, then feed one word to each caption."""
        context = weighted_sum(self.attend(state), state.memory[1])
        context = torch.sigmoid(self.gate(state.recurrent[0])) * context
        embedded = self.embed(words)
        state = lstm_step(self.lstm, torch.cat([embedded, context], dim=1), state)
        hidden = self.from_hidden(self.dropout(state.recurrent[0]))
        return self.dropout(torch.tanh(embedded + hidden + self.from_context(context))), state

    def attend(self, state: State) -> Float[Tensor, "b r"]:
        """Return the attention weight of each region; rows sum to one."""
        keys = state.memory[0]
        scores = self.energy(torch.tanh(keys + self.query(state.recurrent[0])[:, None]))
        return torch.softmax(scores.squeeze(2), dim=1)


def weighted_sum(
    weights: Float[Tensor, "b r"], values: Float[Tensor, "b r d"]
) -> Float[Tensor, "b d"]:
    """Average values by weights that sum to one."""
    return torch.bmm(weights[:, None], values).squeeze(1)
