"""Run folders: which one is the newest, and what a name says."""

import os
from pathlib import Path

import pytest

from captioning.errors import InputError
from captioning.runs import Run, newest_run, open_run


def make_run(folder: Path, began: int) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("seed: 0\n")
    os.utime(folder / "config.yaml", (began, began))
    return folder


def test_the_newest_run_is_the_one_that_began_last(tmp_path: Path) -> None:
    old, new = make_run(tmp_path / "b", began=1), make_run(tmp_path / "a", began=2)
    (tmp_path / "no run").mkdir()
    assert newest_run(tmp_path) == new
    (old / "report.html").write_text("reporting a run does not make it newer")
    assert newest_run(tmp_path) == new


@pytest.mark.parametrize("folder", [".", "not there"])
def test_no_run_at_all_says_how_to_make_one(tmp_path: Path, folder: str) -> None:
    with pytest.raises(InputError, match="expected a run, found none; `make train-ss` makes one"):
        newest_run(tmp_path / folder)


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a run folder, found no config\.yaml"):
        open_run(tmp_path)


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("shapes-ss-seed0", "shapes-ss"),
        ("shapes-ss-seed3-wide-seed12", "shapes-ss-seed3-wide"),
        ("mine", "mine"),
    ],
)
def test_the_group_of_a_run_is_its_name_without_the_seed(name: str, group: str) -> None:
    assert Run(Path("runs", name)).group == group


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "expected YAML, but"),
        ("a: 2026-13-01", "expected YAML, but month must be in 1"),
        ("just words", "expected a mapping, got 'just words'"),
    ],
)
def test_a_damaged_configuration_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(InputError, match=rf"config\.yaml: {message}"):
        _ = open_run(tmp_path).config
