"""Any configuration made tiny and trained as in earnest, but for the command and the run folder."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from jsonargparse import Namespace
from pytorch_lightning import Callback

from captioning.batch import Batch
from captioning.captioner import Captioner
from captioning.commands.train import make_parser
from captioning.data.dataset import Example
from captioning.loaders import build_vocabulary, training_batches
from captioning.training.module import CaptioningModule
from captioning.training.trainer import make_trainer

parser = cache(make_parser)  # a twentieth of a second each

TINY = {
    "sizes": {"train": 8, "val": 1, "test": 1},
    "channels": 8,
    "hidden_size": 8,
    "embedding_size": 8,
    "attention_size": 8,
    "samples": 5,
    "steps": 6,
    "warm_up": 1,
    "batch_size": 4,
    "num_workers": 0,
    "max_epochs": 2,
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "limit_val_batches": 0,
}


def read_tiny(
    files: Sequence[Path], folder: Path, options: Sequence[str] = (), **changes: object
) -> Namespace:
    """What these files say, and options as `captioning train` takes them.

    But for everything that has a size, and for `changes`, by last names. The shapes world that they
    are about is made in this folder.
    """
    config = parser().read(
        [*(word for file in files for word in ("--config", str(file))), *options]
    )
    values = TINY | {"folder": str(folder)} | changes
    for key in [*config.keys(), "data.init_args.sizes"]:
        name = key.split(".")[-1]
        if name in values:
            config[key] = values[name]
    return config


class Training:
    """A captioner with its objective, about to be trained on eight images.

    `seed` is that of the first weights, `draws` that of every step's draws; the images are those
    of the configuration unless given.
    """

    def __init__(
        self,
        config: Namespace,
        *,
        seed: int = 0,
        draws: int = 0,
        examples: Sequence[Example] | None = None,
    ) -> None:
        torch.manual_seed(seed)
        built = parser().build(config)
        examples = examples or built.data.examples("train")
        vocabulary = build_vocabulary(examples, built.loading)
        decoder = built.decoder(len(vocabulary), built.encoder.feature_size)
        self.captioner = Captioner(built.encoder, decoder, vocabulary)
        self.batches = training_batches(examples, self.captioner, built.loading, "tiny", 0)
        self.objective = built.objective
        self.objective.prepare(self.captioner, {each.image_id: each.captions for each in examples})
        self.module = CaptioningModule(
            self.captioner, self.objective, built.optimisation, built.validation, draws
        )
        self.options = vars(built.trainer) | {"use_distributed_sampler": False}

    def fit(self, *callbacks: Callback, checkpoint: Path | None = None, served: int = 0) -> None:
        """Train; with a checkpoint, go on after so many batches."""
        self.batches.load_state_dict({"served": served})
        trainer = make_trainer(self.options | {"callbacks": list(callbacks)})
        trainer.fit(
            self.module, self.batches, self.batches, ckpt_path=checkpoint, weights_only=True
        )

    def first_batch(self) -> Batch:
        self.batches.load_state_dict({"served": 0})
        return next(self.batches)
