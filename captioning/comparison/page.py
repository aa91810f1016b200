"""The page of a comparison: one self-contained HTML file, and the same in Markdown."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from captioning.comparison import curves, planes, statements
from captioning.comparison.attention_maps import Looks, attention_maps
from captioning.comparison.compared import Compared, read_images
from captioning.comparison.cost import cost
from captioning.comparison.gallery import Image, gallery
from captioning.comparison.keys import Key
from captioning.comparison.significance import contrasts
from captioning.comparison.table import Table, against_baseline, of_other_data, tables
from captioning.errors import InputError
from captioning.evaluation.known_world import Scenes
from captioning.files import write
from captioning.provenance import provenance
from captioning.report.html import Drawing, fill
from captioning.runs import Evaluation

IMAGES = 1000
"""Images in the gallery by default: about 13 MB of photographs."""

WITHOUT_SCRIPT = 12
"""Images shown where scripts are disabled."""


class Comparison(NamedTuple):
    """The contents of the page.

    Attributes:
        title: The suite and its data.
        rows: In the suite's order.
        tables: The table of quality, that of tests if there is one, then others.
        curves: Training curves.
        planes: By name.
        gallery: In the split's order.
        looks: Attention maps, image by image; none if no row has an attention decoder.
        images: Number of captioned images.
        said: Explanatory sentences, by the table that they are about, and those about failures.
    """

    title: str
    rows: Sequence[Compared]
    tables: Sequence[Table]
    curves: Sequence[Drawing]
    planes: Mapping[str, Drawing]
    gallery: Sequence[Image]
    looks: Sequence[Looks]
    images: int
    said: Mapping[str, Sequence[str]]

    @property
    def first(self) -> Evaluation:
        """The first evaluation, for facts that all share."""
        return next(each for row in self.rows for each in row.evaluations)

    @property
    def drawings(self) -> list[Drawing]:
        """All drawings."""
        return [*self.planes.values(), *self.curves]


def compare(
    title: str, rows: Sequence[Compared], scenes: Scenes, images: int = IMAGES
) -> Comparison:
    """Collect the contents of the page; at least one of the rows must have been evaluated."""
    if not any(row.evaluations for row in rows):
        raise InputError(f"{title}: no row was evaluated, so there is nothing to show")
    read = read_images(rows)
    found = contrasts(rows, read)
    numbers = tables(rows, found)
    tested, others = against_baseline(rows, found), (of_other_data(rows), cost(rows))
    return Comparison(
        title,
        rows,
        [table for table in (numbers[0], tested, *numbers[1:], *others) if table],
        curves.drawings(rows),
        planes.planes(rows),
        gallery(read, images, scenes),
        attention_maps(rows, read),
        len(read.examples),
        {
            "quality": statements.about_numbers(rows),
            "tests": statements.about_tests(rows, found),
            "priors": statements.about_priors(rows),
            "changes": statements.about_changes(rows),
            "published": statements.about_published(rows),
            "cost": statements.about_cost(rows),
            "failures": statements.about_failures(rows),
        },
    )


def write_page(folder: Path, comparison: Comparison) -> Path:
    """Write report.html, and report.md with its drawings; return the path of the former.

    Raises InputError if the folder cannot be written.
    """
    for drawing in comparison.drawings:
        write(folder / f"{drawing.name}.png", drawing.light)
    write(folder / "report.md", as_markdown(comparison).encode())
    write(folder / "report.html", as_html(comparison).encode())
    return folder / "report.html"


def as_html(comparison: Comparison) -> str:
    """Render the page as one file. All text is escaped, and only the page's own script may run."""
    script = files("captioning.comparison").joinpath("templates/gallery.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    whole = [row for row in comparison.rows if row.evaluations]
    known = [{"said": each.said, "references": each.references} for each in comparison.gallery]
    data = htmlsafe_json_dumps({"rows": [row.name for row in whole], "images": known})
    inert = Markup(fill("captioning.comparison", "inert.html", gallery=comparison.gallery))
    return fill(
        "captioning.comparison",
        "compare.html",
        **comparison._asdict(),
        facts=facts(comparison),
        keys=[Key(place) for place in range(len(comparison.rows))],
        spoken=[place for place, row in enumerate(comparison.rows) if row.evaluations],
        judged=any(said.fault for image in comparison.gallery for said in image.said),
        without_script=comparison.gallery[:WITHOUT_SCRIPT],
        data=data,
        inert=inert,
        size=len((inert + data).encode()) / 1e6,
        missing=sum(image.thumbnail is None for image in comparison.gallery),
        looks_size=sum(looks.size for looks in comparison.looks) / 1e6,
        signatures=signatures(comparison.rows),
        script=Markup(script),
        digest=digest,
    )


def as_markdown(comparison: Comparison) -> str:
    """Render tables, explanations and links to the drawings, which are files in the same folder."""
    said = comparison.said
    parts = [
        f"# {comparison.title}",
        ", ".join(f"{name}: {fact}" for name, fact in facts(comparison).items()),
        *(table.in_markdown for table in comparison.tables),
        "\n".join(f"- {sentence}" for each in said.values() for sentence in each),
        *(f"![{drawing.words}]({drawing.name}.png)" for drawing in comparison.drawings),
        *(f"`{signature}`" for signature in signatures(comparison.rows)),
        "All images with the captions of every row: [report.html](report.html)",
    ]
    return "\n\n".join(parts) + "\n"


def facts(comparison: Comparison) -> dict[str, str]:
    """Summarise what all rows share, and how the page was made."""
    first = comparison.first
    searches = dict.fromkeys(each.search for row in comparison.rows for each in row.evaluations)
    seeds = max(len(row.evaluations) for row in comparison.rows)
    whole = (each for row in comparison.rows for each in row.evaluations)
    codes = dict.fromkeys(each.code for each in whole if each.code)
    return {
        "Data": f"{first.data}, {first.split} split",
        "Images": f"{comparison.images:,}",
        "Captions by": ", ".join(searches),
        "Seeds": str(seeds),
        **provenance(),
        "Code of the numbers": ", ".join(codes) or "unknown",
    }


def signatures(rows: Sequence[Compared]) -> list[str]:
    """Return the distinct signatures of the numbers."""
    return list(dict.fromkeys(each.signature for row in rows for each in row.evaluations))
