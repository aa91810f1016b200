"""The page of the laboratory: claims and results, as HTML, Markdown and JSON."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from captioning.files import write
from captioning.lab.section import Section
from captioning.report.html import fill
from captioning.report.table import markdown

TITLE = "Where the truth is known"

LEAD = (
    "What Huszár (2015) says of scheduled sampling, likelihood and adversarial training, as "
    "numbers. In worlds small enough to enumerate, each is known exactly; the objectives that "
    "train captioners are trained there too, and must reach it."
)


def write_page(folder: Path, sections: Sequence[Section], facts: Mapping[str, str]) -> None:
    """Write lab.html, which is self-contained, lab.md with its drawings, and claims.json.

    `facts` describe how the page was made. Raises InputError if the folder cannot be written.
    """
    claims = [claim.to_json() for section in sections for claim in section.claims]
    write(folder / "lab.html", as_html(sections, facts).encode())
    write(folder / "lab.md", as_markdown(sections, facts).encode())
    write(
        folder / "claims.json",
        json.dumps(claims, indent=1, ensure_ascii=False, allow_nan=False).encode(),
    )
    for section in sections:
        for drawing in section.drawings:
            stem = f"{section.name}-{drawing.name}"
            write(folder / f"{stem}.png", drawing.light)
            write(folder / f"{stem}-dark.png", drawing.dark)


def verdict(sections: Sequence[Section]) -> str:
    """Return a summary such as "11 of 12 claims hold"."""
    claims = [claim for section in sections for claim in section.claims]
    return f"{sum(claim.holds for claim in claims)} of {len(claims)} claims hold"


def as_html(sections: Sequence[Section], facts: Mapping[str, str]) -> str:
    """Render the page as one file: first the claims, then the experiments."""
    return fill(
        "captioning.lab",
        "lab.html",
        title=TITLE,
        lead=LEAD,
        facts=facts,
        verdict=verdict(sections),
        sections=sections,
    )


def as_markdown(sections: Sequence[Section], facts: Mapping[str, str]) -> str:
    """Render the same in Markdown, with links to the drawings' files in the same folder."""
    rows = [
        [claim.claim, claim.source, claim.expectation, claim.finding, "✓" if claim.holds else "✗"]
        for section in sections
        for claim in section.claims
    ]
    parts = [
        f"# {TITLE}",
        LEAD,
        ", ".join(f"{name}: {fact}" for name, fact in facts.items()),
        f"## {verdict(sections)}",
        markdown(["Claim", "Source", "Expected", "Measured", "Holds"], rows, texts=2),
    ]
    for section in sections:
        parts += [f"## {section.title}", section.text]
        parts += [f"![{d.words}]({section.name}-{d.name}.png)" for d in section.drawings]
        for table in section.tables:
            parts += [f"### {table.heading}", markdown(table.columns, table.rows, texts=1)]
    return "\n\n".join(parts) + "\n"
