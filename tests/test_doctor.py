"""The doctor tells what is there and what is missing, whatever is broken."""

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement

from captioning.doctor import (
    PHOTOGRAPHS,
    Check,
    Finding,
    checks,
    examine,
    libraries,
    library,
    main,
    table,
)

ROOT = Path(__file__).parents[1]


def find(name: str) -> Finding:
    (check,) = [check for check in checks() if check.name == name]
    return examine(check)


def run_without_libraries(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the doctor by a Python that sees the standard library and this project, nothing else."""
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r});"
        "from captioning.doctor import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-I", "-S", "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def broken_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Requirement:
    """A library that is installed but cannot be imported."""
    (tmp_path / "broken_thing.py").write_text("raise RuntimeError('no libcuda:\\nreinstall')")
    (tmp_path / "broken_thing-1.5.dist-info").mkdir()
    metadata = "Metadata-Version: 2.1\nName: broken-thing\nVersion: 1.5\n"
    (tmp_path / "broken_thing-1.5.dist-info" / "METADATA").write_text(metadata)
    monkeypatch.syspath_prepend(tmp_path)
    return Requirement("broken-thing>=1")


def test_where_all_is_there_it_says_so_and_exits_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "All that is required is there."
    shown = {line[9:].split("  ")[0].strip(): line.split()[0] for line in lines[:-1]}
    for required in ("Python", "torch", "pytorch-lightning", "CPU", "Java", "METEOR"):
        assert shown[required] == "ok"


def test_json_has_a_record_for_every_finding(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ready"] is True
    assert [each["name"] for each in report["findings"]] == [check.name for check in checks()]
    assert {each["state"] for each in report["findings"]} <= {"ok", "absent"}


def test_without_any_library_it_names_what_is_missing_and_how_to_mend_it() -> None:
    answer = run_without_libraries()
    assert answer.returncode == 1
    assert answer.stderr == ""
    lines = answer.stdout.splitlines()
    assert lines[-1] == "Something required is missing."
    missing = {line.split()[1] for line in lines if line.startswith("missing")}
    assert missing == {"libraries", "CPU", "Java", "PTB", "METEOR"}
    assert all(line.endswith("run `make setup`") for line in lines if line.startswith("missing"))


def test_without_any_library_json_says_that_it_is_not_ready() -> None:
    answer = run_without_libraries("--format", "json")
    assert answer.returncode == 1
    assert json.loads(answer.stdout)["ready"] is False


def test_a_library_that_is_too_old_is_missing() -> None:
    needed = Requirement("torch>=99")
    finding = examine(Check("torch", lambda: library(needed), "renew it"))
    assert finding.state == "missing"
    assert finding.detail.endswith("but >=99 is needed")


def test_a_library_that_breaks_when_imported_is_missing(broken_library: Requirement) -> None:
    finding = examine(Check("broken-thing", lambda: library(broken_library), "renew it"))
    expected = Finding("broken-thing", "missing", "RuntimeError: no libcuda: reinstall", "renew it")
    assert finding == expected


def test_what_only_an_extra_asks_for_is_not_required(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["torch>=2", 'nothing-such>=1; extra == "clip"', 'pyyaml>=6; python_version > "3"']
    monkeypatch.setattr(metadata, "requires", lambda name: lines)
    assert list(libraries()) == ["torch", "pyyaml"]


def test_the_build_of_torch_and_its_devices_are_told() -> None:
    gpu = find("GPU")
    assert f"torch {torch.__version__} is built for " in gpu.detail
    assert gpu.state == ("ok" if torch.accelerator.is_available() else "absent")
    assert f"cores (torch uses {torch.get_num_threads()})" in find("CPU").detail


def test_java_is_started() -> None:
    assert "jdk" in find("Java").detail


def test_a_data_set_that_lacks_a_file_is_absent_and_the_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPTIONING_DATA", str(tmp_path))
    folder = tmp_path / "flickr8k"
    mend = "`captioning prepare flickr8k` gets it, see data/flickr8k.md"
    assert find("flickr8k") == ("flickr8k", "absent", f"no {folder}", mend)
    (folder / "Images").mkdir(parents=True)
    (folder / "captions.txt").touch()
    assert find("flickr8k").detail == f"no {folder / 'Flickr_8k.trainImages.txt'}"
    for split in ("train", "dev", "test"):
        (folder / f"Flickr_8k.{split}Images.txt").touch()
    assert find("flickr8k") == ("flickr8k", "ok", str(folder), "")


def test_every_data_set_has_the_page_that_it_is_mended_by() -> None:
    pages = {check.name: check.mend.rpartition("see ")[2] for check in checks()}
    assert all((ROOT / pages[name]).is_file() for name in PHOTOGRAPHS)


def test_names_stand_in_one_column_and_advice_follows_what_was_found() -> None:
    findings = [Finding("torch", "ok", "2.15", ""), Finding("Java", "missing", "none", "mend it")]
    assert table(findings) == "ok       torch  2.15\nmissing  Java   none; mend it"
