"""`captioning chain`: phases, each a run that begins where the last one ended."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from captioning.__main__ import main
from captioning.captioner import load_captioner
from captioning.commands.chain import split_phases, words_of_phases
from captioning.commands.train import make_parser
from captioning.runs import Run, Which
from tests.support.tiny_run import config, equal, validation_losses, weights

ADVERSARIAL = {
    "class_path": "captioning.objectives.adversarial.Adversarial",
    "init_args": {
        "discriminator": {
            "class_path": "captioning.discriminator.RecurrentDiscriminator",
            "init_args": {"hidden_size": 8, "embedding_size": 8},
        },
        "estimator": {
            "class_path": "captioning.objectives.policy_gradient.PolicyGradient",
            "init_args": {"samples": 2, "steps": 6},
        },
        "warm_up": 2,
        "negatives": {"replay": 2},
    },
}
FORCED = {"class_path": "captioning.objectives.teacher_forcing.TeacherForcing"}


def write_chain(folder: Path, *phases: object) -> str:
    path = folder / "chain.yaml"
    path.write_text(yaml.safe_dump({"phases": list(phases)}))
    return str(path)


@pytest.fixture(scope="module")
def chained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a chain of three phases, the middle one from a file, and its runs."""
    folder = tmp_path_factory.mktemp("chained")
    (folder / "forced.yaml").write_text(yaml.safe_dump({"objective": FORCED}))
    chain = write_chain(
        folder,
        {"trainer": {"max_epochs": 1}},
        {"config": str(folder / "forced.yaml"), "name": "second"},
        {"objective": ADVERSARIAL},
    )
    evaluated = ["--evaluate", "test", "--metrics", "Bleu"]
    assert main(["chain", chain, "--data", str(config(folder)), *evaluated]) == 0
    return folder


@pytest.mark.slow
def test_every_phase_is_a_run_that_begins_with_the_last_ones_captioner(chained: Path) -> None:
    runs = chained / "runs"
    first, second, third = (
        yaml.safe_load((runs / name / "config.yaml").read_text())
        for name in (
            "shapes-scheduled-sampling-seed0",
            "shapes-teacher-forcing-second-seed0",
            "shapes-adversarial-seed0",
        )
    )
    assert first["trainer"]["max_epochs"] == 1
    assert second["from_run"] == str(runs / "shapes-scheduled-sampling-seed0")
    assert third["from_run"] == str(runs / "shapes-teacher-forcing-second-seed0")


def test_options_of_an_evaluation_without_one_are_refused_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chain = write_chain(tmp_path, {"trainer": {"max_epochs": 1}}, {"name": "second"})
    command = ["chain", chain, "--data", str(config(tmp_path))]
    assert main([*command, "--metrics", "Bleu"]) == 2
    assert "--metrics is for the evaluation after training" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_chain_begun_again_takes_finished_phases_as_they_are(
    chained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = sorted(chained.glob("runs/*"))
    before = [weights(run) for run in runs]
    assert main(["chain", str(chained / "chain.yaml"), "--data", str(chained / "config.yaml")]) == 0
    assert all(equal(weights(run), one) for run, one in zip(runs, before, strict=True))
    assert "phase 3 of 3 resumes" in capsys.readouterr().err


@pytest.mark.slow
def test_a_phase_whose_start_has_changed_is_refused_until_it_has_a_new_name(
    chained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    chain = write_chain(tmp_path, {}, {"objective": FORCED, "trainer": {"max_epochs": 1}})
    command = ["chain", chain, "--data", str(chained / "config.yaml"), "--runs", str(runs)]
    assert main([*command, "--phase1.trainer.max_epochs", "1"]) == 0
    first, second = runs / "shapes-scheduled-sampling-seed0", runs / "shapes-teacher-forcing-seed0"
    before = weights(second)
    longer = [*command, "--phase1.trainer.max_epochs", "3"]
    assert main(longer) == 2
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert line == (
        f"error: {second} started from {first}, which has changed since: --phase2.name NAME "
        "makes a run beside it, from what that is now"
    )
    assert len(validation_losses(first)) == 3
    assert equal(weights(second), before)
    for _ in range(2):  # the new run is resumed
        assert main([*longer, "--phase2.name", "longer"]) == 0
    assert not equal(weights(runs / "shapes-teacher-forcing-longer-seed0"), before)
    (second / "start.txt").unlink()  # an older run does not say where it started
    assert main(longer) == 0
    assert equal(weights(second), before)


@pytest.mark.slow
def test_a_later_phase_of_another_run_is_refused_before_the_first_is_trained(
    chained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["chain", str(chained / "chain.yaml"), "--data", str(chained / "config.yaml")]
    assert main([*command, "--phase2.name", "other"]) == 2
    error = capsys.readouterr().err
    assert "its from_run is" in error
    assert "--phase3.name NAME makes one beside it" in error
    assert "phase 1 of 3" not in error


@pytest.mark.slow
def test_an_adversarial_phase_resumes_to_the_same_weights(chained: Path, tmp_path: Path) -> None:
    source = chained / "runs" / "shapes-adversarial-seed0" / "config.yaml"
    again = ["train", "--config", str(source), "--optimisation.schedule", "null", "--runs"]
    whole, half = tmp_path / "whole", tmp_path / "half"
    assert main([*again, str(whole)]) == 0
    assert main([*again, str(half), "--trainer.max_epochs", "1"]) == 0
    assert main([*again, str(half), "--trainer.max_epochs", "2", "--resume"]) == 0
    ends = [folder / "shapes-adversarial-seed0" for folder in (half, whole)]
    assert validation_losses(ends[0])[1:] == validation_losses(ends[1])[1:]
    assert equal(*map(weights, ends))


@pytest.mark.slow
@pytest.mark.parametrize("which", ["best", "last"])
def test_training_starts_from_the_weights_that_a_run_stands_for(
    which: Which, chained: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    shutil.copytree(chained / "runs" / "shapes-scheduled-sampling-seed0", source)
    settings = Run(source).config | {"result": which}
    (source / "config.yaml").write_text(yaml.safe_dump(settings))
    (source / "checkpoints" / ("last.ckpt" if which == "best" else "best.ckpt")).unlink()
    start = ["--from_run", str(source), "--runs", str(tmp_path)]
    still = ["--optimisation.optimizer", "torch.optim.SGD", "--optimisation.optimizer.lr", "0"]
    assert main(["train", "--config", str(chained / "config.yaml"), *start, *still]) == 0
    begun = tmp_path / "shapes-scheduled-sampling-seed0" / "checkpoints" / "last.ckpt"
    assert equal(
        load_captioner(begun).state_dict(),
        load_captioner(source / "checkpoints" / f"{which}.ckpt").state_dict(),
    )


@pytest.mark.slow
def test_a_run_that_knows_other_words_is_no_start(
    chained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = chained / "runs" / "shapes-scheduled-sampling-seed0"
    other = ["--from_run", str(source), "--runs", str(tmp_path), "--loading.minimum_count", "20"]
    assert main(["train", "--config", str(chained / "config.yaml"), *other]) == 2
    assert "has another vocabulary than this run's data" in capsys.readouterr().err


@pytest.mark.slow  # starts Python twice more
def test_two_processes_play_an_adversarial_game(chained: Path, tmp_path: Path) -> None:
    source = chained / "runs" / "shapes-adversarial-seed0" / "config.yaml"
    command = [sys.executable, "-m", "captioning", "train", "--config", str(source)]
    two = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--runs", str(tmp_path)]
    done = subprocess.run([*command, *two], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    moved = weights(tmp_path / "shapes-adversarial-seed0")
    begun = weights(chained / "runs" / "shapes-teacher-forcing-second-seed0")
    player = "objective.discriminator.verdict.weight"
    assert not torch.equal(moved[player], torch.zeros_like(moved[player]))
    assert not equal({name: moved[name] for name in begun}, begun)


@pytest.mark.slow
def test_another_runs_folder_is_not_taken_for_a_phase(
    chained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = chained / "runs" / "shapes-scheduled-sampling-seed0"
    before = (run / "checkpoints" / "last.ckpt").read_bytes()
    chain = ["chain", str(chained / "chain.yaml"), "--data", str(chained / "config.yaml")]
    assert main([*chain, "--decoder.hidden_size", "9"]) == 2
    error = capsys.readouterr().err
    assert "holds another run: its decoder.init_args.hidden_size is" in error
    assert "not 9; --phase1.name NAME makes one beside it" in error
    assert (run / "checkpoints" / "last.ckpt").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("phases: [", "expected YAML"),
        ("steps: []", "expected a list of phases under the key 'phases'"),
        ("phases: [forced.yaml]", "phase 1: expected a mapping, got 'forced.yaml'"),
        ("phases: [{trainer: {max_epoch: 1}}]", "max_epoch"),
    ],
)
def test_a_bad_chain_is_one_line(
    content: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "chain.yaml"
    path.write_text(content)
    assert main(["chain", str(path), "--data", str(config(tmp_path))]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.strip().splitlines()[-1].startswith("error: ")


def test_a_file_is_weaker_than_the_phase_as_data_and_stronger_as_config(tmp_path: Path) -> None:
    phase = {"objective": FORCED, "trainer": {"max_epochs": 5}, "patience": 5}
    chain = write_chain(tmp_path, phase, phase)
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump({"patience": 7, "threads": 1}))
    own = ["--config", str(mine), "--phase2.patience", "9"]
    first, second = (
        make_parser().read(words)
        for words in words_of_phases(Path(chain), str(config(tmp_path)), own)
    )
    assert (first.trainer.max_epochs, first.patience, first.threads) == (5, 7, 1)
    assert (second.trainer.max_epochs, second.patience, second.threads) == (5, 9, 1)


@pytest.mark.slow
def test_a_phase_whose_file_has_changed_trains_on(tmp_path: Path) -> None:
    phase = tmp_path / "phase.yaml"
    command = ["chain", write_chain(tmp_path, {"config": str(phase)})]
    command += ["--data", str(config(tmp_path))]
    run = tmp_path / "runs" / "shapes-teacher-forcing-seed0"
    for epochs, expected in ((1, 1), (2, 2), (2, 2)):
        phase.write_text(yaml.safe_dump({"objective": FORCED, "trainer": {"max_epochs": epochs}}))
        assert main(command) == 0
        assert len(validation_losses(run)) == expected


ROOT = Path(__file__).parents[2]
CHAINS = sorted((ROOT / "configs" / "chains").glob("*.yaml"))


@pytest.mark.parametrize("path", CHAINS, ids=lambda path: path.stem)
def test_a_chain_as_shipped_reads_from_anywhere(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (ROOT, tmp_path):
        monkeypatch.chdir(folder)
        phases = words_of_phases(path, str(ROOT / "configs" / "data" / "shapes.yaml"), [])
        kinds = [make_parser().read(words).objective.class_path for words in phases]
        assert len(kinds) > 1
        assert not {"Adversarial", "SelfCritical"} & {kinds[0].rpartition(".")[2]}


def test_a_learning_rate_of_a_player_that_does_not_play_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rates = ["--optimisation.learning_rates", "{judge: 0.1}"]
    assert main(["train", "--config", str(config(tmp_path)), *rates]) == 2
    assert "names judge, which does not play here: expected some of captioner" in (
        capsys.readouterr().err
    )


def test_an_option_is_every_phases_unless_it_names_one() -> None:
    words = ["--seed", "3", "--phase2.objective.warm-up", "-1", "--phase1.name=a=b-c", "--resume"]
    assert split_phases(words, 3) == (
        ["--seed", "3", "--resume"],
        {1: ["--name=a=b-c"], 2: ["--objective.warm_up", "-1"], 3: []},
    )
