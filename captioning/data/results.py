"""Captions of a system, in the form that the COCO evaluation takes."""

from pathlib import Path

from captioning.data.dataset import ImageId
from captioning.data.reading import field, identifier, read_json
from captioning.errors import InputError

_FIELDS = frozenset({"image_id", "caption"})


def read_results(path: Path) -> dict[ImageId, str]:
    """The caption of each image, in the file's order; a caption may be empty.

    The form is a list of {"image_id": ..., "caption": ...}
    (https://cocodataset.org/#format-results). An image has one caption: of two, even if alike,
    neither could be told to be the system's.
    """
    document = read_json(path, _FIELDS)
    if not isinstance(document, list):
        raise InputError(
            f'{path}: expected results, a list of {{"image_id": ..., "caption": ...}}, '
            f"got {type(document).__name__}"
        )
    captions: dict[ImageId, str] = {}
    for index, row in enumerate(document):
        where = f"{path}, [{index}]"
        image_id = identifier(row, "image_id", where)
        if image_id in captions:
            raise InputError(f"{where}: a second caption of image {image_id!r}; keep one")
        captions[image_id] = field(row, "caption", str, where)
    return captions
