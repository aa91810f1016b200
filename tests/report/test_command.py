"""The page of one run and the command that makes it."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from captioning.errors import InputError
from captioning.report import main
from tests.support.web_page import Page

CONFIG = """
seed: 3
objective: {class_path: captioning.objectives.ScheduledSampling}
encoder: {class_path: captioning.encoder.Backbone, init_args: {architecture: mobilenet_v2}}
decoder: {class_path: captioning.decoder.ShowAndTell}
"""
CAPTIONS = {1: "a <script>alert(1)</script> ring", 2: "a square & a ring", 3: ""}


def make_run(folder: Path) -> Path:
    """A run with three tiny images, captioned greedily."""
    folder.mkdir()
    (folder / "config.yaml").write_text(CONFIG)
    for number in CAPTIONS:
        Image.new("RGB", (8, 8), (80 * number, 0, 0)).save(folder / f"{number}.png")
    add_evaluation(folder, "greedy", CAPTIONS)
    return folder


def add_log(run: Path) -> None:
    (run / "logs").mkdir()
    (run / "logs" / "metrics.csv").write_text("epoch,step,val/CIDEr-D\n0,9,0.5\n")


def add_evaluation(run: Path, search: str, captions: dict[int, str]) -> Path:
    folder = run / "evaluations" / f"test-{search}"
    metrics = {
        "data": "mine",
        "split": "test",
        "search": search,
        "signature": "images:3",
        "metrics": {"Bleu_4": 0.25, "CIDEr": 0.875},
        "rows": {"human": {"Bleu_4": 0.5, "CIDEr": 1.25}},
        "world": {"true": 0.9, "wrong_count": 0.1},
        "images": 3,
    }
    references = {
        "images": [{"id": n, "file_name": str(run / f"{n}.png")} for n in captions],
        "annotations": [{"image_id": n, "caption": f"image {n} <b>"} for n in captions],
    }
    contents = {
        "references.json": references,
        "captions.json": [{"image_id": n, "caption": text} for n, text in captions.items()],
        "scores.json": {str(n): {"CIDEr": n / 8} for n in captions},
        "metrics.json": metrics,
    }
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content))
    return folder


def fault(arguments: Sequence[object]) -> str:
    """The message, which must be a single line."""
    with pytest.raises(InputError) as caught:
        main([str(argument) for argument in arguments])
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "mine-ss-seed3")


def test_a_run_gets_its_curves_and_a_page_that_says_what_it_is(run: Path) -> None:
    add_log(run)
    assert main([str(run)]) == 0
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    text = Page(run / "report.html").text
    assert "Scheduled sampling on mine" in text
    assert "Show and tell" in text
    assert "mobilenet_v2" in text
    assert "Seed 3" in text
    assert "BLEU-4 CIDEr true captions, % Model, greedy 25.0 87.5 90.0" in text
    assert "human 50.0 125.0 –" in text
    assert "Signature images:3" in text


def test_every_image_stands_with_its_captions_scores_and_references(run: Path) -> None:
    add_evaluation(run, "beam 5", dict.fromkeys(CAPTIONS, "a ring"))
    main([str(run)])
    page = Page(run / "report.html")
    assert page.cards[0][:5] == [
        "a ring",
        "beam 5, CIDEr 12.5",
        CAPTIONS[1],
        "greedy, CIDEr 12.5",
        "image 1 <b>",
    ]
    assert page.cards[1][2] == CAPTIONS[2]
    assert page.cards[2][2] == "(no word)"
    assert page.alternatives[-3:] == [f"image {n} <b>" for n in CAPTIONS]


def test_captions_are_text_never_markup(run: Path) -> None:
    main([str(run)])
    assert Page(run / "report.html").tags.isdisjoint({"script", "b"})


def test_the_page_needs_no_other_file_and_no_network(run: Path) -> None:
    add_log(run)
    main([str(run)])
    page = Page(run / "report.html")
    assert len(page.addresses) == 5  # a curve, light and dark, and three images
    assert all(address.startswith("data:image/") for address in page.addresses)
    assert not any(
        outside in (run / "report.html").read_text() for outside in ("url(", "@import", "://")
    )


def test_a_missing_and_a_truncated_image_leave_a_placeholder(run: Path) -> None:
    (run / "1.png").unlink()
    (run / "2.png").write_bytes((run / "2.png").read_bytes()[:40])
    main([str(run)])
    page = Page(run / "report.html")
    assert "2 of them could not be opened" in page.text
    assert [card[0].startswith("missing or damaged: ") for card in page.cards] == [
        True,
        True,
        False,
    ]


def test_as_many_images_are_shown_as_were_asked_for(run: Path) -> None:
    main([str(run), "--images", "2"])
    assert len(Page(run / "report.html").cards) == 2
    main([str(run), "--images", "0"])
    assert "Images and captions" not in Page(run / "report.html").text


def test_without_scores_and_logs_the_page_has_neither_scores_nor_curves(run: Path) -> None:
    (run / "evaluations" / "test-greedy" / "scores.json").unlink()
    main([str(run)])
    page = Page(run / "report.html")
    assert "Curves" not in page.text
    assert page.cards[1][1] == "greedy"
    assert not (run / "curves.png").exists()


def add_sweep(run: Path, change: dict[str, Any] | None = None) -> None:
    point = {"CIDEr": 0.9, "self_bleu_4": 0.8, "mutual_bleu_4": 1.0}
    sweep = {
        "split": "test",
        "rows": {"human": {"CIDEr": 0.95}},
        "diversity": {"human": {"self_bleu_4": 0.6}},
        "points": [
            {"temperature": 0.0, **point},
            {"temperature": 1.0, "CIDEr": 0.5, "self_bleu_4": 0.5, "mutual_bleu_4": 0.25},
        ],
    }
    folder = run / "evaluations" / "test-temperatures"
    folder.mkdir()
    (folder / "temperatures.json").write_text(json.dumps(sweep | (change or {})))


def test_quality_against_diversity_is_drawn_and_told_in_words(run: Path) -> None:
    add_sweep(run)
    main([str(run)])
    assert (run / "test-temperatures.png").read_bytes().startswith(b"\x89PNG")
    page = Page(run / "report.html")
    assert "Quality and diversity" in page.text
    assert page.alternatives[0] == (
        "Quality against diversity by temperature, test split: greedy CIDEr 90.0, Self-BLEU-4 80.0,"
        " mutual BLEU-4 100.0; 1 CIDEr 50.0, Self-BLEU-4 50.0, mutual BLEU-4 25.0."
    )


def test_the_curve_is_drawn_beside_an_evaluation_without_cider(run: Path) -> None:
    add_sweep(run, {"rows": {"human": {"Bleu_4": 0.3}}})
    assert main([str(run)]) == 0
    assert (run / "test-temperatures.png").exists()


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([{"temperature": "hot"}], "points[0].temperature to be a number, got 'hot'"),
        ([{"temperature": 1.0}], "points[0]: the field 'CIDEr' is missing"),
        ([], "expected at least one of the points"),
    ],
)
def test_a_damaged_curve_over_temperatures_is_named(
    points: list[Any], words: str, run: Path
) -> None:
    add_sweep(run, {"points": points})
    assert words in fault([run])


def test_the_newest_run_is_taken_where_none_is_named(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "`make train-ss` makes one" in fault([])
    (tmp_path / "runs").mkdir()
    run.rename(tmp_path / "runs" / run.name)
    assert main([]) == 0
    assert (tmp_path / "runs" / run.name / "report.html").exists()


def test_several_runs_print_their_table_and_keep_it_where_asked(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_run(tmp_path / "mine-ss-seed4")
    assert main([str(run), str(other), "--output", str(tmp_path / "out")]) == 0
    table = capsys.readouterr().out
    assert "| mine-ss | greedy | 25.0 ± 0.0 | 87.5 ± 0.0 | 90.0 ± 0.0 | 2 |" in table
    assert (tmp_path / "out" / "table.md").read_text() == table


def test_a_run_without_evaluation_still_gets_its_curves(run: Path) -> None:
    add_log(run)
    for file in (run / "evaluations" / "test-greedy").iterdir():
        file.unlink()
    message = fault([run])
    assert (
        f"expected an evaluation of it, found none; make one with `make eval RUN={run}`" in message
    )
    assert (run / "curves.png").exists()


def test_a_split_that_was_not_evaluated_is_told_from_those_that_were(run: Path) -> None:
    assert "expected an evaluation on 'val', found test-greedy" in fault([run, "--split", "val"])
    assert main([str(run), "--split", "test"]) == 0


def test_a_folder_that_cannot_be_written_is_named(run: Path) -> None:
    message = fault([run, "--output", run / "config.yaml" / "below"])
    assert "report.html cannot be written (Not a directory)" in message


def test_a_number_of_images_below_zero_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--images", "-1"])
    assert "--images: expected 0 or more, got -1" in capsys.readouterr().err


def without(name: str) -> Callable[[Any], Any]:
    return lambda content: {key: value for key, value in content.items() if key != name}


FAULTS: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "no metrics": ("metrics.json", without("metrics"), "the field 'metrics' is missing"),
    "a list": ("metrics.json", lambda _: [], "expected an object, got list"),
    "no number": (
        "metrics.json",
        lambda content: content | {"metrics": {"CIDEr": "high"}},
        "expected metrics.CIDEr to be a number, got 'high'",
    ),
    "infinite words": (
        "metrics.json",
        lambda content: content | {"divergences": {"forward_kl": "infinite"}},
        "expected divergences.forward_kl to be a number, got 'infinite'",
    ),
    "no rows": ("metrics.json", lambda c: c | {"rows": 1}, "expected 'rows' to be dict, got 1"),
    "no results": ("captions.json", lambda _: {}, "expected results, a list of"),
    "no caption": ("captions.json", lambda _: [{"image_id": 1}], "the field 'caption' is missing"),
    "no images": ("references.json", without("images"), "expected COCO captions"),
    "scores in a list": ("scores.json", lambda _: [], "expected an object, got list"),
    "a score alone": ("scores.json", lambda _: {"1": 0.5}, "expected '1' to be dict, got 0.5"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_a_file_of_an_evaluation_is_named(run: Path, name: str) -> None:
    file, change, message = FAULTS[name]
    path = run / "evaluations" / "test-greedy" / file
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    told = fault([run])
    assert message in told
    assert str(path) in told


@pytest.mark.parametrize(
    "file", ["metrics.json", "captions.json", "references.json", "scores.json"]
)
def test_a_file_cut_short_is_named(run: Path, file: str) -> None:
    path = run / "evaluations" / "test-greedy" / file
    path.write_text(path.read_text()[:-3])
    assert f"{path}: expected JSON, but" in fault([run])
