"""What rows say of each image, and which rows cannot be put beside one another."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from captioning.comparison.compared import Compared, read_images
from captioning.errors import InputError
from tests.comparison.tiny_comparison import compared


def test_captions_are_the_first_seeds_and_scores_those_of_all_seeds(tmp_path: Path) -> None:
    row = compared(tmp_path, "base", [[1.0, 2.0, 3.0], [0.0, 0.5, 1.0]])
    second = row.evaluations[1].folder / "captions.json"
    second.write_text(second.read_text().replace("dog", "horse"))
    images = read_images([row, Compared("failed", "base", failures=("seed 0: lost",))])
    assert [example.image_id for example in images.examples] == [1, 2, 3]
    assert images.captions == {"base": {1: "a red dog", 2: "a blue cat", 3: "a green bird"}}
    np.testing.assert_array_equal(
        images.scores["base"]["CIDEr"], [[1.0, 2.0, 3.0], [0.0, 0.5, 1.0]]
    )


def test_a_metric_that_one_image_lacks_is_left_out(tmp_path: Path) -> None:
    row = compared(tmp_path, "base", [[1.0, 2.0, 3.0]])
    file = row.evaluations[0].folder / "scores.json"
    scores = json.loads(file.read_text())
    del scores["2"]["Bleu_4"]
    file.write_text(json.dumps(scores))
    assert list(read_images([row]).scores["base"]) == ["CIDEr"]
    file.unlink()
    assert read_images([row]).scores["base"] == {}


def test_statistics_are_means_over_seeds_in_the_order_of_the_images(tmp_path: Path) -> None:
    base = compared(tmp_path, "base", [[1.0, 2.0, 3.0]])
    row = compared(tmp_path, "other", [[1.0, 2.0, 3.0], [3.0, 2.0, 4.0]])
    second = row.evaluations[1].folder
    content = json.loads((second / "captions.json").read_text())
    (second / "captions.json").write_text(json.dumps(content[::-1]))
    found = read_images([base, row]).statistics["other"]
    np.testing.assert_array_equal(found["CIDEr"].scores, [2.5, 2.0, 3.0])
    np.savez(second / "statistics.npz", CIDEr=[(1.0, 1.0)])
    with pytest.raises(InputError, match=r"statistics.npz: expected 3 images as in captions.json"):
        read_images([base, row])
    (second / "statistics.npz").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"statistics.npz is damaged"):
        read_images([base, row])
    (second / "statistics.npz").unlink()
    assert read_images([base, row]).statistics["other"] == {}


def test_rows_of_other_images_or_splits_are_refused(tmp_path: Path) -> None:
    base = compared(tmp_path, "base", [[1.0, 2.0, 3.0]])
    fewer = compared(tmp_path, "fewer", [[1.0, 2.0, 3.0]])
    file = fewer.evaluations[0].folder / "captions.json"
    file.write_text(json.dumps(json.loads(file.read_text())[:2]))
    with pytest.raises(InputError, match=r"1 of its images and of those of .* not in both"):
        read_images([base, fewer])
    other = replace(base, evaluations=(replace(base.evaluations[0], split="val"),))
    with pytest.raises(InputError, match=r"is of tiny, val, .* of tiny, test; evaluate both alike"):
        read_images([base, other])
