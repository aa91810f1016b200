"""A run's folder: its name, and the settings saved in it, with which a run resumes."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import Namespace

from captioning.commands.configuration import Parser
from captioning.errors import InputError
from captioning.processes import first_process
from captioning.runs import Run

# Settings that a resumed run cannot change, unlike the length and speed of training.
ESSENTIAL = (
    "data",
    "encoder",
    "decoder",
    "objective",
    "loading.batch_size",
    "optimisation.optimizer.class_path",
    "from_run",
)

# What a run folder's name leaves out.
USUAL_ESTIMATOR = "policy-gradient"


def run_folder(config: Namespace) -> Run:
    """Return the run that a configuration makes.

    It is `runs/<data>-<objective>[-<estimator>][-<name>]-seed<N>`, without the usual estimator.
    """
    data = vars(config.data.init_args).get("name") or config.data.class_path.split(".")[-1].lower()
    estimator = config.get("objective.init_args.estimator")
    ways = [way for way in (config.objective, estimator) if way]
    names = [with_dashes(way.class_path) for way in ways]
    parts = [data, *(name for name in names if name != USUAL_ESTIMATOR)]
    parts += [*([config.name] if config.name else []), f"seed{config.seed}"]
    return Run(Path(config.runs) / "-".join(parts))


def with_dashes(class_path: str) -> str:
    """Write the name of a class for folders: `a.module.TeacherForcing` is "teacher-forcing"."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", class_path.rpartition(".")[2]).lower()


def check_folder(run: Run, config: Namespace) -> None:
    """Refuse, before any work, to touch an earlier run unless asked to."""
    for name in ("patience", "threads"):
        if config[name] is not None and config[name] < 1:
            raise InputError(f"--{name} must be 1 or more, or null, got {config[name]}")
    source = config.from_run and Path(config.from_run).resolve()
    if config.overwrite and source == run.folder.resolve():
        raise InputError(
            f"--from_run names {run.folder}, which --overwrite would delete: give --name NAME"
        )
    # A kill at the end of the first epoch may leave the best alone, from which nothing resumes.
    best, last = run.checkpoint("best"), run.checkpoint("last")
    kept = [*{*last.parent.glob("*.ckpt")} - {best}, *run.folder.glob("*.json")]
    if config.resume and not last.exists():
        raise InputError(f"nothing to resume: there is no {last}; leave out --resume")
    if kept and not (config.resume or config.overwrite):
        raise InputError(
            f"{run.folder} already holds a run: --resume continues it, --overwrite deletes it, "
            "--name NAME or another --seed makes a run beside it"
        )


def check_same(config: Namespace, earlier: Namespace, folder: Path, naming: str = "--name") -> None:
    """Refuse to resume a run with essential settings of another; `naming` is the option for it."""
    ours, theirs = vars(config.as_flat()), vars(earlier.as_flat())
    unlike = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
    for key in unlike:
        if f"{key}.".startswith(tuple(f"{each}." for each in ESSENTIAL)):
            raise InputError(
                f"{folder} holds another run: its {key} is {theirs.get(key)!r}, not "
                f"{ours.get(key)!r}; {naming} NAME makes one beside it, --overwrite deletes it"
            )


def read_config(parser: Parser, arguments: Sequence[str]) -> Namespace:
    """Parse a command line; a resumed run keeps its settings, except those given here.

    Settings that change are printed. Raises InputError if they would make it another run.
    """
    config = parser.read(arguments)
    if config.resume and config.overwrite:
        raise InputError("--resume continues a run, --overwrite deletes it: leave one out")
    run = run_folder(config)
    resume = config.resume is True or (config.resume == "auto" and run.checkpoint("last").exists())
    if resume and run.config_file.is_file():
        kept = ["--config", str(run.config_file)]
        earlier = parser.read(kept)
        config = parser.read([*kept, *arguments])
        check_same(config, earlier, run.folder)
        if first_process():
            print_changes(config, earlier)
    config.resume = resume
    return config


def print_changes(config: Namespace, earlier: Namespace) -> None:
    """Print the settings with which a run resumes that are not those it had."""
    now, before = vars(config.as_flat()), vars(earlier.as_flat())
    for key in {**now, **before}:
        if key not in ("config", "resume") and now.get(key) != before.get(key):
            old, new = before.get(key), now.get(key)
            print(f"resumes with {key} {new!r}, which was {old!r}", file=sys.stderr)
