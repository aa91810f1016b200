"""How fast images for training come from shards, against files and the WebDataset library.

    python tests/benchmarks/bench_shards.py

Photographs of 640×480 as JPEG, in a random order: as files, in shards read in place, and as the
library streams the same shards through a buffer, which mixes them less. One thread, images per
CPU second, the best of several epochs that take turns; all content lies in the system's memory, so
that the disk, for which shards are made, has no part in it. `content` is only read; `batches` are
those of training: opened, transformed for MobileNetV2 and stacked, ours with captions.
"""

import io
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import webdataset
from PIL import Image

from captioning.data.batching import CaptionedImages, TrainingBatches
from captioning.data.dataset import Example
from captioning.data.image import image_bytes
from captioning.data.inputs import ImageFiles, Transform
from captioning.data.shard_writing import plan_shards, write_shards
from captioning.data.shards import read_shards
from captioning.encoder import Backbone

IMAGES, PER_SHARD, BATCH, ROUNDS = 240, 60, 40, 3
CAPTION, TOKENS = "a photograph", [[4, 5, 2]]

Epoch = Callable[[], int]
"""Goes through all images once, and counts them."""


def photographs(folder: Path) -> list[Example]:
    """Files of about the size of COCO's, 160 kB: noise that is smooth."""
    generator = np.random.default_rng(0)
    examples = []
    for number in range(IMAGES):
        small = generator.integers(0, 256, (120, 160, 3), dtype=np.uint8)
        content = io.BytesIO()
        Image.fromarray(small).resize((640, 480)).save(content, "JPEG", quality=90)
        path = folder / f"{number}.jpg"
        path.write_bytes(content.getvalue())
        examples.append(Example(number, path, (CAPTION,)))
    return examples


def count(values: Iterable[object]) -> int:
    return sum(1 for _ in values)


def reading(examples: Sequence[Example]) -> Epoch:
    """Read the content of all images in a random order."""
    order = random.Random(0).sample(examples, len(examples))
    return lambda: count(image_bytes(example.image) for example in order)


def training(examples: Sequence[Example], transform: Transform) -> Epoch:
    """Make the batches of an epoch as training does."""
    files = ImageFiles([example.image for example in examples], transform)
    batches = TrainingBatches(CaptionedImages(examples, [TOKENS] * len(files), files), BATCH)
    return lambda: sum(len(batch.image_ids) for batch in islice(batches, len(batches)))


def library(shards: Sequence[Path]) -> "webdataset.WebDataset":
    """The library's samples, which begin anew with every loop."""
    addresses = [str(shard) for shard in shards]
    return webdataset.WebDataset(addresses, shardshuffle=len(addresses), seed=0).shuffle(PER_SHARD)


def library_training(shards: Sequence[Path], transform: Transform) -> Epoch:
    """Make the library's batches, of images alone."""
    opened = library(shards).decode("pilrgb").to_tuple("jpg").map_tuple(transform)
    batches = opened.batched(BATCH)
    return lambda: sum(len(images) for (images,) in batches)


def speeds(epochs: Sequence[Epoch]) -> list[float]:
    """Return the images per CPU second of each, in its best epoch."""
    seconds: list[list[float]] = [[] for _ in epochs]
    for _ in range(ROUNDS):
        for epoch, times in zip(epochs, seconds, strict=True):
            start = time.process_time()
            assert epoch() == IMAGES
            times.append(time.process_time() - start)
    return [IMAGES / min(times) for times in seconds]


def main() -> None:
    """Print a row for what is read, and one for what is trained on."""
    torch.set_num_threads(1)
    transform = Backbone("mobilenet_v2", None).transform()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = photographs(folder)
        plan = plan_shards(files, folder, "train", PER_SHARD)
        write_shards(plan)
        shards, stream = read_shards([*plan]), library([*plan])
        rows: dict[str, list[Epoch]] = {
            "content": [reading(files), reading(shards), lambda: count(stream)],
            "batches": [
                training(files, transform),
                training(shards, transform),
                library_training([*plan], transform),
            ],
        }
        print(f"{'images per CPU second':<24}{'files':>9}{'shards':>9}{'library':>9}", end="")
        print(f"{'shards/files':>14}{'shards/library':>16}")
        for what, epochs in rows.items():
            plain, ours, theirs = speeds(epochs)
            ratios = f"{ours / plain:14.2f}{ours / theirs:16.2f}"
            print(f"{what:<24}{plain:9,.0f}{ours:9,.0f}{theirs:9,.0f}{ratios}", flush=True)


if __name__ == "__main__":
    main()
