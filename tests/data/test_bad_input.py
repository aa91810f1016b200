"""Faulty files: each is one line that names the file, the place and the way out."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from captioning.data import Coco, Dataset, Flickr, Karpathy, Manifest
from captioning.errors import InputError

IMAGE = {"id": 1, "file_name": "a.jpg"}
ANNOTATION = {"image_id": 1, "caption": "A dog."}
KARPATHY = {"filename": "a.jpg", "split": "train", "sentences": [{"raw": "A dog."}]}
TABLE = "image,caption\n"
MANIFEST = "image,caption,split\n"


def coco(path: Path) -> Dataset:
    return Coco("mine", str(path.parent), {"train": str(path)})


def karpathy(path: Path) -> Dataset:
    return Karpathy("mine", str(path), str(path.parent))


def flickr(path: Path) -> Dataset:
    return flickr_of(path, "a.jpg\n")


def flickr_of(path: Path, listing: str) -> Dataset:
    (path.parent / "train.txt").write_text(listing)
    splits = {"train": str(path.parent / "train.txt")}
    return Flickr("mine", str(path), str(path.parent), splits)


def manifest(path: Path) -> Dataset:
    return Manifest("mine", str(path))


def coco_text(*annotations: object, images: object = (IMAGE,)) -> str:
    return json.dumps({"images": images, "annotations": annotations})


def karpathy_text(*images: object) -> str:
    return json.dumps({"images": images})


def fault(dataset: Dataset, split: str = "train") -> str:
    """The message, which must be a single line."""
    with pytest.raises(InputError) as caught:
        dataset.examples(split)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


COCO_FAULTS = {
    "not JSON": ("{", "expected JSON, but Expecting"),
    "nested beyond reason": ("[" * 100_000, "expected JSON, but"),
    "empty": ("", "expected JSON, but Expecting value"),
    "a results file": ('[{"image_id": 1, "caption": "x"}]', "got a list; a results file"),
    "another object": ('{"images": []}', "got an object with images;"),
    "images no list": ('{"images": {}, "annotations": []}', "expected 'images' to be list, got {}"),
    "no image": (coco_text(images=[]), "the split has no images"),
    "an image that is no object": (
        coco_text(images=[3]),
        r"images[0]: expected an object, got int",
    ),
    "no file name": (coco_text(images=[{"id": 1}]), "images[0]: the field 'file_name' is missing"),
    "an id neither number nor text": (
        coco_text(images=[{"id": 1.5, "file_name": "a"}]),
        "images[0]: expected 'id' to be a whole number or text, got 1.5",
    ),
    "a truth value as id": (coco_text(images=[{"id": True}]), "got True"),
    "an id twice": (coco_text(images=[IMAGE, IMAGE]), "images[1]: a second image has the id 1;"),
    "a file twice": (
        coco_text(ANNOTATION, ANNOTATION | {"image_id": 2}, images=[IMAGE, IMAGE | {"id": 2}]),
        "images 1 and 2 are the same file",
    ),
    "a caption of an unknown image": (
        coco_text(ANNOTATION, {"image_id": 5, "caption": "A cat."}),
        "annotations[1]: a caption of image 5, which is not among 'images'",
    ),
    "instances, not captions": (coco_text({"image_id": 1}), "the field 'caption' is missing"),
    "a caption that is no text": (
        coco_text({"image_id": 1, "caption": None}),
        "annotations[0]: expected 'caption' to be str, got None",
    ),
    "a blank caption": (
        coco_text(ANNOTATION, {"image_id": 1, "caption": " \n"}),
        "annotations[1] of image 1: the caption is blank",
    ),
    "half a surrogate pair": (
        coco_text({"image_id": 1, "caption": "\ud83d"}),
        "annotations[0] of image 1: the caption is not Unicode",
    ),
    "an image without a caption": (
        coco_text(ANNOTATION, images=[IMAGE, {"id": 2, "file_name": "b.jpg"}]),
        "1 of 2 images have no caption, the first is 2;",
    ),
}

KARPATHY_FAULTS = {
    "a results file": ("[]", "expected an object, got list"),
    "COCO's own form": (coco_text(ANNOTATION), "images[0]: the field 'filename' is missing;"),
    "an unknown split": (
        karpathy_text(KARPATHY | {"split": "dev"}),
        "images[0]: expected 'split' to be one of train, val, test, restval, got 'dev'",
    ),
    "a blank caption": (
        karpathy_text(KARPATHY | {"sentences": [{"raw": "x"}, {"raw": ""}]}),
        "images[0], sentences[1]: the caption is blank",
    ),
    "no caption": (karpathy_text(KARPATHY | {"sentences": []}), "the first is 'a.jpg';"),
    "an id twice": (
        karpathy_text(KARPATHY, KARPATHY),
        "images[1]: a second image has the id 'a.jpg'",
    ),
    "no image": (
        karpathy_text(KARPATHY | {"split": "test"}),
        "split 'train': the split has no images",
    ),
}

FLICKR_FAULTS = {
    "empty": ("", "expected a header with the columns image, caption, each once, got ''"),
    "other columns": ("name|text\na.jpg|x\n", "got 'name|text'"),
    "a column twice": ("image,caption,caption\na.jpg,x,y\n", "each once"),
    "an unquoted comma": (TABLE + "a.jpg,A dog, running\n", "line 2: expected 2 cells, got 3;"),
    "an open quote": (TABLE + 'a.jpg,"A dog\na.jpg,A cat\n', "not CSV (unexpected end of data)"),
    "a stray quote": (TABLE + 'a.jpg,"A" dog\n', "line 2: not CSV"),
    "a blank caption": (TABLE + "a.jpg, \n", "line 2, image 'a.jpg': the caption is blank"),
    "no caption": (TABLE + "b.jpg,A dog\n", "1 of 1 images have no caption, the first is 'a.jpg'"),
    "a token line without tab": (
        "a.jpg#0\tA dog\na.jpg#1 A cat\n",
        "line 2: expected an image, '#'",
    ),
    "a token line without number": ("a.jpg\tA dog\n", "line 1: expected an image, '#'"),
    "a token line with a word for its number": ("a.jpg#one\tA dog\n", "line 1: expected an image"),
    "a blank token": (
        "a.jpg#0\tA dog\na.jpg#1\t \n",
        "line 2, image 'a.jpg': the caption is blank",
    ),
}

MANIFEST_FAULTS = {
    "other columns": (
        "image;caption;split\n",
        "columns image, caption, split, each once, got 'image;",
    ),
    "a missing column": (TABLE, "got 'image,caption'"),
    "a short row": (MANIFEST + "a.jpg,A dog\n", "line 2: expected 3 cells, got 2"),
    "an unknown split": (MANIFEST + "a.jpg,A dog,trian\n", "one of train, val, test, got 'trian'"),
    "a blank image": (MANIFEST + ",A dog,train\n", "line 2: the image is blank"),
    "a blank caption": (MANIFEST + "a.jpg,,train\n", "line 2, image 'a.jpg': the caption is blank"),
    "an image in two splits": (
        MANIFEST + "a.jpg,A dog,train\na.jpg,A cat,val\n",
        "line 3: image 'a.jpg' has split 'val' and id 'a.jpg', but 'train' and 'a.jpg' in",
    ),
    "one file by two names": (
        MANIFEST + "a.jpg,A dog,train\n./a.jpg,A cat,train\n",
        "images 'a.jpg' and './a.jpg' are the same file",
    ),
    "one id for two images": (
        "image,caption,split,image_id\na.jpg,A dog,train,7\nb.jpg,A cat,train,7\n",
        "line 3: images 'a.jpg' and 'b.jpg' share the id '7'",
    ),
    "no image": (MANIFEST + "a.jpg,A dog,val\n", "split 'train': the split has no images"),
    "a cell beyond reason": (MANIFEST + "a" * 200_000, "line 2: not CSV (field larger"),
}

LINES_FAULTS = {
    "not JSON": ("image,caption,split\n", "line 1: expected JSON"),
    "no object": ("[]", "line 1: expected an object, got list"),
    "no caption": ('{"image": "a", "split": "train"}', "the field 'caption' is missing"),
    "both kinds of caption": (
        '{"image": "a", "split": "train", "caption": "x", "captions": ["y"]}',
        "line 1: expected either 'caption', text, or 'captions'",
    ),
    "captions that are no text": ('{"image": "a", "split": "train", "captions": [1]}', "either"),
    "no captions": ('{"image": "a", "split": "train", "captions": []}', "1 of 1 images have no"),
}


def cases(
    reader: Callable[[Path], Dataset], file: str, faults: dict[str, tuple[str, str]]
) -> list[object]:
    return [
        pytest.param(reader, file, text, words, id=f"{reader.__name__}: {name}")
        for name, (text, words) in faults.items()
    ]


@pytest.mark.parametrize(
    ("reader", "file", "text", "words"),
    [
        *cases(coco, "captions.json", COCO_FAULTS),
        *cases(karpathy, "dataset.json", KARPATHY_FAULTS),
        *cases(flickr, "captions.txt", FLICKR_FAULTS),
        *cases(manifest, "manifest.csv", MANIFEST_FAULTS),
        *cases(manifest, "manifest.jsonl", LINES_FAULTS),
    ],
)
def test_a_fault_is_told_in_one_line_that_names_the_file(
    tmp_path: Path, reader: Callable[[Path], Dataset], file: str, text: str, words: str
) -> None:
    path = tmp_path / file
    path.write_text(text)
    message = fault(reader(path))
    assert words in message
    assert str(path) in message


@pytest.mark.parametrize(
    ("reader", "file"),
    [(coco, "x.json"), (karpathy, "x.json"), (flickr, "x.txt"), (manifest, "x.csv")],
)
class TestAnyFile:
    """What may be wrong with a file whatever its form."""

    def test_a_missing_file_is_named(
        self, tmp_path: Path, reader: Callable[[Path], Dataset], file: str
    ) -> None:
        assert f"{tmp_path / file}: not found" in fault(reader(tmp_path / file))

    def test_a_folder_in_place_of_a_file_is_named(
        self, tmp_path: Path, reader: Callable[[Path], Dataset], file: str
    ) -> None:
        (tmp_path / file).mkdir()
        assert f"{tmp_path / file}: expected a text file" in fault(reader(tmp_path / file))

    def test_bytes_that_are_not_utf8_are_named_with_their_line(
        self, tmp_path: Path, reader: Callable[[Path], Dataset], file: str
    ) -> None:
        (tmp_path / file).write_bytes("ok\ncaf\xe9\n".encode("latin-1"))
        message = fault(reader(tmp_path / file))
        assert message.startswith(f"{tmp_path / file}, line 2: expected UTF-8, got byte 0xe9;")

    def test_an_unknown_split_names_the_known_ones(
        self, tmp_path: Path, reader: Callable[[Path], Dataset], file: str
    ) -> None:
        message = fault(reader(tmp_path / file), split="dev")
        assert message.startswith("mine: no split 'dev'; expected one of: train")


def test_a_split_without_a_folder_of_images_is_named() -> None:
    dataset = Coco("mine", {"val": "x"}, {"train": "y"})
    assert fault(dataset) == "mine, folders of images: no split 'train'; expected one of: val"


@pytest.mark.parametrize(
    ("listing", "words"),
    [
        ("", "the split has no images"),
        ("a.jpg\na.jpg\n", "line 2: image 'a.jpg' is listed twice"),
        ("a.jpg\nb.jpg\nc.jpg\n", "2 of 3 images have no caption, the first is 'b.jpg'"),
    ],
)
def test_a_faulty_list_of_a_split_is_named(tmp_path: Path, listing: str, words: str) -> None:
    captions = tmp_path / "captions.txt"
    captions.write_text(TABLE + "a.jpg,A dog\n")
    message = fault(flickr_of(captions, listing))
    assert words in message
    assert "train.txt" in message


def test_a_manifest_of_another_kind_is_refused_by_its_ending(tmp_path: Path) -> None:
    (tmp_path / "manifest.xlsx").write_text("")
    message = fault(Manifest("mine", str(tmp_path / "manifest.xlsx")))
    assert "ending in .csv or .jsonl, got '.xlsx'" in message
