"""`captioning caption` on anybody's pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from captioning.__main__ import main
from captioning.captioner import Captioner
from captioning.decoder import ShowAndTell
from captioning.encoder import SmallCnn
from captioning.text import Vocabulary

NOISE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A captioner that says something about any picture."""
    torch.manual_seed(0)
    vocabulary = Vocabulary.build(["con mèo ngồi trên ghế"], minimum_count=1)
    encoder = SmallCnn(channels=8)
    decoder = ShowAndTell(len(vocabulary), encoder.feature_size, 8, 8)
    captioner = Captioner(encoder, decoder, vocabulary)
    path = tmp_path_factory.mktemp("caption") / "small.ckpt"
    weights = {f"captioner.{name}": value for name, value in captioner.state_dict().items()}
    torch.save({"captioner": captioner.description(), "state_dict": weights}, path)
    return path


def picture(folder: Path, name: str, mode: str = "RGB") -> str:
    path = folder / name
    Image.fromarray(NOISE).convert(mode).save(path)
    return str(path)


def test_pictures_of_every_kind_are_captioned_in_order(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = {"a.jpg": "RGB", "b.png": "RGBA", "c.png": "L", "d.jpg": "CMYK", "e.png": "P"}
    names = [picture(tmp_path, name, mode) for name, mode in kinds.items()]
    assert main(["caption", str(checkpoint), *names, "--format", "json"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["image"] for record in records] == names
    assert all(record["captions"][0]["log_probability"] < 0 for record in records)


def test_samples_follow_the_seed(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["caption", str(checkpoint), picture(tmp_path, "a.png"), "--search", "Sampling"]
    texts = []
    for seed in ("1", "1", "2"):
        assert main([*command, "--search.samples", "20", "--seed", seed]) == 0
        texts.append(capsys.readouterr().out)
    assert len(texts[0].splitlines()) == 20
    assert texts[0] == texts[1] != texts[2]


def test_a_picture_named_twice_is_captioned_twice(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = picture(tmp_path, "a.png")
    assert main(["caption", str(checkpoint), name, name]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_bad_picture_stops_or_is_skipped(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = picture(tmp_path, "a.png"), tmp_path / "bad.png"
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
    assert main(["caption", str(broken), picture(tmp_path, "a.png")]) == 2
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
