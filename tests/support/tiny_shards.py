"""Small images with captions, in shards of a few samples each."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from PIL import Image

from captioning.data import Shapes, Shards
from captioning.data.shard_writing import plan_shards, write_shards

Files = Sequence[tuple[str, bytes]]


def image(shade: int = 0, kind: str = "PNG") -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (32, 32), (shade, 0, 0)).save(content, kind)
    return content.getvalue()


def written(*captions: str, **more: object) -> bytes:
    return json.dumps({"captions": captions, **more}).encode()


def write_tar(path: Path, files: Files) -> Path:
    """A tar file as anybody's program may write it."""
    with tarfile.open(path, "w") as tar:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def make_shards(
    folder: Path, sizes: Sequence[int], captions: Sequence[str] = ("ant bee", "cat")
) -> list[Path]:
    """Shards of these many samples; the shade of an image is its place among all."""
    shards, place = [], 0
    for number, size in enumerate(sizes):
        files: list[tuple[str, bytes]] = []
        for _ in range(size):
            files += [(f"{place:04}.json", written(*captions)), (f"{place:04}.png", image(place))]
            place += 1
        shards.append(write_tar(folder / f"train-{number:03}.tar", files))
    return shards


def shapes_in_shards(world: Shapes, folder: Path, per_shard: int) -> Shards:
    """A shapes world in shards, each split in its order."""
    patterns: Mapping[str, str] = {}
    for split in world.sizes:
        plan = plan_shards(world.examples(split), folder, split, per_shard)
        write_shards(plan)
        patterns = {**patterns, split: f"{folder}/{split}-{{00000..{len(plan) - 1:05}}}.tar"}
    return Shards("shapes", dict(patterns))


def train_on(data: Shards, config: Path) -> None:
    """Have a configuration read these shards in two processes."""
    content = yaml.safe_load(config.read_text())
    settings = {"name": data.name, "shards": data.shards}
    content["data"] = {"class_path": "captioning.data.Shards", "init_args": settings}
    config.write_text(yaml.safe_dump(content))
