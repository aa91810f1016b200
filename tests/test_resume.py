"""Training that is stopped goes on as if it had not been."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from pytorch_lightning import Callback, LightningModule, Trainer

from captioning.__main__ import main
from captioning.runs import Run
from tests.tiny_run import config, equal, validation_losses, weights


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an uninterrupted run, and its configuration beside `runs`."""
    folder = tmp_path_factory.mktemp("trained")
    assert main(["train", "--config", str(config(folder))]) == 0
    return folder / "runs" / "shapes-scheduled-sampling-seed0"


class InterruptAfter(Callback):
    """Sends this process the signal that a terminal sends for Ctrl-C."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, *_: Any) -> None:
        if trainer.fit_loop.epoch_loop.total_batch_idx == self.batch:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("batch", [0, 4, 5, 8])
def test_an_interrupted_run_resumes_to_the_same_bits(
    trained: Path, tmp_path: Path, batch: int, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGINT)
    command = ["train", "--config", str(trained / "config.yaml"), "--runs", str(tmp_path)]
    stop = {"class_path": f"{__name__}.InterruptAfter", "init_args": {"batch": batch}}
    with_signal = tmp_path / "interrupt.yaml"
    with_signal.write_text(yaml.safe_dump({"trainer": {"callbacks": [stop]}}))
    assert main([*command, "--config", str(with_signal)]) == 130
    assert "--resume goes on" in capsys.readouterr().err
    run = tmp_path / trained.name
    assert not Run(run).finished_file.exists()
    assert main([*command, "--resume"]) == 0
    assert Run(run).finished_file.exists()
    assert equal(weights(run), weights(trained))
    assert validation_losses(run) == validation_losses(trained)
    assert signal.getsignal(signal.SIGINT) is before


def test_resuming_with_another_architecture_is_refused(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "--config", str(trained / "config.yaml"), "--resume"]
    assert main([*command, "--decoder.hidden_size", "24"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "its decoder.init_args.hidden_size is 16, not 24; --name NAME" in line


@pytest.fixture(scope="module")
def summed(trained: Path) -> list[str]:
    """A command that trains in steps of two batches, of which a whole run is there already.

    Five batches an epoch: two steps of two, and one of the batch that remains.
    """
    command = ["train", "--config", str(trained / "config.yaml"), "--optimisation.accumulate", "2"]
    assert main([*command, "--runs", str(trained.parents[1] / "summed")]) == 0
    return command


@pytest.mark.parametrize("batch", [1, 4])
def test_a_run_of_summed_gradients_can_be_stopped_and_resumed(
    trained: Path, summed: list[str], tmp_path: Path, batch: int
) -> None:
    stop = {"class_path": f"{__name__}.InterruptAfter", "init_args": {"batch": batch}}
    with_signal = tmp_path / "interrupt.yaml"
    with_signal.write_text(yaml.safe_dump({"trainer": {"callbacks": [stop]}}))
    parts = [*summed, "--runs", str(tmp_path)]
    assert main([*parts, "--config", str(with_signal)]) == 130
    assert main([*parts, "--resume", "--trainer.callbacks", "null"]) == 0
    whole, resumed = trained.parents[1] / "summed" / trained.name, tmp_path / trained.name
    assert equal(weights(resumed), weights(whole))
    assert (resumed / "logs" / "metrics.csv").read_text() == (
        whole / "logs" / "metrics.csv"
    ).read_text()


def test_a_run_is_finished_until_it_is_made_longer(trained: Path, tmp_path: Path) -> None:
    run = Run(tmp_path / trained.name)
    command = ["train", "--config", str(trained / "config.yaml"), "--runs", str(tmp_path)]
    assert main([*command, "--trainer.max_epochs", "1"]) == 0
    assert json.loads(run.finished_file.read_text())["seconds"] > 0
    stop = {"class_path": f"{__name__}.InterruptAfter", "init_args": {"batch": 6}}
    longer = ["--trainer.max_epochs", "2", "--trainer.callbacks", json.dumps([stop])]
    assert main([*command, "--resume", *longer]) == 130
    assert not run.finished_file.exists()
    assert main([*command, "--resume", "--trainer.callbacks", "null"]) == 0
    assert json.loads(run.finished_file.read_text()) == {"seconds": None}


def test_a_resumed_run_takes_up_its_own_settings(trained: Path, tmp_path: Path) -> None:
    command = ["train", "--config", str(trained / "config.yaml"), "--runs", str(tmp_path)]
    assert main([*command, "--trainer.max_epochs", "1"]) == 0
    assert main([*command, "--resume"]) == 0
    run = tmp_path / trained.name
    assert yaml.safe_load((run / "config.yaml").read_text())["trainer"]["max_epochs"] == 1
    assert main([*command, "--resume", "--trainer.max_epochs", "2"]) == 0
    assert len(validation_losses(run)) == 2
