"""Training in a small world: the package's objectives, on batches drawn from the true law."""

from dataclasses import dataclass

import torch
from torch.optim import Adam

from captioning.batch import Batch
from captioning.captioner import Captioner
from captioning.lab.models import NOTHING, as_captions
from captioning.lab.worlds import World
from captioning.objectives.base import Objective
from captioning.schedules import Cosine, Progress


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train.

    Attributes:
        steps: Optimiser steps of all players together.
        batch_size: Sequences per step.
        rate: Adam's initial learning rate for the captioner; it falls to zero along half a cosine.
        discriminator_rate: The same for the discriminator.
    """

    steps: int
    batch_size: int = 256
    rate: float = 5e-3
    discriminator_rate: float = 5e-3


def train(captioner: Captioner, objective: Objective, world: World, plan: Plan, seed: int) -> None:
    """Train all players in the objective's turns, each with its own optimiser."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    objective.prepare(captioner, {})
    players = {
        player: captioner if player == "captioner" else objective.get_submodule(player)
        for player in (*objective.opening, *objective.turns)
    }
    rates = {"captioner": plan.rate, "discriminator": plan.discriminator_rate}
    optimizers = {
        player: Adam([p for p in module.parameters() if p.requires_grad], fused=True)
        for player, module in players.items()
    }
    schedule = Cosine()
    for step in range(plan.steps):
        progress = Progress(step, step / plan.steps)
        captions = as_captions(world.sample(plan.batch_size, generator))
        turn = objective.turn(step)
        optimizer = optimizers[turn]
        optimizer.param_groups[0]["lr"] = rates[turn] * schedule.at(progress)
        optimizer.zero_grad()
        loss = objective(
            captioner, Batch(None, NOTHING, captions, (0,), ((),)), turn=turn, progress=progress
        )
        loss.value.backward()
        optimizer.step()
