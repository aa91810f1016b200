"""The LightningModule: steps worked by hand, the rates behind them, and the warning of collapse."""

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.plugins import MixedPrecision
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch import Tensor, nn, tensor
from torch.optim import SGD, Adam, Optimizer
from torch.utils.data import DataLoader

from captioning.batch import Batch
from captioning.captioner import Captioner
from captioning.decoder import ShowAndTell
from captioning.errors import InputError
from captioning.objectives.base import Loss, Objective
from captioning.schedules import Constant, Linear, Progress
from captioning.search import Greedy
from captioning.training.module import CaptioningModule, Optimisation, fused_adam
from tests.support.builders import make_batch, make_captioner, make_features, one_line

plain = partial(SGD, lr=1.0)


class Pull(Objective):
    """Two weights of the player's are pulled along the gradient (3, 4), which is 5 long.

    Tells of the captioner's turns, one by one, what it is given to tell.
    """

    turns = ("critic", "captioner")

    def __init__(self, told: Iterable[dict[str, Tensor]] = ()) -> None:
        super().__init__()
        self.critic = nn.Linear(2, 1, bias=False).double()
        nn.init.zeros_(self.critic.weight)
        self.told = iter(told)

    def forward(self, captioner: Captioner, batch: Batch, *, turn: str, progress: Progress) -> Loss:
        own = turn == "captioner"
        weights = weights_of(captioner) if own else self.critic.weight[0]
        return Loss(weights @ weights.new_tensor([3, 4]), next(self.told, {}) if own else {})


class Approach(Objective):
    """A weight comes near to what the features of the batch are, by the mean of the squares."""

    def forward(self, captioner: Captioner, batch: Batch, *, turn: str, progress: Progress) -> Loss:
        distances = weights_of(captioner)[0] - captioner.encode(batch)[:, 0, 0]
        return Loss(distances.square().mean(), {})


class Draws(Objective):
    """Writes down a number drawn at each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[float] = []

    def forward(self, captioner: Captioner, batch: Batch, *, turn: str, progress: Progress) -> Loss:
        self.drawn.append(torch.rand(()).item())
        return Loss(weights_of(captioner).sum(), {})


class Rates(Callback):
    """Writes down every step's learning rates, one for each group of weights."""

    def __init__(self) -> None:
        self.seen: list[list[float]] = []

    def on_before_optimizer_step(
        self, trainer: Trainer, module: LightningModule, optimizer: Optimizer
    ) -> None:
        self.seen.append([group["lr"] for group in optimizer.param_groups])


def weights_of(captioner: Captioner) -> Tensor:
    return captioner.decoder.output.bias[:2]


def make_module(
    objective: Objective,
    optimizer: Callable[[Iterable[Any]], Optimizer] = plain,
    seed: int = 0,
    **options: Any,
) -> CaptioningModule:
    optimisation = Optimisation(optimizer, **options)
    captioner = make_captioner(ShowAndTell).train()
    nn.init.zeros_(captioner.decoder.output.bias)
    return CaptioningModule(captioner, objective, optimisation, Greedy(), seed)


def fit(
    module: CaptioningModule, batches: Sequence[Batch], epochs: int = 1, **options: Any
) -> Trainer:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    keeping = {"enable_checkpointing": False, "limit_val_batches": 0}
    trainer = Trainer(accelerator="cpu", max_epochs=epochs, **quiet | keeping | options)
    loader = DataLoader(batches, batch_size=None, collate_fn=lambda batch: batch)  # type: ignore[arg-type]
    trainer.fit(module, loader, loader)
    return trainer


def moved(module: CaptioningModule) -> list[float]:
    """How far the captioner's two weights, which begin at zero, have come."""
    found: list[float] = weights_of(module.captioner).tolist()
    return found


@pytest.mark.parametrize(
    ("longest", "step"), [(1.0, (0.6, 0.8)), (2.5, (1.5, 2.0)), (6.0, (3, 4)), (None, (3, 4))]
)
def test_a_long_gradient_is_scaled_down_to_the_length_stated(
    longest: float | None, step: tuple[float, float]
) -> None:
    module = make_module(Pull(), gradient_norm=longest)
    trainer = fit(module, [make_batch()] * 2)
    assert moved(module) == pytest.approx([-each for each in step], rel=1e-5)
    assert module.objective.critic.weight[0].tolist() == pytest.approx(moved(module))
    logged = {name for name in trainer.callback_metrics if "gradient_norm" in name}
    assert logged == {"train/gradient_norm", "train/critic_gradient_norm"}
    assert all(trainer.callback_metrics[name] == pytest.approx(5) for name in logged)


def test_weights_that_no_player_has_are_refused() -> None:
    objective = Pull()
    objective.turns = ("captioner",)
    with pytest.raises(InputError, match=r"Pull: nobody would train critic\.weight"):
        make_module(objective)


def test_the_factor_of_the_schedule_reaches_every_group() -> None:
    rates = {"captioner": 0.1, "critic": 0.2}
    module = make_module(
        Pull(),
        schedule=Linear(),
        learning_rates=rates,
        encoder_learning_rate=0.01,
        gradient_norm=None,
    )
    seen = Rates()
    fit(module, [make_batch()] * 2, epochs=2, callbacks=[seen])
    expected = [[0.2], [0.1 * 0.75, 0.01 * 0.75], [0.2 * 0.5], [0.1 * 0.25, 0.01 * 0.25]]
    assert seen.seen == [pytest.approx(each) for each in expected]
    # Its turns were at ¾ and ¼ of the rate.
    assert moved(module) == pytest.approx([-0.3, -0.4])


def test_a_schedule_below_zero_is_refused() -> None:
    with pytest.raises(InputError, match=r"schedule must stay at 0 or more, got -0\.5"):
        make_module(Pull(), schedule=Constant(-0.5))
    module = make_module(Pull(), schedule=Linear(slope=0.75, floor=-9.0, length=None))
    with pytest.raises(InputError, match=r"schedule must stay at 0 or more, got -0\.5"):
        fit(module, [make_batch()] * 3)


def test_rates_reach_the_players_and_the_encoder_whose_they_are() -> None:
    def rates(**options: Any) -> list[list[float]]:
        optimizers = make_module(Pull(), **options).configure_optimizers()
        return [[group["lr"] for group in each.param_groups] for each in optimizers]

    assert rates() == [[1.0], [1.0, 1.0]]
    assert rates(learning_rates={"captioner": 0.1}) == [[1.0], [0.1, 0.1]]
    assert rates(learning_rates={"critic": 0.2}) == [[0.2], [1.0, 1.0]]
    assert rates(encoder_learning_rate=0.01) == [[1.0], [1.0, 0.01]]
    assert rates(learning_rates={"captioner": 0.1}, encoder_learning_rate=0.0) == [[1.0], [0.1, 0]]


def test_the_groups_are_the_weights_of_decoder_and_encoder_and_none_is_twice() -> None:
    module = make_module(Pull())
    captioner = module.captioner
    decoder, encoder = (group["params"] for group in module.groups("captioner"))
    assert {*decoder} == {*captioner.decoder.parameters()}
    assert {*encoder} == {*captioner.encoder.parameters()}
    captioner.encoder.requires_grad_(False)
    (alone,) = module.groups("captioner")
    assert {*alone["params"]} == {*decoder}


def approach(
    batches: Sequence[Sequence[float]], epochs: int, accumulate: int, **options: Any
) -> list[float]:
    """How many steps were made, and where the weight came from zero, at a rate of a tenth."""
    rate = partial(SGD, lr=0.1)
    module = make_module(Approach(), rate, gradient_norm=None, accumulate=accumulate)
    given = []
    for values in batches:
        features = make_features(len(values))
        features[:, 0, 0] = tensor(values)
        given.append(make_batch(features=features))
    trainer = fit(module, given, epochs, **options)
    return [trainer.global_step, moved(module)[0]]


def test_two_half_batches_make_the_step_of_one_whole() -> None:
    # The gradient is -2 · 3 at 0, then 2 · (0.6 - 3).
    assert approach([[1, 2, 3, 6]], epochs=2, accumulate=1) == [2, pytest.approx(1.08)]
    assert approach([[1, 2], [3, 6]], epochs=2, accumulate=2) == [2, pytest.approx(1.08)]
    assert approach([[1, 2], [3, 6]], epochs=1, accumulate=1)[0] == 2


def test_a_batch_left_over_at_the_end_of_an_epoch_makes_a_step_of_its_own() -> None:
    # By -(2 · 1 + 2 · 3) / 2 to 0.4, then by 2 · (0.4 - 5).
    assert approach([[1], [3], [5]], epochs=1, accumulate=2) == [2, pytest.approx(1.32)]
    assert approach([[1]], epochs=1, accumulate=4) == [1, pytest.approx(0.2)]


def test_validation_between_two_batches_of_a_step_changes_nothing() -> None:
    often: dict[str, Any] = {"val_check_interval": 1, "limit_val_batches": 1}
    batches = [[1, 2, 3], [4, 5, 6]]
    once = approach(batches, epochs=2, accumulate=2)
    assert approach(batches, epochs=2, accumulate=2, **often) == once


def test_a_loss_that_is_no_number_ends_training() -> None:
    with pytest.raises(InputError, match="the loss became nan at step 0: lower the learning") as e:
        approach([[1], [math.nan]], epochs=1, accumulate=2)
    one_line(e)


def half_precision() -> MixedPrecision:
    """As --trainer.precision 16-mixed sets it up on a GPU."""
    return MixedPrecision("16-mixed", "cpu")


def test_float16_gradients_are_measured_as_they_are() -> None:
    for optimizer in (plain, partial(Adam, fused=False), fused_adam):
        module = make_module(Pull(), optimizer)
        trainer = fit(module, [make_batch()] * 2, plugins=[half_precision()])
        assert trainer.callback_metrics["train/gradient_norm"] == pytest.approx(5)


@pytest.mark.parametrize("longest", [None, 1.0])
def test_a_fused_optimiser_makes_the_same_steps_of_float16_gradients(longest: float | None) -> None:
    """Not Adam, to which a gradient's length is nothing."""
    steps = []
    for fused in (False, True):
        optimizer = partial(SGD, lr=0.1, fused=fused)
        module = make_module(Pull(), optimizer, gradient_norm=longest)
        fit(module, [make_batch()] * 2, plugins=[half_precision()])
        steps.append(module.objective.get_parameter("critic.weight").detach())
    assert torch.equal(*steps)
    length = 0.5 if longest is None else 0.1
    assert steps[0].norm().item() == pytest.approx(length)


def test_what_is_drawn_depends_on_the_seed_the_number_of_the_batch_and_the_rank() -> None:
    def draws(seed: int, **options: Any) -> list[float]:
        torch.manual_seed(len(options))  # which counts for nothing
        objective = Draws()
        fit(make_module(objective, seed=seed), [make_batch()] * 2, epochs=2, **options)
        return objective.drawn

    first, again = draws(3), draws(3, log_every_n_steps=1)
    assert first == again
    second = SingleDeviceStrategy("cpu")  # of several processes, but it trains alone
    second.global_rank = 1
    others = draws(4), draws(3, strategy=second)
    every = [*first, *others[0], *others[1]]
    assert len(every) == len(set(every)) == 12


def collapses(entropies: Sequence[float]) -> int:
    """How often a collapse is told where every third turn of the captioner is looked at."""
    module = make_module(Pull({"entropy": tensor(each)} for each in entropies))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        fit(module, [make_batch()] * (2 * len(entropies)), log_every_n_steps=3)
    return sum("collapsed" in str(warning.message) for warning in told)


def test_a_run_tells_of_its_collapse_once_and_looks_for_it_now_and_then() -> None:
    assert collapses([0.5] * 7) == 0
    assert collapses([0.0] * 7) == 1
    assert collapses([0.5, 0.5, 0.5, 0.0, 0.0]) == 1
    assert collapses([0.5, 0.0, 0.0, 0.5, 0.0, 0.0]) == 0


def test_a_run_that_logs_nothing_does_not_look_for_a_collapse() -> None:
    module = make_module(Pull([{"entropy": tensor(0.0)}]))
    assert fit(module, [make_batch()] * 2, log_every_n_steps=0).global_step == 2
