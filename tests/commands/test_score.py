"""`captioning score`: from files to numbers, intervals and a comparison; mistakes in one line."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from captioning.__main__ import main

CAPTIONS = {
    7: ["Two cats are sleeping next to each other.", "A grey cat lies with an orange cat."],
    3: ["A dog wears ear muffs on a carpet.", "Headphones are on a dog's ears."],
    5: ["A man skis down a hill.", "Someone is skiing."],
}
SAID = {3: "A dog wears ear muffs.", 5: "A man on a hill.", 7: "Two cats."}
QUICK = ["--metrics", "bleu,rouge_l,cider"]


def write(folder: Path, name: str, content: Any) -> str:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def results(captions: dict[Any, str]) -> list[dict[str, Any]]:
    return [{"image_id": image, "caption": caption} for image, caption in captions.items()]


@pytest.fixture
def references(tmp_path: Path) -> str:
    annotations = [
        {"image_id": image, "id": 10 * image + number, "caption": caption}
        for image, captions in CAPTIONS.items()
        for number, caption in enumerate(captions)
    ]
    content = {"images": [{"id": image} for image in CAPTIONS], "annotations": annotations}
    return write(tmp_path, "references.json", content)


@pytest.fixture
def karpathy(tmp_path: Path) -> str:
    images = [
        {"filename": f"{image}.jpg", "cocoid": image, "split": "val" if image == 5 else "test"}
        | {"sentences": [{"raw": caption} for caption in captions]}
        for image, captions in CAPTIONS.items()
    ]
    return write(tmp_path, "dataset_coco.json", {"images": images})


@pytest.fixture
def score(
    tmp_path: Path, references: str, capsys: pytest.CaptureFixture[str]
) -> Callable[..., dict[str, Any]]:
    """Score captions, by default against `references`, and give the object that is printed."""

    def run(captions: dict[Any, str], *options: str) -> dict[str, Any]:
        path = write(tmp_path, "results.json", results(captions))
        source = [] if "--references" in options else ["--references", references]
        command = ["score", path, *source, *QUICK, "--format", "json", *options]
        assert main(command) == 0
        summary: dict[str, Any] = json.loads(capsys.readouterr().out)
        return summary

    return run


def test_json_holds_the_metrics_and_their_signature_and_nothing_else(
    score: Callable[..., Any], tmp_path: Path
) -> None:
    summary = score(SAID, "--per-image", str(tmp_path / "scores.json"))
    assert summary.keys() == {"metrics", "signature"}
    assert list(summary["metrics"]) == ["Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "ROUGE_L", "CIDEr"]
    assert summary["signature"].startswith("images:3|references:6|tokenizer:ptb-3.4.1,")
    per_image = json.loads((tmp_path / "scores.json").read_text())
    assert list(per_image) == ["7", "3", "5"]
    mean = sum(row["CIDEr"] for row in per_image.values()) / 3
    assert summary["metrics"]["CIDEr"] == pytest.approx(mean)
    assert per_image["7"].keys() == summary["metrics"].keys()


def test_intervals_and_a_comparison_are_told_with_how_they_were_made(
    score: Callable[..., Any], tmp_path: Path
) -> None:
    other = write(tmp_path, "other.json", results(dict.fromkeys(SAID, "A cat.")))
    options = ["--intervals", "--against", other, "--resamples", "100", "--seed", "4"]
    summary = score(SAID, *options)
    assert score(SAID, *options) == summary
    metrics, against = summary["metrics"], summary["against"]
    assert metrics.keys() == summary["intervals"].keys() == against["differences"].keys()
    low, high = summary["intervals"]["CIDEr"].values()
    assert low <= metrics["CIDEr"] <= high
    found = against["differences"]["CIDEr"]
    assert found["difference"] == pytest.approx(metrics["CIDEr"] - against["metrics"]["CIDEr"])
    assert found["low"] <= found["difference"] <= found["high"]
    assert 0 < found["p_value"] <= 1
    drawn = (
        "|p-value:approximate-randomisation,100,seed-4|intervals:bootstrap,100,seed-4,level-0.95"
    )
    assert summary["signature"].endswith(drawn)


def test_the_table_has_a_line_for_each_metric_and_ends_with_the_signature(
    tmp_path: Path, references: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, "results.json", results(SAID | {3: ""}))
    command = ["score", path, "--references", references, *QUICK, "--intervals", "--against", path]
    assert main(command) == 0
    out, err = capsys.readouterr()
    title, heading, *rows, signature = out.splitlines()
    assert title == f"{path} against {path}"
    assert heading.split() == [
        *["×", "100", "score", "95%", "interval"],
        *["against", "difference", "95%", "interval", "p"],
    ]
    assert [row.split()[0] for row in rows][-2:] == ["ROUGE_L", "CIDEr"]
    assert all(row.endswith("+0.00   [+0.00, +0.00]   1.0000") for row in rows)
    assert signature.startswith("images:3|")
    assert err.splitlines()[0] == f"{path}: 1 of 3 captions are empty: each scores 0"


def test_a_split_of_karpathys_file_may_be_the_references_or_choose_among_them(
    score: Callable[..., Any], karpathy: str
) -> None:
    test = {3: SAID[3], 7: SAID[7]}
    alone = score(test, "--references", karpathy, "--split", "test")
    assert alone["signature"].startswith("images:2|references:4|split:test|")
    # Captions of other images than the chosen ones are left out, for they are known.
    assert score(SAID, "--subset", karpathy, "--split", "test") == alone


def test_a_list_of_ids_chooses_images_and_partial_results_are_scored_when_asked(
    score: Callable[..., Any], tmp_path: Path
) -> None:
    ids = write(tmp_path, "ids.json", [3, 7])
    chosen = score(SAID, "--subset", ids)
    assert "|split:ids.json|" in chosen["signature"]
    partial = score({7: SAID[7], 3: SAID[3]}, "--partial")
    assert partial["metrics"] == chosen["metrics"]
    assert "|split:2-of-3-images|" in partial["signature"]
    both = score({7: "a"}, "--partial", "--subset", ids)["signature"]
    assert "|split:ids.json,1-of-2-images|" in both


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ("not JSON", [], "results.json: expected JSON"),
        ({"7": "a"}, [], "expected results, a list of"),
        ([{"image_id": 7}], [], "results.json, [0]: the field 'caption' is missing"),
        ([{"image_id": 7, "caption": ["a"]}], [], "expected 'caption' to be str, got ['a']"),
        ([{"image_id": 7.5, "caption": "a"}], [], "whole number or text, got 7.5"),
        (results(SAID) + results({5: "again"}), [], "[3]: a second caption of image 5"),
        (results({7: "a"}), [], "2 of 3 images have no caption, the first is 3"),
        (results({7: "a"}), [], "--partial"),
        (results(SAID | {8: "a"}), [], "1 of its 4 images are not in"),
        (results({"7": "a"}), [], "the first is '7'; write 7"),
        ([], ["--partial"], "none of its images are to be scored"),
        (results(SAID), ["--metrics", "cider,BLUE"], "unknown metric 'BLUE'"),
        (results(SAID), ["--resamples", "0"], "--resamples: expected 1 or more, got 0"),
        (results(SAID), ["--seed", "-1"], "--seed: expected 0 or more, got -1"),
        (results(SAID), ["--references", "nowhere.json"], "nowhere.json: expected a text file"),
        (results(SAID), ["--split", "test"], "the field 'filename' is missing"),
        (results(SAID), ["--split", "tset"], "no split 'tset'; expected one of: train, val, test"),
        (results(SAID), ["--subset", "nowhere.json"], "nowhere.json: expected a text file"),
        (results(SAID), ["--against", "nowhere.json"], "nowhere.json: expected a text file"),
        (results(SAID), ["--per_image", "nowhere/scores.json"], "no folder nowhere"),
        (results(SAID), ["--per_image", "."], "--per_image: . is a folder; name a file in it"),
        (results(SAID), ["--metric", "cider"], "nearest valid key is 'metrics'"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    content: Any,
    options: list[str],
    words: str,
    tmp_path: Path,
    references: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write(tmp_path, "results.json", content)
    command = ["score", path, "--references", references, "--metrics", "cider", *options]
    assert main(command) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert words in line


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"ids": [3]}, "expected a JSON list of image ids"),
        ([True], "expected a JSON list of image ids"),
        ([3, 9], "1 of its 2 images are not among the references, the first is 9"),
    ],
)
def test_a_faulty_list_of_images_is_one_line(
    content: Any,
    words: str,
    tmp_path: Path,
    references: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write(tmp_path, "results.json", results(SAID))
    subset = write(tmp_path, "ids.json", content)
    command = ["score", path, "--references", references, "--subset", subset, *QUICK]
    assert main(command) == 2
    assert words in capsys.readouterr().err


def test_half_a_surrogate_pair_in_an_id_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path, "results.json", results({"cut \ud83d": "a cat \ud83d"}))
    annotation = {"id": 1, "image_id": "cut \ud83d", "caption": "a cat"}
    content = {"images": [{"id": "cut \ud83d"}], "annotations": [annotation]}
    source = write(tmp_path, "references.json", content)
    file = tmp_path / "scores.json"
    command = ["score", path, "--references", source, "--metrics", "bleu"]
    assert main([*command, "--per_image", str(file)]) == 0
    assert list(json.loads(file.read_text())) == ["cut \ud83d"]


def test_an_image_without_a_reference_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, "results.json", results({1: "a cat"}))
    bare = write(tmp_path, "bare.json", {"images": [{"id": 1}], "annotations": []})
    assert main(["score", path, "--references", bare, *QUICK]) == 2
    assert "bare.json: 1 of 1 images have no caption, the first is 1;" in capsys.readouterr().err


def test_the_command_loads_neither_torch_nor_lightning(tmp_path: Path, references: str) -> None:
    path = write(tmp_path, "results.json", results(SAID))
    code = (
        "import sys; from captioning.__main__ import main; "
        f"main(['score', {path!r}, '--references', {references!r}, '--metrics=cider']); "
        "print({'torch', 'pytorch_lightning'} & sys.modules.keys() or 'none')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "none"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "source", "tolerance"),
    [
        ("two_images.good", "two_images", 5.1e-5),  # what their authors printed
        ("two_images.bad", "two_images", 5.1e-5),
        ("flickr30k_zerocap", "flickr30k_zerocap", 1e-6),
    ],
)
def test_published_files_score_as_published(
    name: str,
    source: str,
    tolerance: float,
    data_root: Callable[[str], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = data_root("scores")
    files = [f"{folder}/{name}.results.json", "--references", f"{folder}/{source}.references.json"]
    assert main(["score", *files, "--format", "json"]) == 0
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    expected = json.loads((folder / f"{name}.expected.json").read_text())
    assert len(metrics) >= 7
    assert metrics == pytest.approx({key: expected[key] for key in metrics}, abs=tolerance)
