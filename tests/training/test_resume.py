"""Training that is stopped goes on as if it had not been."""

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pytorch_lightning import Callback, LightningModule, Trainer

from captioning.__main__ import main
from captioning.commands.run_folder import read_config
from captioning.commands.train import make_parser
from captioning.errors import InputError
from captioning.finished import read_finished
from captioning.provenance import hardware
from captioning.runs import Run
from tests.support.tiny_run import config, equal, validation_losses, weights


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
    assert (read_finished(run).seconds or 0) > 0
    assert read_finished(run).hardware == hardware(torch.device("cpu"))
    stop = {"class_path": f"{__name__}.InterruptAfter", "init_args": {"batch": 6}}
    longer = ["--trainer.max_epochs", "2", "--trainer.callbacks", json.dumps([stop])]
    assert main([*command, "--resume", *longer]) == 130
    assert not run.finished_file.exists()
    assert main([*command, "--resume", "--trainer.callbacks", "null"]) == 0
    assert read_finished(run).seconds is None


def test_a_run_that_patience_ended_trains_on_only_with_more_of_it(
    trained: Path, tmp_path: Path
) -> None:
    run = tmp_path / trained.name
    still = ["--optimisation.optimizer", "torch.optim.SGD", "--optimisation.optimizer.lr", "0"]
    command = ["train", "--config", str(trained / "config.yaml"), "--runs", str(tmp_path), *still]
    command += ["--trainer.max_epochs", "4", "--trainer.limit_train_batches", "1"]
    assert main([*command, "--patience", "1"]) == 0
    for patience, epochs in (("1", 2), ("2", 3)):
        assert main([*command, "--resume", "--patience", patience]) == 0
        assert len(validation_losses(run)) == epochs


def test_a_resumed_run_makes_its_steps_as_it_is_told_now(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / trained.name
    command = ["train", "--config", str(trained / "config.yaml"), "--runs", str(tmp_path)]
    assert main([*command, "--trainer.max_epochs", "1"]) == 0
    before = weights(run)
    assert main([*command, "--resume", "--optimisation.learning_rates.captioner", "0"]) == 0
    assert equal(weights(run), before)


def test_a_run_keeps_its_best_captioner_when_its_folder_is_moved(
    trained: Path, tmp_path: Path
) -> None:
    here = tmp_path / "moved"
    shutil.copytree(trained, here / trained.name)
    run = Run(here / trained.name)
    last = torch.load(run.checkpoint("last"), weights_only=True)
    (kept,) = (state for name, state in last["callbacks"].items() if "CIDEr" in name)
    kept["best_model_score"] = torch.tensor(9.0)
    kept["best_k_models"] = dict.fromkeys(kept["best_k_models"], torch.tensor(9.0))
    torch.save(last, run.checkpoint("last"))
    before = run.checkpoint("best").read_bytes()
    command = ["train", "--config", str(trained / "config.yaml"), "--runs", str(here), "--resume"]
    assert main([*command, "--trainer.max_epochs", "3"]) == 0
    assert run.checkpoint("best").read_bytes() == before


def setting(folder: Path, name: str, **settings: Any) -> list[str]:
    """A configuration file, as the command line names it."""
    path = folder / name
    path.write_text(yaml.safe_dump(settings))
    return ["--config", str(path)]


def epochs(number: int) -> dict[str, Any]:
    return {"trainer": {"max_epochs": number}}


@pytest.fixture
def begun(trained: Path, tmp_path: Path) -> list[str]:
    """A command with two files, whose run was begun for one epoch by an option beside them."""
    world = yaml.safe_load((trained.parents[1] / "config.yaml").read_text())
    command = ["train", *setting(tmp_path, "data.yaml", **world | {"runs": str(tmp_path)})]
    command += setting(tmp_path, "rate.yaml", optimisation={"gradient_norm": 3.0}, **epochs(3))
    assert main([*command, "--trainer.max_epochs", "1"]) == 0
    return command


def resumed(command: list[str], *more: str) -> Any:
    """The settings that a run goes on with."""
    return read_config(make_parser(), [*command[1:], *more, "--resume"])


def test_a_resumed_run_keeps_its_settings_but_for_those_given_now(
    begun: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert resumed(begun, "--trainer.max_epochs", "1").trainer.max_epochs == 1
    assert capsys.readouterr().err == ""
    without_rate = resumed(begun[:3])  # data.yaml asks for two epochs
    assert (without_rate.optimisation.gradient_norm, without_rate.trainer.max_epochs) == (3.0, 2)
    assert capsys.readouterr().err == "resumes with trainer.max_epochs 2, which was 1\n"
    assert resumed(begun).trainer.max_epochs == 3
    assert resumed(begun, "--trainer.max_epochs", "6").trainer.max_epochs == 6


def test_a_file_that_has_changed_makes_a_run_longer(begun: list[str], tmp_path: Path) -> None:
    run = tmp_path / "shapes-scheduled-sampling-seed0"
    setting(tmp_path, "rate.yaml", **epochs(2))
    assert main([*begun, "--resume"]) == 0
    assert len(validation_losses(run)) == 2
    (run / "finished.json").write_text('{"seconds": 9.0, "hardware": "another machine"}')
    assert main([*begun, "--resume"]) == 0
    assert len(validation_losses(run)) == 2
    kept = read_finished(Run(run))  # since no step was left to make
    assert (kept.seconds, kept.hardware) == (9.0, "another machine")


def test_a_finished_run_stays_so_while_it_is_evaluated_again(
    begun: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = [*begun, "--resume", "--trainer.max_epochs", "1"]
    finished = tmp_path / "shapes-scheduled-sampling-seed0" / "finished.json"
    before = finished.read_bytes()

    def fail(*args: object, **options: object) -> None:
        raise InputError("cut off")

    monkeypatch.setattr("captioning.commands.train.evaluate_run", fail)
    assert main([*again, "--evaluate", "val"]) == 2
    assert finished.read_bytes() == before


def test_auto_begins_a_run_and_then_resumes_it(trained: Path, tmp_path: Path) -> None:
    command = ["train", "--config", str(trained / "config.yaml"), "--runs", str(tmp_path)]
    run = Run(tmp_path / trained.name)
    for length in ("1", "2"):
        assert main([*command, "--resume", "auto", "--trainer.max_epochs", length]) == 0
    assert len(validation_losses(run.folder)) == 2
    assert (read_config(make_parser(), [*command[1:], "--resume", "auto"])).resume is True


def test_a_best_checkpoint_alone_is_no_run(trained: Path, tmp_path: Path) -> None:
    """As a kill leaves it at the end of the first epoch."""
    best = Run(tmp_path / trained.name).checkpoint("best")
    best.parent.mkdir(parents=True)
    best.write_text("whatever")
    command = ["train", "--config", str(trained / "config.yaml"), "--runs", str(tmp_path)]
    assert main([*command, "--trainer.max_epochs", "1"]) == 0
    assert len(validation_losses(tmp_path / trained.name)) == 1


def test_a_file_that_would_make_another_run_is_refused_by_name(
    begun: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wider = setting(tmp_path, "wider.yaml", decoder={"init_args": {"hidden_size": 24}})
    assert main([*begun, *wider, "--resume"]) == 2
    assert "its decoder.init_args.hidden_size is 16, not 24" in capsys.readouterr().err
