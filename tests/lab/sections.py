"""Sections of the laboratory's page with made-up numbers, of every kind that there is."""

import math
from dataclasses import replace
from functools import cache

from captioning.lab.claims import Claim
from captioning.lab.drawings import Estimates, Frame, Series, dots, plot
from captioning.lab.section import Section, Table
from captioning.report.html import Drawing

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
EXACT = (1.057, 0.721, 0.422, 0.170, 0.0)
TRAINED = (1.061, 0.719, 0.428, 0.173, 0.002)
SPREAD = (0.012, 0.009, 0.006, 0.004, 0.001)

PRIORS = ("0.01", "0.1", "0.5", "0.9", "0.99")
FORWARD, REVERSE = (1.27, 1.83, 3.02, 3.90, 4.25), (1.90, 1.12, 0.83, 0.76, 0.75)
DIVERGENCE = (1.249, 1.068, 0.887, 0.781, 0.748)


@cache  # a quarter of a second for each drawing
def make_scheduled_sampling() -> Section:
    """An exact line with measured marks; of six claims the last does not hold."""
    claims = [
        Claim(
            f"Scheduled sampling at ε = {share:g} lands on its fixed point: the KL between the two",
            "Huszár 2015, section 2",
            0.01,
            0.0021 * place,
            spread=0.0003,
            relation="at most",
        )
        for place, share in enumerate(SHARES)
    ]
    truth = Claim(
        "Teacher forcing finds the truth: KL[P‖Q]",
        "Huszár 2015, section 1",
        0.005,
        0.0071,
        spread=0.0012,
        relation="at most",
    )
    rows = [
        [f"{share:g}", f"{one:.3f}", f"{other:.3f} ± {error:.3f}"]
        for share, one, other, error in zip(SHARES, EXACT, TRAINED, SPREAD, strict=True)
    ]
    return Section(
        "scheduled-sampling",
        "Scheduled sampling",
        "The product's decoder is trained without images in a random world of four words and "
        "four steps, at several constant truth shares ε. No amount of data brings it nearer to P.",
        [Table("KL[P‖Q] in nats", ["ε", "exact fixed point", "trained"], rows)],
        [draw_fixed_points()],
        [*claims, truth],
    )


def draw_fixed_points() -> Drawing:
    frame = Frame("Scheduled sampling learns the wrong answer", "truth share ε", "KL[P‖Q], nats")
    exact = Series("exact fixed point", SHARES, EXACT)
    trained = Series("trained, mean of 3 seeds", SHARES, TRAINED, SPREAD)
    return plot("fixed-points", frame, [exact, trained])


@cache
def make_adversarial() -> Section:
    """Two drawings and a wide table."""
    numbers = zip(PRIORS, DIVERGENCE, FORWARD, REVERSE, strict=True)
    rows = [
        [prior, *(f"{value:.3f} ± 0.012" for value in (d, f, r, d, f, r))]
        for prior, d, f, r in numbers
    ]
    columns = ["π", *("JS_π/(π(1−π)) by policy gradient", "KL[P‖Q]", "KL[Q‖P]") * 2]
    claims = [
        Claim(
            f"At π = {prior} adversarial training reaches the least JS_π/(π(1−π)), to 1%",
            "Huszár 2015, section 3, equation 9",
            value,
            value + 0.002,
            tolerance=0.01 * value,
            spread=0.004,
        )
        for prior, value in zip(PRIORS, DIVERGENCE, strict=True)
    ]
    text = "A bigram model cannot fit this world, so that π decides which of P's sides it shows."
    tables = [Table("What was reached", columns, rows)]
    drawings = [draw_path(), draw_divergences()]
    return Section("adversarial", "Adversarial training", text, tables, drawings, claims)


def draw_path() -> Drawing:
    """A path with names along it."""
    frame = Frame("From covering to seeking", "KL[P‖Q], nats", "KL[Q‖P], nats")
    exact = Series("exact optimum, at π", FORWARD, REVERSE, names=PRIORS)
    near = [value + 0.03 for value in FORWARD], [value + 0.01 for value in REVERSE]
    trained = Series("policy gradient", *near, (0.03, 0.05, 0.06, 0.05, 0.09), (0.05,) * 5)
    return plot("path", frame, [exact, trained])


def draw_divergences() -> Drawing:
    """An axis of shares, and marks of a single seed."""
    frame = Frame("The divergence that is reached", "π", "JS_π/(π(1−π)), nats", x_scale="logit")
    priors = [float(prior) for prior in PRIORS]
    series = [
        Series("exact optimum", priors, DIVERGENCE),
        Series("policy gradient", priors, DIVERGENCE, (0.004,) * 5),
        Series("straight-through Gumbel", priors, [1.05 * d for d in DIVERGENCE], (None,) * 5),
    ]
    return plot("divergences", frame, series)


@cache
def make_gradients() -> Section:
    """Estimates on a logarithmic axis, one of them missing."""
    rows = ["no baseline", "mean of the batch", "leave one out", "greedy caption"]
    estimates = [
        Estimates("adversarial, π = 0.5", (3.1, 0.42, 0.40, 0.9), (0.2, 0.03, 0.03, 0.1)),
        Estimates("self-critical", (12.0, 2.2, 2.1, math.nan), (1.0, 0.2, 0.2, math.nan)),
    ]
    drawing = dots(
        "variance", "Variance of the policy gradient", "variance of one sample", rows, estimates
    )
    claim = Claim("The mean of many estimates is the gradient", "Williams 1992", 1.0, 1.01, 0.05)
    text = "The exact gradient by enumeration, against the mean of many estimates."
    return Section("gradients", "Estimators of the gradient", text, [], [drawing], [claim])


def section(seeds: int, size: str, jobs: int) -> Section:
    """What the command takes for an experiment; it tells how it was called."""
    made = make_scheduled_sampling()
    return replace(made, text=f"{made.text} {seeds} seeds, {size}, {jobs} jobs.")
