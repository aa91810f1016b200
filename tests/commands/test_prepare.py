"""`captioning prepare` says what is there, and a mistake in one line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from captioning.__main__ import main


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--files", "nowhere"], "--files: nowhere is not a folder"),
        (["--link"], "--link: give the folder that has the files with --files"),
        (["--mirror", "host"], "--mirror: expected http:// or https://, got 'host'"),
    ],
)
def test_a_mistake_is_one_line(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prepare", "coco", *options]) == 2
    assert capsys.readouterr().err == f"error: {words}\n"


def test_flickr30k_says_where_to_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAPTIONING_DATA", str(tmp_path))
    assert main(["prepare", "flickr30k"]) == 2
    assert "see https://shannon.cs.illinois.edu/DenotationGraph/, then" in capsys.readouterr().err


def test_flickr8k_that_is_there_is_whole(
    data_root: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = data_root("flickr8k")
    assert main(["prepare", "flickr8k"]) == 0
    said = capsys.readouterr().out
    assert "flickr8k has every part already: nothing to do" in said
    assert "8,091 images; train 6,000, val 1,000, test 1,000: all there" in said
    assert not (folder / "partial").exists()
