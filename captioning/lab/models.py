"""Models of a small world: the package's captioner without images, and one too small to fit."""

import itertools
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from captioning.batch import Captions
from captioning.captioner import Captioner
from captioning.data.inputs import Transform
from captioning.decoder import Decoder, ShowAndTell, State, Words
from captioning.encoder import Encoder
from captioning.lab.worlds import World
from captioning.settings import arguments
from captioning.text import END, Vocabulary

NOTHING = torch.zeros(1, 1, 1)
"""The features of the only image, "n r d"."""


class NoImage(Encoder):
    """A stand-in for an encoder where there are no images."""

    feature_size = 1
    regions = 1
    frozen = True

    def __init__(self) -> None:
        super().__init__({})

    def forward(self, images: Float[Tensor, "n c height width"]) -> Float[Tensor, "n r d"]:
        """Return the same features for every image."""
        return NOTHING.expand(len(images), 1, 1)

    def transform(self) -> Transform:
        """Return a transform that ignores the image."""
        return lambda _image: NOTHING[0]


class Bigram(Decoder):
    """A law of the next word given the last, the same at every position: a table of logits."""

    def __init__(self, vocabulary_size: int, feature_size: int) -> None:
        settings = arguments(locals())
        super().__init__(settings, vocabulary_size, vocabulary_size)
        nn.init.eye_(self.output.weight)
        self.output.requires_grad_(False)

    def begin(self, features: Float[Tensor, "n r d"], image_index: Int[Tensor, " b"]) -> State:
        """Remember nothing."""
        return State(())

    def step(self, words: Words, state: State) -> tuple[Float[Tensor, "b h"], State]:
        """Look up the word's row."""
        return self.embed(words), state


def lstm(vocabulary_size: int, feature_size: int) -> Decoder:
    """Return the package's decoder with 64 units and without dropout."""
    return ShowAndTell(vocabulary_size, feature_size, 64, 64, dropout=0.0)


def speaker(world: World, decoder: Callable[[int, int], Decoder], seed: int) -> Captioner:
    """Return an untrained captioner of a world, which can generate only the world's words.

    Word w of the world is token END + 1 + w. As all sequences of a world have the same length, END
    is impossible too; so the four special tokens have no weight in any gradient.
    """
    torch.manual_seed(seed)
    names = [f"w{word:03d}" for word in range(world.words)]
    vocabulary = Vocabulary.build([" ".join(names)], minimum_count=1)
    captioner = Captioner(NoImage(), decoder(len(vocabulary), 1), vocabulary)
    with torch.no_grad():
        captioner.decoder.output.bias[: END + 1] = -torch.inf
    return captioner


def as_captions(sequences: Int[Tensor, "b t"]) -> Captions:
    """Return sequences of a world as captions of its one image."""
    count, steps = sequences.shape
    lengths = torch.full((count,), steps)
    return Captions(sequences + END + 1, lengths, torch.zeros(count, dtype=torch.long))


def log_table(captioner: Captioner, world: World) -> Float[Tensor, "..."]:
    """Return log Q of every sequence, differentiable and in the shape of the world's table."""
    every = itertools.product(range(world.words), repeat=world.steps)
    captions = as_captions(torch.tensor(list(every)))
    features = NOTHING.to(captioner.decoder.output.weight.dtype)
    log_probabilities = captioner.decoder.log_probabilities(captioner(features, captions))
    said = log_probabilities.gather(1, captions.targets[:, None] - END).squeeze(1)
    return captions.unpack(said).sum(1).double().reshape(world.table.shape)
