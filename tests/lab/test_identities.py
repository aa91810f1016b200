"""The claims that are identities hold, and would not hold of a divergence that is another."""

import pytest
import torch

from captioning.lab import identities
from captioning.lab.worlds import World, random_world

PRIORS = (0.01, 0.5, 0.99)


def worlds() -> list[World]:
    return [random_world(3, 2, 1.0, torch.Generator().manual_seed(seed)) for seed in range(3)]


def test_all_identities_hold_in_any_world() -> None:
    for world in worlds():
        claims = identities.identities(world, PRIORS)
        assert len(claims) == 4
        assert all(claim.holds for claim in claims)
        forward, seeking = claims[2:]
        assert abs(forward.expected - seeking.expected) > 0.01  # the limits are told apart


def test_they_do_not_hold_of_a_divergence_with_another_prior(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    true = identities.js
    monkeypatch.setattr(identities, "js", lambda p, q, prior: true(p, q, prior**1.1))
    assert not any(claim.holds for claim in identities.identities(worlds()[0], PRIORS))
