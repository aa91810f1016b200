"""What is said below the tables: of each page only what holds of it."""

from pathlib import Path

import yaml

from captioning.comparison.compared import Compared
from captioning.comparison.page import compare, write_page
from captioning.comparison.statements import about_changes, about_priors
from tests.comparison.tiny_comparison import begin_from, compared
from tests.support.web_page import Page

EXACT = "JS_π/(π(1−π)) is exact; as π goes to 0 it becomes KL[P‖Q], as π goes to 1 KL[Q‖P]."
LEAST = "Each column of JS_π should be least in the row trained to minimise it, if there is one."
BEGAN = "What training changed: each run against the run of the same seed that it began from"


def known(folder: Path, name: str, seeds: int = 1) -> Compared:
    """A row whose law is known."""
    return compared(folder, name, [[1.0, 2.0, 3.0]] * seeds, **{"js by prior": {"0.5": 0.2}})


def train_by(row: Compared, **options: object) -> None:
    """Let the runs of a row have been trained by an objective with these options."""
    for run in row.runs:
        run.config_file.write_text(yaml.safe_dump({"objective": {"init_args": options}}))


def test_which_row_should_be_least_is_said_where_one_was_trained_with_a_prior(
    tmp_path: Path,
) -> None:
    base, other = known(tmp_path, "base"), known(tmp_path, "other")
    assert about_priors([compared(tmp_path, "unknown", [[1.0]])]) == []
    assert about_priors([base, other]) == [EXACT]
    train_by(other, label_smoothing=0.1)
    assert about_priors([base, other]) == [EXACT]
    train_by(other, prior={"real": 0.9})
    assert about_priors([base, other]) == [EXACT, LEAST]


def test_changes_have_a_spread_if_there_are_seeds(tmp_path: Path) -> None:
    rows = [known(tmp_path, name) for name in ("base", "other")]
    assert about_changes(rows) == []
    begin_from(*reversed(rows))
    assert about_changes(rows) == [f"{BEGAN}."]
    rows = [known(tmp_path, name, seeds=2) for name in ("two", "both")]
    begin_from(*reversed(rows))
    assert about_changes(rows) == [f"{BEGAN}; mean ± standard deviation over seeds."]


def test_the_page_says_it_in_both_its_forms(tmp_path: Path) -> None:
    rows = [known(tmp_path, name) for name in ("base", "other")]
    begin_from(*reversed(rows))
    page = write_page(tmp_path / "page", compare("tiny", rows, {}))
    for text in (Page(page).text, page.with_suffix(".md").read_text()):
        assert EXACT in text
        assert BEGAN in text
        assert LEAST not in text
