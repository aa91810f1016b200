"""A claim of the paper, as an expected and a measured number."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

Relation = Literal["equal", "at most", "at least"]


@dataclass(frozen=True)
class Claim:
    """One sentence that a measurement can refute.

    Attributes:
        claim: The sentence.
        source: Paper and section that states or implies it.
        expected: The theoretical value or bound.
        measured: The measured value; with several seeds, their mean.
        tolerance: Largest deviation, in the same units, with which the claim holds.
        spread: Standard deviation over seeds; None for an exact number.
        relation: Of the measured to the expected value. An ordering is a bound, too: "KL rises as
            ε falls" means that the smallest rise is at least 0.
    """

    claim: str
    source: str
    expected: float
    measured: float
    tolerance: float = 0.0
    spread: float | None = None
    relation: Relation = "equal"

    @property
    def holds(self) -> bool:
        """Whether the claim holds; it never does for NaN."""
        if self.relation == "at most":
            return bool(self.measured <= self.expected + self.tolerance)
        if self.relation == "at least":
            return bool(self.measured >= self.expected - self.tolerance)
        return math.isclose(self.measured, self.expected, rel_tol=0, abs_tol=self.tolerance)

    @property
    def expectation(self) -> str:
        """The expectation as text, such as "≤ 0.01" or "1.249 within 0.012"."""
        sign = {"equal": "", "at most": "≤ ", "at least": "≥ "}[self.relation]
        margin = f" within {self.tolerance:.2g}" if self.tolerance else ""
        return f"{sign}{shown(self.expected)}{margin}"

    @property
    def finding(self) -> str:
        """The measurement as text, such as "0.0021 ± 0.0003"."""
        return shown(self.measured, self.spread)

    def to_json(self) -> dict[str, str | float | bool | None]:
        """Return plain values; infinities and NaN become null, because JSON has neither."""
        return {
            "claim": self.claim,
            "source": self.source,
            "relation": self.relation,
            "expected": _finite(self.expected),
            "tolerance": _finite(self.tolerance),
            "measured": _finite(self.measured),
            "spread": _finite(self.spread),
            "holds": self.holds,
        }


def mean_and_spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean and sample standard deviation over seeds; the latter is None for one seed."""
    return fmean(values), stdev(values) if len(values) > 1 else None


def shown(value: float, spread: float | None = None) -> str:
    """Format a number for people: four digits of a value, two of its spread."""
    text = f"{value:.4g}" if spread is None else f"{value:.4g} ± {spread:.2g}"
    return text.replace("-", "−")


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
