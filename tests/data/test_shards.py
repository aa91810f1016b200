"""Shards: what others have written is read, and a fault is one line that names shard and key."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import webdataset

from captioning.cache import cache_folder
from captioning.data import ImageError, Shards, locate, open_image, shard_index
from captioning.data.image import image_status
from captioning.data.shards import expand, samples
from captioning.errors import InputError
from tests.support.tiny_shards import image, make_shards, write_tar, written


def read(*shards: Path) -> Shards:
    return Shards("mine", {"train": [str(shard) for shard in shards]})


def fault(*shards: Path) -> str:
    """The message, which must be a single line."""
    with pytest.raises(InputError) as caught:
        read(*shards).examples("train")
    (line,) = str(caught.value).splitlines()
    return line


@pytest.mark.filterwarnings("ignore:Exception ignored in")  # the library leaves its files open
def test_samples_are_those_that_webdataset_reads(tmp_path: Path) -> None:
    pattern = str(tmp_path / "mine-%02d.tar")
    with webdataset.ShardWriter(pattern, maxcount=3, verbose=0) as writer:
        for place in range(7):
            captions = {"captions": [f"Con mèo {place}", "cat"]}
            writer.write({"__key__": f"a/{place}", "png": image(place), "json": captions})
    braces = str(tmp_path / "mine-{00..02}.tar")
    theirs = [*webdataset.WebDataset(braces, shardshuffle=False).decode("pil")]
    ours = Shards("mine", {"train": braces}).examples("train")
    assert [example.image_id for example in ours] == [each["__key__"] for each in theirs]
    assert [[*example.captions] for example in ours] == [
        each["json"]["captions"] for each in theirs
    ]
    assert [open_image(example.image).getpixel((0, 0)) for example in ours] == [
        each["png"].getpixel((0, 0)) for each in theirs
    ]


def test_every_common_form_of_a_sample_is_read(tmp_path: Path) -> None:
    files = [
        ("./dots.JPG", image(kind="JPEG")),
        ("./dots.txt", "Một con chó.\r\n\n A cat. \n".encode()),
        ("ảnh 1.webp", image(kind="WEBP")),
        ("ảnh 1.json", b'{"caption": "one", "url": "x"}'),
        ("ảnh 1.txt", b"left out, since the JSON has a caption"),
        ("in/folder/7.jpeg", image(kind="JPEG")),
        ("in/folder/7.json", written("two", image_id=7)),
        ("in/folder/7.cls", b"of no interest"),
        ("._8.png", b"what macOS adds"),
        ("none.png", image()),
        ("none.txt", b"three"),
        ("none.json", b'{"width": 32}'),
    ]
    examples = read(write_tar(tmp_path / "a.tar", files)).examples("train")
    assert [(example.image_id, example.captions) for example in examples] == [
        ("dots", ("Một con chó.", "A cat.")),
        ("ảnh 1", ("one",)),
        (7, ("two",)),
        ("none", ("three",)),
    ]
    assert all(open_image(example.image).size == (32, 32) for example in examples)


def test_samples_without_captions_can_be_captioned_but_not_trained_on(tmp_path: Path) -> None:
    shard = write_tar(tmp_path / "a.tar", [("0.png", image()), ("1.png", image())])
    found = [(path, sample.key, sample.captions) for path, sample in samples(shard)]
    assert found == [(shard / "0.png", "0", ()), (shard / "1.png", "1", ())]
    assert f"{shard}: 2 of 2 images have no caption, the first is '0'" in fault(shard)


def cut(at: float) -> Callable[[Path], None]:
    """Keep only this part of a shard."""
    return lambda path: os.truncate(path, int(path.stat().st_size * at))


def zip_it(path: Path) -> None:
    path.write_bytes(gzip.compress(path.read_bytes()))


def spoil_second_header(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[1024:1034] = b"not a name"
    path.write_bytes(content)


DAMAGE = {
    "cut within the first header": (lambda path: os.truncate(path, 100), "truncated header"),
    "cut within a file": (lambda path: os.truncate(path, 1600), "after '0000.png' (unexpected"),
    "cut between two files": (lambda path: os.truncate(path, 1024), "after '0000.json' (the mark"),
    "cut within a later header": (lambda path: os.truncate(path, 1100), "after '0000.json' (the"),
    "a spoilt header": (spoil_second_header, "after '0000.json' (the mark at its end is missing)"),
    "compressed": (zip_it, "expected an uncompressed tar file"),
    "empty": (lambda path: os.truncate(path, 0), "expected an uncompressed tar file (empty file)"),
    "no tar file": (lambda path: path.write_text("x" * 5000), "expected an uncompressed tar file"),
    "no samples": (lambda path: write_tar(path, [("README", b"")]), "has no samples"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "Is a directory"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_shard_is_named(case: str, tmp_path: Path) -> None:
    spoil, words = DAMAGE[case]
    (shard,) = make_shards(tmp_path, [2])
    spoil(shard)
    line = fault(shard)
    assert line.startswith(str(shard))
    assert words in line


GOOD = ("good.png", image())
FAULTS = {
    "no image": ([("a.json", written("x"))], "sample 'a': expected one image, such as a.jpg"),
    "two images": ([("a.png", b""), ("a.jpg", b""), ("a.txt", b"x")], "sample 'a': expected one"),
    "a name twice": ([GOOD, ("good.png", b"")], "the file 'good.png' comes twice"),
    "a key twice": (
        [GOOD, ("good.txt", b"x"), ("b.png", b""), ("b.txt", b"x"), ("good.jpg", b"")],
        "sample 'good': the key comes twice; keys are unique",
    ),
    "no UTF-8": ([GOOD, ("good.txt", b"x\n\xff")], "sample 'good', txt, line 2: expected UTF-8"),
    "no JSON": ([GOOD, ("good.json", b"{")], "sample 'good', json: expected JSON, but"),
    "a list": ([GOOD, ("good.json", b"[]")], "sample 'good', json: expected an object, got list"),
    "a number": ([GOOD, ("good.json", b'{"caption": 1}')], "expected 'caption' to be str, got 1"),
    "a blank caption": ([GOOD, ("good.json", written("x", " "))], "sample 'good': the caption is"),
    "half an emoji": ([GOOD, ("good.json", written("\ud83d"))], "the caption is not Unicode"),
    "an odd id": (
        [GOOD, ("good.json", written("x", image_id=[1]))],
        "sample 'good': expected 'image_id' to be a whole number or text",
    ),
    "an odd name": ([("\udcff.png", image())], "is not named in UTF-8; rename it"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_names_the_shard_and_the_sample(case: str, tmp_path: Path) -> None:
    files, words = FAULTS[case]
    line = fault(write_tar(tmp_path / "a.tar", files))
    assert line.startswith(str(tmp_path / "a.tar"))
    assert words in line


def test_a_missing_shard_and_a_broken_pattern_are_told(tmp_path: Path) -> None:
    make_shards(tmp_path, [1, 1])
    pattern = str(tmp_path / "train-{000..002}.tar")
    with pytest.raises(InputError, match=r"train-002.tar: not found"):
        Shards("mine", {"train": pattern}).examples("train")
    with pytest.raises(InputError, match="expected a pattern like"):
        expand("train-{000..001.tar")
    with pytest.raises(InputError, match=r"mine: no split 'val'; expected one of: train"):
        Shards("mine", {"train": pattern}).examples("val")


def test_an_id_in_two_shards_names_both(tmp_path: Path) -> None:
    one = write_tar(tmp_path / "a.tar", [GOOD, ("good.txt", b"x")])
    other = write_tar(tmp_path / "b.tar", [GOOD, ("good.txt", b"x")])
    line = fault(one, other)
    assert line.startswith(f"{other}/good.png and {one}/good.png have one id, 'good'")


def test_a_bad_image_is_named_when_it_is_opened(tmp_path: Path) -> None:
    shard = write_tar(tmp_path / "a.tar", [("0.png", image()[:60]), ("0.txt", b"x")])
    (example,) = read(shard).examples("train")
    with pytest.raises(ImageError, match=r"a.tar/0.png: expected a whole image"):
        open_image(example.image)
    with pytest.raises(ImageError, match=r"a.tar/1.png: expected an image, found no file"):
        open_image(shard / "1.png")


def test_an_image_in_a_shard_is_found_by_its_path_and_known_by_its_size(tmp_path: Path) -> None:
    (shard,) = make_shards(tmp_path, [1])
    content = image(0)
    assert locate(shard / "0000.png") == shard / "0000.png"
    assert image_status(shard / "0000.png") == (len(content), shard.stat().st_mtime_ns)
    assert image_status(shard / "0001.png") is None
    (tmp_path / "real.tar").mkdir()
    (tmp_path / "real.tar" / "a.png").write_bytes(content)
    assert image_status(tmp_path / "real.tar" / "a.png") is not None
    assert open_image(tmp_path / "real.tar" / "a.png").size == (32, 32)


def test_an_index_is_kept_until_its_shard_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPTIONING_CACHE", str(tmp_path / "cache"))
    (shard,) = make_shards(tmp_path, [2])
    first = read(shard).examples("train")
    (index,) = (cache_folder() / "shards").iterdir()
    made = index.stat().st_mtime_ns
    assert read(shard).examples("train") == first
    assert index.stat().st_mtime_ns == made
    make_shards(tmp_path, [3])
    assert len(read(shard).examples("train")) == 3


@pytest.mark.parametrize("content", ["", "[[1", '[["0000"]]'])
def test_a_broken_index_is_made_anew(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPTIONING_CACHE", str(tmp_path / "cache"))
    (shard,) = make_shards(tmp_path, [2])
    first = [*samples(shard)]
    (index,) = (cache_folder() / "shards").iterdir()
    index.write_text(content)
    shard_index._read_index.cache_clear()  # as in another process
    assert [*samples(shard)] == first
    assert json.loads(index.read_text())[0][0] == "0000"


def test_where_no_index_can_be_kept_all_else_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CAPTIONING_CACHE", str(tmp_path / "file"))
    (shard,) = make_shards(tmp_path, [2])
    assert len(read(shard).examples("train")) == 2
