"""One training run: from its parts to a folder with the best captioner and the last."""

import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from captioning.captioner import (
    Captioner,
    check_same,
    fingerprint,
    load_weights,
    read_checkpoint,
)
from captioning.data.batching import TrainingBatches
from captioning.data.dataset import Dataset
from captioning.decoder import Decoder
from captioning.device import free_cores
from captioning.encoder import Encoder
from captioning.errors import InputError
from captioning.files import remove_leftovers, write
from captioning.loaders import (
    Loading,
    build_vocabulary,
    evaluation_batches,
    standardise,
    training_batches,
)
from captioning.objectives.base import Objective
from captioning.processes import first_process
from captioning.runs import Run, open_run
from captioning.search import Search
from captioning.training.checkpoints import MovableCheckpoint
from captioning.training.interruption import Interrupted, Interruption
from captioning.training.length import check_length
from captioning.training.logs import continue_csv
from captioning.training.module import SELECTED_BY, CaptioningModule, Optimisation
from captioning.training.patience import Patience
from captioning.training.trainer import make_trainer, trainer_options


def train(
    data: Dataset,
    encoder: Encoder,
    decoder: Callable[[int, int], Decoder],
    objective: Objective,
    loading: Loading,
    optimisation: Optimisation,
    validation: Search,
    from_run: str | None = None,
    patience: int | None = None,
    seed: int = 0,
    matmul_precision: Literal["highest", "high", "medium"] = "highest",
    threads: int | None = None,
    resume: bool = False,
    *,
    run: Run,
    config: str,
    trainer: dict[str, Any],
) -> bool:
    """Train a captioner, keep the best and the last, judged by CIDEr-D of generated captions.

    Args:
        data: Data set, by its class.
        encoder: Network from images to features.
        decoder: Network from features to words.
        objective: Training objective.
        loading: How data become batches.
        optimisation: How optimisation steps are made.
        validation: How the validation split is captioned after each epoch.
        from_run: Run folder whose captioner training starts from; null for new weights.
        patience: Validations without a better CIDEr-D after which training stops; null for never.
        seed: Seed of the initial weights, the order of the data and all random draws.
        matmul_precision: Precision of float32 matrix products in PyTorch; medium may round to
            bfloat16 if the hardware supports it, and is twice as fast on AMD processors.
        threads: Threads of PyTorch on the CPU; null for OMP_NUM_THREADS, or one per core but those
            that open images. More threads than free cores make training many times slower.
        resume: Resume the run where it stopped.
        run: Where everything is kept.
        config: What to save there as the run's configuration.
        trainer: Options of Lightning's Trainer.

    Returns:
        Whether a step was made: a finished run that is resumed may have none left.
    """
    check_images(objective, loading)
    torch.set_float32_matmul_precision(matmul_precision)
    torch.set_num_threads(threads or free_cores(0 if encoder.frozen else loading.num_workers))
    examples = data.examples("train")
    vocabulary = build_vocabulary(examples, loading)
    captioner = Captioner(encoder, decoder(len(vocabulary), encoder.feature_size), vocabulary)
    checkpoint = begins_with = None
    # Before any batch is made: the features of a frozen encoder are those of its own weights.
    if resume:
        checkpoint = resumed(captioner, run)
    elif from_run is not None:
        begins_with = start_from(captioner, open_run(Path(from_run)))
    batches = training_batches(examples, captioner, loading, data.name, seed)
    if checkpoint is None and begins_with is None:
        standardise(captioner, batches)
    checked = evaluation_batches(data.examples("val"), captioner, loading, data.name)
    objective.prepare(captioner, {example.image_id: example.captions for example in examples})
    module = CaptioningModule(captioner, objective, optimisation, validation, seed)
    if checkpoint is not None:
        go_on_after(checkpoint, batches)
    interruption = Interruption(run.checkpoint("last"), optimisation.accumulate)
    options = trainer_options(trainer, run, [*checkpoints(run, patience), interruption])
    csv = CSVLogger(run.folder, name=run.logs.name, version="")
    if options["logger"] is None:
        options["logger"] = [csv, TensorBoardLogger(run.folder, name=run.logs.name, version="")]
    fitting = make_trainer(options, several=len(module.players) > 1)
    each = batches.batches(fitting.world_size)
    check_length(objective, trainer, patience, optimisation, each, len(checked))
    module.configure_optimizers()  # what it refuses must not cost an earlier run
    if first_process():
        start_folder(run, config, resume)
        if begins_with is not None:
            write(run.start_file, begins_with.encode())
        if resume and csv in fitting.loggers:
            continue_csv(csv, run.logs / "metrics.csv", batches.served)
    start = str(run.checkpoint("last")) if resume else None
    fitting.fit(module, batches, checked, ckpt_path=start, weights_only=True)
    if interruption.asked:
        raise Interrupted
    return checkpoint is None or fitting.global_step > checkpoint["global_step"]


def check_images(objective: Objective, loading: Loading) -> None:
    """Refuse an objective that compares more images than a batch has."""
    if loading.batch_size < objective.least_images:
        raise InputError(
            f"{type(objective).__name__} with these options compares the images of a batch: "
            f"expected --loading.batch_size of {objective.least_images} or more, got "
            f"{loading.batch_size}"
        )


def checkpoints(run: Run, patience: int | None) -> list[Callback]:
    """Make callbacks that keep the best and last captioners and, with `patience`, stop early."""
    folder = run.checkpoint("last").parent
    keep = partial(MovableCheckpoint, folder, enable_version_counter=False)
    callbacks: list[Callback] = [
        keep("best", monitor=SELECTED_BY, mode="max"),
        keep("last", save_on_train_epoch_end=True),
    ]
    if patience is not None:
        callbacks.append(Patience(SELECTED_BY, patience=patience, mode="max"))
    return callbacks


def resumed(captioner: Captioner, run: Run) -> dict[str, Any]:
    """Load the weights of a run's last checkpoint into its captioner; return the checkpoint."""
    source = run.checkpoint("last")
    checkpoint = read_checkpoint(source)
    check_same(captioner, checkpoint)
    load_weights(captioner, checkpoint["state_dict"], source)
    return checkpoint


def go_on_after(checkpoint: Mapping[str, Any], batches: TrainingBatches) -> None:
    """Let batches go on after those that were served before a checkpoint.

    Lightning does this only if it stopped in the middle of an epoch.
    """
    done = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["ready"]
    batches.load_state_dict({"served": done, "processes": checkpoint.get("processes")})


def start_from(captioner: Captioner, run: Run) -> str:
    """Load the weights of a run into a captioner with the same vocabulary; return their digest."""
    source = run.checkpoint()
    checkpoint = read_checkpoint(source)
    if checkpoint["captioner"]["vocabulary"] != captioner.vocabulary.to_json():
        raise InputError(
            f"{source} has another vocabulary than this run's data: start from a run on the same "
            "data with the same --loading.minimum_count"
        )
    load_weights(captioner, checkpoint["state_dict"], source)
    return fingerprint(checkpoint)


def start_folder(run: Run, config: str, resume: bool) -> None:
    """Save the configuration; empty the folder first, unless the run is resumed."""
    if resume:
        remove_leftovers([run.checkpoint("best"), run.checkpoint("last")])
    else:
        for path in set(run.folder.iterdir()) - {run.lock_file}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    run.finished_file.unlink(missing_ok=True)
    run.checkpoint("last").parent.mkdir(parents=True, exist_ok=True)
    write(run.config_file, config.encode())  # others may be reading it
