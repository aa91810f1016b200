"""Curves of what a run logged, by quantity, against epochs."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from captioning.data.reading import read_text
from captioning.errors import InputError

Row = Mapping[str, float]
"""One line of a log, without empty cells."""

TITLES = {
    "CIDEr-D": "CIDEr-D × 100",
    "cross_entropy": "Cross-entropy, nats per word",
    "reward": "Reward of drawn captions",
    "entropy": "Entropy of the captioner, nats per word",
    "distinct": "Distinct captions, share",
    "words": "Length of captions, words",
    "bad_endings": "Bad endings, share",
    "truth_share": "True words fed, share",
    "temperature": "Temperature of relaxed words",
    "accuracy": "Discriminator's accuracy",
    "calibration_error": "Discriminator's calibration error",
    "log_ratio": "Log P/Q of generated captions, nats",
    "gradient_norm": "Length of the captioner's gradient",
    "discriminator_gradient_norm": "Length of the discriminator's gradient",
}
"""Quantities with their units, the most important first; others appear under their own names."""

STAGES = {"train": "training", "val": "validation"}


class Curve(NamedTuple):
    """Points from left to right; values that were not finite are NaN."""

    label: str
    epochs: tuple[float, ...]
    values: tuple[float, ...]


class Panel(NamedTuple):
    """One quantity, with its comparable curves."""

    quantity: str
    curves: tuple[Curve, ...]

    @property
    def title(self) -> str:
        """The quantity with its unit."""
        name = self.quantity.replace("_", " ")
        return TITLES.get(self.quantity, name[:1].upper() + name[1:])

    @property
    def summary(self) -> str:
        """A description of the drawing in words."""
        ends = [f"{curve.label} ends at {curve.values[-1]:.4g}".strip() for curve in self.curves]
        return f"{self.title}, against epochs: {', '.join(ends)}."


def read_log(path: Path) -> list[Row]:
    """Read the rows of Lightning's CSV log; none if there is no file.

    Truncated lines, left by a killed process, are skipped.
    """
    if not path.exists():
        return []
    whole, _, _cut = read_text(path).rpartition("\n")
    reader = csv.reader(io.StringIO(whole))
    try:
        header = next(reader, [])
        if header and not {"epoch", "step"} <= set(header):
            raise InputError(f"{path}: expected the columns epoch and step, got {header!r:.80}")
        rows = [_row(header, cells) for cells in reader if len(cells) == len(header)]
    except (csv.Error, ValueError) as error:
        where = f"{path}, line {reader.line_num}"
        raise InputError(f"{where}: expected numbers, but {error}; remove the line") from error
    return [row for row in rows if {"epoch", "step"} <= row.keys()]


def _row(header: Sequence[str], cells: Sequence[str]) -> Row:
    return {name: float(cell) for name, cell in zip(header, cells, strict=True) if cell}


def panels(rows: Sequence[Row]) -> list[Panel]:
    """Make a panel for each quantity; `train/loss` and `val/loss` share one.

    The conversion of steps to epochs is exact from the end of the first epoch on. If a step was
    logged twice, before and after resuming, the second time counts. A curve that repeats an earlier
    one, as the loss of teacher forcing repeats its cross-entropy, is left out.
    """
    steps_per_epoch = max(((row["step"] + 1) / (row["epoch"] + 1) for row in rows), default=1.0)
    columns = dict.fromkeys(name for row in rows for name in row if name not in ("epoch", "step"))
    found: dict[str, list[Curve]] = {quantity: [] for quantity in TITLES}
    drawn: set[Curve] = set()
    for column in sorted(columns, key=lambda column: _quantity(column) not in TITLES):
        curve = _curve(rows, column, steps_per_epoch)
        if curve not in drawn:
            drawn.add(curve)
            found.setdefault(_quantity(column), []).append(curve)
    return [Panel(quantity, tuple(curves)) for quantity, curves in found.items() if curves]


def _quantity(column: str) -> str:
    return column.rpartition("/")[2]


def _curve(rows: Sequence[Row], column: str, steps_per_epoch: float) -> Curve:
    stage = column.rpartition("/")[0]
    scale = 100.0 if _quantity(column) == "CIDEr-D" else 1.0
    points = sorted({row["step"]: row[column] for row in rows if column in row}.items())
    return Curve(
        STAGES.get(stage, stage),
        tuple((step + 1) / steps_per_epoch for step, _ in points),
        tuple(scale * value if math.isfinite(value) else math.nan for _, value in points),
    )


def epoch_means(curve: Curve) -> Curve:
    """Return the mean of each epoch, at the middle of its points."""
    points: dict[int, list[tuple[float, float]]] = {}
    for epoch, value in zip(curve.epochs, curve.values, strict=True):
        points.setdefault(math.ceil(epoch), []).append((epoch, value))
    return Curve(
        f"{curve.label}, epoch mean",
        tuple(fmean(epoch for epoch, _ in group) for group in points.values()),
        tuple(fmean(value for _, value in group) for group in points.values()),
    )
