"""Divergences against numbers worked by hand, their limits and identities, and their gradients."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, tensor
from torch.testing import assert_close

from captioning.divergences import (
    best_log_odds,
    discriminator_value,
    entropy,
    js,
    kl,
    log_odds,
    mixture,
    mutual_information,
    total_variation,
)
from captioning.errors import InputError
from captioning.lab.optimum import fit
from captioning.lab.worlds import random_world
from tests.support.builders import one_line

INFINITE = -math.inf
examples = settings(deadline=None, max_examples=40)
seeds, priors = st.integers(0, 2**32), st.floats(0.001, 0.999)


def log(*probabilities: float) -> Tensor:
    return tensor(probabilities, dtype=torch.float64).log()


def two_laws(seed: int) -> tuple[Tensor, Tensor]:
    """Log tables of two random worlds of one size; in three of five some words never occur."""
    generator = torch.Generator().manual_seed(seed)
    words, steps = 2 + seed % 3, 1 + seed % 2
    first, second = (random_world(words, steps, 1.5, generator).log_table for _ in "PQ")
    if seed % 5 < 3:
        first, second = (with_zeros(log_table, generator) for log_table in (first, second))
    return first, second


def with_zeros(log_table: Tensor, generator: torch.Generator) -> Tensor:
    never = torch.rand(log_table.shape, generator=generator) < 0.3
    never.view(-1)[0] = False
    masked = log_table.masked_fill(never, INFINITE)
    return masked - masked.flatten().logsumexp(0)


def test_log_odds_worked_by_hand() -> None:
    assert log_odds(0.5) == 0
    assert log_odds(0.75) == pytest.approx(math.log(3))
    assert log_odds(0.2) == pytest.approx(-math.log(4))
    assert log_odds(1e-300) == pytest.approx(-300 * math.log(10))


@pytest.mark.parametrize("prior", [0.0, 1.0, -0.1, 1.5, math.nan])
def test_a_prior_that_leaves_no_doubt_is_refused(prior: float) -> None:
    with pytest.raises(InputError, match=f"expected 0 < it < 1, got {prior}") as error:
        log_odds(prior)
    one_line(error)


def test_numbers_by_hand() -> None:
    p, q = log(0.5, 0.5), log(0.25, 0.75)
    assert entropy(p).item() == pytest.approx(math.log(2))
    assert kl(p, q).item() == pytest.approx(0.5 * math.log(4 / 3))
    assert kl(q, p).item() == pytest.approx(0.25 * math.log(1 / 2) + 0.75 * math.log(3 / 2))
    # M = 0.2 P + 0.8 Q = (0.3, 0.7)
    assert_close(mixture(p, q, 0.2), log(0.3, 0.7))
    assert total_variation(p, q).item() == pytest.approx(0.25)
    real = 0.5 * math.log(0.5 / 0.3) + 0.5 * math.log(0.5 / 0.7)
    generated = 0.25 * math.log(0.25 / 0.3) + 0.75 * math.log(0.75 / 0.7)
    assert js(p, q, 0.2).item() == pytest.approx(0.2 * real + 0.8 * generated)
    # Of what the first word is, 0.2 · 0.5 is real and 0.8 · 0.25 is generated.
    assert_close(best_log_odds(p, q, 0.2).sigmoid(), tensor([1 / 3, 1 / 7], dtype=torch.float64))
    coin = torch.zeros(2, dtype=torch.float64)
    assert discriminator_value(coin, p, q, 0.2).item() == pytest.approx(-math.log(2))


def test_mutual_information_by_hand() -> None:
    half = tensor([[0.5, 0.0], [0.0, 0.5]], dtype=torch.float64).log()
    assert mutual_information(half).item() == pytest.approx(math.log(2))
    table = tensor([[0.5, 0.1], [0.1, 0.3]], dtype=torch.float64)
    product = torch.outer(table.sum(1), table.sum(0))
    expected = (table * (table / product).log()).sum().item()
    assert mutual_information(table.log()).item() == pytest.approx(expected)
    assert mutual_information(product.log()).item() == pytest.approx(0, abs=1e-15)


def test_what_never_happens_costs_nothing_or_everything() -> None:
    p, q = log(1.0, 0.0, 0.0), log(0.25, 0.75, 0.0)
    assert entropy(p).item() == 0
    assert kl(p, q).item() == pytest.approx(math.log(4))
    assert kl(q, p).item() == math.inf
    assert best_log_odds(p, q, 0.5).tolist() == [pytest.approx(math.log(4)), INFINITE, 0]
    apart = log(1.0, 0.0, 0.0), log(0.0, 0.5, 0.5)
    for prior in (0.01, 0.5, 0.9):
        coin = entropy(log(prior, 1 - prior)).item()
        assert js(*apart, prior).item() == pytest.approx(coin)


@examples
@given(seeds)
def test_divergences_are_zero_between_equals_and_never_less(seed: int) -> None:
    p, q = two_laws(seed)
    for divergence in (kl, lambda p, q: js(p, q, 0.3)):
        assert divergence(p, p).item() == pytest.approx(0, abs=1e-14)
        assert divergence(p, q).item() > -1e-14
    # Pinsker's inequality.
    assert 2 * total_variation(p, q).item() ** 2 <= kl(p, q) + 1e-14


@examples
@given(seeds, priors)
def test_js_is_symmetric_when_the_prior_is_turned_too(seed: int, prior: float) -> None:
    p, q = two_laws(seed)
    assert js(p, q, prior).item() == pytest.approx(js(q, p, 1 - prior).item(), rel=0, abs=1e-10)


@examples
@given(seeds, priors)
def test_the_best_discriminator_reaches_js_less_the_entropy_of_the_prior_and_no_other_does(
    seed: int, prior: float
) -> None:
    p, q = two_laws(seed)
    best = best_log_odds(p, q, prior)
    most = (js(p, q, prior) - entropy(log(prior, 1 - prior))).item()
    reached = discriminator_value(best, p, q, prior).item()
    assert reached == pytest.approx(most, rel=0, abs=1e-10)
    noise = torch.randn(best.shape, generator=torch.Generator().manual_seed(seed)).double()
    assert discriminator_value(best + noise, p, q, prior).item() <= most + 1e-12


def test_a_discriminator_that_is_trained_arrives_at_the_best() -> None:
    generator = torch.Generator().manual_seed(0)
    p, q = (random_world(3, 2, 1.0, generator).log_table for _ in "PQ")
    logits = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    lost = fit(lambda: logits, [logits], lambda d: -discriminator_value(d, p, q, 0.2))
    most = (js(p, q, 0.2) - entropy(log(0.2, 0.8))).item()
    assert -lost == pytest.approx(most, rel=0, abs=1e-10)
    assert_close(logits.detach(), best_log_odds(p, q, 0.2), rtol=0, atol=1e-4)


def limit(values: list[float]) -> float:
    """Richardson's: the value at 0 of a smooth function, from those at h, h/2, h/4 …"""
    weight = 1
    while len(values) > 1:
        weight *= 2
        values = [
            (weight * nearer - further) / (weight - 1) for further, nearer in pairwise(values)
        ]
    return values[0]


@examples
@given(seeds)
def test_js_tends_to_either_kl_slowly(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    p, q = (random_world(3, 2, 0.3, generator).log_table for _ in "PQ")
    shares = [2.0**-power for power in range(8, 13)]
    covering = [js(p, q, share).item() / share for share in shares]
    seeking = [js(p, q, 1 - share).item() / share for share in shares]
    assert limit(covering) == pytest.approx(kl(p, q).item(), rel=0, abs=1e-10)
    assert limit(seeking) == pytest.approx(kl(q, p).item(), rel=0, abs=1e-10)
    # Slowly: half the share, half the error.
    first, second = (kl(p, q).item() - value for value in covering[:2])
    assert first / second == pytest.approx(2, rel=0.01)


def test_gradients_are_those_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = [torch.randn(6, generator=generator).double().requires_grad_() for _ in "PQ"]
    for divergence in (kl, lambda p, q: js(p, q, 0.1)):
        assert torch.autograd.gradcheck(
            lambda p, q, d=divergence: d(p.log_softmax(0), q.log_softmax(0)), scores
        )
    assert torch.autograd.gradcheck(lambda p: entropy(p.log_softmax(0)), scores[:1])


def test_what_never_happens_has_no_gradient_and_changes_none() -> None:
    wide = [log(0.5, 0.5, 0.0, 0.0).requires_grad_(), log(0.2, 0.3, 0.5, 0.0).requires_grad_()]
    narrow = [log(0.5, 0.5, 0.0).requires_grad_(), log(0.2, 0.3, 0.5).requires_grad_()]
    for divergence in (kl, lambda p, q: js(p, q, 0.3)):
        wider = torch.autograd.grad(divergence(*wide), wide)
        for gradient, expected in zip(
            wider, torch.autograd.grad(divergence(*narrow), narrow), strict=True
        ):
            assert gradient[3] == 0
            assert_close(gradient[:3], expected)
            assert expected.isfinite().all()


def test_a_prior_that_is_certain_is_refused() -> None:
    p = log(0.5, 0.5)
    for prior in (0.0, 1.0, math.nan):
        for function in (js, mixture, best_log_odds):
            with pytest.raises(InputError, match="prior"):
                function(p, p, prior)
