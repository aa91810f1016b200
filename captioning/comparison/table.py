"""The tables of a comparison: one line per row, the best in bold, tests, published numbers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from statistics import fmean
from typing import Literal, NamedTuple

from captioning.comparison.compared import Compared
from captioning.comparison.departures import departures
from captioning.comparison.significance import LEVEL, Contrast, Contrasts
from captioning.report import table as report
from captioning.report.columns import COLUMNS, write, write_signed
from captioning.report.table import Record, model_record
from captioning.runs import Evaluation

BEST: Mapping[str, Callable[[Iterable[float]], float]] = {
    **dict.fromkeys(("Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "METEOR", "ROUGE_L"), max),
    **dict.fromkeys(("CIDEr", "SPICE", "CLIPScore", "RefCLIPScore", "true"), max),
    **dict.fromkeys(("forward_kl", "forward_kl_per_word", "reverse_kl", "outside"), min),
    **dict.fromkeys(("jensen_shannon", "total_variation"), min),
    **dict.fromkeys((column for column in COLUMNS if column.startswith("js_")), min),
}
"""Which number of a column is best; in other columns, such as a caption's length, none is."""

MINIMISED = ("forward_kl", *(column for column in COLUMNS if column.startswith("js_")))
"""The divergences that objectives minimise: by teacher forcing, and adversarially with a prior."""

CHANGES = "What training changed in KL[P‖Q] and JS_π/(π(1−π)), nats"

TESTED = ("CIDEr", "forward_kl", "reverse_kl")
"""The columns of the table of tests."""


class Cell(NamedTuple):
    """A formatted number; the sign marks a difference from the baseline, the hint explains it."""

    text: str
    best: bool = False
    sign: Literal["", "▲", "▼"] = ""
    hint: str = ""

    @property
    def parts(self) -> tuple[str, str]:
        """The mean and its spread, as text."""
        mean, _, spread = self.text.partition(" ± ")
        return mean, spread

    @property
    def in_markdown(self) -> str:
        """The cell in Markdown, in bold if it is the best."""
        return f"{f'**{self.text}**' if self.best else self.text} {self.sign}".rstrip()


class Line(NamedTuple):
    """A line of a table.

    Attributes:
        kind: What it is about.
        name: Name of the row, or of what it is compared with.
        cells: One for each heading; for a failure, only the reason.
        seeds: The number of seeds, or empty.
        place: The row's position in the suite; None for lines that are not rows of it.
    """

    kind: Literal["row", "failure", "published", "other"]
    name: str
    cells: Sequence[Cell]
    seeds: str = ""
    place: int | None = None


class Table(NamedTuple):
    """Numbers under their headings."""

    name: str
    title: str
    headings: Sequence[str]
    lines: Sequence[Line]

    @property
    def seeded(self) -> bool:
        """Whether any line gives a number of seeds."""
        return any(line.seeds for line in self.lines)

    @property
    def in_markdown(self) -> str:
        """The table in Markdown."""
        rows = [
            [line.name, *(cell.in_markdown for cell in line.cells), *[line.seeds] * self.seeded]
            for line in self.lines
        ]
        head = [self.title, *self.headings, *["seeds"] * self.seeded]
        return report.markdown(head, rows, texts=1)


class Part(NamedTuple):
    """What one table shows.

    Attributes:
        name: The table's.
        title: The table's.
        records: One per seed, by row.
        others: The same for what is no row of the suite.
        write: Formats the means.
    """

    name: str
    title: str
    records: Mapping[str, Sequence[Record]]
    others: Mapping[str, Sequence[Record]]
    write: report.Writer = write


def tables(rows: Sequence[Compared], found: Contrasts) -> list[Table]:
    """Make tables of quality, with published numbers, and, if known, divergences and variety."""
    whole = [evaluation for row in rows for evaluation in row.evaluations]
    varied: dict[str, list[Record]] = {}
    for evaluation in whole:
        for name, record in evaluation.diversity.items():
            varied.setdefault(name, []).append(record)
    varied.pop("captioner", None)

    def each(record: Callable[[Evaluation], Record]) -> dict[str, list[Record]]:
        return {row.name: [record(evaluation) for evaluation in row.evaluations] for row in rows}

    parts = [
        Part("quality", "Quality", each(model_record), report.beside(whole)),
        Part("law", "The captioner's own law", each(of_captioner), of_truth(whole)),
        Part("priors", report.JS_BY_PRIOR, each(lambda its: its.js_by_prior), {}),
        Part("changes", CHANGES, changes(rows), {}, write_signed),
        Part("variety", "Variety", each(lambda its: its.diversity.get("captioner", {})), varied),
    ]
    return [_table(part, rows, found) for part in parts if any(chain(*part.records.values()))]


def of_captioner(evaluation: Evaluation) -> Record:
    """Return the numbers of a captioner's own law."""
    return {name: x for name, x in evaluation.divergences.items() if name != "true_entropy"}


def of_truth(evaluations: Sequence[Evaluation]) -> dict[str, list[Record]]:
    """Return the entropy of the true law in a row of its own, if it is known."""
    known = [each.divergences for each in evaluations if "true_entropy" in each.divergences]
    return (
        {"true distribution": [{"entropy": each["true_entropy"]} for each in known]}
        if known
        else {}
    )


def changes(rows: Sequence[Compared]) -> dict[str, list[Record]]:
    """Return, by row, what training changed in what objectives minimise, one record per seed."""
    return {
        name: [
            {column: value for column, value in each.items() if column in MINIMISED}
            for each in records
        ]
        for name, records in departures(rows).items()
    }


def _table(part: Part, rows: Sequence[Compared], found: Contrasts) -> Table:
    told = [row.published.numbers for row in rows if row.published and row.comparable]
    beside = told if part.name == "quality" else []
    shown = report.columns(chain(*part.records.values(), *part.others.values(), beside))
    best = {column: _best(part, column) for column in shown}
    lines = []
    for place, row in enumerate(rows):
        if records := part.records.get(row.name):
            texts = report.cells(records, shown, part.write)
            marked = [
                mark(text, best[column], found.get(row.name, {}).get(column))
                for column, text in zip(shown, texts, strict=True)
            ]
            lines.append(Line("row", row.name, marked, str(len(row.evaluations)), place))
        elif part.name == "quality":
            lines.append(Line("failure", row.name, [Cell("; ".join(row.failures))]))
        if row.comparable and part.name == "quality":
            lines.append(
                Line("published", f"published [{number_of(row, rows)}]", published(row, shown))
            )
    for name, repeated in part.others.items():
        agreed = all(record == repeated[0] for record in repeated)
        texts = report.cells(repeated[:1] if agreed else repeated, shown)
        lines.append(Line("other", name, [Cell(text) for text in texts]))
    return Table(part.name, part.title, report.headings(shown), lines)


def _best(part: Part, column: str) -> str | None:
    """Return the best of the rows' means as formatted, so that rows shown as equal are equal."""
    means = [
        fmean(record[column] for record in records)
        for records in part.records.values()
        if records and all(column in record for record in records)
    ]
    if column not in BEST or len(means) < 2:
        return None
    return part.write(column, BEST[column](means))


def mark(text: str, best: str | None, contrast: Contrast | None) -> Cell:
    """Mark a number that is the best of its column or that differs from the baseline's."""
    p_value = contrast.over_images if contrast else None
    sign: Literal["", "▲", "▼"] = ""
    if contrast and p_value is not None and p_value < LEVEL:
        sign = "▲" if contrast.value > 0 else "▼"
    hint = "" if p_value is None else f"p = {p_text(p_value)} over images, corrected"
    return Cell(text, text.partition(" ")[0] == best, sign, hint)


def published(row: Compared, shown: Sequence[str]) -> list[Cell]:
    """Put a row's published numbers, which are times 100, under the columns of the same names."""
    numbers = row.published.numbers if row.published else {}
    return [Cell(f"{numbers[column]:.1f}" if column in numbers else "") for column in shown]


def of_other_data(rows: Sequence[Compared]) -> Table | None:
    """Tabulate published numbers on other data than the rows'; None if there are none.

    Such numbers can only be compared with one another, so they have a table of their own.
    """
    strange = [row for row in rows if row.published and row.evaluations and not row.comparable]
    if not strange:
        return None
    shown = report.columns(row.published.numbers for row in strange if row.published)
    lines = [
        Line("published", f"{row.name} [{number_of(row, rows)}]", published(row, shown))
        for row in strange
    ]
    data = dict.fromkeys(row.published.data for row in strange if row.published)
    title = f"Published, of {' and '.join(data)}"
    return Table("published", title, report.headings(shown), lines)


def number_of(row: Compared, rows: Sequence[Compared]) -> int:
    """Return the number of the citation for a row's published numbers."""
    return (
        sources(rows).index((row.published.source, row.published.sure)) + 1 if row.published else 0
    )


def sources(rows: Sequence[Compared]) -> list[tuple[str, str]]:
    """Return the sources and reliability of published numbers, in the order of their citations."""
    stand = (row.published for row in rows)
    return list(dict.fromkeys((each.source, each.sure) for each in stand if each))


def against_baseline(rows: Sequence[Compared], found: Contrasts) -> Table | None:
    """Tabulate how each row differs from its baseline; None if nothing could be tested."""
    each = [contrast for row in found.values() for contrast in row.values()]
    if not each:
        return None
    by_seeds = any(contrast.over_seeds is not None for contrast in each)
    columns = [column for column in TESTED if any(column in row for row in found.values())]
    headings = []
    for column in columns:
        paired = any(row[column].interval for row in found.values() if column in row)
        headings += [f"{COLUMNS[column].title}, difference"]
        headings += ["95% interval", "p over images"] if paired else []
        headings += ["p over seeds"] if by_seeds else []
    lines = []
    for place, row in enumerate(rows):
        if row.name in found:
            texts = [
                text
                for column in columns
                for text in _difference(column, found[row.name].get(column), found, by_seeds)
            ]
            cells = [Cell(text) for text in texts]
            lines.append(Line("row", row.name, cells, str(len(row.evaluations)), place))
    return Table("tests", "Against the baseline", headings, lines)


def _difference(
    column: str, contrast: Contrast | None, found: Contrasts, by_seeds: bool
) -> list[str]:
    """Format one contrast for its columns."""
    spread = contrast and contrast.spread
    deviation = "" if spread is None else f" ± {write(column, spread)}"
    texts = [write_signed(column, contrast.value) + deviation if contrast else "–"]
    if any(row[column].interval for row in found.values() if column in row):
        interval = contrast and contrast.interval
        texts += [
            f"{write_signed(column, interval.low)} to {write_signed(column, interval.high)}"
            if interval
            else "–"
        ]
        texts += [p_text(contrast.over_images if contrast else None)]
    return [*texts, p_text(contrast.over_seeds if contrast else None)] if by_seeds else texts


def p_text(p_value: float | None) -> str:
    """Format a p-value, with four digits if it is near the usual levels."""
    if p_value is None:
        return "–"
    return f"{p_value:.4f}" if p_value < 0.1 else f"{p_value:.2f}"
