"""Where an attention decoder looks when it generates each word, as small images."""

import io
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from captioning.captioner import Captioner, load_captioner
from captioning.comparison.compared import Compared, Images
from captioning.data.image import open_image
from captioning.data.paths import locate
from captioning.decoder import ShowAttendTell
from captioning.errors import InputError
from captioning.report.html import data_address
from captioning.text import BEGIN

IMAGES = 8
"""Images shown: 0.1 seconds each and 5 kB per word."""

SIDE = 128
"""Side of one small image, in pixels."""

SHADE = 0.3
"""Brightness of regions without attention."""


class Glance(NamedTuple):
    """A word, and the embedded image in which the attended regions stay bright."""

    word: str
    address: str


class Looks(NamedTuple):
    """A row's attention maps, image by image."""

    row: str
    images: Sequence[Sequence[Glance]]


def attention_maps(rows: Sequence[Compared], images: Images) -> Looks | None:
    """Make maps of the first row with an attention decoder, for its first seed's first captions.

    None if there is no such row, its checkpoint is missing, no image can be opened, or the
    regions of an image do not form a square.
    """
    for row in rows:
        checkpoint = row.runs[0].checkpoint() if row.runs and attends(row) else None
        if checkpoint and checkpoint.exists():
            captioner = load_captioner(checkpoint)
            if math.isqrt(captioner.encoder.regions) ** 2 != captioner.encoder.regions:
                return None
            said = images.captions[row.name]
            found = []
            for example in images.examples[:IMAGES]:
                try:
                    image = open_image(locate(example.image))
                except InputError:
                    continue
                found.append(glances(captioner, image, said[example.image_id]))
            return Looks(row.name, found) if found else None
    return None


def attends(row: Compared) -> bool:
    """Return whether a row's captioner has attention, according to its configuration."""
    decoder = row.runs[0].config.get("decoder") or {}
    name = f"{ShowAttendTell.__module__}.{ShowAttendTell.__name__}"
    return isinstance(decoder, dict) and decoder.get("class_path") == name


@torch.inference_mode()
def glances(captioner: Captioner, image: Image.Image, caption: str) -> list[Glance]:
    """Replay a caption word by word, and shade the image by the attention of each.

    The first glance is the unshaded image, without a word. Images are shown as the encoder
    receives them, cropped or resized to a square, so that its cells are in place.
    """
    tensor = captioner.encoder.transform()(image)
    (tokens,) = captioner.vocabulary.encode([caption])
    maps = follow(captioner, captioner.encode_images(tensor[None]), tokens)
    words = [captioner.vocabulary.tokens[token] for token in tokens]
    seen = (tensor - tensor.min()) / (tensor.max() - tensor.min()).clamp(min=1e-6)
    everywhere = torch.ones(captioner.encoder.regions)
    pairs = zip(["", *words], [everywhere, *maps], strict=True)
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
