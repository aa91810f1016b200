"""`captioning shards`: a data set in tar files is the same, whatever stopped the making."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from captioning.__main__ import main
from captioning.data import Manifest, Shapes, Shards, open_image
from captioning.data.shard_writing import plan_shards, write_shards
from captioning.errors import InputError
from tests.support.file_server import full_disk
from tests.support.tiny_shards import image


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Shapes:
    folder = tmp_path_factory.mktemp("shapes")
    return Shapes(folder=str(folder), sizes={"train": 7, "val": 3, "test": 2})


@pytest.fixture
def command(world: Shapes, tmp_path: Path) -> list[str]:
    settings = {"folder": world.folder, "sizes": world.sizes}
    data = {"class_path": "captioning.data.Shapes", "init_args": settings}
    (tmp_path / "data.yaml").write_text(yaml.safe_dump({"data": data, "seed": 1}))
    output = tmp_path / "shards"
    return ["shards", "--config", str(tmp_path / "data.yaml"), "--output", str(output)]


def contents(folder: Path) -> dict[str, bytes]:
    """All but the lock."""
    return {path.name: path.read_bytes() for path in folder.glob("[!.]*")}


def test_shards_hold_the_same_images_captions_and_ids(
    world: Shapes, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--per-shard", "3"]) == 0
    said = capsys.readouterr()
    assert "train: 7 images\n" in said.err
    assert "3 of 3 shards to write, 0 MB at most" in said.err
    made = yaml.safe_load(said.out)["data"]
    assert made["class_path"] == "captioning.data.Shards"
    shards = Shards(**made["init_args"])
    assert shards.shards["train"] == f"{tmp_path}/shards/train-{{00000..00002}}.tar"
    for split in world.sizes:
        expected, found = world.examples(split), shards.examples(split)
        ids = [example.image_id for example in found]
        # The training split is shuffled once and for all.
        assert (ids == [example.image_id for example in expected]) == (split != "train")
        by_id = {example.image_id: example for example in found}
        for example in expected:
            ours = by_id[example.image_id]
            assert ours.captions == example.captions
            assert open_image(ours.image).tobytes() == open_image(example.image).tobytes()


def test_making_them_again_changes_nothing_and_what_is_missing_is_made(
    command: list[str], tmp_path: Path
) -> None:
    assert main([*command, "--per-shard", "3"]) == 0
    shards = tmp_path / "shards"
    before = contents(shards)
    dates = {name: (shards / name).stat().st_mtime_ns for name in before}
    (shards / "train-00001.tar").unlink()
    (shards / "train-00001.tar.99-0a1b2c3d.partial").write_bytes(b"left by a kill")
    (shards / "train-00002.tar.99-0a1b2c3d.partial").write_bytes(b"left by a kill")
    (shards / "other-00000.tar.99-0a1b2c3d.partial").write_bytes(b"somebody else's")
    assert main([*command, "--per-shard", "3"]) == 0
    (shards / "other-00000.tar.99-0a1b2c3d.partial").unlink()
    assert contents(shards) == before
    changed = [name for name in dates if (shards / name).stat().st_mtime_ns != dates[name]]
    assert changed == ["train-00001.tar"]


@pytest.mark.parametrize("change", [["--per-shard", "2"], ["--seed", "1"]])
def test_shards_of_other_settings_are_not_mixed_in(
    change: list[str], command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--per-shard", "3"]) == 0
    before = contents(tmp_path / "shards")
    capsys.readouterr()
    assert main([*command, "--per-shard", "3", *change]) == 2
    (line,) = [each for each in capsys.readouterr().err.splitlines() if each.startswith("error")]
    assert "train-00000.tar exists with content that does not match" in line
    assert contents(tmp_path / "shards") == before


def test_an_image_that_has_changed_since_is_not_taken_for_the_old_one(
    command: list[str], world: Shapes, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 0
    world.examples("val")[0].image.write_bytes(image())
    assert main(command) == 2
    assert "val-00000.tar exists with content that does not match" in capsys.readouterr().err


def test_a_set_without_a_test_split_is_written_as_far_as_it_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["image,caption,split"]
    for split in ("train", "val"):
        (tmp_path / f"{split}.png").write_bytes(image())
        rows.append(f"{split}.png,a caption,{split}")
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    settings = {"name": "mine", "path": str(tmp_path / "manifest.csv")}
    data = {"class_path": "captioning.data.Manifest", "init_args": settings}
    (tmp_path / "data.yaml").write_text(yaml.safe_dump({"data": data}))
    where = ["--config", str(tmp_path / "data.yaml"), "--output", str(tmp_path / "shards")]
    assert main(["shards", *where]) == 0
    made = yaml.safe_load(capsys.readouterr().out)["data"]["init_args"]
    assert (made["name"], list(made["shards"])) == ("mine", ["train", "val"])
    assert main(["shards", *where, "--splits", "test"]) == 2


def test_a_disk_that_fills_up_leaves_whole_shards_and_is_told(
    world: Shapes, tmp_path: Path
) -> None:
    plan = plan_shards(world.examples("train"), tmp_path, "train", per_shard=3)
    told = pytest.raises(
        InputError, match=r"cannot be written \(File too large\).*choose another --output"
    )
    with told, full_disk(at=4000):
        write_shards(plan)
    assert contents(tmp_path) == {}
    write_shards(plan)
    assert len(contents(tmp_path)) == 3


def test_two_that_write_one_split_at_once_make_one_and_leave_nothing(
    world: Shapes, tmp_path: Path
) -> None:
    plan = plan_shards(world.examples("train"), tmp_path, "train", per_shard=3)
    with ThreadPoolExecutor(2) as pool:
        assert [*pool.map(write_shards, [plan, plan])] == [None, None]
    assert sorted(contents(tmp_path)) == [file.name for file in plan]


def test_shards_can_be_made_of_shards(world: Shapes, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    plan = plan_shards(world.examples("train"), tmp_path / "one", "train", per_shard=3)
    write_shards(plan)
    again = Shards("again", {"train": [str(file) for file in plan]})
    whole = plan_shards(again.examples("train"), tmp_path / "two", "train", per_shard=9)
    write_shards(whole)
    direct = plan_shards(world.examples("train"), tmp_path / "three", "train", per_shard=9)
    write_shards(direct)
    assert contents(tmp_path / "two") == contents(tmp_path / "three")


def test_names_of_any_kind_are_kept_as_ids(tmp_path: Path) -> None:
    names = ["a.b.c.png", "ảnh 1.JPG", f"{'x' * 200}.webp"]
    rows = ["image,caption,split"]
    for name, kind in zip(names, ("PNG", "JPEG", "WEBP"), strict=True):
        (tmp_path / name).write_bytes(image(kind=kind))
        rows.append(f"{name},a caption,train")
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    plan = plan_shards(
        Manifest("mine", str(tmp_path / "manifest.csv")).examples("train"), tmp_path, "train", 9
    )
    write_shards(plan)
    found = Shards("mine", {"train": str(*plan)}).examples("train")
    assert [example.image_id for example in found] == names
    assert [example.image.name for example in found] == [
        "000000000.png",
        "000000001.jpg",
        "000000002.webp",
    ]


def test_an_image_that_is_missing_or_of_no_known_kind_is_told_before_anything_is_written(
    world: Shapes, tmp_path: Path
) -> None:
    examples = world.examples("val")
    folder = tmp_path / "shards"
    copy = tmp_path / "copy.pic"
    shutil.copy(examples[0].image, copy)
    for file, words in ((tmp_path / "no.png", "found no file"), (copy, "ends in avif, bmp")):
        broken = [*examples, type(examples[0])("last", file, ("x",))]
        with pytest.raises(InputError, match=words):
            write_shards(plan_shards(broken, folder, "val", 2))
        assert not folder.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--per-shard", "0"], "--per-shard must be 1 or more, got 0"),
        (["--splits", "dev"], "no split 'dev'"),
        (["--config", "nowhere.yaml"], "nowhere.yaml: expected a text file"),
    ],
)
def test_a_mistake_is_one_line(
    options: list[str], words: str, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
