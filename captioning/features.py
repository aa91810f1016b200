"""What a frozen encoder makes of a data set's pictures, computed once and kept on disk."""

import fcntl
import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float16
from torch.utils.data import DataLoader
from tqdm import tqdm

from captioning.data.image import ImageError, picture_status
from captioning.data.pictures import ImageFiles, StoredFeatures
from captioning.device import best_device
from captioning.encoder import Encoder
from captioning.errors import InputError

BATCH = 64


def cached_features(
    encoder: Encoder, paths: Sequence[Path], folder: Path, name: str, num_workers: int = 2
) -> Float16[np.ndarray, "m r d"]:
    """Give the features of these pictures, memory-mapped, in their order.

    One file holds them: `folder/name-KEY.npy`, where the key stands for the encoder's weights and
    settings and for the pictures' names, sizes and dates, so that a stale file is never read. It
    appears whole or not at all; a process that comes while another computes waits for it.
    """
    file = folder / f"{name}-{key(encoder, paths)}.npy"
    if not file.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with file.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not file.exists():
                    write_features(encoder, paths, file, num_workers)
        except OSError as error:
            raise InputError(
                f"features cannot be kept in {folder}: {error.strerror}; choose a folder that can "
                "be written with --loading.feature_cache"
            ) from error
    array: Float16[np.ndarray, "m r d"] = np.load(file, mmap_mode="r")
    return array


def key(encoder: Encoder, paths: Sequence[Path]) -> str:
    """Tell caches apart."""
    digest = hashlib.sha256(encoder.fingerprint().encode())
    for path in paths:
        digest.update(f"{path.name} {picture_status(path) or ()}\n".encode())
    return digest.hexdigest()[:16]


def write_features(encoder: Encoder, paths: Sequence[Path], file: Path, num_workers: int) -> None:
    """Run the encoder once over all pictures; rows of those that cannot be opened are NaN."""
    shape = (len(paths), encoder.regions, encoder.feature_size)
    size = 2 * np.prod(shape) / 2**20
    print(f"features of {len(paths):,} pictures: {size:,.0f} MiB in {file}", file=sys.stderr)
    device = best_device()
    encoder = encoder.to(device).eval()
    images = ImageFiles(paths, encoder.transform())
    # Lists pass through untouched: a bad picture may stand among the good ones.
    loader = DataLoader(images, BATCH, num_workers=num_workers, collate_fn=list)
    partial = file.with_suffix(f".{os.getpid()}.partial")
    array = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float16, shape=shape)
    start = 0
    try:
        with partial.open("r+b") as blocks:  # a full disk is told now, not by a signal later
            os.posix_fallocate(blocks.fileno(), 0, partial.stat().st_size)
        for pictures in tqdm(loader, desc="encoding", unit="batch", disable=None):
            good = [i for i, picture in enumerate(pictures) if not isinstance(picture, ImageError)]
            rows = np.full((len(pictures), *shape[1:]), np.nan, dtype=np.float16)
            if good:
                with torch.inference_mode():
                    features = encoder(torch.stack([pictures[i] for i in good]).to(device))
                rows[good] = features.half().cpu().numpy()
            array[start : start + len(pictures)] = rows
            start += len(pictures)
        array.flush()
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def open_pictures(
    encoder: Encoder, paths: Sequence[Path], folder: Path, name: str, num_workers: int
) -> ImageFiles | StoredFeatures:
    """Give the pictures as training takes them: as features where the encoder never changes."""
    if not encoder.frozen:
        return ImageFiles(paths, encoder.transform())
    array = cached_features(encoder, paths, folder, name, num_workers)
    return StoredFeatures(array, paths)
