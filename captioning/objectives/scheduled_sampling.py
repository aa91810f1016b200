"""Scheduled sampling: sometimes feed a word of the model's own instead of the true one."""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from captioning.batch import Batch, Captions
from captioning.captioner import Captioner
from captioning.decoder import Decoder
from captioning.errors import InputError
from captioning.objectives.base import Loss, Objective
from captioning.schedules import InverseSigmoid, Progress, Schedule
from captioning.search.sampling import draw
from captioning.settings import check_probability
from captioning.text import END

Coin = Literal["token", "sequence"]
Replacement = Literal["sample", "argmax"]


def flip_coins(captions: Captions, truth_share: float, coin: Coin) -> Bool[Tensor, "b t"]:
    """Draw where the truth is fed: with probability `truth_share` (ε), always at the first step.

    Nothing is drawn for padding, so that it changes no other draw.
    """
    if coin == "token":
        chances = captions.unpack(torch.rand(len(captions.targets), device=captions.tokens.device))
    else:
        chances = torch.rand(len(captions.tokens), 1, device=captions.tokens.device)
    truth = (chances < truth_share).expand_as(captions.tokens).clone()
    truth[:, 0] = True
    return truth


def replace(log_probabilities: Float[Tensor, "b w"], replacement: Replacement) -> Int[Tensor, " b"]:
    """Choose a token for each row: a sample of Q, or its most likely token."""
    sample = replacement == "sample"
    return END + (draw(log_probabilities) if sample else log_probabilities.argmax(1))


def feed_uniform(
    captions: Captions, truth: Bool[Tensor, "b t"], vocabulary_size: int
) -> Int[Tensor, "b t"]:
    """Return inputs with replacements drawn uniformly from the words.

    This is the control of Bengio et al. 2015, table 1: is the gain due to noise alone?
    """
    gold, count = captions.inputs, len(captions.targets)
    noise = torch.randint(END + 1, vocabulary_size, (count,), device=gold.device)
    return torch.where(truth, gold, captions.unpack(noise))


@torch.no_grad()
def feed_while_running(
    decoder: Decoder,
    features: Float[Tensor, "n r d"],
    captions: Captions,
    truth: Bool[Tensor, "b t"],
    replacement: Replacement,
) -> Int[Tensor, "b t"]:
    """Return the inputs of Bengio et al. 2015: each replacement is conditioned on what was fed.

    The vocabulary product is computed at the replaced positions only.
    """
    inputs = captions.inputs

    def feed(t: int, outputs: Float[Tensor, "b h"]) -> Int[Tensor, " b"]:
        running = len(outputs)
        own = ~truth[:running, t]
        inputs[:running, t][own] = replace(decoder.log_probabilities(outputs[own]), replacement)
        return inputs[:running, t]

    decoder.unroll(decoder.begin(features, captions.image_index), captions.active, feed)
    return inputs


@torch.no_grad()
def feed_in_parallel(
    decoder: Decoder,
    features: Float[Tensor, "n r d"],
    captions: Captions,
    truth: Bool[Tensor, "b t"],
    replacement: Replacement,
) -> Int[Tensor, "b t"]:
    """Return the inputs of Duckworth et al. 2019: replacements are conditioned on true words.

    One teacher-forced pass predicts every token; `truth` then mixes predictions with the truth.
    """
    gold = captions.inputs
    outputs = decoder(features, gold, captions)
    # What is predicted at step t is fed at t + 1.
    fed_next = torch.roll(~truth, -1, dims=1)
    fed_next[:, -1] = False
    wanted = captions.pack(fed_next)
    drawn = torch.zeros_like(captions.targets)
    drawn[wanted] = replace(decoder.log_probabilities(outputs[wanted]), replacement)
    predicted = torch.roll(captions.unpack(drawn), 1, dims=1)
    return torch.where(truth, gold, predicted)


class ScheduledSampling(Objective):
    """Teacher forcing with a share 1 - ε of the inputs replaced, where ε follows `schedule`.

    No gradient flows through a replacement, so the loss is the cross entropy of the true words
    given the mixed inputs. The coin is flipped for each `token` (as published) or once for a whole
    `sequence`. A replacement is a `sample` of the model, its `argmax`, or a `uniform` word (the
    paper's control); the model draws as it trains, with dropout. `parallel` draws all replacements
    from one teacher-forced pass instead of one after another. `Constant(0)` always samples;
    `Constant(1)` is teacher forcing.
    """

    def __init__(
        self,
        schedule: Schedule | None = None,
        coin: Coin = "token",
        replacement: Replacement | Literal["uniform"] = "sample",
        parallel: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        if parallel and replacement == "uniform":
            raise InputError(
                "parallel is a way to draw from the model, and uniform replacements are not drawn "
                "from it: leave one of the two out"
            )
        check_probability("label_smoothing", label_smoothing)
        self.schedule = schedule or InverseSigmoid()
        self.schedule.check(self.check)
        self.coin = coin
        self.replacement = replacement
        self.parallel = parallel
        self.label_smoothing = label_smoothing

    @staticmethod
    def check(truth_share: float) -> None:
        """Refuse a share of true words that is none."""
        if not 0 <= truth_share <= 1:
            raise InputError(
                "the schedule gives the share of true words, which must stay between 0 and 1, got "
                f"{truth_share:g}"
            )

    def forward(self, captioner: Captioner, batch: Batch, *, turn: str, progress: Progress) -> Loss:
        """Mix the inputs and return the mean cross entropy of the true words, in nats."""
        captions, decoder = batch.captions, captioner.decoder
        features = captioner.encode(batch)
        truth_share = self.schedule.at(progress)
        self.check(truth_share)
        truth = flip_coins(captions, truth_share, self.coin)
        inputs = self.feed(decoder, features, captions, truth)
        outputs = captioner(features, captions, inputs)
        value = decoder.cross_entropy(outputs, captions.targets, self.label_smoothing)
        logs = {"cross_entropy": value.detach(), "truth_share": torch.tensor(truth_share)}
        return Loss(value, logs)

    def feed(
        self,
        decoder: Decoder,
        features: Float[Tensor, "n r d"],
        captions: Captions,
        truth: Bool[Tensor, "b t"],
    ) -> Int[Tensor, "b t"]:
        """Return the inputs, replaced where the truth is not fed."""
        if truth.all():
            return captions.inputs
        if self.replacement == "uniform":
            return feed_uniform(captions, truth, len(decoder.embedding.weight))
        draw_inputs = feed_in_parallel if self.parallel else feed_while_running
        return draw_inputs(decoder, features, captions, truth, self.replacement)
