"""Flickr8k and Flickr30k as published: one file of captions, and a list of images per split."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from captioning.data.dataset import Dataset, Example, ImageId, check_split, checked_caption, join
from captioning.data.paths import locate
from captioning.data.reading import read_lines, read_table
from captioning.errors import InputError


@dataclass(frozen=True)
class Flickr(Dataset):
    """Data in the format of Hodosh et al. 2013; images in no list belong to no split.

    Args:
        name: Short name of the data set, used in the names of run folders.
        captions: `captions.txt` (CSV with the header `image,caption`) or the older token file,
            such as `Flickr8k.token.txt` (`name.jpg#0`, a tab, the caption).
        images: Folder of the images.
        splits: The file that lists each split's images, one per line; Flickr's `dev` is `val`.
    """

    name: str
    captions: str
    images: str
    splits: dict[str, str]

    def examples(self, split: str) -> list[Example]:
        check_split(split, self.splits, self.name)
        return read_flickr(locate(self.captions), locate(self.images), locate(self.splits[split]))


def read_flickr(captions: Path, folder: Path, listing: Path) -> list[Example]:
    """Read the examples of the images in one list, in its order, identified by file name."""
    images: dict[ImageId, Path] = {}
    for where, line in read_lines(listing):
        name = line.strip()
        if name in images:
            raise InputError(f"{where}: image {name!r} is listed twice; list each image once")
        images[name] = folder / name
    written: dict[ImageId, list[str]] = {name: [] for name in images}
    for where, name, caption in _captions(captions):
        if name in written:
            written[name].append(checked_caption(caption, f"{where}, image {name!r}"))
    return join(images, written, f"{listing} with {captions}")


def _captions(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield each row's place, image and caption; a tab in the first line means a token file."""
    _, first = next(read_lines(path), ("", ""))
    if "\t" in first:
        for where, line in read_lines(path):
            yield (where, *_token(line, where))
    else:
        for where, row in read_table(path, ("image", "caption")):
            yield where, row["image"], row["caption"]


def _token(line: str, where: str) -> tuple[str, str]:
    key, tab, caption = line.partition("\t")
    name, sign, number = key.rpartition("#")
    if not (tab and sign and number.isdecimal()):
        raise InputError(
            f"{where}: expected an image, '#', a number, a tab and a caption, got {line!r:.80}"
        )
    return name, caption
