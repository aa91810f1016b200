"""A manifest: a table, CSV or JSONL, of the user's own images and captions."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioning.data.dataset import (
    SPLITS,
    Dataset,
    Example,
    ImageId,
    check_split,
    checked_caption,
    join,
)
from captioning.data.paths import locate
from captioning.data.reading import (
    field,
    identifier,
    parse_json,
    read_lines,
    read_table,
    written_captions,
)
from captioning.errors import InputError


@dataclass(frozen=True)
class Manifest(Dataset):
    """A table of one caption per row, with the fields `image`, `caption` and `split`.

    The optional field `image_id` is the image's id in results files (default: `image`, as given). A
    line of JSONL may have a list `captions` instead of `caption`. Ids that are whole numbers, as
    COCO's evaluation server requires, need JSONL, since everything in a CSV file is text.

    Args:
        name: Short name of the data set, used in the names of run folders.
        path: The table, ending in `.csv` or `.jsonl`.
        images: Folder that the images are relative to; empty for the table's own folder.
    """

    name: str
    path: str
    images: str = ""

    def examples(self, split: str) -> list[Example]:
        check_split(split, SPLITS, self.name)
        path = locate(self.path)
        return read_manifest(path, locate(self.images) if self.images else path.parent, split)


@dataclass(frozen=True)
class _Row:
    where: str
    image: str
    image_id: ImageId
    split: str
    captions: list[str]


def read_manifest(path: Path, folder: Path, split: str) -> list[Example]:
    """Read the examples of one split; the rows of an image may be anywhere in the table."""
    first: dict[str, _Row] = {}
    owner: dict[ImageId, str] = {}
    captions: dict[ImageId, list[str]] = {}
    for row in _rows(path):
        known = first.setdefault(row.image, row)
        if (row.split, row.image_id) != (known.split, known.image_id):
            raise InputError(
                f"{row.where}: image {row.image!r} has split {row.split!r} and id "
                f"{row.image_id!r}, but {known.split!r} and {known.image_id!r} in {known.where}; "
                "an image has one of each"
            )
        if owner.setdefault(row.image_id, row.image) != row.image:
            raise InputError(
                f"{row.where}: images {owner[row.image_id]!r} and {row.image!r} share the id "
                f"{row.image_id!r}; ids are unique"
            )
        captions.setdefault(row.image_id, []).extend(row.captions)
    images = {row.image_id: folder / row.image for row in first.values() if row.split == split}
    return join(images, captions, f"{path}, split {split!r}")


def _rows(path: Path) -> Iterator[_Row]:
    suffix = path.suffix.lower()
    if suffix == ".csv":
        for where, cells in read_table(path, ("image", "caption", "split")):
            yield _row(cells, where)
    elif suffix == ".jsonl":
        for where, line in read_lines(path):
            yield _row(parse_json(line, where), where)
    else:
        raise InputError(f"{path}: expected a manifest ending in .csv or .jsonl, got {suffix!r}")


def _row(record: Any, where: str) -> _Row:
    image = field(record, "image", str, where)
    if not image.strip():
        raise InputError(f"{where}: the image is blank; name its file, or remove the row")
    split = field(record, "split", str, where)
    if split not in SPLITS:
        raise InputError(
            f"{where}: expected 'split' to be one of {', '.join(SPLITS)}, got {split!r:.60}"
        )
    named = record.get("image_id", "") != ""  # an empty cell in a CSV file means no id
    image_id = identifier(record, "image_id" if named else "image", where)
    captions = [
        checked_caption(caption, f"{where}, image {image!r}")
        for caption in written_captions(record, where)
    ]
    return _Row(where, image, image_id, split, captions)
