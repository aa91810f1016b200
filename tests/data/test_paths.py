"""Finding files: as given, else below the data folder, else one line says where it was sought."""

from pathlib import Path

import pytest

from captioning.data import locate
from captioning.errors import InputError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("CAPTIONING_DATA", str(tmp_path / "sets"))


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_an_absolute_path_is_itself(tmp_path: Path) -> None:
    assert locate(touch(tmp_path / "a.json")) == tmp_path / "a.json"


def test_a_path_from_the_working_directory_comes_before_the_data_folder(tmp_path: Path) -> None:
    touch(tmp_path / "sets/a.json")
    assert locate("a.json") == tmp_path / "sets/a.json"
    touch(Path("a.json"))
    assert locate("a.json") == Path("a.json")


@pytest.mark.parametrize("value", [None, ""])
def test_without_the_variable_the_data_folder_is_data(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    if value is None:
        monkeypatch.delenv("CAPTIONING_DATA")
    else:
        monkeypatch.setenv("CAPTIONING_DATA", value)
    touch(Path("data/a.json"))
    assert locate("a.json") == Path("data/a.json")


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate("~/work") == tmp_path / "work"


def test_a_missing_file_names_every_place_and_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        locate("little/a.json")
    message = str(caught.value)
    assert message.startswith("little/a.json: not found")
    assert str(tmp_path / "work/little/a.json") in message
    assert str(tmp_path / "sets/little/a.json") in message
    assert "captioning doctor" in message
    assert "data/README.md" in message
    assert "\n" not in message


def test_a_missing_absolute_path_is_sought_nowhere_else(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.json: not found") as caught:
        locate(tmp_path / "a.json")
    assert "sets" not in str(caught.value).split(";")[0]


@pytest.mark.parametrize("path", ["~nobody-of-this-name/a.json", "a" * 5000])
def test_a_path_that_cannot_even_be_sought_is_named(path: str) -> None:
    with pytest.raises(InputError, match="cannot be looked up"):
        locate(path)
