"""A captioner that says something of any image, and images for it."""

import io
import tarfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from captioning.captioner import Captioner
from captioning.decoder import ShowAndTell
from captioning.encoder import SmallCnn
from captioning.text import Vocabulary

NOISE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def checkpoint(folder: Path, seed: int = 0) -> Path:
    """The file of a captioner of random weights."""
    torch.manual_seed(seed)
    vocabulary = Vocabulary.build(["con mèo ngồi trên ghế"], minimum_count=1)
    encoder = SmallCnn(channels=8)
    decoder = ShowAndTell(len(vocabulary), encoder.feature_size, 8, 8)
    captioner = Captioner(encoder, decoder, vocabulary)
    path = folder / f"small-{seed}.ckpt"
    weights = {f"captioner.{name}": value for name, value in captioner.state_dict().items()}
    torch.save({"captioner": captioner.description(), "state_dict": weights}, path)
    return path


def image(folder: Path, name: str, mode: str = "RGB") -> str:
    """The path of an image of noise."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(NOISE).convert(mode).save(path)
    return str(path)


def shard(path: Path, keys: list[str]) -> Path:
    """A tar file with an image for each key."""
    content = io.BytesIO()
    Image.fromarray(NOISE).save(content, "PNG")
    with tarfile.open(path, "w") as tar:
        for key in keys:
            member = tarfile.TarInfo(f"{key}.png")
            member.size = content.tell()
            tar.addfile(member, io.BytesIO(content.getvalue()))
    return path
