"""SPICE: the published scores, where its jars have been fetched, and a sentence where they lack."""

import json
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pycocoevalcap import spice as pycocoevalcap_spice

from captioning.__main__ import main
from captioning.errors import InputError
from captioning.metrics import score
from captioning.metrics.spice import missing_parser, spice


@pytest.fixture
def parser(user_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own jars of SPICE, or a skipped test."""
    monkeypatch.setenv("CAPTIONING_CACHE", str(user_cache))
    if reason := missing_parser():
        pytest.skip(reason)


def test_where_the_parser_lacks_the_reason_is_the_command_that_gets_it() -> None:
    assert missing_parser() == "SPICE needs the Stanford parser: `captioning fetch spice` gets it"


def test_scored_without_its_parser_it_says_so() -> None:
    with pytest.raises(InputError, match="`captioning fetch spice` gets it"):
        spice(["a cat"], [["a cat"]])


@pytest.mark.usefixtures("parser")
def test_without_room_for_temporary_files_one_sentence_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(InputError, match=r"SPICE needs room for temporary files .*; set TMPDIR"):
        spice(["a cat"], [["a cat"]])


def test_a_source_that_is_no_folder_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fetch", "spice", "--source", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err == f"error: --source: {tmp_path / 'none'} is not a folder\n"


def test_a_source_that_lacks_the_jars_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fetch", "spice", "--source", str(tmp_path)]) == 2
    expected = f"error: {tmp_path} has no stanford-corenlp-3.6.0.jar, neither in itself"
    assert capsys.readouterr().err.startswith(expected)


@pytest.mark.slow
@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("system", ["good", "bad"])
def test_scores_of_two_images_are_the_published_ones(
    system: str, data_root: Callable[[str], Path]
) -> None:
    folder = data_root("scores")
    results, references, expected = (
        json.loads((folder / f"two_images.{part}.json").read_text())
        for part in (f"{system}.results", "references", f"{system}.expected")
    )
    captions = {result["image_id"]: result["caption"] for result in results}
    of_image: dict[int, list[str]] = {}
    for annotation in references["annotations"]:
        of_image.setdefault(annotation["image_id"], []).append(annotation["caption"])
    scores = score(captions, of_image, ["SPICE"])
    assert scores.corpus["SPICE"] == pytest.approx(expected["SPICE"], abs=5e-5)
    assert scores.per_image["SPICE"].mean() == pytest.approx(scores.corpus["SPICE"])


@pytest.mark.slow
@pytest.mark.usefixtures("parser")
def test_two_at_once_agree_score_by_hand_and_write_nothing_into_the_package() -> None:
    # (dog), (dog, black) against (dog), (dog, black), (dog, run): precision 1, recall 2/3. A
    # sentence without a noun has no tuple, nor has an empty one.
    candidates = ["a black dog", "a black dog", "", "a cat"]
    references = [["the black dog is running"], ["a black dog"], ["a cat"], ["..."]]
    package = Path(pycocoevalcap_spice.__file__).parent
    before = {path: path.stat().st_mtime_ns for path in package.rglob("*")}
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(lambda _: spice(candidates, references), range(2))
    assert first == second
    corpus, scores = first
    assert scores == pytest.approx([4 / 5, 1, 0, 0])
    assert corpus == pytest.approx(9 / 20)
    assert {path: path.stat().st_mtime_ns for path in package.rglob("*")} == before
