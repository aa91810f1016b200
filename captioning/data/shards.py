"""Shards: pictures with their captions in tar files, as WebDataset has them, read in place.

A picture in a shard has a path, `train-000.tar/0042.jpg`, which `open_image` opens like any other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from captioning.data.dataset import Dataset, Example, ImageId, check_split, join
from captioning.data.paths import locate
from captioning.data.shard_index import Sample, read_index
from captioning.errors import InputError


@dataclass(frozen=True)
class Shards(Dataset):
    """Tar files in which a picture, `0042.jpg`, lies beside its captions, `0042.json` or `.txt`.

    The JSON is an object with `captions`, a list, or `caption`, a text, and perhaps `image_id`; the
    text has a caption a line. Each shard is looked through once, then known by its index, so that
    every picture can be read where it lies, in any order.

    Args:
        name: Short name of the data set, used in the names of run folders.
        shards: For each split its files, one pattern or several: `mine/train-{000..127}.tar`.
    """

    name: str
    shards: dict[str, str | list[str]]

    def examples(self, split: str) -> list[Example]:
        check_split(split, self.shards, self.name)
        return read_shards(expand(self.shards[split]))


def expand(patterns: str | Sequence[str]) -> list[Path]:
    """The files that `train-{000..127}.tar` stands for, in order; each must be there."""
    from webdataset.shardlists import expand_urls

    each = [patterns] if isinstance(patterns, str) else patterns
    try:
        return [locate(name) for pattern in each for name in expand_urls(pattern)]
    except (ValueError, AssertionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{patterns}: expected a pattern like train-{{000..127}}.tar") from error


def samples(shard: Path) -> Iterator[tuple[Path, Sample]]:
    """Each picture of a shard, by the path that `open_image` takes, with its key and captions.

    There may be no captions. InputError for any fault but in the pictures, which are not opened.
    """
    return ((shard / sample.file, sample) for sample in read_index(shard).values())


def read_shards(shards: Sequence[Path]) -> list[Example]:
    """The examples of all shards, in their order; keys, or ids, are unique in all of them."""
    examples: list[Example] = []
    owner: dict[ImageId, Path] = {}
    for shard in tqdm(shards, "reading shards", unit="shard", disable=None, leave=False):
        images: dict[ImageId, Path] = {}
        captions: dict[ImageId, tuple[str, ...]] = {}
        for picture, sample in samples(shard):
            first = owner.setdefault(sample.image_id, picture)
            if first != picture:
                raise InputError(
                    f"{picture} and {first} have one id, {sample.image_id!r}; ids are unique"
                )
            images[sample.image_id] = picture
            captions[sample.image_id] = sample.captions
        examples += join(images, captions, str(shard))
    return examples
