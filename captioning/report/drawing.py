"""Drawings of curves as PNG."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from captioning.report.curves import Curve, Panel, epoch_means
from captioning.report.style import LIGHT, Theme, as_png, blank, set_up

SIZE = (5.0, 3.2)
"""Width and height of a panel, in inches."""

DENSE = 4
"""Points per epoch above which a curve is drawn faintly, with the epochs' means over it."""


def draw(panels: Sequence[Panel], theme: Theme = LIGHT) -> bytes:
    """Draw one or more panels as one PNG, two in a row."""
    across = min(2, len(panels))
    down = math.ceil(len(panels) / across)
    figure = blank(SIZE[0] * across, SIZE[1] * down, theme)
    for place, panel in enumerate(panels, start=1):
        _draw_panel(figure.add_subplot(down, across, place), panel, theme)
    return as_png(figure)


def _draw_panel(axes: Axes, panel: Panel, theme: Theme) -> None:
    _set_up(axes, panel, theme)
    for curve in panel.curves:
        _draw_curve(axes, curve, _colour(curve, theme))
    if panel.quantity == "CIDEr-D":
        _mark_highest(axes, panel.curves[0], theme)
    elif len(panel.curves) > 1:
        axes.legend(frameon=False, fontsize=9, labelcolor=theme.ink)
    else:
        _annotate(axes, panel.curves[0].label, _colour(panel.curves[0], theme))


def _set_up(axes: Axes, panel: Panel, theme: Theme) -> None:
    set_up(axes, panel.title, theme)
    axes.set_xlabel("epoch", fontsize=9, color=theme.ink)
    axes.set_xlim(0, max(curve.epochs[-1] for curve in panel.curves) * 1.04)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _colour(curve: Curve, theme: Theme) -> str:
    training, validation, *_ = theme.curves
    return validation if curve.label == "validation" else training


def _annotate(axes: Axes, text: str, colour: str) -> None:
    """Write text above the right end of a panel, where nothing is drawn."""
    axes.set_title(text, loc="right", fontsize=9, pad=10, color=colour)


def _draw_curve(axes: Axes, curve: Curve, colour: str) -> None:
    """Draw a curve; a dense one is drawn faintly, with the epochs' means over it."""
    if len(curve.epochs) > DENSE * max(curve.epochs[-1], 1):
        axes.plot(curve.epochs, curve.values, color=colour, linewidth=0.6, alpha=0.35)
        curve = epoch_means(curve)
    axes.plot(
        curve.epochs,
        curve.values,
        color=colour,
        linewidth=1.8,
        marker="o",
        markersize=3.5 if len(curve.epochs) <= 40 else 0,
        label=curve.label,
    )


def _mark_highest(axes: Axes, curve: Curve, theme: Theme) -> None:
    """Mark the highest point, by which the best checkpoint is chosen."""
    points = [p for p in zip(curve.values, curve.epochs, strict=True) if not math.isnan(p[0])]
    if points:
        value, epoch = max(points, key=lambda point: point[0])
        axes.plot([epoch], [value], marker="o", color=_colour(curve, theme), markersize=7)
        _annotate(axes, f"best {value:.1f}, epoch {epoch:.3g}", _colour(curve, theme))
