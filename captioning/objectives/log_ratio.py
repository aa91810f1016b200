"""The captioner's reward as a function of a discriminator's log-ratio, for each divergence.

With r = log P/Q, the prior π that a caption shown is real, and its log-odds c = log π/(1-π), the
best discriminator's logit is r + c (Huszár 2015, section 3; Goodfellow et al. 2014, proposition 1).
A captioner trained to maximise one of these rewards of captions x ~ Q minimises what is named with
it; the policy gradient treats the reward itself as a constant.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from captioning.divergences import log_odds

RewardName = Literal["js", "reverse_kl", "log_d", "likelihood"]

LIMITS: tuple[RewardName, ...] = ("reverse_kl", "likelihood")  # of js, as the prior tends to 1 or 0


def reward(kind: RewardName, log_ratio: Float[Tensor, "*b"], prior: float) -> Float[Tensor, "*b"]:
    """Return the reward of captions whose log P/Q is known.

    - `js`: -log(1 - D)/π = softplus(r + c)/π. Its policy gradient is that of -JS_π/(π(1-π)); it
      tends to that of the likelihood as π → 0 and to that of -KL[Q‖P] as π → 1.
    - `reverse_kl`: r, the limit π → 1: minimises KL[Q‖P].
    - `likelihood`: exp r, the limit π → 0: minimises KL[P‖Q]. Its variance is unbounded.
    - `log_d`: log D = -softplus(-(r + c)), the non-saturating reward. It equals r + c minus
      softplus(r + c), so it minimises KL[Q‖P] - JS_π/(1-π) (Arjovsky & Bottou 2017, theorem 2.5).
    """
    shifted = log_ratio + log_odds(prior)
    if kind == "js":
        return functional.softplus(shifted) / prior
    if kind == "log_d":
        return -functional.softplus(-shifted)
    return log_ratio.exp() if kind == "likelihood" else log_ratio
