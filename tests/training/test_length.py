"""How long a run is, and when it is first validated, as Lightning counts."""

import math
from typing import Any

import pytest

from captioning.errors import InputError
from captioning.objectives.teacher_forcing import TeacherForcing
from captioning.training.length import check_length, first_validation, steps_of
from captioning.training.module import Optimisation

USUAL: dict[str, Any] = {
    "max_epochs": 4,
    "max_steps": -1,
    "limit_train_batches": None,
    "limit_val_batches": None,
    "val_check_interval": None,
    "check_val_every_n_epoch": 1,
}
SELDOM = {"val_check_interval": 12, "check_val_every_n_epoch": None}


@pytest.mark.parametrize(
    ("options", "patience", "steps"),
    [
        ({}, None, 12),  # 5 batches, two for a step, the last alone
        ({}, 1, 6),
        ({"check_val_every_n_epoch": 2}, 0, 6),
        (SELDOM, 1, 12),
        ({"max_steps": 7}, None, 7),
        ({"limit_train_batches": 0.8}, None, 8),
        ({"max_epochs": -1}, None, math.inf),
    ],
)
def test_steps_are_counted(options: dict[str, Any], patience: int | None, steps: float) -> None:
    assert steps_of(USUAL | options, patience, 5, Optimisation(accumulate=2)) == steps


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({}, 3),
        ({"check_val_every_n_epoch": 3}, 9),
        ({"val_check_interval": 0.5}, 1),  # after two batches
        ({"val_check_interval": 4, "check_val_every_n_epoch": 2}, 5),
        (SELDOM, 7),  # two epochs and two batches
        ({"limit_train_batches": 2}, 1),
        ({"limit_val_batches": 0}, 0),
    ],
)
def test_the_first_validation_is_counted(options: dict[str, Any], steps: int) -> None:
    assert first_validation(USUAL | options, 5, Optimisation(accumulate=2)) == steps


def test_patience_ends_no_run_before_it_is_validated() -> None:
    forcing, trainer = TeacherForcing(), USUAL | SELDOM
    check_length(forcing, trainer, 1, Optimisation(), 5, 3)
    with pytest.raises(InputError, match="after 10 steps, before its first validation after 12"):
        check_length(forcing, trainer | {"max_epochs": 2}, 1, Optimisation(), 5, 3)
