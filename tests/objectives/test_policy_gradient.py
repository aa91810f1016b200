"""The policy gradient: baselines against slow loops, the loss by hand and in expectation."""

import re
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from captioning.batch import Captions
from captioning.captioner import Captioner
from captioning.decoder import Decoder, Lrcn, ShowAndTell
from captioning.errors import InputError
from captioning.objectives.base import Loss
from captioning.objectives.estimators import Reward, complete, speak
from captioning.objectives.policy_gradient import PolicyGradient, mean_of_others, reinforce
from captioning.schedules import Progress
from captioning.text import END
from tests.support.builders import (
    DECODERS,
    VOCABULARY,
    make_captioner,
    make_captions,
    make_features,
    one_line,
)
from tests.support.spoken import every_caption, said

each_decoder = pytest.mark.parametrize("kind", DECODERS)
BASELINES = ("none", "mean", "leave_one_out", "greedy")
WORTH = torch.linspace(-1, 2, len(VOCABULARY), dtype=torch.float64)


def worth(captions: Captions, mixtures: Tensor | None) -> Tensor:
    """What the words are worth together, and ten for each image before the caption's own."""
    assert mixtures is None
    return captions.unpack(WORTH[captions.targets]).sum(1) + 10 * captions.image_index


def worth_from_on(captions: Captions, mixtures: Tensor | None) -> Tensor:
    """What the words from each on are worth."""
    words = captions.unpack(WORTH[captions.targets]) + captions.image_index[:, None]
    return words.flip(1).cumsum(1).flip(1)


REWARDS = pytest.mark.parametrize("reward", [worth, worth_from_on])


def loss_of(captioner: Captioner, reward: Reward = worth, **options: Any) -> Loss:
    """The loss on three images, always by the same draws."""
    torch.manual_seed(5)
    estimator = PolicyGradient(**({"samples": 4, "steps": 5} | options))
    return estimator.loss(captioner, make_features(), reward, Progress(0, 0.0))


def test_the_mean_of_others_is_what_a_loop_gives() -> None:
    rewards = torch.randn(9, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    groups = torch.tensor([2, 0, 5, 2, 2, 0, 3, 2, 3])
    for row, found in enumerate(mean_of_others(rewards, groups)):
        others = [rewards[o] for o in range(9) if o != row and groups[o] == groups[row]]
        expected = torch.stack(others).mean(0) if others else torch.zeros(3).double()
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_one_alone_in_its_group_has_the_baseline_zero() -> None:
    rewards = torch.tensor([[7.0], [3.0], [5.0]])
    assert mean_of_others(rewards, torch.tensor([1, 0, 0])).tolist() == [[0], [5], [3]]
    assert mean_of_others(rewards[:1], torch.tensor([0])).tolist() == [[0]]


def test_reinforce_worked_by_hand() -> None:
    log_likelihoods = torch.tensor([[-1.0, -2.0], [-3.0, 0.0]], requires_grad=True)
    of_captions = reinforce(log_likelihoods, torch.tensor([[2.0], [-1.0]]))
    assert of_captions.item() == -(2 * -3 + -1 * -3) / 2
    of_words = reinforce(log_likelihoods, torch.tensor([[1.0, 2.0], [3.0, 5.0]]))
    assert of_words.item() == -(-1 - 4 - 9) / 2
    (gradient,) = torch.autograd.grad(of_words, log_likelihoods)
    assert gradient.tolist() == [[-0.5, -1], [-1.5, -2.5]]


@each_decoder
def test_summed_over_all_captions_it_is_minus_the_gradient_of_the_mean_reward(
    kind: type[Decoder],
) -> None:
    captioner, features, every = make_captioner(kind), make_features(1), every_caption(3)
    words, rewards = said(captioner, features, every), worth(every, None)
    chances = words.sum(1).exp()
    weights = list(captioner.decoder.parameters())
    drawn_in_proportion = len(rewards) * chances.detach() * rewards
    loss = reinforce(words, drawn_in_proportion[:, None])
    estimated = torch.autograd.grad(loss, weights, retain_graph=True)
    exact = torch.autograd.grad(-chances @ rewards, weights)
    for one, other in zip(estimated, exact, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def baseline_by_loop(
    captioner: Captioner, captions: Captions, rewards: Tensor, baseline: str, reward: Reward
) -> list[Tensor]:
    """What each caption is expected to earn, one after another."""
    owners, rows = captions.image_index.tolist(), range(len(rewards))
    if baseline == "none":
        return [torch.zeros_like(rewards[0])] * len(rewards)
    if baseline == "greedy":
        return [earned_greedily(captioner, owner, reward) for owner in owners]
    others = [[o for o in rows if o != row] for row in rows]
    if baseline == "leave_one_out":
        others = [[o for o in each if owners[o] == owners[row]] for row, each in enumerate(others)]
    return [rewards[each].mean(0) for each in others]


def earned_greedily(captioner: Captioner, image: int, reward: Reward) -> Tensor:
    """What the caption of the likeliest words, said of this image alone, earns."""
    features = make_features()[image : image + 1]
    alone = speak(captioner, features, torch.tensor([0]), 5, lambda scores: scores.argmax(1))
    return reward(alone._replace(image_index=torch.tensor([image])), None)


@pytest.mark.parametrize(
    ("reward", "baseline"),
    [*product([worth], BASELINES), *product([worth_from_on], ["none", "mean", "leave_one_out"])],
)
@each_decoder
def test_the_loss_is_what_a_loop_over_captions_gives(
    kind: type[Decoder], reward: Reward, baseline: str
) -> None:
    captioner, features = make_captioner(kind), make_features()
    torch.manual_seed(5)
    captions = speak(captioner, features, torch.arange(3).repeat_interleave(4), 5)
    rewards, words = reward(captions, None), said(captioner, features, captions)
    expected = baseline_by_loop(captioner, captions, rewards, baseline, reward)
    loss = torch.zeros(()).double()
    for row in range(12):
        advantage = (rewards[row] - expected[row]).expand_as(words[row])
        for t in range(captions.lengths[row]):
            loss = loss - advantage[t] * words[row, t] / 12
    found = loss_of(captioner, reward, baseline=baseline)
    assert found.value.item() == pytest.approx(loss.item(), rel=1e-10)
    weights = list(captioner.decoder.parameters())
    pairs = zip(*(torch.autograd.grad(each, weights) for each in (loss, found.value)), strict=True)
    for one, other in pairs:
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


def test_rollouts_change_nothing_where_the_first_word_decides() -> None:
    captioner = make_captioner(Lrcn)

    def first(captions: Captions, mixtures: Tensor | None) -> Tensor:
        return WORTH[captions.tokens[:, 0]]

    for baseline in BASELINES:
        plain, rolled = (
            loss_of(captioner, first, baseline=baseline, rollouts=number) for number in (0, 2)
        )
        assert rolled.value.item() == pytest.approx(plain.value.item(), rel=1e-12)
        assert rolled.logs["reward"].item() == pytest.approx(plain.logs["reward"].item())


def test_a_word_earns_the_mean_of_its_completions_and_the_last_what_the_caption_earns() -> None:
    captioner, features = make_captioner(Lrcn), make_features()
    captions, estimator = make_captions(), PolicyGradient(steps=6, rollouts=3)
    rewards = worth(captions, None)[:, None]
    torch.manual_seed(2)
    found = estimator.roll_out(captioner, features, captions, rewards, worth)
    torch.manual_seed(2)
    completions, row, place = complete(captioner, features, captions, 3, 6)
    earned = worth(completions, None)
    for r, length in enumerate(captions.lengths.tolist()):
        assert found[r, length - 1] == rewards[r, 0]
        for t in range(length - 1):
            assert found[r, t].item() == pytest.approx(
                earned[(row == r) & (place == t)].mean().item()
            )


def test_captions_of_a_single_word_are_their_own_completions() -> None:
    captioner, captions = make_captioner(Lrcn), make_captions([[4], [END]], [0, 1])
    rewards = worth(captions, None)[:, None]
    estimator = PolicyGradient(steps=6, rollouts=3)
    found = estimator.roll_out(captioner, make_features(), captions, rewards, worth)
    assert torch.equal(found, rewards)


@pytest.mark.parametrize("options", [{"rollouts": 2}, {"baseline": "greedy"}], ids=str)
def test_what_is_for_whole_captions_is_refused_where_every_prefix_is_rewarded(
    options: dict[str, Any],
) -> None:
    with pytest.raises(
        InputError, match="but every prefix is rewarded: choose another estimator"
    ) as error:
        loss_of(make_captioner(Lrcn), worth_from_on, **options)
    one_line(error)


@REWARDS
def test_the_reward_shown_is_that_of_whole_captions(reward: Reward) -> None:
    captioner = make_captioner(Lrcn)
    torch.manual_seed(5)
    captions = speak(captioner, make_features(), torch.arange(3).repeat_interleave(4), 5)
    earned = reward(captions, None).view(12, -1)[:, 0].mean().item()
    logs = loss_of(captioner, reward).logs
    assert logs["reward"].item() == pytest.approx(earned)
    assert logs["words"].item() == pytest.approx((captions.tokens > END).sum().item() / 12)
    assert {"entropy", "distinct"} < logs.keys()


@pytest.mark.parametrize("baseline", BASELINES)
def test_dropout_has_no_part_in_it(baseline: str) -> None:
    expected = loss_of(make_captioner(Lrcn), baseline=baseline)
    captioner = make_captioner(Lrcn, dropout=0.5).train()
    assert loss_of(captioner, baseline=baseline).value.item() == expected.value.item()
    assert captioner.decoder.dropout.training


def test_the_reward_counts_as_a_constant() -> None:
    scale = torch.ones((), requires_grad=True)
    loss = loss_of(make_captioner(ShowAndTell), lambda captions, _: scale * worth(captions, None))
    loss.value.backward()
    assert scale.grad is None


def test_a_gradient_reaches_the_features() -> None:
    captioner, features = make_captioner(Lrcn), make_features().requires_grad_()
    torch.manual_seed(0)
    loss = PolicyGradient(4, steps=5).loss(captioner, features, worth, Progress(0, 0.0))
    (gradient,) = torch.autograd.grad(loss.value, features)
    assert (gradient.abs().amax((1, 2)) > 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 0}, "samples and steps of 1 or more .* got 0, 21 and 0"),
        ({"steps": 0}, "samples and steps of 1 or more .* got 5, 0 and 0"),
        ({"rollouts": -1}, "rollouts of 0 or more, got 5, 21 and -1"),
        ({"samples": 1}, "leave_one_out .* samples is 1: raise it or choose another baseline"),
    ],
    ids=str,
)
def test_what_cannot_be_estimated_is_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(InputError) as error:
        PolicyGradient(**options)
    assert re.search(message, one_line(error))


@pytest.mark.parametrize("baseline", ["none", "mean", "greedy"])
def test_one_sample_is_enough_for_other_baselines(baseline: str) -> None:
    loss = loss_of(make_captioner(Lrcn), samples=1, baseline=baseline)
    assert torch.isfinite(loss.value)
