"""The laboratory's gradients: exact references against slow ones, and what is claimed of each."""

import itertools
import math
from functools import cache

import pytest
import torch
from torch import Tensor

from captioning.batch import Captions
from captioning.lab.gradients import (
    BIASED,
    CASES,
    STEPS,
    Job,
    Quality,
    adversarial,
    claims,
    divergence,
    drawing,
    make_captioner,
    make_world,
    mixed_cross_entropy,
    run,
    section,
    table,
)
from captioning.lab.models import NOTHING, as_captions, log_table
from captioning.lab.true_ratio import TrueRatio
from captioning.lab.worlds import World, random_world
from captioning.objectives.policy_gradient import PolicyGradient
from captioning.text import END

EVERY = torch.tensor(list(itertools.product(range(3), repeat=3)))
UNBIASED = [name for name in CASES if not name.startswith(BIASED)]


def by_listing(world: World, log_q: Tensor, truth_share: float) -> Tensor:
    """Every true sequence, every fall of the coins, every word drawn in place of the truth."""
    conditional = [
        log_q.flatten(t + 1).logsumexp(t + 1).log_softmax(t) for t in range(world.steps - 1)
    ]
    conditional.append(log_q.log_softmax(world.steps - 1))
    total = torch.zeros((), dtype=torch.float64)
    sequences = list(itertools.product(range(world.words), repeat=world.steps))
    for true, coins, drawn in itertools.product(
        sequences, itertools.product((True, False), repeat=world.steps - 1), sequences
    ):
        fed: tuple[int, ...] = ()
        chance = world.table[true].item() / world.words  # the last word drawn is never fed
        for t, truth in enumerate(coins):
            drawing_ = conditional[t][(*fed, drawn[t])].exp().item()
            chance *= truth_share / world.words if truth else (1 - truth_share) * drawing_
            fed = (*fed, true[t] if truth else drawn[t])
        for t in range(world.steps):
            total = total - chance * conditional[t][(*fed[:t], true[t])] / world.steps
    return total


@pytest.mark.parametrize("truth_share", [1.0, 0.5, 0.2, 0.0])
def test_the_expected_loss_of_scheduled_sampling_is_what_listing_everything_gives(
    truth_share: float,
) -> None:
    world = random_world(2, 3, 1.0, torch.Generator().manual_seed(0))
    logits = torch.randn(8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    logits.requires_grad_()
    values, gradients = [], []
    for function in (mixed_cross_entropy, by_listing):
        value = function(world, logits.log_softmax(0).reshape(2, 2, 2), truth_share)
        values.append(value.item())
        gradients.append(torch.autograd.grad(value, logits)[0])
    assert values[0] == pytest.approx(values[1], rel=1e-12)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=1e-12)


def test_with_the_truth_alone_it_is_the_cross_entropy_of_the_law() -> None:
    world = make_world()
    log_q = log_table(make_captioner(world), world)
    expected = -(world.table * log_q).sum() / 3
    assert mixed_cross_entropy(world, log_q, 1.0).item() == pytest.approx(expected.item())


def as_mixtures(captions: Captions) -> Tensor:
    return torch.nn.functional.one_hot(captions.targets, 3 + END + 1).double()


def test_the_true_ratio_is_looked_up_at_words() -> None:
    log_ratio = torch.randn(3, 3, 3, dtype=torch.float64)
    captions = as_captions(EVERY)
    discriminator = TrueRatio(log_ratio)
    for words in (None, as_mixtures(captions)):
        found = discriminator(NOTHING, captions, words)
        expected = log_ratio.flatten()[:, None].expand(27, 3)
        torch.testing.assert_close(captions.unpack(found), expected)


def test_between_words_the_true_ratio_is_the_mean_over_words_drawn_from_the_mixtures() -> None:
    log_ratio = torch.randn(3, 3, 3, dtype=torch.float64)
    laws = torch.rand(2, 3, 3, dtype=torch.float64).softmax(2)  # two captions of three mixtures
    captions = as_captions(torch.zeros(2, 3, dtype=torch.long))
    mixtures = torch.nn.functional.pad(laws.transpose(0, 1).flatten(0, 1), (END + 1, 0))
    found = captions.unpack(TrueRatio(log_ratio)(NOTHING, captions, mixtures))
    for row, (a, b, c) in enumerate(laws):
        expected = torch.einsum("abc,a,b,c->", log_ratio, a, b, c)
        torch.testing.assert_close(found[row], expected.expand(3))


def test_the_rewards_of_all_sequences_give_the_exact_gradient_of_the_divergence() -> None:
    world = make_world()
    captioner = make_captioner(world)
    log_q = log_table(captioner, world)
    objective = adversarial(PolicyGradient(8, "none", STEPS))(world, captioner)
    rewards = objective.judge(NOTHING.double(), as_captions(EVERY), None)
    weights = captioner.decoder.embedding.weight
    climbed = torch.autograd.grad(-log_q.exp().flatten() @ rewards, weights, retain_graph=True)[0]
    exact = torch.autograd.grad(divergence(world, log_q), weights)[0]
    assert exact.norm() > 0.1
    torch.testing.assert_close(climbed, exact, rtol=0, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_a_job_measures_an_estimator(case: str) -> None:
    quality = run(Job(case, 3, 0))
    assert all(0 < value < math.inf for value in quality)
    assert run(Job(case, 3, 0)) == quality
    assert run(Job(case, 3, 1)) != quality


def made_up() -> dict[str, list[Quality]]:
    """Two seeds of every case, as theory has them."""
    found = {name: [Quality(0.02, 1.1, 3.0), Quality(0.02, 0.9, 3.2)] for name in CASES}
    found["policy gradient, no baseline"] = [Quality(0.02, 1.0, 4.0)] * 2
    for name, error in zip([*CASES][-3:], (0.4, 0.2, 0.1), strict=True):
        found[name] = [Quality(error, 40 * error, 1.0), Quality(error, 40 * error, 1.2)]
    return found


def test_all_claims_hold_where_every_estimator_is_as_theory_has_it() -> None:
    made = claims(made_up())
    assert len(made) == len(UNBIASED) + 3
    assert all(claim.holds for claim in made)
    assert [claim.measured for claim in made[-3:]] == pytest.approx([(3.0 + 3.2) / 8, 16, 0.1])


@pytest.mark.parametrize("name", UNBIASED)
def test_a_claim_fails_where_an_estimator_is_off_by_many_standard_errors(name: str) -> None:
    found = made_up()
    found[name] = [each._replace(standard_errors=2.1) for each in found[name]]
    failed = [each.claim for each in claims(found) if not each.holds]
    assert failed == [f"Right on average: {name}; the error of the mean, in standard errors"]


@pytest.mark.parametrize(
    ("name", "quality", "holds"),
    [
        ("policy gradient, leave-one-out", Quality(0.02, 1.0, 4.1), [False, True, True]),
        ("straight-through, temperature 1", Quality(0.4, 3.9, 1.0), [True, False, True]),
        ("straight-through, temperature 0.1", Quality(0.21, 9.0, 1.0), [True, True, False]),
    ],
)
def test_a_claim_fails_where_a_comparison_comes_out_the_other_way(
    name: str, quality: Quality, holds: list[bool]
) -> None:
    assert [claim.holds for claim in claims(made_up() | {name: [quality] * 2})[-3:]] == holds


def test_the_table_and_the_drawing_have_a_row_for_every_estimator() -> None:
    made = table(made_up())
    assert [row[0] for row in made.rows] == [*CASES]
    assert [len(row) for row in made.rows] == [len(made.columns)] * len(CASES)
    assert made.rows[0][1:] == ["0.02 ± 0", "1 ± 0.14", "3.1 ± 0.14"]
    words = drawing(made_up()).words
    assert "policy gradient, no baseline: 4" in words
    assert "teacher forcing" not in words


@cache
def measured(case: str) -> Quality:
    return run(Job(case, 200, 0))


@pytest.mark.slow
@pytest.mark.parametrize("case", UNBIASED)
def test_the_mean_of_many_estimates_is_the_exact_gradient(case: str) -> None:
    assert measured(case).standard_errors < 2
    assert measured(case).error < 0.1


@pytest.mark.slow
def test_the_straight_through_estimate_is_biased_the_less_the_colder() -> None:
    warm, mild, cold = (measured(name) for name in CASES if name.startswith(BIASED))
    assert warm.standard_errors > 10
    assert warm.error > mild.error > cold.error
    assert warm.variance < mild.variance < cold.variance


@pytest.mark.slow
def test_baselines_and_rollouts_take_variance_away() -> None:
    names = ("no baseline", "leave-one-out", "mean baseline", "leave-one-out, 4 rollouts")
    none, leave_one_out, mean, rollouts = (measured(f"policy gradient, {name}") for name in names)
    assert none.variance > leave_one_out.variance > rollouts.variance
    assert none.variance > mean.variance


@pytest.mark.slow
def test_the_section_has_all_its_parts() -> None:
    made = section(1, "small", 1)
    assert made.name == "gradients"
    assert [len(each.rows) for each in made.tables] == [len(CASES)]
    assert len(made.drawings) == 1
    assert len(made.claims) == len(UNBIASED) + 3
