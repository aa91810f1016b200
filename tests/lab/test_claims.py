"""Claims: when they hold, and how they are told to people and to programs."""

import json
import math

import pytest

from captioning.lab.claims import Claim, Relation, mean_and_spread, shown


def claim(
    expected: float,
    measured: float,
    tolerance: float = 0.0,
    relation: Relation = "equal",
    spread: float | None = None,
) -> Claim:
    return Claim("one is one", "here", expected, measured, tolerance, spread, relation)


@pytest.mark.parametrize(
    ("relation", "measured", "holds"),
    [
        ("equal", 1.0, True),
        ("equal", 0.75, True),
        ("equal", 1.25, True),
        ("equal", 1.26, False),
        ("equal", 0.74, False),
        ("at most", -9.0, True),
        ("at most", 1.25, True),
        ("at most", 1.26, False),
        ("at least", 9.0, True),
        ("at least", 0.75, True),
        ("at least", 0.74, False),
    ],
)
def test_a_claim_holds_within_its_tolerance(
    relation: Relation, measured: float, holds: bool
) -> None:
    assert claim(1.0, measured, 0.25, relation).holds is holds


@pytest.mark.parametrize("relation", ["equal", "at most", "at least"])
def test_what_is_not_a_number_meets_nothing(relation: Relation) -> None:
    assert not claim(0.0, math.nan, math.inf, relation).holds


def test_an_infinite_number_can_be_expected_and_met() -> None:
    assert claim(math.inf, math.inf).holds
    assert not claim(math.inf, 1e300).holds


def test_people_are_told_what_was_expected_and_what_was_found() -> None:
    assert claim(1.249, 1.25, 0.01249).expectation == "1.249 within 0.012"
    assert claim(0.01, 0.0, relation="at most").expectation == "≤ 0.01"
    assert claim(0.0, 0.0, 0.5, "at least").expectation == "≥ 0 within 0.5"
    assert claim(0.0, 0.00213, spread=0.000312).finding == "0.00213 ± 0.00031"
    assert shown(-0.5) == "−0.5"


def test_programs_are_told_the_same_in_plain_numbers() -> None:
    assert claim(2.0, 2.5, 0.5, spread=0.1).to_json() == {
        "claim": "one is one",
        "source": "here",
        "relation": "equal",
        "expected": 2.0,
        "tolerance": 0.5,
        "measured": 2.5,
        "spread": 0.1,
        "holds": True,
    }


def test_json_has_null_for_what_it_cannot_write() -> None:
    written = json.dumps(claim(math.inf, math.nan).to_json(), allow_nan=False)
    read = json.loads(written)
    assert (read["expected"], read["measured"], read["spread"]) == (None, None, None)
    assert read["holds"] is False


def test_the_spread_is_the_sample_standard_deviation_over_seeds() -> None:
    # Deviations -1, 0, 1: squares sum to 2, over n - 1 = 2 gives 1.
    assert mean_and_spread([1.0, 2.0, 3.0]) == (2.0, 1.0)
    assert mean_and_spread([4.0]) == (4.0, None)
