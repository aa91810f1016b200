"""`captioning lab`: check the paper's claims where the truth is known."""

import importlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from captioning.commands.alignment import aligned
from captioning.commands.configuration import Parser
from captioning.cores import cores
from captioning.errors import InputError
from captioning.files import make_folder
from captioning.lab.claims import Claim
from captioning.lab.section import Section

EXPERIMENTS = {
    "scheduled-sampling": "captioning.lab.scheduled_sampling",
    "adversarial": "captioning.lab.adversarial",
    "figure-1": "captioning.lab.figure_1",
    "gradients": "captioning.lab.gradients",
}
"""Each module's `section(seeds, size, jobs)` runs the experiment."""


def lab(
    experiment: str = "all",
    seeds: int = 3,
    size: Literal["default", "small"] = "default",
    output: str = "runs/lab",
    jobs: int | None = None,
) -> list[Claim]:
    """Run experiments, print their results, and return their claims.

    The page is rewritten after each experiment, so that results are kept if a later one fails. It
    shows this run only: a single experiment has a folder of its own, and leaves the page of a run
    of all experiments as it is.

    Args:
        experiment: Name of one experiment, or all.
        seeds: Number of times each model is trained.
        size: Small takes seconds and shows that everything works; its claims may not hold.
        output: Folder of the page; that of a single experiment is a subfolder of that name.
        jobs: Number of models trained at a time, one per core; null for the number of cores.
    """
    from captioning.lab.page import verdict, write_page

    for option, number in (("seeds", seeds), ("jobs", jobs)):
        if number is not None and number < 1:
            raise InputError(f"--{option}: expected 1 or more, got {number}")
    names = list(EXPERIMENTS) if experiment == "all" else [experiment]
    folder = Path(output) if experiment == "all" else Path(output) / experiment
    make_folder(folder)  # fails before the work if it cannot be written
    start = time.monotonic()
    sections: list[Section] = []
    for name in names:
        run = importlib.import_module(EXPERIMENTS[name]).section
        sections.append(run(seeds, size, jobs or cores()))
        write_page(folder, sections, facts(seeds, size, time.monotonic() - start))
        print(text(sections[-1]), end="\n\n", flush=True)
    print(f"{verdict(sections)}: {folder / 'lab.html'}")
    return [claim for section in sections for claim in section.claims]


def facts(seeds: int, size: str, seconds: float) -> dict[str, str]:
    """Return how the page was made."""
    import torch

    from captioning.provenance import hardware, provenance

    return {
        "Seeds": str(seeds),
        "Size": size,
        "Took": f"{seconds / 60:.1f} minutes",
        **provenance(),
        "Hardware": hardware(torch.device("cpu")),
    }


def text(section: Section) -> str:
    """Format a section for a terminal."""
    claims = [
        f"{'✓' if claim.holds else '✗'} {claim.claim}\n"
        f"  expected {claim.expectation}, measured {claim.finding}"
        for claim in section.claims
    ]
    tables = [
        "\n".join(aligned([[table.heading, *table.columns[1:]], *table.rows], gap=2))
        for table in section.tables
    ]
    return "\n\n".join([section.title.upper(), *tables, "\n".join(claims)])


def main(arguments: Sequence[str]) -> int:
    """Parse the command line and run; return 1 if a claim does not hold and --strict is given."""
    parser = Parser(prog="captioning lab", description=__doc__)
    parser.add_argument(
        "experiment", nargs="?", default="all", choices=["all", *EXPERIMENTS], help="default: all"
    )
    parser.add_function_arguments(lab, skip={"experiment"})
    parser.add_argument(
        "--strict", action="store_true", help="exit with status 1 if a claim does not hold"
    )
    options = vars(parser.build(parser.read(arguments)))
    strict = options.pop("strict")
    claims = lab(**options)
    return int(strict and not all(claim.holds for claim in claims))
