"""What every objective of configs/ keeps to with every decoder and option, trained in earnest."""

from copy import deepcopy
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonargparse import Namespace
from PIL import Image
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer

from captioning.batch import Captions
from captioning.data.dataset import Example
from captioning.schedules import Progress
from captioning.text import END, PAD
from captioning.training.module import Optimisation
from tests.objectives.choices import CHOICES, CONFIGS, SHAPES, SHOW_AND_TELL, Choice
from tests.support.tiny_training import Training, read_tiny

# Enough to learn eight images by heart.
LARGER = {
    "channels": 32,
    "hidden_size": 64,
    "embedding_size": 64,
    "attention_size": 64,
    "dropout": 0.0,
    "batch_size": 8,
    "captions_per_image": 16,
    "samples": 10,
    "warm_up": 30,
}


class Watch(Callback):
    """Notes of every turn its loss, by which gradients its player moves, and what did move."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.gradients: list[dict[str, Tensor | None]] = []
        self.moved: list[set[str]] = []
        self.before: dict[str, Tensor] = {}

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, *_: Any) -> None:
        self.before = {name: value.clone() for name, value in tensors(module).items()}

    def on_before_optimizer_step(
        self, trainer: Trainer, module: LightningModule, optimizer: Optimizer
    ) -> None:
        names = {weight: name for name, weight in module.named_parameters()}
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        self.gradients.append({names[weight]: weight.grad for weight in weights})

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, *_: Any) -> None:
        self.losses.append(trainer.callback_metrics["loss"].item())
        after = tensors(module)
        self.moved.append({n for n, old in self.before.items() if not torch.equal(old, after[n])})


class Keep(Callback):
    """Keeps a checkpoint after the first epoch."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.current_epoch == 0:
            trainer.save_checkpoint(self.file)


def tensors(module: nn.Module) -> dict[str, Tensor]:
    """Weights and buffers."""
    return dict([*module.named_parameters(), *module.named_buffers()])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("contract")


@pytest.fixture(scope="module", params=CHOICES, ids=str)
def choice(request: pytest.FixtureRequest) -> Choice:
    chosen: Choice = request.param
    return chosen


@pytest.fixture(scope="module")
def config(choice: Choice, folder: Path) -> Namespace:
    options = choice.decoder + choice.changes
    return read_tiny([SHAPES, choice.objective], folder / "shapes", options)


@pytest.fixture(scope="module")
def training(config: Namespace) -> Training:
    """As it begins; whoever uses it leaves it so."""
    return Training(config)


@pytest.fixture(scope="module")
def watched(config: Namespace, folder: Path) -> Watch:
    """Two epochs of two turns each, with a checkpoint after the first."""
    return watch(Training(config), Keep(folder / "first.ckpt"))


def watch(training: Training, *others: Callback, **start: Any) -> Watch:
    seen = Watch()
    training.fit(seen, *others, **start)
    return seen


def turns(training: Training) -> list[str]:
    """Whose turn it is, four times."""
    return [training.objective.turn(step) for step in range(4)]


def test_a_turn_moves_its_own_player_and_nobody_else(training: Training, watched: Watch) -> None:
    played = turns(training)
    assert set(played) == {*training.objective.opening, *training.objective.turns}
    for turn, gradients, moved in zip(played, watched.gradients, watched.moved, strict=True):
        owner = "captioner." if turn == "captioner" else f"objective.{turn}."
        assert moved
        assert all(name.startswith(owner) for name in moved)
        assert moved >= {
            name for name, each in gradients.items() if each is not None and each.any()
        }


def test_gradients_reach_every_weight_that_trains_and_are_finite(
    training: Training, watched: Watch
) -> None:
    for turn, gradients in zip(turns(training), watched.gradients, strict=True):
        owner = (
            training.captioner if turn == "captioner" else training.objective.get_submodule(turn)
        )
        assert len(gradients) == len([each for each in owner.parameters() if each.requires_grad])
        assert all(each is not None and each.isfinite().all() for each in gradients.values())
        assert any(each is not None and each.any() for each in gradients.values())


def test_the_same_seed_gives_the_same_losses_and_another_others(
    config: Namespace, watched: Watch
) -> None:
    assert watch(Training(config)).losses == watched.losses
    others = watch(Training(config, draws=1)).losses
    assert all(one != other for one, other in zip(watched.losses, others, strict=True))


def test_a_checkpoint_holds_all_that_training_goes_on_with(
    config: Namespace, watched: Watch, folder: Path
) -> None:
    resumed = watch(Training(config, seed=1), checkpoint=folder / "first.ckpt", served=2)
    assert resumed.losses == watched.losses[2:]


def loss_and_gradient(
    training: Training, captions: Captions, turn: str, progress: Progress
) -> list[Tensor]:
    """Of the first batch with these captions, always by the same draws and the same replay."""
    torch.manual_seed(0)
    batch = training.first_batch()._replace(captions=captions)
    module = deepcopy(training.module)
    loss = module.objective(module.captioner, batch, turn=turn, progress=progress)
    weights = [weight for group in module.groups(turn) for weight in group["params"]]
    return [loss.value, *torch.autograd.grad(loss.value, weights)]


def test_what_stands_in_the_padding_is_not_read(training: Training) -> None:
    captions = training.first_batch().captions
    words = captions.tokens.masked_fill(captions.tokens == PAD, END + 1)
    assert not torch.equal(words, captions.tokens)
    for turn in training.module.players:
        one, other = (
            loss_and_gradient(training, each, turn, Progress(5, 0.9))
            for each in (captions, captions._replace(tokens=words))
        )
        assert all(torch.equal(x, y) for x, y in zip(one, other, strict=True))


def test_more_padding_changes_nothing(training: Training) -> None:
    """Without dropout, which falls on padding, too, and shifts all later draws."""
    captions = training.first_batch().captions
    wide = captions._replace(tokens=nn.functional.pad(captions.tokens, (0, 3)))
    training.module.eval()
    for turn in training.module.players:
        one, other = (
            loss_and_gradient(training, each, turn, Progress(5, 0.9)) for each in (captions, wide)
        )
        assert all(torch.equal(x, y) for x, y in zip(one, other, strict=True))
    training.module.train()


@pytest.fixture(scope="module")
def colours(folder: Path) -> list[Example]:
    """Eight images of one colour each, of which one thing is said, again and again."""
    said = ["black", "blue", "green", "blue and green"]
    said += ["red", "red and blue", "red and green", "all the colours"]
    examples = []
    for i, (caption, colour) in enumerate(zip(said, product((0, 255), repeat=3), strict=True)):
        Image.new("RGB", (8, 8), colour).save(folder / f"{i}.png")
        examples.append(Example(i, folder / f"{i}.png", (caption,) * 16))
    return examples


@torch.no_grad()
def truth(training: Training) -> float:
    """The chance that what the captioner says of an image is what is true of it."""
    captioner, batch = training.captioner.eval(), training.first_batch()
    outputs = captioner(captioner.encode(batch), batch.captions)
    scores = captioner.decoder.log_probabilities(outputs)
    said = scores.gather(1, batch.captions.targets[:, None] - END).squeeze(1)
    return batch.captions.unpack(said).sum(1).exp().mean().item()


def train(training: Training, turns: int, rates: dict[str, float]) -> float:
    """The chance of the truth after so many of the captioner's turns, with all that go before."""
    rounds = len(training.objective.opening) + turns * len(training.objective.turns)
    training.options["max_epochs"] = rounds
    training.module.optimisation = Optimisation(learning_rates=rates)
    training.fit()
    return truth(training)


@pytest.mark.slow
def test_eight_images_are_overfitted(choice: Choice, folder: Path, colours: list[Example]) -> None:
    """From a captioner that was forced a little: when it plays, the chance of the truth rises."""
    start = Choice(CONFIGS / "teacher_forcing.yaml", choice.decoder)
    configs = (
        read_tiny([SHAPES, each.objective], folder, each.decoder + each.changes, **LARGER)
        for each in (start, choice)
    )
    forcing, training = (Training(config, examples=colours) for config in configs)
    before = train(forcing, 20, {"captioner": 0.01})
    training.captioner.load_state_dict(forcing.captioner.state_dict())
    players = training.module.players
    turns, rate = 70, 0.002
    if len(players) > 1:
        # The slower a captioner is, the better the others know what it says by now. Show and Tell,
        # which is shown the image but once, is slow to look at it anyway.
        turns, rate = (210, 0.001) if choice.decoder in SHOW_AND_TELL else (70, 0.0005)
    rates = dict.fromkeys(players, 0.005) | {"captioner": rate}
    assert train(training, turns, rates) > before + 0.1 * (1 - before)
