"""What a user has on disk is found, checked and used, and changed only if asked."""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from captioning.data.preparation import prepare
from captioning.data.published import Archive, Published
from captioning.data.supply import Supply
from tests.support.file_server import FileServer
from tests.support.tar_archives import needs_tar
from tests.support.tiny_publication import (
    LISTINGS,
    PACKED,
    WHOLE,
    inside,
    packed,
    refused,
    serve_tiny,
)


@pytest.fixture
def tiny(file_server: FileServer) -> Published:
    return serve_tiny(file_server)


def test_archives_on_disk_are_used_and_left_there(
    tiny: Published, file_server: FileServer, tmp_path: Path
) -> None:
    files = tmp_path / "files" / "deep"
    files.mkdir(parents=True)
    (files / "images.zip").write_bytes(packed(PACKED))
    prepare(tiny, tmp_path / "tiny", Supply(tmp_path / "files"))
    assert [path for path, _ in file_server.asked] == ["/home/lists.zip"]
    assert inside(tmp_path / "tiny") == WHOLE
    assert inside(files) == {"images.zip"}


def test_an_archive_on_disk_that_is_another_is_refused(tiny: Published, tmp_path: Path) -> None:
    (tmp_path / "images.zip").write_bytes(packed(PACKED)[:-1])
    message = refused(tiny, tmp_path / "tiny", Supply(tmp_path))
    assert f"{tmp_path / 'images.zip'} is not what http://127.0.0.1" in message
    assert (tmp_path / "images.zip").exists()


def test_what_lies_unpacked_is_linked_only_if_asked(
    tiny: Published, file_server: FileServer, tmp_path: Path
) -> None:
    files = tmp_path / "files"
    with zipfile.ZipFile(io.BytesIO(packed(PACKED | LISTINGS))) as archive:
        archive.extractall(files)
    assert "is already unpacked: pass --link" in refused(tiny, tmp_path / "tiny", Supply(files))
    assert inside(tmp_path / "tiny") == {".lock"}
    prepare(tiny, tmp_path / "tiny", Supply(files, link=True))
    assert (tmp_path / "tiny/images").readlink() == files / "Packed"
    assert file_server.asked == []


@pytest.mark.parametrize("link", [True, False])
def test_a_folder_without_anything_of_use_is_one_sentence(
    link: bool, tiny: Published, tmp_path: Path
) -> None:
    (tmp_path / "files" / "Packed").mkdir(parents=True)
    message = refused(tiny, tmp_path / "tiny", Supply(tmp_path / "files", link))
    assert (
        f"{tmp_path / 'files'} contains none of the files missing from {tmp_path / 'tiny'}"
        in message
    )
    assert "Packed or dataset_tiny.json or images or images.zip or lists.zip" in message


@needs_tar
def test_what_needs_asking_for_is_taken_on_trust_once(tiny: Published, tmp_path: Path) -> None:
    lists, images = tiny.archives
    asked = Archive("p.tar.gz", images.parts, 1000, remote=None, page="https://ask.example")
    to_ask = tiny._replace(archives=(lists, asked))
    message = refused(to_ask, tmp_path / "tiny")
    assert "p.tar.gz must be requested: see https://ask.example" in message
    with (
        tarfile.open(tmp_path / "p.tar.gz", "w:gz") as archive,
        zipfile.ZipFile(io.BytesIO(packed(PACKED))) as content,
    ):
        content.extractall(tmp_path / "unpacked")
        archive.add(tmp_path / "unpacked/Packed", "./Packed")
    prepare(to_ask, tmp_path / "tiny", Supply(tmp_path))
    digits = hashlib.sha256((tmp_path / "p.tar.gz").read_bytes()).hexdigest()
    assert (tmp_path / "tiny/p.tar.gz.sha256").read_text() == f"{digits}  p.tar.gz\n"
    (tmp_path / "tiny/images").rename(tmp_path / "away")
    with (tmp_path / "p.tar.gz").open("ab") as archive:
        archive.write(b"more")
    assert "is not the file that" in refused(to_ask, tmp_path / "tiny", Supply(tmp_path))
