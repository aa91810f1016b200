"""Ctrl-C, or a scheduler's SIGTERM, ends training at a step's end with everything saved."""

import signal
from pathlib import Path
from types import FrameType
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback

SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
        self.previous: dict[signal.Signals, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen."""
        self.previous = {number: signal.signal(number, self.ask) for number in SIGNALS}

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Remember to stop; let the next signal through."""
        self.asked = True
        self.restore()

    def restore(self) -> None:
        """Listen no longer."""
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Stop where a checkpoint is whole: between steps, and not between an epoch and its end."""
        between_steps = (trainer.fit_loop.epoch_loop.total_batch_idx + 1) % self.accumulate == 0
        # One process may hear of it a step before the others.
        asked = trainer.strategy.reduce_boolean_decision(self.asked, all=False)
        if asked and between_steps and not trainer.is_last_batch:
            trainer.save_checkpoint(self.checkpoint)
            raise Interrupted

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the signals back."""
        self.restore()
