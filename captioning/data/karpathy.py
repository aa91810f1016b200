"""Karpathy's JSON: all splits of a data set in one file, with captions inside images."""

from dataclasses import dataclass
from pathlib import Path

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
from captioning.data.reading import field, identifier, read_json
from captioning.errors import InputError

_FIELDS = frozenset({"images", "filename", "filepath", "split", "sentences", "raw", "cocoid"})

_RESTVAL = "restval"  # the rest of COCO's validation images, by convention used for training


@dataclass(frozen=True)
class Karpathy(Dataset):
    """Data in the format of Karpathy & Fei-Fei 2015, published for COCO, Flickr8k and Flickr30k.

    Args:
        name: Short name of the data set, used in the names of run folders.
        annotations: The file, such as `dataset_coco.json`.
        images: Folder of the images; for COCO, the one that contains `train2014` and `val2014`.
    """

    name: str
    annotations: str
    images: str

    def examples(self, split: str) -> list[Example]:
        check_split(split, SPLITS, self.name)
        return read_karpathy(locate(self.annotations), locate(self.images), split)


def read_karpathy(annotations: Path, folder: Path, split: str) -> list[Example]:
    """Read the examples of one split, identified by COCO's id if there is one, else by file name.

    The captions are the raw sentences, not the file's own tokens.
    """
    images: dict[ImageId, Path] = {}
    captions: dict[ImageId, list[str]] = {}
    document = read_json(annotations, _FIELDS)
    for index, image in enumerate(field(document, "images", list, str(annotations))):
        where = f"{annotations}, images[{index}]"
        filename = field(image, "filename", str, where)
        image_id = identifier(image, "cocoid" if "cocoid" in image else "filename", where)
        if image_id in captions:
            raise InputError(f"{where}: a second image has the id {image_id!r}; ids are unique")
        captions[image_id] = []
        if _split(image, where) == split:
            subfolder = field(image, "filepath", str, where) if "filepath" in image else ""
            images[image_id] = folder / subfolder / filename
            captions[image_id] = _sentences(image, where)
    return join(images, captions, f"{annotations}, split {split!r}")


def _split(image: object, where: str) -> str:
    split = field(image, "split", str, where)
    if split not in (*SPLITS, _RESTVAL):
        raise InputError(
            f"{where}: expected 'split' to be one of {', '.join(SPLITS)}, {_RESTVAL}, got {split!r}"
        )
    return "train" if split == _RESTVAL else split


def _sentences(image: object, where: str) -> list[str]:
    return [
        checked_caption(field(sentence, "raw", str, where), f"{where}, sentences[{index}]")
        for index, sentence in enumerate(field(image, "sentences", list, where))
    ]
