"""The tables of a comparison: what is bold, what is marked, what stands beside."""

from dataclasses import replace
from pathlib import Path

from captioning.comparison.compared import Compared
from captioning.comparison.significance import Contrast, Interval
from captioning.comparison.table import (
    Cell,
    Table,
    against_baseline,
    mark,
    of_other_data,
    p_text,
    tables,
)
from tests.comparison.tiny_comparison import compared, published


def by_name(*rows: Compared) -> dict[str, Table]:
    return {table.name: table for table in tables(rows, {})}


def column(table: Table, heading: str) -> dict[str, Cell]:
    place = list(table.headings).index(heading)
    return {line.name: line.cells[place] for line in table.lines}


def test_the_highest_cider_and_the_least_divergence_are_bold(tmp_path: Path) -> None:
    rows = (
        compared(tmp_path, "base", [[1.0], [2.0]], divergences={"forward_kl": 1.5}),
        compared(tmp_path, "above", [[3.0]], divergences={"forward_kl": 2.5}),
    )
    found = by_name(*rows)
    cider = column(found["quality"], "CIDEr")
    # 1 and 2: mean 1.5, deviation 1 / √2; times 100.
    assert cider["base"] == Cell("150.0 ± 70.7")
    assert cider["above"] == Cell("300.0", best=True)
    assert cider["human"] == Cell("200.0")  # is no row, and never best
    divergence = column(found["law"], "KL[P‖Q], nats")
    assert {name: cell.best for name, cell in divergence.items()} == {"base": True, "above": False}


def test_the_least_divergence_at_each_prior_is_bold(tmp_path: Path) -> None:
    rows = (
        compared(tmp_path, "base", [[1.0]], **{"js by prior": {"0.01": 1.2, "0.99": 2.8}}),
        compared(tmp_path, "b", [[1.0]], **{"js by prior": {"0.01": 1.3, "0.99": 2.6}}),
    )
    table = by_name(*rows)["priors"]
    assert table.headings == ["π = .01", "π = .99"]
    assert column(table, "π = .01") == {"base": Cell("1.200", best=True), "b": Cell("1.300")}
    assert column(table, "π = .99") == {"base": Cell("2.800"), "b": Cell("2.600", best=True)}


def test_the_entropy_of_the_true_law_stands_below_those_of_the_captioners(tmp_path: Path) -> None:
    numbers = {"forward_kl": 0.5, "entropy": 5.25, "true_entropy": 4.5}
    table = by_name(compared(tmp_path, "base", [[1.0], [2.0]], divergences=numbers))["law"]
    assert table.headings == ["KL[P‖Q], nats", "H[Q], nats"]
    entropies = column(table, "H[Q], nats")
    assert entropies == {"base": Cell("5.250 ± 0.000"), "true distribution": Cell("4.500")}
    assert column(table, "KL[P‖Q], nats")["true distribution"] == Cell("–")


def test_what_shows_alike_is_alike_best_and_a_row_alone_is_not(tmp_path: Path) -> None:
    one, other = (compared(tmp_path, name, [[1.0]]) for name in ("base", "same"))
    both = column(by_name(one, other)["quality"], "BLEU-4")
    assert [both[name].best for name in ("base", "same")] == [True, True]
    assert not column(by_name(one)["quality"], "CIDEr")["base"].best


def test_of_captions_lengths_none_is_best(tmp_path: Path) -> None:
    varied = {"captioner": {"length": 9.0}, "human": {"length": 10.0}}
    rows = [compared(tmp_path, n, [[1.0]], diversity=varied) for n in ("base", "b")]
    lengths = column(by_name(*rows)["variety"], "length, words")
    assert lengths == {"base": Cell("9.0"), "b": Cell("9.0"), "human": Cell("10.0")}


def test_published_numbers_stand_under_their_row_with_the_number_of_their_source(
    tmp_path: Path,
) -> None:
    row = replace(compared(tmp_path, "base", [[1.0]]), published=published(CIDEr=89.5))
    table = by_name(row)["quality"]
    assert [line.name for line in table.lines] == ["base", "published [1]", "human"]
    assert column(table, "CIDEr")["published [1]"] == Cell("89.5")
    assert column(table, "BLEU-4")["published [1]"] == Cell("")
    assert of_other_data([row]) is None


def test_a_published_metric_that_no_row_has_gets_a_column(tmp_path: Path) -> None:
    row = replace(compared(tmp_path, "base", [[1.0]]), published=published(SPICE=17.87))
    spice = column(by_name(row)["quality"], "SPICE")
    assert spice == {"base": Cell("–"), "published [1]": Cell("17.9"), "human": Cell("–")}
    other = replace(row, published=published("coco", SPICE=17.87))
    assert "SPICE" not in by_name(other)["quality"].headings


def test_what_is_published_of_other_data_has_a_table_of_its_own(tmp_path: Path) -> None:
    row = replace(compared(tmp_path, "base", [[1.0]]), published=published("coco", CIDEr=89.5))
    quality, *_ = tables([row], {})
    assert [line.name for line in quality.lines] == ["base", "human"]
    table = of_other_data([row])
    assert table is not None
    assert (table.title, table.seeded) == ("Published, of coco", False)
    assert [(line.name, line.cells) for line in table.lines] == [("base [1]", [Cell("89.5")])]


def test_a_failed_row_is_a_line_with_its_reason(tmp_path: Path) -> None:
    failed = Compared("lost", "base", failures=("lost, seed 0: failed: no memory",))
    table = by_name(compared(tmp_path, "base", [[1.0]]), failed)["quality"]
    (line,) = (line for line in table.lines if line.kind == "failure")
    assert (line.name, line.cells[0].text) == ("lost", "lost, seed 0: failed: no memory")
    assert "| lost | lost, seed 0: failed: no memory |" in table.in_markdown


def test_a_sign_tells_a_difference_that_chance_does_not_explain() -> None:
    interval = Interval(0.1, 0.3)
    assert mark("1.0", None, Contrast(0.2, None, interval, 0.049, 0.1)).sign == "▲"
    assert mark("1.0", None, Contrast(-0.2, None, interval, 0.049, 0.1)).sign == "▼"
    assert mark("1.0", None, Contrast(0.2, None, interval, 0.05, 0.001)) == Cell(
        "1.0", hint="p = 0.0500 over images, corrected"
    )
    assert mark("1.0 ± 0.1", "1.0", None).in_markdown == "**1.0 ± 0.1**"


def test_the_table_of_tests_has_no_column_that_would_be_empty(tmp_path: Path) -> None:
    row = compared(tmp_path, "above", [[1.0]])
    paired = Contrast(-0.1234, None, Interval(-0.2, 0.05), 0.0004, None)
    table = against_baseline([row], {"above": {"CIDEr": paired, "Bleu_4": paired}})
    assert table is not None
    assert list(table.headings) == ["CIDEr, difference", "95% interval", "p over images"]
    assert [cell.text for cell in table.lines[0].cells] == ["−12.3", "−20.0 to +5.0", "0.0004"]
    seeds = Contrast(1.25, 0.5, None, None, 0.1)
    table = against_baseline([row], {"above": {"forward_kl": seeds}})
    assert table is not None
    assert [cell.text for cell in table.lines[0].cells] == ["+1.250 ± 0.500", "0.10"]
    assert against_baseline([row], {}) is None


def test_small_p_values_keep_their_digits() -> None:
    assert [p_text(p) for p in (None, 0.0001, 0.0499, 1.0)] == ["–", "0.0001", "0.0499", "1.00"]
