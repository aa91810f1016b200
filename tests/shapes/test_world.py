"""The world on disk: a COCO data set, whole or absent."""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from numpy.random import default_rng
from PIL import Image

from captioning.errors import InputError
from captioning.shapes.grammar import support
from captioning.shapes.scene import SCENES, from_json, random_scene, to_json
from captioning.shapes.world import scenes, write

SIZES = {"train": 5, "val": 2, "test": 3}


@pytest.fixture
def world(tmp_path):
    write(tmp_path / "shapes", sizes=SIZES)
    return tmp_path / "shapes"


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def annotations(folder, split):
    return json.loads((folder / "annotations" / f"captions_{split}.json").read_text())


def test_scenes_survive_json():
    for scene in SCENES:
        assert from_json(json.loads(json.dumps(to_json(scene)))) == scene


def test_a_scene_in_json_is_a_flat_record_for_each_group():
    record = {"count": 2, "size": "small", "colour": "red", "shape": "ring", "place": "top"}
    assert to_json(from_json([record])) == [record]


def test_half_of_the_scenes_hold_two_groups():
    generator = default_rng(0)
    pairs = sum(len(random_scene(generator).groups) == 2 for _ in range(2000))
    assert abs(pairs - 1000) < 4 * 22.4  # standard deviation of Binomial(2000, 1/2)


@pytest.mark.parametrize(("split", "size"), SIZES.items())
def test_a_split_has_the_coco_form(world, split, size):
    content = annotations(world, split)
    assert content.keys() == {"info", "images", "annotations"}
    assert len(content["images"]) == size
    for image in content["images"]:
        with Image.open(world / "images" / split / image["file_name"]) as picture:
            assert (picture.mode, picture.format) == ("RGB", "PNG")
            assert picture.size == (image["width"], image["height"])
        told = [a for a in content["annotations"] if a["image_id"] == image["id"]]
        assert len(told) == 5


def test_ids_are_unique_across_the_splits(world):
    for key, number in (("images", 10), ("annotations", 50)):
        ids = [record["id"] for split in SIZES for record in annotations(world, split)[key]]
        assert sorted(ids) == list(range(1, number + 1))


def test_every_caption_is_in_the_support_of_the_scene_of_its_image(world):
    known = scenes(world)
    assert known.keys() == set(range(1, 11))
    for split in SIZES:
        for annotation in annotations(world, split)["annotations"]:
            assert annotation["caption"] in support(known[annotation["image_id"]])


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(world, tmp_path):
    write(tmp_path / "again", sizes=SIZES)
    write(tmp_path / "other", seed=1, sizes=SIZES)
    assert contents(tmp_path / "again") == contents(world)
    assert contents(tmp_path / "other") != contents(world)


def test_the_splits_differ(world):
    first = [(world / "images" / split).iterdir() for split in SIZES]
    assert len({min(pictures).read_bytes() for pictures in first}) == 3


def test_a_world_that_is_there_is_left_alone(world):
    before = (world / "scenes.json").stat().st_mtime_ns
    write(world, sizes=SIZES)
    assert (world / "scenes.json").stat().st_mtime_ns == before


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "shapes").mkdir()
    write(tmp_path / "shapes", sizes=SIZES)
    assert len(scenes(tmp_path / "shapes")) == 10


def test_writers_at_the_same_time_all_end_well(world, tmp_path):
    folder = tmp_path / "raced" / "shapes"
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: write(folder, sizes=SIZES), range(4))) == [None] * 4
    assert contents(folder) == contents(world)
    assert list(folder.parent.iterdir()) == [folder]


def test_what_a_kill_left_is_removed_with_the_next_world(world, tmp_path):
    folder = tmp_path / "killed" / "shapes"
    code = "import sys, captioning.shapes.world as w; w.write(w.Path(sys.argv[1]))"
    root = Path(__file__).parents[2]
    writer = subprocess.Popen([sys.executable, "-c", code, str(folder)], cwd=root)
    while not list(folder.parent.glob("*")):
        assert writer.poll() is None
        time.sleep(0.01)
    writer.kill()
    writer.wait()
    assert list(folder.parent.iterdir()) != [folder]
    write(folder, sizes=SIZES)
    assert list(folder.parent.iterdir()) == [folder]
    assert contents(folder) == contents(world)


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match=r"cannot be written \(File name too long\)"):
        write(tmp_path / "shapes", sizes={"train": 2, "x" * 300: 1})
    assert list(tmp_path.iterdir()) == []


def test_a_world_of_another_seed_is_not_overwritten(world):
    before = contents(world)
    with pytest.raises(InputError, match=r"'seed': 7.*got.*'seed': 0.*choose another folder"):
        write(world, seed=7, sizes=SIZES)
    assert contents(world) == before


def test_a_folder_of_something_else_is_not_overwritten(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="got no shapes world"):
        write(tmp_path, sizes=SIZES)


def test_a_file_in_the_place_of_the_folder_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "shapes"):
        with pytest.raises(InputError, match="cannot be written"):
            write(folder, sizes=SIZES)


@pytest.mark.parametrize(
    "arguments", [{"sizes": {"train": 0}}, {"sizes": {}}, {"captions_per_image": 0}, {"seed": -1}]
)
def test_sizes_and_seeds_that_make_no_world_are_an_error(tmp_path, arguments):
    with pytest.raises(InputError, match="expected a seed of at least 0"):
        write(tmp_path / "shapes", **arguments)


@pytest.mark.parametrize(
    "text", [None, "{", "[]", '{"scenes": {"1": [{"count": 4}]}}', '{"scenes": {"1": []}}']
)
def test_scenes_that_cannot_be_read_are_an_error_that_names_the_file(tmp_path, text):
    if text is not None:
        (tmp_path / "scenes.json").write_text(text)
    with pytest.raises(InputError, match=r"scenes.json, got .*; make the world anew"):
        scenes(tmp_path)
