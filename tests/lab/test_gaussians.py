"""Figure 1 of the paper: from covering to seeking, as theory says."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, tensor
from torch.testing import assert_close

from captioning.lab.gaussians import (
    REACH,
    SIDE,
    Fit,
    correlated,
    fit_isotropic,
    grid,
    isotropic,
    two_bumps,
)


def fitted(target: Callable[[Tensor], Tensor], prior: float, restarts: int) -> Fit:
    return fit_isotropic(target, prior, torch.Generator().manual_seed(0), restarts)


def moments(log_density: Tensor) -> tuple[float, Tensor, Tensor]:
    """The mass on the grid, the mean and the covariance."""
    points = grid().reshape(-1, 2)
    density = log_density.exp().reshape(-1, 1) * (2 * REACH / (SIDE - 1)) ** 2
    mean = (density * points).sum(0)
    return density.sum().item(), mean, (density * points).T @ points - torch.outer(mean, mean)


def test_densities_have_their_mass_mean_and_covariance() -> None:
    mean, deviation = tensor([1.0, -2.0]).double(), tensor(1.5).double()
    zero = torch.zeros(2).double()
    for log_density, middle, covariance in (
        (correlated(grid()), zero, [[4.0, 3.6], [3.6, 4.0]]),
        (two_bumps(grid()), zero, [[10.0, 0.0], [0.0, 1.0]]),
        (isotropic(grid(), mean, deviation), mean, [[2.25, 0.0], [0.0, 2.25]]),
    ):
        found = moments(log_density)
        assert found[0] == pytest.approx(1, abs=1e-4)
        assert_close(found[1], middle, rtol=0, atol=1e-3)
        assert_close(found[2], tensor(covariance).double(), rtol=0, atol=2e-3)


def test_the_grid_is_square_about_the_origin_with_x_first() -> None:
    points = grid()
    assert points.shape == (SIDE, SIDE, 2)
    assert points[0, -1].tolist() == [-REACH, REACH]
    assert points[SIDE // 2, SIDE // 2].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("prior", "deviation"), [(0.01, 2.0), (0.1, 1.8), (0.5, 1.3), (0.9, 1.0), (0.99, 0.9)]
)
def test_the_correlated_gaussian_is_covered_then_sought(prior: float, deviation: float) -> None:
    fit = fitted(correlated, prior, restarts=1)
    assert fit.deviation == pytest.approx(deviation, abs=0.05)
    assert_close(fit.mean, torch.zeros(2).double(), rtol=0, atol=1e-4)


def test_the_deviations_of_opposite_priors_are_reciprocal() -> None:
    # Turning P and Q about turns the ratios of their variances about, along each axis of P; so the
    # product of the deviations is the root of the determinant 4² - 3.6².
    narrow, middle, wide = (fitted(correlated, prior, restarts=1) for prior in (0.1, 0.5, 0.9))
    assert middle.deviation == pytest.approx(3.04**0.25, abs=1e-4)
    assert narrow.deviation * wide.deviation == pytest.approx(math.sqrt(3.04), abs=1e-4)
    assert narrow.divergence == pytest.approx(wide.divergence, abs=1e-6)


def test_two_bumps_are_covered_from_between_them_then_one_is_sought() -> None:
    for prior in (0.01, 0.1):
        fit = fitted(two_bumps, prior, restarts=4)
        assert_close(fit.mean, torch.zeros(2).double(), rtol=0, atol=1e-4)
        assert 2.3 < fit.deviation < 2.4
    for prior in (0.5, 0.99):
        fit = fitted(two_bumps, prior, restarts=4)
        assert fit.mean[0].abs().item() == pytest.approx(3, abs=0.05)
        assert fit.mean[1].item() == pytest.approx(0, abs=1e-4)
        assert fit.deviation == pytest.approx(1, abs=0.05)
