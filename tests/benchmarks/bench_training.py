"""How fast a training step is, against the plain way and against its matrix products alone.

    python tests/benchmarks/bench_training.py

One thread, CPU seconds, the fastest of several steps. 50 images with five captions each, as long as
those of COCO (from CAPTIONING_DATA where it has them, else drawn from the same mean and spread),
vocabulary 9,487, LSTM 512, embedding 512, features of 2,048 numbers; scheduled sampling replaces a
quarter of the inputs. The plain way is that of open code: an LSTM cell and a projection at every
step over padded captions, the image once for each caption, log-probabilities of all positions in
one tensor. The floor is the time of the matrix products that no way can do without.

Where captions are drawn, there are five of each image, of about eleven words and at most 20; the
floor has each drawn once, and the gradient follow that same pass back. Last comes the reward of
these 250 captions, at its dearest: they are true ones, and share n-grams with their references.
"""

import json
import os
import time
from collections.abc import Callable
from functools import partial
from math import log, nan
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from captioning.batch import Batch, Captions
from captioning.captioner import Captioner
from captioning.decoder import ShowAndTell
from captioning.discriminator import RecurrentDiscriminator
from captioning.encoder import SmallCnn
from captioning.objectives.adversarial import Adversarial
from captioning.objectives.base import Objective
from captioning.objectives.estimators import speak
from captioning.objectives.policy_gradient import PolicyGradient
from captioning.objectives.scheduled_sampling import ScheduledSampling
from captioning.objectives.self_critical import SelfCritical
from captioning.objectives.straight_through import StraightThrough
from captioning.objectives.teacher_forcing import TeacherForcing
from captioning.schedules import Constant, Progress
from captioning.text import BEGIN, END, SPECIAL, Vocabulary

IMAGES, CAPTIONS, VOCABULARY, SIZE, FEATURES, REPLACED, ROUNDS = 50, 5, 9487, 512, 2048, 0.25, 5
TRAINING_IMAGES = 5000  # whose captions are the references of the reward
STEPS, ENDING = 20, 0.07  # of captions drawn: the most words, and the chance of END after each


class Product(NamedTuple):
    """Rows times a matrix; `back` 1 adds the gradient of the rows, 2 that of the matrix too."""

    rows: int
    inner: int
    outer: int
    back: int


class Row(NamedTuple):
    """A step, with the products that it cannot do without."""

    name: str
    objective: Objective
    floor: list[Product]
    turn: str = "captioner"
    replaced: float | None = None  # the share of inputs, where the plain way is measured too


def lengths(images: int) -> list[int]:
    """Words of five captions of each image, END counted."""
    count = images * CAPTIONS
    path = Path(os.environ.get("CAPTIONING_DATA", ""), "scores", "captions_val2017.json")
    if path.is_file():
        annotations = json.loads(path.read_text(encoding="utf-8"))["annotations"]
        return [min(len(each["caption"].split()) + 1, STEPS) for each in annotations[:count]]
    drawn = torch.normal(11.4, 2.3, (count,), generator=torch.manual_seed(0))
    return [int(length) for length in drawn.round().clamp(6, STEPS)]


def true_captions(images: int) -> list[list[int]]:
    """Words by Zipf's law, lengths as they are."""
    generator, last = np.random.default_rng(0), VOCABULARY - 1 - END
    ranks = (generator.zipf(1.3, n - 1).clip(max=last) for n in lengths(images))
    return [[*(END + rank).tolist(), END] for rank in ranks]


def references(vocabulary: Vocabulary) -> list[tuple[str, ...]]:
    """The captions of all training images as text, those of the batch first."""
    texts = [vocabulary.decode(row) for row in true_captions(TRAINING_IMAGES)]
    return [tuple(texts[i : i + CAPTIONS]) for i in range(0, len(texts), CAPTIONS)]


def batch_of(texts: list[tuple[str, ...]]) -> Batch:
    """The first images, with random features."""
    rows = true_captions(IMAGES)
    owners = [row // CAPTIONS for row in range(len(rows))]
    features = torch.randn(IMAGES, 1, FEATURES)
    captions = Captions.from_lists(rows, owners)
    return Batch(None, features, captions, tuple(range(IMAGES)), tuple(texts[:IMAGES]))


class PlainCaptioner(nn.Module):
    """The same model, written step by step."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, SIZE)
        self.image = nn.Linear(FEATURES, SIZE)
        self.cell = nn.LSTMCell(SIZE, SIZE)
        self.output = nn.Linear(SIZE, VOCABULARY)
        self.dropout = nn.Dropout(0.5)

    def forward(self, features: Tensor, tokens: Tensor, replaced: float) -> Tensor:
        """Give log-probabilities of all positions; feed samples of the model for some."""
        inputs = torch.cat([torch.full_like(tokens[:, :1], BEGIN), tokens[:, :-1]], dim=1)
        hidden, cell = self.cell(self.image(features.repeat_interleave(CAPTIONS, dim=0)))
        outputs = features.new_zeros(*tokens.shape, VOCABULARY)
        for t in range(tokens.shape[1]):
            words = inputs[:, t]
            if t > 0 and replaced > 0:
                sampled = torch.multinomial(outputs[:, t - 1].detach().exp(), 1).squeeze(1)
                words = torch.where(torch.rand(len(words)) < replaced, sampled, words)
            hidden, cell = self.cell(self.dropout(self.embedding(words)), (hidden, cell))
            outputs[:, t] = functional.log_softmax(self.output(self.dropout(hidden)), dim=1)
        return outputs


def plain_step(batch: Batch, replaced: float) -> Callable[[], None]:
    """Make a step of the plain captioner."""
    assert batch.features is not None
    model = PlainCaptioner()
    features, tokens, mask = batch.features[:, 0], batch.captions.tokens, batch.captions.mask.t()
    optimizer = torch.optim.Adam(model.parameters())

    def step() -> None:
        optimizer.zero_grad()
        chosen = model(features, tokens, replaced).gather(2, tokens[:, :, None]).squeeze(2)
        (-(chosen * mask).sum() / mask.sum()).backward()
        optimizer.step()

    return step


def untrained_captioner() -> Captioner:
    """A captioner that says any word, and ends its captions by chance."""
    words = (f"word{i}" for i in range(VOCABULARY - len(SPECIAL)))
    decoder = ShowAndTell(VOCABULARY, FEATURES, SIZE, SIZE)
    with torch.no_grad():
        decoder.output.weight[END] = 0
        decoder.output.bias[END] = log(VOCABULARY * ENDING / (1 - ENDING))
    encoder = SmallCnn(channels=FEATURES, image_size=8)
    return Captioner(encoder, decoder, Vocabulary.build(words, minimum_count=1))


def our_step(captioner: Captioner, batch: Batch, row: Row) -> Callable[[], None]:
    """Make a step of the product: always the same draws, for it goes nowhere."""
    objective, turn = row.objective, row.turn
    player = captioner.decoder if turn == "captioner" else objective.get_submodule(turn)
    optimizer = torch.optim.Adam(player.parameters(), lr=0.0, fused=True)

    def step() -> None:
        torch.manual_seed(0)
        optimizer.zero_grad()
        objective(captioner, batch, turn=turn, progress=Progress(0, 0.0)).value.backward()
        optimizer.step()

    return step


def words_drawn(captioner: Captioner, batch: Batch) -> int:
    """Count the words of the captions that are drawn in each step."""
    assert batch.features is not None
    torch.manual_seed(0)
    owners = torch.arange(IMAGES).repeat_interleave(CAPTIONS)
    return len(speak(captioner, batch.features, owners, STEPS).targets)


def floor(products: list[Product]) -> Callable[[], None]:
    """Make a step of matrix products alone."""
    factors = [
        (torch.randn(rows, inner), torch.randn(inner, outer), torch.randn(rows, outer), back)
        for rows, inner, outer, back in products
    ]

    def step() -> None:
        for x, w, y, back in factors:
            x @ w
            if back > 0:
                y @ w.T
            if back > 1:
                x.T @ y

    return step


def lstm(words: int, back: int = 2) -> list[Product]:
    """Run along captions of so many words in all, each image once."""
    return [
        Product(IMAGES, FEATURES, SIZE, back),
        Product(IMAGES, SIZE, 4 * SIZE, back),
        Product(words, SIZE, 4 * SIZE, back),
        Product(words, SIZE, 4 * SIZE, back),
    ]


def vocabulary(words: int, back: int = 2) -> list[Product]:
    """Score every word of the vocabulary."""
    return [Product(words, SIZE, VOCABULARY, back)]


def seconds(step: Callable[[], object]) -> float:
    """Time the fastest of some steps, the first not counted."""
    step()
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        step()
        times.append(time.process_time() - start)
    return min(times)


def rows_of(true: int, drawn: int) -> list[Row]:
    """Every step, given how many words are true and how many are drawn."""
    adversarial = partial(Adversarial, RecurrentDiscriminator)
    draws, relaxed = PolicyGradient(steps=STEPS), StraightThrough(steps=STEPS)
    forced, mixed = lstm(true) + vocabulary(true), Constant(1 - REPLACED)
    again = vocabulary(round(REPLACED * true), back=0)
    said = lstm(drawn) + vocabulary(drawn)
    heard = lstm(drawn, back=0)
    judged = lstm(drawn, back=0) + vocabulary(drawn, back=0) + lstm(true + drawn)
    # The gradient of a mixture is a score of every word: of what is fed on, of what is judged.
    mixtures = lstm(drawn, back=1) + vocabulary(2 * drawn, back=0)
    parallel = ScheduledSampling(mixed, parallel=True)
    return [
        Row("teacher forcing", TeacherForcing(), forced, replaced=0.0),
        Row("scheduled sampling", ScheduledSampling(mixed), forced + again, replaced=REPLACED),
        Row("  in parallel", parallel, forced + again, replaced=REPLACED),
        Row("adversarial, discriminator", adversarial(draws), judged, "discriminator"),
        Row("adversarial, captioner", adversarial(draws), said + heard),
        Row("  by relaxed words", adversarial(relaxed), said + mixtures),
        Row("self-critical", SelfCritical(draws), said),
    ]


def reward_of(objective: SelfCritical, captions: Captions) -> Callable[[], object]:
    """Spell captions out and reward them, as a step does."""
    images = captions.image_index.tolist()
    return lambda: objective.reward([objective.words(r) for r in captions.tokens.tolist()], images)


def main() -> None:
    """Print a row for each way to train."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    captioner = untrained_captioner()
    texts = references(captioner.vocabulary)
    batch = batch_of(texts)
    print(f"{'step':<30}{'plain':>8}{'ours':>8}{'floor':>8}{'plain/ours':>12}{'ours/floor':>12}")
    for row in rows_of(len(batch.captions.targets), words_drawn(captioner, batch)):
        row.objective.prepare(captioner, dict(enumerate(texts)))
        replaced = row.replaced
        plain = nan if replaced is None else seconds(plain_step(batch, replaced))
        ours, least = seconds(our_step(captioner, batch, row)), seconds(floor(row.floor))
        figures = f"{plain:8.2f}{ours:8.2f}{least:8.2f}{plain / ours:12.1f}{ours / least:12.2f}"
        print(f"{row.name:<30}{figures.replace('nan', '  –')}", flush=True)
        if isinstance(row.objective, SelfCritical):
            reward = seconds(reward_of(row.objective, batch.captions))
            print(f"  its reward: {1000 * reward:.0f} ms, {reward / ours:.1%} of the step")


if __name__ == "__main__":
    main()
