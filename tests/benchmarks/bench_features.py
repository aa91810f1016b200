"""How much dearer it is to encode an image than to read what was made of it before.

    python tests/benchmarks/bench_features.py

One thread, wall-clock milliseconds an image, photographs of 640×480 as JPEG, networks without
training (they take as long). Reading is that of training: rows in a random order, gathered into
batches of 50, from a file that lies in the system's memory as it does in every epoch but the first;
`first` adds the comparison of each row with its checksum, as in the first epoch of a process. What
is known of each image by its content is had while it is encoded; `hash` is what that takes.
"""

import io
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from captioning.data.dataset import Example
from captioning.data.feature_file import ABSENT, FeatureFile, look
from captioning.data.inputs import StoredFeatures
from captioning.encoder import Backbone
from captioning.features import FeatureCache

IMAGES, ROWS, BATCH, ROUNDS = 16, 1000, 50, 3
NETWORKS = (("mobilenet_v2", "pooled"), ("resnet101", "pooled"), ("resnet101", "grid"))


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
        examples.append(Example(number, path, ("a photograph",)))
    return examples


def milliseconds(work: Callable[[], object], count: int) -> float:
    """Time a piece of work, and give the share of one image of it."""
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start) / count


def gather(stored: StoredFeatures, order: Sequence[int]) -> None:
    """Read all rows, a batch at a time."""
    for start in range(0, len(order), BATCH):
        rows = [stored[row] for row in order[start : start + BATCH]]
        torch.stack([row for row in rows if isinstance(row, torch.Tensor)])


def read_times(folder: Path, regions: int, size: int) -> tuple[float, float]:
    """Time reading with the comparison of checksums, and without."""
    file = FeatureFile(folder / "rows.npy", (ROWS, regions, size))
    file.create()
    for start in range(0, ROWS, BATCH):
        rows = range(start, start + BATCH)
        file.write(rows, np.ones((BATCH, regions, size), np.float16), [ABSENT] * BATCH)
    stored = StoredFeatures(file, [folder] * ROWS)
    order = np.random.default_rng(0).permutation(ROWS).tolist()
    first = milliseconds(lambda: gather(stored, order), ROWS)
    later = min(milliseconds(lambda: gather(stored, order), ROWS) for _ in range(ROUNDS))
    return first, later


def main() -> None:
    """Print a row for each network."""
    torch.set_num_threads(1)
    print(f"{'ms an image':<22}{'encode':>9}{'hash':>8}{'first':>8}{'read':>8}{'encode/read':>13}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        examples = photographs(folder)
        hashing = milliseconds(lambda: [look(each.image) for each in examples], IMAGES)
        for architecture, features in NETWORKS:
            encoder = Backbone(architecture, None, features)
            cache = FeatureCache(encoder, examples, folder / "cache", architecture)
            encode = milliseconds(lambda cache=cache: cache.complete(0), IMAGES)
            first, later = read_times(folder, encoder.regions, encoder.feature_size)
            figures = f"{encode:9.1f}{hashing:8.2f}{first:8.3f}{later:8.3f}{encode / later:13,.0f}"
            print(f"{architecture + ', ' + features:<22}{figures}", flush=True)


if __name__ == "__main__":
    main()
