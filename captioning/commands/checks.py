"""Checks before a run starts, while nothing is lost by refusing it."""

import itertools
import math
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from captioning.data.batching import TrainingBatches
from captioning.errors import InputError
from captioning.objectives.base import Objective
from captioning.runs import Run
from captioning.training import Optimisation

# Settings that a resumed run cannot change, unlike the length and speed of training.
ESSENTIAL = (
    "data",
    "encoder",
    "decoder",
    "objective",
    "loading.batch_size",
    "optimisation.optimizer.class_path",
    "from_run",
)


def check_folder(run: Run, config: Namespace) -> None:
    """Refuse, before any work, to touch an earlier run unless asked to."""
    if config.resume and config.overwrite:
        raise InputError("--resume continues a run, --overwrite deletes it: leave one out")
    for name in ("patience", "threads"):
        if config[name] is not None and config[name] < 1:
            raise InputError(f"--{name} must be 1 or more, or null, got {config[name]}")
    source = config.from_run and Path(config.from_run).resolve()
    if config.overwrite and source == run.folder.resolve():
        raise InputError(
            f"--from_run names {run.folder}, which --overwrite would delete: give --name NAME"
        )
    kept = [*run.checkpoint("last").parent.glob("*.ckpt"), *run.folder.glob("*.json")]
    if config.resume and not run.checkpoint("last").exists():
        raise InputError(f"nothing to resume: {run.folder} holds no checkpoint; leave out --resume")
    if kept and not (config.resume or config.overwrite):
        raise InputError(
            f"{run.folder} already holds a run: --resume continues it, --overwrite deletes it, "
            "--name NAME or another --seed makes a run beside it"
        )


def check_same(config: Namespace, earlier: Namespace, folder: Path) -> None:
    """Refuse to resume a run with essential settings of another."""
    ours, theirs = vars(config.as_flat()), vars(earlier.as_flat())
    unlike = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
    for key in unlike:
        if f"{key}.".startswith(tuple(f"{each}." for each in ESSENTIAL)):
            raise InputError(
                f"{folder} holds another run: its {key} is {theirs.get(key)!r}, not "
                f"{ours.get(key)!r}; --name NAME makes one beside it, --overwrite deletes it"
            )


def steps_of(
    trainer: dict[str, Any],
    patience: int | None,
    batches: TrainingBatches,
    optimisation: Optimisation,
) -> float:
    """Return the steps of a run whose captioner never improves; infinity if nothing ends it."""
    last = trainer["max_epochs"]
    epochs = [last] if last is not None and last >= 0 else []
    epochs += [] if patience is None else [1 + patience]
    steps = [trainer["max_steps"]] if trainer["max_steps"] >= 0 else []
    served = batches_of_epoch(trainer, len(batches))
    steps += [epoch * math.ceil(served / optimisation.accumulate) for epoch in epochs]
    return float(min(steps, default=math.inf))


def batches_of_epoch(trainer: dict[str, Any], available: int) -> int:
    """Count the batches that Lightning takes of those available: a number of them, or a share."""
    limit = trainer["overfit_batches"] or trainer["limit_train_batches"]
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
            f"the captioner would never play: its first turn is step {first + 1:,}, the run may "
            f"end after {steps:,.0f}; raise trainer.max_epochs or patience, or shorten the warm-up"
        )
