"""Rows of a comparison with their evaluations on disk, small enough to work out by hand."""

import json
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from PIL import Image

from captioning.comparison.compared import Compared, Published
from captioning.runs import Run, read_evaluation

CAPTIONS = ("a red dog", "a blue cat", "a green bird")
"""Of images 1, 2 and 3, both as references and as what is said unless told otherwise."""


def compared(
    folder: Path,
    name: str,
    scores: Sequence[Sequence[float]],
    said: Sequence[str] = CAPTIONS,
    each: Sequence[Mapping[str, Mapping[str, float]]] = ({},),
    **more: Mapping[str, float],
) -> Compared:
    """A row, tested against the one called "base": a seed for each list of CIDEr, an image each.

    `more` goes into metrics.json, and so does what `each` seed has.
    """
    runs = [Run(folder / f"{name.replace(' ', '-')}-seed{seed}") for seed in range(len(scores))]
    for run, numbers, own in zip(runs, scores, cycle(each), strict=False):
        evaluate(folder, run, numbers, said, {**more, **own})
    evaluations = tuple(read_evaluation(run.evaluation_folder("test", "greedy")) for run in runs)
    return Compared(name, None if name == "base" else "base", None, tuple(runs), evaluations)


def begin_from(row: Compared, start: Compared) -> None:
    """Let each run of a row have begun from the other's run of the same seed."""
    for run, other in zip(row.runs, start.runs, strict=True):
        run.config_file.write_text(f"from_run: runs/{other.name}\n")


def evaluate(
    folder: Path,
    run: Run,
    scores: Sequence[float],
    said: Sequence[str],
    more: Mapping[str, Mapping[str, float]],
) -> None:
    """Leave what an evaluation leaves, of as many images as there are scores."""
    there = run.evaluation_folder("test", "greedy")
    there.mkdir(parents=True)
    run.config_file.write_text("{}")
    ids = range(1, len(scores) + 1)
    texts = ("data", "split", "search", "signature")
    metrics = dict(zip(texts, ("tiny", "test", "greedy", "images:3"), strict=True)) | {
        "metrics": {"Bleu_4": 0.25, "CIDEr": sum(scores) / len(scores)},
        "rows": {"human": {"CIDEr": 2.0}},
        "images": len(scores),
    }
    write(there / "metrics.json", metrics | more)
    write(there / "captions.json", annotations(ids, said))
    files = [{"id": image, "file_name": str(draw(folder, image))} for image in ids]
    references = [{"id": each["image_id"]} | each for each in annotations(ids, CAPTIONS)]
    write(there / "references.json", {"images": files, "annotations": references})
    by_image = zip(ids, scores, strict=True)
    write(there / "scores.json", {str(i): {"Bleu_4": x / 2, "CIDEr": x} for i, x in by_image})
    np.savez(there / "statistics.npz", CIDEr=[(score, 1.0) for score in scores])


def annotations(ids: Sequence[int], captions: Sequence[str]) -> list[dict[str, object]]:
    """A caption for each image, over and over."""
    pairs = zip(ids, cycle(captions), strict=False)
    return [{"image_id": image, "caption": caption} for image, caption in pairs]


def write(file: Path, content: object) -> None:
    file.write_text(json.dumps(content))


def draw(folder: Path, image: int) -> Path:
    """An image of one colour, which all rows share."""
    file = folder / f"{image}.png"
    if not file.exists():
        Image.new("RGB", (32, 32), (80 * image % 256, 40, 200)).save(file)
    return file


def published(data: str = "tiny", **numbers: float) -> Published:
    return Published("A paper, table 1", "recalled", numbers, data)
