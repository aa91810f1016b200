"""How far the law of a captioner, Q, lies from a law of captions that is known, P."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from captioning.captioner import Captioner
from captioning.search import Sampling
from captioning.search.ensemble import Ensemble
from captioning.text import BEGIN, END, PAD, SPECIAL, Vocabulary

# The share of U in P_δ = (1 - δ) P + δ U: without it KL[Q‖P] is infinite as soon as Q errs.
DELTA = 0.01

# Captions drawn from Q for each picture.
SAMPLES = 20

# The captions of one picture, each with its probability.
Law: TypeAlias = Mapping[str, float]


class Divergences(NamedTuple):
    """Averages over pictures, in nats a caption where nothing else is said.

    Q is the law of what the captioner says: PAD, BEGIN and UNKNOWN have no part in it. U says END
    with chance 1/L at every step, L being the mean length of P's captions of the picture (END
    counted), and otherwise any word that the captioner knows, all alike.
    """

    forward_kl: float  # KL[P‖Q], exact
    forward_kl_per_word: float  # the same over the average of L, so that END is a word
    reverse_kl: float  # KL[Q‖P_δ], estimated from samples of Q
    reverse_kl_error: float  # its standard error, these pictures being given
    outside: float  # the probability under Q of what P never says, in [0, 1], exact
    jensen_shannon: float  # ½ KL[P‖M] + ½ KL[Q‖M], M = ½P + ½Q, exact
    total_variation: float  # in [0, 1], exact: ½ + ½ of it is the best accuracy of a critic


class Measured(NamedTuple):
    """What one picture gives, and the samples of Q that were drawn for it."""

    forward_kl: Float[Tensor, ""]
    length: Float[Tensor, ""]  # L
    outside: Float[Tensor, ""]
    jensen_shannon: Float[Tensor, ""]
    total_variation: Float[Tensor, ""]
    log_ratios: Float[Tensor, " k"]  # log Q/P_δ of the samples
    samples: list[str]


def kullback_leibler(p: Float[Tensor, " b"], log_q: Float[Tensor, " b"]) -> Float[Tensor, ""]:
    """Give KL[P‖Q] in nats from the captions that P says."""
    return (p * (p.log() - log_q)).sum()


def jensen_shannon(p: Float[Tensor, " b"], log_q: Float[Tensor, " b"]) -> Float[Tensor, ""]:
    """Give ½ KL[P‖M] + ½ KL[Q‖M], M = ½P + ½Q, in nats, from the captions that P says.

    What else Q says is half of M there, and so adds ½ log 2 for each unit of its probability.
    """
    q = log_q.exp()
    log_m = ((p + q) / 2).log()
    inside = (p * (p.log() - log_m) + q * (log_q - log_m)).sum()
    return (inside + (1 - q.sum()) * math.log(2)) / 2


def total_variation(p: Float[Tensor, " b"], log_q: Float[Tensor, " b"]) -> Float[Tensor, ""]:
    """Give ½ Σ |P - Q|, from 0 to 1, the most by which the two differ on any event.

    It takes the captions that P says; what else Q says counts whole.
    """
    q = log_q.exp()
    return ((p - q).abs().sum() + 1 - q.sum()) / 2


def log_uniform(
    tokens: Int[Tensor, "b t"], words: int, length: Float[Tensor, ""]
) -> Float[Tensor, " b"]:
    """Give log U of captions of at most t tokens, where there are so many words.

    One that was cut off, and has no END, stands for all that begin so: of all there can be, up to t
    tokens, the probabilities sum to one.
    """
    ended = (tokens == END).sum(1)
    said = (tokens != PAD).sum(1) - ended
    return said * ((1 - 1 / length) / words).log() - ended * length.log()


def smooth(
    p: Float[Tensor, " b"], log_u: Float[Tensor, " b"], delta: float = DELTA
) -> Float[Tensor, " b"]:
    """Give log P_δ, which is finite where P is zero."""
    return torch.logaddexp(p.log() + math.log1p(-delta), log_u + math.log(delta))


def standard_error(values: Float[Tensor, "n k"]) -> Float[Tensor, ""]:
    """Give that of the mean of all, drawn k times for each of n pictures that stay the same."""
    return (values.var(1).mean() / values.numel()).sqrt()


def log_likelihoods(
    ensemble: Ensemble, tokens: Int[Tensor, "b t"], image_index: Int[Tensor, " b"]
) -> Float[Tensor, " b"]:
    """Give log Q of captions (words, END, PAD; or cut off, without END), in nats.

    A beginning that captions of a picture share is fed once: of the steps through all that the
    shapes world says, about a third remain.
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
    """Score, for each of n pictures, all that P says of it and samples of Q.

    P may say captions of 21 tokens at most, END counted, which is all that `Sampling` leaves room
    for. So no caption of P begins as a sample does that was cut off there.
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
    return Measured(
        forward_kl=kullback_leibler(p, log_q[:size]),
        length=length,
        outside=1 - log_q[:size].exp().sum(),
        jensen_shannon=jensen_shannon(p, log_q[:size]),
        total_variation=total_variation(p, log_q[:size]),
        log_ratios=log_q[size:] - smooth(p_of_samples, log_u),
        samples=samples,
    )


def summarise(measured: Sequence[Measured]) -> Divergences:
    """Average over pictures."""
    forward_kl = torch.stack([each.forward_kl for each in measured])
    length = torch.stack([each.length for each in measured])
    outside = torch.stack([each.outside for each in measured])
    shannon = torch.stack([each.jensen_shannon for each in measured])
    variation = torch.stack([each.total_variation for each in measured])
    log_ratios = torch.stack([each.log_ratios for each in measured])
    return Divergences(
        forward_kl=forward_kl.mean().item(),
        forward_kl_per_word=(forward_kl.mean() / length.mean()).item(),
        reverse_kl=log_ratios.mean().item(),
        reverse_kl_error=standard_error(log_ratios).item(),
        outside=outside.mean().item(),
        jensen_shannon=shannon.mean().item(),
        total_variation=variation.mean().item(),
    )


def spell(vocabulary: Vocabulary, captions: Iterable[str], steps: int) -> Int[Tensor, "b t"]:
    """Give whole captions as ids, END on them, then PAD up to `steps` tokens."""
    rows = vocabulary.encode(list(captions))
    return torch.tensor([[*row, END] + [PAD] * (steps - 1 - len(row)) for row in rows])
