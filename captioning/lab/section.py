"""A section of the laboratory's page: what one experiment found."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from captioning.lab.claims import Claim
from captioning.report.html import Drawing


class Table(NamedTuple):
    """Cells as they are shown; the first of each row names it."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Section:
    """One experiment.

    Attributes:
        name: As on the command line, such as "figure-1"; files are named by it.
        title: As a heading.
        text: A short paragraph: what was done, and what is to be seen.
        tables: In their order.
        drawings: In their order; their names are unlike within the section.
        claims: What the experiment was to show.
    """

    name: str
    title: str
    text: str
    tables: Sequence[Table]
    drawings: Sequence[Drawing]
    claims: Sequence[Claim]
