"""`captioning features`: encode a data set with a frozen encoder, before training."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from captioning.commands.configuration import Parser
from captioning.commands.train import make_parser
from captioning.data.dataset import all_splits
from captioning.device import free_cores
from captioning.errors import InputError
from captioning.features import ADVICE, FeatureCache
from captioning.files import check_room
from captioning.training.trainer import quieten

# Settings that training requires and features do not depend on.
DEFAULTS = {
    "decoder": {"class_path": "captioning.decoder.ShowAndTell"},
    "objective": {"class_path": "captioning.objectives.teacher_forcing.TeacherForcing"},
}


def main(arguments: Sequence[str]) -> int:
    """Print what there is to do, check that there is room for it, and do it."""
    quieten()
    parser = features_parser()
    config = parser.read(arguments)
    torch.manual_seed(config.seed)  # for an encoder without weights, as in training
    built = parser.build(config)
    if not built.encoder.frozen:
        raise InputError(
            "the encoder is not frozen, so it has no features to keep: leave `captioning features` "
            "out, or set the encoder's frozen to true"
        )
    torch.set_float32_matmul_precision(built.matmul_precision)
    torch.set_num_threads(built.threads or free_cores(0))
    folder = Path(built.loading.feature_cache)
    caches = [
        FeatureCache(built.encoder, examples, folder, built.data.name)
        for examples in all_splits(built.data).values()
    ]
    check_disk(caches, folder)
    for cache in caches:
        cache.complete(built.loading.num_workers, built.renew)
        print(cache.file.path)
    return 0


def features_parser() -> Parser:
    """Build the parser: that of `captioning train`, but an objective is optional."""
    parser = make_parser()
    parser.prog = "captioning features"
    parser.description = (
        f"{__doc__} It takes the options of `captioning train`, which would do the same when it "
        "begins. Stopped, it goes on by the same command."
    )
    parser.set_defaults(DEFAULTS)
    parser.add_argument(
        "--renew", action="store_true", help="encode anew the images that have changed"
    )
    return parser


def check_disk(caches: Sequence[FeatureCache], folder: Path) -> None:
    """Refuse, before any work, a disk that is too small for all missing features."""
    present = next(each for each in (folder, *folder.parents) if each.exists())
    lacking = sum(cache.lacking for cache in caches)
    images = sum(len(cache.paths) for cache in caches)
    size = sum(cache.file.size for cache in caches)
    free = shutil.disk_usage(present).free
    print(
        f"{folder}: features of {images:,} images, {size:,} bytes in all; {lacking:,} of "
        f"{free:,} free bytes to take",
        file=sys.stderr,
    )
    check_room(present, lacking, ADVICE)
