"""`captioning train`, from its command line to its run folder."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from captioning.__main__ import main
from captioning.captioner import load_captioner
from captioning.commands.run_folder import run_folder
from captioning.commands.train import make_parser
from captioning.data import Shapes
from captioning.runs import Run
from captioning.training.run import start_folder
from tests.support.builders import holding
from tests.support.tiny_run import config, equal, validation_losses, weights

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an uninterrupted run, and its configuration beside `runs`."""
    folder = tmp_path_factory.mktemp("trained")
    assert main(["train", "--config", str(config(folder))]) == 0
    return folder / "runs" / "shapes-scheduled-sampling-seed0"


def test_a_run_folder_holds_what_is_promised(trained: Path) -> None:
    files = {str(path.relative_to(trained)) for path in trained.rglob("*") if path.is_file()}
    assert {
        "config.yaml",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "logs/metrics.csv",
    } <= files
    assert any("tfevents" in name for name in files)


def test_a_checkpoint_works_alone(trained: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone.ckpt"
    alone.write_bytes((trained / "checkpoints" / "best.ckpt").read_bytes())
    captioner = load_captioner(alone)
    assert "circle" in captioner.vocabulary.tokens
    assert not captioner.training


def test_a_rerun_from_the_resolved_configuration_gives_the_same_weights(
    trained: Path, tmp_path: Path
) -> None:
    again = ["train", "--config", str(trained / "config.yaml"), "--runs", str(tmp_path)]
    assert main(again) == 0
    assert equal(weights(tmp_path / trained.name), weights(trained))


def test_an_existing_run_is_never_overwritten_without_being_asked(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (trained / "checkpoints" / "last.ckpt").read_bytes()
    assert main(["train", "--config", str(trained / "config.yaml")]) == 2
    assert "--resume continues it, --overwrite deletes it" in capsys.readouterr().err
    assert (trained / "checkpoints" / "last.ckpt").read_bytes() == before


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error."""
    line, *rest = capsys.readouterr().err.splitlines()
    assert rest == []
    return line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--loading.batchsize", "3"], "nearest valid key is 'loading.batch_size'"),
        (["--decoder.hiden_size", "3"], "nearest valid key is 'hidden_size'"),
        (["--trainer.max_epoch", "3"], "nearest valid key is 'trainer.max_epochs'"),
        (["--objective", "ScheduleSampling"], "the nearest class is 'ScheduledSampling'"),
        (["--objective", "captioning.objectives.lent"], "has no attribute 'lent' (see"),
        (["--decoder", "captioning.decoder.Lcrn"], "the nearest class is 'Lrcn'"),
        (["--objective", "Objective"], "is abstract; name a class of that kind, before its"),
        (["--trainer.max_epochs", "many"], "trainer.max_epochs"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--resume"], "nothing to resume"),
        (["--loading.batch_size", "0"], "loading.batch_size must be 1 or more, got 0"),
        (["--optimisation.accumulate", "0"], "optimisation.accumulate must be 1 or more, got 0"),
        (["--trainer.accelerator", "tpu"], "--trainer: "),
        (
            ["--trainer.precision", "bf16-true"],
            "expected 32-true, 16-mixed or bf16-mixed, got bf16-true",
        ),
        (["--trainer.precision", "64"], "expected 32-true, 16-mixed or bf16-mixed, got 64"),
        (["--evaluate", "tset"], "no split 'tset'"),
        (["--temperatures", "0.5"], "--temperatures is for the evaluation after training"),
        (["--search", "Beam"], "--search is for the evaluation after training"),
        (["--trainer.gradient_clip_val", "1"], "unrecognized arguments"),
        (["--trainer.use_distributed_sampler", "true"], "unrecognized arguments"),
        (["--trainer.default_root_dir", "elsewhere"], "unrecognized arguments"),
        (["--trainer.limit_test_batches", "1"], "unrecognized arguments"),
        (["--trainer.limit_predict_batches", "1"], "unrecognized arguments"),
        (["--trainer.overfit_batches", "1"], "unrecognized arguments"),
        (["--trainer.fast_dev_run", "true"], "unrecognized arguments"),
        (["--decoder.tied", "true"], "tied embeddings need"),
        (
            ["--decoder", "captioning.decoder.ShowAttendTell"],
            "set the encoder's features to 'grid'",
        ),
        (["--loading.minimum_count", "100000"], "lower --loading.minimum_count"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    options: list[str],
    words: str,
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["train", "--config", str(trained / "config.yaml"), "--runs", str(tmp_path)]
    assert main([*command, *options]) == 2
    assert words in complaint(capsys)


@pytest.mark.parametrize(
    "name", ["TeacherForcing", "ScheduledSampling", "Adversarial", "SelfCritical"]
)
def test_objectives_are_known_by_their_plain_names(name: str, trained: Path) -> None:
    config = str(trained / "config.yaml")
    parts = ["estimator", "StraightThrough"], ["discriminator", "MatchingDiscriminator"]
    more = [word for key, value in parts for word in (f"--objective.{key}", value)]
    read = make_parser().read(
        ["--config", config, "--objective", name, *(more if name == "Adversarial" else [])]
    )
    assert read.objective.class_path.startswith("captioning.objectives.")
    assert read.objective.class_path.endswith(f".{name}")
    assert read.objective.class_path in make_parser().format_help().replace("\n" + " " * 24, "")


def test_an_unknown_key_in_a_file_is_named_with_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config(tmp_path)
    content = yaml.safe_load(path.read_text())
    content["objectiv"] = content.pop("objective")
    path.write_text(yaml.safe_dump(content))
    assert main(["train", "--config", str(path)]) == 2
    assert "nearest valid key is 'objective'" in complaint(capsys)


def test_an_unwritable_folder_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    path = config(tmp_path)
    assert main(["train", "--config", str(path), "--runs", str(tmp_path / "file")]) == 2
    assert "cannot be written" in complaint(capsys)


def test_another_number_of_processes_than_slurm_has_begun_is_refused_and_deletes_nothing(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each task would train alone, into the same folder."""
    for name, value in {"NTASKS": 2, "NTASKS_PER_NODE": 2, "PROCID": 0, "JOB_NAME": "me"}.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    before = sorted(trained.rglob("*"))
    assert main(["train", "--config", str(trained / "config.yaml"), "--overwrite"]) == 2
    assert "expected SLURM's 2 tasks, got 1 × 1" in complaint(capsys)
    assert sorted(trained.rglob("*")) == before


def test_two_commands_do_not_train_one_run(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(trained.rglob("*"))
    with holding(Run(trained).lock_file):
        assert main(["train", "--config", str(trained / "config.yaml"), "--overwrite"]) == 2
    assert "another command is working on it; wait until it ends, or give --name" in complaint(
        capsys
    )
    assert sorted(trained.rglob("*")) == before


def test_what_a_kill_left_of_a_checkpoint_is_removed_when_the_run_goes_on(tmp_path: Path) -> None:
    run = Run(tmp_path)
    left = tmp_path / "checkpoints" / "last.ckpt.99-0a1b2c3d.partial"
    left.parent.mkdir()
    left.touch()
    start_folder(run, "seed: 0\n", resume=True)
    assert not left.exists()
    assert run.config_file.read_text() == "seed: 0\n"


def damage(change: Callable[[Path], None], tmp_path: Path) -> list[str]:
    """A training command on a world whose first training image was changed."""
    path = config(tmp_path)
    Shapes(**yaml.safe_load(path.read_text())["data"]["init_args"]).examples("train")
    change(tmp_path / "shapes" / "images" / "train" / "000001.png")
    return ["train", "--config", str(path), "--overwrite"]


def cut(image: Path) -> None:
    image.write_bytes(image.read_bytes()[:100])


@pytest.mark.parametrize("change", [cut, Path.unlink])
def test_a_bad_image_is_named_or_skipped_and_counted(
    change: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = damage(change, tmp_path)
    assert main(command) == 2
    assert "000001.png" in complaint(capsys)
    assert main([*command, "--loading.on-bad-image", "skip"]) == 0
    assert complaint(capsys).startswith("skipped 1: ")


@pytest.mark.slow  # starts Python twice more
def test_two_processes_train_and_evaluate_together(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "captioning", "train", "--config", str(config(tmp_path))]
    two = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--evaluate", "test"]
    done = subprocess.run([*command, *two], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "shapes-scheduled-sampling-seed0"
    told, title, *_ = done.stdout.splitlines()
    assert (told, title) == (str(run), "shapes test, greedy, 8 images, × 100")
    assert done.stdout.count("captioner ") == 2  # metrics and diversity, told by one process
    assert len(validation_losses(run)) == 2
    # 40 images, two processes, 8 at a time: three steps an epoch.
    assert torch.load(run / "checkpoints" / "last.ckpt")["global_step"] == 6


DATA = sorted((ROOT / "configs" / "data").glob("*.yaml"))
OBJECTIVES = [
    path
    for path in sorted((ROOT / "configs").glob("*.yaml"))
    if path.stem not in ("attention", "small_decoder")
]


@pytest.mark.parametrize("data", DATA, ids=lambda path: path.stem)
@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda path: path.stem)
@pytest.mark.parametrize("attention", [False, True])
def test_every_combination_of_configurations_parses(
    data: Path, objective: Path, attention: bool
) -> None:
    files = [data, objective, *([ROOT / "configs" / "attention.yaml"] if attention else [])]
    parsed = make_parser().read([word for path in files for word in ("--config", str(path))])
    assert parsed.trainer.max_epochs > 0
    assert ("ShowAttendTell" in parsed.decoder.class_path) == attention


@pytest.mark.parametrize(
    ("files", "folder"),
    [
        (["teacher_forcing"], "shapes-teacher-forcing-seed0"),
        (["adversarial"], "shapes-adversarial-seed0"),
        (["self_critical"], "shapes-self-critical-seed0"),
        (["gumbel"], "shapes-adversarial-straight-through-seed0"),
        (["adversarial", "small_decoder"], "shapes-adversarial-small-decoder-seed0"),
        (["small_decoder", "gumbel"], "shapes-adversarial-straight-through-small-decoder-seed0"),
    ],
)
def test_a_run_folder_is_named_by_what_is_trained(files: list[str], folder: str) -> None:
    paths = [ROOT / "configs" / f"{name}.yaml" for name in ("data/shapes", *files)]
    parsed = make_parser().read([word for path in paths for word in ("--config", str(path))])
    assert run_folder(parsed).folder == Path("runs", folder)


def test_a_run_killed_before_its_first_checkpoint_is_no_obstacle(trained: Path) -> None:
    content = yaml.safe_load((trained / "config.yaml").read_text())
    content["name"] = "killed"
    path = trained.parent / "killed.yaml"
    path.write_text(yaml.safe_dump(content))
    run = trained.parent / "shapes-scheduled-sampling-killed-seed0"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text("seed: 0")
    assert main(["train", "--config", str(path)]) == 0
    assert (run / "checkpoints" / "best.ckpt").is_file()
