"""Models of a small world: the product's captioner without pictures, and one too small to fit."""

import itertools
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from captioning.batch import Captions
from captioning.captioner import Captioner
from captioning.data.pictures import Transform
from captioning.decoder import Decoder, ShowAndTell, State, Words
from captioning.encoder import Encoder
from captioning.lab.worlds import World
from captioning.settings import arguments
from captioning.text import END, Vocabulary

NOTHING = torch.zeros(1, 1, 1)
"""The features of the one picture there is, "n r d"."""


class NoPicture(Encoder):
    """In the place of an encoder where there is nothing to see."""

    feature_size = 1
    regions = 1
    frozen = True

    def __init__(self) -> None:
        super().__init__({})

    def forward(self, images: Float[Tensor, "n c height width"]) -> Float[Tensor, "n r d"]:
        """Give the same for every picture."""
        return NOTHING.expand(len(images), 1, 1)

    def transform(self) -> Transform:
        """Look at no picture."""
        return lambda _picture: NOTHING[0]


class Bigram(Decoder):
    """A law of the next word for each word, the same at every place: a table of logits."""

    def __init__(self, vocabulary_size: int, feature_size: int) -> None:
        settings = arguments(locals()) | {"dropout": 0.0, "tied": False}
        super().__init__(settings, vocabulary_size, vocabulary_size)
        nn.init.eye_(self.output.weight)
        self.output.requires_grad_(False)

    def begin(self, features: Float[Tensor, "n r d"], image_index: Int[Tensor, " b"]) -> State:
        """Remember nothing."""
        return State(*2 * (features.new_zeros(len(image_index), 0),))

    def step(self, words: Words, state: State) -> tuple[Float[Tensor, "b h"], State]:
        """Look the word's row up."""
        return self.embed(words), state


def lstm(vocabulary_size: int, feature_size: int) -> Decoder:
    """The product's decoder, of 64 units and without dropout."""
    return ShowAndTell(vocabulary_size, feature_size, 64, 64, dropout=0.0)


def speaker(world: World, decoder: Callable[[int, int], Decoder], seed: int) -> Captioner:
    """Give an untrained captioner of a world, which can say its words and nothing else.

    Word w of the world is token END + 1 + w. As every sequence of a world has the same length, END
    is made impossible too; the four special tokens then have no weight in any gradient.
    """
    torch.manual_seed(seed)
    names = [f"w{word:03d}" for word in range(world.words)]
    vocabulary = Vocabulary.build([" ".join(names)], minimum_count=1)
    captioner = Captioner(NoPicture(), decoder(len(vocabulary), 1), vocabulary)
    with torch.no_grad():
        captioner.decoder.output.bias[: END + 1] = -torch.inf
    return captioner


def as_captions(sequences: Int[Tensor, "b t"]) -> Captions:
    """Give sequences of a world as captions of its one picture."""
    count, steps = sequences.shape
    lengths = torch.full((count,), steps)
    return Captions(sequences + END + 1, lengths, torch.zeros(count, dtype=torch.long))


def log_table(captioner: Captioner, world: World) -> Float[Tensor, "..."]:
    """Give log Q of every sequence, as the world's table has its P; differentiable."""
    every = itertools.product(range(world.words), repeat=world.steps)
    captions = as_captions(torch.tensor(list(every)))
    features = NOTHING.to(captioner.decoder.output.weight.dtype)
    log_probabilities = captioner.decoder.log_probabilities(captioner(features, captions))
    said = log_probabilities.gather(1, captions.targets[:, None] - END).squeeze(1)
    return captions.unpack(said).sum(1).double().reshape(world.table.shape)
