"""Small worlds, whose true law of sequences of words is a complete table."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int
from torch import Generator, Tensor

from captioning.divergences import mutual_information
from captioning.errors import InputError

LARGEST = 2**20
"""Maximum number of sequences of a world: each takes eight bytes in every table."""


@dataclass(frozen=True, eq=False)
class World:
    """The law P of sequences x_0 … x_{T-1} of `steps` words out of `words`.

    `table[x_0, …, x_{T-1}]` is the probability of a sequence. All sequences have the same length.
    Raises InputError if the table is not such a law.
    """

    name: str
    table: Float64[Tensor, "..."]

    def __post_init__(self) -> None:
        _check_size(self.words, self.steps)
        shape, total = tuple(self.table.shape), float(self.table.sum())
        if shape != (self.words,) * self.steps:
            raise InputError(f"world {self.name}: expected as many words at each step, got {shape}")
        if self.table.min() < 0 or not abs(total - 1) < 1e-9:
            raise InputError(
                f"world {self.name}: expected probabilities that sum to one, got a least one of "
                f"{self.table.min():g} and a sum of {total:g}"
            )

    @property
    def words(self) -> int:
        """The number of different words."""
        return self.table.shape[0] if self.table.dim() else 0

    @property
    def steps(self) -> int:
        """The length of every sequence."""
        return self.table.dim()

    @property
    def log_table(self) -> Float64[Tensor, "..."]:
        """Log probabilities: minus infinity for sequences that never occur."""
        return self.table.log()

    def prefixes(self, t: int) -> Float64[Tensor, "..."]:
        """Return P(x_0 … x_{t-1}), one axis for each of the first t words; t from 0 to `steps`."""
        return self.table.reshape((self.words,) * t + (-1,)).sum(-1)

    def conditional(self, t: int) -> Float64[Tensor, "..."]:
        """Return P(x_t | x_0 … x_{t-1}), t + 1 axes; uniform after prefixes that never occur."""
        given = self.prefixes(t).unsqueeze(-1)
        return torch.where(given > 0, self.prefixes(t + 1) / given, 1 / self.words)

    def sample(self, n: int, generator: Generator) -> Int[Tensor, "n t"]:
        """Draw n sequences of words 0 … `words` - 1."""
        places = torch.multinomial(self.table.flatten(), n, replacement=True, generator=generator)
        return torch.stack(torch.unravel_index(places, self.table.shape), 1)


def random_world(words: int, steps: int, spread: float, generator: Generator) -> World:
    """Make P ∝ exp(spread · N(0, 1)), independently for each sequence; uniform if `spread` is 0."""
    _check_size(words, steps)
    table = _normal((words**steps,), spread, generator).softmax(0).reshape((words,) * steps)
    return World(f"random, {words} words, {steps} steps", table)


def two_words(words: int, information: float, generator: Generator) -> World:
    """Make a world of two words with the mutual information I(x_0; x_1) = `information`, in nats.

    Its law is a mixture of a random law of independent words (0 nats) and a random one-to-one
    relation of equally likely words (log `words` nats), with the share found by bisection.
    """
    _check_size(words, 2)
    most = math.log(words)
    if not 0 <= information <= most:
        raise InputError(
            f"expected an information from 0 to log({words}) = {most:.3f} nats, got {information}: "
            "change it, or take more words"
        )
    first, second = _normal((2, words), 1.0, generator).softmax(1)
    independent = torch.outer(first, second)
    relation = torch.eye(words, dtype=torch.float64)[torch.randperm(words, generator=generator)]

    def between(share: float) -> Float64[Tensor, "v v"]:
        return independent.lerp(relation / words, share)

    share = _bisect(lambda at: mutual_information(between(at).log()).item(), information)
    return World(f"two out of {words} words, {information:g} nats", between(share))


def _normal(shape: tuple[int, ...], spread: float, generator: Generator) -> Float64[Tensor, "..."]:
    """Draw from N(0, spread²), in double precision."""
    if not 0 <= spread < math.inf:
        raise InputError(f"expected a finite spread of at least 0, got {spread}")
    return spread * torch.randn(shape, generator=generator, dtype=torch.float64)


def _bisect(function: Callable[[float], float], value: float) -> float:
    """Find where in [0, 1] a function with f(0) <= value <= f(1) takes the value."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) < value else (low, middle)
    return high


def _check_size(words: int, steps: int) -> None:
    """Raise InputError if a world is too small to be meaningful, or too large to enumerate."""
    if words < 2 or steps < 1:
        raise InputError(f"a world needs words >= 2 and steps >= 1, got {words} and {steps}")
    # Compared as logarithms: the power of huge numbers would take forever.
    if steps * math.log(words) > math.log(LARGEST) + 1e-9:
        raise InputError(
            f"a world has {LARGEST:,} sequences at most, got {words}^{steps}: take fewer words or "
            "steps"
        )
