"""Schedules: the published formulas, worked by hand."""

import math

import pytest

from captioning.errors import InputError
from captioning.schedules import (
    Constant,
    Cosine,
    Decay,
    Exponential,
    InverseSigmoid,
    Linear,
    Progress,
    Schedule,
)


def at_step(schedule: Schedule, step: int) -> float:
    """The value at a mini-batch, the share of the run being another one."""
    return schedule.at(Progress(step, 0.123))


def at_share(schedule: Schedule, share: float) -> float:
    """The value at a share of the run, the step being another one."""
    return schedule.at(Progress(789, share))


def test_a_constant_never_changes() -> None:
    assert at_step(Constant(0.25), 10**6) == at_share(Constant(0.25), 1.0) == 0.25


@pytest.mark.parametrize(
    ("step", "value"), [(0, 0.9), (1, 0.88), (10, 0.7), (35, 0.2), (36, 0.2), (10**9, 0.2)]
)
def test_linear_decay_counts_mini_batches_down_to_its_floor(step: int, value: float) -> None:
    schedule = Linear(start=0.9, slope=0.02, floor=0.2, length=None)
    assert at_step(schedule, step) == pytest.approx(value)


@pytest.mark.parametrize(("step", "value"), [(0, 1), (1, 0.5), (2, 0.25), (10, 1 / 1024)])
def test_exponential_decay_multiplies_by_its_base_at_each_mini_batch(
    step: int, value: float
) -> None:
    assert at_step(Exponential(base=0.5, length=None), step) == pytest.approx(value)


@pytest.mark.parametrize(
    ("k", "step", "value"),
    [
        (1, 0, 1 / 2),
        (1, 1, 1 / (1 + math.e)),
        (10, 0, 10 / 11),
        (10, 10, 10 / (10 + math.e)),
        (10, 100, 10 / (10 + math.exp(10))),
        (4, 8 * math.log(2), 1 / 2),
    ],
)
def test_inverse_sigmoid_decay_is_as_published(k: float, step: float, value: float) -> None:
    schedule = InverseSigmoid(k=float(k), length=None)
    assert at_step(schedule, step) == pytest.approx(value)  # a step between two: i = k ln k


def test_over_the_run_i_goes_from_zero_to_the_length() -> None:
    assert at_share(Linear(start=1.0, slope=0.75, length=1.0), 0.5) == pytest.approx(0.625)
    assert at_share(Exponential(base=0.5, length=4.0), 0.5) == pytest.approx(0.25)
    assert at_share(InverseSigmoid(k=2.0, length=8.0), 0.25) == pytest.approx(2 / (2 + math.e))
    by_step = InverseSigmoid(k=50.0, length=None).at(Progress(300, 0.0))
    by_share = InverseSigmoid(k=50.0, length=1000.0).at(Progress(0, 0.3))
    assert by_share == pytest.approx(by_step)


@pytest.mark.parametrize(
    "schedule",
    [
        Linear(length=None),
        Linear(slope=0.01, floor=0.3),
        Exponential(base=0.999, length=None),
        Exponential(),
        InverseSigmoid(k=1.0, length=None),
        InverseSigmoid(),
        InverseSigmoid(k=2.5, length=20.0),
    ],
)
def test_decays_never_rise_and_stay_within_zero_and_one(schedule: Schedule) -> None:
    whole = [Progress(step, min(step / 10**7, 1)) for step in (0, 1, 5, 10**3, 10**5, 10**7, 10**9)]
    values = [schedule.at(progress) for progress in whole]
    assert values == sorted(values, reverse=True)
    assert 0 <= values[-1] <= values[0] <= 1


@pytest.mark.parametrize(
    ("share", "value"),
    [(0, 0), (0.1, 0.5), (0.2, 1), (0.4, 0.1 + 0.9 * (2 + 2**0.5) / 4), (0.6, 0.55), (1, 0.1)],
)
def test_a_cosine_rises_through_its_warm_up_then_falls_to_its_floor(
    share: float, value: float
) -> None:
    assert at_share(Cosine(start=1.0, floor=0.1, warm_up_share=0.2), share) == pytest.approx(value)


def test_a_cosine_without_warm_up_begins_at_its_start() -> None:
    schedule = Cosine(start=2.0)
    assert [at_share(schedule, share) for share in (0, 0.5, 1)] == pytest.approx([2, 1, 0])


@pytest.mark.parametrize("kind", [Linear, Exponential, InverseSigmoid])
@pytest.mark.parametrize("length", [-1.0, 0.0, math.nan, math.inf])
def test_a_length_that_is_not_positive_is_refused(kind: type[Decay], length: float) -> None:
    with pytest.raises(InputError, match=rf"positive, or null for steps, got {length:g}"):
        kind(length=length)


def test_the_values_of_the_whole_run_are_checked() -> None:
    seen: list[float] = []
    Cosine(start=1.5, warm_up_share=0.25).check(seen.append)
    assert (seen[0], max(seen), seen[-1]) == (0, 1.5, 0)


@pytest.mark.parametrize("base", [-0.5, 0.0, 1.0, 1.5, math.nan])
def test_an_exponential_that_does_not_decay_is_refused(base: float) -> None:
    with pytest.raises(InputError, match=rf"0 < base < 1, got {base}"):
        Exponential(base=base)


@pytest.mark.parametrize("k", [0.99, 0.0, -3.0, math.nan, math.inf])
def test_an_inverse_sigmoid_below_one_is_refused(k: float) -> None:
    with pytest.raises(InputError, match=rf"k >= 1, got {k}"):
        InverseSigmoid(k=k)


@pytest.mark.parametrize("name", ["start", "slope", "floor"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_line_that_is_not_finite_is_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"finite start, slope and floor, got .*{value}"):
        Linear(**{name: value})


@pytest.mark.parametrize("share", [-0.1, 1.0, 2.0])
def test_a_warm_up_as_long_as_the_run_is_refused(share: float) -> None:
    with pytest.raises(InputError, match=rf"0 <= warm_up_share < 1, got {share}"):
        Cosine(warm_up_share=share)
