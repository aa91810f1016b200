"""Lightning's Trainer, set up for a run folder and quieter than by default."""

import logging
import warnings
from collections.abc import Sequence
from typing import Any

from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.strategies import DDPStrategy

from captioning.errors import InputError
from captioning.processes import by_slurm, check_tasks
from captioning.runs import Run
from captioning.training.checkpoints import WholeFiles

# Options of the Trainer that are not offered.
WITHHELD = {
    # It refuses them under manual optimisation; `Optimisation` has its own.
    *("gradient_clip_val", "gradient_clip_algorithm", "accumulate_grad_batches"),
    # `trainer_options` sets them.
    *("use_distributed_sampler", "default_root_dir"),
    # Training neither tests nor predicts.
    *("limit_test_batches", "limit_predict_batches"),
    # Batches are an endless stream, of which every epoch would take others.
    "overfit_batches",
    # It saves no checkpoint, so that nothing could be done with the run.
    "fast_dev_run",
}

# Precisions of the weights in which they do not meet features and statistics, which are float32.
UNFIT = {"16-true", "bf16-true", "64-true", "64"}


def trainer_options(
    trainer: dict[str, Any], run: Run, callbacks: Sequence[Callback]
) -> dict[str, Any]:
    """Complete the user's options of the Trainer with those that a run folder needs."""
    options = dict(trainer)
    options["use_distributed_sampler"] = False  # the batches are divided among processes already
    options["default_root_dir"] = str(run.folder)
    options["callbacks"] = [*callbacks, *(options["callbacks"] or [])]
    options["plugins"] = [WholeFiles(), *own_slurm(), *(options["plugins"] or [])]
    return options


def own_slurm() -> list[SLURMEnvironment]:
    """Return the plugin for processes started by SLURM; none for others.

    By default, Lightning would requeue the job itself, with a checkpoint that `--resume` does not
    know; here, `Interruption` handles SLURM's signals.
    """
    return [SLURMEnvironment(auto_requeue=False)] if by_slurm() else []


def make_trainer(options: dict[str, Any], several: bool = False) -> Trainer:
    """Build the Trainer; its errors become one-line InputErrors.

    With `several` players, the weights of those whose turn it is not get no gradient in a step,
    which DDP must be told.
    """
    if str(options["precision"]) in UNFIT:
        raise InputError(
            "--trainer.precision: expected 32-true, 16-mixed or bf16-mixed, got "
            f"{options['precision']}"
        )
    try:
        trainer = Trainer(**options)
        if several and type(trainer.strategy) is DDPStrategy:
            unused = {"strategy": "ddp_find_unused_parameters_true"}
            trainer = Trainer(**options | unused)
    except (MisconfigurationException, ValueError, ImportError) as error:
        raise InputError(f"--trainer: {' '.join(str(error).split())}") from error
    check_tasks(trainer.num_devices, trainer.num_nodes)
    return trainer


def quieten() -> None:
    """Silence Lightning's tips and notices, which would hide what matters."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)`")
    warnings.filterwarnings("ignore", message="The number of training batches")
    warnings.filterwarnings("ignore", message=r"Found \d+ module")  # a frozen encoder
    warnings.filterwarnings("ignore", message="(Experiment logs|Checkpoint) directory")
