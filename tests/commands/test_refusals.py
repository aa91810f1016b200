"""What makes no sense is refused in one line, before an earlier run is touched, never ignored."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from captioning.__main__ import main
from captioning.objectives.teacher_forcing import TeacherForcing
from tests.support.tiny_run import config


class Onlooker(TeacherForcing):
    """An objective under which the captioner never learns."""

    turns = ("discriminator",)


OBJECTIVES = "captioning.objectives"
SHARE = "must stay between 0 and 1, got"


def named(class_path: str, **arguments: Any) -> dict[str, Any]:
    """A class with its arguments, as a configuration writes it."""
    return {"class_path": class_path, "init_args": arguments}


def schedule(name: str, **arguments: Any) -> dict[str, Any]:
    return named(f"captioning.schedules.{name}", **arguments)


def sampling(**arguments: Any) -> dict[str, Any]:
    return {"objective": named(f"{OBJECTIVES}.scheduled_sampling.ScheduledSampling", **arguments)}


def policy(**arguments: Any) -> dict[str, Any]:
    return named(f"{OBJECTIVES}.policy_gradient.PolicyGradient", **arguments)


def relaxed(**arguments: Any) -> dict[str, Any]:
    return named(f"{OBJECTIVES}.straight_through.StraightThrough", **arguments)


def critical(**arguments: Any) -> dict[str, Any]:
    return {"objective": named(f"{OBJECTIVES}.self_critical.SelfCritical", **arguments)}


def adversarial(
    estimator: dict[str, Any] | None = None,
    discriminator: dict[str, Any] | None = None,
    **arguments: Any,
) -> dict[str, Any]:
    sizes = {"hidden_size": 8, "embedding_size": 8} | (discriminator or {})
    arguments["discriminator"] = named("captioning.discriminator.RecurrentDiscriminator", **sizes)
    arguments["estimator"] = estimator or policy(samples=2, steps=6)
    return {"objective": named(f"{OBJECTIVES}.adversarial.Adversarial", **arguments)}


def reward(name: str, **arguments: Any) -> dict[str, Any]:
    return critical(reward=named(f"{OBJECTIVES}.rewards.{name}", **arguments))


def steps_by(**arguments: Any) -> dict[str, Any]:
    return {"optimisation": arguments}


ALONE = {"loading": {"batch_size": 1}}
IMPATIENT = {"patience": 1, "trainer": {"max_epochs": 9}}
FROZEN = {"encoder": {"class_path": "tests.support.builders.Halves"}}

REFUSED = [
    (sampling(schedule=schedule("Constant", value=1.5)), f"{SHARE} 1.5"),
    (sampling(schedule=schedule("Constant", value=-0.5)), f"{SHARE} -0.5"),
    (sampling(schedule=schedule("InverseSigmoid", k=0.5)), "error: an inverse-sigmoid schedule"),
    (sampling(schedule=schedule("Linear", start=0.5, slope=-1.0)), f"{SHARE} 1.01"),
    (sampling(schedule=schedule("Linear", length=0.0)), "positive, or null for steps, got 0"),
    (sampling(label_smoothing=-3.0), "label_smoothing is a probability, expected 0 <= it < 1"),
    (sampling(parallel=True, replacement="uniform"), "leave one of the two out"),
    (adversarial(policy(samples=1)), "choose another baseline"),
    (adversarial(policy(rollouts=2), per_prefix=True), "only rewards of whole captions have rollo"),
    (adversarial(policy(baseline="greedy"), per_prefix=True), "captions have the baseline greedy,"),
    (adversarial(relaxed(rollouts=2)), "'rollouts' is not accepted"),
    (
        adversarial(relaxed(temperature=schedule("Linear"))),
        "above 0 to the end, got 0",
    ),
    (adversarial(reward="reverse_kl", prior={"real": 0.9}), "prior.real 0.9 would change nothing"),
    (
        adversarial(negatives={"mismatched": 1.0}) | ALONE,
        "compares the images of a batch: expected",
    ),
    (
        critical(estimator=policy(samples=1, baseline="mean")) | ALONE,
        "--loading.batch_size of 2 or more, got 1",
    ),
    (adversarial(likelihood=-1.0), "must be 0 or more, got -1.0"),
    (adversarial(warm_up=10), "its first turn is step 12, the run may end after 10"),
    (adversarial(warm_up=12) | IMPATIENT, "its first turn is step 14, the run may end after 10"),
    (adversarial(discriminator={"dropout": 2.0}), "dropout is a probability"),
    (adversarial(discriminator={"hidden_size": 0}), "hidden_size must be 1 or more, got 0"),
    (critical(estimator=relaxed()), "does not correspond to a subclass of PolicyGradient"),
    (critical(likelihood=1.0), "the nearest valid key is 'estimator'"),
    (reward("FunctionReward", function="builtins.len"), "<built-in function len> does not"),
    (reward("WeightedSum", rewards=[], weights=[1.0]), "error: a weighted sum needs a weight"),
    ({"decoder": {"init_args": {"dropout": -0.1}}}, "dropout is a probability"),
    ({"decoder": {"init_args": {"embedding_size": -1}}}, "embedding_size must be 1 or more"),
    ({"encoder": {"init_args": {"channels": 2}}}, "channels must be 4 or more"),
    ({"encoder": {"init_args": {"image_size": 0}}}, "image_size must be 1 or more"),
    (FROZEN | steps_by(encoder_learning_rate=0.1), "is for an encoder that learns"),
    (steps_by(encoder_learning_rate=-0.1), "a learning rate must be 0 or more, got -0.1"),
    (steps_by(learning_rates={"captioner": -1.0}), "a learning rate must be 0 or more, got -1.0"),
    (steps_by(schedule=schedule("Constant", value=-1.0)), "must stay at 0 or more, got -1"),
    (steps_by(schedule=schedule("Linear", floor=-0.1, slope=1.1)), "at 0 or more, got -0.001"),
    (steps_by(optimizer={"class_path": "torch.optim.LBFGS"}), "optimisation.optimizer: LBFGS"),
    (
        steps_by(optimizer=named("torch.optim.Adam", fused=True, foreach=True)),
        "optimisation.optimizer: `fused` and `foreach`",
    ),
    (steps_by(schedule=schedule("Constant", value=math.inf)), "must stay at 0 or more, got inf"),
    (steps_by(gradient_norm=math.nan), "gradient_norm must be positive or null, got nan"),
    (adversarial(negatives={"mismatched": math.nan}), "must be 0 or more, got nan and 0"),
    ({"trainer": {"limit_val_batches": 0}}, "chooses the best checkpoint: give --result last"),
    (
        {"patience": 1, "result": "last", "trainer": {"limit_val_batches": 0}},
        "--patience counts validations, which --trainer.limit_val_batches 0 leaves out",
    ),
    ({"trainer": {"check_val_every_n_epoch": 3}}, "after 10 steps, before its first validation"),
    ({"trainer": {"limit_val_batches": 0.01}}, "at least one of 1 batches, got 0.01"),
    ({"trainer": {"max_steps": 4}}, "after 4 steps, before its first validation after 5"),
    ({"trainer": {"val_check_interval": 6}}, "expected at most the 5 batches of an epoch, got 6"),
    (
        {"trainer": {"val_check_interval": 11, "check_val_every_n_epoch": None}},
        "after 10 steps, before its first validation after 11",
    ),
    ({"patience": 0}, "--patience must be 1 or more, or null, got 0"),
    ({"threads": -1}, "--threads must be 1 or more, or null, got -1"),
    ({"trainer": {"max_epochs": 0}}, "the captioner would never be trained"),
    (adversarial(warm_up=5) | {"trainer": {"limit_train_batches": 3}}, "may end after 6"),
    (adversarial(warm_up=3) | {"trainer": {"limit_train_batches": 0.4}}, "may end after 4"),
    (adversarial(warm_up=6) | {"trainer": {"devices": 2}}, "may end after 6"),
    (
        {"objective": named("tests.commands.test_refusals.Onlooker")},
        "expected 'captioner' among its turns",
    ),
]


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    """The last line on standard error."""
    return capsys.readouterr().err.splitlines()[-1]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A configuration that nothing is wrong with."""
    return str(config(tmp_path_factory.mktemp("sound")))


@pytest.mark.parametrize(("changes", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_what_makes_no_sense_is_one_line_and_status_2(
    changes: dict[str, Any],
    words: str,
    sound: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    written = ["--runs", str(tmp_path / "runs"), "--loading.feature_cache", str(tmp_path)]
    text = yaml.safe_dump(changes, default_flow_style=True, width=math.inf)
    assert main(["train", "--config", sound, "--config", text, *written]) == 2
    line = complaint(capsys)
    assert line.startswith("error: ")
    assert words in line
    assert "Union" not in line
    assert not list(tmp_path.rglob("config.yaml"))  # written as soon as a folder is emptied


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A command whose run there is already."""
    folder = tmp_path_factory.mktemp("trained")
    path = config(folder)
    changes = adversarial() | {"trainer": {"max_epochs": 1}}
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))
    command = ["train", "--config", str(path), "--trainer.accelerator", "cpu"]
    assert main(command) == 0
    return command


def test_what_would_be_refused_when_repeated_is_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = ["train", "--config", str(config(tmp_path)), "--resume", "auto", "--overwrite"]
    assert main(both) == 2
    assert "--resume continues a run, --overwrite deletes it" in complaint(capsys)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--overwrite"], "--resume continues a run, --overwrite deletes it"),
        (["--objective.discriminator.hidden_size", "4"], "its objective.init_args.discriminator"),
        (["--objective.prior.real", "0.9"], "is 0.5, not 0.9; --name NAME makes one beside it"),
        (["--optimisation.optimizer", "torch.optim.SGD"], "not 'torch.optim.SGD'"),
        (["--from_run", "elsewhere"], "its from_run is None, not 'elsewhere'"),
    ],
)
def test_a_run_that_is_resumed_stays_what_it_is(
    trained: list[str], options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(trained[2]).parent / "runs"
    before = contents(run)
    assert main([*trained, "--resume", *options]) == 2
    assert words in complaint(capsys)
    assert contents(run) == before


@pytest.mark.parametrize(
    "options",
    [
        ["--optimisation.optimizer", "torch.optim.LBFGS"],
        ["--optimisation.schedule", "Constant", "--optimisation.schedule.value", "-1.0"],
        ["--objective.warm_up", "99"],
        ["--loading.minimum_count", "100000"],
    ],
)
def test_a_run_that_is_overwritten_stays_until_the_new_one_can_begin(
    trained: list[str], options: list[str]
) -> None:
    run = Path(trained[2]).parent / "runs"
    before = contents(run)
    assert main([*trained, "--overwrite", *options]) == 2
    assert contents(run) == before


def contents(folder: Path) -> dict[Path, bytes]:
    """Every file of a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_does_not_delete_what_it_starts_from(
    trained: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(Path(trained[2]).parent / "runs" / "shapes-adversarial-seed0")
    assert main([*trained, "--overwrite", "--from_run", run]) == 2
    assert "which --overwrite would delete: give --name NAME" in complaint(capsys)


FORCED = {"objective": named(f"{OBJECTIVES}.teacher_forcing.TeacherForcing")}


@pytest.mark.parametrize(
    ("phases", "options", "words"),
    [
        (
            [FORCED, FORCED | {"from_run": "elsewhere"}],
            [],
            "phase 2: from_run cannot be given here",
        ),
        ([FORCED | {"overwrite": True}], [], "phase 1: overwrite cannot be given here"),
        ([FORCED, FORCED], [], "phase 2: "),
        ([FORCED, sampling(parallel=True, replacement="uniform")], [], "leave one of the two out"),
        ([FORCED, {"config": "nowhere.yaml"}], [], "nowhere.yaml"),
        ([FORCED], ["--evaluate", "tset"], "no split 'tset'"),
        ([FORCED], ["--phase2.seed", "3"], "--phase2.seed: expected a phase from 1 to 1, got 2"),
        ([FORCED], ["--phase1.resume"], "phase 1: resume cannot be given here"),
        ([FORCED], ["--phase1.from-run=my-run"], "phase 1: from_run cannot be given here"),
        ([FORCED | {"trainer": {"limit_val_batches": 0}}], [], "give --result last, too"),
    ],
)
def test_what_is_wrong_with_any_phase_is_told_before_the_first_is_trained(
    phases: list[dict[str, Any]],
    options: list[str],
    words: str,
    sound: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    chain = tmp_path / "chain.yaml"
    chain.write_text(yaml.safe_dump({"phases": phases}))
    runs = ["--runs", str(tmp_path / "runs")]
    assert main(["chain", str(chain), "--data", sound, *runs, *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert not (tmp_path / "runs").exists()


def test_a_chain_is_nothing_but_phases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chain = tmp_path / "chain.yaml"
    chain.write_text(yaml.safe_dump({"phases": [FORCED], "trainer": {"max_epochs": 7}}))
    assert main(["chain", str(chain), "--data", str(config(tmp_path))]) == 2
    assert "under the key 'phases', nothing else" in complaint(capsys)
