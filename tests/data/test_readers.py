"""The readers: one little set, written in every form, reads to the same examples."""

import csv
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonargparse import ArgumentParser

from captioning.data import Coco, Dataset, Example, Flickr, Karpathy, Manifest

Little = dict[str, dict[str, list[str]]]
"""Split, then file name, then captions."""

LITTLE: Little = {
    "train": {
        "b.jpg": ["A dog runs.", 'A "good" dog, running.'],
        "a.jpg": ["Một con chó chạy trên bãi biển.", "Một con chó chạy trên bãi biển."],
    },
    "val": {"ảnh 1.png": ["Hai người\u2028đang đi bộ #3"]},
    "test": {"c.jpg": ["One word", "two\twords", "a\x85b"]},
}


def coco(folder: Path, little: Little) -> Dataset:
    for split, images in little.items():
        document = {
            "images": [{"id": name, "file_name": name} for name in images],
            "annotations": [
                {"image_id": name, "caption": caption}
                for name, captions in images.items()
                for caption in captions
            ],
        }
        (folder / f"{split}.json").write_text(json.dumps(document))
    return Coco("little", str(folder), {split: str(folder / f"{split}.json") for split in little})


def karpathy(folder: Path, little: Little) -> Dataset:
    images = [
        {"filename": name, "split": split, "sentences": [{"raw": caption} for caption in captions]}
        for split, images in little.items()
        for name, captions in images.items()
    ]
    path = folder / "karpathy.json"
    path.write_text(json.dumps({"images": images}, ensure_ascii=False), encoding="utf-8")
    return Karpathy("little", str(path), str(folder))


def rows(little: Little) -> list[tuple[str, str, str]]:
    return [
        (name, caption, split)
        for split, images in little.items()
        for name, captions in images.items()
        for caption in captions
    ]


def flickr(folder: Path, little: Little, captions: Path) -> Dataset:
    for split, images in little.items():
        (folder / f"{split}.txt").write_text("\n".join(images), encoding="utf-8")
    lists = {split: str(folder / f"{split}.txt") for split in little}
    return Flickr("little", str(captions), str(folder), lists)


def flickr_table(folder: Path, little: Little) -> Dataset:
    path = folder / "captions.txt"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("image", "caption"), *(row[:2] for row in rows(little))])
    return flickr(folder, little, path)


def flickr_tokens(folder: Path, little: Little) -> Dataset:
    lines = [f"{name}#{index}\t{caption}" for index, (name, caption, _) in enumerate(rows(little))]
    path = folder / "Flickr.token.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return flickr(folder, little, path)


def manifest_table(folder: Path, little: Little) -> Dataset:
    path = folder / "manifest.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("image", "caption", "split"), *rows(little)])
    return Manifest("little", str(path))


def manifest_lines(folder: Path, little: Little) -> Dataset:
    lines = [
        json.dumps({"image": name, "captions": captions, "split": split}, ensure_ascii=False)
        for split, images in little.items()
        for name, captions in images.items()
    ]
    path = folder / "manifest.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return Manifest("little", str(path))


Writer = Callable[[Path, Little], Dataset]
WRITERS = [coco, karpathy, flickr_table, flickr_tokens, manifest_table, manifest_lines]
every_form = pytest.mark.parametrize("write", WRITERS)


def expected(folder: Path, images: dict[str, list[str]]) -> list[Example]:
    return [Example(name, folder / name, tuple(captions)) for name, captions in images.items()]


@every_form
def test_every_form_keeps_images_captions_and_their_order(tmp_path: Path, write: Writer) -> None:
    dataset = write(tmp_path, LITTLE)
    for split, images in LITTLE.items():
        assert dataset.examples(split) == expected(tmp_path, images)


captions = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\0")).map(
    str.strip
)
names = st.text("aă,#\"' 01", min_size=1).map(lambda stem: f"x{stem}.jpg")
little_sets = st.dictionaries(names, st.lists(captions.filter(bool), min_size=1), min_size=1)


@settings(deadline=None, max_examples=40)
@given(little_sets)
def test_any_little_set_reads_alike_in_every_form(images: dict[str, list[str]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for write in WRITERS:
            assert write(folder, {"train": images}).examples("train") == expected(folder, images)


@every_form
def test_a_byte_order_mark_and_windows_line_endings_change_nothing(
    tmp_path: Path, write: Writer
) -> None:
    dataset = write(tmp_path, LITTLE)
    for path in tmp_path.iterdir():
        lines = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        path.write_bytes(b"\xef\xbb\xbf" + lines)
    assert dataset.examples("train") == expected(tmp_path, LITTLE["train"])


@every_form
def test_white_space_around_a_caption_is_taken_off(tmp_path: Path, write: Writer) -> None:
    dataset = write(tmp_path, {"train": {"a.jpg": [" a dog ", "\ta cat"]}})
    assert dataset.examples("train")[0].captions == ("a dog", "a cat")


def test_constructing_a_reader_reads_nothing() -> None:
    nowhere = "/no/such/place"
    Coco("x", nowhere, {"train": nowhere})
    Karpathy("x", nowhere, nowhere)
    Flickr("x", nowhere, nowhere, {"train": nowhere})
    Manifest("x", nowhere)


def test_coco_numbers_stay_numbers_and_each_split_may_have_its_folder(tmp_path: Path) -> None:
    folders = {"train": tmp_path / "train2017", "val": tmp_path / "val2017"}
    for number, (split, folder) in enumerate(folders.items()):
        folder.mkdir()
        document = {
            "images": [{"id": number, "file_name": "x.jpg"}],
            "annotations": [{"image_id": number, "caption": split}],
        }
        (tmp_path / f"{split}.json").write_text(json.dumps(document))
    dataset = Coco(
        "little",
        {split: str(folder) for split, folder in folders.items()},
        {split: str(tmp_path / f"{split}.json") for split in folders},
    )
    assert dataset.examples("train") == [Example(0, folders["train"] / "x.jpg", ("train",))]
    assert dataset.examples("val") == [Example(1, folders["val"] / "x.jpg", ("val",))]


def test_karpathy_trains_on_restval_and_takes_coco_ids_and_folders(tmp_path: Path) -> None:
    def image(cocoid: int, split: str) -> dict[str, object]:
        return {
            "filepath": "val2014",
            "filename": f"{cocoid}.jpg",
            "cocoid": cocoid,
            "imgid": 7,
            "split": split,
            "sentences": [{"raw": "A dog.", "tokens": ["a", "dog"]}],
        }

    path = tmp_path / "dataset_coco.json"
    images = [image(30, "train"), image(20, "val"), image(10, "restval")]
    path.write_text(json.dumps({"images": images, "dataset": "coco"}))
    dataset = Karpathy("coco", str(path), str(tmp_path))
    assert [example.image_id for example in dataset.examples("train")] == [30, 10]
    assert dataset.examples("val") == [Example(20, tmp_path / "val2014/20.jpg", ("A dog.",))]


def test_flickr_images_in_no_list_are_left_out_whatever_their_captions(tmp_path: Path) -> None:
    (tmp_path / "captions.txt").write_text("image,caption\nunlisted.jpg, \na.jpg,A dog.\n")
    (tmp_path / "train.txt").write_text("a.jpg\n\n")
    dataset = Flickr(
        "f", str(tmp_path / "captions.txt"), str(tmp_path), {"train": str(tmp_path / "train.txt")}
    )
    assert dataset.examples("train") == [Example("a.jpg", tmp_path / "a.jpg", ("A dog.",))]


def test_a_manifest_may_scatter_rows_name_ids_and_keep_its_images_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    lines = [
        {"image": "a.jpg", "caption": "one", "split": "train", "image_id": 42},
        {"image": "b.jpg", "caption": "two", "split": "train", "image_id": "b", "weather": "rain"},
        {"image": "a.jpg", "caption": "three", "split": "train", "image_id": 42},
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    images = tmp_path / "images"
    images.mkdir()
    assert Manifest("own", str(path), str(images)).examples("train") == [
        Example(42, images / "a.jpg", ("one", "three")),
        Example("b", images / "b.jpg", ("two",)),
    ]


def test_an_empty_cell_for_the_id_leaves_the_name_of_the_image(tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    path.write_text("image_id,image,caption,split\n,a.jpg,one,val\n7,b.jpg,two,val\n")
    ids = [example.image_id for example in Manifest("own", str(path)).examples("val")]
    assert ids == ["a.jpg", "7"]


@pytest.mark.parametrize("images", ["images", {"train": "images"}])
def test_a_reader_is_made_from_configuration_alone(images: str | dict[str, str]) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--data", type=Dataset)
    arguments = {"name": "mine", "images": images, "annotations": {"train": "train.json"}}
    chosen = {"class_path": "captioning.data.Coco", "init_args": arguments}
    config = parser.parse_string(json.dumps({"data": chosen}))
    assert parser.instantiate(config).data == Coco("mine", images, {"train": "train.json"})
