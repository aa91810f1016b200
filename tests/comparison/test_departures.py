"""What training changed, seed by seed, and its table."""

from pathlib import Path

import pytest

from captioning.comparison.compared import Compared
from captioning.comparison.departures import departures
from captioning.comparison.table import Table, tables
from tests.comparison.tiny_comparison import begin_from, compared


def row(folder: Path, name: str, *seeds: float) -> Compared:
    """A row whose KL[P‖Q] is as given, and whose JS_.5/.25 is a tenth of it."""
    numbers = [
        {"divergences": {"forward_kl": kl, "outside": 0.5}, "js by prior": {"0.5": kl / 10}}
        for kl in seeds
    ]
    return compared(folder, name, [[1.0]] * len(seeds), each=numbers)


def changes(*rows: Compared) -> Table | None:
    return {table.name: table for table in tables(rows, {})}.get("changes")


def test_each_seed_departs_from_the_run_that_it_began_from(tmp_path: Path) -> None:
    base, other = row(tmp_path, "base", 1.0, 3.0), row(tmp_path, "other", 1.5, 3.25)
    assert departures([base, other]) == {}
    begin_from(other, base)
    first, second = departures([base, other])["other"]
    assert first == pytest.approx({"forward_kl": 0.5, "outside": 0.0, "js_0.5": 0.05})
    assert second == pytest.approx({"forward_kl": 0.25, "outside": 0.0, "js_0.5": 0.025})


def test_a_row_whose_start_is_in_no_row_departs_from_nothing_known(tmp_path: Path) -> None:
    base, other = row(tmp_path, "base", 1.0), row(tmp_path, "other", 1.5)
    begin_from(other, base)
    assert departures([other]) == {}


def test_the_table_of_changes_has_signs_spreads_and_the_lowest_in_bold(tmp_path: Path) -> None:
    base = row(tmp_path, "base", 1.0, 3.0)
    up, down = row(tmp_path, "up", 1.5, 3.3), row(tmp_path, "down", 0.5, 2.5)
    assert changes(base, up, down) is None
    begin_from(up, base)
    begin_from(down, base)
    table = changes(base, up, down)
    assert table is not None
    assert table.headings == ["KL[P‖Q], nats", "π = .5"]  # not what no objective minimises
    assert [line.name for line in table.lines] == ["up", "down"]
    # By hand: .5 and .3 have the mean .4 and the deviation .2 / √2.
    assert [cell.in_markdown for cell in table.lines[0].cells] == [
        "+0.400 ± 0.141",
        "+0.040 ± 0.014",
    ]
    assert [cell.in_markdown for cell in table.lines[1].cells] == [
        "**−0.500 ± 0.000**",
        "**−0.050 ± 0.000**",
    ]
