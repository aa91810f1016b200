"""COCO captions: one JSON file per split, and a folder of images."""

from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioning.data.dataset import (
    Dataset,
    Example,
    ImageId,
    check_captioned,
    check_split,
    checked_caption,
    join,
)
from captioning.data.paths import locate
from captioning.data.reading import field, identifier, read_json
from captioning.errors import InputError

_FIELDS = frozenset({"images", "id", "file_name", "annotations", "image_id", "caption"})


@dataclass(frozen=True)
class Coco(Dataset):
    """Data in COCO's own format.

    Args:
        name: Short name of the data set, used in the names of run folders.
        images: Folder of the images, one for all splits or one per split.
        annotations: File of captions of each split, such as `captions_train2017.json`.
    """

    name: str
    images: dict[str, str] | str
    annotations: dict[str, str]

    def examples(self, split: str) -> list[Example]:
        check_split(split, self.annotations, self.name)
        if isinstance(self.images, str):
            folder = self.images
        else:
            check_split(split, self.images, f"{self.name}, folders of images")
            folder = self.images[split]
        return read_coco(locate(self.annotations[split]), locate(folder))


def read_coco(annotations: Path, folder: Path) -> list[Example]:
    """Read the examples of one file in COCO's format (https://cocodataset.org/#format-data).

    Every listed image needs a caption and every caption a listed image, so that training and
    scoring use the same images.
    """
    document = _document(annotations)
    files = {
        image_id: folder / field(image, "file_name", str, where)
        for image_id, image, where in _images(document, annotations)
    }
    captions: dict[ImageId, list[str]] = {image_id: [] for image_id in files}
    for image_id, caption, where in _captions(document, annotations, captions):
        captions[image_id].append(checked_caption(caption, f"{where} of image {image_id!r}"))
    return join(files, captions, str(annotations))


def read_references(annotations: Path) -> dict[ImageId, list[str]]:
    """Read the captions of each listed image, exactly as written, as references for scoring.

    They are in the file's order, on which published numbers depend (see
    `captioning.metrics.tokenize`). An image needs no file name, and a caption may be blank, but
    each image needs a caption.
    """
    document = _document(annotations)
    captions: dict[ImageId, list[str]] = {
        image_id: [] for image_id, _, _ in _images(document, annotations)
    }
    for image_id, caption, _ in _captions(document, annotations, captions):
        captions[image_id].append(caption)
    check_captioned(captions, captions, str(annotations))
    return captions


def _document(annotations: Path) -> Any:
    document = read_json(annotations, _FIELDS)
    if not isinstance(document, dict) or not {"images", "annotations"} <= document.keys():
        raise InputError(
            f"{annotations}: expected COCO captions, an object with 'images' and 'annotations', "
            f"got {_shape(document)}; a results file has no images and cannot stand in for it"
        )
    return document


def _images(document: Any, annotations: Path) -> Iterator[tuple[ImageId, Any, str]]:
    """Yield each image's id, which must be unique, its record and its place in the file."""
    seen: set[ImageId] = set()
    for index, image in enumerate(field(document, "images", list, str(annotations))):
        where = f"{annotations}, images[{index}]"
        image_id = identifier(image, "id", where)
        if image_id in seen:
            raise InputError(f"{where}: a second image has the id {image_id!r}; ids are unique")
        seen.add(image_id)
        yield image_id, image, where


def _captions(
    document: Any, annotations: Path, images: Container[ImageId]
) -> Iterator[tuple[ImageId, str, str]]:
    """Yield each caption's image id, which must be in `images`, its text and its place."""
    for index, annotation in enumerate(field(document, "annotations", list, str(annotations))):
        where = f"{annotations}, annotations[{index}]"
        image_id = identifier(annotation, "image_id", where)
        if image_id not in images:
            raise InputError(
                f"{where}: a caption of image {image_id!r}, which is not among 'images'; "
                "list the image, or remove the caption"
            )
        yield image_id, field(annotation, "caption", str, where), where


def _shape(document: object) -> str:
    if isinstance(document, dict):
        return f"an object with {', '.join(sorted(document)) or 'other fields'}"
    return f"a {type(document).__name__}"
