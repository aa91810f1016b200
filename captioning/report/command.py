"""`captioning report`: curves and page of one run, or a table of several."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from captioning.errors import InputError
from captioning.files import write
from captioning.report.curves import panels, read_log
from captioning.report.table import summary_table
from captioning.runs import Evaluation, Run, newest_run, open_run

IMAGES = 60  # in the gallery of a page


def main(argv: Sequence[str]) -> int:
    """Report the runs named by the arguments; return the exit status.

    Raises InputError for a folder that is not a run, for a run that was never evaluated (after
    drawing its curves), and for files that are damaged or cannot be written.
    """
    options = parse(argv)
    runs = [open_run(folder) for folder in dict.fromkeys(options.runs)] or [open_run(newest_run())]
    if len(runs) == 1:
        report_run(runs[0], options.output, options.split, options.images)
    else:
        report_runs(runs, options.output, options.split)
    return 0


def parse(argv: Sequence[str]) -> Namespace:
    """Parse the command line; argparse exits with status 2 if it is invalid."""
    parser = ArgumentParser(
        "captioning report",
        description="One run: its curves and report.html in its folder. Several: a Markdown table, "
        "runs that differ in their seed alone in one row.",
    )
    parser.add_argument(
        "runs", nargs="*", type=Path, metavar="RUN", help="default: the newest in runs/"
    )
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="write there instead")
    parser.add_argument(
        "--images",
        type=int,
        default=IMAGES,
        metavar="N",
        help="in the gallery; default: %(default)s",
    )
    parser.add_argument("--split", help="only evaluations on this split")
    options = parser.parse_args(argv)
    if options.images < 0:
        parser.error(f"--images: expected 0 or more, got {options.images}")
    return options


def report_run(
    run: Run, folder: Path | None = None, split: str | None = None, images: int = IMAGES
) -> None:
    """Write the drawings of curves, then the page with the gallery of the newest evaluation."""
    folder = folder or run.folder
    from captioning.report.drawing import draw
    from captioning.report.gallery import gallery
    from captioning.report.page import render
    from captioning.report.temperatures import drawing, read_sweeps

    drawn = panels(read_log(run.logs / "metrics.csv"))
    if drawn:
        keep(folder / "curves.png", draw(drawn))
    sweeps = [drawing(sweep) for sweep in read_sweeps(run) if split in (None, sweep.split)]
    for sweep in sweeps:
        keep(folder / f"{sweep.name}.png", sweep.light)
    evaluations = evaluated(run, split)
    alike = [e for e in reversed(evaluations) if e.split == evaluations[-1].split]
    cards = gallery(alike, images) if images else {}
    keep(folder / "report.html", render(run, evaluations, drawn, cards, sweeps).encode())


def report_runs(runs: Sequence[Run], folder: Path | None, split: str | None) -> None:
    """Print the table of all runs, and write it to a folder if one is given."""
    table = summary_table(e for run in runs for e in evaluated(run, split))
    print(table)
    if folder:
        keep(folder / "table.md", f"{table}\n".encode())


def evaluated(run: Run, split: str | None) -> list[Evaluation]:
    """Return the run's evaluations; InputError if there are none."""
    found = run.evaluations()
    those = [evaluation for evaluation in found if split in (None, evaluation.split)]
    if not those:
        asked = f"on {split!r}" if split else "of it"
        there = ", ".join(evaluation.folder.name for evaluation in found) or "none"
        raise InputError(
            f"{run.folder}: expected an evaluation {asked}, found {there}; "
            f"make one with `make eval RUN={run.folder}` and report again"
        )
    return those


def keep(file: Path, content: bytes) -> None:
    """Write a file and print its path and size."""
    write(file, content)
    print(f"{file}  {len(content) / 1e6:.1f} MB", file=sys.stderr)
