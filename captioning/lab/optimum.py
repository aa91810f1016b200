"""The optimum of a family of laws: the least value of an exactly computed divergence."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from jaxtyping import Float
from torch import Generator, Tensor, no_grad
from torch.optim import LBFGS

LogTable: TypeAlias = Callable[[], Float[Tensor, "..."]]
Divergence: TypeAlias = Callable[[Float[Tensor, "..."]], Float[Tensor, ""]]


class Family(NamedTuple):
    """A parametric family of laws, with the parameters where a search starts."""

    log_table: LogTable  # of the law with the current parameters
    parameters: Sequence[Tensor]  # leaves that require a gradient, in double precision


def fit(log_table: LogTable, parameters: Sequence[Tensor], divergence: Divergence) -> float:
    """Move the parameters to a local minimum of divergence(log_table()) and return its value.

    L-BFGS with a strong Wolfe line search, until no step lowers the value any more. A minimum at
    infinity is approached until then.
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
    """Return the least value that `fit` reaches from `restarts` starts, and its family.

    JS_π is not convex in the parameters, so a start may end in a local minimum. `make` returns a
    new family at each call, with a random start drawn from the generator.
    """
    families = [make(generator) for _ in range(restarts)]
    values = [fit(*family, divergence) for family in families]
    best = min(range(restarts), key=values.__getitem__)
    return values[best], families[best]
