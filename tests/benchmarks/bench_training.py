"""How fast a training step is, against the plain way and against its matrix products alone.

    python tests/benchmarks/bench_training.py

One thread, CPU seconds, the fastest of several steps. 50 images with five captions each, as long as
those of COCO (from CAPTIONING_DATA where it has them, else drawn from the same mean and spread),
vocabulary 9,487, LSTM 512, embedding 512, features of 2,048 numbers; scheduled sampling replaces a
quarter of the inputs. The plain way is that of open code: an LSTM cell and a projection at every
step over padded captions, the picture once for each caption, log-probabilities of all positions in
one tensor. The floor is the time of the matrix products that no way can do without.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from captioning.batch import Batch, Captions
from captioning.captioner import Captioner
from captioning.decoder import ShowAndTell
from captioning.encoder import SmallCnn
from captioning.objectives.base import Objective
from captioning.objectives.scheduled_sampling import ScheduledSampling
from captioning.objectives.teacher_forcing import TeacherForcing
from captioning.schedules import Constant, Progress
from captioning.text import BEGIN, END, SPECIAL, Vocabulary

IMAGES, CAPTIONS, VOCABULARY, SIZE, FEATURES, REPLACED, ROUNDS = 50, 5, 9487, 512, 2048, 0.25, 5


def lengths() -> list[int]:
    """Words of 250 captions, END counted."""
    path = Path(os.environ.get("CAPTIONING_DATA", ""), "scores", "captions_val2017.json")
    if path.is_file():
        annotations = json.loads(path.read_text(encoding="utf-8"))["annotations"]
        real = [len(each["caption"].split()) + 1 for each in annotations[: IMAGES * CAPTIONS]]
        return [min(length, 20) for length in real]
    drawn = torch.normal(11.4, 2.3, (IMAGES * CAPTIONS,), generator=torch.manual_seed(0))
    return [int(length) for length in drawn.round().clamp(6, 20)]


def batch_of(features: Tensor) -> Batch:
    """Random words, lengths as they are."""
    rows = [[*torch.randint(END + 1, VOCABULARY, (n - 1,)).tolist(), END] for n in lengths()]
    owners = [row // CAPTIONS for row in range(len(rows))]
    return Batch(None, features, Captions.from_lists(rows, owners), tuple(range(IMAGES)), ())


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


def plain_step(replaced: float) -> Callable[[], None]:
    """Make a step of the plain captioner."""
    model, batch = PlainCaptioner(), batch_of(torch.randn(IMAGES, 1, FEATURES))
    assert batch.features is not None
    features, tokens, mask = batch.features[:, 0], batch.captions.tokens, batch.captions.mask.t()
    optimizer = torch.optim.Adam(model.parameters())

    def step() -> None:
        optimizer.zero_grad()
        chosen = model(features, tokens, replaced).gather(2, tokens[:, :, None]).squeeze(2)
        (-(chosen * mask).sum() / mask.sum()).backward()
        optimizer.step()

    return step


def our_step(objective: Objective) -> Callable[[], None]:
    """Make a step of the product."""
    words = (f"word{i}" for i in range(VOCABULARY - len(SPECIAL)))
    captioner = Captioner(
        SmallCnn(channels=FEATURES, image_size=8),
        ShowAndTell(VOCABULARY, FEATURES, SIZE, SIZE),
        Vocabulary.build(words, minimum_count=1),
    )
    batch = batch_of(torch.randn(IMAGES, 1, FEATURES))
    optimizer = torch.optim.Adam(captioner.decoder.parameters(), fused=True)

    def step() -> None:
        optimizer.zero_grad()
        objective(captioner, batch, turn="captioner", progress=Progress(0, 0.0)).value.backward()
        optimizer.step()

    return step


def floor(passes: dict[str, int]) -> Callable[[], None]:
    """Multiply matrices of the step's shapes: p positions, each product once forward, twice back.

    `passes` says over how many positions the recurrence and the vocabulary are run forward again.
    """
    p = sum(lengths())

    def product(rows: int, inner: int, outer: int, back: bool) -> Callable[[], None]:
        x, w, y = torch.randn(rows, inner), torch.randn(inner, outer), torch.randn(rows, outer)

        def run() -> None:
            x @ w
            if back:
                y @ w.T
                x.T @ y

        return run

    work = [
        product(IMAGES, FEATURES, SIZE, back=True),
        product(IMAGES, SIZE, 4 * SIZE, back=True),
        product(p, SIZE, 4 * SIZE, back=True),
        product(p, SIZE, 4 * SIZE, back=True),
        product(p, SIZE, VOCABULARY, back=True),
        product(passes["recurrence"], SIZE, 4 * SIZE, back=False),
        product(passes["recurrence"], SIZE, 4 * SIZE, back=False),
        product(passes["vocabulary"], SIZE, VOCABULARY, back=False),
    ]
    return lambda: [run() for run in work] and None


def seconds(step: Callable[[], None]) -> float:
    """Time the fastest of some steps, the first not counted."""
    step()
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        step()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    """Print a row for each way to train."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    p = sum(lengths())
    none = {"recurrence": 0, "vocabulary": 0}
    again = {"recurrence": 0, "vocabulary": round(REPLACED * p)}
    mixed, schedule = "scheduled sampling", Constant(1 - REPLACED)
    rows = [
        ("teacher forcing", 0.0, TeacherForcing(), none),
        (mixed, REPLACED, ScheduledSampling(schedule), again),
        (f"{mixed}, parallel", REPLACED, ScheduledSampling(schedule, parallel=True), again),
    ]
    print(f"{'step':<30}{'plain':>8}{'ours':>8}{'floor':>8}{'plain/ours':>12}{'ours/floor':>12}")
    for name, replaced, objective, passes in rows:
        plain, ours = seconds(plain_step(replaced)), seconds(our_step(objective))
        least = seconds(floor(passes))
        print(
            f"{name:<30}{plain:8.2f}{ours:8.2f}{least:8.2f}{plain / ours:12.1f}{ours / least:12.2f}"
        )


if __name__ == "__main__":
    main()
