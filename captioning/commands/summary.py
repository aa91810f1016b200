"""Format an evaluation for a terminal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from captioning.commands.alignment import aligned
from captioning.evaluation.temperatures import Point
from captioning.report.columns import COLUMNS, column, write

DIVERSITY = (
    *("distinct_1", "distinct_2", "self_bleu_4", "vocabulary_share", "novel", "words"),
    *("bad_endings", "length", "length_deviation"),
)
"""The measures of diversity shown."""

CURVE = ("CIDEr", "Bleu_4", "distinct", "self_bleu_4", "mutual_bleu_4")
"""The numbers shown for each point of the curve over temperatures."""


def text(summary: dict[str, Any], curve: Sequence[Point] = ()) -> str:
    """Format the contents of `metrics.json`, and the curve over temperatures."""
    what = f"{summary['data']} {summary['split']}, {summary['search']}"
    lines = [f"{what}, {summary['images']} images, × 100"]
    intervals = summary["intervals"].items()
    rows = {
        "captioner": summary["metrics"],
        "  95% from": {name: interval["low"] for name, interval in intervals},
        "  to": {name: interval["high"] for name, interval in intervals},
        **summary["rows"],
    }
    lines += table(COLUMNS, rows)
    lines += ["", *table(DIVERSITY, summary["diversity"]), ""]
    lines += true_law(summary)
    if curve:
        points = {"greedy": curve[0], **{f"t={each.temperature:g}": each for each in curve[1:]}}
        lines += ["", *table(CURVE, {name: each._asdict() for name, each in points.items()}), ""]
    lines += [f"left out: {reason}" for reason in summary["left out"].values()]
    return "\n".join([*lines, summary["signature"]])


def table(names: Iterable[str], rows: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return a header and one line per row, with the columns that any row fills."""
    shown = [name for name in names if any(name in row for row in rows.values())]
    head = ["", *(column(name).short for name in shown)]
    lines = [
        [row, *(write(name, values[name]) if name in values else "" for name in shown)]
        for row, values in rows.items()
    ]
    return [line.rstrip() for line in aligned([head, *lines], gap=2)]


def true_law(summary: dict[str, Any]) -> list[str]:
    """Return lines about the comparison with the true law, if that is known."""
    lines = []
    for name, judged in (("captions", summary["world"]), ("samples", summary["samples"])):
        if judged:
            shares = (f"{verdict.replace('_', ' ')} {judged[verdict]:.1%}" for verdict in judged)
            lines.append(f"{name}: " + ", ".join(shares))
    if divergences := summary["divergences"]:
        lines += [
            "KL[P‖Q] {forward_kl:.3f} nats per caption, {forward_kl_per_word:.3f} per word; "
            "KL[Q‖P_δ] {reverse_kl:.2f} ± {reverse_kl_error:.2f}; "
            "{outside:.1%} of Q outside P; JS {jensen_shannon:.3f}".format(**divergences),
            "entropy of Q {entropy:.2f} nats, of P {true_entropy:.2f}".format(**divergences),
        ]
    return lines
