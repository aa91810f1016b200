"""Shards made of any data set, gone on with where that was stopped."""

import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from captioning.data.dataset import Example
from captioning.data.image import picture_bytes, picture_status
from captioning.data.shard_index import PICTURES, read_index
from captioning.errors import InputError
from captioning.files import MEGABYTE, check_room, remove_leftovers, whole, writing

OVERHEAD = 4096
"""Bytes that a sample takes beside its picture: two headers, captions, what fills the blocks."""

ADVICE = "choose another --output"

Keyed = Mapping[str, Example]
"""Examples by their keys in a shard."""


def plan_shards(
    examples: Sequence[Example], folder: Path, split: str, per_shard: int
) -> dict[Path, Keyed]:
    """Give the shards that hold these examples in their order, so many in each.

    Keys are numbers, since names may have dots, at which WebDataset ends a key, or any length.
    """
    keyed = ((f"{number:09}", example) for number, example in enumerate(examples))
    files = (folder / f"{split}-{number:05}.tar" for number in itertools.count())
    starts = range(0, len(examples), per_shard)
    return {next(files): dict(itertools.islice(keyed, per_shard)) for _ in starts}


def write_shards(plan: Mapping[Path, Keyed]) -> None:
    """Write those shards that are not there; pictures are copied as their files are.

    A shard appears whole or not at all, and the same examples make the same bytes. Of two processes
    that write one split, one works and the other waits for it; what killed ones have left is
    removed.

    Raises:
        InputError: when a picture is missing or of no known ending, when there is no room, and
            when a shard is there that holds something else.
    """
    from filelock import FileLock

    lacking = missing(plan)
    sizes = [checked_size(example) for file in lacking for example in plan[file].values()]
    needed = sum(sizes) + OVERHEAD * len(sizes)
    first = next(iter(plan))
    folder = first.parent
    print(
        f"{folder}: {len(lacking):,} of {len(plan):,} shards to write, "
        f"{needed / MEGABYTE:,.0f} MB at most",
        file=sys.stderr,
    )
    with writing(folder, f"{ADVICE}; what is written stays"):
        folder.mkdir(parents=True, exist_ok=True)
        check_room(folder, needed, ADVICE)
        with FileLock(first.with_name(f".{first.stem}.lock")):
            remove_leftovers(plan)
            for file in tqdm(missing(plan), "writing shards", unit="shard", disable=None):
                write_shard(file, plan[file])


def missing(plan: Mapping[Path, Keyed]) -> list[Path]:
    """Give the shards that are not there; InputError where one holds something else."""
    for file in plan:
        if file.exists():
            check_shard(file, plan[file])
    return [file for file in plan if not file.exists()]


def check_shard(file: Path, examples: Keyed) -> None:
    """Raise InputError unless a shard has these examples, with pictures of these sizes."""
    found = [
        (each.key, each.image_id, each.captions, each.size) for each in read_index(file).values()
    ]
    if found != [
        (key, each.image_id, each.captions, checked_size(each)) for key, each in examples.items()
    ]:
        raise InputError(
            f"{file} is there and holds something else than these settings would put into it: "
            "delete it, or choose another --output"
        )


def checked_size(example: Example) -> int:
    """Give the size of a picture in bytes, of which a reader must know the ending."""
    status = picture_status(example.image)
    if status is None:
        raise InputError(f"{example.image}: expected a picture, found no file; add it")
    if ending(example) not in PICTURES:
        raise InputError(
            f"{example.image}: a picture in a shard ends in {', '.join(sorted(PICTURES))}; save it "
            "as one of these"
        )
    return status[0]


def ending(example: Example) -> str:
    """Give the ending of a picture's name."""
    return example.image.suffix[1:].lower()


def write_shard(file: Path, examples: Keyed) -> None:
    """Write one shard, under another name until it is whole."""
    from webdataset import TarWriter

    with (
        whole(file) as partial,
        partial.open("wb") as content,
        TarWriter(content, user="", group="", mtime=0) as tar,
    ):
        for key, example in examples.items():
            picture = picture_bytes(example.image)
            record = {"image_id": example.image_id, "captions": example.captions}
            tar.write({"__key__": key, ending(example): picture, "json": record})
