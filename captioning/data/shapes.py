"""The shapes world as a data set: generated on first use, then read like any other."""

from dataclasses import dataclass, field
from pathlib import Path

from captioning.data.coco import Coco
from captioning.data.dataset import SPLITS, Dataset, Example
from captioning.shapes.world import SIZES, write


@dataclass(frozen=True)
class Shapes(Dataset):
    """Small images whose captions follow a known law; never downloaded.

    Args:
        name: Short name of the data set, used in the names of run folders.
        folder: Where it is, or where to generate it.
        seed: Seed of the scenes, captions and images.
        sizes: Number of images in each of train, val and test.
    """

    name: str = "shapes"
    folder: str = "data/shapes"
    seed: int = 0
    sizes: dict[str, int] = field(default_factory=lambda: dict(SIZES))

    def examples(self, split: str) -> list[Example]:
        # The order in which a file names the splits must not change the world.
        sizes = {each: self.sizes[each] for each in SPLITS if each in self.sizes}
        write(Path(self.folder), self.seed, sizes)
        return self.in_coco_form().examples(split)

    def in_coco_form(self) -> Coco:
        """Return the same data set as a reader of its files, which are in COCO's format."""
        folder = self.folder
        return Coco(
            self.name,
            images={split: f"{folder}/images/{split}" for split in self.sizes},
            annotations={
                split: f"{folder}/annotations/captions_{split}.json" for split in self.sizes
            },
        )
