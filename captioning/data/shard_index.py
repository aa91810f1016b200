"""Where the samples of a shard lie and what their captions are, read once and kept."""

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

PICTURES = {"avif", "bmp", "gif", "jp2", "jpeg", "jpg", "png", "ppm", "tif", "tiff", "webp"}

OPEN = 32
"""Indices that a process holds: somewhat more than the shards whose pictures are mixed."""


class Sample(NamedTuple):
    """One picture in a shard, and what was written of it."""

    key: str
    image_id: ImageId
    """As its JSON says, otherwise the key."""
    file: str
    """Of the picture, as named in the shard."""
    offset: int
    size: int
    """Bytes of the picture, and how many lie before it in the shard."""
    captions: tuple[str, ...]
    """Perhaps none."""


def shard_of(path: Path) -> Path | None:
    """The shard in which a picture `…/train-000.tar/0042.jpg` lies; None for other files."""
    if ".tar/" not in str(path):  # at once, since every picture that is opened comes by
        return None
    return next((each for each in path.parents if each.suffix == ".tar" and each.is_file()), None)


def find_sample(shard: Path, picture: Path) -> Sample | None:
    """The sample of a picture that is named as in `shard_of`, None where the shard has none."""
    return read_index(shard).get(picture.relative_to(shard).as_posix())


def read_picture(shard: Path, picture: Path) -> bytes:
    """The bytes of a picture that is named as in `shard_of`, read where they lie."""
    sample = find_sample(shard, picture)
    if sample is None:
        raise FileNotFoundError(picture)
    with shard.open("rb") as content:
        content.seek(sample.offset)
        return content.read(sample.size)


def read_index(shard: Path) -> dict[str, Sample]:
    """The samples of a shard by their pictures' files, in its order.

    The first time all headers and captions are read, but no picture; what they say is kept in the
    cache folder for as long as the shard has the same size and date. InputError for any fault.
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
    except (OSError, ValueError):  # not there, or not whole
        samples = [*scan(shard)]
        with suppress(OSError):  # where nothing can be kept, each process scans for itself
            keep(samples, kept)
    return {sample.file: sample for sample in samples}


def load(file: Path) -> list[Sample]:
    """Read what `keep` has written."""
    return [
        Sample(key, image_id, name, offset, size, tuple(captions))
        for key, image_id, name, offset, size, captions in json.loads(file.read_bytes())
    ]


def keep(samples: list[Sample], file: Path) -> None:
    """Write the samples of a shard into a file, which appears whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole(file) as partial:
        partial.write_text(json.dumps(samples))


def scan(shard: Path) -> Iterator[Sample]:
    """Read a shard from its beginning to its end, but for the pictures.

    What belongs to one sample is WebDataset's rule: neighbours with one name up to the first dot.
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
    """The files in a shard in the form that WebDataset groups, a TarInfo in place of each content.

    The library takes a cut or a damaged header for the end, so the mark at the end is looked for.
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
    """What the files of a sample say, by their endings."""
    key = group["__key__"]
    where = f"{shard}, sample {key!r}"
    pictures = [group[ending] for ending in group if ending in PICTURES]
    if len(pictures) != 1:
        raise InputError(
            f"{where}: expected one picture, such as {key}.jpg, .png or .webp, got {len(pictures)}"
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
    (picture,) = pictures
    return Sample(
        key,
        image_id,
        str(PurePosixPath(picture.name.lstrip("/"))),
        picture.offset_data,
        picture.size,
        tuple(checked_caption(caption, where) for caption in captions),
    )
