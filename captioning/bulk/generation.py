"""Caption any number of images: workers open them, batches are captioned, records written."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from captioning.bulk.collection import Block
from captioning.bulk.parts import Parts
from captioning.bulk.records import Record
from captioning.captioner import Captioner
from captioning.data.batching import OnBadImage
from captioning.data.image import ImageError
from captioning.data.inputs import ImageFiles, Transform
from captioning.errors import InputError
from captioning.processes import collect, from_first, part, place
from captioning.search import Search, seeded


@dataclass(frozen=True)
class Task:
    """How images are captioned."""

    captioner: Captioner
    search: Search
    seed: int
    batch_size: int
    num_workers: int
    on_bad_image: OnBadImage


class Request(NamedTuple):
    """A batch of images of one part of the work; an empty batch ends the part."""

    part: int
    names: list[str]
    paths: list[Path]


class Opened(NamedTuple):
    """A batch as a worker returns it: an error or None per image, and the opened images."""

    part: int
    names: list[str]
    errors: list[str | None]
    images: Float[Tensor, "n c height width"] | None


class Opening(Dataset[Opened]):
    """Opens and transforms batches on demand; a batch is its own key."""

    def __init__(self, transform: Transform) -> None:
        self.transform = transform

    def __getitem__(self, batch: Request) -> Opened:
        files = ImageFiles(batch.paths, self.transform)
        opened = [files[index] for index in range(len(files))]
        errors = [str(each) if isinstance(each, ImageError) else None for each in opened]
        images = [each for each in opened if isinstance(each, Tensor)]
        return Opened(batch.part, batch.names, errors, torch.stack(images) if images else None)


def batches_of(part: int, block: Block, size: int, start: int = 0) -> Iterator[Request]:
    """Yield the batches of a block from image `start` on, then the empty one that ends it."""
    names = block.names()
    for first in range(start, len(names), size):
        some = names[first : first + size]
        yield Request(part, some, [block.path(name) for name in some])
    yield Request(part, [], [])


def caption_batches(task: Task, batches: Iterator[Request]) -> Iterator[tuple[int, list[Record]]]:
    """Yield the part and the records of each batch, while workers open the next ones."""
    loader = DataLoader(
        Opening(task.captioner.encoder.transform()),
        batch_size=None,
        sampler=batches,  # read lazily
        num_workers=task.num_workers,
        pin_memory=torch.cuda.is_available(),
    )
    for opened in loader:
        if task.on_bad_image == "error":
            for error in filter(None, opened.errors):
                raise InputError(f"{error} (--on_bad_image skip leaves such images out)")
        yield opened.part, caption_batch(task, opened)


def caption_batch(task: Task, opened: Opened) -> list[Record]:
    """Return a record for each image."""
    captions = iter([] if opened.images is None else say(task, opened.names, opened.images))
    return [
        {"image": text(name), "captions": next(captions)}
        if error is None
        else {"image": text(name), "captions": [], "error": text(error)}
        for name, error in zip(opened.names, opened.errors, strict=True)
    ]


@torch.inference_mode()
def say(
    task: Task, names: Sequence[str], images: Float[Tensor, "n c height width"]
) -> list[list[Record]]:
    """Return the captions of a batch; random draws depend only on its names and the seed."""
    features = task.captioner.encode_images(images)
    generator = seeded((task.seed, *names), features.device)
    found = task.search([task.captioner], [features], generator)
    decode = task.captioner.vocabulary.decode
    return [
        [
            {"caption": decode(caption), "log_probability": chance}
            for caption, chance in zip(*each, strict=True)
        ]
        for each in zip(found.tokens.tolist(), found.log_probabilities.tolist(), strict=True)
    ]


def text(name: str) -> str:
    """Escape what UTF-8 cannot encode in a file name, which may hold any bytes."""
    return os.fsencode(name).decode(errors="backslashreplace")


def caption_all(
    task: Task, parts: Parts, settings: Mapping[str, Any], blocks: Iterable[Block]
) -> str | None:
    """Make an output, or the rest of it, with all processes; the first returns a summary line."""
    started = time.monotonic()

    def begin() -> bool:
        stack.enter_context(parts.opened())
        return parts.begin(settings, blocks)

    with ExitStack() as stack:
        if not from_first(begin):
            first = place()[0] == 0
            part()
            whole = f"{parts.output} is complete; name another --output, or remove it to start over"
            return whole if first else None
        counts = collect(lambda: take_part(task, parts))
        if not counts:
            return None
        tally = parts.join()
    rate = sum(counts) / (time.monotonic() - started)
    return (
        f"{parts.output}: {tally.images:,} images, of which {tally.bad:,} could not be opened; "
        f"{sum(counts):,} captioned now, {rate:.1f} a second"
    )


def take_part(task: Task, parts: Parts) -> int:
    """Do this process's share of an output that the first process has opened."""
    if place()[0] == 0:
        return caption_share(task, parts)
    with parts.opened():
        parts.share()
        return caption_share(task, parts)


def caption_share(task: Task, parts: Parts) -> int:
    """Make this process's parts, or the rest of them; return how many images were captioned."""
    # The order of sums, and so the last digits, may depend on the number of threads.
    torch.set_num_threads(1)
    rank, size = place()
    kept, left = take_up(parts)
    batches = (
        batch
        for number, block in parts.unfinished(rank, size)
        for batch in batches_of(number, block, task.batch_size, kept[number])
    )
    done = 0
    silent = None if rank == 0 else True  # null: hidden unless on a terminal
    with tqdm(desc="captioning", total=left, unit="image", disable=silent) as bar:
        try:
            for number, records in caption_batches(task, batches):
                if records:
                    parts.append(number, records)
                else:
                    parts.finish(number)
                done += len(records)
                bar.update(len(records))
                if parts.halted:
                    break
        except InputError:
            parts.halt()
            raise
    return done


def take_up(parts: Parts) -> tuple[dict[int, int], int | None]:
    """Return how many records are kept of each of this process's parts and how many are left to do.

    The latter is None if shards are left: their images are counted only when their turn comes.
    """
    kept, left, counted = {}, 0, True
    for number, block in parts.unfinished(*place()):
        kept[number] = parts.keep(number)
        left += len(block.files) - kept[number]
        counted = counted and block.shard is None
    return kept, left if counted else None
