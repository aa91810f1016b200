"""An evaluation as lines for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from captioning.temperatures import Point

METRICS = {
    "Bleu_1": "Bleu_1",
    "Bleu_2": "Bleu_2",
    "Bleu_3": "Bleu_3",
    "Bleu_4": "Bleu_4",
    "METEOR": "METEOR",
    "ROUGE_L": "ROUGE_L",
    "CIDEr": "CIDEr",
    "SPICE": "SPICE",
    "CLIPScore": "CLIP-S",
    "RefCLIPScore": "RefCLIPS",
    "distinct": "distinct",
}
"""What is told of quality, with the names above the columns."""

DIVERSITY = {
    "distinct_1": "dist-1",
    "distinct_2": "dist-2",
    "self_bleu_4": "SelfBLEU",
    "vocabulary_share": "of vocab",
    "novel": "novel",
    "words": "words",
    "length": "length",
    "length_deviation": "±",
}
"""What is told of diversity, with the names above the columns."""

CURVE = {
    "CIDEr": "CIDEr",
    "Bleu_4": "Bleu_4",
    "distinct": "distinct",
    "self_bleu_4": "SelfBLEU",
    "mutual_bleu_4": "mBLEU",
}
"""The same of the curve over the temperature."""

PLAIN = {"words": ".0f", "length": ".1f", "length_deviation": ".1f"}
"""How numbers are written that are not times 100."""


def text(summary: dict[str, Any], curve: Sequence[Point] = ()) -> str:
    """Lay an evaluation out: what `metrics.json` holds, and the curve over the temperature."""
    what = f"{summary['data']} {summary['split']}, {summary['search']}"
    lines = [f"{what}, {summary['images']} pictures, × 100"]
    intervals = summary["intervals"].items()
    rows = {
        "captioner": summary["metrics"],
        "  95% from": {name: interval["low"] for name, interval in intervals},
        "  to": {name: interval["high"] for name, interval in intervals},
        **summary["rows"],
    }
    lines += table(METRICS, rows)
    lines += ["", *table(DIVERSITY, summary["diversity"]), ""]
    lines += true_law(summary)
    if curve:
        points = {"greedy": curve[0], **{f"t={each.temperature:g}": each for each in curve[1:]}}
        lines += ["", *table(CURVE, {name: each._asdict() for name, each in points.items()}), ""]
    lines += [f"left out: {reason}" for reason in summary["left out"].values()]
    return "\n".join([*lines, summary["signature"]])


def table(columns: Mapping[str, str], rows: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Give a line for each row below the names of the columns that some row fills."""
    shown = [name for name in columns if any(name in row for row in rows.values())]
    width = max(map(len, rows))
    lines = [" " * width + "".join(f"{columns[name]:>9}" for name in shown)]
    for row, values in rows.items():
        cells = "".join(f"{cell(name, values.get(name)):>9}" for name in shown)
        lines.append(f"{row:<{width}}{cells}".rstrip())
    return lines


def cell(name: str, value: float | None) -> str:
    """Write a number, if there is one, times 100 unless its column is another."""
    if value is None:
        return ""
    return format(value, PLAIN[name]) if name in PLAIN else f"{100 * value:.1f}"


def true_law(summary: dict[str, Any]) -> list[str]:
    """Say, where the true law is known, what it tells."""
    lines = []
    for name, judged in (("captions", summary["world"]), ("samples", summary["samples"])):
        if judged:
            shares = (f"{verdict.replace('_', ' ')} {judged[verdict]:.1%}" for verdict in judged)
            lines.append(f"{name}: " + ", ".join(shares))
    if divergences := summary["divergences"]:
        lines.append(
            "KL[P‖Q] {forward_kl:.3f} nats a caption, {forward_kl_per_word:.3f} a word; "
            "KL[Q‖P_δ] {reverse_kl:.2f} ± {reverse_kl_error:.2f}; "
            "{outside:.1%} of Q outside P; JS {jensen_shannon:.3f}".format(**divergences)
        )
    return lines
