"""Whoever starts the processes, they do the same together; here they train on shards."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from captioning.captioner import read_checkpoint
from captioning.data import Shapes
from captioning.runs import Run
from captioning.training.interruption import EVERY
from tests.support.launching import (
    Done,
    by_hand,
    by_lightning,
    by_slurm,
    by_torchrun,
    by_two_torchruns,
)
from tests.support.tiny_run import config, equal, weights
from tests.support.tiny_shards import shapes_in_shards, train_on

NAME = "shapes-scheduled-sampling-seed0"
TEACHER = {"class_path": "captioning.objectives.teacher_forcing.TeacherForcing"}

pytestmark = pytest.mark.slow  # each test starts Python two to four times


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two processes that Lightning started; its configuration lies beside `runs`."""
    folder = tmp_path_factory.mktemp("trained")
    path = config(folder)
    world = Shapes(**yaml.safe_load(path.read_text())["data"]["init_args"])
    train_on(shapes_in_shards(world, folder, per_shard=3), path)
    content = yaml.safe_load(path.read_text())
    content["loading"]["batch_size"] = 1  # and so each process makes twenty steps in an epoch
    path.write_text(yaml.safe_dump(content))
    check(by_lightning("train", "--config", str(path)))
    return folder / "runs" / NAME


def options(trained: Path, runs: Path) -> list[str]:
    """The same run in another folder."""
    return ["--config", str(trained.parents[1] / "config.yaml"), "--runs", str(runs)]


def check(done: Done) -> str:
    """What was said, by the first process and no other."""
    assert [each.returncode for each in done] == [0] * len(done), done
    assert [each.stdout for each in done[1:]] == [""] * (len(done) - 1)
    return done[0].stdout


@pytest.mark.parametrize("launch", [by_torchrun, by_two_torchruns, by_slurm, by_hand])
def test_a_run_has_the_same_bits(
    launch: Callable[..., Done], trained: Path, tmp_path: Path
) -> None:
    told = check(launch("train", *options(trained, tmp_path)))
    run = tmp_path / NAME
    assert told == f"{run}\n"
    assert equal(weights(run), weights(trained))
    assert (run / "logs" / "metrics.csv").read_text() == (
        trained / "logs" / "metrics.csv"
    ).read_text()
    assert Run(run).finished_file.is_file()
    assert len([*(run / "logs").glob("events.*")]) == 1


def test_a_job_that_slurm_will_end_is_saved_and_goes_on_to_the_same_bits(
    trained: Path, tmp_path: Path
) -> None:
    """The second process alone hears of it, in the second step; they stop after the tenth."""
    signal = {"batch": 1, "name": "SIGUSR1", "rank": 1}
    stop = json.dumps([{"class_path": "tests.support.launching.SignalAfter", "init_args": signal}])
    words = ["train", *options(trained, tmp_path), "--trainer.callbacks"]
    first, second = by_slurm(*words, stop)
    assert (first.returncode, second.returncode) == (130, 130)
    last = tmp_path / NAME / "checkpoints" / "last.ckpt"
    assert read_checkpoint(last)["global_step"] == EVERY
    assert first.stderr == f"\nstopped; {last} is saved, --resume goes on\n"
    assert second.stderr == ""
    assert not [*last.parents[1].glob("hpc*")]  # Lightning's own, which nothing here reads
    check(by_slurm(*words, "null", "--resume"))
    assert equal(weights(tmp_path / NAME), weights(trained))
    assert (tmp_path / NAME / "logs" / "metrics.csv").read_text() == (
        trained / "logs" / "metrics.csv"
    ).read_text()


@pytest.mark.parametrize("launch", [by_torchrun, by_lightning])
def test_a_chain_stays_together_from_phase_to_phase(
    launch: Callable[..., Done], trained: Path, tmp_path: Path
) -> None:
    chain = tmp_path / "chain.yaml"
    phases = [{"objective": TEACHER, "name": name} for name in ("one", "two")]
    chain.write_text(yaml.safe_dump({"phases": phases}))
    data = str(trained.parents[1] / "config.yaml")
    told = check(launch("chain", str(chain), "--data", data, "--runs", str(tmp_path)))
    runs = [tmp_path / f"shapes-teacher-forcing-{name}-seed0" for name in ("one", "two")]
    assert told == "".join(f"{run}\n" for run in runs)
    assert not equal(*map(weights, runs))


def test_a_run_that_is_refused_keeps_no_process_waiting(trained: Path) -> None:
    for done in by_slurm("train", *options(trained, trained.parent)):
        assert done.returncode == 2
        assert "already holds a run" in done.stderr
