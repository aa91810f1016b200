"""A critic: how well a fresh discriminator tells a captioner's captions from human ones."""

import itertools
import math
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from torch.optim import Adam

from captioning.batch import Batch, Captions
from captioning.captioner import Captioner
from captioning.discriminator import Discriminator
from captioning.errors import InputError
from captioning.metrics import confidence_intervals
from captioning.metrics.statistics import mean_of
from captioning.objectives.adversarial import sayable
from captioning.search import Search

# Steps between two evaluations on the held-back images.
EVERY = 50


class Shown(NamedTuple):
    """n images with true and generated captions, not always equally many.

    Images without true captions are not judged.
    """

    features: Float[Tensor, "n r d"]
    real: Captions
    generated: Captions


class Judged(NamedTuple):
    """A critic's performance on each image, its true and generated captions weighted equally.

    JS[P, Q] = ½ KL[P‖M] + ½ KL[Q‖M], M = ½P + ½Q, is at least log 2 - the mean cross entropy of any
    critic; the logit log P/Q attains it (Goodfellow et al. 2014, section 4.1). No accuracy exceeds
    ½ + half the total variation of P and Q. Both bounds also hold for P if the true captions are
    only P's `sayable` ones, because what Q cannot say moves P only further from Q.
    """

    cross_entropy: Float[Tensor, " n"]  # in nats
    accuracy: Float[Tensor, " n"]  # in [0, 1]; a logit of zero counts one half


@dataclass(frozen=True)
class Plan:
    """How a critic is trained.

    Args:
        steps: Maximum number of training steps, one batch each.
        patience: Steps without a lower cross entropy on the held-back images, after which
            training ends. A critic may learn nothing for hundreds of steps before it finds the
            first difference.
        held_back: Share of the images on which the best step is chosen, in (0, 1).
        learning_rate: Learning rate of Adam.
    """

    steps: int = 3000
    patience: int = 1000
    held_back: float = 0.2
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        """Refuse settings that train nothing."""
        if not 0 < self.learning_rate < math.inf:
            raise InputError(f"a critic needs a learning_rate above 0, got {self.learning_rate}")
        if min(self.steps, self.patience) < 1 or not 0 < self.held_back < 1:
            raise InputError(
                "a critic needs steps and patience of 1 or more and a held_back share between 0 "
                f"and 1, got {self.steps}, {self.patience} and {self.held_back}"
            )


def summarise(judged: Judged, seed: int) -> dict[str, tuple[float, float, float]]:
    """Return the accuracy and a lower bound on JS in nats, each with its 95 % interval.

    The bound of a critic that is worse than chance is 0: it proves nothing.
    """
    found = {"accuracy": judged.accuracy, "jensen_shannon": math.log(2) - judged.cross_entropy}
    statistics = {name: mean_of(values.double().cpu().numpy()) for name, values in found.items()}
    intervals = confidence_intervals(statistics, np.random.default_rng(seed))
    spans = ((name, statistics[name].corpus, *intervals[name]) for name in found)
    return {
        name: (max(0.0, value), max(0.0, low), max(0.0, high)) for name, value, low, high in spans
    }


@torch.no_grad()
def show(captioner: Captioner, batch: Batch, search: Search, generator: torch.Generator) -> Shown:
    """Caption the images of a batch; their true captions are the `sayable` ones in the batch.

    A critic that saw unknown words would measure the vocabulary instead of the captioner.
    """
    features = captioner.encode(batch)
    said = search([captioner], [features], generator).tokens
    owners = torch.arange(len(said), device=said.device).repeat_interleave(said.shape[1])
    generated = Captions.from_generated(said.flatten(0, 1), owners)
    known = sayable(batch.captions, steps=batch.captions.tokens.shape[1])
    real = Captions(*(part.to(features.device) for part in known))
    return Shown(features, real, generated)


def train(
    discriminator: Discriminator, shown: Sequence[Shown], plan: Plan, generator: torch.Generator
) -> None:
    """Train a discriminator and leave it with its best weights.

    All of `shown` stays in memory, features included: 40 MB for 5,000 images, or 2 GB where
    features are a grid of 7 × 7 regions of 2,048 numbers each.
    """
    held = max(1, round(plan.held_back * len(shown)))
    if held >= len(shown):
        raise InputError(
            f"a critic is trained on two batches or more, got {len(shown)}: take a larger split"
        )
    choosing, teaching = shown[:held], shown[held:]
    optimizer = Adam(discriminator.parameters(), lr=plan.learning_rate)
    least, best, weights = math.inf, 0, deepcopy(discriminator.state_dict())
    order = (
        place
        for _ in itertools.count()
        for place in torch.randperm(len(teaching), generator=generator).tolist()
    )
    for step, place in enumerate(itertools.islice(order, plan.steps), start=1):
        optimizer.zero_grad()
        judge(discriminator.train(), teaching[place]).cross_entropy.mean().backward()
        optimizer.step()
        if step % EVERY and step < plan.steps:
            continue
        value = judge_all(discriminator, choosing).cross_entropy.mean().item()
        if value < least:
            least, best, weights = value, step, deepcopy(discriminator.state_dict())
        if step - best >= plan.patience:
            break
    discriminator.load_state_dict(weights)


def judge(discriminator: Discriminator, shown: Shown, offset: float = 0.0) -> Judged:
    """Judge the captions of one batch; `offset` is subtracted from the logits."""
    real, generated = (
        captions.last(discriminator(shown.features, captions)) - offset for captions in shown[1:]
    )

    def balanced(of_real: Tensor, of_generated: Tensor) -> Tensor:
        images = len(shown.features)
        each = mean_by_image(of_real, shown.real, images)
        both = (each + mean_by_image(of_generated, shown.generated, images)) / 2
        return both[shown.real.image_index.unique()]

    return Judged(
        balanced(functional.softplus(-real), functional.softplus(generated)),
        balanced((1 + real.sign()) / 2, (1 - generated.sign()) / 2),
    )


@torch.no_grad()
def judge_all(discriminator: Discriminator, shown: Iterable[Shown], offset: float = 0.0) -> Judged:
    """Judge every image, without dropout or gradients."""
    discriminator.eval()
    found = [judge(discriminator, each, offset) for each in shown]
    return Judged(*(torch.cat(values) for values in zip(*found, strict=True)))


def mean_by_image(
    values: Float[Tensor, " b"], captions: Captions, images: int
) -> Float[Tensor, " n"]:
    """Average `values` over the captions of each image; the mean of none is 0."""
    sums = values.new_zeros(images).index_add(0, captions.image_index, values)
    return sums / captions.image_index.bincount(minlength=images).clamp(min=1)
