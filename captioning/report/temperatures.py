"""Quality against diversity over the temperature of sampling: read and drawn."""

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
    "self_bleu_4": "← more varied: Self-BLEU-4 × 100, between pictures",
    "mutual_bleu_4": "← more varied: mutual BLEU-4 × 100, of a picture's samples",
}
"""The two measures of how alike captions are, each against CIDEr."""

CLOSE = 0.06
"""Share of the height below which a point has no name, since it would lie upon the last one."""

BESIDE = ("human", "true distribution")
"""The rows of an evaluation that show where to go."""


class Sweep(NamedTuple):
    """What one evaluation over temperatures found, the greedy limit at temperature 0 first."""

    name: str
    split: str
    points: Sequence[Mapping[str, float]]
    beside: Mapping[str, Mapping[str, float]]  # CIDEr and Self-BLEU of people, of the true law

    @property
    def words(self) -> str:
        """What the drawing shows."""
        ends = (
            f"{_name(point)} CIDEr {100 * point['CIDEr']:.1f}, Self-BLEU-4 "
            f"{100 * point['self_bleu_4']:.1f}, mutual BLEU-4 {100 * point['mutual_bleu_4']:.1f}"
            for point in (self.points[0], self.points[-1])
        )
        return f"Quality against diversity by temperature, {self.split} split: {'; '.join(ends)}."


def read_sweeps(run: Run) -> list[Sweep]:
    """Those of a run, by the names of their folders."""
    return [read_sweep(file) for file in sorted(run.folder.glob("evaluations/*/temperatures.json"))]


def read_sweep(file: Path) -> Sweep:
    """What `captioning evaluate --temperatures` wrote; InputError where it is damaged."""
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
    """For a light page, for a dark one, and in words."""
    return Drawing(sweep.name, draw(sweep, LIGHT), draw(sweep, DARK), sweep.words)


def draw(sweep: Sweep, theme: Theme = LIGHT) -> bytes:
    """CIDEr against how alike captions are, as one PNG: between pictures, and of one picture."""
    figure = blank(SIZE[0] * len(PANELS), SIZE[1], theme)
    for place, (measure, label) in enumerate(PANELS.items(), start=1):
        axes = figure.add_subplot(1, len(PANELS), place)
        set_up(axes, "CIDEr × 100, by temperature", theme)
        axes.set_xlabel(label, fontsize=9, color=theme.ink)
        axes.margins(0.12)
        _draw_path(axes, sweep.points, measure, theme)
        # An evaluation without CIDEr has rows without it.
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
    """Write above and to the left of a point, where a path that rises to the right is not."""
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
