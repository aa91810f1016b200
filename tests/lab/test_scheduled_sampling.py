"""The laboratory's scheduled sampling: jobs, tables and claims; and that training lands."""

import math
from itertools import pairwise

import pytest

from captioning.divergences import kl, mutual_information
from captioning.lab.scheduled_sampling import (
    FEEDS,
    INFORMATION,
    SHARES,
    Job,
    Outcome,
    claims,
    drawing,
    exact,
    feed_claim,
    feeds_table,
    fixed_point,
    make_world,
    run,
    section,
    shares_table,
    two_word_claim,
)
from captioning.lab.training import Plan

PUBLISHED = next(iter(FEEDS))
TINY = Plan(2, batch_size=4)

# Two seeds at every ε: one lands, the other is a little off.
MADE_UP = {
    share: [Outcome(exact(share), 0.0), Outcome(exact(share) + 0.002, 0.002)] for share in SHARES
}


@pytest.mark.parametrize("feed", FEEDS)
def test_a_job_measures_both_distances_of_what_was_trained(feed: str) -> None:
    outcome = run(Job(0.5, feed, 0, TINY))
    # It has learned next to nothing, and is far from both.
    assert 0.1 < outcome.from_fixed_point < outcome.from_truth < 3
    assert run(Job(0.5, feed, 0, TINY)) == outcome
    assert run(Job(0.5, feed, 1, TINY)) != outcome


def test_a_job_may_be_done_in_the_world_of_two_words() -> None:
    world = make_world("two words")
    assert (world.words, world.steps) == (4, 2)
    assert mutual_information(world.log_table).item() == pytest.approx(INFORMATION)
    assert math.isfinite(run(Job(0.0, PUBLISHED, 0, TINY, "two words")).from_truth)


def test_every_feed_has_a_fixed_point_that_is_the_truth_only_where_truth_is_fed() -> None:
    world = make_world("random")
    assert (world.words, world.steps) == (4, 4)
    for feed in FEEDS:
        assert kl(world.log_table, fixed_point(world, 1.0, feed)).item() < 1e-9
        assert exact(0.5, feed) > 0.1
    assert len({round(exact(0.5, feed), 6) for feed in FEEDS}) == len(FEEDS)


def test_the_table_of_shares_has_a_row_for_each() -> None:
    table = shares_table(MADE_UP)
    assert [row[0] for row in table.rows] == ["1", "0.75", "0.5", "0.25", "0"]
    assert [len(row) for row in table.rows] == [len(table.columns)] * 5
    assert table.rows[0] == ["1", "0.0000", "0.001 ± 0.0014", "0.001 ± 0.0014"]
    assert table.rows[4][1] == f"{exact(0.0):.4f}"


def test_the_table_of_feeds_has_a_row_for_each() -> None:
    found = {feed: [Outcome(0.4, 0.003)] for feed in FEEDS}
    table = feeds_table(found)
    assert [row[0] for row in table.rows] == [*FEEDS]
    assert [len(row) for row in table.rows] == [len(table.columns)] * len(FEEDS)
    assert table.rows[1][1:4] == [f"{exact(share, [*FEEDS][1]):.4f}" for share in (0.75, 0.5, 0.25)]
    assert table.rows[1][4] == "0.003"


def test_the_drawing_tells_what_is_exact_and_what_was_trained() -> None:
    words = drawing(MADE_UP).words
    assert "fixed point, exact from 0 at 1 to" in words
    assert "trained from 0.001 at 1 to" in words


def test_all_claims_hold_where_every_model_lands() -> None:
    made = claims(MADE_UP)
    assert len(made) == 6
    assert all(claim.holds for claim in made)
    assert made[0].measured == pytest.approx(0.001)
    assert made[-1].measured == pytest.approx(
        min(exact(less) - exact(more) for more, less in pairwise(SHARES))
    )


def test_a_claim_fails_where_its_model_does_not_land() -> None:
    for share in SHARES[1:]:
        missed = MADE_UP | {share: [Outcome(exact(share), 0.011)]}
        failed = [claim.claim for claim in claims(missed) if not claim.holds]
        assert failed == [f"Scheduled sampling at ε = {share:g} lands on its fixed point: KL[Q*‖Q]"]
    far = claims(MADE_UP | {1.0: [Outcome(0.006, 0.001)]})
    assert [claim.holds for claim in far] == [False] + [True] * 5
    fallen = claims(MADE_UP | {0.0: [Outcome(exact(0.25) - 0.01, 0.001)]})
    assert [claim.holds for claim in fallen] == [True] * 5 + [False]


def test_the_claim_of_the_feeds_is_about_the_worst_of_them() -> None:
    found = {"good": [Outcome(0.5, 0.001)] * 2, "bad": [Outcome(0.5, 0.02), Outcome(0.5, 0.04)]}
    claim = feed_claim(found)
    assert claim.measured == pytest.approx(0.03)
    assert claim.spread == pytest.approx(0.02 / math.sqrt(2))
    assert not claim.holds
    assert feed_claim({"good": found["good"]}).holds


def test_the_claim_of_two_words_is_about_their_mutual_information() -> None:
    assert two_word_claim([Outcome(0.505, 0.0)]).holds
    assert not two_word_claim([Outcome(0.48, 0.0)]).holds
    assert two_word_claim([Outcome(0.5, 0.0)]).expected == pytest.approx(INFORMATION)


@pytest.mark.slow
def test_the_section_has_all_its_parts() -> None:
    made = section(1, "small", 1)
    assert made.name == "scheduled-sampling"
    assert [len(table.rows) for table in made.tables] == [len(SHARES), len(FEEDS)]
    assert len(made.claims) == 8
    assert len(made.drawings) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("share", "feed", "away"),
    # "The likeliest word" needs longer training.
    [
        (1.0, PUBLISHED, 0.0),
        (0.0, PUBLISHED, 0.9),
        (0.5, PUBLISHED, 0.1),
        (0.5, "a coin per sequence", 0.1),
    ],
)
def test_training_lands_on_the_fixed_point_and_not_on_the_truth(
    share: float, feed: str, away: float
) -> None:
    outcome = run(Job(share, feed, 0, Plan(300, 512, rate=0.02)))
    assert outcome.from_fixed_point < 0.01
    assert outcome.from_truth == pytest.approx(exact(share, feed), abs=0.06)
    assert outcome.from_truth >= away


@pytest.mark.slow
def test_always_sampling_two_words_loses_their_mutual_information() -> None:
    outcome = run(Job(0.0, PUBLISHED, 0, Plan(300, 256, rate=0.01), "two words"))
    assert outcome.from_truth == pytest.approx(INFORMATION, abs=0.01)
    assert outcome.from_fixed_point < 0.005
