"""`captioning train`: train a captioner on a data set, with an objective, into a run folder."""

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from jsonargparse import Namespace
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from captioning.captioner import Captioner, load_weights, read_checkpoint
from captioning.commands.checks import check_folder, check_length, steps_of
from captioning.commands.configuration import Parser
from captioning.commands.evaluate import METRICS, evaluate_run, read_temperatures
from captioning.commands.run_folder import read_config, run_folder, start_folder
from captioning.commands.score import metric_names
from captioning.commands.trainer import WITHHELD, make_trainer, quieten, trainer_options
from captioning.data.dataset import Dataset
from captioning.decoder import Decoder
from captioning.device import free_cores
from captioning.encoder import Encoder
from captioning.errors import InputError
from captioning.files import locked, make_folder, write_json
from captioning.interruption import Interrupted, Interruption
from captioning.loaders import (
    Loading,
    build_vocabulary,
    evaluation_batches,
    standardise,
    training_batches,
)
from captioning.logs import continue_csv
from captioning.objectives.base import Objective
from captioning.processes import first_process, part
from captioning.runs import Run, open_run
from captioning.search import Search
from captioning.training import SELECTED_BY, CaptioningModule, Optimisation

# Options that are not settings of training: where a run is kept, and how it is evaluated.
PLACE = {"config", "name", "runs", "result", "overwrite"}
EVALUATION = {"evaluate", "search", "metrics", "temperatures"}


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
) -> None:
    """Train a captioner, keep the best and the last, judged by CIDEr-D of generated captions.

    Args:
        data: Data set, by its class.
        encoder: Network from pictures to features.
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
            that open pictures. More threads than free cores make training many times slower.
        resume: Resume the run where it stopped.
    """
    torch.set_float32_matmul_precision(matmul_precision)
    torch.set_num_threads(threads or free_cores(0 if encoder.frozen else loading.num_workers))
    examples = data.examples("train")
    vocabulary = build_vocabulary(examples, loading)
    captioner = Captioner(encoder, decoder(len(vocabulary), encoder.feature_size), vocabulary)
    batches = training_batches(examples, captioner, loading, data.name, seed)
    standardise(captioner, batches)
    if from_run is not None and not resume:
        start_from(captioner, open_run(Path(from_run)))
    check_length(objective, steps_of(trainer, patience, batches, optimisation))
    checked = evaluation_batches(data.examples("val"), captioner, loading, data.name)
    objective.prepare(captioner, [example.captions for example in examples])
    module = CaptioningModule(captioner, objective, optimisation, validation, seed)
    if resume:  # refuse a different captioner before anything is written
        checkpoint = read_checkpoint(run.checkpoint("last"))
        module.on_load_checkpoint(checkpoint)
        # Lightning does this only if it stopped in the middle of an epoch.
        done = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["ready"]
        batches.load_state_dict({"served": done, "processes": checkpoint.get("processes")})
    interruption = Interruption(run.checkpoint("last"), optimisation.accumulate)
    options = trainer_options(trainer, run)
    own = [*checkpoints(run, patience), interruption]
    options["callbacks"] = [*own, *(trainer["callbacks"] or [])]
    csv = CSVLogger(run.folder, name=run.logs.name, version="")
    if options["logger"] is None:
        options["logger"] = [csv, TensorBoardLogger(run.folder, name=run.logs.name, version="")]
    fitting = make_trainer(options, several=len(module.players) > 1)
    if first_process():
        start_folder(run, config, resume)
        if resume and csv in fitting.loggers:
            continue_csv(csv, run.logs / "metrics.csv", batches.served)
    start = str(run.checkpoint("last")) if resume else None
    fitting.fit(module, batches, checked, ckpt_path=start, weights_only=True)
    if interruption.asked:
        raise Interrupted


def checkpoints(run: Run, patience: int | None) -> list[Callback]:
    """Make callbacks that keep the best and last captioners and, with `patience`, stop early."""
    folder = run.checkpoint("last").parent
    keep = partial(ModelCheckpoint, folder, enable_version_counter=False)
    callbacks: list[Callback] = [
        keep("best", monitor=SELECTED_BY, mode="max"),
        keep("last", save_on_train_epoch_end=True),
    ]
    if patience is not None:
        callbacks.append(EarlyStopping(SELECTED_BY, patience=patience, mode="max"))
    return callbacks


def start_from(captioner: Captioner, run: Run) -> None:
    """Load the weights of a run, which must have the same vocabulary, into a captioner."""
    source = run.checkpoint()
    checkpoint = read_checkpoint(source)
    if checkpoint["captioner"]["vocabulary"] != captioner.vocabulary.to_json():
        raise InputError(
            f"{source} knows other words than this run's data: start from a run on the same data "
            "with the same --loading.minimum_count"
        )
    load_weights(captioner, checkpoint["state_dict"], source)


def make_parser() -> Parser:
    """Build the parser of `captioning train` from the signatures that it fills."""
    parser = Parser(prog="captioning train", description=__doc__)
    parser.add_argument(
        "--config", action="config", help="YAML file of any of these; later ones win"
    )
    parser.add_function_arguments(train, skip={"resume", "run", "config", "trainer"})
    parser.add_argument("--name", default="", help="part of the folder's name, to tell runs apart")
    parser.add_argument("--runs", default="runs", help="folder that holds the run folders")
    parser.add_argument(
        "--result",
        choices=["best", "last"],
        default="best",
        help="the checkpoint that the run stands for: the best by CIDEr-D, or the last, where "
        "the objective seeks something else",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="resume the run with its own settings, except those given now, by option or file; "
        "what changes is printed",
    )
    parser.add_argument("--overwrite", action="store_true", help="delete what the run folder holds")
    parser.add_argument("--evaluate", help="split to evaluate on afterwards, such as test")
    parser.add_argument("--search", type=Search, help="how --evaluate makes captions")
    parser.add_argument("--metrics", default=METRICS, help="metrics that --evaluate computes")
    parser.add_argument("--temperatures", default="", help="those at which --evaluate also samples")
    parser.add_class_arguments(Trainer, "trainer", instantiate=False, skip=WITHHELD)
    parser.set_defaults(
        {
            "validation": {"class_path": "captioning.search.Greedy"},
            "search": {"class_path": "captioning.search.Greedy"},
            "trainer.devices": 1,  # more make another run: each process has its own batch
            "trainer.enable_model_summary": False,
            "trainer.num_sanity_val_steps": 0,
        }
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Parse the command line and run the command; return 130 if interrupted."""
    status = make_run(arguments)
    part()
    return status


def check_evaluation(config: Namespace, data: Dataset) -> None:
    """Check the options of the evaluation before training instead of after."""
    data.examples(config.evaluate)
    metric_names(config.metrics)
    read_temperatures(config.temperatures)


def make_run(arguments: Sequence[str]) -> int:
    """Make the run of a command line, with its folder locked against other commands.

    Processes that trained together stay connected for another run: under torchrun they could not
    connect a second time.
    """
    quieten()
    parser = make_parser()
    config = read_config(parser, arguments)
    run = run_folder(config)
    check_folder(run, config)  # in every process: if only one stopped, the others would wait for it
    if not first_process():
        return follow(parser, config)
    make_folder(run.folder, "choose another --runs")
    busy = (
        f"{run.folder}: another command is working on it; wait until it ends, or give --name NAME"
    )
    with locked(run.lock_file, busy):
        return follow(parser, config)


def follow(parser: Parser, config: Namespace) -> int:
    """Train and evaluate according to a configuration; return 130 if interrupted."""
    start = time.monotonic()
    run = run_folder(config)
    torch.manual_seed(config.seed)
    built = parser.build(config)
    if config.evaluate:
        check_evaluation(config, built.data)
    # How a run was started is not one of its settings: with its configuration, it starts anew.
    resolved = config.clone()
    resolved.resume = resolved.overwrite = False
    inputs = {key: value for key, value in vars(built).items() if key not in PLACE | EVALUATION}
    try:
        train(
            **inputs | {"run": run, "config": parser.dump(resolved), "trainer": vars(built.trainer)}
        )
    except Interrupted:
        if first_process():
            last = run.checkpoint("last")
            print(f"\nstopped; {last} is saved, --resume goes on", file=sys.stderr)
        return 130
    if first_process():
        print(run.folder)
    if config.evaluate:  # in all processes that trained; they disconnect in it
        evaluate_run(
            built.search,
            str(run.folder),
            split=config.evaluate,
            metrics=config.metrics,
            temperatures=config.temperatures,
        )
    if first_process():
        seconds = None if config.resume else time.monotonic() - start
        write_json(run.finished_file, {"seconds": seconds})
    return 0
