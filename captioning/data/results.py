"""Results of a captioning system, in the format of the COCO evaluation."""

from pathlib import Path

from captioning.data.dataset import ImageId
from captioning.data.reading import field, identifier, read_json
from captioning.errors import InputError

_FIELDS = frozenset({"image_id", "caption"})


def read_results(path: Path) -> dict[ImageId, str]:
    """Read the caption of each image, in the file's order; a caption may be empty.

    The format is a list of {"image_id": ..., "caption": ...}
    (https://cocodataset.org/#format-results). A second caption of an image is an error, even if
    equal: it would be unclear which is the system's.
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
