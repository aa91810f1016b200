"""How long a run is: its steps, and whether the captioner ever gets a turn in them."""

import itertools
import math
from typing import Any

from captioning.errors import InputError
from captioning.objectives.base import Objective
from captioning.training.module import Optimisation


def steps_of(
    trainer: dict[str, Any], patience: int | None, available: int, optimisation: Optimisation
) -> float:
    """Return the steps of a run whose captioner never improves; infinity if nothing ends it.

    `available` is the number of batches in an epoch, of each process.
    """
    last = trainer["max_epochs"]
    epochs = [last] if last is not None and last >= 0 else []
    every = trainer["check_val_every_n_epoch"] or 1
    epochs += [] if patience is None else [every * (1 + patience)]
    steps = [trainer["max_steps"]] if trainer["max_steps"] >= 0 else []
    served = batches_of_epoch(trainer, available)
    steps += [epoch * math.ceil(served / optimisation.accumulate) for epoch in epochs]
    return float(min(steps, default=math.inf))


def batches_of_epoch(trainer: dict[str, Any], available: int) -> int:
    """Count the batches that Lightning takes of those available: a number of them, or a share."""
    limit = trainer["limit_train_batches"]
    if limit is None:
        return available
    return min(limit, available) if isinstance(limit, int) else int(limit * available)


def check_length(objective: Objective, steps: float) -> None:
    """Refuse a run that would end before the captioner's first turn, or has no such turn."""
    if "captioner" not in objective.turns:
        raise InputError(
            f"{type(objective).__name__}: expected 'captioner' among its turns, got "
            f"{objective.turns}; without a turn the captioner would never learn"
        )
    first = next(step for step in itertools.count() if objective.turn(step) == "captioner")
    if first >= steps:
        raise InputError(
            f"the captioner would never be trained: its first turn is step {first + 1:,}, the run "
            f"may end after {steps:,.0f}; raise trainer.max_epochs or patience, or warm up less"
        )
