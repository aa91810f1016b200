"""The configuration of COCO on a COCO of seven images: features, a step, an evaluation."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from captioning.__main__ import main
from tests.support.builders import make_network, save_weights

ROOT = Path(__file__).parents[1]
SPLITS = ("train", "train", "train", "train", "restval", "val", "test")


@pytest.fixture
def coco(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files named and laid out as COCO's and Karpathy's, where the configuration looks for them."""
    images = []
    for number, split in enumerate(SPLITS):
        folder = "train2014" if split == "train" else "val2014"
        name = f"COCO_{folder}_{number:012d}.jpg"
        (tmp_path / "coco" / folder).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48), (30 * number,) * 3).save(tmp_path / "coco" / folder / name)
        sentences = [{"raw": f"A man rides a wave, number {number}."}] * 5
        images.append(
            {"filename": name, "filepath": folder, "cocoid": number, "split": split}
            | {"sentences": sentences}
        )
    (tmp_path / "coco" / "dataset_coco.json").write_text(json.dumps({"images": images}))
    monkeypatch.setenv("CAPTIONING_DATA", str(tmp_path))
    return tmp_path


def configs(*names: str) -> list[str]:
    return [word for name in names for word in ("--config", str(ROOT / "configs" / f"{name}.yaml"))]


def options(coco: Path) -> list[str]:
    """What is not as in earnest: where features lie, and a network without training."""
    cache = ["--loading.feature_cache", str(coco / "features"), "--loading.num_workers", "0"]
    return [*cache, "--encoder.weights", save_weights(make_network("resnet101"), coco)]


def shapes(told: str) -> list[tuple[int, ...]]:
    return [np.load(line, mmap_mode="r").shape for line in told.splitlines()]


@pytest.mark.slow  # seven images through ResNet-101, and a captioner of full size
def test_it_goes_from_images_to_an_evaluation(
    coco: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["features", *configs("data/coco"), *options(coco)]) == 0
    told = capsys.readouterr()
    assert "features of 7 images" in told.err
    assert shapes(told.out) == [(5, 1, 2048), (1, 1, 2048), (1, 1, 2048)]
    train = ["train", *configs("data/coco", "scheduled_sampling"), *options(coco)]
    quick = ["--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"]
    assert main([*train, *quick, "--runs", str(coco / "runs"), "--evaluate", "test"]) == 0
    told = capsys.readouterr()
    assert "to encode" not in told.err
    assert "coco test, greedy, 1 images" in told.out


@pytest.mark.slow  # seven images through ResNet-101
def test_attention_sees_49_regions(coco: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["features", *configs("data/coco", "attention"), *options(coco)]) == 0
    assert shapes(capsys.readouterr().out)[0] == (5, 49, 2048)
