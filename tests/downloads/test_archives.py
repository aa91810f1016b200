"""Archives are unpacked into their folder, and one that would leave it is refused."""

import io
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from captioning.downloads.archives import unpack
from captioning.errors import InputError
from tests.support.tar_archives import needs_tar

FILES = {"top/images/a.jpg": b"image", "top/images/b.jpg": b"other", "notes.txt": b"notes"}
ZIP, *TARS = KINDS = ["file.zip", "file.tar", "file.tar.gz", "file.tar.xz"]
UNPACKED = [ZIP, *(pytest.param(kind, marks=needs_tar) for kind in TARS)]


def pack(path: Path, files: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, f"w:{path.suffix[1:].replace('tar', '')}") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


def everything(name: PurePosixPath) -> bool:
    return True


def inside(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", UNPACKED)
def test_what_is_wanted_is_unpacked_and_nothing_else(kind: str, tmp_path: Path) -> None:
    archive = pack(tmp_path / kind, FILES)
    unpack(archive, tmp_path / "out", lambda name: "images" in name.parts)
    assert inside(tmp_path / "out") == {"top/images/a.jpg", "top/images/b.jpg"}
    assert (tmp_path / "out/top/images/a.jpg").read_bytes() == b"image"


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("name", ["../evil", "top/../../evil", "/evil"])
def test_a_zip_with_a_path_out_of_the_folder_is_refused(
    name: str, wanted: bool, tmp_path: Path
) -> None:
    archive = pack(tmp_path / "file.zip", {name: b"evil", **FILES})
    with pytest.raises(InputError, match=f"holds '{name}', which would land outside"):
        unpack(archive, tmp_path / "out", lambda _: wanted)
    assert inside(tmp_path) == {"file.zip"}


@needs_tar
@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("name", ["../evil", "top/../../evil"])
def test_a_tar_with_a_path_out_of_the_folder_is_refused(
    name: str, wanted: bool, tmp_path: Path
) -> None:
    archive = pack(tmp_path / "file.tar.gz", {name: b"evil", **FILES})
    with pytest.raises(InputError, match=f"holds '{name}', which would land outside"):
        unpack(archive, tmp_path / "out", lambda _: wanted)
    assert inside(tmp_path) == {"file.tar.gz"}


@needs_tar
def test_an_absolute_path_in_a_tar_lands_inside(tmp_path: Path) -> None:
    archive = pack(tmp_path / "file.tar", {f"{tmp_path}/evil": b"evil"})
    unpack(archive, tmp_path / "out", everything)
    assert not (tmp_path / "evil").exists()
    assert inside(tmp_path / "out") == {f"{tmp_path}/evil".lstrip("/")}


@needs_tar
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_link_out_of_the_folder_is_refused(kind: bytes, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("kept")
    with tarfile.open(tmp_path / "file.tar", "w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = kind, "../secret"
        archive.addfile(link)
        through = tarfile.TarInfo("link")
        through.size = 4
        archive.addfile(through, io.BytesIO(b"evil"))
    with pytest.raises(InputError, match="holds 'link', which would land outside"):
        unpack(tmp_path / "file.tar", tmp_path / "out", everything)
    assert (tmp_path / "secret").read_text() == "kept"


@pytest.mark.parametrize("kind", UNPACKED)
def test_a_cut_archive_is_one_sentence(kind: str, tmp_path: Path) -> None:
    archive = pack(tmp_path / kind, {"a.jpg": bytes(range(256)) * 100})
    archive.write_bytes(archive.read_bytes()[:-60] if kind != "file.tar" else b"\0" * 100)
    with pytest.raises(InputError, match=r"damaged|neither") as caught:
        unpack(archive, tmp_path / "out", everything)
    assert "\n" not in str(caught.value)


def test_a_changed_byte_in_a_zip_is_found(tmp_path: Path) -> None:
    archive = tmp_path / "file.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("a.jpg", b"an image of a dog")
    archive.write_bytes(archive.read_bytes().replace(b"dog", b"cat"))
    with pytest.raises(InputError, match="is damaged"):
        unpack(archive, tmp_path / "out", everything)


@pytest.mark.parametrize("kind", KINDS)
def test_a_python_without_safe_unpacking_of_tar_archives_refuses_them(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("captioning.downloads.archives.data_filter", None)
    archive = pack(tmp_path / kind, FILES)
    if kind.endswith(".zip"):
        unpack(archive, tmp_path / "out", everything)
        assert inside(tmp_path / "out") == {*FILES}
    else:
        with pytest.raises(
            InputError, match=r"needs Python 3\.10\.12, 3\.11\.4 or newer, this is 3"
        ):
            unpack(archive, tmp_path / "out", everything)
        assert inside(tmp_path) == {kind}
