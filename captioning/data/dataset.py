"""The interface of data sets: images with their captions, by split."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from captioning.errors import InputError

ImageId: TypeAlias = int | str
"""As it appears in a results file: COCO's number, otherwise the file name as given."""

SPLITS = ("train", "val", "test")


class SplitError(InputError):
    """A split that the data set does not have."""


@dataclass(frozen=True)
class Example:
    """One image with all its captions."""

    image_id: ImageId
    image: Path
    captions: tuple[str, ...]
    """At least one, none blank, in the file's order, stripped of surrounding white space."""


class Dataset(ABC):
    """A data set; constructing one reads no files, so that any configuration can be built."""

    name: str
    """Short name, such as `flickr8k`, used in the names of run folders."""

    @abstractmethod
    def examples(self, split: str) -> list[Example]:
        """Return the images of `train`, `val` or `test` in the file's order, each once.

        The captions are read anew at every call; no image is opened. Raises SplitError for a
        split that is unknown or empty, and another InputError for a fault in the files.
        """


def all_splits(data: Dataset) -> dict[str, list[Example]]:
    """Read every split that a data set has; there must be at least one."""
    found = {}
    for split in SPLITS:
        with suppress(SplitError):
            found[split] = data.examples(split)
    return found or {SPLITS[0]: data.examples(SPLITS[0])}  # raises the reason


def check_split(split: str, known: Iterable[str], name: str) -> None:
    """Raise SplitError, naming the known splits, unless this is one of them."""
    names = list(known)
    if split not in names:
        raise SplitError(f"{name}: no split {split!r}; expected one of: {', '.join(names)}")


def checked_caption(caption: str, where: str) -> str:
    """Return the caption without surrounding white space.

    Raises InputError if nothing is left, since a blank caption would teach the model to say
    nothing, and for a lone surrogate, left by a cut in the middle of an emoji.
    """
    stripped = caption.strip()
    if not stripped:
        raise InputError(f"{where}: the caption is blank; write one, or remove the entry")
    try:
        stripped.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{where}: the caption is not Unicode ({error}); mend its text") from error
    return stripped


def check_captioned(
    images: Collection[ImageId], captions: Mapping[ImageId, Sequence[str]], where: str
) -> None:
    """Raise InputError unless every image has a caption."""
    bare = [image_id for image_id in images if not captions.get(image_id)]
    if bare:
        raise InputError(
            f"{where}: {len(bare)} of {len(images)} images have no caption, the first is "
            f"{bare[0]!r}; caption them, or take them out of the list of images"
        )


def join(
    images: Mapping[ImageId, Path], captions: Mapping[ImageId, Sequence[str]], where: str
) -> list[Example]:
    """Return the examples of one split, in the order of the images.

    Captions of other images are ignored. Raises SplitError if there are no images, and InputError
    for an image without captions, on which one could neither train nor evaluate, or for one image
    under two ids.
    """
    if not images:
        raise SplitError(f"{where}: the split has no images; expected at least one")
    check_captioned(images, captions, where)
    owner: dict[Path, ImageId] = {}
    for image_id, image in images.items():
        if owner.setdefault(image, image_id) != image_id:
            raise InputError(
                f"{where}: images {owner[image]!r} and {image_id!r} are the same file, {image}; "
                "list each image once"
            )
    return [Example(key, image, tuple(captions[key])) for key, image in images.items()]
