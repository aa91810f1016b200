"""Rows against their baseline: p-values that can be counted by hand."""

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from captioning.comparison.compared import read_images
from captioning.comparison.significance import (
    by_pairs,
    by_seeds,
    contrasts,
    holm,
    least_by_seeds,
)
from tests.comparison.tiny_comparison import begin_from, compared


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def test_three_runs_all_above_three_others_have_the_least_p_value_there_is() -> None:
    # Of the 20 ways to divide six runs, only this one and its mirror differ as much.
    assert by_seeds(np.array([4.0, 5.0, 6.0]), np.array([1.0, 2.0, 3.0]), generator()) == 0.1
    assert least_by_seeds(3) == 0.1


def test_two_and_two_runs_by_hand() -> None:
    # 1, 4 against 2, 3: both means are 2.5, and no division differs less.
    assert by_seeds(np.array([1.0, 4.0]), np.array([2.0, 3.0]), generator()) == 1.0
    # 1, 3 against 2, 4: as large is 1 in |1.5 - 3.5|, |2 - 3| and mirrors; not in |2.5 - 2.5|.
    assert by_seeds(np.array([1.0, 3.0]), np.array([2.0, 4.0]), generator()) == 4 / 6


def test_unlike_numbers_of_runs_agree_with_every_order_of_them() -> None:
    ours, theirs = np.array([0.3, 0.9]), np.array([0.1, 0.4, 0.2])
    orders = [np.array(order) for order in permutations([*ours, *theirs])]
    differences = [abs(order[:2].mean() - order[2:].mean()) for order in orders]
    observed = abs(ours.mean() - theirs.mean())
    expected = np.mean([difference >= observed - 1e-12 for difference in differences])
    assert by_seeds(ours, theirs, generator()) == pytest.approx(expected)


def test_of_a_single_run_no_p_value_over_seeds_is_given() -> None:
    assert by_seeds(np.array([1.0]), np.array([2.0, 3.0]), generator()) is None


def test_many_runs_are_divided_at_random_and_never_give_zero() -> None:
    far = by_seeds(np.arange(20.0) + 100, np.arange(20.0), generator())
    assert far is not None
    assert 0 < far < 1e-3
    near = by_seeds(np.arange(20.0), np.arange(20.0), generator())
    assert near == 1.0


def test_holms_correction_by_hand() -> None:
    # 3 × .01 = .03; 2 × .02 = .04; 1 × .03 would be less than .04, and may not be.
    found = holm({"a": 0.02, "b": 0.01, "c": 0.03})
    assert found == pytest.approx({"b": 0.03, "a": 0.04, "c": 0.04})
    assert holm({"a": 0.8, "b": 0.9}) == {"a": 1.0, "b": 1.0}


def test_pairs_that_all_differ_alike_are_as_unlikely_as_coins_that_fall_alike() -> None:
    assert by_pairs(np.array([1.0, 2.0, 3.0]), generator()) == 2 / 8
    assert least_by_seeds(3, paired=True) == 2 / 8
    # |±1 ± 2 ± 3| is 4 or more in four of eight choices, and always 0 or more.
    assert by_pairs(np.array([-1.0, 2.0, 3.0]), generator()) == 4 / 8
    assert by_pairs(np.array([-1.0, -2.0, 3.0]), generator()) == 1.0
    assert by_pairs(np.array([1.0]), generator()) is None


def test_of_many_pairs_signs_are_drawn() -> None:
    assert by_pairs(np.arange(20.0) + 1, generator()) == pytest.approx(1 / 20_000, abs=1e-4)
    alternating = np.where(np.arange(20) % 2, 1.0, -1.0)
    assert by_pairs(alternating, generator()) == 1.0


def test_rows_that_began_from_the_baseline_are_tested_in_pairs(tmp_path: Path) -> None:
    # Their differences are 1, 1 and 1; the runs of both rows lie far apart.
    base = compared(tmp_path, "base", [[1.0], [5.0], [9.0]])
    above = compared(tmp_path, "above", [[2.0], [6.0], [10.0]])
    apart = contrasts([base, above], read_images([base, above]), resamples=10)
    assert apart["above"]["CIDEr"].over_seeds == 0.7
    assert not apart["above"]["CIDEr"].paired
    begin_from(above, base)
    found = contrasts([base, above], read_images([base, above]), resamples=10)
    assert found["above"]["CIDEr"].over_seeds == 2 / 8
    assert found["above"]["CIDEr"].paired


def test_bleu_is_tested_by_exchanging_counts_of_images(tmp_path: Path) -> None:
    # Two of two words right, against none, in each of three images: all coins must fall alike.
    rows = []
    for name, right in (("base", 0), ("above", 2)):
        metrics = {"CIDEr": 1.0, "Bleu_1": right / 2}
        rows.append(compared(tmp_path, name, [[1.0, 1.0, 1.0]], metrics=metrics))
        counts = [(2, 2, right, 0, 0, 0, 2, 1, 0, 0)] * 3
        file = rows[-1].evaluations[0].folder / "statistics.npz"
        np.savez(file, CIDEr=[(1.0, 1.0)] * 3, Bleu_1=counts)
    found = contrasts(rows, read_images(rows), resamples=4000)["above"]
    assert found["Bleu_1"].interval == pytest.approx((1.0, 1.0))
    assert found["Bleu_1"].over_images == pytest.approx(2 / 8, abs=0.03)
    assert found["CIDEr"].over_images == 1.0


def test_a_row_is_tested_against_its_baseline_alone_and_corrected_for_all_rows(
    tmp_path: Path,
) -> None:
    base = compared(tmp_path, "base", [[1.0, 1.0, 1.0]])
    same = compared(tmp_path, "same", [[1.0, 1.0, 1.0]])
    above = compared(tmp_path, "above", [[2.0, 3.0, 4.0]])
    rows = [base, same, above, replace(above, name="lonely", baseline="failed")]
    found = contrasts(rows, read_images(rows), resamples=4000)
    assert list(found) == ["same", "above"]
    difference = found["above"]["CIDEr"]
    assert difference.value == 2.0
    assert difference.over_seeds is None
    assert difference.interval is not None
    assert 1.0 <= difference.interval.low <= difference.interval.high <= 3.0
    # All three coins must fall alike: 2 of 8, twice by Holm's correction.
    assert difference.over_images == pytest.approx(0.5, abs=0.05)
    assert found["same"]["CIDEr"].over_images == 1.0
    assert found["above"]["Bleu_4"].interval is None


def test_the_spread_of_a_difference_is_that_between_runs_of_the_same_seed(tmp_path: Path) -> None:
    # CIDEr by seed: 1 and 5 against 2 and 8, so that the differences are 1 and 3.
    base = compared(tmp_path, "base", [[1.0], [5.0]])
    above = compared(tmp_path, "above", [[2.0], [8.0]])
    rows = [base, above, replace(above, name="lost", failures=("seed 2: failed",))]
    found = contrasts(rows, read_images(rows), resamples=10)
    assert found["above"]["CIDEr"].spread == pytest.approx(2**0.5)
    assert found["lost"]["CIDEr"].spread is None
