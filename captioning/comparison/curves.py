"""Training curves of all rows together, one drawing per quantity."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from captioning.comparison.compared import Compared
from captioning.comparison.keys import Key
from captioning.report.curves import Curve, Panel, epoch_means, panels, read_log
from captioning.report.drawing import SIZE
from captioning.report.html import Drawing, both
from captioning.report.style import Theme, set_up
from captioning.runs import Run

VALIDATION = "validation"


class Band(NamedTuple):
    """A curve of several seeds, from left to right.

    Attributes:
        epochs: Where at least one seed has a value.
        means: Over the seeds that have a value; NaN if one of these is not finite.
        deviations: Sample standard deviations; 0 where only one seed has a value.
    """

    epochs: tuple[float, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]


def drawings(rows: Sequence[Compared]) -> list[Drawing]:
    """Draw each quantity that any row logged, those with validation first.

    Validation is shown if there is any, else the mean of each epoch of training.
    """
    found: dict[str, tuple[Panel, dict[str, Band]]] = {}
    logged = {row.name: [read_panels(run) for run in row.runs] for row in rows}
    for name, runs in logged.items():
        for quantity in dict.fromkeys(quantity for run in runs for quantity in run):
            seeds = [run[quantity] for run in runs if quantity in run]
            _, bands = found.setdefault(quantity, (seeds[0], {}))
            bands[name] = band([chosen(panel) for panel in seeds])
    order = sorted(found, key=lambda quantity: VALIDATION not in found[quantity][0].summary)
    places = {row.name: place for place, row in enumerate(rows)}
    return [draw(*found[quantity], places) for quantity in order]


def read_panels(run: Run) -> dict[str, Panel]:
    """Read a run's log as panels, by quantity; none if there is no log."""
    return {panel.quantity: panel for panel in panels(read_log(run.logs / "metrics.csv"))}


def chosen(panel: Panel) -> Curve:
    """Return the validation curve if there is one, else the epoch means of training."""
    validated = [curve for curve in panel.curves if curve.label == VALIDATION]
    return validated[0] if validated else epoch_means(panel.curves[0])


def band(curves: Sequence[Curve]) -> Band:
    """Join the curves of several seeds, which may differ in length."""
    values: dict[float, list[float]] = {}
    for curve in curves:
        for epoch, value in zip(curve.epochs, curve.values, strict=True):
            values.setdefault(round(epoch, 2), []).append(value)
    epochs = tuple(sorted(values))
    return Band(
        epochs,
        tuple(float(np.mean(values[epoch])) for epoch in epochs),
        tuple(float(np.std(values[e], ddof=1)) if len(values[e]) > 1 else 0.0 for e in epochs),
    )


def draw(panel: Panel, bands: Mapping[str, Band], places: Mapping[str, int]) -> Drawing:
    """Draw one quantity: each row's mean as a line, with a band of ± one standard deviation."""
    stage = VALIDATION if chosen(panel).label == VALIDATION else "training, epoch means"

    def onto(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        set_up(axes, panel.title, theme)
        axes.set_title(stage, loc="right", fontsize=9, pad=10, color=theme.ink)
        axes.set_xlabel("epoch", fontsize=9, color=theme.ink)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        for name, each in bands.items():
            key = Key(places[name])
            low, high = (
                [m + sign * d for m, d in zip(each.means, each.deviations, strict=True)]
                for sign in (-1, 1)
            )
            axes.fill_between(each.epochs, low, high, color=key.colour(theme), alpha=0.18, lw=0)
            axes.plot(
                each.epochs,
                each.means,
                color=key.colour(theme),
                linestyle=key.dashes,
                linewidth=1.8,
                marker=key.marker,
                markerfacecolor="none" if key.hollow else None,
                markersize=4,
                markevery=max(1, len(each.epochs) // 10),
            )

    ends = ", ".join(f"{name} ends at {each.means[-1]:.4g}" for name, each in bands.items())
    words = f"{panel.title}, {stage}, against epochs: {ends}."
    return both(f"curve-{panel.quantity}", words, SIZE, onto)
