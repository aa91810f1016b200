"""Tables of metrics (times 100, by convention) and other numbers, with their spread."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import chain
from statistics import mean, stdev
from typing import TypeVar

from captioning.report.columns import COLUMNS, column, write
from captioning.runs import Evaluation

Record = Mapping[str, float]
"""Numbers of one row, by column name."""

SUMMARISED = ("forward_kl", "reverse_kl", "outside", "entropy")
"""The divergences in a table of several runs; a page shows all of them."""

JS_BY_PRIOR = "JS_π/(π(1−π)) in nats, what adversarial training with the prior π minimises"
"""The title of a table with a column for each π."""

Writer = Callable[[str, float], str]
"""Formats a number for the column of this name."""

T = TypeVar("T")
Key = TypeVar("Key", bound=Hashable)


def columns(records: Iterable[Record]) -> list[str]:
    """Return every column that some record fills, in the order of COLUMNS, then any others."""
    found = dict.fromkeys(name for record in records for name in record)
    return [name for name in COLUMNS if name in found] + [n for n in found if n not in COLUMNS]


def headings(shown: Iterable[str]) -> list[str]:
    """Return the headings of columns."""
    return [column(name).title for name in shown]


def model_record(evaluation: Evaluation) -> Record:
    """Return the model's row: its metrics and, in a known world, the share of true captions."""
    true = {name: share for name, share in evaluation.world.items() if name == "true"}
    return {**evaluation.metrics, **true}


def summary_record(evaluation: Evaluation) -> Record:
    """Return the model's row in a table of several runs, which includes some divergences."""
    divergences = evaluation.divergences.items()
    few = {name: value for name, value in divergences if name in SUMMARISED}
    return {**model_record(evaluation), **few}


def spread(name: str, values: Sequence[float], written: Writer = write) -> str:
    """Format mean ± sample standard deviation, such as `61.3 ± 0.4`, or a single value."""
    if not values:
        return "–"
    centre = written(name, mean(values))
    return centre if len(values) == 1 else f"{centre} ± {write(name, stdev(values))}"


def cells(records: Sequence[Record], shown: Sequence[str], written: Writer = write) -> list[str]:
    """Format the spread of each column; a dash unless every record has a number."""
    found = []
    for name in shown:
        whole = all(name in record for record in records)
        values = [record[name] for record in records] if whole else []
        found.append(spread(name, values, written))
    return found


def interval_cells(evaluation: Evaluation, shown: Sequence[str]) -> list[str]:
    """Format the model's interval in each column, such as `292.1–318.0`; empty if it has none."""
    intervals = evaluation.intervals
    return [
        "–".join(write(name, end) for end in intervals[name]) if name in intervals else ""
        for name in shown
    ]


def summary_table(evaluations: Iterable[Evaluation]) -> str:
    """Compare runs in Markdown, with a table for each data set and split.

    Runs that differ only in their seed share a row. Rows such as "human" appear once below the
    models, with a spread only if the runs disagree on them. The signatures of the numbers follow
    their table.
    """
    return named_table((evaluation.run.group, evaluation) for evaluation in evaluations)


def named_table(evaluations: Iterable[tuple[str, Evaluation]]) -> str:
    """Make the same tables from evaluations with the names of their rows."""
    splits = _grouped(evaluations, lambda named: (named[1].data, named[1].split))
    return "\n\n".join(_split_table(f"{data}, {split}", e) for (data, split), e in splits.items())


def _split_table(title: str, named: list[tuple[str, Evaluation]]) -> str:
    evaluations = [evaluation for _, evaluation in named]
    models = _grouped(named, lambda pair: (pair[0], pair[1].search))
    others = beside(evaluations)
    shown = columns(chain(map(summary_record, evaluations), *others.values()))
    rows = []
    for (name, search), repetitions in models.items():
        numbers = cells([summary_record(evaluation) for _, evaluation in repetitions], shown)
        rows.append([name, search, *numbers, str(len(repetitions))])
    for name, records in others.items():
        agreed = all(record == records[0] for record in records)
        rows.append([name, "", *cells(records[:1] if agreed else records, shown), ""])
    table = markdown([title, "search", *headings(shown), "seeds"], rows, texts=2)
    signatures = dict.fromkeys(evaluation.signature for evaluation in evaluations)
    return "\n".join([table, *(f"\n`{signature}`" for signature in signatures)])


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]], texts: int) -> str:
    """Format a Markdown table: texts in the first columns, then right-aligned numbers."""
    rule = ["---"] * texts + ["--:"] * (len(head) - texts)
    return "\n".join(map(_line, [head, rule, *rows]))


def beside(evaluations: Iterable[Evaluation]) -> dict[str, list[Record]]:
    """Return the rows below the models: for each name, one record from each run that has it."""
    found: dict[str, dict[object, Record]] = {}
    for evaluation in evaluations:
        for name, record in evaluation.rows.items():
            found.setdefault(name, {}).setdefault(evaluation.run, record)
    return {name: list(records.values()) for name, records in found.items()}


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _grouped(items: Iterable[T], key: Callable[[T], Key]) -> dict[Key, list[T]]:
    """Group items by key, with keys and items in order of appearance."""
    groups: dict[Key, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups
