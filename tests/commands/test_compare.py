"""`captioning compare`: a suite that is interrupted, fails in part, or is only gathered."""

import subprocess
import sys
import time
from pathlib import Path
from signal import SIGINT

import pytest
import yaml

from captioning.__main__ import main
from captioning.commands.compare import parse
from captioning.commands.configuration import data_file, look_up
from captioning.errors import InputError
from captioning.runs import Run
from tests.support.tiny_run import config

FORCED = {"objective": {"class_path": "captioning.objectives.teacher_forcing.TeacherForcing"}}


def test_options_for_all_rows_may_not_say_what_the_plan_says() -> None:
    options, rest = parse(["s.yaml", "--jobs", "2", "--trainer.max_epochs", "1"])
    assert (options.jobs, rest) == (2, ["--trainer.max_epochs", "1"])
    with pytest.raises(InputError, match="--search cannot be given here: the plan sets it"):
        parse(["suite.yaml", "--search.init_args.steps", "30"])
    with pytest.raises(InputError, match="--from_run cannot be given here: the plan sets it"):
        parse(["s.yaml", "--from-run=x"])
    with pytest.raises(InputError, match="--seeds: expected 1 or more, got 0"):
        parse(["s.yaml", "--seeds", "0"])


def test_data_is_named_as_in_configs(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[2]
    suite = root / "configs" / "suites" / "default.yaml"
    file = Path("configs", "data", "flickr8k.yaml")
    for folder, expected in ((root, file), (root / "data", root / file)):
        monkeypatch.chdir(folder)
        assert data_file("flickr8k", suite) == expected
        with pytest.raises(InputError, match=r"flicker.yaml does not exist; .*flickr30k, flickr8k"):
            data_file("flicker", suite)
    with pytest.raises(InputError, match=r"flickr8k.yaml does not exist"):
        data_file(str(file), suite)


def test_what_files_name_is_in_the_working_directory_or_in_the_nearest_folder_above_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = tmp_path / "a" / "b" / "suite.yaml"
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert look_up("x/row.yaml", suite) == Path("x/row.yaml")  # nowhere yet
    for folder in (tmp_path, tmp_path / "a", suite.parent):
        (folder / "x").mkdir(parents=True)
        (folder / "x" / "row.yaml").touch()
        assert look_up("x/row.yaml", suite) == folder / "x" / "row.yaml"
    monkeypatch.chdir(tmp_path)
    assert look_up("x/row.yaml", suite) == Path("x/row.yaml")
    assert look_up("x/row.yaml", Path("a", "b", "suite.yaml")) == Path("x/row.yaml")


def test_a_suite_makes_the_same_runs_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "configs" / "data").mkdir(parents=True)
    config(tmp_path).rename(tmp_path / "configs" / "data" / "tiny.yaml")
    (tmp_path / "configs" / "forced.yaml").write_text(yaml.safe_dump(FORCED))
    suite = written(tmp_path, "one", {"forced": {"configs": ["configs/forced.yaml"]}})
    words = ["compare", suite, "--data", "tiny", "--runs", str(tmp_path / "runs"), "--dry-run"]
    plans = []
    for folder in (tmp_path, tmp_path / "configs"):
        monkeypatch.chdir(folder)
        assert main(words) == 0
        plans.append(capsys.readouterr().out)
    assert plans[0] == plans[1]
    assert "shapes-teacher-forcing-" in plans[0]


def interrupt(words: list[str], checkpoint: str, folder: Path) -> str:
    """Begin a command, and interrupt it once there is a checkpoint; give what it said."""
    begun = subprocess.Popen([sys.executable, "-m", "captioning", *words], stderr=subprocess.PIPE)
    while not list(folder.glob(checkpoint)):
        assert begun.poll() is None
        time.sleep(0.05)
    begun.send_signal(SIGINT)
    _, told = begun.communicate(timeout=120)
    assert begun.returncode == 130, told
    return told.decode()


def written(folder: Path, name: str, rows: dict[str, dict[str, object]]) -> str:
    """The file of a suite that is evaluated by beam search."""
    search = {"class_path": "captioning.search.Beam", "init_args": {"size": 2}}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"evaluate": {"search": search}, "rows": rows}, sort_keys=False))
    return str(path)


@pytest.mark.slow
def test_an_interrupted_suite_goes_on_past_a_failing_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: dict[str, dict[str, object]] = {
        "broken": {"options": {"loading": {"minimum_count": 100000}}},
        "after": {"from_row": "broken"},
        "forced": {"options": FORCED | {"trainer": {"max_epochs": 20}}},
    }
    words = ["compare", written(tmp_path, "one", rows), "--data", str(config(tmp_path))]
    words += ["--runs", str(tmp_path / "runs"), "--seeds", "1", "--jobs", "1"]
    folder = "runs/shapes-teacher-forcing-*-seed0"
    told = interrupt(words, f"{folder}/checkpoints/last.ckpt", tmp_path)
    assert told.endswith("stopped; the same command goes on\n")
    (run,) = (Run(path) for path in tmp_path.glob(folder))
    assert not run.finished_file.exists()

    assert main([*words, "--print-commands"]) == 0
    printed = capsys.readouterr()
    assert [line.endswith("--resume auto") for line in printed.out.splitlines()] == [True, True]
    assert "1 more need what these leave" in printed.err

    assert main(words) == 1
    shown = capsys.readouterr()
    assert "broken, seed 0: failed: error: no word is said 100000 times" in shown.err
    assert "after, seed 0: skipped, because it needs broken, seed 0" in shown.err
    assert "| forced | beam 2 |" in shown.out
    assert "| broken |" not in shown.out
    page = tmp_path / "runs" / "compare" / "one-config" / "report.html"
    assert f"{page}  0." in shown.err
    assert "skipped, because it needs broken, seed 0" in page.read_text()
    assert '"fault"' in page.read_text()  # the world is known, so that what is false can be found
    assert run.finished_file.exists()
    assert len((run.logs / "metrics.csv").read_text().splitlines()) > 20  # of both parts

    words[1] = written(tmp_path, "two", {"maximum likelihood": rows["forced"]})
    assert main(words) == 0
    shown = capsys.readouterr()
    assert "| maximum likelihood | beam 2 |" in shown.out
    assert "begins" not in shown.err


@pytest.mark.slow
def test_what_is_done_is_gathered_and_the_rest_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", str(config(tmp_path)), "--runs", str(tmp_path / "runs"), "--seeds", "1"]
    rows: dict[str, dict[str, object]] = {"forced": {"options": FORCED}}
    more = rows | {"longer": {"options": FORCED | {"trainer": {"max_epochs": 20}}}}
    page = tmp_path / "runs" / "compare" / "more-config" / "report.html"
    assert main(["compare", written(tmp_path, "more", more), *words, "--gather"]) == 1
    assert "forced, seed 0: not done yet\nlonger, seed 0: not" in capsys.readouterr().err
    assert not page.exists()
    assert main(["compare", written(tmp_path, "few", rows), *words]) == 0
    capsys.readouterr()
    assert main(["compare", written(tmp_path, "more", more), *words, "--gather"]) == 1
    shown = capsys.readouterr()
    assert "| forced | beam 2 |" in shown.out
    assert shown.err.startswith("longer, seed 0: not done yet\n")
    assert "longer, seed 0: not done yet" in page.read_text()
