"""Divergences between a captioner's law, Q, and a known law of captions, P."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from captioning.captioner import Captioner
from captioning.divergences import entropy, js, kl, total_variation
from captioning.search import Sampling
from captioning.search.ensemble import Ensemble
from captioning.text import BEGIN, END, PAD, SPECIAL, Vocabulary

# The share of U in P_δ = (1 - δ) P + δ U: without it KL[Q‖P] is infinite as soon as Q errs.
DELTA = 0.01

# Captions drawn from Q for each image.
SAMPLES = 20

# The priors π at which JS_π, what adversarial training minimises, is computed.
PRIORS = (0.01, 0.1, 0.5, 0.9, 0.99)

# The captions of one image, each with its probability.
Law: TypeAlias = Mapping[str, float]


class Divergences(NamedTuple):
    """Averages over images, in nats per caption unless stated otherwise.

    Q is the law of what the captioner can say, without PAD, BEGIN and UNKNOWN. At every step U says
    END with probability 1/L, where L is the mean length (including END) of P's captions of the
    image, and otherwise a word drawn uniformly from those that the captioner knows.
    """

    forward_kl: float  # KL[P‖Q], exact
    forward_kl_per_word: float  # the same divided by the mean of L, so END counts as a word
    reverse_kl: float  # KL[Q‖P_δ], estimated from samples of Q
    reverse_kl_error: float  # its standard error, given these images
    outside: float  # the probability under Q of what P never says, in [0, 1], exact
    jensen_shannon: float  # ½ KL[P‖M] + ½ KL[Q‖M], M = ½P + ½Q, exact
    total_variation: float  # in [0, 1], exact: ½ + ½ of it is a critic's best accuracy
    entropy: float  # H[Q], estimated from samples of Q, of which no more than 21 tokens count
    true_entropy: float  # H[P], exact
    js_by_prior: Mapping[str, float]  # JS_π / (π (1 - π)) by π, exact; KL[P‖Q] as π → 0


class Measured(NamedTuple):
    """The measurements on one image, and the samples of Q drawn for it."""

    forward_kl: Float[Tensor, ""]
    length: Float[Tensor, ""]  # L
    outside: Float[Tensor, ""]
    jensen_shannon: Float[Tensor, ""]
    total_variation: Float[Tensor, ""]
    entropy: Float[Tensor, ""]
    true_entropy: Float[Tensor, ""]
    js_by_prior: Float[Tensor, " k"]
    log_ratios: Float[Tensor, " k"]  # log Q/P_δ of the samples
    samples: list[str]


def with_others(
    p: Float[Tensor, " b"], log_q: Float[Tensor, " b"]
) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"]]:
    """Return log P and log Q of the captions in the support of P, then of all others as one event.

    P gives the others no probability, so no divergence depends on which of them Q says.
    """
    others = (1 - log_q.exp().sum()).clamp(min=0)
    return torch.cat([p, p.new_zeros(1)]).log(), torch.cat([log_q, others.log()[None]])


def log_uniform(
    tokens: Int[Tensor, "b t"], words: int, length: Float[Tensor, ""]
) -> Float[Tensor, " b"]:
    """Return log U of captions of at most t tokens, over a vocabulary of `words` words.

    A caption that was cut off, without END, stands for all that begin with it, so that the
    probabilities of all captions of up to t tokens sum to one.
    """
    ended = (tokens == END).sum(1)
    said = (tokens != PAD).sum(1) - ended
    return said * ((1 - 1 / length) / words).log() - ended * length.log()


def smooth(
    p: Float[Tensor, " b"], log_u: Float[Tensor, " b"], delta: float = DELTA
) -> Float[Tensor, " b"]:
    """Return log P_δ, which is finite even where P is zero."""
    return torch.logaddexp(p.log() + math.log1p(-delta), log_u + math.log(delta))


def standard_error(values: Float[Tensor, "n k"]) -> Float[Tensor, ""]:
    """Return the standard error of the overall mean of k draws for each of n fixed images."""
    return (values.var(1).mean() / values.numel()).sqrt()


def log_likelihoods(
    ensemble: Ensemble, tokens: Int[Tensor, "b t"], image_index: Int[Tensor, " b"]
) -> Float[Tensor, " b"]:
    """Return log Q, in nats, of captions (words, END, PAD; or cut off, without END).

    A prefix shared by captions of an image is fed only once, which leaves about a third of the
    steps through all captions of the shapes world.
    """
    totals = torch.zeros(len(tokens), dtype=torch.float64, device=tokens.device)
    beginnings = image_index.clone()
    states, words = ensemble.begin(ensemble.images), torch.full_like(ensemble.images, BEGIN)
    for t in range(tokens.shape[1]):
        running = (tokens[:, t] != PAD).nonzero().squeeze(1)
        if not len(running):
            break
        if t > 0:
            longer = torch.stack([beginnings[running], tokens[running, t - 1]], dim=1)
            distinct, beginnings[running] = longer.unique(dim=0, return_inverse=True)
            shorter, words = distinct.unbind(1)
            states = tuple(state.select(shorter) for state in states)
        log_probabilities, states = ensemble.step(words, states)
        totals[running] += log_probabilities[beginnings[running], tokens[running, t] - END]
    return totals


def measure(
    captioners: Sequence[Captioner],
    features: Sequence[Float[Tensor, "n _ _"]],
    laws: Sequence[Law],
    generator: torch.Generator,
) -> list[Measured]:
    """Score, for each of n images, all captions in the support of P and samples of Q.

    Captions of P may have at most 21 tokens, including END, which is the limit of `Sampling`. So
    no sample that was cut off there is a prefix of a caption of P.
    """
    vocabulary, search = captioners[0].vocabulary, Sampling(SAMPLES)
    samples = search(captioners, features, generator).tokens
    blocks = [
        torch.cat([spell(vocabulary, law, search.steps).to(own.device), own])
        for law, own in zip(laws, samples, strict=True)
    ]
    ensemble = Ensemble(captioners, features)
    sizes = [len(block) for block in blocks]
    image_index = ensemble.images.repeat_interleave(ensemble.images.new_tensor(sizes))
    log_q = log_likelihoods(ensemble, torch.cat(blocks), image_index).cpu().split(sizes)
    return [
        measure_one(vocabulary, law, block.cpu(), own)
        for law, block, own in zip(laws, blocks, log_q, strict=True)
    ]


def measure_one(
    vocabulary: Vocabulary, law: Law, tokens: Int[Tensor, "b t"], log_q: Float[Tensor, " b"]
) -> Measured:
    """Compare P with Q on the captions of P, which come first, and on the samples after them."""
    size = len(law)
    p = torch.tensor([*law.values()], dtype=torch.float64)
    length = p @ (tokens[:size] != PAD).sum(1).double()
    samples = [vocabulary.decode(row) for row in tokens[size:].tolist()]
    p_of_samples = p.new_tensor([law.get(caption, 0.0) for caption in samples])
    log_u = log_uniform(tokens[size:], len(vocabulary) - len(SPECIAL), length)
    laws = with_others(p, log_q[:size])
    return Measured(
        forward_kl=kl(*laws),
        length=length,
        outside=laws[1][-1].exp(),
        jensen_shannon=js(*laws, 0.5),
        total_variation=total_variation(*laws),
        entropy=-log_q[size:].mean(),
        true_entropy=entropy(laws[0]),
        js_by_prior=torch.stack([js(*laws, prior) / (prior * (1 - prior)) for prior in PRIORS]),
        log_ratios=log_q[size:] - smooth(p_of_samples, log_u),
        samples=samples,
    )


def summarise(measured: Sequence[Measured]) -> Divergences:
    """Average the measurements over images."""

    def mean(pick: Callable[[Measured], Tensor]) -> Tensor:
        return torch.stack([pick(each) for each in measured]).mean(0)

    forward_kl = mean(lambda each: each.forward_kl)
    log_ratios = torch.stack([each.log_ratios for each in measured])
    by_prior = mean(lambda each: each.js_by_prior).tolist()
    return Divergences(
        forward_kl=forward_kl.item(),
        forward_kl_per_word=(forward_kl / mean(lambda each: each.length)).item(),
        reverse_kl=log_ratios.mean().item(),
        reverse_kl_error=standard_error(log_ratios).item(),
        outside=mean(lambda each: each.outside).item(),
        jensen_shannon=mean(lambda each: each.jensen_shannon).item(),
        total_variation=mean(lambda each: each.total_variation).item(),
        entropy=mean(lambda each: each.entropy).item(),
        true_entropy=mean(lambda each: each.true_entropy).item(),
        js_by_prior={f"{prior:g}": value for prior, value in zip(PRIORS, by_prior, strict=True)},
    )


def spell(vocabulary: Vocabulary, captions: Iterable[str], steps: int) -> Int[Tensor, "b t"]:
    """Return whole captions as ids with END, then PAD up to `steps` tokens."""
    rows = vocabulary.encode(list(captions))
    return torch.tensor([[*row, END] + [PAD] * (steps - 1 - len(row)) for row in rows])
