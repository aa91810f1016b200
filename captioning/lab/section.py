"""A section of the laboratory's page: the results of one experiment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from captioning.lab.claims import Claim
from captioning.report.html import Drawing


class Table(NamedTuple):
    """Formatted cells; the first of each row is its name."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Section:
    """One experiment.

    Attributes:
        name: As on the command line, such as "figure-1"; also used in file names.
        title: The heading.
        text: A short paragraph on the method and the result.
        tables: In order.
        drawings: In order; their names are unique within the section.
        claims: The claims that the experiment tests.
    """

    name: str
    title: str
    text: str
    tables: Sequence[Table]
    drawings: Sequence[Drawing]
    claims: Sequence[Claim]
