"""A run's folder: its name, and the settings kept in it, which a resumed run takes up."""

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from jsonargparse import Namespace

from captioning.commands.checks import check_same
from captioning.commands.configuration import Parser, without_known_files
from captioning.files import remove_leftovers, write
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


def start_folder(run: Run, record: Mapping[Path, str], resume: bool) -> None:
    """Keep the record; begin with an empty folder unless the run goes on."""
    if resume:
        remove_leftovers([run.checkpoint("best"), run.checkpoint("last")])
    else:
        for path in set(run.folder.iterdir()) - {run.lock_file}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    run.finished_file.unlink(missing_ok=True)
    run.checkpoint("last").parent.mkdir(parents=True, exist_ok=True)
    for file, text in record.items():
        write(file, text.encode())  # others may be reading it


def read_config(parser: Parser, arguments: Sequence[str]) -> Namespace:
    """Return the settings of a command line; of a resumed run its own, overridden by what is new.

    New are all options, and the configuration files from the first one on that was not given, with
    the same content, to the run's last command: a file that has not changed does not undo an option
    of that time. InputError if the new settings would make it another run.
    """
    config = parser.read(arguments)
    run = run_folder(config)
    if config.resume and run.config_file.is_file():
        known = run.configs  # first, for it is written last
        kept = ["--config", str(run.config_file)]
        config = parser.read([*kept, *without_known_files(arguments, known)])
        check_same(config, parser.read(kept), run.folder)
    return config
