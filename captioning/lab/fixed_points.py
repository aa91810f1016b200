"""What scheduled sampling learns with unlimited data and a model of unlimited capacity."""

from typing import Literal

import torch
from jaxtyping import Float64
from torch import Tensor
from torch.nn.functional import one_hot

from captioning.errors import InputError
from captioning.lab.worlds import World
from captioning.objectives.scheduled_sampling import Coin, Replacement

LARGEST = 2**24
"""Maximum pairs of a true and a fed prefix in a table: eight bytes each, in a few tables."""


def scheduled_sampling(
    world: World,
    truth_share: float,
    coin: Coin = "token",
    replacement: Replacement | Literal["uniform"] = "sample",
    parallel: bool = False,
) -> Float64[Tensor, "..."]:
    """Return the log table of the fixed point Q* at truth share ε; the options are the objective's.

    Let J be the joint law of the true prefix, x, and the prefix fed in its place, y. No gradient
    reaches the choice of y, so each step is fitted to its J as given, and its optimum is the
    posterior mean q_t(· | y) = E_J[P(x_t | x) | y]. J depends on earlier steps only, so one pass
    from the first word to the last gives Q* exactly. ε = 1 gives P; two words give the result of
    Huszár 2015, Q*(x_1 | z) = ε P(x_1 | z) + (1-ε) P(x_1). Ties of `argmax` go to the first word.

    Raises InputError if no exact answer exists: if Q* generates a prefix that training never feeds,
    its continuation is not learned. This happens with `argmax` at ε = 0 and, if P has zeros, with
    `argmax` and a coin per sequence. Also raises InputError if the tables would be too large.
    """
    _check(world, truth_share, replacement, parallel)
    kept = truth_share if coin == "token" else 0.0
    joint = torch.ones(1, 1, dtype=torch.float64)
    optimum = torch.ones(1, dtype=torch.float64)
    for t in range(world.steps):
        following = world.conditional(t).reshape(-1, world.words)
        fed = joint
        if coin == "sequence":
            truth = world.prefixes(t).flatten().diag()
            fed = torch.lerp(joint, truth, truth_share)
        conditional = posterior_mean(fed, following)
        _check_learned(fed, optimum, truth_share)
        optimum = (optimum.unsqueeze(1) * conditional).flatten()
        if t < world.steps - 1:
            drawn = replacements(conditional, replacement)
            joint = feed(joint, following, drawn, kept, parallel)
    return optimum.reshape(world.table.shape).log()


def posterior_mean(
    joint: Float64[Tensor, "x y"], following: Float64[Tensor, "x v"]
) -> Float64[Tensor, "y v"]:
    """Return E_J[P(next word | x) | y], and zeros for prefixes y that are never fed."""
    weights = joint.sum(0).unsqueeze(1)
    return torch.where(weights > 0, joint.T @ following / weights, 0)


def replacements(
    conditional: Float64[Tensor, "y v"], replacement: Replacement | Literal["uniform"]
) -> Float64[Tensor, "y v"]:
    """Return the law of the replacement after each prefix."""
    words = conditional.shape[1]
    if replacement == "argmax":
        return one_hot(conditional.argmax(1), words).double()
    return torch.full_like(conditional, 1 / words) if replacement == "uniform" else conditional


def feed(
    joint: Float64[Tensor, "x y"],
    following: Float64[Tensor, "x v"],
    drawn: Float64[Tensor, "y v"],
    truth_share: float,
    parallel: bool,
) -> Float64[Tensor, "x*v y*v"]:
    """Extend both prefixes by a word: the true a, and b, which is a with probability `truth_share`.

    Otherwise b is drawn given the prefix fed or, with `parallel`, given the true prefix.
    """
    same = torch.eye(following.shape[1], dtype=torch.float64)
    after = drawn[:, None, None] if parallel else drawn
    choice = truth_share * same[:, None] + (1 - truth_share) * after
    longer = torch.einsum("xy,xa->xay", joint, following).unsqueeze(-1) * choice
    return longer.flatten(0, 1).flatten(1)


def _check(world: World, truth_share: float, replacement: str, parallel: bool) -> None:
    """Raise InputError for arguments that are invalid or need too much memory."""
    if not 0 <= truth_share <= 1:
        raise InputError(f"expected a truth share from 0 to 1, got {truth_share}")
    if parallel and replacement == "uniform":
        raise InputError(
            "parallel replacements are drawn from the model, uniform ones are not: take one"
        )
    if world.words ** (2 * (world.steps - 1)) > LARGEST:
        raise InputError(
            f"the exact fixed point needs words^(2 steps - 2) <= {LARGEST:,}, got {world.words} "
            f"words and {world.steps} steps: take fewer"
        )


def _check_learned(
    fed: Float64[Tensor, "x y"], optimum: Float64[Tensor, " y"], truth_share: float
) -> None:
    """Raise InputError if the model generates a prefix that it was never fed."""
    if bool(((optimum > 0) & (fed.sum(0) == 0)).any()):
        raise InputError(
            f"no exact fixed point with truth_share {truth_share} and these replacements: the "
            "model says what it is never fed; raise truth_share, or take replacement 'sample'"
        )
