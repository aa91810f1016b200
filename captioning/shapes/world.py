"""The shapes world on disk: a COCO data set, with a file of scenes for the exact law."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from captioning.errors import InputError
from captioning.files import remove_leftovers, whole, writing
from captioning.shapes.grammar import sample
from captioning.shapes.picture import SIDE, draw
from captioning.shapes.scene import Scene, from_json, random_scene, to_json

SIZES: Mapping[str, int] = {"train": 8000, "val": 500, "test": 500}
"""Number of pictures in each split."""


def write(
    folder: Path, seed: int = 0, sizes: Mapping[str, int] = SIZES, captions_per_image: int = 5
) -> None:
    """Generate the world in a folder, unless the same world is already there.

    The folder then contains `annotations/captions_{split}.json` in COCO's format,
    `images/{split}/000001.png` (ids are unique across the splits) and `scenes.json`. The captions
    of a picture are independent draws from the law of its scene. The same arguments give the same
    bytes. The folder appears atomically, even if several processes write it at once. Raises
    InputError if the folder has other contents or cannot be written.
    """
    if seed < 0 or min(captions_per_image, len(sizes), *sizes.values()) < 1:
        raise InputError(
            "expected a seed of at least 0, and sizes and captions_per_image of at least 1, "
            f"got {seed}, {dict(sizes)} and {captions_per_image}"
        )
    recipe = {"seed": seed, "sizes": dict(sizes), "captions_per_image": captions_per_image}
    with writing(folder):
        if _holds(folder, recipe):
            return
        try:
            with whole(folder) as world:
                drawn: dict[int, Scene] = {}
                for number, (split, size) in enumerate(sizes.items()):
                    ids = range(len(drawn) + 1, len(drawn) + 1 + size)
                    generator = np.random.default_rng([seed, number])
                    drawn |= _write_split(world, split, ids, captions_per_image, generator)
                records = {image: to_json(scene) for image, scene in drawn.items()}
                content = json.dumps({"recipe": recipe, "scenes": records})
                (world / "scenes.json").write_text(content)
        except OSError:
            # Perhaps another process was faster, and took this partial folder for a leftover.
            if not _holds(folder, recipe):
                raise
        remove_leftovers([folder])


def scenes(folder: Path) -> dict[int, Scene]:
    """Read the scene of every image id, as saved by `write`; InputError if that is impossible."""
    try:
        records = json.loads((folder / "scenes.json").read_text())["scenes"]
        return {int(image): from_json(record) for image, record in records.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"expected the scenes of a shapes world in {folder / 'scenes.json'}, got "
            f"{type(error).__name__}: {error}; make the world anew"
        ) from error


def _write_split(
    world: Path, split: str, ids: range, captions_per_image: int, generator: np.random.Generator
) -> dict[int, Scene]:
    """Write pictures and captions of random scenes with these image ids; return the scenes."""
    pictures = world / "images" / split
    pictures.mkdir(parents=True)
    drawn = {image: random_scene(generator) for image in ids}
    images, annotations = [], []
    for image, scene in drawn.items():
        name = f"{image:06d}.png"
        Image.fromarray(draw(scene, generator)).save(pictures / name)
        images.append({"id": image, "file_name": name, "height": SIDE, "width": SIDE})
        for k in range(captions_per_image):
            number = (image - 1) * captions_per_image + k + 1
            caption = sample(scene, generator)
            annotations.append({"id": number, "image_id": image, "caption": caption})
    info = {"description": f"The shapes world, {split} split."}
    content = {"info": info, "images": images, "annotations": annotations}
    (world / "annotations").mkdir(exist_ok=True)
    (world / "annotations" / f"captions_{split}.json").write_text(json.dumps(content))
    return drawn


def _holds(folder: Path, recipe: Mapping[str, Any]) -> bool:
    """Return whether a folder has the world of this recipe; InputError if it has anything else."""
    if not folder.exists() or not any(folder.iterdir()):
        return False
    try:
        found = json.loads((folder / "scenes.json").read_text())["recipe"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        found = "no shapes world"
    if found != recipe:
        raise InputError(
            f"expected {folder} to be empty or to hold the shapes world of {recipe}, "
            f"got {found}; choose another folder or remove this one"
        )
    return True
