"""Claims on JS_π that are identities: exact sums in a world, for a model that was not trained."""

from jaxtyping import Float
from torch import Tensor

from captioning.divergences import best_log_odds, discriminator_value, entropy, js, kl
from captioning.lab.claims import Claim
from captioning.lab.models import Bigram, log_table, speaker
from captioning.lab.worlds import World

SOURCE = "Huszár 2015, section 3"

# The prior from which limits are extrapolated, and a tolerance for what is left of its square.
SMALL = 2.0**-10
LEFT = 1e-3


def identities(world: World, priors: tuple[float, ...]) -> list[Claim]:
    """Return the claims on the value of the best discriminator, the symmetry and both limits."""
    log_p, log_q = world.log_table, log_table(speaker(world, Bigram, 0).double(), world).detach()

    def gap(prior: float) -> float:
        best = best_log_odds(log_p, log_q, prior)
        value = discriminator_value(best, log_p, log_q, prior)
        coin = entropy(log_p.new_tensor([prior, 1 - prior]).log())
        return (value - (js(log_p, log_q, prior) - coin)).abs().item()

    def turned(prior: float) -> float:
        return (js(log_p, log_q, prior) - js(log_q, log_p, 1 - prior)).abs().item()

    return [
        Claim(
            "The value of the best discriminator is JS_π − H(π): the largest difference over π",
            SOURCE,
            0.0,
            max(map(gap, priors)),
            1e-9,
        ),
        Claim(
            "JS_π[P‖Q] = JS_{1−π}[Q‖P]: the largest difference over π",
            SOURCE,
            0.0,
            max(map(turned, priors)),
            1e-9,
        ),
        *limits(log_p, log_q),
    ]


def limits(log_p: Float[Tensor, "..."], log_q: Float[Tensor, "..."]) -> list[Claim]:
    """Return the claims on the limits of JS_π, in nats."""

    def limit(prior: float, nearer: float) -> float:
        """Extrapolate to π = 0 or 1: half the distance leaves half the error."""
        far, near = js(log_p, log_q, prior) / SMALL, js(log_p, log_q, nearer) / (SMALL / 2)
        return (2 * near - far).item()

    return [
        Claim(
            "JS_π/π tends to KL[P‖Q] as π → 0, extrapolated from π = 2⁻¹⁰ and 2⁻¹¹",
            SOURCE,
            kl(log_p, log_q).item(),
            limit(SMALL, SMALL / 2),
            LEFT,
        ),
        Claim(
            "JS_π/(1−π) tends to KL[Q‖P] as π → 1, extrapolated from 1 − 2⁻¹⁰ and 1 − 2⁻¹¹",
            SOURCE,
            kl(log_q, log_p).item(),
            limit(1 - SMALL, 1 - SMALL / 2),
            LEFT,
        ),
    ]
