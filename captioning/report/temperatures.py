"""Read and draw curves of quality against diversity over the sampling temperature."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from captioning.data.reading import field, parse_json, read_text
from captioning.errors import InputError
from captioning.report.html import Drawing
from captioning.report.style import DARK, LIGHT, Theme, as_png, blank, set_up
from captioning.runs import Run, numbers

SIZE = (5.0, 3.6)
"""Width and height of a panel, in inches."""

PANELS = {
    "self_bleu_4": "← more varied: Self-BLEU-4 × 100, between images",
    "mutual_bleu_4": "← more varied: mutual BLEU-4 × 100, of an image's samples",
}
"""Two measures of the similarity of captions, each plotted against CIDEr."""

CLOSE = 0.06
"""Share of the height within which a point is not labelled, to avoid overlapping labels."""

BESIDE = ("human", "true distribution")
"""The rows of an evaluation that are shown as references."""


class Sweep(NamedTuple):
    """The results over temperatures, with the greedy limit at temperature 0 first."""

    name: str
    split: str
    points: Sequence[Mapping[str, float]]
    beside: Mapping[str, Mapping[str, float]]  # CIDEr and Self-BLEU of people and of the true law

    @property
    def words(self) -> str:
        """A description of the drawing in words."""
        ends = (
            f"{_name(point)} CIDEr {100 * point['CIDEr']:.1f}, Self-BLEU-4 "
            f"{100 * point['self_bleu_4']:.1f}, mutual BLEU-4 {100 * point['mutual_bleu_4']:.1f}"
            for point in (self.points[0], self.points[-1])
        )
        return f"Quality against diversity by temperature, {self.split} split: {'; '.join(ends)}."


def read_sweeps(run: Run) -> list[Sweep]:
    """Read the sweeps of a run, sorted by folder."""
    return [read_sweep(file) for file in sorted(run.folder.glob("evaluations/*/temperatures.json"))]


def read_sweep(file: Path) -> Sweep:
    """Read the output of `captioning evaluate --temperatures`; InputError if it is damaged."""
    where = str(file)
    record = parse_json(read_text(file), where)
    points = field(record, "points", list, where)
    rows, diversity = (field(record, name, dict, where) for name in ("rows", "diversity"))
    beside = {
        name: {**numbers(rows, name, where), **numbers(diversity, name, where)}
        for name in BESIDE
        if name in rows
    }
    if not points:
        raise InputError(f"{where}: expected at least one of the points, got none")
    listed = {f"points[{place}]": point for place, point in enumerate(points)}
    found = [numbers(listed, name, where) for name in listed]
    for place, point in enumerate(found):
        for name in ("temperature", "CIDEr", *PANELS):
            field(point, name, float, f"{where}, points[{place}]")
    return Sweep(file.parent.name, field(record, "split", str, where), found, beside)


def drawing(sweep: Sweep) -> Drawing:
    """Make the drawing for a light and for a dark page, with a description in words."""
    return Drawing(sweep.name, draw(sweep, LIGHT), draw(sweep, DARK), sweep.words)


def draw(sweep: Sweep, theme: Theme = LIGHT) -> bytes:
    """Draw CIDEr against the similarity of captions, between images and per image, as PNG."""
    figure = blank(SIZE[0] * len(PANELS), SIZE[1], theme)
    for place, (measure, label) in enumerate(PANELS.items(), start=1):
        axes = figure.add_subplot(1, len(PANELS), place)
        set_up(axes, "CIDEr × 100, by temperature", theme)
        axes.set_xlabel(label, fontsize=9, color=theme.ink)
        axes.margins(0.12)
        _draw_path(axes, sweep.points, measure, theme)
        # The rows of an evaluation without CIDEr have none either.
        beside = {
            name: row for name, row in sweep.beside.items() if {"CIDEr", measure} <= row.keys()
        }
        for (name, row), colour in zip(beside.items(), theme.curves[1:], strict=False):
            x, y = 100 * row[measure], 100 * row["CIDEr"]
            axes.plot(x, y, "D", color=colour, markersize=7, markerfacecolor="none", label=name)
        if beside:
            axes.legend(frameon=False, fontsize=9, labelcolor=theme.ink, loc="lower right")
    return as_png(figure)


def _draw_path(
    axes: Axes, points: Sequence[Mapping[str, float]], measure: str, theme: Theme
) -> None:
    x = [100 * point[measure] for point in points]
    y = [100 * point["CIDEr"] for point in points]
    axes.plot(x, y, color=theme.curves[0], linewidth=1.8, marker="o", markersize=4)
    height = max(y) - min(y)
    named = math.inf
    for point, place in zip(points, zip(x, y, strict=True), strict=True):
        if abs(named - place[1]) > CLOSE * height:
            _write(axes, _name(point), place, theme)
            named = place[1]


def _name(point: Mapping[str, float]) -> str:
    return f"{point['temperature']:g}" if point["temperature"] else "greedy"


def _write(axes: Axes, text: str, place: tuple[float, float], theme: Theme) -> None:
    """Write text above and to the left of a point, clear of a path that rises to the right."""
    axes.annotate(
        text,
        place,
        (-4, 4),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=9,
        color=theme.ink,
        path_effects=[withStroke(linewidth=2.5, foreground=theme.ground)],
    )
