"""The Makefile and the lock file: what they run, and that a set-up which broke off is noticed."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
TRAIN = ".venv/bin/python -m captioning train --config configs/data/"
CHAIN = ".venv/bin/python -m captioning chain configs/chains/"
SS = "configs/scheduled_sampling.yaml --evaluate test"


def make(*words: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    outer = {"MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS"}
    environment = {name: value for name, value in os.environ.items() if name not in outer}
    command = ["make", "--no-print-directory", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def lock_lines() -> list[str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ("train-tf", TRAIN + "shapes.yaml --config configs/teacher_forcing.yaml --evaluate test"),
        ("train-ss", TRAIN + f"shapes.yaml --config {SS}"),
        (
            "train-ss DATA=flickr8k ARGS=--seed=3",
            TRAIN + f"flickr8k.yaml --config {SS} --seed=3",
        ),
        *(
            (target, f"{CHAIN}{name}.yaml --data shapes --evaluate test")
            for target, name in [
                ("train-adv", "adversarial"),
                ("train-gumbel", "gumbel"),
                ("train-scst", "self_critical"),
                ("train-chain", "scheduled_sampling_adversarial"),
                ("train-chain CHAIN=gumbel", "gumbel"),
            ]
        ),
        ("features DATA=coco", "captioning features --config configs/data/coco.yaml"),
        ("compare", "captioning compare configs/suites/default.yaml --data shapes"),
        (
            "compare SUITE=objectives DATA=flickr8k ARGS=--seeds=1",
            "captioning compare configs/suites/objectives.yaml --data flickr8k --seeds=1",
        ),
        ("eval", ".venv/bin/python -m captioning evaluate"),
        ("eval RUN=runs/a ARGS=--split=val", "captioning evaluate runs/a --split=val"),
        ("report RUN=runs/a", ".venv/bin/python -m captioning report runs/a"),
        ("lab ARGS=figure-1", ".venv/bin/python -m captioning lab figure-1"),
        (
            "test",
            '.venv/bin/python -m pytest -n auto --maxprocesses 4 --dist worksteal -m "not slow"',
        ),
        ("check", ".venv/bin/python -m ruff check"),
        ("check", ".venv/bin/python -m mypy"),
        ("bench", "tests/benchmarks/bench_*.py"),
    ],
)
def test_a_target_runs_its_command(words: str, command: str) -> None:
    printed = make("--dry-run", *words.split())
    assert printed.returncode == 0, printed.stderr
    assert command in printed.stdout


def test_comparing_prints_its_commands_and_not_its_own() -> None:
    printed = make("compare", "captioning=echo", "--old-file=.venv/ready")
    assert printed.stdout == "compare configs/suites/default.yaml --data shapes\n"


CONFIGS = sorted(path.relative_to(ROOT) for path in (ROOT / "configs").rglob("*.yaml"))


def files_read(command: str) -> set[str]:
    """Which files of configs/ a command reads, those that a chain names among them."""
    _, *words = shlex.split(command)
    variables = re.findall(r"^([A-Z]+) =", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {word.split("=")[0] for word in words if "=" in word} <= {*variables}
    printed = make("--dry-run", *words)
    assert printed.returncode == 0, printed.stderr
    files = re.findall(r"configs/[\w/.-]+", printed.stdout)
    chains = [(ROOT / file).read_text() for file in files if file.startswith("configs/chains/")]
    return {*files, *re.findall(r"configs/[\w/.-]+", "".join(chains))}


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_configuration_opens_with_a_command_that_reads_it_and_names_none_that_fails(
    config: Path,
) -> None:
    lines = (ROOT / config).read_text(encoding="utf-8").splitlines()
    header = "".join(line[1:] for line in lines if line.startswith("#"))
    commands = re.findall(r"\bmake [a-z-]+(?: [A-Z]+=(?:\"[^\"]*\"|[\w.-]+))*", header)
    assert header.startswith(f" {commands[0]}")
    assert str(config) in files_read(commands[0])
    for command in commands:
        assert all((ROOT / file).is_file() for file in files_read(command)), command


def test_an_environment_variable_does_not_choose_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA", "/scratch")
    assert TRAIN + "shapes.yaml" in make("--dry-run", "train-tf").stdout


def test_help_is_the_default_and_lists_every_target() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    listed = [line.split()[0] for line in make().stdout.splitlines()[1:]]
    assert sorted(listed) == sorted(phony[1].split())


def test_every_target_but_help_and_clean_first_sets_up(project: Path) -> None:
    (project / "requirements.lock").touch()
    sets_up = {
        target
        for target in (line.split()[0] for line in make(folder=project).stdout.splitlines()[1:])
        if "touch .venv/ready" in make("--dry-run", target, folder=project).stdout
    }
    assert "train-ss" in sets_up
    assert "help" not in sets_up
    assert "clean" not in sets_up
    assert len(sets_up) == len(make(folder=project).stdout.splitlines()) - 3


@pytest.mark.parametrize("python", ["no-such-python", "false"])
def test_an_unusable_interpreter_is_one_clear_sentence(project: Path, python: str) -> None:
    (project / "requirements.lock").touch()
    (project / ".venv").mkdir()
    refused = make("setup", "uv=", f"PYTHON={python}", folder=project)
    sentence, last = refused.stderr.strip().splitlines()
    assert re.match(rf"{python} \(.*\) cannot make .venv: ", sentence)
    assert "Python 3.10 or newer with its venv module" in sentence
    assert last.endswith("Error 1")
    assert (project / ".venv").exists(), "what was there before stays"


@pytest.mark.slow
def test_a_set_up_that_broke_off_is_made_anew_and_a_finished_one_is_left(project: Path) -> None:
    def locked(*words: str) -> int:
        return make(
            *words, ".venv/locked", "uv=", f"PYTHON={sys.executable}", folder=project
        ).returncode

    lock = project / "requirements.lock"
    lock.write_text("./missing\n")
    assert locked() != 0
    remains = project / ".venv" / "half-a-library"
    remains.touch()
    lock.write_text("# nothing\n")
    assert locked("--question") == 1
    assert locked() == 0
    assert not remains.exists()
    assert locked("--question") == 0


def test_the_lock_file_pins_versions_and_names_no_address() -> None:
    for line in lock_lines():
        assert re.fullmatch(r"[a-z0-9-]+==[\w.]+( ; .+)?", line), line


def test_the_lock_file_leaves_the_cuda_libraries_to_torch() -> None:
    assert not [line for line in lock_lines() if re.match("cuda|nvidia|triton", line)]


def test_the_lock_file_holds_all_that_the_project_asks_for_within_its_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    pinned: dict[str, list[Version]] = {}
    for line in map(Requirement, lock_lines()):
        (specifier,) = line.specifier
        pinned.setdefault(line.name, []).append(Version(specifier.version))
    for requirement in map(Requirement, asked + project["build-system"]["requires"]):
        assert all(version in requirement.specifier for version in pinned[requirement.name])
