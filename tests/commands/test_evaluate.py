"""`captioning evaluate`: from a run folder to numbers, captions and a page."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from captioning.__main__ import main
from captioning.commands.evaluate import file_name, full_name, sweep_name
from captioning.evaluation.law import Divergences
from captioning.runs import Run
from captioning.search import Greedy
from tests.support.tiny_run import config

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated")
    assert main(["train", "--config", str(config(folder)), "--trainer.max_epochs", "1"]) == 0
    return folder / "runs" / "shapes-scheduled-sampling-seed0"


def test_names_that_differ_have_folders_that_differ() -> None:
    assert file_name("beam 5") == "beam-5"
    assert file_name("greedy with run_1") == "greedy-with-run_1"
    assert file_name("sampling t=0.8") == "sampling-t=0.8"
    others = ["greedy with 模型一", "greedy with 模型二", "x" * 300, "x" * 301]
    others += [f"greedy with {each}" for each in ("a b", "a-b", "A b", "a  b", "a/b", "a=b")]
    assert len({file_name(each) for each in others}) == 10
    assert all(len(file_name(each)) <= 255 for each in others)


def test_a_checkpoint_that_is_not_every_member_s_own_is_in_the_name(tmp_path: Path) -> None:
    best, last = Run(tmp_path / "best"), Run(tmp_path / "last")
    for each in (best, last):
        each.folder.mkdir()
        each.config_file.write_text(f"result: {each.name}")
    assert full_name("greedy", None, [best, last]) == "greedy with last"
    assert full_name("greedy", "best", [best]) == "greedy"
    assert full_name("greedy", "best", [best, last]) == "greedy best checkpoint with last"
    assert full_name("greedy", "last", [best, last]) == "greedy last checkpoint with last"


def test_members_of_one_name_in_other_folders_are_told_apart(tmp_path: Path) -> None:
    first, *others = (Run(tmp_path / each) for each in ("one/a", "one/b", "two/b"))
    names = [full_name("greedy", None, [first, other]) for other in others]
    assert names == ["greedy with b", "greedy with ../two/b"]


def test_the_limit_of_a_caption_is_in_the_name_of_sampling_at_temperatures() -> None:
    assert sweep_name(Greedy()) == "temperatures"
    assert sweep_name(Greedy(steps=5)) == "temperatures steps=5"


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
    names = {*("Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4"), *("METEOR", "ROUGE_L", "CIDEr", "distinct")}
    assert summary["metrics"].keys() == names
    for name, interval in summary["intervals"].items():
        assert interval["low"] <= summary["metrics"][name] <= interval["high"]
    rows = {"human", "true distribution", "most common caption", "nearest image"}
    assert summary["rows"].keys() == rows
    assert all(row.keys() == names for row in summary["rows"].values())
    assert summary["diversity"].keys() == {"captioner"} | rows
    assert summary["diversity"]["most common caption"]["self_bleu_4"] == pytest.approx(1)
    assert summary["diversity"]["nearest image"]["novel"] == 0
    assert sum(summary["world"].values()) == pytest.approx(1)
    assert sum(summary["samples"].values()) == pytest.approx(1)
    assert summary["divergences"].keys() == {*Divergences._fields} - {"js_by_prior"}
    assert [*summary["js by prior"]] == ["0.01", "0.1", "0.5", "0.9", "0.99"]
    assert summary["divergences"]["forward_kl"] > 0
    assert "|divergences:delta-0.01,samples-20" in summary["signature"]
    assert summary["rows"]["most common caption"]["distinct"] == 1 / 8
    captions = read(folder / "captions.json")
    assert len({each["image_id"] for each in captions}) == len(captions) == 8
    assert all(set(each) == {"image_id", "caption"} for each in captions)
    references = read(folder / "references.json")
    assert len(references["annotations"]) == 40
    assert (run / "report.html").is_file()
    assert (run / "curves.png").is_file()


def test_a_split_of_bad_images_alone_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--config", str(config(tmp_path)), "--trainer.max_epochs", "1"]) == 0
    for image in (tmp_path / "shapes" / "images" / "test").iterdir():
        image.write_bytes(b"damaged")
    capsys.readouterr()
    run = tmp_path / "runs" / "shapes-scheduled-sampling-seed0"
    assert main(["evaluate", str(run), "--on-bad-image", "skip"]) == 2
    assert "none of the images of 'test' can be opened" in capsys.readouterr().err


@pytest.mark.slow
def test_the_signature_tells_of_images_that_were_left_out(run: Path) -> None:
    image = next((run.parents[1] / "shapes" / "images" / "val").iterdir())
    whole = image.read_bytes()
    image.write_bytes(b"damaged")
    command = ["evaluate", str(run), "--split", "val", "--metrics", "bleu"]
    assert main([*command, "--on_bad_image", "skip"]) == 0
    image.write_bytes(whole)
    summary = read(run / "evaluations" / "val-greedy" / "metrics.json")
    assert summary["images"] == 7
    assert "|split:val,7-of-8-images|" in summary["signature"]


@pytest.mark.slow
def test_the_training_split_has_no_row_of_nearest_images(run: Path) -> None:
    assert main(["evaluate", str(run), "--split", "train"]) == 0
    rows = read(run / "evaluations" / "train-greedy" / "metrics.json")["rows"]
    assert "nearest image" not in rows
    assert rows["most common caption"]["Bleu_1"] > 0


@pytest.mark.slow
def test_an_ensemble_of_a_run_with_itself_says_the_same(run: Path) -> None:
    assert main(["evaluate", str(run), "--split", "val"]) == 0
    assert main(["evaluate", str(run), "--split", "val", f"--ensemble-with=[{run}]"]) == 0
    folders = run / "evaluations"
    alone = read(folders / "val-greedy" / "captions.json")
    (together,) = folders.glob(f"val-greedy-with-{run.name}-*")
    assert read(together / "captions.json") == alone
    assert read(run / "metrics.json")["search"] == "greedy"  # the run's own result stays


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
        (["--on-bad-image", "ignore"], "on_bad_image"),
        (["--temperatures", "0.3,hot"], "'0.3,hot'"),
        (["--temperatures", "0.3,0"], "temperature above 0, got 0.0"),
        (["--temperatures", "1,inf"], "a finite temperature above 0, got inf"),
        (["--devices", "0"], "--devices and --num_nodes: expected 1 or more, got 0 and 1"),
        (["--devices", "-1"], "--devices and --num_nodes: expected 1 or more, got -1 and 1"),
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


def test_a_clip_model_that_is_not_there_is_told_before_captions_are_made(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    before = sorted(run.rglob("*"))
    capsys.readouterr()
    options = ["--split", "train", "--clip", "nowhere", "--search.steps", "7"]
    assert main(["evaluate", str(run), *options]) == 2
    assert "CLIPScore needs the package transformers" in capsys.readouterr().err
    assert sorted(run.rglob("*")) == before


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
    assert 0 < summary["divergences"]["forward_kl"] < 2
