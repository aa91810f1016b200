"""The real sets, where CAPTIONING_DATA has them: their published counts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from captioning.data import Coco, Dataset, Flickr, locate, open_image

pytestmark = pytest.mark.slow

FLICKR8K = Flickr(
    "flickr8k",
    "flickr8k/captions.txt",
    "flickr8k/Images",
    {
        "train": "flickr8k/Flickr_8k.trainImages.txt",
        "val": "flickr8k/Flickr_8k.devImages.txt",
        "test": "flickr8k/Flickr_8k.testImages.txt",
    },
)
COCO_MINI = Coco(
    "coco_mini",
    {"train": "coco_mini/train2017", "val": "coco_mini/val2017"},
    {
        "train": "coco_mini/annotations/captions_train2017.json",
        "val": "coco_mini/annotations/captions_val2017.json",
    },
)


@pytest.mark.parametrize(
    ("dataset", "split", "count"),
    [
        (FLICKR8K, "train", 6000),
        (FLICKR8K, "val", 1000),
        (FLICKR8K, "test", 1000),
        (COCO_MINI, "train", 80),
        (COCO_MINI, "val", 79),
    ],
    ids=lambda value: value.name if isinstance(value, Dataset) else str(value),
)
def test_a_real_set_has_its_published_counts_and_its_images(
    data_root: Callable[[str], Path], dataset: Dataset, split: str, count: int
) -> None:
    data_root(dataset.name)
    examples = dataset.examples(split)
    assert len(examples) == count
    assert all(len(example.captions) == 5 for example in examples)
    assert all(example.image.is_file() for example in examples)
    assert min(open_image(examples[0].image).size) >= 224


def test_every_image_of_flickr8k_has_five_captions(
    data_root: Callable[[str], Path], tmp_path: Path
) -> None:
    data_root("flickr8k")
    listing = tmp_path / "all.txt"
    listing.write_text("\n".join(path.name for path in locate(FLICKR8K.images).iterdir()))
    examples = replace(FLICKR8K, splits={"test": str(listing)}).examples("test")
    assert len(examples) == 8091
    assert all(len(example.captions) == 5 for example in examples)
