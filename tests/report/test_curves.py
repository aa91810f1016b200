"""Curves: from a log to panels, and panels drawn."""

import io
import math
from pathlib import Path

import pytest
from PIL import Image

from captioning.errors import InputError
from captioning.report.curves import Curve, epoch_means, panels, read_log
from captioning.report.drawing import draw
from captioning.report.style import DARK

LOG = """epoch,step,train/loss,train/truth_share,val/CIDEr-D
0,1,3.0,1.0,
0,3,2.0,0.75,
0,3,,,0.5
1,5,1.0,0.5,
1,7,0.5,0.25,
1,7,,,0.75
"""


def log(folder: Path, text: str) -> Path:
    (folder / "metrics.csv").write_text(text)
    return folder / "metrics.csv"


def test_steps_are_told_in_epochs_and_cider_d_times_100(tmp_path: Path) -> None:
    cider, share, loss = panels(read_log(log(tmp_path, LOG)))
    assert (cider.quantity, share.quantity, loss.quantity) == ("CIDEr-D", "truth_share", "loss")
    assert cider.curves == (Curve("validation", (1.0, 2.0), (50.0, 75.0)),)
    assert loss.curves == (Curve("training", (0.5, 1.0, 1.5, 2.0), (3.0, 2.0, 1.0, 0.5)),)


def test_training_and_validation_of_one_quantity_share_a_panel() -> None:
    row = {"epoch": 0.0, "step": 0.0}
    (panel,) = panels([row | {"train/loss": 2.0}, row | {"val/loss": 3.0}])
    assert [curve.label for curve in panel.curves] == ["training", "validation"]
    assert panel.summary == "Loss, against epochs: training ends at 2, validation ends at 3."


def test_a_curve_that_repeats_another_is_left_out() -> None:
    row = {"epoch": 0.0, "step": 0.0, "train/loss": 2.0, "train/cross_entropy": 2.0}
    assert [panel.quantity for panel in panels([row])] == ["cross_entropy"]


def test_after_a_resumption_the_later_value_of_a_step_counts() -> None:
    losses = [(0.0, 5.0), (1.0, 4.0), (1.0, 2.0), (2.0, 1.0)]
    rows = [{"epoch": 0.0, "step": step, "train/loss": loss} for step, loss in losses]
    assert panels(rows)[0].curves[0].values == (5.0, 2.0, 1.0)


@pytest.mark.parametrize("cut", ["1,9,0.", "1", "1,9\n", "1,9,0.25,0.5,,\n1,1"])
def test_lines_cut_short_by_a_kill_are_left_out(tmp_path: Path, cut: str) -> None:
    whole = read_log(log(tmp_path, LOG))
    assert len(whole) == 6
    assert read_log(log(tmp_path, LOG + cut)) == whole


@pytest.mark.parametrize("text", ["", "epoch,st", "epoch,step,train/loss\n"])
def test_a_log_that_holds_nothing_yet_has_no_panels(tmp_path: Path, text: str) -> None:
    assert panels(read_log(log(tmp_path, text))) == []
    assert panels(read_log(tmp_path / "no such file")) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch,step,loss\n0,0,1.0\n0,one,2.0\n", "metrics.csv, line 3: expected numbers, but"),
        ("epoch,step,loss\n0,0,\0\n", "metrics.csv, line 2: expected numbers, but"),
        ("time,loss\n1,2\n", "expected the columns epoch and step, got"),
    ],
)
def test_a_log_that_is_no_log_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_log(log(tmp_path, text))


def test_the_mean_of_an_epoch_stands_at_the_middle_of_its_points() -> None:
    curve = Curve("training", (0.5, 1.0, 1.5, 2.0), (3.0, 2.0, 1.0, 0.5))
    assert epoch_means(curve) == Curve("training, epoch mean", (0.75, 1.75), (2.5, 0.75))


def test_panels_are_drawn_two_in_a_line(tmp_path: Path) -> None:
    drawn = panels(read_log(log(tmp_path, LOG)))
    one, three = (Image.open(io.BytesIO(draw(drawn[:count]))).size for count in (1, 3))
    assert three == (2 * one[0], 2 * one[1])


def test_a_drawing_takes_the_colours_of_its_theme(tmp_path: Path) -> None:
    drawing = Image.open(io.BytesIO(draw(panels(read_log(log(tmp_path, LOG))), DARK)))
    assert "#{:02x}{:02x}{:02x}".format(*drawing.convert("RGB").getpixel((0, 0))) == DARK.ground


@pytest.mark.parametrize("column", ["train/loss", "val/CIDEr-D"])
def test_a_run_that_diverged_is_drawn_with_gaps(column: str) -> None:
    rows = [
        {"epoch": 0.0, "step": float(step), column: value}
        for step, value in enumerate([1.0, math.nan, math.inf, math.nan, math.nan, math.nan])
    ]
    assert draw(panels(rows)).startswith(b"\x89PNG")
    assert draw(panels(rows[1:2])).startswith(b"\x89PNG")
