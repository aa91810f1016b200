"""What scheduled sampling learns: by hand, by listing every coin and word fed, in its limits."""

import math
from collections import defaultdict
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, tensor
from torch.testing import assert_close

from captioning.divergences import entropy, kl, mutual_information
from captioning.errors import InputError
from captioning.lab.fixed_points import scheduled_sampling
from captioning.lab.worlds import World, random_world, two_words

OPTIONS = [
    {"coin": coin, "replacement": replacement, "parallel": parallel}
    for coin, replacement, parallel in product(
        ("token", "sequence"), ("sample", "argmax", "uniform"), (False, True)
    )
    if not (parallel and replacement == "uniform")
]
every_option = pytest.mark.parametrize(
    "options", OPTIONS, ids=lambda o: "-".join(map(str, o.values()))
)
examples = settings(deadline=None, max_examples=25)
seeds, shares = st.integers(0, 2**32), st.floats(0, 1)

BY_HAND = World("by hand", tensor([[0.5, 0.1], [0.1, 0.3]], dtype=torch.float64))


def make(words: int, steps: int, seed: int, spread: float = 1.5) -> World:
    return random_world(words, steps, spread, torch.Generator().manual_seed(seed))


def with_zeros(world: World, seed: int) -> World:
    never = torch.rand(world.table.shape, generator=torch.Generator().manual_seed(seed)) < 0.4
    never.view(-1)[0] = False
    table = world.table.masked_fill(never, 0)
    return World("with zeros", table / table.sum())


def by_listing(
    world: World, truth_share: float, coin: str, replacement: str, parallel: bool
) -> Tensor:
    """The fixed point from every true sequence, every fall of the coins and every prefix fed."""
    words = range(world.words)
    learned: dict[tuple[int, ...], list[float]] = {}

    def chance_of_drawing(word: int, prefix: tuple[int, ...]) -> float:
        law = learned[prefix]
        if replacement == "sample":
            return law[word]
        return 1 / world.words if replacement == "uniform" else float(law.index(max(law)) == word)

    def chance_of_coins(coins: tuple[bool, ...]) -> float:
        if coin == "sequence" and coins:
            return {(True,): truth_share, (False,): 1 - truth_share}.get(tuple(set(coins)), 0.0)
        return math.prod(truth_share if truth else 1 - truth_share for truth in coins)

    for t in range(world.steps):
        seen: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [0.0] * world.words)
        for x in product(words, repeat=world.steps):
            for coins, y in product(product((True, False), repeat=t), product(words, repeat=t)):
                chance = world.table[x].item() * chance_of_coins(coins)
                for i, truth in enumerate(coins):
                    before = x[:i] if parallel else y[:i]
                    chance *= y[i] == x[i] if truth else chance_of_drawing(y[i], before)
                seen[y][x[t]] += chance
        learned |= {y: [count / sum(counts) for count in counts] for y, counts in seen.items()}
    chances = [
        math.prod(learned[x[:t]][x[t]] for t in range(world.steps))
        for x in product(words, repeat=world.steps)
    ]
    return tensor(chances, dtype=torch.float64).reshape(world.table.shape)


@every_option
@pytest.mark.parametrize(("words", "steps"), [(2, 4), (3, 3)])
def test_it_is_what_listing_everything_gives(
    words: int, steps: int, options: dict[str, Any]
) -> None:
    world = make(words, steps, seed=words)
    expected = by_listing(world, 0.3, **options)
    assert_close(scheduled_sampling(world, 0.3, **options).exp(), expected, rtol=0, atol=1e-12)


def test_two_words_by_hand() -> None:
    def expect(replacement: str, after_first: float, after_second: float) -> None:
        found = scheduled_sampling(BY_HAND, 0.5, replacement=replacement).exp()
        rows = [
            [0.6 * after_first, 0.6 * (1 - after_first)],
            [0.4 * after_second, 0.4 * (1 - after_second)],
        ]
        assert_close(found, tensor(rows, dtype=torch.float64))

    expect("sample", 0.5 * 5 / 6 + 0.5 * 0.6, 0.5 * 1 / 4 + 0.5 * 0.6)
    # The first word is fed in its own right 0.3 of the time, as the likeliest 0.5 of the time.
    expect("argmax", (0.3 * 5 / 6 + 0.5 * 0.6) / 0.8, 1 / 4)
    expect("uniform", (0.3 * 5 / 6 + 0.25 * 0.6) / 0.55, (0.2 * 1 / 4 + 0.25 * 0.6) / 0.45)


@examples
@given(seeds, st.integers(2, 4), st.floats(0, 1), shares, st.sampled_from(("token", "sequence")))
def test_two_words_forget_in_proportion(
    seed: int, words: int, information: float, share: float, coin: str
) -> None:
    world = two_words(words, information * math.log(words), torch.Generator().manual_seed(seed))
    first, second = world.table.sum(1, keepdim=True), world.table.sum(0)
    for parallel in (False, True):
        found = scheduled_sampling(world, share, coin, parallel=parallel).exp()
        expected = share * world.table + (1 - share) * first * second
        assert_close(found, expected, rtol=0, atol=1e-10)


@examples
@given(seeds, st.floats(0, 3))
def test_always_sampling_two_words_loses_their_mutual_information(seed: int, spread: float) -> None:
    world = make(3, 2, seed, spread)
    lost = kl(world.log_table, scheduled_sampling(world, 0.0)).item()
    assert lost == pytest.approx(mutual_information(world.log_table).item(), rel=0, abs=1e-10)


@every_option
def test_always_the_truth_gives_the_truth(options: dict[str, Any]) -> None:
    for world in (make(3, 4, 0), with_zeros(make(3, 4, 1), 1)):
        found = scheduled_sampling(world, 1.0, **options)
        assert_close(found.exp(), world.table, rtol=0, atol=1e-10)
        assert kl(world.log_table, found).item() == pytest.approx(0, abs=1e-10)


@examples
@given(seeds, st.sampled_from([o for o in OPTIONS if o["replacement"] != "argmax"]))
def test_never_the_truth_leaves_the_marginals_of_every_place(
    seed: int, options: dict[str, Any]
) -> None:
    world = make(3, 3, seed)
    marginals = [world.table.sum(axes) for axes in ((1, 2), (0, 2), (0, 1))]
    found = scheduled_sampling(world, 0.0, **options)
    assert_close(found.exp(), torch.einsum("a,b,c->abc", *marginals), rtol=0, atol=1e-10)
    lost = sum(entropy(each.log()).item() for each in marginals) - entropy(world.log_table).item()
    assert kl(world.log_table, found).item() == pytest.approx(lost, rel=0, abs=1e-10)


@examples
@given(seeds, shares, st.sampled_from([o for o in OPTIONS if o["replacement"] != "argmax"]))
def test_it_is_a_law_whose_first_word_is_right_though_much_never_occurs(
    seed: int, share: float, options: dict[str, Any]
) -> None:
    world = with_zeros(make(3, 3, seed), seed)
    found = scheduled_sampling(world, share, **options).exp()
    assert_close(found.sum().item(), 1.0)
    assert_close(found.sum((1, 2)), world.prefixes(1))


def test_no_coins_matter_where_words_are_independent() -> None:
    table = torch.einsum(
        "a,b,c->abc", *torch.rand(3, 2, generator=torch.Generator().manual_seed(0)).double()
    )
    world = World("independent", table / table.sum())
    for options in OPTIONS:
        assert_close(scheduled_sampling(world, 0.4, **options).exp(), world.table)


@pytest.mark.parametrize("seed", range(3))
def test_the_less_truth_the_further_from_it(seed: int) -> None:
    world = make(4, 4, seed)
    lost = [
        kl(world.log_table, scheduled_sampling(world, share)).item()
        for share in (1.0, 0.75, 0.5, 0.25, 0.0)
    ]
    # Other worlds drawn in this way gave 0, 0.170, 0.422, 0.721, 1.057.
    for found, low, high in zip(
        lost, (-1e-9, 0.1, 0.25, 0.4, 0.6), (1e-9, 0.25, 0.6, 0.9, 1.3), strict=True
    ):
        assert low < found < high


def test_where_the_model_says_what_it_is_never_fed_there_is_no_answer() -> None:
    for parallel in (False, True):
        with pytest.raises(InputError, match="no exact fixed point with truth_share 0"):
            scheduled_sampling(BY_HAND, 0.0, replacement="argmax", parallel=parallel)
    table = torch.zeros(2, 2, 2, dtype=torch.float64)
    table[0, 0, 0], table[1, 1, 1] = 0.6, 0.4
    apart = World("two sequences", table)
    with pytest.raises(InputError, match=r"truth_share 0\.5 and these replacements"):
        scheduled_sampling(apart, 0.5, "sequence", "argmax")
    assert_close(scheduled_sampling(apart, 0.5, "token", "argmax").exp().sum().item(), 1.0)


def test_the_likeliest_suffices_where_there_is_no_other() -> None:
    table = torch.zeros(2, 2, 2, dtype=torch.float64)
    table[0, 1] = tensor([0.3, 0.7])
    world = World("one way", table)
    assert_close(scheduled_sampling(world, 0.0, replacement="argmax").exp(), table)


def test_what_has_no_meaning_is_refused() -> None:
    for share in (-0.1, 1.1, math.nan):
        with pytest.raises(InputError, match="truth share from 0 to 1, got"):
            scheduled_sampling(BY_HAND, share)
    with pytest.raises(InputError, match="take one"):
        scheduled_sampling(BY_HAND, 0.5, replacement="uniform", parallel=True)
    with pytest.raises(InputError, match="got 8 words and 6 steps: take fewer"):
        scheduled_sampling(make(8, 6, 0), 0.5)
