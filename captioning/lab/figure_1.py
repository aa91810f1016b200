"""Figure 1 of the paper: an isotropic Gaussian that cannot fit, from covering to seeking."""

from collections.abc import Mapping, Sequence

import torch
from torch import Generator

from captioning.lab.claims import Claim
from captioning.lab.drawings import Contours, contours
from captioning.lab.gaussians import Fit, correlated, fit_isotropic, isotropic, two_bumps
from captioning.lab.section import Section, Table
from captioning.report.html import Drawing

SOURCE = "Huszár 2015, figure 1"

DEVIATIONS = {0.01: 2.0, 0.1: 1.8, 0.5: 1.3, 0.9: 1.0, 0.99: 0.9}
"""Expected standard deviation of the Gaussian nearest to the correlated one, by π, rounded."""

HEADINGS = [f"π = {prior:g}" for prior in DEVIATIONS]

TARGETS = {"correlated": correlated, "two bumps": two_bumps}

BUMP = 3.0
"""The distance of each bump from the origin."""

VIEW = 6.0
"""Half the width of a panel."""

TEXT = (
    "One round Gaussian Q is fitted, by the minimum of JS_π on a grid, to a law P that it cannot "
    "match. As π grows, Q goes from covering all of P to seeking a part where P is surely likely. "
    "P is filled; the lines around Q are at one and at two standard deviations."
)


def section(_seeds: int, size: str, _jobs: int) -> Section:
    """Fit at each π; the fits are exact, so they need no repetition."""
    restarts = 2 if size == "small" else 6
    fits = {
        name: [
            fit_isotropic(target, prior, Generator().manual_seed(0), restarts)
            for prior in DEVIATIONS
        ]
        for name, target in TARGETS.items()
    }
    return Section(
        "figure-1",
        "A Gaussian that cannot fit",
        TEXT,
        [table(fits)],
        [drawing(fits)],
        [*correlated_claims(fits["correlated"]), *bump_claims(fits["two bumps"])],
    )


def table(fits: Mapping[str, Sequence[Fit]]) -> Table:
    """Tabulate the fits to each target at each π."""
    rows = []
    for name, those in fits.items():
        scaled = (
            fit.divergence / (prior * (1 - prior))
            for prior, fit in zip(DEVIATIONS, those, strict=True)
        )
        rows += [
            [f"{name}: standard deviation", *(f"{fit.deviation:.2f}" for fit in those)],
            [f"{name}: mean, from the middle", *(f"{fit.mean.norm():.2f}" for fit in those)],
            [f"{name}: JS_π/(π(1−π)), nats", *(f"{value:.3f}" for value in scaled)],
        ]
    return Table("The Gaussian nearest by JS_π", ["target", *HEADINGS], rows)


def drawing(fits: Mapping[str, Sequence[Fit]]) -> Drawing:
    """Draw a row of panels for each target, one for each π."""
    axis = torch.linspace(-VIEW, VIEW, 121, dtype=torch.float64)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    points = torch.stack((x, y), dim=-1)

    def panel(name: str, fit: Fit) -> Contours:
        truth = TARGETS[name](points).exp()
        deviation = torch.tensor(fit.deviation, dtype=torch.float64)
        fitted = isotropic(points, fit.mean, deviation).exp()
        return Contours(axis.numpy(), axis.numpy(), truth.numpy(), fitted.numpy())

    return contours(
        "contours",
        "Contours of the fitted Gaussian: over the correlated Gaussian it shrinks as π grows; over "
        "two bumps it sits between them, then on one.",
        HEADINGS,
        {name: [panel(name, fit) for fit in those] for name, those in fits.items()},
    )


def correlated_claims(fits: Sequence[Fit]) -> list[Claim]:
    """Return claims about the standard deviation at each π, to one decimal."""
    return [
        Claim(
            f"At π = {prior:g} the Gaussian nearest to a correlated one has a standard deviation "
            f"of {expected:.1f}",
            SOURCE,
            expected,
            fit.deviation,
            tolerance=0.05,
        )
        for (prior, expected), fit in zip(DEVIATIONS.items(), fits, strict=True)
    ]


def bump_claims(fits: Sequence[Fit]) -> list[Claim]:
    """Return claims about Q's position and width for small and large π, by the worst fits."""
    covering = [fit for prior, fit in zip(DEVIATIONS, fits, strict=True) if prior <= 0.1]
    seeking = [fit for prior, fit in zip(DEVIATIONS, fits, strict=True) if prior >= 0.5]
    bumps = torch.tensor([[-BUMP, 0.0], [BUMP, 0.0]], dtype=torch.float64)
    return [
        Claim(
            "Up to π = 0.1 it sits between two bumps: its mean is 0 from the middle",
            SOURCE,
            0.0,
            max(fit.mean.norm().item() for fit in covering),
            tolerance=0.05,
        ),
        Claim(
            "There it covers both: its standard deviation is 2.3 to 2.4",
            SOURCE,
            2.35,
            furthest([fit.deviation for fit in covering], 2.35),
            tolerance=0.05,
        ),
        Claim(
            "From π = 0.5 on it sits on one of the bumps: its mean is 0 from there",
            SOURCE,
            0.0,
            max((fit.mean - bumps).norm(dim=1).min().item() for fit in seeking),
            tolerance=0.05,
        ),
        Claim(
            "There it fits that bump alone: its standard deviation is 1.0",
            SOURCE,
            1.0,
            furthest([fit.deviation for fit in seeking], 1.0),
            tolerance=0.05,
        ),
    ]


def furthest(values: Sequence[float], expected: float) -> float:
    """Return the value that is furthest from the expected one."""
    return max(values, key=lambda value: abs(value - expected))
