"""Rewards: by hand, in their limits, and as gradients of the divergences whose names they bear."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from captioning.divergences import js, kl, log_odds
from captioning.objectives.log_ratio import RewardName, reward

priors = st.floats(0.01, 0.99)
examples = settings(deadline=None, max_examples=25)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        # P/Q is 3 and π/(1-π) is 1/3, so that the caption is real or not alike: D = ½.
        ("js", math.log(2) / 0.25),
        ("log_d", -math.log(2)),
        ("reverse_kl", math.log(3)),
        ("likelihood", 3.0),
    ],
)
def test_rewards_worked_by_hand(kind: RewardName, expected: float) -> None:
    log_ratio = torch.tensor([[3.0, 3.0]]).log()
    torch.testing.assert_close(reward(kind, log_ratio, 0.25), torch.full((1, 2), expected))


def test_a_small_prior_gives_the_reward_of_the_likelihood() -> None:
    log_ratio = torch.linspace(-5, 5, 11, dtype=torch.float64)
    found = reward("js", log_ratio, 1e-9)
    torch.testing.assert_close(found, log_ratio.exp(), rtol=1e-6, atol=0)
    torch.testing.assert_close(found, reward("likelihood", log_ratio, 0.3), rtol=1e-6, atol=0)


def test_a_large_prior_gives_the_reward_of_reverse_kl_but_for_a_constant() -> None:
    log_ratio = torch.linspace(-5, 5, 11, dtype=torch.float64)
    prior = 1 - 1e-9
    found = reward("js", log_ratio, prior) - log_odds(prior)
    torch.testing.assert_close(found, reward("reverse_kl", log_ratio, 0.3), rtol=0, atol=1e-6)


def test_captions_that_are_surely_real_or_surely_not_earn_finite_rewards() -> None:
    log_ratio = torch.tensor([-1000.0, 1000.0])
    assert reward("js", log_ratio, 0.5).tolist() == [0, 2000]
    assert reward("log_d", log_ratio, 0.5).tolist() == [-1000, 0]


def gradients(
    logits: Tensor,
    log_p: Tensor,
    kind: RewardName,
    prior: float,
    target: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """The policy gradient E_Q[reward ∇ log Q], and minus the gradient of the target divergence."""
    log_q = logits.log_softmax(0)
    earned = reward(kind, log_p - log_q, prior).detach()
    climbed = torch.autograd.grad((log_q.exp().detach() * earned * log_q).sum(), logits)[0]
    return climbed, -torch.autograd.grad(target(logits.log_softmax(0)), logits)[0]


@examples
@given(st.integers(0, 2**32), priors)
def test_each_reward_descends_its_divergence(seed: int, prior: float) -> None:
    torch.manual_seed(seed)
    log_p = torch.randn(6, dtype=torch.float64).log_softmax(0)
    logits = torch.randn(6, dtype=torch.float64, requires_grad=True)
    targets: dict[RewardName, Callable[[Tensor], Tensor]] = {
        "js": lambda log_q: js(log_p, log_q, prior) / (prior * (1 - prior)),
        "reverse_kl": lambda log_q: kl(log_q, log_p),
        "likelihood": lambda log_q: kl(log_p, log_q),
        # Arjovsky & Bottou 2017, theorem 2.5, for any prior.
        "log_d": lambda log_q: kl(log_q, log_p) - js(log_p, log_q, prior) / (1 - prior),
    }
    for kind, target in targets.items():
        climbed, descended = gradients(logits, log_p, kind, prior, target)
        assert descended.abs().max() > 1e-6
        torch.testing.assert_close(climbed, descended, rtol=0, atol=1e-10)


@examples
@given(st.integers(0, 2**32), priors)
def test_the_truth_gains_nothing_by_any_change(seed: int, prior: float) -> None:
    torch.manual_seed(seed)
    logits = torch.randn(6, dtype=torch.float64, requires_grad=True)
    log_p = logits.detach().log_softmax(0)
    for kind in ("js", "reverse_kl", "likelihood", "log_d"):
        climbed, _ = gradients(logits, log_p, kind, prior, lambda log_q: log_q.sum())
        assert climbed.abs().max() < 1e-12
