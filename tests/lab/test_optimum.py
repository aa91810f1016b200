"""The least of a divergence: found where it is known, and from the best of several starts."""

import pytest
import torch
from torch import Generator, Tensor, tensor
from torch.testing import assert_close

from captioning.divergences import entropy, js, kl
from captioning.lab.optimum import Family, best_of, fit
from captioning.lab.worlds import random_world


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def scores(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.float64, requires_grad=True)


def test_a_family_that_has_the_truth_finds_it() -> None:
    truth = random_world(3, 2, 1.5, seeded()).log_table
    for divergence in (
        lambda q: kl(truth, q),
        lambda q: kl(q, truth),
        lambda q: js(truth, q, 0.1) / 0.09,
    ):
        free = scores(3, 3)
        value = fit(lambda s=free: s.flatten().log_softmax(0).reshape(3, 3), [free], divergence)
        assert value == pytest.approx(0, abs=1e-10)
        assert_close(free.flatten().softmax(0), truth.exp().flatten(), rtol=0, atol=1e-5)


def test_independent_words_lose_the_information_between_them() -> None:
    world = random_world(3, 3, 1.5, seeded())
    places = scores(3, 3)

    def independent() -> Tensor:
        first, second, third = places.log_softmax(1)
        return first[:, None, None] + second[:, None] + third

    found = fit(independent, [places], lambda q: kl(world.log_table, q))
    marginals = [world.table.sum(axes) for axes in ((1, 2), (0, 2), (0, 1))]
    lost = sum(entropy(each.log()).item() for each in marginals) - entropy(world.log_table).item()
    assert found == pytest.approx(lost, abs=1e-10)


def test_a_minimum_at_infinity_is_neared() -> None:
    certain = tensor([1.0, 0.0], dtype=torch.float64).log()
    free = scores(2)
    assert 0 <= fit(lambda: free.log_softmax(0), [free], lambda q: kl(certain, q)) < 1e-9


def test_of_several_starts_the_best_is_kept() -> None:
    # Two valleys: the better near -1.
    def valleys(x: Tensor) -> Tensor:
        return ((x**2 - 1) ** 2 + 0.3 * x).sum()

    def make(generator: Generator) -> Family:
        x = torch.randn(1, generator=generator, dtype=torch.float64).requires_grad_()
        return Family(lambda: x, [x])

    ends = [fit(*make(seeded(seed)), valleys) for seed in range(6)]
    assert max(ends) > 0 > min(ends)
    value, family = best_of(make, valleys, 6, seeded())
    assert value == pytest.approx(min(ends))
    assert family.log_table().item() == pytest.approx(-1.0356, abs=1e-3)
