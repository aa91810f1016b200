"""`captioning compare`: train and evaluate every row of a suite, and compare them."""

import shlex
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from captioning.commands.configuration import data_file, with_underscores
from captioning.commands.evaluate import read_data
from captioning.commands.plan import Planner, Trial
from captioning.commands.suites import PLANNED, Suite, read_suite
from captioning.comparison.compared import Compared
from captioning.comparison.page import IMAGES, compare, write_page
from captioning.errors import InputError
from captioning.evaluation.known_world import known_scenes
from captioning.jobs import Job, Queue, room
from captioning.report.table import named_table
from captioning.runs import read_evaluation


def main(arguments: Sequence[str]) -> int:
    """Finish a suite and print its table; return 1 if a row is missing, 130 if interrupted."""
    options, rest = parse(arguments)
    suite = read_suite(options.suite)
    after = [*rest, "--runs", options.runs]
    data = data_file(options.data, options.suite)
    planner = Planner(suite, ["--config", str(data)], after, options.dry_run)
    trials = planner.plan(options.seeds or suite.seeds)
    tell_left_out(suite, trials)
    # Rows of the same run share its job.
    jobs = list({trial.job.name: trial.job for trial in trials if trial.job}.values())
    at_a_time = options.jobs or room()
    if options.dry_run:
        told = "; times are of another machine, by the suite's file" if planner.told else ""
        print(outline(trials, jobs, at_a_time) + told)
        return 0
    if options.print_commands:
        print_commands(jobs)
        return 0
    queue = Queue(jobs, min(at_a_time, len(jobs)) or 1)
    missing = left_undone(jobs) if options.gather else queue.work()
    if queue.stopped:
        print("stopped; the same command goes on", file=sys.stderr)
        return 130
    rows = gather(suite, trials, missing, planner.search.description)
    if any(row.evaluations for row in rows):
        print(named_table((row.name, each) for row in rows for each in row.evaluations))
        names = suite.name, data.stem
        folder = Path(options.runs) / "compare" / "-".join(names)
        show(folder, " on ".join(names), rows, options.images)
    return int(bool(missing))


def make_parser() -> ArgumentParser:
    """Build the parser of this command's own options."""
    parser = ArgumentParser(
        "captioning compare",
        description="Train and evaluate every row of a suite, each with several seeds, print their "
        "table, and write FOLDER/compare/SUITE-DATA/report.html, with all images and captions. "
        "A finished run is reused, whichever suite made it; an unfinished one is resumed. A "
        "run's name ends in hashes of its settings, its data and the code that it uses: where "
        "any of these changed, a new run is made beside the earlier one.",
        epilog="All other options are those of `captioning train`, and hold for every row: "
        "--trainer.max_epochs 1.",
        allow_abbrev=False,
    )
    parser.add_argument("suite", type=Path, metavar="SUITE.yaml", help="one of configs/suites")
    parser.add_argument("--data", default="shapes", help="file of configs/data, by name or path")
    parser.add_argument("--seeds", type=int, metavar="N", help="default: the suite's")
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="jobs at a time; default: one per GPU, or per core"
    )
    parser.add_argument(
        "--runs", default="runs", metavar="FOLDER", help="folder of the runs; default: %(default)s"
    )
    parser.add_argument(
        "--images",
        type=int,
        default=IMAGES,
        metavar="N",
        help="most images on the page; all numbers are of all images; default: %(default)s",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--dry-run", action="store_true", help="only list what there is to do")
    what.add_argument(
        "--print-commands",
        action="store_true",
        help="only print the commands that can run now, one per line, in any order and on any "
        "machine; those that need their results are printed when these are done",
    )
    what.add_argument(
        "--gather", action="store_true", help="only print and write what is done; list the rest"
    )
    return parser


def parse(arguments: Sequence[str]) -> tuple[Namespace, list[str]]:
    """Separate this command's options from those of `captioning train`."""
    options, rest = make_parser().parse_known_args(arguments)
    for name, least in (("seeds", 1), ("jobs", 1), ("images", 0)):
        number = vars(options)[name]
        if number is not None and number < least:
            raise InputError(f"--{name}: expected {least} or more, got {number}")
    for word in rest:
        key = with_underscores(word).removeprefix("--").partition("=")[0].partition(".")[0]
        if word.startswith("--") and key in PLANNED:
            raise InputError(f"--{key} cannot be given here: the plan sets it")
    return options, rest


def tell_left_out(suite: Suite, trials: Sequence[Trial]) -> None:
    """Report the rows for which there are too few seeds."""
    shown = {trial.row.name for trial in trials}
    for row in suite.rows:
        if row.name not in shown:
            print(f"{row.name}: left out, an ensemble needs --seeds 2 or more", file=sys.stderr)


def outline(trials: Sequence[Trial], jobs: Sequence[Job], at_a_time: int) -> str:
    """Format a plan for a terminal: each run, whether it is done, and how long it may take."""
    doing = [f"{trial.name}: {step(trial.job) if trial.job else 'done'}" for trial in trials]
    width = max(map(len, doing))
    lines = [f"{what:<{width}}  {t.run.folder}" for what, t in zip(doing, trials, strict=True)]
    at_a_time = max(1, min(at_a_time, len(jobs)))
    known = [job.seconds for job in jobs if job.seconds is not None]
    unknown = len(jobs) - len(known)
    time = (
        f"about {max(sum(known) / at_a_time, longest(jobs)) / 60:.0f} minutes"
        if known
        else "no earlier run tells how long"
    )
    more = f", and {unknown} of which no earlier run tells" if known and unknown else ""
    total = f"{len(jobs)} of {len(trials)} to do, {at_a_time} at a time: {time}{more}"
    return "\n".join([*lines, total if jobs else "all done"])


def longest(jobs: Sequence[Job]) -> float:
    """Return the seconds that the jobs take at least, however many run at a time, as far as known.

    Jobs must come after those that they need.
    """
    ends: dict[str, float] = {}
    for job in jobs:
        ends[job.name] = (job.seconds or 0) + max((ends.get(n, 0) for n in job.needs), default=0)
    return max(ends.values(), default=0)


def step(job: Job) -> str:
    """Describe in a word what a job does, and how long such jobs took."""
    return job.doing if job.seconds is None else f"{job.doing}, {job.seconds / 60:.1f} minutes"


def print_commands(jobs: Sequence[Job]) -> None:
    """Print the commands that can run now, and how many jobs must wait for them."""
    ready = [job for job in jobs if not job.needs]
    for job in ready:
        print(shlex.join(job.command))
    if len(jobs) > len(ready):
        print(
            f"{len(jobs) - len(ready)} more need what these leave: when they are done, print again",
            file=sys.stderr,
        )


def left_undone(jobs: Sequence[Job]) -> dict[str, str]:
    """Print and return which jobs are not done yet, by name."""
    for job in jobs:
        print(f"{job.name}: not done yet", file=sys.stderr)
    return {job.name: "not done yet" for job in jobs}


def gather(
    suite: Suite, trials: Sequence[Trial], missing: Mapping[str, str], search: str
) -> list[Compared]:
    """Collect each row's results, in the suite's order, and the reasons for missing ones.

    The search is named by its plain description, without the members of an ensemble.
    """
    found = []
    for row in suite.rows:
        its = [trial for trial in trials if trial.row is row]
        lost = {t.name: missing[t.job.name] for t in its if t.job and t.job.name in missing}
        whole = [trial for trial in its if trial.name not in lost]
        evaluations = (read_evaluation(trial.evaluation) for trial in whole)
        if its:
            compared = Compared(
                row.name,
                row.baseline,
                row.published,
                () if row.ensemble_of else tuple(trial.run for trial in whole),
                tuple(replace(evaluation, search=search) for evaluation in evaluations),
                tuple(f"{name}: {why}" for name, why in lost.items()),
            )
            found.append(compared)
    return found


def show(folder: Path, title: str, rows: Sequence[Compared], images: int) -> None:
    """Write the page of rows, at least one of them evaluated, and print its path."""
    first = next(evaluation for row in rows for evaluation in row.evaluations)
    data, _ = read_data(first.run, None)
    scenes = known_scenes(data, first.captions())
    page = write_page(folder, compare(title, rows, scenes, images))
    print(f"{page}  {page.stat().st_size / 1e6:.1f} MB", file=sys.stderr)
