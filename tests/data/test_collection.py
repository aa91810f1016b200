"""Images as a command line names them."""

from pathlib import Path

import pytest

from captioning.bulk.collection import find
from captioning.errors import InputError
from tests.support.tiny_captions import image, shard


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that has the folder photos, and in which a command is typed."""
    monkeypatch.chdir(tmp_path)
    for name in ("photos/b.JPG", "photos/a/z.png", "photos/a/y.webp", "photos/c.tiff"):
        image(tmp_path, name)
    for name in ("photos/notes.txt", "photos/film.mpg", "photos/._b.jpg", "photos/.old/x.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"no image")
    (tmp_path / "photos" / "loop").symlink_to(tmp_path / "photos")
    return tmp_path


def names(*named: str) -> list[str]:
    return [name for block in find(named, 100) for name in block.names()]


@pytest.mark.parametrize("folder", ["photos", "./photos/", "../{name}/photos"])
def test_images_at_any_depth_are_found_in_order_and_named_by_their_path_in_the_folder(
    photos: Path, folder: str
) -> None:
    (block,) = find([folder.format(name=photos.name)], 100)
    assert block.names() == ["b.JPG", "c.tiff", "a/y.webp", "a/z.png"]
    assert all(block.path(name).is_file() for name in block.names())


def test_several_things_keep_the_names_and_the_order_of_the_command_line(photos: Path) -> None:
    assert names("photos/c.tiff", "photos/a", "missing.png") == [
        "photos/c.tiff",
        "photos/a/y.webp",
        "photos/a/z.png",
        "missing.png",
    ]


def test_a_pattern_that_the_shell_has_left_is_matched_unless_a_file_has_that_name(
    photos: Path,
) -> None:
    assert names("photos/*/[yz].*") == ["photos/a/y.webp", "photos/a/z.png"]
    image(photos, "[yz].png")
    assert names("[yz].png") == ["[yz].png"]
    with pytest.raises(InputError, match=r"\*\.gif: expected files, but the pattern matches none"):
        names("*.gif")


def test_files_come_in_blocks_and_each_shard_in_one_of_its_own(photos: Path) -> None:
    shard(photos / "s-0.tar", ["k", "l", "m"])
    shard(photos / "s-1.tar", ["k"])
    blocks = [*find(["photos", "s-{0..1}.tar", "a.png"], 3)]
    assert [block.names() for block in blocks] == [
        ["photos/b.JPG", "photos/c.tiff", "photos/a/y.webp"],
        ["photos/a/z.png"],
        ["s-0.tar/k.png", "s-0.tar/l.png", "s-0.tar/m.png"],
        ["s-1.tar/k.png"],
        ["a.png"],
    ]


def test_blocks_are_found_one_after_the_other(photos: Path) -> None:
    """The second folder is looked into only when the first is through."""
    blocks = find(["photos/a", "photos"], 2)
    assert next(blocks).names() == ["photos/a/y.webp", "photos/a/z.png"]
    image(photos, "photos/new.png")
    assert "photos/new.png" in [name for block in blocks for name in block.names()]


def test_a_folder_without_images_and_a_shard_that_is_not_there_are_refused(photos: Path) -> None:
    (photos / "empty").mkdir()
    with pytest.raises(InputError, match="empty: expected images, found no file with a suffix"):
        names("empty")
    with pytest.raises(InputError, match=r"no-0\.tar"):
        names("no-{0..3}.tar")
