"""The only LightningModule: trains by an objective's turns and validates by generated captions."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytorch_lightning as lightning
import torch
from pytorch_lightning.plugins import MixedPrecision
from torch import nn
from torch.optim import Adam, Optimizer

from captioning.batch import Batch
from captioning.captioner import Captioner
from captioning.data.dataset import ImageId
from captioning.errors import InputError
from captioning.metrics.ciderd import CiderD
from captioning.objectives.base import Loss, Objective
from captioning.processes import merge
from captioning.schedules import Progress, Schedule
from captioning.search import Search, caption_texts
from captioning.training.collapse import check_finite, warn_of_collapse

SELECTED_BY = "val/CIDEr-D"


def fused_adam(parameters: Iterable[Any]) -> Optimizer:
    """Make an Adam optimiser (Kingma & Ba 2015) that updates all parameters in one pass."""
    return Adam(parameters, lr=1e-3, fused=True)


@dataclass
class Optimisation:
    """How optimisation steps are made.

    Args:
        optimizer: Any PyTorch optimizer, with its arguments.
        schedule: Factor applied to every learning rate during training; null keeps it at 1.
        learning_rates: By player, `captioner` or `discriminator`; the optimizer's own by default.
        encoder_learning_rate: For the weights of an encoder that is not frozen; null for that of
            the rest of the captioner.
        gradient_norm: Gradients of a larger norm are scaled down to this one; null for no limit.
        accumulate: Batches whose gradients are accumulated for one step.
    """

    optimizer: Callable[[Iterable[Any]], Optimizer] = fused_adam
    schedule: Schedule | None = None
    learning_rates: dict[str, float] = field(default_factory=dict)
    encoder_learning_rate: float | None = None
    gradient_norm: float | None = 5.0
    accumulate: int = 1

    def __post_init__(self) -> None:
        """Refuse settings with which no step could be made."""
        if self.accumulate < 1:
            raise InputError(f"optimisation.accumulate must be 1 or more, got {self.accumulate}")
        if self.gradient_norm is not None and not self.gradient_norm > 0:
            raise InputError(
                f"optimisation.gradient_norm must be positive or null, got {self.gradient_norm}"
            )
        for rate in (*self.learning_rates.values(), self.encoder_learning_rate or 0):
            if not 0 <= rate < math.inf:
                raise InputError(f"optimisation: a learning rate must be 0 or more, got {rate}")
        if self.schedule is not None:
            self.schedule.check(check_factor)


class CaptioningModule(lightning.LightningModule):
    """Trains a captioner by an objective, with one optimiser for each of its players.

    The random numbers of every step are seeded by the run's seed, the batch's number and the
    process's rank, so that an interrupted run resumes as if it had never stopped.
    """

    def __init__(
        self,
        captioner: Captioner,
        objective: Objective,
        optimisation: Optimisation,
        search: Search,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.captioner = captioner
        self.objective = objective
        self.optimisation = optimisation
        self.search = search
        self.seed = seed
        self.players = list(dict.fromkeys(objective.turns))
        unknown = optimisation.learning_rates.keys() - {*self.players}
        if unknown:
            raise InputError(
                f"optimisation.learning_rates names {', '.join(sorted(unknown))}, which "
                f"does not play here: expected some of {', '.join(self.players)}"
            )
        idle = [
            name
            for name, weight in objective.named_parameters()
            if weight.requires_grad and name.partition(".")[0] not in self.players
        ]
        if idle:
            raise InputError(
                f"{type(objective).__name__}: nobody would train {', '.join(idle[:3])}: expected "
                "its module to be named in `turns`, or frozen"
            )
        frozen = not any(weight.requires_grad for weight in captioner.encoder.parameters())
        if frozen and optimisation.encoder_learning_rate is not None:
            raise InputError(
                "optimisation.encoder_learning_rate is for an encoder that learns, but this one is "
                "frozen: set it to null, or the encoder's frozen to false"
            )
        self.captions: dict[ImageId, str] = {}
        self.references: dict[ImageId, Sequence[str]] = {}
        self.collapsed = False

    def configure_optimizers(self) -> list[Optimizer]:
        """Make an optimiser for each player."""
        make = self.optimisation.optimizer
        try:
            optimizers = [make(self.groups(player)) for player in self.players]
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"optimisation.optimizer: {' '.join(str(error).split())}") from error
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["peak"] = group["lr"]
        self.settings = [
            [{name: value for name, value in group.items() if name != "params"} for group in each]
            for each in (optimizer.param_groups for optimizer in optimizers)
        ]
        return optimizers

    def on_train_start(self) -> None:
        """Use the optimisers' settings of this configuration, not those of a checkpoint."""
        for optimizer, settings in zip(self.trainer.optimizers, self.settings, strict=True):
            for group, own in zip(optimizer.param_groups, settings, strict=True):
                group.update(own)

    def on_validation_model_zero_grad(self) -> None:
        """Keep the gradients: validation may come between two batches of one step."""

    def groups(self, player: str) -> list[dict[str, Any]]:
        """Return a player's weights as parameter groups of an optimiser."""
        rate = self.optimisation.learning_rates.get(player)
        if player != "captioner":
            weights = list(self.objective.get_submodule(player).parameters())
            return [{"params": weights} | rate_of(rate)]
        groups = [{"params": list(self.captioner.decoder.parameters())} | rate_of(rate)]
        encoder = [p for p in self.captioner.encoder.parameters() if p.requires_grad]
        if encoder:
            own = self.optimisation.encoder_learning_rate
            groups.append({"params": encoder} | rate_of(rate if own is None else own))
        return groups

    @property
    def batch_number(self) -> int:
        """The number of this batch in the whole run, from 0."""
        return self.trainer.fit_loop.epoch_loop.total_batch_idx

    @property
    def progress(self) -> Progress:
        """The run's progress, by epochs or by steps, whichever is further."""
        trainer = self.trainer
        shares = [0.0]
        if trainer.max_epochs is not None and trainer.max_epochs > 0:
            shares.append(self.batch_number / (trainer.max_epochs * trainer.num_training_batches))
        if trainer.max_steps > 0:
            shares.append(self.global_step / trainer.max_steps)
        return Progress(self.global_step, min(max(shares), 1.0))

    def training_step(self, batch: Batch, batch_index: int) -> None:
        """Train the player whose turn it is on one batch."""
        torch.manual_seed(hash((self.seed, self.batch_number, self.global_rank)) % 2**63)
        turn = self.objective.turn(self.global_step)
        optimizer = self.optimizer_of(turn)
        accumulate = self.optimisation.accumulate
        earlier = batch_index % accumulate  # batches of this step
        if earlier == 0:
            optimizer.zero_grad()
        left = int(self.trainer.num_training_batches) - batch_index
        loss = self.objective(self.captioner, batch, turn=turn, progress=self.progress)
        self.manual_backward(loss.value / min(accumulate, earlier + left))
        self.look_for_failure(loss)
        logs = {f"train/{name}": value for name, value in loss.logs.items()}
        self.log_dict(logs, batch_size=len(batch.image_ids))
        self.log("loss", loss.value.detach(), prog_bar=True, logger=False)
        if (batch_index + 1) % accumulate == 0 or self.trainer.is_last_batch:
            self.step(optimizer)

    def look_for_failure(self, loss: Loss) -> None:
        """Refuse a loss that is not finite; warn of a collapse once in a run.

        It looks every `log_every_n_steps` rounds of turns, and at the end of each epoch, before the
        checkpoint is saved. Rounds, not steps: of these, one in so many might never be the
        captioner's.
        """
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        rounds = (self.global_step - len(self.objective.opening)) // len(self.objective.turns)
        due = every and rounds % every == 0
        if due or self.trainer.is_last_batch:
            check_finite(loss.value.detach(), self.global_step)
        if due and not self.collapsed:
            self.collapsed = warn_of_collapse(loss.logs)

    def optimizer_of(self, player: str) -> Any:
        """Return a player's optimiser, wrapped by Lightning."""
        optimizers = self.optimizers()
        every = optimizers if isinstance(optimizers, list) else [optimizers]
        return every[self.players.index(player)]

    def step(self, optimizer: Any) -> None:
        """Make a step with the learning rates scaled by the schedule."""
        schedule = self.optimisation.schedule
        factor = 1.0 if schedule is None else schedule.at(self.progress)
        check_factor(factor)
        for group in optimizer.param_groups:
            group["lr"] = factor * group["peak"]
        optimizer.step()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Log and clip the gradient's norm, after mixed precision has unscaled it."""
        limit = self.optimisation.gradient_norm or math.inf
        precision = self.trainer.precision_plugin
        fused = any(group.get("fused") for group in optimizer.param_groups)
        if fused and isinstance(precision, MixedPrecision) and precision.scaler is not None:
            precision.scaler.unscale_(optimizer)  # Lightning leaves it to the optimiser's step
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        player = self.objective.turn(self.global_step)
        name = "gradient_norm" if player == "captioner" else f"{player}_gradient_norm"
        self.log(f"train/{name}", nn.utils.clip_grad_norm_(weights, limit))

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Generate captions, and log the cross entropy of the true ones."""
        features = self.captioner.encode(batch)
        self.captions |= caption_texts(self.search, [self.captioner], [features], batch.image_ids)
        self.references |= dict(zip(batch.image_ids, batch.references, strict=True))
        targets = batch.captions.targets
        outputs = self.captioner(features, batch.captions)
        loss = self.captioner.decoder.cross_entropy(outputs, targets)
        self.log("val/cross_entropy", loss, batch_size=len(targets), sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        """Score the captions of all processes, counting each image once."""
        captions, references = merge(self.captions), merge(self.references)
        self.captions, self.references = {}, {}
        if not captions:
            raise InputError("none of the validation images can be opened")
        score = cider_d(self.captioner.vocabulary.split, captions, references)
        lengths = [len(caption.split()) for caption in captions.values()]
        self.log(SELECTED_BY, score, prog_bar=True, sync_dist=True)
        self.log("val/words", sum(lengths) / len(lengths), sync_dist=True)
        self.log("val/distinct", len(set(captions.values())) / len(captions), sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what makes the checkpoint self-contained."""
        checkpoint["captioner"] = self.captioner.description()
        checkpoint["processes"] = self.trainer.world_size


def check_factor(factor: float) -> None:
    """Refuse a factor of the learning rates that is negative or infinite."""
    if not 0 <= factor < math.inf:
        raise InputError(f"optimisation.schedule must stay at 0 or more, got {factor:g}")


def rate_of(rate: float | None) -> dict[str, float]:
    """Return a learning rate for a parameter group; nothing, for the optimiser's own, if None."""
    return {} if rate is None else {"lr": rate}


def cider_d(
    split: Callable[[str], list[str]],
    captions: dict[ImageId, str],
    references: dict[ImageId, Sequence[str]],
) -> float:
    """Return the corpus CIDEr-D, with document frequencies from the references."""
    scorer = CiderD([[split(reference) for reference in references[key]] for key in captions])
    return float(scorer.score([split(caption) for caption in captions.values()]).mean())
