"""Exact divergences between two laws that are given as complete tables.

A law is a tensor of log probabilities of any shape, best in double precision; minus infinity marks
impossible events. Entropies and divergences are in nats. All are differentiable in both laws, and
impossible events do not contribute to gradients. A prior π is strictly between 0 and 1.
"""

import math

from jaxtyping import Bool, Float
from torch import Tensor, logaddexp
from torch.nn.functional import logsigmoid

from captioning.errors import InputError


def log_odds(prior: float) -> float:
    """Return log π/(1-π)."""
    if not 0 < prior < 1:
        raise InputError(
            f"a prior is the chance that a caption shown is real, expected 0 < it < 1, got {prior}"
        )
    return math.log(prior) - math.log1p(-prior)


def expectation(log_p: Float[Tensor, "*x"], values: Float[Tensor, "*x"]) -> Float[Tensor, ""]:
    """Return E_P[values]; values where P is zero do not count, even if infinite."""
    return (log_p.exp() * values.masked_fill(log_p.isneginf(), 0)).sum()


def entropy(log_p: Float[Tensor, "*x"]) -> Float[Tensor, ""]:
    """Return H[P] = -E_P log P."""
    return -expectation(log_p, log_p)


def kl(log_p: Float[Tensor, "*x"], log_q: Float[Tensor, "*x"]) -> Float[Tensor, ""]:
    """Return KL[P‖Q] = E_P log P/Q: infinite if Q is zero anywhere in the support of P."""
    return expectation(log_p, log_p - log_q)


def js(log_p: Float[Tensor, "*x"], log_q: Float[Tensor, "*x"], prior: float) -> Float[Tensor, ""]:
    """Return JS_π = π KL[P‖M] + (1-π) KL[Q‖M], where M = πP + (1-π)Q.

    The generalised Jensen-Shannon divergence of Huszár 2015, from 0 to H(π): JS_π/π tends to
    KL[P‖Q] as π → 0, JS_π/(1-π) to KL[Q‖P] as π → 1; π = ½ gives that of Goodfellow et al. 2014.
    """
    log_m = mixture(log_p, log_q, prior)
    return prior * kl(log_p, log_m) + (1 - prior) * kl(log_q, log_m)


def total_variation(log_p: Float[Tensor, "*x"], log_q: Float[Tensor, "*x"]) -> Float[Tensor, ""]:
    """Return ½ Σ |P - Q|, from 0 to 1: the largest difference of the two on any event."""
    return (log_p.exp() - log_q.exp()).abs().sum() / 2


def mixture(
    log_p: Float[Tensor, "*x"], log_q: Float[Tensor, "*x"], prior: float
) -> Float[Tensor, "*x"]:
    """Return log(πP + (1-π)Q)."""
    never = neither(log_p, log_q)
    # The gradient of logaddexp is NaN where both are minus infinity, so these places are masked.
    log_p, log_q = log_p.masked_fill(never, 0), log_q.masked_fill(never, 0)
    log_sum = logaddexp(log_p, log_q - log_odds(prior)) + math.log(prior)
    return log_sum.masked_fill(never, -math.inf)


def neither(log_p: Float[Tensor, "*x"], log_q: Float[Tensor, "*x"]) -> Bool[Tensor, "*x"]:
    """Return a mask of the events that are impossible under both laws."""
    return log_p.isneginf() & log_q.isneginf()


def mutual_information(log_p: Float[Tensor, "x y"]) -> Float[Tensor, ""]:
    """Return I(x; y) = H[x] + H[y] - H[x, y] of a law of pairs.

    This is what scheduled sampling that always samples loses on two words: its optimum there is the
    product of the marginals (Huszár 2015).
    """
    return entropy(log_p.logsumexp(0)) + entropy(log_p.logsumexp(1)) - entropy(log_p)


def best_log_odds(
    log_p: Float[Tensor, "*x"], log_q: Float[Tensor, "*x"], prior: float
) -> Float[Tensor, "*x"]:
    """Return the logit of the best discriminator, log P/Q + log π/(1-π).

    It is the logit of D* = πP/(πP + (1-π)Q), the probability that an observation is real
    (Goodfellow et al. 2014, proposition 1, for any π). Where both laws are zero, it is the prior's.
    """
    return (log_p - log_q).masked_fill(neither(log_p, log_q), 0) + log_odds(prior)


def discriminator_value(
    logits: Float[Tensor, "*x"],
    log_p: Float[Tensor, "*x"],
    log_q: Float[Tensor, "*x"],
    prior: float,
) -> Float[Tensor, ""]:
    """Return π E_P log D + (1-π) E_Q log(1-D), whose maximum over D is JS_π - H(π).

    `logits` are those of D, the probability that an observation is real (Goodfellow et al. 2014,
    equation 1, for any π).
    """
    real = expectation(log_p, logsigmoid(logits))
    generated = expectation(log_q, logsigmoid(-logits))
    return prior * real + (1 - prior) * generated
