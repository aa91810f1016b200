"""A run's folder: its name, and the settings saved in it, with which a run resumes."""

import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import Namespace

from captioning.commands.checks import check_same
from captioning.commands.configuration import Parser
from captioning.files import remove_leftovers, write
from captioning.processes import first_process
from captioning.runs import Run

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


def read_config(parser: Parser, arguments: Sequence[str]) -> Namespace:
    """Parse a command line; a resumed run keeps its settings, except those given here.

    Settings that change are printed. Raises InputError if they would make it another run.
    """
    config = parser.read(arguments)
    run = run_folder(config)
    if config.resume and run.config_file.is_file():
        kept = ["--config", str(run.config_file)]
        earlier = parser.read(kept)
        config = parser.read([*kept, *arguments])
        check_same(config, earlier, run.folder)
        if first_process():
            print_changes(config, earlier)
    return config


def print_changes(config: Namespace, earlier: Namespace) -> None:
    """Print the settings with which a run resumes that are not those it had."""
    now, before = vars(config.as_flat()), vars(earlier.as_flat())
    for key in {**now, **before}:
        if key not in ("config", "resume") and now.get(key) != before.get(key):
            old, new = before.get(key), now.get(key)
            print(f"resumes with {key} {new!r}, which was {old!r}", file=sys.stderr)
