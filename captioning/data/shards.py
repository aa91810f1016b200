"""Shards: images and captions in tar files, in WebDataset's format, read in place.

An image in a shard has a path, `train-000.tar/0042.jpg`, which `open_image` opens like any other.
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
    """Tar files that contain images, `0042.jpg`, next to captions, `0042.json` or `.txt`.

    The JSON is an object with `captions`, a list, or `caption`, a text, and optionally `image_id`;
    the text file has one caption per line. Each shard is indexed once, so that every image can be
    read in place and in any order.

    Args:
        name: Short name of the data set, used in the names of run folders.
        shards: The files of each split, one pattern or several: `mine/train-{000..127}.tar`.
    """

    name: str
    shards: dict[str, str | list[str]]

    def examples(self, split: str) -> list[Example]:
        check_split(split, self.shards, self.name)
        return read_shards(expand(self.shards[split]))


def expand(patterns: str | Sequence[str]) -> list[Path]:
    """Expand patterns such as `train-{000..127}.tar`, in order; every file must exist."""
    from webdataset.shardlists import expand_urls

    each = [patterns] if isinstance(patterns, str) else patterns
    try:
        return [locate(name) for pattern in each for name in expand_urls(pattern)]
    except (ValueError, AssertionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{patterns}: expected a pattern like train-{{000..127}}.tar") from error


def samples(shard: Path) -> Iterator[tuple[Path, Sample]]:
    """Return each image of a shard, as a path for `open_image`, with its sample.

    Captions may be missing. Raises InputError for any fault but in the images, which stay closed.
    """
    return ((shard / sample.file, sample) for sample in read_index(shard).values())


def read_shards(shards: Sequence[Path]) -> list[Example]:
    """Read the examples of all shards, in order; ids must be unique across all of them."""
    examples: list[Example] = []
    owner: dict[ImageId, Path] = {}
    for shard in tqdm(shards, "reading shards", unit="shard", disable=None, leave=False):
        images: dict[ImageId, Path] = {}
        captions: dict[ImageId, tuple[str, ...]] = {}
        for image, sample in samples(shard):
            first = owner.setdefault(sample.image_id, image)
            if first != image:
                raise InputError(
                    f"{image} and {first} have one id, {sample.image_id!r}; ids are unique"
                )
            images[sample.image_id] = image
            captions[sample.image_id] = sample.captions
        examples += join(images, captions, str(shard))
    return examples
