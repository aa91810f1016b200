"""How long a run is: its steps, and whether the captioner is ever trained and validated in them."""

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
    every = trainer["check_val_every_n_epoch"]  # None if validation does not follow epochs
    epochs += [] if patience is None or every is None else [every * (1 + patience)]
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


def check_length(
    objective: Objective,
    trainer: dict[str, Any],
    patience: int | None,
    optimisation: Optimisation,
    training: int,
    validation: int,
) -> None:
    """Refuse a run that would end before the captioner's first turn, or its first validation.

    `training` and `validation` are the numbers of batches that there are in an epoch.
    """
    check_turns(objective, steps_of(trainer, patience, training, optimisation))
    check_share(trainer, validation)
    steps = steps_of(trainer, None, training, optimisation)  # patience ends no run before
    first = first_validation(trainer, training, optimisation)
    if first > steps:
        raise InputError(
            f"the run would end after {steps:,.0f} steps, before its first validation after "
            f"{first:,}, which chooses the best checkpoint: train longer, validate earlier with "
            "--trainer.val_check_interval BATCHES, or not with --trainer.limit_val_batches 0"
        )


def check_turns(objective: Objective, steps: float) -> None:
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


def check_share(trainer: dict[str, Any], available: int) -> None:
    """Refuse a share of the validation batches that is less than one of them."""
    share = trainer["limit_val_batches"]
    if isinstance(share, float) and 0 < share * available < 1:
        raise InputError(
            f"--trainer.limit_val_batches: expected 0, or a share with at least one of {available} "
            f"batches, got {share}"
        )


def first_validation(trainer: dict[str, Any], available: int, optimisation: Optimisation) -> int:
    """Return the steps before the first validation; 0 if there is none or it depends on time."""
    interval = trainer["val_check_interval"]
    if trainer["limit_val_batches"] == 0 or not isinstance(interval, int | float | None):
        return 0
    served = batches_of_epoch(trainer, available)
    every = trainer["check_val_every_n_epoch"]
    if isinstance(interval, int) and every is not None and interval > served:
        raise InputError(
            f"--trainer.val_check_interval: expected at most the {served:,} batches of an epoch, "
            f"got {interval:,}; with --trainer.check_val_every_n_epoch null it may be longer"
        )
    share = 1.0 if interval is None else interval
    batches = interval if isinstance(interval, int) else max(1, int(served * share))
    epochs, rest = divmod(batches, served)
    each = math.ceil(served / optimisation.accumulate)
    return ((every or 1) - 1 + epochs) * each + rest // optimisation.accumulate
