"""`captioning caption` on anybody's images."""

import json
from pathlib import Path

import pytest

from captioning.__main__ import main
from tests.support import tiny_captions
from tests.support.tiny_captions import image


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A captioner that says something about any image."""
    return tiny_captions.checkpoint(tmp_path_factory.mktemp("caption"))


def test_images_of_every_kind_are_captioned_in_order(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = {"a.jpg": "RGB", "b.png": "RGBA", "c.png": "L", "d.jpg": "CMYK", "e.png": "P"}
    names = [image(tmp_path, name, mode) for name, mode in kinds.items()]
    assert main(["caption", str(checkpoint), *names, "--format", "json"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["image"] for record in records] == names
    assert all(record["captions"][0]["log_probability"] < 0 for record in records)


def test_samples_follow_the_seed(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["caption", str(checkpoint), image(tmp_path, "a.png"), "--search", "Sampling"]
    texts = []
    for seed in ("1", "1", "2"):
        assert main([*command, "--search.samples", "20", "--seed", seed]) == 0
        texts.append(capsys.readouterr().out)
    assert len(texts[0].splitlines()) == 20
    assert texts[0] == texts[1] != texts[2]


def test_an_image_named_twice_is_captioned_twice(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = image(tmp_path, "a.png")
    assert main(["caption", str(checkpoint), name, name]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_samples_of_an_image_do_not_depend_on_the_batches_before(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [image(tmp_path, f"{number}.png") for number in range(3)]
    options = ["--search", "Sampling", "--batch_size", "1"]
    assert main(["caption", str(checkpoint), *names, *options]) == 0
    every = capsys.readouterr().out.splitlines()
    assert main(["caption", str(checkpoint), names[2], *options]) == 0
    assert capsys.readouterr().out.splitlines() == every[2:]


def test_the_images_of_a_folder_are_printed_by_their_path_in_it(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("b/c.png", "a.jpg", "b/notes.txt"):
        image(tmp_path, name) if name[-3:] != "txt" else (tmp_path / name).write_text("no")
    assert main(["caption", str(checkpoint), str(tmp_path)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said] == ["a.jpg", "b/c.png"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--output", "captions.txt"], "a name that ends in .jsonl or .parquet, got captions.txt"),
        (["--devices", "2"], "share the work of an output: name it, --output"),
        (["--batch_size", "0"], "--batch_size: expected 1 or more, got 0"),
        (["--num_workers", "-1"], "--num_workers: expected 0 or more, got -1"),
        (["--output", "none/captions.jsonl"], "cannot be written (No such file or directory)"),
    ],
)
def test_what_cannot_be_done_is_told_at_once(
    checkpoint: Path,
    options: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["caption", str(checkpoint), "a.png", *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_a_bad_image_stops_or_is_skipped(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = image(tmp_path, "a.png"), tmp_path / "bad.png"
    bad.write_bytes(Path(good).read_bytes()[:60])
    command = ["caption", str(checkpoint), good, str(bad)]
    assert main(command) == 2
    assert f"{bad}" in capsys.readouterr().err
    assert main([*command, "--on-bad-image", "skip"]) == 0
    output = capsys.readouterr()
    assert len(output.out.splitlines()) == 1
    assert "bad.png" in output.err


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "cannot be read"), (b"PK\x03\x04 cut", "cannot be read")],
)
def test_a_damaged_checkpoint_is_one_line(
    content: bytes, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.ckpt"
    broken.write_bytes(content)
    assert main(["caption", str(broken), image(tmp_path, "a.png")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_a_missing_checkpoint_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["caption", str(tmp_path / "none.ckpt"), "a.png"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no checkpoint at" in line


def test_an_unknown_command_is_named_with_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["capton"]) == 2
    assert (
        "expected one of train, chain, compare, evaluate, critic, score, caption"
        in capsys.readouterr().err
    )
