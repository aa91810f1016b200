"""The small things that tests of the core are made of."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import models
from torchvision.transforms import v2

from captioning.batch import Batch, Captions
from captioning.captioner import Captioner
from captioning.data.dataset import Example
from captioning.data.feature_file import ABSENT, FeatureFile
from captioning.data.inputs import StoredFeatures
from captioning.decoder import Decoder, Lrcn, ShowAndTell, ShowAttendTell
from captioning.discriminator import Discriminator, MatchingDiscriminator, RecurrentDiscriminator
from captioning.encoder import Encoder, SmallCnn
from captioning.errors import InputError
from captioning.text import END, Vocabulary

DECODERS: tuple[type[Decoder], ...] = (ShowAndTell, Lrcn, ShowAttendTell)
DISCRIMINATORS: tuple[type[Discriminator], ...] = (RecurrentDiscriminator, MatchingDiscriminator)

# Tokens 4 to 9 are its words, by the alphabet.
VOCABULARY = Vocabulary.build(["ant bee cat dog elk fox"], minimum_count=1)

# Of torchvision's networks, with and without batch norms.
SMALLEST = "shufflenet_v2_x0_5"
FASTEST = "squeezenet1_1"

# Five captions of three images: the lengths differ, one is END alone, one was cut off.
ROWS = [[4, 5, 6, 7, END], [8, END], [END], [9, 4, 4], [5, 8, 9, END]]
OWNERS = [2, 0, 1, 0, 2]


def make_decoder(
    kind: type[Decoder], *, dropout: float = 0.0, tied: bool = False, seed: int = 0
) -> Decoder:
    """A decoder in doubles whose weights are large enough for every token to be felt."""
    decoder = kind(
        vocabulary_size=len(VOCABULARY),
        feature_size=4,
        hidden_size=5,
        embedding_size=5,
        dropout=dropout,
        tied=tied,
        **({"attention_size": 3} if kind is ShowAttendTell else {}),
    )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in decoder.parameters():
            weights.normal_(0, 0.7, generator=generator)
    return decoder.double()


def make_captioner(kind: type[Decoder], *, dropout: float = 0.0, tied: bool = False) -> Captioner:
    """A captioner of 16×16 images, in doubles: four regions, features of four numbers."""
    torch.manual_seed(0)
    encoder = SmallCnn(channels=4, image_size=16, features="grid")
    decoder = make_decoder(kind, dropout=dropout, tied=tied)
    return Captioner(encoder, decoder, VOCABULARY).double().eval()


def make_discriminator(
    kind: type[Discriminator], *, dropout: float = 0.0, spectral_norm: bool = False
) -> Discriminator:
    """A discriminator in doubles, as keen as the decoders, of what `make_features` gives."""
    discriminator = kind(
        vocabulary_size=len(VOCABULARY),
        feature_size=4,
        hidden_size=5,
        embedding_size=5,
        dropout=dropout,
        spectral_norm=spectral_norm,
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weights in discriminator.parameters():
            weights.normal_(0, 0.7, generator=generator)
    return discriminator.double()


def make_features(images: int = 3, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(images, 4, 4, dtype=torch.float64, generator=generator)


def make_captions(
    rows: Sequence[Sequence[int]] = ROWS, owners: Sequence[int] = OWNERS, columns: int = 0
) -> Captions:
    """Captions, with so many columns of nothing but PAD behind them."""
    captions = Captions.from_lists(rows, owners)
    return captions._replace(tokens=nn.functional.pad(captions.tokens, (0, columns)))


def as_mixtures(captions: Captions) -> Tensor:
    """The words of captions, packed, each as a mixture of itself alone."""
    return nn.functional.one_hot(captions.targets, len(VOCABULARY)).double()


def make_batch(captions: Captions | None = None, features: Tensor | None = None) -> Batch:
    """A batch that brings its features."""
    captions = make_captions() if captions is None else captions
    features = make_features() if features is None else features
    ids = tuple(range(len(features)))
    return Batch(None, features, captions, ids, tuple(("a cat",) for _ in ids))


def check_gradient(function: Callable[[], Tensor], weights: Sequence[Tensor]) -> None:
    """The gradient agrees with central differences, along two directions of each tensor.

    In doubles, with steps of 1e-6, rounding leaves an error of some 1e-10 in a difference.
    """
    torch.manual_seed(0)
    for values, gradient in zip(weights, torch.autograd.grad(function(), weights), strict=True):
        for direction in torch.randn(2, *values.shape, dtype=values.dtype):
            above, below = (value_at(function, values, d * direction) for d in (1e-6, -1e-6))
            slope = (gradient * direction).sum().item()
            assert slope == pytest.approx((above - below) / 2e-6, rel=1e-6, abs=1e-8)


def value_at(function: Callable[[], Tensor], values: Tensor, offset: Tensor) -> float:
    with torch.no_grad():
        before = values.clone()
        values += offset
        value = function().item()
        values.copy_(before)
    return value


class Halves(Encoder):
    """A frozen encoder with two regions: the mean colours of the left and of the right half."""

    feature_size = 3
    regions = 2
    frozen = True

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__({"gain": gain})
        self.scale = nn.Parameter(torch.ones(3), requires_grad=False)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        left, right = images.chunk(2, dim=3)
        halves = torch.stack([left.mean((2, 3)), right.mean((2, 3))], dim=1)
        return self.settings["gain"] * self.scale * halves

    def transform(self) -> v2.Compose:
        return v2.Compose([v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)])


def make_examples(folder: Path, captions: Sequence[Sequence[str]]) -> list[Example]:
    """Image number i is 8×8, its left half black, its right half of brightness 20 · i."""
    examples = []
    for i, texts in enumerate(captions):
        image = Image.new("RGB", (8, 8))
        image.paste((20 * i,) * 3, (4, 0, 8, 8))
        image.save(folder / f"{i}.png")
        examples.append(Example(i, folder / f"{i}.png", tuple(texts)))
    return examples


def make_stored(array: np.ndarray, paths: Sequence[Path], folder: Path) -> StoredFeatures:
    """Features as if an encoder had made them, in a file of this folder."""
    file = FeatureFile(folder / "features.npy", array.shape)
    file.create()
    file.write(range(len(array)), array, [ABSENT] * len(array))
    return StoredFeatures(file, paths)


def make_network(architecture: str, **options: bool) -> nn.Module:
    """A whole network of torchvision, its batch norms measured so that features differ widely."""
    torch.manual_seed(0)
    network: nn.Module = models.get_model(architecture, weights=None, **options)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1
    with torch.no_grad():
        network.train()(torch.randn(2, 3, 96, 96))
    return network.eval()


def save_weights(network: nn.Module, folder: Path) -> str:
    torch.save(network.state_dict(), folder / "weights.pth")
    return str(folder / "weights.pth")


def make_images(count: int = 2, size: int = 96) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def one_line(error: pytest.ExceptionInfo[InputError]) -> str:
    """The message, which a command line must be able to show as one line."""
    message = str(error.value)
    assert "\n" not in message
    return message


HOLD = """
import sys, pathlib
from captioning.files import locked
with locked(pathlib.Path(sys.argv[1]), "taken"):
    print("held", flush=True)
    input()
"""


@contextmanager
def holding(file: Path) -> Iterator[None]:
    """A file locked by another process, which is killed in the end."""
    words = [sys.executable, "-c", HOLD, str(file)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        try:
            assert holder.stdout.readline() == b"held\n"
            yield
        finally:
            holder.kill()
