"""`captioning lab`: what it prints, what it leaves, and its exit status."""

import json
from pathlib import Path

import pytest
import torch

from captioning.__main__ import main
from captioning.commands.lab import text
from captioning.lab.section import Section, Table
from captioning.provenance import hardware


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two experiments that take no time, of six claims each; one of the six does not hold."""
    experiments = {"first": "tests.lab.sections", "second": "tests.lab.sections"}
    monkeypatch.setattr("captioning.commands.lab.EXPERIMENTS", experiments)


def lab(output: Path, *words: str) -> int:
    return main(["lab", *words, "--output", str(output)])


@pytest.mark.slow
def test_figure_1_is_as_theory_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab(tmp_path, "figure-1", "--size", "small", "--strict") == 0
    printed = capsys.readouterr().out
    assert "correlated: standard deviation         1.96     1.77     1.32" in printed
    assert f"9 of 9 claims hold: {tmp_path / 'figure-1' / 'lab.html'}" in printed
    claims = json.loads((tmp_path / "figure-1" / "claims.json").read_text())
    assert [claim["expected"] for claim in claims] == [2.0, 1.8, 1.3, 1.0, 0.9, 0.0, 2.35, 0.0, 1.0]


@pytest.mark.usefixtures("made_up")
def test_all_experiments_share_one_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab(tmp_path) == 0
    printed = capsys.readouterr().out
    assert "✗ Teacher forcing finds the truth: KL[P‖Q]" in printed
    assert "  expected ≤ 0.005, measured 0.0071 ± 0.0012" in printed
    assert f"10 of 12 claims hold: {tmp_path / 'lab.html'}" in printed
    assert len(json.loads((tmp_path / "claims.json").read_text())) == 12


@pytest.mark.usefixtures("made_up")
def test_one_experiment_leaves_the_page_of_all_as_it_is(tmp_path: Path) -> None:
    lab(tmp_path)
    before = (tmp_path / "lab.html").read_bytes()
    lab(tmp_path, "second", "--seeds", "7")
    assert (tmp_path / "lab.html").read_bytes() == before
    assert len(json.loads((tmp_path / "second" / "claims.json").read_text())) == 6


@pytest.mark.usefixtures("made_up")
def test_an_experiment_is_told_its_seeds_size_and_processes(tmp_path: Path) -> None:
    lab(tmp_path, "first", "--seeds", "7", "--size", "small", "--jobs", "5")
    page = (tmp_path / "first" / "lab.md").read_text()
    assert "7 seeds, small, 5 jobs." in page
    assert f"Hardware: {hardware(torch.device('cpu'))}" in page


def test_what_was_done_stays_where_a_later_experiment_breaks_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiments = {"first": "tests.lab.sections", "second": "tests.no_such_module"}
    monkeypatch.setattr("captioning.commands.lab.EXPERIMENTS", experiments)
    with pytest.raises(ModuleNotFoundError):
        lab(tmp_path)
    assert len(json.loads((tmp_path / "claims.json").read_text())) == 6


@pytest.mark.usefixtures("made_up")
def test_a_claim_that_does_not_hold_is_an_error_only_where_that_was_asked(tmp_path: Path) -> None:
    assert lab(tmp_path, "first") == 0
    assert lab(tmp_path, "first", "--strict") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["figure-2"], "'scheduled-sampling', 'adversarial', 'figure-1', 'gradients'"),
        (["--seeds", "0"], "--seeds: expected 1 or more, got 0"),
        (["--jobs", "0"], "--jobs: expected 1 or more, got 0"),
        (["--size", "large"], '"size"'),
        (["--sedes=1"], "the nearest valid key is 'seeds'"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab(tmp_path / "lab", *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "lab").exists()


def test_a_folder_that_cannot_be_written_is_told_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert lab(tmp_path / "file" / "below") == 2
    assert "below cannot be written (Not a directory)" in capsys.readouterr().err


def test_a_table_stands_in_columns() -> None:
    table = Table("KL in nats", ["ε", "exact", "trained"], [["0", "1.06", "1.1 ± 0.2"]])
    assert text(Section("any", "Any", "", [table], [], [])).splitlines()[2:4] == [
        "KL in nats  exact    trained",
        "0            1.06  1.1 ± 0.2",
    ]
