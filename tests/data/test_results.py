"""Results files: the COCO form, and what is refused."""

import json
from pathlib import Path

from captioning.data.coco import read_references
from captioning.data.results import read_results


def test_captions_come_in_the_files_order_and_may_be_empty(tmp_path: Path) -> None:
    rows = [{"image_id": 9, "caption": " two  cats", "id": 1}, {"image_id": "a", "caption": ""}]
    path = tmp_path / "results.json"
    path.write_text(json.dumps(rows))
    assert list(read_results(path).items()) == [(9, " two  cats"), ("a", "")]


def test_references_are_as_written_in_the_order_of_the_images(tmp_path: Path) -> None:
    captions = [(2, " A cat.\n"), (7, "A dog."), (2, "")]
    rows = [{"image_id": image, "caption": caption} for image, caption in captions]
    path = tmp_path / "captions.json"
    path.write_text(json.dumps({"images": [{"id": 7}, {"id": 2}], "annotations": rows}))
    assert list(read_references(path).items()) == [(7, ["A dog."]), (2, [" A cat.\n", ""])]
