"""A published data set is put together whole, whatever its server or the disk does."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from captioning.data.preparation import prepare
from captioning.data.published import Published
from captioning.data.supply import Supply
from tests.support.file_server import FileServer, full_disk
from tests.support.tiny_publication import (
    DOWNLOAD,
    IMAGES,
    PACKED,
    PICTURE,
    WHOLE,
    inside,
    packed,
    publish,
    refused,
    serve_tiny,
)


@pytest.fixture
def tiny(file_server: FileServer) -> Published:
    return serve_tiny(file_server)


def test_what_lacks_is_downloaded_unpacked_and_checked(
    tiny: Published, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data" / "tiny"
    prepare(tiny, folder, DOWNLOAD)
    assert inside(folder) == WHOLE
    assert not (folder / "partial").exists()
    assert (folder / "images/3.jpg").read_bytes() == PICTURE
    said = capsys.readouterr().out
    assert f"{folder}: 2 to download, 1 MB of room needed" in said
    assert f"{folder}: 4 images; train 2, val 1, test 1: all there" in said


def test_a_second_time_nothing_is_asked_or_written(
    tiny: Published,
    file_server: FileServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    prepare(tiny, tmp_path, DOWNLOAD)
    (tmp_path / ".lock").unlink()
    asked = list(file_server.asked)
    prepare(tiny, tmp_path, DOWNLOAD)
    assert file_server.asked == asked
    assert inside(tmp_path) == WHOLE - {".lock"}
    assert f"{tmp_path} has every part already: nothing to do" in capsys.readouterr().out


def test_only_what_lacks_is_fetched(
    tiny: Published, file_server: FileServer, tmp_path: Path
) -> None:
    (tmp_path / "images").mkdir()
    for name in IMAGES:
        (tmp_path / "images" / name).write_text("mine")
    prepare(tiny, tmp_path, DOWNLOAD)
    assert [path for path, _ in file_server.asked] == ["/home/lists.zip"]
    assert (tmp_path / "images/1.jpg").read_text() == "mine"


def test_a_download_that_was_stopped_is_gone_on_with(
    tiny: Published, file_server: FileServer, tmp_path: Path
) -> None:
    (tmp_path / "partial/unpacked/Packed").mkdir(parents=True)
    (tmp_path / "partial/images.zip.part").write_bytes(packed(PACKED)[:1000])
    prepare(tiny, tmp_path, DOWNLOAD)
    assert ("/home/images.zip", "bytes=1000-") in file_server.asked
    assert inside(tmp_path) == WHOLE


def test_an_archive_that_had_come_is_not_asked_for_again(
    tiny: Published, file_server: FileServer, tmp_path: Path
) -> None:
    (tmp_path / "partial").mkdir()
    (tmp_path / "partial/images.zip").write_bytes(packed(PACKED))
    prepare(tiny, tmp_path, DOWNLOAD)
    assert [path for path, _ in file_server.asked] == ["/home/lists.zip"]
    assert inside(tmp_path) == WHOLE


def test_of_many_at_once_one_works_for_all(
    tiny: Published, file_server: FileServer, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(prepare, tiny, tmp_path, DOWNLOAD) for _ in range(4)]
        for job in jobs:
            job.result()
    assert len(file_server.asked) == 2
    assert inside(tmp_path) == WHOLE


def test_a_mirror_has_the_files_under_the_same_paths(
    tiny: Published, file_server: FileServer, tmp_path: Path
) -> None:
    file_server.files = {f"/mirror{path}": data for path, data in file_server.files.items()}
    prepare(tiny, tmp_path, Supply(mirror=f"{file_server.address}/mirror/"))
    assert [path for path, _ in file_server.asked] == [
        "/mirror/home/lists.zip",
        "/mirror/home/images.zip",
    ]


def test_a_dead_address_is_told_before_anything_large_comes(
    tiny: Published, file_server: FileServer, tmp_path: Path
) -> None:
    del file_server.files["/home/lists.zip"]
    assert "lists.zip could not be downloaded from" in refused(tiny, tmp_path)
    assert len(file_server.asked) == 1


def test_too_little_room_is_told_before_anything_is_asked(
    tiny: Published, file_server: FileServer, tmp_path: Path
) -> None:
    message = refused(publish(file_server, unpacked=10**18), tmp_path)
    assert (
        "MB free, 1000000000000 MB are needed; make room there, or set CAPTIONING_DATA" in message
    )
    assert file_server.asked == []


@pytest.mark.parametrize(("come", "room"), [(0, 2), (400_000, 1)])
def test_room_is_for_all_that_is_unpacked_and_the_rest_of_the_largest_download(
    come: int,
    room: int,
    tiny: Published,
    file_server: FileServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "partial").mkdir()
    (tmp_path / "partial/images.zip.part").write_bytes(packed(PACKED)[:come])
    prepare(publish(file_server, unpacked=1_600_000), tmp_path, DOWNLOAD)  # 512,000 are packed
    assert f"2 to download, {room} MB of room needed" in capsys.readouterr().out


@pytest.mark.parametrize("limit", [300_000, 100_000])
def test_a_disk_that_fills_while_downloading_or_unpacking_is_one_sentence(
    limit: int, tiny: Published, tmp_path: Path
) -> None:
    if limit < len(PICTURE):  # the archive is there, and an image of it has no room
        (tmp_path / "partial").mkdir()
        (tmp_path / "partial/images.zip").write_bytes(packed(PACKED))
    with full_disk(limit):
        message = refused(tiny, tmp_path)
    assert message.startswith(f"{tmp_path} cannot be written (File too large)")
    assert not (tmp_path / "images").exists()
    prepare(tiny, tmp_path, DOWNLOAD)
    assert inside(tmp_path) == WHOLE


def test_an_archive_that_would_leave_its_folder_leaves_nothing(
    tiny: Published, file_server: FileServer, tmp_path: Path
) -> None:
    file_server.files["/home/images.zip"] = packed(PACKED | {"Packed/../../../evil.jpg": b""})
    assert "would land outside" in refused(publish(file_server), tmp_path / "data")
    assert inside(tmp_path) == {"data/.lock", "data/lists/tiny.json", "data/partial/images.zip"}


def test_missing_images_are_counted_and_named(
    tiny: Published, file_server: FileServer, tmp_path: Path
) -> None:
    prepare(tiny, tmp_path, DOWNLOAD)
    (tmp_path / "images/3.jpg").rename(tmp_path / "images/5.jpg")
    message = refused(tiny, tmp_path)
    assert "split 'val': 1 of 1 images are not there, the first is" in message
    assert "3.jpg; remove" in message
    (tmp_path / "images/5.jpg").unlink()
    assert f"{tmp_path / 'images'} has 3 of 4 images; remove it" in refused(tiny, tmp_path)
    other = tiny._replace(examples={"train": 2, "val": 2, "test": 1})
    (tmp_path / "images/3.jpg").touch()
    assert "split 'val': expected 2 images, got 1" in refused(other, tmp_path)


def test_an_archive_with_too_few_images_is_refused(
    tiny: Published, file_server: FileServer, tmp_path: Path
) -> None:
    few = {name: data for name, data in PACKED.items() if name != "Packed/4.jpg"}
    file_server.files["/home/images.zip"] = packed(few)
    message = refused(publish(file_server), tmp_path)
    assert "images.zip holds no Packed with 4 images; fetch another" in message
    assert not (tmp_path / "images").exists()
