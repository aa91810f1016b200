"""Drawings of the laboratory, each for a light and for a dark page."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, NullLocator
from numpy import ndarray

from captioning.lab.claims import shown
from captioning.report.html import Drawing, both
from captioning.report.style import Theme, set_up

MARKERS = "osD^v"
"""One per colour, so that either of the two identifies points."""

SIZE = (5.0, 3.6)
"""Width and height of a plot, in inches."""


class Frame(NamedTuple):
    """Title, labels and scales of a plot; a scale is one of Matplotlib's, such as "log"."""

    title: str
    x: str
    y: str
    x_scale: str = "linear"
    y_scale: str = "linear"


class Series(NamedTuple):
    """Points from left to right: a line if they are exact, markers with error bars if measured.

    Attributes:
        label: Their label in the legend.
        x: In the unit of the axis.
        y: In the unit of the axis.
        spread: Standard deviations of y over seeds, None for a single seed; None instead of a list
            if y is exact.
        x_spread: The same for x.
        names: Text next to the points.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    spread: Sequence[float | None] | None = None
    x_spread: Sequence[float | None] | None = None
    names: Sequence[str] = ()

    @property
    def summary(self) -> str:
        """The first and last points in words."""
        ends = (f"{shown(self.y[place])} at {shown(self.x[place])}" for place in (0, -1))
        return f"{self.label} from {' to '.join(ends)}"


class Estimates(NamedTuple):
    """A number for each of several rows, with standard errors; NaN if there is none."""

    label: str
    values: Sequence[float]
    errors: Sequence[float]


class Contours(NamedTuple):
    """Two densities over one rectangle: y increases along the rows, x along the columns."""

    x: Float[ndarray, " x"]
    y: Float[ndarray, " y"]
    truth: Float[ndarray, "y x"]
    fitted: Float[ndarray, "y x"]


def plot(name: str, frame: Frame, series: Sequence[Series]) -> Drawing:
    """Plot up to five series: lines for exact ones, with markers for measured ones over them."""

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        set_up(axes, frame.title, theme)
        axes.set_xlabel(frame.x, fontsize=9, color=theme.ink)
        axes.set_ylabel(frame.y, fontsize=9, color=theme.ink)
        axes.set_xscale(frame.x_scale)
        axes.set_yscale(frame.y_scale)
        axes.margins(0.12, 0.08)
        for place, each in enumerate(series):
            _draw_series(axes, each, theme.curves[place], MARKERS[place])
            _write_names(axes, each, theme)
        if frame.x_scale != "linear":
            ticks = sorted({x for each in series for x in each.x})
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.xaxis.set_minor_locator(NullLocator())
        axes.legend(frameon=False, fontsize=9, labelcolor=theme.ink)

    ends = "; ".join(each.summary for each in series)
    return both(name, f"{frame.title}. {frame.y}, against {frame.x}: {ends}.", SIZE, draw)


def dots(
    name: str, title: str, quantity: str, rows: Sequence[str], estimates: Sequence[Estimates]
) -> Drawing:
    """Plot positive numbers with standard errors on a logarithmic axis, up to five per row."""
    offsets = np.linspace(-0.18, 0.18, len(estimates)) if len(estimates) > 1 else [0.0]

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.add_subplot()
        set_up(axes, title, theme)
        _set_up_rows(axes, rows, theme)
        axes.set_xlabel(quantity, fontsize=9, color=theme.ink)
        axes.set_xscale("log")
        for place, (each, offset) in enumerate(zip(estimates, offsets, strict=True)):
            heights = [row + offset for row in range(len(rows))]
            series = Series(each.label, each.values, heights, x_spread=each.errors)
            _draw_marks(axes, series, theme.curves[place], MARKERS[place])
        least, greatest = axes.get_xlim()
        if greatest < 100 * least:
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(lambda tick, _: f"{tick:g}")
        axes.xaxis.set_minor_locator(NullLocator())
        figure.legend(
            loc="outside lower center",
            ncols=3,
            frameon=False,
            fontsize=9,
            labelcolor=theme.ink,
        )

    words = "; ".join(
        f"{each.label}, {row}: {shown(value)}"
        for each in estimates
        for row, value in zip(rows, each.values, strict=True)
        if not math.isnan(value)
    )
    size = (5.6, 1.6 + 0.45 * len(rows))
    return both(name, f"{title}. {quantity}: {words}.", size, draw)


def contours(
    name: str, words: str, columns: Sequence[str], rows: Mapping[str, Sequence[Contours]]
) -> Drawing:
    """Draw a grid of panels: P as filled contours, and lines around the fitted Q."""

    def draw(figure: Figure, theme: Theme) -> None:
        panels = figure.subplots(len(rows), len(columns), squeeze=False)
        for axes, title in zip(panels[0], columns, strict=True):
            axes.set_title(title, fontsize=10.5, color=theme.ink)
        for line, (label, row) in zip(panels, rows.items(), strict=True):
            line[0].set_ylabel(label, fontsize=10.5, color=theme.ink)
            for axes, panel in zip(line, row, strict=True):
                _draw_contours(axes, panel, theme)

    return both(name, words, (2 * len(columns) + 0.3, 2 * len(rows) + 0.4), draw)


def _set_up_rows(axes: Axes, rows: Sequence[str], theme: Theme) -> None:
    """Label rows from top to bottom, with a line between them."""
    axes.set_yticks(range(len(rows)), rows)
    axes.set_yticks([row + 0.5 for row in range(len(rows) - 1)], minor=True)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.grid(axis="y", which="minor", color=theme.line, linewidth=0.8)


def _draw_series(axes: Axes, series: Series, colour: str, marker: str) -> None:
    if series.spread is not None:
        _draw_marks(axes, series, colour, marker)
    else:
        size = 3.5 if len(series.x) <= 12 else 0
        axes.plot(
            series.x,
            series.y,
            color=colour,
            linewidth=1.8,
            marker="o",
            markersize=size,
            label=series.label,
        )


def _draw_marks(axes: Axes, series: Series, colour: str, marker: str) -> None:
    """Draw hollow markers, which do not hide what is beneath them."""
    axes.errorbar(
        series.x,
        series.y,
        xerr=_bars(series.x_spread),
        yerr=_bars(series.spread),
        fmt=marker,
        color=colour,
        markersize=7,
        markerfacecolor="none",
        markeredgewidth=1.5,
        elinewidth=1.5,
        label=series.label,
    )


def _bars(spread: Sequence[float | None] | None) -> list[float] | None:
    """Return the lengths of error bars; a single seed has none."""
    return None if spread is None else [each or 0.0 for each in spread]


def _write_names(axes: Axes, series: Series, theme: Theme) -> None:
    """Write names above and to the right of points, clear of a path that falls and levels off."""
    halo = withStroke(linewidth=2.5, foreground=theme.ground)
    for name, x, y in zip(series.names, series.x, series.y, strict=bool(series.names)):
        axes.annotate(
            name,
            (x, y),
            (4, 6),
            textcoords="offset points",
            ha="left",
            va="bottom",
            fontsize=9,
            color=theme.ink,
            path_effects=[halo],
            zorder=4,
        )


def _draw_contours(axes: Axes, panel: Contours, theme: Theme) -> None:
    """Draw P filled and Q as lines, at levels of a Gaussian at half, one … standard deviations."""
    truth, fitted, *_ = theme.curves
    shades = LinearSegmentedColormap.from_list("truth", [theme.ground, truth])
    heights = np.exp(-np.square([2.5, 2.0, 1.5, 1.0, 0.5, 0.0]) / 2)
    axes.contourf(
        panel.x,
        panel.y,
        panel.truth,
        heights * panel.truth.max(),
        colors=shades(np.linspace(0.2, 1.0, 5)),
    )
    lines = heights[[1, 3]] * panel.fitted.max()
    axes.contour(panel.x, panel.y, panel.fitted, lines, colors=fitted, linewidths=1.6)
    axes.set(aspect="equal", xticks=[], yticks=[], facecolor=theme.ground)
    axes.spines[:].set_color(theme.line)
