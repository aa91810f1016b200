"""`captioning train`: a data set, a captioner and an objective become a run folder."""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
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
from captioning.commands.configuration import Parser, config_texts
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

# What a command line says beside a run's settings: where it is kept, and how it is evaluated.
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
    record: Mapping[Path, str],
    trainer: dict[str, Any],
) -> None:
    """Train a captioner, keep the best and the last, judged by CIDEr-D of freely decoded captions.

    Args:
        data: Data set, by its class.
        encoder: Network from pictures to features.
        decoder: Network from features to words.
        objective: What training means.
        loading: How data become batches.
        optimisation: How steps are made.
        validation: How the validation split is captioned after each epoch.
        from_run: Run folder whose captioner training starts from; null: from new weights.
        patience: Validations without a better CIDEr-D after which training stops; null: never.
        seed: Random seed of the initial weights, the order of the data and every draw.
        matmul_precision: PyTorch's float32 matrix products; medium may round to bfloat16 where the
            hardware has it, and is twice as fast on AMD processors.
        threads: PyTorch's threads on the CPU; null: OMP_NUM_THREADS, or one for each core except
            those that open pictures. More threads than free cores make training many times slower.
        resume: Go on with the run where it stopped.
        run: Where everything is kept.
        record: Texts to keep in the run folder, which say how the run is made.
        trainer: Options of Lightning's Trainer.
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
    if resume:  # refuse another captioner before anything is written
        checkpoint = read_checkpoint(run.checkpoint("last"))
        module.on_load_checkpoint(checkpoint)
        # Lightning does this only where it stopped in the middle of an epoch.
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
        start_folder(run, record, resume)
        if resume and csv in fitting.loggers:
            continue_csv(csv, run.logs / "metrics.csv", batches.served)
    start = str(run.checkpoint("last")) if resume else None
    fitting.fit(module, batches, checked, ckpt_path=start, weights_only=True)
    if interruption.asked:
        raise Interrupted


def checkpoints(run: Run, patience: int | None) -> list[Callback]:
    """Keep the best captioner and the last, and stop once it gets no better."""
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
    """Fill a captioner with the weights of a run, which must know the same words."""
    source = run.checkpoint()
    checkpoint = read_checkpoint(source)
    if checkpoint["captioner"]["vocabulary"] != captioner.vocabulary.to_json():
        raise InputError(
            f"{source} knows other words than this run's data: start from a run on the same data "
            "with the same --loading.minimum_count"
        )
    load_weights(captioner, checkpoint["state_dict"], source)


def make_parser() -> Parser:
    """Build the command line of `captioning train` from the signatures it fills."""
    parser = Parser(prog="captioning train", description=__doc__)
    parser.add_argument(
        "--config", action="config", help="YAML file of any of these; later ones win"
    )
    parser.add_function_arguments(train, skip={"resume", "run", "record", "trainer"})
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
        help="resume the run with its own settings; options given now, and --config files that "
        "are new or have changed since, override them",
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
            "trainer.devices": 1,  # more make another run: a batch is each process's own
            "trainer.enable_model_summary": False,
            "trainer.num_sanity_val_steps": 0,
        }
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Parse, build, run; 130 if interrupted."""
    status = make_run(arguments)
    part()
    return status


def check_evaluation(config: Namespace, data: Dataset) -> None:
    """Tell now what would be told only when training is over."""
    data.examples(config.evaluate)
    metric_names(config.metrics)
    read_temperatures(config.temperatures)


def make_run(arguments: Sequence[str]) -> int:
    """Do what a command line says, while no other command does it.

    Processes that trained together stay so for another run: under torchrun they could not come
    together a second time.
    """
    quieten()
    parser = make_parser()
    config = read_config(parser, arguments)
    texts = config_texts(arguments)
    run = run_folder(config)
    check_folder(run, config)  # each for itself: one that stopped would keep the others waiting
    if not first_process():
        return follow(parser, config, texts)
    make_folder(run.folder, "choose another --runs")
    busy = f"{run.folder}: another command is at work on it; wait for its end, or give --name NAME"
    with locked(run.lock_file, busy):
        return follow(parser, config, texts)


def follow(parser: Parser, config: Namespace, texts: list[str]) -> int:
    """Train and evaluate as a configuration, read from these texts, says; 130 if interrupted."""
    start = time.monotonic()
    run = run_folder(config)
    torch.manual_seed(config.seed)
    built = parser.build(config)
    if config.evaluate:
        check_evaluation(config, built.data)
    # How this run was begun is no part of what it is: run again, it begins anew.
    resolved = config.clone()
    resolved.resume = resolved.overwrite = False
    # The settings first: cut off between the two, the files count as new, not as known.
    record = {run.config_file: parser.dump(resolved), run.configs_file: json.dumps(texts)}
    inputs = {key: value for key, value in vars(built).items() if key not in PLACE | EVALUATION}
    try:
        train(**inputs | {"run": run, "record": record, "trainer": vars(built.trainer)})
    except Interrupted:
        if first_process():
            last = run.checkpoint("last")
            print(f"\nstopped; {last} is saved, --resume goes on", file=sys.stderr)
        return 130
    if first_process():
        print(run.folder)
    if config.evaluate:  # by all processes that trained, which part then
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
