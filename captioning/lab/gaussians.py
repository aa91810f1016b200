"""The paper's figure 1: an isotropic Gaussian, fitted by JS_π to laws that it cannot match."""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Generator, Tensor

from captioning.divergences import js
from captioning.lab.optimum import Family, best_of

REACH, SIDE = 12.0, 97
"""The grid has SIDE points per axis, from -REACH to REACH: with more, four digits stay the same."""
SPACING = 2 * REACH / (SIDE - 1)


class Fit(NamedTuple):
    """The isotropic Gaussian that is nearest by JS_π."""

    mean: Float64[Tensor, "2"]
    deviation: float  # standard deviation, the same in every direction
    divergence: float  # JS_π, in nats


def grid() -> Float64[Tensor, "n n 2"]:
    """Return the points (x, y) of a square around the origin: x along the first axis."""
    axis = torch.linspace(-REACH, REACH, SIDE, dtype=torch.float64)
    return torch.cartesian_prod(axis, axis).reshape(SIDE, SIDE, 2)


def gaussian(
    points: Float64[Tensor, "*n 2"],
    mean: Float64[Tensor, "2"],
    covariance: Float64[Tensor, "2 2"],
) -> Float64[Tensor, "*n"]:
    """Return the log density of a Gaussian."""
    away = points - mean
    distance = (away @ covariance.inverse() * away).sum(-1)
    return -(distance + covariance.logdet()) / 2 - math.log(2 * math.pi)


def correlated(points: Float64[Tensor, "*n 2"]) -> Float64[Tensor, "*n"]:
    """Return the log density of a Gaussian at (0, 0), with variances 4 and covariance 3.6."""
    covariance = torch.tensor([[4.0, 3.6], [3.6, 4.0]], dtype=torch.float64)
    return gaussian(points, torch.zeros(2, dtype=torch.float64), covariance)


def two_bumps(points: Float64[Tensor, "*n 2"]) -> Float64[Tensor, "*n"]:
    """Return the log density of two equal Gaussians of unit variance, at (-3, 0) and (3, 0)."""
    centre = torch.tensor([3.0, 0.0], dtype=torch.float64)
    unit = torch.eye(2, dtype=torch.float64)
    bumps = torch.logaddexp(gaussian(points, -centre, unit), gaussian(points, centre, unit))
    return bumps - math.log(2)


def isotropic(
    points: Float64[Tensor, "*n 2"], mean: Float64[Tensor, "2"], deviation: Float64[Tensor, ""]
) -> Float64[Tensor, "*n"]:
    """Return the log density of a Gaussian with the same standard deviation in every direction."""
    return gaussian(points, mean, deviation**2 * torch.eye(2, dtype=torch.float64))


def fit_isotropic(
    target: Callable[[Float64[Tensor, "n n 2"]], Float64[Tensor, "n n"]],
    prior: float,
    generator: Generator,
    restarts: int = 8,
) -> Fit:
    """Fit the mean and the standard deviation to the target's log density (Huszár 2015, figure 1).

    π → 0 covers the target, π → 1 seeks one of its modes. Both densities become laws on the grid's
    points, so that JS_π is a sum. For two bumps and π near a half, covering both and sitting on one
    are two local minima: wide and narrow starts find both, and the lower one counts.
    """
    points = grid()
    log_p = as_law(target(points))

    def make(generator: Generator) -> Family:
        start = torch.randn(3, generator=generator, dtype=torch.float64)
        free = torch.cat((start[:2] / 4, start[2:] - 2)).requires_grad_()
        return Family(lambda: as_law(isotropic(points, *on_grid(free))), [free])

    divergence, best = best_of(make, partial(js, log_p, prior=prior), restarts, generator)
    mean, deviation = on_grid(best.parameters[0].detach())
    return Fit(mean, deviation.item(), divergence)


def on_grid(free: Float64[Tensor, "3"]) -> tuple[Float64[Tensor, "2"], Float64[Tensor, ""]]:
    """Map any three numbers to a mean and a standard deviation that the grid can represent."""
    return REACH * free[:2].tanh(), SPACING + (REACH - SPACING) * free[2].sigmoid()


def as_law(log_density: Float64[Tensor, "*n"]) -> Float64[Tensor, "*n"]:
    """Return log probabilities of evenly spaced points, proportional to a density."""
    return log_density - log_density.flatten().logsumexp(0)
