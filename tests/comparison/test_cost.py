"""The table of what the rows cost."""

from dataclasses import replace
from pathlib import Path

from captioning.comparison.cost import cost
from captioning.finished import Finished, write_finished
from tests.comparison.tiny_comparison import compared

SCORES = [1.0, 2.0, 3.0]


def test_minutes_are_means_of_the_runs_that_nothing_interrupted(tmp_path: Path) -> None:
    row = compared(tmp_path, "base", [SCORES] * 3)
    for run, seconds in zip(row.runs, (60.0, 180.0, None), strict=True):
        write_finished(run, Finished(seconds, "AMD EPYC, 2 cores"))
    for run, last in zip(row.runs, (9, 9, 3), strict=True):
        run.logs.mkdir()
        (run.logs / "metrics.csv").write_text(f"epoch,step,val/CIDEr-D\n0,5,0.1\n{last},50,0.2\n")
    found = cost([row])
    assert found is not None
    assert list(found.headings) == ["minutes", "epochs", "hardware"]
    (line,) = found.lines
    texts = [cell.text for cell in line.cells]
    assert texts == ["2.0 ± 1.4", "8 ± 3", "AMD EPYC, 2 cores"]
    assert (line.seeds, line.place) == ("3", 0)


def test_what_is_unknown_is_a_dash_and_each_hardware_is_named_once(tmp_path: Path) -> None:
    old, moved = (compared(tmp_path, name, [SCORES] * 3) for name in ("old", "moved"))
    for run, hardware in zip(moved.runs, ("one", "two", "one"), strict=True):
        write_finished(run, Finished(None, hardware))
    found = cost([old, moved])
    assert found is not None
    texts = [[cell.text for cell in line.cells] for line in found.lines]
    assert texts == [["–", "–", "–"], ["–", "–", "one; two"]]


def test_rows_without_runs_of_their_own_are_left_out(tmp_path: Path) -> None:
    row = compared(tmp_path, "base", [SCORES])
    ensemble = replace(row, name="ensemble", runs=())
    found = cost([ensemble, row])
    assert found is not None
    assert [(line.name, line.place) for line in found.lines] == [("base", 1)]
    assert cost([ensemble]) is None
