"""Where an attention decoder looks when it generates each word, as small images."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from captioning.captioner import Captioner, load_captioner
from captioning.comparison.compared import Compared, Images
from captioning.comparison.gallery import LONGEST
from captioning.data.dataset import Example, ImageId
from captioning.data.image import open_image
from captioning.data.paths import locate
from captioning.decoder import ShowAttendTell
from captioning.report.gallery import Thumbnail, thumbnail
from captioning.report.html import data_address
from captioning.runs import Run
from captioning.text import BEGIN

IMAGES = 8
"""Images shown: per row, 0.1 seconds each and 5 kB per word."""

SIDE = 128
"""Side of one small image, in pixels."""

SHADE = 0.3
"""Brightness of regions without attention."""


class Glance(NamedTuple):
    """A word, and the embedded image in which the attended regions stay bright."""

    word: str
    address: str


class Looks(NamedTuple):
    """Where rows look in the same image.

    Attributes:
        thumbnail: The whole image.
        reference: One of its true captions.
        rows: Each attending row's glances, one per word, by the row's position in the suite.
    """

    thumbnail: Thumbnail
    reference: str
    rows: Mapping[int, Sequence[Glance]]

    @property
    def size(self) -> int:
        """The characters that all its pictures take in the page."""
        glances = [glance for row in self.rows.values() for glance in row]
        return len(self.thumbnail.address) + sum(len(glance.address) for glance in glances)


def attention_maps(rows: Sequence[Compared], images: Images) -> list[Looks]:
    """Make maps of every row with an attention decoder, for its first seed's first captions.

    Images that cannot be opened are left out. There are none if no row has maps.
    """
    few = ((each, thumbnail(each.image, LONGEST)) for each in images.examples[:IMAGES])
    shown = [(example, small) for example, small in few if small]
    examples = [example for example, _ in shown]
    followed = {
        place: look(row.runs[0], examples, images.captions[row.name])
        for place, row in enumerate(rows)
        if row.name in images.captions and row.runs and attends(row)
    }
    found = {place: maps for place, maps in followed.items() if maps}
    return [
        Looks(small, example.captions[0], {place: maps[index] for place, maps in found.items()})
        for index, (example, small) in enumerate(shown)
        if found
    ]


def look(run: Run, examples: Sequence[Example], said: Mapping[ImageId, str]) -> list[list[Glance]]:
    """Follow a run's captions of images.

    None if its checkpoint is missing, or the regions of an image do not form a square.
    """
    if not run.checkpoint().exists():
        return []
    captioner = load_captioner(run.checkpoint())
    if math.isqrt(captioner.encoder.regions) ** 2 != captioner.encoder.regions:
        return []
    return [
        glances(captioner, open_image(locate(example.image)), said[example.image_id])
        for example in examples
    ]


def attends(row: Compared) -> bool:
    """Return whether a row's captioner has attention, according to its configuration.

    The name of the decoder's class decides: the path before it depends on how it was imported.
    """
    decoder = row.runs[0].config.get("decoder")
    path = decoder.get("class_path", "") if isinstance(decoder, dict) else ""
    return str(path).rpartition(".")[2] == ShowAttendTell.__name__


@torch.inference_mode()
def glances(captioner: Captioner, image: Image.Image, caption: str) -> list[Glance]:
    """Replay a caption word by word, and shade the image by the attention of each.

    The image is shown as the encoder receives it, cropped or resized to a square, so that its
    cells are in place.
    """
    tensor = captioner.encoder.transform()(image)
    (tokens,) = captioner.vocabulary.encode([caption])
    maps = follow(captioner, captioner.encode_images(tensor[None]), tokens)
    words = [captioner.vocabulary.tokens[token] for token in tokens]
    seen = (tensor - tensor.min()) / (tensor.max() - tensor.min()).clamp(min=1e-6)
    pairs = zip(words, maps, strict=True)
    return [Glance(word, shaded(seen, weights)) for word, weights in pairs]


def follow(
    captioner: Captioner, features: Float[Tensor, "1 r d"], tokens: Sequence[int]
) -> list[Float[Tensor, " r"]]:
    """Return the attention weights of the regions before each word; each map sums to one."""
    decoder = captioner.decoder
    assert isinstance(decoder, ShowAttendTell)
    state = decoder.begin(features, torch.tensor([0]))
    maps = []
    for token in [BEGIN, *tokens][: len(tokens)]:
        maps.append(decoder.attend(state)[0])
        _, state = decoder.step(torch.tensor([token]), state)
    return maps


def shaded(image: Float[Tensor, "3 height width"], weights: Float[Tensor, " r"]) -> str:
    """Darken an image, in [0, 1], by weights of a square of regions; return a JPEG's data URL."""
    side = math.isqrt(len(weights))
    grid = (weights / weights.max()).reshape(1, 1, side, side)
    light = interpolate(grid, (SIDE, SIDE), mode="bicubic", align_corners=False)[0].clamp(0, 1)
    small = interpolate(image[None], (SIDE, SIDE), mode="area")[0]
    pixels = small * (SHADE + (1 - SHADE) * light) * 255
    content = io.BytesIO()
    Image.fromarray(pixels.byte().permute(1, 2, 0).numpy()).save(content, "JPEG", quality=80)
    return data_address("jpeg", content.getvalue())
