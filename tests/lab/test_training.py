"""Training in a small world: turns, rates, batches and seeds."""

import math

import pytest
import torch
from torch import nn

from captioning.batch import Batch
from captioning.captioner import Captioner
from captioning.lab.models import Bigram, log_table, lstm, speaker
from captioning.lab.training import Plan, train
from captioning.lab.worlds import random_world
from captioning.objectives.base import Loss, Objective
from captioning.objectives.scheduled_sampling import ScheduledSampling
from captioning.objectives.teacher_forcing import TeacherForcing
from captioning.schedules import Constant, Progress
from captioning.text import END
from tests.support.spoken import LIKELY, surprise

WORLD = random_world(3, 2, 1.0, torch.Generator().manual_seed(0))


class Diary(Objective):
    """Writes down what it is asked, and pulls every weight down alike."""

    opening = ("discriminator", "captioner")
    turns = ("discriminator", "discriminator", "captioner")

    def __init__(self) -> None:
        super().__init__()
        self.turned: list[str] = []
        self.progress: list[Progress] = []
        self.batches: list[Batch] = []

    def prepare(self, captioner: Captioner, references: object) -> None:
        self.discriminator = nn.Linear(1, 1)

    def forward(self, captioner: Captioner, batch: Batch, *, turn: str, progress: Progress) -> Loss:
        self.turned.append(turn[0])
        self.progress.append(progress)
        self.batches.append(batch)
        both = (captioner.decoder.output.bias[END + 1 :], *self.discriminator.parameters())
        return Loss(sum(weights.sum() for weights in both), {})


def trained(plan: Plan) -> tuple[Diary, Captioner]:
    objective, captioner = Diary(), speaker(WORLD, lstm, 0)
    train(captioner, objective, WORLD, plan, seed=3)
    return objective, captioner


def test_every_player_has_its_turns_and_knows_how_far_training_is() -> None:
    objective, _ = trained(Plan(8, batch_size=2))
    assert "".join(objective.turned) == "dc" + "ddc" * 2
    assert objective.progress == [Progress(step, step / 8) for step in range(8)]


def test_each_player_moves_in_its_own_turns_by_its_own_rate_that_falls_along_half_a_cosine() -> (
    None
):
    objective, captioner = trained(Plan(5, batch_size=2, rate=0.1, discriminator_rate=0.01))
    assert "".join(objective.turned) == "dcddc"
    # Adam moves a weight whose gradient is always one by the rate.
    rates = [(1 + math.cos(math.pi * step / 5)) / 2 for step in range(5)]
    moved = -captioner.decoder.output.bias[END + 1 :]
    assert moved.tolist() == pytest.approx([0.1 * (rates[1] + rates[4])] * 3, rel=1e-5)
    torch.manual_seed(3)
    before = nn.Linear(1, 1).weight
    fallen = (before - objective.discriminator.weight).item()
    assert fallen == pytest.approx(0.01 * (rates[0] + rates[2] + rates[3]), rel=1e-4)


def test_batches_are_drawn_from_the_world() -> None:
    objective, _ = trained(Plan(20, batch_size=200))
    tokens = torch.cat([batch.captions.tokens for batch in objective.batches]) - END - 1
    assert tokens.shape == (4000, 2)
    assert surprise(tokens @ torch.tensor([3, 1]), WORLD.table.flatten()) < LIKELY
    assert not torch.equal(
        objective.batches[0].captions.tokens, objective.batches[1].captions.tokens
    )


def test_the_same_seed_gives_the_same_model_and_another_seed_another() -> None:
    tables = []
    for seed in (1, 1, 2):
        captioner = speaker(WORLD, lstm, 0)
        train(captioner, ScheduledSampling(Constant(0.5)), WORLD, Plan(3, 16), seed)
        tables.append(log_table(captioner, WORLD))
    assert torch.equal(tables[0], tables[1])
    assert not torch.equal(tables[0], tables[2])


def test_teacher_forcing_lands_on_the_law_of_a_world_that_the_model_can_represent() -> None:
    captioner = speaker(WORLD, Bigram, 0)
    train(captioner, TeacherForcing(), WORLD, Plan(80, 256, rate=0.1), seed=0)
    learned = log_table(captioner, WORLD).exp()
    # Some 10,000 pairs of the later steps count: four standard deviations are about 0.02.
    torch.testing.assert_close(learned, WORLD.table, rtol=0, atol=0.02)
