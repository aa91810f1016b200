"""What the drawings of a comparison are made of, before it is ink."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from captioning.comparison import curves, planes
from captioning.comparison.curves import band, chosen
from captioning.comparison.keys import Key
from captioning.comparison.planes import (
    CIDER,
    FORWARD,
    REVERSE,
    SELF_BLEU,
    Point,
    landmarks,
    moved,
    path,
    positions,
)
from captioning.report.curves import Curve, Panel
from captioning.report.style import DARK, LIGHT
from tests.comparison.tiny_comparison import begin_from, compared


def test_a_band_is_mean_and_deviation_of_the_seeds_that_go_so_far() -> None:
    long = Curve("validation", (1.0, 2.0, 3.0), (1.0, 4.0, 5.0))
    short = Curve("validation", (1.0, 2.001), (3.0, 4.0))
    found = band([long, short])
    assert found.epochs == (1.0, 2.0, 3.0)
    assert found.means == (2.0, 4.0, 5.0)
    assert found.deviations == pytest.approx((math.sqrt(2), 0.0, 0.0))


def test_a_value_that_was_not_finite_leaves_a_gap() -> None:
    curve = Curve("validation", (1.0, 2.0), (math.nan, 4.0))
    found = band([curve, curve])
    assert math.isnan(found.means[0])
    assert found.means[1] == 4.0


def test_validation_is_chosen_and_else_the_epochs_means_of_training() -> None:
    training = Curve("training", (0.5, 1.0, 1.5, 2.0), (1.0, 3.0, 5.0, 7.0))
    validation = Curve("validation", (1.0,), (2.0,))
    assert chosen(Panel("cross_entropy", (training, validation))) == validation
    assert chosen(Panel("reward", (training,))).values == (2.0, 6.0)


def test_curves_of_all_rows_share_a_drawing_and_validated_ones_come_first(tmp_path: Path) -> None:
    log = "epoch,step,train/reward,val/CIDEr-D\n0,9,0.5,\n0,9,,{}\n1,19,,{}\n"
    rows = [compared(tmp_path, name, [[1.0], [1.0]]) for name in ("base", "other")]
    for row, last in zip(rows, (0.5, 0.7), strict=True):
        for run in row.runs:
            run.logs.mkdir()
            (run.logs / "metrics.csv").write_text(log.format(0.1, last))
    first, second = curves.drawings([*rows, replace(rows[0], name="no log", runs=())])
    assert first.words == (
        "CIDEr-D × 100, validation, against epochs: base ends at 50, other ends at 70."
    )
    assert second.name == "curve-reward"
    assert first.light != first.dark


def test_a_point_is_the_mean_of_its_seeds_with_their_deviations() -> None:
    point = Point("base", 0, [(1.0, 10.0), (3.0, 10.0)], [])
    assert point.centre == (2.0, 10.0)
    assert point.spread == pytest.approx((math.sqrt(2), 0.0))
    assert Point("base", 0, [(1.0, 10.0)], []).spread == (0.0, 0.0)


def test_only_what_has_both_numbers_has_a_place(tmp_path: Path) -> None:
    records = [{"CIDEr": 0.5, "self_bleu_4": 0.9}, {"CIDEr": 0.5}]
    assert list(positions(records, SELF_BLEU, CIDER)) == [(90.0, 50.0)]
    (evaluation,) = compared(tmp_path, "base", [[1.0]]).evaluations
    human = replace(evaluation, diversity={"human": {"self_bleu_4": 0.5}})
    assert landmarks(human, SELF_BLEU, CIDER) == {"human": (50.0, 200.0)}


def test_a_row_stands_where_training_took_it(tmp_path: Path) -> None:
    base = compared(tmp_path, "base", [[1.0]], divergences={"forward_kl": 1.0, "reverse_kl": 8.0})
    other = compared(tmp_path, "other", [[1.0]], divergences={"forward_kl": 1.5, "reverse_kl": 6.0})
    assert moved([base, other]) == []
    begin_from(other, base)
    assert moved([base, other]) == [Point("other", 1, [(0.5, -2.0)], ())]
    assert "above its start's: other: 0.5, -2" in planes.planes([base, other])["departures"].words


def test_a_row_goes_over_the_temperature_as_its_first_seed_was_sampled(tmp_path: Path) -> None:
    row = compared(tmp_path, "base", [[1.0], [1.0]])
    for run, alike in zip(row.runs, (0.9, 0.1), strict=True):
        for split in ("test", "val"):
            sweep = {
                "split": split,
                "rows": {},
                "diversity": {},
                "points": [
                    {"temperature": 0.0, "CIDEr": 0.5, "self_bleu_4": alike, "mutual_bleu_4": 1.0},
                    {"temperature": 1.0, "CIDEr": 0.25, "self_bleu_4": 0.5, "mutual_bleu_4": 0.5},
                ],
            }
            folder = run.evaluation_folder(split, "temperatures")
            folder.mkdir(parents=True)
            (folder / "temperatures.json").write_text(json.dumps(sweep))
    assert path(row, SELF_BLEU, CIDER) == [(90.0, 50.0), (50.0, 25.0)]
    assert path(row, FORWARD, REVERSE) == []


def test_planes_are_drawn_where_their_numbers_are(tmp_path: Path) -> None:
    law = {"forward_kl": 1.5, "reverse_kl": 20.0}
    known = compared(tmp_path, "base", [[1.0]], divergences=law)
    found = planes.planes([known])
    assert list(found) == ["divergences"]
    assert found["divergences"].words.endswith("base: 1.5, 20.")
    assert planes.planes([compared(tmp_path, "other", [[1.0]])]) == {}
    varied = {"captioner": {"distinct": 0.5}}
    said = compared(tmp_path, "said", [[1.0]], diversity=varied)  # type: ignore[arg-type]
    words = planes.planes([said])["quality-distinct"].words
    assert "distinct captions, %, and CIDEr × 100: said: 50, 100." in words


def test_sixteen_rows_can_be_told_apart_with_and_without_colour() -> None:
    keys = [Key(place) for place in range(16)]
    assert len({(key.marker, key.hollow) for key in keys}) == 16
    assert len({key.sign for key in keys}) == 16
    assert len({key.light for key in keys[:8]}) == len({key.dark for key in keys[:8]}) == 8
    assert Key(3).colour(LIGHT) != Key(3).colour(DARK)
