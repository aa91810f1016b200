"""The page of one run: a single HTML file that needs nothing else."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from captioning.report.curves import Panel
from captioning.report.drawing import DARK, LIGHT, draw
from captioning.report.gallery import RANKED_BY, Card, data_address
from captioning.report.table import columns, heading, model_record, spread
from captioning.runs import Evaluation, Run

NOTES = {
    "human": "one true caption of each picture, held out and scored against the others",
    "true distribution": "captions drawn from the known law of the world",
    "most common caption": "the same caption for every picture, the training split's commonest",
    "nearest image": "a caption of the training picture that is nearest by the encoder's features",
}
"""What the rows below the model's are; a row that is not among them stands without a word."""


class Line(NamedTuple):
    """A row of a table, its numbers as they are shown."""

    name: str
    note: str
    cells: tuple[str, ...]
    model: bool


class Table(NamedTuple):
    """The metrics on one split."""

    split: str
    images: int
    headings: tuple[str, ...]
    lines: tuple[Line, ...]
    signatures: tuple[str, ...]


def render(
    run: Run, evaluations: Sequence[Evaluation], panels: Sequence[Panel], cards: Mapping[str, list[Card]]
) -> str:
    """The page as HTML; what is empty is left out. Every text is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("captioning.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        title=title(run),
        facts=facts(run),
        run=run,
        tables=[table(split, evaluations) for split in dict.fromkeys(e.split for e in evaluations)],
        curves=[_drawings(panel) for panel in panels],
        gallery=cards,
        ranked_by=RANKED_BY,
        config=run.config_file.read_text(encoding="utf-8"),
    )
