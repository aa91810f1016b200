"""Straight-through Gumbel-softmax: words are sampled, yet gradients flow through the choice."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from captioning.batch import Captions
from captioning.captioner import Captioner
from captioning.errors import InputError
from captioning.objectives.base import Loss
from captioning.objectives.estimators import (
    Estimator,
    Reward,
    describe,
    speak_with_gradient,
    without_dropout,
)
from captioning.schedules import Constant, Progress, Schedule
from captioning.search.base import STEPS
from captioning.text import END


def relaxed_sample(
    log_probabilities: Float[Tensor, "b w"], temperature: float
) -> Float[Tensor, "b w"]:
    """Draw one-hot rows whose gradient is that of softmax((log Q + noise) / temperature).

    Jang et al. 2017, section 2.2. The samples are exact, the gradient is biased.
    """
    uniform = torch.rand_like(log_probabilities).clamp(min=1e-20)
    noise = -torch.log(-torch.log(uniform))
    soft = ((log_probabilities + noise) / temperature).softmax(1)
    hard = torch.zeros_like(soft).scatter(1, soft.argmax(1, keepdim=True), 1.0)
    return hard + (soft - soft.detach())  # in this order it is exactly `hard`


class StraightThrough(Estimator):
    """Differentiates the reward itself, through words relaxed at a `temperature` that may fall.

    Samples `samples` captions per image, of at most `steps` tokens, including END. The reward
    must be differentiable in mixtures of words.
    """

    def __init__(
        self, temperature: Schedule | None = None, samples: int = 5, steps: int = STEPS
    ) -> None:
        if samples < 1 or steps < 1:
            raise InputError(
                f"straight-through needs samples and steps of 1 or more, got {samples} and {steps}"
            )
        self.temperature = temperature or Constant(1.0)
        self.temperature.check(self.check)
        self.samples, self.steps = samples, steps

    @staticmethod
    def check(temperature: float) -> None:
        """Refuse a temperature that is not positive and finite."""
        if not 0 < temperature < math.inf:
            raise InputError(
                "the temperature must be finite and stay above 0 to the end, got "
                f"{temperature:g}: choose another schedule, or another floor"
            )

    def loss(
        self,
        captioner: Captioner,
        features: Float[Tensor, "n r d"],
        reward: Reward,
        progress: Progress,
    ) -> Loss:
        """Sample with relaxed words and return minus the mean reward."""
        temperature = self.temperature.at(progress)
        self.check(temperature)
        images = torch.arange(len(features), device=features.device)
        with without_dropout(captioner):
            captions, mixtures, entropies = say_relaxed(
                captioner, features, images.repeat_interleave(self.samples), self.steps, temperature
            )
        rewards = reward(captions, mixtures)
        earned = rewards if rewards.ndim == 1 else rewards[:, 0]
        logs = {
            "reward": earned.detach().mean(),
            "temperature": torch.tensor(temperature),
            **describe(captions, entropies),
        }
        return Loss(-earned.mean(), logs)


def say_relaxed(
    captioner: Captioner,
    features: Float[Tensor, "n r d"],
    image_index: Int[Tensor, " b"],
    steps: int,
    temperature: float,
) -> tuple[Captions, Float[Tensor, "p v"], Float[Tensor, " p"]]:
    """Caption the images in `image_index`; each word is fed as the relaxed mixture drawn for it.

    Returns the captions and, packed, their mixtures and the entropies of the words' distributions.
    """

    def relax(log_probabilities: Float[Tensor, "b w"]) -> tuple[Tensor, Tensor]:
        mixtures = functional.pad(relaxed_sample(log_probabilities, temperature), (END, 0))
        return mixtures, mixtures

    return speak_with_gradient(captioner, features, image_index, steps, relax)
