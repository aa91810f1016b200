"""Training that starts from an earlier run's captioner."""

import json
from pathlib import Path

import pytest

from captioning.__main__ import main
from captioning.captioner import load_captioner
from captioning.data import Shapes
from captioning.features import FeatureCache
from captioning.runs import Run
from tests.support.tiny_run import config


@pytest.mark.slow
def test_a_frozen_encoder_is_read_with_the_weights_that_training_starts_from(
    tmp_path: Path,
) -> None:
    features = ["--loading.feature_cache", str(tmp_path / "features")]
    encoder = {"architecture": "shufflenet_v2_x0_5", "weights": None, "frozen": False}
    settings = {"class_path": "captioning.encoder.Backbone", "init_args": encoder}
    short = ["--trainer.limit_train_batches", "1", "--trainer.max_epochs", "1"]
    command = ["train", "--config", str(config(tmp_path)), *features, *short]
    assert main([*command, "--encoder", json.dumps(settings)]) == 0
    first = tmp_path / "runs" / "shapes-scheduled-sampling-seed0"
    encoder |= {"frozen": True}
    start = ["--from_run", str(first), "--seed", "1"]  # other weights, if they were new
    assert main([*command, "--encoder", json.dumps(settings), *start]) == 0
    run = Run(tmp_path / "runs" / "shapes-scheduled-sampling-seed1")
    begun = load_captioner(run.checkpoint("last"))
    world = Shapes(folder=str(tmp_path / "shapes"), sizes={"train": 40, "val": 8, "test": 8})
    for split in ("train", "val"):
        cache = FeatureCache(begun.encoder, world.examples(split), tmp_path / "features", "shapes")
        assert cache.file.exists()
