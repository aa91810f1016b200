"""Intervals and p-values: known laws, hand-worked values, a slow obvious reference, limits."""

from functools import partial

import numpy as np
import pytest
from pycocoevalcap.bleu.bleu import Bleu

from captioning.errors import InputError
from captioning.metrics import Statistics, compare, confidence_intervals
from captioning.metrics.bleu import bleu, bleu_counts
from captioning.metrics.statistics import mean_of
from tests.metrics.word_soup import soup


def generator(seed=0):
    return np.random.default_rng(seed)


def means(*scores):
    return {"mean": mean_of(np.array(scores, float))}


def bleu_statistics(candidates, references, order=2):
    return Statistics(bleu_counts(candidates, references), partial(bleu, order=order))


@pytest.fixture
def systems():
    """The captions of two systems, and their references."""
    random = generator(3)
    mine, theirs = ([group[0] for group in soup(random, images=30)] for _ in range(2))
    return mine, theirs, soup(random, images=30)


def slow_bleu(candidates, references, images):
    """BLEU-2 of these images, some of them several times over, by pycocoevalcap."""
    corpus, _ = Bleu(2).compute_score(
        {row: [" ".join(each) for each in references[i]] for row, i in enumerate(images)},
        {row: [" ".join(candidates[i])] for row, i in enumerate(images)},
        verbose=0,
    )
    return corpus[1]


def test_the_score_of_a_corpus_is_that_of_the_sum_of_its_parts(systems):
    mine, _, references = systems
    whole = bleu_statistics(mine, references)
    parts = [
        bleu_statistics(mine[:11], references[:11]),
        bleu_statistics(mine[11:], references[11:]),
    ]
    total = sum(part.total for part in parts)
    assert whole.summarise(total[None]).item() == whole.corpus
    assert whole.corpus == pytest.approx(slow_bleu(mine, references, range(30)))
    assert mean_of(np.array([1.0, 2.0, 6.0])).corpus == 3


def test_an_interval_is_that_of_scoring_each_resample_anew(systems):
    mine, _, references = systems
    statistics = {"BLEU": bleu_statistics(mine, references)}
    found = confidence_intervals(statistics, generator(5), resamples=40, level=0.8)["BLEU"]
    drawn = generator(5).integers(30, size=(40, 30))
    scores = [slow_bleu(mine, references, images) for images in drawn]
    assert found == pytest.approx(np.quantile(scores, [0.1, 0.9]))


def test_a_comparison_is_that_of_scoring_each_resample_and_each_exchange_anew(systems):
    mine, theirs, references = systems
    statistics = [{"BLEU": bleu_statistics(each, references)} for each in (mine, theirs)]
    found = compare(*statistics, generator(5), resamples=40, level=0.8)["BLEU"]

    def difference(ours, others, images=range(30)):
        return slow_bleu(ours, references, images) - slow_bleu(others, references, images)

    random = generator(5)
    drawn = random.integers(30, size=(40, 30))
    differences = [difference(mine, theirs, images) for images in drawn]
    coins = random.integers(2, size=(40, 30), dtype=np.int8)
    pairs = [list(zip(mine, theirs, strict=True)) for _ in coins]
    exchanged = [
        [pair[::-1] if coin else pair for coin, pair in zip(row, each, strict=True)]
        for row, each in zip(coins, pairs, strict=True)
    ]
    by_chance = [difference(*zip(*each, strict=True)) for each in exchanged]
    assert found.value == pytest.approx(difference(mine, theirs))
    assert found.interval == pytest.approx(np.quantile(differences, [0.1, 0.9]))
    assert found.p_value == (1 + sum(np.abs(by_chance) >= abs(found.value))) / 41
    assert 2 / 41 < found.p_value < 1


def test_intervals_of_two_images_are_those_worked_by_hand():
    # The mean of a resample is 0, 1/2 or 1, with probabilities 1/4, 1/2 and 1/4.
    intervals = {
        level: confidence_intervals(means(0, 1), generator(), level=level)["mean"]
        for level in (0.4, 0.6)
    }
    assert intervals == {0.4: (0.5, 0.5), 0.6: (0, 1)}


def test_intervals_cover_the_true_mean_as_often_as_they_say():
    random = generator(7)
    covered = 0
    for _ in range(400):
        scores = means(*random.normal(1, 2, size=40))
        low, high = confidence_intervals(scores, random, resamples=300, level=0.9)["mean"]
        covered += low < 1 < high
    # 0.88 is expected of quantiles over 40 images; the standard error is 0.016.
    assert covered / 400 == pytest.approx(0.885, abs=0.04)


def test_p_values_of_systems_that_are_alike_are_uniform():
    random = generator(8)
    p_values = [
        compare(means(*random.normal(size=20)), means(*random.normal(size=20)), random, 200)
        for _ in range(400)
    ]
    values = np.array([each["mean"].p_value for each in p_values])
    for level in (0.1, 0.5):  # the standard errors are 0.015 and 0.025
        assert np.mean(values <= level) == pytest.approx(level, abs=0.06)


def test_p_values_worked_by_hand():
    # Always better by one: of 2 ** n exchanges only none and all give as large a difference.
    for n in (1, 2, 8):
        found = compare(means(*range(1, n + 1)), means(*range(n)), generator())["mean"]
        assert found.value == pytest.approx(1)
        assert found.interval == pytest.approx((1, 1))
        assert found.p_value == pytest.approx(2 / 2**n, abs=0.02)
    sure = compare(means(*range(1, 101)), means(*range(100)), generator(), resamples=99)
    assert sure["mean"].p_value == 1 / 100


def test_a_system_does_not_differ_from_itself():
    scores = means(0.1, 0.7, 0.3)
    assert compare(scores, scores, generator(), 50)["mean"] == (0, (0, 0), 1)


def test_exchanging_the_systems_turns_the_difference_round():
    mine, theirs = means(0.1, 0.5, 0.9, 0.3), means(0.2, 0.2, 0.4, 0.3)
    there = compare(mine, theirs, generator(), 500)["mean"]
    back = compare(theirs, mine, generator(), 500)["mean"]
    assert back.value == -there.value
    assert back.interval == pytest.approx((-there.interval.high, -there.interval.low))
    assert back.p_value == there.p_value


def test_all_metrics_see_the_same_resamples_and_the_seed_decides_them():
    scores = generator(1).random(50)
    both = {"score": mean_of(scores), "percent": mean_of(100 * scores)}
    intervals = confidence_intervals(both, generator(2), 300)
    assert intervals["percent"] == pytest.approx(np.multiply(100, intervals["score"]))
    assert confidence_intervals(both, generator(2), 300) == intervals
    assert confidence_intervals(both, generator(3), 300) != intervals


def test_where_a_score_is_no_number_neither_is_what_is_said_of_it():
    nowhere = means(np.nan, 1)
    found = compare(nowhere, means(0, 1), generator(), 10)["mean"]
    assert np.isnan([found.value, *found.interval, found.p_value]).all()


def test_bad_input_is_told_in_one_line():
    with pytest.raises(InputError, match="resamples: expected 1 or more, got 0"):
        confidence_intervals(means(1), generator(), resamples=0)
    with pytest.raises(InputError, match="level: expected a number between 0 and 1, got 95"):
        confidence_intervals(means(1), generator(), level=95.0)
    with pytest.raises(InputError, match=r"same metrics .* mean of 1 images and mean of 2"):
        compare(means(1), means(1, 2), generator())
    with pytest.raises(InputError, match=r"same images, got \[1, 2\] images"):
        confidence_intervals(means(1) | {"other": mean_of(np.ones(2))}, generator())
