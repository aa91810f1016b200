"""Estimated gradients against exact ones: which estimators are unbiased, and how noisy each is."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from captioning.batch import Batch
from captioning.captioner import Captioner
from captioning.divergences import js
from captioning.lab.claims import Claim, Relation, mean_and_spread, shown
from captioning.lab.drawings import Estimates, dots
from captioning.lab.fixed_points import feed
from captioning.lab.models import NOTHING, Bigram, as_captions, log_table, speaker
from captioning.lab.section import Section, Table
from captioning.lab.true_ratio import TrueRatio
from captioning.lab.workers import run_all
from captioning.lab.worlds import World, random_world
from captioning.objectives.adversarial import Adversarial, Prior
from captioning.objectives.base import Objective
from captioning.objectives.estimators import Estimator
from captioning.objectives.policy_gradient import PolicyGradient
from captioning.objectives.scheduled_sampling import ScheduledSampling
from captioning.objectives.straight_through import StraightThrough
from captioning.objectives.teacher_forcing import TeacherForcing
from captioning.report.html import Drawing
from captioning.schedules import Constant, Progress

SOURCE = "Williams 1992; Jang et al. 2017; Kool et al. 2019"

PRIOR = 0.5

IMAGES, SAMPLES = 8, 8
"""An estimate uses IMAGES images, all alike, with SAMPLES captions each."""

TEXT = (
    "A bigram and a law of three words and three steps, small enough to sum every gradient. Each "
    "objective, with the discriminator's logit replaced by the true log P/Q, gives many estimates "
    "of 64 captions each. An unbiased estimator's mean is one standard error off, or so; the "
    "straight-through estimator reads the reward between the words, where it means nothing, and "
    "its error does not average out. A baseline leaves the mean alone and takes variance away."
)


class Quality(NamedTuple):
    """Bias and variance of many estimates of one gradient."""

    error: float  # distance of their mean from the exact gradient, relative to its norm
    standard_errors: float  # the same distance in standard errors of the mean
    variance: float  # of an estimate by a single caption, summed over weights


def make_world() -> World:
    """Return a world small enough to enumerate pairs of sequences."""
    return random_world(3, 3, 1.0, Generator().manual_seed(0))


def make_captioner(world: World) -> Captioner:
    """Return a bigram that differs from the law, in double precision."""
    captioner = speaker(world, Bigram, 0).double()
    with torch.no_grad():
        captioner.decoder.embedding.weight.normal_(generator=Generator().manual_seed(1))
    return captioner


def mixed_cross_entropy(
    world: World, log_q: Float[Tensor, "..."], truth_share: float
) -> Float[Tensor, ""]:
    """Return the expected loss of scheduled sampling, in nats per word; ε = 1 is teacher forcing.

    No gradient flows through the inputs.
    """
    joint = torch.ones(1, 1, dtype=torch.float64)
    total = torch.zeros((), dtype=torch.float64)
    for t in range(world.steps):
        following = world.conditional(t).reshape(-1, world.words)
        after = log_q.reshape(-1, world.words, world.words ** (world.steps - t - 1)).logsumexp(2)
        conditional = after.log_softmax(1)
        total = total - (joint.T @ following * conditional).sum()
        joint = feed(joint, following, conditional.exp().detach(), truth_share, parallel=False)
    return total / world.steps


def divergence(world: World, log_q: Float[Tensor, "..."]) -> Float[Tensor, ""]:
    """Return JS_π/(π(1-π)), which the reward's policy gradient descends."""
    return js(world.log_table, log_q, PRIOR) / (PRIOR * (1 - PRIOR))


def adversarial(estimator: Estimator) -> Callable[[World, Captioner], Objective]:
    """Return the adversarial objective with the true log-ratio instead of a discriminator."""

    def make(world: World, captioner: Captioner) -> Objective:
        log_ratio = world.log_table - log_table(captioner, world).detach()
        objective = Adversarial(lambda *_: TrueRatio(log_ratio), estimator, Prior(PRIOR))
        objective.prepare(captioner, {})
        return objective

    return make


class Case(NamedTuple):
    """An objective with its estimator, and the expected loss that it should descend."""

    make: Callable[[World, Captioner], Objective]
    loss: Callable[[World, Float[Tensor, "..."]], Float[Tensor, ""]]


STEPS = 3

CASES: Mapping[str, Case] = {
    "teacher forcing": Case(
        lambda *_: TeacherForcing(), lambda world, log_q: mixed_cross_entropy(world, log_q, 1.0)
    ),
    "scheduled sampling, ε = ½": Case(
        lambda *_: ScheduledSampling(Constant(0.5)),
        lambda world, log_q: mixed_cross_entropy(world, log_q, 0.5),
    ),
    "policy gradient, no baseline": Case(
        adversarial(PolicyGradient(SAMPLES, "none", STEPS)), divergence
    ),
    "policy gradient, greedy baseline": Case(
        adversarial(PolicyGradient(SAMPLES, "greedy", STEPS)), divergence
    ),
    "policy gradient, leave-one-out": Case(
        adversarial(PolicyGradient(SAMPLES, "leave_one_out", STEPS)), divergence
    ),
    "policy gradient, mean baseline": Case(
        adversarial(PolicyGradient(SAMPLES, "mean", STEPS)), divergence
    ),
    "policy gradient, leave-one-out, 4 rollouts": Case(
        adversarial(PolicyGradient(SAMPLES, "leave_one_out", STEPS, rollouts=4)), divergence
    ),
    "straight-through, temperature 1": Case(
        adversarial(StraightThrough(Constant(1.0), SAMPLES, STEPS)), divergence
    ),
    "straight-through, temperature 0.5": Case(
        adversarial(StraightThrough(Constant(0.5), SAMPLES, STEPS)), divergence
    ),
    "straight-through, temperature 0.1": Case(
        adversarial(StraightThrough(Constant(0.1), SAMPLES, STEPS)), divergence
    ),
}

BIASED = "straight-through"


class Job(NamedTuple):
    """The name of a case, the number of estimates, and the seed of their random draws."""

    case: str
    estimates: int
    seed: int


def run(job: Job) -> Quality:
    """Compare many estimates with the exact gradient."""
    case, world = CASES[job.case], make_world()
    captioner = make_captioner(world)
    table = captioner.decoder.embedding.weight
    (exact,) = torch.autograd.grad(case.loss(world, log_table(captioner, world)), table)
    objective = case.make(world, captioner)
    torch.manual_seed(job.seed)
    generator = Generator().manual_seed(job.seed)
    features = NOTHING.double().expand(IMAGES, 1, 1)
    ids, references = tuple(range(IMAGES)), ((),) * IMAGES
    estimates = []
    for _ in range(job.estimates):
        captions = as_captions(world.sample(IMAGES * SAMPLES, generator))
        batch = Batch(None, features, captions, ids, references)
        loss = objective(captioner, batch, turn="captioner", progress=Progress(0, 0.0))
        estimates.append(torch.autograd.grad(loss.value, table)[0])
    found = torch.stack(estimates)
    distance = (found.mean(0) - exact).norm().item()
    variance = found.var(0).sum().item()
    return Quality(
        distance / exact.norm().item(),
        distance / (variance / job.estimates) ** 0.5,
        variance * IMAGES * SAMPLES,
    )


def section(seeds: int, size: str, jobs: int) -> Section:
    """Estimate every case's gradient, with separate random draws for each seed."""
    estimates = 1000 if size == "default" else 50
    todo = [Job(name, estimates, seed) for name in CASES for seed in range(seeds)]
    done = iter(run_all(run, todo, jobs, "gradients"))
    found = {name: [next(done) for _ in range(seeds)] for name in CASES}
    return Section(
        "gradients",
        "Gradients: right on average, and how noisy",
        TEXT,
        [table(found)],
        [drawing(found)],
        claims(found),
    )


def table(found: Mapping[str, Sequence[Quality]]) -> Table:
    """Tabulate error and variance of every estimator."""
    rows = [
        [name, *(shown(*mean_and_spread(values)) for values in zip(*qualities, strict=True))]
        for name, qualities in found.items()
    ]
    columns = ["estimator", "error / length", "error, standard errors", "variance a caption"]
    return Table("The mean of many estimates against the exact gradient", columns, rows)


def drawing(found: Mapping[str, Sequence[Quality]]) -> Drawing:
    """Draw the variance of the estimators of the same gradient."""
    names = [name for name in found if name.startswith(("policy", BIASED))]
    measured = [mean_and_spread([each.variance for each in found[name]]) for name in names]
    values, errors = [mean for mean, _ in measured], [sd or 0.0 for _, sd in measured]
    return dots(
        "variance",
        "Noise of the adversarial gradient",
        "variance of a caption's gradient",
        names,
        [Estimates("over seeds", values, errors)],
    )


def claims(found: Mapping[str, Sequence[Quality]]) -> list[Claim]:
    """Return the claims of theory about each estimator, with the measured values."""
    unbiased = [
        claim(
            f"Right on average: {name}; the error of the mean, in standard errors",
            [each.standard_errors for each in qualities],
            2.0,
            "at most",
        )
        for name, qualities in found.items()
        if not name.startswith(BIASED)
    ]
    pairs = zip(
        found["policy gradient, leave-one-out"], found["policy gradient, no baseline"], strict=True
    )
    baseline = claim(
        "A baseline takes variance away: that of leave-one-out, as a share of that without",
        [with_baseline.variance / without.variance for with_baseline, without in pairs],
        1.0,
        "at most",
    )
    biased = [qualities for name, qualities in found.items() if name.startswith(BIASED)]
    return [*unbiased, baseline, *bias_claims(biased)]


def bias_claims(found: Sequence[Sequence[Quality]]) -> list[Claim]:
    """Return claims about the bias of straight-through, given the highest temperature first."""
    return [
        claim(
            "Wrong on average: straight-through at temperature 1; the error of the mean, in "
            "standard errors",
            [each.standard_errors for each in found[0]],
            4.0,
            "at least",
        ),
        claim(
            "The lower the temperature, the smaller that error: its least fall from one to the "
            "next, as a share of the gradient's length",
            [
                min(warm.error - cold.error for warm, cold in pairwise(of_seed))
                for of_seed in zip(*found, strict=True)
            ],
            0.0,
            "at least",
        ),
    ]


def claim(sentence: str, values: Sequence[float], bound: float, relation: Relation) -> Claim:
    """Make a claim about the mean over seeds."""
    mean, spread = mean_and_spread(values)
    return Claim(sentence, SOURCE, bound, mean, spread=spread, relation=relation)
