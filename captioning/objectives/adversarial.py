"""Adversarial training with a prior π: from covering what is said to saying what is natural."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional

from captioning.batch import Batch, Captions
from captioning.captioner import Captioner
from captioning.discriminator import Discriminator
from captioning.objectives.base import Loss, Objective
from captioning.objectives.divergence import Reward, log_odds, reward
from captioning.objectives.estimators import Estimator, speak, without_dropout
from captioning.schedules import Progress


@dataclass
class Prior:
    """The chance π that a caption shown to the discriminator is real (Huszár 2015, section 3).

    Args:
        real: π, between 0 (covering, as maximum likelihood) and 1 (seeking what is surely natural).
        by: How π enters: `share` shows real captions in that share; `logit_shift` shows equal
            shares and adds log π/(1-π) to the logit. They have the same optimum, not the same
            variance.
    """

    real: float = 0.5
    by: Literal["share", "logit_shift"] = "logit_shift"

    def __post_init__(self) -> None:
        """Refuse what is no chance."""
        log_odds(self.real)

    @property
    def shown(self) -> float:
        """The share of real captions among those shown."""
        return self.real if self.by == "share" else 0.5


def last_of(captions: Captions, values: Float[Tensor, " p"]) -> Float[Tensor, " b"]:
    """Take, of packed values, those at the end of each caption."""
    return captions.unpack(values).gather(1, captions.lengths[:, None] - 1).squeeze(1)


def earned_from_on(
    captions: Captions, values: Float[Tensor, " p"], steps: int
) -> Float[Tensor, "b t"]:
    """Give, for each word, the sum over `steps` prefixes of what those with it in them are worth.

    A prefix longer than its caption is the caption. So the captioner climbs the sum of the rewards
    of all prefix lengths, and a caption earns nothing by being long.
    """
    worth = captions.unpack(values)
    final = last_of(captions, values)[:, None]
    after = (steps - captions.lengths)[:, None] * final
    return worth.flip(1).cumsum(1).flip(1) + after


def calibration_error(
    logits: Float[Tensor, " b"], real: Bool[Tensor, " b"], bins: int = 10
) -> Float[Tensor, ""]:
    """Give the expected calibration error, in [0, 1] (Guo et al. 2017, eq. 3).

    It is how far, on average over captions, a stated chance is from the share of real captions
    among those of about that chance.
    """
    stated = torch.sigmoid(logits)
    cell = (stated * bins).long().clamp(max=bins - 1)
    gaps = torch.zeros(bins, device=logits.device).index_add_(0, cell, stated - real.float())
    return gaps.abs().sum() / len(logits)


class Adversarial(Objective):
    """Descends JS_π[P‖Q] = π KL[P‖M] + (1-π) KL[Q‖M], M = πP + (1-π)Q, by a discriminator's word.

    The discriminator tells real captions of the batch from the captioner's; the captioner climbs a
    reward of the log-ratio that it reads off. With `per_prefix`, every prefix is judged and
    rewarded (the sum over prefix lengths of their divergences), else the whole caption.
    `discriminator_turns` come before each turn of the captioner, `warm_up` more before the first.
    """

    def __init__(  # noqa: PLR0913 - hyper-parameters
        self,
        discriminator: Callable[[int, int], Discriminator],
        estimator: Estimator,
        prior: Prior | None = None,
        reward: Reward = "js",
        per_prefix: bool = False,
        discriminator_turns: int = 1,
        warm_up: int = 0,
    ) -> None:
        super().__init__()
        self.make_discriminator = discriminator
        self.estimator = estimator
        self.prior = prior or Prior()
        self.reward = reward
        self.per_prefix = per_prefix
        self.opening = ("discriminator",) * warm_up
        self.turns = ("discriminator",) * discriminator_turns + ("captioner",)

    def prepare(self, captioner: Captioner, references: Sequence[Sequence[str]]) -> None:
        """Make a discriminator that fits the captioner."""
        device = captioner.feature_mean.device
        sizes = len(captioner.vocabulary), captioner.encoder.feature_size
        self.discriminator = self.make_discriminator(*sizes).to(device)

    def forward(self, captioner: Captioner, batch: Batch, *, turn: str, progress: Progress) -> Loss:
        """Play the discriminator's turn or the captioner's."""
        features = captioner.encode(batch)
        if turn == "discriminator":
            return self.discriminate(captioner, features.detach(), batch.captions)

        def judge(captions: Captions, mixtures: Tensor | None) -> Tensor:
            return self.judge(features.detach(), captions, mixtures)

        return self.estimator.loss(captioner, features, judge, progress)

    def discriminate(
        self, captioner: Captioner, features: Float[Tensor, "n r d"], real: Captions
    ) -> Loss:
        """Give the discriminator's cross entropy on real and generated captions, in nats."""
        kept, replaced = self.deal(len(real.lengths), features.device)
        logits = []
        if len(kept):
            logits.append(self.logits(features, real.select(kept)))
        positive = len(logits[0]) if len(kept) else 0
        if len(replaced):
            owners = real.image_index[replaced]
            generated = speak(captioner, features, owners, self.estimator.steps)
            logits.append(self.logits(features, generated))
        every = torch.cat(logits)
        real_ones = torch.arange(len(every), device=every.device) < positive
        value = functional.binary_cross_entropy_with_logits(every, real_ones.float())
        return Loss(value, judgement(every.detach(), real_ones, self.prior))

    def deal(self, count: int, device: torch.device) -> tuple[Int[Tensor, " _"], Int[Tensor, " _"]]:
        """Choose which captions are shown, and for which a generated one of the same picture."""
        if self.prior.by == "logit_shift":
            every = torch.arange(count, device=device)
            return every, every
        real = torch.rand(count, device=device) < self.prior.real
        return real.nonzero().squeeze(1), (~real).nonzero().squeeze(1)

    def logits(self, features: Float[Tensor, "n r d"], captions: Captions) -> Float[Tensor, " _"]:
        """Judge captions, or every prefix of theirs."""
        logits = self.discriminator(features, captions)
        return logits if self.per_prefix else last_of(captions, logits)

    def judge(
        self,
        features: Float[Tensor, "n r d"],
        captions: Captions,
        mixtures: Float[Tensor, "p v"] | None,
    ) -> Float[Tensor, " b"] | Float[Tensor, "b t"]:
        """Give the reward of generated captions; its gradient reaches their words alone."""
        weights = {name: weight.detach() for name, weight in self.discriminator.named_parameters()}
        with without_dropout(self.discriminator):
            logits = functional_call(self.discriminator, weights, (features, captions, mixtures))
        rewards = reward(self.reward, logits - log_odds(self.prior.shown), self.prior.real)
        if not self.per_prefix:
            return last_of(captions, rewards)
        steps = self.estimator.steps
        return earned_from_on(captions, rewards, steps) / steps


def judgement(
    logits: Float[Tensor, " b"], real: Bool[Tensor, " b"], prior: Prior
) -> dict[str, Float[Tensor, ""]]:
    """Say how good a discriminator is: its loss, accuracy, calibration and mean log-ratio."""
    of_generated = logits[~real] - log_odds(prior.shown)
    return {
        "accuracy": ((logits > 0) == real).float().mean(),
        "calibration_error": calibration_error(logits, real),
        "log_ratio": of_generated.mean() if len(of_generated) else logits.new_zeros(()),
    }
