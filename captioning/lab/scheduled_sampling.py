"""Scheduled sampling is improper: it converges to its fixed point, not to P."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from torch import Generator, Tensor

from captioning.divergences import kl, mutual_information
from captioning.lab.claims import Claim, mean_and_spread, shown
from captioning.lab.drawings import Frame, Series, plot
from captioning.lab.fixed_points import scheduled_sampling
from captioning.lab.models import log_table, lstm, speaker
from captioning.lab.section import Section, Table
from captioning.lab.training import Plan, train
from captioning.lab.workers import run_all
from captioning.lab.worlds import World, random_world, two_words
from captioning.objectives.scheduled_sampling import ScheduledSampling
from captioning.report.html import Drawing
from captioning.schedules import Constant

SOURCE = "Huszár 2015, section 2"

SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)
"""ε, the probability that the true word is fed."""

FEEDS: Mapping[str, dict[str, str | bool]] = {
    "a coin per token, a sample": {},
    "a coin per sequence": {"coin": "sequence"},
    "the likeliest word": {"replacement": "argmax"},
    "a uniform word": {"replacement": "uniform"},
    "in parallel": {"parallel": True},
}
"""What is fed instead of the truth, as options of the objective; the first is as published."""

LARGE = Plan(1500, batch_size=1024, rate=0.02)
"""For the likeliest word: what is fed changes abruptly while the model learns."""

INFORMATION = 0.5
"""Mutual information of the words in the two-word world, in nats."""

TEXT = (
    "An LSTM that could represent the truth exactly is trained by scheduled sampling with a "
    "constant share ε of true words, in a world of four words and four steps whose law P is a "
    "table. The fixed point is computed by dynamic programming over what is true and what is fed. "
    "For every ε below 1 it is not P: neither more data nor a larger model can help. With ε = 0 "
    "nothing is left of how words depend on each other. (In this world no two words are nearly as "
    "likely as each other at the top: where they are, the likeliest is now one, now the other, as "
    "training wavers, and training does not settle on the fixed point.)"
)


class Job(NamedTuple):
    """One model to train: the truth share ε, what else is fed, and the seed."""

    share: float
    feed: str
    seed: int
    plan: Plan
    world: str = "random"


class Outcome(NamedTuple):
    """Divergences of a trained model from the truth and from the fixed point, in nats."""

    from_truth: float  # KL[P‖Q]
    from_fixed_point: float  # KL[Q*‖Q]


def make_world(name: str) -> World:
    """Return the world of four words and four steps, or that of two words."""
    if name == "random":
        return random_world(4, 4, 1.5, Generator().manual_seed(83))
    return two_words(4, INFORMATION, Generator().manual_seed(0))


def fixed_point(world: World, share: float, feed: str) -> Tensor:
    """Return the log table of Q*."""
    return scheduled_sampling(world, share, **FEEDS[feed])  # type: ignore[arg-type]


def run(job: Job) -> Outcome:
    """Train one model and measure it exactly."""
    world = make_world(job.world)
    captioner = speaker(world, lstm, job.seed)
    objective = ScheduledSampling(Constant(job.share), **FEEDS[job.feed])  # type: ignore[arg-type]
    train(captioner, objective, world, job.plan, job.seed)
    learned = log_table(captioner, world).detach()
    target = fixed_point(world, job.share, job.feed)
    return Outcome(kl(world.log_table, learned).item(), kl(target, learned).item())


def section(seeds: int, size: str, jobs: int) -> Section:
    """Train at each ε with the published feed, and at ε = ½ with every other."""
    plans = {feed: LARGE if feed == "the likeliest word" else Plan(1500) for feed in FEEDS}
    if size == "small":
        plans = dict.fromkeys(FEEDS, Plan(100))
    published, *others = FEEDS
    models = [
        *((share, published, "random") for share in SHARES),
        *((0.5, feed, "random") for feed in others),
        (0.0, published, "two words"),
    ]
    todo = [
        Job(share, feed, seed, plans[feed], world)
        for share, feed, world in models
        for seed in range(seeds)
    ]
    done = run_all(run, todo, jobs, "scheduled sampling")
    found = {model: done[place * seeds : (place + 1) * seeds] for place, model in enumerate(models)}
    by_share = {share: found[share, published, "random"] for share in SHARES}
    by_feed = {feed: found[0.5, feed, "random"] for feed in FEEDS}
    return Section(
        "scheduled-sampling",
        "Scheduled sampling learns the wrong answer, precisely",
        TEXT,
        [shares_table(by_share), feeds_table(by_feed)],
        [drawing(by_share)],
        [
            *claims(by_share),
            feed_claim(by_feed),
            two_word_claim(found[0.0, published, "two words"]),
        ],
    )


def exact(share: float, feed: str = next(iter(FEEDS))) -> float:
    """Return KL[P‖Q*] in the random world."""
    world = make_world("random")
    distance = kl(world.log_table, fixed_point(world, share, feed)).item()
    return abs(round(distance, 12))  # zero up to rounding errors becomes zero


def shares_table(found: Mapping[float, Sequence[Outcome]]) -> Table:
    """Tabulate the computed fixed point and the trained model, for each ε."""
    rows = [
        [
            f"{share:g}",
            f"{exact(share):.4f}",
            shown(*mean_and_spread([outcome.from_truth for outcome in outcomes])),
            shown(*mean_and_spread([outcome.from_fixed_point for outcome in outcomes])),
        ]
        for share, outcomes in found.items()
    ]
    columns = ["ε", "KL[P‖Q*], exact", "KL[P‖Q], trained", "KL[Q*‖Q]"]
    return Table("Nats a sequence, by the share of true words", columns, rows)


def feeds_table(found: Mapping[str, Sequence[Outcome]]) -> Table:
    """Tabulate the fixed point of every feed at each ε, and the trained model at ε = ½."""
    between = [share for share in SHARES if 0 < share < 1]
    rows = [
        [
            feed,
            *(f"{exact(share, feed):.4f}" for share in between),
            shown(*mean_and_spread([outcome.from_fixed_point for outcome in outcomes])),
        ]
        for feed, outcomes in found.items()
    ]
    exactly = [f"KL[P‖Q*] at ε = {share:g}" for share in between]
    return Table("Nats a sequence, by what is fed", ["fed", *exactly, "KL[Q*‖Q] at ε = 0.5"], rows)


def drawing(found: Mapping[float, Sequence[Outcome]]) -> Drawing:
    """Draw KL[P‖Q] against ε."""
    trained = [mean_and_spread([each.from_truth for each in found[share]]) for share in SHARES]
    return plot(
        "truth-share",
        Frame("Distance from the truth", "ε, share of true words fed", "KL[P‖Q], nats"),
        [
            Series("fixed point, exact", SHARES, [exact(share) for share in SHARES]),
            Series("trained", SHARES, [mean for mean, _ in trained], [sd for _, sd in trained]),
        ],
    )


def claims(found: Mapping[float, Sequence[Outcome]]) -> list[Claim]:
    """Return the paper's claims about ε, with the measured values."""
    truth, truth_spread = mean_and_spread([each.from_truth for each in found[1.0]])
    trained = [mean_and_spread([each.from_truth for each in found[share]])[0] for share in SHARES]
    rises = [later - earlier for earlier, later in pairwise(trained)]
    landed = []
    for share in SHARES[1:]:  # at ε = 1 the fixed point is the truth, which has its own claim
        mean, spread = mean_and_spread([each.from_fixed_point for each in found[share]])
        sentence = f"Scheduled sampling at ε = {share:g} lands on its fixed point: KL[Q*‖Q]"
        landed.append(Claim(sentence, SOURCE, 0.01, mean, spread=spread, relation="at most"))
    return [
        Claim(
            "Teacher forcing (ε = 1) finds the truth: KL[P‖Q]",
            SOURCE,
            0.005,
            truth,
            spread=truth_spread,
            relation="at most",
        ),
        *landed,
        Claim(
            "The fewer true words are fed, the further the model is from the truth: the smallest "
            "rise of KL[P‖Q] from one ε to the next",
            SOURCE,
            0.0,
            min(rises),
            relation="at least",
        ),
    ]


def feed_claim(found: Mapping[str, Sequence[Outcome]]) -> Claim:
    """Return the claim that every feed leads to its own fixed point."""
    distances = ([each.from_fixed_point for each in outcomes] for outcomes in found.values())
    worst, spread = max(map(mean_and_spread, distances), key=lambda pair: pair[0])
    return Claim(
        "Whatever is fed in place of the truth, training lands on the fixed point computed for it: "
        "the largest KL[Q*‖Q] at ε = ½",
        "Bengio et al. 2015, section 2; Duckworth et al. 2019",
        0.01,
        worst,
        spread=spread,
        relation="at most",
    )


def two_word_claim(found: Sequence[Outcome]) -> Claim:
    """Return the claim that always sampling loses the mutual information."""
    mean, spread = mean_and_spread([each.from_truth for each in found])
    information = mutual_information(make_world("two words").log_table).item()
    return Claim(
        "Two words, always sampling: the model learns the product of the marginals, and KL[P‖Q] is "
        "the mutual information of the words",
        SOURCE,
        information,
        mean,
        0.01,
        spread,
    )
