"""Straight-through Gumbel-softmax: exact draws, a softmax's gradient, words fed as mixtures."""

import math

import pytest
import torch
from torch import Tensor

from captioning.batch import Captions
from captioning.decoder import Decoder, Lrcn
from captioning.errors import InputError
from captioning.objectives.estimators import Reward
from captioning.objectives.straight_through import StraightThrough, relaxed_sample, say_relaxed
from captioning.schedules import Constant, Linear, Progress
from captioning.text import BEGIN, END
from tests.support.builders import (
    DECODERS,
    VOCABULARY,
    make_captioner,
    make_features,
    one_line,
)
from tests.support.spoken import LIKELY, every_caption, place_in, said, surprise

each_decoder = pytest.mark.parametrize("kind", DECODERS)
LAW = torch.tensor([0.05, 0.5, 0.3, 0.0, 0.15], dtype=torch.float64)
WORTH = torch.linspace(-1, 2, len(VOCABULARY), dtype=torch.float64)


def worth(captions: Captions, mixtures: Tensor | None) -> Tensor:
    """What the words are worth together."""
    assert mixtures is not None
    return captions.unpack(mixtures @ WORTH).sum(1)


def worth_from_on(captions: Captions, mixtures: Tensor | None) -> Tensor:
    """What the words from each on are worth."""
    return captions.unpack(mixtures @ WORTH).flip(1).cumsum(1).flip(1)


@pytest.mark.parametrize("temperature", [0.01, 1.0, 10.0])
def test_draws_are_of_one_word_each_by_its_probability(temperature: float) -> None:
    torch.manual_seed(0)
    drawn = relaxed_sample(LAW.float().log().expand(20_000, 5), temperature)
    assert torch.equal(drawn, torch.nn.functional.one_hot(drawn.argmax(1), 5).float())
    assert surprise(drawn.argmax(1), LAW) < LIKELY


def jacobian(temperature: float, seed: int) -> tuple[Tensor, Tensor]:
    """One draw of three words, and its derivatives by their logits."""
    logits = torch.tensor([0.5, -0.3, 0.1], dtype=torch.float64)

    def draw(logits: Tensor) -> Tensor:
        torch.manual_seed(seed)
        return relaxed_sample(logits[None], temperature)[0]

    return draw(logits), torch.autograd.functional.jacobian(draw, logits)


def softmax_of(derivatives: Tensor, temperature: float) -> Tensor:
    """The soft words whose softmax has these derivatives, (diag(s) - s sᵀ) / temperature."""
    products = -temperature * derivatives
    a, b, c = products[0, 1], products[0, 2], products[1, 2]
    return torch.stack([a * b / c, a * c / b, b * c / a]).sqrt()


@pytest.mark.parametrize("seed", range(5))
def test_the_gradient_is_that_of_a_softmax_which_is_largest_at_the_word_drawn(seed: int) -> None:
    hard, derivatives = jacobian(0.7, seed)
    soft = softmax_of(derivatives, 0.7)
    torch.testing.assert_close(derivatives, (soft.diag() - soft.outer(soft)) / 0.7)
    assert soft.sum().item() == pytest.approx(1)
    assert soft.argmax() == hard.argmax()
    # A lower temperature sharpens the same noisy scores.
    sharper = softmax_of(jacobian(0.35, seed)[1], 0.35)
    torch.testing.assert_close(sharper, (2 * soft.log()).softmax(0))


def test_what_is_impossible_is_never_drawn_and_no_gradient_is_lost_to_it() -> None:
    log_probabilities = LAW.log().expand(100, 5).clone().requires_grad_()
    torch.manual_seed(0)
    (relaxed_sample(log_probabilities, 1.0) @ torch.arange(5.0).double()).sum().backward()
    gradient = log_probabilities.grad
    assert torch.isfinite(gradient).all()
    assert (gradient[:, 3] == 0).all()
    torch.testing.assert_close(gradient.sum(1), torch.zeros(100).double(), rtol=0, atol=1e-12)


@each_decoder
def test_mixtures_and_entropies_are_those_of_the_captions_in_their_order(
    kind: type[Decoder],
) -> None:
    captioner, features = make_captioner(kind), 3 * make_features()
    torch.manual_seed(0)
    image_index = torch.arange(3).repeat_interleave(20)
    captions, mixtures, entropies = say_relaxed(captioner, features, image_index, 4, 1.0)
    assert set(captions.lengths.tolist()) == {1, 2, 3, 4}
    assert captions.lengths.diff().max() <= 0
    assert sorted(captions.image_index.tolist()) == image_index.tolist()
    expected = torch.nn.functional.one_hot(captions.targets, len(VOCABULARY)).double()
    assert torch.equal(mixtures, expected)
    forced = captioner.decoder.log_probabilities(captioner(features, captions))
    expected = -(forced.exp() * forced).sum(1)
    torch.testing.assert_close(entropies, expected, rtol=0, atol=1e-12)


def test_captions_end_at_their_first_end() -> None:
    captioner = make_captioner(Lrcn)
    captions, mixtures, _ = say_relaxed(captioner, make_features(), torch.arange(3), 6, 1.0)
    assert len(mixtures) == captions.lengths.sum()
    for row, length in zip(captions.tokens.tolist(), captions.lengths.tolist(), strict=True):
        assert END not in row[: length - 1]
        assert length == 6 or row[length - 1] == END


@each_decoder
def test_captions_are_drawn_by_the_law_of_the_captioner(kind: type[Decoder]) -> None:
    captioner, features, every = make_captioner(kind), 3 * make_features(), every_caption(3)
    law = said(captioner, features[1:2], every).sum(1).exp()
    torch.manual_seed(0)
    image_index = torch.tensor([1, 2]).repeat(3000)
    with torch.no_grad():
        captions, _, _ = say_relaxed(captioner, features, image_index, 3, 0.5)
    drawn = place_in(every, captions)
    assert surprise(drawn[captions.image_index == 1], law) < LIKELY
    assert surprise(drawn[captions.image_index == 2], law) > LIKELY


@pytest.mark.parametrize("reward", [worth, worth_from_on])
def test_the_loss_is_minus_the_mean_reward_of_whole_captions(reward: Reward) -> None:
    captioner, features = make_captioner(Lrcn), make_features()
    torch.manual_seed(3)
    loss = StraightThrough(samples=4, steps=5).loss(captioner, features, reward, Progress(0, 0.0))
    torch.manual_seed(3)
    image_index = torch.arange(3).repeat_interleave(4)
    captions, _, _ = say_relaxed(captioner, features, image_index, 5, 1.0)
    earned = captions.unpack(WORTH[captions.targets]).sum(1)
    assert loss.value.item() == pytest.approx(-earned.mean().item())
    assert loss.logs["reward"].item() == pytest.approx(earned.mean().item())
    assert not any(value.requires_grad for value in loss.logs.values())


@each_decoder
def test_the_gradient_reaches_every_weight_and_the_features(kind: type[Decoder]) -> None:
    captioner, features = make_captioner(kind), make_features().requires_grad_()
    torch.manual_seed(0)
    loss = StraightThrough(samples=4, steps=5).loss(captioner, features, worth, Progress(0, 0.0))
    weights = [features, *captioner.decoder.parameters()]
    for gradient in torch.autograd.grad(loss.value, weights):
        assert torch.isfinite(gradient).all()
        assert gradient.abs().max() > 0


def test_a_word_is_moved_by_what_follows_it() -> None:
    """Only the second word earns: the gradient of the first goes through what was fed."""
    captioner, features = make_captioner(Lrcn), make_features(1)
    with torch.no_grad():
        captioner.decoder.output.bias[END] = -math.inf
    firsts = []

    def second(captions: Captions, mixtures: Tensor | None) -> Tensor:
        firsts.append(captions.tokens[0, 0])
        return (mixtures @ WORTH)[1:]

    torch.manual_seed(0)
    loss = StraightThrough(samples=1, steps=2).loss(captioner, features, second, Progress(0, 0.0))
    fed = captioner.decoder.embedding.weight
    (gradient,) = torch.autograd.grad(loss.value, fed)
    moved = gradient.abs().sum(1).nonzero().squeeze(1).tolist()
    assert moved == [BEGIN, firsts[0].item()]


def test_the_temperature_follows_its_schedule() -> None:
    estimator = StraightThrough(Linear(1.0, 0.9), samples=2, steps=3)
    for share, expected in ((0.0, 1.0), (0.5, 0.55), (1.0, 0.1)):
        loss = estimator.loss(make_captioner(Lrcn), make_features(), worth, Progress(7, share))
        assert loss.logs["temperature"].item() == pytest.approx(expected)


def test_dropout_has_no_part_in_it() -> None:
    values = []
    for captioner in (make_captioner(Lrcn), make_captioner(Lrcn, dropout=0.5).train()):
        torch.manual_seed(1)
        estimator = StraightThrough(samples=4, steps=5)
        loss = estimator.loss(captioner, make_features(), worth, Progress(0, 0.0))
        values.append(loss.value.item())
    assert values[0] == values[1]
    assert captioner.decoder.dropout.training


@pytest.mark.parametrize("temperature", [0.0, -0.5, math.nan])
def test_a_temperature_that_is_not_positive_is_refused(temperature: float) -> None:
    with pytest.raises(InputError, match=f"above 0 to the end, got {temperature:g}:") as error:
        StraightThrough(Constant(temperature), samples=2, steps=3)
    one_line(error)


def test_a_temperature_that_falls_to_zero_step_by_step_is_told_when_it_does() -> None:
    estimator = StraightThrough(Linear(slope=0.1, length=None), samples=2, steps=3)
    with pytest.raises(InputError, match="above 0 to the end, got 0:"):
        estimator.loss(make_captioner(Lrcn), make_features(), worth, Progress(10, 0.0))


@pytest.mark.parametrize("options", [{"samples": 0}, {"steps": 0}], ids=str)
def test_no_samples_and_no_steps_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(InputError, match="samples and steps of 1 or more, got"):
        StraightThrough(**options)
