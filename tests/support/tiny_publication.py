"""A published data set of four images, on a server of this machine."""

import hashlib
import io
import json
import zipfile
from pathlib import Path

import pytest

from captioning.data import Karpathy
from captioning.data.preparation import prepare
from captioning.data.published import Archive, Part, Published
from captioning.data.supply import Supply
from captioning.downloads.remote import Remote
from captioning.errors import InputError
from tests.support.file_server import FileServer

SPLITS = {"train": ["1.jpg", "2.jpg"], "val": ["3.jpg"], "test": ["4.jpg"]}
IMAGES = [name for names in SPLITS.values() for name in names]
PICTURE = bytes(range(256)) * 500
LISTING = json.dumps(
    {
        "images": [
            {"filename": name, "split": split, "sentences": [{"raw": "A dog."}]}
            for split, names in SPLITS.items()
            for name in names
        ]
    }
)
SHADOWS = {"__MACOSX/Packed/._1.jpg": b"shadow", "Packed/._2.jpg": b"shadow", "Packed/a": b""}
LISTINGS = {"dataset_tiny.json": LISTING.encode(), "dataset_other.json": b"{}"}
PACKED = {f"Packed/{name}": PICTURE for name in IMAGES} | SHADOWS
DOWNLOAD = Supply()
WHOLE = {".lock", "lists/tiny.json", "images/a", *(f"images/{name}" for name in IMAGES)}


def packed(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def remote(server: FileServer, path: str) -> Remote:
    content = server.files[path]
    digits = hashlib.sha256(content).hexdigest()
    return Remote(f"{server.address}{path}", len(content), f"sha256:{digits}")


def serve_tiny(server: FileServer) -> Published:
    """A listing in one archive, the images in another."""
    server.files["/home/lists.zip"] = packed(LISTINGS)
    server.files["/home/images.zip"] = packed(PACKED)
    return publish(server)


def publish(server: FileServer, unpacked: int = 10**6) -> Published:
    listing = Part("lists/tiny.json", "dataset_tiny.json")
    images = Part("images", "Packed", len(IMAGES))
    return Published(
        archives=(
            Archive("lists.zip", (listing,), 1000, remote(server, "/home/lists.zip")),
            Archive("images.zip", (images,), unpacked, remote(server, "/home/images.zip")),
        ),
        examples={split: len(names) for split, names in SPLITS.items()},
        reader=lambda folder: Karpathy("tiny", str(folder / listing.place), str(folder / "images")),
    )


def refused(published: Published, folder: Path, supply: Supply = DOWNLOAD) -> str:
    with pytest.raises(InputError) as caught:
        prepare(published, folder, supply)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def inside(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
