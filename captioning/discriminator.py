"""Discriminators: the odds that an image's caption is real, after each of its words."""

from abc import ABC, abstractmethod

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from captioning.batch import Captions
from captioning.decoder.base import embed, widen
from captioning.decoder.lstm import blank, run_lstm
from captioning.settings import check_sizes


class Discriminator(nn.Module, ABC):
    """Tells real captions of an image from generated ones."""

    @abstractmethod
    def forward(
        self,
        features: Float[Tensor, "n r d"],
        captions: Captions,
        mixtures: Float[Tensor, "p v"] | None = None,
    ) -> Float[Tensor, " p"]:
        """Return the logit, at every real position (packed), that the caption so far is real.

        It is never in half precision: rewards and losses are computed from it.
        `mixtures` replace the words, each by a row of weights over the vocabulary, so that
        gradients can flow back to the generator.
        """


class RecurrentDiscriminator(Discriminator):
    """An LSTM that sees the image with every word and judges after each.

    An image shown only at the start would have to be remembered throughout the caption.
    """

    def __init__(
        self,
        vocabulary_size: int,
        feature_size: int,
        hidden_size: int = 512,
        embedding_size: int = 512,
        dropout: float = 0.0,
        spectral_norm: bool = False,
    ) -> None:
        check_sizes(locals())
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.image = linear(feature_size, embedding_size, spectral_norm)
        self.lstm = remembering(nn.LSTM(embedding_size, hidden_size))
        self.verdict = linear(hidden_size, 1, spectral_norm)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        features: Float[Tensor, "n r d"],
        captions: Captions,
        mixtures: Float[Tensor, "p v"] | None = None,
    ) -> Float[Tensor, " p"]:
        """Judge every prefix."""
        images = self.image(features.mean(1))[captions.image_index]
        words = embed(self.embedding, words_of(captions, mixtures))
        inputs = self.dropout(words + captions.along(images))
        start = blank(images, self.lstm.hidden_size)
        outputs = self.dropout(run_lstm(self.lstm, inputs, start, captions.active))
        return widen(self.verdict(outputs).squeeze(1))


class MatchingDiscriminator(Discriminator):
    """Embeds image and caption; the logit is their dot product (Dai et al. 2017, eq. 2)."""

    def __init__(
        self,
        vocabulary_size: int,
        feature_size: int,
        hidden_size: int = 512,
        embedding_size: int = 512,
        dropout: float = 0.0,
        spectral_norm: bool = False,
    ) -> None:
        check_sizes(locals())
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.image = linear(feature_size, hidden_size, spectral_norm)
        self.lstm = remembering(nn.LSTM(embedding_size, hidden_size))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        features: Float[Tensor, "n r d"],
        captions: Captions,
        mixtures: Float[Tensor, "p v"] | None = None,
    ) -> Float[Tensor, " p"]:
        """Match every prefix with the image."""
        images = self.dropout(self.image(features.mean(1)))[captions.image_index]
        words = self.dropout(embed(self.embedding, words_of(captions, mixtures)))
        start = blank(images, self.lstm.hidden_size)
        outputs = self.dropout(run_lstm(self.lstm, words, start, captions.active))
        logits: Tensor = (widen(captions.along(images)) * outputs).sum(1)
        return logits


def linear(inputs: int, outputs: int, normalised: bool) -> nn.Module:
    """Return a linear layer, with its spectral norm set to one if asked (Miyato et al. 2018)."""
    layer = nn.Linear(inputs, outputs)
    return spectral_norm(layer) if normalised else layer


def remembering(lstm: nn.LSTM) -> nn.LSTM:
    """Open the forget gates by a bias of one (Jozefowicz et al. 2015).

    A wrong word must be remembered until the caption is judged, many steps later.
    """
    size = lstm.hidden_size
    _, _, _, bias = lstm.parameters()
    nn.init.ones_(bias[size : 2 * size])
    return lstm


def words_of(
    captions: Captions, mixtures: Float[Tensor, "p v"] | None
) -> Int[Tensor, " p"] | Float[Tensor, "p v"]:
    """Return the input at each position: the mixtures if given, else the captions' words."""
    return captions.targets if mixtures is None else mixtures
