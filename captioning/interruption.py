"""Ctrl-C, or a scheduler's signal, ends training at a step's end with everything saved."""

from pathlib import Path
from types import FrameType
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback

from captioning.signals import Handlers, listen, restore


class Interrupted(Exception):
    """Training was asked to stop, and has saved a checkpoint that it resumes from exactly."""


class Interruption(Callback):
    """Saves `checkpoint` and raises Interrupted after the step in which a signal came.

    A second signal ends the process at once, as if nothing caught it.
    """

    def __init__(self, checkpoint: Path, accumulate: int = 1) -> None:
        self.checkpoint = checkpoint
        self.accumulate = accumulate
        self.asked = False
        self.previous: Handlers = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen."""
        self.previous = listen(self.ask)

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Remember to stop; let the next signal through."""
        self.asked = True
        restore(self.previous)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop between two steps of an epoch."""
        between_steps = (batch_idx + 1) % self.accumulate == 0
        if self.heard(trainer) and between_steps and not trainer.is_last_batch:
            trainer.save_checkpoint(self.checkpoint)
            raise Interrupted

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop between two epochs; the end of the last one has left a checkpoint."""
        if self.heard(trainer) and trainer.current_epoch > 0:
            raise Interrupted

    def heard(self, trainer: Trainer) -> bool:
        """Say whether any process was asked: one may hear of it a step before the others."""
        return trainer.strategy.reduce_boolean_decision(self.asked, all=False)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen no longer."""
        restore(self.previous)
