"""The letters that stand for code change with what the code does, and with nothing else."""

from pathlib import Path

import pytest

from captioning import code_version

CODE = '''"""Sum."""
from {package}.numbers import one

def two():
    """Twice one."""
    return one() + one()
'''


def version_of(folder: Path, package: str, sums: str, numbers: str = "def one(): return 1") -> str:
    """The letters of a package of two modules of which `sums` imports `numbers`."""
    (folder / package).mkdir()
    (folder / package / "__init__.py").touch()
    (folder / package / "sums.py").write_text(sums.format(package=package))
    (folder / package / "numbers.py").write_text(numbers)
    code = code_version.reached([f"{package}.sums"])
    assert f"{package}.numbers" in code
    return code_version.digest("\n".join(code.values()).replace(package, ""))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_comments_docstrings_and_layout_do_not_count(folder: Path) -> None:
    explained = CODE.replace("Twice one.", "Add.").replace("    return", "\n    # why\n    return")
    assert explained != CODE
    assert version_of(folder, "plain", CODE) == version_of(folder, "explained", explained)


def test_what_is_computed_counts(folder: Path) -> None:
    changed = CODE.replace("one() + one()", "one() * 2")
    assert version_of(folder, "added", CODE) != version_of(folder, "multiplied", changed)


def test_what_a_module_imports_counts_even_inside_a_function(folder: Path) -> None:
    lazy = "def two():\n    from {package}.numbers import one\n    return one() + one()\n"
    before = version_of(folder, "before", lazy)
    assert version_of(folder, "after", lazy, "def one(): return 1.0") != before


def test_imports_count_relative_ones_and_those_from_other_packages_of_ones_own(
    folder: Path,
) -> None:
    version_of(folder, "other", CODE)
    relative = "from .numbers import one\nfrom other import sums\nfrom captioning.text import X\n"
    version_of(folder, "relative", relative + "import math, torch\n")
    found = code_version.reached(["relative.sums"])
    assert {"relative.numbers", "other.sums", "other.numbers", "captioning.text"} <= found.keys()
    assert {name.split(".")[0] for name in found} == {"relative", "other", "captioning"}


def test_a_folder_of_modules_is_a_package_without_saying_so(folder: Path) -> None:
    (folder / "loose").mkdir()
    (folder / "loose" / "sums.py").write_text("from loose import numbers\n")
    (folder / "loose" / "numbers.py").write_text("one = 1\n")
    assert {*code_version.reached(["loose.sums"])} == {"loose.sums", "loose.numbers"}


def test_a_captioners_code_is_neither_the_report_nor_another_objective() -> None:
    modules = ["captioning.training.run", "captioning.objectives.teacher_forcing"]
    found = code_version.reached(modules)
    assert {"captioning.captioner", "captioning.text", "captioning.metrics.ciderd"} <= found.keys()
    others = ("captioning.report", "captioning.commands", "captioning.objectives.adversarial")
    assert not [name for name in found if name.startswith(others)]


def test_a_name_that_is_no_module_of_ones_own_is_passed_over() -> None:
    names = ["torch.optim", "math", "captioning.no_such", "captioning.errors.X"]
    assert code_version.reached(names).keys() == {"captioning", "captioning.errors"}


def test_the_packages_that_a_module_lies_in_count_and_so_does_a_method_s_module(
    folder: Path,
) -> None:
    version_of(folder, "around", CODE)
    found = code_version.reached(["around.numbers.Counter.of"])
    assert found.keys() == {"around", "around.numbers"}


def test_a_module_named_as_one_of_pythons_own_counts(folder: Path) -> None:
    (folder / "chunk.py").write_text("one = 1\n")
    assert code_version.reached(["chunk", "colorsys"]).keys() == {"chunk"}


@pytest.mark.parametrize(
    "content",
    [b"one =", b"# caf\xe9\n", b"one = 1\0", b"raise SystemExit(3)", b"from ...up import one"],
)
def test_a_module_that_cannot_be_imported_is_only_read(folder: Path, content: bytes) -> None:
    package = f"broken{abs(hash(content))}"
    (folder / package).mkdir()
    (folder / package / "__init__.py").write_bytes(content)
    (folder / package / "part.py").touch()
    assert code_version.reached([f"{package}.part"]).keys() == {package, f"{package}.part"}
