"""Ctrl-C, or a scheduler's signal, ends training after the current step with everything saved."""

from pathlib import Path
from types import FrameType
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback

from captioning.signals import Handlers, listen, restore

# Steps after which several processes ask one another, for which their GPUs have to wait.
EVERY = 10


class Interrupted(Exception):
    """Training was asked to stop and has saved a checkpoint from which it resumes exactly."""


class Interruption(Callback):
    """Saves `checkpoint` and raises Interrupted after the step during which a signal came.

    Several processes stop together, within `EVERY` steps. A second signal is not caught, and so
    ends the process at once.
    """

    def __init__(self, checkpoint: Path, accumulate: int = 1) -> None:
        self.checkpoint = checkpoint
        self.accumulate = accumulate
        self.asked = False
        self.previous: Handlers = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start to listen for signals."""
        self.previous = listen(self.ask)

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Remember to stop, and no longer catch signals."""
        self.asked = True
        restore(self.previous)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop between two steps of an epoch."""
        step, left_over = divmod(batch_idx + 1, self.accumulate)
        due = left_over == 0 and (trainer.world_size == 1 or step % EVERY == 0)
        if due and not trainer.is_last_batch and self.heard(trainer):
            trainer.save_checkpoint(self.checkpoint)
            raise Interrupted

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop between two epochs; a checkpoint was saved at the end of the last one."""
        if self.heard(trainer) and trainer.current_epoch > 0:
            raise Interrupted

    def heard(self, trainer: Trainer) -> bool:
        """Return whether any process was asked: a signal may reach one a step before the others."""
        return trainer.strategy.reduce_boolean_decision(self.asked, all=False)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop listening for signals."""
        restore(self.previous)
