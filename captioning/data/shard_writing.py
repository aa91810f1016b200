"""Write any data set as shards, resuming where an earlier process stopped."""

import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from captioning.data.dataset import Example
from captioning.data.image import image_bytes, image_status
from captioning.data.shard_index import IMAGES, read_index
from captioning.errors import InputError
from captioning.files import MEGABYTE, check_room, remove_leftovers, whole, writing

OVERHEAD = 4096
"""Bytes that a sample takes besides its image: two headers, captions, padding of blocks."""

ADVICE = "choose another --output"

Keyed = Mapping[str, Example]
"""The examples of a shard, by key."""


def plan_shards(
    examples: Sequence[Example], folder: Path, split: str, per_shard: int
) -> dict[Path, Keyed]:
    """Divide examples among shards, in order and `per_shard` in each.

    Keys are numbers, since names may be of any length or contain dots, where WebDataset ends a key.
    """
    keyed = ((f"{number:09}", example) for number, example in enumerate(examples))
    files = (folder / f"{split}-{number:05}.tar" for number in itertools.count())
    starts = range(0, len(examples), per_shard)
    return {next(files): dict(itertools.islice(keyed, per_shard)) for _ in starts}


def write_shards(plan: Mapping[Path, Keyed]) -> None:
    """Write the missing shards; the files of images are copied unchanged.

    A shard is written atomically, and the same examples give the same bytes. If two processes write
    one split, one works and the other waits for it; partial files of killed ones are removed.

    Raises:
        InputError: if an image is missing or has an unknown suffix, if there is no room, or if a
            shard exists with other content.
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
    """Return the missing shards; InputError if an existing one has other content."""
    for file in plan:
        if file.exists():
            check_shard(file, plan[file])
    return [file for file in plan if not file.exists()]


def check_shard(file: Path, examples: Keyed) -> None:
    """Raise InputError unless a shard has these examples, with images of the same sizes."""
    found = [
        (each.key, each.image_id, each.captions, each.size) for each in read_index(file).values()
    ]
    if found != [
        (key, each.image_id, each.captions, checked_size(each)) for key, each in examples.items()
    ]:
        raise InputError(
            f"{file} exists with content that does not match these settings: delete it, or choose "
            "another --output"
        )


def checked_size(example: Example) -> int:
    """Return the size in bytes of an image, whose suffix must be one that readers know."""
    status = image_status(example.image)
    if status is None:
        raise InputError(f"{example.image}: expected an image, found no file; add it")
    if ending(example) not in IMAGES:
        raise InputError(
            f"{example.image}: an image in a shard ends in {', '.join(sorted(IMAGES))}; save it "
            "as one of these"
        )
    return status[0]


def ending(example: Example) -> str:
    """Return the suffix of an image's name, in lower case and without the dot."""
    return example.image.suffix[1:].lower()


def write_shard(file: Path, examples: Keyed) -> None:
    """Write one shard, under another name until it is complete."""
    from webdataset import TarWriter

    with (
        whole(file) as partial,
        partial.open("wb") as content,
        TarWriter(content, user="", group="", mtime=0) as tar,
    ):
        for key, example in examples.items():
            image = image_bytes(example.image)
            record = {"image_id": example.image_id, "captions": example.captions}
            tar.write({"__key__": key, ending(example): image, "json": record})
