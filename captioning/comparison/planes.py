"""The rows as points in a plane: quality against diversity, and the paper's two divergences."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from captioning.comparison.compared import Compared
from captioning.comparison.departures import departures
from captioning.comparison.keys import Key
from captioning.report.html import Drawing, both
from captioning.report.style import Theme, set_up
from captioning.report.table import Record
from captioning.report.temperatures import BESIDE, read_sweeps
from captioning.runs import Evaluation

SIZE = (4.1, 3.6)
"""Width and height of a plane, in inches."""


class Axis(NamedTuple):
    """A number of an evaluation, with its scale and its label."""

    column: str
    scale: float
    name: str


class Point(NamedTuple):
    """A row on a plane: one position per seed, and a path over sampling temperatures."""

    name: str
    place: int
    seeds: Sequence[tuple[float, float]]
    path: Sequence[tuple[float, float]]

    @property
    def centre(self) -> tuple[float, float]:
        """The mean of the seeds."""
        return fmean(x for x, _ in self.seeds), fmean(y for _, y in self.seeds)

    @property
    def spread(self) -> tuple[float, float]:
        """The sample standard deviations of the seeds; 0 for a single one."""
        if len(self.seeds) < 2:
            return 0.0, 0.0
        return stdev(x for x, _ in self.seeds), stdev(y for _, y in self.seeds)


CIDER = Axis("CIDEr", 100, "CIDEr × 100")
SELF_BLEU = Axis("self_bleu_4", 100, "← more varied: Self-BLEU-4 × 100, between images")
DISTINCT = Axis("distinct", 100, "more varied →: distinct captions, %")
FORWARD = Axis("forward_kl", 1, "KL[P‖Q], nats: what is true and not said")
REVERSE = Axis("reverse_kl", 1, "KL[Q‖P_δ], nats: what is said and not true")

MORE_FORWARD = Axis("forward_kl", 1, "KL[P‖Q], nats, above its start's")
MORE_REVERSE = Axis("reverse_kl", 1, "KL[Q‖P_δ], nats, above its start's")

PLANES = {
    "divergences": ("The two divergences", FORWARD, REVERSE),
    "quality-self-bleu": ("Quality against diversity", SELF_BLEU, CIDER),
    "quality-distinct": ("Quality against diversity", DISTINCT, CIDER),
}


def planes(rows: Sequence[Compared]) -> dict[str, Drawing]:
    """Draw, by name, each plane on which any row has a position."""
    found = {}
    for name, (title, x, y) in PLANES.items():
        points = [
            Point(row.name, place, seeds, path(row, x, y))
            for place, row in enumerate(rows)
            if (seeds := list(positions(map(record, row.evaluations), x, y)))
        ]
        if points:
            whole = [evaluation for row in rows for evaluation in row.evaluations]
            found[name] = draw(name, title, (x, y), points, landmarks(whole[0], x, y))
    if departed := moved(rows):
        found["departures"] = draw(
            "departures",
            "What training changed",
            (MORE_FORWARD, MORE_REVERSE),
            departed,
            {"start": (0.0, 0.0)},
        )
    return found


def moved(rows: Sequence[Compared]) -> list[Point]:
    """Place each row at how far training took it from the runs that it began from."""
    found = departures(rows)
    places = {row.name: place for place, row in enumerate(rows)}
    return [
        Point(name, places[name], seeds, ())
        for name, records in found.items()
        if (seeds := list(positions(records, MORE_FORWARD, MORE_REVERSE)))
    ]


def record(evaluation: Evaluation) -> Record:
    """Return all numbers of an evaluation that a plane can show."""
    varied = evaluation.diversity.get("captioner", {})
    return {**varied, **evaluation.metrics, **evaluation.divergences}


def positions(records: Iterable[Record], x: Axis, y: Axis) -> Iterable[tuple[float, float]]:
    """Yield the positions of those records that have both numbers."""
    for each in records:
        if x.column in each and y.column in each:
            yield x.scale * each[x.column], y.scale * each[y.column]


def path(row: Compared, x: Axis, y: Axis) -> list[tuple[float, float]]:
    """Return the first seed's path over temperatures, the greedy limit first."""
    sweeps = [sweep for run in row.runs[:1] for sweep in read_sweeps(run)]
    its = [sweep for sweep in sweeps if sweep.split == row.evaluations[0].split]
    return [place for sweep in its[:1] for place in positions(sweep.points, x, y)]


def landmarks(evaluation: Evaluation, x: Axis, y: Axis) -> dict[str, tuple[float, float]]:
    """Return the positions of people and of the true law, as references."""
    found = {}
    for name in BESIDE:
        known = {**evaluation.diversity.get(name, {}), **evaluation.rows.get(name, {})}
        for each in positions([known], x, y):
            found[name] = each
    return found


def draw(
    name: str,
    title: str,
    axes_of: tuple[Axis, Axis],
    points: Sequence[Point],
    beside: Mapping[str, tuple[float, float]],
) -> Drawing:
    """Draw each row as its mean ± one standard deviation, and its seeds as dots."""
    x, y = axes_of

    def onto(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        set_up(axes, title, theme)
        axes.grid(axis="x", color=theme.line, linewidth=0.8)
        axes.set_xlabel(x.name, fontsize=9, color=theme.ink)
        axes.set_ylabel(y.name, fontsize=9, color=theme.ink)
        axes.margins(0.1)
        for place in beside.values():
            axes.plot(*place, "D", color=theme.ink, markersize=6, markerfacecolor="none")
        for point in points:
            draw_point(axes, point, theme)
        for height, (label, place) in zip((7.0, -14.0), beside.items(), strict=False):
            write(axes, label, place, height, theme)

    words = "; ".join("{}: {:.4g}, {:.4g}".format(p.name, *p.centre) for p in points)
    return both(name, f"{title}. {x.name}, and {y.name}: {words}.", SIZE, onto)


def draw_point(axes: Axes, point: Point, theme: Theme) -> None:
    """Draw one row."""
    key = Key(point.place)
    colour = key.colour(theme)
    if point.path:
        axes.plot(*zip(*point.path, strict=True), color=colour, linewidth=1.2, alpha=0.6, zorder=1)
    if len(point.seeds) > 1:
        axes.plot(*zip(*point.seeds, strict=True), ".", color=colour, markersize=4, alpha=0.5)
    x_spread, y_spread = point.spread
    axes.errorbar(
        *point.centre,
        xerr=x_spread or None,
        yerr=y_spread or None,
        fmt=key.marker,
        color=colour,
        markersize=8,
        markerfacecolor="none" if key.hollow else colour,
        elinewidth=1.4,
        zorder=3,
    )


def write(axes: Axes, text: str, place: tuple[float, float], height: float, theme: Theme) -> None:
    """Write text `height` points above a position, towards the middle of the plane."""
    left = place[0] > sum(axes.get_xlim()) / 2
    axes.annotate(
        text,
        place,
        (4 if left else -4, height),
        textcoords="offset points",
        ha="right" if left else "left",
        fontsize=9,
        color=theme.ink,
        path_effects=[withStroke(linewidth=2.5, foreground=theme.ground)],
    )
