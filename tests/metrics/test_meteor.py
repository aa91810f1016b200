"""METEOR's score of counts: what the program itself says of them."""

import numpy as np
import pytest

from captioning.metrics.meteor import meteor

# What METEOR 1.5 counts in "two cats sleep next to a dog" against "a cat sleeps near the dogs".
COUNTS = [7, 6, 3, 2, 0, 0, 1, 1, 2, 2, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 2, 5, 4]


def test_the_score_of_counts_is_the_programs():
    assert meteor(np.array([COUNTS], float)).item() == pytest.approx(0.22460995853414356, abs=1e-15)


def test_the_score_of_counts_is_the_formula_worked_by_hand():
    # By kind 1, 0.6, 0.8, 0.6; content words weigh 0.75 and function words 0.25.
    precision = (0.25 + 0.6 * 1.5 + 0.6 * (0.75 + 0.25)) / (0.75 * 4 + 0.25 * 3)
    recall = (0.25 + 0.6 * 1.5 + 0.6 * 0.75) / (0.75 * 4 + 0.25 * 2)
    f_mean = precision * recall / (0.85 * precision + 0.15 * recall)
    expected = f_mean * (1 - 0.6 * (2 / 4.5) ** 0.2)
    assert meteor(np.array([COUNTS], float)).item() == pytest.approx(expected)


def test_no_match_and_no_word_score_zero():
    no_match = [3, 2, 1, 0] + [0] * 19
    assert meteor(np.array([no_match, [0] * 23], float)).tolist() == [0, 0]
