"""The adversarial game: whose turn it is, what each player is shown, and what reaches whom."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from captioning.batch import Batch, Captions
from captioning.captioner import Captioner
from captioning.decoder import Decoder, Lrcn
from captioning.discriminator import Discriminator, RecurrentDiscriminator
from captioning.divergences import log_odds
from captioning.errors import InputError
from captioning.objectives.adversarial import Adversarial, Prior
from captioning.objectives.base import Loss
from captioning.objectives.estimators import Estimator
from captioning.objectives.policy_gradient import PolicyGradient
from captioning.objectives.straight_through import StraightThrough
from captioning.schedules import Progress
from captioning.text import END
from tests.support.builders import (
    DECODERS,
    DISCRIMINATORS,
    make_batch,
    make_captioner,
    make_captions,
    make_discriminator,
    one_line,
)

STEPS = 4
POLICY, RELAXED = PolicyGradient(3, "leave_one_out", STEPS), StraightThrough(samples=3, steps=STEPS)
each_estimator = pytest.mark.parametrize("estimator", [POLICY, RELAXED], ids=["policy", "relaxed"])
each_discriminator = pytest.mark.parametrize("kind", DISCRIMINATORS)
each_decoder = pytest.mark.parametrize("decoder", DECODERS)
each_turn = pytest.mark.parametrize("turn", ["discriminator", "captioner"])

# Longer than what is generated, so that the two are told apart.
REAL = [[4, 5, 6, 7, END], [8, 9, 4, 5, END]] * 50


def make_objective(
    captioner: Captioner,
    kind: type[Discriminator] = RecurrentDiscriminator,
    estimator: Estimator = POLICY,
    *,
    discriminator: dict[str, Any] | None = None,
    **options: Any,
) -> Adversarial:
    """With a discriminator in doubles, in training mode."""
    objective = Adversarial(
        lambda *_: make_discriminator(kind, **(discriminator or {})), estimator, **options
    )
    objective.prepare(captioner, {})
    return objective


def loss_of(
    objective: Adversarial, captioner: Captioner, turn: str, batch: Batch | None = None
) -> Loss:
    """The loss of a turn, always by the same draws."""
    torch.manual_seed(1)
    batch = make_batch() if batch is None else batch
    loss: Loss = objective(captioner, batch, turn=turn, progress=Progress(5, 0.5))
    return loss


def watch(objective: Adversarial) -> list[tuple[Captions, Tensor]]:
    """Filled with what the discriminator is shown and says of it."""
    seen: list[tuple[Captions, Tensor]] = []
    objective.discriminator.register_forward_hook(
        lambda module, inputs, logits: seen.append((inputs[1], logits))
    )
    return seen


def gradients(loss: Loss, module: torch.nn.Module) -> dict[str, Tensor | None]:
    """What a loss leaves at the weights of a module."""
    module.zero_grad()
    loss.value.backward(retain_graph=True)
    return {name: weight.grad for name, weight in module.named_parameters()}


def test_the_discriminator_plays_before_each_turn_of_the_captioner_and_more_before_the_first() -> (
    None
):
    objective = make_objective(make_captioner(Lrcn), discriminator_turns=2, warm_up=3)
    played = "".join(objective.turn(step)[0] for step in range(12))
    assert played == "ddd" + "ddc" * 3
    plain = make_objective(make_captioner(Lrcn))
    assert "".join(plain.turn(step)[0] for step in range(6)) == "dc" * 3


@pytest.mark.parametrize("options", [{"discriminator_turns": 0}, {"warm_up": -1}], ids=str)
def test_a_game_without_a_discriminator_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(InputError, match="discriminator_turns of 1 or more and a warm_up") as error:
        make_objective(make_captioner(Lrcn), **options)
    one_line(error)


def test_the_discriminator_is_made_for_the_captioner() -> None:
    captioner = make_captioner(Lrcn)
    objective = Adversarial(lambda *sizes: RecurrentDiscriminator(*sizes, 5, 5), POLICY)
    objective.prepare(captioner, {})
    discriminator = objective.get_submodule("discriminator")
    assert discriminator.get_submodule("embedding").weight.shape == (len(captioner.vocabulary), 5)
    assert discriminator.get_submodule("image").weight.shape == (5, 4)


@pytest.mark.parametrize("per_prefix", [False, True])
@each_estimator
@each_discriminator
@each_decoder
def test_a_turn_moves_its_own_player_and_no_other(
    decoder: type[Decoder], kind: type[Discriminator], estimator: Estimator, per_prefix: bool
) -> None:
    captioner = make_captioner(decoder)
    images = torch.randn(3, 3, 16, 16, dtype=torch.float64)
    batch = make_batch()._replace(images=images, features=None)
    objective = make_objective(captioner, kind, estimator, per_prefix=per_prefix)
    for turn, player, other in (
        ("discriminator", objective.discriminator, captioner),
        ("captioner", captioner, objective.discriminator),
    ):
        loss = loss_of(objective, captioner, turn, batch)
        other.zero_grad()
        own = gradients(loss, player)
        assert all(weight.grad is None for weight in other.parameters())
        assert all(gradient is not None and gradient.isfinite().all() for gradient in own.values())
        assert sum(gradient.abs().max() > 0 for gradient in own.values()) > 0.8 * len(own)
        assert not any(value.requires_grad for value in loss.logs.values())


@each_turn
@each_estimator
@each_discriminator
@each_decoder
def test_padding_changes_nothing_and_the_same_seed_gives_the_same_loss(
    decoder: type[Decoder], kind: type[Discriminator], estimator: Estimator, turn: str
) -> None:
    captioner = make_captioner(decoder)
    objective = make_objective(captioner, kind, estimator)
    loss = loss_of(objective, captioner, turn)
    again = loss_of(objective, captioner, turn)
    assert again.value.item() == loss.value.item()
    assert {name: value.item() for name, value in again.logs.items()} == {
        name: value.item() for name, value in loss.logs.items()
    }
    padded = loss_of(objective, captioner, turn, make_batch(make_captions(columns=3)))
    assert padded.value.item() == pytest.approx(loss.value.item(), rel=1e-12)


def shown(prior: Prior, seed: int = 1) -> tuple[list[Captions], list[Captions], Loss]:
    """The real captions that are shown in one turn, and the generated ones."""
    captioner = make_captioner(Lrcn)
    objective = make_objective(captioner, prior=prior)
    seen = watch(objective)
    batch = make_batch(make_captions(REAL, [0, 2] * 50))
    torch.manual_seed(seed)
    loss: Loss = objective(captioner, batch, turn="discriminator", progress=Progress(0, 0.0))
    real = [captions for captions, _ in seen if captions.lengths.max() > STEPS]
    return real, [captions for captions, _ in seen if captions.lengths.max() <= STEPS], loss


def test_by_logit_shift_every_caption_is_shown_with_a_generated_one_of_its_image() -> None:
    for chance in (0.01, 0.99):
        (real,), (generated,), _ = shown(Prior(chance, "logit_shift"))
        assert sorted(real.tokens.tolist()) == sorted(
            make_captions(REAL, [0] * 100).tokens.tolist()
        )
        owners = generated.image_index.tolist()
        assert sorted(owners) == sorted(real.image_index.tolist()) == [0] * 50 + [2] * 50


@pytest.mark.parametrize("chance", [0.1, 0.7])
def test_by_share_real_captions_are_shown_in_the_share_of_the_prior(chance: float) -> None:
    counts = []
    for seed in range(10):
        (real,), (generated,), _ = shown(Prior(chance, "share"), seed)
        assert len(real.lengths) + len(generated.lengths) == 100
        owners = torch.cat([real.image_index, generated.image_index])
        assert owners.bincount().tolist() == [50, 0, 50]
        counts.append(len(real.lengths))
    # 1,000 coins: four standard deviations are at most 0.058.
    assert sum(counts) / 1000 == pytest.approx(chance, abs=0.058)
    assert len(set(counts)) > 3


def test_by_share_all_may_be_real_or_none() -> None:
    (real,), none, loss = shown(Prior(1 - 1e-9, "share"))
    assert (len(real.lengths), none) == (100, [])
    assert torch.isfinite(loss.value)
    none, (generated,), loss = shown(Prior(1e-9, "share"))
    assert (none, len(generated.lengths)) == ([], 100)
    assert torch.isfinite(loss.value)
    assert all(torch.isfinite(value) for value in loss.logs.values())


@pytest.mark.parametrize("per_prefix", [False, True])
@pytest.mark.parametrize("by", ["share", "logit_shift"])
def test_the_discriminators_loss_is_its_cross_entropy(by: Any, per_prefix: bool) -> None:
    captioner = make_captioner(Lrcn)
    objective = make_objective(captioner, prior=Prior(0.6, by), per_prefix=per_prefix)
    seen = watch(objective)
    loss = loss_of(
        objective, captioner, "discriminator", make_batch(make_captions(REAL, [0] * 100))
    )
    losses, said = [], []
    for captions, logits in seen:
        table, real = captions.unpack(logits), captions.lengths.max() > STEPS
        for row, length in enumerate(captions.lengths.tolist()):
            judged = table[row, :length] if per_prefix else table[row, length - 1 : length]
            losses.append(functional.softplus(-judged if real else judged))
            said += [] if real else judged.tolist()
    assert loss.value.item() == pytest.approx(torch.cat(losses).mean().item())
    of_generated = sum(said) / len(said) - log_odds(objective.prior.shown)
    assert loss.logs["log_ratio"].item() == pytest.approx(of_generated)


def test_a_captioners_turn_is_judged_without_dropout_and_a_discriminators_own_with_it() -> None:
    captioner = make_captioner(Lrcn)
    sure = make_objective(captioner)
    doubtful = make_objective(captioner, discriminator={"dropout": 0.5})
    for turn, alike in (("captioner", True), ("discriminator", False)):
        one, other = (loss_of(each, captioner, turn).value.item() for each in (sure, doubtful))
        assert (one == other) is alike
    assert doubtful.discriminator.training


@each_discriminator
def test_a_captioners_turn_leaves_the_discriminator_as_it_was(kind: type[Discriminator]) -> None:
    captioner = make_captioner(Lrcn)
    objective = make_objective(captioner, kind, discriminator={"spectral_norm": True})
    for estimator in (POLICY, RELAXED):
        objective.estimator = estimator
        for turn, moved in (("captioner", False), ("discriminator", True)):
            before = {n: each.clone() for n, each in objective.discriminator.named_buffers()}
            loss_of(objective, captioner, turn).value.backward()
            after = objective.discriminator.named_buffers()
            assert before
            assert any(not torch.equal(each, before[name]) for name, each in after) is moved


@each_turn
def test_dropout_of_the_captioner_has_no_part_in_it(turn: str) -> None:
    captioner, dropping = make_captioner(Lrcn), make_captioner(Lrcn, dropout=0.5).train()
    objective = make_objective(captioner)
    expected = loss_of(objective, captioner, turn).value.item()
    assert loss_of(objective, dropping, turn).value.item() == expected
    assert dropping.decoder.dropout.training


@each_estimator
def test_the_captioner_is_told_of_its_words_and_the_discriminator_of_its_judgement(
    estimator: Estimator,
) -> None:
    captioner = make_captioner(Lrcn)
    objective = make_objective(captioner, estimator=estimator)
    told = {turn: loss_of(objective, captioner, turn).logs.keys() for turn in objective.turns}
    assert told["discriminator"] == {"accuracy", "calibration_error", "log_ratio"}
    assert {"reward", "entropy", "words", "distinct"} <= told["captioner"]
