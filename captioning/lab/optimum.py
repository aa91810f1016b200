"""The best that a family of laws can do: the least value of a divergence that is summed exactly."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from jaxtyping import Float
from torch import Generator, Tensor, no_grad
from torch.optim import LBFGS

LogTable: TypeAlias = Callable[[], Float[Tensor, "..."]]
Divergence: TypeAlias = Callable[[Float[Tensor, "..."]], Float[Tensor, ""]]


class Family(NamedTuple):
    """Laws that differ by their parameters, at the one where a search starts."""

    log_table: LogTable  # of the law that the parameters now make
    parameters: Sequence[Tensor]  # leaves that require a gradient, in double precision


def fit(log_table: LogTable, parameters: Sequence[Tensor], divergence: Divergence) -> float:
    """Move the parameters to a local minimum of divergence(log_table()) and give its value.

    L-BFGS with a strong Wolfe line search, until no step lowers the value any more. A minimum at
    infinity is neared until then.
    """
    optimizer = LBFGS(
        list(parameters),
        max_iter=1000,
        tolerance_grad=1e-12,
        tolerance_change=1e-16,
        line_search_fn="strong_wolfe",
    )

    def evaluate() -> float:
        optimizer.zero_grad()
        value = divergence(log_table())
        value.backward()
        return value.item()

    optimizer.step(evaluate)
    with no_grad():
        return divergence(log_table()).item()


def best_of(
    make: Callable[[Generator], Family],
    divergence: Divergence,
    restarts: int,
    generator: Generator,
) -> tuple[float, Family]:
    """Give the least value that `fit` reaches from `restarts` starts, and the family that has it.

    JS_π is not convex in the parameters: a start may end in a minimum that is only local. `make`
    gives a family of its own at each call, the random part of its start from the generator.
    """
    families = [make(generator) for _ in range(restarts)]
    values = [fit(*family, divergence) for family in families]
    best = min(range(restarts), key=values.__getitem__)
    return values[best], families[best]
