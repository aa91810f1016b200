"""How a result was made: the commit and the hardware that are told."""

import subprocess
from pathlib import Path

import torch

from captioning.cores import cores
from captioning.provenance import commit, hardware, processor, provenance


def git(folder: Path, *words: str) -> str:
    person = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    command = ["git", "-C", str(folder), *person, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_of_a_checkout_is_told_and_whether_its_files_were_changed(
    tmp_path: Path,
) -> None:
    assert commit(tmp_path) == []
    git(tmp_path, "init")
    assert commit(tmp_path) == []  # nothing is committed yet
    (tmp_path / "code.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--message", "one")
    head = git(tmp_path, "rev-parse", "--short", "HEAD")
    assert commit(tmp_path) == [head]
    (tmp_path / "code.py").write_text("2")
    assert commit(tmp_path) == [f"{head}-dirty"]


def test_a_package_installed_inside_a_checkout_has_not_its_commit(tmp_path: Path) -> None:
    git(tmp_path, "init")
    (tmp_path / "site-packages").mkdir()
    assert commit(tmp_path / "site-packages") == []


def test_hardware_is_the_processor_with_its_cores_where_no_gpu_is_used() -> None:
    alone = hardware(torch.device("cpu"))
    assert alone == f"{processor()}, {cores()} cores"
    assert processor()
    assert hardware(torch.device("cpu"), processes=3) == f"{alone}, 3 processes"


def test_provenance_names_the_day_and_the_versions() -> None:
    told = provenance()
    year, month, day = map(int, told["Made"].split("-"))
    assert (year > 2000, 1 <= month <= 12, 1 <= day <= 31) == (True, True, True)
    assert told["Code"].startswith("captioning")
    assert told["PyTorch"] == torch.__version__
