"""Adversarial training with a prior π: from covering all true captions to seeking natural ones."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional

from captioning.batch import Batch, Captions
from captioning.captioner import Captioner
from captioning.data.dataset import ImageId
from captioning.discriminator import Discriminator
from captioning.divergences import log_odds
from captioning.errors import InputError
from captioning.objectives.base import Loss, Objective
from captioning.objectives.estimators import Estimator, speak, without_dropout
from captioning.objectives.log_ratio import LIMITS, RewardName, reward
from captioning.objectives.policy_gradient import PolicyGradient
from captioning.objectives.replay import Replay
from captioning.schedules import Progress
from captioning.text import END, UNKNOWN


@dataclass(frozen=True)
class Prior:
    """The probability π that a caption shown to the discriminator is real (Huszár 2015, section 3).

    Args:
        real: π, between 0 (mode-covering, like maximum likelihood) and 1 (mode-seeking).
        by: How π enters: `share` shows real captions in that share; `logit_shift` shows equal
            shares and adds log π/(1-π) to the logit. The two have the same optimum but not the
            same variance.
    """

    real: float = 0.5
    by: Literal["share", "logit_shift"] = "logit_shift"

    def __post_init__(self) -> None:
        """Refuse a π outside (0, 1)."""
        log_odds(self.real)

    @property
    def shown(self) -> float:
        """The share of real captions among those shown."""
        return self.real if self.by == "share" else 0.5


@dataclass(frozen=True)
class Negatives:
    """Further negative examples for the discriminator.

    Args:
        mismatched: Weight of real captions of other images (Dai et al. 2017, section 3.2), which a
            batch of one image lacks. With them, the best discriminator no longer depends on P/Q
            alone.
        replay: Batches whose generated captions are kept; they then make up half of the generated
            captions shown.
    """

    mismatched: float = 0.0
    replay: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers that are negative or infinite."""
        if not 0 <= self.mismatched < math.inf or self.replay < 0:
            raise InputError(
                "negatives.mismatched and negatives.replay must be 0 or more, got "
                f"{self.mismatched} and {self.replay}"
            )


EQUAL = Prior()
GENERATED = Negatives()


def earned_from_on(
    captions: Captions, values: Float[Tensor, " p"], steps: int
) -> Float[Tensor, "b t"]:
    """Return for each word the sum of the values of those of the `steps` prefixes that contain it.

    A prefix longer than its caption is the caption itself. So the captioner maximises the sum of
    the rewards of all prefix lengths, and a caption gains nothing by being long. At padding, which
    the baselines of longer captions read, the same holds.
    """
    worth = captions.unpack(values)
    places = torch.arange(worth.shape[1], device=worth.device)
    after = steps - torch.maximum(captions.lengths[:, None], places)
    return worth.flip(1).cumsum(1).flip(1) + after * captions.last(values)[:, None]


def calibration_error(
    logits: Float[Tensor, " b"], real: Bool[Tensor, " b"], bins: int = 10
) -> Float[Tensor, ""]:
    """Return the expected calibration error, in [0, 1] (Guo et al. 2017, eq. 3).

    It is the mean difference over captions between a predicted probability and the share of real
    captions among those with about that prediction.
    """
    stated = torch.sigmoid(logits.float())
    cell = (stated * bins).long().clamp(max=bins - 1)
    gaps = torch.zeros(bins, device=logits.device).index_add_(0, cell, stated - real.float())
    return gaps.abs().sum() / len(logits)


class Adversarial(Objective):
    """Minimises JS_π[P‖Q] = π KL[P‖M] + (1-π) KL[Q‖M], M = πP + (1-π)Q, with a discriminator.

    The discriminator learns to tell real captions of the batch, as far as they are `sayable`, from
    the captioner's; the captioner maximises a reward of the log-ratio that the discriminator
    estimates. With `per_prefix`, every prefix is judged and rewarded (the divergences are summed
    over prefix lengths), else the whole caption. `discriminator_turns` come before each turn of the
    captioner, `warm_up` more before the first. `likelihood` is the weight of the true captions'
    cross entropy, added to the loss.
    """

    def __init__(  # noqa: PLR0913 - hyper-parameters
        self,
        discriminator: Callable[[int, int], Discriminator],
        estimator: Estimator,
        prior: Prior = EQUAL,
        reward: RewardName = "js",
        per_prefix: bool = False,
        discriminator_turns: int = 1,
        warm_up: int = 0,
        negatives: Negatives = GENERATED,
        likelihood: float = 0.0,
    ) -> None:
        super().__init__()
        if discriminator_turns < 1 or warm_up < 0:
            raise InputError(
                "adversarial training needs discriminator_turns of 1 or more and a warm_up of 0 or "
                f"more, got {discriminator_turns} and {warm_up}"
            )
        if not 0 <= likelihood < math.inf:
            raise InputError(f"the weight of the likelihood must be 0 or more, got {likelihood}")
        if reward in LIMITS and prior.by == "logit_shift" and prior.real != EQUAL.real:
            raise InputError(
                f"the reward {reward} is a limit that knows no prior, so prior.real {prior.real} "
                "would change nothing: set the reward to js, or prior.by to share"
            )
        if per_prefix and isinstance(estimator, PolicyGradient):
            estimator.check_prefixes()
        self.make_discriminator = discriminator
        self.estimator = estimator
        self.prior = prior
        self.reward = reward
        self.per_prefix = per_prefix
        self.opening = ("discriminator",) * warm_up
        self.turns = ("discriminator",) * discriminator_turns + ("captioner",)
        self.negatives = negatives
        self.replay = Replay(self.negatives.replay)
        self.likelihood = likelihood
        self.least_images = max(2 if negatives.mismatched else 1, estimator.least_images)

    def prepare(self, captioner: Captioner, references: Mapping[ImageId, Sequence[str]]) -> None:
        """Build a discriminator for the captioner's vocabulary and features."""
        device = captioner.feature_mean.device
        sizes = len(captioner.vocabulary), captioner.encoder.feature_size
        self.discriminator = self.make_discriminator(*sizes).to(device)

    def forward(self, captioner: Captioner, batch: Batch, *, turn: str, progress: Progress) -> Loss:
        """Return the loss of the discriminator or of the captioner, depending on `turn`."""
        if turn == "discriminator":
            with torch.no_grad():
                features = captioner.encode(batch)
            return self.discriminate(captioner, features, batch.captions)
        features = captioner.encode(batch)

        def judge(captions: Captions, mixtures: Tensor | None) -> Tensor:
            return self.judge(features.detach(), captions, mixtures)

        value, logs = self.estimator.loss(captioner, features, judge, progress)
        if self.likelihood:
            outputs = captioner(features, batch.captions)
            truth = captioner.decoder.cross_entropy(outputs, batch.captions.targets)
            value = value + self.likelihood * truth
            logs = logs | {"cross_entropy": truth.detach()}
        return Loss(value, logs)

    def discriminate(
        self, captioner: Captioner, features: Float[Tensor, "n r d"], captions: Captions
    ) -> Loss:
        """Return the discriminator's cross entropy on real and generated captions, in nats."""
        nothing = features.new_zeros(0)
        captions = sayable(captions, self.estimator.steps)
        kept, replaced = self.deal(len(captions.lengths), features.device)
        real = self.logits(features, captions.select(kept)) if len(kept) else nothing
        false = earlier = nothing
        if len(replaced):
            owners = captions.image_index[replaced]
            generated = speak(captioner, features, owners, self.estimator.steps)
            false = self.logits(features, generated)
            said = self.replay.exchange(features, generated) if self.replay.size else None
            earlier = self.logits(*said) if said else nothing
        value = cross_entropy(real, false, earlier)
        if self.negatives.mismatched and len(features) > 1:
            mismatched = self.logits(features, mismatch(captions, len(features)))
            value = value + self.negatives.mismatched * functional.softplus(mismatched).mean()
        return Loss(value, judgement(real.detach(), false.detach(), self.prior))

    def deal(self, count: int, device: torch.device) -> tuple[Int[Tensor, " _"], Int[Tensor, " _"]]:
        """Choose which real captions to show, and which to replace by generated ones."""
        if self.prior.by == "logit_shift":
            every = torch.arange(count, device=device)
            return every, every
        real = torch.rand(count, device=device) < self.prior.real
        return real.nonzero().squeeze(1), (~real).nonzero().squeeze(1)

    def logits(self, features: Float[Tensor, "n r d"], captions: Captions) -> Float[Tensor, " _"]:
        """Return the logits of captions or, with `per_prefix`, of all their prefixes."""
        logits = self.discriminator(features, captions)
        return logits if self.per_prefix else captions.last(logits)

    def judge(
        self,
        features: Float[Tensor, "n r d"],
        captions: Captions,
        mixtures: Float[Tensor, "p v"] | None,
    ) -> Float[Tensor, " b"] | Float[Tensor, "b t"]:
        """Return the reward of generated captions; its gradient reaches their words only."""
        weights = {name: weight.detach() for name, weight in self.discriminator.named_parameters()}
        # In training mode, spectral norm updates its vectors at every call: here it updates copies.
        vectors = {name: buffer.clone() for name, buffer in self.discriminator.named_buffers()}
        state, arguments = weights | vectors, (features, captions, mixtures)
        with without_dropout(self.discriminator):
            logits = functional_call(self.discriminator, state, arguments)
        rewards = reward(self.reward, logits - log_odds(self.prior.shown), self.prior.real)
        if not self.per_prefix:
            return captions.last(rewards)
        steps = self.estimator.steps
        return earned_from_on(captions, rewards, steps) / steps


def sayable(captions: Captions, steps: int) -> Captions:
    """Keep the captions that a captioner could say, or all if there is none.

    An unknown word or a missing END would tell the others from what is generated at sight.
    """
    known = (captions.tokens != UNKNOWN).all(1)
    ended = captions.tokens.gather(1, captions.lengths[:, None] - 1).squeeze(1) == END
    rows = (known & ended & (captions.lengths <= steps)).nonzero().squeeze(1)
    return captions.select(rows) if len(rows) else captions


def cross_entropy(
    real: Float[Tensor, " r"], generated: Float[Tensor, " g"], earlier: Float[Tensor, " e"]
) -> Float[Tensor, ""]:
    """Average the cross entropy of logits; `earlier` ones share the weight of the generated."""
    every = torch.cat([generated, earlier])
    negative = len(generated) * functional.softplus(every).mean() if len(generated) else 0.0
    return (functional.softplus(-real).sum() + negative) / (len(real) + len(generated))


def mismatch(captions: Captions, images: int) -> Captions:
    """Assign every caption to another of two or more images, by a random cyclic shift."""
    shift = torch.randint(1, images, (), device=captions.image_index.device)
    return captions._replace(image_index=(captions.image_index + shift) % images)


def judgement(
    real: Float[Tensor, " r"], generated: Float[Tensor, " g"], prior: Prior
) -> dict[str, Float[Tensor, ""]]:
    """Measure a discriminator: accuracy, calibration, mean log-ratio of generated captions."""
    every = torch.cat([real, generated])
    truly = torch.arange(len(every), device=every.device) < len(real)
    log_ratios = generated - log_odds(prior.shown)
    return {
        "accuracy": ((every > 0) == truly).float().mean(),
        "calibration_error": calibration_error(every, truly),
        "log_ratio": log_ratios.mean() if len(generated) else every.new_zeros(()),
    }
