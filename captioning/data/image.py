"""Open an image file of any kind as an upright RGB image."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from captioning.data.shard_index import find_sample, read_image, shard_of
from captioning.errors import InputError


class ImageError(InputError):
    """An image that is missing or cannot be decoded; the message names the file."""


def open_image(path: str | Path) -> Image.Image:
    """Open an image in RGB, 8 bits per channel, rotated according to its EXIF orientation.

    Transparent pixels are blended with white, 16-bit grey is scaled to 8 bits, and an animation is
    represented by its first frame. The image may be in a shard, `train-000.tar/0042.jpg`. Raises
    ImageError if there is no image or only part of one.
    """
    try:
        shard = shard_of(Path(path))
        content = path if shard is None else io.BytesIO(read_image(shard, Path(path)))
        with Image.open(content) as image:
            ImageOps.exif_transpose(image, in_place=True)
            return _to_rgb(image)
    except FileNotFoundError:
        raise ImageError(
            f"{path}: expected an image, found no file; add it, or leave it out"
        ) from None
    except UnidentifiedImageError:
        raise ImageError(
            f"{path}: expected an image, got no known format; replace it, or leave it out"
        ) from None
    # Pillow's decoders share no exception: damaged files made them raise OSError, SyntaxError,
    # ValueError, RuntimeError, struct.error and DecompressionBombError.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(
            f"{path}: expected a whole image, but decoding failed ({reason}); "
            "replace it, or leave it out"
        ) from error


def image_status(path: Path) -> tuple[int, int] | None:
    """Return an image's size in bytes and the date of its file or shard; None if it is missing."""
    shard = shard_of(path)
    if shard is None:
        status = path.stat() if path.exists() else None
        return status and (status.st_size, status.st_mtime_ns)
    sample = find_sample(shard, path)
    return sample and (sample.size, shard.stat().st_mtime_ns)


def image_bytes(path: Path) -> bytes:
    """Return the content of an image's file, which may be in a shard."""
    shard = shard_of(path)
    return path.read_bytes() if shard is None else read_image(shard, path)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("floating-point images have no agreed white, 8 or 16 bits have")
    if image.mode.startswith("I"):
        return _from_16_bits(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image.convert("RGBA"))
    return white.convert("RGB")


def _from_16_bits(image: Image.Image) -> Image.Image:
    """Convert grey of 0 to 65535; Pillow's own conversion clips everything above 255 to white."""
    grey = np.asarray(image).clip(0, 65535) / 257
    return Image.fromarray(grey.round().astype(np.uint8)).convert("RGB")
