"""What every objective of configs/ keeps to with every kind of decoder, trained as in earnest."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from jsonargparse import Namespace
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer

from captioning.batch import Batch, Captions
from captioning.schedules import Progress
from captioning.text import END, PAD
from tests.tiny_training import Training, read_tiny

CONFIGS = Path(__file__).parents[1] / "configs"
OBJECTIVES = [
    path
    for path in sorted(CONFIGS.glob("*.yaml"))
    if "objective" in yaml.safe_load(path.read_text(encoding="utf-8"))
]
SHAPES = CONFIGS / "data" / "shapes.yaml"  # its decoder knows no attention
ATTENTION = CONFIGS / "attention.yaml"
COMBINATIONS = [(SHAPES, each, *more) for each in OBJECTIVES for more in ((), (ATTENTION,))]


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


@pytest.fixture(
    scope="module", params=COMBINATIONS, ids=lambda files: "-".join(each.stem for each in files[1:])
)
def config(request: pytest.FixtureRequest, folder: Path) -> Namespace:
    return read_tiny(request.param, folder / "shapes")


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
        assert all(name.startswith(owner) for name in moved)
        assert moved >= {name for name, gradient in gradients.items() if gradient.any()}


def test_gradients_reach_every_weight_that_trains_and_are_finite(
    training: Training, watched: Watch
) -> None:
    for turn, gradients in zip(turns(training), watched.gradients, strict=True):
        owner = training.captioner if turn == "captioner" else training.objective.get_submodule(turn)
        assert len(gradients) == len([each for each in owner.parameters() if each.requires_grad])
        assert all(each is not None and each.isfinite().all() for each in gradients.values())
        assert any(each.any() for each in gradients.values())


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
    """Of the first batch with these captions, always by the same draws."""
    torch.manual_seed(0)
    batch = first_batch(training)._replace(captions=captions)
    loss = training.objective(training.captioner, batch, turn=turn, progress=progress)
    groups = training.module.groups(turn)
    weights = [weight for group in groups for weight in group["params"]]
    return [loss.value, *torch.autograd.grad(loss.value, weights)]


def first_batch(training: Training) -> Batch:
    training.batches.load_state_dict({"served": 0})
    return next(training.batches)


def test_what_stands_in_the_padding_is_not_read(training: Training) -> None:
    captions = first_batch(training).captions
    words = captions.tokens.masked_fill(captions.tokens == PAD, END + 1)
    assert not torch.equal(words, captions.tokens)
    for turn in training.module.players:
        one, other = (
            loss_and_gradient(training, each, turn, Progress(5, 0.9))
            for each in (captions, captions._replace(tokens=words))
        )
        assert all(torch.equal(x, y) for x, y in zip(one, other, strict=True))


def test_more_padding_changes_nothing(training: Training) -> None:
    """When training begins, without dropout: coins and masks for the padding are draws, too."""
    captions = first_batch(training).captions
    wide = captions._replace(tokens=nn.functional.pad(captions.tokens, (0, 3)))
    training.module.eval()
    for turn in training.module.players:
        one, other = (
            loss_and_gradient(training, each, turn, Progress(0, 0.0)) for each in (captions, wide)
        )
        assert all(torch.equal(x, y) for x, y in zip(one, other, strict=True))
    training.module.train()
