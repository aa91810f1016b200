"""The page of one run: a single, self-contained HTML file."""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from captioning.data.reading import read_text
from captioning.report.curves import Panel
from captioning.report.drawing import draw
from captioning.report.gallery import Card
from captioning.report.html import Drawing, fill
from captioning.report.style import DARK, LIGHT
from captioning.report.table import (
    JS_BY_PRIOR,
    cells,
    columns,
    headings,
    interval_cells,
    model_record,
)
from captioning.runs import Evaluation, Run

NOTES = {
    "human": "one true caption of each image, held out and scored against the others",
    "true distribution": "captions drawn from the known law of the world",
    "most common caption": "the same caption for every image, the training split's commonest",
    "nearest image": "the first caption of the training image nearest by the encoder's features",
    "distinct-1": "different words over all words, of one caption an image; distinct-2 of pairs",
    "Self-BLEU-4": "of every caption against all the others; lower is more varied",
    "novel captions, %": "those that are no training caption, word for word",
    "bad endings, %": "of captions that are empty or end in a word that ends less than 1% of its "
    "uses in training captions, such as “a”",
    "H[Q], nats": "a caption: the entropy of the model's own law, from samples of it; H[P] is that "
    "of the true one",
    "KL[P‖Q], nats": "a caption: P is the true law, Q the model's own, whatever the search; exact",
    "KL[Q‖P_δ], nats": "a caption, from samples of Q: P_δ = (1 − δ) P + δ U, with δ as in the "
    "signature and U uniform over words, is never zero as P is",
}
"""Explanations of rows and columns; others have none."""


class Table(NamedTuple):
    """Formatted numbers: the rows of the model, some with intervals, then others, by name."""

    caption: str
    headings: list[str]
    models: dict[str, list[str]]
    others: dict[str, list[str]]
    signatures: Sequence[str] = ()
    intervals: Mapping[str, Sequence[str]] = MappingProxyType({})


def render(
    run: Run,
    evaluations: Sequence[Evaluation],
    panels: Sequence[Panel],
    gallery: Mapping[str, Sequence[Card]],
    sweeps: Sequence[Drawing] = (),
) -> str:
    """Render the page of one or more evaluations as HTML. All text is escaped."""
    cards = [card for section in gallery.values() for card in section]
    numbers = tables(evaluations)
    named = {name for table in numbers for name in (*table.headings, *table.others)}
    return fill(
        "captioning.report",
        "page.html",
        title=title(run.config, evaluations[-1].data),
        facts=facts(run.config) | {"Run": run.name},
        tables=numbers,
        notes={name: note for name, note in NOTES.items() if name in named},
        curves=[_drawing(panel) for panel in panels],
        sweeps=sweeps,
        gallery=gallery,
        shown=len(cards),
        split=evaluations[-1].split,
        images=evaluations[-1].images,
        missing=sum(card.thumbnail is None for card in cards),
        config=read_text(run.config_file),
    )


def title(config: Mapping[str, Any], data: str) -> str:
    """Return a title such as "Scheduled sampling on flickr8k"."""
    return f"{facts(config).get('Objective', 'Captions')} on {data}"


def facts(config: Mapping[str, Any]) -> dict[str, str]:
    """Summarise a configuration in a few words."""
    found = {
        part.capitalize(): _words(_look_up(config, part, "class_path"))
        for part in ("objective", "encoder", "decoder")
    }
    found["Network"] = _look_up(config, "encoder", "init_args", "architecture")
    found["Seed"] = _look_up(config, "seed")
    return {name: text for name, text in found.items() if text}


def tables(evaluations: Sequence[Evaluation]) -> list[Table]:
    """Make each split's tables: metrics, diversity and, if known, comparisons with the true law."""
    found = []
    for split in dict.fromkeys(evaluation.split for evaluation in evaluations):
        those = [evaluation for evaluation in evaluations if evaluation.split == split]
        found.append(_metrics(split, those))
        if any(evaluation.diversity for evaluation in those):
            found.append(_diversity(split, those))
        if any(evaluation.world for evaluation in those):
            found.append(_verdicts(split, those))
        if any(evaluation.divergences for evaluation in those):
            found += _divergences(split, those)
    return found


def _metrics(split: str, evaluations: Sequence[Evaluation]) -> Table:
    models = {f"Model, {e.search}": model_record(e) for e in evaluations}
    others = {name: record for e in evaluations for name, record in e.rows.items()}
    shown = columns([*models.values(), *others.values()])
    return Table(
        f"{split.capitalize()} split, {evaluations[-1].images:,} images",
        headings(shown),
        {name: cells([record], shown) for name, record in models.items()},
        {name: cells([record], shown) for name, record in others.items()},
        list(dict.fromkeys(evaluation.signature for evaluation in evaluations)),
        {f"Model, {e.search}": interval_cells(e, shown) for e in evaluations if e.intervals},
    )


def _diversity(split: str, evaluations: Sequence[Evaluation]) -> Table:
    rows = {e.search: dict(e.diversity) for e in evaluations if e.diversity}
    models = {f"Model, {search}": row.pop("captioner") for search, row in rows.items()}
    others = {name: record for row in rows.values() for name, record in row.items()}
    shown = columns([*models.values(), *others.values()])
    return Table(
        f"{split.capitalize()} split, how varied the captions are",
        headings(shown),
        {name: cells([record], shown) for name, record in models.items()},
        {name: cells([record], shown) for name, record in others.items()},
    )


def _verdicts(split: str, evaluations: Sequence[Evaluation]) -> Table:
    shown = columns(evaluation.world for evaluation in evaluations)
    models = {f"Model, {e.search}": cells([e.world], shown) for e in evaluations}
    for name, evaluation in _laws(evaluations).items():
        models[f"{name}, samples"] = cells([evaluation.samples], shown)
    caption = f"{split.capitalize()} split, captions by the verdict of the true law, %"
    return Table(caption, [name.replace("_", " ") for name in shown], models, {})


def _divergences(split: str, evaluations: Sequence[Evaluation]) -> list[Table]:
    laws = _laws(evaluations)
    records = {
        "the model's own law beside the true one": {n: e.divergences for n, e in laws.items()},
        JS_BY_PRIOR: {name: e.js_by_prior for name, e in laws.items() if e.js_by_prior},
    }
    found = []
    for caption, rows in records.items():
        shown = columns(rows.values())
        models = {name: cells([record], shown) for name, record in rows.items()}
        found.append(Table(f"{split.capitalize()} split, {caption}", headings(shown), models, {}))
    return [table for table in found if table.models]


def _laws(evaluations: Sequence[Evaluation]) -> dict[str, Evaluation]:
    """Return one evaluation for each law of the model, which depends on the checkpoint only."""
    found = {tuple(e.divergences.items()): e for e in evaluations if e.divergences}
    alone = len(found) == 1
    return {"Model" if alone else f"Model, {e.search}": e for e in found.values()}


def _drawing(panel: Panel) -> Drawing:
    return Drawing(panel.quantity, draw([panel], LIGHT), draw([panel], DARK), panel.summary)


def _look_up(config: Any, *keys: str) -> str:
    """Return a nested value of a configuration as text, empty if it is missing."""
    for key in keys:
        config = config.get(key) if isinstance(config, dict) else None
    return "" if config is None else str(config)


def _words(class_path: str) -> str:
    """Turn a class path into words: `captioning.decoder.ShowAndTell` into "Show and tell"."""
    name = class_path.rpartition(".")[2]
    first, *rest = re.split(r"(?<=[a-z])(?=[A-Z])", name)
    return " ".join([first, *(word if word.isupper() else word.lower() for word in rest)])
