"""The only LightningModule: it plays an objective's turns and judges by free captions."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytorch_lightning as lightning
import torch
import torch.distributed
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from captioning.batch import Batch
from captioning.captioner import Captioner
from captioning.data.dataset import ImageId
from captioning.errors import InputError
from captioning.metrics.ciderd import CiderD
from captioning.objectives.base import Objective
from captioning.schedules import Progress, Schedule
from captioning.search import Search, caption_texts

SELECTED_BY = "val/CIDEr-D"

# Below these, what an objective draws from the captioner has collapsed.
LEAST_ENTROPY = 0.02  # nats a word
LEAST_DISTINCT = 0.05  # of the captions of a batch


def fused_adam(parameters: Iterable[Any]) -> Optimizer:
    """Adam (Kingma & Ba 2015), all parameters updated in one pass."""
    return Adam(parameters, lr=1e-3, fused=True)


@dataclass
class Optimisation:
    """How steps are made.

    Args:
        optimizer: Any of PyTorch's, with its arguments.
        schedule: Factor on every learning rate as training goes on; null keeps it at 1.
        learning_rates: By player, `captioner` or `discriminator`; the optimizer's own for others.
        encoder_learning_rate: For the weights of an encoder that is not frozen; null: as the rest
            of the captioner.
        gradient_norm: Longer gradients are scaled down to this length; null leaves them.
        accumulate: Batches whose gradients make one step.
    """

    optimizer: Callable[[Iterable[Any]], Optimizer] = fused_adam
    schedule: Schedule | None = None
    learning_rates: dict[str, float] = field(default_factory=dict)
    encoder_learning_rate: float | None = None
    gradient_norm: float | None = 5.0
    accumulate: int = 1

    def __post_init__(self) -> None:
        """Refuse what no step could be made with."""
        if self.accumulate < 1:
            raise InputError(f"optimisation.accumulate must be 1 or more, got {self.accumulate}")
        if self.gradient_norm is not None and self.gradient_norm <= 0:
            raise InputError(
                f"optimisation.gradient_norm must be positive or null, got {self.gradient_norm}"
            )
        for rate in (*self.learning_rates.values(), self.encoder_learning_rate or 0):
            if rate < 0:
                raise InputError(f"optimisation: a learning rate must be 0 or more, got {rate}")


class CaptioningModule(lightning.LightningModule):
    """Trains a captioner by an objective, with one optimiser for each of its players.

    The randomness of every step is seeded by the run's seed, the step's number and the process's
    rank, so that a run which was interrupted goes on as if it had not been.
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
        """Give each player its own optimiser."""
        make = self.optimisation.optimizer
        try:
            optimizers = [make(self.groups(player)) for player in self.players]
        except (TypeError, ValueError) as error:
            raise InputError(f"optimisation.optimizer: {' '.join(str(error).split())}") from error
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["peak"] = group["lr"]
        return optimizers

    def groups(self, player: str) -> list[dict[str, Any]]:
        """Give a player's weights as the optimiser takes them."""
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
        """The number of this batch among all of the run, from 0."""
        return self.trainer.fit_loop.epoch_loop.total_batch_idx

    @property
    def progress(self) -> Progress:
        """How far the run is, by its epochs or by its steps, whichever ends it."""
        trainer = self.trainer
        shares = [0.0]
        if trainer.max_epochs is not None and trainer.max_epochs > 0:
            shares.append(self.batch_number / (trainer.max_epochs * trainer.num_training_batches))
        if trainer.max_steps > 0:
            shares.append(self.global_step / trainer.max_steps)
        return Progress(self.global_step, min(max(shares), 1.0))

    def training_step(self, batch: Batch, batch_index: int) -> None:
        """Play one batch of one turn."""
        torch.manual_seed(hash((self.seed, self.batch_number, self.global_rank)) % 2**63)
        turn = self.objective.turn(self.global_step)
        optimizer = self.optimizer_of(turn)
        accumulate = self.optimisation.accumulate
        if batch_index % accumulate == 0:
            optimizer.zero_grad()
        loss = self.objective(self.captioner, batch, turn=turn, progress=self.progress)
        self.manual_backward(loss.value / accumulate)
        self.look_for_collapse(loss.logs)
        logs = {f"train/{name}": value for name, value in loss.logs.items()}
        self.log_dict(logs, batch_size=len(batch.image_ids))
        self.log("loss", loss.value.detach(), prog_bar=True, logger=False)
        if (batch_index + 1) % accumulate == 0 or self.trainer.is_last_batch:
            self.step(optimizer)

    def look_for_collapse(self, logs: dict[str, Tensor]) -> None:
        """Warn of a collapse once in a run; look every `log_every_n_steps` rounds of turns.

        Rounds, not steps: of these, one in so many might never be the captioner's.
        """
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        rounds = (self.global_step - len(self.objective.opening)) // len(self.objective.turns)
        if every and not self.collapsed and rounds % every == 0:
            self.collapsed = warn_of_collapse(logs)

    def optimizer_of(self, player: str) -> Any:
        """Give a player's optimiser, as Lightning wraps it."""
        optimizers = self.optimizers()
        every = optimizers if isinstance(optimizers, list) else [optimizers]
        return every[self.players.index(player)]

    def step(self, optimizer: Any) -> None:
        """Move along the gradient, as far as the schedule says."""
        schedule = self.optimisation.schedule
        factor = 1.0 if schedule is None else schedule.at(self.progress)
        if factor < 0:
            raise InputError(f"optimisation.schedule must stay at 0 or more, got {factor:g}")
        for group in optimizer.param_groups:
            group["lr"] = factor * group["peak"]
        optimizer.step()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Scale a long gradient down, after mixed precision has scaled it back."""
        longest = self.optimisation.gradient_norm
        if longest is None:
            return
        fused = any(group.get("fused") for group in optimizer.param_groups)
        if fused and self.trainer.precision == "16-mixed":
            raise InputError(
                "a fused optimiser hides the length of float16 gradients: set "
                "optimisation.optimizer's fused to false, gradient_norm to null, or train in bf16"
            )
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        player = self.objective.turn(self.global_step)
        name = "gradient_norm" if player == "captioner" else f"{player}_gradient_norm"
        self.log(f"train/{name}", nn.utils.clip_grad_norm_(weights, longest))

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Caption freely; measure the likelihood of the true captions apart."""
        features = self.captioner.encode(batch)
        self.captions |= caption_texts(self.search, [self.captioner], [features], batch.image_ids)
        self.references |= dict(zip(batch.image_ids, batch.references, strict=True))
        targets = batch.captions.targets
        outputs = self.captioner(features, batch.captions)
        loss = self.captioner.decoder.cross_entropy(outputs, targets)
        self.log("val/cross_entropy", loss, batch_size=len(targets), sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        """Score the captions of all processes, each picture once."""
        captions, references = gather(self.captions), gather(self.references)
        self.captions, self.references = {}, {}
        if not captions:
            raise InputError("none of the validation pictures can be opened")
        score = cider_d(self.captioner.vocabulary.split, captions, references)
        lengths = [len(caption.split()) for caption in captions.values()]
        self.log(SELECTED_BY, score, prog_bar=True, sync_dist=True)
        self.log("val/words", sum(lengths) / len(lengths), sync_dist=True)
        self.log("val/distinct", len(set(captions.values())) / len(captions), sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what makes the checkpoint work alone."""
        checkpoint["captioner"] = self.captioner.description()
        checkpoint["processes"] = self.trainer.world_size

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of other data or another architecture."""
        ours, theirs = self.captioner.description(), checkpoint["captioner"]
        for part in ("encoder", "decoder", "vocabulary"):
            if ours[part] != theirs[part]:
                raise InputError(
                    f"the checkpoint's {part} is not this run's: it was trained on other data or "
                    "with other settings; resume with the settings of its config.yaml"
                )


def rate_of(rate: float | None) -> dict[str, float]:
    """Give a learning rate as an optimiser's group takes it, nothing for the optimiser's own."""
    return {} if rate is None else {"lr": rate}


def warn_of_collapse(logs: dict[str, Tensor]) -> bool:
    """Say in plain words that the captioner says hardly more than one thing, and whether it does.

    On a GPU this waits until the logs are computed.
    """
    signs = []
    if "entropy" in logs and logs["entropy"] < LEAST_ENTROPY:
        signs.append(
            f"its entropy fell below {LEAST_ENTROPY} nats a word, so it says nearly the same every "
            "time"
        )
    if "distinct" in logs and logs["distinct"] < LEAST_DISTINCT:
        signs.append(
            f"fewer than {LEAST_DISTINCT:.0%} of the captions that it draws in a batch are distinct"
        )
    for sign in signs:
        warnings.warn(
            f"the captioner has collapsed: {sign}; lower its learning rate or mix a likelihood in",
            stacklevel=1,
        )
    return bool(signs)


def cider_d(
    split: Callable[[str], list[str]],
    captions: dict[ImageId, str],
    references: dict[ImageId, Sequence[str]],
) -> float:
    """Give the corpus CIDEr-D, document frequencies taken from the references."""
    scorer = CiderD([[split(reference) for reference in references[key]] for key in captions])
    return float(scorer.score([split(caption) for caption in captions.values()]).mean())


def gather(own: dict[ImageId, Any]) -> dict[ImageId, Any]:
    """Join what the processes hold; a picture held twice counts once."""
    if not torch.distributed.is_initialized():
        return own
    shares: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(shares, own)
    return {key: value for share in shares for key, value in share.items()}
