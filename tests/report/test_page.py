"""What a page tells of a world whose true law is known."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from captioning.errors import InputError
from captioning.report.page import NOTES, Table, render, tables
from captioning.runs import Evaluation, Run, read_evaluation
from tests.support.web_page import Page

METRICS = {
    "data": "shapes",
    "split": "test",
    "search": "greedy",
    "signature": "images:3",
    "metrics": {"CIDEr": 0.875},
    "rows": {},
    "world": {"true": 0.9, "wrong_count": 0.1},
    "samples": {"true": 0.8, "wrong_count": 0.2},
    "divergences": {
        "forward_kl": 0.2577,
        "forward_kl_per_word": 0.0235,
        "reverse_kl": 5.947,
        "reverse_kl_error": 0.135,
        "outside": 0.14,
    },
    "js by prior": {"0.5": 0.25, "0.99": 2.5},
    "images": 3,
}
VARIED = {"self_bleu_4": 0.9, "words": 41.0, "novel": 0.25, "length": 9.75, "length_50": 9.0}
VERDICTS = "Test split, captions by the verdict of the true law, %"
DIVERGENCES = "Test split, the model's own law beside the true one"
PRIORS = "Test split, JS_π/(π(1−π)) in nats, what adversarial training with the prior π minimises"


def write(folder: Path, without: tuple[str, ...] = ()) -> Path:
    content = {key: value for key, value in METRICS.items() if key not in without}
    (folder / "metrics.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def greedy(tmp_path: Path) -> Evaluation:
    return read_evaluation(write(tmp_path))


def by_caption(*evaluations: Evaluation) -> dict[str, Table]:
    return {table.caption: table for table in tables(evaluations)}


def test_diversity_stands_in_a_table_of_its_own_words_and_lengths_plainly(
    greedy: Evaluation,
) -> None:
    human = {**VARIED, "novel": 0.5}
    varied = replace(greedy, diversity={"captioner": VARIED, "human": human})
    table = by_caption(varied)["Test split, how varied the captions are"]
    assert table.headings == [
        "Self-BLEU-4",
        "words used",
        "novel captions, %",
        "length, words",
        "median",
    ]
    assert table.models == {"Model, greedy": ["90.0", "41", "25.0", "9.8", "9"]}
    assert table.others == {"human": ["90.0", "41", "50.0", "9.8", "9"]}
    assert "Test split, how varied the captions are" not in by_caption(greedy)


def test_an_interval_stands_below_its_number_in_the_same_unit(tmp_path: Path) -> None:
    spans = {"CIDEr": {"low": 0.8125, "high": 0.9}}
    (tmp_path / "metrics.json").write_text(json.dumps(METRICS | {"intervals": spans}))
    found = by_caption(read_evaluation(tmp_path))["Test split, 3 images"]
    assert found.headings == ["CIDEr", "true captions, %"]
    assert found.intervals == {"Model, greedy": ["81.2–90.0", ""]}


def test_intervals_are_explained_where_there_are_any(greedy: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 3")

    def text(*evaluations: Evaluation) -> str:
        page = tmp_path / "report.html"
        page.write_text(render(Run(tmp_path), evaluations, [], {}))
        return Page(page).text

    with_intervals = replace(greedy, intervals={"CIDEr": (0.8125, 0.9)})
    both = text(with_intervals, replace(greedy, search="beam 5"))
    assert "Model, greedy 87.5 81.2–90.0 90.0 Model, beam 5 87.5 90.0" in both
    assert "Below a number stands its 95% confidence interval" in both
    assert "confidence" not in text(greedy)


def test_an_interval_without_an_end_is_told(tmp_path: Path) -> None:
    content = METRICS | {"intervals": {"CIDEr": {"low": 0.8}}}
    (tmp_path / "metrics.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="the field 'high' is missing"):
        read_evaluation(tmp_path)


def test_divergences_stand_in_nats_and_shares_in_percent(greedy: Evaluation) -> None:
    table = by_caption(greedy)[DIVERGENCES]
    assert table.headings == [
        "KL[P‖Q], nats",
        "KL[P‖Q] per word, nats",
        "KL[Q‖P_δ], nats",
        "± standard error",
        "Q outside P, %",
    ]
    assert {"KL[P‖Q], nats", "KL[Q‖P_δ], nats"} <= NOTES.keys()
    assert table.models == {"Model": ["0.258", "0.024", "5.947", "0.135", "14.0"]}


def test_samples_are_judged_below_the_captions_of_every_search(greedy: Evaluation) -> None:
    table = by_caption(greedy, replace(greedy, search="beam 5"))[VERDICTS]
    assert table.headings == ["true", "wrong count"]
    assert table.models == {
        "Model, greedy": ["90.0", "10.0"],
        "Model, beam 5": ["90.0", "10.0"],
        "Model, samples": ["80.0", "20.0"],
    }


def test_a_search_has_no_part_in_the_law_of_a_model_but_a_checkpoint_has(
    greedy: Evaluation,
) -> None:
    beam = replace(greedy, search="beam 5")
    assert [*by_caption(greedy, beam)[DIVERGENCES].models] == ["Model"]
    last = replace(
        greedy,
        search="greedy last checkpoint",
        divergences={**greedy.divergences, "forward_kl": 0.5},
    )
    found = by_caption(greedy, last)
    first_cells = {name: cells[0] for name, cells in found[DIVERGENCES].models.items()}
    assert first_cells == {"Model, greedy": "0.258", "Model, greedy last checkpoint": "0.500"}
    assert "Model, greedy last checkpoint, samples" in found[VERDICTS].models
    assert found[PRIORS].headings == ["π = .5", "π = .99"]
    assert found[PRIORS].models["Model, greedy"] == ["0.250", "2.500"]


def test_an_evaluation_from_before_there_were_divergences_is_shown_without(tmp_path: Path) -> None:
    old = read_evaluation(write(tmp_path, without=("samples", "divergences", "js by prior")))
    assert by_caption(old)[VERDICTS].models == {"Model, greedy": ["90.0", "10.0"]}
    assert not {DIVERGENCES, PRIORS} & by_caption(old).keys()


def test_where_no_law_is_known_there_are_metrics_alone(tmp_path: Path) -> None:
    found = read_evaluation(
        write(tmp_path, without=("world", "samples", "divergences", "js by prior"))
    )
    assert [*by_caption(found)] == ["Test split, 3 images"]
