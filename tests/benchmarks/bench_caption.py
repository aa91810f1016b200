"""How much longer images take to caption into a file than their encoder and search alone.

    python tests/benchmarks/bench_caption.py [NUM_WORKERS]

Photographs of Flickr8k (CAPTIONING_DATA has them), MobileNetV2, an untrained LSTM of 512, beam
search of five; on one thread, the fastest of several passes. The floor has all images opened,
transformed and stacked beforehand. CPU seconds are those of the captioning process alone, wall
seconds have the waiting for its workers in them.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from captioning.bulk.collection import Block, find
from captioning.bulk.generation import Opening, Task, batches_of, caption_all, say
from captioning.bulk.parts import Parts
from captioning.captioner import Captioner
from captioning.decoder import ShowAndTell
from captioning.encoder import Backbone
from captioning.search import Beam
from captioning.text import SPECIAL, Vocabulary

IMAGES, BATCH, WORDS, PASSES = 100, 50, 3000, 2


def make_task(num_workers: int) -> Task:
    """A captioner of the usual size."""
    torch.manual_seed(0)
    encoder = Backbone("mobilenet_v2", weights=None)
    words = (f"word{i}" for i in range(WORDS - len(SPECIAL)))
    vocabulary = Vocabulary.build(words, minimum_count=1)
    decoder = ShowAndTell(len(vocabulary), encoder.feature_size, 512, 512)
    captioner = Captioner(encoder, decoder, vocabulary).eval()
    return Task(captioner, Beam(size=5), 0, BATCH, num_workers, "error")


def opened(task: Task, blocks: list[Block]) -> list[tuple[list[str], Tensor]]:
    """All batches, in memory."""
    opening = Opening(task.captioner.encoder.transform())
    requests = (each for block in blocks for each in batches_of(0, block, BATCH))
    batches = (opening[request] for request in requests)
    return [(batch.names, batch.images) for batch in batches if batch.images is not None]


def fastest(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of the fastest pass."""
    passes = []
    for _ in range(PASSES):
        start = time.monotonic(), time.process_time()
        work()
        passes.append((time.monotonic() - start[0], time.process_time() - start[1]))
    return min(passes)


def main() -> None:
    """Print both times for an image, and their ratio."""
    photographs = Path(os.environ.get("CAPTIONING_DATA", ""), "flickr8k", "Images")
    if not photographs.is_dir():
        sys.exit("needs photographs: set CAPTIONING_DATA to a folder that has flickr8k")
    torch.set_num_threads(1)
    workers = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    task = make_task(workers)
    blocks = [next(find([str(photographs)], IMAGES))]
    batches = opened(task, blocks)
    floor = fastest(lambda: [say(task, names, images) for names, images in batches])

    def whole() -> None:
        with tempfile.TemporaryDirectory() as folder:
            caption_all(task, Parts(Path(folder, "captions.jsonl"), BATCH), {}, blocks)

    ours = fastest(whole)
    print(f"milliseconds for an image of {IMAGES}, {workers} workers   wall      CPU")
    for name, seconds in (("encoder and search alone", floor), ("captioning caption", ours)):
        print(f"  {name:40}", *(f"{1000 * each / IMAGES:8.1f}" for each in seconds))
    print(f"  {'ratio':40}", *(f"{a / b:8.2f}" for a, b in zip(ours, floor, strict=True)))


if __name__ == "__main__":
    main()
