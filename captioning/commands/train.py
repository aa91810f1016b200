"""`captioning train`: train a captioner on a data set, with an objective, into a run folder."""

import sys
import time
from collections.abc import Sequence
from typing import Any, Literal

import torch
from jsonargparse import Namespace
from pytorch_lightning import Trainer

from captioning.commands.configuration import Parser
from captioning.commands.evaluate import METRICS, evaluate_run, read_temperatures
from captioning.commands.run_folder import check_folder, read_config, run_folder
from captioning.commands.score import metric_names
from captioning.data.dataset import Dataset
from captioning.device import best_device
from captioning.errors import InputError
from captioning.files import locked, make_folder
from captioning.finished import Finished, read_finished, write_finished
from captioning.objectives import (  # noqa: F401 - so that --help lists what they define
    adversarial,
    scheduled_sampling,
    self_critical,
    straight_through,
    teacher_forcing,
)
from captioning.processes import first_process, part, place, watch_parent
from captioning.provenance import hardware
from captioning.search import Search
from captioning.training.interruption import Interrupted
from captioning.training.run import train
from captioning.training.trainer import WITHHELD, quieten

# Options that are not settings of training: where a run is kept, and how it is evaluated.
PLACE = ("config", "name", "runs", "result", "overwrite")
EVALUATION = ("evaluate", "search", "metrics", "temperatures")


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
        help="the checkpoint that represents the run: the best by CIDEr-D, or the last, where "
        "the objective seeks something else",
    )
    parser.add_argument(
        "--resume",
        type=Literal["auto"] | bool,
        nargs="?",
        const=True,
        metavar="auto",
        default=False,
        help="resume the run with its own settings, except those given now, by option or file; "
        "what changes is printed; auto, for a job that may be requeued: begin the run if there is "
        "none",
    )
    parser.add_argument("--overwrite", action="store_true", help="delete what the run folder holds")
    add_evaluation(parser)
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


def add_evaluation(parser: Parser) -> None:
    """Add the options of an evaluation after training."""
    parser.add_argument("--evaluate", help="split to evaluate on afterwards, such as test")
    parser.add_argument("--search", type=Search, help="how --evaluate makes captions")
    parser.add_argument("--metrics", default=METRICS, help="metrics that --evaluate computes")
    parser.add_argument("--temperatures", default="", help="those at which --evaluate also samples")


def main(arguments: Sequence[str]) -> int:
    """Parse the command line and run the command; return 130 if interrupted."""
    status = make_run(arguments)
    part()
    return status


def check_asked(config: Namespace, usual: Namespace) -> None:
    """Refuse options of an evaluation that was not asked for."""
    idle = [name for name in EVALUATION if config[name] != usual[name]]
    if idle and not config.evaluate:
        raise InputError(
            f"--{idle[0]} is for the evaluation after training: give --evaluate SPLIT, too, or "
            "leave it out"
        )


def check_result(config: Namespace) -> None:
    """Refuse a run that needs a validation but leaves it out."""
    if config.trainer.limit_val_batches != 0:
        return
    if config.result == "best":
        raise InputError(
            "--trainer.limit_val_batches 0 leaves out the validation that chooses the best "
            "checkpoint: give --result last, too, or a larger number"
        )
    if config.patience is not None:
        raise InputError(
            "--patience counts validations, which --trainer.limit_val_batches 0 leaves out: leave "
            "out one of the two"
        )


def check_evaluation(config: Namespace, data: Dataset) -> None:
    """Check the options of the evaluation before training instead of after."""
    data.examples(config.evaluate)
    metric_names(config.metrics)
    read_temperatures(config.temperatures)


def make_run(arguments: Sequence[str], last: bool = True) -> int:
    """Make the run of a command line, with its folder locked against other commands.

    Options of an evaluation concern the `last` run of a chain, and are refused if there is none.
    Processes that trained together stay connected for another run: under torchrun they could not
    connect a second time.
    """
    quieten()
    watch_parent()
    parser = make_parser()
    config = read_config(parser, arguments)
    run = run_folder(config)
    if last:
        check_asked(config, parser.get_defaults())
    check_result(config)
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
    inputs = {key: value for key, value in vars(built).items() if key not in (*PLACE, *EVALUATION)}
    again = first_process() and config.resume and run.finished_file.exists()
    finished = read_finished(run) if again else None
    try:
        trained = train(
            **inputs | {"run": run, "config": parser.dump(resolved), "trainer": vars(built.trainer)}
        )
    except Interrupted:
        if first_process():
            last = run.checkpoint("last")
            print(f"\nstopped; {last} is saved, --resume goes on", file=sys.stderr)
        return 130
    if first_process():
        print(run.folder)
    if finished and not trained:
        write_finished(run, finished)
    made_on = hardware(device_of(config.trainer.accelerator), place()[1])
    if config.evaluate:  # in all processes that trained; they disconnect in it
        evaluate_run(
            built.search,
            str(run.folder),
            split=config.evaluate,
            metrics=config.metrics,
            temperatures=config.temperatures,
        )
    if first_process() and (trained or not finished):
        seconds = None if config.resume else time.monotonic() - start
        write_finished(run, Finished(seconds, made_on))
    return 0


def device_of(accelerator: Any) -> torch.device:
    """Return the device that the Trainer takes by its option `accelerator`."""
    return torch.device("cpu") if accelerator == "cpu" else best_device()
