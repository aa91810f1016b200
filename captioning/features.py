"""A frozen encoder's features of a data set's images, computed once and cached on disk."""

import fcntl
import hashlib
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float16
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from captioning.data.dataset import Example
from captioning.data.feature_file import ABSENT, MADE, UNMADE, FeatureFile, Seen, look
from captioning.data.image import ImageError, image_status
from captioning.data.inputs import ImageFiles, StoredFeatures
from captioning.device import best_device
from captioning.encoder import Encoder
from captioning.errors import InputError
from captioning.files import check_room

BATCH = 64
FORM = "2"  # version of the cache's format
SETTING = "--loading.feature_cache"
ADVICE = f"choose another {SETTING}"


class FeatureCache:
    """The features of a list of images, in one file of `folder`, whose name ends in their `key`.

    Each row is identified by the content of its image. Rows that are missing, or whose image
    could not be opened, are made as soon as there is a good one: that is how an interrupted run
    resumes and how a repaired image gets its features. Rows of images that have changed since
    are refused or, with `renew`, made again; a deleted image keeps its row.

    Images of unchanged size and date are taken to be unchanged, as in make and git; others are
    read and compared.
    """

    def __init__(
        self, encoder: Encoder, examples: Sequence[Example], folder: Path, name: str
    ) -> None:
        self.encoder = encoder
        self.paths = [example.image for example in examples]
        self.folder = folder
        shape = (len(examples), encoder.regions, encoder.feature_size)
        self.file = FeatureFile(folder / f"{name}-{key(encoder, examples)}.npy", shape)

    @property
    def lacking(self) -> int:
        """The bytes still to be allocated on disk."""
        with self.keeping():
            return 0 if self.file.exists() else self.file.size

    def to_do(self, renew: bool = False) -> list[int]:
        """Return the rows to make, in order; InputError if images have changed."""
        if not self.file.exists():
            return list(range(len(self.paths)))
        state, changed = self.file.index()["state"], self.changed()
        stale = np.flatnonzero((state == MADE) & changed)
        if len(stale) and not renew:
            more = f" and {len(stale) - 1:,} more images have" if len(stale) > 1 else " has"
            raise InputError(
                f"{self.paths[stale[0]]}{more} changed since {self.file.path} was made of it: "
                "restore the images, recompute their features by `captioning features --renew` "
                f"with the same configuration, or use another cache by {SETTING}"
            )
        wanted = (state == UNMADE) | changed
        rows: list[int] = np.flatnonzero(wanted).tolist()
        return rows

    def changed(self) -> Bool[np.ndarray, " m"]:
        """Return which rows were made from an image that has changed since."""
        index = self.file.index()
        known = np.stack([index["size"], index["date"]], axis=1)
        now = np.array([stamp(path) for path in self.paths])
        there = (now != ABSENT[:2]).any(1)
        differs = (index["state"] != UNMADE) & there & (now != known).any(1)
        doubtful = np.flatnonzero(differs).tolist()
        with ThreadPoolExecutor() as pool:
            looked = pool.map(look, [self.paths[row] for row in doubtful])
            bar = tqdm(looked, "comparing images", len(doubtful), disable=None, leave=False)
            seen = dict(zip(doubtful, bar, strict=True))
        same = {
            row: each for row, each in seen.items() if each.digest == index["digest"][row].item()
        }
        self.remember(same)
        changed = np.zeros(len(self.paths), dtype=bool)
        for row, each in seen.items():
            changed[row] = row not in same and each != ABSENT
        return changed

    def remember(self, same: dict[int, Seen]) -> None:
        """Store the new dates of unchanged images, so that they are not read again next time."""
        if same:
            with suppress(OSError):  # in a read-only folder they are compared every time
                index = self.file.index(writable=True)
                for row, seen in same.items():
                    index["date"][row] = seen.date

    def complete(self, num_workers: int, renew: bool = False) -> None:
        """Make the missing rows; if another process is making them, wait for it."""
        with self.keeping():
            if not self.to_do(renew):
                return
            self.folder.mkdir(parents=True, exist_ok=True)
            with self.file.path.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                rows = self.to_do(renew)
                if rows:
                    print(self.statement(len(rows)), file=sys.stderr)
                    check_room(self.folder, self.lacking, ADVICE)
                    begun = self.file.exists()
                    if not begun:
                        self.file.create()
                    try:
                        self.encode(rows, num_workers)
                    except InputError:
                        if not begun:  # nobody has use for what such an encoder made
                            self.file.remove()
                        raise

    def statement(self, rows: int) -> str:
        """Describe the work to do and the disk space it needs."""
        count, regions, size = self.file.shape
        free = shutil.disk_usage(self.folder).free
        return (
            f"{self.file.path}: {rows:,} of {count:,} images to encode, {regions:,} × {size:,} "
            f"half-precision numbers each; {self.lacking:,} of {free:,} free bytes to take"
        )

    def encode(self, rows: Sequence[int], num_workers: int) -> None:
        """Run the encoder over the batches that hold these rows.

        An image is always in the same batch, so that its features are the same to the last bit,
        however often the work is interrupted.
        """
        device = best_device()
        encoder = self.encoder.to(device).eval()
        wanted, count = set(rows), len(self.paths)
        starts = sorted({row - row % BATCH for row in rows})
        batches = [list(range(start, min(start + BATCH, count))) for start in starts]
        images = SeenImages(self.paths, ImageFiles(self.paths, encoder.transform()))
        loader = DataLoader(
            images,
            batch_sampler=batches,
            num_workers=num_workers,
            collate_fn=list,  # uncollated: bad images may be among good ones
            generator=torch.Generator(),  # so that training's random draws do not change
        )
        with tqdm(None, "encoding", count, initial=count - len(rows), disable=None) as bar:
            for batch, loaded in zip(batches, loader, strict=True):
                own = [place for place, row in enumerate(batch) if row in wanted]
                features = encode_batch(encoder, [image for _, image in loaded], device)
                seen = [loaded[place][0] for place in own]
                self.file.write([batch[place] for place in own], features[own], seen)
                bar.update(len(own))

    def read(self) -> StoredFeatures:
        """Map the finished features into memory."""
        with self.keeping():
            return StoredFeatures(self.file, self.paths)

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Turn an OSError into an InputError."""
        try:
            yield
        except OSError as error:
            raise InputError(
                f"features cannot be kept in {self.folder}: {error.strerror}; choose a folder that "
                f"can be written with {SETTING}"
            ) from error


class SeenImages(Dataset[tuple[Seen, Tensor | ImageError]]):
    """Images, each with the state of its file just before it was opened."""

    def __init__(self, paths: Sequence[Path], files: ImageFiles) -> None:
        self.paths = paths
        self.files = files

    def __getitem__(self, index: int) -> tuple[Seen, Tensor | ImageError]:
        return look(self.paths[index]), self.files[index]


def encode_batch(
    encoder: Encoder, images: Sequence[Tensor | ImageError], device: torch.device
) -> Float16[np.ndarray, "k r d"]:
    """Encode images; rows of bad ones, which a black image replaces, are NaN.

    Raises:
        InputError: A feature is not a number that float16 can hold.
    """
    good = [place for place, image in enumerate(images) if isinstance(image, Tensor)]
    shape = (len(images), encoder.regions, encoder.feature_size)
    rows = np.full(shape, np.nan, dtype=np.float16)
    if good:
        black = torch.zeros_like(next(each for each in images if isinstance(each, Tensor)))
        stack = [each if isinstance(each, Tensor) else black for each in images]
        with torch.inference_mode():
            features = encoder(torch.stack(stack).to(device))[good].half().cpu().numpy()
        if not np.isfinite(features).all():
            what = "no numbers" if np.isnan(features).any() else "beyond ±65,504"
            raise InputError(
                f"some of the encoder's features are {what}, which a cache of float16 cannot hold; "
                "give encoder.weights of a trained network"
            )
        rows[good] = features
    return rows


def stamp(path: Path) -> tuple[int, int]:
    """Return the size and date of a file, or those that stand for an absent one."""
    try:
        return image_status(path) or ABSENT[:2]
    except OSError:
        return ABSENT[:2]


def key(encoder: Encoder, examples: Sequence[Example]) -> str:
    """Hash what identifies a cache: the encoder, its transform and the images' ids.

    Paths and dates do not count. The transform is identified by its `repr`, without the memory
    addresses in it, which differ every time.
    """
    preparation = re.sub(r" at 0x[0-9a-f]+", "", repr(encoder.transform()))
    digest = hashlib.sha256(f"{FORM} {encoder.fingerprint()} {preparation}\n".encode())
    digest.update(f"{encoder.regions} {encoder.feature_size}\n".encode())
    for example in examples:
        digest.update(f"{example.image_id!r}\n".encode())
    return digest.hexdigest()[:16]


def open_inputs(
    encoder: Encoder, examples: Sequence[Example], folder: Path, name: str, num_workers: int
) -> ImageFiles | StoredFeatures:
    """Return the images to train on, or their features if the encoder is frozen."""
    if not encoder.frozen:
        return ImageFiles([example.image for example in examples], encoder.transform())
    cache = FeatureCache(encoder, examples, folder, name)
    cache.complete(num_workers)
    return cache.read()
