"""Adversarial training with a prior π: from covering to seeking, compared with exact optima."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Generator, Tensor

from captioning.discriminator import RecurrentDiscriminator
from captioning.divergences import js, kl
from captioning.lab.claims import Claim, mean_and_spread, shown
from captioning.lab.drawings import Frame, Series, plot
from captioning.lab.identities import SOURCE, identities
from captioning.lab.models import Bigram, log_table, speaker
from captioning.lab.optimum import Family, best_of
from captioning.lab.section import Section, Table
from captioning.lab.training import Plan, train
from captioning.lab.workers import run_all
from captioning.lab.worlds import World, random_world
from captioning.objectives.adversarial import Adversarial, Prior
from captioning.objectives.policy_gradient import PolicyGradient
from captioning.objectives.straight_through import StraightThrough
from captioning.report.html import Drawing
from captioning.schedules import Linear

PRIORS = (0.01, 0.1, 0.5, 0.9, 0.99)

Way = Literal["logit shift", "share", "logit shift, straight-through"]
WAYS: tuple[Way, ...] = ("logit shift", "share", "logit shift, straight-through")
"""How π is set, and the estimator if it is not the policy gradient."""

TEXT = (
    "A bigram cannot represent a random law of three words and four steps, so what it is asked to "
    "minimise decides what becomes of it. The exact optimum of JS_π is found by gradient descent "
    "on the enumerated divergence, the best of several starts. The trained models see samples and "
    "a recurrent discriminator only. As π grows they leave what P says rarely (KL[Q‖P] falls) and "
    "no longer cover all that it says (KL[P‖Q] rises). The world is one of those in which the two "
    "differ much."
)


class Job(NamedTuple):
    """One model to train: at which π, how, and with which seed."""

    prior: float
    way: Way
    seed: int
    plan: Plan


class Divergences(NamedTuple):
    """How far a model is from the truth, in nats."""

    scaled: float  # JS_π / (π (1 - π))
    forward: float  # KL[P‖Q]
    reverse: float  # KL[Q‖P]


def make_world() -> World:
    """Return a world in which the optima at small and at large π are far apart."""
    return random_world(3, 4, 2.0, Generator().manual_seed(0))


def scaled_js(world: World, prior: float, log_q: Tensor) -> Tensor:
    """Return JS_π[P‖Q] / (π (1-π)), of order one at every π."""
    return js(world.log_table, log_q, prior) / (prior * (1 - prior))


def measure(world: World, prior: float, log_q: Tensor) -> Divergences:
    """Compute the divergences of a model exactly."""
    return Divergences(
        scaled_js(world, prior, log_q).item(),
        kl(world.log_table, log_q).item(),
        kl(log_q, world.log_table).item(),
    )


def optimum(prior: float) -> Divergences:
    """Measure the bigram that is nearest to the truth by JS_π."""
    world = make_world()

    def make(generator: Generator) -> Family:
        captioner = speaker(world, Bigram, 0).double()
        table = captioner.decoder.embedding.weight
        with torch.no_grad():
            table.normal_(generator=generator)
        return Family(lambda: log_table(captioner, world), [table])

    generator = Generator().manual_seed(0)
    _, best = best_of(make, lambda log_q: scaled_js(world, prior, log_q), 8, generator)
    return measure(world, prior, best.log_table().detach())


def run(job: Job) -> Divergences:
    """Train one model from scratch and measure it exactly."""
    world = make_world()
    captioner = speaker(world, Bigram, job.seed)
    samples, steps = job.plan.batch_size, world.steps
    objective = Adversarial(
        partial(RecurrentDiscriminator, hidden_size=64, embedding_size=64),
        StraightThrough(Linear(1.0, 0.9), samples, steps)
        if job.way.endswith("straight-through")
        else PolicyGradient(samples, "mean", steps),
        Prior(job.prior, "share" if job.way.startswith("share") else "logit_shift"),
    )
    train(captioner, objective, world, job.plan, job.seed)
    return measure(world, job.prior, log_table(captioner, world).detach())


def section(seeds: int, size: str, jobs: int) -> Section:
    """Train at every π, in every way."""
    plan = Plan(2000 if size == "default" else 60, 512, rate=0.02, discriminator_rate=0.01)
    exact = run_all(optimum, PRIORS, jobs, "exact optima")
    todo = [
        Job(prior, way, seed, plan) for way in WAYS for prior in PRIORS for seed in range(seeds)
    ]
    done = iter(run_all(run, todo, jobs, "adversarial"))
    trained = {way: [[next(done) for _ in range(seeds)] for _ in PRIORS] for way in WAYS}
    first = trained[WAYS[0]]
    return Section(
        "adversarial",
        "From covering to seeking: the prior π decides",
        TEXT,
        [path_table(exact, first), ways_table(exact, trained)],
        [path_drawing(exact, first), divergence_drawing(exact, first)],
        [*identities(make_world(), PRIORS), *claims(exact, trained)],
    )


def excess(exact: Divergences, outcomes: Sequence[Divergences]) -> tuple[float, float | None]:
    """Return the excess of JS_π over its optimum, as a share of the latter: mean and spread."""
    return mean_and_spread([outcome.scaled / exact.scaled - 1 for outcome in outcomes])


def path_table(exact: Sequence[Divergences], trained: Sequence[Sequence[Divergences]]) -> Table:
    """Tabulate the divergences of the optimum and of the trained model, at each π."""
    rows = []
    for prior, best, outcomes in zip(PRIORS, exact, trained, strict=True):
        row = [f"{prior:g}"]
        for place in range(3):
            measured = mean_and_spread([outcome[place] for outcome in outcomes])
            row += [f"{best[place]:.3f}", shown(*measured)]
        rows.append(row)
    names = ("JS_π/(π(1−π))", "KL[P‖Q]", "KL[Q‖P]")
    columns = [f"{name}, {kind}" for name in names for kind in ("exact", "trained")]
    return Table("Policy gradient, π by logit shift; nats per sequence", ["π", *columns], rows)


def ways_table(exact: Sequence[Divergences], trained: dict[Way, list[list[Divergences]]]) -> Table:
    """Tabulate the final excess over the optimum, for every way."""
    rows = []
    for way, of_priors in trained.items():
        above = [excess(best, each) for best, each in zip(exact, of_priors, strict=True)]
        rows.append(
            [way, *(shown(100 * mean, None if sd is None else 100 * sd) for mean, sd in above)]
        )
    columns = ["π and estimator", *(f"π = {prior:g}" for prior in PRIORS)]
    return Table("JS_π above its exact optimum, %", columns, rows)


def path_drawing(exact: Sequence[Divergences], trained: Sequence[Sequence[Divergences]]) -> Drawing:
    """Draw KL[Q‖P] against KL[P‖Q], point by point along π."""
    forward = [mean_and_spread([each.forward for each in outcomes]) for outcomes in trained]
    reverse = [mean_and_spread([each.reverse for each in outcomes]) for outcomes in trained]
    return plot(
        "path",
        Frame("From covering to seeking", "KL[P‖Q], nats", "KL[Q‖P], nats"),
        [
            Series(
                "exact optimum of JS_π, at π",
                [best.forward for best in exact],
                [best.reverse for best in exact],
                names=[f"{prior:g}" for prior in PRIORS],
            ),
            Series(
                "trained",
                [mean for mean, _ in forward],
                [mean for mean, _ in reverse],
                [sd for _, sd in reverse],
                [sd for _, sd in forward],
            ),
        ],
    )


def divergence_drawing(
    exact: Sequence[Divergences], trained: Sequence[Sequence[Divergences]]
) -> Drawing:
    """Draw JS_π/(π(1-π)) against π."""
    measured = [mean_and_spread([each.scaled for each in outcomes]) for outcomes in trained]
    return plot(
        "divergence",
        Frame("What is minimised", "π", "JS_π/(π(1−π)), nats", x_scale="logit"),
        [
            Series("exact optimum", PRIORS, [best.scaled for best in exact]),
            Series("trained", PRIORS, [mean for mean, _ in measured], [sd for _, sd in measured]),
        ],
    )


def claims(
    exact: Sequence[Divergences], trained: dict[Way, list[list[Divergences]]]
) -> list[Claim]:
    """Return the paper's claims about π, with the measured values."""
    reached = []
    for prior, best, outcomes in zip(PRIORS, exact, trained["logit shift"], strict=True):
        mean, spread = mean_and_spread([outcome.scaled for outcome in outcomes])
        reached.append(
            Claim(
                f"Adversarial training at π = {prior:g} reaches the least JS_π/(π(1−π)) that the "
                "model can have",
                SOURCE,
                best.scaled,
                mean,
                0.01 * best.scaled,
                spread,
            )
        )
    first = trained["logit shift"]
    forward = [mean_and_spread([each.forward for each in outcomes])[0] for outcomes in first]
    reverse = [mean_and_spread([each.reverse for each in outcomes])[0] for outcomes in first]
    return [
        *reached,
        Claim(
            "The larger π, the less the model covers: the smallest rise of KL[P‖Q] from one π to "
            "the next",
            SOURCE,
            0.0,
            min(after - before for before, after in pairwise(forward)),
            relation="at least",
        ),
        Claim(
            "The larger π, the less the model says what P does not: the smallest fall of KL[Q‖P] "
            "from one π to the next",
            SOURCE,
            0.0,
            min(before - after for before, after in pairwise(reverse)),
            relation="at least",
        ),
        share_claim(exact, trained["share"]),
    ]


def share_claim(exact: Sequence[Divergences], trained: Sequence[Sequence[Divergences]]) -> Claim:
    """Return the claim that a share π of real captions has the optimum of a shifted logit."""
    above = [excess(best, each) for best, each in zip(exact, trained, strict=True)]
    worst, spread = max(above[1:-1], key=lambda pair: pair[0])
    return Claim(
        "Setting π by the share of real captions reaches the same optimum for π from 0.1 to 0.9: "
        "the largest excess of JS_π, as a share of it",
        SOURCE,
        0.02,
        worst,
        spread=spread,
        relation="at most",
    )
