"""The style of drawings: colours, axes and PNG output."""

import io
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

DOTS_PER_INCH = 160


class Theme(NamedTuple):
    """Colours of a drawing; those of the curves suit colour-blind readers."""

    ground: str
    ink: str
    line: str
    curves: tuple[str, ...]


LIGHT = Theme(
    "#ffffff",
    "#31363c",
    "#e1e4e8",
    ("#0b6bb0", "#cf550a", "#0a7f64", "#8a4fa8", "#7d6608", "#c22f6d", "#3f4a9c", "#5f6872"),
)
DARK = Theme(
    "#1b1f24",
    "#c6ccd2",
    "#363c44",
    ("#64b5f0", "#f2a15b", "#4fc9a4", "#cf9fe6", "#dcc34f", "#f58bb4", "#9aa7f5", "#9aa4ae"),
)


def blank(width: float, height: float, theme: Theme) -> Figure:
    """Make an empty figure; width and height are in inches."""
    return Figure(
        (width, height),
        dpi=DOTS_PER_INCH,
        facecolor=theme.ground,
        layout=ConstrainedLayoutEngine(w_pad=0.14, h_pad=0.14),
    )


def set_up(axes: Axes, title: str, theme: Theme) -> None:
    """Style axes with as little ink as possible."""
    axes.set_facecolor(theme.ground)
    axes.set_title(title, loc="left", fontsize=10.5, pad=10, color=theme.ink)
    axes.tick_params(which="both", length=0, labelsize=9, labelcolor=theme.ink)
    axes.grid(axis="y", color=theme.line, linewidth=0.8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(theme.line)


def as_png(figure: Figure) -> bytes:
    """Render a figure as PNG."""
    png = io.BytesIO()
    figure.savefig(png, format="png")
    return png.getvalue()
