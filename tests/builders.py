"""The small things that tests of the core are made of."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import v2

from captioning.attention import ShowAttendTell
from captioning.batch import Batch, Captions
from captioning.captioner import Captioner
from captioning.data.dataset import Example
from captioning.decoder import Decoder, Lrcn, ShowAndTell
from captioning.encoder import Encoder, SmallCnn
from captioning.text import END, Vocabulary

DECODERS: tuple[type[Decoder], ...] = (ShowAndTell, Lrcn, ShowAttendTell)

# Tokens 4 to 9 are its words, by the alphabet.
VOCABULARY = Vocabulary.build(["ant bee cat dog elk fox"], minimum_count=1)

# Five captions of three pictures: the lengths differ, one is END alone, one was cut off.
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
    """A captioner of 16×16 pictures, in doubles: four regions, features of four numbers."""
    encoder = SmallCnn(channels=4, image_size=16, features="grid")
    decoder = make_decoder(kind, dropout=dropout, tied=tied)
    return Captioner(encoder, decoder, VOCABULARY).double().eval()


def make_features(images: int = 3, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(images, 4, 4, dtype=torch.float64, generator=generator)


def make_captions(
    rows: Sequence[Sequence[int]] = ROWS, owners: Sequence[int] = OWNERS, columns: int = 0
) -> Captions:
    """Captions, with so many columns of nothing but PAD behind them."""
    captions = Captions.from_lists(rows, owners)
    return captions._replace(tokens=nn.functional.pad(captions.tokens, (0, columns)))


def make_batch(captions: Captions | None = None, features: Tensor | None = None) -> Batch:
    """A batch that brings its features."""
    captions = make_captions() if captions is None else captions
    features = make_features() if features is None else features
    ids = tuple(range(len(features)))
    return Batch(None, features, captions, ids, tuple(("a cat",) for _ in ids))


def numeric_gradient(function: Callable[[], Tensor], values: Tensor) -> Tensor:
    """Central differences of 1e-6 either way; in doubles, rounding leaves some 1e-10."""
    gradient = torch.zeros_like(values)
    with torch.no_grad():
        for place in range(values.numel()):
            entry = values.view(-1)[place]
            before = entry.item()
            above, below = (function_at(function, entry, before + d) for d in (1e-6, -1e-6))
            entry.fill_(before)
            gradient.view(-1)[place] = (above - below) / 2e-6
    return gradient


def function_at(function: Callable[[], Tensor], entry: Tensor, value: float) -> float:
    entry.fill_(value)
    return function().item()


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
    """Picture number i is 8×8, its left half black, its right half of brightness 20 · i."""
    examples = []
    for i, texts in enumerate(captions):
        picture = Image.new("RGB", (8, 8))
        picture.paste((20 * i,) * 3, (4, 0, 8, 8))
        picture.save(folder / f"{i}.png")
        examples.append(Example(i, folder / f"{i}.png", tuple(texts)))
    return examples
