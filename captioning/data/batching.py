"""Batches of examples, in an order that is a function of the seed."""

import math
import random
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from captioning.batch import Batch, Captions
from captioning.data.dataset import Example
from captioning.data.image import ImageError
from captioning.data.inputs import ImageFiles, StoredFeatures
from captioning.errors import InputError
from captioning.processes import check_shares, place
from captioning.text import END, Vocabulary

OnBadImage = Literal["error", "skip"]

# Shards shuffled together, usually tens of thousands of images: well mixed, a few GB to cache.
MIXED = 16


class Item(NamedTuple):
    """One image on its way into a batch."""

    image: Tensor | ImageError
    captions: list[list[int]]
    example: Example


class Loaded(NamedTuple):
    """A batch as a worker returns it, with the errors of the images left out."""

    batch: Batch | None
    errors: list[str]


class CaptionedImages(Dataset[Item]):
    """Examples as tensors, by keys (epoch, index).

    `captions_per_image` captions are drawn in each epoch; null takes all of them.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        tokens: Sequence[list[list[int]]],
        inputs: ImageFiles | StoredFeatures,
        captions_per_image: int | None = None,
        seed: int = 0,
    ) -> None:
        self.examples = examples
        self.tokens = tokens
        self.inputs = inputs
        self.captions_per_image = captions_per_image
        self.seed = seed

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, key: tuple[int, int]) -> Item:
        epoch, index = key
        captions = self.tokens[index]
        count = self.captions_per_image
        if count is not None and count < len(captions):
            captions = random.Random(f"{self.seed} {epoch} {index}").sample(captions, count)
        return Item(self.inputs[index], captions, self.examples[index])


class TrainingBatches:
    """An endless stream of shuffled batches, `len` of which make an epoch.

    Batch number i is a function of seed, rank and i only, so training resumes exactly at any batch:
    the state is a number. Each process of a distributed run sees its own share of each epoch
    (`process` is its rank and the number of processes, by default those of torch.distributed).
    """

    def __init__(
        self,
        images: CaptionedImages,
        batch_size: int,
        num_workers: int = 0,
        on_bad_image: OnBadImage = "error",
        process: tuple[int, int] | None = None,
    ) -> None:
        self.images = images
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.on_bad_image = on_bad_image
        self._process = process
        self.served = 0
        self.served_to: int | None = None  # number of processes; None for any
        self.skipped: set[str] = set()
        self.stream: Iterator[Loaded] | None = None

    def __len__(self) -> int:
        _, processes = self._process or place()
        return self.batches(processes)

    def batches(self, processes: int) -> int:
        """Count the batches of an epoch for each of so many processes.

        The images left over, too few for one more in each process, vary by epoch.
        """
        check_shares(len(self.images), processes, "training")
        return math.ceil(len(self.images) // processes / self.batch_size)

    def __iter__(self) -> "TrainingBatches":
        return self

    def __next__(self) -> Batch:
        # Between two good batches there are, at worst, all others of their two epochs.
        patience = 2 * len(self)
        if self.stream is None:
            process = self._process or place()
            self.check_processes(process[1])
            together, seed = self.images.inputs.together, self.images.seed
            # Not a bound method: a reference cycle would make the workers end five seconds late.
            keys = shuffled_keys(together, seed, self.batch_size, process, self.served)
            self.stream = iter(loader(self.images, keys, self.num_workers))
        for _ in range(patience):
            self.served += 1
            batch = accept(next(self.stream), self.on_bad_image, self.skipped)
            if batch is not None:
                return batch
        raise InputError(f"none of the {len(self.images)} training images can be opened")

    def check_processes(self, world_size: int) -> None:
        """Refuse to resume with another number of processes, and so other shares."""
        if self.served_to not in (None, world_size):
            raise InputError(
                f"the run was trained by {self.served_to} processes, now there are {world_size}: "
                "resume with the same number (--trainer.devices, --trainer.num_nodes), or start a "
                "new run from its captioner with --from_run"
            )

    def state_dict(self) -> dict[str, Any]:
        """Return the state that Lightning saves in the checkpoint."""
        return {"served": self.served, "processes": (self._process or place())[1]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume after the batches already served."""
        self.served, self.served_to = state["served"], state.get("processes")
        self.stream = None


def shuffled_keys(
    together: Sequence[range], seed: int, batch_size: int, process: tuple[int, int], start: int
) -> Iterator[list[tuple[int, int]]]:
    """Yield the keys of a process's batches from number `start` on, endlessly."""
    rank, world_size = process
    share = sum(map(len, together)) // world_size
    epoch, skip = divmod(start, math.ceil(share / batch_size))
    while True:
        order = shuffled(together, random.Random(f"{seed} {epoch}"))
        own = order[rank * share : (rank + 1) * share]
        for first in range(skip * batch_size, share, batch_size):
            yield [(epoch, index) for index in own[first : first + batch_size]]
        epoch, skip = epoch + 1, 0


def shuffled(together: Sequence[range], generator: random.Random) -> list[int]:
    """Return all images in random order, shuffled within groups of MIXED random shards.

    So a process reads from few shards at a time, and each of them for a short while.
    """
    shards = list(together)
    generator.shuffle(shards)
    order: list[int] = []
    for first in range(0, len(shards), MIXED):
        mixed = [index for shard in shards[first : first + MIXED] for index in shard]
        generator.shuffle(mixed)
        order += mixed
    return order


class EvaluationBatches:
    """Every image once, in order; each of w processes gets every w-th image.

    With `whole`, each gets every w-th batch instead, perhaps none: then a batch holds the same
    images for any number of processes, and results have the same last digits.
    """

    def __init__(
        self,
        images: CaptionedImages,
        batch_size: int,
        num_workers: int = 0,
        on_bad_image: OnBadImage = "error",
        whole: bool = False,
        process: tuple[int, int] | None = None,
    ) -> None:
        self.batch_size = batch_size
        self.whole = whole
        self._process = process
        self.images = images
        self.num_workers = num_workers
        self.on_bad_image = on_bad_image
        self.skipped: set[str] = set()
        self.left_out = 0  # images, in the last pass

    @property
    def keys(self) -> list[list[tuple[int, int]]]:
        """The keys of this process's batches."""
        rank, world_size = self._process or place()
        if not self.whole:
            check_shares(len(self.images), world_size, "validation")
        own = [(0, index) for index in range(len(self.images))]
        own = own if self.whole else own[rank::world_size]
        batches = [own[i : i + self.batch_size] for i in range(0, len(own), self.batch_size)]
        return batches[rank::world_size] if self.whole else batches

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Batch]:
        self.left_out = 0
        for loaded in loader(self.images, self.keys, self.num_workers):
            batch = accept(loaded, self.on_bad_image, self.skipped)
            self.left_out += len(loaded.errors)
            if batch is not None:
                yield batch


def batch_by_batch(views: Sequence[EvaluationBatches], doing: str) -> Iterator[tuple[Batch, ...]]:
    """Yield each batch as seen by each captioner; the first process shows a progress bar."""
    silent = None if place()[0] == 0 else True  # null: hidden unless on a terminal
    yield from tqdm(zip(*views, strict=True), doing, len(views[0]), unit="batch", disable=silent)


def loader(images: CaptionedImages, keys: Any, num_workers: int) -> "DataLoader[Any]":
    """Make a PyTorch loader of the batches with these keys."""
    stored = isinstance(images.inputs, StoredFeatures)
    return DataLoader(
        images,
        batch_sampler=keys,
        num_workers=0 if stored else num_workers,
        collate_fn=partial(collate, stored=stored),
        pin_memory=torch.cuda.is_available(),
    )


def collate(items: list[Item], *, stored: bool) -> Loaded:
    """Stack the images and pad the captions; bad images are left out with their captions."""
    errors = [str(item.image) for item in items if isinstance(item.image, ImageError)]
    good = [item for item in items if isinstance(item.image, Tensor)]
    if not good:
        return Loaded(None, errors)
    stack = torch.stack([item.image for item in good if isinstance(item.image, Tensor)])
    rows = [tokens for item in good for tokens in item.captions]
    owners = [place for place, item in enumerate(good) for _ in item.captions]
    batch = Batch(
        images=None if stored else stack,
        features=stack if stored else None,
        captions=Captions.from_lists(rows, owners),
        image_ids=tuple(item.example.image_id for item in good),
        references=tuple(item.example.captions for item in good),
    )
    return Loaded(batch, errors)


def accept(loaded: Loaded, on_bad_image: OnBadImage, skipped: set[str]) -> Batch | None:
    """Unwrap a worker's batch; print each bad image once, or raise InputError at the first."""
    for error in loaded.errors:
        if on_bad_image == "error":
            raise InputError(
                f"{error} (--on_bad_image skip, in training --loading.on_bad_image skip, leaves "
                "such images out)"
            )
        if error not in skipped:
            skipped.add(error)
            print(f"skipped {len(skipped)}: {error}", file=sys.stderr)
    return loaded.batch


def encode_captions(
    examples: Sequence[Example], vocabulary: Vocabulary, max_words: int
) -> tuple[list[list[list[int]]], int]:
    """Return each example's captions as ids with END, and how many were longer than `max_words`.

    A longer caption is cut off and has no END, so the model does not learn to stop there.
    """
    words = vocabulary.encode([caption for example in examples for caption in example.captions])
    longer = sum(len(row) > max_words for row in words)
    rows = iter(row[:max_words] if len(row) > max_words else [*row, END] for row in words)
    tokens = [[next(rows) for _ in example.captions] for example in examples]
    for example, own in zip(examples, tokens, strict=True):
        if [END] in own:
            caption = example.captions[own.index([END])]
            raise InputError(
                f"image {example.image_id}: the caption {caption!r} has no word in it; "
                "write one, or remove it"
            )
    return tokens, longer
