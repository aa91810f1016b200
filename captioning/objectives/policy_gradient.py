"""The policy gradient: sample captions and reinforce those with higher rewards than others."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from captioning.batch import Captions
from captioning.captioner import Captioner
from captioning.errors import InputError
from captioning.objectives.base import Loss
from captioning.objectives.estimators import (
    Estimator,
    Reward,
    complete,
    describe,
    speak,
    speak_with_gradient,
    without_dropout,
)
from captioning.schedules import Progress
from captioning.search.base import STEPS
from captioning.search.sampling import draw
from captioning.text import END

Baseline = Literal["none", "mean", "leave_one_out", "greedy"]


def mean_of_others(
    rewards: Float[Tensor, "b t"], groups: Int[Tensor, " b"]
) -> Float[Tensor, "b t"]:
    """Average, at each step, the rewards of the other captions of the same group.

    A caption's own reward is not in its baseline, so the gradient stays unbiased (Kool et al. 2019,
    eq. 4). The baseline of a caption that is alone in its group is zero.
    """
    count = int(groups.max()) + 1
    sums = rewards.new_zeros(count, rewards.shape[1]).index_add_(0, groups, rewards)
    sizes = groups.bincount(minlength=count)[groups, None]
    return (sums[groups] - rewards) / (sizes - 1).clamp(min=1) * (sizes > 1)


def reinforce(
    log_likelihoods: Float[Tensor, "b t"], advantages: Float[Tensor, "b _"]
) -> Float[Tensor, ""]:
    """Return the loss of REINFORCE (Williams 1992): its gradient is minus that of the mean reward.

    Log likelihoods are zero at padding; advantages are per word or per caption. The loss is summed
    over words and averaged over captions.
    """
    return -(advantages * log_likelihoods).sum(1).mean()


def draw_word(
    log_probabilities: Float[Tensor, "b w"],
) -> tuple[Int[Tensor, " b"], Float[Tensor, " b"]]:
    """Draw the next word of each caption; return it with its log likelihood."""
    places = draw(log_probabilities.detach())
    return places + END, log_probabilities.gather(1, places[:, None]).squeeze(1)


class PolicyGradient(Estimator):
    """REINFORCE with `samples` captions per image and a baseline.

    The baseline is the mean reward of the other captions of the batch (`mean`) or of the same
    image (`leave_one_out`, Luo 2020), the reward of the image's `greedy` caption (Rennie et al.
    2017), or `none`. Captions have at most `steps` tokens, including END. With `rollouts`, a word's
    reward is the mean over that many completions after it (Yu et al. 2017, eq. 4). `greedy` and
    `rollouts` are for rewards of whole captions, not of every prefix.
    """

    def __init__(
        self,
        samples: int = 5,
        baseline: Baseline = "leave_one_out",
        steps: int = STEPS,
        rollouts: int = 0,
    ) -> None:
        if samples < 1 or steps < 1 or rollouts < 0:
            raise InputError(
                "the policy gradient needs samples and steps of 1 or more and rollouts of 0 or "
                f"more, got {samples}, {steps} and {rollouts}"
            )
        if baseline == "leave_one_out" and samples == 1:
            raise InputError(
                "the baseline leave_one_out is made of an image's other captions, but samples is "
                "1: raise it or choose another baseline"
            )
        self.samples, self.baseline, self.steps = samples, baseline, steps
        self.rollouts = rollouts
        self.least_images = 2 if baseline == "mean" and samples == 1 else 1

    def check_prefixes(self) -> None:
        """Refuse options that make no sense where every prefix is rewarded."""
        given = ["rollouts"] if self.rollouts else []
        given += ["the baseline greedy"] if self.baseline == "greedy" else []
        if given:
            raise InputError(
                f"only rewards of whole captions have {' and '.join(given)}, but every prefix is "
                "rewarded: choose another estimator, or set per_prefix to false"
            )

    def loss(
        self,
        captioner: Captioner,
        features: Float[Tensor, "n r d"],
        reward: Reward,
        progress: Progress,
    ) -> Loss:
        """Sample captions and weight their log likelihoods by their advantages."""
        images = torch.arange(len(features), device=features.device)
        owners = images.repeat_interleave(self.samples)
        with without_dropout(captioner):
            captions, log_likelihoods, entropies = speak_with_gradient(
                captioner, features, owners, self.steps, draw_word
            )
        with torch.no_grad():
            rewards = reward(captions, None)
            if rewards.ndim > 1:
                self.check_prefixes()
            else:
                rewards = rewards[:, None]
            if self.rollouts:
                rewards = self.roll_out(captioner, features, captions, rewards, reward)
            advantages = rewards - self.expected(captioner, features, captions, rewards, reward)
        value = reinforce(captions.unpack(log_likelihoods), advantages)
        logs = {"reward": rewards[:, 0].mean(), **describe(captions, entropies)}
        return Loss(value, logs)

    def roll_out(
        self,
        captioner: Captioner,
        features: Float[Tensor, "n r d"],
        captions: Captions,
        rewards: Float[Tensor, "b 1"],
        reward: Reward,
    ) -> Float[Tensor, "b t"]:
        """Return each word's mean reward over completions after it; the last word's is its own."""
        if captions.tokens.shape[1] == 1:  # nothing to complete
            return rewards
        completions, row, place = complete(captioner, features, captions, self.rollouts, self.steps)
        earned = reward(completions, None)
        table = rewards.expand(captions.tokens.shape).clone()
        table[row, place] = 0
        return table.index_put_((row, place), earned / self.rollouts, accumulate=True)

    def expected(
        self,
        captioner: Captioner,
        features: Float[Tensor, "n r d"],
        captions: Captions,
        rewards: Float[Tensor, "b t"],
        reward: Reward,
    ) -> Float[Tensor, "b t"]:
        """Return each caption's baseline, with the same number of steps as the rewards."""
        if self.baseline == "none":
            return torch.zeros_like(rewards)
        if self.baseline == "mean":
            return mean_of_others(rewards, torch.zeros_like(captions.image_index))
        if self.baseline == "leave_one_out":
            return mean_of_others(rewards, captions.image_index)
        images = torch.arange(len(features), device=features.device)
        greedy = speak(captioner, features, images, self.steps, lambda scores: scores.argmax(1))
        earned = reward(greedy, None)[:, None]
        return (
            torch.zeros_like(earned)
            .index_copy(0, greedy.image_index, earned)[captions.image_index]
            .expand_as(rewards)
        )
