"""The shapes world as a data set: made when it is first asked for, then read like any other."""

from dataclasses import dataclass
from pathlib import Path

from captioning.data.coco import Coco
from captioning.data.dataset import Dataset, Example
from captioning.shapes.world import write


@dataclass(frozen=True)
class Shapes(Dataset):
    """Small pictures whose captions follow a known law; never downloaded.

    Args:
        name: Short name of the data set, used in the names of run folders.
        folder: Where it lies, or is made.
        seed: Of the scenes, captions and pictures.
    """

    name: str = "shapes"
    folder: str = "data/shapes"
    seed: int = 0

    def examples(self, split: str) -> list[Example]:
        write(Path(self.folder), self.seed)
        return self.in_coco_form().examples(split)

    def in_coco_form(self) -> Coco:
        """The same data set as its files are."""
        splits = ("train", "val", "test")
        return Coco(
            self.name,
            images={split: f"{self.folder}/images/{split}" for split in splits},
            annotations={split: f"{self.folder}/annotations/captions_{split}.json" for split in splits},
        )
