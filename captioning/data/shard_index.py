"""The index of a shard: offsets and captions of its samples, read once and cached."""

import json
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from captioning.cache import cache_folder
from captioning.data.dataset import ImageId, checked_caption
from captioning.data.reading import decode, identifier, parse_json, written_captions
from captioning.errors import InputError
from captioning.files import whole

IMAGES = {"avif", "bmp", "gif", "jp2", "jpeg", "jpg", "png", "ppm", "tif", "tiff", "webp"}

OPEN = 32
"""Indices held by a process: somewhat more than the number of shards shuffled together."""


class Sample(NamedTuple):
    """One image in a shard, with its captions."""

    key: str
    image_id: ImageId
    """From its JSON, otherwise the key."""
    file: str
    """Name of the image's file in the shard."""
    offset: int
    size: int
    """The image's size in bytes; `offset` is its position in the shard."""
    captions: tuple[str, ...]
    """May be empty."""


def shard_of(path: Path) -> Path | None:
    """Return the shard that contains an image `…/train-000.tar/0042.jpg`; None for other files."""
    if ".tar/" not in str(path):  # fast, since it runs for every image opened
        return None
    return next((each for each in path.parents if each.suffix == ".tar" and each.is_file()), None)


def find_sample(shard: Path, image: Path) -> Sample | None:
    """Return the sample of an image named as in `shard_of`; None if the shard has none."""
    return read_index(shard).get(image.relative_to(shard).as_posix())


def read_image(shard: Path, image: Path) -> bytes:
    """Read the bytes of an image named as in `shard_of`, and nothing else of the shard."""
    sample = find_sample(shard, image)
    if sample is None:
        raise FileNotFoundError(image)
    with shard.open("rb") as content:
        content.seek(sample.offset)
        return content.read(sample.size)


def read_index(shard: Path) -> dict[str, Sample]:
    """Return the samples of a shard by their images' files, in its order.

    The first time, all headers and captions are read, but no images; the index is then cached on
    disk and valid while the shard keeps its size and date. Raises InputError for any fault.
    """
    try:
        status = shard.stat()
        return _read_index(shard, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise InputError(f"{shard}: cannot be read ({error.strerror or error})") from error


@lru_cache(maxsize=OPEN)
def _read_index(shard: Path, size: int, modified: int) -> dict[str, Sample]:
    known = f"{shard.resolve()} {size} {modified}".encode(errors="surrogateescape")
    kept = cache_folder() / "shards" / f"{sha256(known).hexdigest()[:32]}.json"
    try:
        samples = load(kept)
    except (OSError, ValueError):  # missing or incomplete
        samples = [*scan(shard)]
        with suppress(OSError):  # without a writable cache, each process scans for itself
            keep(samples, kept)
    return {sample.file: sample for sample in samples}


def load(file: Path) -> list[Sample]:
    """Read an index written by `keep`."""
    return [
        Sample(key, image_id, name, offset, size, tuple(captions))
        for key, image_id, name, offset, size, captions in json.loads(file.read_bytes())
    ]


def keep(samples: list[Sample], file: Path) -> None:
    """Write the samples of a shard to a file, atomically."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole(file) as partial:
        partial.write_text(json.dumps(samples))


def scan(shard: Path) -> Iterator[Sample]:
    """Read a whole shard except for the images, and yield its samples.

    Files belong to one sample by WebDataset's rule: neighbours with the same name up to the first
    dot.
    """
    from webdataset.tariterators import group_by_keys

    found: set[str] = set()
    try:
        with shard.open("rb") as content, tarfile.open(fileobj=content, mode="r:") as tar:
            for group in group_by_keys(members(shard, content, tar)):
                sample = read_sample(shard, tar, group)
                if sample.key in found:
                    raise InputError(
                        f"{shard}, sample {sample.key!r}: the key comes twice; keys are unique, "
                        "and the files of a sample lie side by side"
                    )
                found.add(sample.key)
                yield sample
    except tarfile.TarError as error:
        raise InputError(f"{shard}: expected an uncompressed tar file ({error})") from error
    if not found:
        raise InputError(f"{shard}: the shard has no samples; expected at least one")


def members(shard: Path, content: IO[bytes], tar: tarfile.TarFile) -> Iterator[dict[str, Any]]:
    """Yield a shard's files in the form that WebDataset groups, with a TarInfo for each content.

    tarfile takes a truncated or damaged header for the end, so the end marker is checked here.
    """
    names: set[str] = set()
    last = "its beginning"
    try:
        for member in tar:
            name = str(PurePosixPath(member.name.lstrip("/")))
            if name in names:
                raise InputError(f"{shard}: the file {name!r} comes twice; names are unique")
            if name.encode(errors="replace").decode() != name:
                raise InputError(f"{shard}: the file {name!r} is not named in UTF-8; rename it")
            names.add(name)
            last = repr(name)
            if member.isreg():
                yield {"fname": name, "data": member, "__url__": str(shard)}
        content.seek(tar.offset)
        if content.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("the mark at its end is missing")
    except tarfile.TarError as error:
        raise InputError(
            f"{shard}: cut short or damaged after {last} ({error}); make or fetch it again"
        ) from error


def read_sample(shard: Path, tar: tarfile.TarFile, group: dict[str, Any]) -> Sample:
    """Make a sample of its files, identified by their suffixes."""
    key = group["__key__"]
    where = f"{shard}, sample {key!r}"
    images = [group[ending] for ending in group if ending in IMAGES]
    if len(images) != 1:
        raise InputError(
            f"{where}: expected one image, such as {key}.jpg, .png or .webp, got {len(images)}"
        )

    def text(ending: str) -> str:
        content = tar.extractfile(group[ending])
        return decode(content.read() if content else b"", f"{where}, {ending}")

    record = parse_json(text("json"), f"{where}, json") if "json" in group else {}
    if not isinstance(record, dict):
        raise InputError(f"{where}, json: expected an object, got {type(record).__name__}")
    image_id = identifier(record, "image_id", where) if "image_id" in record else key
    if "caption" in record or "captions" in record:
        captions = written_captions(record, f"{where}, json")
    else:
        lines = text("txt").split("\n") if "txt" in group else []
        captions = [line for line in lines if line.strip()]
    (image,) = images
    return Sample(
        key,
        image_id,
        str(PurePosixPath(image.name.lstrip("/"))),
        image.offset_data,
        image.size,
        tuple(checked_caption(caption, where) for caption in captions),
    )
