"""Small worlds: laws that sum to one, and that are what their makers promise."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, tensor
from torch.testing import assert_close

from captioning.divergences import entropy, mutual_information
from captioning.errors import InputError
from captioning.lab.worlds import World, random_world, two_words

examples = settings(deadline=None, max_examples=20)
seeds = st.integers(0, 2**32)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def law(*rows: list[float]) -> Tensor:
    return tensor(rows, dtype=torch.float64)


def test_prefixes_and_conditionals_by_hand() -> None:
    world = World("by hand", law([0.5, 0.1], [0.1, 0.3]))
    assert (world.words, world.steps) == (2, 2)
    assert_close(world.prefixes(0), tensor(1.0).double())
    assert_close(world.prefixes(1), tensor([0.6, 0.4], dtype=torch.float64))
    assert_close(world.prefixes(2), world.table)
    assert_close(world.conditional(0), world.prefixes(1))
    assert_close(world.conditional(1), law([5 / 6, 1 / 6], [1 / 4, 3 / 4]))


def test_after_what_never_occurs_every_word_is_as_likely() -> None:
    world = World("one word", law([0.5, 0.5], [0.0, 0.0]))
    assert_close(world.conditional(1), law([0.5, 0.5], [0.5, 0.5]))
    assert world.log_table[1].tolist() == [-math.inf, -math.inf]


@examples
@given(seeds, st.integers(2, 4), st.integers(1, 4), st.floats(0, 5))
def test_the_law_is_the_product_of_its_conditionals(
    seed: int, words: int, steps: int, spread: float
) -> None:
    world = random_world(words, steps, spread, seeded(seed))
    assert (world.words, world.steps) == (words, steps)
    product = torch.ones((), dtype=torch.float64)
    for t in range(steps):
        product = product.unsqueeze(-1) * world.conditional(t)
    assert_close(product, world.table)
    assert_close(world.table.sum().item(), 1.0)


def test_samples_come_as_often_as_they_should_and_again_with_the_same_seed() -> None:
    world = World("by hand", law([0.5, 0.2], [0.0, 0.3]))
    drawn = world.sample(20_000, seeded())
    assert drawn.shape == (20_000, 2)
    often = (2 * drawn[:, 0] + drawn[:, 1]).bincount(minlength=4) / 20_000
    # Four standard errors of a share near one half.
    assert_close(often.double(), world.table.flatten(), rtol=0, atol=0.014)
    assert often[2] == 0
    assert torch.equal(drawn, world.sample(20_000, seeded()))


def test_no_spread_is_uniform_and_the_same_seed_gives_the_same_world() -> None:
    assert_close(random_world(3, 2, 0.0, seeded()).table, torch.full((3, 3), 1 / 9).double())
    first, second, other = (random_world(3, 2, 1.5, seeded(seed)).table for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@examples
@given(seeds, st.integers(2, 6), st.floats(0, 1))
def test_two_words_share_just_the_information_asked_for(
    seed: int, words: int, share: float
) -> None:
    information = share * math.log(words)
    world = two_words(words, information, seeded(seed))
    found = mutual_information(world.log_table).item()
    assert found == pytest.approx(information, abs=1e-12)


def test_all_information_makes_the_second_word_a_function_of_the_first() -> None:
    table = two_words(5, math.log(5), seeded()).table
    assert_close(table.amax(0), torch.full((5,), 0.2).double())
    assert_close(table.amax(1), torch.full((5,), 0.2).double())


def test_a_wider_spread_leaves_less_entropy() -> None:
    entropies = [entropy(random_world(4, 3, s, seeded()).log_table).item() for s in (0.0, 1.0, 4.0)]
    assert entropies == sorted(entropies, reverse=True)
    assert entropies[0] == pytest.approx(3 * math.log(4))


def test_what_is_no_law_is_refused() -> None:
    for table, words in (
        (law([0.5, 0.5, 0.0], [0.0, 0.0, 0.0]), "as many words at each step, got (2, 3)"),
        (law([0.5, 0.4], [0.0, 0.0]), "a sum of 0.9"),
        (law([1.5, -0.5], [0.0, 0.0]), "a least one of -0.5"),
        (law([math.nan, 0.5], [0.0, 0.5]), "a sum of nan"),
        (tensor(1.0).double(), "words >= 2 and steps >= 1, got 0 and 0"),
    ):
        with pytest.raises(InputError) as refusal:
            World("wrong", table)
        assert words in str(refusal.value)


def test_worlds_that_cannot_be_are_refused() -> None:
    for make, words in (
        (lambda: random_world(1, 3, 1.0, seeded()), "words >= 2 and steps >= 1, got 1 and 3"),
        (lambda: random_world(3, 0, 1.0, seeded()), "got 3 and 0"),
        (lambda: random_world(10, 10**9, 1.0, seeded()), "got 10^1000000000: take fewer"),
        (lambda: random_world(3, 3, -1.0, seeded()), "a finite spread of at least 0, got -1"),
        (lambda: random_world(3, 3, math.nan, seeded()), "a finite spread of at least 0, got nan"),
        (lambda: two_words(4, 1.4, seeded()), "from 0 to log(4) = 1.386 nats, got 1.4"),
        (lambda: two_words(4, math.nan, seeded()), "got nan"),
    ):
        with pytest.raises(InputError) as refusal:
            make()
        assert words in str(refusal.value)
    assert random_world(4, 10, 1.0, seeded()).table.numel() == 2**20
