"""What training changed: each run's numbers above those of the run that it began from."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from captioning.comparison.compared import Compared
from captioning.report.table import Record
from captioning.runs import Evaluation, Run


def departures(rows: Sequence[Compared]) -> dict[str, list[Record]]:
    """Return, by row, how far each seed's divergences are from those of the run it began from.

    Seeds may differ more from each other than a run from its start, so only these differences show
    what training does. Rows are left out if any of their runs began anew, or from a run that is
    in no row.
    """
    known = {
        run.name: divergences(evaluation)
        for row in rows
        for run, evaluation in zip(row.runs, row.evaluations, strict=False)
    }
    found: dict[str, list[Record]] = {}
    for row in rows:
        starts = [start(run) for run in row.runs]
        if starts and all(name in known for name in starts):
            found[row.name] = [
                above(divergences(evaluation), known[name])
                for evaluation, name in zip(row.evaluations, starts, strict=True)
            ]
    return found


def start(run: Run) -> str:
    """Return the name of the run that a run began from; empty if it began anew."""
    return Path(run.config.get("from_run") or "").name


def divergences(evaluation: Evaluation) -> Mapping[str, float]:
    """Return all divergences of the captioner's law from the true one, in nats."""
    return {**evaluation.divergences, **evaluation.js_by_prior}


def above(now: Record, before: Record) -> Record:
    """Return the differences of the numbers that both records have."""
    return {name: value - before[name] for name, value in now.items() if name in before}
