"""`captioning evaluate`: from a run folder to numbers, captions and a page."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from captioning.__main__ import main

ROOT = Path(__file__).parents[1]


def train(folder: Path, *options: str) -> Path:
    """Train a tiny captioner of a tiny world for one epoch."""
    content = {
        "data": {
            "class_path": "captioning.data.Shapes",
            "init_args": {
                "folder": str(folder / "shapes"),
                "sizes": {"train": 40, "val": 8, "test": 8},
            },
        },
        "encoder": {"class_path": "captioning.encoder.SmallCnn", "init_args": {"channels": 8}},
        "decoder": {
            "class_path": "captioning.decoder.Lrcn",
            "init_args": {"hidden_size": 16, "embedding_size": 8},
        },
        "objective": {"class_path": "captioning.objectives.teacher_forcing.TeacherForcing"},
        "loading": {"batch_size": 8, "minimum_count": 1, "num_workers": 0},
        "runs": str(folder / "runs"),
        "trainer": {"max_epochs": 1, "accelerator": "cpu", "enable_progress_bar": False},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    assert main(["train", "--config", str(path), *options]) == 0
    return folder / "runs" / "shapes-teacher-forcing-seed0"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("evaluated"))


def read(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.mark.slow  # METEOR's program takes seconds to start
def test_an_evaluation_writes_what_is_promised(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", str(run), "--search", "Beam", "--search.size", "2", "--format", "json"]
    capsys.readouterr()
    assert main(command) == 0
    printed = capsys.readouterr().out
    folder = run / "evaluations" / "test-beam-2"
    summary = read(folder / "metrics.json")
    assert json.loads(printed[printed.index("{") :]) == summary == read(run / "metrics.json")
    assert (summary["data"], summary["split"], summary["search"]) == ("shapes", "test", "beam 2")
    names = {"Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "METEOR", "ROUGE_L", "CIDEr"}
    assert summary["metrics"].keys() == names
    rows = {"human", "true distribution", "most common caption", "nearest image"}
    assert summary["rows"].keys() == rows
    assert all(row.keys() == names for row in summary["rows"].values())
    assert sum(summary["world"].values()) == pytest.approx(1)
    captions = read(folder / "captions.json")
    assert len({each["image_id"] for each in captions}) == len(captions) == 8
    assert all(set(each) == {"image_id", "caption"} for each in captions)
    references = read(folder / "references.json")
    assert len(references["annotations"]) == 40
    assert (run / "report.html").is_file()
    assert (run / "curves.png").is_file()


@pytest.mark.slow
def test_an_ensemble_of_a_run_with_itself_says_the_same(run: Path) -> None:
    assert main(["evaluate", str(run), "--split", "val"]) == 0
    assert main(["evaluate", str(run), "--split", "val", f"--ensemble-with=[{run}]"]) == 0
    folders = run / "evaluations"
    alone = read(folders / "val-greedy" / "captions.json")
    assert read(folders / "val-greedy-ensemble-of-2" / "captions.json") == alone


def test_a_captioner_of_other_data_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    table = tmp_path / "table.csv"
    table.write_text("image,caption,split\na.png,một con mèo ngồi trên ghế,test\n")
    config["data"] = {
        "class_path": "captioning.data.Manifest",
        "init_args": {"name": "other", "path": str(table)},
    }
    other = tmp_path / "run"
    (other / "checkpoints").mkdir(parents=True)
    (other / "config.yaml").write_text(yaml.safe_dump(config))
    (other / "checkpoints" / "best.ckpt").write_bytes(
        (run / "checkpoints" / "best.ckpt").read_bytes()
    )
    capsys.readouterr()
    assert main(["evaluate", str(other)]) == 2
    assert "share only 0% of their words" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["nowhere"], "nowhere"),
        (["--split", "tset"], "tset"),
        (["--search", "Bean"], "Bean"),
        (["--search", "Beam", "--search.size", "0"], "size of 1 or more"),
        (["--checkpoint", "first"], "checkpoint"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    options: list[str], words: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    place = [] if options == ["nowhere"] else [str(run)]
    assert main(["evaluate", *place, *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["teacher_forcing", "scheduled_sampling"])
def test_the_shapes_world_is_learned_as_the_readme_says(
    objective: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    configs = [ROOT / "configs" / "data" / "shapes.yaml", ROOT / "configs" / f"{objective}.yaml"]
    files = [word for config in configs for word in ("--config", str(config))]
    quiet = ["--trainer.enable_progress_bar", "false", "--evaluate", "test"]
    assert main(["train", *files, *quiet]) == 0
    (metrics,) = tmp_path.glob("runs/*/metrics.json")
    summary = read(metrics)
    assert summary["metrics"]["CIDEr"] >= 0.9 * summary["rows"]["true distribution"]["CIDEr"]
    assert summary["world"]["true"] >= 0.9
