"""`captioning chain`: train by several objectives in turn, each from the last one's captioner."""

import json
import re
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import Namespace as Config

from captioning.captioner import fingerprint, read_checkpoint
from captioning.commands import train
from captioning.commands.configuration import data_file, look_up, with_underscores
from captioning.commands.run_folder import check_same, run_folder
from captioning.data.reading import read_text, read_yaml
from captioning.errors import InputError
from captioning.processes import first_process, part
from captioning.runs import Run

# An option of a single phase.
OWN = re.compile(r"--phase(\d+)\.(.+)", re.DOTALL)

# These concern the whole chain: where it starts and ends, and what happens to earlier runs.
NOT_ITS_OWN = {"from_run", "resume", "overwrite", "evaluate"}


def main(arguments: Sequence[str]) -> int:
    """Train the phases in order; return 130 if interrupted: the same command then resumes."""
    parser = ArgumentParser(
        "captioning chain",
        description="Train objectives one after another, each with fresh optimisers from the "
        "captioner of the last one. A phase is a run of its own, in the folder that `captioning "
        "train` would give it. An unfinished run is resumed; a finished one is reused. Both "
        "take new settings as `captioning train --resume` does. A phase that began before an "
        "earlier one was trained on is refused: a new name, --phase2.name NAME, begins it anew.",
        epilog="All other options are those of `captioning train`, and hold for every phase; after "
        "`--phaseN.` for one alone: --phase2.objective.prior.real 0.9. Later ones win: first the "
        "file of --data, then the phase, then options and --config files, then a phase's own.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "chain", type=Path, metavar="CHAIN.yaml", help="phases: a list of what train's files hold"
    )
    parser.add_argument(
        "--data", required=True, help="file of configs/data, by its name or its path"
    )
    parser.add_argument("--evaluate", metavar="SPLIT", help="split to evaluate the last phase on")
    options, rest = parser.parse_known_args(arguments)
    phases = connected(options, words_of_phases(options.chain, options.data, rest))
    status = 0
    for number, phase in enumerate(phases, start=1):
        config = train.make_parser().read(phase)
        begun = has_begun(config)
        if begun and number > 1:
            check_start(run_folder(config), Run(Path(config.from_run)), number)
        doing = "resumes" if begun else "begins"
        if first_process():
            where = run_folder(config).folder
            print(f"phase {number} of {len(phases)} {doing} {where}", file=sys.stderr)
        more = ["--resume"] if begun else []
        last = number == len(phases)
        if options.evaluate and last:
            more += ["--evaluate", options.evaluate]
        status = train.make_run([*phase, *more], last)
        if status:
            break
    part()
    return status


def words_of_phases(chain: Path, data: str, rest: Sequence[str]) -> list[list[str]]:
    """Return the command line of each phase; of what it says twice, `train` takes the later."""
    phases = read_phases(chain)
    base = ["--config", str(data_file(data, chain))]
    words, own = split_phases(rest, len(phases))
    return [[*base, *phase, *words, *own[n]] for n, phase in enumerate(phases, start=1)]


def split_phases(words: Sequence[str], count: int) -> tuple[list[str], dict[int, list[str]]]:
    """Separate the options of all phases from those of one, which lose their `--phaseN.`."""
    common: list[str] = []
    own: dict[int, list[str]] = {number: [] for number in range(1, count + 1)}
    place = common
    for word in words:
        if found := OWN.fullmatch(with_underscores(word)):
            number, option = int(found[1]), f"--{found[2]}"
            if number not in own:
                raise InputError(f"{word}: expected a phase from 1 to {count}, got {number}")
            check_own(found[2].partition("=")[0], f"phase {number}")
            place = own[number]
            place.append(option)
        else:
            if word.startswith("--"):
                place = common
            place.append(word)  # an option of every phase, or the value of the previous word
    return common, own


def check_own(key: str, where: str) -> None:
    """Refuse an option that is not allowed in a single phase."""
    if key in NOT_ITS_OWN:
        raise InputError(f"{where}: {key} cannot be given here, only for the whole chain")


def connected(options: Namespace, phases: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the phases, each from the run of the one before, checked before any is trained."""
    found: list[list[str]] = []
    folders: list[Path] = []
    for number, phase in enumerate(phases, start=1):
        words = [*phase, *(["--from_run", str(folders[-1])] if folders else [])]
        parser = train.make_parser()
        config = parser.read(words)
        run = run_folder(config)
        if run.folder in folders:
            raise InputError(
                f"{options.chain}, phase {number}: {run.folder} already belongs to an earlier "
                "phase: give this phase a name"
            )
        if has_begun(config):
            earlier = parser.read(["--config", str(run.config_file)])
            check_same(config, earlier, run.folder, f"--phase{number}.name")
        train.check_result(config)
        built = parser.build(config)
        if number == len(phases):
            config.evaluate = options.evaluate
            train.check_asked(config, parser.get_defaults())
        if options.evaluate:
            built.data.examples(options.evaluate)
        found.append(words)
        folders.append(run.folder)
    return found


def has_begun(config: Config) -> bool:
    """Return whether there is a run to resume."""
    return run_folder(config).checkpoint("last").exists() and not config.overwrite


def check_start(run: Run, start: Run, number: int) -> None:
    """Refuse to resume a phase that started from what the run before it no longer stands for."""
    if not run.start_file.exists():  # older runs do not say
        return
    if fingerprint(read_checkpoint(start.checkpoint())) != read_text(run.start_file):
        raise InputError(
            f"{run.folder} started from {start.folder}, which has changed since: "
            f"--phase{number}.name NAME makes a run beside it, from what that is now"
        )


def read_phases(path: Path) -> list[list[str]]:
    """Return each phase as options of `captioning train`.

    A phase contains what a configuration file may; `config` names one that it builds on, found as
    in `look_up`.
    """
    content = read_yaml(path)
    phases = content.get("phases") if isinstance(content, dict) else None
    if not isinstance(phases, list) or not phases or len(content) > 1:
        raise InputError(f"{path}: expected a list of phases under the key 'phases', nothing else")
    return [options_of(phase, path, n) for n, phase in enumerate(phases, start=1)]


def options_of(phase: Any, chain: Path, number: int) -> list[str]:
    """Return one phase as options: the file it builds on, then its own settings."""
    where = f"{chain}, phase {number}"
    if not isinstance(phase, dict):
        raise InputError(f"{where}: expected a mapping, got {phase!r:.60}")
    for key in phase:
        check_own(key, where)
    own = {key: value for key, value in phase.items() if key != "config"}
    options = ["--config", str(look_up(str(phase["config"]), chain))] if "config" in phase else []
    return options + (["--config", json.dumps(own)] if own else [])
